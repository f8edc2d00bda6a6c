"""Every binding that works comes from the table, and the help tells every one of them."""

import pytest
from textual.binding import Binding, BindingType

from console_harness import Bench, eventually
from tickdeck_console.app import TickdeckApp
from tickdeck_console.keys import KEYS, Key, Level, Scope, keys_of
from tickdeck_console.palette import CommandProvider
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.fleet import FleetScreen
from tickdeck_console.screens.help import help_content
from tickdeck_console.screens.lists import ListScreen
from tickdeck_console.screens.travel import TravelScreen

SCREENS: dict[Scope, tuple[type[object], list[BindingType]]] = {
    Scope.EVERYWHERE: (TickdeckApp, TickdeckApp.BINDINGS),
    Scope.FLEET: (FleetScreen, FleetScreen.BINDINGS),
    Scope.EXCHANGE: (ExchangeScreen, ExchangeScreen.BINDINGS),
    Scope.LIST: (ListScreen, ListScreen.BINDINGS),
    Scope.TRAVEL: (TravelScreen, TravelScreen.BINDINGS),
}


def bound(bindings: list[BindingType]) -> set[tuple[str, str]]:
    found = [entry for entry in bindings if isinstance(entry, Binding) and not entry.system]
    return {(entry.key, entry.action) for entry in found}


@pytest.mark.parametrize("scope", list(Scope))
def test_bindings_are_those_of_the_table(scope: Scope) -> None:
    """No screen binds a key of its own."""
    _, bindings = SCREENS[scope]
    assert bound(bindings) == {(key.key, key.action) for key in keys_of(scope) if key.key}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.id)
def test_every_action_exists(key: Key) -> None:
    """A key that is told also works."""
    kind, _ = SCREENS[key.scope]
    name = key.action.partition("(")[0]
    assert hasattr(kind, f"action_{name}") or hasattr(TickdeckApp, f"action_{name}")


def test_the_help_tells_every_key() -> None:
    """Footer or help: the help has them all, with their text."""
    told = help_content().plain
    for key in KEYS:
        assert key.text in told, key.id
        assert key.shown in told, key.id


async def test_the_palette_offers_every_command() -> None:
    """What has no key is found here, and so is the rest."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        provider = CommandProvider(bench.app.screen)
        offered = {getattr(hit, "text", None) async for hit in provider.discover()}
        assert {key.text for key in KEYS if key.palette} <= offered
        assert {f"Open {name}" for name in bench.world.rows} <= offered


@pytest.mark.parametrize("key", [key for key in KEYS if key.level >= Level.CHANGE], ids=repr)
async def test_every_write_command_asks_and_can_be_refused(key: Key) -> None:
    """Each command that changes the plant opens a dialog when live, and none when cut off."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        bench.app.command(key.action)()
        # A dialog stands before the change.
        await eventually(pilot, lambda: bench.app.screen is not bench.fleet)
        await pilot.press("escape")
        await eventually(pilot, lambda: bench.app.screen is bench.fleet)
        bench.wait(4.0)
        bench.app.command(key.action)()
        await pilot.pause(0.1)
        assert bench.app.screen is bench.fleet, "refused while the facts are old"
