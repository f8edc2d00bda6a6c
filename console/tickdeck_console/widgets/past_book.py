"""A book of the past as text: place and trust, both sides, and what is different now."""

from typing import Protocol

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.model.facts import Level
from tickdeck_console.model.travel import BookDiff, PastBook, Point, day_time
from tickdeck_console.widgets.texts import Part, heading

WIDE = 80
"""Width from which the ladder has orders, and what is now."""
HEAD_LINES = 6
"""Lines above and below the levels."""


class Travel(Protocol):
    """What there is to show."""

    symbol: str
    wanted: Point
    past: PastBook | None
    difference: BookDiff | None

    @property
    def error(self) -> str:
        """Why the daemon did not answer."""
        ...

    @property
    def is_asking(self) -> bool:
        """An answer is being waited for."""
        ...


def past_book(travel: Travel, lines: int, width: int) -> Content:
    """The book in at most so many lines, the best levels on top.

    Below `WIDE` cells quantities and prices alone have room.
    """
    parts: list[Part] = [heading("BOOK"), (text.safe(travel.symbol) or "-", "bold")]
    parts += [f"   at {travel.wanted}"]
    parts.append((" asking ..." if travel.is_asking else "", "$quiet"))
    parts.append("\n")
    if travel.error:
        parts += [heading("ERROR"), (text.safe(travel.error), "bold $degraded"), "\n"]
    past = travel.past
    if past is None:
        return Content.assemble(*parts)
    parts += [heading("PLACE"), *_place(past), "\n", heading("TRUST"), *_trust(past), "\n"]
    parts += [heading("TO NOW"), *_to_now(travel.difference), "\n"]
    ladder = _Ladder(past, travel.difference, is_wide=width >= WIDE)
    parts += [(f" {ladder.bid_titles} | {ladder.ask_titles}\n", "$quiet")]
    room = max(lines - HEAD_LINES - bool(travel.error), 1)
    depth = past.depth
    for index in range(min(max(len(depth.bids), len(depth.asks)), room)):
        bid = depth.bids[index] if index < len(depth.bids) else None
        ask = depth.asks[index] if index < len(depth.asks) else None
        parts += [" ", *ladder.bid(bid), (" | ", "$rule"), *ladder.ask(ask), "\n"]
    return Content.assemble(*parts)


_QUANTITY_CELLS = 9


def _place(past: PastBook) -> list[Part]:
    place = past.place
    parts: list[Part] = [f"sequence {text.grouped(place.sequence)}"]
    if place.day_time_ns:
        parts.append(f"   {day_time(place.day_time_ns)}")
    parts.append((f"   {text.iso_time(place.time_ns)}   record {place.record_seq}", "$quiet"))
    return parts


def _trust(past: PastBook) -> list[Part]:
    book = past.depth.book
    good = book.trust == "GOOD"
    parts: list[Part] = [(text.safe(book.trust), "$good" if good else "bold $degraded")]
    if book.suspect_since:
        parts.append(f" since sequence {book.suspect_since}")
    parts.append(f"   {text.grouped(book.orders)} orders")
    parts.append((f"   {book.bid_levels} bid, {book.ask_levels} ask levels", "$quiet"))
    return parts


def _to_now(difference: BookDiff | None) -> list[Part]:
    if difference is None:
        return [("...", "$quiet")]
    diff = difference
    levels = f"levels +{diff.levels_added} -{diff.levels_removed} ~{diff.levels_changed}"
    orders = f"orders +{diff.orders_entered} -{diff.orders_left} ~{diff.orders_changed}"
    # Not the sequences: where packets are numbered, one has many messages.
    messages = diff.second.messages - diff.first.messages
    return [f"{text.grouped(messages)} messages   {levels}   {orders}"]


class _Ladder:
    """Writes the levels of one book, each beside what it is now."""

    def __init__(self, past: PastBook, difference: BookDiff | None, *, is_wide: bool) -> None:
        self._is_wide = is_wide
        self.bid_titles, self.ask_titles = f"{'QTY':>9} {'BID':>11}", f"{'ASK':<11} {'QTY':>9}"
        if is_wide:
            self.bid_titles = f"{'NOW':>9} {'ORDERS':>6} {self.bid_titles}"
            self.ask_titles = f"{self.ask_titles} {'ORDERS':>6} {'NOW':>9}"
        self._scale = past.depth.book.scale
        self._places = text.price_places(past.depth.prices, self._scale.price_decimals)
        changes = difference.levels if difference else ()
        self._now = {(change.side, change.price): change for change in changes}
        self._told: dict[str, int] | None = None
        if difference and difference.is_cut:
            # The changes of a side come nearest the touch first: what is further out is not told.
            self._told = {change.side: change.price for change in changes}

    def bid(self, level: Level | None) -> list[Part]:
        """Price at the right."""
        if level is None:
            return [" " * len(self.bid_titles)]
        numbers: list[Part] = [f"{self._quantity(level):>9} "]
        if self._is_wide:
            now = f"{self._changed('bid', level):>9}"
            numbers = [(now, "$recovering"), f" {level.orders:>6} ", *numbers]
        return [*numbers, (f"{self._price(level):>11}", "bold")]

    def ask(self, level: Level | None) -> list[Part]:
        """Price at the left."""
        if level is None:
            return []
        numbers: list[Part] = [f" {self._quantity(level):>9}"]
        if self._is_wide:
            now = f"{self._changed('ask', level):>9}"
            numbers += [f" {level.orders:>6} ", (now, "$recovering")]
        return [(f"{self._price(level):<11}", "bold"), *numbers]

    def _changed(self, side: str, level: Level) -> str:
        change = self._now.get((side, level.price))
        if change is None:
            return "" if self._is_told(side, level.price) else "?"
        return self._quantity(change.after) if change.after else "gone"

    def _is_told(self, side: str, price: int) -> bool:
        if self._told is None:
            return True
        last = self._told.get(side)
        return last is not None and (price >= last if side == "bid" else price <= last)

    def _quantity(self, level: Level) -> str:
        exact = text.quantity(level.quantity, self._scale.quantity_decimals)
        whole = level.quantity / 10**self._scale.quantity_decimals
        return exact if len(exact) <= _QUANTITY_CELLS else text.count(whole)

    def _price(self, level: Level) -> str:
        return text.price(level.price, self._scale.price_decimals, self._places)
