"""Exchanges, workers, health and statistics over a real socket, successes and errors."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fake_journal_binary import FakeJournal
from fake_plant import exchange_toml
from serving import (
    NAME,
    Served,
    create_request,
    event_types,
    failure,
    get_exchange,
    serving,
)
from tickdeck.v1 import book_service_pb2 as book_pb
from tickdeck.v1 import exchange_pb2, observe_pb2, worker_pb2
from tickdeck.v1 import exchange_service_pb2 as exchange_pb
from tickdeck.v1 import journal_service_pb2 as journal_pb
from tickdeck.v1 import observe_service_pb2 as observe_pb
from tickdeck.v1 import recovery_service_pb2 as recovery_pb
from tickdeck.v1 import replay_service_pb2 as replay_pb
from tickdeck.v1 import system_service_pb2 as system_pb
from tickdeck.v1 import worker_service_pb2 as worker_pb

NOPE = "exchanges/NOPE"
Code = grpc.StatusCode


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange and a fake journal binary."""
    FakeJournal(tmp_path / "native")
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path / "native"))
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        yield served


async def test_the_socket_is_for_its_owner_only(served: Served) -> None:
    """Nobody else may connect, from the first moment on."""
    assert os.stat(served.settings.socket_path).st_mode & 0o777 == 0o600


async def test_server_info(served: Served) -> None:
    """Version, instance, process, and the daemon's own counters."""
    info = await served.system.GetServerInfo(system_pb.GetServerInfoRequest())
    assert (info.pid, info.instance_id) == (os.getpid(), served.plant.instance_id)
    assert not info.draining
    assert info.start_time.seconds > 1_700_000_000
    assert info.counters["ticks_failed"] == 0


async def test_an_exchange_is_created_listed_and_read(served: Served) -> None:
    """What was sent comes back, with etag, generation, desired state and statistics."""
    response = await served.exchange.CreateExchange(create_request("BATS", 31002))
    assert any("start worker BATS-rx" in effect for effect in response.effects)
    exchange = response.exchange
    assert (exchange.name, exchange.managed_by, exchange.generation) == ("exchanges/BATS", "api", 1)
    assert exchange.etag.startswith('"')
    assert [(line.name, line.port) for line in exchange.spec.lines] == [("A", 31002), ("B", 31002)]
    assert [line.source for line in exchange.spec.lines] == ["", ""]
    assert exchange.spec.request_address == "127.0.0.1:31009"
    listed = await served.exchange.ListExchanges(exchange_pb.ListExchangesRequest())
    assert [one.name for one in listed.exchanges] == ["exchanges/BATS", NAME]
    status = (await get_exchange(served, "exchanges/BATS")).status
    assert status.desired == exchange_pb2.DESIRED_STATE_RUNNING
    assert status.active_tasks == 2
    assert not status.connected


async def test_status_carries_the_required_statistics(served: Served) -> None:
    """Connected by evidence, with times and counts from the statistics."""
    served.supervisor.stats["XNAS-rx"].traffic(5)
    served.plant.tick()
    status = (await get_exchange(served)).status
    assert status.connected
    assert (status.transport, status.data) == (
        exchange_pb2.TRANSPORT_UP,
        exchange_pb2.DATA_STATE_OK,
    )
    assert (status.messages_received, status.bytes_received) == (50, 4000)
    assert abs(status.last_message_timestamp.seconds - time.time()) < 60
    assert status.connection_start_time.seconds > 0
    served.supervisor.crash("XNAS-rx")
    served.supervisor.run_again("XNAS-rx")
    served.plant.tick()
    status = (await get_exchange(served)).status
    assert status.reconnection_attempts == 1
    assert status.last_error_timestamp.seconds > 0
    assert "BACKOFF" in status.last_error
    assert status.messages_received == 50


async def test_a_taken_name_is_refused_and_changes_nothing(served: Served) -> None:
    """The exchange that is there is never overwritten."""
    before = await get_exchange(served)
    found = await failure(served.exchange.CreateExchange(create_request("XNAS", 31009)))
    assert (found.code, found.reason) == (Code.ALREADY_EXISTS, "EXCHANGE_EXISTS")
    assert (await get_exchange(served)).etag == before.etag


async def test_a_broken_file_gives_every_fault_by_field(served: Served) -> None:
    """Unknown keys, bad addresses: all at once, as violations, and nothing is created."""
    toml = exchange_toml("BATS", port=31002).replace("239.81.0.1", "10.0.0.1")
    toml += '[recovery]\nreply_protocol = "none"\n'
    found = await failure(
        served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    )
    assert found.code is Code.INVALID_ARGUMENT
    assert {"line[0].group", "recovery.reply_protocol"} <= set(found.fields)
    assert "replay_protocol" in found.text
    listed = await served.exchange.ListExchanges(exchange_pb.ListExchangesRequest())
    assert len(listed.exchanges) == 1


async def test_a_line_in_use_is_refused(served: Served) -> None:
    """Two exchanges never share a group and port."""
    found = await failure(served.exchange.CreateExchange(create_request("BATS", 31001)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "EXCHANGE_CLASH")


async def test_validate_only_tells_the_effects_and_does_nothing(served: Served) -> None:
    """The same errors, the same effects, no change: for each command on an exchange."""
    orders = list(served.supervisor.orders)
    preview = await served.exchange.CreateExchange(
        create_request("BATS", 31002, validate_only=True)
    )
    assert preview.effects
    found = await failure(served.exchange.CreateExchange(create_request(validate_only=True)))
    assert found.code is Code.ALREADY_EXISTS
    etag = (await get_exchange(served)).etag
    stop = exchange_pb.StopCollectionRequest(name=NAME, validate_only=True)
    assert "drain worker XNAS-book" in (await served.exchange.StopCollection(stop)).effects[0]
    delete = exchange_pb.DeleteExchangeRequest(name=NAME, etag=etag, reason="x", validate_only=True)
    assert any("journal" in e for e in (await served.exchange.DeleteExchange(delete)).effects)
    toml = exchange_toml(port=31005)
    update = exchange_pb.UpdateExchangeRequest(name=NAME, etag=etag, toml=toml, validate_only=True)
    effects = (await served.exchange.UpdateExchange(update)).effects
    assert any("restart worker XNAS-rx" in effect for effect in effects)
    assert not any("XNAS-book" in effect for effect in effects)
    stale = exchange_pb.UpdateExchangeRequest(name=NAME, etag='"x"', toml=toml, validate_only=True)
    assert (await failure(served.exchange.UpdateExchange(stale))).code is Code.ABORTED
    restart = worker_pb.RestartWorkerRequest(name="workers/XNAS-rx", validate_only=True)
    assert (await served.worker.RestartWorker(restart)).effects
    assert served.supervisor.orders == orders
    assert (await get_exchange(served)).etag == etag


async def test_update_replaces_the_file_and_tells_the_supervisor(served: Served) -> None:
    """A new generation and a new etag; the old etag is then refused."""
    before = await get_exchange(served)
    toml = exchange_toml(port=31005)
    request = exchange_pb.UpdateExchangeRequest(name=NAME, etag=before.etag, toml=toml)
    after = (await served.exchange.UpdateExchange(request)).exchange
    assert (after.generation, after.spec.lines[0].port) == (before.generation + 1, 31005)
    assert after.etag != before.etag
    assert served.supervisor.records["XNAS"].generation == after.generation
    found = await failure(served.exchange.UpdateExchange(request))
    assert (found.code, found.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert "exchange.updated" in await event_types(served)


async def test_an_update_without_etag_or_with_another_name_is_refused(served: Served) -> None:
    """Neither a blind overwrite nor a renaming."""
    toml = exchange_toml(port=31005)
    request = exchange_pb.UpdateExchangeRequest(name=NAME, toml=toml)
    assert (await failure(served.exchange.UpdateExchange(request))).fields == ["etag"]
    etag = (await get_exchange(served)).etag
    request = exchange_pb.UpdateExchangeRequest(
        name=NAME, etag=etag, toml=exchange_toml("BATS", port=31005)
    )
    assert (await failure(served.exchange.UpdateExchange(request))).reason == "NAME_CHANGED"


async def test_delete_drains_then_forgets(served: Served) -> None:
    """A reason and the etag are needed; afterwards the name is free again."""
    etag = (await get_exchange(served)).etag
    no_reason = exchange_pb.DeleteExchangeRequest(name=NAME, etag=etag)
    assert (await failure(served.exchange.DeleteExchange(no_reason))).fields == ["reason"]
    wrong = exchange_pb.DeleteExchangeRequest(name=NAME, etag='"x"', reason="test")
    assert (await failure(served.exchange.DeleteExchange(wrong))).code is Code.ABORTED
    assert served.supervisor.orders[-1] != "remove XNAS"
    request = exchange_pb.DeleteExchangeRequest(name=NAME, etag=etag, reason="test")
    await served.exchange.DeleteExchange(request)
    assert served.supervisor.orders[-1] == "remove XNAS"
    assert (await failure(served.exchange.DeleteExchange(request))).code is Code.NOT_FOUND
    assert not (served.settings.exchanges_dir / "XNAS.toml").exists()
    await served.exchange.CreateExchange(create_request())


async def test_a_delete_that_cannot_end_leaves_a_stopped_exchange(served: Served) -> None:
    """A file that was edited by hand is not thrown away, and nothing is half gone."""
    exchange = await get_exchange(served)
    path = served.settings.exchanges_dir / "XNAS.toml"
    path.write_text(path.read_text() + "# edited\n")
    request = exchange_pb.DeleteExchangeRequest(name=NAME, etag=exchange.etag, reason="test")
    found = await failure(served.exchange.DeleteExchange(request))
    assert (found.code, found.reason) == (Code.ABORTED, "FILE_CHANGED")
    assert (await get_exchange(served)).status.desired == exchange_pb2.DESIRED_STATE_STOPPED


async def test_stop_and_start_set_the_desired_state(served: Served) -> None:
    """Each once; a second time changes nothing and says so."""
    stop = exchange_pb.StopCollectionRequest(name=NAME, reason="maintenance")
    stopped = await served.exchange.StopCollection(stop)
    assert stopped.exchange.status.desired == exchange_pb2.DESIRED_STATE_STOPPED
    again = await served.exchange.StopCollection(stop)
    assert again.exchange.generation == stopped.exchange.generation
    assert again.effects[0].startswith("nothing")
    snapshot = await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest(name=NAME))
    assert snapshot.exchanges[0].state == observe_pb2.HEALTH_STATE_CLOSED
    start = exchange_pb.StartCollectionRequest(name=NAME)
    started = await served.exchange.StartCollection(start)
    assert started.exchange.status.desired == exchange_pb2.DESIRED_STATE_RUNNING
    assert started.exchange.status.active_tasks == 2
    again_started = await served.exchange.StartCollection(start)
    assert again_started.exchange.status.active_tasks == 2
    assert {"exchange.stopped", "exchange.started"} <= set(await event_types(served))


@pytest.mark.parametrize("name", [NOPE, "XNAS", "", "workers/XNAS"])
async def test_an_unknown_exchange_is_the_same_error_everywhere(served: Served, name: str) -> None:
    """NOT_FOUND for a name that is not there, INVALID_ARGUMENT for what is no name."""
    calls = [
        served.exchange.GetExchange(exchange_pb.GetExchangeRequest(name=name)),
        served.exchange.UpdateExchange(exchange_pb.UpdateExchangeRequest(name=name, etag="x")),
        served.exchange.DeleteExchange(
            exchange_pb.DeleteExchangeRequest(name=name, etag="x", reason="x")
        ),
        served.exchange.StartCollection(exchange_pb.StartCollectionRequest(name=name)),
        served.exchange.StopCollection(exchange_pb.StopCollectionRequest(name=name)),
        served.observe.GetLatency(observe_pb.GetLatencyRequest(name=name)),
        served.recovery.StartRecovery(recovery_pb.StartRecoveryRequest(exchange=name)),
        served.journal.GetJournal(journal_pb.GetJournalRequest(exchange=name)),
        served.journal.VerifyJournal(journal_pb.VerifyJournalRequest(exchange=name)),
        served.worker.GetReceiveReport(worker_pb.GetReceiveReportRequest(exchange=name)),
        served.book.ListBooks(book_pb.ListBooksRequest(exchange=name)),
        served.book.GetDepth(book_pb.GetDepthRequest(exchange=name, symbol="X")),
        served.book.CheckBooks(book_pb.CheckBooksRequest(exchange=name)),
        served.book.VerifyBooks(book_pb.VerifyBooksRequest(exchange=name)),
        served.replay.StartReplay(
            replay_pb.StartReplayRequest(exchange=name, target="239.81.9.1:31901")
        ),
    ]
    if name:  # empty means all exchanges to these
        calls += [
            served.observe.GetSnapshot(observe_pb.GetSnapshotRequest(name=name)),
            served.observe.RunHealthCheck(observe_pb.RunHealthCheckRequest(name=name)),
            served.recovery.ListGaps(recovery_pb.ListGapsRequest(exchange=name)),
            served.worker.ListWorkers(worker_pb.ListWorkersRequest(exchange=name)),
        ]
    for call in calls:
        found = await failure(call)
        if name == NOPE:
            assert (found.code, found.reason) == (Code.NOT_FOUND, "EXCHANGE_NOT_FOUND")
            assert found.details["ErrorInfo"].metadata["exchange"] == "NOPE"
            assert found.details["ErrorInfo"].domain == "tickdeck"
        else:
            assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_NAME")


async def test_a_repeated_request_gets_the_first_response(served: Served) -> None:
    """With the same id nothing happens twice, not even an error."""
    identity = str(uuid.uuid4())
    request = create_request("BATS", 31002, request_id=identity)
    first = await served.exchange.CreateExchange(request)
    orders = list(served.supervisor.orders)
    second = await served.exchange.CreateExchange(
        create_request("BATS", 31002, request_id=identity)
    )
    assert second == first
    assert served.supervisor.orders == orders
    other = await failure(
        served.exchange.CreateExchange(create_request("EDGX", 31003, request_id=identity))
    )
    assert (other.code, other.reason) == (Code.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    bad = await failure(
        served.exchange.CreateExchange(create_request("EDGX", 31003, request_id="7"))
    )
    assert (bad.code, bad.fields) == (Code.INVALID_ARGUMENT, ["request_id"])


async def test_workers_are_listed_and_restarted(served: Served) -> None:
    """Identity, state, age of the heartbeat; a restart is ordered, not awaited."""
    listed = await served.worker.ListWorkers(worker_pb.ListWorkersRequest(exchange=NAME))
    assert [worker.name for worker in listed.workers] == ["workers/XNAS-book", "workers/XNAS-rx"]
    worker = listed.workers[1]
    assert (worker.kind, worker.state) == ("rx", worker_pb2.WORKER_STATE_RUNNING)
    assert worker.ready
    assert worker.core == -1
    assert worker.stats_path.endswith(f"stats.{worker.incarnation}.dat")
    request = worker_pb.RestartWorkerRequest(name="workers/XNAS-rx", reason="test")
    response = await served.worker.RestartWorker(request)
    assert served.supervisor.orders[-1] == "restart XNAS-rx"
    assert response.worker.name == "workers/XNAS-rx"
    assert "worker.restart_ordered" in await event_types(served)
    unknown = worker_pb.RestartWorkerRequest(name="workers/NOPE-rx")
    found = await failure(served.worker.RestartWorker(unknown))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "WORKER_NOT_FOUND")


async def test_a_snapshot_has_rows_and_totals(served: Served) -> None:
    """One row for each exchange, with its causes, and the required global statistics."""
    await served.exchange.CreateExchange(create_request("BATS", 31002))
    served.supervisor.stats["XNAS-rx"].traffic(5)
    served.plant.tick()
    snapshot = await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest())
    assert [row.name for row in snapshot.exchanges] == ["exchanges/BATS", NAME]
    bats, xnas = snapshot.exchanges
    assert bats.state == observe_pb2.HEALTH_STATE_STALE
    assert bats.causes[0].summary == "waiting for the first packet"
    assert [line.line for line in xnas.lines] == ["A", "B"]
    assert xnas.workers == ["rx RUNNING", "book RUNNING"]
    totals = snapshot.totals
    assert (totals.total_exchanges, totals.total_active_tasks) == (2, 4)
    assert (totals.total_messages_received, totals.total_bytes_received) == (50, 4000)
    assert totals.uptime_seconds > 0


async def test_latency_is_cumulative_by_stage(served: Served) -> None:
    """Buckets that merge by adding, with unit and timestamp source."""
    served.supervisor.stats["XNAS-book"].record(
        "latency_rx_to_book_ns", 1500, labels="source=kernel", times=4
    )
    await served.worker.RestartWorker(worker_pb.RestartWorkerRequest(name="workers/XNAS-rx"))
    request = observe_pb.GetLatencyRequest(name=NAME)
    served.supervisor.stats["XNAS-rx"].record("journal_sync_ns", 700, times=2)

    async def stages() -> dict[str, observe_pb2.Histogram]:
        served.plant.tick()
        response = await served.observe.GetLatency(request)
        return {h.stage: h for h in response.histograms if h.count}

    found = await stages()
    async with asyncio.timeout(60):
        while len(found) < 2:  # histograms are read once a second
            await asyncio.sleep(0.05)
            found = await stages()
    assert found["rx_to_book"].timestamp_source == "kernel"
    (bucket,) = found["rx_to_book"].buckets
    assert bucket.lower <= 1500 < bucket.upper
    assert (bucket.count, found["journal_sync"].count) == (4, 2)


async def test_a_health_check_tells_its_evidence(served: Served) -> None:
    """Every check with evidence; the time of the last one is in the status."""
    response = await served.observe.RunHealthCheck(observe_pb.RunHealthCheckRequest(name=NAME))
    (exchange,) = response.exchanges
    checks = {check.check: check for check in exchange.checks}
    assert exchange.verdict == observe_pb2.CHECK_VERDICT_FAIL
    assert checks["process.rx"].verdict == observe_pb2.CHECK_VERDICT_PASS
    assert checks["control.rx"].verdict == observe_pb2.CHECK_VERDICT_PASS
    assert checks["feed.progress.A"].verdict == observe_pb2.CHECK_VERDICT_FAIL
    assert checks["feed.progress.A"].remedy
    assert ("XNAS-rx", "status", {}) in served.supervisor.calls
    status = (await get_exchange(served)).status
    assert status.last_health_check.seconds > 0
    assert not status.health_check_in_progress


async def test_checks_of_all_exchanges_run_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name every exchange is checked, together: none waits for another's end."""
    await served.exchange.CreateExchange(create_request("BATS", 31002))
    call, asked, both = served.supervisor.call, set[str](), asyncio.Event()

    async def gated(worker: str, op: str, args: dict[str, Any], *, timeout_s: float) -> Any:  # noqa: ANN401
        if op == "status":
            asked.add(worker.partition("-")[0])
            if asked == {"BATS", "XNAS"}:
                both.set()
            await both.wait()
        return await call(worker, op, args, timeout_s=timeout_s)

    monkeypatch.setattr(served.supervisor, "call", gated)
    response = await served.observe.RunHealthCheck(observe_pb.RunHealthCheckRequest())
    assert [exchange.name for exchange in response.exchanges] == ["exchanges/BATS", NAME]
