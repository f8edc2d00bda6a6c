"""`tickdeck preflight`: what is asked, what is printed, and the exit codes."""

import json
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from fake_tickdeckd import FakeDaemon, RefusalError
from tickdeck.v1 import observe_pb2
from tickdeck.v1 import system_service_pb2 as system
from tickdeck_console.cli import cli

PASS = observe_pb2.CHECK_VERDICT_PASS
WARN = observe_pb2.CHECK_VERDICT_WARN
FAIL = observe_pb2.CHECK_VERDICT_FAIL
UNKNOWN = observe_pb2.CHECK_VERDICT_UNKNOWN
COMMAND = "for n in 40 41 42 43; do echo 0-2,4-7 > /proc/irq/$n/smp_affinity_list; done"


def finding(
    name: str, verdict: observe_pb2.CheckVerdict.ValueType, command: str = ""
) -> system.PreflightFinding:
    return system.PreflightFinding(
        id=name,
        verdict=verdict,
        subject="ens1",
        evidence=f"the evidence of {name}, " + "which is long enough to need a second line " * 2,
        why=f"The reason of {name}.",
        command=command,
    )


def response(*findings: system.PreflightFinding) -> system.RunPreflightResponse:
    worst = max((one.verdict for one in findings), default=PASS)
    answer = system.RunPreflightResponse(
        exchange="exchanges/XNAS", host="md1", verdict=worst, findings=findings
    )
    answer.time.FromSeconds(1_700_000_000)
    return answer


def invoke(daemon: FakeDaemon, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(
        cli,
        ["--target", daemon.target, "preflight", *words],
        input=stdin,
        catch_exceptions=False,
        env={"COLUMNS": "80"},
    )


def test_the_worst_is_told_first_and_what_passed_is_short(fake_daemon: FakeDaemon) -> None:
    """Evidence, reason and command of what is wrong; names of the rest; within 80 columns."""
    fake_daemon.answers["RunPreflight"] = response(
        finding("clock", PASS),
        finding("nic.ring", WARN, "ethtool -G ens1 rx 4096"),
        finding("irq.affinity", FAIL, COMMAND),
        finding("cpu.governor", UNKNOWN, "cpupower frequency-info"),
        finding("thp", PASS),
    )
    fake_daemon.start()
    shown = invoke(fake_daemon, "XNAS")
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    heads = [line.split()[1:3] for line in lines if line[:1] in "X?!" and line[1:2] == " "]
    assert heads == [["FAIL", "irq.affinity"], ["UNKNOWN", "cpu.governor"], ["WARN", "nic.ring"]]
    assert f"  do:    {COMMAND}" in lines
    assert "  why:   The reason of irq.affinity." in lines
    assert "2 passed (--all shows their evidence):" in lines
    assert "  clock, thp" in lines
    assert "the evidence of clock" not in shown.stdout
    assert lines[-2:] == ["XNAS on md1 at 2023-11-14T22:13:20.000Z", "verdict: UNKNOWN"]
    assert max(len(line) for line in lines if "do:" not in line) <= 80


def test_all_shows_the_evidence_of_what_passed(fake_daemon: FakeDaemon) -> None:
    """Without a reason, for nothing is to be done."""
    fake_daemon.answers["RunPreflight"] = response(finding("clock", PASS))
    fake_daemon.start()
    shown = invoke(fake_daemon, "XNAS", "--all")
    assert shown.exit_code == 0
    assert "  seen:  the evidence of clock" in shown.stdout
    assert "why:" not in shown.stdout
    assert "do:" not in shown.stdout


@pytest.mark.parametrize(("verdict", "code"), [(PASS, 0), (WARN, 0), (UNKNOWN, 0), (FAIL, 1)])
def test_only_a_failure_is_an_exit_code(
    fake_daemon: FakeDaemon, verdict: observe_pb2.CheckVerdict.ValueType, code: int
) -> None:
    """A virtual machine cannot tell everything, and a warning keeps nobody from starting."""
    fake_daemon.answers["RunPreflight"] = response(finding("clock", verdict, "x"))
    fake_daemon.start()
    assert invoke(fake_daemon, "XNAS").exit_code == code
    answer = invoke(fake_daemon, "XNAS", "--json")
    assert answer.exit_code == code
    plain = json.loads(answer.stdout)
    assert plain["exchange"] == "exchanges/XNAS"
    assert plain["findings"][0]["verdict"] in ("PASS", "WARN", "UNKNOWN", "FAIL")
    assert plain["findings"][0]["subject"] == "ens1"


def test_a_file_is_sent_as_text_and_a_name_as_name(fake_daemon: FakeDaemon, tmp_path: Path) -> None:
    """What holds a dot or a slash is a path, `-` is standard input, all else an exchange."""
    path = tmp_path / "xnas.toml"
    path.write_text('name = "XNAS"\n')
    fake_daemon.answers["RunPreflight"] = response(finding("clock", PASS))
    fake_daemon.start()
    invoke(fake_daemon, str(path))
    invoke(fake_daemon, "-", stdin='name = "BATS"\n')
    invoke(fake_daemon, "XNAS")
    invoke(fake_daemon, "exchanges/XNAS")
    asked = fake_daemon.asked("RunPreflight")
    assert [(one.name, one.toml) for one in asked] == [
        ("", 'name = "XNAS"\n'),
        ("", 'name = "BATS"\n'),
        ("exchanges/XNAS", ""),
        ("exchanges/XNAS", ""),
    ]
    assert len({one.request_id for one in asked}) == 4


def test_a_file_that_is_not_there_is_wrong_usage(fake_daemon: FakeDaemon, tmp_path: Path) -> None:
    """Told before the daemon is asked."""
    result = invoke(fake_daemon, str(tmp_path / "none.toml"))
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_an_unknown_exchange_is_not_found(fake_daemon: FakeDaemon) -> None:
    """As everywhere: exit code 4."""
    fake_daemon.answers["RunPreflight"] = RefusalError(
        grpc.StatusCode.NOT_FOUND, "no exchange NOPE", "EXCHANGE_NOT_FOUND"
    )
    fake_daemon.start()
    assert invoke(fake_daemon, "NOPE").exit_code == 4


def test_escapes_in_evidence_do_nothing(fake_daemon: FakeDaemon) -> None:
    """A card's name or an error from the kernel is foreign text."""
    hostile = finding("clock", FAIL, "echo \x1b[2Jx")
    hostile.evidence = "a\x1b]0;title\x07b\nc"
    fake_daemon.answers["RunPreflight"] = response(hostile)
    fake_daemon.start()
    shown = invoke(fake_daemon, "XNAS").stdout
    assert "\x1b" not in shown
    assert "  seen:  ab c" in shown
