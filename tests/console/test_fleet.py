"""The fleet screen: problems first, a cursor that keeps its exchange, filter, sort, hold."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from console_harness import Bench
from tickdeck_console.feed.fake import Step
from tickdeck_console.model.frame import Delta, Exchange, Health, Link, LinkChange
from tickdeck_console.model.order import SORTS
from tickdeck_console.screens.choose import ChooseBox


async def test_problems_come_first_with_the_worst_on_line_three() -> None:
    """The worst problem and its cause need no key."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        lines = bench.text().splitlines()
        assert lines[2].startswith(" X XEUR down")
        assert "socket buffer overflowed" in lines[2]
        assert [line[:5].strip() for line in lines[4:10]] == [
            "XXEUR", "!CME-", "!LSE", "~NYSE", "?OSE", "-SGX",
        ]  # fmt: skip


async def test_the_cursor_keeps_its_exchange_over_thousands_of_deltas() -> None:
    """Whatever moves, comes or goes around it, the cursor stays on its exchange."""
    bench = Bench(exchanges=30)
    rng = random.Random(11)
    async with bench.app.run_test(size=(120, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        kept, revision = "MEMX", 10_000
        bench.fleet.choose(kept)
        rows = dict(bench.app.desk.state.exchanges)
        gone: dict[str, Exchange] = {}
        for step in range(4_000):
            revision += 1
            bench.wait(rng.choice((0.02, 0.3, 2.5)))
            key = rng.choice([key for key in rows if key != kept])
            changed = replace(
                rng.choice(list(rows.values())), health=rng.choice(list(Health)), since_ns=step
            )
            changed = replace(changed, message_rate=rng.uniform(0, 1e6))
            rows[changed.key] = changed
            removed: tuple[str, ...] = ()
            if len(rows) > 5 and rng.random() < 0.2 and changed.key != key:
                gone[key] = rows.pop(key)
                removed = (key,)
            elif gone and rng.random() < 0.3:
                back = gone.popitem()[1]
                rows[back.key] = back
                changed = back
            bench.app.receive(Delta("fake-1", revision, (changed,), removed))
            if step % 7 == 0:
                bench.app.desk.sort = rng.choice(SORTS)
            bench.fleet.draw({changed.key})
            assert bench.table.cursor_key == kept, step
            assert bench.table.keys.count(kept) == 1
            index = bench.table.cursor_index - bench.table.top
            assert 0 <= index < bench.table.size.height, "the cursor is in sight"
        await pilot.pause()


async def test_a_removed_exchange_passes_the_cursor_to_its_neighbour() -> None:
    """The cursor does not jump to the top when its row goes."""
    bench = Bench(script=())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        bench.fleet.choose("BATS")
        after = bench.table.keys[bench.table.keys.index("BATS") + 1]
        bench.app.receive(Delta("fake-1", 999, (), ("BATS",)))
        await bench.settle(pilot)
        assert bench.table.cursor_key == after
        assert bench.app.selected_key == after


async def test_a_row_that_comes_back_is_drawn_whatever_changed() -> None:
    """A row that the filter hid and shows again needs no change of its own."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        bench.app.desk.problems_only = True
        bench.fleet.draw(())
        assert "XNAS" not in bench.table.keys
        bench.app.desk.problems_only = False
        bench.app.desk.order.reset()
        bench.fleet.draw(())
        await pilot.pause()
        assert "XNAS   ok" in bench.text()


async def test_only_changed_rows_are_drawn() -> None:
    """A frame that changes one row asks for one line again."""
    bench = Bench(script=())
    async with bench.app.run_test(size=(120, 40)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        regions: list[int] = []
        refresh = bench.table.refresh

        def counted(*areas: object, **options: object) -> object:
            regions.append(len(areas))
            return refresh(*areas, **options)  # type: ignore[arg-type]

        bench.table.refresh = counted  # type: ignore[method-assign,assignment]
        row = bench.app.desk.state.exchanges["ARCA"]
        bench.app.receive(Delta("fake-1", 999, (replace(row, gaps_open=5),)))
        bench.app.flush()
        assert regions == [1], "one region of one row, not the whole table"
        bench.app.receive(Delta("fake-1", 1000, (replace(row, gaps_open=5, messages=3),)))
        bench.app.flush()
        assert regions == [1], "a change that is not shown draws nothing"


async def test_next_problem_from_any_place() -> None:
    """`n` walks all problems, the worst first, and comes round again."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        bench.fleet.choose("XNAS")
        seen: list[str] = []
        for _ in range(6):
            await pilot.press("n")
            seen.append(bench.table.cursor_key)
        assert seen == ["XEUR", "CME-3", "LSE", "NYSE", "OSE", "XEUR"]
        await pilot.press("N")
        assert bench.table.cursor_key == "OSE"


async def test_filter_while_typing() -> None:
    """The rows follow each letter; Enter keeps the filter, Escape drops it."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.press("slash", *"drops>0")
        await pilot.pause()
        assert bench.table.keys == ["XEUR", "CME-3"]
        await pilot.press("enter")
        await bench.settle(pilot)
        assert "13 filtered out" in bench.text()
        assert "filter: drops>0" in bench.text()
        await pilot.press("escape")
        assert len(bench.table.keys) == 15
        await pilot.press("slash", *"q?nD", "escape")
        await pilot.pause()
        assert len(bench.table.keys) == 15
        assert bench.app.is_running, "letters in the filter are no commands"


async def test_a_filter_that_means_nothing_keeps_the_last_one() -> None:
    """Half a comparison does not empty the screen."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.press("slash", *"drops>0")
        await pilot.press("space", *"gaps>", "enter")
        await pilot.pause()
        assert bench.table.keys == ["XEUR"], "as for `drops>0 gaps`, which still meant something"
        assert bench.fleet.query_one("#filter").has_class("wrong")
        assert bench.fleet.query_one("#filter").display, "it stays open to be mended"


async def test_sort_menu() -> None:
    """A letter picks the order, and it acts at once."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.press("s")
        assert isinstance(bench.app.screen, ChooseBox)
        await pilot.press("n")
        await bench.settle(pilot)
        assert bench.table.keys == sorted(bench.table.keys)
        assert "sort: name" in bench.text()


async def test_problems_only() -> None:
    """`f` hides what is well, and shows it again."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.press("f")
        assert len(bench.table.keys) == 5
        await pilot.press("f")
        assert len(bench.table.keys) == 15


async def test_hold_freezes_the_view_and_ages_count_on() -> None:
    """Space holds states and numbers; the stream goes on behind, ages too."""
    bench = Bench(script=(Step(0.0, "silent", "OSE"), Step(3.0, "gap_both", "XNAS")))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(2.0)
        await bench.settle(pilot)
        before = bench.text()
        await pilot.press("space")
        bench.play(10.0)
        await bench.settle(pilot)
        held = bench.text()
        assert " HOLD " in held.splitlines()[0]
        assert "XXNAS" not in held
        assert "40s" in before
        assert "48s" in held, "the age of the silent feed counts on"
        assert bench.app.desk.state.exchanges["XNAS"].health is Health.DOWN
        await pilot.press("space")
        await bench.settle(pilot)
        assert "XXNAS" in bench.text()


async def test_many_rows_scroll_and_tell_what_is_below() -> None:
    """More exchanges than lines: the foot says how many are out of sight."""
    bench = Bench(script=(), exchanges=50)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        assert "+32 more below" in bench.text()
        await pilot.press("end")
        await bench.settle(pilot)
        assert "more below" not in bench.text()
        assert bench.table.cursor_index == 49
        await pilot.press("home", "pagedown", "k", "j")
        assert bench.table.cursor_index == 17


async def test_the_mouse_chooses_and_opens() -> None:
    """A click chooses, a second one opens."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.click("#table", offset=(3, 2))
        assert bench.table.cursor_key == "LSE"
        await pilot.click("#table", offset=(3, 2), times=2)
        await pilot.pause()
        assert bench.exchange.key == "LSE"


async def test_an_empty_plant_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new operator is told how to begin; keys that need an exchange do no harm."""
    monkeypatch.chdir(tmp_path)
    bench = Bench(script=(), exchanges=0)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        assert "No exchange yet" in bench.text()
        assert "tickdeck exchange add FILE" in bench.text()
        await pilot.press("D", "K", "n", "enter", "y")
        await pilot.pause()
        assert bench.app.is_running


async def test_the_order_waits_for_the_hand() -> None:
    """After a key nothing moves for two seconds, then the new problem rises."""
    bench = Bench(script=(Step(3.0, "gap_both", "XNAS"),))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(2.9)
        await bench.settle(pilot)
        await pilot.press("down")
        bench.play(4.0)
        await bench.settle(pilot)
        assert bench.table.keys[0] != "XNAS"
        assert "order held" in bench.text()
        assert "X XNAS down" in bench.text().splitlines()[2], "line 3 does not wait"
        bench.play(6.0)
        await bench.settle(pilot)
        assert bench.table.keys[0] == "XNAS"


async def test_the_bell_rings_once_for_each_exchange_that_goes_down() -> None:
    """Alarms outside the eye: once, not with every frame."""
    bench = Bench(script=(Step(1.0, "gap_both", "XNAS"),))
    rings: list[int] = []
    bench.app.bell = lambda: rings.append(1)  # type: ignore[method-assign]
    async with bench.app.run_test(size=(80, 24)):
        bench.play(5.0)
        assert len(rings) == 1
        bench.world.apply("LSE", "unrecovered")
        bench.play(8.0)
        assert len(rings) == 2


async def test_a_short_fleet_shows_its_detail_below() -> None:
    """With one exchange the free lines are used."""
    bench = Bench(script=(Step(0.0, "line_lost", "XNAS"),), exchanges=1)
    async with bench.app.run_test(size=(120, 40)) as pilot:
        bench.play(3.0)
        await bench.settle(pilot)
        assert "DETAIL   XNAS" in bench.text()
        assert "EVENTS, newest first" in bench.text()
        bench.app.receive(LinkChange(Link.REFUSED, "connection refused", 1, 0.25))
        bench.wait(20.0)
        await bench.settle(pilot)
        assert "What you can still do" in bench.text()
