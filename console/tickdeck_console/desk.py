"""What the screens share: the state of the plant and how the operator looks at it.

Free of textual. The app owns the one desk, the reducer fills its state, screens read it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tickdeck_console.messages import Clock, Plant
from tickdeck_console.model import severity
from tickdeck_console.model.filtering import Filter
from tickdeck_console.model.frame import Exchange
from tickdeck_console.model.order import SORTS, RowOrder, Sort
from tickdeck_console.model.severity import Freshness
from tickdeck_console.model.state import State


class SystemClock:
    """The clocks of this host."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def utc_ns(self) -> int:
        """Wall clock, nanoseconds since 1970."""
        return time.time_ns()


@dataclass(frozen=True, slots=True)
class Held:
    """Exchanges as they were, and when each had last been heard of."""

    exchanges: dict[str, Exchange]
    received_s: dict[str, float]


@dataclass(slots=True)
class Desk:
    """The state, and filter, order, choice and hold of the fleet view."""

    plant: Plant
    clock: Clock = field(default_factory=SystemClock)
    target: str = ""
    ascii_only: bool = False
    state: State = field(default_factory=State)
    order: RowOrder = field(default_factory=RowOrder)
    sort: Sort = SORTS[0]
    filter: Filter = field(default_factory=Filter)
    problems_only: bool = False
    selected: str = ""
    """Key of the exchange under the cursor."""
    held: "Held | None" = None
    """What was shown when the view was held; None while it is not."""
    slow: bool = False
    """The console itself lags behind."""

    @property
    def now_s(self) -> float:
        """The console's monotonic clock."""
        return self.clock.monotonic_s()

    @property
    def freshness(self) -> Freshness:
        """How far the facts can be trusted now."""
        return severity.freshness(self.state, self.now_s)

    @property
    def exchanges(self) -> dict[str, Exchange]:
        """The exchanges to show: held or live."""
        return self.state.exchanges if self.held is None else self.held.exchanges

    @property
    def visible(self) -> list[Exchange]:
        """The exchanges that the filter leaves, in no order."""
        return [entry for entry in self.exchanges.values() if self._wanted(entry)]

    def hold(self) -> None:
        """Hold the view as it is, or let it go on."""
        state = self.state
        held = Held(dict(state.exchanges), dict(state.received_s))
        self.held = held if self.held is None else None

    def age_s(self, exchange: Exchange) -> float:
        """Age of what is shown, counting on also while the view is held."""
        received_s = self.state.received_s if self.held is None else self.held.received_s
        told_s = received_s.get(exchange.key, self.now_s)
        return exchange.age_ns / 1e9 + max(self.now_s - told_s, 0.0)

    def neighbour(self, key: str, step: int) -> str:
        """The next (1) or previous (-1) problem seen from `key`; empty when there is none."""
        problems = sorted_problems(self.exchanges.values())
        if not problems:
            return ""
        keys = [entry.key for entry in problems]
        if key not in keys:
            return keys[0] if step > 0 else keys[-1]
        return keys[(keys.index(key) + step) % len(keys)]

    def _wanted(self, entry: Exchange) -> bool:
        if self.problems_only and entry.health not in severity.PROBLEMS:
            return False
        return self.filter(entry)


def sorted_problems(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """All problems, the worst first."""
    problems = (entry for entry in exchanges if entry.health in severity.PROBLEMS)
    return sorted(problems, key=severity.rank)
