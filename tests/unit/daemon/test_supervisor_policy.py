"""The restart policy: tables of single steps, and properties over random histories."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck_daemon.workers.budget import SpawnBudget
from tickdeck_daemon.workers.exits import PERMANENT_CODES, ExitFacts
from tickdeck_daemon.workers.machine import (
    MILLISECOND,
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
from tickdeck_daemon.workers.policy import advance, backoff_ns
from tickdeck_daemon.workers.views import WorkerState

LIMITS = Limits()
CRASH = Exited(ExitFacts(signal=9))
SIGNALS = (Action.TERMINATE, Action.ABORT, Action.KILL)
BLOCKED = (WorkerState.UNVERIFIED, WorkerState.FOREIGN)


@dataclass
class Run:
    """A machine and its clock."""

    machine: Machine = field(default_factory=Machine)
    now_ns: int = 1000 * SECOND
    draw: float = 0.5

    def send(self, event: Event, *, after_ns: int = 0) -> tuple[Action, ...]:
        self.now_ns += after_ns
        self.machine, actions = advance(
            self.machine, event, self.now_ns, limits=LIMITS, draw=self.draw
        )
        return tuple(actions)

    def until_due(self) -> tuple[Action, ...]:
        assert self.machine.due_ns is not None
        return self.send(Due(), after_ns=max(0, self.machine.due_ns - self.now_ns))

    @property
    def state(self) -> WorkerState:
        return self.machine.state


def starting() -> Run:
    run = Run()
    run.send(Want(True))
    assert run.send(Start()) == (Action.SPAWN,)
    return run


def running() -> Run:
    run = starting()
    run.send(Ready())
    assert run.state is WorkerState.RUNNING
    return run


def crash_now(run: Run) -> int:
    """Crash a worker that is starting; returns the delay before the next start."""
    run.send(CRASH)
    assert run.machine.due_ns is not None
    delay = run.machine.due_ns - run.now_ns
    run.until_due()
    assert run.send(Start()) == (Action.SPAWN,)
    return delay


def test_backoff_doubles_with_equal_jitter() -> None:
    """Delays are 250 ms doubled up to 30 s, never under half and never over the whole of it."""
    for exponent in range(200):
        whole = min(30 * SECOND, 250 * MILLISECOND * 2**exponent)
        assert backoff_ns(exponent, LIMITS, 0.0) == whole // 2
        assert backoff_ns(exponent, LIMITS, 0.999999) <= whole


def test_first_crash_after_a_minute_of_health_costs_no_delay() -> None:
    """After 60 s ready the restart is immediate; the crash after that one is delayed again."""
    run = running()
    run.send(CRASH, after_ns=60 * SECOND)
    assert run.state is WorkerState.PENDING
    assert run.send(Start()) == (Action.SPAWN,)
    run.send(Ready())
    run.send(CRASH, after_ns=59 * SECOND)
    assert run.state is WorkerState.BACKOFF
    assert run.machine.due_ns == run.now_ns + backoff_ns(0, LIMITS, 0.5)


def test_five_crashes_in_two_minutes_are_a_crash_loop() -> None:
    """The fifth crash within 120 s is a crash loop; four, or a fifth later, are none."""
    run = starting()
    for _ in range(4):
        crash_now(run)
    assert run.state is WorkerState.STARTING
    late = replace(run)
    late.send(CRASH, after_ns=121 * SECOND)
    assert late.state is WorkerState.BACKOFF
    run.send(CRASH)
    assert run.state is WorkerState.CRASH_LOOP
    assert run.machine.due_ns is not None
    assert 15 * SECOND <= run.machine.due_ns - run.now_ns <= 30 * SECOND


def test_crash_loop_keeps_trying_and_ends_after_a_minute_of_health() -> None:
    """It is tried at the cap and shown as CRASH_LOOP, though ready, until 60 s have passed."""
    run = starting()
    for _ in range(5):
        crash_now(run)
    assert run.state is WorkerState.CRASH_LOOP
    assert crash_now(run) >= 15 * SECOND
    run.send(Ready())
    assert (run.state, run.machine.ready) == (WorkerState.CRASH_LOOP, True)
    run.send(Due(), after_ns=59 * SECOND)
    assert run.state is WorkerState.CRASH_LOOP
    run.send(Due(), after_ns=1 * SECOND)
    assert run.state is WorkerState.RUNNING
    assert run.machine.crashes == ()


def test_restart_ends_backoff_and_crash_loop() -> None:
    """An ordered restart forgives: PENDING at once, and the delays begin anew."""
    run = starting()
    for _ in range(4):
        crash_now(run)
    run.send(CRASH)
    run.send(Restart("operator"))
    assert run.state is WorkerState.PENDING
    run.send(Start())
    assert crash_now(run) == backoff_ns(0, LIMITS, 0.5)


@pytest.mark.parametrize("code", sorted(PERMANENT_CODES))
def test_permanent_exit_is_final(code: int) -> None:
    """A permanent exit code is never retried; a restart by the operator is."""
    run = starting()
    run.send(Exited(ExitFacts(code=code)))
    assert run.state is WorkerState.FAILED_PERMANENT
    assert str(code) in run.machine.reason
    assert run.machine.due_ns is None
    assert run.send(Start(), after_ns=3600 * SECOND) == ()
    run.send(Restart("fixed"))
    assert run.send(Start()) == (Action.SPAWN,)


@pytest.mark.parametrize("code", [0, 1, 2, 70, 124, 126])
def test_other_codes_are_crashes(code: int) -> None:
    """Any other code of a wanted worker, 0 as well, leads to a retry."""
    run = starting()
    run.send(Exited(ExitFacts(code=code)))
    assert run.state is WorkerState.BACKOFF


def test_spawn_failure_goes_through_backoff() -> None:
    """A binary that cannot be started is no busy loop: it becomes a crash loop."""
    run = starting()
    for _ in range(5):
        run.send(SpawnFailed("no binary"))
        assert run.machine.due_ns is not None
        assert run.machine.due_ns - run.now_ns >= 125 * MILLISECOND
        run.until_due()
        run.send(Start())
    assert run.state is WorkerState.CRASH_LOOP


def test_stop_ladder() -> None:
    """Drain, then SIGTERM, SIGABRT, SIGKILL, each after its time; SIGKILL is repeated."""
    run = running()
    assert run.send(Want(False)) == (Action.DRAIN,)
    assert run.state is WorkerState.DRAINING
    assert run.until_due() == (Action.TERMINATE,)
    assert run.until_due() == (Action.ABORT,)
    assert run.until_due() == (Action.KILL,)
    assert run.until_due() == (Action.KILL,)
    run.send(Exited(ExitFacts(signal=9)))
    assert run.state is WorkerState.STOPPED
    assert run.machine.due_ns is None


def test_drain_that_cannot_be_ordered_becomes_sigterm() -> None:
    """A worker that does not take the drain is asked by SIGTERM at once."""
    run = starting()
    run.send(Want(False))
    assert run.send(DrainFailed("no socket")) == (Action.TERMINATE,)
    assert run.send(DrainFailed("again")) == ()


def test_commanded_stop_is_not_undone_by_an_exit() -> None:
    """Whatever code a stopped worker leaves, it stays stopped."""
    for facts in (ExitFacts(code=0), ExitFacts(code=78), ExitFacts(signal=11), ExitFacts()):
        run = running()
        run.send(Want(False))
        run.send(Exited(facts))
        assert run.state is WorkerState.STOPPED
        assert run.send(Start()) == ()


def test_start_during_drain_waits_for_the_end() -> None:
    """Wanting a draining worker again starts it after its exit, never beside it."""
    run = running()
    run.send(Want(False))
    assert run.send(Want(True)) == ()
    assert run.send(Start()) == ()
    run.send(Exited(ExitFacts(code=0)))
    assert run.send(Start()) == (Action.SPAWN,)


def test_start_deadline_without_sign_of_life() -> None:
    """Not ready within the deadline: SIGABRT, SIGKILL, then backoff, never a permanent end."""
    run = starting()
    assert run.until_due() == (Action.ABORT,)
    assert run.until_due() == (Action.KILL,)
    run.send(Exited(ExitFacts(code=78)))
    assert run.state is WorkerState.BACKOFF
    assert "not ready" in run.machine.reason


def test_start_with_signs_of_life_gets_more_time() -> None:
    """A long recovery is not killed while its heart beats, but not for ever either."""
    run = starting()
    begin = run.now_ns
    while run.now_ns < begin + 540 * SECOND:
        assert run.send(Seen(0), after_ns=10 * SECOND) == ()
        assert run.send(Due()) == ()
    while run.now_ns < begin + 600 * SECOND:
        run.send(Seen(0), after_ns=10 * SECOND)
    assert run.send(Due()) == (Action.ABORT,)


def test_late_heartbeat_degrades_and_recovers() -> None:
    """Over 3 s without a heartbeat is DEGRADED, a fresh one RUNNING again."""
    run = running()
    run.send(Seen(3 * SECOND))
    assert run.state is WorkerState.RUNNING
    run.send(Seen(3 * SECOND + 1))
    assert run.state is WorkerState.DEGRADED
    assert "heartbeat" in run.machine.reason
    run.send(Seen(0))
    assert run.state is WorkerState.RUNNING


def test_stuck_worker_is_aborted_then_killed_then_restarted() -> None:
    """Over 10 s without a heartbeat: SIGABRT, SIGKILL after 2 s, and a new start."""
    run = running()
    age = 4 * SECOND
    actions: tuple[Action, ...] = ()
    while not actions:
        actions = run.send(Seen(age), after_ns=SECOND)
        age += SECOND
    assert actions == (Action.ABORT,)
    assert 10 * SECOND < age - SECOND <= 12 * SECOND
    assert run.machine.due_ns == run.now_ns + 2 * SECOND
    assert run.until_due() == (Action.KILL,)
    run.send(CRASH)
    assert run.state is WorkerState.BACKOFF
    assert "watchdog" in run.machine.reason


def test_one_look_after_a_pause_of_the_host_kills_nobody() -> None:
    """Heartbeats that look an hour old for one moment only make the worker DEGRADED."""
    run = running()
    assert run.send(Seen(3600 * SECOND), after_ns=3600 * SECOND) == ()
    assert run.state is WorkerState.DEGRADED
    assert run.send(Seen(0), after_ns=SECOND) == ()
    assert run.state is WorkerState.RUNNING


def test_impairment_never_kills() -> None:
    """Unreadable statistics or a stopped process degrade for ever and end nothing."""
    run = running()
    for _ in range(1000):
        assert run.send(Seen(None, "its statistics cannot be read"), after_ns=SECOND) == ()
    assert run.state is WorkerState.DEGRADED


def test_blocked_worker_is_left_alone() -> None:
    """UNVERIFIED and FOREIGN take no start and no signal; they are looked at again."""
    for state in BLOCKED:
        run = Run()
        run.send(Want(True))
        run.send(Blocked(state, "somebody"))
        assert run.state is state
        assert run.send(Start()) == ()
        assert run.send(Want(False)) == ()
        assert run.send(Want(True)) == ()
        assert run.send(Restart("x")) == ()
        assert run.until_due() == (Action.RECHECK,)
        run.send(Unblocked())
        assert run.send(Start()) == (Action.SPAWN,)


def test_adopted_worker_that_nobody_mentions_goes_on() -> None:
    """Without a word about what is wanted an adopted worker runs on, and is not restarted."""
    run = Run()
    assert run.send(Adopted(run.now_ns - SECOND)) == ()
    assert run.state is WorkerState.RUNNING
    run.send(CRASH)
    assert run.state is WorkerState.STOPPED


def test_adopted_worker_that_is_not_wanted_is_drained() -> None:
    """A stop that was ordered before the daemon's restart is carried out after it."""
    run = Run()
    run.send(Adopted(None))
    assert run.send(Want(False)) == (Action.DRAIN,)


def test_adopted_worker_keeps_its_age() -> None:
    """Ready for a minute under the former daemon counts: its crash costs no delay."""
    run = Run()
    run.send(Want(True))
    run.send(Adopted(run.now_ns - 60 * SECOND))
    run.send(CRASH)
    assert run.state is WorkerState.PENDING


facts = st.one_of(
    st.builds(ExitFacts, code=st.sampled_from([0, 1, 69, 78, 125])),
    st.builds(ExitFacts, signal=st.sampled_from([6, 9, 15])),
    st.just(ExitFacts()),
)
events = st.one_of(
    st.builds(Want, st.booleans()),
    st.builds(Restart, st.just("ordered")),
    st.just(Start()),
    st.just(SpawnFailed("failed")),
    st.builds(Adopted, st.one_of(st.none(), st.integers(0, 2000 * SECOND))),
    st.builds(Blocked, st.sampled_from(BLOCKED), st.just("somebody")),
    st.just(Unblocked()),
    st.just(Ready()),
    st.builds(Seen, st.one_of(st.none(), st.integers(0, 20 * SECOND)), st.sampled_from(["", "x"])),
    st.just(DrainFailed("refused")),
    st.builds(Exited, facts),
    st.just(Due()),
)
waits = st.one_of(st.just(0), st.integers(0, 3 * SECOND), st.integers(0, 200 * SECOND))
histories = st.lists(st.tuples(events, waits, st.floats(0, 1, exclude_max=True)), max_size=80)


def possible(run: Run, event: Event) -> bool:
    """Whether the world around the machine could send this now."""
    match event:
        case Adopted() | Blocked():
            return not run.machine.process
        case SpawnFailed() | Exited() | Ready() | Seen():
            return run.machine.process
        case _:
            return True


@settings(max_examples=600, deadline=None)
@given(histories)
def test_properties_of_every_history(
    history: list[tuple[Event, int, float]],
) -> None:
    """Whatever happens: one process at a time, only when wanted; nobody strange is touched;
    no state without a way out."""
    run = Run()
    wanted = False
    for event, wait, draw in history:
        if not possible(run, event):
            continue
        before = run.machine
        run.draw = draw
        actions = run.send(event, after_ns=wait)
        after = run.machine
        if isinstance(event, Want):
            wanted = event.wanted
        if Action.SPAWN in actions:
            assert wanted
            assert not before.process
            assert before.phase is WorkerState.PENDING
        if any(action in SIGNALS for action in actions) or Action.DRAIN in actions:
            assert before.process
            assert before.phase not in BLOCKED
        if Action.DRAIN in actions:
            assert not wanted or isinstance(event, Restart)
        assert after.wanted == wanted
        assert after.process == (
            after.phase
            in (
                WorkerState.STARTING,
                WorkerState.RUNNING,
                WorkerState.DEGRADED,
                WorkerState.DRAINING,
            )
        )
        check_way_out(after, run.now_ns)
        assert after.ready <= after.process
        assert len(after.crashes) <= LIMITS.crash_limit
        if after.phase is WorkerState.BACKOFF and before.phase is not WorkerState.BACKOFF:
            assert after.due_ns is not None
            assert 125 * MILLISECOND <= after.due_ns - run.now_ns <= 30 * SECOND
        if after.state is not before.state:
            assert after.since_ns == run.now_ns
    follow_to_rest(run)


def check_way_out(machine: Machine, now_ns: int) -> None:
    """A state that must not last has a time at which it ends."""
    passing = (WorkerState.BACKOFF, WorkerState.STARTING, WorkerState.DRAINING, *BLOCKED)
    if machine.phase in passing or machine.rung is not Rung.NONE:
        assert machine.due_ns is not None
    if machine.phase in (WorkerState.STOPPED, WorkerState.PENDING, WorkerState.FAILED_PERMANENT):
        assert machine.due_ns is None
        assert machine.rung is Rung.NONE


def follow_to_rest(run: Run) -> None:
    """Once nothing is wanted, time and exits alone lead to STOPPED, and nothing is started."""
    run.send(Unblocked())
    run.send(Want(False))
    for _ in range(8):
        if run.machine.rung is Rung.KILL:
            run.send(Exited(ExitFacts(signal=9)))
        if run.machine.due_ns is not None:
            assert Action.SPAWN not in run.until_due()
    assert run.state is WorkerState.STOPPED
    assert run.send(Start()) == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 400 * MILLISECOND), max_size=200))
def test_budget_holds_over_every_second(gaps: list[int]) -> None:
    """However the starts come, no second sees more than the burst and the rate together."""
    budget, now, taken = SpawnBudget(per_second=10, burst=10), 0, list[int]()
    for gap in gaps:
        now += gap
        wait = budget.wait_ns(now)
        assert budget.take(now) == (wait == 0)
        if wait == 0:
            taken.append(now)
        else:
            assert SpawnBudget.wait_ns(budget, now + wait) == 0
    for first in taken:
        assert sum(first <= t < first + SECOND for t in taken) <= 20


def test_budget_gives_a_burst_then_the_rate() -> None:
    """Ten at once, then one each 100 ms."""
    budget = SpawnBudget(per_second=10, burst=10)
    assert [budget.take(0) for _ in range(11)] == [True] * 10 + [False]
    assert budget.wait_ns(0) == 100 * MILLISECOND
    assert budget.take(100 * MILLISECOND)
    assert not budget.take(100 * MILLISECOND)
