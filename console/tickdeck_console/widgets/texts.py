"""Pieces of text that several panels share."""

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.model.chain import Node, Verdict, chain, journal_node
from tickdeck_console.model.facts import Gap, GapStage
from tickdeck_console.model.frame import Exchange

Part = tuple[str, str] | str

_VERDICT_STYLES = {
    Verdict.OK: "$ok",
    Verdict.UNKNOWN: "$quiet",
    Verdict.WARN: "bold $degraded",
    Verdict.BAD: "bold $down-text on $down-back",
}
_STAGES = ("DETECTED", "WAITING", "REQUESTED", "FILLING")


def heading(label: str, cells: int = 10) -> Part:
    """A label at the left of a block."""
    return (f" {label:<{cells - 2}} ", "bold $quiet")


def chain_parts(exchange: Exchange, *, with_journal: bool) -> list[Part]:
    """The way of a packet: `wire ok > socket ok > rx ok > seq GAP > ring ok > book ?`."""
    nodes = [*chain(exchange), *([journal_node(exchange)] if with_journal else [])]
    parts: list[Part] = []
    for index, node in enumerate(nodes):
        if index:
            branch = with_journal and index == len(nodes) - 1
            parts.append(("  + " if branch else " > ", "$rule"))
        parts += _node(node)
    return parts


def stage_bar(gap: Gap, *, short: bool = False) -> Content:
    """Where a gap is: `DETECTED > WAITING > REQUESTED 2 > [FILLING 71%]`, or its end alone."""
    if gap.stage is GapStage.FILLED:
        by = " + ".join(map(text.safe, gap.sources)) or "unknown"
        return Content.assemble(("FILLED", "$good"), f" by {by}")
    if gap.stage is GapStage.SNAPSHOT:
        before: list[Part] = [] if short else [("REQUESTED", "$quiet"), (" > ", "$rule")]
        return Content.assemble(*before, ("[SNAPSHOT]", "bold $recovering"))
    if gap.stage is GapStage.UNRECOVERABLE:
        reason = text.safe(gap.reason) or "unknown reason"
        label = ("UNRECOVERABLE", "bold $down-text on $down-back")
        return Content.assemble(label, f" {reason}")
    parts: list[Part] = []
    for number, name in enumerate(_STAGES, start=1):
        if number > max(int(gap.stage), 1):
            break
        if parts:
            parts.append((" > ", "$rule"))
        stage = name
        if name == "REQUESTED" and gap.attempts:
            stage = f"REQUESTED {gap.attempts}"
        if name == "FILLING":
            done = 100 * (gap.messages - gap.missing) // max(gap.messages, 1)
            stage = f"FILLING {done}%"
        current = number == max(int(gap.stage), 1)
        if current and short:
            parts.clear()
        parts.append((f"[{stage}]", "bold $recovering") if current else (stage, "$quiet"))
    return Content.assemble(*parts)


def _node(node: Node) -> list[Part]:
    style = _VERDICT_STYLES[node.verdict]
    return [f"{node.name} ", (text.safe(node.word), style)]
