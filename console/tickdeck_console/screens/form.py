"""A form: labelled fields, an error line, and a check before it closes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tickdeck_console.text import safe


@dataclass(frozen=True, slots=True)
class Field:
    """One field; the label may hold a line of its own above it."""

    id: str
    label: str
    value: str = ""
    placeholder: str = ""
    above: str = ""
    """A line of explanation over the field."""


Values = dict[str, str]
Check = Callable[[Values], Awaitable[str]]
"""Looks at the values; returns what is wrong, or an empty text."""


class FormBox(ModalScreen[Values | None]):
    """Ends with the values once the check finds nothing wrong, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(
        self, title: str, fields: tuple[Field, ...], next_label: str, check: Check
    ) -> None:
        """Show fields; `check` runs when the form is sent."""
        super().__init__()
        self._title = title
        self._fields = fields
        self._next_label = next_label
        self._check = check

    def compose(self) -> ComposeResult:
        """Fields, error line, buttons."""
        with Vertical(classes="box"):
            yield Static(self._title, classes="title", markup=False)
            for field in self._fields:
                if field.above:
                    yield Static(field.above, classes="label", markup=False)
                with Horizontal(classes="field"):
                    yield Static(field.label, classes="field-label", markup=False)
                    yield Input(
                        value=field.value, placeholder=field.placeholder, id=field.id, compact=True
                    )
            yield Static("", id="error", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(self._next_label, id="next", compact=True)

    @property
    def values(self) -> Values:
        """What the fields hold."""
        return {
            field.id: self.query_one(f"#{field.id}", Input).value.strip() for field in self._fields
        }

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        if message.input.id == self._fields[-1].id:
            self._send()
        else:
            self.focus_next()

    @on(Button.Pressed, "#next")
    def _send(self) -> None:
        self.run_worker(self._checked(), exclusive=True)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Give up."""
        self.dismiss(None)

    async def _checked(self) -> None:
        error = self.query_one("#error", Static)
        error.update("asking the daemon ...")
        values = self.values
        wrong = await self._check(values)
        if wrong:
            error.update("\n".join(safe(line) for line in wrong.splitlines()))
        else:
            self.dismiss(values)
