"""The race of the lines: who is first and by how much, what each loses, who carries alone."""

from tickdeck_console import text
from tickdeck_console.model.frame import Exchange, Line
from tickdeck_console.model.race import first_share
from tickdeck_console.widgets.lines import utc
from tickdeck_console.widgets.texts import Part, heading

BAR_CELLS = 30


def race_parts(exchange: Exchange, now_ns: int) -> list[Part]:
    """Three lines, and one more while a line carries alone."""
    if not exchange.lines:
        return []
    return [
        *_first(exchange.lines),
        *_leads(exchange.lines),
        *_losses(exchange),
        *_alone(exchange.lines, now_ns),
    ]


def _first(lines: tuple[Line, ...]) -> list[Part]:
    """Which line delivered first, as parts of a bar."""
    if not any(line.first for line in lines):
        return [heading("FIRST"), ("nobody yet\n", "$quiet")]
    parts: list[Part] = [heading("FIRST")]
    for index, line in enumerate(lines):
        share = first_share(lines, line)
        cells = max(round(share * BAR_CELLS), 1) if line.first else 0
        style = "$good" if index == 0 else "$quiet"
        parts += [
            (f"{text.safe(line.name)} {share * 100:.1f}% ", "bold"),
            ("#" * cells, style),
            " ",
        ]
    return [*parts, "\n"]


def _leads(lines: tuple[Line, ...]) -> list[Part]:
    parts: list[Part] = [heading("LEAD 10s")]
    for line in lines:
        parts.append((f"{text.safe(line.name)} ", "bold"))
        if line.leads:
            p50, p99 = text.latency(line.lead_p50_ns), text.latency(line.lead_p99_ns)
            parts.append(f"p50 {p50}  p99 {p99}    ")
        else:
            parts.append(("never first before another    ", "$quiet"))
    return [*parts, "\n"]


def _losses(exchange: Exchange) -> list[Part]:
    parts: list[Part] = [heading("LOST")]
    for line in exchange.lines:
        told = f"{text.grouped(line.lost)} (run {text.grouped(line.loss_run_most)})  "
        parts.append((f"{text.safe(line.name)} ", "bold"))
        parts.append((told, "bold $degraded") if line.lost else told)
    told = f"all lines {text.grouped(exchange.lost_on_all)}\n"
    return [*parts, (told, "bold $degraded") if exchange.lost_on_all else told]


def _alone(lines: tuple[Line, ...], now_ns: int) -> list[Part]:
    parts: list[Part] = []
    for line in lines:
        if line.alone_since_ns:
            for_s = max(now_ns - line.alone_since_ns, 0) / 1e9
            told = f"line {text.safe(line.name)} since {utc(line.alone_since_ns)} "
            parts += [heading("ALONE"), (f"{told}({text.age(for_s)})\n", "bold $degraded")]
    return parts
