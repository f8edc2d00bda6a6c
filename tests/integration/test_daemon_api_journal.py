"""JournalService over a real socket: watermarks, readers, seal, prune, acknowledgement."""

import json
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from fake_journal_binary import FakeJournal
from fake_plant import exchange_toml
from fake_stats import JOURNAL_METRICS, RX_METRICS
from serving import NAME, Served, event_types, failure, serving
from tickdeck.v1 import exchange_service_pb2 as exchange_pb
from tickdeck.v1 import journal_service_pb2 as pb
from tickdeck.v1 import observe_service_pb2 as observe_pb
from tickdeck_daemon.errors import InvalidError, UnavailableError, WrongStateError
from tickdeck_daemon.observe.loss_watch import LossWatch
from tickdeck_daemon.observe.losses import LossStore
from tickdeck_daemon.operate import journal_orders, recovery_report, subscribers
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.workers.views import WorkerState

Code = grpc.StatusCode
EXPORT = """
[tcp_export]
enabled = true
addr = "unix:/run/x.sock"
"""
PRUNED = {"deleted": ["1", "2"], "bytes": 128, "first_seq": 70, "held_by": "desk-1"}
REPORT = {
    "time_ns": 1_700_000_000_000_000_000,
    "mode": "tail",
    "clean": False,
    "writer_epoch": 4,
    "actions": [],
    "problems": [
        {
            "file": "0000000003.tdj",
            "offset": 4096,
            "class": "torn_tail",
            "from": 90,
            "to": None,
            "bytes": 512,
            "action": "cut_torn_tail",
        }
    ],
    "acknowledged": False,
}


@pytest.fixture
def native(tmp_path: Path) -> FakeJournal:
    """The tool that looks at journals and prunes them."""
    native = FakeJournal(tmp_path / "native")
    native.behave(info={"segments": []}, prune=PRUNED)
    return native


@pytest.fixture
async def served(native: FakeJournal, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange that has an exporter, its workers of this release."""
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(native.native))
    async with serving() as served:
        served.supervisor.rx_metrics = (*RX_METRICS, *JOURNAL_METRICS)
        toml = exchange_toml() + EXPORT
        await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
        served.plant.tick()
        yield served


def directory(served: Served, name: str = "XNAS") -> Path:
    path = Path(served.plant.collector.journal_directory(served.plant.store.get(name)))
    path.mkdir(parents=True, exist_ok=True)
    return path


def report(served: Served, **changes: Any) -> Path:  # noqa: ANN401 - any field may be changed
    path = directory(served) / "recovery-report.json"
    path.write_text(json.dumps({**REPORT, **changes}))
    return path


def once(exchange: str = NAME, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of any request
    return {"exchange": exchange, "request_id": str(uuid.uuid4()), **fields}


async def causes(served: Served) -> set[str]:
    """The summaries of what is wrong now."""
    served.plant.tick()
    answer = await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest(name=NAME))
    return {cause.summary for cause in answer.exchanges[0].causes}


async def test_the_watermarks_end_with_what_readers_acknowledged(served: Served) -> None:
    """Appended, written, durable by rx, acked by the exporter; the promise in words."""
    served.supervisor.stats["XNAS-rx"].set_all(
        {
            "journal_appended_seq": 120,
            "journal_written_seq": 110,
            "journal_durable_seq": 100,
            "journal_oldest_seq": 7,
        }
    )
    served.supervisor.stats["XNAS-export"].set_all(
        {
            "tcp_export_acked_seq": 90,
            "tcp_export_active_subscribers": 2,
            "tcp_export_sight_age_ms": 210,
            "tcp_export_pin_lag_ms": 3,
        }
    )
    served.plant.tick()
    journal = (await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))).journal
    marks = (journal.appended_seq, journal.written_seq, journal.durable_seq, journal.acked_seq)
    assert marks == (120, 110, 100, 90)
    assert journal.oldest_seq == 7
    assert journal.worst_loss == "nothing acknowledged; else the last 5 ms + one sync"
    row = (await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest(name=NAME))).exchanges[0]
    assert (row.export.state, row.export.active_subscribers) == ("RUNNING", 2)
    assert (row.export.sight_age_ms, row.export.pin_lag_ms) == (210, 3)
    assert list(row.workers) == ["rx RUNNING", "book RUNNING", "export RUNNING"]


async def test_nobody_acknowledges_without_named_readers(served: Served) -> None:
    """Neither 0 nor the highest number is shown as a sequence."""
    for value in (0, 2**64 - 1):
        served.supervisor.stats["XNAS-export"].set_all({"tcp_export_acked_seq": value})
        served.plant.tick()
        answer = await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))
        assert not answer.journal.HasField("acked_seq")


async def test_workers_of_the_release_before_are_taken(served: Served) -> None:
    """An rx without the new metrics: what it does not count is 0, and nothing breaks."""
    served.supervisor.rx_metrics = RX_METRICS
    toml = exchange_toml("BATS", port=31002)
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    served.plant.tick()
    request = pb.GetJournalRequest(exchange="exchanges/BATS")
    journal = (await served.journal.GetJournal(request)).journal
    assert (journal.state, journal.holes, journal.recovery_problems) == ("OK", 0, 0)
    request_of_row = observe_pb.GetSnapshotRequest(name="exchanges/BATS")
    row = (await served.observe.GetSnapshot(request_of_row)).exchanges[0]
    assert not row.HasField("export")


async def test_the_recovery_report_is_shown_until_acknowledged(served: Served) -> None:
    """Its problem with place, range and action; the mark is written into the file."""
    path = report(served)
    served.supervisor.stats["XNAS-rx"].set_all({"journal_recovery_problems": 1})
    assert "recovery report of the journal waits for you" in await causes(served)
    shown = (await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))).recovery
    (problem,) = shown.problems
    assert (problem.file, problem.offset, problem.action) == (
        "0000000003.tdj",
        4096,
        "cut_torn_tail",
    )
    assert (getattr(problem, "class"), problem.from_seq, problem.to_seq) == ("torn_tail", 90, 0)
    # A worker that does not know the op leaves the file to us.
    served.supervisor.answers["journal.acknowledge"] = InvalidError("?", reason="UNKNOWN_OP")
    planned = await served.journal.AcknowledgeRecovery(
        pb.AcknowledgeRecoveryRequest(**once(reason="looked", validate_only=True))
    )
    assert list(planned.effects) == ["mark 1 problems of the recovery report as seen"]
    assert json.loads(path.read_text()) == REPORT
    request = pb.AcknowledgeRecoveryRequest(**once(reason="looked"))
    assert (await served.journal.AcknowledgeRecovery(request)).problems == 1
    assert json.loads(path.read_text()) == {**REPORT, "acknowledged": True}
    assert (await event_types(served)).count("journal.acknowledged") == 1
    request = pb.AcknowledgeRecoveryRequest(**once(reason="looked"))
    again = await failure(served.journal.AcknowledgeRecovery(request))
    assert (again.code, again.reason) == (Code.NOT_FOUND, "NOTHING_TO_ACKNOWLEDGE")


async def test_a_journal_that_its_writer_refused_tells_of_its_report(served: Served) -> None:
    """The worker that ended over it never counted its problems; nor has one that has only begun."""

    async def look() -> tuple[bool, int]:
        plant = served.plant
        await plant.disk_watch.settled()  # one that the plant has begun before
        plant.disk_watch.ask([str(directory(served))])
        await plant.disk_watch.settled()
        told = "recovery report of the journal waits for you" in await causes(served)
        answer = await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))
        return told, answer.journal.recovery_problems

    report(served, refused=True)
    served.supervisor.crash("XNAS-rx", WorkerState.FAILED_PERMANENT)
    assert await look() == (True, 1)
    served.supervisor.run_again("XNAS-rx")
    assert await look() == (True, 1)
    assert "journal.recovery_acknowledged" not in await event_types(served)
    # What an ended worker had counted is not asked of it any more.
    served.supervisor.stats["XNAS-rx"].set_all({"journal_recovery_problems": 3})
    assert await look() == (True, 3)
    served.supervisor.crash("XNAS-rx")
    request = pb.AcknowledgeRecoveryRequest(**once(reason="looked"))
    assert (await served.journal.AcknowledgeRecovery(request)).problems == 1
    assert (await look())[1] == 0


async def test_segments_that_cannot_be_listed_are_not_none(
    served: Served, native: FakeJournal
) -> None:
    """The numbers are told all the same, with why there is no list."""
    directory(served)
    native.behave(info={"segments": [{"file": "0000000001.tdj", "number": 1}]})
    request = pb.GetJournalRequest(exchange=NAME)
    answer = await served.journal.GetJournal(request)
    assert ([one.number for one in answer.segments], answer.segments_unavailable) == ([1], "")
    native.behave(info_code=65, stderr='{"message": "STATE of the journal is damaged"}')
    answer = await served.journal.GetJournal(request)
    assert not answer.segments
    assert answer.segments_unavailable.endswith("failed: STATE of the journal is damaged")
    assert answer.journal.state == "OK"


async def test_losses_wait_also_when_nothing_else_can_be_told(
    served: Served, native: FakeJournal
) -> None:
    """Neither statistics, nor a report, nor segments: the daemon's state has them."""
    served.supervisor.rx_metrics = tuple(one for one in RX_METRICS if one[0] != "journal_state")
    toml = exchange_toml("BATS", port=31002)
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    served.plant.tick()
    directory(served, "BATS")
    native.behave(info_code=65, stderr='{"message": "STATE of the journal is damaged"}')
    request = pb.GetJournalRequest(exchange="exchanges/BATS")
    assert (await failure(served.journal.GetJournal(request))).reason == "JOURNAL_UNREADABLE"
    await served.plant.losses.store.count("BATS", {("6f1c", "hole"): 2})
    answer = await served.journal.GetJournal(request)
    assert [(one.kind, one.counted) for one in answer.losses] == [("hole", 2)]
    assert answer.journal.holes_waiting == 2
    assert answer.segments_unavailable.endswith("failed: STATE of the journal is damaged")


async def test_no_thread_of_the_pool_touches_a_journal(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead disk would hold them all, and the daemon's end with them."""
    report(served)
    journal, is_directory = str(directory(served)), os.path.isdir
    touched: dict[str, bool] = {}

    def watched(name: str, real: Callable[[str], Any]) -> Callable[[Any], Any]:
        def run(path: Any) -> Any:  # noqa: ANN401 - as the real one
            if str(path) == journal:
                touched[name] = touched.get(name, True) and threading.current_thread().daemon
            return real(path)

        return run

    monkeypatch.setattr(os.path, "isdir", watched("isdir", is_directory))
    for module, name in (
        (recovery_report, "read_report"),
        (journal_orders, "acknowledge_report"),
        (subscribers, "read_pins"),
    ):
        monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
    await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))
    await served.journal.ListSubscribers(pb.ListSubscribersRequest(exchange=NAME))
    served.supervisor.crash("XNAS-rx")
    request = pb.AcknowledgeRecoveryRequest(**once(reason="looked"))
    await served.journal.AcknowledgeRecovery(request)
    assert touched == dict.fromkeys(
        ("isdir", "read_report", "acknowledge_report", "read_pins"), True
    )


async def test_the_worker_marks_its_report_itself(served: Served) -> None:
    """It counts what waits, so it is asked; the file is not touched behind its back."""
    path = report(served)
    served.supervisor.answers["journal.acknowledge"] = {}
    request = pb.AcknowledgeRecoveryRequest(**once(reason="looked"))
    await served.journal.AcknowledgeRecovery(request)
    assert ("XNAS-rx", "journal.acknowledge", {}) in served.supervisor.calls
    assert json.loads(path.read_text()) == REPORT


@pytest.mark.parametrize(
    "content",
    ["", "[]", "x" * 5_000_000, '{"problems": [3]}'],
    ids=["empty", "list", "long", "strange"],
)
async def test_a_report_that_cannot_be_read_is_a_problem(served: Served, content: str) -> None:
    """Never none; the call answers."""
    path = directory(served) / "recovery-report.json"
    path.write_text(content)
    shown = (await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))).recovery
    assert not shown.acknowledged
    assert shown.problems or content == '{"problems": [3]}'


async def test_losses_are_shown_until_acknowledged(served: Served) -> None:
    """Holes and durable losses of before the acknowledgement are gone, later ones come."""
    rx = served.supervisor.stats["XNAS-rx"]
    rx.set_all({"journal_holes_total": 2, "journal_acked_loss_total": 1})
    lost = {"journal has holes", "durable records of the journal were lost"}
    assert lost <= await causes(served)
    request = pb.AcknowledgeRecoveryRequest(**once(reason="disk replaced"))
    done = await served.journal.AcknowledgeRecovery(request)
    assert list(done.effects) == ["take note of 1 durable records lost", "take note of 2 holes"]
    facts = served.plant.facts("XNAS").journal
    assert facts is not None
    assert (facts.holes, facts.holes_new, facts.acked_loss_new) == (2, 0, 0)
    rx.set_all({"journal_holes_total": 3})
    served.plant.tick()
    facts = served.plant.facts("XNAS").journal
    assert facts is not None
    assert facts.holes_new == 1


LOG = "0123456789abcdef" * 2


def lacks(*ranges: tuple[str, int, int], log_id: str = LOG) -> dict[str, Any]:
    """What an rx worker answers."""
    rows = [{"kind": kind, "from": first, "to": last} for kind, first, last in ranges]
    return {"log_id": log_id, "losses": rows}


async def waiting(served: Served) -> tuple[list[tuple[str, int, int]], int, int]:
    """The ranges that are shown, and the numbers beside them."""
    await served.plant.losses.look("XNAS")
    served.plant.tick()
    answer = await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))
    rows = [(one.kind, one.from_seq, one.to_seq) for one in answer.losses if not one.counted]
    return rows, answer.journal.holes_waiting, answer.journal.acked_loss_waiting


def another(plant: Plant) -> LossWatch:
    """What a daemon that starts anew has: the database, and an empty memory."""

    async def ask(worker: str, op: str) -> dict[str, Any]:
        return await plant.supervisor.call(worker, op, {}, timeout_s=1.0)

    store = LossStore(plant.settings.state_dir / "state.db")
    return LossWatch(store, plant.sampler, ask, plant.settings.worker_dir)


async def test_losses_outlive_the_daemon_and_the_worker(served: Served) -> None:
    """Ranges by the log's identity: what is acknowledged stays so, what is not stays too."""
    rx = served.supervisor.stats["XNAS-rx"]
    first, lost = ("hole", 70, 79), ("acked_loss", 90, 94)
    served.supervisor.answers["journal.losses"] = lacks(first, lost)
    rx.set_all({"journal_holes_total": 1, "journal_acked_loss_total": 5})
    served.plant.tick()
    assert await waiting(served) == ([first, lost], 1, 5)
    request = pb.AcknowledgeRecoveryRequest(**once(reason="disk replaced"))
    done = await served.journal.AcknowledgeRecovery(request)
    assert list(done.effects) == ["take note of 5 durable records lost", "take note of 1 holes"]
    assert await waiting(served) == ([], 0, 0)
    second = ("hole", 100, 180)
    served.supervisor.answers["journal.losses"] = lacks(first, lost, second)
    rx.set_all({"journal_holes_total": 2})
    served.plant.tick()
    assert await waiting(served) == ([second], 1, 0)
    assert "journal has holes" in await causes(served)

    # Another daemon beside it: its memory is empty, the worker tells the same, or has started anew.
    for counts, told in (
        ({"journal_holes_total": 2, "journal_acked_loss_total": 5}, lacks(first, lost, second)),
        ({"journal_holes_total": 0, "journal_acked_loss_total": 0}, lacks()),
    ):
        plant = served.plant
        again = another(plant)
        rx.set_all(counts)
        served.supervisor.answers["journal.losses"] = told
        plant.tick()
        await again.look("XNAS")
        assert again.waiting("XNAS") == (0, 1)
        (left,) = again.store.waiting("XNAS").losses
        assert (left.kind, left.from_seq, left.to_seq) == second
        again.store.close()

    # A log that takes the place of this one lacks nothing.
    fresh = another(served.plant)
    served.supervisor.answers["journal.losses"] = lacks(log_id="f" * 32)
    await fresh.look("XNAS")
    assert fresh.waiting("XNAS") == (0, 0)
    fresh.store.close()


@pytest.mark.parametrize(
    "answer",
    [
        UnavailableError("its disk hangs"),
        {"log_id": "?", "losses": []},
        {"log_id": LOG, "losses": 3},
        lacks(("hole", 9, 3)),
        lacks(("else", 3, 9)),
        lacks(("hole", 1, 1 << 63)),
    ],
    ids=["silent", "log", "list", "order", "kind", "huge"],
)
async def test_losses_wait_also_when_the_worker_does_not_tell_them(
    served: Served, answer: dict[str, Any] | UnavailableError
) -> None:
    """The counter is enough for the alarm; it is asked again, and told once."""
    rx = served.supervisor.stats["XNAS-rx"]
    served.supervisor.answers["journal.losses"] = answer
    rx.set_all({"journal_holes_total": 1})
    served.plant.tick()
    assert await waiting(served) == ([], 1, 0)
    shown = await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))
    (one,) = shown.losses
    incarnation = served.supervisor.views["XNAS-rx"].incarnation
    assert (one.kind, one.counted, one.incarnation) == ("hole", 1, incarnation)
    assert (one.from_seq, one.to_seq) == (0, 0)
    assert one.time.seconds
    served.supervisor.answers["journal.losses"] = lacks(("hole", 70, 79))
    assert await waiting(served) == ([("hole", 70, 79)], 1, 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnavailableError("its disk hangs"), Code.UNAVAILABLE),
        (WrongStateError("the disk is full"), Code.FAILED_PRECONDITION),
    ],
)
async def test_nobody_writes_beside_a_worker_that_runs(
    served: Served, error: UnavailableError | WrongStateError, code: grpc.StatusCode
) -> None:
    """What the worker cannot do is an error; without a process the daemon does it itself."""
    path = report(served)
    served.supervisor.answers["journal.acknowledge"] = error
    refused = await failure(
        served.journal.AcknowledgeRecovery(pb.AcknowledgeRecoveryRequest(**once(reason="looked")))
    )
    assert refused.code is code
    assert json.loads(path.read_text()) == REPORT
    assert (await event_types(served)).count("journal.acknowledged") == 0
    await served.exchange.StopCollection(exchange_pb.StopCollectionRequest(name=NAME))
    request = pb.AcknowledgeRecoveryRequest(**once(reason="looked"))
    assert (await served.journal.AcknowledgeRecovery(request)).problems == 1
    assert json.loads(path.read_text()) == {**REPORT, "acknowledged": True}


async def test_an_acknowledgement_needs_a_reason(served: Served) -> None:
    """What was found out goes into the log."""
    report(served)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.journal.AcknowledgeRecovery(pb.AcknowledgeRecoveryRequest(**once()))
    assert refused.value.code() is Code.INVALID_ARGUMENT


async def test_a_segment_is_sealed_once_per_request(served: Served) -> None:
    """The dry run asks nobody; a repeated request seals nothing more."""
    served.supervisor.answers["journal.seal"] = {"segments": 4, "durable_seq": 88}
    planned = await served.journal.SealSegment(pb.SealSegmentRequest(**once(validate_only=True)))
    assert list(planned.effects) == [
        "seal the newest segment of the journal of XNAS",
        "no record is held back",
    ]
    assert served.supervisor.calls == []
    request = pb.SealSegmentRequest(**once(reason="copy"))
    for _ in range(2):
        sealed = await served.journal.SealSegment(request)
        assert (sealed.segments, sealed.durable_seq) == (4, 88)
    assert served.supervisor.calls == [("XNAS-rx", "journal.seal", {})]
    served.supervisor.answers["journal.seal"] = WrongStateError("the disk is full")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.journal.SealSegment(pb.SealSegmentRequest(**once()))
    assert refused.value.code() is Code.FAILED_PRECONDITION


async def test_pruning_is_left_to_a_worker_that_runs(served: Served, native: FakeJournal) -> None:
    """The effects can always be asked for; the tool removes only what no receiver looks after."""
    request = pb.PruneJournalRequest(**once(validate_only=True))
    kept = await served.journal.PruneJournal(request)
    assert list(kept.effects) == ["nothing: the exchange file sets no limit, all is kept"]
    toml = exchange_toml("BATS", port=31002) + "[journal]\nretain_max_bytes = 1000\n"
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    name = "exchanges/BATS"
    request = pb.PruneJournalRequest(**once(name, validate_only=True))
    planned = await served.journal.PruneJournal(request)
    assert list(planned.effects) == [
        "remove 2 segments, 128 bytes",
        "the next segment is held by desk-1",
    ]
    request = pb.PruneJournalRequest(**once(name))
    refused = await failure(served.journal.PruneJournal(request))
    assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "PRUNES_BY_ITSELF")
    await served.exchange.StopCollection(exchange_pb.StopCollectionRequest(name=name))
    request = pb.PruneJournalRequest(**once(name))
    done = await served.journal.PruneJournal(request)
    assert (done.segments, done.bytes, done.oldest_seq) == (2, 128, 70)
    dry, applied = (line.split() for line in (native.native / "argv").read_text().splitlines())
    assert [dry[0], *dry[2:]] == ["prune", "--json", "--keep-bytes=1000"]
    assert applied == [*dry, "--apply"]
    assert (await event_types(served)).count("journal.pruned") == 1


async def test_readers_and_kept_places_are_listed(served: Served) -> None:
    """Who is connected first; then who is away, with what was lost; a broken place is told."""
    pins = directory(served) / "pins"
    pins.mkdir()
    (pins / "desk-1.json").write_text('{"client": "desk-1", "acked_seq": 80}')
    (pins / "archive.json").write_text('{"client": "archive", "acked_seq": 10, "lost": true}')
    (pins / "@book.json").write_text('{"client": "@book", "acked_seq": 95}')
    (pins / "torn.json").write_text("{")
    (pins / "deep.json").write_text("[" * 4000)
    (pins / "list.json").write_text("[]")
    (pins / ".desk-1.77.tmp").write_text("{}")
    served.supervisor.stats["XNAS-rx"].set_all({"journal_durable_seq": 100})
    row = {"id": "desk-1", "peer": "10.0.0.9:1", "state": "LIVE", "acked_seq": 80}
    row |= {"kept_seq": 78, "lag_ms": 4}
    served.supervisor.answers["export.subscribers"] = {"subscribers": [row, "nonsense"]}
    served.plant.tick()
    request = pb.ListSubscribersRequest(exchange=NAME)
    found = await served.journal.ListSubscribers(request)
    assert found.unavailable == ""
    assert [(one.id, one.state, one.lost, one.lag_records) for one in found.subscribers] == [
        ("desk-1", "LIVE", False, 0),
        ("@book", "KEPT", False, 5),
        ("archive", "AWAY", True, 90),
        *((broken, "AWAY", False, 100) for broken in ("deep", "list", "torn")),
    ]
    assert [one.kept_seq for one in found.subscribers[:3]] == [78, 95, 10]
    for broken in found.subscribers[3:]:
        assert not broken.HasField("kept_seq")
        assert "cannot be read" in broken.reason
    served.supervisor.answers["export.subscribers"] = UnavailableError("it does not answer")
    found = await served.journal.ListSubscribers(request)
    assert found.unavailable == "it does not answer"
    away = ["@book", "archive", "deep", "desk-1", "list", "torn"]
    assert [one.id for one in found.subscribers] == away


async def test_an_exporter_that_dies_is_told_at_the_next_look(served: Served) -> None:
    """Its process is the exchange's trouble, its feed stays up; gone when it runs again."""
    served.supervisor.crash("XNAS-export")
    assert "export worker BACKOFF" in await causes(served)
    served.supervisor.run_again("XNAS-export")
    served.plant.tick()
    answer = await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest(name=NAME))
    assert "export RUNNING" in answer.exchanges[0].workers


async def test_every_figure_of_writer_and_exporter_is_told(served: Served) -> None:
    """Each metric of theirs is one number of the answer; none is another one's or left at 0."""
    writer = {
        "journal_bytes_total": 101,
        "journal_rotations_total": 102,
        "journal_records_total": 103,
        "journal_write_errors_total": 104,
        "journal_overrun_total": 105,
        "journal_reopens_total": 106,
        "journal_unsynced_bytes": 107,
    }
    exporter = {
        "tcp_export_queued_bytes": 201,
        "tcp_export_dropped_total": 202,
        "tcp_export_sent_frames_total": 203,
        "tcp_export_sent_bytes_total": 204,
        "tcp_export_write_failures_total": 205,
        "tcp_export_connect_failures_total": 206,
        "tcp_export_subscriber_accepted_total": 207,
        "tcp_export_subscriber_rejected_total": 208,
        "tcp_export_active_subscribers": 209,
    }
    served.supervisor.stats["XNAS-rx"].set_all(writer)
    served.supervisor.stats["XNAS-export"].set_all(exporter)
    served.plant.tick()
    answer = await served.journal.GetJournal(pb.GetJournalRequest(exchange=NAME))
    journal, export = answer.journal, answer.export
    assert (journal.bytes, journal.rotations, journal.records) == (101, 102, 103)
    assert (journal.write_errors, journal.overruns, journal.reopens) == (104, 105, 106)
    assert journal.unsynced_bytes == 107
    assert (export.queued_bytes, export.dropped) == (201, 202)
    assert (export.sent_frames, export.sent_bytes) == (203, 204)
    assert (export.write_failures, export.connect_failures) == (205, 206)
    assert (export.accepted, export.rejected, export.active_subscribers) == (207, 208, 209)
