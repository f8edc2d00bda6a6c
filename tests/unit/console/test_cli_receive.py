"""Commands about what is received: gaps, drops, captures."""

import json
import time
from collections.abc import Callable

import pytest
from click.testing import Result

from fake_tickdeckd import FakeDaemon
from tickdeck.v1 import recovery_pb2
from tickdeck.v1 import recovery_service_pb2 as recovery
from tickdeck.v1 import worker_service_pb2 as workers

Run = Callable[..., Result]


def test_gaps(fake_daemon: FakeDaemon, run: Run) -> None:
    """`tickdeck gaps` lists exact ranges."""
    gap = recovery_pb2.Gap(
        exchange="exchanges/X",
        id=3,
        first_seq=1000,
        last_seq=1999,
        stage=recovery_pb2.GAP_STAGE_FILLED,
        sources=["retransmit"],
        drop_verdict="socket",
        drop_count=812,
    )
    fake_daemon.answers["ListGaps"] = recovery.ListGapsResponse(gaps=[gap], overflowed=2)
    result = run("gaps", "X", "--open")
    assert "1000  1999      1000" in result.stdout
    assert "socket 812  -      retransmit" in result.stdout
    assert "2 more" in result.stdout
    assert fake_daemon.asked("ListGaps")[0].open_only
    assert json.loads(run("gaps", "--json").stdout)["gaps"][0]["stage"] == "FILLED"


def test_drops(fake_daemon: FakeDaemon, run: Run) -> None:
    """Paths with their refusals, losses of every layer, what cannot be read, the last verdict."""
    report = workers.GetReceiveReportResponse(
        lines=[
            workers.ReceiveLine(
                line="A",
                receiver=1,
                path="recvmmsg",
                rungs=[
                    workers.ReceiveRung(path="packet_mmap", errno=1, error="not permitted"),
                    workers.ReceiveRung(path="recvmmsg", ok=True),
                ],
            )
        ],
        layers=[
            workers.LayerCounter(layer="nic", counter="rx_dropped", loss=True, error="no file"),
            workers.LayerCounter(layer="softnet", counter="time_squeeze", readable=True),
            workers.LayerCounter(
                layer="socket",
                counter="drops",
                unit="packets",
                loss=True,
                readable=True,
                value=900,
                since_start=812,
                last_minute=12,
            ),
        ],
    )
    fake_daemon.answers["GetReceiveReport"] = report
    shown = run("drops", "X").stdout
    assert fake_daemon.asked("GetReceiveReport")[0].exchange == "exchanges/X"
    for words in (
        "line A: recvmmsg, receiver 1",
        "refused: packet_mmap (errno 1): not permitted",
        "not readable: no file",
        "last gap: none",
    ):
        assert words in shown
    assert "nic rx_dropped loss ? ? ?" in " ".join(shown.split())
    assert "socket drops loss 900 812 12 packets" in " ".join(shown.split())
    assert "time_squeeze" not in shown
    assert "time_squeeze" in run("drops", "X", "--all").stdout
    report.last_verdict.CopyFrom(workers.DropVerdict(gap_id=3, text="socket 812"))
    report.last_verdict.grown.add(layer="socket", lost=812)
    shown = run("drops", "X").stdout
    assert "#3, 0.0s ago: lost at: socket 812 (grew within 0ns: socket 812)" in shown
    assert json.loads(run("drops", "X", "--json").stdout)["last_verdict"]["gap_id"] == 3


def test_captures(fake_daemon: FakeDaemon, run: Run) -> None:
    """The file, what is in it, and what is not; the span is asked for in words."""
    response = workers.CutCaptureResponse(path="/s/X-cut.pcapng", packets=1200, bytes=4096)
    response.first_time.FromNanoseconds(1_700_000_000_000_000_000)
    response.last_time.FromNanoseconds(1_700_000_005_000_000_000)
    fake_daemon.answers["CutCapture"] = response
    before_ns = time.time_ns()
    shown = run("capture", "cut", "X", "--last", "5s", "--reason", "why")
    after_ns = time.time_ns()
    assert shown.stdout.splitlines()[0] == "/s/X-cut.pcapng"
    assert "1,200 packets, 4.0 KiB, 2023-11-14T22:13:20" in shown.stdout
    assert not shown.stderr
    asked = fake_daemon.asked("CutCapture")[0]
    assert (asked.name, asked.reason) == ("exchanges/X", "why")
    begin_ns = asked.from_time.ToNanoseconds()
    assert before_ns - 5_000_000_000 <= begin_ns <= after_ns - 5_000_000_000
    assert asked.request_id
    response.lapped = 7
    shown = run("capture", "cut", "X")
    assert "7 more were overwritten" in shown.stderr
    assert not fake_daemon.asked("CutCapture")[1].HasField("from_time")
    assert json.loads(run("capture", "cut", "X", "--json").stdout)["lapped"] == 7


@pytest.mark.parametrize("text", ["", "5", "0s", "-5s", "5 s", "1.5s", "9999999999s", "5d"])
def test_a_duration_that_is_none_is_refused(run: Run, text: str) -> None:
    """With what would be right, and exit code 2."""
    result = run("capture", "cut", "X", "--last", text)
    assert result.exit_code == 2
    assert "is no duration such as 500ms, 5s, 2m or 1h" in result.stderr


def test_a_capture_between_two_times(fake_daemon: FakeDaemon, run: Run) -> None:
    """UTC, with or without saying so; another offset is converted; one end may be open."""
    fake_daemon.answers["CutCapture"] = workers.CutCaptureResponse(path="/s/X-cut.pcapng")
    span = ("--from", "2023-11-14T22:13:20.25Z", "--to", "2023-11-14T23:13:21+01:00")
    assert run("capture", "cut", "X", *span).exit_code == 0
    asked = fake_daemon.asked("CutCapture")[0]
    assert asked.from_time.ToNanoseconds() == 1_700_000_000_250_000_000
    assert asked.to_time.ToNanoseconds() == 1_700_000_001_000_000_000
    assert run("capture", "cut", "X", "--to", "2023-11-14T22:13:20").exit_code == 0
    asked = fake_daemon.asked("CutCapture")[1]
    assert not asked.HasField("from_time")
    assert asked.to_time.ToNanoseconds() == 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--from", "yesterday"), "is no time such as"),
        (("--to", "1969-12-31T23:59:59Z"), "is no time such as"),
        (("--from", "0001-01-01T00:00:00+14:00"), "is no time such as"),
        (("--last", "5s", "--to", "2023-11-14T22:13:20Z"), "give --last, or --from and --to"),
        (("--from", "2023-11-14T22:13:21Z", "--to", "2023-11-14T22:13:20Z"), "before --from"),
    ],
)
def test_a_span_that_is_none_is_refused(run: Run, arguments: tuple[str, ...], part: str) -> None:
    """With what is wrong, and exit code 2."""
    result = run("capture", "cut", "X", *arguments)
    assert result.exit_code == 2
    assert part in result.stderr
