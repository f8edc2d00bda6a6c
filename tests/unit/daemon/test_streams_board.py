"""The board: latest values for watchers at their own pace, and who was slow is told."""

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from tickdeck_daemon.bell import Bell
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.observe.board import REMOVED_KEPT, Board
from tickdeck_daemon.services.pacing import INTERVAL_S, Pacer, interval_s


def same(old: int, new: int) -> bool:
    return old == new


def test_only_changes_get_a_new_revision() -> None:
    """Publishing what is known already is no change."""
    board: Board[int] = Board(same)
    board.publish({"a": 1, "b": 2})
    assert board.revision == 1
    board.publish({"a": 1, "b": 2})
    assert board.revision == 1
    board.publish({"a": 1, "b": 3})
    assert board.revision == 2
    assert board.changed_since(1) == [3]
    assert board.changed_since(0) == [1, 3]


def test_removals_are_told_until_the_key_is_back() -> None:
    """A watcher learns what is gone, but not of what came back meanwhile."""
    board: Board[int] = Board(same)
    board.publish({"a": 1, "b": 2})
    board.publish({"a": 1})
    assert board.removed_since(1) == ["b"]
    assert board.removed_since(2) == []
    board.publish({"a": 1, "b": 9})
    assert board.removed_since(1) == []
    assert board.changed_since(2) == [9]


def test_who_is_too_far_behind_gets_no_wrong_answer() -> None:
    """Removals that are no longer remembered mean: take a whole snapshot."""
    board: Board[int] = Board(same)
    for n in range(REMOVED_KEPT + 10):
        board.publish({str(n): n})
    assert board.removed_since(2) is None
    assert board.removed_since(board.revision - 1) == [str(REMOVED_KEPT + 8)]
    assert board.removed_since(-1) is None


CHANGES = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)), st.booleans()),
    max_size=30,
)


@given(changes=CHANGES)
def test_a_watcher_always_ends_with_the_present_state(
    changes: list[tuple[dict[str, int], bool]],
) -> None:
    """However many ticks it skips, changes and removals since its last read rebuild the board."""
    board: Board[tuple[str, int]] = Board(lambda old, new: old == new)
    known: dict[str, int] = {}
    seen = -1
    for rows, reads in [*changes, ({"a": 1}, True)]:
        board.publish({key: (key, value) for key, value in rows.items()})
        if reads:
            removed = board.removed_since(seen)
            if removed is None:
                known, removed, seen = {}, [], -1
            for key in removed:
                known.pop(key, None)
            known.update(dict(board.changed_since(seen)))
            seen = board.revision
            assert known == rows


async def test_a_busy_subscriber_counts_what_it_misses() -> None:
    """Publishing never waits; ticks that pass during a write are counted."""
    board: Board[int] = Board(same)
    with board.subscribe() as subscription:
        subscription.seen = board.revision
        subscription.busy = True
        for n in range(5):
            board.publish({"a": n})
        subscription.busy = False
        assert subscription.dropped_ticks == 5
        assert await subscription.wait(0)
        assert board.changed_since(subscription.seen) == [4]


async def test_a_subscriber_waits_for_a_change_or_its_time() -> None:
    """A change wakes it; without one it wakes for the heartbeat."""
    board: Board[int] = Board(same)
    with board.subscribe() as subscription:
        subscription.seen = board.revision
        assert not await subscription.wait(0.001)
        waiting = asyncio.create_task(subscription.wait(10))
        await asyncio.sleep(0)
        board.publish({"a": 1})
        assert await waiting


async def test_a_subscriber_that_left_is_not_told() -> None:
    """Nothing of it stays on the board."""
    board: Board[int] = Board(same)
    with board.subscribe() as subscription:
        subscription.busy = True
    board.publish({"a": 1})
    assert subscription.dropped_ticks == 0


async def test_a_bell_wakes_all_and_only_those_whose_wish_holds() -> None:
    """Each waiter looks for itself after each ring."""
    bell, count = Bell(), 0
    first = asyncio.create_task(bell.wait(lambda: count >= 1, 10))
    second = asyncio.create_task(bell.wait(lambda: count >= 2, 10))
    await asyncio.sleep(0)
    count = 1
    bell.ring()
    assert await first
    assert not second.done()
    count = 2
    bell.ring()
    assert await second


async def test_a_cancelled_waiter_leaves_nothing() -> None:
    """A stream that ends while it waits does not break the next ring."""
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(lambda: False, None))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    bell.ring()


@pytest.mark.parametrize("nanos", [0, 49_999_999])
def test_an_interval_below_50_ms_is_refused(nanos: int) -> None:
    """A watcher cannot make the daemon run hot."""
    with pytest.raises(InvalidError):
        interval_s(Duration(nanos=nanos))


def test_an_absent_interval_is_the_default() -> None:
    """Four times a second unless told otherwise."""
    assert interval_s(None) == INTERVAL_S
    assert interval_s(Duration(nanos=50_000_000)) == 0.05


async def test_a_pacer_keeps_its_distance() -> None:
    """After a message it waits the interval; what is left for the heartbeat shrinks by it."""
    loop = asyncio.get_running_loop()
    pacer = Pacer(0.02)
    began = loop.time()
    await pacer.pause()
    assert loop.time() - began >= 0.02
    assert pacer.left_s(0.5) <= 0.48
    assert pacer.left_s(0.0) == 0.0
