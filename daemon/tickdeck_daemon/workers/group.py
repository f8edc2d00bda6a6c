"""The workers of one exchange, and what has to follow what among them."""

import asyncio
from collections.abc import Callable

from tickdeck_daemon.exchanges.config import worker_kinds
from tickdeck_daemon.exchanges.store import ExchangeRecord
from tickdeck_daemon.workers.views import WorkerKind, WorkerState
from tickdeck_daemon.workers.worker import Worker

_ARRIVED = (
    WorkerState.RUNNING,
    WorkerState.DEGRADED,
    WorkerState.CRASH_LOOP,
    WorkerState.FAILED_PERMANENT,
    WorkerState.UNVERIFIED,
    WorkerState.FOREIGN,
)
_NOT_RESTARTED = (WorkerState.PENDING, WorkerState.DRAINING, WorkerState.STOPPED)
"""The next start of these takes the new configuration anyway."""


class Group:
    """One exchange: an rx worker and, as the file says, a book worker and an exporter.

    Attributes:
        record: What is wanted; None for workers that nobody wants and nobody stops.
        removing: The exchange is being removed.
        removal: The task that does it.
        stopping: The whole plant is being drained.
        scheduled: A comparison is about to happen anyway.
    """

    def __init__(self, name: str, make: Callable[[WorkerKind], Worker]) -> None:
        """Begin without workers; `make` makes one of a kind."""
        self.name = name
        self.workers: dict[WorkerKind, Worker] = {}
        self.record: ExchangeRecord | None = None
        self.removing = False
        self.removal: asyncio.Task[None] | None = None
        self.stopping = False
        self.scheduled = False
        self._make = make

    def worker(self, kind: WorkerKind) -> Worker:
        """The worker of that kind, made when there is none."""
        if kind not in self.workers:
            self.workers[kind] = self._make(kind)
        return self.workers[kind]

    def configure(self, record: ExchangeRecord) -> None:
        """Take what is wanted, unless something newer was taken."""
        if self.record is not None and record.generation < self.record.generation:
            return
        self.record = record
        self.removing = False
        for kind in worker_kinds(record.config):
            self.worker(kind)
        for worker in self.workers.values():
            worker.configure(record.config, record.generation)
            worker.removing = False

    def begin_removal(self) -> None:
        """Want nothing any more; written down, so that the next daemon goes on."""
        self.removing = True
        for worker in self.workers.values():
            worker.mark_removing()

    def reconcile(self, take_start: Callable[[], bool]) -> None:
        """Tell each worker what is wanted of it now; doing it again changes nothing.

        Args:
            take_start: Takes one start from the host's budget; False when it is empty.
        """
        if self.record is None and not self.removing and not self.stopping:
            return
        wanted = self.wanted
        reason = self._why(wanted)
        rx, book = self.workers.get("rx"), self.workers.get("book")
        if book is not None:
            book.want(wanted and self._has("book"), reason)
            self._restart_stale(book)
        book_there = book is not None and book.machine.process
        if rx is not None:
            # Book has the last of the ring before its writer goes.
            rx.want(wanted or (book_there and rx.machine.process), reason)
            book_leaves = book is not None and book_there and book.draining
            if not book_leaves:
                self._restart_stale(rx)
            if rx.startable and take_start():
                rx.start()
        if book is not None and book.startable and self._rx_serves and take_start():
            book.start()
        self._reconcile_exporter(wanted, reason, take_start)

    def _reconcile_exporter(
        self, wanted: bool, reason: str, take_start: Callable[[], bool]
    ) -> None:
        """The exporter outlives the writer: it has the journal's last record to send."""
        rx, exporter = self.workers.get("rx"), self.workers.get("export")
        if exporter is None:
            return
        rx_leaves = not wanted and rx is not None and rx.machine.process
        stays = exporter.machine.process and self._has("export") and rx_leaves
        exporter.want(stays or (wanted and self._has("export")), reason)
        self._restart_stale(exporter)
        # What is on the disk is served though rx cannot run; at the start rx makes the journal.
        ahead = rx is not None and rx.machine.phase in (WorkerState.PENDING, WorkerState.STARTING)
        if exporter.startable and not stays and not ahead and take_start():
            exporter.start()

    def _restart_stale(self, worker: Worker) -> None:
        if worker.stale and worker.machine.phase not in _NOT_RESTARTED:
            worker.restart("the configuration changed")

    @property
    def wanted(self) -> bool:
        """The exchange's workers should run."""
        if self.record is None or self.removing or self.stopping:
            return False
        return self.record.wanted

    @property
    def alive(self) -> bool:
        """A process of ours exists."""
        return any(worker.machine.process for worker in self.workers.values())

    @property
    def shown(self) -> list[Worker]:
        """The workers, without one that the file does not want and that is gone."""
        return [
            worker
            for worker in self.workers.values()
            if self.record is None
            or self._has(worker.kind)
            or worker.machine.phase is not WorkerState.STOPPED
        ]

    @property
    def worth_keeping(self) -> bool:
        """Something is or may be there."""
        blocked = (WorkerState.UNVERIFIED, WorkerState.FOREIGN)
        return self.removing or any(
            worker.machine.process or worker.machine.phase in blocked
            for worker in self.workers.values()
        )

    @property
    def settled(self) -> bool:
        """Nothing is under way that ends by itself."""
        if self.record is None:
            return True
        if not self.wanted:
            return not self.alive
        return all(self._settled(worker) for worker in self.workers.values())

    def _has(self, kind: WorkerKind) -> bool:
        """The exchange file wants such a worker."""
        return self.record is not None and kind in worker_kinds(self.record.config)

    @property
    def _rx_serves(self) -> bool:
        """Rx has a ring that stays."""
        rx = self.workers.get("rx")
        return rx is not None and rx.machine.ready and not rx.stale

    def _settled(self, worker: Worker) -> bool:
        if not self._has(worker.kind):
            return not worker.machine.process
        if worker.stale and worker.machine.process:
            return False
        if worker.machine.state in _ARRIVED:
            return True
        rx = self.workers.get("rx")
        behind_rx = worker.kind != "rx" and rx is not None and not rx.machine.ready
        pending = worker.machine.state is WorkerState.PENDING
        return pending and behind_rx and rx is not None and rx.machine.state in _ARRIVED

    def _why(self, wanted: bool) -> str:
        if wanted:
            return ""
        if self.removing:
            return "the exchange is being removed"
        if self.stopping:
            return "the plant is being drained"
        if self.record is not None and not self.record.config.enabled:
            return "the exchange file says enabled = false"
        return "the exchange was stopped"
