"""Findings on the merge of the lines and on the sources of the recovery. Pure, as `health`."""

from collections.abc import Collection, Iterator

from tickdeck_daemon.observe.facts import (
    FAILED,
    SESSION_ENDED,
    UNKNOWN,
    ExchangeFacts,
    SourceFacts,
)
from tickdeck_daemon.observe.finding import Finding, State, Thresholds, seconds

_ONE_SIDE = "FeedOneSideDown.runbook.md"
_DISAGREE = "FeedLinesDisagree.runbook.md"
_SOURCE = "FeedRecoverySourceFailed.runbook.md"
_STORM = "FeedRecoveryStorm.runbook.md"


def of_race(facts: ExchangeFacts, silent: Collection[str], limits: Thresholds) -> Iterator[Finding]:
    """Lines that contradict one another, and a line that carries alone."""
    if facts.conflicts:
        evidence = f"{facts.conflicts} in all, {facts.conflicts_10s} in 10 s (normal 0); "
        evidence += "the copy that came first was kept"
        summary = f"lines disagree on {facts.conflicts} messages"
        yield Finding("arbiter.conflict", State.DEGRADED, 35, summary, evidence, _DISAGREE)
    # A silent line is a finding that tells this too; the end of a session ends every race.
    if silent or facts.session_state == SESSION_ENDED:
        return
    for line in facts.lines:
        alone_ns = facts.now_ns - line.alone_since_ns
        if line.alone_since_ns and alone_ns > limits.line_alone_ns:
            evidence = f"nothing of use from the other lines for {seconds(alone_ns)} "
            evidence += f"(normal < {seconds(limits.line_alone_ns)})"
            summary = f"line {line.name} carries alone"
            key = f"line.alone.{line.name}"
            yield Finding(key, State.DEGRADED, 33, summary, evidence, _ONE_SIDE)


def of_recovery(facts: ExchangeFacts) -> Iterator[Finding]:
    """A storm of gaps, and sources that would not bring what goes missing next."""
    if facts.storm:
        evidence = f"{len(facts.gaps)} gaps open (storm above {facts.storm_gaps}), "
        evidence += f"{facts.snapshots} snapshots taken"
        summary = "storm of gaps: snapshots instead of ranges"
        yield Finding("recovery.storm", State.DEGRADED, 52, summary, evidence, _STORM)
    for source in facts.sources:
        found = _of_source(facts, source)
        if found is not None:
            yield found


def _of_source(facts: ExchangeFacts, source: SourceFacts) -> Finding | None:
    state, age_ns = facts.source_state(source), facts.probe_age_ns(source)
    where = f"{source.protocol} {source.address}"
    key = f"recovery.source.{source.source}"
    if state == FAILED:
        evidence = f"{where} did not answer the probe of {seconds(age_ns)} ago"
        summary = f"recovery source {source.source} failed"
        return Finding(key, State.DEGRADED, 70, summary, evidence, _SOURCE)
    limit_ns = source.fresh_ns
    # Who wants no probes is not told each day that there are none; the check says it.
    scheduled = source.told and source.probe_interval_ns
    if state != UNKNOWN or not scheduled or age_ns <= limit_ns:
        return None
    probed = f"last probed {seconds(age_ns)} ago" if source.probed_ns else "never probed"
    evidence = f"{where} {probed} (normal < {seconds(limit_ns)})"
    summary = f"recovery source {source.source} unknown"
    return Finding(key, State.DEGRADED, 71, summary, evidence, _SOURCE)
