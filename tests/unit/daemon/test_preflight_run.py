"""A preflight as a whole: the native probe, interfaces in use, a host that does not answer."""

import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fake_host import config, indexes, plant_tree
from serving import settings_below
from tickdeck_daemon.errors import TimedOutError, UnavailableError
from tickdeck_daemon.exchanges.config import ExchangeConfig, Settings
from tickdeck_daemon.observe.checks import ClockState
from tickdeck_daemon.preflight import run as run_module
from tickdeck_daemon.preflight import rungs as rungs_module
from tickdeck_daemon.preflight.ethtool import Ethtool
from tickdeck_daemon.preflight.facts import LineRungs, RungFact, Unread
from tickdeck_daemon.preflight.finding import Finding, Report, Verdict
from tickdeck_daemon.preflight.read_host import Sources
from tickdeck_daemon.preflight.run import Preflight
from tickdeck_daemon.preflight.rungs import probe_rungs
from tickdeck_daemon.services.guard import UNARY_LIMIT_S

ANSWER = {
    "lines": [
        {
            "line": "A",
            "wish": "auto",
            "rungs": [
                {"path": "af_xdp zero-copy", "ok": False, "errno": 95, "error": "refused"},
                {"path": "recvmmsg", "ok": True, "errno": None, "error": None},
            ],
            "chosen": "recvmmsg",
        }
    ]
}


def refuse(number: int, interface: str, data: bytes) -> bytes:
    """A driver that answers nothing."""
    raise OSError(95, f"Operation not supported: {number} {interface} {len(data)}")


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """A made-up host with the card ens1, which has the address 10.1.0.2."""
    return Sources(
        root=plant_tree(tmp_path / "root"),
        ethtool=Ethtool(refuse),
        link=lambda _: "[{}]",
        indexes=indexes,
        clock=lambda: ClockState(True, 5),
        addresses={"ens1": ("10.1.0.2",)},
    )


class Probe:
    """Counts how often the paths were tried."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(
        self, exchange: ExchangeConfig, settings: Settings
    ) -> tuple[LineRungs, ...] | Unread:
        self.calls += 1
        return (LineRungs("A", "recvmmsg", "recvmmsg", (RungFact("recvmmsg", True),)),)


def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Put a `tickdeck-rx` of our own in place."""
    binary = tmp_path / "native" / "tickdeck-rx"
    binary.parent.mkdir()
    binary.write_text(f"#!{sys.executable} -SE\nimport json, os, sys, time\n{program}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(binary.parent))
    monkeypatch.setattr(rungs_module, "PROBE_TIMEOUT_S", 0.5 if "sleep" in program else 120.0)


def finding(report: Report, name: str) -> Finding:
    return next(one for one in report.findings if one.id == name)


async def test_a_made_up_host_is_judged(tmp_path: Path, sources: Sources) -> None:
    """From files to findings: the card's interrupt on the receive thread's core is found."""
    probe = Probe()
    preflight = Preflight(settings_below(tmp_path), sources=sources, probe=probe)
    report = await preflight.run(config(receive="cpu = 1"), [], set())
    assert (report.exchange, report.verdict, probe.calls) == ("XNAS", Verdict.FAIL, 1)
    assert "interrupt 41 (ens1-TxRx-1)" in finding(report, "irq.affinity").evidence
    assert finding(report, "rps").verdict is Verdict.FAIL
    assert finding(report, "path.tried").verdict is Verdict.PASS
    assert finding(report, "nic.ring").verdict is Verdict.UNKNOWN


async def test_a_card_in_use_is_not_touched(tmp_path: Path, sources: Sources) -> None:
    """Trying AF_XDP restarts the queues of some cards; the other may name it by its address."""
    probe = Probe()
    preflight = Preflight(settings_below(tmp_path), sources=sources, probe=probe)
    running = config(interface="10.1.0.2").model_copy(update={"name": "BATS"})
    found = finding(await preflight.run(config("auto"), [running], {"BATS"}), "path.tried")
    assert (found.verdict, probe.calls) == (Verdict.UNKNOWN, 0)
    assert "BATS receives on ens1" in found.evidence
    assert found.command.startswith("tickdeck drops BATS")
    await preflight.run(config("auto"), [running], set())
    assert probe.calls == 1, "a stopped exchange uses nothing"
    elsewhere = config(interface="lo").model_copy(update={"name": "BATS"})
    await preflight.run(config("auto"), [elsewhere], {"BATS"})
    assert probe.calls == 2


async def test_the_own_worker_is_not_tried_against(tmp_path: Path, sources: Sources) -> None:
    """Where it has AF_XDP, on a harmless interface too, the probe would only find it."""
    probe = Probe()

    def link(name: str) -> str:
        assert name in ("lo", "ens1")
        return '[{"xdp": {"mode": 1, "prog": {"id": 9, "name": "steer"}}}]'

    steered = replace(sources, link=link)
    preflight = Preflight(settings_below(tmp_path), sources=steered, probe=probe)
    exchange = config("af_xdp", interface="lo")
    found = finding(await preflight.run(exchange, [exchange], {"XNAS"}), "path.tried")
    assert (found.verdict, probe.calls) == (Verdict.UNKNOWN, 0)
    assert "this exchange's own worker has AF_XDP on lo" in found.evidence
    assert found.command.startswith("tickdeck drops XNAS")
    await preflight.run(exchange, [exchange], set())
    assert probe.calls == 1, "a stopped exchange holds nothing"
    card = config("auto")
    found = finding(await preflight.run(card, [card], {"XNAS"}), "path.tried")
    assert (found.verdict, probe.calls) == (Verdict.UNKNOWN, 1)


def test_reading_and_probe_fit_into_a_call() -> None:
    """A caller without a deadline gets a report, not an end of its time."""
    assert run_module.READ_TIMEOUT_S + rungs_module.PROBE_TIMEOUT_S < UNARY_LIMIT_S


async def test_the_own_exchange_is_no_other(tmp_path: Path, sources: Sources) -> None:
    """A running exchange does not share its core with itself."""
    exchange = config(receive="cpu = 0")
    twin = exchange.model_copy(update={"name": "BATS"})
    preflight = Preflight(settings_below(tmp_path), sources=sources, probe=Probe())
    report = await preflight.run(exchange, [exchange], {"XNAS"})
    assert finding(report, "cpu.shared").verdict is Verdict.PASS
    report = await preflight.run(exchange, [exchange, twin], set())
    assert finding(report, "cpu.shared").verdict is Verdict.FAIL


async def test_a_host_that_hangs_is_an_error(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a bound; a second preflight does not hang beside the first; a later one works."""
    monkeypatch.setattr(run_module, "READ_TIMEOUT_S", 0.05)
    awake = threading.Event()

    def dead(path: Path) -> os.statvfs_result:
        awake.wait(240)
        return os.statvfs(path)

    hanging = replace(sources, statvfs=dead)
    preflight = Preflight(settings_below(tmp_path), sources=hanging, probe=Probe())
    try:
        with pytest.raises(TimedOutError, match="could not be read within"):
            await preflight.run(config(), [], set())
        with pytest.raises(UnavailableError, match="former preflight"):
            await preflight.run(config(), [], set())
    finally:
        awake.set()
    await preflight.settled()
    monkeypatch.setattr(run_module, "READ_TIMEOUT_S", 120.0)
    assert (await preflight.run(config(), [], set())).findings


async def test_the_probe_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a spec as a worker gets it; its answer is taken over."""
    program = (
        "assert sys.argv[1:3] == ['probe', '--spec'], sys.argv\n"
        "spec = json.load(open(sys.argv[3]))\n"
        "assert spec['kind'] == 'rx' and spec['exchange']['lines'][0]['name'] == 'A'\n"
        f"print(json.dumps({ANSWER!r}))"
    )
    native(tmp_path, monkeypatch, program)
    [line] = await asked(tmp_path)
    assert (line.line, line.wish, line.chosen) == ("A", "auto", "recvmmsg")
    assert line.rungs[0] == RungFact("af_xdp zero-copy", False, 95, "refused")
    assert line.rungs[1] == RungFact("recvmmsg", True)


async def asked(tmp_path: Path) -> tuple[LineRungs, ...]:
    answer = await probe_rungs(config(), settings_below(tmp_path))
    assert not isinstance(answer, Unread), answer
    return answer


USAGE = "sys.stderr.write(\"error: unrecognized subcommand 'probe'\\n\\nUsage: x\\n\"); sys.exit(2)"
LOGGED = f"sys.stderr.write({json.dumps(json.dumps({'message': 'no such key'}))}); sys.exit(78)"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (USAGE, "probe ended with 2: error: unrecognized subcommand 'probe'"),
        (LOGGED, "probe ended with 78: no such key"),
        ("sys.exit(1)", "probe ended with 1: no message"),
        ("print('{}')", "answered what is not understood: KeyError('lines')"),
        ("print('nothing')", "answered what is not understood"),
        ("time.sleep(60)", "did not end within"),
    ],
)
async def test_a_probe_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    """An older worker without the command, one that refuses, one that hangs: never a guess."""
    native(tmp_path, monkeypatch, program)
    answer = await probe_rungs(config(), settings_below(tmp_path))
    assert isinstance(answer, Unread)
    assert told in answer.reason


async def test_without_a_worker_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without the native part says so."""
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path))
    answer = await probe_rungs(config(), settings_below(tmp_path))
    assert isinstance(answer, Unread)
    assert "no executable tickdeck-rx" in answer.reason
