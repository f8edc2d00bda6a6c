"""What stands between the screens and the outside: where frames come from, what may be asked.

The live daemon and the fake plant both implement these protocols; screens and widgets know
nothing else of the outside.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from tickdeck_console.model.facts import (
    BookRow,
    CheckReport,
    Depth,
    GapList,
    Histogram,
    Replay,
    ReplayOrder,
    Worker,
)
from tickdeck_console.model.frame import Frame
from tickdeck_console.model.travel import BookDiff, PastBook, Point
from tickdeck_console.model.wal import Wal


class Clock(Protocol):
    """The console's clocks; frozen in tests."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def utc_ns(self) -> int:
        """Wall clock, nanoseconds since 1970."""
        ...


class Feed(Protocol):
    """A source of frames."""

    def frames(self) -> AsyncIterator[Frame]:
        """All frames from now; ends only when the feed is closed."""
        ...

    def reconnect(self) -> None:
        """Try again now instead of after the pause."""
        ...


class Plant(Protocol):
    """What the console may ask of the plant and do to it.

    Every method raises `CommandError`. Those that change something return the effects as
    sentences; with `dry_run` they only tell them. Exchanges, workers and replays are named
    without their resource prefix.
    """

    async def check(self, exchange: str) -> CheckReport:
        """Run a health check of one exchange, or of all when the name is empty."""
        ...

    async def gaps(self, exchange: str) -> GapList:
        """The gaps of an exchange, open ones first, then the newest."""
        ...

    async def recover(self, exchange: str, gap_id: int, *, dry_run: bool) -> tuple[str, ...]:
        """Ask again now for an open gap; 0 for all of them."""
        ...

    async def snapshot(
        self, exchange: str, gap_id: int, reason: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Let a snapshot stand in for an open gap; 0 for all of them."""
        ...

    async def accept_loss(
        self, exchange: str, gap_id: int, reason: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Give an open gap up: what is missing is declared lost."""
        ...

    async def annotate(
        self, exchange: str, gap_id: int, note: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Journal a note on a gap."""
        ...

    async def histograms(self, exchange: str) -> tuple[Histogram, ...]:
        """Cumulative latency histograms by stage."""
        ...

    async def wal(self, exchange: str) -> Wal:
        """The files of the journal, oldest first, its recovery report, its readers."""
        ...

    async def check_books(self, exchange: str) -> CheckReport:
        """Have the books of an exchange checked against their own rules."""
        ...

    async def books(self, exchange: str) -> tuple[BookRow, ...]:
        """All books in short."""
        ...

    async def depth(self, exchange: str, symbol: str, levels: int, kind: str = "") -> Depth:
        """The top levels of one book."""
        ...

    async def book_at(self, exchange: str, symbol: str, point: Point, levels: int) -> PastBook:
        """One book at a point of the journal."""
        ...

    async def book_diff(
        self, exchange: str, symbol: str, points: tuple[Point, Point], levels: int
    ) -> BookDiff:
        """What differs in one book between two points of the journal."""
        ...

    async def workers(self, exchange: str) -> tuple[Worker, ...]:
        """The workers of an exchange, or all when the name is empty."""
        ...

    def log(self, worker: str, lines: int) -> AsyncIterator[tuple[str, ...]]:
        """The last lines of a worker's log, then what is added to it."""
        ...

    async def create(self, toml: str, reason: str, *, dry_run: bool) -> tuple[str, ...]:
        """Add an exchange from its file's text."""
        ...

    async def remove(self, exchange: str, etag: str, reason: str) -> tuple[str, ...]:
        """Remove the exchange as it was when `etag` was read."""
        ...

    async def removal(self, exchange: str) -> tuple[str, tuple[str, ...]]:
        """The etag that a removal must carry, and the effects that it would have."""
        ...

    async def collect(self, exchange: str, *, run: bool, dry_run: bool) -> tuple[str, ...]:
        """Start or stop the collection of an exchange."""
        ...

    async def restart(self, worker: str, reason: str, *, dry_run: bool) -> tuple[str, ...]:
        """Drain a worker and start it again."""
        ...

    async def replay_effects(self, order: ReplayOrder) -> tuple[str, ...]:
        """What the replay would do."""
        ...

    async def start_replay(self, order: ReplayOrder, reason: str) -> Replay:
        """Begin a replay."""
        ...

    def watch_replay(self, replay: str) -> AsyncIterator[Replay]:
        """States of a replay until it has ended."""
        ...

    async def replays(self) -> tuple[Replay, ...]:
        """Running and ended replays, the newest first."""
        ...

    async def stop_replay(self, replay: str, reason: str) -> Replay:
        """End a replay."""
        ...
