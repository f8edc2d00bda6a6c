"""Health of an exchange: facts in, state with ranked causes out. No clock and no I/O.

Process, transport, data and desired state are separate axes: missing packets are never a fault
of a process, and nothing is healthy because it is silent, since silence is judged by its age
against the venue's heartbeat. `findings` is a pure function of the facts; `HealthTracker` adds
memory: a finding is raised at once and cleared after it was absent for `clear_after_ns`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tickdeck_daemon.observe.facts import (
    SESSION_ENDED,
    ExchangeFacts,
    LineFacts,
    OpenGap,
    WorkerFacts,
)
from tickdeck_daemon.observe.finding import (
    DEFAULT_THRESHOLDS,
    SEVERITY,
    Data,
    Finding,
    State,
    Thresholds,
    Transport,
    seconds,
)
from tickdeck_daemon.observe.health_journal import of_export, of_journal, of_losses
from tickdeck_daemon.observe.health_recovery import of_race, of_recovery

__all__ = [
    "DEFAULT_THRESHOLDS",
    "SEVERITY",
    "Data",
    "ExchangeHealth",
    "Finding",
    "HealthTracker",
    "State",
    "Thresholds",
    "Transport",
    "data",
    "findings",
    "observable",
    "recovery",
    "seconds",
    "silent_lines",
    "transport",
]


@dataclass(frozen=True, slots=True)
class ExchangeHealth:
    """The verdict on one exchange beside the facts that it rests on."""

    facts: ExchangeFacts
    state: State
    since_ns: int
    causes: tuple[Finding, ...]
    transport: Transport
    data: Data
    recovery: str
    silent_lines: frozenset[str]


class HealthTracker:
    """Remembers findings of one exchange so that a verdict does not flicker."""

    def __init__(self, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> None:
        """Start without memory."""
        self._thresholds = thresholds
        self._held: dict[str, tuple[Finding, int]] = {}
        self._state: State | None = None
        self._since_ns = 0
        self._changes: deque[int] = deque(maxlen=64)

    def update(self, facts: ExchangeFacts) -> ExchangeHealth:
        """Judge the facts and merge them with what is still held."""
        limits = self._thresholds
        fresh = {finding.key: finding for finding in findings(facts, limits)}
        if not facts.wanted:
            self._held.clear()
        now = facts.now_ns
        keep_ns = limits.flapping_clear_ns if self._flapping(now) else limits.clear_after_ns
        for key, (finding, seen_ns) in list(self._held.items()):
            if key not in fresh and (not finding.hold or not 0 <= now - seen_ns < keep_ns):
                del self._held[key]
        self._held.update({key: (finding, now) for key, finding in fresh.items()})
        causes = sorted((finding for finding, _ in self._held.values()), key=_order)
        self._enter(causes[0].state if causes else State.OK, now)
        assert self._state is not None, "a state was entered"
        return ExchangeHealth(
            facts=facts,
            state=self._state,
            since_ns=self._since_ns,
            causes=tuple(causes),
            transport=transport(facts, limits),
            data=data(facts, limits),
            recovery=recovery(facts, limits),
            silent_lines=frozenset(silent_lines(facts, limits)),
        )

    def _enter(self, state: State, now_ns: int) -> None:
        if state == self._state:
            return
        if self._state is not None:
            self._changes.append(now_ns)
        self._state, self._since_ns = state, now_ns

    def _flapping(self, now_ns: int) -> bool:
        recent = sum(1 for changed in self._changes if now_ns - changed < 60_000_000_000)
        return recent > self._thresholds.flapping_changes


def findings(facts: ExchangeFacts, limits: Thresholds = DEFAULT_THRESHOLDS) -> list[Finding]:
    """Everything that is not as it should be, the worst and most likely cause first."""
    if not facts.wanted:
        return [_stopped(facts)]
    found = list(_of_processes(facts, limits))
    if observable(facts.rx, limits):
        found += _of_lines(facts, limits)
        found += of_race(facts, silent_lines(facts, limits), limits)
        found += _of_gaps(facts)
        found += of_recovery(facts)
        found += of_journal(facts.journal, limits)
    else:
        found += of_losses(facts.journal)
    if facts.book_wanted and observable(facts.book_worker, limits):
        found += _of_book(facts, limits)
    if facts.export_wanted and observable(facts.exporter, limits):
        found += of_export(facts.export, limits)
    if facts.session_state == SESSION_ENDED:
        found.append(_session_ended(facts))
    return sorted(found, key=_order)


def transport(facts: ExchangeFacts, limits: Thresholds = DEFAULT_THRESHOLDS) -> Transport:
    """UP when a ready worker had a packet of any line within the silence limit."""
    if not observable(facts.rx, limits):
        return Transport.DOWN
    silent = silent_lines(facts, limits)
    heard = [line for line in facts.lines if line.last_packet_ns and line.name not in silent]
    return Transport.UP if heard else Transport.DOWN


def data(facts: ExchangeFacts, limits: Thresholds = DEFAULT_THRESHOLDS) -> Data:
    """SUSPECT with an open gap or final loss; STALE when nothing in order arrived lately."""
    if not observable(facts.rx, limits) or not facts.last_delivery_ns:
        return Data.STALE
    suspect_book = facts.book is not None and facts.book.trust == "SUSPECT"
    if facts.gaps or suspect_book or facts.messages_lost:
        return Data.SUSPECT
    ended = facts.session_state == SESSION_ENDED
    if not ended and facts.age_ns > limits.silent_heartbeats * facts.heartbeat_ns:
        return Data.STALE
    return Data.OK


def recovery(facts: ExchangeFacts, limits: Thresholds = DEFAULT_THRESHOLDS) -> str:
    """The RECOVERY cell: what recovery does for the oldest open gap, or which line carries."""
    if facts.gaps:
        gap = facts.gaps[0]
        if gap.stage == "PARTIAL":
            return f"FILL {100 * (gap.size - gap.missing) // gap.size}%"
        if gap.stage == "SNAPSHOT":
            return "SNAPSHOT"
        return f"REQ {gap.attempts}" if gap.stage == "REQUESTED" else "WAIT"
    if facts.messages_lost and facts.book is not None and facts.book.trust == "SUSPECT":
        return "UNRECOV"
    silent = silent_lines(facts, limits)
    carrying = [line.name for line in facts.lines if line.name not in silent]
    return f"{carrying[0]}-ONLY" if len(carrying) == 1 and len(facts.lines) > 1 else "-"


def silent_lines(facts: ExchangeFacts, limits: Thresholds = DEFAULT_THRESHOLDS) -> set[str]:
    """Lines without any packet for longer than the silence limit."""
    limit_ns = limits.silent_heartbeats * facts.heartbeat_ns
    return {line.name for line in facts.lines if facts.line_age_ns(line) > limit_ns}


def observable(worker: WorkerFacts | None, limits: Thresholds) -> bool:
    """True when the worker is up and its numbers are fresh enough to be judged."""
    if worker is None or not worker.alive or worker.heartbeat_age_ns is None:
        return False
    return worker.heartbeat_age_ns <= limits.worker_heartbeat_ns


def _order(finding: Finding) -> tuple[int, int, str]:
    return SEVERITY.index(finding.state), finding.rank, finding.key


def _stopped(facts: ExchangeFacts) -> Finding:
    evidence = f"desired state STOPPED, generation {facts.generation}"
    return Finding("stopped", State.CLOSED, 0, "stopped by an operator", evidence, hold=False)


def _session_ended(facts: ExchangeFacts) -> Finding:
    evidence = f"end of session {facts.session or '?'} at sequence {facts.next_sequence}"
    return Finding("session.ended", State.CLOSED, 0, "session ended", evidence, hold=False)


def _of_processes(facts: ExchangeFacts, limits: Thresholds) -> Iterator[Finding]:
    yield from _of_process("rx", facts.rx, limits)
    if facts.book_wanted:
        yield from _of_process("book", facts.book_worker, limits)
    if facts.export_wanted:
        yield from _of_process("export", facts.exporter, limits)


def _of_process(kind: str, worker: WorkerFacts | None, limits: Thresholds) -> Iterator[Finding]:
    rank = _RANKS[kind]
    if worker is None or worker.state in _PHASES:
        state = _UNTIL_READY[kind]
        word = worker.state.lower() if worker else "not started yet"
        evidence = f"{kind} worker {word} (normal RUNNING)"
        yield Finding(f"process.{kind}.start", state, rank, f"{kind} {word}", evidence, hold=False)
        return
    if not worker.alive:
        # Without an exporter the feed is whole; nobody elsewhere has it.
        state = State.DEGRADED if kind == "export" else State.DOWN
        yield _bad_process(kind, worker, state, rank)
        return
    if worker.state != "RUNNING":
        yield _bad_process(kind, worker, State.DEGRADED, rank)
    age_ns = worker.heartbeat_age_ns
    if age_ns is None or age_ns > limits.worker_heartbeat_ns:
        seen = f"{seconds(age_ns)} old" if age_ns is not None else worker.stats_error or "missing"
        normal = seconds(limits.worker_heartbeat_ns)
        evidence = f"heartbeat of pid {worker.pid} in its stats file: {seen} (normal < {normal})"
        summary = f"{kind} statistics {seen}"
        # What the feed is does not hang on the exporter's numbers.
        state = State.DEGRADED if kind == "export" else State.STALE
        yield Finding(f"stats.{kind}", state, rank + 1, summary, evidence, "StatsStale.runbook.md")


_RANKS = {"rx": 10, "book": 15, "export": 78}
_UNTIL_READY = {"rx": State.STALE, "book": State.RECOVERING, "export": State.DEGRADED}
"""Of an exchange whose worker of this kind is not ready yet."""
_PHASES = ("PENDING", "STARTING", "STOPPED", "DRAINING")
"""States on the way between running and stopped."""


def _bad_process(kind: str, worker: WorkerFacts, state: State, rank: int) -> Finding:
    evidence = f"{worker.state} (normal RUNNING), {worker.restarts} restarts"
    evidence += f", {worker.reason}" if worker.reason else ""
    evidence += f", last exit: {worker.last_exit}" if worker.last_exit else ""
    summary = f"{kind} worker {worker.state}"
    runbook = "ExportDown.runbook.md" if kind == "export" else "WorkerCrashLoop.runbook.md"
    return Finding(f"process.{kind}", state, rank, summary, evidence, runbook)


def _of_lines(facts: ExchangeFacts, limits: Thresholds) -> Iterator[Finding]:
    silent = silent_lines(facts, limits)
    ended = facts.session_state == SESSION_ENDED
    if not any(line.last_packet_ns for line in facts.lines) and not silent:
        evidence = f"worker up for {seconds(facts.age_ns)}, not one packet on any line"
        summary = "waiting for the first packet"
        yield Finding("feed.waiting", State.STALE, 30, summary, evidence, _SILENT, hold=False)
        return
    if silent and len(silent) == len(facts.lines):
        if not ended:
            yield _all_silent(facts, limits)
        return
    for line in facts.lines:
        others = [other for other in facts.lines if other.name != line.name]
        if line.name in silent and not ended:
            yield _one_silent(facts, line, others, limits)
        elif line.lost_10s:
            yield from _line_loss(line, limits)
        if line.drops_10s:
            yield _kernel_drops(facts, line, limits)
    late_ns = limits.late_heartbeats * facts.heartbeat_ns
    if not silent and not ended and not facts.gaps and facts.age_ns > late_ns:
        evidence = f"{seconds(facts.age_ns)} without a message (normal < {seconds(late_ns)})"
        yield Finding("feed.late", State.DEGRADED, 31, "feed late", evidence, _SILENT)


def _all_silent(facts: ExchangeFacts, limits: Thresholds) -> Finding:
    ages = ", ".join(
        f"{line.name} {seconds(facts.line_age_ns(line))}"
        + ("" if line.last_packet_ns else " (never a packet)")
        for line in facts.lines
    )
    normal = seconds(limits.silent_heartbeats * facts.heartbeat_ns)
    evidence = f"age of the last packet: {ages} (normal < {normal})"
    return Finding("feed.silent", State.STALE, 30, "all lines silent", evidence, _SILENT)


def _one_silent(
    facts: ExchangeFacts, line: LineFacts, others: list[LineFacts], limits: Thresholds
) -> Finding:
    """One silent line is survivable only while the others lose nothing."""
    losing = [other.name for other in others if other.lost_10s]
    normal = seconds(limits.silent_heartbeats * facts.heartbeat_ns)
    evidence = f"no packet for {seconds(facts.line_age_ns(line))} (normal < {normal})"
    if losing:
        evidence += f"; line {losing[0]} loses messages too"
    for other in others:
        if other.alone_since_ns:
            alone = seconds(max(0, facts.now_ns - other.alone_since_ns))
            evidence += f"; line {other.name} alone for {alone}"
    return Finding(
        f"line.silent.{line.name}",
        State.DOWN if losing else State.DEGRADED,
        32,
        f"line {line.name} silent",
        evidence,
        "FeedOneSideDown.runbook.md",
    )


def _line_loss(line: LineFacts, limits: Thresholds) -> Iterator[Finding]:
    seen = line.messages_10s + line.lost_10s
    ratio = line.lost_10s / seen
    if ratio > limits.line_loss_ratio:
        evidence = f"{line.lost_10s} of {seen} messages in 10 s = {ratio:.3%}"
        evidence += f" (normal < {limits.line_loss_ratio:.3%})"
        summary = f"line {line.name} loses messages"
        yield Finding(f"line.loss.{line.name}", State.DEGRADED, 42, summary, evidence)


def _kernel_drops(facts: ExchangeFacts, line: LineFacts, limits: Thresholds) -> Finding:
    heavy = line.drops_per_second > limits.drops_per_second or bool(facts.gaps)
    evidence = f"{line.drops_10s} packets in 10 s, {line.drops_per_second:.0f}/s now (normal 0)"
    if line.drops_shared:
        evidence += ", of both lines together"
    return Finding(
        f"line.drops.{line.name}",
        State.DOWN if heavy else State.DEGRADED,
        40,
        f"kernel drops packets of line {line.name}",
        evidence,
        "FeedKernelDrops.runbook.md",
    )


def _of_gaps(facts: ExchangeFacts) -> Iterator[Finding]:
    if facts.gaps:
        yield _open_gap(facts, facts.gaps[0])
    if facts.messages_lost and not (facts.book_wanted and facts.book is not None):
        yield _lost(facts, State.DEGRADED)


def _open_gap(facts: ExchangeFacts, gap: OpenGap) -> Finding:
    age_ns = max(0, facts.now_ns - gap.detected_ns)
    late = age_ns > facts.slo_ns
    count = f"{len(facts.gaps)} gaps" if len(facts.gaps) > 1 else f"gap {gap.id}"
    missing = sum(gap.missing for gap in facts.gaps)
    evidence = f"oldest {gap.first}..{gap.last} {gap.stage}, {gap.attempts} attempts, "
    evidence += f"open {seconds(age_ns)} (normal < {seconds(facts.slo_ns)})"
    if not facts.recovery_configured:
        evidence += "; no recovery source is configured"
    return Finding(
        "gap.open",
        State.DOWN if late else State.RECOVERING,
        50,
        f"{count} open, {missing} messages missing",
        evidence,
        "FeedGapUnrecovered.runbook.md",
    )


def _lost(facts: ExchangeFacts, state: State) -> Finding:
    evidence = f"{facts.gaps_unrecovered} gaps unrecovered, {facts.messages_lost} messages"
    return Finding(
        "gap.lost",
        state,
        51,
        f"{facts.messages_lost} messages lost for good",
        evidence + " (normal 0)",
        "FeedDataLossConfirmed.runbook.md",
    )


def _of_book(facts: ExchangeFacts, limits: Thresholds) -> Iterator[Finding]:
    book = facts.book
    if book is None:
        return
    if book.sequence_errors:
        evidence = f"{book.sequence_errors} duplicates or unexplained holes (normal 0)"
        summary = "book saw a broken sequence"
        yield Finding("book.sequence", State.DOWN, 55, summary, evidence, _INCONSISTENT)
    if book.checkpoint_mismatches:
        evidence = f"{book.checkpoint_mismatches} checkpoints different (normal 0), "
        evidence += f"{book.checkpoints_equal} equal"
        summary = "books differ from a checkpoint in the journal"
        yield Finding("book.checkpoint", State.DOWN, 52, summary, evidence, _INCONSISTENT)
    if book.integrity_errors:
        evidence = f"{book.integrity_errors} broken rules (normal 0)"
        summary = "a book breaks its own rules"
        yield Finding("book.integrity", State.DOWN, 53, summary, evidence, _INCONSISTENT)
    if book.trust == "SUSPECT":
        yield _suspect_book(facts, limits)
    elif facts.messages_lost:
        yield _lost(facts, State.DEGRADED)
    if book.trust == "REBUILDING":
        evidence = f"{book.lag_records} records behind, cursor {book.cursor_seq}"
        yield Finding("book.rebuilding", State.RECOVERING, 57, "book catches up", evidence)
    if book.trust == "STALE" and facts.session_state != SESSION_ENDED:
        evidence = f"trust STALE at cursor {book.cursor_seq} (normal GOOD)"
        yield Finding("book.stale", State.STALE, 58, "books are stale", evidence, _INCONSISTENT)
    fill = book.lag_records / facts.ring_slots if facts.ring_slots else 0.0
    if fill > limits.ring_fill_degraded and book.trust != "REBUILDING":
        state = State.DOWN if fill > limits.ring_fill_down else State.DEGRADED
        evidence = f"{book.lag_records} of {facts.ring_slots} records behind = {fill:.0%}"
        evidence += f" (normal < {limits.ring_fill_degraded:.0%})"
        yield Finding("book.lag", state, 56, "book lags the ring", evidence)


def _suspect_book(facts: ExchangeFacts, limits: Thresholds) -> Finding:
    """A suspect book is a phase while its gap may still be filled, else it is invalid."""
    book = facts.book
    assert book is not None, "only asked for an exchange with books"
    evidence = f"{book.suspect_books} of {book.books} books suspect (normal 0)"
    if facts.messages_lost or book.lost_messages:
        lost = max(facts.messages_lost, book.lost_messages)
        evidence += f", {lost} messages lost for good in {facts.gaps_unrecovered} gaps"
        summary = f"{lost} messages lost for good, book suspect"
        return Finding("gap.lost", State.DOWN, 51, summary, evidence, _LOSS)
    gap_open_ns = facts.now_ns - facts.gaps[0].detected_ns if facts.gaps else None
    if gap_open_ns is not None and gap_open_ns <= facts.slo_ns:
        state = State.RECOVERING
    elif facts.gaps:
        state = State.DOWN
    else:
        settling = facts.now_ns - facts.gap_closed_ns < limits.book_settle_ns
        state = State.RECOVERING if settling or book.lag_records else State.DOWN
    return Finding("book.suspect", state, 54, "book suspect", evidence, _INCONSISTENT)


_SILENT = "FeedSilent.runbook.md"
_LOSS = "FeedDataLossConfirmed.runbook.md"
_INCONSISTENT = "FeedBookInconsistent.runbook.md"
