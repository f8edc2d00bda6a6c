"""The daemon as a process: one of a kind, workers outlive it, its exit tells why."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from fake_plant import Plant, exchange_toml, private_directory, until
from serving import failure, serving, settings_below
from tickdeck.v1 import (
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    observe_service_pb2,
    observe_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
    worker_pb2,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from tickdeck_daemon.server import AlreadyRunningError, DirectoryLock

ROOTS = [Path(__file__).parents[2] / name for name in ("daemon", "protos/gen")]
LIMIT_S = 120.0


class Daemon:
    """A `tickdeckd` process over a plant's directories, and clients of it."""

    def __init__(self, plant: Plant, process: asyncio.subprocess.Process) -> None:
        self.plant = plant
        self.process = process
        self.channel = aio.insecure_channel(
            f"unix:{plant.settings.socket_path}",
            options=[("grpc.use_local_subchannel_pool", 1)],
        )
        self.system = system_service_pb2_grpc.SystemServiceStub(self.channel)
        self.exchange = exchange_service_pb2_grpc.ExchangeServiceStub(self.channel)
        self.worker = worker_service_pb2_grpc.WorkerServiceStub(self.channel)
        self.observe = observe_service_pb2_grpc.ObserveServiceStub(self.channel)

    async def info(self) -> system_service_pb2.GetServerInfoResponse:
        return await self.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())

    async def workers(self) -> dict[str, worker_pb2.Worker]:
        response = await self.worker.ListWorkers(worker_service_pb2.ListWorkersRequest())
        return {worker.name: worker for worker in response.workers}

    async def running(self, count: int = 2) -> dict[str, worker_pb2.Worker]:
        """Workers once so many of them run."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                workers = await self.workers()
                states = [worker.state for worker in workers.values()]
                if states.count(worker_pb2.WORKER_STATE_RUNNING) == count:
                    return workers
                await asyncio.sleep(0.02)

    async def create(self) -> None:
        request = exchange_service_pb2.CreateExchangeRequest(toml=exchange_toml())
        await self.exchange.CreateExchange(request)

    async def ended(self) -> int:
        async with asyncio.timeout(LIMIT_S):
            return await self.process.wait()

    async def logs(self) -> list[dict[str, Any]]:
        """Log lines, once the process has ended."""
        assert self.process.stderr is not None
        text = await self.process.stderr.read()
        return [json.loads(line) for line in text.splitlines()]


def arguments(plant: Plant) -> list[str]:
    settings = plant.settings
    return [
        *("--runtime-dir", str(settings.runtime_dir), "--state-dir", str(settings.state_dir)),
        *("--config-dir", str(settings.config_dir), "--log-dir", str(settings.log_dir)),
        *("--socket", str(settings.socket_path)),
    ]


async def spawn(plant: Plant, *words: str, pass_fds: tuple[int, ...] = ()) -> Daemon:
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, ROOTS)),
        "TICKDECK_NATIVE_DIR": str(plant.native),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tickdeck_daemon", *words),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
    )
    return Daemon(plant, process)


@contextlib.asynccontextmanager
async def running(plant: Plant) -> AsyncGenerator[Daemon]:
    """A daemon that serves; ended with SIGTERM when it still runs."""
    reading, writing = os.pipe()
    words = [*arguments(plant), "--ready-fd", str(writing)]
    daemon = await spawn(plant, "run", *words, pass_fds=(writing,))
    os.close(writing)
    try:
        async with asyncio.timeout(LIMIT_S):
            ready = await asyncio.to_thread(os.read, reading, 1)
        assert ready == b"\n", await daemon.logs()
        yield daemon
    finally:
        os.close(reading)
        await daemon.channel.close()
        if daemon.process.returncode is None:
            daemon.process.terminate()
            await daemon.ended()


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    """Directories and fake workers; nothing is left running."""
    with private_directory() as root:
        plant = Plant(root)
        yield plant
        await plant.close()


async def test_workers_outlive_the_daemon_and_are_adopted(plant: Plant) -> None:
    """SIGTERM ends the daemon only; the next one takes the same processes over."""
    async with running(plant) as daemon:
        await daemon.create()
        before = await daemon.running()
        daemon.process.terminate()
        assert await daemon.ended() == 0
    async with running(plant) as daemon:
        after = await daemon.running()
        assert (await daemon.info()).workers_adopted == 2
        for name, worker in after.items():
            assert worker.adopted
            assert (worker.pid, worker.incarnation) == (before[name].pid, before[name].incarnation)
    starts = [line for line in plant.log() if line.endswith("start")]
    assert len(starts) == 2


async def test_a_killed_daemon_loses_neither_workers_nor_events(plant: Plant) -> None:
    """After kill -9 the next daemon adopts, and its event log goes on without a hole."""
    async with running(plant) as daemon:
        await daemon.create()
        before = await daemon.running()
        seen = await events(daemon)
        daemon.process.kill()
        await daemon.ended()
    async with running(plant) as daemon:
        after = await daemon.running()
        assert {w.pid for w in after.values()} == {w.pid for w in before.values()}
        later = await events(daemon, seen[-1].epoch, seen[-1].seq + 1)
        assert [event.seq for event in later] == list(
            range(seen[-1].seq + 1, seen[-1].seq + 1 + len(later))
        )
        assert "daemon.started" in [event.type for event in later]


async def events(daemon: Daemon, epoch: str = "", start_seq: int = 1) -> list[Any]:
    request = observe_service_pb2.WatchEventsRequest(
        epoch=epoch, start_seq=start_seq, stop_at_end=True
    )
    async with asyncio.timeout(LIMIT_S):
        return [
            event
            async for message in daemon.observe.WatchEvents(request)
            for event in message.events
        ]


async def test_a_second_daemon_refuses(plant: Plant) -> None:
    """It exits with 125, says why, and disturbs neither the first nor its workers."""
    async with running(plant) as daemon:
        await daemon.create()
        await daemon.running()
        instance = (await daemon.info()).instance_id
        second = await spawn(plant, *arguments(plant))
        assert await second.ended() == 125
        text = json.dumps(await second.logs())
        assert f"locked by process {daemon.process.pid}" in text
        assert (await daemon.info()).instance_id == instance
        await daemon.running()


@pytest.mark.parametrize("own", ["--runtime-dir", "--state-dir"])
async def test_two_daemons_share_neither_workers_nor_state(plant: Plant, own: str) -> None:
    """A directory and a socket of one's own are not enough: both directories have one owner."""
    async with running(plant):
        other = [own, str(plant.root / "r"), "--socket", str(plant.root / "s")]
        second = await spawn(plant, *arguments(plant), *other)
        assert await second.ended() == 125


async def test_a_drain_with_workers_ends_them_in_order(plant: Plant) -> None:
    """Books first, then rx, then the daemon, with exit status 0."""
    async with running(plant) as daemon:
        await daemon.create()
        await daemon.running()
        request = system_service_pb2.DrainDaemonRequest(stop_workers=True, reason="test")
        response = await daemon.system.DrainDaemon(request)
        assert response.workers_stopping == 2
        assert await daemon.ended() == 0
    ends = [line for line in plant.log() if "end" in line]
    assert ends == ["XNAS-book end 0", "XNAS-rx end 0"]
    assert plant.pids() == []


async def test_a_worker_that_dies_is_seen_and_started_again(plant: Plant) -> None:
    """The exchange's health and the events tell it; the next incarnation runs."""
    async with running(plant) as daemon:
        await daemon.create()
        before = (await daemon.running())["workers/XNAS-rx"]
        os.kill(before.pid, signal.SIGKILL)
        after = before
        async with asyncio.timeout(LIMIT_S):
            while after.pid == before.pid:
                after = (await daemon.running())["workers/XNAS-rx"]
        assert after.incarnation != before.incarnation
        assert "SIGKILL" in after.last_exit
        types = [event.type for event in await events(daemon)]
        assert types.count("worker.state") > 4


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--nonsense"], 2, "--nonsense"),
        (["--runtime-dir", "/tmp/" + "x" * 120], 2, "longer than"),
        (["stat", "/nowhere/at/all"], 1, "/nowhere"),
        (["--help"], 0, ""),
    ],
)
async def test_exit_status_tells_what_went_wrong(
    plant: Plant, words: list[str], status: int, text: str
) -> None:
    """Wrong usage, unusable settings and unreadable files are told apart."""
    daemon = await spawn(plant, *words)
    assert daemon.process.stderr is not None
    message = (await daemon.process.stderr.read()).decode()
    assert await daemon.ended() == status
    assert text in message


async def test_statistics_are_shown_without_a_daemon(plant: Plant) -> None:
    """`stat` reads what the workers left, dead or alive."""
    async with running(plant) as daemon:
        await daemon.create()
        await daemon.running()
    daemon = await spawn(plant, "stat", str(plant.settings.runtime_dir), "--json")
    assert daemon.process.stdout is not None
    report = json.loads(await daemon.process.stdout.read())
    assert await daemon.ended() == 0
    assert {worker["worker"] for worker in report["workers"]} == {"XNAS-rx", "XNAS-book"}
    assert all(worker["alive"] for worker in report["workers"])


async def test_a_directory_that_cannot_be_used_fails_with_one(plant: Plant) -> None:
    """The log says which file it was."""
    plant.settings.state_dir.write_text("a file, not a directory")
    daemon = await spawn(plant, *arguments(plant))
    assert await daemon.ended() == 1
    assert str(plant.settings.state_dir) in json.dumps(await daemon.logs())


async def test_a_broken_exchange_file_stops_nobody(plant: Plant) -> None:
    """The others run; the fault is an event."""
    directory = plant.settings.exchanges_dir
    directory.mkdir(parents=True)
    (directory / "bad.toml").write_text('name = "BAD"\nnonsense = 1\n')
    (directory / "XNAS.toml").write_text(exchange_toml())
    async with running(plant) as daemon:
        await daemon.running()
        (fault,) = [e for e in await events(daemon) if e.type == "exchange.file_problem"]
        assert "nonsense" in fault.message
        listed = await daemon.exchange.ListExchanges(exchange_service_pb2.ListExchangesRequest())
        assert [exchange.name for exchange in listed.exchanges] == ["exchanges/XNAS"]


async def test_a_stalled_reader_does_not_hold_up_the_end(plant: Plant) -> None:
    """Streams are ended after a short grace, whoever still does not read."""
    async with running(plant) as daemon:
        await daemon.create()
        request = observe_service_pb2.WatchHealthRequest()
        stalled = daemon.observe.WatchHealth(request)
        reading = aiter(daemon.observe.WatchHealth(request))
        await anext(reading)
        daemon.process.terminate()
        assert await daemon.ended() == 0
        stalled.cancel()


async def test_a_socket_that_answers_is_never_taken_over() -> None:
    """Also when its owner holds no lock of ours: the newcomer refuses, the old one serves on."""
    with private_directory() as root:
        settings = settings_below(root)
        settings.runtime_dir.mkdir()
        with socket.socket(socket.AF_UNIX) as owner:
            owner.bind(str(settings.socket_path))
            owner.listen()
            with pytest.raises(AlreadyRunningError, match="somebody answers"):
                async with serving(settings):
                    raise AssertionError("it started")
            assert settings.socket_path.exists()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(settings.socket_path))


async def test_a_socket_of_a_dead_daemon_is_replaced() -> None:
    """What is left of a killed daemon does not stop the next one."""
    with private_directory() as root:
        settings = settings_below(root)
        settings.runtime_dir.mkdir()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(settings.socket_path))
        async with serving(settings) as served:
            await served.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())


async def test_a_failed_start_leaves_nothing_locked() -> None:
    """After the fault is mended the next start succeeds in the same process."""
    with private_directory() as root:
        settings = settings_below(root)
        settings.runtime_dir.mkdir()
        settings.socket_path.mkdir()
        with pytest.raises(OSError, match=r"tickdeckd\.sock"):
            async with serving(settings):
                raise AssertionError("it started")
        settings.socket_path.rmdir()
        async with serving(settings) as served:
            await served.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())


async def test_a_closed_server_answers_nobody() -> None:
    """After a stop the socket is gone and the lock is free."""
    with private_directory() as root:
        settings = settings_below(root)
        async with serving(settings):
            pass
        assert not settings.socket_path.exists()
        with DirectoryLock(settings.lock_path):
            async with aio.insecure_channel(f"unix:{settings.socket_path}") as channel:
                stub = system_service_pb2_grpc.SystemServiceStub(channel)
                call = stub.GetServerInfo(
                    system_service_pb2.GetServerInfoRequest(), timeout=LIMIT_S
                )
                assert (await failure(call)).code is grpc.StatusCode.UNAVAILABLE


def test_a_lock_names_its_holder(tmp_path: Path) -> None:
    """Who is refused learns the process id."""
    with (
        DirectoryLock(tmp_path / "lock"),
        pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"),
        DirectoryLock(tmp_path / "lock"),
    ):
        raise AssertionError("locked twice")
    with DirectoryLock(tmp_path / "lock"):
        pass


async def test_nothing_of_the_plant_is_left_behind(plant: Plant) -> None:
    """The helpers of these tests end what they started."""
    async with running(plant) as daemon:
        await daemon.create()
        await daemon.running()
    assert len(plant.pids()) == 2
    plant.kill_all()
    await until(lambda: plant.pids() == [])
