"""Cut off from the daemon: old values look old, nothing exits, everything comes back."""

import pytest

from console_harness import Bench, eventually
from tickdeck_console.feed.fake import START, Step
from tickdeck_console.model.frame import Heartbeat, Link, LinkChange
from tickdeck_console.model.severity import Freshness


async def test_a_start_without_a_daemon_opens_the_screen() -> None:
    """No error exit: the screen says what is missing and what can be done."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.app.receive(
            LinkChange(Link.REFUSED, "tickdeckd is not reachable: no such file", 1, 0.25)
        )
        await bench.settle(pilot)
        shown = bench.text()
        assert "LOST" in shown.splitlines()[0]
        assert "NO DATA FROM THE DAEMON YET" in shown
        assert "no such file" in shown
        assert "tickdeck daemon" in shown
        assert "READ-ONLY" in shown
        bench.play(1.0)
        await bench.settle(pilot)
        assert "LIVE" in bench.text().splitlines()[0]
        assert "What you can still do" not in bench.text()


@pytest.mark.parametrize(
    ("silence_s", "freshness"),
    [(0.9, Freshness.LIVE), (2.0, Freshness.LATE), (3.2, Freshness.STALE), (10.5, Freshness.LOST)],
)
async def test_silence_is_told_in_time(silence_s: float, freshness: Freshness) -> None:
    """STALE within 3.5 s and LOST within 10.5 s, also when no error was reported."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        bench.wait(silence_s)
        bench.fleet.tick()
        await pilot.pause()
        assert freshness.name in bench.text().splitlines()[0]
        assert ("READ-ONLY" in bench.text()) is freshness.old


async def test_old_values_stand_in_brackets_with_marks_in_question() -> None:
    """No row claims a state that nobody knows."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        bench.app.receive(LinkChange(Link.REFUSED, "connection refused", 3, 1.0))
        bench.wait(12.0)
        await bench.settle(pilot)
        rows = [line for line in bench.text().splitlines() if " was " in line]
        assert rows
        assert all(row.startswith("?") for row in rows)
        assert "(FILL 22%)" in rows[0]
        assert "daemon down: connection refused" in bench.text()
        assert "3 tries" in bench.text()


async def test_ages_count_on_while_cut_off() -> None:
    """An old value grows older on screen."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        bench.wait(30.0)
        bench.fleet.tick()
        await pilot.pause()
        first = bench.text()
        bench.wait(30.0)
        bench.fleet.tick()
        await pilot.pause()
        assert "LOST 30s" in first
        assert "LOST 60s" in bench.text()


async def test_the_exchange_screen_also_looks_old() -> None:
    """No tab shows old facts in the colours of the present."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.press("enter")
        bench.app.receive(LinkChange(Link.HUNG, "did not answer", 1, 0.25))
        bench.wait(11.0)
        await bench.settle(pilot)
        shown = bench.text()
        assert "NO DATA FROM THE DAEMON SINCE 03:12:01" in shown
        assert "daemon does not answer" in shown
        assert "? as it was, 11s ago" in shown


async def test_back_after_an_outage() -> None:
    """The plant is shown live again, and a toast tells what was missed."""
    bench = Bench(script=(*START, Step(3.0, "restart", seconds=6.0), Step(4.0, "clear", "XEUR")))
    async with bench.app.run_test(size=(80, 24), notifications=True) as pilot:
        bench.play(8.5)
        await bench.settle(pilot)
        assert "STALE" in bench.text().splitlines()[0]
        bench.play(10.0)
        await bench.settle(pilot)
        assert "LIVE" in bench.text().splitlines()[0]
        assert " was " not in bench.text()
        await eventually(pilot, lambda: "Back after" in bench.text())
        for words in ("Back after 6.2 s, 1 event missed", "daemon restarted: yes"):
            assert words in bench.text()


async def test_ctrl_r_tries_now() -> None:
    """The operator need not wait for the next try."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.app.receive(LinkChange(Link.REFUSED, "", 9, 5.0))
        await pilot.press("ctrl+r")
        assert bench.feed.reconnects == 1


async def test_a_long_outage_does_not_end_the_console() -> None:
    """An hour of failed tries later it still runs and answers keys."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        for tries in range(720):
            bench.wait(5.0)
            bench.app.receive(LinkChange(Link.REFUSED, "connection refused", tries + 1, 5.0))
        await bench.settle(pilot)
        assert "LOST 60m" in bench.text()
        await pilot.press("down", "n", "question_mark", "escape")
        assert bench.app.is_running


async def test_heartbeats_keep_a_quiet_plant_live() -> None:
    """Nothing changes for a minute: that is not being cut off."""
    bench = Bench(script=())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        for _ in range(120):
            bench.wait(0.5)
            bench.app.receive(Heartbeat())
        await bench.settle(pilot)
        assert "LIVE" in bench.text().splitlines()[0]
