"""Follows what journals lose: the counters say that there is something, the worker says what.

What the counters have and no row has yet waits too, so that nothing is quiet for want of an
answer. It is written down before the worker is asked, for the worker may end before it answers.
Its stats file outlives it: what it counted last is read there, also by a daemon that did not run
then.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tickdeck_daemon.errors import InvalidError, TickdeckError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.observe.losses import (
    ACKED_LOSS,
    COUNTED_MAX,
    HOLE,
    Account,
    Counts,
    Key,
    LossStore,
    Told,
    Waiting,
)
from tickdeck_daemon.observe.sampler import Sampler, Series
from tickdeck_daemon.stats import StatsError, StatsFile

_log = structlog.stdlib.get_logger(__name__)

OP = "journal.losses"
_COUNTERS = {HOLE: "journal_holes_total", ACKED_LOSS: "journal_acked_loss_total"}

Ask = Callable[[str, str], Awaitable[dict[str, Any]]]
"""Asks a worker by an op."""
Directory = Callable[[str], Path]
"""Where the stats files of a worker lie."""


@dataclass(frozen=True, slots=True)
class Unbounded:
    """Losses that were counted, and whose bounds no worker has told."""

    kind: str
    incarnation: str
    """Of the worker."""
    count: int
    """Holes, or records that had been durable."""
    seen_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What waited at one moment: who acknowledges it acknowledges nothing that came since."""

    rows: Waiting
    unbounded: tuple[Unbounded, ...]
    counts: Counts
    """What the counters of these said."""

    @property
    def acked_loss(self) -> int:
        """Durable records lost."""
        return self.rows.acked_loss + self._count(ACKED_LOSS)

    @property
    def holes(self) -> int:
        """Holes, whether their bounds are known or not."""
        return self.rows.holes + self._count(HOLE)

    def _count(self, kind: str) -> int:
        return sum(one.count for one in self.unbounded if one.kind == kind)


class LossWatch:
    """What of each journal's losses waits for an operator."""

    def __init__(self, store: LossStore, sampler: Sampler, ask: Ask, directory: Directory) -> None:
        """Keep what is found out in `store`."""
        self.store = store
        self._sampler = sampler
        self._ask = ask
        self._directory = directory
        self._news: dict[str, dict[Key, int]] = {}
        """By exchange: what counters said that is not stored yet."""
        self._searched: dict[str, str | None] = {}
        """By exchange: which incarnation ran when the files of all others were read."""
        self._asked: dict[str, tuple[str, Counts]] = {}
        """By exchange: what its counters said when it last answered."""

    def waiting(self, exchange: str) -> tuple[int, int]:
        """Durable records lost, and holes, that nobody has acknowledged."""
        seen = self.see(exchange)
        return seen.acked_loss, seen.holes

    def see(self, exchange: str) -> Seen:
        """What waits now, for `acknowledge`."""
        self._note(exchange, _counts(self._series(exchange)))
        accounts = dict(self.store.accounts(exchange))
        for key, counted in self._news[exchange].items():
            accounts[key] = accounts.get(key, Account()).count(counted, 0)
        waiting = {key: account for key, account in accounts.items() if account.waiting}
        return Seen(
            rows=self.store.waiting(exchange),
            unbounded=tuple(
                Unbounded(kind, incarnation, account.waiting, account.seen_ns)
                for (incarnation, kind), account in sorted(waiting.items())
            ),
            counts={key: account.counted for key, account in waiting.items()},
        )

    async def look(self, exchange: str) -> None:
        """Store what is counted; ask the rx worker when its counters have moved, and at first."""
        series = self._series(exchange)
        try:
            await self._search(exchange, _incarnation(series))
            await self._store(exchange, _counts(series))
            await self._ask_bounds(exchange, series)
        except (TickdeckError, ValueError, sqlite3.Error) as error:
            _log.warning("losses not kept, asked again", exchange=exchange, error=str(error))

    async def acknowledge(self, exchange: str, seen: Seen, actor: str, reason: str) -> None:
        """Take note of what was seen.

        Raises:
            sqlite3.Error: it could not be kept; then nothing is acknowledged.
        """
        await self.store.acknowledge(exchange, seen.rows, seen.counts, actor, reason)

    async def _search(self, exchange: str, running: str | None) -> None:
        """Read what those that have ended had counted, once after each start of another."""
        if exchange in self._searched and self._searched[exchange] == running:
            return
        directory = self._directory(worker_id(exchange, "rx"))
        self._note(exchange, await asyncio.to_thread(_read_files, directory))
        self._searched[exchange] = running

    async def _store(self, exchange: str, counts: Counts) -> None:
        """What is new is durable before anything else is done about it."""
        self._note(exchange, counts)
        if news := dict(self._news[exchange]):
            await self.store.count(exchange, news)
            self._note(exchange, {})

    async def _ask_bounds(self, exchange: str, series: Series) -> None:
        if series.latest is None or series.stale or not series.has("journal_state"):
            return
        incarnation = series.latest.incarnation
        counted = (incarnation, _counts(series))
        if self._asked.get(exchange) == counted:
            return
        try:
            told = Told.parse(await self._ask(worker_id(exchange, "rx"), OP))
        except InvalidError as error:
            # A worker of an older release: only its counters are known.
            _log.info("losses not told", exchange=exchange, error=str(error))
        else:
            if _incarnation(series) != incarnation:
                return  # which of the two has answered is not known: asked again
            await self.store.take(exchange, incarnation, told)
        self._asked[exchange] = counted

    def _note(self, exchange: str, counts: Counts) -> None:
        """Remember what is said for the first time, and forget what is stored."""
        stored, news = self.store.accounts(exchange), self._news.setdefault(exchange, {})
        for key, counted in counts.items():
            news[key] = max(news.get(key, 0), min(counted, COUNTED_MAX))
        for key in [key for key in news if key in stored and stored[key].counted >= news[key]]:
            del news[key]

    def _series(self, exchange: str) -> Series:
        return self._sampler.series(worker_id(exchange, "rx"))


def _incarnation(series: Series) -> str | None:
    return series.latest.incarnation if series.latest else None


def _counts(series: Series) -> dict[Key, int]:
    """What the incarnation of the last sample has lost; nothing is no entry."""
    if series.latest is None:
        return {}
    values = {kind: series.value(name) for kind, name in _COUNTERS.items()}
    return {(series.latest.incarnation, kind): value for kind, value in values.items() if value}


def _read_files(directory: Path) -> dict[Key, int]:
    """What all that have stats files counted: the last words of those that have ended."""
    counts: dict[Key, int] = {}
    for path in sorted(directory.glob("stats.*.dat")):
        try:
            with StatsFile.open(path) as stats:
                incarnation = stats.identity.incarnation
                values = {kind: stats.get(name) for kind, name in _COUNTERS.items()}
        except FileNotFoundError:
            continue  # pruned meanwhile: a few are kept for a look back
        except (StatsError, OSError) as error:
            _log.warning("losses of an ended worker not read", path=str(path), error=str(error))
            continue
        counts |= {(incarnation, kind): value for kind, value in values.items() if value}
    return counts
