"""What the console knows: the fold of all frames so far."""

from collections import deque
from dataclasses import dataclass, field

from tickdeck_console.model.frame import Event, Exchange, Link, LinkChange, Server, Totals
from tickdeck_console.model.history import History

EVENTS_KEPT = 500
"""Newest events held for the event line and the events list."""


@dataclass(slots=True)
class State:
    """Changed only by the reducer. `*_s` are readings of the console's monotonic clock."""

    exchanges: dict[str, Exchange] = field(default_factory=dict[str, Exchange])
    received_s: dict[str, float] = field(default_factory=dict[str, float])
    """When each exchange was last heard of; its `age_ns` counts on from there."""
    history: dict[str, History] = field(default_factory=dict[str, History])
    totals: Totals = field(default_factory=Totals)
    totals_s: float = 0.0
    epoch: str = ""
    revision: int = 0
    synced: bool = False
    pending: dict[str, Exchange] | None = None
    """A snapshot whose end has not come yet."""
    last_frame_s: float | None = None
    """When the state stream last said anything; None before the first complete snapshot."""
    server_time_ns: int = 0
    """The daemon's clock in the last frame that told it, and when that was."""
    server_time_s: float = 0.0
    link: LinkChange = field(default_factory=lambda: LinkChange(Link.CONNECTING))
    cut_off_s: float | None = None
    """When the last frame before a lost connection came; None while it stands."""
    cut_off_epoch: str = ""
    cut_off_event: int = 0
    """Newest event known by then."""
    server: Server | None = None
    events: deque[Event] = field(default_factory=lambda: deque[Event](maxlen=EVENTS_KEPT))
    event_epoch: str = ""
    next_event_seq: int = 0
    dropped_ticks: int = 0
    ignored_frames: int = 0
    """Frames of another epoch or of a revision already seen."""

    def server_now_ns(self, now_s: float) -> int:
        """The daemon's clock now; 0 before it was ever told."""
        if not self.server_time_ns:
            return 0
        return self.server_time_ns + int((now_s - self.server_time_s) * 1e9)

    def since_s(self, exchange: Exchange, now_s: float) -> float | None:
        """How long the exchange has been in its state; None when that is not known."""
        now_ns = self.server_now_ns(now_s)
        if not exchange.since_ns or not now_ns:
            return None
        return max((now_ns - exchange.since_ns) / 1e9, 0.0)

    def stream_age_s(self, now_s: float) -> float | None:
        """Since the last frame of the state stream; None before the first snapshot."""
        return None if self.last_frame_s is None else max(now_s - self.last_frame_s, 0.0)
