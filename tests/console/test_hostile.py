"""Strings from outside never crash the console and never reach the terminal raw."""

import random
import unicodedata
from dataclasses import replace

import pytest

from console_harness import Bench, eventually
from tickdeck_console.model.facts import Gap, GapList, GapNote, GapPart, GapStage
from tickdeck_console.model.frame import (
    Book,
    Cause,
    Delta,
    Event,
    Events,
    Exchange,
    Export,
    Health,
    Journal,
    Latency,
    Line,
    Link,
    LinkChange,
    RecoverySource,
    Server,
    SourceState,
)
from tickdeck_console.model.wal import (
    RecoveryProblem,
    RecoveryReport,
    Segment,
    Subscriber,
    Wal,
)
from tickdeck_console.screens.confirm import ConfirmBox

NASTY = (
    "[red]markup[/red]",
    "[/]",
    "[@click=app.quit]x[/]",
    "$error [link=http://e]x",
    "\x1b[2J\x1b[31mred",
    "\x1b]0;owned\x07",
    "\x1b]52;c;AAAA\x1b\\",
    "\x9b31m\x90q\x9c",
    "a\r\nb\tc\x00\x07\x08",
    "\u202eright to left\u202c",
    "e\u0301\u0301\u200d\ufeff",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f525",
    "日本語テキスト",
    "x" * 10_000,
    "",
    "{braces} %s \\ ' \"",
)


def nasty_row(rng: random.Random, key: str) -> Exchange:
    def text() -> str:
        return "".join(rng.choice(NASTY) for _ in range(rng.randrange(1, 3)))

    return Exchange(
        key,
        rng.choice(list(Health)),
        since_ns=rng.randrange(2**62),
        causes=tuple(Cause(text(), text(), text()) for _ in range(rng.randrange(3))),
        data=text(),
        age_ns=rng.randrange(2**63),
        message_rate=rng.choice((0.0, 1e18, float("inf"))),
        drop_rate=rng.choice((0.0, 1e30)),
        gaps_open=rng.randrange(2**31),
        recovery=text(),
        path=text(),
        lines=tuple(
            Line(
                text(),
                text(),
                interface=text(),
                packets=1,
                first=rng.randrange(2),
                leads=rng.randrange(2),
                lead_p99_ns=2**62,
                alone_since_ns=rng.randrange(2**62),
            )
            for _ in range(2)
        ),
        journal=Journal(
            text(),
            directory=text(),
            sync_policy=text(),
            sync_p99_ns=2**63,
            worst_loss=text(),
            compression=text(),
            recovery_mode=text(),
            on_failure=text(),
            disk_free_octets=2**63,
            disk_full_in_s=2**62,
            holes=rng.randrange(2**62),
        ),
        export=Export(
            text(), text(), text(), 1, 2**62, 2**62, cert_expires_s=2**62, sight_age_ms=2**62
        ),
        book=Book(text(), lag_records=2**63),
        latencies=(Latency(text(), text(), 1, 2**63, 2**63, 2**63, 2**63),),
        gap_trend=tuple(rng.randrange(2**31) for _ in range(rng.randrange(12))),
        session=text(),
        workers=(text(), text()),
        next_sequence=2**64 - 1,
        conflicts=rng.randrange(2**62),
        reorder_window_ns=2**63,
        storm=rng.random() < 0.5,
        sources=tuple(
            RecoverySource(text(), text(), text(), rng.choice(list(SourceState)), text(), 1, 2**62)
            for _ in range(rng.randrange(4))
        ),
        faults=((text(), 2**62),),
    )


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40), (200, 60)])
async def test_hostile_frames_on_every_screen(size: tuple[int, int]) -> None:
    """Thousands of hostile frames: no crash, no control code, no line too wide."""
    bench = Bench(script=())
    rng = random.Random(size[0])
    async with bench.app.run_test(size=size) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        revision = 10_000
        for key in ("", "enter", "f", "g", "l", "w", "b", "o", "1", "2", "1", "6"):
            if key:
                await pilot.press(key)
            for _ in range(100):
                revision += 1
                bench.wait(0.1)
                row = nasty_row(rng, rng.choice([*NASTY[:13], "XNAS", "LSE"]))
                bench.app.receive(Delta("fake-1", revision, (row,)))
            event = Event(revision, 0, rng.choice(NASTY), rng.choice(NASTY), rng.choice(NASTY))
            bench.app.receive(Events("log", revision + 1, (event,)))
            bench.app.receive(Server(NASTY[4], "i", rng.choice(NASTY), 0))
            await bench.settle(pilot)
            _assert_harmless(bench.text(), size[0])
        bench.app.receive(LinkChange(Link.REFUSED, NASTY[4] * 9, 1, 0.5))
        bench.wait(20.0)
        await bench.settle(pilot)
        _assert_harmless(bench.text(), size[0])
        assert bench.app.is_running


async def test_hostile_names_in_dialogs_and_summary() -> None:
    """A name is typed, shown and copied without becoming markup or a command."""
    bench = Bench(script=())
    name = "[@click=app.quit]X[/]\x1b[31m"
    async with bench.app.run_test(size=(100, 40)) as pilot:
        bench.play(1.0)
        row = replace(bench.world.rows["XNAS"], key=name, health=Health.DOWN)
        bench.world.rows[name] = row
        bench.app.receive(Delta("fake-1", 999, (row,)))
        await bench.settle(pilot)
        bench.fleet.choose(name)
        await pilot.press("D")
        await eventually(pilot, bench.shows(ConfirmBox))
        await bench.settle(pilot)
        assert "[@click=app.quit]X[/]" in bench.text()
        _assert_harmless(bench.text(), 100)
        await pilot.press("escape", "enter")
        await bench.settle(pilot)
        _assert_harmless(bench.text(), 100)


async def test_hostile_gaps_in_list_and_dialog() -> None:
    """Sources, faults and notes of strangers are shown as text, at every width."""
    rng = random.Random(3)

    def text() -> str:
        return rng.choice(NASTY)

    gaps = tuple(
        Gap(
            "XNAS",
            number,
            2**64 - 9,
            2**64 - 1,
            rng.choice(list(GapStage)),
            name=f"XNAS-{number}",
            sources=(text(),),
            parts=(GapPart(text(), 2**62),),
            lines_missed=(text(),),
            lost_on=text(),
            fault=text(),
            reason=text(),
            drop_verdict=text(),
            detected_ns=rng.randrange(2**62),
            partial_ns=rng.randrange(2**62),
            notes=(GapNote(rng.randrange(2**62), text(), text()),) * 2,
        )
        for number in range(1, 20)
    )
    for size in ((60, 18), (80, 24), (200, 60)):
        bench = Bench(script=())

        async def hostile(_: str) -> GapList:
            return GapList(gaps)

        bench.plant.gaps = hostile  # type: ignore[method-assign]
        async with bench.app.run_test(size=size) as pilot:
            bench.play(1.0)
            await bench.settle(pilot)
            await pilot.press("enter", "g")
            await bench.exchange.fetched()
            await pilot.pause()
            await bench.exchange.fetched()
            for _ in gaps:
                await bench.settle(pilot)
                _assert_harmless(bench.text(), size[0])
                await pilot.press("enter")
                await bench.settle(pilot)
                _assert_harmless(bench.text(), size[0])
                await pilot.press("escape", "down")


async def test_hostile_readers_and_reports_of_a_journal() -> None:
    """Names of subscribers and files of a report come from outside, and are shown as text."""
    rng = random.Random(4)

    def text() -> str:
        return rng.choice(NASTY)

    def made() -> Wal:
        problem = RecoveryProblem(text(), 2**62, text(), 1, 2**62, 2**62, text())
        report = RecoveryReport(
            rng.randrange(2**62), text(), clean=False, problems=(problem,) * 9, refused=True
        )
        readers = tuple(
            Subscriber(
                *(text(), text(), text(), 2**62, 1, 2**62, 2**62, 2**62, text(), 0, text()),
                kept_seq=2**64 - 1,
            )
            for _ in range(9)
        )
        return Wal((Segment(text(), 1, 2**63, 2**62, sealed=False),), report, readers, text())

    async def hostile(_: str) -> Wal:
        return made()

    for size in ((60, 18), (80, 24), (200, 60)):
        bench = Bench(script=())
        bench.plant.wal = hostile  # type: ignore[method-assign]
        async with bench.app.run_test(size=size) as pilot:
            bench.play(1.0)
            await bench.settle(pilot)
            await pilot.press("enter", "w")
            for _ in range(10):
                await bench.exchange.fetched()
                await pilot.pause()
                await bench.settle(pilot)
                _assert_harmless(bench.text(), size[0])


def _assert_harmless(shown: str, columns: int) -> None:
    for line in shown.splitlines():
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs")]
        cells = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)
        assert cells <= columns, line
