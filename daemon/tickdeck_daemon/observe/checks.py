"""The health check of an exchange on demand: every check with its evidence and its age.

`judge` is pure: two sets of facts some time apart, the answers of the control sockets and the
clock's state in, results out. `CheckRunner` gathers these, one run at a time for each exchange:
a second caller gets the result of the run that is under way.
"""

import asyncio
import ctypes
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.exchanges.fields import target_word
from tickdeck_daemon.observe.facts import (
    FAILED,
    IN_USE,
    READY,
    SESSION_ENDED,
    ExchangeFacts,
    LineFacts,
    SourceFacts,
    WorkerFacts,
)
from tickdeck_daemon.observe.health import DEFAULT_THRESHOLDS, Thresholds, seconds


class Verdict(IntEnum):
    """Outcome of a check; the numbers are those of the protocol."""

    PASS = 1
    WARN = 2
    FAIL = 3
    UNKNOWN = 4
    """Could not be decided; the evidence says why."""


DROP_REMEDIES = {
    "nic": "enlarge the card's rings (ethtool -G), spread its queues over cores",
    "softnet": "raise net.core.netdev_max_backlog and net.core.netdev_budget",
    "xsk": "raise afxdp.rx_ring and afxdp.frame_count, or pin the receive thread",
    "packet_ring": "raise packet_mmap.block_count, or pin the receive thread",
    "socket": "raise receive.rcvbuf_bytes or pin the receive thread",
    "receiver": "look at what is sent to the group: frames are no whole UDP datagrams",
}
"""What to do about losses of each layer."""
_PATH_LAYERS = {
    "af_xdp": ("xsk", "socket"),
    "packet_mmap": ("packet_ring", "socket"),
    "recvmmsg": ("socket",),
}
"""Where the kernel drops packets of a line, by its receive path; first its own layer."""
_READ_STATS = "start the worker; see tickdeck worker list"
WORST_FIRST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check."""

    check: str
    """Such as "feed.progress.A"."""
    verdict: Verdict
    evidence: str
    """What was seen, with numbers."""
    expected: str
    """What is normal."""
    remedy: str = ""
    """What to do; empty when it passed."""
    age_ns: int = 0
    """Age of the fact behind the evidence."""


@dataclass(frozen=True, slots=True)
class ExchangeCheck:
    """All checks of one exchange."""

    name: str
    checks: tuple[CheckResult, ...]
    time_ns: int
    """UTC, when it ended."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict."""
        found = {check.verdict for check in self.checks}
        return next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer of a worker's control socket."""

    took_ns: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel says about the host's clock."""

    synchronised: bool | None
    """None when it could not be asked."""
    max_error_us: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a check rests on."""

    before: ExchangeFacts
    after: ExchangeFacts
    pings: Mapping[str, Ping]
    """By worker kind."""
    clock: ClockState


class CheckRunner:
    """Runs health checks, at most one for each exchange at a time."""

    def __init__(
        self,
        facts: Callable[[str], ExchangeFacts],
        ping: Callable[[str], Awaitable[object]],
        *,
        poll_s: float = 0.1,
        clock_state: Callable[[], ClockState] | None = None,
    ) -> None:
        """Prepare.

        Args:
            facts: Fresh facts of an exchange; NotFoundError when there is none.
            ping: Asks a worker for its status over its control socket.
            poll_s: How often to look whether the lines have moved.
            clock_state: Asks the kernel about the clock; replaced in tests.
        """
        self._facts = facts
        self._ping = ping
        self._poll_s = poll_s
        self._clock_state = clock_state or kernel_clock
        self._running: dict[str, asyncio.Task[ExchangeCheck]] = {}
        self._last: dict[str, ExchangeCheck] = {}

    async def run(self, name: str) -> tuple[ExchangeCheck, bool]:
        """Check an exchange; the flag tells that another caller had begun the run.

        Raises:
            NotFoundError: no such exchange.
        """
        running = self._running.get(name)
        if running is not None:
            return await asyncio.shield(running), True
        task = asyncio.get_running_loop().create_task(self._check(name), name=f"check {name}")
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))
        # A caller that goes away does not take the result from the others.
        return await asyncio.shield(task), False

    def in_progress(self, name: str) -> bool:
        """True while a check of the exchange runs."""
        return name in self._running

    def last(self, name: str) -> ExchangeCheck | None:
        """The latest result; None when there was no check yet."""
        return self._last.get(name)

    async def _check(self, name: str) -> ExchangeCheck:
        before = self._facts(name)
        pings = await self._ping_all(before)
        after = await self._wait_for_progress(name, before)
        results = tuple(judge(Evidence(before, after, pings, self._clock_state())))
        check = ExchangeCheck(name, results, after.now_ns)
        self._last[name] = check
        return check

    async def _ping_all(self, facts: ExchangeFacts) -> dict[str, Ping]:
        workers = [worker for worker in facts.workers if worker.pid]
        answers = await asyncio.gather(*(self._ping_one(worker) for worker in workers))
        return {worker.kind: ping for worker, ping in zip(workers, answers, strict=True)}

    async def _ping_one(self, worker: WorkerFacts) -> Ping:
        began = time.monotonic_ns()
        try:
            await self._ping(worker.id)
        except TickdeckError as error:
            return Ping(time.monotonic_ns() - began, error.message)
        return Ping(time.monotonic_ns() - began)

    async def _wait_for_progress(self, name: str, before: ExchangeFacts) -> ExchangeFacts:
        """Facts once every line has moved, or when the longest normal silence has passed."""
        limit_s = DEFAULT_THRESHOLDS.late_heartbeats * before.heartbeat_ns / 1e9
        deadline = time.monotonic() + (limit_s if before.wanted else 0.0)
        while True:
            after = self._facts(name)
            moved = all(
                new.packets > old.packets
                for new, old in zip(after.lines, before.lines, strict=False)
            )
            if moved or time.monotonic() >= deadline:
                return after
            await asyncio.sleep(self._poll_s)


def judge(evidence: Evidence, limits: Thresholds = DEFAULT_THRESHOLDS) -> list[CheckResult]:
    """All checks of an exchange, in the order of the data's way."""
    facts = evidence.after
    if not facts.wanted:
        return [
            CheckResult(
                "exchange.desired",
                Verdict.WARN,
                "stopped by an operator; nothing is collected",
                "desired state RUNNING",
                f"start it: tickdeck exchange start {facts.name}",
            )
        ]
    results = list(_worker_checks("rx", facts.rx, evidence, limits))
    if facts.book_wanted:
        results += _worker_checks("book", facts.book_worker, evidence, limits)
    if facts.export_wanted:
        results += _worker_checks("export", facts.exporter, evidence, limits)
    for line in facts.lines:
        results += _line_checks(line, evidence, limits)
    results += [_drops(facts), *_race(facts, limits), _open_gaps(facts), _lost(facts)]
    results += [*_sources(facts), _session(facts)]
    if facts.book_wanted:
        results += _book_checks(facts, limits)
    results += _journal_checks(facts, limits)
    results.append(_clock(evidence))
    return results


def kernel_clock() -> ClockState:
    """Ask adjtimex(2), which needs no right to read."""
    # struct timex begins with: modes (u32), offset, freq, maxerror, esterror (longs), status (i32).
    buffer = (ctypes.c_long * 32)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(buffer)) < 0:
        return ClockState(None)
    status = ctypes.c_int.from_buffer(buffer, 5 * ctypes.sizeof(ctypes.c_long)).value
    return ClockState(not status & _STA_UNSYNC, buffer[3])


_STA_UNSYNC = 0x40
"""Bit of `timex.status`: the clock is not synchronised (linux/timex.h)."""


def _result(
    check: str, good: bool, evidence: str, expected: str, remedy: str, *, age_ns: int = 0
) -> CheckResult:
    """PASS or FAIL; the remedy is told only with a failure."""
    verdict = Verdict.PASS if good else Verdict.FAIL
    return CheckResult(check, verdict, evidence, expected, "" if good else remedy, age_ns)


def _worker_checks(
    kind: str, worker: WorkerFacts | None, evidence: Evidence, limits: Thresholds
) -> Iterator[CheckResult]:
    expected = f"{kind} worker RUNNING and ready"
    if worker is None:
        remedy = "look at the daemon's log: it should have started one"
        yield CheckResult(f"process.{kind}", Verdict.FAIL, "no worker", expected, remedy)
        return
    seen = f"{worker.state}, pid {worker.pid or '-'}, {worker.restarts} restarts"
    seen += f" ({worker.restarts_10min} in 10 min)"
    seen += f"; last exit: {worker.last_exit}" if worker.last_exit else ""
    remedy = f"read its log: tickdeck worker logs {worker.id}"
    if worker.state == "RUNNING" and worker.ready and worker.restarts_10min:
        yield CheckResult(f"process.{kind}", Verdict.WARN, seen, expected + ", no restarts", remedy)
    else:
        good = worker.state == "RUNNING" and worker.ready
        yield _result(f"process.{kind}", good, seen, expected, remedy)
    age_ns = worker.heartbeat_age_ns
    expected = f"younger than {seconds(limits.worker_heartbeat_ns)}"
    if age_ns is None:
        text = f"stats file not read: {worker.stats_error}"
        remedy = "read it without the daemon: tickdeck stat"
        yield CheckResult(f"heartbeat.{kind}", Verdict.UNKNOWN, text, expected, remedy)
    else:
        remedy = f"the worker hangs or is stopped: tickdeck worker restart {worker.id}"
        text = f"heartbeat {seconds(age_ns)} old"
        good = age_ns <= limits.worker_heartbeat_ns
        yield _result(f"heartbeat.{kind}", good, text, expected, remedy, age_ns=age_ns)
    ping = evidence.pings.get(kind)
    if ping is not None:
        text = ping.error or f"answered in {seconds(ping.took_ns)}"
        remedy = f"its control thread does not answer: tickdeck worker restart {worker.id}"
        yield _result(f"control.{kind}", not ping.error, text, "an answer within 1 s", remedy)


def _line_checks(line: LineFacts, evidence: Evidence, limits: Thresholds) -> Iterator[CheckResult]:
    facts = evidence.after
    ended = facts.session_state == SESSION_ENDED
    where = f"{target_word(line.group, line.port)} on {line.interface}"
    before = {old.name: old.packets for old in evidence.before.lines}
    grown = line.packets - before.get(line.name, 0)
    span_ns = max(0, facts.now_ns - evidence.before.now_ns)
    remedy = f"check sender, multicast routing and IGMP for {where}"
    text = f"{grown} packets in {seconds(span_ns)} ({line.packets_per_second:.0f}/s)"
    age_ns = facts.line_age_ns(line)
    if ended and grown <= 0:
        text += "; the session has ended"
    yield _result(
        f"feed.progress.{line.name}",
        grown > 0 or ended,
        text,
        "packets or heartbeats between two samples",
        remedy,
        age_ns=age_ns,
    )
    limit_ns = limits.silent_heartbeats * facts.heartbeat_ns
    never = "" if line.last_packet_ns else ", never a packet"
    yield _result(
        f"feed.silence.{line.name}",
        age_ns <= limit_ns or ended,
        f"last packet {seconds(age_ns)} ago{never}",
        f"less than {seconds(limit_ns)}, 3 heartbeats",
        remedy,
        age_ns=age_ns,
    )
    verdict = Verdict.PASS
    if line.drops_10s or line.kernel_drops:
        verdict = Verdict.FAIL if line.drops_10s else Verdict.WARN
    yield CheckResult(
        f"kernel.drops.{line.name}",
        verdict,
        f"{line.drops_10s} in 10 s, {line.kernel_drops} in all"
        + (", of both lines together" if line.drops_shared else ""),
        "0",
        "" if verdict is Verdict.PASS else _drop_remedy(line, facts),
    )


def _drop_remedy(line: LineFacts, facts: ExchangeFacts) -> str:
    """What to do at the layers of the line's path that lose now, else at those that have lost."""
    layers = _PATH_LAYERS.get(line.receive_path, ("socket", "xsk", "packet_ring"))
    known = [drops for drops in facts.drops if drops.layer in layers and drops.total]
    lost = [drops.layer for drops in known if drops.in_10s] or [drops.layer for drops in known]
    chosen = lost or layers[:1]
    return "; ".join(f"{layer}: {DROP_REMEDIES[layer]}" for layer in chosen)


def _drops(facts: ExchangeFacts) -> CheckResult:
    """The drop ladder: a loss of our own paths now is a failure, one of the host a warning."""
    if not facts.drops:
        return CheckResult("drops", Verdict.UNKNOWN, "no counters of layers", "0", _READ_STATS)
    lost = [drops for drops in facts.drops if drops.in_10s or (drops.total and not drops.of_host)]
    # The order of the ladder: the first layer that loses now, else the first that has lost.
    lost.sort(key=lambda drops: not drops.in_10s)
    fails = any(drops.in_10s and not drops.of_host for drops in lost)
    verdict = Verdict.FAIL if fails else Verdict.WARN if lost else Verdict.PASS
    parts = [f"{drops.layer} {drops.in_10s} in 10 s, {drops.total} in all" for drops in lost]
    evidence = "; ".join(parts) or "no layer loses: " + ", ".join(one.layer for one in facts.drops)
    remedy = f"{lost[0].layer}: {DROP_REMEDIES[lost[0].layer]}" if lost else ""
    return CheckResult("drops", verdict, evidence, "0 at every layer", remedy)


def _race(facts: ExchangeFacts, limits: Thresholds) -> Iterator[CheckResult]:
    """Lines that contradict one another, and one that carries alone."""
    if facts.conflicts:
        text = f"{facts.conflicts} in all, {facts.conflicts_10s} in 10 s; the first copy was kept"
        remedy = "compare captures of both lines (tickdeck capture cut), then tell the venue"
        yield CheckResult("lines.conflicts", Verdict.WARN, text, "0", remedy)
    else:
        yield CheckResult("lines.conflicts", Verdict.PASS, "0", "0")
    parts = [f"{line.name} first {line.first}" for line in facts.lines]
    text = ", ".join(parts) + f"; window {seconds(facts.reorder_window_ns)}"
    verdict, age_ns, remedy = Verdict.PASS, 0, ""
    for line in facts.lines:
        alone_ns = facts.now_ns - line.alone_since_ns
        if not line.alone_since_ns or facts.session_state == SESSION_ENDED:
            continue
        if alone_ns > limits.line_alone_ns:
            verdict, age_ns = Verdict.WARN, alone_ns
            text = f"line {line.name} carries alone for {seconds(alone_ns)}; {text}"
            remedy = f"what line {line.name} loses now must be asked for: look at the other line"
    yield CheckResult("lines.race", verdict, text, "both lines bring the feed", remedy, age_ns)


def _sources(facts: ExchangeFacts) -> Iterator[CheckResult]:
    """Whether each source of the recovery would answer, by the evidence of its last probe."""
    if facts.storm:
        text = f"{len(facts.gaps)} gaps open, storm above {facts.storm_gaps}; "
        text += f"{facts.snapshots} snapshots taken"
        remedy = "find what both lines lose: tickdeck drops " + facts.name
        yield CheckResult("recovery.storm", Verdict.WARN, text, "no storm", remedy)
    for source in facts.sources:
        yield _source(facts, source)


def _source(facts: ExchangeFacts, source: SourceFacts) -> CheckResult:
    state, age_ns = facts.source_state(source), facts.probe_age_ns(source)
    text = f"{source.protocol} {source.address} {state.replace('_', ' ')}"
    text += f", probed {seconds(age_ns)} ago" if source.probed_ns else ", never probed"
    text += f", round trip {seconds(source.rtt_ns)}" if source.rtt_ns else ""
    remedy = f"see tickdeck recovery sources {facts.name}"
    verdict = {READY: Verdict.PASS, IN_USE: Verdict.PASS, FAILED: Verdict.WARN}.get(state)
    if verdict is None:
        # Not yet, or not wanted, is not the same as a probe that should have been.
        due = source.probe_interval_ns and age_ns > source.fresh_ns
        verdict = Verdict.UNKNOWN if due else Verdict.WARN
        if not source.probe_interval_ns:
            remedy = "set recovery.probe_interval_ms, or ask again for a gap"
    name = f"recovery.source.{source.source}"
    expected = f"a probe answered within {seconds(source.fresh_ns)}"
    return CheckResult(
        name, verdict, text, expected, "" if verdict is Verdict.PASS else remedy, age_ns
    )


def _open_gaps(facts: ExchangeFacts) -> CheckResult:
    if not facts.gaps:
        text = f"none open; {facts.gaps_opened} seen, {facts.gaps_filled} filled"
        return CheckResult("gaps.open", Verdict.PASS, text, "none open")
    oldest = facts.gaps[0]
    age_ns = max(0, facts.now_ns - oldest.detected_ns)
    late = age_ns > facts.slo_ns
    text = f"{len(facts.gaps)} open, the oldest {oldest.first}..{oldest.last} "
    text += f"{oldest.stage} for {seconds(age_ns)}"
    verdict = Verdict.FAIL if late else Verdict.WARN
    expected = f"none open for more than {seconds(facts.slo_ns)}"
    remedy = f"ask again: tickdeck gaps recover {facts.name}"
    return CheckResult("gaps.open", verdict, text, expected, remedy, age_ns)


def _lost(facts: ExchangeFacts) -> CheckResult:
    text = f"{facts.messages_lost} messages in {facts.gaps_unrecovered} gaps"
    remedy = "rebuild the books from a snapshot or another source; see the list of gaps"
    return _result("gaps.lost", not facts.messages_lost, text, "0", remedy)


def _session(facts: ExchangeFacts) -> CheckResult:
    if facts.session_state == SESSION_ENDED:
        text = f"session {facts.session} ended at sequence {facts.next_sequence}"
        return CheckResult("feed.session", Verdict.WARN, text, "a session is open")
    text = f"session {facts.session}, next sequence {facts.next_sequence}"
    remedy = "nothing was received yet: check the lines"
    seen = facts.session if facts.session else "no session seen yet"
    good = bool(facts.session)
    return _result("feed.session", good, text if good else seen, "a session is open", remedy)


def _book_checks(facts: ExchangeFacts, limits: Thresholds) -> Iterator[CheckResult]:
    book = facts.book
    if book is None:
        text = _why_unknown(facts.book_worker)
        yield CheckResult("book.trust", Verdict.UNKNOWN, text, "GOOD", "see process.book")
        return
    worker = facts.book_worker
    age_ns = worker.heartbeat_age_ns or 0 if worker else 0
    fill = book.lag_records / facts.ring_slots if facts.ring_slots else 0.0
    text = f"{book.lag_records} of {facts.ring_slots} records behind ({fill:.1%}), "
    text += f"{book.laps} laps"
    limit = limits.ring_fill_degraded
    remedy = "the book worker is too slow: look at its core and its log"
    yield _result("ring.lag", fill <= limit, text, f"below {limit:.0%}", remedy, age_ns=age_ns)
    text = f"{book.trust}: {book.suspect_books} of {book.books} books suspect, {book.orders} orders"
    remedy = "see gaps.open and gaps.lost"
    yield _result("book.trust", book.trust == "GOOD", text, "GOOD", remedy, age_ns=age_ns)
    text = f"{book.sequence_errors} duplicates or holes in {book.messages} messages"
    remedy = "a defect of ours: keep journal and logs, then restart the book worker"
    yield _result("book.continuity", not book.sequence_errors, text, "0", remedy, age_ns=age_ns)


def _journal_checks(facts: ExchangeFacts, limits: Thresholds) -> Iterator[CheckResult]:
    journal, rx = facts.journal, facts.rx
    if journal is None:
        text = _why_unknown(rx)
        yield CheckResult("journal.state", Verdict.UNKNOWN, text, "OK", "see process.rx")
        return
    age_ns = rx.heartbeat_age_ns or 0 if rx else 0
    text = f"{journal.state}, {journal.records} records in {journal.segments} segments, "
    text += f"{journal.write_errors} write errors, {journal.overruns} overruns"
    remedy = f"look at the disk of {journal.directory} and at the rx log"
    good = journal.state == "OK" and not journal.overruns
    yield _result("journal.state", good, text, "OK, no overrun", remedy, age_ns=age_ns)
    lag = journal.appended_seq - journal.durable_seq
    text = f"{lag} records not durable, sync p99 {seconds(journal.sync_p99_ns)} "
    text += f"({journal.sync_policy})"
    good = journal.sync_p99_ns <= limits.sync_p99_degraded_ns
    expected = f"sync p99 below {seconds(limits.sync_p99_degraded_ns)}"
    yield _result("journal.durable", good, text, expected, remedy, age_ns=age_ns)
    free, used = journal.disk_free_bytes, journal.disk_used_ratio
    if free is None or used is None:
        text = f"{journal.directory} could not be asked"
        yield CheckResult("disk.space", Verdict.UNKNOWN, text, "room for the journal", remedy)
        return
    text = f"{free / (1 << 30):.1f} GiB free, {used:.0%} used"
    verdict = Verdict.PASS
    if used > limits.disk_used_ratio and free < limits.disk_free_bytes:
        verdict = Verdict.FAIL if free < limits.disk_free_bytes // 10 else Verdict.WARN
    expected = f"below {limits.disk_used_ratio:.0%} or {limits.disk_free_bytes >> 30} GiB free"
    remedy = "" if verdict is Verdict.PASS else "move or remove old segments, or add room"
    yield CheckResult("disk.space", verdict, text, expected, remedy)


def _why_unknown(worker: WorkerFacts | None) -> str:
    if worker is None:
        return "no worker"
    return worker.stats_error or "the worker's statistics do not tell it"


def _clock(evidence: Evidence) -> CheckResult:
    facts, clock = evidence.after, evidence.clock
    stamps = [line.last_packet_ns for line in facts.lines]
    ahead_ns = max(stamps, default=0) - facts.now_ns
    expected = "synchronised, no stamp from the future"
    remedy = "start chrony, ntpd or ptp4l, and look at their state"
    if ahead_ns > 1_000_000_000:
        text = f"the last packet is {seconds(ahead_ns)} in the future: the clock was set back"
        return CheckResult("clock", Verdict.FAIL, text, expected, remedy)
    if clock.synchronised is None:
        return CheckResult("clock", Verdict.UNKNOWN, "adjtimex failed", expected, remedy)
    error = seconds(clock.max_error_us * 1000)
    if not clock.synchronised:
        text = f"the kernel's clock is not synchronised (error up to {error})"
        return CheckResult("clock", Verdict.WARN, text, expected, remedy)
    return CheckResult("clock", Verdict.PASS, f"synchronised, error up to {error}", expected)
