"""`tickdeck journal`: what an operator sees and orders."""

import json
from collections.abc import Callable

from click.testing import Result
from google.protobuf.timestamp_pb2 import Timestamp

from fake_tickdeckd import FakeDaemon
from tickdeck.v1 import journal_service_pb2 as pb
from tickdeck.v1 import observe_pb2

Run = Callable[..., Result]


def problem() -> pb.RecoveryProblem:
    made = pb.RecoveryProblem(
        file="0003.tdj\x1b[31m", offset=4096, from_seq=90, bytes=512, action="cut_torn_tail"
    )
    setattr(made, "class", "torn_tail")
    return made


def journal(acknowledged: bool = False) -> pb.GetJournalResponse:
    head = observe_pb2.JournalHealth(
        state="REOPENING",
        directory="/j",
        appended_seq=120,
        written_seq=110,
        durable_seq=100,
        sync_policy="batch",
        worst_loss="nothing acknowledged; else the last 5 ms + one sync",
        holes=2,
        bytes=1 << 20,
        segments=1,
        rotations=6,
        flush_p99_ns=3_000_000,
        disk_free_bytes=3 << 30,
        disk_full_in_s=7200,
    )
    report = pb.RecoveryReport(
        time=Timestamp(seconds=1_700_000_000),
        mode="tail",
        problems=[problem()],
        acknowledged=acknowledged,
    )
    segments = [
        pb.Segment(file="0003.tdj", number=3, base_seq=81, last_seq=90, abandoned=True),
        pb.Segment(file="0004.tdj", number=4, base_seq=91),
    ]
    export = observe_pb2.ExportHealth(
        state="RUNNING",
        mode="listen",
        address="127.0.0.1:7",
        active_subscribers=2,
        accepted=11,
        rejected=12,
        sent_frames=13,
        sent_bytes=14 << 20,
        queued_bytes=15 << 20,
        dropped=16,
        write_failures=17,
        connect_failures=18,
        look_failures=19,
        pin_failures=20,
        sight_age_ms=2_100,
        pin_lag_ms=2_200,
    )
    since = Timestamp(seconds=1_700_000_000)
    losses = [
        pb.JournalLoss(kind="hole", from_seq=70, to_seq=79, time=since),
        pb.JournalLoss(kind="acked_loss", counted=5, incarnation="6f1c\x1b", time=since),
    ]
    return pb.GetJournalResponse(
        journal=head,
        segments=segments,
        recovery=report,
        losses=[] if acknowledged else losses,
        export=export,
    )


def test_show_tells_watermarks_promise_and_report(fake_daemon: FakeDaemon, run: Run) -> None:
    """The four watermarks, what a power cut may take, what waits, with nothing raw."""
    fake_daemon.answers["GetJournal"] = journal()
    out = run("journal", "X").stdout
    assert "REOPENING  /j" in out
    assert "appended 120  written 110  durable 100  acked by nobody" in out
    assert "policy batch, worst loss: nothing acknowledged; else the last 5 ms + one sync" in out
    assert "6 rotations, flush p99 3.0 ms, 3.0 GiB free, full in 2h" in out
    assert "export RUNNING  listen 127.0.0.1:7  2 subscribers, 11 accepted, 12 rejected" in out
    assert "sent 13 frames, 14.0 MiB, queued 15.0 MiB, 16 records dropped" in out
    assert "17 write failures, 18 connect failures" in out
    late = "  last look at the journal 2.1s ago, oldest place waits 2.2s, "
    late += "19 looks and 20 places failed"
    assert late in out.splitlines()
    assert "2 holes" in out
    assert "recovery of 2023-11-14T22:13:20.000Z, mode tail: repaired; NOT ACKNOWLEDGED" in out
    place = "torn_tail in 0003.tdj at byte 4096, 512 bytes, records 90..?: cut_torn_tail"
    assert place in out
    assert "tickdeck journal ack X --reason TEXT" in out
    waits = "NOT ACKNOWLEDGED since 2023-11-14T22:13:20.000Z:"
    assert f"{waits} hole 70..79, 10 records\n" in out
    assert f"{waits} acked_loss: 5 counted by worker 6f1c" in out
    assert "abandoned" in out
    assert "\x1b" not in out


def test_an_exporter_that_does_not_tell_its_ages(fake_daemon: FakeDaemon, run: Run) -> None:
    """One of another release has looked at nothing 0 s ago."""
    answer = journal()
    answer.export.ClearField("sight_age_ms")
    answer.export.ClearField("pin_lag_ms")
    fake_daemon.answers["GetJournal"] = answer
    assert "  19 looks and 20 places failed" in run("journal", "X").stdout.splitlines()


def test_segments_that_cannot_be_listed_are_told(fake_daemon: FakeDaemon, run: Run) -> None:
    """No empty table, which would say that there are none."""
    answer = journal()
    del answer.segments[:]
    answer.segments_unavailable = "STATE is \x1b[31mdamaged"
    fake_daemon.answers["GetJournal"] = answer
    out = run("journal", "show", "X").stdout
    assert out.splitlines()[-1].startswith("segments not listed: STATE is ")
    assert "SEGMENT " not in out
    assert "\x1b" not in out


def test_an_acknowledged_report_is_one_line(fake_daemon: FakeDaemon, run: Run) -> None:
    """No call to do what was done."""
    answer = journal(acknowledged=True)
    answer.journal.acked_seq = 99
    fake_daemon.answers["GetJournal"] = answer
    out = run("journal", "show", "X").stdout
    assert "acknowledged" in out
    assert "tickdeck journal ack" not in out
    assert "acked 99" in out
    shown = json.loads(run("journal", "show", "X", "--json").stdout)
    assert shown["recovery"]["acknowledged"] is True


def test_subscribers(fake_daemon: FakeDaemon, run: Run) -> None:
    """Who, from where, how far behind, and why one lost its place."""
    fake_daemon.answers["ListSubscribers"] = pb.ListSubscribersResponse(
        subscribers=[
            pb.Subscriber(id="desk", peer="10.0.0.9:1", state="LIVE", acked_seq=7, kept_seq=5),
            pb.Subscriber(id="archive", state="AWAY", lost=True, reason="pruned"),
        ],
        unavailable="the exporter does not answer",
    )
    result = run("journal", "subscribers", "X")
    desk, archive = result.stdout.splitlines()[1:]
    assert desk.split()[:3] == ["desk", "10.0.0.9:1", "LIVE"]
    assert archive.split()[:3] == ["archive", "-", "LOST"]
    assert (desk.split()[5:7], archive.split()[6]) == (["7", "5"], "-")
    assert "does not answer" in result.stderr
    assert json.loads(run("journal", "subscribers", "X", "--json").stdout)["subscribers"][1]["lost"]
    fake_daemon.answers["ListSubscribers"] = pb.ListSubscribersResponse()
    assert "no subscriber" in run("journal", "subscribers", "X").stdout


def test_seal(fake_daemon: FakeDaemon, run: Run) -> None:
    """The effects, and where the journal stands."""
    fake_daemon.answers["SealSegment"] = pb.SealSegmentResponse(
        segments=4, durable_seq=88, effects=["seal it"]
    )
    out = run("journal", "seal", "X", "--reason", "copy").stdout
    assert "- seal it" in out
    assert "4 segments, durable up to 88" in out
    asked = fake_daemon.asked("SealSegment")[0]
    assert (asked.exchange, asked.reason, asked.validate_only) == ("exchanges/X", "copy", False)


def test_prune_asks_first(fake_daemon: FakeDaemon, run: Run) -> None:
    """Without a terminal `--yes` is needed; a dry run never removes."""
    fake_daemon.answers["PruneJournal"] = pb.PruneJournalResponse(effects=["remove 2 segments"])
    assert run("journal", "prune", "X").exit_code == 2
    assert run("journal", "prune", "X", "--dry-run").exit_code == 0
    assert all(asked.validate_only for asked in fake_daemon.asked("PruneJournal"))
    assert run("journal", "prune", "X", "--yes").exit_code == 0
    assert not fake_daemon.asked("PruneJournal")[-1].validate_only


def test_ack_needs_a_reason(fake_daemon: FakeDaemon, run: Run) -> None:
    """It goes into the log."""
    fake_daemon.answers["AcknowledgeRecovery"] = pb.AcknowledgeRecoveryResponse(
        problems=1, effects=["mark 1 problems"]
    )
    refused = run("journal", "ack", "X")
    assert refused.exit_code == 2
    assert "--reason" in refused.stderr
    assert fake_daemon.asked("AcknowledgeRecovery") == []
    assert "- mark 1 problems" in run("journal", "ack", "X", "--reason", "looked").stdout
    assert fake_daemon.asked("AcknowledgeRecovery")[0].reason == "looked"
