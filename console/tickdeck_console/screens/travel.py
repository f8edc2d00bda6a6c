"""Time travel: one book at a point of the journal, and how it differs from now."""

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.errors import CommandError
from tickdeck_console.keys import Scope
from tickdeck_console.model.travel import (
    NOW,
    BookDiff,
    PastBook,
    Point,
    PointError,
    parse_point,
    stepped,
)
from tickdeck_console.screens.base import LiveScreen, bindings
from tickdeck_console.screens.form import Field, FormBox, Values
from tickdeck_console.widgets.block import Block, Line
from tickdeck_console.widgets.past_book import past_book

LEVELS = 30
"""Asked for on each side; as many are shown as fit."""
CHANGES = 1000
"""Changed levels asked for on each side: those near the touch of now may all lie before ours."""


class TravelScreen(LiveScreen):
    """Steps through the stream; each step asks the daemon, and only the last one counts."""

    SCOPE = Scope.TRAVEL
    BINDINGS: ClassVar[list[BindingType]] = bindings(Scope.TRAVEL)

    class Left(Message):
        """Back to the exchange."""

    class GoAsked(Message):
        """Ask where to."""

    def __init__(self, desk: Desk, key: str, symbol: str) -> None:
        """Look at the book of `symbol`, or at the largest one when that is empty."""
        super().__init__(desk)
        self.key = key
        self.symbol = symbol
        self.wanted = NOW
        self.past: PastBook | None = None
        self.difference: BookDiff | None = None
        self._error = ""
        self._asking: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Head, book, keys."""
        yield Line(id="status")
        yield Line(id="second")
        yield Line(id="third")
        with VerticalScroll(id="past", can_focus=False):
            yield Block(id="past-book")
        yield Line(id="keys")

    def on_mount(self) -> None:
        """Begin with the end of the journal."""
        self._go(NOW)

    def leave(self) -> None:
        """Also stop asking."""
        super().leave()
        if self._asking:
            self._asking.cancel()

    def paint(self, dirty: Iterable[str] | None) -> None:
        """Draw head and book."""
        del dirty  # the head counts ages on
        self.draw_head(f"{text.safe(self.key)} > past")
        lines = self.query_one("#past").size.height
        content = past_book(self, max(lines, 1), self.size.width)
        self.query_one("#past-book", Block).show(content)

    @property
    def error(self) -> str:
        """Why the daemon did not answer; empty when it did."""
        return self._error

    @property
    def is_asking(self) -> bool:
        """An answer is being waited for."""
        return self._asking is not None and not self._asking.done()

    async def answered(self) -> None:
        """Wait until what was asked last is answered."""
        while self._asking is not None and not self._asking.done():
            await asyncio.wait([self._asking])

    def action_step(self, by: int) -> None:
        """Go so many messages on or back."""
        if self.past is not None:
            self._go(stepped(self.wanted, self.past.place, by))

    def action_first(self) -> None:
        """Go to the first message of the session."""
        self._go(Point(sequence=1))

    def action_now(self) -> None:
        """Go to the end of the journal."""
        self._go(NOW)

    def action_go(self) -> None:
        """Ask where to, and whose book."""
        self.post_message(self.GoAsked())

    def form(self) -> FormBox:
        """Asks for book and point."""
        above = "A sequence, HH:MM:SS.frac of the day, an RFC 3339 time, or now:"
        fields = (
            Field("symbol", "symbol", self.symbol),
            Field("point", "point", str(self.wanted), above=above),
        )
        return FormBox("Go to", fields, "Go", _checked)

    def go(self, values: Values | None) -> None:
        """Go where the form says; None is a form that was given up."""
        if values is None:
            return
        if values["symbol"] != self.symbol:
            self.symbol, self.past, self.difference = values["symbol"], None, None
        self._go(parse_point(values["point"]))

    def action_back(self) -> None:
        """Back to the exchange."""
        self.post_message(self.Left())

    def _go(self, point: Point) -> None:
        """Ask for a point; what was asked before is asked no more."""
        if self._asking is not None:
            self._asking.cancel()
        if self.desk.freshness.old:
            self._error = "the daemon cannot be asked: the console is cut off"
        else:
            self.wanted = point
            self._asking = asyncio.get_running_loop().create_task(self._ask(point))
        self.draw()

    async def _ask(self, point: Point) -> None:
        plant = self.desk.plant
        try:
            if not self.symbol:
                books = await plant.books(self.key)
                self.symbol = max(books, key=lambda book: book.orders).symbol if books else ""
            self.past = await plant.book_at(self.key, self.symbol, point, LEVELS)
            self.difference, self._error = None, ""
            self.draw()
            points = (point, NOW)
            self.difference = await plant.book_diff(self.key, self.symbol, points, CHANGES)
        except CommandError as error:
            self._error = str(error)
        self.draw()


async def _checked(values: Values) -> str:
    if not values["symbol"]:
        return "symbol: name a book"
    try:
        parse_point(values["point"])
    except PointError as error:
        return f"point: {error}"
    return ""
