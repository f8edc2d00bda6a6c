"""A supervisor without processes: views that the test sets, stats files that it writes."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from fake_stats import (
    BOOK_HISTOGRAMS,
    BOOK_METRICS,
    EXPORT_METRICS,
    RX_HISTOGRAMS,
    RX_METRICS,
    StatsWriter,
)
from tickdeck_daemon.errors import NotFoundError, TickdeckError, UnavailableError, WrongStateError
from tickdeck_daemon.exchanges.config import worker_kinds
from tickdeck_daemon.exchanges.store import ExchangeRecord
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.supervisor import Supervisor
from tickdeck_daemon.workers.views import (
    AdoptionResult,
    WorkerChange,
    WorkerKind,
    WorkerState,
    WorkerView,
)


class FakeSupervisor(Supervisor):
    """Every wanted worker is RUNNING at once; answers and errors are set by the test."""

    def __init__(self, settings: Settings, on_change: Callable[[WorkerChange], None]) -> None:
        super().__init__(settings, on_change=on_change)
        self.settings = settings
        self.on_change = on_change
        self.records: dict[str, ExchangeRecord] = {}
        self.views: dict[str, WorkerView] = {}
        self.stats: dict[str, StatsWriter] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.orders: list[str] = []
        self.answers: dict[str, dict[str, Any] | TickdeckError] = {"status": {}}
        self.drained = False
        self.rx_metrics = RX_METRICS

    async def start(self, exchanges: Iterable[ExchangeRecord]) -> AdoptionResult:
        for record in exchanges:
            await self.apply(record)
        return AdoptionResult()

    async def apply(self, record: ExchangeRecord) -> None:
        if self.drained:
            raise WrongStateError("drained")
        self.orders.append(f"apply {record.name} {record.desired}")
        await asyncio.sleep(0)
        self.records[record.name] = record
        for kind in worker_kinds(record.config):
            view = self.views.get(f"{record.name}-{kind}") or self._new(record, kind)
            if record.wanted and view.pid is None:
                self._run(view)
            elif not record.wanted:
                self._change(view, WorkerState.STOPPED, pid=None, ready=False)

    async def remove(self, name: str) -> None:
        self.orders.append(f"remove {name}")
        if name not in self.records:
            raise NotFoundError(f"no exchange {name}")
        for _ in range(5):  # a drain takes a while, in which others may come
            await asyncio.sleep(0)
        self.records.pop(name, None)
        for worker in [view.id for view in self.views.values() if view.exchange == name]:
            del self.views[worker]
            self.stats.pop(worker).close()

    async def restart(self, worker_id: str) -> None:
        self.orders.append(f"restart {worker_id}")
        self._run(self.views[worker_id])

    async def call(
        self, worker_id: str, op: str, args: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        if op != "journal.losses":  # asked by the plant itself, at any time
            self.calls.append((worker_id, op, args))
        if worker_id not in self.views:
            raise NotFoundError(f"no worker {worker_id}", reason="WORKER_NOT_FOUND")
        answer = self.answers.get(op, UnavailableError(f"{worker_id} does not know {op}"))
        if isinstance(answer, TickdeckError):
            raise answer
        return answer

    def workers(self) -> list[WorkerView]:
        return [self.views[worker] for worker in sorted(self.views)]

    async def settled(self, name: str) -> None:
        del name

    async def drain_all(self) -> int:
        self.drained = True
        running = [view for view in self.views.values() if view.pid is not None]
        for view in running:
            self._change(view, WorkerState.STOPPED, pid=None, ready=False)
        return len(running)

    async def close(self) -> None:
        for writer in self.stats.values():
            writer.close()
        self.stats.clear()

    def crash(self, worker: str, state: WorkerState = WorkerState.BACKOFF) -> None:
        """Let a worker end badly."""
        view = replace(self.views[worker], last_exit="killed by SIGKILL")
        self._change(view, state, pid=None, ready=False, reason="killed by SIGKILL")

    def run_again(self, worker: str) -> None:
        """Start a worker that ended: a new incarnation with new statistics."""
        view = self.views[worker]
        self._run(replace(view, restarts=view.restarts + 1))

    def _new(self, record: ExchangeRecord, kind: WorkerKind) -> WorkerView:
        worker = f"{record.name}-{kind}"
        self.views[worker] = WorkerView(
            id=worker,
            exchange=record.name,
            kind=kind,
            state=WorkerState.STOPPED,
            state_since_ns=time.time_ns(),
            reason="",
            ready=False,
            pid=None,
            incarnation=None,
            generation=record.generation,
            adopted=False,
            restarts=0,
            last_exit="",
            last_exit_ns=None,
            started_ns=None,
            next_start_ns=None,
            runtime_dir=self.settings.worker_dir(worker),
            stats_path=None,
            log_path=self.settings.log_path(worker),
            core=None,
        )
        return self.views[worker]

    def _run(self, view: WorkerView) -> None:
        incarnation = str(uuid.uuid4())
        path = self.settings.worker_dir(view.id) / f"stats.{incarnation}.dat"
        if view.id in self.stats:
            self.stats[view.id].close()
        metrics, histograms = {
            "rx": (self.rx_metrics, RX_HISTOGRAMS),
            "book": (BOOK_METRICS, BOOK_HISTOGRAMS),
            "export": (EXPORT_METRICS, ()),
        }[view.kind]
        writer = StatsWriter(path, view.id, incarnation, metrics=metrics, histograms=histograms)
        self.stats[view.id] = writer
        view = replace(view, incarnation=incarnation, stats_path=path, started_ns=time.time_ns())
        self._change(view, WorkerState.RUNNING, pid=4242, ready=True)

    def _change(
        self,
        view: WorkerView,
        state: WorkerState,
        *,
        pid: int | None,
        ready: bool,
        reason: str = "",
    ) -> None:
        now = time.time_ns()
        self.views[view.id] = replace(
            view, state=state, pid=pid, ready=ready, reason=reason, state_since_ns=now
        )
        change = WorkerChange(
            worker=view.id,
            exchange=view.exchange,
            kind=view.kind,
            old=view.state,
            new=state,
            reason=reason,
            time_ns=now,
            pid=pid,
            incarnation=view.incarnation,
        )
        if view.state is not state:
            self.on_change(change)
