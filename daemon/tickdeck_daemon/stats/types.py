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
    """One gap; times are UTC nanoseconds, 0 for not yet."""

    id: int
    first: int
    last: int
    """Inclusive."""
    state: GapState
    sources: int
    """Who filled it: bit 0 line A, bit 1 line B, bit 2 re-request."""
    reason: int
    """Why it was given up, 0 when it was not."""
    detected_ns: int
    requested_ns: int
    closed_ns: int
    attempts: int
    missing: int
    lines_missed: int
    """Lines that missed it: bit 0 A, bit 1 B."""
    slo_violated: bool
    drop_layer: int = 0
    """Where it was lost: a place in `DROP_VERDICTS`."""
    drop_count: int = 0
    """What that layer lost around the gap."""


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
