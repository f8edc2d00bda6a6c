"""Drain, standard services, and what nobody foresaw."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fake_journal_binary import FakeJournal
from fake_plant import until
from serving import (
    NAME,
    Served,
    create_request,
    failure,
    get_exchange,
    raw_call,
    serving,
)
from tickdeck.v1 import exchange_service_pb2 as exchange_pb
from tickdeck.v1 import observe_service_pb2 as observe_pb
from tickdeck.v1 import recovery_service_pb2 as recovery_pb
from tickdeck.v1 import replay_service_pb2 as replay_pb
from tickdeck.v1 import system_service_pb2 as system_pb
from tickdeck.v1 import worker_service_pb2 as worker_pb

Code = grpc.StatusCode


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange and a fake journal binary."""
    FakeJournal(tmp_path / "native")
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path / "native"))
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        yield served


async def test_a_drain_refuses_new_work_and_ends_the_daemon(served: Served) -> None:
    """Looking and stopping still work; starting does not; then the daemon may end."""
    response = await served.system.DrainDaemon(system_pb.DrainDaemonRequest(reason="upgrade"))
    assert response.workers_stopping == 0
    for call in (
        served.exchange.CreateExchange(create_request("BATS", 31002)),
        served.exchange.StartCollection(exchange_pb.StartCollectionRequest(name=NAME)),
        served.exchange.UpdateExchange(exchange_pb.UpdateExchangeRequest(name=NAME, etag="x")),
        served.worker.RestartWorker(worker_pb.RestartWorkerRequest(name="workers/XNAS-rx")),
        served.recovery.StartRecovery(recovery_pb.StartRecoveryRequest(exchange=NAME)),
        served.replay.StartReplay(
            replay_pb.StartReplayRequest(exchange=NAME, target="239.81.9.1:31901")
        ),
    ):
        found = await failure(call)
        assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "SHUTTING_DOWN")
    info = await served.system.GetServerInfo(system_pb.GetServerInfoRequest())
    assert info.draining
    assert not served.supervisor.drained
    health = health_pb2.HealthCheckRequest().SerializeToString()
    async with asyncio.timeout(60):
        status = health_pb2.HealthCheckResponse.SERVING
        while status != health_pb2.HealthCheckResponse.NOT_SERVING:
            answer = await raw_call(served, "/grpc.health.v1.Health/Check", health)
            status = health_pb2.HealthCheckResponse.FromString(answer).status
    async with asyncio.timeout(60):
        await served.plant.stop_requested.wait()


async def test_a_drain_may_take_the_workers_along(served: Served) -> None:
    """The answer tells how many."""
    request = system_pb.DrainDaemonRequest(stop_workers=True, reason="maintenance")
    response = await served.system.DrainDaemon(request)
    assert response.workers_stopping == 2
    assert served.supervisor.drained


async def test_a_command_goes_on_when_its_caller_leaves(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left half done, and a repetition finds the first response."""
    gate, entered = asyncio.Event(), asyncio.Event()
    remove = served.supervisor.remove

    async def slow_remove(name: str) -> None:
        entered.set()
        await gate.wait()
        await remove(name)

    monkeypatch.setattr(served.supervisor, "remove", slow_remove)
    etag = (await get_exchange(served)).etag
    request = exchange_pb.DeleteExchangeRequest(
        name=NAME, etag=etag, reason="test", request_id=str(uuid.uuid4())
    )
    call = served.exchange.DeleteExchange(request)
    waiting = asyncio.ensure_future(failure(call))
    async with asyncio.timeout(60):
        await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await until(lambda: not served.plant.store.list())
    repeated = await served.exchange.DeleteExchange(request)
    assert repeated.effects


async def flowing(served: Served) -> None:
    """Messages without end: data that stays fresh however late it is looked at."""
    while True:
        served.supervisor.stats["XNAS-rx"].traffic(1)
        await asyncio.sleep(0.02)


async def test_standard_health_follows_the_exchanges(served: Served) -> None:
    """The daemon serves; an exchange serves only with data that can be used."""
    stub: Any = health_pb2_grpc.HealthStub(served.channel)

    async def status(service: str) -> int:
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status

    serving_, not_serving = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )
    stream = stub.Watch(health_pb2.HealthCheckRequest(service="exchange/XNAS"))
    states = aiter(stream)
    async with asyncio.timeout(60):
        while (await anext(states)).status != not_serving:
            pass
        assert await status("") == serving_
        assert await status("tickdeck.v1") == serving_
        flow = asyncio.create_task(flowing(served))
        while (await anext(states)).status != serving_:
            pass
        flow.cancel()
    found = await failure(stub.Check(health_pb2.HealthCheckRequest(service="exchange/NOPE")))
    assert found.code is Code.NOT_FOUND
    stream.cancel()


async def test_reflection_lists_every_service(served: Served) -> None:
    """A generic client finds its way without our files."""
    channel: Any = served.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with asyncio.timeout(60):
        answer = await anext(aiter(stub.ServerReflectionInfo(ask())))
    names = {service.name for service in answer.list_services_response.service}
    assert {
        "tickdeck.v1.ExchangeService",
        "tickdeck.v1.ObserveService",
        "google.longrunning.Operations",
        "grpc.health.v1.Health",
    } <= names
    assert sum(1 for name in names if name.startswith("tickdeck.v1.")) == 9


async def test_an_unknown_method_is_unimplemented(served: Served) -> None:
    """Not a crash, not a hang."""
    assert (
        await failure(raw_call(served, "/tickdeck.v1.ExchangeService/Nope"))
    ).code is Code.UNIMPLEMENTED


async def test_bytes_that_are_no_request_are_refused(served: Served) -> None:
    """A caller that speaks another language gets an error; the others notice nothing."""
    found = await failure(
        raw_call(served, "/tickdeck.v1.ExchangeService/GetExchange", b"\xff\xff\xff")
    )
    assert found.code is Code.INVALID_ARGUMENT
    await get_exchange(served)


async def test_a_defect_becomes_internal_and_hides_nothing_else(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen exception has an ErrorInfo too, and the daemon serves on."""

    def broken() -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(served.plant, "totals", broken)
    found = await failure(served.observe.GetSnapshot(observe_pb.GetSnapshotRequest()))
    assert (found.code, found.reason) == (Code.INTERNAL, "INTERNAL")
    assert "a defect" not in found.text
    monkeypatch.undo()
    await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest())


async def test_a_failing_tick_does_not_stop_the_next(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, told in the server info, and observation goes on."""

    def broken(targets: object) -> None:
        raise ValueError(f"a defect: {targets}")

    monkeypatch.setattr(served.plant.sampler, "sample", broken)
    await until(lambda: served.plant.tick_failures >= 2)
    monkeypatch.undo()
    info = await served.system.GetServerInfo(system_pb.GetServerInfoRequest())
    assert info.counters["ticks_failed"] >= 2
    rx = served.supervisor.stats["XNAS-rx"]

    def seen() -> bool:
        rx.traffic(1)
        health = served.plant.health.get("XNAS")
        return health is not None and health.facts.messages_received > 0

    await until(seen)


async def test_racing_commands_leave_one_consistent_outcome(served: Served) -> None:
    """Adds, starts, stops and removals at once: counted once, nothing half there."""

    expected = (Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.ABORTED, Code.INVALID_ARGUMENT)

    async def quietly(call: Any) -> None:  # noqa: ANN401 - any call
        try:
            await call
        except aio.AioRpcError as error:
            if error.code() not in expected:
                raise

    for _ in range(10):
        etag = served.plant.store.get("XNAS").etag if served.plant.store.list() else "x"
        await asyncio.gather(
            *(quietly(served.exchange.CreateExchange(create_request())) for _ in range(3)),
            *(
                quietly(
                    served.exchange.DeleteExchange(
                        exchange_pb.DeleteExchangeRequest(name=NAME, etag=etag, reason="race")
                    )
                )
                for _ in range(2)
            ),
            quietly(served.exchange.StopCollection(exchange_pb.StopCollectionRequest(name=NAME))),
            quietly(served.exchange.StartCollection(exchange_pb.StartCollectionRequest(name=NAME))),
        )
        known = {record.name for record in served.plant.store.list()}
        running = {view.exchange for view in served.supervisor.workers()}
        assert running == known
        told = served.supervisor.records
        for record in served.plant.store.list():
            assert told[record.name].generation == record.generation
        files = {path.stem for path in served.settings.exchanges_dir.glob("*.toml")}
        assert files == known
    served.plant.tick()
    totals = served.plant.totals()
    assert totals.total_exchanges == len(served.plant.store.list())
    assert totals.total_active_tasks in (0, 2)
