"""What an operator may do about gaps: ask again, take a snapshot, accept the loss, note something.

Each verb checks what the daemon knows, tells its effects, calls the rx worker, and is written
down. The worker decides: a gap that was closed meanwhile is its error, not a second effect.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tickdeck_daemon.errors import (
    InvalidError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    WrongStateError,
)
from tickdeck_daemon.exchanges.config import RecoverySource, worker_id
from tickdeck_daemon.observe.gaps import (
    ANNOTATED,
    LOSS_ACCEPTED,
    Gap,
    GapNote,
    details,
)
from tickdeck_daemon.operate.operations import Operation
from tickdeck_daemon.operate.order import Order, with_reason
from tickdeck_daemon.plant import Plant

CALL_TIMEOUT_S = 5.0
FOLLOW_LIMIT_S = 600.0
"""How long a recovery operation follows its gaps."""
FOLLOW_LOOK_S = 0.1
NOTE_BYTES_MAX = 512
"""Longest note, as the journal's record has it."""
ACCEPTED = "loss accepted: "
"""What the worker writes in front of the reason when it journals it as a note."""


@dataclass(frozen=True, slots=True)
class RecoveryProgress:
    """State of a recovery operation; also its result."""

    exchange: str
    gaps: tuple[str, ...]
    """Names of the gaps that are followed."""
    open: int
    filled: int
    unrecoverable: int
    messages_missing: int


class Recoveries:
    """The verbs on gaps."""

    def __init__(self, plant: Plant) -> None:
        """Act on `plant`."""
        self._plant = plant

    async def start(
        self, name: str, gap_id: int, order: Order
    ) -> tuple[Operation | None, list[str]]:
        """Ask again now for one open gap, or for all.

        Raises:
            NotFoundError: no such exchange, or no such gap.
            WrongStateError: nothing is open, or there is nobody to ask.
            UnavailableError: the rx worker does not answer.
        """
        self._plant.refuse_if_draining()
        sources = self._plant.store.get(name).config.recovery.sources
        gaps = self._open_gaps(name, gap_id)
        ranges = [source for source in sources if source.brings_ranges]
        if not ranges:
            text = f"{name} has no recovery source; set [recovery] in its file"
            if sources:
                text = f"{name} has a snapshot as its only recovery source; let it stand in"
            raise WrongStateError(text, reason="NO_RECOVERY_SOURCE", metadata={"exchange": name})
        effects = [
            f"ask {ranges[0].address} for {gap.first}..{gap.last}, {gap.missing} missing"
            for gap in gaps
        ]
        effects += [f"then {_asked(source)}" for source in sources[1:]]
        if order.validate_only:
            return None, effects
        await self._call(name, "recovery.start", {"gap_id": gap_id})
        text = f"recovery of {len(gaps)} gaps of {name} ordered"
        self._tell("recovery.started", name, text, order)
        return self._follow(name, gaps), effects

    async def snapshot(
        self, name: str, gap_id: int, order: Order
    ) -> tuple[Operation | None, list[str]]:
        """Let a snapshot stand in for one open gap, or for all.

        Raises:
            NotFoundError: no such exchange, or no such gap.
            WrongStateError: nothing is open, or there is no source of snapshots.
            UnavailableError: the rx worker does not answer.
        """
        self._plant.refuse_if_draining()
        sources = self._plant.store.get(name).config.recovery.sources
        gaps = self._open_gaps(name, gap_id)
        found = [source for source in sources if not source.brings_ranges]
        if not found:
            text = f"{name} has no source of snapshots; set [recovery.snapshot] in its file"
            raise WrongStateError(text, reason="NO_SNAPSHOT_SOURCE", metadata={"exchange": name})
        effects = _effects_of_snapshot(found[0], gaps, self._plant.ledger.open_gaps(name))
        if order.validate_only:
            return None, effects
        await self._call(name, "recovery.snapshot", {"gap_id": gap_id} if gap_id else {})
        text = f"snapshot for {len(gaps)} gaps of {name} ordered"
        self._tell("recovery.snapshot_ordered", name, text, order)
        return self._follow(name, gaps), effects

    async def accept_loss(self, name: str, gap_id: int, order: Order) -> tuple[int, list[str]]:
        """Give an open gap up; returns the messages that are declared lost.

        Raises:
            InvalidError: no gap is named, or no reason given.
            NotFoundError: no such exchange, or no such gap.
            WrongStateError: the gap is closed, or of a worker that has ended.
            UnavailableError: the rx worker does not answer.
        """
        plant = self._plant
        plant.refuse_if_draining()
        record = plant.store.get(name)
        _require_gap(gap_id)
        reason = order.reason.strip()
        if not reason:
            text = "a reason is required to accept a loss"
            raise InvalidError(violations=[("reason", text)], reason="REASON_REQUIRED")
        _check_text(reason, NOTE_BYTES_MAX - len(ACCEPTED), "reason")
        (gap,) = self._open_gaps(name, gap_id)
        self._refuse_if_ended(gap)
        effects = self._effects_of_loss(gap)
        if record.config.recovery.unrecoverable_policy == "halt":
            effects.append(
                'unrecoverable_policy = "halt" is not for accepted losses: no worker ends'
            )
        if order.validate_only:
            return gap.missing, effects
        args = {"gap_id": gap_id, "actor": order.actor, "reason": reason}
        answer = await self._call(name, "recovery.accept_loss", args)
        lost = _count(answer, "messages", "recovery.accept_loss")
        text = with_reason(f"loss of {lost} messages accepted, gap {gap.id} on {name}", order)
        self._note(LOSS_ACCEPTED, gap, text, ACCEPTED + reason, order, {"lost": str(lost)})
        return lost, effects

    async def annotate(
        self, name: str, gap_id: int, note: str, order: Order
    ) -> tuple[Gap, list[str]]:
        """Journal a note on a gap of the running worker, open or closed.

        Raises:
            InvalidError: no gap is named, or the note is none.
            NotFoundError: no such exchange, or no such gap.
            WrongStateError: the gap is of a worker that has ended.
            UnavailableError: the rx worker does not answer.
        """
        plant = self._plant
        plant.store.get(name)
        _require_gap(gap_id)
        text = note.strip()
        _check_text(text, NOTE_BYTES_MAX, "note")
        gap = self._gap(name, gap_id)
        self._refuse_if_ended(gap)
        effects = [f"journal a note on gap {gap.id}, {gap.first}..{gap.last}"]
        if order.validate_only:
            return gap, effects
        args = {"gap_id": gap_id, "actor": order.actor, "note": text}
        await self._call(name, "recovery.annotate", args)
        told = f"gap {gap.id} on {name} noted: {text}"
        return self._note(ANNOTATED, gap, told, text, order), effects

    def _effects_of_loss(self, gap: Gap) -> list[str]:
        # The output keeps the order: it stands at the first open gap.
        before = [
            one for one in self._plant.ledger.open_gaps(gap.exchange) if one.first < gap.first
        ]
        when = f"when gap {before[-1].id} before them is closed" if before else "at once"
        return [
            f"declare {gap.missing} messages of {gap.first}..{gap.last} lost for good",
            f"nothing asks for them again; the stream goes on behind them {when}",
        ]

    def _note(
        self,
        type_: str,
        gap: Gap,
        text: str,
        note: str,
        order: Order,
        more: Mapping[str, str] | None = None,
    ) -> Gap:
        """Keep what the worker has journalled, in the event log and beside the gap."""
        event = self._plant.events.append(
            type_,
            f"exchanges/{gap.exchange}",
            text,
            actor=order.actor,
            details={"gap": gap.name, **details(gap), **(more or {}), "note": note},
        )
        time_ns = event.time_ns if event else gap.closed_ns or gap.detected_ns
        return self._plant.ledger.annotate(gap, GapNote(time_ns, order.actor, note))

    async def _call(self, name: str, op: str, args: dict[str, Any]) -> Mapping[str, Any]:
        worker = worker_id(name, "rx")
        return await self._plant.supervisor.call(worker, op, args, timeout_s=CALL_TIMEOUT_S)

    def _tell(self, type_: str, name: str, text: str, order: Order) -> None:
        self._plant.events.append(
            type_, f"exchanges/{name}", with_reason(text, order), actor=order.actor
        )

    def _open_gaps(self, name: str, gap_id: int) -> list[Gap]:
        gaps = self._plant.ledger.open_gaps(name)
        if gap_id:
            gaps = [gap for gap in gaps if gap.id == gap_id]
        if gaps:
            return gaps[:1] if gap_id else gaps
        if not gap_id:
            text = f"{name} has no open gap"
            raise WrongStateError(text, reason="NO_OPEN_GAP", metadata={"exchange": name})
        known = self._gap(name, gap_id)
        text = f"gap {gap_id} of {name} is {known.stage}; only an open one can be acted on"
        metadata = {"exchange": name, "gap_id": str(gap_id)}
        raise WrongStateError(text, reason="GAP_NOT_OPEN", metadata=metadata)

    def _gap(self, name: str, gap_id: int) -> Gap:
        """The newest gap of that id: a worker that is started anew counts from 1 again."""
        found = [gap for gap in self._plant.ledger.gaps(name) if gap.id == gap_id]
        if found:
            return found[0]
        metadata = {"exchange": name, "gap_id": str(gap_id)}
        text = f"{name} has no gap {gap_id}"
        raise NotFoundError(text, reason="GAP_NOT_FOUND", metadata=metadata)

    def _refuse_if_ended(self, gap: Gap) -> None:
        """A gap of another incarnation has the id of another gap in the running one."""
        running = [v.incarnation for v in self._plant.workers(gap.exchange) if v.kind == "rx"]
        if gap.incarnation not in running:
            text = f"gap {gap.id} of {gap.exchange} is of a worker that has ended; its journal is "
            text += "closed. What is still missing is a gap of the running worker"
            metadata = {"exchange": gap.exchange, "gap": gap.name}
            raise WrongStateError(text, reason="GAP_OF_ENDED_WORKER", metadata=metadata)

    def _follow(self, name: str, gaps: list[Gap]) -> Operation:
        names = tuple(gap.name for gap in gaps)
        return self._plant.operations.start(
            "recovery",
            self._progress(name, names),
            lambda progress: self._followed(name, names, progress),
        )

    async def _followed(
        self, name: str, gaps: tuple[str, ...], progress: Callable[[object], None]
    ) -> object:
        last: RecoveryProgress | None = None
        try:
            async with asyncio.timeout(FOLLOW_LIMIT_S):
                while True:
                    now = self._progress(name, gaps)
                    if not now.open:
                        return now
                    if now != last:
                        progress(now)
                    last = now
                    await asyncio.sleep(FOLLOW_LOOK_S)
        except TimeoutError as error:
            text = f"gaps of {name} are still open after {FOLLOW_LIMIT_S:.0f} s"
            raise TimedOutError(text, reason="RECOVERY_TIMED_OUT") from error

    def _progress(self, name: str, gaps: tuple[str, ...]) -> RecoveryProgress:
        followed = [gap for gap in self._plant.ledger.gaps(name) if gap.name in gaps]
        opened = [gap for gap in followed if gap.is_open]
        return RecoveryProgress(
            exchange=name,
            gaps=gaps,
            open=len(opened),
            filled=sum(1 for gap in followed if gap.stage == "FILLED"),
            unrecoverable=sum(1 for gap in followed if gap.stage == "UNRECOVERABLE"),
            messages_missing=sum(gap.missing for gap in opened),
        )


def _asked(source: RecoverySource) -> str:
    if source.brings_ranges:
        return f"ask the {source.source} at {source.address} for what is still missing"
    return f"let a snapshot stand in for the rest: {source.protocol} {source.address}"


def _effects_of_snapshot(source: RecoverySource, gaps: list[Gap], all_open: list[Gap]) -> list[str]:
    effects = [f"take a snapshot: {source.protocol} {source.address}"]
    effects += [
        f"it stands in for {gap.missing} messages of {gap.first}..{gap.last}, which are not "
        "asked for any more"
        for gap in gaps
    ]
    others = [str(gap.id) for gap in all_open if gap not in gaps]
    if source.protocol == "glimpse" and others:
        # The whole channel as it is at one number: what is missing below that is given up.
        effects.append(f"it also stands in for the other open gaps: {', '.join(others)}")
    effects.append("the journal has the snapshot then, not these messages")
    return effects


def _require_gap(gap_id: int) -> None:
    if not gap_id:
        text = "name one gap; see the list of gaps"
        raise InvalidError(violations=[("gap_id", text)], reason="GAP_REQUIRED")


def _check_text(text: str, bytes_max: int, field: str) -> None:
    """What the journal's record of a note can hold."""
    size = len(text.encode())
    if not text:
        fault = f"a {field} is required"
    elif size > bytes_max:
        fault = f"the {field} has {size} bytes; the most is {bytes_max}"
    elif not text.isprintable():
        fault = f"the {field} has control characters; it is one line of text"
    else:
        return
    raise InvalidError(violations=[(field, fault)], reason=f"INVALID_{field.upper()}")


def _count(answer: Mapping[str, Any], key: str, op: str) -> int:
    value: object = answer.get(key)
    if isinstance(value, int) and value >= 0:
        return value
    text = f"the worker answered {op} in a form that is not understood: no {key}"
    raise UnavailableError(text, reason="CONTROL_PROTOCOL")
