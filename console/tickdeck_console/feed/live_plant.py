"""The running daemon as the `Plant` of the screens: one call of `tickdeck.v1` per method."""

import asyncio
import time
from collections.abc import AsyncIterator

from tickdeck.v1.book_service_pb2 import (
    CheckBooksRequest,
    DiffBookRequest,
    GetBookAtRequest,
    GetDepthRequest,
    ListBooksRequest,
)
from tickdeck.v1.exchange_service_pb2 import (
    CreateExchangeRequest,
    DeleteExchangeRequest,
    GetExchangeRequest,
    StartCollectionRequest,
    StopCollectionRequest,
)
from tickdeck.v1.journal_service_pb2 import GetJournalRequest, ListSubscribersRequest
from tickdeck.v1.observe_service_pb2 import GetLatencyRequest, RunHealthCheckRequest
from tickdeck.v1.recovery_service_pb2 import (
    AcceptLossRequest,
    AnnotateGapRequest,
    ListGapsRequest,
    RecoverBySnapshotRequest,
    StartRecoveryRequest,
)
from tickdeck.v1.replay_service_pb2 import (
    ListReplaysRequest,
    StartReplayRequest,
    StopReplayRequest,
    WatchReplayRequest,
)
from tickdeck.v1.worker_service_pb2 import (
    ListWorkersRequest,
    RestartWorkerRequest,
    TailWorkerLogsRequest,
)
from tickdeck_console.client import PAST_TIMEOUT_S, Client, new_request_id, reading
from tickdeck_console.feed import decode, decode_wal
from tickdeck_console.model import facts, travel
from tickdeck_console.model.wal import Wal

CHECK_TIMEOUT_S = 60.0
"""A health check waits for progress, so it takes longer than other calls."""
CHANGE_TIMEOUT_S = 30.0


class LivePlant:
    """The plant behind the daemon at a target.

    Args:
        target: As for `Client`.
    """

    def __init__(self, target: str) -> None:
        """Nothing is connected before the first call."""
        self._target = target
        self._opened: Client | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._opened:
            await self._opened.close()

    @property
    def _client(self) -> Client:
        """Opened by the first call, because a channel belongs to the running event loop."""
        if self._opened is None:
            self._opened = Client(self._target)
        return self._opened

    async def check(self, exchange: str) -> facts.CheckReport:
        """Run a health check."""
        request = RunHealthCheckRequest(request_id=new_request_id(), name=_exchange(exchange))
        response = await self._client.observe.RunHealthCheck(request, timeout=CHECK_TIMEOUT_S)
        return decode.report(response)

    async def gaps(self, exchange: str) -> facts.GapList:
        """The gaps of an exchange."""
        request = ListGapsRequest(exchange=_exchange(exchange))
        response = await self._client.recovery.ListGaps(request)
        return facts.GapList(tuple(map(decode.gap, response.gaps)), response.overflowed)

    async def recover(self, exchange: str, gap_id: int, *, dry_run: bool) -> tuple[str, ...]:
        """Ask again now for an open gap."""
        request = StartRecoveryRequest(
            request_id=new_request_id(),
            exchange=_exchange(exchange),
            gap_id=gap_id,
            validate_only=dry_run,
        )
        return tuple((await self._client.recovery.StartRecovery(request)).effects)

    async def snapshot(
        self, exchange: str, gap_id: int, reason: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Let a snapshot stand in for an open gap."""
        request = RecoverBySnapshotRequest(
            request_id=new_request_id(),
            exchange=_exchange(exchange),
            gap_id=gap_id,
            validate_only=dry_run,
            reason=reason,
        )
        return tuple((await self._client.recovery.RecoverBySnapshot(request)).effects)

    async def accept_loss(
        self, exchange: str, gap_id: int, reason: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Give an open gap up."""
        request = AcceptLossRequest(
            request_id=new_request_id(),
            exchange=_exchange(exchange),
            gap_id=gap_id,
            validate_only=dry_run,
            reason=reason,
        )
        return tuple((await self._client.recovery.AcceptLoss(request)).effects)

    async def annotate(
        self, exchange: str, gap_id: int, note: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Journal a note on a gap."""
        request = AnnotateGapRequest(
            request_id=new_request_id(),
            exchange=_exchange(exchange),
            gap_id=gap_id,
            note=note,
            validate_only=dry_run,
        )
        return tuple((await self._client.recovery.AnnotateGap(request)).effects)

    async def histograms(self, exchange: str) -> tuple[facts.Histogram, ...]:
        """Cumulative latency histograms."""
        response = await self._client.observe.GetLatency(
            GetLatencyRequest(name=_exchange(exchange))
        )
        return tuple(map(decode.histogram, response.histograms))

    async def wal(self, exchange: str) -> Wal:
        """The files of the journal, its recovery report, its readers."""
        name = _exchange(exchange)
        files, readers = await asyncio.gather(
            self._client.journal.GetJournal(GetJournalRequest(exchange=name)),
            self._client.journal.ListSubscribers(ListSubscribersRequest(exchange=name)),
        )
        return decode_wal.wal_of(files, readers)

    async def books(self, exchange: str) -> tuple[facts.BookRow, ...]:
        """All books in short."""
        response = await self._client.book.ListBooks(ListBooksRequest(exchange=_exchange(exchange)))
        return tuple(map(decode.book, response.books))

    async def depth(self, exchange: str, symbol: str, levels: int, kind: str = "") -> facts.Depth:
        """The top levels of one book."""
        request = GetDepthRequest(
            exchange=_exchange(exchange), symbol=symbol, levels=levels, kind=kind
        )
        return decode.depth(await self._client.book.GetDepth(request))

    async def check_books(self, exchange: str) -> facts.CheckReport:
        """Have the books checked against their own rules."""
        request = CheckBooksRequest(exchange=_exchange(exchange))
        response = await self._client.book.CheckBooks(request)
        return decode.book_checks(exchange, response, time.time_ns())

    async def book_at(
        self, exchange: str, symbol: str, point: travel.Point, levels: int
    ) -> travel.PastBook:
        """A book at a point of the journal."""
        request = GetBookAtRequest(
            exchange=_exchange(exchange), symbol=symbol, at=decode.point(point), levels=levels
        )
        return decode.past_book(await self._client.book.GetBookAt(request, timeout=PAST_TIMEOUT_S))

    async def book_diff(
        self, exchange: str, symbol: str, points: tuple[travel.Point, travel.Point], levels: int
    ) -> travel.BookDiff:
        """What differs in a book between two points of the journal."""
        first, second = map(decode.point, points)
        request = DiffBookRequest(
            exchange=_exchange(exchange),
            symbol=symbol,
            from_point=first,
            to_point=second,
            levels=levels,
        )
        return decode.book_diff(await self._client.book.DiffBook(request, timeout=PAST_TIMEOUT_S))

    async def workers(self, exchange: str) -> tuple[facts.Worker, ...]:
        """The workers of an exchange, or all."""
        response = await self._client.worker.ListWorkers(
            ListWorkersRequest(exchange=_exchange(exchange))
        )
        return tuple(map(decode.worker, response.workers))

    async def log(self, worker: str, lines: int) -> AsyncIterator[tuple[str, ...]]:
        """The last lines of a worker's log, then what is added."""
        request = TailWorkerLogsRequest(name=f"workers/{worker}", lines=lines, follow=True)
        async with reading(self._client.worker.TailWorkerLogs(request)) as messages:
            async for message in messages:
                skipped = (f"... {message.skipped} lines left out",) if message.skipped else ()
                yield *skipped, *message.lines

    async def create(self, toml: str, reason: str, *, dry_run: bool) -> tuple[str, ...]:
        """Add an exchange."""
        request = CreateExchangeRequest(
            request_id=new_request_id(), toml=toml, validate_only=dry_run, reason=reason
        )
        response = await self._client.exchange.CreateExchange(request, timeout=CHANGE_TIMEOUT_S)
        return tuple(response.effects)

    async def removal(self, exchange: str) -> tuple[str, tuple[str, ...]]:
        """The etag that a removal must carry, and its effects."""
        name = _exchange(exchange)
        current = await self._client.exchange.GetExchange(GetExchangeRequest(name=name))
        etag = current.exchange.etag
        request = DeleteExchangeRequest(
            request_id=new_request_id(),
            name=name,
            etag=etag,
            validate_only=True,
            reason="dry run",
        )
        response = await self._client.exchange.DeleteExchange(request)
        return etag, tuple(response.effects)

    async def remove(self, exchange: str, etag: str, reason: str) -> tuple[str, ...]:
        """Remove the exchange as it was when the etag was read."""
        request = DeleteExchangeRequest(
            request_id=new_request_id(), name=_exchange(exchange), etag=etag, reason=reason
        )
        response = await self._client.exchange.DeleteExchange(request, timeout=CHANGE_TIMEOUT_S)
        return tuple(response.effects)

    async def collect(self, exchange: str, *, run: bool, dry_run: bool) -> tuple[str, ...]:
        """Start or stop the collection."""
        name, request_id = _exchange(exchange), new_request_id()
        if run:
            start = StartCollectionRequest(request_id=request_id, name=name, validate_only=dry_run)
            return tuple((await self._client.exchange.StartCollection(start)).effects)
        stop = StopCollectionRequest(request_id=request_id, name=name, validate_only=dry_run)
        response = await self._client.exchange.StopCollection(stop, timeout=CHANGE_TIMEOUT_S)
        return tuple(response.effects)

    async def restart(self, worker: str, reason: str, *, dry_run: bool) -> tuple[str, ...]:
        """Drain a worker and start it again."""
        request = RestartWorkerRequest(
            request_id=new_request_id(),
            name=f"workers/{worker}",
            validate_only=dry_run,
            reason=reason,
        )
        response = await self._client.worker.RestartWorker(request, timeout=CHANGE_TIMEOUT_S)
        return tuple(response.effects)

    async def replay_effects(self, order: facts.ReplayOrder) -> tuple[str, ...]:
        """What the replay would do."""
        request = _replay_request(order, "dry run", dry_run=True)
        return tuple((await self._client.replay.StartReplay(request)).effects)

    async def start_replay(self, order: facts.ReplayOrder, reason: str) -> facts.Replay:
        """Begin a replay."""
        request = _replay_request(order, reason, dry_run=False)
        response = await self._client.replay.StartReplay(request, timeout=CHANGE_TIMEOUT_S)
        return decode.replay(response.replay)

    async def watch_replay(self, replay: str) -> AsyncIterator[facts.Replay]:
        """States of a replay until it has ended."""
        request = WatchReplayRequest(name=f"replays/{replay}")
        async with reading(self._client.replay.WatchReplay(request)) as messages:
            async for message in messages:
                yield decode.replay(message.replay)

    async def replays(self) -> tuple[facts.Replay, ...]:
        """Running and ended replays."""
        response = await self._client.replay.ListReplays(ListReplaysRequest())
        return tuple(map(decode.replay, response.replays))

    async def stop_replay(self, replay: str, reason: str) -> facts.Replay:
        """End a replay."""
        request = StopReplayRequest(
            request_id=new_request_id(), name=f"replays/{replay}", reason=reason
        )
        return decode.replay((await self._client.replay.StopReplay(request)).replay)


def _exchange(name: str) -> str:
    return f"exchanges/{name}" if name else ""


def _replay_request(order: facts.ReplayOrder, reason: str, *, dry_run: bool) -> StartReplayRequest:
    request = StartReplayRequest(
        request_id=new_request_id(),
        from_seq=order.from_seq,
        to_seq=order.to_seq,
        target=order.target,
        interface=order.interface,
        speed=order.speed,
        validate_only=dry_run,
        reason=reason,
    )
    if order.capture:
        request.capture = order.capture
    else:
        request.exchange = _exchange(order.exchange)
    return request
