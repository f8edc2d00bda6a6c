"""Long-running work that callers start, watch and wait for. In memory: a restart forgets it.

The store knows nothing of what an operation does; the services turn `metadata` and `response`
into messages.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from tickdeck_daemon.bell import Bell
from tickdeck_daemon.errors import NotFoundError, TickdeckError

_log = structlog.stdlib.get_logger(__name__)

DONE_KEPT = 256
"""Ended operations that are kept; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it is now; each change is a new value."""

    id: str
    kind: str
    """Such as "journal.verify"."""
    metadata: object
    """Progress; which class it has depends on `kind`."""
    done: bool = False
    response: object | None = None
    """Set when it is done and succeeded."""
    error: TickdeckError | None = None
    """Set when it is done and failed."""
    revision: int = 0


class OperationStore:
    """All operations of this daemon."""

    def __init__(self) -> None:
        """Start empty."""
        self._operations: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = Bell()

    def start(
        self,
        kind: str,
        metadata: object,
        work: Callable[[Callable[[object], None]], Awaitable[object]],
        *,
        operation_id: str | None = None,
    ) -> Operation:
        """Begin an operation.

        Args:
            kind: Such as "journal.verify".
            metadata: What is known at the beginning.
            work: Called with a function that replaces the metadata; returns the response. A
                `TickdeckError` that it raises becomes the error of the operation.
            operation_id: Chosen by the caller when it must be known beforehand.
        """
        identity = operation_id or uuid.uuid4().hex
        self._put(Operation(identity, kind, metadata))
        task = asyncio.get_running_loop().create_task(self._run(identity, work), name=kind)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._operations[identity]

    def get(self, operation_id: str) -> Operation:
        """One operation.

        Raises:
            NotFoundError: none of that id, or forgotten.
        """
        try:
            return self._operations[operation_id]
        except KeyError:
            text = f"operation {operation_id!r} is not known; a daemon forgets them when it ends"
            raise NotFoundError(
                text, reason="OPERATION_NOT_FOUND", metadata={"operation": operation_id}
            ) from None

    def list(self) -> "list[Operation]":
        """All operations that are kept, the oldest first."""
        return list(self._operations.values())

    async def wait(self, operation_id: str, revision: int, timeout_s: float) -> Operation:
        """Wait for a revision above the given one; the present value when none comes in time.

        Raises:
            NotFoundError: as `get`.
        """
        self.get(operation_id)
        await self._changed.wait(lambda: self.get(operation_id).revision > revision, timeout_s)
        return self.get(operation_id)

    async def wait_done(self, operation_id: str, timeout_s: float) -> Operation:
        """Wait until it is done; the present value when it is not in time.

        Raises:
            NotFoundError: as `get`.
        """
        self.get(operation_id)
        await self._changed.wait(lambda: self.get(operation_id).done, timeout_s)
        return self.get(operation_id)

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(
        self, identity: str, work: Callable[[Callable[[object], None]], Awaitable[object]]
    ) -> None:
        def progress(metadata: object) -> None:
            self._change(identity, metadata=metadata)

        try:
            response = await work(progress)
        except TickdeckError as error:
            self._change(identity, error=error)
        except Exception as error:
            _log.exception("operation failed", operation=identity)
            text = f"the operation failed: {error!r}; see the log of the daemon"
            self._change(identity, error=TickdeckError(text))
        else:
            self._change(identity, response=response)

    def _change(
        self,
        identity: str,
        *,
        metadata: object | None = None,
        response: object | None = None,
        error: TickdeckError | None = None,
    ) -> None:
        old = self._operations[identity]
        self._put(
            Operation(
                id=identity,
                kind=old.kind,
                metadata=old.metadata if metadata is None else metadata,
                done=metadata is None,
                response=response,
                error=error,
                revision=old.revision + 1,
            )
        )

    def _put(self, operation: Operation) -> None:
        self._operations[operation.id] = operation
        done = [known.id for known in self._operations.values() if known.done]
        for forgotten in done[: max(0, len(done) - DONE_KEPT)]:
            del self._operations[forgotten]
        self._changed.ring()
