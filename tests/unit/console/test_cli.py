"""The command line: facts as text and JSON, and exit codes that scripts can rely on."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import grpc
import pytest
from click.testing import CliRunner, Result
from google.longrunning import operations_pb2  # pyright: ignore[reportMissingTypeStubs]

from fake_tickdeckd import FakeDaemon, RefusalError, Untyped
from tickdeck.v1 import book_service_pb2 as books
from tickdeck.v1 import exchange_pb2, observe_pb2, worker_pb2
from tickdeck.v1 import exchange_service_pb2 as exchanges
from tickdeck.v1 import journal_service_pb2 as journals
from tickdeck.v1 import observe_service_pb2 as observe
from tickdeck.v1 import operation_service_pb2 as operations
from tickdeck.v1 import recovery_service_pb2 as recovery
from tickdeck.v1 import replay_service_pb2 as replays
from tickdeck.v1 import system_service_pb2 as system
from tickdeck.v1 import worker_service_pb2 as workers
from tickdeck_console.cli import COMMANDS, cli

Run = Callable[..., Result]


def row(name: str, state: observe_pb2.HealthState.ValueType) -> observe_pb2.ExchangeHealth:
    return observe_pb2.ExchangeHealth(
        name=f"exchanges/{name}",
        state=state,
        causes=[observe_pb2.Cause(summary=f"why {name}", evidence="5 (normal 0)")],
        messages_received=2**40,
        receive_path="recvmmsg",
    )


def snapshot(*rows: observe_pb2.ExchangeHealth) -> observe.GetSnapshotResponse:
    return observe.GetSnapshotResponse(
        exchanges=rows, totals=observe_pb2.FleetTotals(uptime_seconds=307)
    )


def done(response: Untyped = None) -> Untyped:
    """A finished operation."""
    operation = operations_pb2.Operation(name="operations/1", done=True)
    if response is not None:
        operation.response.Pack(response)
    return operation


# -- the command itself --


def test_help_lists_every_command_without_importing_it() -> None:
    """`--help` is fast: neither grpc nor textual is imported for it."""
    program = (
        "import sys; sys.argv = ['tickdeck', '--help']\n"
        "from tickdeck_console.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'grpc', 'textual', 'plotext'} & set(sys.modules), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == "set()"
    for name in COMMANDS:
        assert f"  {name} " in result.stdout
    assert "Exit codes:" in result.stdout


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"console", "demo"}))
def test_only_console_and_demo_import_textual(name: str) -> None:
    """Every other command starts without the cost of a user interface."""
    program = f"import sys, tickdeck_console.commands.{name}\nprint('textual' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_exists(name: str) -> None:
    """The table and the modules agree, and each command explains itself."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help


def test_unknown_commands_are_usage_errors(run: Run) -> None:
    """A typing error exits with 2, as click's own errors do."""
    assert run("statsu").exit_code == 2
    assert run("status", "--jsno").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, shell: str) -> None:
    """Each shell gets a script for our name."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_TICKDECK_COMPLETE" in result.output


def test_completion_completes() -> None:
    """The protocol between the script and the command works."""
    environment = {
        "_TICKDECK_COMPLETE": "bash_complete",
        "COMP_WORDS": "tickdeck ga",
        "COMP_CWORD": "1",
    }
    result = CliRunner().invoke(cli, prog_name="tickdeck", env=environment)
    assert "plain,gaps" in result.output


@pytest.mark.parametrize(
    "words",
    [["status"], ["check"], ["gaps"], ["exchange"], ["events"], ["worker"], ["replay"],
     ["journal", "X"], ["book", "X"], ["exchange", "start", "X"], ["recovery", "X"],
     ["lines", "X"], ["gaps", "show", "X-1"], ["gaps", "snapshot", "X"],
     ["gaps", "annotate", "X-1", "n"], ["gaps", "accept-loss", "X-1", "--dry-run"]],
    ids=" ".join,
)  # fmt: skip
def test_without_a_daemon_every_command_exits_with_3(
    fake_daemon: FakeDaemon, words: Sequence[str]
) -> None:
    """A script can tell an absent daemon from everything else."""
    result = CliRunner().invoke(cli, ["--target", fake_daemon.target, *words])
    assert result.exit_code == 3
    assert "not reachable" in result.stderr
    assert str(fake_daemon.socket) in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, 4),
        (grpc.StatusCode.FAILED_PRECONDITION, 5),
        (grpc.StatusCode.ABORTED, 5),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_refusals(fake_daemon: FakeDaemon, run: Run, code: grpc.StatusCode, exit_code: int) -> None:
    """The daemon's words go to standard error, its code decides the exit code."""
    fake_daemon.answers["GetExchange"] = RefusalError(code, "the words", "REASON")
    result = run("exchange", "show", "X", "--json")
    assert result.exit_code == exit_code
    assert "the words" in result.stderr
    assert result.stdout == ""


# -- status and check --


def test_status(fake_daemon: FakeDaemon, run: Run) -> None:
    """The worst comes first, with its cause below the table."""
    fake_daemon.answers["GetServerInfo"] = system.GetServerInfoResponse(host="h", version="9")
    fake_daemon.answers["GetSnapshot"] = snapshot(
        row("XNAS", observe_pb2.HEALTH_STATE_OK), row("XEUR", observe_pb2.HEALTH_STATE_DOWN)
    )
    result = run("status")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "daemon up 5m 07s" in lines[0]
    assert lines[2].startswith("XXEUR")
    assert lines[3].startswith(" XNAS")
    assert "XEUR: why XEUR  <-  5 (normal 0)" in lines


@pytest.mark.parametrize(
    ("state", "exit_code"),
    [
        (observe_pb2.HEALTH_STATE_OK, 0),
        (observe_pb2.HEALTH_STATE_CLOSED, 0),
        (observe_pb2.HEALTH_STATE_DEGRADED, 0),
        (observe_pb2.HEALTH_STATE_RECOVERING, 0),
        (observe_pb2.HEALTH_STATE_STALE, 1),
        (observe_pb2.HEALTH_STATE_DOWN, 1),
        (observe_pb2.HEALTH_STATE_UNSPECIFIED, 1),
    ],
)
def test_status_exits_by_trust(
    fake_daemon: FakeDaemon,
    run: Run,
    state: observe_pb2.HealthState.ValueType,
    exit_code: int,
) -> None:
    """Only states without valid books are failures."""
    fake_daemon.answers["GetServerInfo"] = system.GetServerInfoResponse()
    fake_daemon.answers["GetSnapshot"] = snapshot(row("X", state))
    result = run("status", "X", "--json")
    assert result.exit_code == exit_code
    document = json.loads(result.stdout)
    assert document["exchanges"][0]["messages_received"] == 2**40
    assert fake_daemon.asked("GetSnapshot")[0].name == "exchanges/X"


def test_status_of_an_empty_plant(fake_daemon: FakeDaemon, run: Run) -> None:
    """No exchange is no failure."""
    fake_daemon.answers["GetServerInfo"] = system.GetServerInfoResponse(host="h")
    fake_daemon.answers["GetSnapshot"] = snapshot()
    result = run("status")
    assert result.exit_code == 0
    assert "0 exchanges" in result.stdout


@pytest.mark.parametrize(
    ("verdict", "exit_code"),
    [
        (observe_pb2.CHECK_VERDICT_PASS, 0),
        (observe_pb2.CHECK_VERDICT_WARN, 0),
        (observe_pb2.CHECK_VERDICT_UNKNOWN, 1),
        (observe_pb2.CHECK_VERDICT_FAIL, 1),
    ],
)
def test_check(
    fake_daemon: FakeDaemon,
    run: Run,
    verdict: observe_pb2.CheckVerdict.ValueType,
    exit_code: int,
) -> None:
    """The verdict is the exit code; evidence, normal value and remedy are shown."""
    one = observe_pb2.CheckResult(
        check="feed.progress",
        verdict=verdict,
        evidence="0 packets in 1 s",
        expected="more than 0",
        remedy="look at the switch",
    )
    fake_daemon.answers["RunHealthCheck"] = observe.RunHealthCheckResponse(
        exchanges=[observe.ExchangeCheck(name="exchanges/X", verdict=verdict, checks=[one])]
    )
    result = run("check", "X")
    assert result.exit_code == exit_code
    assert "0 packets in 1 s" in result.stdout
    assert ("look at the switch" in result.stdout) is (verdict != observe_pb2.CHECK_VERDICT_PASS)
    assert fake_daemon.asked("RunHealthCheck")[0].request_id
    plain = json.loads(run("check", "--json").stdout)
    assert plain["exchanges"][0]["checks"][0]["evidence"] == "0 packets in 1 s"


# -- exchanges --


def test_exchange_list_is_the_default(fake_daemon: FakeDaemon, run: Run) -> None:
    """`tickdeck exchange` lists."""
    seen = exchange_pb2.ExchangeStatus(
        desired=exchange_pb2.DESIRED_STATE_RUNNING, data=exchange_pb2.DATA_STATE_OK
    )
    fake_daemon.answers["ListExchanges"] = exchanges.ListExchangesResponse(
        exchanges=[exchange_pb2.Exchange(name="exchanges/XNAS", status=seen)]
    )
    assert "XNAS      RUNNING" in run("exchange").stdout
    assert json.loads(run("exchange", "--json").stdout)["exchanges"][0]["name"] == "exchanges/XNAS"


def test_exchange_show(fake_daemon: FakeDaemon, run: Run) -> None:
    """The required statistics are shown, and the file can be had alone."""
    lines = [
        exchange_pb2.LineSpec(
            name=name, group="ff15::1", port=31001, interface="lo", receive="auto", source=source
        )
        for name, source in (("A", "fd00::7"), ("B", ""))
    ]
    spec = exchange_pb2.ExchangeSpec(
        name="X",
        toml='name = "X"\n',
        lines=lines,
        replay_protocol="soupbintcp",
        request_address="10.0.0.1:9000",
        snapshot_protocol="none",
    )
    fake_daemon.answers["GetExchange"] = exchanges.GetExchangeResponse(
        exchange=exchange_pb2.Exchange(name="exchanges/X", spec=spec, etag='"e"')
    )
    assert run("exchange", "show", "X", "--toml").stdout == 'name = "X"\n'
    shown = run("exchange", "show", "X").stdout
    for label in ("connected", "last message", "reconnections", "active tasks", "last check"):
        assert label in shown
    assert "[ff15::1]:31001 from fd00::7 on lo by auto" in shown
    assert "[ff15::1]:31001 on lo by auto" in shown
    for label, value in (("re-request", "soupbintcp 10.0.0.1:9000"), ("peer", "none"),
                         ("snapshot", "none")):  # fmt: skip
        assert f"{label:<14}{value}\n" in shown
    document = json.loads(run("exchange", "show", "X", "--json").stdout)
    assert set(document["exchange"]["status"] or {}) == set()


def test_exchange_add(fake_daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """The file's text is sent as it is; a dry run is marked as one."""
    fake_daemon.answers["CreateExchange"] = exchanges.CreateExchangeResponse(effects=["start X-rx"])
    file = tmp_path / "x.toml"
    file.write_text('name = "X"\n')
    assert run("exchange", "add", str(file), "--dry-run").stdout.startswith("Nothing was changed")
    assert run("exchange", "add", "-", "--reason", "why", stdin="name=2").stdout == "- start X-rx\n"
    dry, real = fake_daemon.asked("CreateExchange")
    assert (dry.toml, dry.validate_only) == ('name = "X"\n', True)
    assert (real.toml, real.validate_only, real.reason) == ("name=2", False, "why")
    assert dry.request_id != real.request_id


def test_exchange_add_without_a_file(run: Run, tmp_path: Path) -> None:
    """A file that cannot be read is a usage error, told with its path."""
    result = run("exchange", "add", str(tmp_path / "absent.toml"))
    assert result.exit_code == 2
    assert "absent.toml" in result.stderr


def test_exchange_update_carries_the_etag(
    fake_daemon: FakeDaemon, run: Run, tmp_path: Path
) -> None:
    """Without --etag the current one is read, so that a change between is refused."""
    fake_daemon.answers["GetExchange"] = exchanges.GetExchangeResponse(
        exchange=exchange_pb2.Exchange(etag='"7"')
    )
    fake_daemon.answers["UpdateExchange"] = exchanges.UpdateExchangeResponse(effects=["restart"])
    file = tmp_path / "x.toml"
    file.write_text("x")
    assert run("exchange", "update", "X", str(file)).exit_code == 0
    assert run("exchange", "update", "X", str(file), "--etag", '"5"').exit_code == 0
    assert [r.etag for r in fake_daemon.asked("UpdateExchange")] == ['"7"', '"5"']


def test_exchange_remove_asks(fake_daemon: FakeDaemon, run: Run) -> None:
    """Without a terminal and without --yes nothing is removed."""
    fake_daemon.answers["GetExchange"] = exchanges.GetExchangeResponse(
        exchange=exchange_pb2.Exchange(etag='"7"')
    )
    fake_daemon.answers["DeleteExchange"] = exchanges.DeleteExchangeResponse(effects=["drain"])
    assert run("exchange", "remove", "X").exit_code == 2, "a reason is required"
    assert run("exchange", "remove", "X", "--reason", "r", stdin="X\n").exit_code == 2
    assert all(request.validate_only for request in fake_daemon.asked("DeleteExchange"))
    assert run("exchange", "remove", "X", "--reason", "r", "--yes").exit_code == 0
    last = fake_daemon.asked("DeleteExchange")[-1]
    assert (last.validate_only, last.etag, last.reason) == (False, '"7"', "r")


def test_exchange_start_and_stop(fake_daemon: FakeDaemon, run: Run) -> None:
    """Names are taken with and without their collection."""
    fake_daemon.answers["StartCollection"] = exchanges.StartCollectionResponse(effects=["go"])
    fake_daemon.answers["StopCollection"] = exchanges.StopCollectionResponse(effects=["halt"])
    assert run("exchange", "start", "X").stdout == "- go\n"
    assert run("exchange", "stop", "exchanges/X").stdout == "- halt\n"
    assert fake_daemon.asked("StartCollection")[0].name == "exchanges/X"
    assert fake_daemon.asked("StopCollection")[0].name == "exchanges/X"


# -- gaps, journal, replay --


def test_recovery_waits_for_its_end(fake_daemon: FakeDaemon, run: Run) -> None:
    """The operation is followed, and its error is the command's."""
    running = operations_pb2.Operation(name="operations/1")
    failed = operations_pb2.Operation(name="operations/1", done=True)
    failed.error.code, failed.error.message = 9, "still missing 3"
    fake_daemon.answers["StartRecovery"] = recovery.StartRecoveryResponse(
        operation=running, effects=["ask again"]
    )
    fake_daemon.answers["WatchOperation"] = [
        operations.WatchOperationResponse(operation=running),
        operations.WatchOperationResponse(operation=failed),
    ]
    result = run("gaps", "recover", "X")
    assert result.exit_code == 5
    assert "still missing 3" in result.stderr
    assert run("gaps", "recover", "X", "--no-wait").stdout == "- ask again\n"


@pytest.mark.parametrize(("whole", "exit_code"), [(True, 0), (False, 1)])
def test_journal_verify(fake_daemon: FakeDaemon, run: Run, whole: bool, exit_code: int) -> None:
    """A damaged journal is a failure that names the place."""
    report = journals.VerifyReport(records=9, whole=whole)
    if not whole:
        problem = {"file": "seg", "offset": 64, "class": "corrupt", "from_seq": 3, "to_seq": 5}
        report.problems.append(journals.JournalProblem(**problem))  # type: ignore[arg-type]
    fake_daemon.answers["VerifyJournal"] = journals.VerifyJournalResponse(operation=done(report))
    result = run("journal", "verify", "X")
    assert result.exit_code == exit_code
    assert ("corrupt: seg at byte 64 records 3..5" in result.stdout) is not whole
    assert json.loads(run("journal", "verify", "X", "--json").stdout)["whole"] is whole


def test_journal_show(fake_daemon: FakeDaemon, run: Run) -> None:
    """Watermarks and segments."""
    fake_daemon.answers["GetJournal"] = journals.GetJournalResponse(
        journal=observe_pb2.JournalHealth(state="OK", durable_seq=41),
        segments=[journals.Segment(file="0001.tdj", base_seq=1, sealed=True)],
    )
    shown = run("journal", "X").stdout
    assert "durable 41" in shown
    assert "0001.tdj" in shown
    assert json.loads(run("journal", "show", "X", "--json").stdout)["journal"]["durable_seq"] == 41


@pytest.mark.parametrize(
    ("state", "exit_code"),
    [
        (replays.REPLAY_STATE_DONE, 0),
        (replays.REPLAY_STATE_FAILED, 1),
        (replays.REPLAY_STATE_STOPPED, 1),
    ],
)
def test_replay_waits(
    fake_daemon: FakeDaemon,
    run: Run,
    state: replays.ReplayState.ValueType,
    exit_code: int,
) -> None:
    """With --wait the end of the replay is the exit code."""
    end = replays.Replay(name="replays/7", state=state, packets_sent=12, to_seq=50)
    fake_daemon.answers["StartReplay"] = replays.StartReplayResponse(
        replay=replays.Replay(name="replays/7")
    )
    fake_daemon.answers["WatchReplay"] = [replays.WatchReplayResponse(replay=end)]
    words = ["replay", "start", "--exchange", "X", "--target", "239.9.9.9:9", "--to", "50"]
    result = run(*words, "--speed", "0", "--wait", "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stdout)["packets_sent"] == 12
    request = fake_daemon.asked("StartReplay")[0]
    assert (request.exchange, request.to_seq, request.speed) == ("exchanges/X", 50, 0.0)
    assert run("replay", "watch", "7").exit_code == exit_code


def test_replay_needs_one_source(run: Run) -> None:
    """Neither none nor two."""
    assert run("replay", "start", "--target", "239.9.9.9:9").exit_code == 2
    both = ["--exchange", "X", "--capture", "/c.pcap"]
    assert run("replay", "start", "--target", "239.9.9.9:9", *both).exit_code == 2


def test_replay_of_a_capture_and_its_stop(fake_daemon: FakeDaemon, run: Run) -> None:
    """The other source, the list and the stop."""
    replay = replays.Replay(name="replays/7", source_kind="capture", source="/c.pcap")
    fake_daemon.answers |= {
        "StartReplay": replays.StartReplayResponse(replay=replay),
        "ListReplays": replays.ListReplaysResponse(replays=[replay]),
        "StopReplay": replays.StopReplayResponse(replay=replay),
    }
    started = run("replay", "start", "--capture", "/c.pcap", "--target", "239.9.9.9:9")
    assert started.stdout == "started 7\n"
    assert fake_daemon.asked("StartReplay")[0].capture == "/c.pcap"
    assert "capture /c.pcap" in run("replay").stdout
    assert run("replay", "stop", "7", "--reason", "r").exit_code == 0
    assert fake_daemon.asked("StopReplay")[0].name == "replays/7"


# -- books, workers, events --


def test_books(fake_daemon: FakeDaemon, run: Run) -> None:
    """Prices have their point, and a side without orders is a dash."""
    summary = books.BookSummary(
        symbol="ES",
        orders=3,
        trust="GOOD",
        best_bid=books.Level(price=48_100_000),
        price_decimals=4,
    )
    fake_daemon.answers["ListBooks"] = books.ListBooksResponse(books=[summary], messages=9)
    fake_daemon.answers["GetDepth"] = books.GetDepthResponse(
        summary=summary,
        bids=[books.Level(price=48_100_000, quantity=1200, orders=2)],
    )
    assert "4810.0000         -" in run("book", "X").stdout
    assert "bid   4810.0000     1,200       2" in run("book", "depth", "X", "ES").stdout
    assert json.loads(run("book", "depth", "X", "ES", "--json").stdout)["bids"][0]["orders"] == 2
    assert fake_daemon.asked("GetDepth")[0].levels == 10


def test_books_of_another_scale(fake_daemon: FakeDaemon, run: Run) -> None:
    """Eight decimals of a price are four on screen unless one needs more; parts of a quantity,
    tick and spread are shown."""
    bid, ask = (books.Level(price=price * 1000, quantity=15_000, orders=1)
                for price in (10_425_000, 10_425_500))  # fmt: skip
    summary = books.BookSummary(symbol="4128839", best_bid=bid, best_ask=ask)
    summary.tick, summary.spread_ticks = 500_000, 1
    summary.price_decimals, summary.quantity_decimals = 8, 4
    fake_daemon.answers["ListBooks"] = books.ListBooksResponse(books=[summary])
    fake_daemon.answers["GetDepth"] = books.GetDepthResponse(
        summary=summary, bids=[bid], asks=[ask]
    )
    assert "104.2500  104.2550" in run("book", "X").stdout
    shown = run("book", "depth", "X", "4128839").stdout
    assert "0 orders  tick 0.0050, spread 1 ticks" in shown
    assert "ask   104.2550       1.5       1" in shown
    run("book", "depth", "X", "4128839", "--kind", "price")
    assert [asked.kind for asked in fake_daemon.asked("GetDepth")] == ["", "price"]
    summary.best_ask.price += 1
    summary.kind = "price"
    fake_daemon.answers["ListBooks"] = books.ListBooksResponse(books=[summary])
    shown = run("book", "X").stdout
    assert "4128839 by price" in shown
    assert "104.25000000  104.25500001" in shown


def test_workers(fake_daemon: FakeDaemon, run: Run) -> None:
    """State, exit and log of the processes."""
    entry = worker_pb2.Worker(
        name="workers/X-rx",
        kind="rx",
        state=worker_pb2.WORKER_STATE_BACKOFF,
        last_exit="killed by SIGKILL",
        core=-1,
    )
    fake_daemon.answers |= {
        "ListWorkers": workers.ListWorkersResponse(workers=[entry]),
        "RestartWorker": workers.RestartWorkerResponse(effects=["drain X-rx"]),
        "TailWorkerLogs": [
            workers.TailWorkerLogsResponse(
                lines=['{"level":"WARN","message":"gap","timestamp":"2026-01-02T03:04:05Z"}'],
                skipped=4,
            )
        ],
    }
    shown = run("worker", "list", "X").stdout
    assert "BACKOFF" in shown
    assert "killed by SIGKILL" in shown
    assert run("worker", "restart", "X-rx", "--dry-run").exit_code == 0
    assert fake_daemon.asked("RestartWorker")[0].validate_only
    log = run("worker", "logs", "X-rx", "--lines", "5")
    assert "WARN   gap" in log.stdout
    assert "4 lines left out" in log.stderr
    assert json.loads(run("worker", "logs", "X-rx", "--json").stdout)["message"] == "gap"


def test_events(fake_daemon: FakeDaemon, run: Run) -> None:
    """The newest events by default, one JSON object a line."""
    log = [observe_pb2.Event(seq=n, type="gap.opened", message=f"m{n}") for n in range(1, 8)]

    def answer(request: observe.WatchEventsRequest) -> list[observe.WatchEventsResponse]:
        start = request.start_seq or 8
        kept = [event for event in log if event.seq >= start]
        return [observe.WatchEventsResponse(events=kept, next_seq=8, epoch="e")]

    fake_daemon.answers["WatchEvents"] = answer
    lines = run("events", "--last", "2", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [6, 7]
    assert "m1" in run("events", "--from", "1").stdout


def test_events_that_are_no_longer_kept(fake_daemon: FakeDaemon, run: Run) -> None:
    """Asking for more than is kept gives what is kept; asking by number is refused."""

    def answer(request: observe.WatchEventsRequest) -> list[observe.WatchEventsResponse]:
        if request.start_seq > 1:
            raise RefusalError(grpc.StatusCode.OUT_OF_RANGE, "gone", "CURSOR_EXPIRED")
        kept = [observe_pb2.Event(seq=90, message="kept")] if request.start_seq else []
        return [observe.WatchEventsResponse(events=kept, next_seq=91)]

    fake_daemon.answers["WatchEvents"] = answer
    assert "kept" in run("events").stdout
    assert run("events", "--from", "5").exit_code == 5


def test_stat_needs_no_daemon(run: Run, tmp_path: Path) -> None:
    """The exit code is that of `tickdeckd stat`."""
    assert run("stat", str(tmp_path / "absent")).exit_code not in (0, 3)


def test_a_picture_of_the_made_up_plant(run: Run, tmp_path: Path) -> None:
    """The README's picture is made by the project's own command."""
    file = tmp_path / "fleet.svg"
    words = ["--fake", "7", "--size", "80x24", "--after", "0.5"]
    result = run("console", "--screenshot", str(file), *words)
    assert result.exit_code == 0
    assert "XEUR" in file.read_text()
    assert run("console", "--screenshot", str(file), "--size", "big").exit_code == 2
    assert run("console", "--theme", "none").exit_code == 2
