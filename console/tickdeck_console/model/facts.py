"""What the console asks for when a tab or a dialog needs it, in plain types.

Unlike frames these are not streamed: the screen that shows them fetches them. Times are UTC
nanoseconds with 0 for "never".
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class GapStage(IntEnum):
    """Where a gap is in its life."""

    UNKNOWN = 0
    DETECTED = 1
    WAITING = 2
    REQUESTED = 3
    PARTIAL = 4
    FILLED = 5
    UNRECOVERABLE = 6
    SNAPSHOT = 7
    """Nobody brings the rest; a snapshot is to stand in for it."""

    @property
    def open(self) -> bool:
        """True while something may still fill the gap."""
        return self not in (GapStage.FILLED, GapStage.UNRECOVERABLE)


@dataclass(frozen=True, slots=True)
class GapPart:
    """What one source brought of a gap."""

    source: str
    messages: int


@dataclass(frozen=True, slots=True)
class GapNote:
    """What an operator wrote down about a gap."""

    time_ns: int
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of venue sequences that was missing."""

    exchange: str
    id: int
    first_seq: int
    last_seq: int
    """Inclusive."""
    stage: GapStage
    missing: int = 0
    sources: tuple[str, ...] = ()
    attempts: int = 0
    detected_ns: int = 0
    requested_ns: int = 0
    closed_ns: int = 0
    reason: str = ""
    slo_violated: bool = False
    drop_verdict: str = ""
    """Where it was lost: "upstream", "unknown" or a layer; empty when that is not known."""
    drop_count: int = 0
    name: str = ""
    """Resource name without its prefix; unique, unlike the id."""
    channel: int = 0
    lines_missed: tuple[str, ...] = ()
    lost_on: str = ""
    """Whose loss it is: "all" lines', "one" line's, or "none": it only came late."""
    waited_ns: int = 0
    """When the reorder window was over."""
    requested_last_ns: int = 0
    partial_ns: int = 0
    """When the first part came."""
    snapshot_ns: int = 0
    """When a snapshot stood in for the rest."""
    parts: tuple[GapPart, ...] = ()
    stale_answers: int = 0
    fault: str = "none"
    """The last lie that a source told while it was open."""
    noted: bool = False
    notes: tuple[GapNote, ...] = ()

    @property
    def lied(self) -> str:
        """The fault, or an empty text when no source lied."""
        return "" if self.fault == "none" else self.fault

    @property
    def brought(self) -> str:
        """Who brought how much, such as `A 40 + retransmit 60`."""
        if self.parts:
            return " + ".join(f"{part.source} {part.messages}" for part in self.parts)
        return " + ".join(self.sources)

    @property
    def steps(self) -> tuple[tuple[str, int], ...]:
        """What happened and when, in order of time; only what did."""
        found = (
            ("detected", self.detected_ns),
            ("wait over", self.waited_ns),
            ("first asked", self.requested_ns),
            ("first part", self.partial_ns),
            ("last asked", self.requested_last_ns if self.attempts > 1 else 0),
            ("snapshot", self.snapshot_ns),
            (self.stage.name.lower() if not self.stage.open else "ended", self.closed_ns),
        )
        return tuple(sorted((step for step in found if step[1]), key=lambda step: step[1]))

    @property
    def lost_at(self) -> str:
        """Such as "socket 812" or "upstream"; empty when that is not known."""
        return f"{self.drop_verdict} {self.drop_count}" if self.drop_count else self.drop_verdict

    @property
    def messages(self) -> int:
        """Length of the range."""
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class GapList:
    """Gaps, open ones first, and how many no longer fit the workers' tables."""

    gaps: tuple[Gap, ...] = ()
    overflowed: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Values counted in [lower, upper)."""

    lower: int
    upper: int
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts of one stage since its worker started."""

    stage: str
    source: str
    unit: str
    count: int
    buckets: tuple[Bucket, ...]
    total: int = 0
    """Sum of all values."""
    low: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """One price of a book, in the venue's integer scale."""

    price: int
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True)
class Scale:
    """How the integers of a venue's books are read."""

    price_decimals: int = 4
    quantity_decimals: int = 0


@dataclass(frozen=True, slots=True)
class BookRow:
    """One book in short."""

    symbol: str
    orders: int = 0
    bid_levels: int = 0
    ask_levels: int = 0
    best_bid: Level | None = None
    best_ask: Level | None = None
    trust: str = ""
    suspect_since: int = 0
    kind: str = "order"
    """"price" where the venue tells levels, not orders."""
    scale: Scale = Scale()
    tick: int = 0
    """Step between two prices at the touch; 0 when it is not known."""
    spread_ticks: int | None = None

    @property
    def name(self) -> str:
        """Symbol, and what kind of book it is where that is not by order."""
        return self.symbol if self.kind == "order" else f"{self.symbol} by {self.kind}"

    @property
    def prices(self) -> tuple[int, ...]:
        """Those that are shown of it."""
        best = (self.best_bid, self.best_ask)
        return (*(level.price for level in best if level), self.tick)


@dataclass(frozen=True, slots=True)
class Depth:
    """The top levels of one book, best first."""

    book: BookRow
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    cursor_seq: int = 0

    @property
    def prices(self) -> tuple[int, ...]:
        """Those that are shown of it."""
        return (*(level.price for level in self.bids + self.asks), self.book.tick)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process."""

    key: str
    exchange: str
    kind: str
    state: str
    pid: int = 0
    since_ns: int = 0
    restarts: int = 0
    last_exit: str = ""
    adopted: bool = False
    heartbeat_age_ns: int = 0
    resident_octets: int = 0
    core: int = -1
    log_path: str = ""


class Verdict(IntEnum):
    """Outcome of a check; the worst has the highest number."""

    PASS = 0
    WARN = 1
    UNKNOWN = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One check with its evidence."""

    name: str
    verdict: Verdict
    evidence: str = ""
    expected: str = ""
    remedy: str = ""
    age_ns: int = 0


@dataclass(frozen=True, slots=True)
class ExchangeCheck:
    """All checks of one exchange."""

    exchange: str
    verdict: Verdict
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of a health check."""

    exchanges: tuple[ExchangeCheck, ...] = ()
    time_ns: int = 0
    shared: bool = False
    """Another caller had started it."""

    @property
    def verdict(self) -> Verdict:
        """The worst of all exchanges; PASS when there are none."""
        return max((entry.verdict for entry in self.exchanges), default=Verdict.PASS)


class ReplayState(Enum):
    """Where a replay is."""

    UNKNOWN = "UNKNOWN"
    RUNNING = "RUNNING"
    DONE = "DONE"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of a journal or a capture."""

    key: str
    state: ReplayState
    source: str = ""
    target: str = ""
    speed: float = 1.0
    from_seq: int = 0
    to_seq: int = 0
    packets: int = 0
    messages: int = 0
    position: int = 0
    start_ns: int = 0
    end_ns: int = 0
    error: str = ""

    @property
    def progress(self) -> float | None:
        """Part done, from 0 to 1; None when the range is not known."""
        if self.state is ReplayState.DONE:
            return 1.0
        if self.to_seq <= 0 or self.to_seq < self.from_seq:
            return None
        done = self.position - max(self.from_seq, 1) + 1 if self.position else 0
        return min(max(done / (self.to_seq - max(self.from_seq, 1) + 1), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """What to replay, where to and how fast."""

    target: str
    """`group:port`."""
    exchange: str = ""
    """Its journal is the source, unless a capture is named."""
    capture: str = ""
    interface: str = "127.0.0.1"
    from_seq: int = 0
    to_seq: int = 0
    speed: float = 1.0
    """1 is the recorded pace, 0 as fast as possible."""
