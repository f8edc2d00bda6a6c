"""What journals lack, and of what of it an operator has taken note: kept for ever, in SQLite.

A worker knows only what was lost since it started, and this daemon only what it has seen. Each
range is therefore a row, named by the log's identity, by what became of the range, and by its
bounds: a range that is told again, by a worker that goes on or to a daemon that started anew, is
the same row, and what was acknowledged stays so. A log that takes another's place has none of its
rows. Beside the rows is kept how much of a worker's counters they account for, so that a daemon
that starts anew takes none of it for news.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

HOLE = "hole"
ACKED_LOSS = "acked_loss"
KINDS = (HOLE, ACKED_LOSS)
WAITING_MAX = 1000
"""Rows that are told at a time; the sums count all."""
_SEQ_MAX = (1 << 63) - 1
_LOG_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Loss:
    """A range that a log does not hold, or that it had called durable and that was damaged."""

    kind: str
    from_seq: int
    to_seq: int
    seen_ns: int = 0

    @property
    def records(self) -> int:
        """Sequences in the range."""
        return self.to_seq - self.from_seq + 1


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of its log."""

    log_id: str
    losses: tuple[Loss, ...]

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "Told":
        """Take an answer of the op `journal.losses`.

        Raises:
            ValueError: it is none.
        """
        log_id, rows = answer.get("log_id"), answer.get("losses")
        if not isinstance(log_id, str) or not _LOG_ID.fullmatch(log_id):
            raise ValueError(f"log_id {log_id!r} is no identity of a log")
        if not isinstance(rows, list):
            raise ValueError("losses are no list")
        return cls(log_id, tuple(_loss(row) for row in cast("list[object]", rows)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What nobody has acknowledged of the log that an exchange writes now."""

    holes: int = 0
    acked_loss: int = 0
    """Records."""
    losses: tuple[Loss, ...] = ()
    newest: int = 0
    """Number of the newest row."""
    log_id: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """So much of what an incarnation of a worker has counted."""

    incarnation: str = ""
    holes: int = 0
    acked_loss: int = 0
    """Records."""

    def of(self, kind: str) -> int:
        """Of one kind of loss."""
        return self.holes if kind == HOLE else self.acked_loss

    def merged(self, other: "Counted") -> "Counted":
        """The most that either says, of one incarnation."""
        holes, acked_loss = max(self.holes, other.holes), max(self.acked_loss, other.acked_loss)
        return Counted(self.incarnation, holes, acked_loss)


class LossStore:
    """The rows. Reads of what waits are from memory; each change is synced before it is told."""

    def __init__(self, path: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Open the database, and make it when there is none.

        Raises:
            sqlite3.Error: the file is no database, or cannot be opened.
        """
        self._clock_ns = clock_ns
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS journal_losses (log_id TEXT NOT NULL, kind TEXT NOT NULL,"
            " from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL, seen_ns INTEGER NOT NULL,"
            " acknowledged_ns INTEGER NOT NULL DEFAULT 0, actor TEXT NOT NULL DEFAULT '',"
            " reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (log_id, kind, from_seq, to_seq))"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS journal_logs (exchange TEXT PRIMARY KEY,"
            " log_id TEXT NOT NULL)"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS journal_counted (exchange TEXT NOT NULL,"
            " incarnation TEXT NOT NULL, holes INTEGER NOT NULL, acked_loss INTEGER NOT NULL,"
            " PRIMARY KEY (exchange, incarnation))"
        )
        rows = self._database.execute("SELECT exchange, log_id FROM journal_logs").fetchall()
        self._logs = {str(exchange): str(log_id) for exchange, log_id in rows}
        self._waiting = {name: self._read(log_id) for name, log_id in self._logs.items()}
        rows = self._database.execute(
            "SELECT exchange, incarnation, holes, acked_loss FROM journal_counted"
        ).fetchall()
        self._counted = {
            (str(exchange), str(incarnation)): Counted(str(incarnation), int(holes), int(lost))
            for exchange, incarnation, holes, lost in rows
        }
        self._lock = asyncio.Lock()

    def waiting(self, exchange: str) -> Waiting:
        """What waits to be acknowledged."""
        return self._waiting.get(exchange, Waiting())

    def counted(self, exchange: str, incarnation: str) -> Counted:
        """How much of a worker's counters is rows, or was acknowledged."""
        return self._counted.get((exchange, incarnation), Counted(incarnation))

    async def take(self, exchange: str, told: Told, counted: Counted) -> None:
        """Keep what a worker told, which is so much of its counters; what is known stays.

        Raises:
            sqlite3.Error: it could not be kept.
        """
        async with self._lock:
            counted = self.counted(exchange, counted.incarnation).merged(counted)
            waiting = await asyncio.to_thread(self._take, exchange, told, counted)
            self._logs[exchange] = told.log_id
            self._waiting[exchange] = waiting
            for key in [key for key in self._counted if key[0] == exchange]:
                del self._counted[key]
            self._counted[exchange, counted.incarnation] = counted

    async def acknowledge(
        self, exchange: str, seen: Waiting, counted: Counted, actor: str, reason: str
    ) -> None:
        """Mark those that an operator was shown as seen; what came since still waits.

        Raises:
            sqlite3.Error: it could not be kept.
        """
        async with self._lock:
            counted = self.counted(exchange, counted.incarnation).merged(counted)
            waiting = await asyncio.to_thread(
                self._acknowledge, exchange, seen, counted, actor, reason
            )
            self._waiting[exchange] = waiting
            self._counted[exchange, counted.incarnation] = counted

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _take(self, exchange: str, told: Told, counted: Counted) -> Waiting:
        now = self._clock_ns()
        rows = [(told.log_id, one.kind, one.from_seq, one.to_seq, now) for one in told.losses]
        with _transaction(self._database):
            self._database.executemany(
                "INSERT OR IGNORE INTO journal_losses (log_id, kind, from_seq, to_seq, seen_ns)"
                " VALUES (?, ?, ?, ?, ?)",
                rows,
            )
            self._database.execute(
                "INSERT OR REPLACE INTO journal_logs VALUES (?, ?)", (exchange, told.log_id)
            )
            self._database.execute("DELETE FROM journal_counted WHERE exchange = ?", (exchange,))
            self._count(exchange, counted)
        return self._read(told.log_id)

    def _acknowledge(
        self, exchange: str, seen: Waiting, counted: Counted, actor: str, reason: str
    ) -> Waiting:
        now = self._clock_ns()
        with _transaction(self._database):
            self._database.execute(
                "UPDATE journal_losses SET acknowledged_ns = ?, actor = ?, reason = ?"
                " WHERE log_id = ? AND acknowledged_ns = 0 AND rowid <= ?",
                (now, actor, reason, seen.log_id, seen.newest),
            )
            self._count(exchange, counted)
        return self._read(self._logs.get(exchange, ""))

    def _count(self, exchange: str, counted: Counted) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO journal_counted VALUES (?, ?, ?, ?)",
            (exchange, counted.incarnation, counted.holes, counted.acked_loss),
        )

    def _read(self, log_id: str) -> Waiting:
        where = "FROM journal_losses WHERE log_id = ? AND acknowledged_ns = 0"
        rows = self._database.execute(
            f"SELECT kind, from_seq, to_seq, seen_ns {where} ORDER BY rowid DESC LIMIT ?",
            (log_id, WAITING_MAX),
        ).fetchall()
        groups = self._database.execute(
            f"SELECT kind, count(*), sum(to_seq - from_seq + 1), max(rowid) {where} GROUP BY kind",
            (log_id,),
        ).fetchall()
        counts = {str(kind): (int(count), int(records)) for kind, count, records, _ in groups}
        losses = sorted(
            (Loss(str(kind), *map(int, numbers)) for kind, *numbers in rows),
            key=lambda one: (one.from_seq, one.kind),
        )
        holes, lost = counts.get(HOLE, (0, 0))[0], counts.get(ACKED_LOSS, (0, 0))[1]
        newest = max((int(row[3]) for row in groups), default=0)
        return Waiting(holes, lost, tuple(losses), newest, log_id)


class _transaction:  # noqa: N801 - used as a statement
    """All of it or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _loss(row: object) -> Loss:
    if not isinstance(row, dict):
        raise ValueError(f"a loss that is no object: {row!r}")
    fields = cast("dict[str, object]", row)
    kind, first, last = (fields.get(key) for key in ("kind", "from", "to"))
    if kind not in KINDS:
        raise ValueError(f"a loss of kind {kind!r}")
    if not (isinstance(first, int) and isinstance(last, int) and 0 < first <= last <= _SEQ_MAX):
        raise ValueError(f"a loss from {first!r} to {last!r}")
    return Loss(str(kind), first, last)
