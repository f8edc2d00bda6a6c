"""Looks that may hang: one thread for each, none of the pool, and nobody else waits."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tickdeck_daemon.operate.aside import aside, forget_look, look_aside

LIMIT_S = 60.0


class Disk:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.threads: list[threading.Thread] = []
        self.error: Exception | None = None

    def look(self) -> int:
        """On whatever thread."""
        self.threads.append(threading.current_thread())
        self.answers.wait()
        if self.error:
            raise self.error
        return len(self.threads)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Lets go of its threads."""
    disk = Disk()
    yield disk
    disk.answers.set()


def ask(disk: Disk) -> asyncio.Task[int]:
    """Begin to look at it."""
    return asyncio.create_task(look_aside("pins", "/j", disk.look))


async def test_who_asks_meanwhile_waits_with_the_first(disk: Disk) -> None:
    """One thread, which the process does not wait for; the pool and other directories are free."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    callers = [ask(disk) for _ in range(3)]
    async with asyncio.timeout(LIMIT_S):
        assert await look_aside("pins", "/k", lambda: "another directory") == "another directory"
        assert await look_aside("report", "/j", lambda: "another file") == "another file"
        assert await asyncio.to_thread(lambda: "pool") == "pool"
    assert not any(caller.done() for caller in callers)
    disk.answers.set()
    assert await asyncio.gather(*callers) == [1, 1, 1]
    assert [thread.daemon for thread in disk.threads] == [True]
    assert await ask(disk) == 2, "a new look"


async def test_who_is_cancelled_leaves_the_look_to_the_others(disk: Disk) -> None:
    """They are told its error."""
    gone, stays = ask(disk), ask(disk)
    await look_aside("pins", "/k", bool)
    gone.cancel()
    disk.error = OSError("broken")
    disk.answers.set()
    with pytest.raises(OSError, match="broken"):
        await stays
    assert gone.cancelled()
    assert len(disk.threads) == 1


@pytest.mark.parametrize("is_shared", [True, False])
async def test_an_answer_that_nobody_waits_for_is_no_error(disk: Disk, *, is_shared: bool) -> None:
    """Neither a late value nor a late error."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
    disk.error = OSError("broken")
    gone = ask(disk) if is_shared else asyncio.create_task(aside(disk.look))
    await look_aside("pins", "/k", bool)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    disk.answers.set()
    disk.threads[0].join()
    for _ in range(2):
        await look_aside("pins", "/k", bool)
    del gone
    gc.collect()
    assert failures == []


async def test_a_look_that_was_forgotten_is_not_shared(disk: Disk) -> None:
    """It began before something that the next one must see."""
    before = ask(disk)
    await look_aside("pins", "/k", bool)
    forget_look("pins", "/j")
    async with asyncio.timeout(LIMIT_S):
        assert await look_aside("pins", "/j", lambda: "after") == "after"
    disk.answers.set()
    assert await before == 1


async def test_an_error_of_work_aside_is_the_callers() -> None:
    """As if it had done it itself."""

    def work() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await aside(work)
