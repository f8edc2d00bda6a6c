"""How bad a state is, how it is marked, and how fresh the facts are.

The severity of an exchange is computed by the daemon; the console judges only the age of its own
stream.
"""

from collections import Counter
from collections.abc import Iterable
from enum import IntEnum

from tickdeck_console.model.frame import Exchange, Health, Link
from tickdeck_console.model.state import State

LATE_S = 1.0
"""Age of the stream from which it is late; the daemon sends at least each 0.5 s."""
STALE_S = 3.0
"""Age from which values are shown as old and nothing may be changed."""
LOST_S = 10.0
"""Age from which the daemon counts as lost."""

MARKS = {
    Health.OK: " ",
    Health.RECOVERING: "~",
    Health.DEGRADED: "!",
    Health.DOWN: "X",
    Health.STALE: "?",
    Health.CLOSED: "-",
    Health.UNKNOWN: "?",
}
WORDS = {
    Health.OK: "ok",
    Health.RECOVERING: "RECOVER",
    Health.DEGRADED: "DEGRADED",
    Health.DOWN: "DOWN",
    Health.STALE: "STALE",
    Health.CLOSED: "CLOSED",
    Health.UNKNOWN: "UNKNOWN",
}
PROBLEMS = frozenset(
    {Health.UNKNOWN, Health.DOWN, Health.DEGRADED, Health.RECOVERING, Health.STALE}
)


class Freshness(IntEnum):
    """How far the facts on screen can be trusted, the best first."""

    LIVE = 0
    LATE = 1
    CONNECTING = 2
    STALE = 3
    LOST = 4

    @property
    def old(self) -> bool:
        """True when values must look old and nothing may be changed."""
        return self >= Freshness.CONNECTING


def freshness(state: State, now_s: float) -> Freshness:
    """Judge the stream by its last frame and by what is known of the connection."""
    if state.last_frame_s is None:
        tried = state.link.link not in (Link.CONNECTING, Link.UP) or state.link.tries > 0
        return Freshness.LOST if tried else Freshness.CONNECTING
    stream_age_s = now_s - state.last_frame_s
    if stream_age_s > LOST_S:
        return Freshness.LOST
    # A refused connection needs no waiting to be believed.
    if stream_age_s > (LATE_S if state.link.link is Link.REFUSED else STALE_S):
        return Freshness.STALE
    return Freshness.LATE if stream_age_s > LATE_S else Freshness.LIVE


def rank(exchange: Exchange) -> tuple[int, int, str]:
    """Sort key: the worst state first, the longest-standing problem first, then by name."""
    problem = exchange.health in PROBLEMS
    health = -1 if exchange.health is Health.UNKNOWN else int(exchange.health)
    return health, exchange.since_ns if problem else 0, exchange.key


def worst(exchanges: Iterable[Exchange]) -> Exchange | None:
    """The exchange that needs attention first; None when none has a problem."""
    problems = [entry for entry in exchanges if entry.health in PROBLEMS]
    return min(problems, key=rank, default=None)


def census(exchanges: Iterable[Exchange]) -> Counter[Health]:
    """How many exchanges are in each state."""
    return Counter(entry.health for entry in exchanges)
