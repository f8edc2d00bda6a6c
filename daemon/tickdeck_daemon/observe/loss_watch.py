"""Follows what journals lose: the counters say that there is something, the worker says what.

What the counters have and no row has yet waits too, so that nothing is quiet for want of an
answer; it is known to this daemon only.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from tickdeck_daemon.errors import InvalidError, TickdeckError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.observe.losses import ACKED_LOSS, HOLE, LossStore, Told
from tickdeck_daemon.observe.sampler import Sampler, Series

_log = structlog.stdlib.get_logger(__name__)

OP = "journal.losses"
_COUNTERS = {HOLE: "journal_holes_total", ACKED_LOSS: "journal_acked_loss_total"}

Ask = Callable[[str, str], Awaitable[dict[str, Any]]]
"""Asks a worker by an op."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What of a counter is a row, or was acknowledged."""

    incarnation: str = ""
    before: int = 0
    """Of incarnations that have ended."""
    now: int = 0
    """Of this incarnation."""


class LossWatch:
    """What of each journal's losses waits for an operator."""

    def __init__(self, store: LossStore, sampler: Sampler, ask: Ask) -> None:
        """Keep what is found out in `store`."""
        self.store = store
        self._sampler = sampler
        self._ask = ask
        self._known: dict[tuple[str, str], _Known] = {}
        self._asked: dict[str, tuple[str, int, int]] = {}
        """By exchange: what its counters said when it last answered."""

    def waiting(self, exchange: str) -> tuple[int, int]:
        """Durable records lost, and holes, that nobody has acknowledged."""
        stored, series = self.store.waiting(exchange), self._series(exchange)
        lost = stored.acked_loss + self._unknown(exchange, series, ACKED_LOSS)
        return lost, stored.holes + self._unknown(exchange, series, HOLE)

    async def look(self, exchange: str) -> None:
        """Ask the rx worker of an exchange when its counters have moved; at its start too."""
        series = self._series(exchange)
        if series.latest is None or series.stale or not series.has("journal_state"):
            return
        counted = (
            series.latest.incarnation,
            series.value(_COUNTERS[HOLE]),
            series.value(_COUNTERS[ACKED_LOSS]),
        )
        if self._asked.get(exchange) == counted:
            return
        try:
            told = Told.parse(await self._ask(worker_id(exchange, "rx"), OP))
            await self.store.take(exchange, told)
        except InvalidError as error:
            # A worker of an older release: only its counters are known, and only to us.
            _log.info("losses not told", exchange=exchange, error=str(error))
        except (TickdeckError, ValueError, sqlite3.Error) as error:
            _log.warning("losses not kept, asked again", exchange=exchange, error=str(error))
            return
        else:
            holes = sum(1 for one in told.losses if one.kind == HOLE)
            lost = sum(one.records for one in told.losses if one.kind == ACKED_LOSS)
            self._know(exchange, series, HOLE, holes)
            self._know(exchange, series, ACKED_LOSS, lost)
        self._asked[exchange] = counted

    async def acknowledge(self, exchange: str, actor: str, reason: str) -> None:
        """Take note of all that waits now.

        Raises:
            sqlite3.Error: it could not be kept; then nothing is acknowledged.
        """
        series = self._series(exchange)
        counts = {kind: series.value(name) for kind, name in _COUNTERS.items()}
        carried = {kind: series.total(name) - counts[kind] for kind, name in _COUNTERS.items()}
        await self.store.acknowledge(exchange, self.store.waiting(exchange), actor, reason)
        for kind in _COUNTERS:
            self._known[exchange, kind] = _Known(_incarnation(series), carried[kind], counts[kind])

    def _know(self, exchange: str, series: Series, kind: str, rows: int) -> None:
        """So many of this incarnation are rows."""
        known = self._of(exchange, series, kind)
        # Rows are never fewer than what was acknowledged of the counter.
        now = max(known.now, min(rows, series.value(_COUNTERS[kind])))
        self._known[exchange, kind] = _Known(known.incarnation, known.before, now)

    def _unknown(self, exchange: str, series: Series, kind: str) -> int:
        known = self._of(exchange, series, kind)
        return max(0, series.total(_COUNTERS[kind]) - known.before - known.now)

    def _of(self, exchange: str, series: Series, kind: str) -> _Known:
        """What is known, as of the running incarnation."""
        known = self._known.get((exchange, kind), _Known())
        incarnation = _incarnation(series)
        if known.incarnation == incarnation:
            return known
        carried = series.total(_COUNTERS[kind]) - series.value(_COUNTERS[kind])
        return _Known(incarnation, min(carried, known.before + known.now), 0)

    def _series(self, exchange: str) -> Series:
        return self._sampler.series(worker_id(exchange, "rx"))


def _incarnation(series: Series) -> str:
    return series.latest.incarnation if series.latest else ""
