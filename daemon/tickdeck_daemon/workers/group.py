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
    """One exchange: an rx worker and, unless the file says otherwise, a book worker.

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
            book.want(wanted and self._has_book, reason)
            if book.stale and book.machine.phase not in _NOT_RESTARTED:
                book.restart("the configuration changed")
        book_there = book is not None and book.machine.process
        if rx is not None:
            # Book has the last of the ring before its writer goes.
            rx.want(wanted or (book_there and rx.machine.process), reason)
            book_leaves = book is not None and book_there and book.draining
            if rx.stale and rx.machine.phase not in _NOT_RESTARTED and not book_leaves:
                rx.restart("the configuration changed")
            if rx.startable and take_start():
                rx.start()
        if book is not None and book.startable and self._rx_serves and take_start():
            book.start()

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
        """The workers, without a book worker that the file does not want and that is gone."""
        return [
            worker
            for worker in self.workers.values()
            if worker.kind != "book"
            or self.record is None
            or self._has_book
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

    @property
    def _has_book(self) -> bool:
        return self.record is not None and self.record.config.book.enabled

    @property
    def _rx_serves(self) -> bool:
        """Rx has a ring that stays."""
        rx = self.workers.get("rx")
        return rx is not None and rx.machine.ready and not rx.stale

    def _settled(self, worker: Worker) -> bool:
        if worker.kind == "book" and not self._has_book:
            return not worker.machine.process
        if worker.stale and worker.machine.process:
            return False
        if worker.machine.state in _ARRIVED:
            return True
        rx = self.workers.get("rx")
        behind_rx = worker.kind == "book" and rx is not None and not rx.machine.ready
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
