"""What the supervisor tells others about its workers: plain values, safe to keep."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

WorkerKind = Literal["rx", "book", "export"]
WORKER_KINDS: tuple[WorkerKind, ...] = ("rx", "book", "export")
"""All kinds, in the order of their start."""


class WorkerState(StrEnum):
    """State of a worker process. The health of its feed is another axis."""

    PENDING = "PENDING"
    """Wanted, waiting for the worker it depends on or for the host's spawn budget."""
    STARTING = "STARTING"
    """The process exists and is not ready."""
    RUNNING = "RUNNING"
    """Ready, heartbeat and progress are moving."""
    DEGRADED = "DEGRADED"
    """Alive but impaired: late heartbeat, stopped by a signal, or unreadable statistics."""
    DRAINING = "DRAINING"
    """Asked to finish: stop, restart or removal."""
    STOPPED = "STOPPED"
    """No process, and none wanted."""
    BACKOFF = "BACKOFF"
    """Crashed; the delay before the next start is running."""
    CRASH_LOOP = "CRASH_LOOP"
    """Crashed too often in a short time; tried again at the longest delay."""
    FAILED_PERMANENT = "FAILED_PERMANENT"
    """Ended for a cause that a restart cannot cure; waits for a restart by an operator."""
    UNVERIFIED = "UNVERIFIED"
    """A process may be ours, but that cannot be proved; it is never signalled."""
    FOREIGN = "FOREIGN"
    """Somebody else's process holds the worker's lock."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as it is now."""

    id: str
    """Such as `XNAS-rx`."""
    exchange: str
    kind: WorkerKind
    state: WorkerState
    state_since_ns: int
    """UTC."""
    reason: str
    """Why it is in this state, in words; empty when there is nothing to say."""
    ready: bool
    """A process exists and reported ready; also true while the state is CRASH_LOOP."""
    pid: int | None
    incarnation: str | None
    """UUID of the process, or of the last one; None before the first start."""
    generation: int
    """Generation of the exchange that the process was started with; 0 before that."""
    adopted: bool
    """The process was started by a daemon that ran before."""
    restarts: int
    """Starts after the first that this daemon saw."""
    last_exit: str
    """In words, such as `killed by SIGKILL`; empty before the first exit."""
    last_exit_ns: int | None
    """UTC; None before the first exit."""
    started_ns: int | None
    """UTC; when this process was started or adopted; None without a process."""
    next_start_ns: int | None
    """UTC; when the next start is due; None when none is."""
    runtime_dir: Path
    stats_path: Path | None
    """Statistics of `incarnation`; the file may not exist yet."""
    log_path: Path
    core: int | None
    """Core the receive thread is pinned to by the exchange file."""


@dataclass(frozen=True, slots=True)
class WorkerChange:
    """One step of a worker from state to state, in the order in which they happened."""

    worker: str
    exchange: str
    kind: WorkerKind
    old: WorkerState
    new: WorkerState
    reason: str
    time_ns: int
    """UTC."""
    pid: int | None
    incarnation: str | None


@dataclass(frozen=True, slots=True)
class AdoptionResult:
    """What was found below the runtime directory when the daemon started; worker ids."""

    adopted: Sequence[str] = field(default_factory=tuple[str, ...])
    """Alive and ours."""
    exited: Sequence[str] = field(default_factory=tuple[str, ...])
    """Ended while no daemon ran."""
    unverified: Sequence[str] = field(default_factory=tuple[str, ...])
    foreign: Sequence[str] = field(default_factory=tuple[str, ...])
    orphans: Sequence[str] = field(default_factory=tuple[str, ...])
    """Adopted, but no exchange file that could be read wants them. They keep running and
    are not started again after an exit; `Supervisor.remove` drains them."""
