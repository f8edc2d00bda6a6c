"""The verbs on gaps, the recovery's sources and the line race on the command line."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from click.testing import Result
from google.longrunning import operations_pb2  # pyright: ignore[reportMissingTypeStubs]
from google.protobuf.timestamp_pb2 import Timestamp

from fake_tickdeckd import FakeDaemon, RefusalError
from tickdeck.v1 import observe_pb2, recovery_pb2
from tickdeck.v1 import observe_service_pb2 as observe
from tickdeck.v1 import recovery_service_pb2 as recovery

Run = Callable[..., Result]
UUID = "11111111-2222-3333-4444-555555555555"
MS = 1_000_000


def at(offset_ms: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(1_767_323_045_000_000_000 + offset_ms * MS)
    return stamp


def gap(identity: int = 3, **changes: Any) -> recovery_pb2.Gap:  # noqa: ANN401
    base = recovery_pb2.Gap(
        name=f"gaps/CME-3-{UUID}-{identity}",
        exchange="exchanges/CME-3",
        id=identity,
        first_seq=1000,
        last_seq=1099,
        stage=recovery_pb2.GAP_STAGE_FILLED,
        sources=["A", "retransmit"],
        parts=[
            recovery_pb2.GapPart(source="A", messages=40),
            recovery_pb2.GapPart(source="retransmit", messages=60),
        ],
        lines_missed=["A", "B"],
        lost_on="all",
        attempts=2,
        detected_time=at(0),
        waited_time=at(2),
        requested_time=at(3),
        partial_time=at(5),
        requested_last_time=at(9),
        closed_time=at(12),
        fault="truncated",
        drop_verdict="socket",
        drop_count=812,
        channel=7,
        notes=[recovery_pb2.GapNote(time=at(60_000), actor="uid:7", text="venue rang")],
        noted=True,
    )
    base.MergeFrom(recovery_pb2.Gap(**changes))
    return base


def done() -> "operations_pb2.Operation":
    return operations_pb2.Operation(name="operations/1", done=True)


def test_the_list_tells_who_missed_and_who_filled(fake_daemon: FakeDaemon, run: Run) -> None:
    """Lines, the layer that lost, the lie, and each source with its part."""
    fake_daemon.answers["ListGaps"] = recovery.ListGapsResponse(gaps=[gap()])
    out = run("gaps", "CME-3").stdout
    assert "MISSED BY  LOST AT     FAULT      FILLED BY OR REASON" in out
    assert "A+B        socket 812  truncated  A 40 + retransmit 60" in out


@pytest.mark.parametrize("name", ["CME-3-3", f"CME-3-{UUID}-3", f"gaps/CME-3-{UUID}-3"])
def test_a_gap_is_shown_with_each_step(fake_daemon: FakeDaemon, run: Run, name: str) -> None:
    """In order of time, with how long after the first; parts, fault and notes below."""
    fake_daemon.answers["ListGaps"] = recovery.ListGapsResponse(gaps=[gap(4), gap()])
    result = run("gaps", "show", name)
    assert result.exit_code == 0
    assert fake_daemon.asked("ListGaps")[0].exchange == "exchanges/CME-3"
    lines = [line.split() for line in result.stdout.splitlines()]
    steps = [line for line in lines if line and line[0].startswith("2026-")]
    assert [" ".join(step[1:]) for step in steps] == [
        "detected",
        "+2.0ms wait over",
        "+3.0ms first asked",
        "+5.0ms first part",
        "+9.0ms last asked",
        "+12.0ms filled",
    ]
    assert "missed by  A+B (lost on all lines)" in result.stdout
    assert "fault      truncated" in result.stdout
    assert "retransmit   60" in result.stdout
    assert "uid:7: venue rang" in result.stdout
    shown = json.loads(run("gaps", "show", name, "--json").stdout)
    assert (shown["id"], shown["parts"][1]["messages"]) == (3, 60)


def test_a_gap_that_is_not_there(fake_daemon: FakeDaemon, run: Run) -> None:
    """Unknown is 4, as for other resources; a name that is none is 2."""
    other = gap(name=f"gaps/CME-3-{UUID.replace('1', '2')}-3")
    fake_daemon.answers["ListGaps"] = recovery.ListGapsResponse(gaps=[other])
    assert run("gaps", "show", "CME-3-9").exit_code == 4
    assert run("gaps", "show", f"CME-3-{UUID}-3").exit_code == 4, "that of another worker"
    assert run("gaps", "show", "CME-3-3").exit_code == 0
    for name in ("CME", "CME-0", "CME-x", "CME-²"):
        result = run("gaps", "show", name)
        assert (result.exit_code, "names no gap" in result.stderr) == (2, True), name


@pytest.mark.parametrize("verb", ["retry", "recover"])
def test_retry_is_recover(fake_daemon: FakeDaemon, run: Run, verb: str) -> None:
    """Both names send the same request."""
    fake_daemon.answers["StartRecovery"] = recovery.StartRecoveryResponse(
        operation=done(), effects=["ask"]
    )
    result = run("gaps", verb, "X", "--gap", "3", "--reason", "why")
    assert (result.exit_code, result.stdout) == (0, "- ask\n")
    (request,) = fake_daemon.asked("StartRecovery")
    assert (request.exchange, request.gap_id, request.reason) == ("exchanges/X", 3, "why")
    assert len(request.request_id) == 36


def test_snapshot(fake_daemon: FakeDaemon, run: Run) -> None:
    """Asks, and without a terminal wants --yes; waits for the outcome; a refusal is 5."""
    fake_daemon.answers["RecoverBySnapshot"] = recovery.RecoverBySnapshotResponse(
        operation=done(), effects=["take a snapshot"]
    )
    unasked = run("gaps", "snapshot", "X")
    assert (unasked.exit_code, "--yes" in unasked.stderr) == (2, True)
    assert all(one.validate_only for one in fake_daemon.asked("RecoverBySnapshot"))
    assert run("gaps", "snapshot", "X", "--yes").stdout == "- take a snapshot\n"
    assert "Nothing was changed" in run("gaps", "snapshot", "X", "--dry-run").stdout
    told = json.loads(run("gaps", "snapshot", "X", "--yes", "--no-wait", "--json").stdout)
    assert told == {"effects": ["take a snapshot"], "waited": False}
    sent = [one for one in fake_daemon.asked("RecoverBySnapshot") if not one.validate_only]
    assert [one.gap_id for one in sent] == [0, 0]
    fake_daemon.answers["RecoverBySnapshot"] = RefusalError(
        grpc.StatusCode.FAILED_PRECONDITION, "no source", "NO_SNAPSHOT_SOURCE"
    )
    assert run("gaps", "snapshot", "X", "--yes").exit_code == 5


def test_accept_loss_asks(fake_daemon: FakeDaemon, run: Run) -> None:
    """Without a reason nothing is sent; without a terminal and without --yes nothing is lost."""
    fake_daemon.answers["AcceptLoss"] = recovery.AcceptLossResponse(
        messages_lost=7, effects=["declare 7 messages lost"]
    )
    assert run("gaps", "accept-loss", "CME-3-1").exit_code == 2
    assert fake_daemon.asked("AcceptLoss") == []
    asked = run("gaps", "accept-loss", "CME-3-1", "--reason", "r", stdin="CME-3-1\n")
    assert asked.exit_code == 2
    assert "- declare 7 messages lost" in asked.stdout
    assert run("gaps", "accept-loss", "CME-3-1", "--dry-run").exit_code == 0
    assert all(request.validate_only for request in fake_daemon.asked("AcceptLoss"))
    result = run("gaps", "accept-loss", "CME-3-1", "--reason", "r", "--yes")
    assert (result.exit_code, "7 messages declared lost" in result.stdout) == (0, True)
    last = fake_daemon.asked("AcceptLoss")[-1]
    assert (last.exchange, last.gap_id, last.reason) == ("exchanges/CME-3", 1, "r")
    assert not last.validate_only
    told = run("gaps", "accept-loss", "CME-3-1", "--reason", "r", "--yes", "--json")
    assert json.loads(told.stdout)["messages_lost"] == 7


def test_annotate(fake_daemon: FakeDaemon, run: Run) -> None:
    """The note goes as it is; an unknown gap is 4."""
    fake_daemon.answers["AnnotateGap"] = recovery.AnnotateGapResponse(
        gap=gap(), effects=["journal a note"]
    )
    assert run("gaps", "annotate", "CME-3-3", "venue rang").stdout == "- journal a note\n"
    told = json.loads(run("gaps", "annotate", "CME-3-3", "x", "--dry-run", "--json").stdout)
    assert told["gap"]["notes"][0]["text"] == "venue rang"
    first, dry = fake_daemon.asked("AnnotateGap")
    assert (first.gap_id, first.note, dry.validate_only) == (3, "venue rang", True)
    fake_daemon.answers["AnnotateGap"] = RefusalError(
        grpc.StatusCode.NOT_FOUND, "no gap", "GAP_NOT_FOUND"
    )
    assert run("gaps", "annotate", "CME-3-9", "x").exit_code == 4


def test_recovery_sources(fake_daemon: FakeDaemon, run: Run) -> None:
    """State and age of each; never probed is said as such."""
    fake_daemon.answers["ListRecoverySources"] = recovery.ListRecoverySourcesResponse(
        sources=[
            recovery_pb2.RecoverySource(
                source="request",
                protocol="moldudp64",
                address="10.0.0.1:9000",
                state=recovery_pb2.RECOVERY_SOURCE_STATE_READY,
                probed_time=at(0),
                rtt_ns=180_000,
                age_ns=4_000 * MS,
            ),
            recovery_pb2.RecoverySource(
                source="peer",
                state=recovery_pb2.RECOVERY_SOURCE_STATE_UNKNOWN,
                detail="never probed",
                age_ns=9_000 * MS,
            ),
        ]
    )
    for words in (("recovery", "sources", "X"), ("recovery", "X")):
        out = run(*words).stdout
        assert "request  moldudp64  10.0.0.1:9000  READY" in out
        assert "4.0s ago     180.0us" in out or "4.0s ago       180us" in out, out
        assert "UNKNOWN" in out
        assert "never           -  never probed" in out
    told = json.loads(run("recovery", "sources", "X", "--json").stdout)
    assert [one["state"] for one in told["sources"]] == ["READY", "UNKNOWN"]
    fake_daemon.answers["ListRecoverySources"] = recovery.ListRecoverySourcesResponse()
    assert "no source is configured" in run("recovery", "X").stdout


def test_lines(fake_daemon: FakeDaemon, run: Run) -> None:
    """Shares, leads, losses, who is alone since when; the same as JSON."""
    row = observe_pb2.ExchangeHealth(
        name="exchanges/X",
        lines=[
            observe_pb2.LineHealth(
                line="A", first=75, leads=9, lead_p50_ns=4_000, lead_p99_ns=90_000,
                alone_since=at(0),
            ),
            observe_pb2.LineHealth(line="B", first=25, lost=12, loss_run_most=7, silent=True),
        ],
        conflicts=2,
        lost_on_all=3,
        reorder_window_ns=250_000,
    )  # fmt: skip
    fake_daemon.answers["GetSnapshot"] = observe.GetSnapshotResponse(exchanges=[row])
    out = run("lines", "X").stdout
    a, b = (line.split() for line in out.splitlines()[1:3])
    assert a == [
        "A",
        "alive",
        "75",
        "75.0",
        "4.0us",
        "90.0us",
        "0",
        "0",
        "2026-01-02T03:04:05.000Z",
    ]
    assert b == ["B", "silent", "0.0s", "25", "25.0", "-", "-", "12", "7", "-"]
    assert "lost on all lines: 3" in out
    assert "conflicts (same number, other bytes): 2; the copy" in out
    assert "reorder window now: 250us" in out or "reorder window now: 250.0us" in out
    told = json.loads(run("lines", "X", "--json").stdout)
    assert (told["conflicts"], told["lines"][0]["lead_p99_ns"]) == (2, 90_000)
