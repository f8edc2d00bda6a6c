"""Follows what journals lose: the counters say that there is something, the worker says what.

What the counters have and no row has yet waits too, so that nothing is quiet for want of an
answer; it is known to this daemon only. How much of the counters of a worker that runs is rows, or
was acknowledged, outlives the daemon.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from tickdeck_daemon.errors import InvalidError, TickdeckError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.observe.losses import (
    ACKED_LOSS,
    HOLE,
    KINDS,
    Counted,
    LossStore,
    Told,
    Waiting,
)
from tickdeck_daemon.observe.sampler import Sampler, Series

_log = structlog.stdlib.get_logger(__name__)

OP = "journal.losses"
_COUNTERS = {HOLE: "journal_holes_total", ACKED_LOSS: "journal_acked_loss_total"}
_NOTHING = Counted()

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


@dataclass(frozen=True, slots=True)
class Seen:
    """What waited at one moment: who acknowledges it acknowledges nothing that came since."""

    acked_loss: int
    """Durable records lost."""
    holes: int
    rows: Waiting
    counted: Counted
    """By the incarnation that ran then."""
    carried: Counted
    """By those that had ended before."""


class LossWatch:
    """What of each journal's losses waits for an operator."""

    def __init__(self, store: LossStore, sampler: Sampler, ask: Ask) -> None:
        """Keep what is found out in `store`."""
        self.store = store
        self._sampler = sampler
        self._ask = ask
        self._known: dict[tuple[str, str], _Known] = {}
        self._asked: dict[str, Counted] = {}
        """By exchange: what its counters said when it last answered."""

    def waiting(self, exchange: str) -> tuple[int, int]:
        """Durable records lost, and holes, that nobody has acknowledged."""
        seen = self.see(exchange)
        return seen.acked_loss, seen.holes

    def see(self, exchange: str) -> Seen:
        """What waits now, for `acknowledge`."""
        rows, series = self.store.waiting(exchange), self._series(exchange)
        return Seen(
            acked_loss=rows.acked_loss + self._unknown(exchange, series, ACKED_LOSS),
            holes=rows.holes + self._unknown(exchange, series, HOLE),
            rows=rows,
            counted=_counted(series),
            carried=Counted("", *(_carried(series, kind) for kind in KINDS)),
        )

    async def look(self, exchange: str) -> None:
        """Ask the rx worker of an exchange when its counters have moved; at its start too."""
        series = self._series(exchange)
        if series.latest is None or series.stale or not series.has("journal_state"):
            return
        counted = _counted(series)
        if self._asked.get(exchange) == counted:
            return
        try:
            told = Told.parse(await self._ask(worker_id(exchange, "rx"), OP))
            if _counted(series).incarnation != counted.incarnation:
                return  # which of the two has answered is not known: asked again
            rows = _rows(counted.incarnation, told)
            await self.store.take(exchange, told, rows)
        except InvalidError as error:
            # A worker of an older release: only its counters are known, and only to us.
            _log.info("losses not told", exchange=exchange, error=str(error))
        except (TickdeckError, ValueError, sqlite3.Error) as error:
            _log.warning("losses not kept, asked again", exchange=exchange, error=str(error))
            return
        else:
            self._know(exchange, rows)
        self._asked[exchange] = counted

    async def acknowledge(self, exchange: str, seen: Seen, actor: str, reason: str) -> None:
        """Take note of what was seen.

        Raises:
            sqlite3.Error: it could not be kept; then nothing is acknowledged.
        """
        await self.store.acknowledge(exchange, seen.rows, seen.counted, actor, reason)
        self._know(exchange, seen.counted, seen.carried)

    def _know(self, exchange: str, counted: Counted, carried: Counted = _NOTHING) -> None:
        """So much is rows, or acknowledged; whoever was quicker may have said more."""
        series = self._series(exchange)
        for kind in KINDS:
            known = self._of(exchange, series, kind)
            before, now = carried.of(kind), counted.of(kind)
            if known.incarnation != counted.incarnation:
                # It has ended since.
                before, now = min(_carried(series, kind), before + now), 0
            self._known[exchange, kind] = replace(
                known, before=max(known.before, before), now=max(known.now, now)
            )

    def _unknown(self, exchange: str, series: Series, kind: str) -> int:
        """Each by itself: rows may be ahead of a counter that is read four times a second."""
        known, value = self._of(exchange, series, kind), series.value(_COUNTERS[kind])
        return max(0, _carried(series, kind) - known.before) + max(0, value - known.now)

    def _of(self, exchange: str, series: Series, kind: str) -> _Known:
        """What is known, as of the running incarnation."""
        known = self._known.get((exchange, kind), _Known())
        incarnation = _incarnation(series)
        if known.incarnation == incarnation:
            return known
        before = min(_carried(series, kind), known.before + known.now)
        return _Known(incarnation, before, self.store.counted(exchange, incarnation).of(kind))

    def _series(self, exchange: str) -> Series:
        return self._sampler.series(worker_id(exchange, "rx"))


def _incarnation(series: Series) -> str:
    return series.latest.incarnation if series.latest else ""


def _counted(series: Series) -> Counted:
    return Counted(_incarnation(series), *(series.value(_COUNTERS[kind]) for kind in KINDS))


def _carried(series: Series, kind: str) -> int:
    """What incarnations that have ended had counted."""
    return series.total(_COUNTERS[kind]) - series.value(_COUNTERS[kind])


def _rows(incarnation: str, told: Told) -> Counted:
    holes = sum(1 for one in told.losses if one.kind == HOLE)
    lost = sum(one.records for one in told.losses if one.kind == ACKED_LOSS)
    return Counted(incarnation, holes, lost)
