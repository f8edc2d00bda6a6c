"""Tab `book`: the books of the exchange, and the depth of the chosen one."""

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.facts import BookRow, Depth, Level, Scale
from tickdeck_console.model.frame import Exchange
from tickdeck_console.widgets.block import Block
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part, heading

LEVELS = 20
BAR_CELLS = 10
SYMBOL_CELLS = 10
PRICE_CELLS = 12
WIDE = 100
"""Width from which the list shows prices."""


class BookPanel(Panel):
    """Books at the left, a ladder at the right; up and down choose."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without books."""
        super().__init__(desk, id=id)
        self._books: tuple[BookRow, ...] = ()
        self._depth: Depth | None = None
        self._chosen: BookRow | None = None
        self._asked = False

    @property
    def symbol(self) -> str:
        """The chosen book; empty before there is one."""
        return self._chosen.symbol if self._chosen else ""

    def compose(self) -> ComposeResult:
        """A line, then list and ladder side by side."""
        yield Block(classes="panel-text")
        with Horizontal(id="book-body"):
            with VerticalScroll(id="book-list", can_focus=False):
                yield Block(id="book-rows")
            with VerticalScroll(id="book-ladder", can_focus=False):
                yield Block(id="book-depth")

    async def fetch(self, key: str) -> None:
        """Ask for the books, and for the depth of the chosen one."""
        self._books = await self.desk.plant.books(key)
        self._asked = True
        if self._place() is None:
            self._chosen = max(self._books, key=lambda b: b.orders, default=None)
        if book := self._chosen:
            self._depth = await self.desk.plant.depth(key, book.symbol, LEVELS, book.kind)

    def forget(self) -> None:
        """Drop the books of another exchange."""
        self._books, self._depth, self._chosen, self._asked = (), None, None, False

    def move(self, rows: int) -> None:
        """Choose another book; its depth comes with the next fetch."""
        place = self._place()
        if place is None:
            return
        index = min(max(place + rows, 0), len(self._books) - 1)
        self._chosen = self._books[index]
        if self._depth and self._depth.book.name != self._chosen.name:
            self._depth = None
        # List line 0 is the header.
        self.query_one("#book-list").scroll_to(y=max(index - 3, 0), animate=False)

    def _place(self) -> int | None:
        """Where the chosen book stands in the list."""
        name = self._chosen.name if self._chosen else ""
        places = (place for place, book in enumerate(self._books) if book.name == name)
        return next(places, None)

    def content(self, exchange: Exchange) -> Content:
        """The line above; also fills list and ladder."""
        self.query_one("#book-rows", Block).show(self._rows())
        self.query_one("#book-depth", Block).show(self._ladder())
        book = exchange.book
        good = book.trust == "GOOD"
        parts: list[Part] = ["\n", heading("TRUST")]
        parts += [
            (text.safe(book.trust) or "no book worker", "$good" if good else "bold $degraded")
        ]
        parts += [f"   {book.books} books, {book.suspect} suspect   "]
        parts += [f"{text.count(book.orders)} orders   lag {text.count(book.lag_records)}   "]
        parts += [f"laps {book.laps}"]
        if self.size.width >= WIDE:
            parts += [f"   cursor {text.grouped(book.cursor_seq)}"]
        return Content.assemble(*parts)

    def _rows(self) -> Content:
        prices = self.size.width >= WIDE
        by_order = all(book.kind == "order" for book in self._books)
        cells = SYMBOL_CELLS if by_order else SYMBOL_CELLS + len(" by price")
        # Beside the long names of books by price there is no room for both orders and trust.
        orders = prices or by_order
        titles = f"   {'SYMBOL':<{cells}}" + (f" {'ORDERS':>8}" if orders else "")
        titles += f" {'BID':>{PRICE_CELLS}} {'ASK':>{PRICE_CELLS}}  TRUST" if prices else "  TRUST"
        parts: list[Part] = [(f"{titles}\n", "$quiet")]
        if not self._books:
            parts += [(" No book yet." if self._asked else " asking ...", "$quiet")]
        places = _places(self._books)
        for book in self._books:
            chosen = self._chosen is not None and book.name == self._chosen.name
            line = f" {'>' if chosen else ' '} {text.fit(text.safe(book.name), cells)}"
            line += f" {text.count(book.orders):>8}" if orders else ""
            if prices:
                bid, ask = (
                    _price(level, book.scale, places) for level in (book.best_bid, book.best_ask)
                )
                line += f" {bid} {ask}"
            good = book.trust == "GOOD"
            trust: Part = (text.safe(book.trust), "" if good else "bold $degraded")
            parts += [(line, "bold" if chosen else ""), "  ", trust, "\n"]
        return Content.assemble(*parts)

    def _ladder(self) -> Content:
        depth = self._depth
        if depth is None:
            return Content.styled(" asking ..." if self._chosen else "", "$quiet")
        head = f" {text.safe(depth.book.name)}  {depth.book.bid_levels} bid, "
        places = text.price_places(depth.prices, depth.book.scale.price_decimals)
        head += f"{depth.book.ask_levels} ask{_spread(depth, places)}"
        if depth.book.suspect_since:
            head += f"\n suspect since sequence {depth.book.suspect_since}"
        titles = f" {'':<{BAR_CELLS}} {'ORDERS':>7} {'QTY':>9} {'PRICE':>{PRICE_CELLS}}\n"
        parts: list[Part] = [(head, "bold"), "\n", (titles, "$quiet")]
        # As many levels of each side as fit around the spread.
        fitting = max((self.query_one("#book-ladder").size.height - 4) // 2, 3)
        bids, asks = depth.bids[:fitting], depth.asks[:fitting]
        top = max((level.quantity for level in bids + asks), default=1)
        for level in reversed(asks):
            parts += _level(level, top, "$degraded", depth.book.scale, places)
        parts.append((f" {'-' * (BAR_CELLS + 31)}\n", "$rule"))
        for level in bids:
            parts += _level(level, top, "$good", depth.book.scale, places)
        return Content.assemble(*parts)


def _level(level: Level, top: int, style: str, scale: Scale, places: int) -> list[Part]:
    bar = "#" * max(round(BAR_CELLS * level.quantity / max(top, 1)), 1)
    quantity = text.quantity(level.quantity, scale.quantity_decimals)
    numbers = f" {level.orders:>7} {quantity:>9} "
    price = _price(level, scale, places)
    return [" ", (f"{bar:>{BAR_CELLS}}", style), numbers, (price, "bold"), "\n"]


def _price(level: Level | None, scale: Scale, places: int) -> str:
    shown = text.price(level.price, scale.price_decimals, places) if level else "-"
    return f"{shown:>{PRICE_CELLS}}"


def _places(books: tuple[BookRow, ...]) -> int:
    """Digits behind the point of all prices of the list."""
    decimals = books[0].scale.price_decimals if books else 0
    return text.price_places((price for book in books for price in book.prices), decimals)


def _spread(depth: Depth, places: int) -> str:
    if not depth.bids or not depth.asks:
        return ""
    decimals, ticks = depth.book.scale.price_decimals, depth.book.spread_ticks
    spread = text.price(depth.asks[0].price - depth.bids[0].price, decimals, places)
    return f", spread {spread}" + (f" ({ticks} ticks)" if ticks is not None else "")
