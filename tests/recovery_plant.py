"""A plant of real processes whose venue has a re-request server, GLIMPSE snapshots, and faults."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from demo_runs import ROOT, program
from tickdeck.v1 import recovery_pb2
from tickdeck.v1.exchange_service_pb2 import CreateExchangeRequest
from tickdeck.v1.recovery_pb2 import Gap, RecoverySource
from tickdeck.v1.recovery_service_pb2 import ListGapsRequest, ListRecoverySourcesRequest
from tickdeck.v1.system_service_pb2 import DrainDaemonRequest
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.demo.processes import Child, Simulator

NAME = "RCV"
EXCHANGE = f"exchanges/{NAME}"
WAIT_S = 120.0
LOOK_S = 0.05
LEASE_MS = 600_000
Seen = TypeVar("Seen")


class RecoveryPlant:
    """Simulator, daemon and one exchange; made by `recovery_plant`."""

    def __init__(self, base: Path, *, books: bool = False) -> None:
        """Nothing is started yet; `books` gives the exchange a book worker."""
        self.base = base
        self._books = books
        self.target = f"unix:{base / 'run' / 'tickdeckd.sock'}"
        self.client = Client(self.target)
        self.venue: Simulator
        self.servers: dict[str, str] = {}
        self._lines = dict(zip("AB", free_ports(2), strict=True))
        self._daemon: Child | None = None

    async def open_venue(self) -> None:
        """Start the simulator; where it listened before, it listens again."""
        runtime = self.base / "sim"
        shutil.rmtree(runtime, ignore_errors=True)
        runtime.mkdir()
        command: list[str | Path] = [program("tickdeck-sim"), "play", "--generate", "--wait"]
        # Slow enough that the session has not ended when a test is done.
        command += ["--messages", "600000", "--rate", "2000", "--heartbeat-ms", "100"]
        for name, port in self._lines.items():
            command += ["--line", f"{name}=239.81.4.{ord(name)}:{port}"]
        for server in ("request", "glimpse"):
            command += [f"--{server}-listen", self.servers.get(server, "127.0.0.1:0")]
        command += ["--runtime-dir", runtime]
        child = await Child.start("tickdeck-sim", command, self.base / "sim.log")
        ready = json.loads(await child.first_line())
        self.servers = {name: ready[f"{name}_listen"] for name in ("request", "glimpse")}
        self.venue = Simulator(child, ready, runtime / "control.sock")

    async def arm(self, fault: str, **arguments: object) -> int:
        """Arm a fault of the venue; returns its id."""
        answer = await self.venue.call("fault.arm", fault=fault, args=arguments, lease_ms=LEASE_MS)
        return int(answer["fault_id"])

    async def start(self) -> None:
        """Start the daemon and the exchange; returns when the lines are heard and a probe is."""
        command: list[str | Path] = [program("tickdeckd"), "run", "--ready-fd", "1"]
        for name, folder in {
            "runtime": "run",
            "state": "state",
            "config": "config",
            "log": "log",
        }.items():
            (self.base / folder).mkdir()
            command += [f"--{name}-dir", self.base / folder]
        self._daemon = await Child.start("tickdeckd", command, self.base / "tickdeckd.log")
        await self._daemon.first_line()
        request = CreateExchangeRequest(request_id=new_request_id(), toml=self._toml())
        await self.client.exchange.CreateExchange(request, timeout=WAIT_S)
        await self.venue.call("play")
        ready = recovery_pb2.RECOVERY_SOURCE_STATE_READY
        # A probe waits for the session, and so for the lines.
        await until(
            self.sources,
            lambda seen: all(source.state == ready for source in seen.values()),
            "both sources ready",
        )

    async def lose(self, *counts: int) -> list[int]:
        """Let both lines lose so many messages, a gap each; returns where these begin."""
        next_sequence = int((await self.venue.call("status"))["next_sequence"])
        firsts = [next_sequence + 500 * (1 + place) for place in range(len(counts))]
        ranges = [(first, first + count - 1) for first, count in zip(firsts, counts, strict=True)]
        await self.arm("drop", line="AB", ranges=ranges)
        return firsts

    async def gaps(self) -> dict[int, Gap]:
        """The gaps by their first message.

        What was missed before the lines were joined, or came late, has gaps of its own: no gap's
        number is known before it is there.
        """
        response = await self.client.recovery.ListGaps(ListGapsRequest(exchange=EXCHANGE))
        return {gap.first_seq: gap for gap in response.gaps}

    async def sources(self) -> dict[str, RecoverySource]:
        """The sources of the recovery by their name."""
        request = ListRecoverySourcesRequest(exchange=EXCHANGE)
        response = await self.client.recovery.ListRecoverySources(request)
        return {source.source: source for source in response.sources}

    async def tickdeck(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a `tickdeck` command on the plant's daemon."""
        command = [str(program("tickdeck")), "--target", self.target, *arguments]
        return await asyncio.to_thread(run_quiet, command)

    async def journalled_gaps(self) -> dict[int, dict[str, Any]]:
        """What `tickdeck-journal gaps` tells of the journal, by the gap's first message."""
        journal = self.base / "state" / "journal" / NAME
        command = [str(program("tickdeck-journal")), "gaps", str(journal), "--json"]
        result = await asyncio.to_thread(run_quiet, command)
        assert result.returncode == 0, result.stderr
        return {gap["first"]: gap for gap in map(json.loads, result.stdout.splitlines())}

    async def close(self) -> None:
        """Drain the workers and stop what was started."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            request = DrainDaemonRequest(request_id=new_request_id(), stop_workers=True)
            try:
                await self.client.system.DrainDaemon(request, timeout=WAIT_S)
                await asyncio.wait_for(daemon.process.wait(), WAIT_S)
            finally:
                await daemon.stop()
        await self.client.close()
        if hasattr(self, "venue"):
            await self.venue.child.stop()

    def _toml(self) -> str:
        parts = [f'name = "{NAME}"']
        for name, port in self._lines.items():
            parts += ["[[line]]", f'name = "{name}"', f'group = "239.81.4.{ord(name)}"']
            parts += [f"port = {port}", 'interface = "127.0.0.1"']
        parts += [
            "[receive]",
            "rcvbuf_bytes = 65536",
            "[book]",
            f"enabled = {str(self._books).lower()}",
        ]
        # So many attempts that a gap stays open until somebody acts.
        parts += ["[recovery]", 'replay_protocol = "moldudp64"', "retry_attempts = 1000"]
        parts += [f'request_address = "{self.servers["request"]}"', "request_timeout_ms = 100"]
        parts += ["storm_gaps = 0", "probe_interval_ms = 100"]
        parts += ["[recovery.snapshot]", 'protocol = "glimpse"']
        parts += [f'address = "{self.servers["glimpse"]}"', ""]
        return "\n".join(parts)


@asynccontextmanager
async def recovery_plant(*, books: bool = False) -> AsyncGenerator[RecoveryPlant]:
    """A plant whose exchange runs and whose venue waits; nothing of it is left behind."""
    base = Path(tempfile.mkdtemp(prefix="tickdeck-rcv-", dir="/tmp"))
    plant = RecoveryPlant(base, books=books)
    try:
        await plant.open_venue()
        await plant.start()
        yield plant
    finally:
        try:
            await plant.close()
        finally:
            shutil.rmtree(base, ignore_errors=True)


async def until(
    look: Callable[[], Awaitable[Seen]], wanted: Callable[[Seen], bool], what: str
) -> Seen:
    """Look until it is as wanted, and return what was seen; a failure tells the last look."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while True:
        seen = await look()
        if wanted(seen):
            return seen
        assert asyncio.get_running_loop().time() < deadline, f"not in time: {what}; last: {seen}"
        await asyncio.sleep(LOOK_S)


def run_quiet(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a program of ours and keep what it prints."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=WAIT_S, cwd=ROOT, env=os.environ
    )


def free_ports(count: int) -> list[int]:
    """UDP ports that nobody uses now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
