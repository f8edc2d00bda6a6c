"""Books as they were: points of a journal, what stood there, and what differs from it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tickdeck_console.model.facts import BookRow, Depth, Level

SECOND_NS = 1_000_000_000
SEQUENCE_MAX = 2**63 - 1
_DAY_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?", re.ASCII)
_FRACTION = re.compile(r"\.(\d{1,9})", re.ASCII)
_NO_POINT = (
    "is no point: write a sequence (@123456), a time of the venue's day (@09:31:02.5) "
    "or a receive time (@2026-01-02T14:31:02.5Z)"
)


class PointError(ValueError):
    """A text that names no point."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a journal; one of the three is set."""

    sequence: int | None = None
    time_ns: int | None = None
    day_time_ns: int | None = None

    def __str__(self) -> str:
        """As `parse_point` reads it."""
        if self.sequence is not None:
            return "now" if self.sequence == SEQUENCE_MAX else str(self.sequence)
        if self.day_time_ns is not None:
            return day_time(self.day_time_ns)
        seconds, fraction = divmod(self.time_ns or 0, SECOND_NS)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


NOW = Point(sequence=SEQUENCE_MAX)
"""The end of the journal."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a journal something stands: the last message at or before a point."""

    sequence: int = 0
    record_seq: int = 0
    time_ns: int = 0
    day_time_ns: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class PastBook:
    """A book as it was."""

    depth: Depth
    place: Place
    state_hash: str = ""


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A price whose quantity or orders differ; None where there is no such level."""

    side: str
    price: int
    before: Level | None
    after: Level | None


@dataclass(frozen=True, slots=True)
class BookDiff:
    """What differs in one book between two points; the counts are of all levels and orders."""

    first: Place
    second: Place
    before: BookRow | None = None
    after: BookRow | None = None
    levels: tuple[LevelChange, ...] = ()
    levels_added: int = 0
    levels_removed: int = 0
    levels_changed: int = 0
    orders_entered: int = 0
    orders_left: int = 0
    orders_changed: int = 0

    @property
    def is_cut(self) -> bool:
        """More levels differ than are in `levels`."""
        return self.levels_added + self.levels_removed + self.levels_changed > len(self.levels)


def parse_point(text: str) -> Point:
    """The point that a text names, with or without an `@`.

    Raises:
        PointError: It names none; the text shows how one is written.
    """
    bare = text.strip().removeprefix("@")
    if bare == "now":
        return NOW
    if bare.isascii() and bare.isdigit() and len(bare) < 20:
        return Point(sequence=min(int(bare), SEQUENCE_MAX))
    clock = _DAY_TIME.fullmatch(bare)
    if clock is not None:
        hours, minutes, seconds = (int(clock[group]) for group in (1, 2, 3))
        whole = (hours * 60 + minutes) * 60 + seconds
        return Point(day_time_ns=whole * SECOND_NS + _fraction_ns(clock[4]))
    return Point(time_ns=_received_ns(bare, text))


def day_time(ns: int) -> str:
    """A time of day with nanoseconds."""
    seconds, fraction = divmod(ns, SECOND_NS)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{fraction:09}"


def stepped(wanted: Point, place: Place, by: int) -> Point:
    """The point so many sequences from where one stands; it stays on the line.

    Inside a lost range the place does not move, so a step forward counts from what was wanted.
    """
    start = place.sequence
    if by > 0 and wanted.sequence is not None and wanted != NOW:
        start = max(start, wanted.sequence)
    return Point(sequence=min(max(start + by, 1), SEQUENCE_MAX - 1))


def _received_ns(bare: str, text: str) -> int:
    """An RFC 3339 time; the fraction is read apart, since a datetime has no nanoseconds."""
    fraction = _FRACTION.search(bare)
    whole = bare if fraction is None else bare.replace(fraction[0], "", 1)
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise PointError(f"{text!r} {_NO_POINT}") from None
    if moment.tzinfo is None or moment.microsecond or "T" not in whole.upper():
        raise PointError(f"{text!r} {_NO_POINT}")
    seconds = int(moment.timestamp())
    if not 0 <= seconds < SEQUENCE_MAX // SECOND_NS:
        raise PointError(f"{text!r} {_NO_POINT}")
    return seconds * SECOND_NS + _fraction_ns(fraction[1] if fraction else None)


def _fraction_ns(digits: str | None) -> int:
    return int(f"{digits or '0':0<9}")
