"""The supervisor with real processes: start, crash, restart, drain, removal."""

import asyncio
import fcntl
import json
import os
import re
import signal
from contextlib import suppress
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fake_plant import PATIENT, QUICK, WAIT_S, Plant, pid_of, start, state, until, view
from tickdeck_daemon.errors import NotFoundError, UnavailableError, WrongStateError
from tickdeck_daemon.exchanges.store import DesiredState
from tickdeck_daemon.workers.machine import MILLISECOND, SECOND
from tickdeck_daemon.workers.supervisor import Supervisor, WorkerChange, WorkerState

RUNNING, STOPPED = WorkerState.RUNNING, WorkerState.STOPPED


def signals(logged: list[EventDict], worker: str) -> list[str]:
    """What the supervisor sent to a worker, in order."""
    return [e["signal"] for e in logged if e["event"] == "signal" and e["worker"] == worker]


async def test_starts_rx_then_book(plant: Plant) -> None:
    """Both workers run, each in its own session, and book was started after rx was ready."""
    supervisor = plant.supervisor()
    await supervisor.start([plant.record()])
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert [(v.id, v.state) for v in supervisor.workers()] == [
        ("XNAS-book", RUNNING),
        ("XNAS-rx", RUNNING),
    ]
    order = [(c.worker, c.new) for c in plant.changes]
    assert order.index(("XNAS-rx", RUNNING)) < order.index(("XNAS-book", WorkerState.STARTING))
    rx = view(supervisor, "XNAS-rx")
    assert rx.pid is not None
    assert os.getsid(rx.pid) == rx.pid
    assert rx.stats_path is not None
    assert rx.stats_path.exists()
    assert '"started"' in rx.log_path.read_text()
    assert not rx.adopted
    assert rx.restarts == 0


async def test_spec_is_private_and_complete(plant: Plant) -> None:
    """The worker's directory and spec are its own, and 64-bit numbers pass its socket."""
    supervisor = plant.supervisor()
    await supervisor.start([plant.record(extra="book = { enabled = false }")])
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    rx = view(supervisor, "XNAS-rx")
    assert rx.runtime_dir.stat().st_mode & 0o777 == 0o700
    assert (rx.runtime_dir / "spec.json").stat().st_mode & 0o777 == 0o400
    assert [v.id for v in supervisor.workers()] == ["XNAS-rx"]
    result = await supervisor.call("XNAS-rx", "echo", {"n": 2**63}, timeout_s=WAIT_S)
    assert result == {"args": {"n": 2**63}}


async def test_killed_worker_comes_back(plant: Plant) -> None:
    """kill -9 of rx gives a new rx; book is left alone; the reason is told."""
    supervisor = await start(plant)
    rx, book = view(supervisor, "XNAS-rx"), view(supervisor, "XNAS-book")
    os.kill(pid_of(supervisor, "XNAS-rx"), signal.SIGKILL)
    await until(lambda: view(supervisor, "XNAS-rx").restarts == 1)
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)
    after = view(supervisor, "XNAS-rx")
    assert after.last_exit == "killed by SIGKILL"
    assert after.pid != rx.pid
    assert after.incarnation != rx.incarnation
    assert view(supervisor, "XNAS-book").pid == book.pid


@pytest.mark.parametrize("code", [78, 125, 77, 76, 69])
async def test_permanent_exit_code(plant: Plant, code: int) -> None:
    """A permanent code ends in FAILED_PERMANENT with the worker's words; restart tries again."""
    plant.behave("XNAS-rx", exit_code=code)
    supervisor = await start(plant)
    rx = view(supervisor, "XNAS-rx")
    assert rx.state is WorkerState.FAILED_PERMANENT
    assert f"exited {code}" in rx.last_exit
    assert "as the test said" in rx.last_exit
    assert state(supervisor, "XNAS-book") is WorkerState.PENDING
    plant.behave("XNAS-rx")
    await supervisor.restart("XNAS-rx")
    await until(lambda: state(supervisor, "XNAS-book") is RUNNING)


async def test_crashes_lead_to_backoff_and_crash_loop(plant: Plant) -> None:
    """A worker that always crashes is tried again with delays and marked as a crash loop."""
    plant.behave("XNAS-rx", exit_signal=11)
    supervisor = await start(plant)
    rx = view(supervisor, "XNAS-rx")
    assert rx.state is WorkerState.CRASH_LOOP
    assert rx.last_exit == "killed by SIGSEGV"
    assert rx.restarts >= 4
    states = [c.new for c in plant.changes if c.worker == "XNAS-rx"]
    assert states.count(WorkerState.BACKOFF) == 4


async def test_missing_binary_goes_through_backoff(plant: Plant) -> None:
    """A binary that is not there is reported with its folder, retried, and found later."""
    binary = plant.native / "tickdeck-rx"
    binary.rename(plant.native / "hidden")
    supervisor = await start(plant)
    rx = view(supervisor, "XNAS-rx")
    assert rx.state is WorkerState.CRASH_LOOP
    assert f"no executable tickdeck-rx in {plant.native}" in rx.last_exit
    assert rx.pid is None
    (plant.native / "hidden").rename(binary)
    await supervisor.restart("XNAS-rx")
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)


async def test_start_that_never_gets_ready(plant: Plant) -> None:
    """A start over its deadline is ended and retried; no process is left beside the new one."""
    plant.behave("XNAS-rx", never_ready=True, no_stats=True)
    limits = replace(PATIENT, start_timeout_ns=300 * MILLISECOND)
    supervisor = plant.supervisor(limits=limits)
    await supervisor.start([plant.record()])
    await until(lambda: view(supervisor, "XNAS-rx").restarts >= 1)
    given_up = next(c for c in plant.changes if c.old is WorkerState.STARTING)
    told = re.match(r"not ready after (\d+\.\d) s; killed by SIGABRT", given_up.reason)
    assert told, given_up.reason
    assert float(told[1]) >= 0.3
    assert len(plant.pids()) <= 1


async def test_stop_drains_book_before_rx(plant: Plant) -> None:
    """A commanded stop drains book to its end before rx is asked; both end with code 0."""
    plant.behave("XNAS-book", drain_s=0.3)
    supervisor = await start(plant)
    await supervisor.apply(plant.record(generation=2, desired=DesiredState.STOPPED))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert plant.log()[2:] == ["XNAS-book end 0", "XNAS-rx end 0"]
    order = [(c.worker, c.new) for c in plant.changes]
    assert order.index(("XNAS-book", STOPPED)) < order.index(("XNAS-rx", WorkerState.DRAINING))
    assert {v.state for v in supervisor.workers()} == {STOPPED}
    assert plant.pids() == []


async def test_stop_of_a_worker_that_ignores_everything(plant: Plant) -> None:
    """Drain and SIGTERM ignored: SIGABRT ends it, and stopped is stopped."""
    plant.behave("XNAS-rx", ignore_drain=True, ignore_term=True)
    supervisor = await start(plant, limits=QUICK)
    with capture_logs() as logged:
        await supervisor.apply(plant.record(generation=2, desired=DesiredState.STOPPED))
        async with asyncio.timeout(WAIT_S):
            await supervisor.settled("XNAS")
    assert signals(logged, "XNAS-rx") == ["SIGTERM", "SIGABRT"]
    assert view(supervisor, "XNAS-rx").last_exit == "killed by SIGABRT"
    assert state(supervisor, "XNAS-rx") is STOPPED


async def test_stop_of_a_stopped_process(plant: Plant) -> None:
    """A worker under SIGSTOP takes neither drain nor SIGTERM nor SIGABRT: SIGKILL ends it."""
    supervisor = await start(plant, limits=replace(QUICK, abort_grace_ns=300 * MILLISECOND))
    os.kill(pid_of(supervisor, "XNAS-rx"), signal.SIGSTOP)
    with capture_logs() as logged:
        await supervisor.apply(plant.record(generation=2, desired=DesiredState.STOPPED))
        async with asyncio.timeout(WAIT_S):
            await supervisor.settled("XNAS")
    # The last is repeated while the process has not gone.
    assert list(dict.fromkeys(signals(logged, "XNAS-rx"))) == ["SIGTERM", "SIGABRT", "SIGKILL"]
    assert view(supervisor, "XNAS-rx").last_exit == "killed by SIGKILL"


async def test_refused_drain_becomes_sigterm(plant: Plant) -> None:
    """A worker that refuses the drain is asked by SIGTERM without waiting for the deadline."""
    plant.behave("XNAS-rx", refuse_drain=True)
    supervisor = plant.supervisor(limits=replace(PATIENT, drain_timeout_ns=3600 * SECOND))
    await supervisor.start([plant.record()])
    await until(lambda: state(supervisor, "XNAS-book") is RUNNING)
    await supervisor.apply(plant.record(generation=2, desired=DesiredState.STOPPED))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert "XNAS-rx term" in plant.log()


async def test_start_after_stop_during_the_drain(plant: Plant) -> None:
    """Stop and start in one breath: the old processes end, new ones run, never two at once."""
    supervisor = await start(plant)
    old = plant.pids()
    await supervisor.apply(plant.record(generation=2, desired=DesiredState.STOPPED))
    await supervisor.apply(plant.record(generation=3))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert {v.state for v in supervisor.workers()} == {RUNNING}
    assert len(plant.pids()) == 2
    assert view(supervisor, "XNAS-book").pid not in old


async def test_changed_spec_restarts_what_it_touches(plant: Plant) -> None:
    """A new group restarts rx alone; a new journal folder restarts book, then rx, then book."""
    plant.behave("XNAS-book", drain_s=0.3)
    supervisor = await start(plant)
    book = view(supervisor, "XNAS-book").pid
    rx = view(supervisor, "XNAS-rx").pid
    await supervisor.apply(plant.record(generation=2, port=32000))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert view(supervisor, "XNAS-book").pid == book
    assert view(supervisor, "XNAS-rx").pid != rx
    assert view(supervisor, "XNAS-rx").generation == 2
    before = len(plant.log())
    extra = f'journal = {{ data_dir = "{plant.root}/journal" }}'
    await supervisor.apply(plant.record(generation=3, port=32000, extra=extra))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert plant.log()[before:] == [
        "XNAS-book end 0",
        "XNAS-rx end 0",
        "XNAS-rx start",
        "XNAS-book start",
    ]


async def test_second_start_starts_nothing(plant: Plant) -> None:
    """The same desired state told again and again leaves the same two processes."""
    supervisor = await start(plant)
    pids = {v.pid for v in supervisor.workers()}
    await asyncio.gather(*(supervisor.apply(plant.record(generation=g)) for g in (1, 2, 2, 1)))
    assert {v.state for v in supervisor.workers()} == {RUNNING}
    assert {v.pid for v in supervisor.workers()} == pids == set(plant.pids())
    assert all(v.restarts == 0 for v in supervisor.workers())


async def test_older_record_is_ignored(plant: Plant) -> None:
    """Desired states that arrive in the wrong order end in the newest one."""
    supervisor = await start(plant, plant.record(generation=5))
    await supervisor.apply(plant.record(generation=4, desired=DesiredState.STOPPED))
    assert {v.state for v in supervisor.workers()} == {RUNNING}


async def test_book_disabled_by_the_file(plant: Plant) -> None:
    """A file without book drains the book worker and shows it no longer; rx goes on."""
    supervisor = await start(plant)
    rx = view(supervisor, "XNAS-rx").pid
    extra = "book = { enabled = false }"
    await supervisor.apply(plant.record(generation=2, extra=extra))
    await until(lambda: [v.id for v in supervisor.workers()] == ["XNAS-rx"])
    assert view(supervisor, "XNAS-rx").pid == rx


async def test_remove_forgets_the_worker(plant: Plant) -> None:
    """Removal drains in order, then the directories and the views are gone; again: not found."""
    supervisor = await start(plant)
    first, second = supervisor.remove("XNAS"), supervisor.remove("XNAS")
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(first, second)
    assert plant.log()[2:] == ["XNAS-book end 0", "XNAS-rx end 0"]
    assert supervisor.workers() == []
    assert list(plant.settings.workers_dir.iterdir()) == []
    assert plant.settings.log_path("XNAS-rx").exists()
    with pytest.raises(NotFoundError, match="XNAS"):
        await supervisor.remove("XNAS")


async def test_removed_after_a_crash_keeps_the_ring(plant: Plant) -> None:
    """When rx did not end cleanly, its ring stays: it may hold what the journal does not."""
    plant.behave("XNAS-rx", ignore_drain=True, ignore_term=True)
    supervisor = await start(plant, limits=QUICK)
    ring = view(supervisor, "XNAS-rx").runtime_dir / "ring"
    ring.write_bytes(b"records")
    async with asyncio.timeout(WAIT_S):
        await supervisor.remove("XNAS")
    assert ring.read_bytes() == b"records"
    assert not (ring.parent / "state.json").exists()


async def test_add_and_remove_in_races(plant: Plant) -> None:
    """A hundred exchanges added and removed at any moment of their start leave nothing."""
    supervisor = plant.supervisor()
    await supervisor.start([])

    def started_or_gone(name: str) -> bool:
        pids = [v.pid for v in supervisor.workers() if v.exchange == name]
        return not pids or any(pids)

    async def one(number: int) -> None:
        name = f"X{number % 4}"
        await supervisor.apply(plant.record(name, port=20000 + number % 4))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3 == 0:
            await until(lambda: started_or_gone(name))
        with suppress(NotFoundError):  # A removal of the same name may have been joined.
            await supervisor.remove(name)

    async with asyncio.timeout(WAIT_S):
        for begin in range(0, 100, 10):
            await asyncio.gather(*(one(n) for n in range(begin, begin + 10)))
    assert supervisor.workers() == []
    assert plant.pids() == []
    starts = [line for line in plant.log() if line.endswith("start")]
    assert starts, "no start was ever in flight"


async def test_remove_right_after_add(plant: Plant) -> None:
    """An exchange removed while its rx is being started leaves no process."""
    plant.behave("XNAS-rx", late_lock_s=0.3)
    supervisor = plant.supervisor()
    await supervisor.start([])
    await supervisor.apply(plant.record())
    assert pid_of(supervisor, "XNAS-rx")
    async with asyncio.timeout(WAIT_S):
        await supervisor.remove("XNAS")
    assert plant.pids() == []
    assert supervisor.workers() == []


async def test_frozen_heartbeat(plant: Plant) -> None:
    """A heart that stops makes the worker DEGRADED, then the watchdog ends it and it returns."""
    limits = replace(PATIENT, heartbeat_stale_ns=1 * SECOND, heartbeat_stuck_ns=5 * SECOND)
    supervisor = plant.supervisor(limits=limits)
    await supervisor.start([plant.record()])
    await until(lambda: state(supervisor, "XNAS-book") is RUNNING)
    await supervisor.call("XNAS-rx", "freeze", {}, timeout_s=WAIT_S)
    await until(lambda: view(supervisor, "XNAS-rx").restarts >= 1)
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)
    assert view(supervisor, "XNAS-rx").last_exit == "killed by SIGABRT"
    changes = [c for c in plant.changes if c.worker == "XNAS-rx"]
    ended = next(n for n, c in enumerate(changes) if c.new is WorkerState.BACKOFF)
    assert "no heartbeat for" in changes[ended].reason
    assert WorkerState.DEGRADED in [c.new for c in changes[:ended]]


async def test_sigstop_is_seen_at_once(plant: Plant) -> None:
    """A worker under SIGSTOP is DEGRADED with that reason before its heartbeat is stale."""
    never = replace(PATIENT, heartbeat_stale_ns=3600 * SECOND, heartbeat_stuck_ns=3600 * SECOND)
    supervisor = await start(plant, limits=never)
    pid = pid_of(supervisor, "XNAS-rx")
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: state(supervisor, "XNAS-rx") is WorkerState.DEGRADED)
    assert view(supervisor, "XNAS-rx").reason == "stopped by a signal"
    os.kill(pid, signal.SIGCONT)
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)


async def test_foreign_lock(plant: Plant) -> None:
    """With the lock in other hands nothing is started or signalled; once free, it starts."""
    directory = plant.settings.worker_dir("XNAS-rx")
    directory.mkdir(parents=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        supervisor = await start(plant)
        rx = view(supervisor, "XNAS-rx")
        assert rx.state is WorkerState.FOREIGN
        assert f"process {os.getpid()} holds" in rx.reason
        assert plant.pids() == []
        with pytest.raises(WrongStateError, match="left alone"):
            await supervisor.restart("XNAS-rx")
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)


async def test_lock_taken_before_a_later_start(plant: Plant) -> None:
    """The lock is looked at before every start, not only when the daemon starts."""
    supervisor = await start(plant, plant.record(desired=DesiredState.STOPPED))
    directory = plant.settings.worker_dir("XNAS-rx")
    directory.mkdir(parents=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await supervisor.apply(plant.record(generation=2))
        assert state(supervisor, "XNAS-rx") is WorkerState.FOREIGN
        assert plant.pids() == []
        await supervisor.apply(plant.record(generation=3, desired=DesiredState.STOPPED))
    await until(lambda: state(supervisor, "XNAS-rx") is STOPPED)


async def test_strange_answer_on_the_control_socket(plant: Plant) -> None:
    """Who answers on the socket must be the very process, else nothing is asked of it."""
    supervisor = await start(plant)
    rx = view(supervisor, "XNAS-rx")
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = {"hello": 1, "worker": rx.id, "incarnation": rx.incarnation}
        writer.write(json.dumps({**hello, "build_id": "x", "ops": []}).encode() + b"\n")
        asked.append(await reader.readline())
        writer.close()

    path = rx.runtime_dir / "control.sock"
    path.unlink()
    server = await asyncio.start_unix_server(answer, path)
    with pytest.raises(UnavailableError, match=f"answered by process {os.getpid()}"):
        await supervisor.call("XNAS-rx", "drain", {}, timeout_s=WAIT_S)
    await until(lambda: asked)
    assert asked == [b""]
    server.close()


async def test_calls_without_a_worker(plant: Plant) -> None:
    """Unknown workers are not found; a worker without process is unavailable, not a crash."""
    supervisor = await start(plant, plant.record(desired=DesiredState.STOPPED))
    with pytest.raises(NotFoundError):
        await supervisor.call("XNAS-tx", "status", {}, timeout_s=WAIT_S)
    with pytest.raises(UnavailableError, match="not running"):
        await supervisor.call("XNAS-rx", "status", {}, timeout_s=WAIT_S)
    with pytest.raises(WrongStateError, match="not wanted"):
        await supervisor.restart("XNAS-rx")


async def test_calls_fail_when_the_worker_dies(plant: Plant) -> None:
    """A call under way ends with an error when the process is killed, not with a hang."""
    supervisor = await start(plant)
    call = asyncio.create_task(supervisor.call("XNAS-rx", "silence", {}, timeout_s=WAIT_S))
    await until(lambda: "XNAS-rx silence" in plant.log())
    os.kill(pid_of(supervisor, "XNAS-rx"), signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(UnavailableError):
            await call


async def test_drain_all_ends_everything_and_starts_nothing(plant: Plant) -> None:
    """The whole plant drains, each exchange in order, and nothing can be added afterwards."""
    supervisor = plant.supervisor()
    await supervisor.start([plant.record("AAA", port=1), plant.record("BBB", port=2)])
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("AAA")
        await supervisor.settled("BBB")
        assert await supervisor.drain_all() == 4
    assert plant.pids() == []
    ends = [line for line in plant.log() if "end" in line]
    assert ends.index("AAA-book end 0") < ends.index("AAA-rx end 0")
    with pytest.raises(WrongStateError, match="shutting down"):
        await supervisor.apply(plant.record("CCC", port=3))


async def test_listener_that_fails_stops_nothing(plant: Plant) -> None:
    """An exception in `on_change` is logged and the worker runs all the same."""

    def fail(change: WorkerChange) -> None:
        raise RuntimeError("listener")

    supervisor = Supervisor(plant.settings, on_change=fail, limits=PATIENT)
    plant.own(supervisor)
    await supervisor.start([plant.record()])
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert state(supervisor, "XNAS-book") is RUNNING
