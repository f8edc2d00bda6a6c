"""The plant: desired state, workers, statistics, health and events, tied together. No gRPC.

Four times a second a tick reads every stats file, moves the gap ledger, judges every exchange
and publishes the result on a board. Whoever watches reads the board at its own pace. Nothing
here is in the way of a packet, and nothing here waits for a watcher.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from tickdeck_daemon.errors import WrongStateError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.exchanges.store import ExchangeStore
from tickdeck_daemon.observe.alarms import Looks
from tickdeck_daemon.observe.board import Board
from tickdeck_daemon.observe.checks import CheckRunner
from tickdeck_daemon.observe.collect import Collector
from tickdeck_daemon.observe.events import EventLog
from tickdeck_daemon.observe.facts import ExchangeFacts, WorkerFacts
from tickdeck_daemon.observe.gaps import GapLedger, details
from tickdeck_daemon.observe.health import ExchangeHealth, HealthTracker
from tickdeck_daemon.observe.loss_watch import LossWatch
from tickdeck_daemon.observe.losses import LossStore
from tickdeck_daemon.observe.sampler import SAMPLE_INTERVAL_S, Sample, Sampler, Series, Target
from tickdeck_daemon.operate.disk_watch import DiskWatch
from tickdeck_daemon.operate.idempotency import IdempotencyStore
from tickdeck_daemon.operate.operations import OperationStore
from tickdeck_daemon.operate.replays import SNAPSHOT, LiveLine, Replay, ReplayManager, ReplayState
from tickdeck_daemon.preflight.run import Preflight
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.supervisor import Supervisor
from tickdeck_daemon.workers.views import AdoptionResult, WorkerChange, WorkerState, WorkerView

_log = structlog.stdlib.get_logger(__name__)

DISK_INTERVAL_S = 5.0
LOSSES_INTERVAL_S = 1.0
LOSSES_TIMEOUT_S = 2.0
AGE_STEP_NS = 1_000_000_000
"""An age alone makes a row new only when it has grown by this much."""
PING_TIMEOUT_S = 1.0
_BAD_STATES = (WorkerState.BACKOFF, WorkerState.CRASH_LOOP, WorkerState.FAILED_PERMANENT)


MakeSupervisor = Callable[[Settings, Callable[[WorkerChange], None]], Supervisor]


@dataclass(frozen=True, slots=True)
class Totals:
    """Statistics over all exchanges."""

    total_exchanges: int
    total_active_tasks: int
    total_messages_received: int
    total_bytes_received: int
    total_errors: int
    messages_per_second: float
    bytes_per_second: float
    uptime_seconds: float
    messages_per_second_10s: float
    messages_per_second_60s: float


@dataclass(frozen=True, slots=True)
class LastError:
    """The latest error of an exchange."""

    time_ns: int = 0
    text: str = ""
    crashes: int = 0
    """Worker processes that ended badly, seen by this daemon."""
    counted: int = -1
    """Sum of the error counters when it was last looked at; -1 before the first look."""


class Plant:
    """One daemon's plant. `start` it in an event loop, `close` it; workers outlive it."""

    def __init__(
        self,
        settings: Settings,
        *,
        make_supervisor: MakeSupervisor | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open logs and databases.

        Args:
            settings: Directories.
            make_supervisor: Makes the supervisor; replaced in tests.
            clock_ns: UTC.

        Raises:
            OSError: a directory or a log cannot be used.
            sqlite3.Error: the database cannot be used.
        """
        for directory in (settings.runtime_dir, settings.state_dir, settings.log_dir):
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.settings = settings
        self.instance_id = str(uuid.uuid4())
        self.started_ns = clock_ns()
        self.draining = False
        self.stop_requested = asyncio.Event()
        self.adoption = AdoptionResult()
        self.store = ExchangeStore(settings.config_dir, settings.state_dir)
        make = make_supervisor or _make_supervisor
        self.supervisor = make(settings, self._worker_changed)
        self.events = EventLog(settings.state_dir / "events", clock_ns=clock_ns)
        self.idempotency = IdempotencyStore(settings.state_dir / "state.db", clock_ns=clock_ns)
        self.operations = OperationStore()
        self.replays = ReplayManager(settings, on_change=self._replay_changed, clock_ns=clock_ns)
        self.sampler = Sampler(clock_ns=clock_ns)
        self.ledger = GapLedger()
        losses = LossStore(settings.state_dir / "state.db", clock_ns=clock_ns)
        self.losses = LossWatch(losses, self.sampler, self._ask_losses, settings.worker_dir)
        self.collector = Collector(settings, self.sampler, self.ledger, self.losses)
        self.disk_watch = DiskWatch(self.collector.disks, self.collector.reports)
        self.checks = CheckRunner(self.facts, self._ping)
        self.preflight = Preflight(settings)
        self.health: Board[ExchangeHealth] = Board(_same_health)
        self.stats: Board[Sample] = Board(_same_sample)
        self.tick_failures = 0
        self.on_health: Callable[[], None] = _nothing
        """Called after each tick that changed the health of an exchange."""
        self._clock_ns = clock_ns
        self._trackers: dict[str, HealthTracker] = {}
        self._errors: dict[str, LastError] = {}
        self._looks: dict[str, Looks] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._looked = asyncio.Event()
        """All journals were asked once what they lack."""

    async def start(self) -> None:
        """Read the exchange files, take over workers and replays, begin to tick."""
        self.events.start()
        self.ledger.restore(self.events.recent)
        for problem in self.store.load():
            resource = f"exchanges/{problem.exchange}" if problem.exchange else "exchanges"
            self.events.append("exchange.file_problem", resource, problem.message)
        self.adoption = await self.supervisor.start(self.store.list())
        self.replays.adopt()
        found = self.adoption
        text = f"daemon started, {len(found.adopted)} workers taken over"
        self.events.append(
            "daemon.started",
            "daemon",
            text,
            details={
                "instance_id": self.instance_id,
                "adopted": ",".join(found.adopted),
                "exited": ",".join(found.exited),
                "unverified": ",".join(found.unverified),
                "foreign": ",".join(found.foreign),
                "orphans": ",".join(found.orphans),
            },
        )
        self._sample(self.workers())
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch_losses(), name="losses")]
        # Else what was acknowledged long ago would be an alarm until it is told.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), LOSSES_TIMEOUT_S)
        self.tick()
        self._tasks += [
            loop.create_task(self._tick_for_ever(), name="tick"),
            loop.create_task(self._watch_disks(), name="disks"),
        ]

    async def close(self) -> None:
        """Stop observing and let go of everything; workers and replays keep running."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.disk_watch.close()
        await self.operations.close()
        self.replays.close()
        await self.supervisor.close()
        self.events.append("daemon.stopped", "daemon", "daemon stopped; workers keep running")
        await self.events.close()
        self.idempotency.close()
        self.losses.store.close()
        self.sampler.close()

    def refuse_if_draining(self) -> None:
        """Refuse whatever begins something new once a shutdown was requested.

        Raises:
            WrongStateError: a shutdown was requested.
        """
        if self.draining:
            text = "the daemon is shutting down; ask the one that follows it"
            raise WrongStateError(text, reason="SHUTTING_DOWN")

    def workers(self, exchange: str = "") -> list[WorkerView]:
        """Workers of one exchange or of all, in order of id."""
        views = self.supervisor.workers()
        return [view for view in views if not exchange or view.exchange == exchange]

    def facts(self, name: str) -> ExchangeFacts:
        """Facts of an exchange as of now.

        Raises:
            NotFoundError: no such exchange.
        """
        record = self.store.get(name)
        return self.collector.facts(record, self.workers(name), self._clock_ns())

    def series(self, name: str) -> list[Series]:
        """Statistics of an exchange's workers."""
        return [self.sampler.series(view.id) for view in self.workers(name)]

    def last_error(self, name: str) -> LastError:
        """The latest error of an exchange."""
        return self._errors.get(name, LastError())

    def live_lines(self) -> list[LiveLine]:
        """Every line of every exchange, and their snapshot channels."""
        found: list[LiveLine] = []
        for record in self.store.list():
            snapshot = record.config.recovery.snapshot
            found += [
                LiveLine(record.name, line.name, line.group, line.port)
                for line in record.config.lines
            ]
            if snapshot.group is not None and snapshot.port is not None:
                found.append(LiveLine(record.name, SNAPSHOT, snapshot.group, snapshot.port))
        return found

    def overflowed_gaps(self, exchange: str = "") -> int:
        """Gaps that no longer fit their workers' tables."""
        views = (view for view in self.workers(exchange) if view.kind == "rx")
        return sum(self.sampler.series(v.id).total("gap_table_overflows_total") for v in views)

    def totals(self) -> Totals:
        """Statistics over all exchanges."""
        rows = [health.facts for _, health in self.health.rows()]
        return Totals(
            total_exchanges=len(self.store.list()),
            total_active_tasks=sum(1 for view in self.workers() if view.ready),
            total_messages_received=sum(facts.messages_received for facts in rows),
            total_bytes_received=sum(facts.bytes_received for facts in rows),
            total_errors=sum(facts.errors + self.last_error(facts.name).crashes for facts in rows),
            messages_per_second=sum(facts.messages_per_second for facts in rows),
            bytes_per_second=sum(facts.bytes_per_second for facts in rows),
            uptime_seconds=(self._clock_ns() - self.started_ns) / 1e9,
            messages_per_second_10s=sum(facts.messages_per_second_10s for facts in rows),
            messages_per_second_60s=sum(facts.messages_per_second_60s for facts in rows),
        )

    def tick(self) -> None:
        """Look at everything once and publish what is seen."""
        views = self.workers()
        self._sample(views)
        self.replays.refresh()
        now = self._clock_ns()
        rows: dict[str, ExchangeHealth] = {}
        for record in self.store.list():
            own = [view for view in views if view.exchange == record.name]
            self._follow_gaps(record.name, own, now)
            facts = self.collector.facts(record, own, now)
            tracker = self._trackers.setdefault(record.name, HealthTracker())
            rows[record.name] = tracker.update(facts)
            self._follow_errors(facts)
        for gone in self._trackers.keys() - rows.keys():
            del self._trackers[gone]
            self._errors.pop(gone, None)
            self.ledger.forget(gone)
        self._tell_changes(rows)
        self._tell_alarms(rows)
        revision = self.health.revision
        self.health.publish(rows)
        self.stats.publish(self._samples(views))
        if self.health.revision != revision:
            self.on_health()

    def _sample(self, views: Iterable[WorkerView]) -> None:
        self.sampler.sample(
            Target(view.id, view.incarnation, view.stats_path)
            for view in views
            if view.incarnation is not None
        )

    def _samples(self, views: Iterable[WorkerView]) -> dict[str, Sample]:
        samples = ((view.id, self.sampler.series(view.id).latest) for view in views)
        return {worker: sample for worker, sample in samples if sample is not None}

    def _follow_gaps(self, exchange: str, views: Iterable[WorkerView], now_ns: int) -> None:
        for view in views:
            series = self.sampler.series(view.id)
            if view.kind != "rx" or series.stale or series.latest is None:
                continue
            table = self.collector.gap_table(exchange, series)
            incarnation = series.latest.incarnation
            for event in self.ledger.observe(exchange, incarnation, table, now_ns):
                self.events.append(
                    event.type,
                    f"exchanges/{exchange}",
                    event.message,
                    details={"gap": event.gap.name, **details(event.gap)},
                    time_ns=event.time_ns,
                )

    def _follow_errors(self, facts: ExchangeFacts) -> None:
        last = self.last_error(facts.name)
        if 0 <= last.counted < facts.errors:
            text = f"{facts.errors - last.counted} errors counted by the workers"
            last = replace(last, time_ns=facts.now_ns, text=text)
        self._errors[facts.name] = replace(last, counted=facts.errors)

    def _tell_changes(self, rows: dict[str, ExchangeHealth]) -> None:
        for name, health in rows.items():
            before = self.health.get(name)
            if before is None or before.state is health.state:
                continue
            cause = health.causes[0].summary if health.causes else "nothing is wrong any more"
            old, new = before.state.name, health.state.name
            changed = {"old": old, "new": new, "cause": cause}
            if health.causes:
                changed["evidence"] = health.causes[0].evidence
            text = f"{name} {old} -> {new}: {cause}"
            self.events.append("health.changed", f"exchanges/{name}", text, details=changed)

    def _tell_alarms(self, rows: dict[str, ExchangeHealth]) -> None:
        """Write down what the line race and the sources of the recovery show anew."""
        for name, health in rows.items():
            series = self.sampler.series(worker_id(name, "rx"))
            if series.stale:
                continue  # old numbers are no evidence
            for alarm in self._looks.setdefault(name, Looks()).take(health.facts):
                resource = f"exchanges/{name}"
                self.events.append(alarm.type, resource, alarm.message, details=alarm.details)
        for gone in self._looks.keys() - rows.keys():
            del self._looks[gone]

    def _worker_changed(self, change: WorkerChange) -> None:
        text = f"{change.worker} {change.old} -> {change.new}"
        text += f": {change.reason}" if change.reason else ""
        self.events.append(
            "worker.state",
            f"workers/{change.worker}",
            text,
            details={
                "exchange": change.exchange,
                "old": change.old.value,
                "new": change.new.value,
                "reason": change.reason,
                "pid": str(change.pid or ""),
                "incarnation": change.incarnation or "",
            },
            time_ns=change.time_ns,
        )
        if change.new in _BAD_STATES:
            last = self.last_error(change.exchange)
            self._errors[change.exchange] = replace(
                last, time_ns=change.time_ns, text=text, crashes=last.crashes + 1
            )

    def _replay_changed(self, replay: Replay) -> None:
        request = replay.request
        text = f"replay of {request.source} to {request.target} {replay.state}"
        ordered = replay.state is ReplayState.RUNNING
        told = request.reason if ordered else replay.error
        text += f": {told}" if told else ""
        actor = request.actor if ordered else "daemon"
        kind = f"replay.{replay.state.lower()}"
        self.events.append(kind, f"replays/{replay.id}", text, actor=actor)

    async def _ping(self, worker: str) -> dict[str, Any]:
        return await self.supervisor.call(worker, "status", {}, timeout_s=PING_TIMEOUT_S)

    async def _ask_losses(self, worker: str, op: str) -> dict[str, Any]:
        return await self.supervisor.call(worker, op, {}, timeout_s=LOSSES_TIMEOUT_S)

    async def _tick_for_ever(self) -> None:
        """A tick that fails is told and counted, and the next one comes all the same."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + SAMPLE_INTERVAL_S, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                self.tick()
            except Exception:
                self.tick_failures += 1
                _log.exception("tick failed", failures=self.tick_failures)

    async def _watch_disks(self) -> None:
        """One whose disk hangs keeps nobody else waiting."""
        while True:
            self.disk_watch.ask(map(self.collector.journal_directory, self.store.list()))
            await asyncio.sleep(DISK_INTERVAL_S)

    async def _watch_losses(self) -> None:
        """Ask those whose counters have moved; one whose disk hangs keeps nobody else waiting."""
        while True:
            names = [record.name for record in self.store.list()]
            looks = await asyncio.gather(*map(self.losses.look, names), return_exceptions=True)
            for name, failure in zip(names, looks, strict=True):
                if isinstance(failure, Exception):
                    _log.error("losses not followed", exchange=name, error=str(failure))
            self._looked.set()
            await asyncio.sleep(LOSSES_INTERVAL_S)


def runbook_names() -> frozenset[str]:
    """Runbook files of a source tree; empty where only the packages are installed."""
    directory = Path(__file__).parents[2] / "runbooks"
    return frozenset(path.name for path in directory.glob("*.runbook.md"))


def _same_health(old: ExchangeHealth, new: ExchangeHealth) -> bool:
    """Equal but for ages, which every watcher can let grow by itself for a second."""
    if abs(new.facts.now_ns - old.facts.now_ns) >= AGE_STEP_NS and new.facts.wanted:
        return False
    return replace(old, facts=_timeless(old.facts)) == replace(new, facts=_timeless(new.facts))


def _timeless(facts: ExchangeFacts) -> ExchangeFacts:
    def still(worker: WorkerFacts | None) -> WorkerFacts | None:
        return replace(worker, heartbeat_age_ns=None) if worker is not None else None

    return replace(
        facts,
        now_ns=0,
        rx=still(facts.rx),
        book_worker=still(facts.book_worker),
        exporter=still(facts.exporter),
    )


def _same_sample(old: Sample, new: Sample) -> bool:
    return old.incarnation == new.incarnation and old.metrics == new.metrics


def _make_supervisor(settings: Settings, on_change: Callable[[WorkerChange], None]) -> Supervisor:
    return Supervisor(settings, on_change=on_change)


def _nothing() -> None:
    """Stands in for a listener."""
