"""The exporter as a supervised worker: behind rx at the start, behind it at the end."""

import asyncio
import os
import signal

from fake_plant import WAIT_S, Plant, pid_of, start, state, until, view
from tickdeck_daemon.exchanges.store import DesiredState, ExchangeRecord
from tickdeck_daemon.workers.supervisor import WorkerState

RUNNING, STOPPED = WorkerState.RUNNING, WorkerState.STOPPED
EXPORT = 'tcp_export = { enabled = true, addr = "unix:/run/x.sock"%s }'


def record(
    plant: Plant, *, generation: int = 1, more: str = "", extra: str = "", stopped: bool = False
) -> ExchangeRecord:
    """An exchange with an exporter."""
    desired = DesiredState.STOPPED if stopped else DesiredState.RUNNING
    extra = f"{EXPORT % more}\n{extra}"
    return plant.record(generation=generation, desired=desired, extra=extra)


async def test_starts_behind_rx(plant: Plant) -> None:
    """Rx makes the journal; then book and exporter start, with `tickdeck-journal export`."""
    supervisor = await start(plant, record(plant))
    assert [(v.id, v.kind, v.state) for v in supervisor.workers()] == [
        ("XNAS-book", "book", RUNNING),
        ("XNAS-export", "export", RUNNING),
        ("XNAS-rx", "rx", RUNNING),
    ]
    order = [(c.worker, c.new) for c in plant.changes]
    ready = order.index(("XNAS-rx", RUNNING))
    assert ready < order.index(("XNAS-export", WorkerState.STARTING))
    log = view(supervisor, "XNAS-export").log_path.read_text()
    assert '"argv": ["export", "--spec"' in log


async def test_drains_last(plant: Plant) -> None:
    """Book, then rx, whose seal the exporter still sends, then the exporter."""
    plant.behave("XNAS-rx", drain_s=0.3)
    supervisor = await start(plant, record(plant))
    await supervisor.apply(record(plant, generation=2, stopped=True))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert plant.log()[3:] == ["XNAS-book end 0", "XNAS-rx end 0", "XNAS-export end 0"]
    order = [(c.worker, c.new) for c in plant.changes]
    drained = order.index(("XNAS-export", WorkerState.DRAINING))
    assert order.index(("XNAS-rx", STOPPED)) < drained
    assert plant.pids() == []


async def test_a_death_of_one_leaves_the_others(plant: Plant) -> None:
    """A killed exporter comes back; a killed rx does not take the exporter along."""
    supervisor = await start(plant, record(plant))
    before = {v.id: v.pid for v in supervisor.workers()}
    os.kill(pid_of(supervisor, "XNAS-export"), signal.SIGKILL)
    await until(lambda: view(supervisor, "XNAS-export").restarts == 1)
    await until(lambda: state(supervisor, "XNAS-export") is RUNNING)
    exporter = pid_of(supervisor, "XNAS-export")
    os.kill(pid_of(supervisor, "XNAS-rx"), signal.SIGKILL)
    await until(lambda: view(supervisor, "XNAS-rx").restarts == 1)
    await until(lambda: state(supervisor, "XNAS-rx") is RUNNING)
    assert view(supervisor, "XNAS-export").pid == exporter
    assert view(supervisor, "XNAS-book").pid == before["XNAS-book"]


async def test_serves_what_is_on_the_disk_without_rx(plant: Plant) -> None:
    """Where rx cannot run at all, subscribers still get what was journalled before."""
    plant.behave("XNAS-rx", exit_code=78)
    supervisor = await start(plant, record(plant))
    assert state(supervisor, "XNAS-rx") is WorkerState.FAILED_PERMANENT
    await until(lambda: state(supervisor, "XNAS-export") is RUNNING)


async def test_only_its_own_changes_restart_it(plant: Plant) -> None:
    """Its table restarts it alone; the merge restarts rx alone; without its table it goes."""
    supervisor = await start(plant, record(plant))
    first = {v.kind: v.pid for v in supervisor.workers()}
    await supervisor.apply(record(plant, generation=2, more=", heartbeat_ms = 500"))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    second = {v.kind: v.pid for v in supervisor.workers()}
    assert {kind for kind in first if first[kind] != second[kind]} == {"export"}
    extra = "arbiter = { reorder_window_packets = 8 }\njournal = { fsync_interval_ms = 9 }"
    await supervisor.apply(record(plant, generation=3, more=", heartbeat_ms = 500", extra=extra))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    third = {v.kind: v.pid for v in supervisor.workers()}
    assert second["export"] == third["export"]
    assert second["rx"] != third["rx"]
    await supervisor.apply(plant.record(generation=4, extra=extra))
    async with asyncio.timeout(WAIT_S):
        await supervisor.settled("XNAS")
    assert [v.id for v in supervisor.workers()] == ["XNAS-book", "XNAS-rx"]


async def test_is_adopted(plant: Plant) -> None:
    """It outlives the daemon, and the next one takes it over."""
    supervisor = await start(plant, record(plant))
    pid = pid_of(supervisor, "XNAS-export")
    await supervisor.close()
    other = plant.supervisor()
    result = await other.start([record(plant)])
    assert sorted(result.adopted) == ["XNAS-book", "XNAS-export", "XNAS-rx"]
    assert view(other, "XNAS-export").adopted
    assert pid_of(other, "XNAS-export") == pid


async def test_is_forgotten_with_the_exchange(plant: Plant) -> None:
    """A removal drains it last and leaves no directory of it."""
    supervisor = await start(plant, record(plant))
    await supervisor.remove("XNAS")
    assert supervisor.workers() == []
    assert plant.log()[-1] == "XNAS-export end 0"
    assert not (plant.settings.workers_dir / "XNAS-export").exists()
