"""Long-running operations: progress, end, error, and who waits for them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fake_plant import until
from tickdeck_daemon.errors import NotFoundError, UnavailableError
from tickdeck_daemon.operate.operations import DONE_KEPT, OperationStore

Progress = Callable[[object], None]


def work(
    gate: asyncio.Event, outcome: object | Exception
) -> Callable[[Progress], Awaitable[object]]:
    async def run(progress: Progress) -> object:
        progress("half")
        await gate.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return run


async def test_progress_then_response() -> None:
    """Metadata changes while it runs; the response comes with the end."""
    store, gate = OperationStore(), asyncio.Event()
    started = store.start("test", "begun", work(gate, 42))
    assert (started.metadata, started.done) == ("begun", False)
    half = await store.wait(started.id, started.revision, 60)
    assert (half.metadata, half.done) == ("half", False)
    gate.set()
    done = await store.wait_done(started.id, 60)
    assert (done.done, done.response, done.error, done.metadata) == (True, 42, None, "half")


async def test_an_error_ends_it() -> None:
    """What the work raises is the operation's outcome, not the caller's."""
    store, gate = OperationStore(), asyncio.Event()
    gate.set()
    operation = store.start("test", 0, work(gate, UnavailableError("gone", reason="GONE")))
    done = await store.wait_done(operation.id, 60)
    assert done.error is not None
    assert (done.error.reason, done.response) == ("GONE", None)


async def test_an_unforeseen_error_ends_it_too() -> None:
    """A defect does not leave an operation that runs for ever."""
    store, gate = OperationStore(), asyncio.Event()
    gate.set()
    operation = store.start("test", 0, work(gate, ValueError("oops")))
    done = await store.wait_done(operation.id, 60)
    assert done.error is not None
    assert done.error.reason == "INTERNAL"
    assert "oops" in done.error.message


async def test_waiting_ends_with_its_time() -> None:
    """Who waits too long gets the present state."""
    store, gate = OperationStore(), asyncio.Event()
    operation = store.start("test", 0, work(gate, 1))
    assert not (await store.wait_done(operation.id, 0.001)).done
    await store.close()


async def test_an_unknown_operation_is_not_found() -> None:
    """Also to whoever waits."""
    store = OperationStore()
    with pytest.raises(NotFoundError):
        store.get("x")
    with pytest.raises(NotFoundError):
        await store.wait("x", 0, 1)


async def test_only_so_many_ended_ones_are_kept() -> None:
    """The oldest ended ones go; those that run stay."""
    store, gate, never = OperationStore(), asyncio.Event(), asyncio.Event()
    gate.set()
    running = store.start("test", 0, work(never, 1))
    for _ in range(DONE_KEPT + 10):
        store.start("test", 0, work(gate, 1))
    await until(lambda: sum(1 for known in store.list() if known.done) == DONE_KEPT)
    assert store.list()[0].id == running.id
    await store.close()
