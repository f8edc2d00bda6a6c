"""Streams over a real socket: order of a watch, resume of events, slow readers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from fake_plant import exchange_toml, private_directory, until
from serving import Failure, Served, failure, serving, settings_below
from tickdeck.v1 import (
    exchange_service_pb2,
    observe_pb2,
    observe_service_pb2_grpc,
    operation_service_pb2,
    worker_service_pb2,
)
from tickdeck.v1 import observe_service_pb2 as pb
from tickdeck_daemon.errors import UnavailableError
from tickdeck_daemon.services import pacing

SNAPSHOT, SYNCED = pb.WATCH_KIND_SNAPSHOT, pb.WATCH_KIND_SYNCED
DELTA, HEARTBEAT = pb.WATCH_KIND_DELTA, pb.WATCH_KIND_HEARTBEAT
LIMIT_S = 60.0


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A plant with one exchange whose workers run."""
    async with serving() as served:
        await create(served)
        yield served


async def create(served: Served, name: str = "XNAS", port: int = 31001) -> None:
    request = exchange_service_pb2.CreateExchangeRequest(toml=exchange_toml(name, port=port))
    await served.exchange.CreateExchange(request)


async def delete(served: Served, name: str = "XNAS") -> None:
    get = exchange_service_pb2.GetExchangeRequest(name=f"exchanges/{name}")
    etag = (await served.exchange.GetExchange(get)).exchange.etag
    request = exchange_service_pb2.DeleteExchangeRequest(
        name=f"exchanges/{name}", etag=etag, reason="test"
    )
    await served.exchange.DeleteExchange(request)


async def take(stream: AsyncIterator[Any]) -> Any:  # noqa: ANN401 - a message of any stream
    async with asyncio.timeout(LIMIT_S):
        return await anext(stream)


def watch(served: Served, **fields: Any) -> AsyncIterator[pb.WatchHealthResponse]:  # noqa: ANN401
    return aiter(served.observe.WatchHealth(pb.WatchHealthRequest(**fields)))


async def test_a_watch_is_snapshot_synced_then_deltas(served: Served) -> None:
    """The whole state first, a mark that it is whole, then what changes, in order."""
    stream = watch(served)
    first, second = await take(stream), await take(stream)
    assert (first.kind, second.kind) == (SNAPSHOT, SYNCED)
    assert [row.name for row in first.exchanges] == ["exchanges/XNAS"]
    assert first.totals.total_exchanges == 1
    assert first.epoch == served.plant.instance_id
    await create(served, "BATS", 31002)
    revision = first.revision
    while True:
        message = await take(stream)
        assert message.revision >= revision
        revision = message.revision
        names = [row.name for row in message.exchanges]
        if "exchanges/BATS" in names:
            break
    assert message.kind == DELTA


async def test_a_removed_exchange_is_told(served: Served) -> None:
    """A watcher learns what is gone."""
    stream = watch(served)
    await take(stream)
    await delete(served)
    while not (message := await take(stream)).removed:
        pass
    assert (message.kind, list(message.removed)) == (DELTA, ["exchanges/XNAS"])


async def test_a_heartbeat_comes_when_nothing_changes() -> None:
    """A sign of life, no more often than every half second, which is what is promised."""
    assert pacing.HEARTBEAT_S == 0.5
    async with serving() as served:
        stream = watch(served)
        await take(stream)
        await take(stream)
        beats = [await take(stream) for _ in range(2)]
        assert [beat.kind for beat in beats] == [HEARTBEAT, HEARTBEAT]
        # When they were made; how late they are read is the machine's affair.
        first, second = (beat.time.ToNanoseconds() for beat in beats)
        assert second - first >= 490_000_000


async def test_deltas_carry_traffic(served: Served) -> None:
    """What the workers count reaches the watcher, with rates."""
    stream = watch(served)
    rx = served.supervisor.stats["XNAS-rx"]
    message = await take(stream)
    while not any(row.messages_per_second > 0 for row in message.exchanges):
        rx.traffic(10)
        message = await take(stream)
    (row,) = message.exchanges
    assert row.transport == 1
    assert {line.line: line.packets for line in row.lines}.keys() == {"A", "B"}
    assert row.state == observe_pb2.HEALTH_STATE_OK or row.causes


async def test_a_short_interval_is_refused(served: Served) -> None:
    """The fault names its field."""
    request = pb.WatchHealthRequest()
    request.min_interval.FromMilliseconds(49)
    found = await failure(take(aiter(served.observe.WatchHealth(request))))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["min_interval"])


async def test_raw_statistics_are_watched_in_the_same_way(served: Served) -> None:
    """First everything of every worker, then only the metrics that changed."""
    stream = aiter(served.observe.WatchStats(pb.WatchStatsRequest(workers=["workers/XNAS-rx"])))
    first, second = await take(stream), await take(stream)
    assert (first.kind, second.kind) == (SNAPSHOT, SYNCED)
    (row,) = first.rows
    assert row.worker == "workers/XNAS-rx"
    known = {(metric.name, metric.labels): metric for metric in row.metrics}
    assert known["journal_state", ""].kind == "state"
    assert known["rx_packets_total", "line=A"].kind == "counter"
    served.supervisor.stats["XNAS-rx"].add("rx_packets_total", 7, line="A")
    while not (message := await take(stream)).rows:
        assert message.kind == HEARTBEAT
    (row,) = message.rows
    assert [(m.name, m.labels, m.value) for m in row.metrics] == [("rx_packets_total", "line=A", 7)]


async def test_statistics_of_an_unknown_worker_are_not_found(served: Served) -> None:
    """A typing error does not give an empty stream."""
    request = pb.WatchStatsRequest(workers=["workers/NOPE-rx"])
    found = await failure(take(aiter(served.observe.WatchStats(request))))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "WORKER_NOT_FOUND")


async def all_events(served: Served, *, epoch: str = "", start_seq: int = 1) -> list[Any]:
    await served.plant.events.flush()
    request = pb.WatchEventsRequest(epoch=epoch, start_seq=start_seq, stop_at_end=True)
    async with asyncio.timeout(LIMIT_S):
        return [e async for message in served.observe.WatchEvents(request) for e in message.events]


async def test_events_are_numbered_and_complete(served: Served) -> None:
    """From the first on, without a hole, with who did it."""
    events = await all_events(served)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    types = [event.type for event in events]
    assert types[0] == "daemon.started"
    assert {"worker.state", "exchange.created"} <= set(types)
    created = next(event for event in events if event.type == "exchange.created")
    assert created.resource == "exchanges/XNAS"
    assert created.actor.startswith("uid:")


async def test_only_new_events_when_no_cursor_is_given(served: Served) -> None:
    """The stream begins now, tells its cursor, and goes on with the next event."""
    await served.plant.events.flush()
    stream = aiter(served.observe.WatchEvents(pb.WatchEventsRequest()))
    first = await take(stream)
    assert not first.events
    assert (first.next_seq, first.epoch) == (
        served.plant.events.next_seq,
        served.plant.events.epoch,
    )
    served.supervisor.crash("XNAS-rx")
    while not (message := await take(stream)).events:
        pass
    assert message.events[0].seq == first.next_seq
    assert message.events[0].type == "worker.state"


async def test_events_resume_over_a_restart_of_the_daemon() -> None:
    """A reader that was cut off gets what it missed, exactly once, with its old cursor."""
    with private_directory() as root:
        settings = settings_below(root)
        async with serving(settings) as served:
            await create(served)
            before = await all_events(served)
        async with serving(settings) as served:
            cursor = before[-1].seq + 1
            after = await all_events(served, epoch=before[-1].epoch, start_seq=cursor)
            assert [e.seq for e in after] == list(range(cursor, cursor + len(after)))
            types = [event.type for event in after]
            assert types[0] == "daemon.stopped"
            assert "daemon.started" in types


async def test_an_expired_cursor_is_told_what_is_kept(served: Served) -> None:
    """The reader takes a snapshot and goes on from there."""
    request = pb.WatchEventsRequest(epoch="gone", start_seq=5)
    found = await failure(take(aiter(served.observe.WatchEvents(request))))
    assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED")
    assert found.details["ErrorInfo"].metadata["epoch"] == served.plant.events.epoch


async def test_gaps_become_events_and_objects(served: Served) -> None:
    """A gap in a worker's table is told when it opens and when it is filled."""
    rx = served.supervisor.stats["XNAS-rx"]
    rx.gap(1, 100, 199, 3, attempts=1)
    stream = aiter(served.observe.WatchEvents(pb.WatchEventsRequest(start_seq=1)))
    seen = dict[str, Any]()

    async def until_seen(type_: str) -> Any:  # noqa: ANN401
        while type_ not in seen:
            message = await take(stream)
            seen.update({event.type: event for event in message.events})
        return seen[type_]

    opened = await until_seen("gap.opened")
    assert opened.details["first"] == "100"
    rx.gap(1, 100, 199, 5, sources=4, closed_ns=time.time_ns())
    filled = await until_seen("gap.filled")
    assert filled.details["sources"] == "retransmit"
    assert filled.details["gap"] == opened.details["gap"]


def stalled_channel(served: Served) -> aio.Channel:
    """A channel whose reader takes nothing: no message is ever asked for."""
    return aio.insecure_channel(
        f"unix:{served.settings.socket_path}",
        options=[
            ("grpc.http2.lookahead_bytes", 65536),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )


async def end_of(call: Any) -> Failure:  # noqa: ANN401 - a call of any stream
    """Read what is left of a stream; it must end with an error."""

    async def read() -> None:
        async for _ in call:
            pass

    async with asyncio.timeout(LIMIT_S):
        return await failure(read())


STALLED = 10
BUSY = [f"X{n:02}{'Y' * 12}" for n in range(12)]


@contextlib.asynccontextmanager
async def stalled(served: Served) -> AsyncGenerator[list[Any]]:
    """Watches that nobody reads, of a plant whose messages are long; first they are all open."""
    for n, name in enumerate(BUSY):
        await create(served, name, 31100 + n)
    channels = [stalled_channel(served) for _ in range(STALLED)]
    yield [
        observe_service_pb2_grpc.ObserveServiceStub(channel).WatchHealth(often())
        for channel in channels
    ]
    for channel in channels:
        await channel.close()


def often() -> pb.WatchHealthRequest:
    request = pb.WatchHealthRequest()
    request.min_interval.FromMilliseconds(50)
    return request


def tick(served: Served) -> int:
    """Let every exchange change; returns the revision that tells it."""
    for name in BUSY:
        served.supervisor.stats[f"{name}-rx"].traffic(1)
    served.plant.tick()
    return served.plant.health.revision


async def test_stalled_subscribers_disturb_nobody() -> None:
    """While ten read nothing, and are not cut off, who reads gets every tick."""
    async with serving(write_limit_s=3600.0) as served, stalled(served) as calls:
        guard = served.server._guard  # pyright: ignore[reportPrivateUsage]
        registry = served.plant.health._subscriptions  # pyright: ignore[reportPrivateUsage]
        await until(lambda: len(registry) == len(calls))
        watches = list(registry)
        healthy = aiter(served.observe.WatchHealth(often()))

        async def missed() -> list[int]:
            """Ticks that each of the ten has missed, when the healthy one was told of the last."""
            revision = tick(served)
            while (await take(healthy)).revision < revision:
                pass
            return [watch.dropped_ticks for watch in watches]

        # Each write that still goes through takes from what a stream may hold: the ten end stuck.
        before, after = [0], [0]
        async with asyncio.timeout(240):
            while any(new - old < 10 for old, new in zip(before, after, strict=True)):
                before, *_, after = [await missed() for _ in range(11)]
        assert (guard.streams, guard.streams_cut) == (len(calls) + 1, 0)


async def test_stalled_subscribers_are_cut_off() -> None:
    """Who reads nothing loses ticks and then its stream, and is told why; its place is free."""
    async with serving(write_limit_s=1.0) as served, stalled(served) as calls:
        guard = served.server._guard  # pyright: ignore[reportPrivateUsage]
        await until(lambda: guard.streams == len(calls))
        await until(lambda: tick(served) and guard.streams_cut == len(calls))
        for call in calls:
            assert (await end_of(call)).reason == "SLOW_CONSUMER"
        assert guard.streams == 0
        assert (await take(watch(served))).kind == SNAPSHOT


async def test_a_reader_that_leaves_ends_its_stream(served: Served) -> None:
    """A cancelled stream is a normal end and frees its place."""
    guard = served.server._guard  # pyright: ignore[reportPrivateUsage]
    call = served.observe.WatchHealth(pb.WatchHealthRequest())
    await take(aiter(call))
    assert guard.streams == 1
    call.cancel()
    await until(lambda: guard.streams == 0)
    assert guard.streams_cut == 0


async def test_operations_are_watched_to_their_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is a message; the last one is done and carries the outcome."""
    gate = asyncio.Event()

    async def work(progress: object) -> object:
        del progress
        await gate.wait()
        raise UnavailableError("nobody", reason="NOBODY")

    from tickdeck_daemon.operate.journals import VerifyRun

    operation = served.plant.operations.start("test", VerifyRun("XNAS", "/j"), work)
    request = operation_service_pb2.WatchOperationRequest(name=f"operations/{operation.id}")
    stream = aiter(served.operation.WatchOperation(request))
    assert not (await take(stream)).operation.done
    gate.set()
    last = (await take(stream)).operation
    assert last.done
    assert last.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
    with pytest.raises(StopAsyncIteration):
        await take(stream)


async def test_a_worker_log_is_tailed(served: Served) -> None:
    """Past lines, then new ones, as they are written."""
    path = served.settings.log_path("XNAS-rx")
    path.write_text("one\ntwo\n")
    request = worker_service_pb2.TailWorkerLogsRequest(name="workers/XNAS-rx", lines=1, follow=True)
    stream = aiter(served.worker.TailWorkerLogs(request))
    assert list((await take(stream)).lines) == ["two"]
    with path.open("a") as file:
        file.write("three\n")
    assert list((await take(stream)).lines) == ["three"]


async def test_the_log_of_an_unknown_worker_is_not_found(served: Served) -> None:
    """Not an empty stream."""
    request = worker_service_pb2.TailWorkerLogsRequest(name="workers/NOPE-rx")
    found = await failure(take(aiter(served.worker.TailWorkerLogs(request))))
    assert found.code is grpc.StatusCode.NOT_FOUND
    assert isinstance(found, Failure)
