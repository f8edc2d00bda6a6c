"""What the live screens have in common."""

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tickdeck_console.desk import Desk
from tickdeck_console.keys import Key, Scope, keys_of
from tickdeck_console.model.severity import Freshness
from tickdeck_console.widgets.block import Line
from tickdeck_console.widgets.lines import (
    banner_lines,
    cause_line,
    counts_line,
    footer_line,
    status_line,
)


def bindings(scope: Scope) -> list[BindingType]:
    """The bindings of one scope, made from the table of keys."""
    return [_binding(key) for key in keys_of(scope) if key.key]


class LiveScreen(Screen[None]):
    """A screen that follows the plant.

    The app calls `draw` when something changed and `tick` twice a second; a screen that is not
    on top is left alone and draws itself whole when it comes back.
    """

    SCOPE: ClassVar[Scope]
    AUTO_FOCUS = None

    def __init__(self, desk: Desk) -> None:
        """Look at a desk."""
        super().__init__()
        self.desk = desk
        self._ready = False

    def on_mount(self) -> None:
        """The widgets exist from now on."""
        self._ready = True

    def draw(self, dirty: Iterable[str] | None = None) -> None:
        """Show what changed: the named exchanges, or everything."""
        # A frame may come before the first layout, or while the screen is taken down.
        if self._ready:
            self.paint(dirty)

    def leave(self) -> None:
        """The screen is about to be taken down: draw no more."""
        self._ready = False

    def paint(self, dirty: Iterable[str] | None) -> None:
        """Fill the widgets; called only while they exist."""
        raise NotImplementedError

    def tick(self) -> None:
        """Let ages count on."""
        self.draw(())

    def on_screen_resume(self) -> None:
        """Catch up."""
        self.draw()

    def on_resize(self, _: events.Resize) -> None:
        """Lay out for the new size."""
        self.call_after_refresh(self.draw)

    def draw_head(self, where: str = "") -> None:
        """Lines 1 to 3 and the footer."""
        cells = self.size.width
        self.query_one("#status", Line).show(status_line(self.desk, cells, where))
        if self.desk.freshness >= Freshness.STALE:
            second, third = banner_lines(self.desk, cells)
        else:
            second, third = counts_line(self.desk, cells), cause_line(self.desk, cells)
        self.query_one("#second", Line).show(second)
        self.query_one("#third", Line).show(third)
        self.query_one("#keys", Line).show(footer_line(self.SCOPE, cells))


def _binding(key: Key) -> Binding:
    return Binding(key.key, key.action, key.text, show=False, id=key.id)
