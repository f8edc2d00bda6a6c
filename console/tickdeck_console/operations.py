"""What an operator can do: each command from the dialog to the daemon and back.

All changes go the same way: the daemon's dry run tells the effects, a box shows them with the
focus on Cancel, and only then the command is sent. Nothing is sent while the facts on screen are
old.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

from textual.app import App

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.errors import CommandError
from tickdeck_console.keys import Level
from tickdeck_console.model.exchange_file import (
    FEEDS,
    ExchangeForm,
    FieldError,
    exchange_toml,
)
from tickdeck_console.model.facts import CheckReport, Gap, ReplayOrder, Verdict
from tickdeck_console.screens.check import CheckBox
from tickdeck_console.screens.choose import Choice, ChooseBox
from tickdeck_console.screens.confirm import ConfirmBox, Question
from tickdeck_console.screens.form import Field, FormBox, Values
from tickdeck_console.screens.replay import ReplayBox

GAPS_OFFERED = 9
"""Gaps that a menu offers, each by a digit."""
_ADD_FIELDS = (
    Field("file", "file", placeholder="/etc/tickdeck/XNAS.toml", above="From an exchange file:"),
    Field("name", "name", placeholder="XNAS", above="Or from its lines:"),
    Field("feed", "feed", "moldudp64", placeholder=", ".join(FEEDS)),
    Field("line-a", "line A", placeholder="239.81.0.1:31001"),
    Field("line-b", "line B", placeholder="239.81.0.2:31002"),
    Field("interface", "interface", "127.0.0.1"),
    Field("request", "re-request", placeholder="127.0.0.1:31009, empty when there is none"),
    Field("snapshot", "snapshots", placeholder="GLIMPSE server, or group:port of their channel"),
)


class OperatorApp(App[None]):
    """The part of the app that acts; `selected_key` says on what."""

    desk: Desk

    @property
    def selected_key(self) -> str:
        """The exchange that commands act on: the one shown, or the one under the cursor."""
        return self.desk.selected

    @property
    def selected_gap(self) -> Gap | None:
        """The gap under the cursor, where gaps are shown."""
        return None

    def command(self, action: str) -> Callable[[], object]:
        """The callback that runs an action named as in the table of keys."""
        raise NotImplementedError

    def action_check(self) -> None:
        """Health check of the exchange shown, or of all that the filter leaves."""
        self._begin(self._check(self.checked_keys))

    def action_check_books(self) -> None:
        """Have the worker of the selected exchange check its books."""
        self._begin(self._check_books(self.selected_key))

    def action_add(self) -> None:
        """Add an exchange."""
        if self._may_change():
            self._begin(self._add())

    def action_remove(self) -> None:
        """Remove the selected exchange."""
        if self._may_change(self.selected_key):
            self._begin(self._remove(self.selected_key))

    def action_replay(self) -> None:
        """Replay a journal or a capture."""
        if self._may_change():
            self._begin(self._replay(self.selected_key))

    def action_restart(self) -> None:
        """Restart a worker of the selected exchange."""
        if self._may_change(self.selected_key):
            self._begin(self._restart(self.selected_key))

    def action_recover(self) -> None:
        """Ask again now for the open gaps of the selected exchange."""
        if self._may_change(self.selected_key):
            self._begin(self._recover(self.selected_key))

    def action_retry_gap(self) -> None:
        """Ask again now for the chosen gap."""
        if self._may_change(self.selected_key):
            self._begin(self._retry_gap(self.selected_key))

    def action_snapshot_gap(self) -> None:
        """Let a snapshot stand in for the chosen gap."""
        if self._may_change(self.selected_key):
            self._begin(self._snapshot_gap(self.selected_key))

    def action_accept_loss(self) -> None:
        """Give the chosen gap up."""
        if self._may_change(self.selected_key):
            self._begin(self._accept_loss(self.selected_key))

    def action_annotate_gap(self) -> None:
        """Write a note on the chosen gap."""
        if self._may_change(self.selected_key):
            self._begin(self._annotate_gap(self.selected_key))

    def action_collect(self, run: bool) -> None:
        """Start or stop collecting."""
        if self._may_change(self.selected_key):
            self._begin(self._collect(self.selected_key, run=run))

    @property
    def checked_keys(self) -> tuple[str, ...]:
        """What a health check looks at; one empty name means all exchanges."""
        return (self.selected_key,)

    def _begin(self, command: Coroutine[Any, Any, None]) -> None:
        self.run_worker(self._guarded(command), group="command")

    async def _guarded(self, command: Coroutine[Any, Any, None]) -> None:
        try:
            await command
        except CommandError as error:
            self.tell(str(error), error=True)

    def tell(self, message: str, *, error: bool = False) -> None:
        """A toast about an own command; foreign text in it is made safe."""
        kind: Literal["error", "information"] = "error" if error else "information"
        self.notify(text.safe(message), severity=kind, timeout=8, markup=False)

    def _may_change(self, key: str | None = None) -> bool:
        """False, and a toast that says why, when nothing may be changed now."""
        if self.desk.freshness.old:
            self.tell("Off until a fresh snapshot arrives: the console is cut off.", error=True)
            return False
        if key == "":
            self.tell("There is no exchange to act on.", error=True)
            return False
        return True

    async def _confirmed(self, question: Question) -> str | None:
        """The reason, or None when the operator cancelled or the facts grew old meanwhile."""
        reason = await self.push_screen_wait(ConfirmBox(question))
        if reason is not None and not self._may_change():
            return None
        return reason

    async def _check(self, keys: tuple[str, ...]) -> None:
        if self.desk.freshness.old:
            self.tell("The daemon cannot be asked: the console is cut off.", error=True)
            return
        self.tell(f"Health check of {', '.join(keys) or 'all exchanges'} runs ...")
        reports = await asyncio.gather(*map(self.desk.plant.check, keys))
        report = CheckReport(
            tuple(entry for one in reports for entry in one.exchanges),
            max((one.time_ns for one in reports), default=0),
            any(one.shared for one in reports),
        )
        if report.verdict is Verdict.FAIL:
            self.bell()
        self.clear_notifications()
        await self.push_screen_wait(CheckBox(report))

    async def _check_books(self, key: str) -> None:
        if self.desk.freshness.old or not key:
            self.tell("There is no exchange on screen to be asked.", error=True)
            return
        self.tell(f"The books of {key} are checked ...")
        report = await self.desk.plant.check_books(key)
        if report.verdict is Verdict.FAIL:
            self.bell()
        self.clear_notifications()
        await self.push_screen_wait(CheckBox(report, "Books"))

    async def _add(self) -> None:
        effects: list[str] = []

        async def check(values: Values) -> str:
            try:
                toml = _toml(values)
                effects[:] = await self.desk.plant.create(toml, "dry run", dry_run=True)
            except (FieldError, OSError, UnicodeDecodeError) as error:
                return str(error)
            except CommandError as error:
                return str(error)
            return ""

        values = await self.push_screen_wait(FormBox("Add exchange", _ADD_FIELDS, "Check", check))
        if values is None:
            return
        question = Question("Add exchange", "Add", tuple(effects))
        if await self._confirmed(question) is None:
            return
        done = await self.desk.plant.create(_toml(values), "added in the console", dry_run=False)
        self.tell("Added. " + " ".join(done))

    async def _remove(self, key: str) -> None:
        etag, effects = await self.desk.plant.removal(key)
        question = Question(
            f"Remove exchange {key}", f"Remove {key}", effects, Level.DESTROY, typed=key
        )
        reason = await self._confirmed(question)
        if reason is None:
            return
        done = await self.desk.plant.remove(key, etag, reason)
        self.tell(f"Removed {key}. " + " ".join(done))

    async def _restart(self, key: str) -> None:
        workers = await self.desk.plant.workers(key)
        choices = [
            Choice(worker.kind[:1], f"{worker.key}  {worker.state}  pid {worker.pid}", worker.key)
            for worker in workers
        ]
        if not choices:
            self.tell(f"{key} has no worker.", error=True)
            return
        worker = await self.push_screen_wait(ChooseBox("Restart which worker?", choices))
        if worker is None:
            return
        effects = await self.desk.plant.restart(worker, "dry run", dry_run=True)
        question = Question(f"Restart worker {worker}", "Restart", effects)
        if await self._confirmed(question) is None:
            return
        done = await self.desk.plant.restart(worker, "restarted in the console", dry_run=False)
        self.tell(f"Restarted {worker}. " + " ".join(done))

    async def _recover(self, key: str) -> None:
        effects = await self.desk.plant.recover(key, 0, dry_run=True)
        question = Question(f"Ask again for the open gaps of {key}", "Ask again", effects)
        if await self._confirmed(question) is None:
            return
        done = await self.desk.plant.recover(key, 0, dry_run=False)
        self.tell(f"Asked again for {key}. " + " ".join(done))

    async def _chosen_gap(self, key: str, *, open_only: bool) -> Gap | None:
        """The gap under the cursor, else the one that the operator picks."""
        chosen = self.selected_gap
        if chosen is not None and chosen.exchange == key:
            return chosen
        gaps = (await self.desk.plant.gaps(key)).gaps
        offered = [gap for gap in gaps if gap.stage.open or not open_only][:GAPS_OFFERED]
        if not offered:
            self.tell(f"{key} has no {'open ' if open_only else ''}gap.", error=True)
            return None
        choices = [
            Choice(str(number), f"gap {gap.id}  {gap.first_seq}..{gap.last_seq}", str(gap.id))
            for number, gap in enumerate(offered, start=1)
        ]
        picked = await self.push_screen_wait(ChooseBox(f"Which gap of {key}?", choices))
        return next((gap for gap in offered if str(gap.id) == picked), None)

    async def _retry_gap(self, key: str) -> None:
        gap = await self._chosen_gap(key, open_only=True)
        if gap is None:
            return
        effects = await self.desk.plant.recover(key, gap.id, dry_run=True)
        question = Question(f"Ask again for gap {gap.id} of {key}", "Ask again", effects)
        if await self._confirmed(question) is None:
            return
        await self.desk.plant.recover(key, gap.id, dry_run=False)
        self.tell(f"Asked again for gap {gap.id} of {key}.")

    async def _snapshot_gap(self, key: str) -> None:
        gap = await self._chosen_gap(key, open_only=True)
        if gap is None:
            return
        plant = self.desk.plant
        effects = await plant.snapshot(key, gap.id, "dry run", dry_run=True)
        question = Question(f"Snapshot for gap {gap.id} of {key}", "Take it", effects)
        if await self._confirmed(question) is None:
            return
        await plant.snapshot(key, gap.id, "ordered in the console", dry_run=False)
        self.tell(f"A snapshot is taken for gap {gap.id} of {key}.")

    async def _accept_loss(self, key: str) -> None:
        gap = await self._chosen_gap(key, open_only=True)
        if gap is None:
            return
        plant, typed = self.desk.plant, f"{key}-{gap.id}"
        effects = await plant.accept_loss(key, gap.id, "dry run", dry_run=True)
        question = Question(
            f"Accept the loss of gap {typed}", "Accept loss", effects, Level.DESTROY, typed=typed
        )
        reason = await self._confirmed(question)
        if reason is None:
            return
        await plant.accept_loss(key, gap.id, reason, dry_run=False)
        self.tell(f"The loss of gap {typed} is accepted.")

    async def _annotate_gap(self, key: str) -> None:
        gap = await self._chosen_gap(key, open_only=False)
        if gap is None:
            return
        plant = self.desk.plant
        effects: list[str] = []

        async def check(values: Values) -> str:
            try:
                effects[:] = await plant.annotate(key, gap.id, values["note"], dry_run=True)
            except CommandError as error:
                return str(error)
            return ""

        form = FormBox(f"Note on gap {key}-{gap.id}", (Field("note", "note"),), "Check", check)
        values = await self.push_screen_wait(form)
        if values is None:
            return
        question = Question(f"Note on gap {key}-{gap.id}", "Write it", tuple(effects))
        if await self._confirmed(question) is None:
            return
        await plant.annotate(key, gap.id, values["note"], dry_run=False)
        self.tell(f"Noted on gap {key}-{gap.id}.")

    async def _collect(self, key: str, *, run: bool) -> None:
        verb = "Start" if run else "Stop"
        effects = await self.desk.plant.collect(key, run=run, dry_run=True)
        if await self._confirmed(Question(f"{verb} collecting {key}", verb, effects)) is None:
            return
        done = await self.desk.plant.collect(key, run=run, dry_run=False)
        self.tell(f"{verb}: {key}. " + " ".join(done))

    async def _replay(self, key: str) -> None:
        effects: list[str] = []

        async def check(values: Values) -> str:
            try:
                effects[:] = await self.desk.plant.replay_effects(_order(values))
            except (FieldError, CommandError) as error:
                return str(error)
            return ""

        form = FormBox("Replay", _replay_fields(key), "Check", check)
        values = await self.push_screen_wait(form)
        if values is None:
            return
        question = Question("Start replay", "Start", tuple(effects))
        if await self._confirmed(question) is None:
            return
        replay = await self.desk.plant.start_replay(_order(values), "started in the console")
        await self.push_screen_wait(ReplayBox(self.desk.plant, replay))


def _toml(values: Values) -> str:
    """The exchange file that the form names or describes.

    Raises:
        FieldError: The fields say too little.
        OSError: The file cannot be read.
    """
    if values["file"]:
        return Path(values["file"]).expanduser().read_text(encoding="utf-8")
    form = ExchangeForm(
        name=values["name"],
        line_a=values["line-a"],
        line_b=values["line-b"],
        interface=values["interface"],
        request_address=values["request"],
        feed=values["feed"],
        snapshot=values["snapshot"],
    )
    return exchange_toml(form)


def _replay_fields(key: str) -> tuple[Field, ...]:
    return (
        Field("exchange", "exchange", key, above="From the journal of an exchange:"),
        Field("from", "from seq", placeholder="first"),
        Field("to", "to seq", placeholder="last"),
        Field("capture", "capture", placeholder="/var/tmp/day.pcap", above="Or from a capture:"),
        Field("target", "target", placeholder="239.99.0.1:32001", above="To a multicast group:"),
        Field("interface", "interface", "127.0.0.1"),
        Field("speed", "speed", "1", "1 is the recorded pace, 0 as fast as possible"),
    )


def _order(values: Values) -> ReplayOrder:
    """The replay that the form describes.

    Raises:
        FieldError: A field is missing or is no number.
    """
    if not values["target"]:
        raise FieldError("target: give group:port, such as 239.99.0.1:32001")
    if not values["exchange"] and not values["capture"]:
        raise FieldError("exchange: name one, or a capture file")
    numbers = [values[name] or "0" for name in ("from", "to")]
    if not all(number.isdigit() for number in numbers):
        raise FieldError("from seq, to seq: give journal sequences, or leave them empty")
    try:
        speed = float(values["speed"] or "1")
    except ValueError as error:
        raise FieldError(f"speed: {values['speed']!r} is not a number") from error
    return ReplayOrder(
        target=values["target"],
        exchange="" if values["capture"] else values["exchange"],
        capture=values["capture"],
        interface=values["interface"],
        from_seq=int(numbers[0]),
        to_seq=int(numbers[1]),
        speed=speed,
    )
