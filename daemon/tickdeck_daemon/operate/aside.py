"""Runs what a dead disk may hold for ever in threads that nobody waits for at the daemon's end.

Those of the common pool would all be held soon, and with them whatever else needs one.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

_log = structlog.stdlib.get_logger(__name__)
_T = TypeVar("_T")
_looks: dict[tuple[str, str], asyncio.Future[Any]] = {}
"""Under way, by what is looked for and where."""


class _Failed:
    """An outcome like any other, so that nobody has to fetch it."""

    def __init__(self, error: Exception) -> None:
        self.error = error


async def aside(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread of its own; it goes on when the caller is cancelled."""
    return _outcome(await _begin("aside", work))


async def look_aside(what: str, directory: str, look: Callable[[], _T]) -> _T:
    """Run `look` in a thread of its own; who asks the same meanwhile waits for the same one.

    So one that hangs holds one thread, however many ask.
    """
    key = (what, directory)
    under_way = _looks.get(key)
    loop = asyncio.get_running_loop()
    if under_way is None or under_way.done() or under_way.get_loop() is not loop:
        under_way = _looks[key] = _begin(what, look)
        under_way.add_done_callback(lambda ended: _end(key, ended))
    # Who is cancelled leaves the look to the others.
    told: _T | _Failed = await asyncio.shield(under_way)
    return _outcome(told)


def forget_look(what: str, directory: str) -> None:
    """What a look under way will tell is out of date: who asks from now on gets another."""
    _looks.pop((what, directory), None)


def _end(key: tuple[str, str], ended: asyncio.Future[Any]) -> None:
    if _looks.get(key) is ended:
        del _looks[key]


def _begin(name: str, work: Callable[[], _T]) -> "asyncio.Future[_T | _Failed]":
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T | _Failed] = loop.create_future()

    def tell(told: _T | _Failed) -> None:
        if not future.done():
            future.set_result(told)

    def run() -> None:
        told: _T | _Failed
        try:
            told = work()
        except Exception as error:
            told = _Failed(error)
        try:
            loop.call_soon_threadsafe(tell, told)
        except RuntimeError:
            _log.debug("the daemon has ended before a disk answered", what=name)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def _outcome(told: _T | _Failed) -> _T:
    if isinstance(told, _Failed):
        raise told.error
    return told
