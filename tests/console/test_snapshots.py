"""Pictures of every screen at every size, compared with those that were looked at.

Data and clock stand still. After a wanted change: `pytest tests/console --snapshot-update`, then
look at the pictures in `__snapshots__`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console_harness import Bench, eventually
from tickdeck_console.feed.fake import START, Step
from tickdeck_console.model.frame import Link, LinkChange
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.travel import TravelScreen

Compare = Callable[..., bool]
SIZES = [(60, 18), (80, 24), (120, 40), (200, 60)]


def look(bench: Bench, *keys: str, lost_s: float = 0.0) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Let four seconds pass, press keys, perhaps lose the daemon, and draw."""

    async def run(pilot: Pilot[None]) -> None:
        bench.play(4.0)
        await bench.settle(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
            await _answered(bench, pilot)
            await _fetched(bench, pilot)
        if lost_s:
            bench.app.receive(LinkChange(Link.REFUSED, "connection refused", 5, 1.7))
            bench.wait(lost_s)
        bench.app.clear_notifications()
        await bench.settle(pilot)
        await bench.settle(pilot)

    return run


async def _answered(bench: Bench, pilot: Pilot[None]) -> None:
    """Wait until a command that was begun shows its dialog."""

    def is_answered() -> bool:
        begun = [w for w in bench.app.workers if w.group == "command" and w.is_running]
        return not begun or bench.app.screen is not bench.fleet

    await eventually(pilot, is_answered)


async def _fetched(bench: Bench, pilot: Pilot[None]) -> None:
    screen = bench.app.screen
    if isinstance(screen, TravelScreen):
        await screen.answered()
    if isinstance(screen, ExchangeScreen):
        await screen.fetched()  # may join the fetch of the tab before
        await pilot.pause()
        await screen.fetched()
        await pilot.pause()


@pytest.fixture(autouse=True)
def steady_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture must not depend on the half second in which it is taken: no cursor blinks."""

    def stay(_field: Input) -> None:
        """Leave the cursor as it is."""

    monkeypatch.setattr(Input, "_toggle_cursor", stay)


@pytest.fixture
def compare(snap_compare: Any) -> Compare:  # noqa: ANN401
    """The fixture of pytest-textual-snapshot, with a type."""

    def call(bench: Bench, size: tuple[int, int], *keys: str, lost_s: float = 0.0) -> bool:
        return bool(
            snap_compare(
                bench.app, terminal_size=size, run_before=look(bench, *keys, lost_s=lost_s)
            )
        )

    return call


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_fleet(compare: Compare, size: tuple[int, int]) -> None:
    """One problem of each kind above healthy rows."""
    assert compare(Bench(), size)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_fleet_lost(compare: Compare, size: tuple[int, int]) -> None:
    """Cut off for twelve seconds."""
    assert compare(Bench(), size, lost_s=12.0)


def test_fleet_stale(compare: Compare) -> None:
    """Cut off for four seconds."""
    assert compare(Bench(), (80, 24), lost_s=4.0)


def test_fleet_of_fifty(compare: Compare) -> None:
    """More rows than lines."""
    assert compare(Bench(exchanges=50), (80, 24))


def test_fleet_of_one(compare: Compare) -> None:
    """A single exchange with its detail and events below."""
    assert compare(Bench(script=(Step(0.0, "line_lost", "XNAS"),), exchanges=1), (120, 40))


def test_empty_fleet(compare: Compare) -> None:
    """A new plant."""
    assert compare(Bench(script=(), exchanges=0), (80, 24))


def test_fleet_filtered(compare: Compare) -> None:
    """The filter's line open below the table."""
    assert compare(Bench(), (80, 24), "slash", *"gaps>0")


def test_fleet_held(compare: Compare) -> None:
    """A held view says so."""
    assert compare(Bench(), (80, 24), "space")


def test_fleet_without_colour(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert compare(Bench(), (80, 24))


def test_fleet_ascii(compare: Compare) -> None:
    """Without block characters."""
    assert compare(Bench(options={"ascii_only": True}), (80, 24))


def test_fleet_light(compare: Compare) -> None:
    """The light theme."""
    assert compare(Bench(options={"theme_name": "ops-light"}), (120, 40))


@pytest.mark.parametrize("tab", ["c", "f", "g", "l", "w", "b", "o"])
def test_exchange(compare: Compare, tab: str) -> None:
    """Each tab of a broken exchange."""
    assert compare(Bench(), (120, 40), "enter", tab)


def test_journal_with_a_report_and_readers(compare: Compare) -> None:
    """What waits to be acknowledged, a hole, a lost place, and who reads it elsewhere."""
    script = (Step(0.0, "journal_hurt", "XNAS"),)
    assert compare(Bench(script=script, exchanges=1), (120, 40), "enter", "w")


@pytest.mark.parametrize("tab", ["f", "g"])
def test_exchange_light(compare: Compare, tab: str) -> None:
    """The race, and the gaps with their sources, in the light theme."""
    assert compare(Bench(options={"theme_name": "ops-light"}), (120, 40), "enter", tab)


def test_exchange_race_of_one_line(compare: Compare) -> None:
    """A silent line, and since when the other carries alone."""
    assert compare(Bench(script=START[2:3]), (80, 24), "enter", "f")


@pytest.mark.parametrize("keys", [("enter",), ("X",), ("E",)], ids=lambda keys: keys[0])
def test_gap_dialog(compare: Compare, keys: tuple[str, ...]) -> None:
    """Every step of a gap; its loss, which is typed; a note on it."""
    assert compare(Bench(), (80, 24), "enter", "g", "down", "down", *keys)


def test_gaps_of_a_storm_at_60(compare: Compare) -> None:
    """Small: the list alone; wide enough to say that snapshots are taken."""
    assert compare(Bench(script=(Step(0.0, "storm", "XNAS"),)), (60, 18), "enter", "g")


@pytest.mark.parametrize("tab", ["c", "f", "g", "b"])
def test_exchange_at_80(compare: Compare, tab: str) -> None:
    """Tabs whose layout depends on the width."""
    assert compare(Bench(), (80, 24), "enter", tab)


@pytest.mark.parametrize("size", SIZES[:3], ids=lambda size: f"{size[0]}x{size[1]}")
def test_time_travel(compare: Compare, size: tuple[int, int]) -> None:
    """A book of the past: both sides, and what is different now."""
    assert compare(Bench(), size, "enter", "b", "t", "pageup")


def test_exchange_lost(compare: Compare) -> None:
    """Old facts without colour."""
    assert compare(Bench(), (80, 24), "enter", lost_s=12.0)


@pytest.mark.parametrize("key", ["D", "A", "R", "question_mark", "s"])
def test_dialog(compare: Compare, key: str) -> None:
    """Confirm, forms, help and menu over the fleet."""
    assert compare(Bench(), (80, 24), key)


def test_health_check(compare: Compare) -> None:
    """Verdicts with evidence."""
    assert compare(Bench(script=START[:2]), (120, 40), "h")


@pytest.mark.parametrize("digit", ["2", "6"])
def test_list(compare: Compare, digit: str) -> None:
    """Events and workers."""
    assert compare(Bench(), (120, 40), digit)
