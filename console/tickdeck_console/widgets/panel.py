"""What the tabs of the exchange screen have in common."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from tickdeck_console.desk import Desk
from tickdeck_console.errors import CommandError
from tickdeck_console.model.frame import Exchange
from tickdeck_console.text import age, safe
from tickdeck_console.widgets.block import Block


class Panel(VerticalScroll, can_focus=False):
    """One tab: what it shows of the stream, and what it fetches itself once a second."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Look at a desk."""
        super().__init__(id=id)
        self.desk = desk
        self._fetched_for = ""
        self._error = ""

    def compose(self) -> ComposeResult:
        """A text; panels with more override this."""
        yield Block(classes="panel-text")

    def content(self, exchange: Exchange) -> Content:
        """The text of the panel."""
        raise NotImplementedError

    def draw(self, exchange: Exchange) -> None:
        """Show the exchange as it is now."""
        body = self.content(exchange)
        if self.desk.freshness.old:
            # No colour may claim that anything is so now.
            body = Content.styled(f"\n ? as it was, {self._age()} ago\n{body.plain}", "$quiet")
        if self._error:
            body = Content.styled(f" {safe(self._error)}\n\n", "bold $stale") + body
        self.query_one(".panel-text", Block).show(body)

    def _age(self) -> str:
        age_s = self.desk.state.stream_age_s(self.desk.now_s)
        return age(age_s) if age_s is not None else "some time"

    async def fetch(self, key: str) -> None:
        """Ask the plant for what the stream does not carry; most panels need nothing."""

    async def refreshed(self, key: str) -> None:
        """Fetch, and keep the error to show instead of the data."""
        if key != self._fetched_for:
            self._fetched_for = key
            self.forget()
        try:
            await self.fetch(key)
            self._error = ""
        except CommandError as error:
            self._error = error.message

    def forget(self) -> None:
        """Drop what was fetched: another exchange is shown."""

    def move(self, rows: int) -> None:
        """Scroll, or move a cursor."""
        self.scroll_relative(y=rows, animate=False)
