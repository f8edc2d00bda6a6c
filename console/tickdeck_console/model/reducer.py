"""Fold one frame into the state and say what changed.

Frames of another epoch, or of a revision already seen, change nothing: after a restart of the
daemon only a new snapshot is believed.
"""

from dataclasses import dataclass, field

from tickdeck_console.model.frame import (
    Delta,
    Event,
    Events,
    Exchange,
    Frame,
    Heartbeat,
    Link,
    LinkChange,
    Server,
    Snapshot,
    Synced,
    Totals,
)
from tickdeck_console.model.history import History
from tickdeck_console.model.state import State


@dataclass(frozen=True, slots=True)
class Outage:
    """The end of a time without data."""

    seconds: float
    restarted: bool
    """The daemon is another incarnation than before."""
    last_event_seq: int
    """Newest event known when it began."""


@dataclass(slots=True)
class Changes:
    """What a frame changed, so that only that is drawn again."""

    dirty: set[str] = field(default_factory=set[str])
    removed: set[str] = field(default_factory=set[str])
    events: list[Event] = field(default_factory=list[Event])
    totals: bool = False
    urgent: bool = False
    """A state changed, a row came or went, or the link changed: draw at once."""
    outage: Outage | None = None


def apply(state: State, frame: Frame, now_s: float) -> Changes:
    """Change `state` by `frame`, received at `now_s` of the console's monotonic clock."""
    changes = Changes()
    if isinstance(frame, Snapshot | Synced | Delta | Heartbeat) and frame.time_ns:
        state.server_time_ns, state.server_time_s = frame.time_ns, now_s
    match frame:
        case Snapshot():
            _snapshot(state, frame, now_s, changes)
        case Synced():
            _synced(state, now_s, changes)
        case Delta():
            _delta(state, frame, now_s, changes)
        case Heartbeat():
            if state.synced:
                state.last_frame_s = now_s
        case Events():
            _events(state, frame, changes)
        case Server():
            state.server = frame
            changes.totals = True
        case LinkChange():
            _link(state, frame, now_s, changes)
    return changes


def _snapshot(state: State, frame: Snapshot, now_s: float, changes: Changes) -> None:
    if state.pending is None or frame.epoch != state.epoch:
        state.pending = {}
        state.synced = False
    state.epoch, state.revision = frame.epoch, frame.revision
    state.pending.update((entry.key, entry) for entry in frame.exchanges)
    _totals(state, frame.totals, now_s, changes)


def _synced(state: State, now_s: float, changes: Changes) -> None:
    fresh = state.pending if state.pending is not None else {}
    state.pending = None
    for key in state.exchanges.keys() - fresh.keys():
        _forget(state, key, changes)
    for entry in fresh.values():
        _store(state, entry, now_s, changes)
    if state.cut_off_s is not None:
        restarted = state.epoch != state.cut_off_epoch
        changes.outage = Outage(now_s - state.cut_off_s, restarted, state.cut_off_event)
        state.cut_off_s = None
    state.synced = True
    state.last_frame_s = now_s
    changes.urgent = changes.totals = True


def _delta(state: State, frame: Delta, now_s: float, changes: Changes) -> None:
    if not state.synced or frame.epoch != state.epoch or frame.revision <= state.revision:
        state.ignored_frames += 1
        return
    state.revision = frame.revision
    state.last_frame_s = now_s
    state.dropped_ticks = frame.dropped_ticks
    for key in frame.removed:
        _forget(state, key, changes)
    for entry in frame.exchanges:
        _store(state, entry, now_s, changes)
    _totals(state, frame.totals, now_s, changes)


def _events(state: State, frame: Events, changes: Changes) -> None:
    if frame.epoch != state.event_epoch:
        state.event_epoch = frame.epoch
        state.next_event_seq = 0
    for event in frame.events:
        if event.seq >= state.next_event_seq:
            state.events.append(event)
            changes.events.append(event)
            state.next_event_seq = event.seq + 1
    state.next_event_seq = max(state.next_event_seq, frame.next_seq)


def _link(state: State, frame: LinkChange, now_s: float, changes: Changes) -> None:
    was_up = state.link.link is Link.UP
    state.link = frame
    changes.urgent = changes.totals = True
    if frame.link is not Link.UP:
        state.pending = None
        if was_up and state.cut_off_s is None and state.last_frame_s is not None:
            state.cut_off_s, state.cut_off_epoch = state.last_frame_s, state.epoch
            state.cut_off_event = state.events[-1].seq if state.events else 0
            for history in state.history.values():
                history.hole(now_s)


def _totals(state: State, totals: Totals | None, now_s: float, changes: Changes) -> None:
    if totals is not None:
        state.totals, state.totals_s = totals, now_s
        changes.totals = True


def _store(state: State, entry: Exchange, now_s: float, changes: Changes) -> None:
    before = state.exchanges.get(entry.key)
    state.exchanges[entry.key] = entry
    state.received_s[entry.key] = now_s
    state.history.setdefault(entry.key, History()).add(entry, now_s)
    changes.dirty.add(entry.key)
    if before is None or before.health is not entry.health or before.causes != entry.causes:
        changes.urgent = True


def _forget(state: State, key: str, changes: Changes) -> None:
    if state.exchanges.pop(key, None) is not None:
        state.received_s.pop(key, None)
        state.history.pop(key, None)
        changes.removed.add(key)
        changes.urgent = True
