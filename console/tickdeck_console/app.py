"""The console: feed in, screens out.

The feed's frames change the state and nothing else. Screens are drawn at most twenty times a
second, at once when a state changed, and only where something changed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.timer import Timer

from tickdeck_console import text
from tickdeck_console.deferred import live_feed, live_plant
from tickdeck_console.desk import Desk, SystemClock
from tickdeck_console.keys import Scope
from tickdeck_console.messages import Clock, Feed, Plant
from tickdeck_console.model.facts import Gap
from tickdeck_console.model.frame import Frame, Health
from tickdeck_console.model.order import SORTS
from tickdeck_console.model.reducer import Outage, apply
from tickdeck_console.operations import OperatorApp
from tickdeck_console.palette import CommandProvider
from tickdeck_console.screens.base import LiveScreen, bindings
from tickdeck_console.screens.choose import Choice, ChooseBox
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.fleet import FleetScreen
from tickdeck_console.screens.gap import GapBox
from tickdeck_console.screens.help import HelpBox
from tickdeck_console.screens.lists import ListScreen
from tickdeck_console.screens.replay import ReplayBox
from tickdeck_console.screens.travel import TravelScreen
from tickdeck_console.summary import summary
from tickdeck_console.target import default_target
from tickdeck_console.themes import OPS_DARK, THEMES

FLUSH_S = 0.05
"""Least time between two draws."""
TICK_S = 0.5
"""How often ages count on."""
SLOW_S = 0.25
"""Lateness of a tick from which the console says that it lags."""
WELCOME_S = 1.0
"""How long after a reconnect missed events are gathered before they are counted."""


class TickdeckApp(OperatorApp, inherit_bindings=False):
    """The whole console.

    Args:
        target: Where the daemon is; `default_target()` when absent.
        feed: Where frames come from; the daemon when absent.
        plant: What may be asked and done; the daemon when absent.
        clock: Frozen in tests.
        ascii_only: No block characters.
        quiet: No bell.
        theme_name: One of `themes`.
        slow_s: Lateness from which the console says that it lags.
    """

    CSS_PATH = "app.tcss"
    TITLE = "tickdeck"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {CommandProvider}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Scope.EVERYWHERE),
        # Raw mode eats the interrupt: say how to leave instead of ignoring it.
        Binding("ctrl+c", "help_quit", show=False, system=True),
    ]

    def __init__(
        self,
        target: str | None = None,
        *,
        feed: Feed | None = None,
        plant: Plant | None = None,
        clock: Clock | None = None,
        ascii_only: bool = False,
        quiet: bool = False,
        theme_name: str = "ops-dark",
        slow_s: float = SLOW_S,
    ) -> None:
        """Nothing is connected before the app runs."""
        super().__init__()
        target = target or default_target()
        self.feed: Feed = feed or live_feed(target)
        acting: Plant = plant or live_plant(target)
        self.desk = Desk(acting, clock or SystemClock(), target, ascii_only)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = theme_name
        self._quiet = quiet
        self._slow_s = slow_s
        self._dirty: set[str] | None = set()
        self._flush_timer: Timer | None = None
        self._flushed_s = float("-inf")
        self._ticked_s: float | None = None
        self._rung: set[tuple[str, int]] = set()

    def get_default_screen(self) -> Screen[None]:
        """The fleet."""
        return FleetScreen(self.desk)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of our own for themes that lack them."""
        return OPS_DARK.variables

    def on_mount(self) -> None:
        """Begin to follow the feed."""
        self.set_interval(TICK_S, self._tick)
        # The first picture does not wait for the connection and its libraries.
        self.call_after_refresh(lambda: self.run_worker(self._follow(), name="feed"))

    async def _follow(self) -> None:
        async for frame in self.feed.frames():
            self.receive(frame)

    def receive(self, frame: Frame) -> None:
        """Take one frame: fold it into the state and see to it that it is drawn."""
        changes = apply(self.desk.state, frame, self.desk.now_s)
        if self._dirty is not None:
            self._dirty |= changes.dirty | changes.removed
        self._ring(changes.dirty)
        if changes.outage:
            outage = changes.outage
            self.set_timer(WELCOME_S, lambda: self._welcome(outage))
        if changes.urgent:
            self._dirty = None
        if changes.urgent or changes.dirty or changes.totals or changes.events:
            self._draw_soon()

    def flush(self) -> None:
        """Draw what changed, now."""
        if not self.is_running:
            return
        if self._flush_timer:
            self._flush_timer.stop()
            self._flush_timer = None
        self._flushed_s = self.desk.now_s
        dirty, self._dirty = self._dirty, set()
        screen = self._live_screen()
        if screen is not None:
            screen.draw(dirty)

    @property
    def selected_key(self) -> str:
        """The exchange shown, or the one under the cursor."""
        screen = self._live_screen()
        if isinstance(screen, ExchangeScreen | TravelScreen):
            return screen.key
        return self.desk.selected

    @property
    def selected_gap(self) -> Gap | None:
        """The gap under the cursor of the gap tab, when that is shown."""
        screen = self._live_screen()
        return screen.gap if isinstance(screen, ExchangeScreen) else None

    def action_next_problem(self, step: int) -> None:
        """Go to the next or previous problem, on whatever screen."""
        screen = self._live_screen()
        if isinstance(screen, ExchangeScreen):
            key = self.desk.neighbour(screen.key, step)
        else:
            key = self.desk.neighbour(self.desk.selected, step)
        if not key:
            self.tell("No problem.")
        elif isinstance(screen, ExchangeScreen):
            screen.show(key)
        else:
            self.action_fleet()
            self._fleet.choose(key)

    def action_hold(self) -> None:
        """Hold the view, or let it go on."""
        self.desk.hold()
        self._dirty = None
        self.flush()

    def action_fleet(self) -> None:
        """Back to the fleet."""
        while len(self.screen_stack) > 1:
            if isinstance(self.screen, LiveScreen):
                self.screen.leave()
            self.pop_screen()

    def action_list(self, kind: str) -> None:
        """Show a list."""
        self.action_fleet()
        self.push_screen(ListScreen(self.desk, kind))

    def action_open_exchange(self, key: str) -> None:
        """Show an exchange."""
        self.action_fleet()
        self._fleet.choose(key)
        self.push_screen(ExchangeScreen(self.desk, key))

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(HelpBox())

    def action_reconnect(self) -> None:
        """Try the daemon again now."""
        self.feed.reconnect()

    def action_copy(self) -> None:
        """Copy a summary, also to a file, since not every terminal takes it."""
        content = summary(self.desk, self.selected_key)
        self.copy_to_clipboard(content)
        path = self._write("summary", "txt", content)
        self.tell(f"Summary copied, and written to {path}" if path else "Summary copied.")

    def action_save(self) -> None:
        """Save the screen as a picture."""
        path = self._write("screen", "svg", self.export_screenshot(title=self.TITLE))
        if path:
            self.tell(f"Screen saved as {path}")

    @on(FleetScreen.OpenExchange)
    def _open(self, message: FleetScreen.OpenExchange) -> None:
        self.action_open_exchange(message.key)

    @on(FleetScreen.SortAsked)
    def _sort_asked(self) -> None:
        choices = [Choice(sort.letter, sort.name, sort.name) for sort in SORTS]
        menu = ChooseBox("Sort by", choices, self.desk.sort.name)
        self.push_screen(menu, self._fleet.sort_by)

    @on(ExchangeScreen.Travel)
    def _travel(self, message: ExchangeScreen.Travel) -> None:
        self.push_screen(TravelScreen(self.desk, message.key, message.symbol))

    @on(TravelScreen.GoAsked)
    def _go_asked(self) -> None:
        if isinstance(self.screen, TravelScreen):
            self.push_screen(self.screen.form(), self.screen.go)

    @on(TravelScreen.Left)
    def _back_from_travel(self) -> None:
        if isinstance(self.screen, TravelScreen):
            self.screen.leave()
            self.pop_screen()

    @on(ExchangeScreen.Left)
    @on(ListScreen.Left)
    def _back(self) -> None:
        self.action_fleet()

    @on(ExchangeScreen.OpenGap)
    def _open_gap(self, message: ExchangeScreen.OpenGap) -> None:
        self.push_screen(GapBox(message.gap))

    @on(ListScreen.OpenReplay)
    def _open_replay(self, message: ListScreen.OpenReplay) -> None:
        self.push_screen(ReplayBox(self.desk.plant, message.replay))

    @property
    def _fleet(self) -> FleetScreen:
        fleet = self.screen_stack[0]
        assert isinstance(fleet, FleetScreen), "the fleet is the first screen"
        return fleet

    def _live_screen(self) -> LiveScreen | None:
        """The topmost screen that follows the plant; dialogs lie above it."""
        live = (screen for screen in reversed(self.screen_stack) if isinstance(screen, LiveScreen))
        return next(live, None)

    @property
    def checked_keys(self) -> tuple[str, ...]:
        """The exchange shown, else those that the filter leaves."""
        if isinstance(self._live_screen(), ExchangeScreen | TravelScreen):
            return (self.selected_key,)
        visible = self.desk.visible
        if len(visible) == len(self.desk.exchanges):
            return ("",)
        return tuple(sorted(entry.key for entry in visible))

    def _draw_soon(self) -> None:
        """Draw now, or as soon as the last draw is `FLUSH_S` old."""
        if self._flush_timer is not None:
            return
        wait_s = self._flushed_s + FLUSH_S - self.desk.now_s
        if wait_s <= 0:
            self.flush()
        else:
            self._flush_timer = self.set_timer(wait_s, self._timed_flush)

    def _timed_flush(self) -> None:
        self._flush_timer = None
        self.flush()

    def _tick(self) -> None:
        """Let ages count on; notice when the console itself is late."""
        now_s = self.desk.now_s
        late_s = now_s - self._ticked_s - TICK_S if self._ticked_s is not None else 0.0
        self._ticked_s = now_s
        self.desk.slow = late_s > self._slow_s
        screen = self._live_screen()
        # A stream that flows has drawn the ages already.
        if screen is not None and self.is_running and now_s - self._flushed_s > TICK_S * 0.8:
            screen.tick()

    def _ring(self, dirty: set[str]) -> None:
        """The bell, once for each exchange that goes down."""
        for key in dirty:
            entry = self.desk.state.exchanges.get(key)
            if entry is None or entry.health is not Health.DOWN:
                continue
            alarm = (key, entry.since_ns)
            if alarm not in self._rung:
                self._rung.add(alarm)
                if not self._quiet:
                    self.bell()

    def _welcome(self, outage: Outage) -> None:
        events = self.desk.state.events
        missed = sum(event.seq > outage.last_event_seq for event in events)
        restarted = "yes" if outage.restarted else "no"
        self.tell(
            f"Back after {outage.seconds:.1f} s, {missed} event{'s' * (missed != 1)} missed, "
            f"daemon restarted: {restarted}"
        )

    def command(self, action: str) -> Callable[[], object]:
        """The callback of an action from the palette, on the screen below it."""
        name = action.partition("(")[0]

        def run() -> None:
            screen = self._live_screen()
            own = screen is not None and hasattr(screen, f"action_{name}")
            if not own and not hasattr(self, f"action_{name}"):
                self.tell(f"Not on this screen: {name.replace('_', ' ')}.", error=True)
                return
            self.run_worker(self.run_action(action, screen if own else self), group="palette")

        return run

    def _write(self, name: str, suffix: str, content: str) -> Path | None:
        """Write into the working directory; None, and a toast, when that fails."""
        stamp = text.compact_time(self.desk.clock.utc_ns())
        path = Path.cwd() / f"tickdeck-{name}-{stamp}.{suffix}"
        try:
            path.write_text(content, encoding="utf-8")
        except OSError as error:
            self.tell(f"Cannot write {path}: {error.strerror}", error=True)
            return None
        return path
