"""One gap in full: each step with its time, each part with its source, every note."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tickdeck_console.model.facts import Gap
from tickdeck_console.text import safe
from tickdeck_console.widgets.gap_detail import full_detail


class GapBox(ModalScreen[None]):
    """Scrolls; any of Esc, q and Enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", show=False),
    ]

    def __init__(self, gap: Gap) -> None:
        """Show a gap as it is now."""
        super().__init__()
        self._gap = gap

    def compose(self) -> ComposeResult:
        """Title and detail."""
        with Vertical(classes="box"):
            title = f"Gap {safe(self._gap.exchange)}-{self._gap.id}"
            yield Static(title, classes="title", markup=False)
            with VerticalScroll(classes="gap"):
                yield Static(full_detail(self._gap), markup=False)
