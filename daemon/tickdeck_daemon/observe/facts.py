"""What was seen of an exchange at one moment: plain values, without judgement.

The collector fills these from stats files, worker views and the exchange's settings; `health`
and `checks` judge them. Times are UTC nanoseconds, 0 for never; ages are derived, never stored.
"""

from dataclasses import dataclass, field

SESSION_NONE = 0
"""No packet of any session was seen yet."""
SESSION_OPEN = 1
"""A session was seen and has not ended."""
SESSION_ENDED = 2
"""The venue announced the end of the session."""

JOURNAL_STATES = (
    "OK",
    "SLOW",
    "HUNG",
    "REOPENING",
    "FULL",
    "READONLY",
    "DEGRADED",
    "LOST_FILES",
    "LOCKED",
    "FAILED",
)
"""Names of the values of the metric `journal_state`."""
BOOK_TRUST = ("GOOD", "SUSPECT", "REBUILDING", "STALE")
"""Names of the values of the metric `book_trust`."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """One multicast line; counters are those of the running rx worker and its predecessors."""

    name: str
    group: str = ""
    port: int = 0
    interface: str = ""
    receive_path: str = ""
    packets: int = 0
    messages: int = 0
    bytes: int = 0
    heartbeats: int = 0
    first: int = 0
    """Messages that this line delivered before the other."""
    lost: int = 0
    """Messages that this line has not delivered."""
    kernel_drops: int = 0
    drops_shared: bool = False
    """The drops are of a receiver that this line shares with the other."""
    rejected: int = 0
    next_sequence: int = 0
    last_packet_ns: int = 0
    packets_per_second: float = 0.0
    messages_per_second: float = 0.0
    messages_10s: int = 0
    lost_10s: int = 0
    drops_10s: int = 0
    drops_per_second: float = 0.0
    leads_10s: int = 0
    """How often it was first in 10 s and the other line followed."""
    lead_p50_ns: int = 0
    """By how much it then led."""
    lead_p99_ns: int = 0
    loss_run_most: int = 0
    """Longest run of numbers that it lost in a row."""
    alone_since_ns: int = 0
    """Since when it alone brings anything; 0 while another line does too."""


UNKNOWN, READY, FAILED, IN_USE = "unknown", "ready", "failed", "in_use"
PROBES_MISSED = 3
"""Probe intervals after which the last probe says nothing any more."""
PROBE_INTERVAL_NS = 10_000_000_000
"""Stands in for the interval of a source that is not probed on a schedule."""
SOURCE_STATES = (UNKNOWN, READY, FAILED, IN_USE)
"""Names of the values of the metric `recovery_source_state`."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One source of the recovery, and what its last probe found."""

    source: str
    """"request", "stream", "peer" or "snapshot"."""
    protocol: str
    address: str
    state: str = UNKNOWN
    """As the worker tells it; of `SOURCE_STATES`."""
    probed_ns: int = 0
    rtt_ns: int = 0
    probe_interval_ns: int = 0
    """0: it is never probed."""
    told: bool = False
    """The running worker has statistics of this source."""

    @property
    def fresh_ns(self) -> int:
        """How long a probe tells something."""
        return PROBES_MISSED * (self.probe_interval_ns or PROBE_INTERVAL_NS)


@dataclass(frozen=True, slots=True)
class LayerDrops:
    """What one layer on the way of a packet lost."""

    layer: str
    """Such as "nic" or "socket"."""
    of_host: bool = False
    """It counts everybody's packets, not those of the lines alone."""
    total: int = 0
    in_10s: int = 0


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker process as the supervisor and its stats file show it."""

    id: str
    kind: str
    state: str
    """Name of the supervisor's state, such as "RUNNING"."""
    ready: bool = False
    """A process exists and has reported ready."""
    reason: str = ""
    """Why it is in this state, in words."""
    started_ns: int = 0
    """When this process was started or taken over; 0 without a process."""
    state_since_ns: int = 0
    pid: int = 0
    restarts: int = 0
    restarts_10min: int = 0
    heartbeat_age_ns: int | None = None
    """None when no stats file could be read."""
    stats_error: str = ""
    """Why the stats file could not be read; empty when the values are fresh."""
    last_exit: str = ""

    @property
    def alive(self) -> bool:
        """True when the process is up and at work."""
        return self.ready and self.state in ("RUNNING", "DEGRADED", "CRASH_LOOP")


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """The journal thread of the rx worker and the disk below it."""

    state: str = "OK"
    appended_seq: int = 0
    written_seq: int = 0
    durable_seq: int = 0
    records: int = 0
    bytes: int = 0
    segments: int = 0
    rotations: int = 0
    write_errors: int = 0
    overruns: int = 0
    sync_p50_ns: int = 0
    sync_p99_ns: int = 0
    syncs_10s: int = 0
    flush_p99_ns: int = 0
    """Time to write one block, without its sync."""
    directory: str = ""
    sync_policy: str = ""
    fsync_interval_ms: int = 0
    disk_free_bytes: int | None = None
    disk_used_ratio: float | None = None
    bytes_per_second: float = 0.0
    """Written in the last minute."""
    segment_size_bytes: int = 0
    oldest_seq: int = 0
    """The first that is still kept."""
    acked_seq: int | None = None
    """What every named subscriber has acknowledged; None when there is none."""
    unsynced_bytes: int = 0
    reopens: int = 0
    acked_loss: int = 0
    """Durable records that were damaged: must stay 0."""
    acked_loss_new: int = 0
    """Those that no operator has acknowledged, also of workers and daemons before."""
    holes: int = 0
    holes_new: int = 0
    """Holes that no operator has acknowledged."""
    hole_records: int = 0
    look_errors: int = 0
    """Looks for files that are gone which could not be had."""
    look_errors_10s: int = 0
    retention_failed: bool = False
    """The last look for what may be pruned failed."""
    recovery_problems: int = 0
    """Of the recovery report, unless it was acknowledged."""
    pins_lost: int = 0
    """Subscribers whose place was pruned because it was beyond its cap."""
    pruned_segments: int = 0
    quarantined_segments: int = 0
    compression: str = "none"
    recovery_mode: str = ""
    on_failure: str = ""
    retain_max_bytes: int = 0
    retain_max_age_s: int = 0

    @property
    def disk_full_in_s(self) -> int | None:
        """When the disk is full if it goes on like this; None: not foreseeable.

        Nothing is foreseen of a journal that prunes itself by size before that.
        """
        free, rate = self.disk_free_bytes, self.bytes_per_second
        if free is None or rate <= 0:
            return None
        if 0 < self.retain_max_bytes <= self.bytes + free:
            return None
        return int(free / rate)

    @property
    def worst_loss(self) -> str:
        """What a power cut may take at worst, in words (RELIABILITY section 7)."""
        interval = f"{self.fsync_interval_ms} ms + one sync"
        return {
            "os": "unbounded: everything since the last seal",
            "interval": f"the last {interval}",
            "batch": f"nothing acknowledged; else the last {interval}",
            "always": "nothing acknowledged; else one block",
        }.get(self.sync_policy, "unknown")


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """The exporter: who reads the journal from elsewhere, and what they missed."""

    active: int = 0
    """Subscribers now."""
    accepted: int = 0
    rejected: int = 0
    preauth: int = 0
    """Connections that have not proved who they are."""
    violations: int = 0
    sent_frames: int = 0
    sent_bytes: int = 0
    bytes_per_second: float = 0.0
    queued_bytes: int = 0
    """Sent or due, and not acknowledged; of the slowest."""
    lag_records: int = 0
    acked_seq: int | None = None
    dropped: int = 0
    """Sequences that subscribers were told to be missing."""
    dropped_10s: int = 0
    write_failures: int = 0
    connect_failures: int = 0
    slots_lost: int = 0
    look_failures: int = 0
    """Looks at the journal that failed: subscribers wait meanwhile."""
    look_failures_10s: int = 0
    pin_failures: int = 0
    """Places of subscribers that could not be stored."""
    pin_failures_10s: int = 0
    pin_lag_ms: int | None = None
    """For how long the oldest pin has waited to become durable; None when it does not tell."""
    sight_age_ms: int | None = None
    """How old its newest look at the journal is."""
    cert_expires_s: int | None = None
    """Life of its certificate; None without one."""
    lag_soft_bytes: int = 0
    mode: str = ""
    address: str = ""
    """Where it listens, or whom it dials."""


@dataclass(frozen=True, slots=True)
class BookFacts:
    """All books of an exchange together."""

    trust: str = "GOOD"
    books: int = 0
    orders: int = 0
    suspect_books: int = 0
    cursor_seq: int = 0
    lag_records: int = 0
    laps: int = 0
    messages: int = 0
    sequence_errors: int = 0
    """Duplicates or unexplained holes that the book saw: must stay 0."""
    lost_messages: int = 0
    checkpoints_equal: int = 0
    """Hashes in the journal that the books met."""
    checkpoint_mismatches: int = 0
    """Hashes in the journal that the books did not meet: must stay 0."""
    integrity_errors: int = 0
    """Rules of their own that books broke: must stay 0."""


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that is not closed."""

    id: int
    first: int
    last: int
    stage: str
    detected_ns: int
    missing: int
    attempts: int = 0

    @property
    def size(self) -> int:
        """Messages in the range."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class LatencyFacts:
    """Percentiles of one stage over the last 10 s."""

    stage: str
    timestamp_source: str
    count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True)
class ExchangeFacts:
    """Everything that is known of one exchange at `now_ns`."""

    name: str
    now_ns: int
    wanted: bool
    """True when the desired state is RUNNING."""
    generation: int = 0
    heartbeat_ns: int = 1_000_000_000
    """Longest normal silence of a line: the venue's heartbeat interval."""
    slo_ns: int = 500_000_000
    """How long a gap may stay open (`recovery.slo_ms`)."""
    ring_slots: int = 0
    book_wanted: bool = True
    recovery_configured: bool = True
    export_wanted: bool = False
    rx: WorkerFacts | None = None
    book_worker: WorkerFacts | None = None
    exporter: WorkerFacts | None = None
    lines: tuple[LineFacts, ...] = ()
    journal: JournalFacts | None = None
    book: BookFacts | None = None
    export: ExportFacts | None = None
    gaps: tuple[OpenGap, ...] = ()
    """Open gaps, the oldest first."""
    gaps_opened: int = 0
    gaps_filled: int = 0
    gaps_unrecovered: int = 0
    gap_closed_ns: int = 0
    """When the latest gap was closed."""
    messages_lost: int = 0
    messages_received: int = 0
    bytes_received: int = 0
    duplicates: int = 0
    errors: int = 0
    next_sequence: int = 0
    last_delivery_ns: int = 0
    """Last in-sequence message or heartbeat."""
    session: str = ""
    session_state: int = SESSION_NONE
    messages_per_second: float = 0.0
    messages_per_second_10s: float = 0.0
    messages_per_second_60s: float = 0.0
    bytes_per_second: float = 0.0
    latencies: tuple[LatencyFacts, ...] = ()
    gap_trend: tuple[int, ...] = field(default=(0,) * 8)
    drops: tuple[LayerDrops, ...] = ()
    """By layer, in the order in which a packet meets them."""
    recovery_dropped: int = 0
    """Requests held back by the rate limit."""
    conflicts: int = 0
    """Numbers that came twice with different bytes."""
    conflicts_10s: int = 0
    lost_on_all: int = 0
    """Messages that no line brought."""
    reorder_window_ns: int = 0
    """How long the arbiter waits for the other line now."""
    sources: tuple[SourceFacts, ...] = ()
    """Of the recovery, in the order in which they are asked."""
    storm: bool = False
    """So many gaps are open that snapshots are taken instead of ranges."""
    storm_gaps: int = 0
    """The number of open gaps from which that is so."""
    snapshots: int = 0
    """Snapshots taken."""
    lies: tuple[tuple[str, int], ...] = ()
    """Lies that sources told, by fault; only those that happened."""

    @property
    def age_ns(self) -> int:
        """Time since the last in-sequence message or heartbeat.

        When there was none, the time since the rx worker was started: silence from the beginning
        must look old, not fresh.
        """
        return self._age(self.last_delivery_ns)

    @property
    def workers(self) -> tuple[WorkerFacts, ...]:
        """Those that are known, in the order of their start."""
        found = (self.rx, self.book_worker, self.exporter)
        return tuple(worker for worker in found if worker is not None)

    def line_age_ns(self, line: LineFacts) -> int:
        """Time since the last packet of any kind on a line; counted as `age_ns`."""
        return self._age(line.last_packet_ns)

    def probe_age_ns(self, source: SourceFacts) -> int:
        """Time since the last probe of a source; counted as `age_ns`."""
        return self._age(source.probed_ns)

    def source_state(self, source: SourceFacts) -> str:
        """State of a source that can be trusted now.

        What was found by a probe that is too old is not known any more: silence is no health.
        """
        if source.state == IN_USE:
            return IN_USE
        known = source.state in (READY, FAILED) and source.probed_ns
        fresh = known and self.probe_age_ns(source) <= source.fresh_ns
        return source.state if fresh else UNKNOWN

    def _age(self, stamp_ns: int) -> int:
        since = stamp_ns or (self.rx.started_ns if self.rx else 0)
        return max(0, self.now_ns - since) if since else 0
