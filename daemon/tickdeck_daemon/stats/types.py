"""What a stats file tells: errors, codes and values."""

from dataclasses import dataclass
from enum import IntEnum


class StatsError(Exception):
    """A stats file cannot be read; the text names it and says why."""


class NotReadyError(StatsError):
    """The file was not published yet, or is no stats file."""


class LayoutError(StatsError):
    """The file is of a layout version that this reader does not understand."""


class DamagedError(StatsError):
    """The file contradicts itself."""


class MissingMetricError(StatsError):
    """The worker has no such metric."""


class State(IntEnum):
    """Life of a worker as it tells it itself."""

    UNKNOWN = 0
    STARTING = 1
    READY = 2
    DRAINING = 3
    STOPPED = 4

    @classmethod
    def _missing_(cls, value: object) -> "State":
        return cls.UNKNOWN


class ExitReason(IntEnum):
    """Why a worker left."""

    UNKNOWN = 0
    DRAINED = 1
    CONFIG = 2
    LOCKED = 3
    CAPABILITY = 4
    LAYOUT = 5
    ABSENT = 6
    FAILED = 7
    PANIC = 8
    SIGNAL = 9

    @classmethod
    def _missing_(cls, value: object) -> "ExitReason":
        return cls.UNKNOWN


class Kind(IntEnum):
    """What a metric means."""

    UNKNOWN = 0
    COUNTER = 1
    GAUGE = 2
    HIGH_WATER = 3
    STATE = 4
    HISTOGRAM = 5

    @classmethod
    def _missing_(cls, value: object) -> "Kind":
        return cls.UNKNOWN


class GapState(IntEnum):
    """Where a gap is in its life."""

    UNKNOWN = 0
    DETECTED = 1
    WAITING = 2
    REQUESTED = 3
    PARTIAL = 4
    FILLED = 5
    UNRECOVERABLE = 6
    SNAPSHOT = 7
    """Nobody brings the rest; a snapshot of the venue's state is to stand in for it."""

    @classmethod
    def _missing_(cls, value: object) -> "GapState":
        return cls.UNKNOWN

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the gap."""
        return self in (GapState.FILLED, GapState.UNRECOVERABLE)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who wrote the file."""

    worker_id: str
    resource: str
    build_id: str
    boot_id: str
    incarnation: str
    pid: int
    uid: int
    start_ticks: int
    """Start of the process in clock ticks after boot: field 22 of `/proc/<pid>/stat`."""
    generation: int
    """Generation of the configuration that the worker runs."""
    start_mono_ns: int
    start_real_ns: int
    """The two clocks when the file was made; their difference dates every `*_mono_ns`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One single value."""

    name: str
    labels: dict[str, str]
    kind: Kind
    unit: str
    value: int


@dataclass(frozen=True, slots=True)
class GapRow:
    """One gap; times are UTC nanoseconds, 0 for not yet.

    All `by_*` and `missing` together are its size. Fields with a default are not in files of
    before they were appended.
    """

    id: int
    first: int
    last: int
    """Inclusive."""
    state: GapState
    sources: int
    """Who brought parts of it: bits of `GAP_SOURCES`."""
    reason: int
    """Why it was given up: a place in `LOSS_REASONS`, 0 when it was not."""
    detected_ns: int
    requested_ns: int
    closed_ns: int
    attempts: int
    missing: int
    lines_missed: int
    """Lines that missed it, though they had gone on behind it: bits of `GAP_SOURCES`."""
    slo_violated: bool
    drop_layer: int = 0
    """Where it was lost: a place in `DROP_VERDICTS`."""
    drop_count: int = 0
    """What that layer lost around the gap."""
    channel: int = 0
    waited_ns: int = 0
    """When the reorder window was over: no line had brought all of it in time."""
    requested_last_ns: int = 0
    partial_ns: int = 0
    """When the first part came."""
    snapshot_ns: int = 0
    """When a snapshot stood in for the rest."""
    by_line_a: int = 0
    by_line_b: int = 0
    by_other_lines: int = 0
    by_request: int = 0
    by_stream: int = 0
    by_peer: int = 0
    by_snapshot: int = 0
    """Messages that each source brought."""
    stale_answers: int = 0
    """Answers to its requests of which nothing was wanted any more."""
    injected: int = 0
    """Answers to its requests that went into the merge."""
    fault: int = 0
    """The last lie that a source told while it was open: a place in `GAP_FAULTS`."""
    noted: bool = False
    """Whether an operator noted something on it; the journal has the text."""

    @property
    def lost_on(self) -> str:
        """Whose loss it is.

        "all": some of it no line brought. "one": a line missed it, but together the lines brought
        all of it. "none": it only came late. Empty while that is open.
        """
        by_lines = self.by_line_a + self.by_line_b + self.by_other_lines
        if by_lines > self.last - self.first:
            return "one" if self.lines_missed else "none"
        return "all" if self.state.is_final or self.waited_ns else ""


GAP_SOURCES = {
    1: "A",
    2: "B",
    4: "re-request",
    8: "C",
    16: "D",
    32: "E",
    64: "F",
    128: "G",
    256: "stream",
    512: "peer",
    1024: "snapshot",
}
"""Who can bring a part of a gap, by bit."""

LOSS_REASONS = (
    "",
    "attempts exhausted",
    "no recovery source",
    "hold overflow",
    "session ended",
    "operator",
    "snapshot",
)
"""Why a gap was given up."""

GAP_FAULTS = (
    "none",
    "wrong_session",
    "garbage",
    "truncated",
    "stale",
    "slow",
    "silent",
    "partial",
    "oversize",
    "not_asked",
    "refused",
    "disconnected",
)
"""How a source of the recovery lies."""


def gap_sources(bits: int) -> list[str]:
    """Names of the sources in a set of bits; bits of a newer worker are left out."""
    return [name for bit, name in GAP_SOURCES.items() if bits & bit]


def gap_fault(code: int) -> str:
    """Word of a `GapRow.fault`; a code of a newer worker stays visible as a number."""
    return GAP_FAULTS[code] if code < len(GAP_FAULTS) else f"CODE_{code}"


DROP_VERDICTS = (
    "",
    "upstream",
    "unknown",
    "nic",
    "softnet",
    "xdp_program",
    "xsk",
    "packet_ring",
    "socket",
    "receiver",
    "arbiter",
)
"""Where a gap was lost: no verdict; not on this host; a layer could not be read; a layer."""


def drop_verdict(code: int) -> str:
    """Word of a `GapRow.drop_layer`; a code of a newer worker stays visible as a number."""
    return DROP_VERDICTS[code] if code < len(DROP_VERDICTS) else f"CODE_{code}"


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """The last words of a worker."""

    reason: ExitReason
    code: int
    signal: int
    """0 for none."""
    mono_ns: int
    message: str
    location: str
