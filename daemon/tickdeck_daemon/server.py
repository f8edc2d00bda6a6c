"""The life of the gRPC server: lock, bind, serve, stop.

gRPC takes a Unix socket over from a server that is alive and tells nobody, so the daemon first
locks its runtime directory, then asks the socket whether somebody answers, and only then
binds. The socket is made with mode 0600: its owner is the only user who gets in.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from grpc import aio

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.plant import MakeSupervisor, Plant
from tickdeck_daemon.services.guard import WRITE_LIMIT_S, Guard
from tickdeck_daemon.services.registry import HealthBridge, add_services
from tickdeck_daemon.settings import Settings

_log = structlog.stdlib.get_logger(__name__)

HEALTH_INTERVAL_S = 0.5
"""Longest time between two looks of the standard health service."""
STOP_GRACE_S = 1.0
"""How long calls that are under way may go on after a stop was requested."""
COMMAND_GRACE_S = 10.0
"""How long commands may go on whose callers have gone."""
OPTIONS: tuple[tuple[str, int], ...] = (
    # Without these two a stalled reader lets megabytes pile up before a write blocks.
    ("grpc.http2.lookahead_bytes", 65536),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_send_message_length", 16 << 20),
)


class AlreadyRunningError(TickdeckError):
    """Another daemon has the runtime directory, the state directory or the socket."""

    default_reason = "ALREADY_RUNNING"


class DirectoryLock:
    """An exclusive lock on a directory, held until it is released or the process ends."""

    def __init__(self, path: Path) -> None:
        """Prepare to lock `path`, a file that is made when it is not there."""
        self._path = path
        self._fd: int | None = None

    def __enter__(self) -> Self:
        """Lock.

        Raises:
            AlreadyRunningError: another process holds it.
            OSError: the file cannot be made.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "?"
            os.close(fd)
            text = f"{self._path} is locked by process {holder}: a daemon runs there already"
            raise AlreadyRunningError(text, metadata={"pid": holder}) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock; the file stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Server:
    """A plant and the server in front of it."""

    def __init__(
        self,
        settings: Settings,
        *,
        make_supervisor: MakeSupervisor | None = None,
        write_limit_s: float = WRITE_LIMIT_S,
    ) -> None:
        """Prepare; nothing is locked or opened yet."""
        self._settings = settings
        self._make_supervisor = make_supervisor
        self._locks = contextlib.ExitStack()
        self._guard = Guard(actor=f"uid:{os.getuid()}", write_limit_s=write_limit_s)
        self._grpc: aio.Server | None = None
        self._plant: Plant | None = None
        self._health_task: asyncio.Task[None] | None = None
        self._health_due = asyncio.Event()

    @property
    def plant(self) -> Plant:
        """The plant of a server that has started."""
        if self._plant is None:
            raise RuntimeError("the server has not started")
        return self._plant

    async def start(self) -> None:
        """Lock, start the plant, bind and serve.

        Raises:
            AlreadyRunningError: another daemon is there.
            OSError: a directory or the socket cannot be used.
        """
        settings = self._settings
        try:
            self._locks.enter_context(DirectoryLock(settings.lock_path))
            self._locks.enter_context(DirectoryLock(settings.state_dir / "tickdeckd.lock"))
            _refuse_live_socket(settings.socket_path)
            self._plant = Plant(settings, make_supervisor=self._make_supervisor)
            await self._plant.start()
            server = aio.server(interceptors=[self._guard], options=OPTIONS)
            bridge = add_services(server, self._plant, self._guard, f"uid:{os.getuid()}")
            _bind(server, settings.socket_path)
            self._grpc = server
            await server.start()
        except BaseException:
            await self.stop()
            raise
        self._plant.on_health = self._health_due.set
        self._health_due.set()
        loop = asyncio.get_running_loop()
        self._health_task = loop.create_task(self._bridge_health(bridge), name="health")
        _log.info("serving", socket=str(settings.socket_path), pid=os.getpid())

    async def run_until_stopped(self) -> None:
        """Serve until SIGTERM, SIGINT or a drain; workers keep running."""
        loop = asyncio.get_running_loop()
        requested = self.plant.stop_requested
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_by_signal, number)
        await requested.wait()

    async def stop(self) -> None:
        """End calls, close the plant, unlock. Safe after a failed start, and twice."""
        if self._plant is not None:
            self._plant.draining = True
        if self._health_task is not None:
            self._health_task.cancel()
            await asyncio.gather(self._health_task, return_exceptions=True)
            self._health_task = None
        if self._grpc is not None:
            await self._grpc.stop(STOP_GRACE_S)
            self._grpc = None
        await self._guard.finish_commands(COMMAND_GRACE_S)
        if self._plant is not None:
            await self._plant.close()
            self._plant = None
        self._locks.close()

    def _stop_by_signal(self, number: signal.Signals) -> None:
        _log.info("stopping", signal=number.name)
        self.plant.draining = True
        self.plant.stop_requested.set()

    async def _bridge_health(self, bridge: HealthBridge) -> None:
        while True:
            # Also without a change of health: a drain is told as well.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEALTH_INTERVAL_S):
                    await self._health_due.wait()
            self._health_due.clear()
            await bridge.update()


def _refuse_live_socket(path: Path) -> None:
    """Refuse a socket that somebody answers; remove one that a dead daemon left.

    Raises:
        AlreadyRunningError: somebody answers.
        OSError: something else than a socket is there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            text = f"{path} accepts nobody, but somebody listens on it"
            raise AlreadyRunningError(text) from None
    raise AlreadyRunningError(f"somebody answers on {path}: a daemon runs there already")


def _bind(server: aio.Server, path: Path) -> None:
    """Bind with mode 0600 from the first moment on.

    Raises:
        OSError: it could not be bound.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise OSError(f"cannot bind {path}: {error}") from error
    finally:
        os.umask(before)
