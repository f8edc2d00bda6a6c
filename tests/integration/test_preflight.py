"""Preflights over a real socket, of this host, with a stand-in for the native probe."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from demo_runs import program
from fake_plant import exchange_toml
from serving import NAME, Served, create_request, failure, serving
from tickdeck.v1 import observe_pb2
from tickdeck.v1 import system_service_pb2 as pb

PASS, FAIL = observe_pb2.CHECK_VERDICT_PASS, observe_pb2.CHECK_VERDICT_FAIL
PROBE = """#!{python} -SE
import json, sys
lines = json.load(open(sys.argv[3]))["exchange"]["lines"]
rungs = [{{"path": "recvmmsg", "ok": True, "errno": None, "error": None}}]
print(json.dumps({{"lines": [
    {{"line": line["name"], "wish": line["receive"], "rungs": rungs, "chosen": "recvmmsg"}}
    for line in lines
]}}))
"""


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange on `lo`, and an rx worker that can only be probed."""
    binary = tmp_path / "native" / "tickdeck-rx"
    binary.parent.mkdir()
    binary.write_text(PROBE.format(python=sys.executable))
    binary.chmod(0o755)
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(binary.parent))
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        yield served


def by_id(response: pb.RunPreflightResponse) -> dict[str, pb.PreflightFinding]:
    return {finding.id: finding for finding in response.findings}


async def test_an_exchange_of_the_daemon(served: Served) -> None:
    """Every finding has evidence and a reason, and a command unless it passed."""
    response = await served.system.RunPreflight(pb.RunPreflightRequest(name=NAME))
    assert (response.exchange, response.host) == (NAME, os.uname().nodename)
    assert response.time.seconds > 1_700_000_000
    found = by_id(response)
    assert found["interface.up"].verdict == PASS
    assert found["interface.up"].subject == "lo"
    assert found["path.tried"].verdict == PASS
    for finding in response.findings:
        assert finding.evidence, finding
        assert finding.why, finding
        assert bool(finding.command) is (finding.verdict != PASS), finding


async def test_a_file_that_is_no_exchange_yet(served: Served) -> None:
    """An interface that is not there is a finding and no refusal; nothing is created."""
    toml = exchange_toml("BATS", port=31002).replace('"lo"', '"none9"')
    toml += '[receive]\ncpu = 4000\nwait = "spin"\n'
    response = await served.system.RunPreflight(pb.RunPreflightRequest(toml=toml))
    found = by_id(response)
    assert (response.exchange, response.verdict) == ("exchanges/BATS", FAIL)
    assert found["interface.exists"].verdict == FAIL
    assert "lo" in found["interface.exists"].evidence
    assert found["cpu.exists"].verdict == FAIL
    assert [record.name for record in served.plant.store.list()] == ["XNAS"]


async def test_wrong_requests_are_refused(served: Served) -> None:
    """Neither or both, a broken file, an unknown name."""
    run, request = served.system.RunPreflight, pb.RunPreflightRequest
    for wrong in (request(), request(name=NAME, toml="x = 1")):
        found = await failure(run(wrong))
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["toml"])
    broken = await failure(run(request(toml=exchange_toml().replace("port =", "prot ="))))
    assert "line[0].prot" in broken.fields
    unknown = await failure(run(request(name="exchanges/NOPE")))
    assert unknown.code is grpc.StatusCode.NOT_FOUND


async def test_a_repeated_request_gets_the_first_report(served: Served) -> None:
    """As every audited call."""
    request = pb.RunPreflightRequest(request_id=str(uuid.uuid4()), name=NAME)
    assert await served.system.RunPreflight(request) == await served.system.RunPreflight(request)


async def test_the_command_reads_standard_input(served: Served) -> None:
    """From the command line through the daemon and back; a core that is not there exits with 1."""
    toml = exchange_toml("BATS", port=31002, extra="[receive]\ncpu = 4000\n")
    command = [program("tickdeck"), "--target", str(served.settings.socket_path), "preflight", "-"]
    result = await asyncio.to_thread(
        subprocess.run, command, input=toml, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 1, result.stderr
    assert "X FAIL    cpu.exists  core 4000" in result.stdout
    assert "  do:    lscpu --extended" in result.stdout
    assert "verdict: FAIL" in result.stdout
