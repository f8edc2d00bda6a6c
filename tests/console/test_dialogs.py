"""Nothing is changed by one key: effects first, focus on Cancel, typed names for the worst."""

import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from console_harness import Bench, eventually
from tickdeck_console.errors import CommandError
from tickdeck_console.feed.fake_plant import FakePlant
from tickdeck_console.model.facts import ReplayState
from tickdeck_console.model.frame import Link, LinkChange
from tickdeck_console.screens.check import CheckBox
from tickdeck_console.screens.choose import ChooseBox
from tickdeck_console.screens.confirm import ConfirmBox
from tickdeck_console.screens.exchange import ExchangeScreen
from tickdeck_console.screens.form import FormBox
from tickdeck_console.screens.help import HelpBox
from tickdeck_console.screens.lists import ListScreen
from tickdeck_console.screens.replay import ReplayBox


async def ready(bench: Bench, pilot: Pilot[None], key: str = "XEUR") -> None:
    bench.play(1.0)
    await bench.settle(pilot)
    bench.fleet.choose(key)


class Recorder:
    """Counts the calls that would change the plant."""

    CHANGES = (
        *("create", "remove", "restart", "start_replay", "recover", "collect"),
        *("snapshot", "accept_loss", "annotate"),
    )

    def __init__(self, plant: FakePlant, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for name in self.CHANGES:
            monkeypatch.setattr(plant, name, self._recorded(name, getattr(plant, name)))

    @property
    def real(self) -> list[str]:
        return [name for name, _, options in self.calls if not options.get("dry_run")]

    def _recorded(self, name: str, method: Any) -> Any:  # noqa: ANN401
        async def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            self.calls.append((name, arguments, options))
            return await method(*arguments, **options)

        return call


@pytest.mark.parametrize("key", ["D", "K"])
async def test_the_focus_is_on_cancel(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter on the box does nothing to the plant."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press(key)
        if key == "K":
            await eventually(pilot, bench.shows(ChooseBox))
            await pilot.press("enter")
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.pause()
        assert bench.app.focused is not None
        assert bench.app.focused.id == "cancel"
        assert "Effect (dry run by the daemon)" in bench.text()
        await pilot.press("enter")
        await eventually(pilot, lambda: bench.app.screen is bench.fleet)
        assert recorder.real == []


async def test_remove_needs_the_typed_name_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The button stays locked until both are there; then the exchange goes."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("D")
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.pause()
        go = bench.app.screen.query_one("#go", Button)
        assert go.disabled
        typed = bench.app.screen.query_one("#typed", Input)
        reason = bench.app.screen.query_one("#reason", Input)
        typed.focus()
        await pilot.press(*"XEU")
        reason.focus()
        await pilot.press(*"moved")
        await pilot.pause()
        assert go.disabled, "half a name is no name"
        typed.focus()
        await pilot.press("end", "R")
        await pilot.pause()
        assert not go.disabled
        go.press()
        await eventually(pilot, lambda: "XEUR" not in bench.world.rows)
        assert recorder.real == ["remove"]
        (_, arguments, _), *_ = [call for call in recorder.calls if call[0] == "remove"]
        assert arguments[0] == "XEUR"
        assert arguments[2] == "moved"


async def test_remove_of_a_changed_exchange_is_refused() -> None:
    """Between dry run and click another operator acted: the daemon refuses, the box says so."""
    bench = Bench()
    async with bench.app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(bench, pilot)
        await pilot.press("D")
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.pause()
        bench.world.apply("XEUR", "clear")
        bench.app.screen.query_one("#typed", Input).value = "XEUR"
        bench.app.screen.query_one("#reason", Input).value = "r"
        await pilot.pause()
        bench.app.screen.query_one("#go", Button).press()
        await eventually(pilot, lambda: "has changed" in bench.text())
        assert "XEUR" in bench.world.rows


async def test_add_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, dry run, effects, confirm: then it is there."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    file = tmp_path / "NEW.toml"
    file.write_text('name = "NEW"\n')
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("A")
        await eventually(pilot, bench.shows(FormBox))
        await pilot.pause()
        bench.app.screen.query_one("#file", Input).value = str(file)
        bench.app.screen.query_one("#next", Button).press()
        await eventually(pilot, lambda: "start worker NEW-rx" in bench.text())
        assert "NEW" not in bench.world.rows
        bench.app.screen.query_one("#go", Button).press()
        await eventually(pilot, lambda: "NEW" in bench.world.rows)
        assert recorder.real == ["create"]


async def test_add_from_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form makes the file; what is missing or taken is told in the form."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("A")
        await eventually(pilot, bench.shows(FormBox))
        await pilot.pause()
        screen = bench.app.screen

        async def sent(words: str) -> None:
            screen.query_one("#next", Button).press()
            error = screen.query_one("#error", Static)
            await eventually(pilot, lambda: words in str(error.render()))

        await sent("give the exchange a name")
        screen.query_one("#name", Input).value = "XNAS"
        await sent("line A")
        screen.query_one("#line-a", Input).value = "239.1.1.1:3000"
        await sent("exists")
        screen.query_one("#file", Input).value = "/nowhere/x.toml"
        await sent("No such file")
        assert recorder.real == []
        screen.query_one("#file", Input).value = ""
        screen.query_one("#name", Input).value = "NEW"
        screen.query_one("#next", Button).press()
        await eventually(pilot, bench.shows(ConfirmBox))
        await pilot.press("escape")
        await eventually(pilot, lambda: bench.app.screen is bench.fleet)
        assert recorder.real == []


async def test_restart_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A menu of the exchange's workers, effects, then the restart."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("K")
        await eventually(pilot, bench.shows(ChooseBox))
        await pilot.press("b")
        await eventually(pilot, bench.shows(ConfirmBox))
        assert "XEUR-book" in bench.text()
        await pilot.press("right", "enter")
        await eventually(pilot, lambda: recorder.real == ["restart"])


async def test_replay_form_progress_and_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is a line is refused; a replay shows its progress and can be stopped."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("R")
        await eventually(pilot, bench.shows(FormBox))
        await pilot.pause()
        form = bench.app.screen
        assert form.query_one("#exchange", Input).value == "XEUR"
        error = form.query_one("#error", Static)
        line = bench.world.rows["LSE"].lines[0]
        for field, value, words in (
            ("target", "", "give group:port"),
            ("target", f"{line.group}:{line.port}", "is a line of LSE"),
            ("from", "x", "give journal sequences"),
            ("from", "5", ""),
            ("speed", "fast", "is not a number"),
        ):
            form.query_one(f"#{field}", Input).value = value
            if words:
                form.query_one("#next", Button).press()
                await eventually(pilot, lambda words=words: words in str(error.render()))
        form.query_one("#speed", Input).value = "0"
        form.query_one("#target", Input).value = "239.99.0.1:32001"
        form.query_one("#next", Button).press()
        await eventually(pilot, bench.shows(ConfirmBox))
        assert recorder.real == []
        bench.app.screen.query_one("#go", Button).press()
        await eventually(pilot, bench.shows(ReplayBox))
        await eventually(pilot, lambda: "journal XEUR" in bench.text())
        bench.app.screen.query_one("#stop", Button).press()
        await eventually(pilot, lambda: "STOPPED" in bench.text())
        (replay,) = await bench.plant.replays()
        assert (replay.state, replay.from_seq, replay.speed) == (ReplayState.STOPPED, 5, 0.0)
        await pilot.press("escape", "5")
        await eventually(pilot, lambda: "STOPPED" in bench.text())
        await pilot.press("enter")
        await eventually(pilot, bench.shows(ReplayBox))


async def test_health_check_shows_evidence() -> None:
    """`h` on the fleet checks all, on an exchange that one; the worst comes first."""
    bench = Bench()
    async with bench.app.run_test(size=(100, 40)) as pilot:
        await ready(bench, pilot)
        await pilot.press("h")
        await eventually(pilot, bench.shows(CheckBox))
        await bench.settle(pilot)
        shown = bench.text()
        assert "FAIL" in shown.splitlines()[3]
        assert "normal: progress within 1 s" in shown
        assert "do: see" in shown
        await pilot.press("escape", "enter", "h")
        await eventually(pilot, bench.shows(CheckBox))
        await bench.settle(pilot)
        assert "XEUR" in bench.text()
        assert "OSE" not in bench.text()
        await pilot.press("escape", "escape", "slash", *"state:recover", "enter", "h")
        await eventually(pilot, bench.shows(CheckBox))
        await bench.settle(pilot)
        assert "NYSE" in bench.text()
        assert "XEUR" not in bench.text(), "the filter had left one exchange"


async def test_the_books_are_checked_from_the_palette() -> None:
    """The worker of the exchange on screen is asked, and the result stays until it is closed."""
    bench = Bench()
    async with bench.app.run_test(size=(100, 40)) as pilot:
        await ready(bench, pilot)
        await pilot.press("enter")
        await eventually(pilot, bench.shows(ExchangeScreen))
        await bench.pick(pilot, "check the books", "Check the books")
        await eventually(pilot, bench.shows(CheckBox))
        await bench.settle(pilot)
        assert "Books" in bench.text().splitlines()[3]
        assert "PASS" in bench.text()


async def test_while_cut_off_nothing_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All write keys are off, and say so."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(bench, pilot)
        bench.app.receive(LinkChange(Link.REFUSED, "connection refused", 1, 0.25))
        bench.wait(5.0)
        for key in ("A", "D", "R", "K", "h"):
            await pilot.press(key)
            await pilot.pause()
            assert bench.app.screen is bench.fleet, key
        assert recorder.calls == []
        assert "cut off" in bench.text()


async def test_a_change_confirmed_after_the_link_broke_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The box was open when the daemon was lost: its button does nothing any more."""
    bench = Bench()
    recorder = Recorder(bench.plant, monkeypatch)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("K")
        await eventually(pilot, bench.shows(ChooseBox))
        await pilot.press("enter")
        await eventually(pilot, bench.shows(ConfirmBox))
        bench.app.receive(LinkChange(Link.REFUSED, "refused", 1, 0.25))
        bench.wait(5.0)
        await pilot.press("right", "enter")
        await eventually(pilot, lambda: bench.app.screen is bench.fleet)
        assert recorder.real == []


async def test_an_error_of_a_command_is_a_toast() -> None:
    """What the daemon refuses is told, and the console lives on."""
    bench = Bench()

    async def fail(_: str) -> None:
        raise CommandError("the daemon is draining", "wait for its restart")

    bench.plant.workers = fail  # type: ignore[method-assign,assignment]
    async with bench.app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(bench, pilot)
        await pilot.press("K")
        await eventually(pilot, lambda: "draining" in bench.text())


async def test_help_and_lists() -> None:
    """`?` shows all keys; digits lead to the lists and back."""
    bench = Bench()
    async with bench.app.run_test(size=(120, 60)) as pilot:
        await ready(bench, pilot)
        await pilot.press("question_mark")
        await eventually(pilot, bench.shows(HelpBox))
        await pilot.press("escape", "2")
        await eventually(pilot, bench.shows(ListScreen))
        await bench.settle(pilot)
        assert "gap.opened" in bench.text()
        await pilot.press("6")
        await eventually(pilot, lambda: "XEUR-book" in bench.text())
        await pilot.press("1")
        await eventually(pilot, lambda: bench.app.screen is bench.fleet)


async def test_the_palette_runs_commands_and_opens_exchanges() -> None:
    """`:` finds commands without a key, and exchanges by name."""
    bench = Bench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await ready(bench, pilot)
        await bench.pick(pilot, "open hkex", "Open HKEX")
        await eventually(pilot, lambda: getattr(bench.app.screen, "key", "") == "HKEX")
        await bench.pick(pilot, "stop collecting", "Stop collecting")
        await eventually(pilot, bench.shows(ConfirmBox))
        assert "drain the workers of HKEX" in bench.text()


async def test_summary_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`y` and `S` leave files that can be passed on."""
    monkeypatch.chdir(tmp_path)
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await ready(bench, pilot)
        await pilot.press("y", "S")
        await eventually(pilot, lambda: len(os.listdir(tmp_path)) == 2)
    picture, summary = sorted(os.listdir(tmp_path))
    content = (tmp_path / summary).read_text()
    for words in ("XEUR: DOWN for", "cause 1: gap on A and B", "evidence: kernel_drops",
                  "line A: 239.81.1.1:31012", "newest events"):  # fmt: skip
        assert words in content
    assert bench.app.clipboard == content
    assert (tmp_path / picture).read_text().startswith("<svg")
