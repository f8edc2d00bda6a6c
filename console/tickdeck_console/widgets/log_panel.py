"""Tab `logs`: the newest lines of the workers' logs, as they are written."""

import asyncio
from collections import deque

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.errors import CommandError
from tickdeck_console.model.frame import Exchange
from tickdeck_console.model.logline import LogLine, parse
from tickdeck_console.widgets.panel import Panel

KEPT = 500
"""Lines held for all workers of the exchange together."""
PAST = 100
"""Lines of the past per worker."""


class LogPanel(Panel):
    """Logs of all workers of the exchange, in order of time."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without lines."""
        super().__init__(desk, id=id)
        self._lines: deque[tuple[str, LogLine]] = deque(maxlen=KEPT)
        self._tails: list[asyncio.Task[None]] = []
        self._followed = ""

    async def fetch(self, key: str) -> None:
        """Follow the logs of the exchange's workers, unless that is done already."""
        if key == self._followed and any(not tail.done() for tail in self._tails):
            return
        workers = await self.desk.plant.workers(key)
        self.forget()
        self._followed = key
        loop = asyncio.get_running_loop()
        self._tails = [loop.create_task(self._tail(w.key, w.kind)) for w in workers]

    def forget(self) -> None:
        """Stop following."""
        for tail in self._tails:
            tail.cancel()
        self._tails = []
        self._lines.clear()
        self._followed = ""

    def on_unmount(self) -> None:
        """Stop following."""
        self.forget()

    def content(self, exchange: Exchange) -> Content:
        """The newest lines, newest last, scrolled to the end."""
        if not self._lines:
            return Content.styled("\n No line yet.", "$quiet")
        at_end = self.scroll_offset.y >= self.max_scroll_y - 1
        if at_end:
            self.call_after_refresh(self.scroll_end, animate=False)
        # Lines without a time stay where they arrived: after the ones before them.
        ordered = sorted(self._lines, key=lambda entry: (entry[1].stamp or "~", entry[0]))
        return Content("\n").join([_content(kind, line) for kind, line in ordered])

    async def _tail(self, worker: str, kind: str) -> None:
        try:
            async for lines in self.desk.plant.log(worker, PAST):
                self._lines.extend((kind, parse(line)) for line in lines)
        except CommandError as error:
            self._lines.append((kind, LogLine("", "ERROR", text.safe(error.message))))


def _content(kind: str, line: LogLine) -> Content:
    style = "bold $degraded" if line.error else "$quiet"
    return Content.assemble(
        (f" {line.time:<12} ", "$quiet"),
        f"{text.fit(text.safe(kind), 5)} ",
        (f"{line.level:<5} ", style),
        (line.message, "bold" if line.error else ""),
    )
