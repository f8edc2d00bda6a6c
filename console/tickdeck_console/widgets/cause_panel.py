"""Tab `cause`: why the state is not ok, with evidence and what to do next."""

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.frame import Event, Exchange, Health
from tickdeck_console.widgets.lines import STYLES, utc
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part, chain_parts, heading

EVENTS_SHOWN = 8
WIDE = 118


class CausePanel(Panel):
    """Ranked causes, the chain, what changed, what to do."""

    def content(self, exchange: Exchange) -> Content:
        """The whole panel."""
        parts: list[Part] = ["\n", *_verdict(self.desk, exchange), "\n"]
        wide = self.size.width >= WIDE
        parts += [heading("CHAIN"), *chain_parts(exchange, with_journal=wide), "\n"]
        parts += [
            *_lines(exchange),
            *_gaps(exchange),
            *_changed(self.desk, exchange),
            "\n",
            *_next(exchange),
        ]
        return Content.assemble(*parts)


def _verdict(desk: Desk, exchange: Exchange) -> list[Part]:
    if not exchange.causes:
        word = "ok: every stage has fresh evidence" if exchange.health is Health.OK else "no cause"
        return [heading("VERDICT"), (word, "$good"), "\n"]
    style = STYLES[exchange.health]
    since_s = desk.state.since_s(exchange, desk.now_s)
    since = f"   for {text.age(since_s)}" if since_s is not None else ""
    parts: list[Part] = [heading("VERDICT"), (f"{exchange.health.name}{since}\n", style)]
    for number, cause in enumerate(exchange.causes, start=1):
        parts += ["  ", (f"{number} ", "bold"), (f"{text.safe(cause.summary)}\n", "bold")]
        if cause.evidence:
            parts.append((f"    {text.safe(cause.evidence)}\n", "$ok"))
        if cause.runbook:
            parts += [("    runbook ", "$quiet"), (text.safe(cause.runbook), "$key"), "\n"]
    return parts


def _lines(exchange: Exchange) -> list[Part]:
    parts: list[Part] = []
    for index, line in enumerate(exchange.lines):
        parts += [heading("LINES" if index == 0 else ""), (text.safe(line.name), "bold"), " "]
        state = ("silent", "bold $degraded") if line.silent else ("alive", "$good")
        parts += [state, f" {text.age(line.age_ns / 1e9)}   {text.count(line.message_rate)} msg/s"]
        parts += [f"   next {text.grouped(line.next_sequence)}   lost {text.grouped(line.lost)}"]
        parts += [f"   kernel drops {text.grouped(line.kernel_drops)}\n"]
    return parts


def _gaps(exchange: Exchange) -> list[Part]:
    gaps = f"{exchange.gaps_open} open, {exchange.gaps_filled} filled, "
    gaps += f"{exchange.gaps_unrecovered} unrecoverable"
    if exchange.gaps_open:
        gaps += f"; the oldest for {text.age(exchange.oldest_gap_ns / 1e9)}"
    recovery = f"   recovery {text.safe(exchange.recovery)}" if exchange.recovery != "-" else ""
    return [heading("GAPS"), gaps, (recovery, "$recovering"), "\n"]


def _changed(desk: Desk, exchange: Exchange) -> list[Part]:
    """The newest events of this exchange and its workers: what happened before."""
    found = [event for event in reversed(desk.state.events) if _concerns(event, exchange)]
    parts: list[Part] = []
    for index, event in enumerate(found[:EVENTS_SHOWN]):
        parts += [heading("CHANGED" if index == 0 else ""), (f"{utc(event.time_ns)} ", "$quiet")]
        parts += [f"{text.safe(event.message)}\n"]
    return parts


def _concerns(event: Event, exchange: Exchange) -> bool:
    return event.resource == exchange.key or event.resource.startswith(f"{exchange.key}-")


def _next(exchange: Exchange) -> list[Part]:
    hints = [("h", "health check"), ("g", "gaps"), ("o", "logs"), ("y", "copy summary")]
    if exchange.gaps_unrecovered:
        hints.insert(1, ("R", "replay from the journal"))
    parts: list[Part] = [heading("NEXT")]
    for key, label in hints:
        parts += [(key, "bold $key"), f" {label}   "]
    return parts
