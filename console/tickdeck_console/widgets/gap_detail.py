"""One gap in words: its steps, who brought what, whose loss it was, what was noted."""

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.model.facts import Gap
from tickdeck_console.widgets.lines import utc
from tickdeck_console.widgets.texts import Part, heading

LOST_ON = {
    "all": "lost on all lines",
    "one": "another line brought it",
    "none": "it only came late",
}
VERBS = (("T", "retry"), ("P", "snapshot"), ("X", "accept loss"), ("E", "note"), ("Enter", "steps"))


def short_detail(gap: Gap, width: int) -> Content:
    """Six lines: under the list of gaps."""
    parts: list[Part] = [heading("STEPS"), *_steps_in_line(gap, width - 11), "\n"]
    parts += [heading("BROUGHT"), text.safe(gap.brought) or "nobody yet"]
    missing = f"   missing {text.grouped(gap.missing)}"
    parts += [(missing, "bold $degraded") if gap.missing else missing, "\n"]
    parts += [heading("MISSED"), missed_by(gap)]
    parts += [f"   lost at {text.safe(gap.lost_at) or '?'}", "\n"]
    parts += [heading("ASKED"), f"{gap.attempts} times, {gap.stale_answers} answers too late"]
    parts += [*_fault(gap), *_slo(gap), "\n"]
    parts += [heading("NOTE"), *_last_note(gap, width - 11), "\n", " "]
    for key, label in VERBS:
        parts += [(key, "bold $key"), f" {label}  "]
    return Content.assemble(*parts)


def full_detail(gap: Gap) -> Content:
    """Each step, part and note on a line of its own."""
    state = gap.stage.name + (f": {text.safe(gap.reason)}" if gap.reason else "")
    size = f"{gap.first_seq} to {gap.last_seq}, {text.grouped(gap.messages)} messages"
    parts: list[Part] = [heading("RANGE"), f"{size}, channel {gap.channel}\n"]
    parts += [heading("STATE"), state, *_slo(gap), f"   missing {text.grouped(gap.missing)}\n"]
    parts += [heading("MISSED"), missed_by(gap), "\n"]
    parts += [heading("LOST AT"), text.safe(gap.lost_at) or "not known", "\n"]
    asked = f"{gap.attempts} times, {gap.stale_answers} answers too late"
    parts += [heading("ASKED"), asked, *_fault(gap), "\n\n"]
    for index, (name, time_ns) in enumerate(gap.steps):
        label = heading("STEPS" if index == 0 else "")
        parts += [label, f"{utc_ms(time_ns)}  {_after(gap, time_ns):>9}  {name}\n"]
    parts.append("\n")
    for index, part in enumerate(gap.parts):
        label = heading("BROUGHT" if index == 0 else "")
        parts += [label, f"{text.safe(part.source):<12} {text.grouped(part.messages):>10}\n"]
    if not gap.parts:
        parts += [heading("BROUGHT"), f"{text.safe(gap.brought) or 'nobody yet'}\n"]
    for index, note in enumerate(gap.notes):
        label = heading("NOTES" if index == 0 else "")
        told = f"{text.safe(note.actor)}: {text.safe(note.text)}"
        parts += ["\n" if index == 0 else "", label, (f"{utc(note.time_ns)} ", "$quiet")]
        parts += [f"{told}\n"]
    return Content.assemble(*parts)


def missed_by(gap: Gap) -> str:
    """Which lines, and whose loss that makes it: `A+B (lost on all lines)`."""
    lines = "+".join(map(text.safe, gap.lines_missed)) or "no line"
    return f"{lines} ({LOST_ON[gap.lost_on]})" if gap.lost_on in LOST_ON else lines


def utc_ms(time_ns: int) -> str:
    """Time of day with milliseconds, UTC."""
    return f"{utc(time_ns)}.{time_ns // 1_000_000 % 1000:03}"


def _after(gap: Gap, time_ns: int) -> str:
    return f"+{text.latency(time_ns - gap.detected_ns)}" if time_ns > gap.detected_ns else ""


def _steps_in_line(gap: Gap, cells: int) -> list[Part]:
    """`detected 03:12:00.1 > wait over +2.0ms > ...`; the newest where not all fit."""
    words = [f"{name} {_after(gap, time_ns)}".rstrip() for name, time_ns in gap.steps]
    if words:
        words[0] += f" {utc_ms(gap.steps[0][1])}"
    if _cells(words) > cells:
        words[0] = ".."
    while len(words) > 2 and _cells(words) > cells:
        del words[1]
    parts: list[Part] = []
    for index, word in enumerate(words):
        parts += [(" > ", "$rule")] if index else []
        parts.append((word, "bold" if index == len(words) - 1 else ""))
    return parts


def _cells(words: list[str]) -> int:
    return sum(map(len, words)) + 3 * (len(words) - 1)


def _fault(gap: Gap) -> list[Part]:
    lied = text.safe(gap.lied)
    return [(f"   a source lied: {lied}", "bold $degraded")] if lied else ["   no source lied"]


def _slo(gap: Gap) -> list[Part]:
    return [("   SLO violated", "bold $degraded")] if gap.slo_violated else []


def _last_note(gap: Gap, cells: int) -> list[Part]:
    if not gap.notes:
        return [("the journal has it" if gap.noted else "none", "$quiet")]
    note = gap.notes[-1]
    more = f" (+{len(gap.notes) - 1} more)" if len(gap.notes) > 1 else ""
    told = f"{utc(note.time_ns)} {text.safe(note.actor)}: {text.safe(note.text)}"
    return [text.fit(told, max(cells - len(more), 1)).rstrip(), (more, "$quiet")]
