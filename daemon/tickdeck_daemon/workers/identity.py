"""Which process is ours, proved before anything is done to it.

A process is named by boot id, pid and kernel start time. A pidfd is opened first and compared
afterwards: it pins the process, so a pid that is used again cannot slip in between. Whatever
cannot be proved is left alone.
"""

import contextlib
import fcntl
import os
import re
import select
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

_BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
_FLOCK_LINE = re.compile(
    r"^\d+:\s+FLOCK\s+\S+\s+\S+\s+(\d+)\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s", re.M
)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """One process of one worker; no other process ever has the same."""

    boot_id: str
    pid: int
    start_time_ticks: int
    """Field 22 of `/proc/<pid>/stat`: clock ticks since boot."""
    incarnation: str
    """UUID given at the start."""
    exe: str
    """The binary it was started from."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "WorkerIdentity":
        """Read what `to_json` wrote.

        Raises:
            ValueError: a field is missing or of the wrong type.
        """
        try:
            identity = cls(**{name: value[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise ValueError(f"identity without {error}") from error
        for name, kind in (("pid", int), ("start_time_ticks", int), ("boot_id", str)):
            if type(value[name]) is not kind or not value[name]:
                raise ValueError(f"identity with {name} = {value[name]!r}")
        if identity.pid <= 1:
            raise ValueError(f"identity with pid = {identity.pid}")
        return identity

    def to_json(self) -> dict[str, Any]:
        """For the state file."""
        return asdict(self)


class Standing(Enum):
    """What a look at a recorded identity gave."""

    ALIVE = "alive"
    """The very process is there; a pidfd on it is held."""
    DEAD = "dead"
    """That process is gone, whoever has its pid now."""
    UNPROVED = "unproved"
    """It cannot be told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of `verify`."""

    standing: Standing
    pidfd: "Pidfd | None" = None
    """Open when ALIVE, else None; the caller closes it."""
    reason: str = ""
    """Why, when it is not ALIVE."""


class Pidfd:
    """A handle on one process that stays on that process when its pid is used again."""

    def __init__(self, pid: int) -> None:
        """Open it.

        Raises:
            ProcessLookupError: no such process.
            OSError: no descriptor left, or not permitted.
        """
        self._fd = os.pidfd_open(pid)

    def fileno(self) -> int:
        """The descriptor; readable once the process has ended.

        Raises:
            ValueError: closed.
        """
        if self._fd < 0:
            raise ValueError("the pidfd is closed")
        return self._fd

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process has ended.

        Raises:
            PermissionError: the process may not be signalled by us.
        """
        try:
            signal.pidfd_send_signal(self.fileno(), number)
        except ProcessLookupError:
            return False
        return True

    @property
    def ended(self) -> bool:
        """The process, with all its threads, has ended, reaped or not."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let go of the process; closing twice does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A part of `/proc/<pid>/stat`."""

    state: str
    """One letter: R, S, D, T (stopped), t (traced), Z (ended, not reaped), ..."""
    start_time_ticks: int


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Somebody who holds a lock file."""

    pid: int | None
    """None when the kernel does not tell."""

    def describe(self) -> str:
        """In words."""
        return f"process {self.pid}" if self.pid else "an unknown process"


@cache
def boot_id() -> str:
    """Identity of this boot of the host."""
    return _BOOT_ID_PATH.read_text().strip()


def process_stat(pid: int) -> ProcessStat | None:
    """What the kernel tells of a process; None when there is none.

    Raises:
        OSError: it may not be read.
        ValueError: it is not in the known form.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold anything, so count from the last parenthesis (proc(5)).
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20:
        raise ValueError(f"/proc/{pid}/stat has {len(fields)} fields behind the name")
    return ProcessStat(state=fields[0], start_time_ticks=int(fields[19]))


def identify_child(pid: int, *, incarnation: str, exe: Path) -> WorkerIdentity:
    """Identity of a child that is not reaped yet, so that its pid is certain.

    Raises:
        OSError: `/proc` cannot be read.
        ValueError: `/proc` is not in the known form.
    """
    stat = process_stat(pid)
    if stat is None:
        raise ValueError(f"/proc/{pid} is not there; is /proc mounted?")
    return WorkerIdentity(boot_id(), pid, stat.start_time_ticks, incarnation, str(exe))


def verify(identity: WorkerIdentity) -> Finding:
    """Look for the very process; see the module's text for the order of things."""
    if identity.boot_id != boot_id():
        return Finding(Standing.DEAD, reason="the host has booted since")
    try:
        pidfd = Pidfd(identity.pid)
    except ProcessLookupError:
        return Finding(Standing.DEAD, reason=f"no process {identity.pid}")
    except OSError as error:
        return Finding(Standing.UNPROVED, reason=f"process {identity.pid}: {error}")
    standing, reason = _judge(identity, pidfd)
    if standing is Standing.ALIVE:
        return Finding(standing, pidfd)
    pidfd.close()
    return Finding(standing, reason=reason)


def lock_holder(path: Path) -> LockHolder | None:
    """Who holds the lock file of a worker; None when nobody does.

    Raises:
        OSError: the file cannot be opened or locked.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return LockHolder(_flock_pid(os.fstat(descriptor)))
    finally:
        os.close(descriptor)
    return None


def _judge(identity: WorkerIdentity, pidfd: Pidfd) -> tuple[Standing, str]:
    """Compare, now that the pidfd pins whoever has the pid."""
    try:
        stat = process_stat(identity.pid)
    except (OSError, ValueError) as error:
        return Standing.UNPROVED, f"process {identity.pid}: {error}"
    if stat is None:
        return Standing.DEAD, f"no process {identity.pid}"
    if stat.start_time_ticks != identity.start_time_ticks:
        return Standing.DEAD, f"pid {identity.pid} is another process now"
    if pidfd.ended:
        # Ended and not reaped. If it is a child of ours, nobody else will do that.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, pidfd.fileno(), os.WEXITED | os.WNOHANG)
        return Standing.DEAD, f"process {identity.pid} has ended"
    return Standing.ALIVE, ""


def _flock_pid(status: os.stat_result) -> int | None:
    wanted = (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    for pid, major, minor, inode in _FLOCK_LINE.findall(Path("/proc/locks").read_text()):
        if (int(major, 16), int(minor, 16), int(inode)) == wanted and int(pid) > 0:
            return int(pid)
    return None
