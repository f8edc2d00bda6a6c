"""The lines above and below the screens: trust, counts, the worst problem, keys, events.

Each function makes the text of one line for a width.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.keys import Scope, footer_text
from tickdeck_console.model import severity
from tickdeck_console.model.frame import Exchange, Health, Link
from tickdeck_console.model.severity import Freshness

Part = tuple[str, str] | str
"""A text, with or without a style."""

STYLES = {
    Health.OK: "$ok",
    Health.RECOVERING: "$recovering",
    Health.DEGRADED: "bold $degraded",
    Health.DOWN: "bold $down-text on $down-back",
    Health.STALE: "bold $stale",
    Health.CLOSED: "$closed",
    Health.UNKNOWN: "bold $stale",
}
"""Style of a state's mark and word."""
_SHORT_WORDS = {
    Health.OK: "ok",
    Health.DEGRADED: "degr",
    Health.RECOVERING: "recov",
    Health.DOWN: "down",
    Health.STALE: "stale",
    Health.CLOSED: "closed",
    Health.UNKNOWN: "unknown",
}


def utc(time_ns: int) -> str:
    """Time of day, UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%H:%M:%S")


def status_line(desk: Desk, cells: int, where: str = "") -> Content:
    """Line 1: where am I, and can I trust what I see."""
    state, now_s = desk.state, desk.now_s
    fresh = desk.freshness
    host = text.safe(state.server.host) if state.server else text.safe(desk.target)[-40:]
    left: list[Part] = [" ", (host, "bold"), "  ", *_trust(desk, fresh)]
    if fresh >= Freshness.STALE and state.link.link is not Link.UP:
        left += ["  ", (f"retry {state.link.retry_s:.1f}s", "$quiet")]
    elif cells >= 76 and state.server and not fresh.old:
        # At 80 cells "up 14d" must do, at 120 there is room for the hours.
        uptime_s = state.totals.uptime_s + now_s - state.totals_s
        uptime = text.duration(uptime_s) if cells >= 110 else text.age(uptime_s)
        left += ["  ", (f"daemon up {uptime}", "$quiet")]
    if where:
        left += ["  ", (where, "bold")]
    if cells >= 150 and state.server:
        more = f"version {text.safe(state.server.version)}  adopted {state.server.adopted}"
        left += ["  ", (more, "$quiet")]
    if state.server and state.server.draining:
        left += ["  ", ("DRAINING", "bold $degraded")]
    if desk.held is not None:
        left += ["  ", (" HOLD ", "bold $lost-text on $good")]
    if desk.slow:
        left += ["  ", ("SLOW", "bold $degraded")]
    rights = ("READ-ONLY", "bold $stale") if fresh.old else ("READ-WRITE", "$quiet")
    right: list[Part] = [f"{utc(desk.clock.utc_ns())} UTC "]
    if cells >= 76:
        right = [rights, "  ", *right]
    return _both(left, right, cells)


def counts_line(desk: Desk, cells: int) -> Content:
    """Line 2: how many are in which state; on wide terminals also the plant's rates."""
    exchanges = desk.exchanges.values()
    numbers = severity.census(exchanges)
    line = Content(f" {len(desk.exchanges)} exch:")
    for health in (Health.OK, *sorted(severity.WORDS)):
        if numbers[health]:
            mark = severity.MARKS[health].strip()
            word = f"{mark} {_SHORT_WORDS[health]}".strip()
            count = Content.assemble(f" {numbers.pop(health)} ", (word, STYLES[health]), " ")
            if line.cell_length + count.cell_length <= cells:
                line += count
    if desk.problems_only:
        line += Content.styled("  problems only", "bold")
    return _as_fits(line, _plant_blocks(desk) if cells >= 110 else (), cells)


def banner_lines(desk: Desk, cells: int) -> tuple[Content, Content]:
    """Lines 2 and 3 while the console is cut off: since when, and why."""
    state, age_s = desk.state, desk.state.stream_age_s(desk.now_s)
    if age_s is None:
        first = " >>> NO DATA FROM THE DAEMON YET. <<<"
    else:
        since = utc(desk.clock.utc_ns() - int(age_s * 1e9))
        first = (
            f" >>> NO DATA FROM THE DAEMON SINCE {since} UTC ({text.age(age_s)})."
            + "  VALUES ARE OLD. <<<"
        )
    link = state.link
    why = {Link.UP: "stream silent", Link.CONNECTING: "connecting"}.get(link.link, link.link.value)
    reason = text.safe(link.reason)
    second = f" {why}" + (f": {reason}" if reason else "")
    if link.tries:
        second += f"  ({link.tries} {'try' if link.tries == 1 else 'tries'}, Ctrl+R tries now)"
    style = "bold $lost-text on $lost-back"
    return Content.styled(text.fit(first, cells), style), Content.styled(second, "bold $stale")


def cause_line(desk: Desk, cells: int) -> Content:
    """Line 3: the worst problem, with its first cause."""
    worst = severity.worst(desk.exchanges.values())
    if worst is None:
        if desk.state.synced and not desk.exchanges:
            return Content.styled(" No exchange yet: press A to add one.", "$good")
        return Content.styled(" No problem." if desk.state.synced else " Connecting ...", "$quiet")
    hint = " [n] "
    head = problem_head(desk, worst)
    cause = text.safe(worst.causes[0].summary) if worst.causes else "no verdict"
    body = f": {cause}"
    if worst.causes and worst.causes[0].evidence and cells >= 110:
        body += f"  <-  {text.safe(worst.causes[0].evidence)}"
    room = cells - head.cell_length - 1 - len(hint)
    fitted = text.fit(body, room) if text.width(body) > room else body.ljust(room)
    return Content.assemble(" ", head, fitted, (hint, "$key"))


def problem_head(desk: Desk, exchange: Exchange) -> Content:
    """Mark, name, state and time in it, such as `X XEUR down 4.2s`."""
    mark = severity.MARKS[exchange.health].strip()
    since_s = desk.state.since_s(exchange, desk.now_s)
    since = f" {text.age(since_s)}" if since_s is not None else ""
    word = severity.WORDS[exchange.health].lower()
    label = f"{mark} {text.safe(exchange.key)} {word}{since}".strip()
    return Content.styled(label, STYLES[exchange.health])


def footer_line(scope: Scope, cells: int) -> Content:
    """The keys that fit."""
    parts: list[Part] = [" "]
    for shown, label in footer_text(scope, cells):
        parts += [(shown, "bold $key"), f" {label}  "]
    return Content.assemble(*parts)


def table_foot(desk: Desk, below: int, cells: int) -> Content:
    """Under the rows: what is out of sight, the order and the filter."""
    hidden = len(desk.exchanges) - len(desk.visible)
    left = f"  +{below} more below" if below else ""
    if hidden:
        left += f"  {hidden} filtered out"
    right = f"sort: {desk.sort.name}   filter: {text.safe(desk.filter.text, 30) or 'none'} "
    if desk.order.pending:
        right = f"order held   {right}"
    gap = max(cells - text.width(left) - text.width(right), 1)
    return Content.styled(f"{left}{' ' * gap}{right}", "$quiet")


def event_line(desk: Desk, cells: int) -> Content:
    """The newest events, newest first."""
    parts: list[Part] = [(" EVENTS ", "bold $quiet")]
    used = 8
    for event in reversed(desk.state.events):
        entry = f"{utc(event.time_ns)} {text.safe(event.resource)} {text.safe(event.message)}"
        used += text.width(entry) + 3
        parts += [(" | ", "$rule") if len(parts) > 1 else "", (entry, "$ok")]
        if used > cells:
            break
    else:
        if len(parts) == 1:
            parts += [("none yet", "$quiet")]
    return Content.assemble(*parts)


def _plant_blocks(desk: Desk) -> tuple[str, ...]:
    """The plant's numbers, the most useful first."""
    exchanges, totals = desk.exchanges.values(), desk.state.totals
    open_gaps = [entry for entry in exchanges if entry.gaps_open]
    gaps = f"gaps {sum(entry.gaps_open for entry in open_gaps)}"
    if open_gaps:
        gaps += f" oldest {text.age(max(entry.oldest_gap_ns for entry in open_gaps) / 1e9)}"
    sync_ns = max((entry.journal.sync_p99_ns for entry in exchanges), default=0)
    return (
        f"{text.count(totals.message_rate)} msg/s",
        f"drops {text.count(sum(entry.drop_rate for entry in exchanges))}/s",
        gaps,
        f"lost {text.count(sum(entry.messages_lost for entry in exchanges))}",
        f"{text.count(totals.octet_rate * 8)}b/s",
        f"WAL p99 {text.millis(sync_ns)} ms",
        f"workers {totals.tasks}",
        f"errors {totals.errors}",
        f"10 s {text.count(totals.message_rate_10s)}/s",
        f"60 s {text.count(totals.message_rate_60s)}/s",
    )


def _as_fits(line: Content, blocks: Iterable[str], cells: int) -> Content:
    """`line`, then as many of the blocks as there is room for."""
    separator = Content.styled("| ", "$rule")
    for block in blocks:
        longer = line + separator + Content(block)
        if longer.cell_length > cells:
            break
        line, separator = longer, Content("   ")
    return line


def recent_events(desk: Desk, cells: int, lines: int) -> Content:
    """The newest events, one on each line, newest first."""
    shown = list(desk.state.events)[-lines + 1 :] if lines > 1 else []
    parts: list[Part] = [(" EVENTS, newest first\n", "bold $quiet")]
    for event in reversed(shown):
        entry = f"{text.safe(event.resource)}  {text.safe(event.message)}"
        parts += [(f" {utc(event.time_ns)} ", "$quiet"), text.fit(entry, cells - 11), "\n"]
    return Content.assemble(*parts)


def _trust(desk: Desk, fresh: Freshness) -> list[Part]:
    age_s = desk.state.stream_age_s(desk.now_s)
    shown = f" {text.age(age_s)}" if age_s is not None else ""
    style = {
        Freshness.LIVE: "$good",
        Freshness.LATE: "bold $degraded",
        Freshness.CONNECTING: "$quiet",
    }.get(fresh, "bold $lost-text on $lost-back")
    label = f"{fresh.name}{shown}"
    return [(f" {label} " if fresh >= Freshness.STALE else label, style)]


def _both(left: list[Part], right: list[Part], cells: int) -> Content:
    """`left` at the left and `right` at the right end of the line; `right` wins."""
    tail = Content.assemble(*right)
    head = Content.assemble(*left).truncate(max(cells - tail.cell_length - 1, 0))
    gap = max(cells - head.cell_length - tail.cell_length, 0)
    return head + Content(" " * gap) + tail
