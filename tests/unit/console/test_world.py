"""The made-up plant: the same seed and script give the same frames."""

import itertools

from tickdeck_console.feed.fake import START, TOUR, Step, timeline
from tickdeck_console.feed.world import FAULTS, World
from tickdeck_console.model.frame import Delta, Health, Link, LinkChange, Synced
from tickdeck_console.model.reducer import apply
from tickdeck_console.model.severity import Freshness, freshness
from tickdeck_console.model.state import State


def play(world: World, script: tuple[Step, ...], until_s: float) -> State:
    state = State()
    for time_s, frame in timeline(world, script, until_s):
        apply(state, frame, time_s)
    return state


def test_the_same_seed_gives_the_same_end() -> None:
    """A drill or a test replays from its seed."""
    first, again, other = (play(World(seed), TOUR, 70.0) for seed in (7, 7, 8))
    assert first.exchanges == again.exchanges
    assert list(first.events) == list(again.events)
    assert first.exchanges != other.exchanges


def test_the_start_shows_one_problem_of_each_kind() -> None:
    """Every state can be seen at once."""
    state = play(World(7), START, 1.0)
    assert {entry.health for entry in state.exchanges.values()} == set(Health) - {Health.UNKNOWN}


def test_every_fault_can_be_cleared() -> None:
    """No fault leaves a trace in the state."""
    world = World(7)
    for fault, key in zip(FAULTS, itertools.cycle(world.rows)):
        world.apply(key, fault)
        world.apply(key, "clear")
        world.step(0.25)
        assert world.rows[key].health is Health.OK, fault
        assert not world.rows[key].causes


def test_a_dropped_link_is_told_and_comes_back() -> None:
    """The frames of an outage are those of the live feed."""
    frames = list(timeline(World(7), (Step(2.0, "restart", seconds=3.0),), 8.0))
    links = [frame.link for _, frame in frames if isinstance(frame, LinkChange)]
    assert links[0] is links[-1] is Link.UP
    assert links[1] is Link.REFUSED
    epochs = {frame.epoch for _, frame in frames if isinstance(frame, Delta)}
    assert len(epochs) == 2


def test_a_stall_is_silence() -> None:
    """While the stream stalls no frame comes at all, and the state grows old."""
    frames = list(timeline(World(7), (Step(2.0, "stall", seconds=5.0),), 6.0))
    assert max(time_s for time_s, _ in frames) < 2.1
    state = State()
    for time_s, frame in frames:
        apply(state, frame, time_s)
    assert freshness(state, 6.0) is Freshness.STALE


def test_frames_follow_the_protocol() -> None:
    """Every connection begins with a snapshot and its end."""
    frames = [frame for _, frame in timeline(World(7), (), 2.0)]
    assert sum(isinstance(frame, Synced) for frame in frames) == 1
    first_delta = next(i for i, frame in enumerate(frames) if isinstance(frame, Delta))
    assert any(isinstance(frame, Synced) for frame in frames[:first_delta])
