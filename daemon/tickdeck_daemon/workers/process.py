"""One worker process: started, watched to its end, signalled only through its pidfd."""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from tickdeck_daemon.workers.exits import ExitFacts, child_exit, stranger_exit
from tickdeck_daemon.workers.identity import Pidfd, WorkerIdentity, identify_child

READY_FD = 3
"""The worker writes a newline here once it is ready."""

_REAP_RETRY_S = 0.01
_REAP_PATIENCE_S = 0.2
"""How long another parent may take to reap before its exit status is given up: the worker's
own last words are left then, and a restart must not wait for long."""
_INHERITED_FDS_MIN = 10
"""Our ends are moved here and above, out of the way of the child's 0 to 3."""
_PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "RUST_BACKTRACE")
_PASSED_PREFIXES = ("TICKDECK_", "LLVM_PROFILE_", "ASAN_", "TSAN_")
_DEFAULTED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Process:
    """A process of ours. It tells the loop when it is ready and when it has ended, once each."""

    def __init__(self, identity: WorkerIdentity, pidfd: Pidfd, *, ready_fd: int | None) -> None:
        """Take over an open pidfd and, for a child, the reading end of its ready pipe."""
        self.identity = identity
        self._pidfd = pidfd
        self._ready_fd = ready_fd
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._patience_until = 0.0
        self._on_ready: Callable[[], None] = _nothing
        self._on_exit: Callable[[ExitFacts], None] = _ignore

    @classmethod
    def spawn(cls, argv: list[str], *, incarnation: str, log_path: Path) -> "Process":
        """Start a worker in a session of its own, with nothing of ours but log and ready pipe.

        Standard input is /dev/null; standard output and error are appended to the log file,
        so that no output ever flows through the daemon. There is no fork of this process's
        memory and no code of ours between the two programs.

        Raises:
            OSError: the log or the binary cannot be used, or a limit is reached; no process
                is left behind.
            ValueError: `/proc` does not show the child; it was killed again.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with contextlib.ExitStack() as ours:
            log_fd = os.open(log_path, flags, 0o640)
            ours.callback(os.close, log_fd)
            reading, writing = _ready_pipe()
            ours.callback(os.close, writing)
            try:
                pid = os.posix_spawn(
                    argv[0],
                    argv,
                    _environment(os.environ),
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, log_fd, 1),
                        (os.POSIX_SPAWN_DUP2, log_fd, 2),
                        (os.POSIX_SPAWN_DUP2, writing, READY_FD),
                    ],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_DEFAULTED_SIGNALS,
                )
            except OSError:
                os.close(reading)
                raise
        os.set_blocking(reading, False)
        try:
            # The child is not reaped, so its pid cannot mean anybody else.
            pidfd = Pidfd(pid)
            identity = identify_child(pid, incarnation=incarnation, exe=Path(argv[0]))
        except (OSError, ValueError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reading)
            raise
        return cls(identity, pidfd, ready_fd=reading)

    def watch(self, *, on_ready: Callable[[], None], on_exit: Callable[[ExitFacts], None]) -> None:
        """Begin to watch; both are called from the loop, never from here."""
        self._on_ready, self._on_exit = on_ready, on_exit
        self._loop.add_reader(self._pidfd.fileno(), self._ended)
        if self._ready_fd is not None:
            self._loop.add_reader(self._ready_fd, self._ready)

    def send(self, number: signal.Signals) -> bool:
        """Signal the process; False when it has ended.

        Raises:
            PermissionError: it may not be signalled by us.
        """
        return self._pidfd.send(number)

    def close(self) -> None:
        """Watch no longer; the process goes on. Closing again does nothing."""
        self._close_ready()
        if self._retry is not None:
            self._retry.cancel()
        with contextlib.suppress(ValueError):
            self._loop.remove_reader(self._pidfd.fileno())
        self._pidfd.close()

    def _ready(self) -> None:
        assert self._ready_fd is not None, "the reader is removed with the descriptor"
        try:
            data = os.read(self._ready_fd, 64)
        except BlockingIOError:
            return
        # At the end of the pipe without a newline the worker has ended: its pidfd tells.
        self._close_ready()
        if b"\n" in data:
            self._on_ready()

    def _close_ready(self) -> None:
        if self._ready_fd is not None:
            self._loop.remove_reader(self._ready_fd)
            os.close(self._ready_fd)
            self._ready_fd = None

    def _ended(self) -> None:
        """The pidfd became readable."""
        self._loop.remove_reader(self._pidfd.fileno())
        self._patience_until = self._loop.time() + _REAP_PATIENCE_S
        self._collect()

    def _collect(self) -> None:
        """Get the exit facts: of a child by reaping, else by asking the kernel."""
        facts: ExitFacts | None
        try:
            facts = child_exit(self._pidfd.fileno())
        except ChildProcessError:
            try:
                facts = stranger_exit(self._pidfd.fileno())
            except OSError as error:
                _log.info("exit_status_unknown", pid=self.identity.pid, error=str(error))
                facts = ExitFacts()
        if facts is None and self._loop.time() < self._patience_until:
            self._retry = self._loop.call_later(_REAP_RETRY_S, self._collect)
            return
        self.close()
        self._on_exit(facts or ExitFacts())


def _nothing() -> None:
    """Stands in before `watch`."""


def _ignore(facts: ExitFacts) -> None:
    """Stands in before `watch`."""
    del facts


def _ready_pipe() -> tuple[int, int]:
    """Our reading end and the worker's end, which reads and writes.

    Because the worker's own end counts as a reader, its newline neither blocks nor fails when
    the daemon died meanwhile. Both numbers lie above those the child gets.
    """
    with contextlib.ExitStack() as originals:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        originals.callback(os.close, reading)
        originals.callback(os.close, writing)
        both = os.open(f"/proc/self/fd/{writing}", os.O_RDWR | os.O_CLOEXEC)
        originals.callback(os.close, both)
        moved = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, _INHERITED_FDS_MIN)
        try:
            return moved, fcntl.fcntl(both, fcntl.F_DUPFD_CLOEXEC, _INHERITED_FDS_MIN)
        except OSError:
            os.close(moved)
            raise


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a worker needs of our environment; secrets of the daemon are not among it."""
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_VARIABLES or name.startswith(_PASSED_PREFIXES)
    }
