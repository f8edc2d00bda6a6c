"""The box that stands before every change of the plant.

It shows the effects that the daemon's dry run told, and starts on Cancel. For what destroys, the
name is typed and a reason given before the other button can be pressed.
"""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tickdeck_console.keys import Level
from tickdeck_console.text import safe


@dataclass(frozen=True, slots=True)
class Question:
    """What is about to be done."""

    title: str
    verb: str
    """On the button, such as `Remove XEUR`."""
    effects: tuple[str, ...]
    level: Level = Level.CHANGE
    typed: str = ""
    """The name to type, for `Level.DESTROY`."""


class ConfirmBox(ModalScreen[str | None]):
    """Ends with the reason, which may be empty below `Level.DESTROY`, or with None."""

    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("left,right", "other", show=False),
    ]

    def __init__(self, question: Question) -> None:
        """Ask a question."""
        super().__init__()
        self._question = question

    @property
    def _destroys(self) -> bool:
        return self._question.level >= Level.DESTROY

    def compose(self) -> ComposeResult:
        """Effects, inputs, buttons."""
        question = self._question
        effects = "\n".join(f" - {safe(effect)}" for effect in question.effects) or " - nothing"
        with Vertical(classes="box"):
            yield Static(safe(question.title), classes="title", markup=False)
            yield Static("Effect (dry run by the daemon):", classes="label", markup=False)
            with VerticalScroll(classes="effects", can_focus=False):
                yield Static(effects, markup=False)
            if self._destroys:
                yield Static("Type the name to go on, and why:", classes="label", markup=False)
                with Horizontal(classes="inputs"):
                    yield Input(placeholder=safe(question.typed), id="typed", compact=True)
                    yield Input(placeholder="reason", id="reason", compact=True)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(safe(question.verb), id="go", compact=True, disabled=self._destroys)

    @on(Input.Changed)
    def _typed(self) -> None:
        name = self.query_one("#typed", Input).value.strip()
        reason = self.query_one("#reason", Input).value.strip()
        unlocked = name == self._question.typed and bool(reason)
        self.query_one("#go", Button).disabled = not unlocked

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.focus_next()

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        reason = self.query_one("#reason", Input).value.strip() if self._destroys else ""
        self.dismiss(reason)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Do nothing."""
        self.dismiss(None)

    def action_other(self) -> None:
        """Go to the other button."""
        if isinstance(self.focused, Button):
            self.focus_next(Button)
