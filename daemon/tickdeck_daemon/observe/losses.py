"""What journals lack, and of what of it an operator has taken note: kept for ever, in SQLite.

A worker knows only what was lost since it started, and this daemon only what it has seen. Each
range is therefore a row, named by the log's identity, by what became of the range, and by its
bounds: a range that is told again, by a worker that goes on or to a daemon that started anew, is
the same row, and what was acknowledged stays so. A log that takes another's place has none of its
rows.

A worker may end before it has told the bounds of what it had counted. What its counters said is
therefore kept too, by incarnation: what of it is neither a row nor acknowledged waits, without
bounds, over restarts of worker and daemon.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, cast

HOLE = "hole"
ACKED_LOSS = "acked_loss"
KINDS = (HOLE, ACKED_LOSS)
WAITING_MAX = 1000
"""Rows that are told at a time; the sums count all."""
_SEQ_MAX = (1 << 63) - 1
COUNTED_MAX = (1 << 63) - 1
"""No counter is taken for more: the database holds no greater number."""
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
    """The ranges that nobody has acknowledged of the log that an exchange writes now."""

    holes: int = 0
    acked_loss: int = 0
    """Records."""
    losses: tuple[Loss, ...] = ()
    newest: int = 0
    """Number of the newest row."""
    log_id: str = ""


Key = tuple[str, str]
"""Incarnation of a worker, and kind of loss."""
Counts = Mapping[Key, int]
"""What counters said: holes, or lost durable records."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the counters of one incarnation say of one kind of loss, and what of it is settled."""

    counted: int = 0
    told: int = 0
    """Of it, what is rows."""
    noted: int = 0
    """Of the rest, what was acknowledged without its bounds."""
    seen_ns: int = 0
    """When the first of it was counted."""
    noted_ns: int = 0
    actor: str = ""
    reason: str = ""

    @property
    def waiting(self) -> int:
        """What nobody has acknowledged, and whose bounds nobody has told."""
        return max(0, self.counted - self.told - self.noted)

    def count(self, counted: int, now_ns: int) -> "Account":
        """The counters say so much, or said more before."""
        seen_ns = self.seen_ns or now_ns
        return replace(self, counted=max(self.counted, counted), seen_ns=seen_ns)

    def tell(self, told: int, new: Sequence[int]) -> tuple["Account", int]:
        """The worker tells so much, of it the rows `new`, oldest first, that were not known.

        Also returns how many of these were acknowledged before they had bounds: the oldest.
        """
        left, acknowledged = self.noted, 0
        while acknowledged < len(new) and new[acknowledged] <= left:
            left -= new[acknowledged]
            acknowledged += 1
        told = max(self.told + sum(new), told)
        noted = min(left, max(0, self.counted - told)) if acknowledged == len(new) else 0
        return replace(self, told=told, noted=noted), acknowledged

    def note(self, counted: int, now_ns: int, actor: str, reason: str) -> "Account":
        """Take note of what was counted then, as far as it is no row by now."""
        account = self.count(counted, now_ns)
        noted = max(account.noted, counted - account.told)
        return replace(account, noted=noted, noted_ns=now_ns, actor=actor, reason=reason)


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
            "CREATE TABLE IF NOT EXISTS journal_counters (exchange TEXT NOT NULL,"
            " incarnation TEXT NOT NULL, kind TEXT NOT NULL, counted INTEGER NOT NULL,"
            " told INTEGER NOT NULL, noted INTEGER NOT NULL, seen_ns INTEGER NOT NULL,"
            " noted_ns INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,"
            " PRIMARY KEY (exchange, incarnation, kind))"
        )
        rows = self._database.execute("SELECT exchange, log_id FROM journal_logs").fetchall()
        self._logs = {str(exchange): str(log_id) for exchange, log_id in rows}
        self._waiting = {name: self._read(log_id) for name, log_id in self._logs.items()}
        self._accounts: dict[str, dict[Key, Account]] = {}
        rows = self._database.execute(
            "SELECT exchange, incarnation, kind, counted, told, noted, seen_ns, noted_ns, actor,"
            " reason FROM journal_counters"
        ).fetchall()
        for exchange, incarnation, kind, *fields in rows:
            accounts = self._accounts.setdefault(str(exchange), {})
            accounts[str(incarnation), str(kind)] = Account(*fields)
        self._lock = asyncio.Lock()

    def waiting(self, exchange: str) -> Waiting:
        """The ranges that wait to be acknowledged."""
        return self._waiting.get(exchange, Waiting())

    def accounts(self, exchange: str) -> Mapping[Key, Account]:
        """What the counters of its workers said, of all that have lost anything."""
        return self._accounts.get(exchange, {})

    async def count(self, exchange: str, counts: Counts) -> None:
        """Keep what counters say.

        Raises:
            sqlite3.Error: it could not be kept.
        """
        async with self._lock:
            self._keep(exchange, await asyncio.to_thread(self._count, exchange, counts))

    async def take(self, exchange: str, incarnation: str, told: Told) -> None:
        """Keep what a worker told; what is known stays.

        Raises:
            sqlite3.Error: it could not be kept.
        """
        async with self._lock:
            changed, waiting = await asyncio.to_thread(self._take, exchange, incarnation, told)
            # At once: what has become a row is counted once at any moment.
            self._keep(exchange, changed)
            self._waiting[exchange] = waiting
            self._logs[exchange] = told.log_id

    async def acknowledge(
        self, exchange: str, seen: Waiting, counts: Counts, actor: str, reason: str
    ) -> None:
        """Mark those that an operator was shown as seen; what came since still waits.

        Raises:
            sqlite3.Error: it could not be kept.
        """
        async with self._lock:
            changed, waiting = await asyncio.to_thread(
                self._acknowledge, exchange, seen, counts, actor, reason
            )
            self._keep(exchange, changed)
            self._waiting[exchange] = waiting

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _count(self, exchange: str, counts: Counts) -> dict[Key, Account]:
        now, known = self._clock_ns(), self.accounts(exchange)
        changed = {
            key: known.get(key, Account()).count(counted, now) for key, counted in counts.items()
        }
        with _transaction(self._database):
            self._write(exchange, changed)
        return changed

    def _take(
        self, exchange: str, incarnation: str, told: Told
    ) -> tuple[dict[Key, Account], Waiting]:
        changed: dict[Key, Account] = {}
        with _transaction(self._database):
            for kind in KINDS:
                losses = [one for one in told.losses if one.kind == kind]
                if losses:
                    key = (incarnation, kind)
                    account = self.accounts(exchange).get(key, Account())
                    changed[key] = self._take_rows(told.log_id, losses, account)
            self._write(exchange, changed)
            self._database.execute(
                "INSERT OR REPLACE INTO journal_logs VALUES (?, ?)", (exchange, told.log_id)
            )
        return changed, self._read(told.log_id)

    def _take_rows(self, log_id: str, losses: Sequence[Loss], account: Account) -> Account:
        """All of one kind."""
        now = self._clock_ns()
        new = [one for one in losses if self._insert(log_id, one, now)]
        told = sum(map(_size, losses))
        account, acknowledged = account.tell(told, [_size(one) for one in new])
        note = (account.noted_ns, account.actor, account.reason)
        self._database.executemany(
            "UPDATE journal_losses SET acknowledged_ns = ?, actor = ?, reason = ?"
            " WHERE log_id = ? AND kind = ? AND from_seq = ? AND to_seq = ?",
            [(*note, log_id, one.kind, one.from_seq, one.to_seq) for one in new[:acknowledged]],
        )
        return replace(account, seen_ns=account.seen_ns or now)

    def _insert(self, log_id: str, one: Loss, now_ns: int) -> bool:
        """False when the row is known."""
        inserted = self._database.execute(
            "INSERT OR IGNORE INTO journal_losses (log_id, kind, from_seq, to_seq, seen_ns)"
            " VALUES (?, ?, ?, ?, ?)",
            (log_id, one.kind, one.from_seq, one.to_seq, now_ns),
        )
        return inserted.rowcount == 1

    def _acknowledge(
        self, exchange: str, seen: Waiting, counts: Counts, actor: str, reason: str
    ) -> tuple[dict[Key, Account], Waiting]:
        now, known = self._clock_ns(), self.accounts(exchange)
        changed = {
            key: known.get(key, Account()).note(counted, now, actor, reason)
            for key, counted in counts.items()
        }
        with _transaction(self._database):
            self._database.execute(
                "UPDATE journal_losses SET acknowledged_ns = ?, actor = ?, reason = ?"
                " WHERE log_id = ? AND acknowledged_ns = 0 AND rowid <= ?",
                (now, actor, reason, seen.log_id, seen.newest),
            )
            self._write(exchange, changed)
        return changed, self._read(self._logs.get(exchange, ""))

    def _write(self, exchange: str, changed: Mapping[Key, Account]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO journal_counters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(exchange, *key, *astuple(account)) for key, account in changed.items()],
        )

    def _keep(self, exchange: str, changed: Mapping[Key, Account]) -> None:
        """Remember what is durable now."""
        self._accounts.setdefault(exchange, {}).update(changed)

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


def _size(one: Loss) -> int:
    """As the counter of its kind counts it."""
    return 1 if one.kind == HOLE else one.records


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
