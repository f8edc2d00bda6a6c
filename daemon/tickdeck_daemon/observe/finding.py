"""What a verdict on an exchange is made of: states, findings, limits. No clock and no I/O."""

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """State of an exchange; the numbers are those of the protocol."""

    DOWN = 1
    """No data, or the book is invalid."""
    DEGRADED = 2
    """Loss on one line, slow, or near a limit; the book is valid."""
    RECOVERING = 3
    """A gap is open and recovery moves, or the book catches up."""
    STALE = 4
    """No fresh fact: the feed is silent or cannot be observed."""
    CLOSED = 5
    """Stopped by an operator, or the session has ended."""
    OK = 6


class Transport(IntEnum):
    """Whether packets arrive at all."""

    UP = 1
    DOWN = 2


class Data(IntEnum):
    """Whether what arrived can be trusted."""

    OK = 1
    SUSPECT = 2
    STALE = 3


SEVERITY = (State.DOWN, State.STALE, State.DEGRADED, State.RECOVERING, State.CLOSED, State.OK)
"""The worst first. STALE outranks DEGRADED: an impaired feed is seen, a stale one is not."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of the findings; the same for all exchanges unless overridden."""

    late_heartbeats: float = 1.5
    silent_heartbeats: float = 3.0
    worker_heartbeat_ns: int = 3_000_000_000
    line_loss_ratio: float = 1e-5
    drops_per_second: float = 100.0
    ring_fill_degraded: float = 0.7
    ring_fill_down: float = 0.9
    sync_p99_degraded_ns: int = 50_000_000
    sync_p99_down_ns: int = 1_000_000_000
    disk_used_ratio: float = 0.8
    disk_free_bytes: int = 10 << 30
    disk_reserve_segments: int = 2
    """Room below which the journal's disk counts as full, in segments."""
    disk_forecast_s: int = 3600
    """Time to a full disk below which that is a finding."""
    certificate_s: int = 7 * 86_400
    """Life of the exporter's certificate below which that is a finding."""
    pin_lag_ms: int = 5_000
    """How long a pin may wait to become durable; the exporter writes them each second."""
    sight_age_ms: int = 5_000
    """How old the exporter's look at the journal may be; it looks each second."""
    line_alone_ns: int = 5_000_000_000
    """How long one line may carry alone before that is a finding of its own."""
    book_settle_ns: int = 2_000_000_000
    """How long a book may stay suspect after its last gap was closed."""
    clear_after_ns: int = 5_000_000_000
    flapping_changes: int = 4
    """Changes of state in a minute above which clearing takes `flapping_clear_ns`."""
    flapping_clear_ns: int = 30_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a state that is not OK."""

    key: str
    """Identity over time, such as "line.silent.B"."""
    state: State
    rank: int
    """Root causes have lower numbers than what follows from them."""
    summary: str
    evidence: str
    """The numbers with their normal value."""
    runbook: str = ""
    hold: bool = True
    """False for what is an order or a phase, not an alarm: cleared at once."""


DEFAULT_THRESHOLDS = Thresholds()


def seconds(duration_ns: float) -> str:
    """A duration for people: "80 us", "350 ms", "4.2 s", "12 min"."""
    if 0 < duration_ns < 1e6:
        return f"{duration_ns / 1e3:.0f} us"
    if duration_ns < 1e9:
        return f"{duration_ns / 1e6:.0f} ms"
    return f"{duration_ns / 1e9:.1f} s" if duration_ns < 120e9 else f"{duration_ns / 60e9:.0f} min"
