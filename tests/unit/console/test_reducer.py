"""The state follows the frames, and nothing else."""

import random
from dataclasses import replace

from tickdeck_console.model.frame import (
    Cause,
    Delta,
    Event,
    Events,
    Exchange,
    Frame,
    Health,
    Heartbeat,
    Link,
    LinkChange,
    Server,
    Snapshot,
    Synced,
    Totals,
)
from tickdeck_console.model.reducer import Changes, apply
from tickdeck_console.model.state import State

OK = Exchange("XNAS", Health.OK)
LSE = Exchange("LSE", Health.OK)


def fold(state: State, *frames: Frame, now_s: float = 1.0) -> Changes:
    """Apply frames; returns the changes of the last."""
    changes = Changes()
    for frame in frames:
        changes = apply(state, frame, now_s)
    return changes


def synced(*exchanges: Exchange, epoch: str = "e1", revision: int = 5) -> State:
    """A state after a snapshot."""
    state = State()
    fold(state, LinkChange(Link.UP), Snapshot(epoch, revision, exchanges, time_ns=10**18), Synced())
    return state


def test_a_snapshot_counts_only_when_it_is_complete() -> None:
    """Half a snapshot must not look like a plant that lost its other half."""
    state = synced(OK, LSE)
    changes = fold(state, Snapshot("e1", 9, (OK,)))
    assert set(state.exchanges) == {"XNAS", "LSE"}
    assert not changes.removed
    changes = fold(state, Synced())
    assert set(state.exchanges) == {"XNAS"}
    assert changes.removed == {"LSE"}


def test_a_delta_replaces_only_what_it_names() -> None:
    """Exchanges that did not change are not drawn again."""
    state = synced(OK, LSE)
    faster = replace(OK, message_rate=5.0)
    changes = fold(state, Delta("e1", 6, (faster,)))
    assert changes.dirty == {"XNAS"}
    assert state.exchanges == {"XNAS": faster, "LSE": LSE}


def test_a_change_of_state_is_urgent_and_a_number_is_not() -> None:
    """Only what an operator must see at once is drawn at once."""
    state = synced(OK)
    assert not fold(state, Delta("e1", 6, (replace(OK, message_rate=5.0),))).urgent
    assert fold(state, Delta("e1", 7, (replace(OK, health=Health.DOWN),))).urgent
    down = replace(OK, health=Health.DOWN, causes=(Cause("why"),))
    assert fold(state, Delta("e1", 8, (down,))).urgent


def test_old_and_foreign_deltas_change_nothing() -> None:
    """A late frame, or one of another incarnation, cannot bring old values back."""
    state = synced(OK)
    for stale in (
        Delta("e1", 5, (replace(OK, health=Health.DOWN),)),
        Delta("e0", 99, (replace(OK, health=Health.DOWN),)),
        Delta("e1", 4, removed=("XNAS",)),
    ):
        assert not fold(state, stale, now_s=9.0).dirty
    assert state.exchanges["XNAS"] is OK
    assert state.ignored_frames == 3
    assert state.last_frame_s == 1.0, "an ignored frame is no sign of life"


def test_a_delta_before_the_first_snapshot_is_ignored() -> None:
    """Nothing is shown that is not known whole."""
    state = State()
    fold(state, LinkChange(Link.UP), Delta("e1", 1, (OK,)))
    assert not state.exchanges
    assert state.last_frame_s is None


def test_removed_exchanges_leave_no_trace() -> None:
    """History and times of a removed exchange are forgotten with it."""
    state = synced(OK, LSE)
    changes = fold(state, Delta("e1", 6, removed=("LSE", "NEVER")))
    assert changes.removed == {"LSE"}
    assert "LSE" not in state.history
    assert "LSE" not in state.received_s


def test_a_heartbeat_keeps_the_stream_alive() -> None:
    """Silence of the plant is not silence of the daemon."""
    state = synced(OK)
    fold(state, Heartbeat(), now_s=7.0)
    assert state.last_frame_s == 7.0


def test_a_new_epoch_needs_a_new_snapshot() -> None:
    """After a restart of the daemon its low revisions count again."""
    state = synced(OK, revision=900)
    fold(state, Snapshot("e2", 1, (LSE,)), Synced(), now_s=3.0)
    assert set(state.exchanges) == {"LSE"}
    assert fold(state, Delta("e2", 2, (replace(LSE, gaps_open=1),)), now_s=3.1).dirty == {"LSE"}


def test_an_outage_is_told_when_it_ends() -> None:
    """How long it took is counted from the last frame, not from when it was noticed."""
    state = synced(OK)
    fold(state, Heartbeat(), now_s=10.0)
    fold(state, LinkChange(Link.REFUSED, "refused", 1, 0.25), now_s=10.5)
    fold(state, LinkChange(Link.REFUSED, "refused", 2, 0.5), now_s=11.0)
    fold(state, LinkChange(Link.UP), Snapshot("e1", 6, (OK,)), now_s=22.0)
    outage = fold(state, Synced(), now_s=22.4).outage
    assert outage is not None
    assert round(outage.seconds, 6) == 12.4
    assert not outage.restarted
    assert state.cut_off_s is None


def test_an_outage_tells_a_restart_of_the_daemon() -> None:
    """Another epoch after the outage is another incarnation."""
    state = synced(OK)
    fold(state, LinkChange(Link.REFUSED, "", 1), now_s=2.0)
    fold(state, LinkChange(Link.UP), Snapshot("e2", 1, (OK,)), now_s=3.0)
    outage = fold(state, Synced(), now_s=3.0).outage
    assert outage is not None
    assert outage.restarted


def test_an_outage_remembers_the_last_event_before_it() -> None:
    """Events that arrive before the new snapshot count as missed too."""
    state = synced(OK)
    fold(state, Events("log", 8, (Event(7, 0, "x", "X", "before"),)))
    fold(state, LinkChange(Link.REFUSED, "", 1), LinkChange(Link.UP))
    fold(state, Events("log", 9, (Event(8, 0, "x", "X", "during"),)), Snapshot("e1", 9, (OK,)))
    outage = fold(state, Synced()).outage
    assert outage is not None
    assert outage.last_event_seq == 7


def test_the_first_connection_is_no_outage() -> None:
    """A console that waited for its daemon missed nothing."""
    state = State()
    fold(state, LinkChange(Link.REFUSED, "", 1), LinkChange(Link.UP), Snapshot("e1", 1, ()))
    assert fold(state, Synced()).outage is None


def test_events_are_kept_once_and_in_order() -> None:
    """A reconnect that replays events does not show them twice."""
    state = State()
    first = tuple(Event(n, 0, "gap.opened", "XNAS", f"m{n}") for n in (1, 2, 3))
    fold(state, Events("log", 4, first))
    changes = fold(state, Events("log", 5, (first[2], Event(4, 0, "gap.filled", "XNAS", "m4"))))
    assert [event.seq for event in state.events] == [1, 2, 3, 4]
    assert [event.seq for event in changes.events] == [4]
    assert state.next_event_seq == 5


def test_a_new_event_log_starts_again() -> None:
    """Events of a new epoch are not taken for old ones."""
    state = State()
    fold(state, Events("a", 10, (Event(9, 0, "x", "X", "old"),)))
    fold(state, Events("b", 2, (Event(1, 0, "x", "X", "new"),)))
    assert [event.message for event in state.events] == ["old", "new"]


def test_totals_and_server_are_kept() -> None:
    """The head of the screen has its numbers."""
    state = State()
    fold(state, Server("1", "i", "host", 0), Snapshot("e", 1, (), Totals(messages=7)))
    assert state.server is not None
    assert state.server.host == "host"
    assert state.totals.messages == 7


def test_ages_count_on_between_frames() -> None:
    """A feed that went silent grows older on screen without a frame."""
    state = synced(replace(OK, since_ns=10**18 - 4 * 10**9))
    entry = state.exchanges["XNAS"]
    assert state.received_s["XNAS"] == 1.0
    assert state.since_s(entry, 3.0) == 6.0


def test_unknown_times_are_not_invented() -> None:
    """Without a clock of the daemon nothing is said about durations."""
    state = State()
    assert state.since_s(replace(OK, since_ns=5), 1.0) is None
    assert state.stream_age_s(1.0) is None


def test_history_has_a_sample_a_second_and_holes() -> None:
    """Plots show a hole where the console was cut off."""
    state = synced(OK)
    for step in range(8):
        fold(state, Delta("e1", 6 + step, (OK,)), now_s=1.0 + step * 0.25)
    assert [sample.time_s for sample in state.history["XNAS"].samples] == [1.0, 2.0]
    fold(state, LinkChange(Link.REFUSED, "", 1), now_s=5.0)
    assert state.history["XNAS"].samples[-1].message_rate is None


def test_any_order_of_frames_gives_the_same_end() -> None:
    """Whatever came before, a complete snapshot is the truth."""
    rng = random.Random(7)
    rows = [replace(OK, key=f"X{n}", gaps_open=n) for n in range(6)]
    for _ in range(200):
        state = State()
        frames: list[Frame] = [
            LinkChange(Link.UP),
            LinkChange(Link.REFUSED, "", 1),
            Snapshot("e1", 3, tuple(rows[:3])),
            Synced(),
            Delta("e1", 9, (rows[4],), ("X1",)),
            Heartbeat(),
        ]
        rng.shuffle(frames)
        fold(state, *frames)
        fold(state, LinkChange(Link.UP), Snapshot("e9", 1, tuple(rows[:2])))
        fold(state, Snapshot("e9", 1, (rows[5],)), Synced())
        assert state.exchanges == {row.key: row for row in (*rows[:2], rows[5])}
