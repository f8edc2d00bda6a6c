"""Books as they were: `tickdeck-book offline` on an exchange's journal and snapshots.

Each question is a process of its own, so that the book worker never leaves the present. At most
`RUNNING` of them run at a time; a few more may wait.
"""

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from tickdeck_daemon.errors import (
    InvalidError,
    NotFoundError,
    TickdeckError,
    UnavailableError,
    WrongStateError,
)
from tickdeck_daemon.exchanges.store import ExchangeRecord
from tickdeck_daemon.operate import tool
from tickdeck_daemon.settings import Settings

RUNNING = 2
WAITING = 8
TIMEOUT_S = 120.0
"""For one question; a caller with less patience cancels it earlier."""
SECOND_NS = 1_000_000_000
_EXIT_CONFIG = 78
"""The tool's code for what cannot be asked, see the workers' exit codes."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a journal; one of the three is set."""

    sequence: int | None = None
    time_ns: int | None = None
    day_time_ns: int | None = None

    def __str__(self) -> str:
        """As the tool reads it."""
        if self.sequence is not None:
            return str(self.sequence)
        if self.day_time_ns is not None:
            return _clock(self.day_time_ns)
        seconds, fraction = divmod(self.time_ns or 0, SECOND_NS)
        moment = datetime.fromtimestamp(seconds, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


class PastBooks:
    """Asks the tool, a few questions at a time."""

    def __init__(self, settings: Settings) -> None:
        """Read below the directories of `settings`."""
        self._settings = settings
        self._slots = asyncio.Semaphore(RUNNING)
        self._waiting = 0

    async def book_at(
        self, record: ExchangeRecord, symbol: str, point: Point, levels: int
    ) -> dict[str, Any]:
        """The book's checkpoint at a point, in the tool's form.

        Raises:
            TickdeckError: there is no such book or journal, it cannot be read, or not in time.
        """
        answer = await self._ask(record, symbol, levels, "--at", str(point))
        found = _tables(answer, "checkpoints")
        if not found:
            raise _no_book(record, symbol, f"at {point}")
        return found[0]

    async def difference(
        self, record: ExchangeRecord, symbol: str, points: tuple[Point, Point], levels: int
    ) -> dict[str, Any]:
        """Both places, and the book's difference, in the tool's form.

        Raises:
            TickdeckError: as `book_at`.
        """
        first, second = map(str, points)
        answer = await self._ask(record, symbol, levels, "--diff", f"{first},{second}")
        found = _tables(answer, "books")
        if not found:
            raise _no_book(record, symbol, f"at {first} or at {second}")
        return {**found[0], "places": (answer.get("from"), answer.get("to"))}

    async def _ask(
        self, record: ExchangeRecord, symbol: str, levels: int, option: str, points: str
    ) -> dict[str, Any]:
        arguments = [*self._source(record), option, points, f"--symbol={symbol}"]
        arguments += ["--levels", str(levels), "--json"]
        if self._waiting >= WAITING:
            text = f"{WAITING} questions about past books wait already; try again later"
            raise UnavailableError(text, reason="BOOK_READERS_BUSY")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            answer = await tool.run(
                "tickdeck-book",
                "offline",
                *arguments,
                timeout_s=TIMEOUT_S,
                timed_out="BOOK_TOOL_TIMED_OUT",
            )
        finally:
            self._slots.release()
        if answer.code == _EXIT_CONFIG:
            raise InvalidError(answer.told, reason="INVALID_POINT")
        # With a damaged journal it prints what it has, which is not what was asked for.
        if answer.code != 0 or answer.printed is None:
            text = f"the journal of {record.name} gives no books there: {answer.told}"
            raise TickdeckError(
                text, reason="JOURNAL_UNREADABLE", metadata={"exchange": record.name}
            )
        return answer.printed

    def _source(self, record: ExchangeRecord) -> list[str]:
        name, config = record.name, record.config
        metadata = {"exchange": name}
        if config.decoder == "none":
            text = f'{name} has no books: its file says decoder = "none"'
            raise WrongStateError(text, reason="BOOKS_DISABLED", metadata=metadata)
        journal = config.journal.data_dir or str(self._settings.journal_dir(name))
        if not os.path.isdir(journal):
            text = f"{name} has no journal yet: {journal} is not there"
            raise WrongStateError(text, reason="NO_JOURNAL", metadata=metadata)
        old_eobi = config.decoder == "eobi" and config.eobi_release == "6.0"
        protocol = "eobi-6.0" if old_eobi else config.decoder
        arguments = ["--input", journal, "--protocol", protocol]
        snapshots = self._settings.snapshot_dir(name)
        if snapshots.is_dir():
            arguments += ["--snapshots", str(snapshots)]
        return arguments


def _no_book(record: ExchangeRecord, symbol: str, when: str) -> NotFoundError:
    text = f"{record.name} had no book of {symbol!r} {when}"
    return NotFoundError(
        text, reason="BOOK_NOT_FOUND", metadata={"book": symbol, "exchange": record.name}
    )


def _clock(ns: int) -> str:
    seconds, fraction = divmod(ns, SECOND_NS)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}.{fraction:09}"


def _tables(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found: Any = answer.get(key)
    return cast("list[dict[str, Any]]", found) if isinstance(found, list) else []
