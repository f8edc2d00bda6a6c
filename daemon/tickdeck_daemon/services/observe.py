"""ObserveService: health, statistics, events, latency, checks."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping

from google.protobuf.duration_pb2 import Duration
from typing_extensions import override

from tickdeck.v1 import observe_pb2, observe_service_pb2_grpc
from tickdeck.v1 import observe_service_pb2 as pb
from tickdeck_daemon.errors import NotFoundError
from tickdeck_daemon.observe.collect import source_of, stage_of
from tickdeck_daemon.observe.events import Event
from tickdeck_daemon.observe.health import ExchangeHealth
from tickdeck_daemon.observe.sampler import Sample
from tickdeck_daemon.plant import Plant, runbook_names
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import exchange_name, parse, parse_optional
from tickdeck_daemon.services.once import once
from tickdeck_daemon.services.pacing import HEARTBEAT_S, Pacer, interval_s
from tickdeck_daemon.services.times import timestamp

EVENT_BATCH = 256


class ObserveService(observe_service_pb2_grpc.ObserveServiceServicer):
    """Tells what is going on."""

    def __init__(self, plant: Plant) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._runbooks = runbook_names()
        self._cache: dict[str, tuple[ExchangeHealth, observe_pb2.ExchangeHealth]] = {}

    @override
    async def GetSnapshot(
        self, request: pb.GetSnapshotRequest, context: Context
    ) -> pb.GetSnapshotResponse:
        name = parse_optional(request.name, "exchanges")
        if name:
            self._plant.store.get(name)
        rows = [row for key, row in self._plant.health.rows() if not name or key == name]
        return pb.GetSnapshotResponse(
            exchanges=[self._health(row) for row in rows],
            totals=convert.totals(self._plant.totals()),
            time=timestamp(time.time_ns()),
        )

    @override
    async def WatchHealth(
        self, request: pb.WatchHealthRequest, context: Context
    ) -> AsyncGenerator[pb.WatchHealthResponse, None]:
        board = self._plant.health
        pacer = Pacer(interval_s(_given(request, request.min_interval)))
        with board.subscribe() as subscription:
            kind = pb.WATCH_KIND_SNAPSHOT
            while True:
                revision = board.revision
                removed = board.removed_since(subscription.seen)
                if removed is None:
                    kind, subscription.seen = pb.WATCH_KIND_SNAPSHOT, -1
                changed = board.changed_since(subscription.seen)
                subscription.seen = revision
                for key in removed or ():
                    self._cache.pop(key, None)
                message = self._frame(kind, revision, changed, subscription.dropped_ticks)
                message.removed.extend(exchange_name(key) for key in removed or ())
                subscription.busy = True
                yield message
                if kind == pb.WATCH_KIND_SNAPSHOT:
                    yield self._frame(pb.WATCH_KIND_SYNCED, revision, [], 0)
                subscription.busy = False
                await pacer.pause()
                grew = await subscription.wait(pacer.left_s(HEARTBEAT_S))
                kind = pb.WATCH_KIND_DELTA if grew else pb.WATCH_KIND_HEARTBEAT

    @override
    async def WatchStats(
        self, request: pb.WatchStatsRequest, context: Context
    ) -> AsyncGenerator[pb.WatchStatsResponse, None]:
        wanted = {parse(name, "workers", field="workers") for name in request.workers}
        self._check_workers(wanted)
        board = self._plant.stats
        pacer = Pacer(interval_s(_given(request, request.min_interval)))
        sent: dict[str, Sample] = {}
        with board.subscribe() as subscription:
            kind = pb.WATCH_KIND_SNAPSHOT
            while True:
                revision = board.revision
                present = {key: s for key, s in board.rows() if not wanted or key in wanted}
                rows = _changed_stats(present, sent)
                subscription.seen, sent = revision, present
                if kind == pb.WATCH_KIND_DELTA and not rows:
                    kind = pb.WATCH_KIND_HEARTBEAT
                subscription.busy = True
                yield self._stats_frame(kind, revision, rows, subscription.dropped_ticks)
                if kind == pb.WATCH_KIND_SNAPSHOT:
                    yield self._stats_frame(pb.WATCH_KIND_SYNCED, revision, [], 0)
                subscription.busy = False
                await pacer.pause()
                grew = await subscription.wait(pacer.left_s(HEARTBEAT_S))
                kind = pb.WATCH_KIND_DELTA if grew else pb.WATCH_KIND_HEARTBEAT

    @override
    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        log = self._plant.events
        cursor = request.start_seq or log.next_seq
        if request.start_seq == 1 and not request.epoch:
            cursor = log.oldest_seq
        at_end = False
        while not (request.stop_at_end and at_end):
            events = await log.read(cursor, EVENT_BATCH, epoch=request.epoch)
            cursor += len(events)
            at_end = len(events) < EVENT_BATCH
            # Also without an event: the cursor to resume from, and a sign of life.
            yield _events_frame(events, cursor, log.epoch)
            if at_end and not request.stop_at_end:
                await log.wait(cursor, HEARTBEAT_S)

    @override
    async def GetLatency(
        self, request: pb.GetLatencyRequest, context: Context
    ) -> pb.GetLatencyResponse:
        name = parse(request.name, "exchanges")
        self._plant.store.get(name)
        histograms = [
            convert.histogram(view, stage_of(metric, labels), source_of(labels))
            for series in self._plant.series(name)
            for (metric, labels), view in sorted(series.cumulative().items())
        ]
        return pb.GetLatencyResponse(histograms=histograms)

    @override
    async def RunHealthCheck(
        self, request: pb.RunHealthCheckRequest, context: Context
    ) -> pb.RunHealthCheckResponse:
        name = parse_optional(request.name, "exchanges")
        names = [name] if name else [record.name for record in self._plant.store.list()]

        async def run() -> pb.RunHealthCheckResponse:
            results = await asyncio.gather(*(self._plant.checks.run(one) for one in names))
            return pb.RunHealthCheckResponse(
                exchanges=[convert.check(check) for check, _ in results],
                time=timestamp(time.time_ns()),
                shared=any(shared for _, shared in results),
            )

        return await once(self._plant, "RunHealthCheck", request, pb.RunHealthCheckResponse, run)

    def _frame(
        self, kind: pb.WatchKind.ValueType, revision: int, rows: list[ExchangeHealth], dropped: int
    ) -> pb.WatchHealthResponse:
        return pb.WatchHealthResponse(
            kind=kind,
            epoch=self._plant.instance_id,
            revision=revision,
            exchanges=[self._health(row) for row in rows],
            totals=convert.totals(self._plant.totals()),
            time=timestamp(time.time_ns()),
            dropped_ticks=dropped,
        )

    def _stats_frame(
        self, kind: pb.WatchKind.ValueType, revision: int, rows: list[pb.WorkerStats], dropped: int
    ) -> pb.WatchStatsResponse:
        return pb.WatchStatsResponse(
            kind=kind,
            epoch=self._plant.instance_id,
            revision=revision,
            rows=rows,
            dropped_ticks=dropped,
            time=timestamp(time.time_ns()),
        )

    def _health(self, row: ExchangeHealth) -> observe_pb2.ExchangeHealth:
        """The message of a row, made once for all watchers."""
        name = row.facts.name
        known = self._cache.get(name)
        if known is None or known[0] is not row:
            known = (row, convert.health(row, self._runbooks))
            self._cache[name] = known
        return known[1]

    def _check_workers(self, wanted: set[str]) -> None:
        unknown = wanted - {view.id for view in self._plant.workers()}
        if unknown:
            name = min(unknown)
            text = f"no worker {name!r}"
            raise NotFoundError(text, reason="WORKER_NOT_FOUND", metadata={"worker": name})


def _given(
    request: pb.WatchHealthRequest | pb.WatchStatsRequest, interval: Duration
) -> Duration | None:
    return interval if request.HasField("min_interval") else None


def _changed_stats(
    present: Mapping[str, Sample], sent: Mapping[str, Sample]
) -> list[pb.WorkerStats]:
    rows = [
        convert.worker_stats(worker, sample, sent.get(worker))
        for worker, sample in present.items()
        if sent.get(worker) is not sample
    ]
    return [row for row in rows if row.metrics]


def _events_frame(events: list[Event], next_seq: int, epoch: str) -> pb.WatchEventsResponse:
    return pb.WatchEventsResponse(
        events=[convert.event(event) for event in events], next_seq=next_seq, epoch=epoch
    )
