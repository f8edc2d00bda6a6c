"""A summary for the pager or the ticket: the exchange, or the fleet when none is chosen."""

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model import severity
from tickdeck_console.model.frame import Exchange
from tickdeck_console.model.severity import WORDS

EVENTS_SHOWN = 10


def summary(desk: Desk, key: str) -> str:
    """Plain text, safe for any terminal."""
    state, now_s = desk.state, desk.now_s
    host = text.safe(state.server.host) if state.server else text.safe(desk.target)
    counts = severity.census(state.exchanges.values())
    states = ", ".join(f"{number} {WORDS[health]}" for health, number in sorted(counts.items()))
    lines = [
        f"tickdeck {host} at {text.iso_time(desk.clock.utc_ns())}",
        f"console: {desk.freshness.name}, exchanges: {states or 'none'}",
    ]
    if state.link.reason:
        lines.append(f"link: {state.link.link.value}: {text.safe(state.link.reason)}")
    exchange = state.exchanges.get(key)
    if exchange is not None:
        lines += ["", *_exchange(desk, exchange, now_s)]
    events = [event for event in state.events if event.resource.startswith(key)]
    if events:
        lines += ["", "newest events:"]
    lines += [
        f"  {text.iso_time(event.time_ns)} {text.safe(event.resource)} {text.safe(event.message)}"
        for event in events[-EVENTS_SHOWN:]
    ]
    return "\n".join(lines) + "\n"


def _exchange(desk: Desk, entry: Exchange, now_s: float) -> list[str]:
    since_s = desk.state.since_s(entry, now_s)
    since = f" for {text.duration(since_s)}" if since_s is not None else ""
    lines = [f"{text.safe(entry.key)}: {WORDS[entry.health]}{since}"]
    for number, cause in enumerate(entry.causes, start=1):
        lines.append(f"  cause {number}: {text.safe(cause.summary)}")
        if cause.evidence:
            lines.append(f"    evidence: {text.safe(cause.evidence)}")
        if cause.runbook:
            lines.append(f"    runbook: {text.safe(cause.runbook)}")
    lines.append(
        f"  session {text.safe(entry.session) or '-'}, next sequence {entry.next_sequence}, "
        f"age {text.age(desk.age_s(entry))}"
    )
    lines.append(
        f"  gaps: {entry.gaps_open} open, {entry.gaps_filled} filled, "
        f"{entry.gaps_unrecovered} unrecoverable, {entry.messages_lost} messages lost"
    )
    lines += [
        f"  line {text.safe(line.name)}: {text.target(text.safe(line.group), line.port)} "
        f"{'SILENT' if line.silent else 'alive'}, next {line.next_sequence}, lost {line.lost}, "
        f"kernel drops {line.kernel_drops}"
        for line in entry.lines
    ]
    lines.append(
        f"  journal {text.safe(entry.journal.state) or '-'}, "
        f"durable {entry.journal.durable_seq}; "
        f"book {text.safe(entry.book.trust) or '-'}, cursor {entry.book.cursor_seq}"
    )
    return lines
