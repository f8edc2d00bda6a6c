"""The live table of the fleet, drawn line by line.

Textual's `DataTable` redraws itself whole for each changed cell: a quarter of a core for fifty
rows at 4 Hz. This table keeps one strip per row, and asks only for those regions again whose text
changed.

The cursor belongs to a key, not to a line: rows may come, go and move around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.color import Color
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of one row, ready to draw."""

    mark: str
    cells: tuple[str, ...]
    role: str
    """Names the style: `ok`, `down`, `degraded`, `recovering`, `stale`, `closed` or `old`."""
    hot: frozenset[int] = frozenset()
    """Cells that are out of the ordinary."""


class FleetTable(Widget, can_focus=True):
    """Rows by key, in a given order, with a cursor."""

    ROLES = ("ok", "down", "degraded", "recovering", "stale", "closed", "old")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "fleet--cursor",
        "fleet--quiet",
        *(f"fleet--{role}" for role in ROLES),
    }

    class CursorMoved(Message):
        """Another row is chosen; `key` is empty when there are no rows."""

        def __init__(self, key: str) -> None:
            """Name the row."""
            super().__init__()
            self.key = key

    class Opened(Message):
        """A row was clicked twice."""

        def __init__(self, key: str) -> None:
            """Name the row."""
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:
        """Begin without rows."""
        super().__init__(id=id)
        self.keys: list[str] = []
        self.cursor_key = ""
        self.top = 0
        """Index of the first row in sight."""
        self._rows: dict[str, Row] = {}
        self._strips: dict[str, Strip] = {}
        self._styles: dict[str, Style] = {}

    @property
    def cursor_index(self) -> int:
        """Line of the cursor; 0 when there are no rows."""
        return self.keys.index(self.cursor_key) if self.cursor_key in self.keys else 0

    @property
    def below(self) -> int:
        """Rows after the last one in sight."""
        return max(len(self.keys) - self.top - max(self.size.height, 1), 0)

    def lacks(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose row was never shown."""
        return {key for key in keys if key not in self._rows}

    def show(self, keys: Sequence[str], rows: dict[str, Row]) -> None:
        """Draw `rows`, which may be only the changed ones, in the order of `keys`."""
        changed = {key for key, row in rows.items() if self._rows.get(key) != row}
        for key in changed:
            self._rows[key] = rows[key]
            self._strips.pop(key, None)
        if list(keys) != self.keys:
            self._reorder(list(keys))
            return
        for key in changed:
            self._refresh_row(key)

    def move_cursor(self, key: str) -> None:
        """Put the cursor on a row and bring it in sight."""
        if key not in self._rows or key not in self.keys:
            return
        before, self.cursor_key = self.cursor_key, key
        if self._bring_in_sight():
            self.refresh()
        else:
            for name in {before, key}:
                self._refresh_row(name)
        if before != key:
            self.post_message(self.CursorMoved(key))

    def move_by(self, rows: int) -> None:
        """Move the cursor up (negative) or down, stopping at the ends."""
        if self.keys:
            index = min(max(self.cursor_index + rows, 0), len(self.keys) - 1)
            self.move_cursor(self.keys[index])

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        index = self.top + y
        width = self.size.width
        if index >= len(self.keys):
            return Strip.blank(width, self._style(""))
        key = self.keys[index]
        strip = self._strips.get(key)
        if strip is None or strip.cell_length != width:
            strip = self._strips[key] = self._strip(self._rows[key], width)
        if key == self.cursor_key:
            cursor = self._style("fleet--cursor")
            strip = _highlighted(strip, cursor, self.background_colors[1])
        return strip.apply_offsets(0, y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, for copying."""
        lines = [_plain(self._rows[key]) for key in self.keys[self.top :]]
        return selection.extract("\n".join(lines)), "\n"

    def notify_style_update(self) -> None:
        """Forget strips of another theme."""
        super().notify_style_update()
        self._strips.clear()
        self._styles.clear()

    def on_resize(self, _: events.Resize) -> None:
        """Keep the cursor in sight."""
        self._strips.clear()
        self._bring_in_sight()

    def on_click(self, event: events.Click) -> None:
        """Choose the row; a double click opens it."""
        index = self.top + event.y
        if index < len(self.keys):
            self.move_cursor(self.keys[index])
            if event.chain == 2:
                self.post_message(self.Opened(self.cursor_key))

    def on_mouse_scroll_down(self) -> None:
        """Move down."""
        self.move_by(1)

    def on_mouse_scroll_up(self) -> None:
        """Move up."""
        self.move_by(-1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are rows."""
        return max(len(self.keys), 1)

    def _reorder(self, keys: list[str]) -> None:
        index = self.cursor_index
        # Where the table is as high as its rows, another number of them is another layout.
        layout = len(keys) != len(self.keys)
        self.keys = keys
        for key in self._rows.keys() - set(keys):
            del self._rows[key]
            self._strips.pop(key, None)
        before = self.cursor_key
        if before not in keys:
            # Its exchange is gone or filtered out: the row that took its place.
            self.cursor_key = keys[min(index, len(keys) - 1)] if keys else ""
        self._bring_in_sight()
        self.refresh(layout=layout)
        if self.cursor_key != before:
            self.post_message(self.CursorMoved(self.cursor_key))

    def _bring_in_sight(self) -> bool:
        """Scroll so that the cursor is in sight; True when that moved the rows."""
        height = max(self.size.height, 1)
        index, before = self.cursor_index, self.top
        self.top = min(self.top, max(len(self.keys) - height, 0))
        self.top = min(max(self.top, index - height + 1), index)
        return self.top != before

    def _refresh_row(self, key: str) -> None:
        if key in self.keys:
            y = self.keys.index(key) - self.top
            if 0 <= y < self.size.height:
                self.refresh(Region(0, y, self.size.width, 1))

    def _style(self, component: str) -> Style:
        """A style of the theme; the widget's own for the empty name."""
        style = self._styles.get(component)
        if style is None:
            style = self.get_component_rich_style(component) if component else self.rich_style
            self._styles[component] = style
        return style

    def _strip(self, row: Row, width: int) -> Strip:
        base, role = self._style(""), self._style(f"fleet--{row.role}")
        quiet = self._style("fleet--quiet")
        plain = quiet if row.role in ("ok", "closed", "old") else base
        bold = base + Style(bold=True)
        name = role if row.role in ("ok", "closed", "old") else bold
        segments = [Segment(row.mark, role)]
        for index, cell in enumerate(row.cells):
            if index == 1:
                # Its space stays plain, so that a coloured state is a block of its own.
                segments += [Segment(" ", plain), Segment(cell, role)]
                continue
            style = name if index == 0 else bold if index in row.hot else plain
            # Runs of one style are one run of bytes for the terminal.
            segments.append(Segment(cell if index == 0 else f" {cell}", style))
        return Strip(segments).adjust_cell_length(width, base).simplify()


def _highlighted(strip: Strip, cursor: Style, background: Color) -> Strip:
    """The strip with the cursor's background wherever it had the table's own."""
    plain = background.rich_color
    behind = Style(bgcolor=cursor.bgcolor, bold=cursor.bold, reverse=cursor.reverse)
    return Strip(
        [
            Segment(text, style + behind if style and style.bgcolor in (None, plain) else style)
            for text, style, _ in strip
        ],
        strip.cell_length,
    )


def _plain(row: Row) -> str:
    return row.mark + " ".join(row.cells)
