"""One exchange: why it is not ok, and everything known about it, in tabs."""

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import ContentSwitcher

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.keys import Scope
from tickdeck_console.model.facts import Gap
from tickdeck_console.model.frame import Exchange, Health
from tickdeck_console.model.severity import MARKS, WORDS, Freshness
from tickdeck_console.screens.base import LiveScreen, bindings
from tickdeck_console.widgets.block import Line
from tickdeck_console.widgets.book_panel import BookPanel
from tickdeck_console.widgets.cause_panel import CausePanel
from tickdeck_console.widgets.feeds_panel import FeedsPanel
from tickdeck_console.widgets.gap_panel import GapPanel
from tickdeck_console.widgets.latency_panel import LatencyPanel
from tickdeck_console.widgets.lines import (
    STYLES,
    banner_lines,
    footer_line,
    status_line,
)
from tickdeck_console.widgets.log_panel import LogPanel
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part
from tickdeck_console.widgets.wal_panel import WalPanel

TABS: tuple[tuple[str, str, type[Panel]], ...] = (
    ("c", "cause", CausePanel),
    ("f", "feeds", FeedsPanel),
    ("g", "gaps", GapPanel),
    ("l", "latency", LatencyPanel),
    ("w", "wal", WalPanel),
    ("b", "book", BookPanel),
    ("o", "logs", LogPanel),
)
FETCH_INTERVAL_S = 1.0


class ExchangeScreen(LiveScreen):
    """Tabs by letter; opens on `cause` when the state is not ok, else on `feeds`."""

    SCOPE = Scope.EXCHANGE
    BINDINGS: ClassVar[list[BindingType]] = bindings(Scope.EXCHANGE)

    class Left(Message):
        """Back to the fleet."""

    class OpenGap(Message):
        """Show a gap with each step."""

        def __init__(self, gap: Gap) -> None:
            """Name the gap."""
            super().__init__()
            self.gap = gap

    class Travel(Message):
        """Show a book of the exchange at another point of the stream."""

        def __init__(self, key: str, symbol: str) -> None:
            """Name the exchange, and the book chosen; empty when none is."""
            super().__init__()
            self.key = key
            self.symbol = symbol

    def __init__(self, desk: Desk, key: str) -> None:
        """Look at the exchange called `key`."""
        super().__init__(desk)
        self.key = key
        self.tab = _first_tab(desk.exchanges.get(key))
        self._fetch_task: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Head, tabs, keys."""
        yield Line(id="status")
        yield Line(id="second")
        yield Line(id="third")
        yield Line(id="tabs")
        with ContentSwitcher(initial=self.tab, id="panels"):
            for _, name, panel in TABS:
                yield panel(self.desk, id=name)
        yield Line(id="keys")

    def on_mount(self) -> None:
        """Fetch what the visible tab needs, once a second."""
        self.set_interval(FETCH_INTERVAL_S, self.fetch)
        self.fetch()

    def leave(self) -> None:
        """Also stop fetching."""
        super().leave()
        if self._fetch_task:
            self._fetch_task.cancel()

    @property
    def panel(self) -> Panel:
        """The visible tab."""
        return self.query_one(f"#{self.tab}", Panel)

    @property
    def gap(self) -> Gap | None:
        """The gap under the cursor, when the tab of gaps is shown."""
        panel = self.panel
        return panel.selected if isinstance(panel, GapPanel) else None

    def show(self, key: str) -> None:
        """Look at another exchange, on the same tab."""
        self.key = key
        self.fetch()
        self.draw()

    def paint(self, dirty: Iterable[str] | None) -> None:
        """Draw head and tab."""
        del dirty  # the head counts ages on, so there is always something to draw
        desk, cells = self.desk, self.size.width
        exchange = desk.exchanges.get(self.key)
        cut_off = desk.freshness >= Freshness.STALE
        where = f"Fleet > {text.safe(self.key)}"
        self.query_one("#status", Line).show(status_line(desk, cells, where))
        third = self.query_one("#third", Line)
        third.display = cut_off
        if cut_off:
            second, reason = banner_lines(desk, cells)
            third.show(reason)
        else:
            second = _head(desk, exchange, self.key)
        self.query_one("#second", Line).show(second)
        self.query_one("#tabs", Line).show(_tab_bar(self.tab))
        self.query_one("#keys", Line).show(footer_line(self.SCOPE, cells))
        if exchange is not None:
            self.panel.draw(exchange)

    def fetch(self) -> None:
        """Fetch for the visible tab, unless a fetch still runs or nothing would answer."""
        running = self._fetch_task is not None and not self._fetch_task.done()
        if running or not self.is_current or self.desk.freshness.old:
            return
        self._fetch_task = asyncio.get_running_loop().create_task(self._fetch())

    async def fetched(self) -> None:
        """Wait for a fetch of the visible tab, begun now."""
        self.fetch()
        if self._fetch_task:
            await self._fetch_task

    async def _fetch(self) -> None:
        panel = self.panel
        await panel.refreshed(self.key)
        self.draw()

    def action_tab(self, name: str) -> None:
        """Show a tab."""
        self.tab = name
        self.query_one("#panels", ContentSwitcher).current = name
        self.draw()
        self.fetch()

    def action_turn(self, step: int) -> None:
        """Show the tab beside."""
        names = [name for _, name, _ in TABS]
        self.action_tab(names[(names.index(self.tab) + step) % len(names)])

    def action_move(self, rows: int) -> None:
        """Scroll the tab, or move its cursor."""
        self.panel.move(rows)
        self.draw()
        self.fetch()

    def action_show_gap(self) -> None:
        """Show the gap under the cursor."""
        if self.gap is not None:
            self.post_message(self.OpenGap(self.gap))

    def action_travel(self) -> None:
        """Show the chosen book at another point of the stream."""
        symbol = self.query_one("#book", BookPanel).symbol
        self.post_message(self.Travel(self.key, symbol))

    def action_back(self) -> None:
        """Back to the fleet."""
        self.post_message(self.Left())


def _first_tab(exchange: Exchange | None) -> str:
    well = exchange is None or exchange.health is Health.OK
    return "feeds" if well else "cause"


def _head(desk: Desk, exchange: Exchange | None, key: str) -> Content:
    """Line 2: the exchange, its state, its workers."""
    if exchange is None:
        return Content.styled(f" {text.safe(key)} is gone: it was removed", "bold $stale")
    old = desk.freshness.old
    mark = "?" if old else MARKS[exchange.health].strip()
    since_s = desk.state.since_s(exchange, desk.now_s)
    since = f" {text.age(since_s)}" if since_s is not None else ""
    word = f"was {WORDS[exchange.health]}" if old else WORDS[exchange.health]
    parts: list[Part] = [" ", (text.safe(exchange.key), "bold"), " "]
    parts += [(f"{mark} {word}{since}".strip(), STYLES[exchange.health])]
    parts += [f"   {text.safe(exchange.path) or 'no path'}"]
    parts += [f"   {text.count(exchange.message_rate)} msg/s"]
    if exchange.session:
        parts += [f"   session {text.safe(exchange.session)}"]
    parts += [f"   {text.safe('  '.join(exchange.workers))}"]
    return Content.assemble(*parts)


def _tab_bar(current: str) -> Content:
    parts: list[Part] = [" "]
    for index, (letter, name, _) in enumerate(TABS):
        if index:
            parts.append((" | ", "$rule"))
        if name == current:
            parts.append(
                (f" {letter} {name.upper()} ", "bold $block-cursor-foreground on $cursor-back")
            )
        else:
            parts += [(f" {letter}", "bold $key"), f" {name} "]
    return Content.assemble(*parts)
