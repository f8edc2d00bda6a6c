"""One worker's parts: spawning, the state file, surveys, probes."""

import json
import os
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from fake_plant import Plant, exchange_toml, private_directory, until
from tickdeck_daemon.exchanges.config import parse_exchange
from tickdeck_daemon.workers.adoption import Presence, survey
from tickdeck_daemon.workers.exits import ExitFacts, ExitSource
from tickdeck_daemon.workers.identity import WorkerIdentity, boot_id
from tickdeck_daemon.workers.launch import launch, prepare
from tickdeck_daemon.workers.probe import Probe
from tickdeck_daemon.workers.process import Process
from tickdeck_daemon.workers.statefile import StateFile

STATE = StateFile(
    worker="X-rx",
    state="RUNNING",
    state_since_ns=2**63 - 1,
    identity=WorkerIdentity(boot_id(), 4242, 1, "i", "/bin/x"),
    incarnations=("i", "h"),
    generation=3,
    spec_sha256="abc",
    ready_since_ns=5,
    last_exit="killed by SIGKILL",
    last_exit_ns=None,
    last_exit_clean=False,
    removing=False,
)

CHILD = """
import json, os, sys
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
fds = [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")]
facts = {
    "fds": fds, "sid": os.getsid(0), "pid": os.getpid(), "stdin": os.readlink("/proc/self/fd/0"),
    "secret": os.environ.get("SECRET"), "own": os.environ.get("TICKDECK_X"),
    "blocked": [l for l in open("/proc/self/status") if l.startswith("SigBlk")][0].split()[1],
}
print(json.dumps(facts), flush=True)
print("to stderr", file=sys.stderr, flush=True)
os.write(3, b"\\n")
"""


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Generator[Plant]:
    with private_directory() as directory:
        plant = Plant(directory)
        monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(plant.native))
        yield plant
        plant.kill_all()


class Watched:
    """A process and what it told."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.told: list[str | ExitFacts] = []
        process.watch(on_ready=lambda: self.told.append("ready"), on_exit=self.told.append)

    async def ended(self) -> ExitFacts:
        await until(lambda: self.told and isinstance(self.told[-1], ExitFacts))
        facts = self.told[-1]
        assert isinstance(facts, ExitFacts)
        return facts


def open_descriptors() -> list[int]:
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_open(fd)]


def is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


def ended(pid: int) -> bool:
    """Whether a child has ended; reaps it."""
    return os.waitpid(pid, os.WNOHANG) != (0, 0)


def spawn(log: Path, code: str) -> Watched:
    argv = [sys.executable, "-SE", "-c", code]
    return Watched(Process.spawn(argv, incarnation="i", log_path=log))


async def test_spawned_process_gets_what_the_contract_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own session, no signal blocked, /dev/null, the log twice, the ready pipe as descriptor 3,
    no other descriptor, none of our secrets; output is appended to the log."""
    monkeypatch.setenv("SECRET", "password")
    monkeypatch.setenv("TICKDECK_X", "passed")
    log = tmp_path / "log"
    log.write_text("before\n")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        watched = spawn(log, CHILD)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert await watched.ended() == ExitFacts(code=0, source=ExitSource.WAIT)
    assert watched.told[0] == "ready"
    before, facts_line, error = log.read_text().splitlines()
    facts = json.loads(facts_line)
    assert (before, error) == ("before", "to stderr")
    # What whoever started the tests left open is not ours to close.
    inherited = {fd for fd in open_descriptors() if fd > 3 and os.get_inheritable(fd)}
    assert set(facts["fds"]) - inherited == {0, 1, 2, 3}
    assert facts["sid"] == facts["pid"] == watched.process.identity.pid
    assert facts["stdin"] == "/dev/null"
    assert (facts["secret"], facts["own"]) == (None, "passed")
    assert int(facts["blocked"], 16) == 0


async def test_no_newline_is_not_ready(tmp_path: Path) -> None:
    """Only a newline counts; an end without one is an end."""
    watched = spawn(tmp_path / "log", "import os; os.write(3, b'nearly'); os._exit(5)")
    assert (await watched.ended()).code == 5
    assert watched.told == [ExitFacts(code=5, source=ExitSource.WAIT)]


async def test_ready_after_the_daemon_is_gone(tmp_path: Path) -> None:
    """A worker that gets ready when nobody listens neither blocks nor fails, however it
    writes: through its descriptor or by opening it again."""
    code = """
import os
os.read(os.open(os.environ["TICKDECK_GO"], os.O_RDONLY), 1)
open("/proc/self/fd/3", "wb").write(b"\\n")
os.write(3, b"\\n")
os._exit(7)
"""
    os.mkfifo(tmp_path / "go")
    os.environ["TICKDECK_GO"] = str(tmp_path / "go")
    try:
        process = Process.spawn(
            [sys.executable, "-SE", "-c", code], incarnation="i", log_path=tmp_path / "log"
        )
    finally:
        del os.environ["TICKDECK_GO"]
    process.close()
    with (tmp_path / "go").open("wb") as go:
        go.write(b"x")
    await until(lambda: ended(process.identity.pid))
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("argv", [["/nonexistent/tickdeck-rx"], ["/etc/hostname"]])
async def test_failed_spawn_leaves_nothing(tmp_path: Path, argv: list[str]) -> None:
    """A binary that is not there or not executable: an error, no process, no descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):  # noqa: PT011  errno differs with the cause
        Process.spawn(argv, incarnation="i", log_path=tmp_path / "log")
    with pytest.raises(OSError):  # noqa: PT011
        Process.spawn(["/bin/true"], incarnation="i", log_path=tmp_path / "no" / "log")
    assert len(os.listdir("/proc/self/fd")) == before


async def test_descriptors_are_given_back(tmp_path: Path) -> None:
    """A hundred processes later as many descriptors are open as before."""
    await spawn(tmp_path / "log", "").ended()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        batch = [spawn(tmp_path / "log", "") for _ in range(5)]
        for watched in batch:
            await watched.ended()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_launch_prunes_old_statistics(plant: Plant) -> None:
    """Stats files lie in memory: all but the newest three of former incarnations go."""
    directory = plant.settings.worker_dir("XNAS-rx")
    directory.mkdir(parents=True)
    for number in range(6):
        path = directory / f"stats.{number}.dat"
        path.touch()
        os.utime(path, ns=(number, number))
    config = parse_exchange(exchange_toml())
    incarnation = "0a0b0c0d-0102-4304-8506-0708090a0b0c"
    process = launch(config, "rx", plant.settings, incarnation=incarnation, generation=1)
    left = sorted(path.name for path in directory.glob("stats.?.dat"))
    assert left == ["stats.3.dat", "stats.4.dat", "stats.5.dat"]
    process.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_runtime_directory_of_somebody_else_is_refused(plant: Plant) -> None:
    """Nothing is put into a directory that another user made for us."""
    os.chown(plant.settings.runtime_dir, 12345, -1)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        prepare(plant.settings.worker_dir("X-rx"), plant.settings)
    assert not plant.settings.workers_dir.exists()


def test_state_file_survives(tmp_path: Path) -> None:
    """Written and read it is the same, to the last bit of its times."""
    path = tmp_path / "state.json"
    STATE.write(path)
    assert StateFile.read(path) == STATE


@pytest.mark.parametrize("field", ["schema", "identity", "incarnations", "generation", "removing"])
def test_state_file_without_a_field_is_refused(tmp_path: Path, field: str) -> None:
    """Nothing is guessed: a file that lacks something proves nothing."""
    path = tmp_path / "state.json"
    STATE.write(path)
    document = json.loads(path.read_text())
    del document[field]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"state\.json"):
        StateFile.read(path)


def test_survey_of_an_empty_place(tmp_path: Path) -> None:
    """No directory, no files, a state file without lock: nobody is there."""
    assert survey(tmp_path / "none").presence is Presence.NOBODY
    assert survey(tmp_path).presence is Presence.NOBODY
    (tmp_path / "state.json").write_text("rubbish")
    assert survey(tmp_path).presence is Presence.NOBODY


def test_survey_of_a_dead_worker(tmp_path: Path) -> None:
    """A state file whose process is gone: nobody, but what is known is kept."""
    STATE.write(tmp_path / "state.json")
    found = survey(tmp_path)
    assert found.presence is Presence.NOBODY
    assert found.state == STATE
    assert found.reason


async def test_probe_reads_heartbeat_state_and_last_words(plant: Plant) -> None:
    """Before the file: unknown; then ready with a fresh heartbeat; then the last words."""
    plant.behave("XNAS-rx", is_held=True)
    config = parse_exchange(exchange_toml())
    incarnation = "0a0b0c0d-0102-4304-8506-0708090a0b0c"
    process = launch(config, "rx", plant.settings, incarnation=incarnation, generation=1)
    watched = Watched(process)
    probe = Probe(plant.settings.worker_dir("XNAS-rx"), process.identity)
    look = probe.look(time.monotonic_ns())
    assert (look.ready, look.heartbeat_age_ns) == (None, None)
    assert look.impairment == "it publishes no statistics"
    plant.behave("XNAS-rx")
    await until(lambda: watched.told)

    def is_fresh() -> bool:
        look = probe.look(time.monotonic_ns())
        assert look.ready
        assert look.heartbeat_age_ns is not None
        return look.impairment == "" and look.heartbeat_age_ns < 1_000_000_000

    await until(is_fresh)
    process.send(signal.SIGTERM)
    facts = await watched.ended()
    assert probe.last_words(facts).message == "terminated"
    unseen = probe.last_words(ExitFacts())
    assert (unseen.code, unseen.source) == (0, ExitSource.RECORD)
    probe.close()


async def test_probe_sees_a_hot_loop_that_stands_still(plant: Plant) -> None:
    """With a beating heart and no progress the age is that of the progress."""
    plant.behave("XNAS-rx", no_progress=True)
    config = parse_exchange(exchange_toml())
    incarnation = "0a0b0c0d-0102-4304-8506-0708090a0b0c"
    process = launch(config, "rx", plant.settings, incarnation=incarnation, generation=1)
    watched = Watched(process)
    await until(lambda: watched.told)
    probe = Probe(plant.settings.worker_dir("XNAS-rx"), process.identity)

    def age_ns() -> int:
        return probe.look(time.monotonic_ns()).heartbeat_age_ns or 0

    age_ns()
    await until(lambda: age_ns() > 1_000_000_000)
    process.send(signal.SIGKILL)
    await watched.ended()
    probe.close()


async def test_probe_sees_a_stopped_process(plant: Plant) -> None:
    """SIGSTOP is told as such, at once."""
    config = parse_exchange(exchange_toml())
    incarnation = "0a0b0c0d-0102-4304-8506-0708090a0b0c"
    process = launch(config, "rx", plant.settings, incarnation=incarnation, generation=1)
    watched = Watched(process)
    await until(lambda: watched.told)
    probe = Probe(plant.settings.worker_dir("XNAS-rx"), process.identity)
    assert probe.look(time.monotonic_ns()).impairment == ""
    process.send(signal.SIGSTOP)
    await until(lambda: probe.look(time.monotonic_ns()).impairment == "stopped by a signal")
    process.send(signal.SIGCONT)
    await until(lambda: probe.look(time.monotonic_ns()).impairment == "")
    process.send(signal.SIGKILL)
    await watched.ended()
    probe.close()
