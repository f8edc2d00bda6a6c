"""Time travel: a book at any point, step by step, beside what it is now."""

import asyncio

from textual.pilot import Pilot
from textual.widgets import Input

from console_harness import Bench, eventually
from tickdeck_console.errors import CommandError
from tickdeck_console.feed.fake_past import LAST
from tickdeck_console.model.frame import Link, LinkChange
from tickdeck_console.model.travel import BookDiff, LevelChange, PastBook, Place, Point
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.form import FormBox
from tickdeck_console.screens.travel import CHANGES, TravelScreen


async def travelled(bench: Bench, pilot: Pilot[None], *keys: str) -> TravelScreen:
    """Open the book tab of XEUR, then time travel, then press keys; each answer is waited for."""
    if not isinstance(bench.app.screen, TravelScreen):
        bench.play(1.0)
        await bench.settle(pilot)
        bench.fleet.choose("XEUR")
        await pilot.press("enter")
        await pilot.press("b")
        await bench.exchange.fetched()
        await pilot.pause()
        await bench.exchange.fetched()
        keys = ("t", *keys)
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
        screen = bench.app.screen
        if isinstance(screen, TravelScreen):
            await screen.answered()
    await bench.settle(pilot)
    screen = bench.app.screen
    assert isinstance(screen, TravelScreen)
    return screen


def ladder(bench: Bench) -> list[str]:
    """The lines with levels."""
    lines = bench.text().splitlines()
    return [line for line in lines if " | " in line and "QTY" not in line]


async def test_it_opens_on_the_chosen_book_as_it_is_now() -> None:
    """The book of the tab, at the end of the journal, with trust and both sides."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot)
        assert screen.symbol == "NVDA"
        assert screen.past
        assert screen.past.place.sequence == LAST
        shown = bench.text()
        for words in ("NVDA", "at now", "sequence 200,000", "TRUST", "SUSPECT", "levels +0 -0 ~0"):
            assert words in shown, words
        assert max(map(len, shown.splitlines())) <= 80
        assert bench.app.selected_key == "XEUR", "commands act on its exchange"


async def test_keys_step_through_the_stream() -> None:
    """By one, a hundred, ten thousand; the ends; and what differs from now is told."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot, "left")
        steps = [
            ("comma", LAST - 2),
            ("right", LAST - 1),
            ("up", LAST - 101),
            ("pageup", LAST - 10_101),
            ("pagedown", LAST - 101),
            ("down", LAST - 1),
            ("full_stop", LAST),
            ("home", 1),
            ("left", 1),
            ("end", LAST),
        ]
        for key, sequence in steps:
            await travelled(bench, pilot, key)
            assert screen.past
            assert screen.past.place.sequence == sequence, key
        await travelled(bench, pilot, "up")
        shown = bench.text()
        assert "TO NOW   100 messages" in shown
        assert "orders +33 -25 ~10" in shown
        changed = screen.difference
        assert changed
        assert any(change.before is None for change in changed.levels)


async def test_messages_to_now_are_messages_and_not_packets() -> None:
    """Where a sequence numbers a packet, the messages in it are counted."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot, "up")
        screen.difference = BookDiff(
            Place(sequence=10, messages=40), Place(sequence=12, messages=1_047)
        )
        screen.draw()
        await bench.settle(pilot)
        assert "TO NOW   1,007 messages" in bench.text()


async def test_a_level_that_is_no_more_is_gone() -> None:
    """A price of the past without orders now says so beside its level."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot, "up")
        assert screen.past
        assert "gone" not in bench.text()
        level, place = screen.past.depth.bids[0], screen.past.place
        change = LevelChange("bid", level.price, before=level, after=None)
        screen.difference = BookDiff(place, place, levels=(change,), levels_removed=1)
        screen.draw()
        await bench.settle(pilot)
        (line,) = (line for line in bench.text().splitlines() if "gone" in line)
        assert line.split()[0] == "gone", "on the side of the bids"


async def test_what_is_not_told_is_not_shown_as_unchanged() -> None:
    """All changes are asked for; behind the last one of a cut list stands a question mark."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        answer = bench.plant.book_diff
        limits: list[int] = []

        async def cut(
            exchange: str, symbol: str, points: tuple[Point, Point], levels: int
        ) -> BookDiff:
            limits.append(levels)
            return await answer(exchange, symbol, points, 1)

        screen = await travelled(bench, pilot, "up")
        assert screen.difference
        assert not screen.difference.is_cut
        assert not any("?" in line for line in ladder(bench))
        bench.plant.book_diff = cut  # type: ignore[method-assign]
        await travelled(bench, pilot, "up")
        assert limits == [CHANGES]
        assert screen.difference
        assert screen.difference.is_cut
        assert [change.side for change in screen.difference.levels] == ["bid", "ask"]
        first, *others = ladder(bench)
        assert "?" not in first, "what is before the last change told is known"
        deepest = others[-1].split()
        assert (deepest[0], deepest[-1]) == ("?", "?")


async def test_a_point_and_a_book_are_asked_for() -> None:
    """`g` takes a sequence, a time, another book; what is none is told in the form."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot)
        await pilot.press("g")
        await eventually(pilot, bench.shows(FormBox))
        bench.app.screen.query_one("#symbol", Input).value = "AAPL"
        point = bench.app.screen.query_one("#point", Input)
        point.value = "noon"
        point.focus()
        await pilot.press("enter")
        await eventually(pilot, lambda: "is no point" in bench.text())
        point.value = "09:31:02.5"
        await pilot.press("enter")
        await eventually(pilot, lambda: bench.app.screen is screen)
        await pilot.pause()
        await screen.answered()
        await bench.settle(pilot)
        assert bench.app.screen is screen
        shown = bench.text()
        assert "AAPL" in shown
        assert "at 09:31:02.500000000" in shown
        assert screen.past
        assert screen.past.place.day_time_ns == 34_262_500_000_000


async def test_what_cannot_be_answered_is_said_and_the_last_book_stays() -> None:
    """An unknown book, and a console that is cut off."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot)
        screen.go({"symbol": "NVDA", "point": "500"})
        await screen.answered()

        async def refuse(*_: object) -> PastBook:
            raise CommandError("the journal of XEUR gives no books there", "look at it")

        bench.plant.book_at = refuse  # type: ignore[method-assign, assignment]
        await travelled(bench, pilot, "right")
        shown = bench.text()
        assert "ERROR" in shown
        assert "gives no books there (look at it)" in shown
        assert "sequence 500" in shown, "the last answer stays"
        bench.app.receive(LinkChange(Link.REFUSED, "connection refused", 5, 1.7))
        bench.wait(12.0)
        await travelled(bench, pilot, "left")
        assert "cut off" in bench.text()


async def test_only_the_last_step_counts() -> None:
    """Steps pressed faster than the daemon answers ask no more for those before."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot, "up")
        asked: list[Point] = []
        cancelled: list[Point] = []
        gate = asyncio.Event()
        answer = bench.plant.book_at

        async def slow(exchange: str, symbol: str, point: Point, levels: int) -> PastBook:
            asked.append(point)
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(point)
                raise
            return await answer(exchange, symbol, point, levels)

        bench.plant.book_at = slow  # type: ignore[method-assign]
        for _ in range(3):
            await pilot.press("right")
            await pilot.pause()
        gate.set()
        await screen.answered()
        assert cancelled == asked[:2]
        assert [point.sequence for point in asked[:3]] == [LAST - 99, LAST - 98, LAST - 97]
        assert screen.past
        assert screen.past.place.sequence == LAST - 97


async def test_a_step_out_of_a_lost_range_goes_on() -> None:
    """Where the place does not move, steps count from what was wanted."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot)
        answer = bench.plant.book_at

        async def lossy(exchange: str, symbol: str, point: Point, levels: int) -> PastBook:
            sequence = point.sequence or 0
            kept = Point(sequence=1_000 if 1_000 < sequence < 1_003 else sequence)
            return await answer(exchange, symbol, kept, levels)

        bench.plant.book_at = lossy  # type: ignore[method-assign]
        screen.go({"symbol": "NVDA", "point": "1000"})
        await screen.answered()
        places: list[int] = []
        for key in ("right", "right", "right", "left", "left"):
            await travelled(bench, pilot, key)
            assert screen.past
            places.append(screen.past.place.sequence)
        assert places == [1_000, 1_000, 1_003, 1_000, 999]


async def test_escape_leads_back_to_the_tab() -> None:
    """The exchange is where it was."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await travelled(bench, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(bench.app.screen, ExchangeScreen)
        assert bench.exchange.tab == "book"


async def test_hostile_answers_are_drawn_harmlessly() -> None:
    """Texts from outside do not reach the terminal raw, numbers may be of any size."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        screen = await travelled(bench, pilot)
        assert screen.past
        screen.symbol = "[red]\x1b[2J" + "x" * 500
        place = Place(2**64 - 1, 2**64 - 1, 2**63 - 1, 2**63, 2**64 - 1)
        screen.past = PastBook(screen.past.depth, place)
        screen.difference = BookDiff(place, Place(), orders_entered=2**64 - 1)
        screen.draw()
        await bench.settle(pilot)
        assert "\x1b" not in bench.text()


async def test_a_small_screen_shows_whole_quantities() -> None:
    """Orders, and what is now, are left out where they would cut the asks."""
    bench = Bench()
    async with bench.app.run_test(size=(60, 18)) as pilot:
        screen = await travelled(bench, pilot, "up")
        shown = bench.text()
        assert "NOW" not in shown.replace("TO NOW", "")
        assert screen.past
        for line, level in zip(ladder(bench), screen.past.depth.asks, strict=False):
            assert line.split()[-1] == f"{level.quantity:,}"
