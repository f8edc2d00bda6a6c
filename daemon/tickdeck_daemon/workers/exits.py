"""How a process ended, and what that means to the supervisor."""

import fcntl
import os
import signal
import struct
from dataclasses import dataclass, replace
from enum import StrEnum

PERMANENT_CODES = {
    78: "invalid spec or configuration",
    77: "missing capability or permission",
    76: "layout or ABI mismatch",
    69: "network interface or address absent",
    125: "lock held by another process",
}
"""Exit codes that a restart cannot cure, with their meaning."""

_PIDFD_GET_INFO = 0xC040FF0B
"""`_IOWR(0xFF, 11, 64 bytes)` of `linux/pidfd.h`."""
_PIDFD_INFO_EXIT = 1 << 3
"""Linux 6.15: ask for, and answer with, the exit status."""
_PIDFD_INFO_SIZE = 64
_EXIT_CODE_OFFSET = 60


class ExitSource(StrEnum):
    """Who told how the process ended."""

    WAIT = "wait"
    """`waitid`: it was our child."""
    PIDFD = "pidfd"
    """The kernel, by the pidfd of a process that was not our child."""
    RECORD = "record"
    """Its own last words in the stats file."""
    UNKNOWN = "unknown"
    """Nobody."""


@dataclass(frozen=True, slots=True)
class ExitFacts:
    """How a process ended. At most one of `code` and `signal` is set; neither: unknown."""

    code: int | None = None
    signal: int | None = None
    source: ExitSource = ExitSource.UNKNOWN
    message: str = ""
    """The worker's own words, when it left some."""

    @classmethod
    def of_wait_status(cls, status: int, source: ExitSource) -> "ExitFacts":
        """From the status word of `wait`."""
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return cls(signal=-code, source=source)
        return cls(code=code, source=source)

    @property
    def permanent(self) -> bool:
        """A restart cannot cure it."""
        return self.code in PERMANENT_CODES

    def with_message(self, message: str) -> "ExitFacts":
        """The same facts with the worker's words."""
        return replace(self, message=message)

    def describe(self) -> str:
        """In words, such as `killed by SIGKILL`."""
        if self.signal is not None:
            text = f"killed by {_signal_name(self.signal)}"
        elif self.code == 0:
            text = "exited 0" if self.message else "exited 0 (drained)"
        elif self.code is not None:
            meaning = PERMANENT_CODES.get(self.code)
            text = f"exited {self.code}" + (f" ({meaning})" if meaning else "")
        else:
            text = "ended, nobody saw how"
        return f"{text}: {self.message}" if self.message else text


def child_exit(pidfd: int) -> ExitFacts | None:
    """Reap a child that has ended; None while it runs.

    Raises:
        ChildProcessError: the process is not our child.
    """
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return ExitFacts(code=result.si_status, source=ExitSource.WAIT)
    return ExitFacts(signal=result.si_status, source=ExitSource.WAIT)


def stranger_exit(pidfd: int) -> ExitFacts | None:
    """How a process that is not our child ended; None while its parent has not reaped it.

    Raises:
        OSError: the kernel is older than 6.13 and cannot tell.
    """
    buffer = bytearray(_PIDFD_INFO_SIZE)
    struct.pack_into("<Q", buffer, 0, _PIDFD_INFO_EXIT)
    fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    (mask,) = struct.unpack_from("<Q", buffer, 0)
    if not mask & _PIDFD_INFO_EXIT:
        return None
    (status,) = struct.unpack_from("<i", buffer, _EXIT_CODE_OFFSET)
    return ExitFacts.of_wait_status(status, ExitSource.PIDFD)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
