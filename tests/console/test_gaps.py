"""The tab of gaps: the cursor stays on its gap, and each verb acts on the one under it."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from console_harness import Bench, eventually
from tickdeck_console.feed.fake import Step
from tickdeck_console.model.facts import GapList, GapStage
from tickdeck_console.model.frame import Delta, SourceState
from tickdeck_console.screens.choose import ChooseBox
from tickdeck_console.screens.confirm import ConfirmBox
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.form import FormBox
from tickdeck_console.screens.gap import GapBox

OPEN = {"T": "Ask again for gap 41", "P": "Snapshot for gap 41", "X": "Accept the loss of gap"}


async def on_gaps(bench: Bench, pilot: Pilot[None], key: str = "XEUR") -> None:
    """The tab of gaps, the cursor on the last of three open ones, which is half filled."""
    bench.play(1.0)
    await bench.settle(pilot)
    bench.fleet.choose(key)
    await pilot.press("enter", "g")
    await refreshed(bench, pilot)
    await pilot.press("down", "down")
    await refreshed(bench, pilot)


async def refreshed(bench: Bench, pilot: Pilot[None]) -> None:
    await bench.exchange.fetched()  # may join the fetch of the tab before
    await pilot.pause()
    await bench.exchange.fetched()
    await bench.settle(pilot)


async def test_the_chosen_gap_is_told_in_full() -> None:
    """Steps, parts, whose loss, the lie; and the sources with state and age."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await on_gaps(bench, pilot)
        shown = bench.text()
        for words in ("request in use", "peer failed", "snapshot unknown never", ">   41",
                      "first part +6.0ms > last asked +24.0ms", "retransmit 220   missing 780",
                      "A+B (lost on all lines)   lost at socket 1206",
                      "2 times, 1 answers too late   a source lied: truncated"):  # fmt: skip
            assert words in shown, words
        await pilot.press("enter")
        await eventually(pilot, bench.shows(GapBox))
        await bench.settle(pilot)
        assert "+6.0ms  first part" in bench.text()
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(bench.app.screen, ExchangeScreen)


async def test_the_cursor_stays_on_its_gap() -> None:
    """A gap that opens above it, or its own end, does not move the cursor to another one."""
    bench = Bench()
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await on_gaps(bench, pilot)
        row = bench.world.rows["XEUR"]
        bench.world.rows["XEUR"] = replace(row, gaps_open=9)
        await refreshed(bench, pilot)
        gap = bench.exchange.gap
        assert gap is not None
        assert gap.id == 41
        await bench.plant.accept_loss("XEUR", 41, "r", dry_run=False)
        await refreshed(bench, pilot)
        gap = bench.exchange.gap
        assert gap is not None
        assert (gap.id, gap.stage) == (41, GapStage.UNRECOVERABLE)
        assert ">   41" in bench.text()


@pytest.mark.parametrize("key", sorted(OPEN))
async def test_verbs_act_on_the_gap_under_the_cursor(key: str) -> None:
    """Effects first, focus on Cancel; Enter there changes nothing."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await on_gaps(bench, pilot)
        await pilot.press(key)
        await eventually(pilot, bench.shows(ConfirmBox))
        await bench.settle(pilot)
        assert OPEN[key] in bench.text()
        assert bench.app.focused is not None
        assert bench.app.focused.id == "cancel"
        await pilot.press("enter")
        await eventually(pilot, lambda: isinstance(bench.app.screen, ExchangeScreen))
        await refreshed(bench, pilot)
        assert bench.exchange.gap is not None
        assert bench.exchange.gap.stage.open


async def test_a_snapshot_is_taken() -> None:
    """Once it is confirmed, the gap is closed by it."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await on_gaps(bench, pilot)
        await pilot.press("P")
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.pause()
        bench.app.screen.query_one("#go", Button).press()
        await eventually(pilot, lambda: isinstance(bench.app.screen, ExchangeScreen))
        await eventually(pilot, lambda: _closed(bench, 41) == "snapshot")


async def test_a_loss_is_typed_and_has_a_reason() -> None:
    """The button is locked until the gap's name and why are there."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await on_gaps(bench, pilot)
        await pilot.press("X")
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.pause()
        go = bench.app.screen.query_one("#go", Button)
        bench.app.screen.query_one("#reason", Input).value = "halted"
        bench.app.screen.query_one("#typed", Input).value = "XEUR-4"
        await pilot.pause()
        assert go.disabled
        bench.app.screen.query_one("#typed", Input).value = "XEUR-41"
        await pilot.pause()
        assert not go.disabled
        go.press()
        await eventually(pilot, lambda: _closed(bench, 41) == "operator")
        assert bench.world.events[-1].message == "halted"


async def test_a_note_is_checked_confirmed_and_shown() -> None:
    """An empty one is refused in its form; the words then stand with the gap."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await on_gaps(bench, pilot)
        await pilot.press("E")
        await eventually(pilot, bench.shows(FormBox))
        await pilot.pause()
        bench.app.screen.query_one("#next", Button).press()
        await eventually(pilot, lambda: "a note is required" in bench.text())
        bench.app.screen.query_one("#note", Input).value = "venue rang"
        bench.app.screen.query_one("#next", Button).press()
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.pause()
        bench.app.screen.query_one("#go", Button).press()
        await eventually(pilot, lambda: isinstance(bench.app.screen, ExchangeScreen))
        await refreshed(bench, pilot)
        assert "uid:1000: venue rang" in bench.text()


async def test_a_closed_gap_is_refused() -> None:
    """The daemon's refusal is told, and no box opens."""
    bench = Bench()
    async with bench.app.run_test(size=(120, 40), notifications=True) as pilot:
        await on_gaps(bench, pilot)
        await pilot.press("down")
        await pilot.press("T")
        await eventually(pilot, lambda: "only an open one" in bench.text())
        assert isinstance(bench.app.screen, ExchangeScreen)


async def test_elsewhere_the_gap_is_picked() -> None:
    """On the fleet a menu offers the open gaps; without one the console says so."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24), notifications=True) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        bench.fleet.choose("XEUR")
        await pilot.press("P")
        await eventually(pilot, bench.shows(ChooseBox))
        await bench.settle(pilot)
        assert "gap 43  88180411..88181410" in bench.text()
        await pilot.press("3")
        await eventually(pilot, bench.shows(ConfirmBox))
        await bench.settle(pilot)
        assert "Snapshot for gap 41" in bench.text()
        await pilot.press("escape")
        bench.fleet.choose("XNAS")
        await pilot.press("X")
        await eventually(pilot, lambda: "XNAS has no open gap" in bench.text())


async def test_a_storm_and_failed_sources_are_told() -> None:
    """On the tab of gaps; the race tells conflicts."""
    script = (Step(0.0, "storm", "XNAS"), Step(0.0, "source_failed", "LSE"),
              Step(0.0, "conflict", "NYSE"))  # fmt: skip
    bench = Bench(script=script)
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await on_gaps(bench, pilot, "XNAS")
        assert "STORM: snapshots instead of ranges" in bench.text()
        assert "[SNAPSHOT]" in bench.text()
        bench.exchange.show("LSE")
        await refreshed(bench, pilot)
        assert "peer failed" in bench.text()
        assert "connection refused" in bench.text()
        bench.exchange.show("NYSE")
        await pilot.press("f")
        await refreshed(bench, pilot)
        assert "conflicts 3" in bench.text()


async def test_an_exchange_without_sources_says_what_that_means() -> None:
    """And without gaps there is no detail and nothing to act on."""
    bench = Bench(script=())

    async def none(_: str) -> GapList:
        return GapList()

    bench.plant.gaps = none  # type: ignore[method-assign]
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await on_gaps(bench, pilot, "XNAS")
        row = replace(bench.world.rows["XNAS"], sources=())
        bench.app.receive(Delta("fake-1", 999, (row,)))
        await refreshed(bench, pilot)
        assert "none configured: what all lines lose is lost" in bench.text()
        assert "No gap since the worker started" in bench.text()
        assert "STEPS" not in bench.text()
        await pilot.press("enter")
        assert isinstance(bench.app.screen, ExchangeScreen)


def _closed(bench: Bench, identity: int) -> str:
    """Why the gap under the cursor was closed; empty while it is open, or another one is."""
    if not isinstance(bench.app.screen, ExchangeScreen):
        return ""
    bench.exchange.fetch()
    gap = bench.exchange.gap
    return gap.reason if gap is not None and gap.id == identity else ""


def test_every_state_of_a_source_can_be_seen() -> None:
    """The made-up plant shows them all."""
    bench = Bench()
    states = {one.state for row in bench.world.rows.values() for one in row.sources}
    bench.world.apply("XEUR", "gap_both")
    states |= {one.state for one in bench.world.rows["XEUR"].sources}
    assert states == set(SourceState)
