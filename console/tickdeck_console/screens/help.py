"""The help: every key by group, from the one table."""

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tickdeck_console.keys import KEYS, Key, Scope
from tickdeck_console.model.frame import Health
from tickdeck_console.model.severity import MARKS, WORDS
from tickdeck_console.widgets.lines import STYLES
from tickdeck_console.widgets.texts import Part

_MEANINGS = {
    Health.OK: "transport up, data ok",
    Health.RECOVERING: "a gap is open and recovery moves, or a book catches up",
    Health.DEGRADED: "loss on one line, slow, or near a limit; the books are valid",
    Health.DOWN: "books invalid, or no data in session",
    Health.STALE: "no fresh fact",
    Health.CLOSED: "stopped by an operator, or the session has ended",
}


class HelpBox(ModalScreen[None]):
    """Scrolls; any of Esc, q and ? closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Marks, then keys."""
        with Vertical(classes="box tall"):
            yield Static("Keys and marks", classes="title", markup=False)
            with VerticalScroll():
                yield Static(help_content(), markup=False)


def help_content() -> Content:
    """All keys by group, and what the marks mean."""
    parts: list[Part] = []
    for group, keys in groupby(sorted(KEYS, key=_place), key=lambda key: key.group):
        parts.append((f" {group}\n", "bold $quiet"))
        for key in keys:
            where = "" if key.scope is Scope.EVERYWHERE else f"  ({key.scope.value})"
            shown = key.shown or ":" + key.label
            parts += [(f"  {shown:<11}", "bold $key"), f" {key.text}", (where, "$quiet"), "\n"]
    parts.append(("\n Marks\n", "bold $quiet"))
    for health, meaning in _MEANINGS.items():
        label = f"{MARKS[health]} {WORDS[health]:<8}"
        parts += ["  ", (label, STYLES[health]), f"  {meaning}\n"]
    parts.append("\n Values in ( ) are old: the console is cut off from the daemon.\n")
    return Content.assemble(*parts)


def _place(key: Key) -> int:
    groups = list(dict.fromkeys(entry.group for entry in KEYS))
    return groups.index(key.group)
