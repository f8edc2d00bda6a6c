"""When a worker is started, restarted, drained and killed: a state machine without I/O.

`advance(machine, event, now)` gives the next machine and the actions to perform. Time is an
argument, chance is an argument (`draw`), so every run can be replayed from its events.

    PENDING -> STARTING -> RUNNING <-> DEGRADED -> DRAINING -> STOPPED
    crash -> BACKOFF -> PENDING; permanent exit -> FAILED_PERMANENT
    UNVERIFIED, FOREIGN: somebody may be there; nothing is started, nothing is signalled

Rules that everything here serves:

- `wanted` is the only source of starts. A commanded stop is never undone by a crash.
- A start needs PENDING, no process and no other holder of the lock: never two processes.
- Every state that cannot last has a `due_ns`; when it passes, `Due` moves it on.
- Health of the feed is no event here: missing packets never end a process.

CRASH_LOOP is not a phase but a mark beside it: the worker is tried again at the longest delay
and shown as CRASH_LOOP until it was ready for `healthy_ns`.
"""

from collections.abc import Sequence
from dataclasses import replace

from tickdeck_daemon.workers.exits import ExitFacts
from tickdeck_daemon.workers.machine import (
    SECOND,
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
    Rung,
    Seen,
    SpawnFailed,
    Start,
    Unblocked,
    Want,
)
from tickdeck_daemon.workers.views import WorkerState

Step = tuple[Machine, Sequence[Action]]

_S = WorkerState
_LIVE = (_S.STARTING, _S.RUNNING, _S.DEGRADED)
_BLOCKED = (_S.UNVERIFIED, _S.FOREIGN)


def advance(machine: Machine, event: Event, now_ns: int, *, limits: Limits, draw: float) -> Step:
    """One step.

    Args:
        machine: Where the worker is.
        event: What happened; one that does not fit the state changes nothing.
        now_ns: Monotonic time of the event.
        limits: The policy's times and counts.
        draw: Uniform from [0, 1), used when a delay is chosen.
    """
    match event:
        case Want(wanted, reason):
            after, actions = _want(machine, wanted, reason, now_ns, limits)
        case Restart(reason):
            after, actions = _restart(machine, reason, now_ns, limits)
        case Start() if machine.phase is _S.PENDING and machine.wanted and not machine.process:
            after, actions = _start(machine, now_ns, limits), (Action.SPAWN,)
        case SpawnFailed(message) if machine.process:
            after, actions = _ended(machine, message, False, now_ns, limits, draw), ()
        case Adopted(ready_since_ns) if not machine.process and machine.phase not in _LIVE:
            after, actions = _adopt(machine, ready_since_ns, now_ns, limits), ()
        case Blocked(state, reason) if not machine.process and state in _BLOCKED:
            due = now_ns + limits.recheck_ns
            after, actions = replace(machine, phase=state, reason=reason, due_ns=due), ()
        case Unblocked() if machine.phase in _BLOCKED:
            after, actions = _at_rest(machine, "nobody is there any more"), ()
        case Ready() if machine.phase is _S.STARTING and machine.rung is Rung.NONE:
            after, actions = _ready(machine, now_ns, limits), ()
        case Seen():
            after, actions = _seen(machine, event, now_ns, limits)
        case DrainFailed(message) if machine.rung is Rung.DRAIN:
            reason = f"{machine.reason}; {message}" if machine.reason else message
            after, actions = _climb(replace(machine, reason=reason), now_ns, limits)
        case Exited(facts) if machine.process:
            after, actions = _exited(machine, facts, now_ns, limits, draw), ()
        case Due() if machine.due_ns is not None and now_ns >= machine.due_ns:
            after, actions = _due(machine, now_ns, limits)
        case _:
            after, actions = machine, ()
    if after.state is not machine.state:
        after = replace(after, since_ns=now_ns)
    return after, actions


def backoff_ns(exponent: int, limits: Limits, draw: float) -> int:
    """Equal jitter: never under half the delay, so that there is no storm of starts."""
    # A shift by hundreds would only be cut off again.
    delay = min(limits.backoff_max_ns, limits.backoff_base_ns << min(exponent, 40))
    return round(delay * (0.5 + draw / 2))


def _want(machine: Machine, wanted: bool, reason: str, now_ns: int, limits: Limits) -> Step:
    """Desired state as a level: told again, it only repairs what does not follow it."""
    machine = replace(machine, wanted=wanted)
    if wanted:
        if machine.phase is _S.STOPPED:
            machine = replace(machine, phase=_S.PENDING, reason=reason, due_ns=None)
        # A drain under way is finished first; the exit then leads to the next start.
        return machine, ()
    if machine.phase in (*_BLOCKED, _S.DRAINING, _S.STOPPED):
        return machine, ()
    machine = _forgive(machine)
    if machine.process:
        return _begin_drain(machine, reason, now_ns, limits)
    return replace(machine, phase=_S.STOPPED, reason=reason, due_ns=None), ()


def _restart(machine: Machine, reason: str, now_ns: int, limits: Limits) -> Step:
    if machine.phase in _BLOCKED or machine.phase is _S.DRAINING or not machine.wanted:
        return machine, ()
    machine = _forgive(machine)
    if machine.process:
        return _begin_drain(machine, reason, now_ns, limits)
    return replace(machine, phase=_S.PENDING, reason=reason, due_ns=None), ()


def _begin_drain(machine: Machine, reason: str, now_ns: int, limits: Limits) -> Step:
    if machine.rung is not Rung.NONE:
        # It is being killed already; only what follows the exit changes.
        return replace(machine, phase=_S.DRAINING, reason=reason), ()
    due = now_ns + limits.drain_timeout_ns
    machine = replace(
        machine, phase=_S.DRAINING, reason=reason, rung=Rung.DRAIN, due_ns=due, ready=False
    )
    return machine, (Action.DRAIN,)


def _start(machine: Machine, now_ns: int, limits: Limits) -> Machine:
    return replace(
        machine,
        phase=_S.STARTING,
        reason="",
        process=True,
        started_ns=now_ns,
        due_ns=now_ns + limits.start_timeout_ns,
        rung=Rung.NONE,
    )


def _adopt(machine: Machine, ready_since_ns: int | None, now_ns: int, limits: Limits) -> Machine:
    machine = replace(
        machine,
        phase=_S.STARTING,
        reason="adopted",
        process=True,
        started_ns=now_ns,
        due_ns=now_ns + limits.start_timeout_ns,
        rung=Rung.NONE,
    )
    if ready_since_ns is None:
        return machine
    since = min(ready_since_ns, now_ns)
    machine = _ready(machine, now_ns, limits)
    return replace(
        machine, reason="adopted", ready_since_ns=since, due_ns=since + limits.healthy_ns
    )


def _ready(machine: Machine, now_ns: int, limits: Limits) -> Machine:
    due = now_ns + limits.healthy_ns
    return replace(
        machine, phase=_S.RUNNING, reason="", ready=True, ready_since_ns=now_ns, due_ns=due
    )


def _seen(machine: Machine, seen: Seen, now_ns: int, limits: Limits) -> Step:
    """A look at the process; only a heartbeat standing still may end it."""
    if machine.rung is not Rung.NONE or not machine.process:
        return machine, ()
    age = seen.heartbeat_age_ns
    stale = age is not None and age > limits.heartbeat_stale_ns
    if machine.phase is _S.STARTING:
        if age is None or stale:
            return machine, ()
        latest = machine.started_ns + limits.start_timeout_max_ns
        return replace(machine, due_ns=min(now_ns + limits.start_timeout_ns, latest)), ()
    if machine.phase not in _LIVE:
        return machine, ()
    stale_since = (machine.stale_since_ns or now_ns) if stale else None
    machine = replace(machine, stale_since_ns=stale_since)
    if not stale and not seen.impairment:
        if machine.phase is _S.DEGRADED:
            machine = replace(machine, phase=_S.RUNNING, reason="")
        return machine, ()
    reason = seen.impairment
    if age is not None and stale:
        heartbeat = f"no heartbeat for {age / SECOND:.1f} s"
        reason = f"{heartbeat}; {reason}" if reason else heartbeat
    # Half the difference must pass under our own eyes: after the host or the daemon itself
    # stood still, every heartbeat looks old for a moment.
    watched = (limits.heartbeat_stuck_ns - limits.heartbeat_stale_ns) // 2
    stuck = age is not None and age > limits.heartbeat_stuck_ns
    machine = replace(machine, phase=_S.DEGRADED, reason=reason)
    if stuck and stale_since is not None and now_ns - stale_since >= watched:
        return _abort(replace(machine, reason=f"{reason}; ended by the watchdog"), now_ns, limits)
    return machine, ()


def _due(machine: Machine, now_ns: int, limits: Limits) -> Step:
    if machine.rung is not Rung.NONE:
        return _climb(machine, now_ns, limits)
    match machine.phase:
        case _S.BACKOFF:
            return replace(machine, phase=_S.PENDING, due_ns=None), ()
        case _S.STARTING:
            waited = (now_ns - machine.started_ns) / SECOND
            reason = f"not ready after {waited:.1f} s"
            return _abort(replace(machine, reason=reason), now_ns, limits)
        case _S.RUNNING | _S.DEGRADED:
            return replace(_forgive(machine), due_ns=None), ()
        case _S.UNVERIFIED | _S.FOREIGN:
            return replace(machine, due_ns=now_ns + limits.recheck_ns), (Action.RECHECK,)
        case _:
            return replace(machine, due_ns=None), ()


def _abort(machine: Machine, now_ns: int, limits: Limits) -> Step:
    due = now_ns + limits.abort_grace_ns
    return replace(machine, rung=Rung.ABORT, due_ns=due, ready=False), (Action.ABORT,)


def _climb(machine: Machine, now_ns: int, limits: Limits) -> Step:
    """The next, harder way to end the process; the last one is repeated."""
    ladder = {
        Rung.DRAIN: (Rung.TERMINATE, Action.TERMINATE, limits.term_grace_ns),
        Rung.TERMINATE: (Rung.ABORT, Action.ABORT, limits.abort_grace_ns),
        Rung.ABORT: (Rung.KILL, Action.KILL, limits.kill_retry_ns),
        Rung.KILL: (Rung.KILL, Action.KILL, limits.kill_retry_ns),
    }
    rung, action, patience_ns = ladder[machine.rung]
    return replace(machine, rung=rung, due_ns=now_ns + patience_ns), (action,)


def _exited(
    machine: Machine, facts: ExitFacts, now_ns: int, limits: Limits, draw: float
) -> Machine:
    why = facts.describe()
    killed = machine.rung is not Rung.NONE
    if killed and machine.reason and machine.phase is not _S.DRAINING:
        why = f"{machine.reason}; {why}"
    return _ended(machine, why, facts.permanent and not killed, now_ns, limits, draw)


def _ended(
    machine: Machine, why: str, permanent: bool, now_ns: int, limits: Limits, draw: float
) -> Machine:
    """There is no process any more."""
    if machine.phase is _S.DRAINING or not machine.wanted:
        return _at_rest(_without_process(machine), why)
    if permanent:
        machine = replace(_without_process(machine), phase=_S.FAILED_PERMANENT, reason=why)
        return _forgive(machine)
    return _crash(machine, why, now_ns, limits, draw)


def _crash(machine: Machine, why: str, now_ns: int, limits: Limits, draw: float) -> Machine:
    """Choose the delay before the next start."""
    ready_since = machine.ready_since_ns
    was_healthy = ready_since is not None and now_ns - ready_since >= limits.healthy_ns
    # The timer that forgives may be due in this very moment.
    machine = _without_process(_forgive(machine) if was_healthy else machine)
    recent = [t for t in machine.crashes if now_ns - t < limits.crash_window_ns]
    crashes = (*recent, now_ns)[-limits.crash_limit :]
    machine = replace(machine, phase=_S.BACKOFF, reason=why, crashes=crashes)
    if machine.crash_loop or len(crashes) >= limits.crash_limit:
        delay = round(limits.backoff_max_ns * (0.5 + draw / 2))
        return replace(machine, crash_loop=True, due_ns=now_ns + delay)
    if was_healthy:
        # A one-off crash costs as little time as can be.
        return replace(machine, phase=_S.PENDING)
    delay = backoff_ns(machine.exponent, limits, draw)
    return replace(machine, exponent=machine.exponent + 1, due_ns=now_ns + delay)


def _at_rest(machine: Machine, reason: str) -> Machine:
    """Without a process: waiting for a start, or stopped."""
    phase = _S.PENDING if machine.wanted else _S.STOPPED
    return replace(machine, phase=phase, reason=reason, due_ns=None)


def _without_process(machine: Machine) -> Machine:
    return replace(
        machine,
        process=False,
        ready=False,
        ready_since_ns=None,
        stale_since_ns=None,
        rung=Rung.NONE,
        due_ns=None,
    )


def _forgive(machine: Machine) -> Machine:
    return replace(machine, exponent=0, crashes=(), crash_loop=False)
