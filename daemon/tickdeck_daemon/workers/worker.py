"""One worker: its state machine, its process, its files, its control connection.

Everything happens on the event loop. `post` takes an event, moves the machine and performs what
it orders before it returns; nothing is awaited in between, so no stop can slip into a start.
The machine decides, this module obeys.
"""

import asyncio
import random
import shutil
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from tickdeck_daemon.errors import TickdeckError, UnavailableError
from tickdeck_daemon.exchanges.config import ExchangeConfig, spec_hash, worker_id
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.adoption import Presence, Survey, stats_path, survey
from tickdeck_daemon.workers.exits import ExitFacts
from tickdeck_daemon.workers.identity import Pidfd, WorkerIdentity, lock_holder
from tickdeck_daemon.workers.launch import launch, prepare
from tickdeck_daemon.workers.link import ControlLink
from tickdeck_daemon.workers.machine import (
    Action,
    Adopted,
    Blocked,
    DrainFailed,
    Due,
    Event,
    Exited,
    Limits,
    Machine,
    Ready,
    Restart,
    Seen,
    SpawnFailed,
    Start,
    Unblocked,
    Want,
)
from tickdeck_daemon.workers.policy import advance
from tickdeck_daemon.workers.probe import Probe
from tickdeck_daemon.workers.process import Process
from tickdeck_daemon.workers.statefile import INCARNATIONS_MAX, StateFile
from tickdeck_daemon.workers.views import WorkerChange, WorkerKind, WorkerState, WorkerView

_SIGNALS = {
    Action.TERMINATE: signal.SIGTERM,
    Action.ABORT: signal.SIGABRT,
    Action.KILL: signal.SIGKILL,
}
_LOCK_HELD_CODE = 125

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Worker:
    """Runs one kind of worker of one exchange."""

    def __init__(
        self,
        exchange: str,
        kind: WorkerKind,
        settings: Settings,
        limits: Limits,
        *,
        on_change: Callable[[WorkerChange], None],
        on_step: Callable[[], None],
    ) -> None:
        """Prepare; nothing is looked at or started.

        Args:
            exchange: Name of the exchange.
            kind: Which worker.
            settings: Directories.
            limits: Times and counts of the policy.
            on_change: Told of each change of the shown state, in order.
            on_step: Told whenever the machine moved.
        """
        self.id = worker_id(exchange, kind)
        self.exchange = exchange
        self.kind: WorkerKind = kind
        self.directory = settings.worker_dir(self.id)
        self.machine = Machine(since_ns=time.monotonic_ns())
        self.removing = False
        self._settings, self._limits = settings, limits
        self._on_change, self._on_step = on_change, on_step
        self._inbox: deque[Event] = deque()
        self._stepping = False
        self._timer: asyncio.TimerHandle | None = None
        self._config: ExchangeConfig | None = None
        self._generation = 0
        self._wanted_hash = ""
        self._process: Process | None = None
        self._probe: Probe | None = None
        self._newline = False
        self._adopted = False
        self._starts_seen = 0
        self._incarnations: tuple[str, ...] = ()
        self._spawned_generation = 0
        self._spawned_hash = ""
        self._since_utc_ns = time.time_ns()
        self._started_utc_ns: int | None = None
        self._last_exit = ""
        self._last_exit_utc_ns: int | None = None
        self._last_exit_clean = False
        self._unsaved = False
        self._drain_task: asyncio.Task[None] | None = None
        self._link: ControlLink | None = None

    def configure(self, config: ExchangeConfig, generation: int) -> None:
        """Set what the next start runs with."""
        self._config, self._generation = config, generation
        self._wanted_hash = spec_hash(config, self.kind, self._settings)

    def mark_removing(self) -> None:
        """Write down that the exchange is being removed."""
        self.removing = True
        self._save()

    def want(self, wanted: bool, reason: str) -> None:
        """Tell the desired state; telling it again does nothing."""
        self.post(Want(wanted, reason))

    def restart(self, reason: str) -> None:
        """Drain and start again, or end a backoff."""
        self.post(Restart(reason))

    def start(self) -> None:
        """Start, if the machine is PENDING and nobody holds the lock."""
        try:
            holder = lock_holder(self.directory / "lock")
        except OSError as error:
            self.post(Blocked(WorkerState.UNVERIFIED, f"lock: {error}"))
            return
        if holder is not None:
            reason = f"{holder.describe()} holds {self.directory / 'lock'}"
            self.post(Blocked(WorkerState.FOREIGN, reason))
            return
        self.post(Start())

    def adopt(self) -> Survey:
        """Look who is there and take over a process that is proved ours."""
        found = survey(self.directory)
        if found.state is not None:
            self._incarnations = found.state.incarnations
            self._last_exit = found.state.last_exit
            self._last_exit_utc_ns = found.state.last_exit_ns
            self._last_exit_clean = found.state.last_exit_clean
            self._spawned_generation = found.state.generation
            self.removing = found.state.removing
        self._take(found)
        if found.presence is Presence.NOBODY and found.state and found.state.identity:
            self._note_unseen_exit(found.state.identity)
        return found

    def look(self) -> None:
        """Watch the process: readiness, heartbeat, impairments. Called a few times a second."""
        if self._unsaved:
            self._save()
        if self._process is None or self._probe is None:
            return
        look = self._probe.look(time.monotonic_ns())
        if self.machine.phase is WorkerState.STARTING:
            # Of an adopted process the ready pipe is lost; its stats file alone must do, and
            # where that cannot be read there is nothing better than to believe it.
            told = self._newline or self._adopted
            if told and look.ready is not False:
                self.post(Ready())
        self.post(Seen(look.heartbeat_age_ns, look.impairment))

    async def call(self, op: str, args: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Ask the process over its control socket.

        Raises:
            UnavailableError: no process, or it cannot be reached.
            TimedOutError: no answer within `timeout_s`.
            TickdeckError: it refused.
        """
        deadline = time.monotonic() + timeout_s
        client = await self._connection().client(timeout_s=timeout_s)
        return await client.call(op, args, timeout_s=max(0.001, deadline - time.monotonic()))

    @property
    def pid(self) -> int | None:
        """Process id; None without a process."""
        return self._process.identity.pid if self._process else None

    @property
    def stale(self) -> bool:
        """The last start was with another configuration than the wanted one."""
        return self._spawned_hash not in ("", self._wanted_hash)

    @property
    def startable(self) -> bool:
        """A start is wanted and nothing of this worker stands against it."""
        machine = self.machine
        return machine.phase is WorkerState.PENDING and machine.wanted and not machine.process

    @property
    def draining(self) -> bool:
        """A process is on its way out by order."""
        return self.machine.process and self.machine.phase is WorkerState.DRAINING

    def view(self) -> WorkerView:
        """How it is now."""
        machine, now_ns = self.machine, time.monotonic_ns()
        next_start: int | None = None
        if machine.phase is WorkerState.BACKOFF and machine.due_ns is not None:
            next_start = time.time_ns() + machine.due_ns - now_ns
        incarnation = self._incarnations[0] if self._incarnations else None
        config = self._config
        return WorkerView(
            id=self.id,
            exchange=self.exchange,
            kind=self.kind,
            state=machine.state,
            state_since_ns=self._since_utc_ns,
            reason=machine.reason,
            ready=machine.ready,
            pid=self.pid,
            incarnation=incarnation,
            generation=self._spawned_generation,
            adopted=self._adopted,
            restarts=max(0, self._starts_seen - 1),
            last_exit=self._last_exit,
            last_exit_ns=self._last_exit_utc_ns,
            started_ns=self._started_utc_ns if self._process else None,
            next_start_ns=next_start,
            runtime_dir=self.directory,
            stats_path=stats_path(self.directory, incarnation) if incarnation else None,
            log_path=self._settings.log_path(self.id),
            core=config.receive.cpu if config and self.kind == "rx" else None,
        )

    def post(self, event: Event) -> None:
        """Take an event and do what follows from it, now."""
        self._inbox.append(event)
        if self._stepping:
            return
        before = self.machine
        self._stepping = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
        finally:
            self._stepping = False
        if self.machine is not before and self.machine != before:
            self._arm()
            self._on_step()

    async def forget(self) -> None:
        """Remove what a later worker of this name does not need.

        After anything but a clean end of rx the ring stays: it may hold messages that the
        journal does not, and the next rx takes them over.
        """
        await self._let_go()
        if self.machine.phase in (WorkerState.UNVERIFIED, WorkerState.FOREIGN):
            return
        if self._last_exit_clean or self.kind != "rx":
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            (self.directory / "state.json").unlink(missing_ok=True)

    async def release(self) -> None:
        """Let go of the process, which goes on; nothing happens here any more."""
        await self._let_go()
        if self._process is not None:
            self._process.close()
            self._process = None

    def _step(self, event: Event) -> None:
        before = self.machine
        now_ns = time.monotonic_ns()
        self.machine, actions = advance(
            before, event, now_ns, limits=self._limits, draw=random.random()
        )
        for action in actions:
            self._perform(action)
        changed = self.machine.state is not before.state
        if changed:
            self._since_utc_ns = time.time_ns()
        if self.machine.phase is not before.phase or self.machine.ready != before.ready:
            self._save()
        if changed:
            self._tell(before.state)

    def _tell(self, old: WorkerState) -> None:
        change = WorkerChange(
            worker=self.id,
            exchange=self.exchange,
            kind=self.kind,
            old=old,
            new=self.machine.state,
            reason=self.machine.reason,
            time_ns=self._since_utc_ns,
            pid=self.pid,
            incarnation=self._incarnations[0] if self._incarnations else None,
        )
        _log.info("worker_state", worker=self.id, old=old, new=change.new, reason=change.reason)
        try:
            self._on_change(change)
        except Exception:
            # Whoever listens must not stop the supervision.
            _log.exception("worker_change_not_taken", worker=self.id)

    def _perform(self, action: Action) -> None:
        match action:
            case Action.SPAWN:
                self._spawn()
            case Action.DRAIN:
                self._drain_task = asyncio.create_task(self._drain())
            case Action.RECHECK:
                self._take(survey(self.directory))
            case Action.TERMINATE | Action.ABORT | Action.KILL:
                self._signal(_SIGNALS[action])

    def _spawn(self) -> None:
        assert self._config is not None, "configured before it is wanted"
        incarnation = str(uuid.uuid4())
        self._incarnations = (incarnation, *self._incarnations)[:INCARNATIONS_MAX]
        self._spawned_hash, self._spawned_generation = self._wanted_hash, self._generation
        self._starts_seen += 1
        try:
            # Written down first: should this daemon die right after the start, the next one
            # knows which incarnation to look for.
            prepare(self.directory, self._settings)
            self._state_file().write(self.directory / "state.json")
            process = launch(
                self._config,
                self.kind,
                self._settings,
                incarnation=incarnation,
                generation=self._generation,
            )
        except (TickdeckError, OSError, ValueError) as error:
            self._last_exit, self._last_exit_utc_ns = f"not started: {error}", time.time_ns()
            self._inbox.appendleft(SpawnFailed(self._last_exit))
            return
        self._hold(process)

    def _hold(self, process: Process) -> None:
        self._process = process
        self._probe = Probe(self.directory, process.identity)
        self._link = ControlLink(self.directory / "control.sock", process.identity)
        self._newline = False
        self._started_utc_ns = time.time_ns()
        process.watch(on_ready=self._ready, on_exit=self._exited)

    def _take(self, found: Survey) -> None:
        """Turn a survey into an event."""
        match found.presence:
            case Presence.OURS:
                self._adopt_process(found)
            case Presence.UNVERIFIED:
                self.post(Blocked(WorkerState.UNVERIFIED, found.reason))
            case Presence.FOREIGN:
                self.post(Blocked(WorkerState.FOREIGN, found.reason))
            case Presence.NOBODY:
                self.post(Unblocked())

    def _adopt_process(self, found: Survey) -> None:
        identity, pidfd = _proved(found)
        self._hold(Process(identity, pidfd, ready_fd=None))
        self._adopted, self._starts_seen = True, 1
        state = found.state
        if state is not None:
            others = (i for i in state.incarnations if i != identity.incarnation)
            self._incarnations = (identity.incarnation, *others)
            self._spawned_hash = state.spec_sha256
            self._spawned_generation = state.generation
        ready_since_ns = state.ready_since_ns if state is not None else None
        if state is None or state.identity != identity:
            ready_since_ns = None
        self.post(Adopted(ready_since_ns))
        self.look()

    def _note_unseen_exit(self, identity: WorkerIdentity) -> None:
        """A process ended while no daemon ran: only its own last words can tell how."""
        probe = Probe(self.directory, identity)
        facts = probe.last_words(ExitFacts())
        probe.close()
        self._last_exit_clean = facts.code == 0
        self._last_exit = f"{facts.describe()} (while no daemon ran)"
        self._last_exit_utc_ns = time.time_ns()

    def _ready(self) -> None:
        self._newline = True
        self.look()

    def _exited(self, facts: ExitFacts) -> None:
        if self._probe is not None:
            facts = self._probe.last_words(facts)
            self._probe.close()
        self._process, self._probe = None, None
        self._adopted = False
        self._last_exit_clean = facts.code == 0
        self._last_exit, self._last_exit_utc_ns = facts.describe(), time.time_ns()
        if self._drain_task is not None:
            self._drain_task.cancel()
        if self._link is not None:
            self._link.drop()
            self._link = None
        self.post(Exited(facts))
        if facts.code == _LOCK_HELD_CODE and self.machine.wanted:
            # Perhaps a process that a daemon started and died before writing it down.
            found = survey(self.directory)
            if found.presence is not Presence.NOBODY:
                self._take(found)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            sent = self._process.send(number)
        except OSError as error:
            _log.error("signal_failed", worker=self.id, signal=number.name, error=str(error))
            return
        _log.info("signal", worker=self.id, signal=number.name, pid=self.pid, sent=sent)

    async def _drain(self) -> None:
        """Order the drain; the exit tells that it is done, the machine's timer that it is not."""
        timeout_s = self._limits.drain_timeout_ns / 1e9
        try:
            client = await self._connection().client(timeout_s=min(timeout_s, 5.0))
        except TickdeckError as error:
            self.post(DrainFailed(error.message))
            return
        try:
            await client.call("drain", {"deadline_ms": int(timeout_s * 1000)}, timeout_s=timeout_s)
        except UnavailableError as error:
            # Sent, perhaps under way: a worker that drains closes its socket before it ends.
            _log.info("drain_unanswered", worker=self.id, error=error.message)
        except TickdeckError as error:
            self.post(DrainFailed(error.message))

    def _connection(self) -> ControlLink:
        if self._link is None:
            text = f"{self.id} is not running ({self.machine.state})"
            raise UnavailableError(text, reason="WORKER_NOT_RUNNING")
        return self._link

    def _arm(self) -> None:
        """Let the loop send `Due` when the machine's time has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.machine.due_ns is not None:
            # The loop's clock is coarser than ours, so never less than a millisecond.
            delay_s = max(0.001, (self.machine.due_ns - time.monotonic_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self.post(Due())
        if self._timer is None:
            self._arm()

    def _save(self) -> None:
        if self.machine.phase in (WorkerState.UNVERIFIED, WorkerState.FOREIGN):
            return  # What is written down is all that may prove who is there.
        if not self.directory.is_dir():
            return  # Never started: there is nothing to take over.
        try:
            self._state_file().write(self.directory / "state.json")
            self._unsaved = False
        except OSError as error:
            if not self._unsaved:
                _log.error("state_not_saved", worker=self.id, error=str(error))
            self._unsaved = True

    def _state_file(self) -> StateFile:
        machine = self.machine
        return StateFile(
            worker=self.id,
            state=str(machine.state),
            state_since_ns=self._since_utc_ns,
            identity=self._process.identity if self._process else None,
            incarnations=self._incarnations,
            generation=self._spawned_generation,
            spec_sha256=self._spawned_hash,
            ready_since_ns=machine.ready_since_ns if self._process else None,
            last_exit=self._last_exit,
            last_exit_ns=self._last_exit_utc_ns,
            last_exit_clean=self._last_exit_clean,
            removing=self.removing,
        )

    async def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._drain_task is not None:
            self._drain_task.cancel()
            await asyncio.wait([self._drain_task])
        if self._link is not None:
            self._link.drop()
        if self._probe is not None:
            self._probe.close()


def _proved(found: Survey) -> tuple[WorkerIdentity, Pidfd]:
    assert found.identity is not None, "a survey that says OURS names the process"
    assert found.pidfd is not None, "a survey that says OURS holds the process"
    return found.identity, found.pidfd
