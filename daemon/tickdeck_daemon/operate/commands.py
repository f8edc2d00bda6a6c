"""What an operator may do: each command checks, tells its effects, acts, and is written down.

With `validate_only` a command does everything but the act: the same errors, and the effects in
the future. Commands on one exchange exclude one another; the desired state is stored before
the supervisor is told, so that a daemon that dies in between comes back to what was ordered.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from tickdeck_daemon.errors import InvalidError, NotFoundError, WrongStateError
from tickdeck_daemon.exchanges.config import (
    ExchangeConfig,
    parse_exchange,
    spec_hash,
    worker_id,
    worker_kinds,
)
from tickdeck_daemon.exchanges.store import DesiredState, ExchangeRecord
from tickdeck_daemon.operate.book_replays import BooksReport, BooksRun, verify_books
from tickdeck_daemon.operate.captures import CaptureCut, cut_arguments, cut_of
from tickdeck_daemon.operate.journals import VerifyReport, VerifyRun, verify
from tickdeck_daemon.operate.operations import Operation
from tickdeck_daemon.operate.order import Order, with_reason
from tickdeck_daemon.operate.replays import (
    LiveLine,
    Replay,
    ReplayRequest,
    ReplayState,
    check_replay,
    error_of,
)
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.preflight.finding import Report
from tickdeck_daemon.workers.views import WorkerKind

CAPTURE_CALL_TIMEOUT_S = 25.0
"""A cut copies and syncs at most a whole ring; less than a unary call may take."""

_DRAIN_ORDER: tuple[WorkerKind, ...] = ("book", "rx", "export")


class Commands:
    """Changes of the plant."""

    def __init__(self, plant: Plant) -> None:
        """Act on `plant`."""
        self._plant = plant
        self._locks: dict[str, asyncio.Lock] = {}
        self._replayed: set[str] = set()
        """Exchanges whose journal is being replayed."""

    async def create(self, toml: str, order: Order) -> tuple[ExchangeRecord | None, list[str]]:
        """Add an exchange that is wanted running.

        Raises:
            WrongStateError: the daemon is shutting down.
            AlreadyExistsError: the name is taken.
            InvalidError: every fault of the text.
        """
        plant = self._plant
        plant.refuse_if_draining()
        config = plant.store.validate(toml)
        effects = [
            f"write {plant.settings.exchanges_dir / config.name}.toml",
            *self._start_effects(config),
        ]
        if order.validate_only:
            return None, effects
        async with self._lock(config.name):
            record = plant.store.create(toml)
            await plant.supervisor.apply(record)
        self._tell("exchange.created", record, f"{record.name} added", order)
        return record, effects

    async def update(
        self, name: str, toml: str, etag: str, order: Order
    ) -> tuple[ExchangeRecord, list[str]]:
        """Replace the file of an exchange; workers that it touches are restarted.

        Raises:
            WrongStateError: the daemon is shutting down.
            NotFoundError, ConflictError, InvalidError: see `ExchangeStore.update`.
        """
        plant = self._plant
        plant.refuse_if_draining()
        async with self._lock(name):
            old = plant.store.check_etag(name, etag)
            config = plant.store.validate(toml, replacing=name)
            effects = self._update_effects(old, config, toml)
            if order.validate_only:
                return old, effects
            record = plant.store.update(name, toml, etag)
            await plant.supervisor.apply(record)
        if record.generation != old.generation:
            self._tell("exchange.updated", record, f"{name} changed", order)
        return record, effects

    async def delete(self, name: str, etag: str, order: Order) -> list[str]:
        """Drain the workers of an exchange and forget it; its journal is kept.

        Raises:
            NotFoundError, ConflictError, InvalidError: see `ExchangeStore.delete`; InvalidError
                also without a reason.
        """
        plant = self._plant
        if not order.reason.strip():
            text = "a reason is required to delete an exchange"
            raise InvalidError(violations=[("reason", text)], reason="REASON_REQUIRED")
        async with self._lock(name):
            record = plant.store.check_etag(name, etag)
            directory = plant.collector.journal_directory(record)
            effects = [*self._drain_effects(name), f"remove {record.path}; a copy is kept"]
            effects.append(f"keep the journal in {directory}")
            if order.validate_only:
                return effects
            # Stopped first: a daemon that dies before the end finds a stopped exchange, which
            # is neither started again nor half gone.
            stopped = plant.store.set_desired(name, DesiredState.STOPPED)
            with contextlib.suppress(NotFoundError):
                await plant.supervisor.remove(name)
            try:
                plant.store.delete(name, stopped.etag)
            except Exception:
                await plant.supervisor.apply(stopped)
                raise
        self._tell("exchange.deleted", stopped, f"{name} deleted", order)
        return effects

    async def start(self, name: str, order: Order) -> tuple[ExchangeRecord, list[str]]:
        """Want an exchange running; again changes nothing.

        Raises:
            WrongStateError: the daemon is shutting down, or the exchange is disabled.
            NotFoundError: no such exchange.
        """
        self._plant.refuse_if_draining()
        return await self._want(name, DesiredState.RUNNING, order)

    async def stop(self, name: str, order: Order) -> tuple[ExchangeRecord, list[str]]:
        """Want an exchange stopped; its workers are drained.

        Raises:
            NotFoundError: no such exchange.
        """
        return await self._want(name, DesiredState.STOPPED, order)

    async def restart_worker(self, worker: str, order: Order) -> list[str]:
        """Drain a worker and start it again; ends a backoff.

        Raises:
            NotFoundError: no such worker.
            WrongStateError: it is not wanted, or the daemon is shutting down.
        """
        plant = self._plant
        plant.refuse_if_draining()
        view = next((view for view in plant.workers() if view.id == worker), None)
        if view is None:
            text = f"no worker {worker!r}"
            raise NotFoundError(text, reason="WORKER_NOT_FOUND", metadata={"worker": worker})
        effects = [f"drain {worker} (pid {view.pid}), then start it again"]
        if view.pid is None:
            effects = [f"start {worker} at once"]
        elif view.kind == "rx":
            effects.append("messages that come meanwhile must be asked for again")
        elif view.kind == "export":
            effects.append("its subscribers connect again and go on where they were")
        else:
            effects.append("books are rebuilt from snapshot, journal and ring; nothing is lost")
        if order.validate_only:
            return effects
        await plant.supervisor.restart(worker)
        plant.events.append(
            "worker.restart_ordered",
            f"workers/{worker}",
            with_reason(f"restart of {worker} ordered", order),
            actor=order.actor,
        )
        return effects

    async def cut_capture(
        self, name: str, from_ns: int | None, to_ns: int | None, order: Order
    ) -> CaptureCut:
        """Write the packets that the rx worker of an exchange has kept into a file.

        Args:
            name: The exchange.
            from_ns: Receive time of the first packet wanted, UTC; None: all that are kept.
            to_ns: Receive time of the last packet wanted, UTC; None: all that are kept.
            order: Who wants it; the reason goes into the file.

        Raises:
            NotFoundError: no such exchange, or no packet of that time.
            WrongStateError: the exchange captures nothing.
            InvalidError: the span or the reason is none.
            UnavailableError: the rx worker does not answer, or cannot write the file.
        """
        plant = self._plant
        record = plant.store.get(name)
        args = cut_arguments(record, from_ns, to_ns, order.reason)
        result = await plant.supervisor.call(
            worker_id(name, "rx"), "capture.cut", args, timeout_s=CAPTURE_CALL_TIMEOUT_S
        )
        cut = cut_of(result)
        plant.events.append(
            "capture.cut",
            f"exchanges/{name}",
            with_reason(f"{cut.packets} packets of {name} cut into {cut.path}", order),
            actor=order.actor,
        )
        return cut

    async def preflight(self, name: str, toml: str) -> Report:
        """What this host can do for an exchange of the daemon, or for a file; changes nothing.

        Raises:
            InvalidError: not exactly one of both is given, or every fault of the text.
            NotFoundError: no such exchange.
            UnavailableError: the host cannot be read, or not in time.
        """
        if bool(name) == bool(toml):
            text = "name one exchange, or give the text of one file"
            raise InvalidError(violations=[("toml", text)], reason="PREFLIGHT_OF_WHAT")
        store = self._plant.store
        # Without the host: an interface that is not there is a finding, not a refusal.
        config = store.get(name).config if name else parse_exchange(toml)
        enabled = [record for record in store.list() if record.config.enabled]
        running = {one.name for one in enabled if one.desired is DesiredState.RUNNING}
        others = [record.config for record in enabled]
        return await self._plant.preflight.run(config, others, running)

    async def verify_journal(self, name: str, order: Order) -> Operation:
        """Read every block of an exchange's journal.

        Raises:
            NotFoundError: no such exchange.
        """
        plant = self._plant
        record = plant.store.get(name)
        run = VerifyRun(name, plant.collector.journal_directory(record))
        plant.events.append(
            "journal.verify_started",
            f"exchanges/{name}",
            with_reason(f"verification of {run.directory} ordered", order),
            actor=order.actor,
        )

        async def work(progress: Callable[[object], None]) -> object:
            del progress
            report = await verify(run.directory)
            self._tell_report(name, run, report)
            return report

        return plant.operations.start("journal.verify", run, work)

    async def verify_books(self, name: str, order: Order) -> Operation:
        """Replay an exchange's journal and compare the books with its checkpoints.

        Raises:
            NotFoundError: no such exchange.
            WrongStateError: it has no books, or is replayed already.
        """
        plant = self._plant
        config = plant.store.get(name).config
        if not config.book.enabled:
            text = f"{name} has no books: its file says book.enabled = false"
            raise WrongStateError(text, reason="BOOKS_DISABLED", metadata={"exchange": name})
        if name in self._replayed:
            text = f"the journal of {name} is being replayed already; wait for that operation"
            raise WrongStateError(text, reason="VERIFY_RUNNING", metadata={"exchange": name})
        run = BooksRun(name, plant.collector.journal_directory(plant.store.get(name)))
        plant.events.append(
            "books.verify_started",
            f"exchanges/{name}",
            with_reason(f"replay of {run.directory} ordered", order),
            actor=order.actor,
        )
        self._replayed.add(name)

        async def work(progress: Callable[[object], None]) -> object:
            del progress
            try:
                report = await verify_books(run.directory)
            finally:
                self._replayed.discard(name)
            self._tell_books(name, run, report)
            return report

        return plant.operations.start("books.verify", run, work)

    async def start_replay(
        self, request: ReplayRequest, order: Order
    ) -> tuple[Replay | None, Operation | None, list[str]]:
        """Play a journal or a capture to a multicast group.

        Raises:
            InvalidError, WrongStateError, UnavailableError: see `ReplayManager.start`.
        """
        plant = self._plant
        plant.refuse_if_draining()
        lines: list[LiveLine] = plant.live_lines()
        check_replay(request, lines)
        speed = f"at {request.speed:g} times the recorded pace"
        effects = [
            f"send {request.path} to {request.target} on interface {request.interface}, "
            + (speed if request.speed else "as fast as possible"),
            "no line of any exchange is touched",
        ]
        if order.validate_only:
            return None, None, effects
        wanted = replace(request, actor=order.actor, reason=order.reason)
        replay = plant.replays.start(wanted, lines)
        operation = plant.operations.start(
            "replay",
            replay,
            lambda progress: self._follow_replay(replay.id, progress),
            operation_id=f"replay-{replay.id}",
        )
        return replay, operation, effects

    async def stop_replay(self, replay_id: str, order: Order) -> Replay:
        """End a replay; one that has ended is left as it is.

        Raises:
            NotFoundError: no such replay.
        """
        replay = self._plant.replays.stop(replay_id)
        if replay.state is ReplayState.RUNNING:
            self._plant.events.append(
                "replay.stop_ordered",
                f"replays/{replay_id}",
                with_reason(f"stop of replay {replay_id} ordered", order),
                actor=order.actor,
            )
        return replay

    async def drain_daemon(self, *, stop_workers: bool, order: Order) -> int:
        """Refuse new work, and drain the workers when wanted; returns how many there were.

        Whoever calls this ends the daemon afterwards by `Plant.stop_requested`.
        """
        plant = self._plant
        plant.draining = True
        text = "drain of the daemon ordered" + (", workers too" if stop_workers else "")
        plant.events.append("daemon.drain", "daemon", with_reason(text, order), actor=order.actor)
        return await plant.supervisor.drain_all() if stop_workers else 0

    async def _want(
        self, name: str, desired: DesiredState, order: Order
    ) -> tuple[ExchangeRecord, list[str]]:
        plant = self._plant
        async with self._lock(name):
            old = plant.store.get(name)
            running = desired is DesiredState.RUNNING
            if old.desired is desired:
                return old, [f"nothing: the desired state is {desired} already"]
            if running and order.validate_only and not old.config.enabled:
                text = f'{name} is disabled; set "enabled = true" in {old.path}'
                raise WrongStateError(text, reason="EXCHANGE_DISABLED")
            effects = self._start_effects(old.config) if running else self._drain_effects(name)
            if order.validate_only:
                return old, effects
            record = plant.store.set_desired(name, desired)
            await plant.supervisor.apply(record)
        word = "started" if running else "stopped"
        self._tell(f"exchange.{word}", record, f"{name} {word} by an operator", order)
        return record, effects

    async def _follow_replay(self, replay_id: str, progress: Callable[[object], None]) -> object:
        replay = self._plant.replays.get(replay_id)
        while replay.state is ReplayState.RUNNING:
            replay = await self._plant.replays.wait(replay_id, replay.revision, 3600.0)
            progress(replay)
        error = error_of(replay)
        if error is not None:
            raise error
        return replay

    def _start_effects(self, config: ExchangeConfig) -> list[str]:
        if not config.enabled:
            return ["start nothing: the file says enabled = false"]
        lines = ", ".join(f"{line.name} {line.target} on {line.interface}" for line in config.lines)
        effects = [f"start worker {worker_id(config.name, 'rx')}, lines {lines}"]
        for kind in worker_kinds(config):
            if kind != "rx":
                effects.append(f"start worker {worker_id(config.name, kind)}")
        return effects

    def _drain_effects(self, name: str) -> list[str]:
        views = [view for view in self._plant.workers(name) if view.pid is not None]
        # Books end before the writer, the exporter behind it.
        ordered = sorted(views, key=lambda view: _DRAIN_ORDER.index(view.kind))
        effects = [f"drain worker {view.id} (pid {view.pid})" for view in ordered]
        return effects or ["stop no worker: none runs"]

    def _update_effects(self, old: ExchangeRecord, new: ExchangeConfig, toml: str) -> list[str]:
        if toml == old.toml:
            return ["nothing: the text is the same"]
        effects = [f"replace {old.path}"]
        settings = self._plant.settings
        pids = {view.id: view.pid for view in self._plant.workers(old.name)}
        for kind in worker_kinds(new):
            worker = worker_id(new.name, kind)
            if kind not in worker_kinds(old.config):
                effects.append(f"start worker {worker}")
            elif spec_hash(old.config, kind, settings) != spec_hash(new, kind, settings):
                effects.append(f"restart worker {worker} (pid {pids.get(worker) or '-'})")
        for kind in worker_kinds(old.config):
            if kind not in worker_kinds(new):
                effects.append(f"drain worker {worker_id(new.name, kind)}")
        return effects if len(effects) > 1 else [*effects, "no worker is touched"]

    def _tell(self, type_: str, record: ExchangeRecord, text: str, order: Order) -> None:
        """Write a change of desired state down, and show it without waiting for a tick."""
        self._plant.events.append(
            type_,
            f"exchanges/{record.name}",
            with_reason(text, order),
            actor=order.actor,
            details={"generation": str(record.generation), "desired": record.desired.value},
        )
        self._plant.tick()

    def _tell_report(self, name: str, run: VerifyRun, report: VerifyReport) -> None:
        text = f"journal {run.directory} is whole, {report.records} records"
        if not report.whole:
            text = f"journal {run.directory} has {len(report.problems)} damaged places"
        self._plant.events.append("journal.verified", f"exchanges/{name}", text)

    def _tell_books(self, name: str, run: BooksRun, report: BooksReport) -> None:
        text = f"{report.equal} of {report.checkpoints} checkpoints of {run.directory} are equal"
        if report.different:
            text += f", {report.different} DIFFERENT"
        self._plant.events.append("books.verified", f"exchanges/{name}", text)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
