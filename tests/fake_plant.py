"""A private plant of fake workers for tests of the supervisor."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from tickdeck_daemon.exchanges.config import Settings, parse_exchange
from tickdeck_daemon.exchanges.store import DesiredState, ExchangeRecord
from tickdeck_daemon.workers.machine import MILLISECOND, SECOND, Limits
from tickdeck_daemon.workers.supervisor import Supervisor, WorkerChange, WorkerState, WorkerView

FAKE_WORKER = Path(__file__).parent / "data" / "fake_worker.py"

PATIENT = Limits(
    start_timeout_ns=120 * SECOND,
    heartbeat_stale_ns=60 * SECOND,
    heartbeat_stuck_ns=120 * SECOND,
    drain_timeout_ns=120 * SECOND,
    term_grace_ns=120 * SECOND,
    abort_grace_ns=120 * SECOND,
    kill_retry_ns=500 * MILLISECOND,
    backoff_base_ns=20 * MILLISECOND,
    backoff_max_ns=200 * MILLISECOND,
    recheck_ns=50 * MILLISECOND,
)
"""Limits that a worker which does as it is told meets on the slowest machine."""
QUICK = replace(
    PATIENT,
    drain_timeout_ns=500 * MILLISECOND,
    term_grace_ns=500 * MILLISECOND,
)
"""Limits for a worker that does not: it gets to SIGABRT within a second."""
WAIT_S = 120.0
"""How long a test waits at most for what must come; never how long it should take."""


def exchange_toml(name: str = "XNAS", *, port: int = 31001, extra: str = "") -> str:
    """A valid exchange file."""
    return f'''name = "{name}"
{extra}
[[line]]
name = "A"
group = "239.81.0.1"
port = {port}
interface = "lo"
[[line]]
name = "B"
group = "239.81.0.2"
port = {port}
interface = "lo"
'''


class Plant:
    """Directories, fake binaries, behaviours, and the changes that were reported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(
            runtime_dir=root / "run",
            state_dir=root / "state",
            config_dir=root / "config",
            log_dir=root / "log",
            socket_path=root / "run" / "tickdeckd.sock",
        )
        self.settings.runtime_dir.mkdir(exist_ok=True)
        self.changes: list[WorkerChange] = []
        self._supervisors: list[Supervisor] = []
        self.native = root / "native"
        if not self.native.exists():
            self._make_binaries()

    def _make_binaries(self) -> None:
        self.native.mkdir()
        for kind in ("rx", "book", "journal"):
            binary = self.native / f"tickdeck-{kind}"
            binary.write_text(f"#!{sys.executable} -SE\n" + FAKE_WORKER.read_text())
            binary.chmod(0o755)

    def supervisor(self, *, limits: Limits = PATIENT) -> Supervisor:
        """A new supervisor over the plant's directories; closed when the test ends."""
        supervisor = Supervisor(self.settings, on_change=self.changes.append, limits=limits)
        self.own(supervisor)
        return supervisor

    def own(self, supervisor: Supervisor) -> None:
        """Close it when the test ends."""
        self._supervisors.append(supervisor)

    def record(
        self,
        name: str = "XNAS",
        *,
        generation: int = 1,
        desired: DesiredState = DesiredState.RUNNING,
        port: int = 31001,
        extra: str = "",
    ) -> ExchangeRecord:
        """A record of an exchange as the store would give it."""
        toml = exchange_toml(name, port=port, extra=extra)
        path = self.settings.exchanges_dir / f"{name}.toml"
        return ExchangeRecord(parse_exchange(toml), toml, generation, "api", desired, path)

    def behave(self, worker: str, **behaviour: object) -> None:
        """Set what the next incarnations of a worker do."""
        directory = self.settings.runtime_dir / "behaviour"
        directory.mkdir(exist_ok=True)
        written = directory / f"{worker}.new"
        written.write_text(json.dumps(behaviour))
        written.rename(directory / f"{worker}.json")  # whole, or not at all, to who looks now

    def log(self) -> list[str]:
        """What the fake workers did, as `worker what`."""
        path = self.settings.runtime_dir / "fake.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [f"{worker} {what}" for worker, _, what in (line.split(" ", 2) for line in lines)]

    def pids(self) -> list[int]:
        """Processes of fake workers of this plant that are alive now."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    ours = str(self.root).encode() in (entry / "cmdline").read_bytes()
                    if ours and int(entry.name) != os.getpid():
                        found.append(int(entry.name))
        return found

    def kill_all(self) -> None:
        """End whatever of this plant still runs."""
        for pid in self.pids():
            self.kill(pid)

    def kill(self, pid: int) -> None:
        """Kill one process, and reap it when it is a child."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

    async def close(self) -> None:
        """Close the supervisors, then end whatever still runs."""
        for supervisor in self._supervisors:
            await supervisor.close()
        self.kill_all()


@contextlib.contextmanager
def private_directory() -> Generator[Path]:
    """A directory whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="td-", dir="/tmp") as directory:
        yield Path(directory)


async def until(condition: Callable[[], object], *, within_s: float = WAIT_S) -> None:
    """Wait until a condition holds; fails when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.01)


def view(supervisor: Supervisor, worker: str) -> WorkerView:
    """One worker."""
    return next(v for v in supervisor.workers() if v.id == worker)


def state(supervisor: Supervisor, worker: str) -> WorkerState:
    """State of one worker."""
    return view(supervisor, worker).state


def pid_of(supervisor: Supervisor, worker: str) -> int:
    """Process of a worker that has one."""
    pid = view(supervisor, worker).pid
    assert pid is not None, f"{worker} has no process"
    return pid


async def start(
    plant: Plant, record: ExchangeRecord | None = None, *, limits: Limits = PATIENT
) -> Supervisor:
    """A supervisor whose exchange has settled."""
    supervisor = plant.supervisor(limits=limits)
    await supervisor.start([record or plant.record()])
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    return supervisor
