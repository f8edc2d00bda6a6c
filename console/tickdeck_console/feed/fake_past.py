"""Made-up books of the past: the present ladder, changed by where one looks."""

from dataclasses import replace

from tickdeck_console.model.facts import Depth, Level
from tickdeck_console.model.travel import NOW, BookDiff, LevelChange, PastBook, Place, Point

LAST = 200_000
"""Sequence of the last message."""
OPENING_NS = 34_200_000_000_000
"""09:30; a message each 10 ms."""
STEP_NS = 10_000_000
EPOCH_NS = 1_767_312_000_000_000_000


def book_at(now: Depth, point: Point) -> PastBook:
    """The book at a point; the same for the same point."""
    sequence = LAST if point == NOW else _sequence(point)
    age = LAST - sequence
    day_time_ns = OPENING_NS + sequence * STEP_NS
    place = Place(
        sequence=sequence,
        record_seq=sequence // 7 + 1,
        time_ns=EPOCH_NS + day_time_ns + 18_000_000_000_000,
        day_time_ns=day_time_ns,
        messages=sequence,
    )
    sides = [
        tuple(
            replace(level, quantity=level.quantity + 100 * ((age + index) % 3))
            for index, level in enumerate(levels)
            if not (age and index == 1 + sequence % 4)
        )
        for levels in (now.bids, now.asks)
    ]
    row = replace(
        now.book,
        orders=max(now.book.orders - age // 100, 0),
        best_bid=sides[0][0],
        best_ask=sides[1][0],
    )
    return PastBook(Depth(row, sides[0], sides[1]), place, f"{sequence:016x}")


def difference(first: PastBook, second: PastBook, limit: int) -> BookDiff:
    """What differs between two of them, with at most `limit` levels of each side."""
    changes: list[LevelChange] = []
    told: list[LevelChange] = []
    for side in ("bid", "ask"):
        old, new = ({level.price: level for level in _side(book, side)} for book in (first, second))
        for price in sorted(old.keys() | new.keys(), reverse=side == "bid"):
            if old.get(price) != new.get(price):
                changes.append(LevelChange(side, price, old.get(price), new.get(price)))
        told += [change for change in changes if change.side == side][:limit]
    moved = abs(first.place.sequence - second.place.sequence)
    return BookDiff(
        first=first.place,
        second=second.place,
        before=first.depth.book,
        after=second.depth.book,
        levels=tuple(told),
        levels_added=sum(change.before is None for change in changes),
        levels_removed=sum(change.after is None for change in changes),
        levels_changed=sum(None not in (change.before, change.after) for change in changes),
        orders_entered=moved // 3,
        orders_left=moved // 4,
        orders_changed=moved // 10,
    )


def _sequence(point: Point) -> int:
    if point.sequence is not None:
        return min(point.sequence, LAST)
    day_time_ns = point.day_time_ns
    if day_time_ns is None:
        day_time_ns = (point.time_ns or 0) - EPOCH_NS - 18_000_000_000_000
    return min(max((day_time_ns - OPENING_NS) // STEP_NS, 0), LAST)


def _side(book: PastBook, side: str) -> tuple[Level, ...]:
    return book.depth.bids if side == "bid" else book.depth.asks
