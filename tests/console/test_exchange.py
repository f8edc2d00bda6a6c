"""The exchange screen: opens where the answer is, and each tab shows its facts."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from console_harness import Bench
from tickdeck_console.errors import CommandError
from tickdeck_console.feed.fake import START, Step
from tickdeck_console.model.facts import BookRow
from tickdeck_console.model.frame import Delta
from tickdeck_console.model.wal import Loss, Segment, Wal
from tickdeck_console.screens.exchange import TABS, ExchangeScreen
from tickdeck_console.screens.fleet import FleetScreen
from tickdeck_console.widgets.wal_panel import WalPanel


async def opened(bench: Bench, pilot: Pilot[None], key: str = "XEUR") -> None:
    bench.play(1.0)
    await bench.settle(pilot)
    bench.fleet.choose(key)
    await pilot.press("enter")
    await bench.exchange.fetched()
    await bench.settle(pilot)


async def test_a_problem_opens_on_its_cause() -> None:
    """Enter shows evidence, chain and what to do, without another key."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot)
        shown = bench.text()
        for words in ("X DOWN", "VERDICT", "kernel_drops +48213", "FeedKernelDrops.runbook.md",
                      "socket DROPS", "seq GAP", "h health check"):  # fmt: skip
            assert words in shown, words


async def test_a_healthy_exchange_opens_on_its_feeds() -> None:
    """Where nothing is wrong there is no cause to show."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot, "XNAS")
        assert bench.exchange.tab == "feeds"
        assert "FIRST" in bench.text()


@pytest.mark.parametrize(
    ("letter", "words"),
    [
        ("c", ("VERDICT", "CHAIN")),
        ("f", ("line A", "kernel drops", "ARBITER")),
        ("g", ("[FILLING 22%]", "attempts_exhausted", "FILLED by")),
        ("l", ("p99.9", "rx_to_book", "kernel", "10.0us")),
        ("w", ("durable", "sealed", "batch")),
        ("b", ("SUSPECT", "> NVDA", "PRICE", "spread")),
        ("o", ("kernel dropped packets", "WARN")),
    ],
)
async def test_each_tab(letter: str, words: tuple[str, ...]) -> None:
    """A letter opens the tab, and the tab shows what its name says."""
    bench = Bench()
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await opened(bench, pilot)
        await pilot.press(letter)
        await bench.exchange.fetched()
        await pilot.pause()
        await bench.exchange.fetched()
        await bench.settle(pilot)
        shown = bench.text()
        for word in words:
            assert word in shown, word


async def test_tabs_turn_round() -> None:
    """The arrow keys walk all tabs."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot)
        seen: list[str] = []
        for _ in TABS:
            seen.append(bench.exchange.tab)
            await pilot.press("right")
        assert seen == [name for _, name, _ in TABS]
        await pilot.press("left")
        assert bench.exchange.tab == "logs"


async def test_next_problem_stays_on_the_tab() -> None:
    """The next problem's evidence is one key away."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot)
        await pilot.press("n")
        await bench.settle(pilot)
        assert (bench.exchange.key, bench.exchange.tab) == ("CME-3", "cause")
        assert "kernel drops on line A" in bench.text()
        assert bench.app.selected_key == "CME-3"


async def test_back_to_the_fleet_with_the_cursor_on_it() -> None:
    """Escape leads back to where one came from."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot, "LSE")
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(bench.app.screen, FleetScreen)
        assert bench.table.cursor_key == "LSE"


async def test_another_book_is_chosen_with_the_arrows() -> None:
    """The ladder follows the chosen book."""
    bench = Bench()
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await opened(bench, pilot)
        await pilot.press("b")
        await bench.exchange.fetched()
        await pilot.press("up")
        await bench.exchange.fetched()
        await bench.settle(pilot)
        assert "> MSFT" in bench.text()
        assert " MSFT  " in bench.text()


@pytest.mark.parametrize("width", [80, 120])
async def test_trust_of_books_by_price_is_not_cut(width: int) -> None:
    """Their names are long; where that is too much, orders are left out."""
    bench = Bench()

    async def by_price(_: str) -> tuple[BookRow, ...]:
        kinds = ("order", "price")
        return tuple(BookRow("NVDA", 100, trust="REBUILDING", kind=kind) for kind in kinds)

    bench.plant.books = by_price  # type: ignore[method-assign]
    async with bench.app.run_test(size=(width, 24)) as pilot:
        await opened(bench, pilot)
        await pilot.press("b")
        await bench.exchange.fetched()
        await pilot.pause()
        await bench.exchange.fetched()
        await bench.settle(pilot)
        (line,) = (line for line in bench.text().splitlines() if "NVDA by price " in line)
        assert "NVDA by price       " in line
        assert "REBUILDING" in line
        assert (" 100 " in line) == (width == 120)


async def test_a_removed_exchange_is_told() -> None:
    """The screen of an exchange that another console removed says so."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot)
        del bench.world.rows["XEUR"]
        bench.app.receive(Delta("fake-1", 999, (), ("XEUR",)))
        await bench.settle(pilot)
        assert "XEUR is gone" in bench.text()
        await pilot.press("g", "D", "escape")
        await pilot.pause()
        assert isinstance(bench.app.screen, FleetScreen)


async def test_an_error_of_a_fetch_is_shown_in_its_tab() -> None:
    """A tab that cannot be filled says why, and the screen lives on."""
    bench = Bench()

    async def fail(_: str) -> None:
        raise CommandError("the book worker of XEUR does not answer")

    bench.plant.books = fail  # type: ignore[method-assign,assignment]
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot)
        await pilot.press("b")
        await bench.exchange.fetched()
        await pilot.pause()
        await bench.exchange.fetched()
        await bench.settle(pilot)
        assert "does not answer" in bench.text()
        await pilot.press("c")
        await bench.settle(pilot)
        assert "VERDICT" in bench.text()


async def test_red_to_root_cause_within_two_keys() -> None:
    """For each fault, `n` and Enter show the cause with its evidence."""
    for fault in ("gap_both", "drops", "line_lost", "silent", "slow", "journal_slow",
                  "unrecovered", "recovering"):  # fmt: skip
        bench = Bench(script=(Step(0.0, fault, "B3"),))
        async with bench.app.run_test(size=(80, 24)) as pilot:
            bench.play(1.0)
            await bench.settle(pilot)
            await pilot.press("n", "enter")
            await bench.settle(pilot)
            cause = bench.app.desk.state.exchanges["B3"].causes[0]
            assert cause.summary[:60] in bench.text(), fault
            assert cause.evidence[:60] in bench.text(), fault


async def test_a_frame_during_the_opening_is_no_error() -> None:
    """A frame may come between the push of the screen and its first layout."""
    bench = Bench(script=START)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        bench.app.action_open_exchange("XEUR")
        bench.play(3.0)
        bench.app.flush()
        await pilot.pause()
        assert isinstance(bench.app.screen, ExchangeScreen)
        bench.app.action_fleet()
        bench.play(5.0)
        bench.app.flush()
        await pilot.pause()
        assert bench.app.is_running


@pytest.mark.parametrize(
    ("state", "late_ms", "words", "is_loud"),
    [
        ("RUNNING", 4_900, ["look 4.9s ago"], False),
        ("RUNNING", 12_000, ["look 12s ago", "places wait 12s"], True),
        ("RUNNING", None, [], False),
        ("EXITED", 12_000, [], True),
    ],
)
async def test_an_exporter_that_is_late_stands_out(
    state: str, late_ms: int | None, words: list[str], *, is_loud: bool
) -> None:
    """How old its look at the journal is; loud, with what waits, where that is a finding."""
    bench = Bench(script=())
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await opened(bench, pilot, "XNAS")
        await pilot.press("w")
        await bench.exchange.fetched()
        await bench.settle(pilot)
        shown = bench.text()
        assert "look 0.2s ago" in shown
        titles, desk = (
            line.split()
            for line in shown.splitlines()
            if line.split()[:1] in (["SUBSCRIBER"], ["desk-1"])
        )
        acked, kept = (int(desk[titles.index(name)].replace(",", "")) for name in ("ACKED", "KEPT"))
        assert 0 < kept < acked
        row = bench.app.desk.state.exchanges["XNAS"]
        late = replace(row.export, state=state, sight_age_ms=late_ms, pin_lag_ms=late_ms)
        content = bench.app.screen.query_one(WalPanel).content(replace(row, export=late))
        line = next(line for line in content.plain.splitlines() if "EXPORT" in line)
        ages = [part.strip() for part in line.split("   ") if "look" in part or "places" in part]
        assert ages == words
        loud = [
            content.plain[at.start : at.end].strip() for at in content.spans if "$" in str(at.style)
        ]
        assert all((word in loud) == is_loud for word in words)


async def test_a_journal_that_nobody_writes_still_tells_what_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No state, for no receiver runs; losses wait, and segments that are not listed are told."""
    lost = Loss("hole", 0, 0, 1, counted=2, incarnation="6f1c")
    found = Wal(losses=(lost,), segments_unavailable="STATE is damaged")
    bench = Bench(script=())

    async def wal(_: str) -> Wal:
        return found

    async with bench.app.run_test(size=(160, 40)) as pilot:
        await opened(bench, pilot, "XNAS")
        monkeypatch.setattr(bench.app.desk.plant, "wal", wal)
        panel = bench.app.screen.query_one(WalPanel)
        await panel.fetch("XNAS")
        row = bench.app.desk.state.exchanges["XNAS"]
        silent = replace(row, journal=replace(row.journal, state=""))
        shown = panel.content(silent).plain
        assert "no journal" not in shown
        assert "hole: 2 counted by worker 6f1c, bounds unknown" in shown
        assert "not listed: STATE is damaged" in shown
        panel.forget()
        assert "no journal" in panel.content(silent).plain
        segment = Segment("0000000001.tdj", 1, 1, 64, sealed=False)
        for files in (Wal(segments_unavailable="STATE is damaged"), Wal(segments=(segment,))):
            found = files
            await panel.fetch("XNAS")
            shown = panel.content(silent).plain
            assert "no journal" not in shown
            assert ("STATE is damaged" in shown) != ("1.tdj" in shown)
