"""The console on a made-up plant whose time stands still unless a test moves it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from textual.command import CommandList
from textual.pilot import Pilot
from textual.screen import Screen

from tickdeck_console.app import TickdeckApp
from tickdeck_console.feed.fake import START, Step, Timeline, timeline
from tickdeck_console.feed.fake_plant import FakePlant
from tickdeck_console.feed.world import EPOCH_NS, World
from tickdeck_console.model.frame import Frame
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.fleet import FleetScreen
from tickdeck_console.widgets.fleet_table import FleetTable

WAIT_S = 120.0
"""How long a test waits at most for what must come; never how long it should take."""


async def eventually(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the console go on until a condition holds."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true"
        await pilot.pause(0.02)


class StillClock:
    """Both clocks stand at `now_s` of the made-up plant."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_ns(self) -> int:
        return EPOCH_NS + int(self.now_s * 1e9)


class SilentFeed:
    """Frames come from the test alone."""

    def __init__(self) -> None:
        self.reconnects = 0

    async def frames(self) -> AsyncIterator[Frame]:
        await asyncio.Event().wait()
        for frame in ():
            yield frame

    def reconnect(self) -> None:
        self.reconnects += 1


@dataclass
class Bench:
    """A console, its plant and its clock."""

    script: tuple[Step, ...] = START
    exchanges: int = 15
    seed: int = 7
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.clock = StillClock()
        self.feed = SilentFeed()
        self.world = World(self.seed, self.exchanges)
        self.plant = FakePlant(self.world)
        self.app = TickdeckApp(
            feed=self.feed,
            plant=self.plant,
            clock=self.clock,
            slow_s=float("inf"),  # this clock jumps
            **self.options,
        )
        self._timeline: Timeline = timeline(self.world, self.script, float("inf"))
        self._held: tuple[float, Frame] | None = None

    @property
    def fleet(self) -> FleetScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, FleetScreen)
        return screen

    @property
    def table(self) -> FleetTable:
        return self.fleet.table

    @property
    def exchange(self) -> ExchangeScreen:
        screen = self.app.screen
        assert isinstance(screen, ExchangeScreen)
        return screen

    def play(self, until_s: float) -> None:
        """Let the script run and take its frames, up to a time of the plant."""
        for time_s, frame in self._frames(until_s):
            self.clock.now_s = max(self.clock.now_s, time_s)
            self.app.receive(frame)
        self.clock.now_s = max(self.clock.now_s, until_s)

    def wait(self, seconds: float) -> None:
        """Let time pass without a frame."""
        self.clock.now_s += seconds

    def text(self) -> str:
        """What is on screen, as plain text."""
        lines = self.app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
        return "\n".join(strip.text.rstrip() for strip in lines)

    def colors(self) -> set[tuple[int, int, int]]:
        """Every colour on screen."""
        lines = self.app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
        styles = [style for strip in lines for _, style, _ in strip if style is not None]
        both = (color for style in styles for color in (style.color, style.bgcolor))
        found = (color.get_truecolor() for color in both if color is not None)
        return {(color.red, color.green, color.blue) for color in found}

    def shows(self, kind: type[Screen[Any]]) -> Callable[[], bool]:
        """Whether a screen of that kind is on top, with its widgets."""

        def shown() -> bool:
            screen = self.app.screen
            return isinstance(screen, kind) and screen.is_mounted and bool(screen.query("*"))

        return shown

    async def pick(self, pilot: Pilot[None], typed: str, offered: str) -> None:
        """Type into the palette, and take its first offer once that is the one meant."""
        await pilot.press("colon")
        await eventually(pilot, lambda: bool(self.app.screen.query(CommandList)))
        await pilot.press(*typed)
        found = self.app.screen.query_one(CommandList)

        def is_first() -> bool:
            chosen = found.highlighted == 0 and found.get_option_at_index(0)
            return bool(chosen) and offered in str(chosen.prompt)

        await eventually(pilot, is_first)
        await pilot.press("enter")

    async def settle(self, pilot: Pilot[None]) -> None:
        """Draw everything now, and wait until it is drawn."""
        self.app.flush()
        await pilot.pause()
        self.app.flush()  # what was laid out only now
        await pilot.pause()

    def _frames(self, until_s: float) -> Iterable[tuple[float, Frame]]:
        if self._held is not None:
            if self._held[0] > until_s:
                return
            yield self._held
            self._held = None
        # The made-up plant goes on while its link is cut, so the time of the world decides.
        while self.world.time_s < until_s:
            entry = self._next(until_s)
            if entry is None:
                return
            yield entry

    def _next(self, until_s: float) -> tuple[float, Frame] | None:
        entry = next(self._timeline)
        if entry[0] > until_s:
            self._held = entry
            return None
        return entry
