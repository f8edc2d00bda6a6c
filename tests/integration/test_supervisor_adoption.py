"""A daemon that comes back: workers taken over, strangers left alone, unseen ends found out."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fake_plant import QUICK, WAIT_S, Plant, pid_of, start, state, until, view
from tickdeck_daemon.errors import UnavailableError, WrongStateError
from tickdeck_daemon.exchanges.store import DesiredState
from tickdeck_daemon.workers.supervisor import Supervisor, WorkerState

FAKE_DAEMON = Path(__file__).parents[1] / "data" / "fake_daemon.py"
RUNNING = WorkerState.RUNNING
KILLS = int(os.environ.get("TICKDECK_TEST_DAEMON_KILLS", "12"))
"""How often the daemon is killed; the full drill is 1000."""


@contextmanager
def daemon(plant: Plant, *exchanges: str) -> Generator[subprocess.Popen[str]]:
    """A daemon in another process; killed with SIGKILL at the end at the latest."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(FAKE_DAEMON), str(plant.root), *exchanges]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def sleeping_stranger() -> Generator[subprocess.Popen[str]]:
    """A process that has nothing to do with us."""
    process = subprocess.Popen(["sleep", "600"], text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def state_file(plant: Plant, worker: str = "XNAS-rx") -> Path:
    return plant.settings.worker_dir(worker) / "state.json"


def edit_state(plant: Plant, **changes: object) -> None:
    """Change fields of the written identity of rx."""
    path = state_file(plant)
    document = json.loads(path.read_text())
    document["identity"].update(changes)
    path.write_text(json.dumps(document))


def recorded_start(plant: Plant) -> int:
    """The start time that is written down for rx, in clock ticks."""
    ticks: int = json.loads(state_file(plant).read_text())["identity"]["start_time_ticks"]
    return ticks


async def hand_over(plant: Plant, supervisor: Supervisor) -> Supervisor:
    """Close a supervisor and start the next one."""
    await supervisor.close()
    return await start(plant)


async def test_next_supervisor_adopts_the_same_processes(plant: Plant) -> None:
    """After a close everything runs on; the next one takes over the same pids, adopted."""
    first = await start(plant)
    pids = {v.id: (v.pid, v.incarnation) for v in first.workers()}
    await first.close()
    assert len(plant.pids()) == 2
    second = plant.supervisor()
    result = await second.start([plant.record()])
    assert sorted(result.adopted) == ["XNAS-book", "XNAS-rx"]
    assert {v.id: (v.pid, v.incarnation) for v in second.workers()} == pids
    assert all(v.adopted and v.state is RUNNING for v in second.workers())
    assert await second.call("XNAS-rx", "echo", {}, timeout_s=WAIT_S) == {"args": {}}
    async with asyncio.timeout(WAIT_S):
        await second.remove("XNAS")
    assert plant.log()[2:] == ["XNAS-book end 0", "XNAS-rx end 0"]


async def test_killed_daemon_loses_nobody(plant: Plant) -> None:
    """kill -9 of the daemon: its workers are adopted though they are no children of ours,
    their exit status is seen, and they are restarted."""
    with daemon(plant, "XNAS") as process:
        assert line(process) == "adopted 0"
        assert line(process) == "running"
    supervisor = plant.supervisor()
    result = await supervisor.start([plant.record()])
    assert len(result.adopted) == 2
    os.kill(pid_of(supervisor, "XNAS-rx"), signal.SIGKILL)
    await until(lambda: view(supervisor, "XNAS-rx").restarts == 1)
    rx = view(supervisor, "XNAS-rx")
    assert not rx.adopted
    assert rx.last_exit in ("killed by SIGKILL", "ended, nobody saw how")
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)


async def test_exit_code_of_an_adopted_worker(plant: Plant) -> None:
    """A permanent exit code of a process that is no child is seen, by kernel or last words."""
    with daemon(plant, "XNAS") as process:
        assert [line(process), line(process)] == ["adopted 0", "running"]
    supervisor = await start(plant)
    with pytest.raises(UnavailableError):
        await supervisor.call("XNAS-rx", "exit", {"code": 77}, timeout_s=WAIT_S)
    await until(lambda: state(supervisor, "XNAS-rx") is WorkerState.FAILED_PERMANENT)
    assert "exited 77" in view(supervisor, "XNAS-rx").last_exit


async def test_daemon_killed_at_any_moment(plant: Plant) -> None:
    """However often the daemon is killed, in the middle of starts as well: in the end each
    worker runs once, none failed for a lock, and no worker was started beside another."""
    names = ["AAA", "BBB", "CCC"]
    for number in range(KILLS):
        chance = random.Random(number)
        for name in names:
            plant.behave(f"{name}-rx", late_lock_s=chance.choice([0, 0.05]))
        with daemon(plant, *names) as process:
            if chance.random() < 0.7:
                line(process)
            await asyncio.sleep(chance.random() * 0.3)  # Any moment, not an awaited one.
    supervisor = plant.supervisor()
    await supervisor.start([plant.record(name, port=31001 + n) for n, name in enumerate(names)])

    def everything_runs() -> bool:
        return [v.state for v in supervisor.workers()] == [RUNNING] * 6

    await until(everything_runs)
    pids = {v.pid for v in supervisor.workers()}
    assert pids == set(plant.pids())


async def test_process_that_was_not_written_down_is_found(plant: Plant) -> None:
    """A daemon that died between a start and its note: the incarnation it had written down
    leads to the stats file, and that to the process."""
    first = await start(plant)
    pid = pid_of(first, "XNAS-rx")
    await first.close()
    path = state_file(plant)
    document = json.loads(path.read_text())
    document["identity"] = None
    path.write_text(json.dumps(document))
    second = await start(plant)
    assert pid_of(second, "XNAS-rx") == pid
    assert view(second, "XNAS-rx").adopted


async def test_pid_used_again_is_not_signalled(plant: Plant) -> None:
    """A state file that names the pid of a stranger: the stranger lives on, a new rx starts."""
    with sleeping_stranger() as stranger:
        supervisor = await start(plant)
        await supervisor.close()
        plant.kill_all()
        # Start times come in ticks of 10 ms: the stranger and the worker may share one.
        older = recorded_start(plant) - 1000
        edit_state(plant, pid=stranger.pid, start_time_ticks=older)
        second = await start(plant)
        assert pid_of(second, "XNAS-rx") != stranger.pid
        await second.apply(plant.record(generation=2, desired=DesiredState.STOPPED))
        async with asyncio.timeout(WAIT_S):
            await second.settled("XNAS")
        assert stranger.poll() is None


async def test_other_boot_is_dead(plant: Plant) -> None:
    """Pid and start time may fit by chance after a reboot; the boot id tells. The process,
    which still holds the lock, is then a foreign one and is left alone."""
    first = await start(plant)
    pid = pid_of(first, "XNAS-rx")
    await first.close()
    stats = view(first, "XNAS-rx").stats_path
    assert stats is not None
    stats.unlink()
    edit_state(plant, boot_id="00000000-0000-0000-0000-000000000000")
    second = plant.supervisor()
    result = await second.start([plant.record()])
    await until(lambda: state(second, "XNAS-rx") is WorkerState.FOREIGN)
    assert result.foreign == ["XNAS-rx"]
    assert f"process {pid} holds" in view(second, "XNAS-rx").reason
    assert pid in plant.pids()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema":"tickdeck.worker-state/v1"}'])
async def test_unreadable_state_with_a_living_process(plant: Plant, text: str) -> None:
    """When nothing proves who the living process is, it is UNVERIFIED and left alone, even by
    a stop; once it has ended, the worker starts."""
    first = await start(plant)
    pid = pid_of(first, "XNAS-rx")
    await first.close()
    state_file(plant).write_text(text)
    second = plant.supervisor()
    result = await second.start([plant.record(desired=DesiredState.STOPPED)])
    assert result.unverified == ["XNAS-rx"]
    await until(lambda: state(second, "XNAS-book") is WorkerState.STOPPED)
    assert state(second, "XNAS-rx") is WorkerState.UNVERIFIED
    assert pid in plant.pids()
    await second.apply(plant.record(generation=2))
    plant.kill(pid)
    await until(lambda: state(second, "XNAS-rx") is RUNNING)


async def test_contradicting_stats_file(plant: Plant) -> None:
    """State file and stats file that tell of different processes prove nothing."""
    first = await start(plant)
    rx = view(first, "XNAS-rx")
    await first.close()
    assert rx.stats_path is not None
    content = bytearray(rx.stats_path.read_bytes())
    content[80:84] = (4242).to_bytes(4, "little")
    rx.stats_path.unlink()
    rx.stats_path.write_bytes(content)
    second = await start(plant)
    assert state(second, "XNAS-rx") is WorkerState.UNVERIFIED
    assert "process 4242" in view(second, "XNAS-rx").reason
    assert rx.pid in plant.pids()


async def test_unknown_layout_is_adopted_and_never_killed(plant: Plant) -> None:
    """Statistics of another version make a worker DEGRADED, nothing worse."""
    plant.behave("XNAS-rx", layout=9)
    first = await start(plant)
    pid = pid_of(first, "XNAS-rx")
    second = await hand_over(plant, first)
    assert pid_of(second, "XNAS-rx") == pid
    await until(lambda: state(second, "XNAS-rx") is WorkerState.DEGRADED)
    assert "layout version 9" in view(second, "XNAS-rx").reason


async def test_end_while_no_daemon_ran(plant: Plant) -> None:
    """The next daemon reads the last words and starts the worker again."""
    with daemon(plant, "XNAS") as process:
        assert [line(process), line(process)] == ["adopted 0", "running"]
    rx = json.loads(state_file(plant).read_text())["identity"]["pid"]
    os.kill(rx, signal.SIGTERM)
    await until(lambda: "XNAS-rx end 0" in plant.log() and rx not in plant.pids())
    supervisor = plant.supervisor()
    result = await supervisor.start([plant.record()])
    assert result.exited == ["XNAS-rx"]
    assert result.adopted == ["XNAS-book"]
    rx_view = view(supervisor, "XNAS-rx")
    assert rx_view.last_exit == "exited 0: terminated (while no daemon ran)"
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)


async def test_stop_that_was_ordered_before_is_carried_out(plant: Plant) -> None:
    """An adopted worker whose exchange is stopped is drained, in order."""
    first = await start(plant)
    await first.close()
    second = await start(plant, plant.record(generation=2, desired=DesiredState.STOPPED))
    assert plant.pids() == []
    assert plant.log()[2:] == ["XNAS-book end 0", "XNAS-rx end 0"]
    assert state(second, "XNAS-rx") is WorkerState.STOPPED


async def test_workers_without_exchange_file_run_on(plant: Plant) -> None:
    """With a missing or broken file the workers go on, are not restarted, and can be removed."""
    first = await start(plant)
    await first.close()
    second = plant.supervisor()
    result = await second.start([])
    assert sorted(result.orphans) == ["XNAS-book", "XNAS-rx"]
    assert {v.state for v in second.workers()} == {RUNNING}
    os.kill(pid_of(second, "XNAS-book"), signal.SIGKILL)
    await until(lambda: state(second, "XNAS-book") is WorkerState.STOPPED)
    assert state(second, "XNAS-rx") is RUNNING
    async with asyncio.timeout(WAIT_S):
        await second.remove("XNAS")
    assert plant.pids() == []
    assert second.workers() == []


async def test_orphans_are_taken_up_again(plant: Plant) -> None:
    """Once the file is mended, the same processes belong to the exchange again."""
    first = await start(plant)
    pids = set(plant.pids())
    await first.close()
    second = plant.supervisor()
    await second.start([])
    await second.apply(plant.record())
    async with asyncio.timeout(WAIT_S):
        await second.settled("XNAS")
    assert {v.pid for v in second.workers()} == pids
    os.kill(pid_of(second, "XNAS-book"), signal.SIGKILL)
    await until(lambda: view(second, "XNAS-book").restarts == 1)


async def test_removal_goes_on_after_a_restart(plant: Plant) -> None:
    """A removal cut off by the end of the daemon is finished by the next one."""
    plant.behave("XNAS-book", ignore_drain=True, ignore_term=True)
    first = await start(plant)
    removal = asyncio.create_task(first.remove("XNAS"))
    await until(lambda: state(first, "XNAS-book") is WorkerState.DRAINING)
    await first.close()
    with pytest.raises(WrongStateError, match="goes on with the removal"):
        await removal
    assert len(plant.pids()) == 2
    second = plant.supervisor(limits=QUICK)
    result = await second.start([])
    assert result.orphans == []
    await until(lambda: not second.workers())
    assert plant.pids() == []
    assert list(plant.settings.workers_dir.iterdir()) == []
