"""Recovery, journal, replay, operations and books over a real socket."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2  # pyright: ignore[reportMissingTypeStubs]
from google.protobuf.timestamp_pb2 import Timestamp

from fake_journal_binary import FakeJournal
from fake_plant import exchange_toml
from serving import (
    NAME,
    Served,
    create_request,
    event_types,
    failure,
    raw_call,
    serving,
)
from tickdeck.v1 import book_service_pb2 as book_pb
from tickdeck.v1 import exchange_service_pb2 as exchange_pb
from tickdeck.v1 import journal_service_pb2 as journal_pb
from tickdeck.v1 import recovery_pb2
from tickdeck.v1 import recovery_service_pb2 as recovery_pb
from tickdeck.v1 import replay_service_pb2 as replay_pb
from tickdeck.v1 import worker_service_pb2 as worker_pb
from tickdeck_daemon.errors import NotFoundError, UnavailableError

OPERATIONS = "/google.longrunning.Operations"
Code = grpc.StatusCode


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange and a fake journal binary."""
    FakeJournal(tmp_path / "native")
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path / "native"))
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        yield served


async def test_gaps_are_listed_open_ones_first(served: Served) -> None:
    """With range, stage, sources and times; filters and page size hold."""
    rx = served.supervisor.stats["XNAS-rx"]
    now = time.time_ns()
    rx.gap(
        1,
        100,
        109,
        5,
        detected_ns=now - 9,
        closed_ns=now - 5,
        sources=5,
        drop_layer=8,
        drop_count=3,
    )
    rx.gap(2, 200, 219, 4, detected_ns=now - 2, attempts=3, missing=7)
    rx.add("gap_table_overflows_total", 6)
    served.plant.tick()
    response = await served.recovery.ListGaps(recovery_pb.ListGapsRequest())
    assert response.overflowed == 6
    opened, filled = response.gaps
    assert (opened.id, opened.stage) == (2, recovery_pb2.GAP_STAGE_PARTIAL)
    assert (opened.messages_missing, opened.attempts) == (7, 3)
    assert filled.stage == recovery_pb2.GAP_STAGE_FILLED
    assert list(filled.sources) == ["A", "retransmit"]
    assert filled.closed_time.ToNanoseconds() == now - 5
    assert (filled.drop_verdict, filled.drop_count) == ("socket", 3)
    assert (opened.drop_verdict, opened.drop_count) == ("", 0)
    assert not opened.HasField("closed_time")
    only = recovery_pb.ListGapsRequest(exchange=NAME, open_only=True)
    assert [gap.id for gap in (await served.recovery.ListGaps(only)).gaps] == [2]
    one = recovery_pb.ListGapsRequest(page_size=1)
    assert len((await served.recovery.ListGaps(one)).gaps) == 1
    many = recovery_pb.ListGapsRequest(page_size=1001)
    assert (await failure(served.recovery.ListGaps(many))).fields == ["page_size"]


REPORT: dict[str, Any] = {
    "lines": [
        {
            "line": "A",
            "receiver": 1,
            "path": "recvmmsg",
            "rungs": [
                {"path": "packet_mmap", "ok": False, "errno": 1, "error": "not permitted"},
                {"path": "recvmmsg", "ok": True, "errno": None, "error": ""},
            ],
        }
    ],
    "layers": [
        {
            **{"layer": "nic", "counter": "rx_dropped", "unit": "packets", "loss": True},
            **{"readable": False, "value": None, "since_start": None, "last_minute": None},
            "error": "no file",
        },
        {
            **{"layer": "socket", "counter": "drops", "unit": "packets", "loss": True},
            **{"readable": True, "value": 900, "since_start": 812, "last_minute": 0},
            "error": "",
        },
    ],
    "last_verdict": {
        **{"gap_id": 3, "layer": "socket", "lost": 812, "text": "socket 812"},
        **{"grown": [{"layer": "socket", "lost": 812}], "age_ns": 5, "span_ns": 2_000_000_007},
    },
}
"""What a worker answers to `receive.report`."""


async def test_the_receive_report_is_the_workers_own(served: Served) -> None:
    """Paths with refusals, counters with what could not be read, the last verdict."""
    request = worker_pb.GetReceiveReportRequest(exchange=NAME)
    served.supervisor.answers["receive.report"] = REPORT
    report = await served.worker.GetReceiveReport(request)
    assert ("XNAS-rx", "receive.report", {}) in served.supervisor.calls
    [line] = report.lines
    assert [(rung.ok, rung.errno) for rung in line.rungs] == [(False, 1), (True, 0)]
    nic, socket = report.layers
    assert (nic.readable, nic.error, nic.HasField("last_minute")) == (False, "no file", False)
    assert (socket.value, socket.since_start, socket.HasField("last_minute")) == (900, 812, True)
    last = report.last_verdict
    assert (last.layer, last.lost, last.grown[0].layer) == ("socket", 812, "socket")
    assert last.span.ToNanoseconds() == 2_000_000_007
    served.supervisor.answers["receive.report"] = {**REPORT, "last_verdict": None}
    assert not (await served.worker.GetReceiveReport(request)).HasField("last_verdict")
    for answer in ({}, {**REPORT, "layers": [{"layer": 7}]}):
        served.supervisor.answers["receive.report"] = answer
        found = await failure(served.worker.GetReceiveReport(request))
        assert (found.code, found.reason) == (Code.UNAVAILABLE, "CONTROL_PROTOCOL")


async def test_a_recovery_is_followed_to_its_end(served: Served) -> None:
    """The worker is asked; the operation ends when the gap is closed."""
    rx = served.supervisor.stats["XNAS-rx"]
    rx.gap(1, 100, 109, 3)
    served.plant.tick()
    request = recovery_pb.StartRecoveryRequest(exchange=NAME, gap_id=1)
    found = await failure(served.recovery.StartRecovery(request))
    assert found.code is Code.UNAVAILABLE
    served.supervisor.answers["recovery.start"] = {}
    response = await served.recovery.StartRecovery(request)
    assert ("XNAS-rx", "recovery.start", {"gap_id": 1}) in served.supervisor.calls
    progress = recovery_pb.RecoveryProgress()
    assert response.operation.metadata.Unpack(progress)
    assert (progress.gaps_open, progress.messages_missing) == (1, 10)
    rx.gap(1, 100, 109, 5, sources=4, closed_ns=time.time_ns())
    done = await wait(served, response.operation.name)
    assert done.response.Unpack(progress)
    assert (progress.gaps_open, progress.gaps_filled) == (0, 1)


async def wait(served: Served, name: str) -> "operations_pb2.Operation":
    """Wait for an operation by the standard service."""
    request = operations_pb2.WaitOperationRequest(name=name)
    path = f"{OPERATIONS}/WaitOperation"
    async with asyncio.timeout(120):
        while True:  # the daemon answers after half a minute at the latest, done or not
            answer = await raw_call(served, path, request.SerializeToString())
            operation = operations_pb2.Operation.FromString(answer)
            if operation.done:
                return operation


async def test_a_recovery_needs_an_open_gap_and_a_source(served: Served) -> None:
    """Nothing open, no such gap, a closed gap, nobody to ask: each its own reason."""

    async def reason(exchange: str = NAME, gap_id: int = 0) -> str:
        request = recovery_pb.StartRecoveryRequest(exchange=exchange, gap_id=gap_id)
        return (await failure(served.recovery.StartRecovery(request))).reason

    assert await reason() == "NO_OPEN_GAP"
    assert await reason(gap_id=9) == "GAP_NOT_FOUND"
    rx = served.supervisor.stats["XNAS-rx"]
    rx.gap(1, 100, 109, 5, closed_ns=time.time_ns())
    served.plant.tick()
    assert await reason(gap_id=1) == "GAP_NOT_OPEN"
    bare = exchange_pb.CreateExchangeRequest(toml=exchange_toml("BATS", port=31002))
    await served.exchange.CreateExchange(bare)
    served.supervisor.stats["BATS-rx"].gap(1, 100, 109, 3)
    served.plant.tick()
    assert await reason("exchanges/BATS", 1) == "NO_RECOVERY_SOURCE"
    request = recovery_pb.StartRecoveryRequest(exchange=NAME, gap_id=1, validate_only=True)
    assert (await failure(served.recovery.StartRecovery(request))).reason == "GAP_NOT_OPEN"


CUT = {
    "path": "/s/captures/XNAS/XNAS-cut-x.pcapng",
    "packets": 12,
    "first_ns": 1_700_000_000_000_000_001,
    "last_ns": 1_700_000_000_000_000_002,
    "bytes": 4000,
    "lapped": 3,
}


async def test_a_capture_is_cut(served: Served) -> None:
    """The worker gets exact nanoseconds, the caller the file; once for each request id."""
    await capture_of("BATS", 31002, served)
    served.supervisor.answers["capture.cut"] = CUT
    request = worker_pb.CutCaptureRequest(
        request_id=str(uuid.uuid4()), name="exchanges/BATS", reason=" burst "
    )
    request.from_time.FromNanoseconds(1_700_000_000_000_000_001)
    response = await served.worker.CutCapture(request)
    assert (response.path, response.packets, response.bytes) == (CUT["path"], 12, 4000)
    assert response.last_time.ToNanoseconds() == CUT["last_ns"]
    assert response.lapped == 3
    args = {"from_ns": 1_700_000_000_000_000_001, "reason": "burst"}
    assert served.supervisor.calls == [("BATS-rx", "capture.cut", args)]
    assert await served.worker.CutCapture(request) == response
    assert len(served.supervisor.calls) == 1
    bare = worker_pb.CutCaptureRequest(name="workers/BATS-rx")
    await served.worker.CutCapture(bare)
    assert served.supervisor.calls[1:] == [("BATS-rx", "capture.cut", {})]
    assert "capture.cut" in await event_types(served)


async def test_a_capture_that_cannot_be_cut(served: Served) -> None:
    """Each mistake and each state has its own reason; the worker is asked for none of them."""
    await capture_of("BATS", 31002, served)

    async def reason(
        name: str, from_time: Timestamp | None = None, to_time: Timestamp | None = None
    ) -> str:
        request = worker_pb.CutCaptureRequest(name=name, from_time=from_time, to_time=to_time)
        return (await failure(served.worker.CutCapture(request))).reason

    bats = "exchanges/BATS"
    assert await reason(NAME) == "CAPTURE_DISABLED"
    assert await reason("exchanges/NONE") == "EXCHANGE_NOT_FOUND"
    assert await reason("workers/NONE-rx") == "WORKER_NOT_FOUND"
    assert await reason("workers/BATS-book") == "NO_RECEIVER"
    assert await reason("BATS") == "INVALID_NAME"
    assert await reason(bats, from_time=Timestamp(seconds=-1)) == "INVALID_TIME"
    assert await reason(bats, to_time=Timestamp(seconds=1, nanos=10**9)) == "INVALID_TIME"
    assert await reason(bats, to_time=Timestamp(seconds=2**62)) == "INVALID_TIME"
    late, early = Timestamp(seconds=2), Timestamp(seconds=1)
    assert await reason(bats, from_time=late, to_time=early) == "EMPTY_SPAN"
    assert not served.supervisor.calls
    served.supervisor.answers["capture.cut"] = NotFoundError("it is empty", reason="NOT_FOUND")
    assert await reason(bats) == "NOT_FOUND"
    served.supervisor.answers["capture.cut"] = {"path": "/x"}
    assert await reason(bats) == "CONTROL_PROTOCOL"


async def capture_of(name: str, port: int, served: Served) -> None:
    """Add an exchange that captures."""
    toml = exchange_toml(name, port=port, extra="capture = { enabled = true }")
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))


def behave(tmp_path: Path, **behaviour: object) -> None:
    FakeJournal(tmp_path / "native").behave(**behaviour)


async def test_a_journal_is_shown(served: Served, tmp_path: Path) -> None:
    """Watermarks from the statistics, segments from the binary."""
    rx = served.supervisor.stats["XNAS-rx"]
    rx.set_all({"journal_appended_seq": 90, "journal_durable_seq": 80, "journal_segments": 2})
    served.plant.tick()
    request = journal_pb.GetJournalRequest(exchange=NAME)
    response = await served.journal.GetJournal(request)
    assert (response.journal.state, response.journal.durable_seq) == ("OK", 80)
    assert response.journal.sync_policy == "batch"
    assert not response.segments
    served.settings.journal_dir("XNAS").mkdir(parents=True)
    segment = {"file": "/x/1.seg", "number": 1, "base_seq": 1, "bytes": 500, "sealed": True}
    behave(tmp_path, info={"segments": [segment]})
    (one,) = (await served.journal.GetJournal(request)).segments
    assert (one.file, one.number, one.bytes, one.sealed) == ("1.seg", 1, 500, True)


async def test_a_journal_is_verified_by_the_binary(served: Served, tmp_path: Path) -> None:
    """The report is the operation's response; damage is a result, not an error."""
    report = {"segments": 2, "records": 50, "first_seq": 1, "last_seq": 50, "durable_seq": 50}
    behave(tmp_path, verify={**report, "problems": []})
    request = journal_pb.VerifyJournalRequest(exchange=NAME)
    response = await served.journal.VerifyJournal(request)
    progress = journal_pb.VerifyProgress()
    assert response.operation.metadata.Unpack(progress)
    assert progress.directory == str(served.settings.journal_dir("XNAS"))
    found = journal_pb.VerifyReport()
    assert (await wait(served, response.operation.name)).response.Unpack(found)
    assert found.whole
    assert (found.records, found.last_seq) == (50, 50)
    problem = {"file": "2.seg", "offset": 77, "class": "corrupt", "from": 9, "to": 12}
    behave(tmp_path, verify={**report, "problems": [problem]}, verify_code=1)
    response = await served.journal.VerifyJournal(request)
    assert (await wait(served, response.operation.name)).response.Unpack(found)
    assert not found.whole
    assert (found.problems[0].file, getattr(found.problems[0], "class")) == ("2.seg", "corrupt")


async def test_a_verification_that_cannot_run_is_an_error(served: Served, tmp_path: Path) -> None:
    """The binary's last words are in the operation's error."""
    behave(tmp_path, stderr="permission denied", verify_code=1)
    request = journal_pb.VerifyJournalRequest(exchange=NAME)
    response = await served.journal.VerifyJournal(request)
    done = await wait(served, response.operation.name)
    assert done.error.code == Code.INTERNAL.value[0]
    assert "permission denied" in done.error.message


async def test_operations_are_listed_and_forgotten_ones_not_found(
    served: Served, tmp_path: Path
) -> None:
    """By the standard service, as any client library does it."""
    behave(tmp_path, verify={"problems": []})
    request = journal_pb.VerifyJournalRequest(exchange=NAME)
    name = (await served.journal.VerifyJournal(request)).operation.name
    answer = await raw_call(served, f"{OPERATIONS}/ListOperations")
    listed = operations_pb2.ListOperationsResponse.FromString(answer)
    assert [operation.name for operation in listed.operations] == [name]
    unknown = operations_pb2.GetOperationRequest(name="operations/nope").SerializeToString()
    found = await failure(raw_call(served, f"{OPERATIONS}/GetOperation", unknown))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "OPERATION_NOT_FOUND")
    found = await failure(raw_call(served, f"{OPERATIONS}/DeleteOperation", unknown))
    assert found.code is Code.UNIMPLEMENTED


def replay(**fields: object) -> replay_pb.StartReplayRequest:
    values: dict[str, Any] = {"target": "239.81.9.1:31901", "speed": 1.0, **fields}
    return replay_pb.StartReplayRequest(exchange=NAME, **values)


async def test_a_replay_is_started_watched_and_done(served: Served, tmp_path: Path) -> None:
    """Its state by every way: response, watch, list, operation."""
    behave(tmp_path, hang=True, replay_packets=4)
    response = await served.replay.StartReplay(replay())
    name = response.replay.name
    assert response.replay.state == replay_pb.REPLAY_STATE_RUNNING
    assert any("239.81.9.1:31901" in effect for effect in response.effects)
    stream = aiter(served.replay.WatchReplay(replay_pb.WatchReplayRequest(name=name)))
    async with asyncio.timeout(60):
        while (await anext(stream)).replay.packets_sent != 4:
            pass
    listed = await served.replay.ListReplays(replay_pb.ListReplaysRequest())
    assert [one.name for one in listed.replays] == [name]
    await served.replay.StopReplay(replay_pb.StopReplayRequest(name=name))
    async with asyncio.timeout(60):
        last = [message async for message in stream][-1].replay
    assert last.state == replay_pb.REPLAY_STATE_STOPPED
    assert last.HasField("end_time")
    done = await wait(served, response.operation.name)
    stopped = replay_pb.Replay()
    assert done.response.Unpack(stopped)
    assert stopped.state == replay_pb.REPLAY_STATE_STOPPED
    got = await served.replay.GetReplay(replay_pb.GetReplayRequest(name=name))
    assert got.replay.source_kind == "journal"
    types = await event_types(served)
    assert types.index("replay.running") < types.index("replay.stopped")
    (begun,) = [e for e in served.plant.events.recent if e.type == "replay.running"]
    assert begun.actor.startswith("uid:")


async def test_a_replay_onto_a_live_line_is_refused(served: Served) -> None:
    """By group and port, also when it is only asked for."""
    for validate_only in (False, True):
        request = replay(target="239.81.0.1:31001", validate_only=validate_only)
        found = await failure(served.replay.StartReplay(request))
        assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "REPLAY_TARGET_IS_LIVE")
        assert found.details["PreconditionFailure"].violations
    found = await failure(served.replay.StartReplay(replay(target="10.0.0.1:1", speed=-1.0)))
    assert (found.code, set(found.fields)) == (Code.INVALID_ARGUMENT, {"target", "speed"})
    none = replay_pb.StartReplayRequest(target="239.81.9.1:31901")
    assert (await failure(served.replay.StartReplay(none))).reason == "NO_SOURCE"
    assert not (await served.replay.ListReplays(replay_pb.ListReplaysRequest())).replays


async def test_an_unknown_replay_is_not_found(served: Served) -> None:
    """By every RPC that takes one."""
    name = "replays/nope"
    for call in (
        served.replay.GetReplay(replay_pb.GetReplayRequest(name=name)),
        served.replay.StopReplay(replay_pb.StopReplayRequest(name=name)),
        anext(aiter(served.replay.WatchReplay(replay_pb.WatchReplayRequest(name=name)))),
    ):
        assert (await failure(call)).reason == "REPLAY_NOT_FOUND"


BOOK = {
    "symbol": "AAPL",
    "orders": 3,
    "bid_levels": 2,
    "ask_levels": 1,
    "best_bid": [1000, 5],
    "best_ask": None,
    "trust": "GOOD",
    "suspect_since": 0,
}


async def test_books_are_asked_of_the_worker(served: Served) -> None:
    """Summaries and depth, with integers as they are."""
    served.supervisor.answers["book.list"] = {
        "books": [
            {**BOOK, "queue_sha256": "ab", "price_decimals": 8, "quantity_decimals": 4},
            {**BOOK, "book": "price"},
        ],
        "total": 2,
        "cursor": 7,
        "messages": 99,
        "next_sequence": 100,
    }
    request = book_pb.ListBooksRequest(exchange=NAME, hashes=True)
    response = await served.book.ListBooks(request)
    assert ("XNAS-book", "book.list", {"hashes": True, "offset": 0}) in served.supervisor.calls
    (one, two) = response.books
    assert (one.symbol, one.best_bid.price, one.queue_sha256) == ("AAPL", 1000, "ab")
    assert not one.HasField("best_ask")
    assert (one.tick, one.HasField("spread_ticks")) == (0, False)
    assert (one.price_decimals, one.quantity_decimals) == (8, 4)
    assert (one.kind, two.kind) == ("order", "price")
    assert (response.cursor_seq, response.messages, response.next_sequence) == (7, 99, 100)
    served.supervisor.answers["book.depth"] = {
        **BOOK,
        "tick": 10,
        "spread_ticks": 0,
        "price_decimals": 4,
        "bids": [[1000, 5, 1], [990, 2**40, 2]],
        "asks": [],
        "cursor": 8,
    }
    depth = await served.book.GetDepth(book_pb.GetDepthRequest(exchange=NAME, symbol="AAPL"))
    assert ("XNAS-book", "book.depth", {"symbol": "AAPL", "levels": 10}) in served.supervisor.calls
    assert [(level.price, level.quantity, level.orders) for level in depth.bids] == [
        (1000, 5, 1),
        (990, 2**40, 2),
    ]
    assert (depth.summary.tick, depth.summary.spread_ticks, depth.summary.price_decimals) == (
        10,
        0,
        4,
    )
    assert depth.summary.HasField("spread_ticks")


async def test_many_books_are_asked_for_in_parts(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's answer is bounded; the caller gets all of them in one list."""
    symbols = [f"S{n}" for n in range(5)]

    async def call(worker: str, op: str, args: dict[str, Any], *, timeout_s: float) -> Any:  # noqa: ANN401
        assert (worker, op, timeout_s > 0) == ("XNAS-book", "book.list", True)
        page = symbols[args["offset"] : args["offset"] + 2]
        return {"books": [{**BOOK, "symbol": symbol} for symbol in page], "total": len(symbols)}

    monkeypatch.setattr(served.supervisor, "call", call)
    response = await served.book.ListBooks(book_pb.ListBooksRequest(exchange=NAME))
    assert [book.symbol for book in response.books] == symbols


async def test_books_fail_clearly(served: Served) -> None:
    """Wrong requests, an unknown symbol, a dead worker, nonsense, no books at all."""
    book = served.book
    depth = book_pb.GetDepthRequest(exchange=NAME, symbol=" ", levels=1001, kind="volume")
    assert set((await failure(book.GetDepth(depth))).fields) == {"symbol", "levels", "kind"}
    good = book_pb.GetDepthRequest(exchange=NAME, symbol="NOPE")
    served.supervisor.answers["book.depth"] = NotFoundError("no book", reason="UNKNOWN_SYMBOL")
    found = await failure(book.GetDepth(good))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_SYMBOL")
    served.supervisor.answers["book.depth"] = UnavailableError("no process")
    found = await failure(book.GetDepth(good))
    assert found.code is Code.UNAVAILABLE
    assert found.details["RetryInfo"].retry_delay.seconds == 1
    served.supervisor.answers["book.depth"] = {**BOOK, "bids": [["x"]]}
    found = await failure(book.GetDepth(good))
    assert (found.code, found.reason) == (Code.UNAVAILABLE, "CONTROL_PROTOCOL")
    toml = exchange_toml("BATS", port=31002) + "[book]\nenabled = false\n"
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    request = book_pb.ListBooksRequest(exchange="exchanges/BATS")
    found = await failure(book.ListBooks(request))
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "BOOKS_DISABLED")
