"""The parts of a worker's state machine: its state, what can happen, what it can order.

`policy.advance` moves it; the rules are written there.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

from tickdeck_daemon.workers.exits import ExitFacts
from tickdeck_daemon.workers.views import WorkerState

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and counts of the policy."""

    start_timeout_ns: int = 60 * SECOND
    """A start without a sign of life for this long has failed."""
    start_timeout_max_ns: int = 600 * SECOND
    """A start that shows signs of life (a long recovery) may take this long."""
    heartbeat_stale_ns: int = 3 * SECOND
    """A heartbeat older than this makes the worker DEGRADED."""
    heartbeat_stuck_ns: int = 10 * SECOND
    """A heartbeat or hot loop standing still for this long ends the worker."""
    drain_timeout_ns: int = 15 * SECOND
    """From the control op `drain` to SIGTERM."""
    term_grace_ns: int = 5 * SECOND
    """From SIGTERM to SIGABRT."""
    abort_grace_ns: int = 2 * SECOND
    """From SIGABRT (core, backtrace) to SIGKILL."""
    kill_retry_ns: int = 5 * SECOND
    """SIGKILL is repeated this often while the process does not go."""
    backoff_base_ns: int = 250 * MILLISECOND
    """Delay after the first crash; doubles with each further one."""
    backoff_max_ns: int = 30 * SECOND
    """Longest delay."""
    healthy_ns: int = 60 * SECOND
    """Ready for this long, past crashes are forgiven."""
    crash_window_ns: int = 120 * SECOND
    """Crashes older than this no longer count."""
    crash_limit: int = 5
    """So many crashes within the window are a crash loop."""
    recheck_ns: int = 1 * SECOND
    """How often an UNVERIFIED or FOREIGN worker is looked at again."""


class Action(Enum):
    """What the machine wants done, at once and in order."""

    SPAWN = "spawn"
    DRAIN = "drain"
    """Send the control op `drain`."""
    TERMINATE = "SIGTERM"
    ABORT = "SIGABRT"
    KILL = "SIGKILL"
    RECHECK = "recheck"
    """Look again whether somebody is there."""


class Rung(IntEnum):
    """How far the ending of a process has gone; it only climbs."""

    NONE = 0
    DRAIN = 1
    TERMINATE = 2
    ABORT = 3
    KILL = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """State of one worker."""

    phase: WorkerState = WorkerState.STOPPED
    """Never CRASH_LOOP; see `state`."""
    since_ns: int = 0
    """Entered the present `state`; monotonic."""
    reason: str = ""
    """Why it is in this state, in words."""
    wanted: bool = False
    process: bool = False
    """A process of ours exists, or is being started."""
    ready: bool = False
    """That process reported ready."""
    ready_since_ns: int | None = None
    stale_since_ns: int | None = None
    """When a stale heartbeat was first seen by us."""
    started_ns: int = 0
    rung: Rung = Rung.NONE
    due_ns: int | None = None
    """When `Due` is to be sent; monotonic."""
    exponent: int = 0
    crashes: tuple[int, ...] = ()
    """Times of the crashes within the window."""
    crash_loop: bool = False

    @property
    def state(self) -> WorkerState:
        """What is shown."""
        looping = (
            WorkerState.PENDING,
            WorkerState.STARTING,
            WorkerState.RUNNING,
            WorkerState.DEGRADED,
            WorkerState.BACKOFF,
        )
        if self.crash_loop and self.phase in looping:
            return WorkerState.CRASH_LOOP
        return self.phase


@dataclass(frozen=True, slots=True)
class Want:
    """Desired state, whether changed or not."""

    wanted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Drain if there is a process, forget past failures, start again if wanted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """Dependency, spawn budget and lock allow a start."""


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """There is no process."""

    message: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A process of a former daemon is ours."""

    ready_since_ns: int | None
    """Monotonic; None: it has not been ready yet."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Somebody is there, or may be, whom we must not touch."""

    state: WorkerState
    """UNVERIFIED or FOREIGN."""
    reason: str


@dataclass(frozen=True, slots=True)
class Unblocked:
    """Nobody is there any more."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The process reported ready."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at the process."""

    heartbeat_age_ns: int | None
    """Age of the older one of heartbeat and hot-loop progress; None: not known."""
    impairment: str = ""
    """Anything else that is wrong; never a cause to end the process."""


@dataclass(frozen=True, slots=True)
class DrainFailed:
    """The control op `drain` could not be delivered or was refused."""

    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The process has ended."""

    facts: ExitFacts


@dataclass(frozen=True, slots=True)
class Due:
    """`due_ns` has passed."""


Event = (
    Want
    | Restart
    | Start
    | SpawnFailed
    | Adopted
    | Blocked
    | Unblocked
    | Ready
    | Seen
    | DrainFailed
    | Exited
    | Due
)
