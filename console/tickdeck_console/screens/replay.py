"""The progress of one replay."""

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tickdeck_console import text
from tickdeck_console.errors import CommandError
from tickdeck_console.messages import Plant
from tickdeck_console.model.facts import Replay, ReplayState
from tickdeck_console.widgets.texts import Part, heading

BAR_CELLS = 40
STATE_STYLES = {
    ReplayState.RUNNING: "bold $recovering",
    ReplayState.DONE: "$good",
    ReplayState.STOPPED: "$closed",
    ReplayState.FAILED: "bold $down-text on $down-back",
    ReplayState.UNKNOWN: "bold $stale",
}


class ReplayBox(ModalScreen[None]):
    """Follows a replay; leaving it does not stop it."""

    AUTO_FOCUS = "#close"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, plant: Plant, replay: Replay) -> None:
        """Follow a replay."""
        super().__init__()
        self._plant = plant
        self._replay = replay
        self._watch: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Progress and buttons."""
        with Vertical(classes="box"):
            yield Static(f"Replay {text.safe(self._replay.key)}", classes="title", markup=False)
            yield Static(progress(self._replay), id="progress", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Close, let it run", id="close", compact=True)
                yield Button("Stop the replay", id="stop", compact=True)

    def on_mount(self) -> None:
        """Begin to follow."""
        self._watch = asyncio.get_running_loop().create_task(self._follow())

    def on_unmount(self) -> None:
        """End the stream."""
        if self._watch:
            self._watch.cancel()

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss()

    @on(Button.Pressed, "#stop")
    async def _stop(self) -> None:
        try:
            self._show(await self._plant.stop_replay(self._replay.key, "stopped in the console"))
        except CommandError as error:
            self.notify(text.safe(str(error)), severity="error", markup=False)

    async def _follow(self) -> None:
        try:
            async for replay in self._plant.watch_replay(self._replay.key):
                self._show(replay)
        except CommandError as error:
            self.notify(text.safe(str(error)), severity="error", markup=False)

    def _show(self, replay: Replay) -> None:
        self._replay = replay
        if not self.is_mounted:
            return
        self.query_one("#progress", Static).update(progress(replay))
        ended = replay.state is not ReplayState.RUNNING
        self.query_one("#stop", Button).disabled = ended
        if ended:
            self.query_one("#close", Button).label = "Close"


def progress(replay: Replay) -> Content:
    """State, bar and counts."""
    parts: list[Part] = [heading("STATE"), (replay.state.value, STATE_STYLES[replay.state]), "\n"]
    if replay.error:
        parts += [heading("ERROR"), (text.safe(replay.error), "bold $degraded"), "\n"]
    pace = "as fast as possible" if not replay.speed else f"speed {replay.speed:g}"
    parts += [heading("FROM"), f"{text.safe(replay.source)}\n"]
    parts += [heading("TO"), f"{text.safe(replay.target)}   {pace}\n"]
    parts += [heading("SENT"), f"{text.grouped(replay.packets)} packets   "]
    parts += [f"{text.grouped(replay.messages)} messages\n"]
    until = f" of {text.grouped(replay.to_seq)}" if replay.to_seq else ""
    parts += [heading("POSITION"), f"{text.grouped(replay.position)}{until}\n"]
    done = replay.progress
    if done is not None:
        cells = round(done * BAR_CELLS)
        parts += [heading("DONE"), ("#" * cells, "$good"), ("." * (BAR_CELLS - cells), "$rule")]
        parts.append(f" {done * 100:.0f}%\n")
    return Content.assemble(*parts)
