"""A text that is drawn again only when it changes, and laid out only when its height does."""

from textual.content import Content
from textual.widgets import Static


class Block(Static):
    """Lines of text.

    Textual lays the whole screen out again for each update of a `Static`; four times a second that
    costs more than the drawing.
    """

    DEFAULT_CSS = "Block { text-wrap: nowrap; text-overflow: clip; height: auto; }"

    def __init__(
        self,
        content: Content | None = None,
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """Begin with a text, or empty."""
        self._shown = content if content is not None else Content("")
        super().__init__(self._shown, markup=False, id=id, classes=classes)

    def show(self, content: Content) -> None:
        """Show another text."""
        if self._shown.is_same(content):
            return
        height = self._shown.plain.count("\n")
        self._shown = content
        self.update(content, layout=content.plain.count("\n") != height)


class Line(Block):
    """One line of text."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"
