"""The fleet: every exchange on one line, problems first."""

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from tickdeck_console.desk import Desk
from tickdeck_console.keys import Scope
from tickdeck_console.model import columns
from tickdeck_console.model.filtering import Filter, FilterError, parse
from tickdeck_console.model.frame import Exchange, Health
from tickdeck_console.model.order import SORTS
from tickdeck_console.model.severity import Freshness
from tickdeck_console.screens.base import LiveScreen, bindings
from tickdeck_console.widgets.block import Block, Line
from tickdeck_console.widgets.detail import Detail
from tickdeck_console.widgets.fleet_table import FleetTable, Row
from tickdeck_console.widgets.lines import (
    event_line,
    recent_events,
    table_foot,
)

BESIDE_FROM = 198
"""Width from which the detail stands beside the table."""
BELOW_FROM = 100
"""Width from which the detail stands below the table, where that has few rows."""
BELOW_LINES = 18
"""Free lines that the detail below needs."""
LISTED_EVENTS = 4
"""Lines more for which the newest events are listed below the detail."""
LOST_FROM = 22
"""Height from which there is room to say what can still be done beside the rows."""
CHROME_LINES = 7
"""Lines of the screen that are not rows."""
EVENTS_FROM = (100, 30)
"""Size from which the event line is shown."""
_ROLES = {
    Health.OK: "ok",
    Health.DOWN: "down",
    Health.DEGRADED: "degraded",
    Health.RECOVERING: "recovering",
    Health.STALE: "stale",
    Health.CLOSED: "closed",
    Health.UNKNOWN: "stale",
}
_EMPTY = (
    ("\n  No exchange yet.\n\n", "bold"),
    "  Press ",
    ("A", "bold $key"),
    " to add one from its file, or run\n\n    tickdeck exchange add FILE\n",
)
_LOST = (
    ("\n What you can still do\n", "bold"),
    ("  Ctrl+R", "bold $key"),
    " try again now; the console does so by itself for ever\n",
    ("  y", "bold $key"),
    " copy a summary      ",
    ("?", "bold $key"),
    " help      ",
    ("q", "bold $key"),
    " quit: the workers run on in any case\n",
    ("  tickdeck daemon", "bold"),
    "     start the daemon; it takes over the workers that run\n",
    ("  tickdeck stat DIR", "bold"),
    "   the workers' own numbers, without a daemon\n",
    ("\n Commands that change things are off until a fresh snapshot arrives.", "$quiet"),
)


class FleetScreen(LiveScreen):
    """The first screen."""

    SCOPE = Scope.FLEET
    BINDINGS: ClassVar[list[BindingType]] = bindings(Scope.FLEET)

    class OpenExchange(Message):
        """Enter, or a double click, on a row."""

        def __init__(self, key: str) -> None:
            """Name the exchange."""
            super().__init__()
            self.key = key

    class SortAsked(Message):
        """The sort menu is wanted."""

    def __init__(self, desk: Desk) -> None:
        """Look at a desk."""
        super().__init__(desk)
        self._detailed = False
        self._below = False
        self._listed = False

    def compose(self) -> ComposeResult:
        """Three lines, the table and its detail, events, keys."""
        yield Line(id="status")
        yield Line(id="second")
        yield Line(id="third")
        with Horizontal(id="body"):
            with Vertical(id="fleet"):
                yield Line(id="header")
                yield FleetTable(id="table")
                yield Block(Content.assemble(*_EMPTY), id="empty")
                yield Block(Content.assemble(*_LOST), id="lost")
                yield Line(id="foot")
            yield Detail(self.desk, id="detail")
            yield Block(id="recent")
        yield FilterInput(placeholder="text  !text  state:down  drops>0", id="filter")
        yield Line(id="events")
        yield Line(id="keys")

    def on_mount(self) -> None:
        """Put the focus on the table."""
        self.query_one("#filter").display = False
        self.table.focus()

    @property
    def table(self) -> FleetTable:
        """The rows."""
        return self.query_one("#table", FleetTable)

    def paint(self, dirty: Iterable[str] | None) -> None:
        """Draw the changed rows, or all."""
        desk, size = self.desk, self.size
        old = desk.freshness.old
        self._place_detail()
        events = self.query_one("#events", Line)
        roomy = size.width >= EVENTS_FROM[0] and size.height >= EVENTS_FROM[1]
        events.display = roomy and not self._listed
        self.query_one("#empty").display = desk.state.synced and not desk.exchanges and not old
        self.query_one("#lost").display = desk.freshness is Freshness.LOST and (
            size.height >= LOST_FROM or not desk.exchanges
        )
        self.draw_head()
        self._draw_rows(dirty)
        if events.display:
            events.show(event_line(desk, size.width))
        self._draw_detail()

    def _place_detail(self) -> None:
        """Beside the table on a wide screen, below it where rows leave room, else nowhere."""
        free = self.size.height - CHROME_LINES - len(self.desk.exchanges)
        below = not self._beside and self.size.width >= BELOW_FROM and free >= BELOW_LINES
        self._detailed = (self._beside or below) and bool(self.desk.exchanges)
        if self.desk.freshness is Freshness.LOST and below:
            self._detailed = below = False  # what can still be done stands there instead
        moved = self._below != (below and self._detailed)
        self._below = below and self._detailed
        if moved:
            self.call_after_refresh(self.draw)  # once the new places have their sizes
        self.query_one("#detail").display = self._detailed
        self._listed = self._below and free >= BELOW_LINES + LISTED_EVENTS
        self.query_one("#recent").display = self._listed
        self.query_one("#body").set_class(self._below, "below")

    def _draw_detail(self) -> None:
        if self._detailed:
            self.query_one("#detail", Detail).draw()
        if self._listed:
            recent = self.query_one("#recent", Block)
            recent.show(recent_events(self.desk, self.size.width, recent.size.height))

    def _draw_rows(self, dirty: Iterable[str] | None) -> None:
        desk = self.desk
        old = desk.freshness.old
        visible = {entry.key: entry for entry in desk.visible}
        cells = self.size.width - (columns.DETAIL_CELLS + 2 if self._beside else 0)
        shown = columns.layout(cells, list(desk.exchanges))
        desk.order.update(visible.values(), desk.sort, desk.now_s)
        table = self.table
        # Ages count on by themselves, so every row in sight is looked at; the table draws only
        # those whose text changed.
        first, height = table.top, max(table.size.height, 1)
        in_sight = desk.order.keys[first : first + height]
        lacking = table.lacks(desk.order.keys)
        wanted = desk.order.keys if dirty is None else {*in_sight, *dirty, *lacking}
        rows = {key: self._row(visible[key], shown, old=old) for key in wanted if key in visible}
        table.show(desk.order.keys, rows)
        if not table.cursor_key and desk.order.keys:
            table.move_cursor(desk.order.keys[0])
        self.query_one("#header", Line).show(Content(columns.header(shown)))
        self.query_one("#foot", Line).show(table_foot(desk, table.below, cells))

    @property
    def _beside(self) -> bool:
        return self.size.width >= BESIDE_FROM

    def _row(self, entry: Exchange, shown: tuple[columns.Column, ...], *, old: bool) -> Row:
        context = columns.Context(self.desk.age_s(entry), old, self.desk.ascii_only)
        mark, *cells = columns.row(entry, shown, context)
        hot = frozenset(i for i, column in enumerate(shown) if not old and column.hot(entry))
        return Row(mark, tuple(cells), "old" if old else _ROLES[entry.health], hot)

    def action_cursor(self, rows: int) -> None:
        """Move the cursor."""
        self._touch()
        self.table.move_by(rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self._touch()
        self.table.move_by(pages * max(self.table.size.height - 1, 1))

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or last row."""
        self._touch()
        self.table.move_by(direction * len(self.table.keys))

    def action_open(self) -> None:
        """Open the exchange under the cursor."""
        if self.table.cursor_key:
            self.post_message(self.OpenExchange(self.table.cursor_key))

    def action_problems(self) -> None:
        """Show problems only, or all."""
        self.desk.problems_only = not self.desk.problems_only
        self._rearrange()

    def action_filter(self) -> None:
        """Begin to type a filter."""
        box = self.query_one("#filter", FilterInput)
        box.display = True
        box.value = self.desk.filter.text
        box.focus()

    def action_clear_filter(self) -> None:
        """Show everything again."""
        self.desk.filter = Filter()
        self.desk.problems_only = False
        self._rearrange()

    def action_sort(self) -> None:
        """Open the sort menu."""
        self.post_message(self.SortAsked())

    def choose(self, key: str) -> None:
        """Put the cursor on an exchange."""
        self._touch()
        self.table.move_cursor(key)

    def sort_by(self, name: str | None) -> None:
        """Sort in the named way; None leaves it as it is."""
        if name:
            self.desk.sort = next(sort for sort in SORTS if sort.name == name)
            self._rearrange()

    def _rearrange(self) -> None:
        """The operator asked for another order: do it now."""
        self.desk.order.reset()
        self.draw()

    def _touch(self) -> None:
        self.desk.order.touch(self.desk.now_s)

    @on(FleetTable.CursorMoved)
    def _cursor_moved(self, message: FleetTable.CursorMoved) -> None:
        self.desk.selected = message.key
        self._draw_detail()

    @on(FleetTable.Opened)
    def _opened(self, message: FleetTable.Opened) -> None:
        self.post_message(self.OpenExchange(message.key))

    @on(Input.Changed, "#filter")
    def _filter_typed(self, message: Input.Changed) -> None:
        """Filter while it is typed; a half-typed filter keeps the last that meant something."""
        try:
            self.desk.filter = parse(message.value)
        except FilterError:
            message.input.add_class("wrong")
            return
        message.input.remove_class("wrong")
        self._rearrange()

    @on(Input.Submitted, "#filter")
    def _filter_done(self, message: Input.Submitted) -> None:
        try:
            parse(message.value)
        except FilterError as error:
            self.notify(str(error), severity="warning", markup=False)
            return
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter").display = False
        self.table.focus()

    def on_filter_input_left(self) -> None:
        """Escape in the filter: as it was before."""
        self.action_clear_filter()
        self._close_filter()


class FilterInput(Input):
    """The filter's line; Escape leaves it and clears the filter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Left(Message):
        """Escape was pressed."""

    def action_leave(self) -> None:
        """Give up the filter."""
        self.post_message(self.Left())
