"""Frames: what a feed tells the console.

A live stream, the fake feed and the tests all yield these values; nothing else reaches the state.
They mirror the messages of `tickdeck.v1` in plain types: `*_ns` are nanoseconds, times are UTC
nanoseconds since 1970 with 0 for "never", rates are per second.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum


class Health(IntEnum):
    """State of an exchange; worse states have lower numbers, so they sort first."""

    UNKNOWN = 0
    DOWN = 1
    DEGRADED = 2
    RECOVERING = 3
    STALE = 4
    CLOSED = 5
    OK = 6


class Link(Enum):
    """Why the console is cut off from the daemon, as far as it can tell."""

    CONNECTING = "connecting"
    UP = "up"
    REFUSED = "daemon down"
    HUNG = "daemon does not answer"
    STALLED = "stream stalled, daemon answers"


@dataclass(frozen=True, slots=True)
class Line:
    """One multicast line of an exchange."""

    name: str
    group: str = ""
    port: int = 0
    interface: str = ""
    path: str = ""
    age_ns: int = 0
    packets: int = 0
    messages: int = 0
    octets: int = 0
    heartbeats: int = 0
    first: int = 0
    lost: int = 0
    kernel_drops: int = 0
    rejected: int = 0
    next_sequence: int = 0
    packet_rate: float = 0.0
    message_rate: float = 0.0
    silent: bool = False
    leads: int = 0
    """How often it was first in 10 s and another line followed."""
    lead_p50_ns: int = 0
    """By how much it then led."""
    lead_p99_ns: int = 0
    loss_run_most: int = 0
    """Longest run of numbers that it lost in a row."""
    alone_since_ns: int = 0
    """Since when it alone brings anything; 0 while another line does too."""


class SourceState(Enum):
    """Whether a source of the recovery would answer now."""

    UNKNOWN = "unknown"
    READY = "ready"
    FAILED = "failed"
    IN_USE = "in use"


@dataclass(frozen=True, slots=True)
class RecoverySource:
    """One place from which missing messages, or what stands in for them, come."""

    source: str
    """`request`, `stream`, `peer` or `snapshot`."""
    protocol: str = ""
    address: str = ""
    state: SourceState = SourceState.UNKNOWN
    detail: str = ""
    """Why it failed or is unknown."""
    probed_ns: int = 0
    rtt_ns: int = 0
    age_ns: int = 0
    """Of the last probe; without one, of the rx worker."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The write-ahead journal of an exchange; `state` is empty when there is none."""

    state: str = ""
    appended_seq: int = 0
    written_seq: int = 0
    durable_seq: int = 0
    records: int = 0
    segments: int = 0
    octets: int = 0
    sync_p99_ns: int = 0
    directory: str = ""
    sync_policy: str = ""
    acked_seq: int | None = None
    """What every named subscriber has acknowledged; None when there is none."""
    sync_p50_ns: int = 0
    flush_p99_ns: int = 0
    """Time to write a block, without its sync."""
    worst_loss: str = ""
    """What a power cut may take at worst, in words."""
    compression: str = ""
    recovery_mode: str = ""
    on_failure: str = ""
    oldest_seq: int = 0
    unsynced_octets: int = 0
    write_errors: int = 0
    reopens: int = 0
    acked_loss: int = 0
    acked_loss_waiting: int = 0
    """Those that nobody has acknowledged, also of workers before."""
    holes: int = 0
    holes_waiting: int = 0
    hole_records: int = 0
    look_errors: int = 0
    retention_failed: bool = False
    recovery_problems: int = 0
    """Of the recovery report, unless it was acknowledged."""
    pins_lost: int = 0
    quarantined: int = 0
    disk_free_octets: int | None = None
    octet_rate: float = 0.0
    disk_full_in_s: int | None = None
    retain_max_octets: int = 0
    retain_max_age_s: int = 0


@dataclass(frozen=True, slots=True)
class Export:
    """The exporter of an exchange; `state` is empty when there is none."""

    state: str = ""
    mode: str = ""
    address: str = ""
    active: int = 0
    rejected: int = 0
    violations: int = 0
    octet_rate: float = 0.0
    queued_octets: int = 0
    lag_records: int = 0
    dropped: int = 0
    look_failures: int = 0
    pin_failures: int = 0
    cert_expires_s: int | None = None
    """Life of its certificate; None without one."""
    sight_age_ms: int | None = None
    """How old its newest look at the journal is; None when it does not tell."""
    pin_lag_ms: int | None = None
    """For how long the oldest place of a subscriber has waited to become durable."""


@dataclass(frozen=True, slots=True)
class Book:
    """The books of an exchange in sum; `trust` is empty when there is no book worker."""

    trust: str = ""
    books: int = 0
    orders: int = 0
    suspect: int = 0
    cursor_seq: int = 0
    lag_records: int = 0
    laps: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of one stage over the last 10 s, by who took the first time stamp."""

    stage: str
    source: str
    count: int = 0
    p50_ns: int = 0
    p99_ns: int = 0
    p999_ns: int = 0
    max_ns: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for a state that is not ok."""

    summary: str
    evidence: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Health of one exchange: a row of the fleet."""

    key: str
    """Name without the `exchanges/` prefix; unique."""
    health: Health
    since_ns: int = 0
    causes: tuple[Cause, ...] = ()
    transport_up: bool = True
    data: str = "OK"
    running: bool = True
    """What the operator wants."""
    age_ns: int = 0
    generation: int = 0
    next_sequence: int = 0
    message_rate: float = 0.0
    octet_rate: float = 0.0
    drop_rate: float = 0.0
    gaps_open: int = 0
    gaps_opened: int = 0
    gaps_filled: int = 0
    gaps_unrecovered: int = 0
    messages_lost: int = 0
    recovery: str = "-"
    path: str = ""
    lines: tuple[Line, ...] = ()
    journal: Journal = field(default_factory=Journal)
    export: Export = field(default_factory=Export)
    book: Book = field(default_factory=Book)
    latencies: tuple[Latency, ...] = ()
    gap_trend: tuple[int, ...] = ()
    messages: int = 0
    duplicates: int = 0
    session: str = ""
    session_ended: bool = False
    workers: tuple[str, ...] = ()
    oldest_gap_ns: int = 0
    conflicts: int = 0
    """Numbers that came twice with different bytes."""
    lost_on_all: int = 0
    """Messages that no line brought."""
    reorder_window_ns: int = 0
    """How long the arbiter waits for the other lines now."""
    storm: bool = False
    """So many gaps are open that snapshots are taken instead of ranges."""
    snapshots: int = 0
    sources: tuple[RecoverySource, ...] = ()
    """Of the recovery, in the order in which they are asked."""
    faults: tuple[tuple[str, int], ...] = ()
    """Lies that sources told, by fault."""

    def latency(self, stage: str = "rx_to_book") -> Latency | None:
        """Percentiles of a stage; of its best time stamps where there are several sources."""
        found = [entry for entry in self.latencies if entry.stage == stage and entry.count]
        order = ("hardware", "kernel", "user")
        return min(
            found,
            key=lambda entry: order.index(entry.source) if entry.source in order else 3,
            default=None,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """The fleet in sum."""

    exchanges: int = 0
    tasks: int = 0
    messages: int = 0
    octets: int = 0
    errors: int = 0
    message_rate: float = 0.0
    octet_rate: float = 0.0
    uptime_s: float = 0.0
    message_rate_10s: float = 0.0
    message_rate_60s: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the daemon's numbered event log."""

    seq: int
    time_ns: int
    kind: str
    resource: str
    message: str
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Part of the full state; the exchanges of all parts up to `Synced` are all there are."""

    epoch: str
    revision: int
    exchanges: tuple[Exchange, ...]
    totals: Totals | None = None
    time_ns: int = 0
    """The daemon's clock, as in the frames below."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The snapshot is complete."""

    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """Changed exchanges, each in full, and the names of removed ones."""

    epoch: str
    revision: int
    exchanges: tuple[Exchange, ...] = ()
    removed: tuple[str, ...] = ()
    totals: Totals | None = None
    dropped_ticks: int = 0
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing changed; the stream lives."""

    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class Events:
    """Events in order, and the cursor behind them."""

    epoch: str
    next_seq: int
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """Who answers: told after each connect."""

    version: str
    instance: str
    host: str
    start_ns: int
    adopted: int = 0
    pid: int = 0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The state of the connection changed, or another try failed."""

    link: Link
    reason: str = ""
    tries: int = 0
    retry_s: float = 0.0
    """Pause before the next try."""


Frame = Snapshot | Synced | Delta | Heartbeat | Events | Server | LinkChange
