"""Tab `feeds`: the lines of the exchange side by side, and who delivers first."""

from collections.abc import Callable

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.model.frame import Exchange, Line
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.race import race_parts
from tickdeck_console.widgets.texts import Part, heading

LABEL_CELLS = 18
COLUMN_CELLS = 24


class FeedsPanel(Panel):
    """Race, lines, arbiter."""

    def content(self, exchange: Exchange) -> Content:
        """The whole panel."""
        now_ns = self.desk.state.server_now_ns(self.desk.now_s)
        parts: list[Part] = [*race_parts(exchange, now_ns), "\n"]
        if not exchange.lines:
            parts.append(("  no line has told anything yet\n", "$quiet"))
        parts += _lines(exchange.lines)
        parts += ["\n", *_arbiter(exchange)]
        return Content.assemble(*parts)


def _lines(lines: tuple[Line, ...]) -> list[Part]:
    parts: list[Part] = [" " * LABEL_CELLS]
    for line in lines:
        state = ("SILENT", "bold $degraded") if line.silent else ("alive", "$good")
        parts += [(f"line {text.safe(line.name)} ", "bold"), state]
        parts.append(" " * max(COLUMN_CELLS - 6 - len(line.name) - len(state[0]), 1))
    parts.append("\n")
    for label, value, bad in _FIELDS:
        parts.append((f" {label:<{LABEL_CELLS - 1}}", "$quiet"))
        for line in lines:
            cell = text.fit(value(line), COLUMN_CELLS)
            parts.append((cell, "bold $degraded") if bad(line) else cell)
        parts.append("\n")
    return parts


def _arbiter(exchange: Exchange) -> list[Part]:
    parts: list[Part] = [heading("ARBITER")]
    parts += [f"session {text.safe(exchange.session) or '-'}"]
    parts += ["  (ended)" if exchange.session_ended else ""]
    parts += [f"   next {text.grouped(exchange.next_sequence)}\n", heading("")]
    parts += [f"delivered {text.grouped(exchange.messages)}"]
    parts += [f"   duplicates {text.grouped(exchange.duplicates)}"]
    conflicts = f"   conflicts {text.grouped(exchange.conflicts)}"
    parts.append((conflicts, "bold $degraded") if exchange.conflicts else conflicts)
    if exchange.reorder_window_ns:
        parts.append(f"   window {text.latency(exchange.reorder_window_ns)}")
    parts += ["\n", heading("")]
    parts += [f"gaps opened {exchange.gaps_opened}   filled {exchange.gaps_filled}"]
    lost = f"   unrecoverable {exchange.gaps_unrecovered} ({exchange.messages_lost} messages)\n"
    parts.append((lost, "bold $degraded") if exchange.gaps_unrecovered else lost)
    return parts


def _drops(line: Line) -> bool:
    return line.kernel_drops > 0


def _never(_: Line) -> bool:
    return False


_FIELDS: tuple[tuple[str, Callable[[Line], str], Callable[[Line], bool]], ...] = (
    ("group", lambda line: text.target(text.safe(line.group), line.port), _never),
    ("interface", lambda line: f"{text.safe(line.interface)} {text.safe(line.path)}", _never),
    ("last packet", lambda line: text.age(line.age_ns / 1e9), lambda line: line.silent),
    ("packets/s", lambda line: text.count(line.packet_rate), _never),
    ("messages/s", lambda line: text.count(line.message_rate), _never),
    ("next sequence", lambda line: text.grouped(line.next_sequence), _never),
    ("packets", lambda line: text.grouped(line.packets), _never),
    ("messages", lambda line: text.grouped(line.messages), _never),
    ("bytes", lambda line: text.size(line.octets), _never),
    ("heartbeats", lambda line: text.grouped(line.heartbeats), _never),
    ("first", lambda line: text.grouped(line.first), _never),
    ("lost", lambda line: text.grouped(line.lost), lambda line: line.lost > 0),
    ("kernel drops", lambda line: text.grouped(line.kernel_drops), _drops),
    ("rejected", lambda line: text.grouped(line.rejected), lambda line: line.rejected > 0),
)
