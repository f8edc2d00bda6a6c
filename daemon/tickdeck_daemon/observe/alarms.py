"""Events from evidence: what two looks at an exchange, one after the other, tell. Pure.

Gaps and the state of an exchange have their own events; these are of the line race, of the
sources of the recovery, of journal and exporter. The first look tells only what is wrong, so that
a daemon that starts again does not tell anew what is well.
"""

from collections.abc import Iterator
from dataclasses import replace

from tickdeck_daemon.observe.alarms_journal import COUNTED, Alarm, export_alarms, journal_alarms
from tickdeck_daemon.observe.facts import FAILED, IN_USE, READY, ExchangeFacts, SourceFacts
from tickdeck_daemon.observe.finding import DEFAULT_THRESHOLDS, Thresholds

TELL_AGAIN_NS = 60_000_000_000
"""Least time between two events on counts that grow: a dead server must not fill the log."""


__all__ = ["TELL_AGAIN_NS", "Alarm", "Looks", "alarms"]


class Looks:
    """The looks at one exchange, one after the other."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._before: ExchangeFacts | None = None
        self._counted: ExchangeFacts | None = None
        """What was seen when growth was last told; None: never."""

    def take(self, now: ExchangeFacts) -> list[Alarm]:
        """What is new; growth that follows too soon is told later, with all that came meanwhile."""
        before = self._before
        if before is not None and self._counted is not None:
            quiet = now.now_ns - self._counted.now_ns < TELL_AGAIN_NS
            base = now if quiet else self._counted
            before = _with_counts(before, base)
        found = list(alarms(before, now))
        if any(alarm.type in _COUNTED for alarm in found):
            self._counted = now
        self._before = now
        return found


_COUNTED = ("arbiter.conflict", "recovery.lie", *COUNTED)


def _with_counts(facts: ExchangeFacts, base: ExchangeFacts) -> ExchangeFacts:
    """The facts with all that grows as it was at another look."""
    journal, export = facts.journal, facts.export
    if journal is not None and base.journal is not None:
        told = base.journal
        journal = replace(
            journal, acked_loss=told.acked_loss, holes=told.holes, look_errors=told.look_errors
        )
    if export is not None and base.export is not None:
        counts = base.export
        export = replace(
            export,
            dropped=counts.dropped,
            violations=counts.violations,
            rejected=counts.rejected,
            look_failures=counts.look_failures,
            pin_failures=counts.pin_failures,
        )
    return replace(facts, conflicts=base.conflicts, lies=base.lies, journal=journal, export=export)


def alarms(
    before: ExchangeFacts | None, now: ExchangeFacts, limits: Thresholds = DEFAULT_THRESHOLDS
) -> Iterator[Alarm]:
    """What is new between two looks; `before` is None at the first."""
    yield from _conflicts(before, now)
    yield from _alone(before, now, limits)
    yield from _storm(before, now)
    yield from _lies(before, now)
    yield from journal_alarms(before, now)
    yield from export_alarms(before, now)
    known = {source.source: source for source in before.sources} if before else {}
    for source in now.sources:
        yield from _source(now, source, known.get(source.source))


def _conflicts(before: ExchangeFacts | None, now: ExchangeFacts) -> Iterator[Alarm]:
    fresh = now.conflicts - (before.conflicts if before else 0)
    if fresh > 0:
        text = f"{now.name}: {fresh} numbers came twice with different bytes; the first copy "
        text += f"was kept ({now.conflicts} in all)"
        details = {"new": str(fresh), "total": str(now.conflicts)}
        yield Alarm("arbiter.conflict", text, details)


def _alone(before: ExchangeFacts | None, now: ExchangeFacts, limits: Thresholds) -> Iterator[Alarm]:
    for line in now.lines:
        since_ns = _alone_since_ns(now, line.name, limits)
        was_ns = _alone_since_ns(before, line.name, limits) if before else 0
        details = {"line": line.name, "since_ns": str(since_ns or was_ns)}
        if since_ns and not was_ns:
            yield Alarm("line.alone", f"{now.name}: line {line.name} carries alone", details)
        elif was_ns and not line.alone_since_ns:
            text = f"{now.name}: line {line.name} no longer carries alone"
            yield Alarm("line.accompanied", text, details)


def _alone_since_ns(facts: ExchangeFacts, name: str, limits: Thresholds) -> int:
    """Since when a line carries alone; 0 when it does not, or not for long."""
    stamps = [line.alone_since_ns for line in facts.lines if line.name == name]
    since_ns = stamps[0] if stamps else 0
    return since_ns if since_ns and facts.now_ns - since_ns > limits.line_alone_ns else 0


def _storm(before: ExchangeFacts | None, now: ExchangeFacts) -> Iterator[Alarm]:
    was = before is not None and before.storm
    if now.storm and not was:
        text = f"{now.name}: storm of gaps, {len(now.gaps)} open; snapshots instead of ranges"
        yield Alarm("recovery.storm_began", text, {"open": str(len(now.gaps))})
    elif was and not now.storm:
        text = f"{now.name}: storm of gaps is over; ranges are asked for again"
        yield Alarm("recovery.storm_ended", text, {"open": str(len(now.gaps))})


def _lies(before: ExchangeFacts | None, now: ExchangeFacts) -> Iterator[Alarm]:
    known = dict(before.lies) if before else {}
    for fault, count in now.lies:
        fresh = count - known.get(fault, 0)
        if fresh > 0:
            # A silent source has a fault too, but tells no lie.
            text = f"{now.name}: {fresh} answers of recovery sources bad or missing: {fault}; "
            text += "nothing of these was taken"
            yield Alarm("recovery.lie", text, {"fault": fault, "new": str(fresh)})


def _source(now: ExchangeFacts, source: SourceFacts, before: SourceFacts | None) -> Iterator[Alarm]:
    was = before.state if before else ""
    where = f"recovery source {source.source} ({source.protocol} {source.address})"
    details = {"source": source.source, "old": was, "new": source.state}
    if source.state == FAILED and was != FAILED:
        yield Alarm("recovery.source_failed", f"{now.name}: {where} failed its probe", details)
    elif was == FAILED and source.state in (READY, IN_USE):
        yield Alarm("recovery.source_ready", f"{now.name}: {where} answers again", details)
