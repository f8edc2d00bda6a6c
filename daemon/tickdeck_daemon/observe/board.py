"""The present state of many things for many watchers, conflated: the latest value wins.

The board is every subscriber's mailbox. It keeps one value per key with the revision of its
last change; a subscriber remembers only the revision that it has seen. Publishing never waits
for anybody, and a slow subscriber costs nothing: ticks that pass while it is busy are counted
and left out, and its next read has the latest of everything.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from tickdeck_daemon.bell import Bell

V = TypeVar("V")

REMOVED_KEPT = 4096
"""Removals that are remembered; who is further behind gets a whole snapshot."""


class Board(Generic[V]):
    """Latest values by key, with revisions."""

    def __init__(self, same: Callable[[V, V], bool]) -> None:
        """Take the rule by which a new value is no change."""
        self._same = same
        self._rows: dict[str, tuple[int, V]] = {}
        self._removed: deque[tuple[int, str]] = deque(maxlen=REMOVED_KEPT)
        self._forgotten = 0
        self._subscriptions: set[Subscription[V]] = set()
        self.revision = 0
        """Grows with each publication that changes something."""

    def publish(self, rows: Mapping[str, V]) -> None:
        """Make `rows` the whole state and tell the subscribers about changes."""
        revision = self.revision + 1
        for key in self._rows.keys() - rows.keys():
            del self._rows[key]
            if len(self._removed) == REMOVED_KEPT:
                self._forgotten = self._removed[0][0]
            self._removed.append((revision, key))
            self.revision = revision
        for key, value in rows.items():
            known = self._rows.get(key)
            if known is None or not self._same(known[1], value):
                self._rows[key] = (revision, value)
                self.revision = revision
        if self.revision == revision:
            for subscription in self._subscriptions:
                subscription.tell()

    def get(self, key: str) -> V | None:
        """Latest value of a key."""
        known = self._rows.get(key)
        return known[1] if known else None

    def rows(self) -> Iterable[tuple[str, V]]:
        """Latest values in order of key."""
        return [(key, self._rows[key][1]) for key in sorted(self._rows)]

    def subscribe(self) -> "Subscription[V]":
        """A new watcher; use it as a context manager."""
        return Subscription(self, self._subscriptions)

    def changed_since(self, revision: int) -> list[V]:
        """Values that changed after a revision, in order of key."""
        return [row for _, (at, row) in sorted(self._rows.items()) if at > revision]

    def removed_since(self, revision: int) -> list[str] | None:
        """Keys removed after a revision and not back; None when that is no longer known."""
        if revision < self._forgotten:
            return None
        gone = {key for at, key in self._removed if at > revision}
        return sorted(gone - self._rows.keys())


class Subscription(Generic[V]):
    """One watcher of a board."""

    def __init__(self, board: Board[V], registry: "set[Subscription[V]]") -> None:
        """Watch `board` from its beginning."""
        self._board = board
        self._registry = registry
        self._bell = Bell()
        self.seen = -1
        """Revision of the board at the last read."""
        self.busy = False
        """Set while the watcher writes; changes meanwhile are counted as dropped ticks."""
        self.dropped_ticks = 0

    def __enter__(self) -> "Subscription[V]":
        """Begin to be told."""
        self._registry.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop being told."""
        self._registry.discard(self)

    def tell(self) -> None:
        """Called by the board when it has changed."""
        if self.busy:
            self.dropped_ticks += 1
        self._bell.ring()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until the board is ahead of `seen`; False when nothing changed in time."""
        return await self._bell.wait(lambda: self._board.revision > self.seen, timeout_s)
