"""Which workers should run, and making it so.

The supervisor compares what is wanted with what is there, again and again, and tells each
worker's state machine; it never remembers steps under way. Order between the workers of one
exchange: rx is ready before book starts; book has ended before rx drains; the exporter drains last,
so that it has the seal of the journal to send.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from tickdeck_daemon.errors import NotFoundError, WrongStateError
from tickdeck_daemon.exchanges.store import ExchangeRecord
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.adoption import Presence
from tickdeck_daemon.workers.budget import SpawnBudget
from tickdeck_daemon.workers.group import Group
from tickdeck_daemon.workers.machine import Limits
from tickdeck_daemon.workers.views import (
    WORKER_KINDS,
    AdoptionResult,
    WorkerChange,
    WorkerKind,
    WorkerState,
    WorkerView,
)
from tickdeck_daemon.workers.worker import Worker

__all__ = [
    "AdoptionResult",
    "Limits",
    "Supervisor",
    "WorkerChange",
    "WorkerKind",
    "WorkerState",
    "WorkerView",
]

_LOOK_INTERVAL_S = 0.25
"""How often every process is looked at and everything wanted is compared again."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Supervisor:
    """Runs an rx, a book and an export worker for each exchange that wants them.

    Desired state is the only source of starts and restarts. All methods are called from the
    event loop's thread; workers outlive the supervisor.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_change: Callable[[WorkerChange], None],
        limits: Limits | None = None,
    ) -> None:
        """Prepare; nothing is read or started before `start`.

        Args:
            settings: Directories.
            on_change: Called on the loop for each change of a worker's state, in order.
            limits: Times and counts of the restart policy; None: the defaults.
        """
        settings.check()
        self._settings = settings
        self._limits = limits or Limits()
        self._on_change = on_change
        self._groups: dict[str, Group] = {}
        self._budget = SpawnBudget()
        self._draining = False
        self._closed = False
        self._watching: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    async def start(self, exchanges: Iterable[ExchangeRecord]) -> AdoptionResult:
        """Take over the workers that are alive, then start what is wanted. Call once.

        Raises:
            WrongStateError: called before.
        """
        if self._watching is not None or self._closed:
            raise WrongStateError("the supervisor was started before", reason="STARTED_TWICE")
        found = self._adopt_all()
        for record in exchanges:
            self._group(record.name).configure(record)
        orphans: list[str] = []
        for group in [group for group in self._groups.values() if group.record is None]:
            if group.removing:
                group.removal = asyncio.create_task(self._finish_removal(group))
            elif group.worth_keeping:
                orphans += [worker.id for worker in group.workers.values() if worker.pid]
            else:
                del self._groups[group.name]
        result = AdoptionResult(
            adopted=found[Presence.OURS],
            exited=found[Presence.NOBODY],
            unverified=found[Presence.UNVERIFIED],
            foreign=found[Presence.FOREIGN],
            orphans=orphans,
        )
        self._watching = asyncio.create_task(self._watch())
        self._reconcile_all()
        return result

    async def apply(self, record: ExchangeRecord) -> None:
        """Take a new or changed desired state; returns before the workers have followed.

        A change that a running worker was not started with restarts that worker. A removal
        under way is waited for. A record older than the last one applied is ignored.

        Raises:
            WrongStateError: the supervisor is draining or closed.
        """
        self._check_open()
        while (group := self._groups.get(record.name)) and group.removal:
            await asyncio.shield(group.removal)
            self._check_open()
        group = self._group(record.name)
        group.configure(record)
        self._reconcile(group)

    async def remove(self, name: str) -> None:
        """Drain the workers of an exchange (book, rx, exporter) and forget it; returns when done.

        The journal, the snapshots and the logs are kept. A second call while the first is
        under way waits for the same end; cancelling the call does not stop the removal.

        Raises:
            NotFoundError: no such exchange.
            WrongStateError: the supervisor was closed meanwhile.
        """
        group = self._find(name)
        if group.removal is None:
            group.begin_removal()
            group.removal = asyncio.create_task(self._finish_removal(group))
        removal = group.removal
        try:
            await asyncio.shield(removal)
        except asyncio.CancelledError:
            if self._closed and removal.cancelled():
                text = f"the daemon ends; the next one goes on with the removal of {name}"
                raise WrongStateError(text, reason="SHUTTING_DOWN") from None
            raise

    async def restart(self, worker_id: str) -> None:
        """Drain a worker and start it again; ends a backoff. Returns once it is ordered.

        Raises:
            NotFoundError: no such worker.
            WrongStateError: the worker is not wanted, or its process is not proved ours.
        """
        self._check_open()
        worker = self._worker(worker_id)
        state, metadata = worker.machine.state, {"worker": worker_id}
        if state in (WorkerState.UNVERIFIED, WorkerState.FOREIGN):
            text = f"{worker_id} is {state} and is left alone: {worker.machine.reason}"
            raise WrongStateError(text, reason=f"WORKER_{state}", metadata=metadata)
        if not worker.machine.wanted:
            text = f"{worker_id} is not wanted; start the exchange instead"
            raise WrongStateError(text, reason="WORKER_NOT_WANTED", metadata=metadata)
        worker.restart("restart ordered")

    async def call(
        self, worker_id: str, op: str, args: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Ask a worker over its control socket and return the `result` of its answer.

        Raises:
            NotFoundError: no such worker, or the worker knows no such thing.
            UnavailableError: no process, or it cannot be reached.
            TimedOutError: no answer within `timeout_s`.
            TickdeckError: the worker refused; the class and reason follow its error code.
        """
        return await self._worker(worker_id).call(op, args, timeout_s=timeout_s)

    def workers(self) -> list[WorkerView]:
        """All workers in order of id."""
        views = [worker.view() for group in self._groups.values() for worker in group.shown]
        return sorted(views, key=lambda view: view.id)

    async def settled(self, name: str) -> None:
        """Wait until each worker of the exchange is where it is wanted, or cannot get there.

        That is RUNNING, DEGRADED, CRASH_LOOP, FAILED_PERMANENT, UNVERIFIED or FOREIGN when
        wanted (or PENDING behind such a one), and no process otherwise. Bound it with
        `asyncio.timeout`.

        Raises:
            NotFoundError: no such exchange.
        """
        await self._until(lambda: self._find(name).settled)

    async def drain_all(self) -> int:
        """Drain every worker in order, start none any more; returns how many were running."""
        self._draining = True
        running = sum(1 for view in self.workers() if view.pid)
        for group in self._groups.values():
            group.stopping = True
        self._reconcile_all()
        await self._until(lambda: not any(group.alive for group in self._groups.values()))
        return running

    async def close(self) -> None:
        """Let go of everything and leave the workers running. Closing again does nothing."""
        self._closed = True
        self._moved.set()
        tasks = [g.removal for g in self._groups.values() if g.removal is not None]
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for group in self._groups.values():
            for worker in group.workers.values():
                await worker.release()

    def _adopt_all(self) -> dict[Presence, list[str]]:
        """Survey every directory below `workers`, whether an exchange wants it or not."""
        result: dict[Presence, list[str]] = {presence: [] for presence in Presence}
        directories = self._settings.workers_dir
        names = sorted(p.name for p in directories.iterdir()) if directories.is_dir() else []
        for name in names:
            exchange, _, suffix = name.rpartition("-")
            if not exchange or suffix not in WORKER_KINDS:
                _log.warning("unknown_worker_directory", path=str(directories / name))
                continue
            group = self._group(exchange)
            worker = group.worker(WORKER_KINDS[WORKER_KINDS.index(suffix)])
            found = worker.adopt()
            if found.presence is not Presence.NOBODY or (found.state and found.state.identity):
                result[found.presence].append(worker.id)
            group.removing = group.removing or worker.removing
        return result

    async def _finish_removal(self, group: Group) -> None:
        self._reconcile(group)
        await self._until(lambda: not group.alive)
        for worker in group.workers.values():
            await worker.forget()
        del self._groups[group.name]
        self._moved.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_INTERVAL_S)
            for group in list(self._groups.values()):
                try:
                    for worker in list(group.workers.values()):
                        worker.look()
                    self._reconcile(group)
                except Exception:
                    # One exchange's trouble must not end the watch over the others.
                    _log.exception("look_failed", exchange=group.name)

    def _reconcile_all(self) -> None:
        for group in list(self._groups.values()):
            self._reconcile(group)

    def _reconcile(self, group: Group) -> None:
        if not self._closed:
            group.reconcile(self._take_start)

    def _take_start(self) -> bool:
        """Take one start from the host's budget; the watch asks again when it is empty."""
        return not self._draining and self._budget.take(time.monotonic_ns())

    def _group(self, name: str) -> Group:
        """The group of an exchange, made when there is none."""
        if name not in self._groups:

            def make(kind: WorkerKind) -> Worker:
                return Worker(
                    name,
                    kind,
                    self._settings,
                    self._limits,
                    on_change=self._on_change,
                    on_step=lambda: self._step(name),
                )

            self._groups[name] = Group(name, make)
        return self._groups[name]

    def _step(self, name: str) -> None:
        """A machine moved: compare again, once the present callback is through."""
        self._moved.set()
        group = self._groups.get(name)
        if group is not None and not group.scheduled:
            group.scheduled = True
            asyncio.get_running_loop().call_soon(self._reconcile_scheduled, group)

    def _reconcile_scheduled(self, group: Group) -> None:
        group.scheduled = False
        if self._groups.get(group.name) is group:
            self._reconcile(group)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._closed:
                raise WrongStateError("the daemon is shutting down", reason="SHUTTING_DOWN")
            self._moved.clear()
            await self._moved.wait()

    def _find(self, name: str) -> Group:
        try:
            return self._groups[name]
        except KeyError:
            text = f'no exchange "{name}" is supervised'
            metadata = {"exchange": name}
            raise NotFoundError(text, reason="EXCHANGE_NOT_FOUND", metadata=metadata) from None

    def _worker(self, worker_id: str) -> Worker:
        for group in self._groups.values():
            for worker in group.workers.values():
                if worker.id == worker_id:
                    return worker
        metadata = {"worker": worker_id}
        raise NotFoundError(
            f'no worker "{worker_id}"', reason="WORKER_NOT_FOUND", metadata=metadata
        )

    def _check_open(self) -> None:
        if self._draining or self._closed:
            text = "the daemon is shutting down; nothing is added, started or restarted"
            raise WrongStateError(text, reason="SHUTTING_DOWN")
