"""Plain lists of the plant: events, replays, workers."""

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.errors import CommandError
from tickdeck_console.keys import Scope
from tickdeck_console.model.facts import Replay, Worker
from tickdeck_console.screens.base import LiveScreen, bindings
from tickdeck_console.widgets.block import Block, Line
from tickdeck_console.widgets.lines import (
    utc,
)

FETCH_INTERVAL_S = 1.0
TITLES = {
    "events": "Events, newest first",
    "replays": "Replays, newest first",
    "workers": "Workers",
}


class ListScreen(LiveScreen):
    """One list, by its kind: `events`, `replays` or `workers`."""

    SCOPE = Scope.LIST
    BINDINGS: ClassVar[list[BindingType]] = bindings(Scope.LIST)

    class Left(Message):
        """Back to the fleet."""

    class OpenReplay(Message):
        """Show a replay."""

        def __init__(self, replay: Replay) -> None:
            """Name the replay."""
            super().__init__()
            self.replay = replay

    def __init__(self, desk: Desk, kind: str) -> None:
        """Show the list called `kind`."""
        super().__init__(desk)
        self.kind = kind
        self._replays: tuple[Replay, ...] = ()
        self._workers: tuple[Worker, ...] = ()
        self._cursor = 0
        self._error = ""
        self._fetch_task: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Head, list, keys."""
        yield Line(id="status")
        yield Line(id="second")
        yield Line(id="third")
        with VerticalScroll(id="list", can_focus=False):
            yield Block(id="rows")
        yield Line(id="keys")

    def on_mount(self) -> None:
        """Fetch what the stream does not carry."""
        if self.kind != "events":
            self.set_interval(FETCH_INTERVAL_S, self.fetch)
            self.fetch()

    def leave(self) -> None:
        """Also stop fetching."""
        super().leave()
        if self._fetch_task:
            self._fetch_task.cancel()

    def paint(self, dirty: Iterable[str] | None) -> None:
        """Draw the list."""
        del dirty  # a list is short: it is drawn whole
        self.draw_head(TITLES[self.kind])
        self.query_one("#rows", Block).show(self._content())

    def fetch(self) -> None:
        """Ask the plant, unless it is being asked."""
        running = self._fetch_task is not None and not self._fetch_task.done()
        if not running and self.is_current and not self.desk.freshness.old:
            self._fetch_task = asyncio.get_running_loop().create_task(self._fetch())

    def action_move(self, rows: int) -> None:
        """Move the cursor, or scroll."""
        if self.kind == "replays":
            self._cursor = min(max(self._cursor + rows, 0), max(len(self._replays) - 1, 0))
            self.draw()
        else:
            self.query_one("#list").scroll_relative(y=rows, animate=False)

    def action_show(self) -> None:
        """Show the replay under the cursor."""
        if self.kind == "replays" and self._replays:
            self.post_message(self.OpenReplay(self._replays[self._cursor]))

    def action_back(self) -> None:
        """Back to the fleet."""
        self.post_message(self.Left())

    async def _fetch(self) -> None:
        try:
            if self.kind == "replays":
                self._replays = await self.desk.plant.replays()
            else:
                self._workers = await self.desk.plant.workers("")
            self._error = ""
        except CommandError as error:
            self._error = error.message
        self.draw()

    def _content(self) -> Content:
        if self._error:
            return Content.styled(f"\n {text.safe(self._error)}", "bold $stale")
        lines = {
            "events": self._event_lines,
            "replays": self._replay_lines,
            "workers": self._worker_lines,
        }[self.kind]()
        if not lines:
            return Content.styled("\n  None yet.", "$quiet")
        header, *rows = lines
        parts = [(f" {header}\n", "bold $quiet"), *((f" {row}\n", "") for row in rows)]
        return Content.assemble(*parts)

    def _event_lines(self) -> list[str]:
        events = list(reversed(self.desk.state.events))
        rows = [
            (
                utc(event.time_ns),
                text.safe(event.kind),
                text.safe(event.resource),
                text.safe(event.message),
                text.safe(event.actor),
            )
            for event in events
        ]
        return text.table(("TIME", "WHAT", "WHERE", "MESSAGE", "BY"), rows, left=5) if rows else []

    def _replay_lines(self) -> list[str]:
        rows = [
            (
                (">" if index == self._cursor else " ") + text.safe(replay.key),
                replay.state.value,
                text.safe(replay.source),
                text.safe(replay.target),
                "-" if replay.progress is None else f"{replay.progress * 100:.0f}%",
                text.grouped(replay.messages),
            )
            for index, replay in enumerate(self._replays)
        ]
        titles = (" REPLAY", "STATE", "SOURCE", "TARGET", "DONE", "MESSAGES")
        return text.table(titles, rows, left=4) if rows else []

    def _worker_lines(self) -> list[str]:
        rows = [
            (
                text.safe(worker.key),
                text.safe(worker.kind),
                text.safe(worker.state),
                str(worker.pid or "-"),
                str(worker.core) if worker.core >= 0 else "-",
                str(worker.restarts),
                text.size(worker.resident_octets) if worker.resident_octets else "-",
                text.age(worker.heartbeat_age_ns / 1e9),
                "adopted" if worker.adopted else "",
                text.safe(worker.last_exit),
            )
            for worker in self._workers
        ]
        titles = ("WORKER", "KIND", "STATE", "PID", "CORE", "RESTARTS", "RSS", "BEAT")
        return text.table((*titles, "", "LAST EXIT"), rows, left=3, tail=2) if rows else []
