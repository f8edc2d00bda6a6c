"""Which workers should run, and making it so."""

from collections.abc import Callable, Iterable
from typing import Any

from tickdeck_daemon.exchanges import ExchangeRecord
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.views import (
    AdoptionResult,
    WorkerChange,
    WorkerKind,
    WorkerState,
    WorkerView,
)

__all__ = [
    "AdoptionResult",
    "Supervisor",
    "WorkerChange",
    "WorkerKind",
    "WorkerState",
    "WorkerView",
]


class Supervisor:
    """Runs an rx and a book worker for each exchange that wants them.

    Desired state is the only source of starts and restarts. All methods are called from the
    event loop's thread; workers outlive the supervisor.
    """

    def __init__(self, settings: Settings, *, on_change: Callable[[WorkerChange], None]) -> None:
        """Prepare; nothing is read or started before `start`."""
        raise NotImplementedError

    async def start(self, exchanges: Iterable[ExchangeRecord]) -> AdoptionResult:
        """Take over the workers that are alive, then start what is wanted. Call once."""
        raise NotImplementedError

    async def apply(self, record: ExchangeRecord) -> None:
        """Take a new or changed desired state; returns before the workers have followed.

        A change that a running worker was not started with restarts that worker.

        Raises:
            WrongStateError: the supervisor is draining or closed.
        """
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        """Drain the workers of an exchange (book, then rx) and forget it; returns when done.

        The journal, the snapshots and the logs are kept.

        Raises:
            NotFoundError: no such exchange.
        """
        raise NotImplementedError

    async def restart(self, worker_id: str) -> None:
        """Drain a worker and start it again; ends a backoff. Returns once it is ordered.

        Raises:
            NotFoundError: no such worker.
            WrongStateError: the worker is not wanted, or its process is not proved ours.
        """
        raise NotImplementedError

    async def call(
        self, worker_id: str, op: str, args: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Ask a worker over its control socket and return the `result` of its answer.

        Raises:
            NotFoundError: no such worker.
            UnavailableError: no process, or it cannot be reached.
            TimedOutError: no answer within `timeout_s`.
            TickdeckError: the worker refused; the class and reason follow its error code.
        """
        raise NotImplementedError

    def workers(self) -> list[WorkerView]:
        """All workers in order of id."""
        raise NotImplementedError

    async def settled(self, name: str) -> None:
        """Wait until each worker of the exchange is where it is wanted, or cannot get there.

        That is RUNNING, DEGRADED, CRASH_LOOP, FAILED_PERMANENT, UNVERIFIED or FOREIGN when
        wanted, and no process otherwise. Bound it with `asyncio.timeout`.

        Raises:
            NotFoundError: no such exchange.
        """
        raise NotImplementedError

    async def drain_all(self) -> int:
        """Drain every worker in order, start none any more; returns how many were running."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of everything and leave the workers running."""
        raise NotImplementedError
