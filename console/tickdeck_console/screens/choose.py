"""A small menu in which a letter picks."""

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tickdeck_console.text import safe


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the menu."""

    letter: str
    label: str
    value: str


class ChooseBox(ModalScreen[str | None]):
    """Ends with the chosen value, or None.

    Args:
        title: What is chosen.
        choices: In order.
        current: The value under the cursor at first.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]

    def __init__(self, title: str, choices: list[Choice], current: str = "") -> None:
        """Take the choices."""
        super().__init__()
        self._title = title
        self._choices = choices
        self._current = current

    def compose(self) -> ComposeResult:
        """The title and the choices."""
        options = [Option(_prompt(choice), choice.value) for choice in self._choices]
        with Vertical(classes="box narrow"):
            yield Static(self._title, classes="title", markup=False)
            yield OptionList(*options, compact=True, markup=False)

    def on_mount(self) -> None:
        """Put the cursor on the current value."""
        values = [choice.value for choice in self._choices]
        menu = self.query_one(OptionList)
        menu.highlighted = values.index(self._current) if self._current in values else 0
        menu.focus()

    def on_key(self, event: events.Key) -> None:
        """A letter picks."""
        for choice in self._choices:
            if event.character == choice.letter:
                event.stop()
                self.dismiss(choice.value)
                return

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter picks the line under the cursor."""
        self.dismiss(event.option.id)

    def action_cancel(self) -> None:
        """Choose nothing."""
        self.dismiss(None)


def _prompt(choice: Choice) -> Content:
    return Content.assemble((f" {choice.letter} ", "bold $key"), safe(choice.label))
