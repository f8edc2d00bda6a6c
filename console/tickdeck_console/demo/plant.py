"""A private plant: folders, simulator, daemon, one exchange; all gone afterwards."""

import asyncio
import json
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tickdeck.v1.exchange_service_pb2 import CreateExchangeRequest, StopCollectionRequest
from tickdeck.v1.observe_service_pb2 import GetSnapshotRequest
from tickdeck.v1.system_service_pb2 import DrainDaemonRequest
from tickdeck.v1.worker_pb2 import Worker, WorkerState
from tickdeck.v1.worker_service_pb2 import ListWorkersRequest
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.demo.options import EXCHANGE, DemoOptions
from tickdeck_console.demo.processes import READY_TIMEOUT_S, Child, Simulator, find_binary
from tickdeck_console.demo.reader import Reader
from tickdeck_console.errors import CommandError, ExitCode

WORKERS = ("rx", "book", "export")
NAME = f"exchanges/{EXCHANGE}"
FAULT_LEASE_MS = 3_600_000
CAP_NET_ADMIN = 12
"""With it a socket buffer may exceed net.core.rmem_max."""


class DemoPlant:
    """Starts on entry, ends on exit; workers included."""

    def __init__(self, options: DemoOptions) -> None:
        """Nothing is started or created yet."""
        self.options = options
        self.base = Path()
        self.runtime = Path()
        self.lines: dict[str, str] = {}
        self.simulator: Simulator
        self.reader: Reader
        self._daemon: Child | None = None
        self._client: Client | None = None

    @property
    def target(self) -> str:
        """Where the private daemon listens."""
        return f"unix:{self.runtime / 'tickdeckd.sock'}"

    @property
    def client(self) -> Client:
        """A connection to the private daemon."""
        if self._client is None:
            self._client = Client(self.target)
        return self._client

    @property
    def messages(self) -> int:
        """Messages that the exchange will have sent at the end."""
        return self.simulator.messages

    async def __aenter__(self) -> Self:
        """Start everything; the exchange waits for `play`.

        Raises:
            CommandError: Something did not become ready; what was started is stopped again.
        """
        self.base, self.runtime = _private_folders()
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything and remove the folders."""
        await self.close()

    async def play(self) -> None:
        """Let the exchange begin."""
        await self.simulator.call("play")

    async def start_daemon(self) -> None:
        """Start the daemon and wait until it answers."""
        folders = {"runtime": self.runtime, "state": self.base / "state"}
        folders |= {"config": self.base / "config", "log": self.base / "log"}
        command: list[str | Path] = [find_binary("tickdeckd"), "run", "--ready-fd", "1"]
        for name, folder in folders.items():
            folder.mkdir(exist_ok=True)
            command += [f"--{name}-dir", folder]
        self._daemon = await Child.start("tickdeckd", command, self.base / "tickdeckd.log")
        await self._daemon.first_line()

    async def kill_daemon(self) -> None:
        """End the daemon as a crash would; the workers go on."""
        assert self._daemon is not None
        self._daemon.kill()
        await self._daemon.process.wait()
        await self._drop_client()

    async def workers(self) -> dict[str, Worker]:
        """The exchange's workers by kind."""
        response = await self.client.worker.ListWorkers(ListWorkersRequest(exchange=NAME))
        return {worker.kind: worker for worker in response.workers}

    async def wait_for_workers(self) -> None:
        """Return when all workers run.

        Raises:
            CommandError: They do not in time, or failed for good.
        """
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while True:
            workers = await self.workers()
            states = {kind: worker.state for kind, worker in workers.items()}
            if states == dict.fromkeys(WORKERS, WorkerState.WORKER_STATE_RUNNING):
                return
            late = asyncio.get_running_loop().time() > deadline
            if late or WorkerState.WORKER_STATE_FAILED_PERMANENT in states.values():
                words = ", ".join(
                    f"{k} {WorkerState.Name(w.state)} {w.last_exit}" for k, w in workers.items()
                )
                raise CommandError(
                    f"the workers did not become ready: {words}",
                    f"run again with --keep and see {self.base / 'log'}",
                    ExitCode.FAILED,
                )
            await asyncio.sleep(0.05)

    async def stop_collection(self) -> None:
        """Drain the workers in order and wait until they have ended."""
        request = StopCollectionRequest(name=NAME, request_id=new_request_id(), reason="demo ends")
        await self.client.exchange.StopCollection(request, timeout=READY_TIMEOUT_S)
        ended = {WorkerState.WORKER_STATE_STOPPED}
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while {worker.state for worker in (await self.workers()).values()} - ended:
            if asyncio.get_running_loop().time() > deadline:
                raise CommandError("the workers did not drain in time", "", ExitCode.FAILED)
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Stop what runs and remove the folders; safe to call at any point."""
        try:
            await self._stop_processes()
        finally:
            if self.options.keep:
                print(f"kept: {self.base} and {self.runtime}")
            else:
                shutil.rmtree(self.base, ignore_errors=True)
                shutil.rmtree(self.runtime, ignore_errors=True)

    async def _start(self) -> None:
        ports = _free_ports(2)
        self.lines = {"A": f"239.81.0.1:{ports[0]}", "B": f"239.81.0.2:{ports[1]}"}
        self.simulator = await Simulator.start(
            self._simulator_arguments(), self.runtime / "sim", self.base / "sim.log"
        )
        await self._arm_faults()
        await self.start_daemon()
        self.reader = Reader(self.base, self.runtime)
        toml = _exchange_file(self.lines, self.simulator.request_address, self.reader)
        request = CreateExchangeRequest(request_id=new_request_id(), toml=toml, reason="demo")
        await self.client.exchange.CreateExchange(request, timeout=READY_TIMEOUT_S)
        await self.wait_for_workers()
        await self.reader.start()
        await self.client.observe.GetSnapshot(GetSnapshotRequest(name=NAME))

    def _simulator_arguments(self) -> list[str | Path]:
        (self.runtime / "sim").mkdir()
        options = self.options
        arguments: list[str | Path] = ["--wait", "--request-listen", "127.0.0.1:0"]
        for name, address in self.lines.items():
            arguments += ["--line", f"{name}={address}"]
        arguments += ["--rate", str(options.rate or "max"), "--seed", str(options.seed)]
        arguments += ["--session", f"DEMO{options.seed % 1_000_000:06}"]
        if options.input is not None:
            return [*arguments, "--input", options.input]
        size = ["--messages", str(options.generated_messages)]
        return [*arguments, "--generate", *size, "--instruments", str(options.instruments)]

    async def _arm_faults(self) -> None:
        options = self.options
        seed = options.seed
        for line, probability in (("A", options.loss_a), ("B", options.loss_b)):
            if probability > 0:
                arguments = {"line": line, "probability": probability}
                await self._arm("drop", arguments, seed + ord(line))
        gap = min(options.gap, self.messages // 2)
        if gap > 0:
            first = self.messages // 3 + 1
            ranges = [[first, first + gap - 1]]
            await self._arm("drop", {"line": "AB", "ranges": ranges}, seed)

    async def _arm(self, fault: str, arguments: Mapping[str, object], seed: int) -> None:
        await self.simulator.call(
            "fault.arm", fault=fault, args=arguments, seed=seed, lease_ms=FAULT_LEASE_MS
        )

    async def _stop_processes(self) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None and daemon.process.returncode is None:
            request = DrainDaemonRequest(request_id=new_request_id(), stop_workers=True)
            request.reason = "demo ends"
            try:
                await self.client.system.DrainDaemon(request, timeout=READY_TIMEOUT_S)
                await asyncio.wait_for(daemon.process.wait(), READY_TIMEOUT_S)
            except (CommandError, TimeoutError) as error:
                print(f"the daemon did not drain: {error}")
            await daemon.stop()
        await self._drop_client()
        if hasattr(self, "reader"):
            await self.reader.stop()
        if hasattr(self, "simulator"):
            await self.simulator.child.stop()

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _private_folders() -> tuple[Path, Path]:
    """A folder for what lasts and one, in memory where there is tmpfs, for ring and stats."""
    base = Path(tempfile.mkdtemp(prefix="tickdeck-demo-"))
    shared_memory = Path("/dev/shm")
    tmpfs = shared_memory if shared_memory.is_dir() else None
    return base, Path(tempfile.mkdtemp(prefix="tickdeck-demo-", dir=tmpfs))


def _free_ports(count: int) -> list[int]:
    """UDP ports that nobody uses now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _exchange_file(lines: dict[str, str], request_address: str, reader: Reader) -> str:
    """The demo's exchange file: what a user would write, with short times."""
    parts = [f'name = "{EXCHANGE}"', 'protocol = "moldudp64"', 'decoder = "itch50"']
    for name, address in lines.items():
        group, port = address.split(":")
        parts += ["", "[[line]]", f'name = "{name}"', f'group = "{group}"', f"port = {port}"]
        parts += ['interface = "127.0.0.1"', 'receive = "recvmmsg"']
    parts += ["", "[receive]", f"rcvbuf_bytes = {_socket_buffer_bytes()}"]
    parts += ["", "[recovery]", 'replay_protocol = "moldudp64"']
    parts += [f"request_address = {json.dumps(request_address)}"]
    parts += ["", "[book]", "snapshot_interval_ms = 500", "checkpoint_messages = 10_000"]
    parts += ["", *reader.toml, ""]
    return "\n".join(parts)


def _socket_buffer_bytes() -> int:
    """The default of an exchange file, or the most that this host gives without CAP_NET_ADMIN."""
    wanted = 8 << 20
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.split("CapEff:")[1].split()[0], 16)
    if capabilities & 1 << CAP_NET_ADMIN:
        return wanted
    return min(wanted, int(Path("/proc/sys/net/core/rmem_max").read_text()))
