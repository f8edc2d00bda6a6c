"""In which order rows stand, and how long they hold their place.

Problems rise to the top, but never under the operator's hand: an order stands for two seconds
after it changed and after each key, so that a row does not move while a key is pressed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tickdeck_console.model.frame import Exchange
from tickdeck_console.model.severity import rank

HOLD_S = 2.0
"""Least time between two changes of the order."""


@dataclass(frozen=True, slots=True)
class Sort:
    """A way to sort the fleet."""

    name: str
    letter: str
    """Picks it in the sort menu."""
    key: Callable[[Exchange], Any]


def _p99(exchange: Exchange) -> int:
    latency = exchange.latency()
    return latency.p99_ns if latency else 0


SORTS = (
    Sort("severity", "s", rank),
    Sort("name", "n", lambda entry: entry.key),
    Sort("age", "a", lambda entry: (-entry.age_ns, entry.key)),
    Sort("gaps", "g", lambda entry: (-entry.gaps_open, -entry.gaps_opened, entry.key)),
    Sort("drops", "d", lambda entry: (-entry.drop_rate, entry.key)),
    Sort("rate", "r", lambda entry: (-entry.message_rate, entry.key)),
    Sort("p99", "p", lambda entry: (-_p99(entry), entry.key)),
)


@dataclass(slots=True)
class RowOrder:
    """The keys on screen in their order."""

    keys: list[str] = field(default_factory=list[str])
    held_until_s: float = 0.0
    pending: bool = False
    """The wanted order differs from the shown one and waits for the hold to end."""

    def touch(self, now_s: float) -> None:
        """A key was pressed: hold the order from now."""
        self.held_until_s = max(self.held_until_s, now_s + HOLD_S)

    def update(self, exchanges: Iterable[Exchange], sort: Sort, now_s: float) -> bool:
        """Follow the exchanges; True when the order on screen changed.

        Rows that are gone leave at once and new ones come in last; only moving a row waits.
        """
        wanted = [entry.key for entry in sorted(exchanges, key=sort.key)]
        if wanted == self.keys:
            self.pending = False
            return False
        present, shown = set(wanted), set(self.keys)
        kept = [key for key in self.keys if key in present]
        merged = kept + [key for key in wanted if key not in shown]
        if now_s < self.held_until_s:
            self.pending = merged != wanted
            changed, self.keys = merged != self.keys, merged
            return changed
        if merged != wanted:
            self.held_until_s = now_s + HOLD_S
        self.keys, self.pending = wanted, False
        return True

    def reset(self) -> None:
        """Forget the hold: the operator asked for another order."""
        self.held_until_s = 0.0
