"""What an operator may do to a journal in use: seal, prune, take note. Repair is offline."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tickdeck_daemon.errors import (
    InvalidError,
    NotFoundError,
    TickdeckError,
    UnavailableError,
    WrongStateError,
)
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.operate import tool
from tickdeck_daemon.operate.aside import aside
from tickdeck_daemon.operate.order import Order, with_reason
from tickdeck_daemon.operate.recovery_report import (
    acknowledge_report,
    forget_report,
    look_at_report,
)
from tickdeck_daemon.plant import Plant

CALL_TIMEOUT_S = 25.0
"""A seal syncs at most one segment; less than a unary call may take."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A journal whose newest segment was closed."""

    segments: int
    durable_seq: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention let go."""

    segments: int
    bytes: int
    oldest_seq: int


class JournalOrders:
    """Orders on the journals of a plant; each is written into the event log."""

    def __init__(self, plant: Plant) -> None:
        """Act on `plant`."""
        self._plant = plant

    async def seal(self, name: str, order: Order) -> tuple[Sealed, list[str]]:
        """Close the segment that is being written; the next record begins another one.

        Raises:
            NotFoundError: no such exchange.
            UnavailableError: its rx worker does not run or does not answer.
            WrongStateError: the journal cannot write now.
        """
        plant = self._plant
        plant.store.get(name)
        effects = [f"seal the newest segment of the journal of {name}", "no record is held back"]
        journal = plant.facts(name).journal
        if order.validate_only:
            known = Sealed(journal.segments, journal.durable_seq) if journal else Sealed(0, 0)
            return known, effects
        answer = await self._ask(name, "journal.seal", {})
        sealed = Sealed(_integer(answer, "segments"), _integer(answer, "durable_seq"))
        text = f"journal of {name} sealed up to {sealed.durable_seq}"
        self._tell("journal.sealed", name, text, order)
        return sealed, effects

    async def prune(self, name: str, order: Order) -> tuple[Pruned, list[str]]:
        """Remove the sealed segments that nobody needs and the limits of the file do not keep.

        While the rx worker runs it prunes by itself; then only the effects are told.

        Raises:
            NotFoundError: no such exchange.
            WrongStateError: the rx worker runs, and prunes by itself.
            TickdeckError: the tool could not look or not prune.
        """
        plant = self._plant
        record = plant.store.get(name)
        journal, dry = record.config.journal, order.validate_only
        limits = {"keep-bytes": journal.retain_max_bytes, "keep-age-s": journal.retain_max_age_s}
        if not any(limits.values()):
            return Pruned(0, 0, 0), ["nothing: the exchange file sets no limit, all is kept"]
        if not dry and any(view.pid for view in plant.workers(name) if view.kind == "rx"):
            text = f"the rx worker of {name} runs, and prunes by itself what its limits allow"
            raise WrongStateError(text, reason="PRUNES_BY_ITSELF", metadata={"exchange": name})
        answer = await _run_prune(
            plant.collector.journal_directory(record),
            *(f"--{key}={value}" for key, value in limits.items() if value),
            *([] if dry else ["--apply"]),
        )
        pruned = Pruned(
            _integer(answer, "deleted"), _integer(answer, "bytes"), _integer(answer, "first_seq")
        )
        effects = [f"remove {pruned.segments} segments, {pruned.bytes} bytes"]
        if answer.get("held_by"):
            effects.append(f"the next segment is held by {answer['held_by']}")
        if not dry:
            text = f"{pruned.segments} segments of {name} pruned, {pruned.bytes} bytes"
            self._tell("journal.pruned", name, text, order)
        return pruned, effects

    async def acknowledge(self, name: str, order: Order) -> tuple[int, list[str]]:
        """Take note of the recovery report, of holes and of losses; returns the report's problems.

        Raises:
            NotFoundError: no such exchange, or there is nothing to acknowledge.
            InvalidError: no reason is given.
            UnavailableError: it could not be kept, or the report not be marked.
            WrongStateError: the rx worker cannot write into the journal's directory.
        """
        plant = self._plant
        record = plant.store.get(name)
        if not order.reason.strip():
            text = "say what was found out; it goes into the event log"
            raise InvalidError(violations=[("reason", text)], reason="REASON_MISSING")
        directory = plant.collector.journal_directory(record)
        report = await look_at_report(directory)
        problems = report.waiting if report else 0
        # So that what is taken note of has its bounds.
        await plant.losses.look(name)
        # What comes from here on, while the report is marked, is acknowledged by nobody.
        seen = plant.losses.see(name)
        effects = [f"mark {problems} problems of the recovery report as seen"] if problems else []
        effects += (
            [f"take note of {seen.acked_loss} durable records lost"] if seen.acked_loss else []
        )
        effects += [f"take note of {seen.holes} holes"] if seen.holes else []
        if not effects:
            text = f"the journal of {name} has nothing that waits to be acknowledged"
            raise NotFoundError(text, reason="NOTHING_TO_ACKNOWLEDGE", metadata={"exchange": name})
        if order.validate_only:
            return problems, effects
        if problems:
            await self._mark(name, directory)
        if seen.acked_loss or seen.holes:
            try:
                await plant.losses.acknowledge(name, seen, order.actor, order.reason)
            except sqlite3.Error as error:
                text = f"not kept in {plant.settings.state_dir}: {error}; nothing is acknowledged"
                raise UnavailableError(text, reason="LOSSES_NOT_KEPT") from error
        text = f"{name}: {'; '.join(effects)}"
        self._tell("journal.acknowledged", name, text, order)
        return problems, effects

    async def _mark(self, name: str, directory: str) -> None:
        """By the rx worker, which alone writes there while it runs; else in the file."""
        if not await self._mark_by_worker(name):
            try:
                await aside(lambda: acknowledge_report(directory))
            except (OSError, ValueError) as error:
                text = f"the recovery report in {directory} could not be marked: {error}"
                raise UnavailableError(text, reason="REPORT_NOT_WRITTEN") from error
        forget_report(directory)
        self._plant.disk_watch.forget_report(directory)

    async def _mark_by_worker(self, name: str) -> bool:
        """False when no rx worker runs that could; an error of one that runs is the caller's."""
        if not any(view.pid for view in self._plant.workers(name) if view.kind == "rx"):
            return False
        try:
            await self._ask(name, "journal.acknowledge", {})
        except InvalidError as error:
            # Of a release that does not know the op, and so never writes the report while it runs.
            if error.reason != "UNKNOWN_OP":
                raise
            return False
        return True

    async def _ask(self, name: str, op: str, args: dict[str, Any]) -> dict[str, Any]:
        worker = worker_id(name, "rx")
        return await self._plant.supervisor.call(worker, op, args, timeout_s=CALL_TIMEOUT_S)

    def _tell(self, type_: str, name: str, text: str, order: Order) -> None:
        resource = f"exchanges/{name}"
        self._plant.events.append(type_, resource, with_reason(text, order), actor=order.actor)


async def _run_prune(directory: str, *arguments: str) -> Mapping[str, Any]:
    answer = await tool.run(
        "tickdeck-journal", "prune", directory, "--json", *arguments, timeout_s=CALL_TIMEOUT_S
    )
    if answer.code != 0 or answer.printed is None:
        text = f"tickdeck-journal prune failed: {answer.told}"
        raise TickdeckError(text, reason="PRUNE_FAILED")
    return answer.printed


def _integer(answer: Mapping[str, Any], key: str) -> int:
    """A number, or the length of a list where a count is wanted."""
    value = answer.get(key)
    if isinstance(value, list | tuple):
        return len(value)  # pyright: ignore[reportUnknownArgumentType]
    return value if isinstance(value, int) and 0 <= value < 1 << 64 else 0
