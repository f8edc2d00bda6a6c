"""Gaps as objects: their life, their events, what a restart of worker or daemon does to them."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tickdeck_daemon.observe.events import Event
from tickdeck_daemon.observe.gaps import (
    ANNOTATED,
    CLOSED_STAGES,
    Gap,
    GapEvent,
    GapLedger,
    GapNote,
    GapPart,
    details,
)

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
ONE, TWO = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


def gap(identity: int, stage: str = "REQUESTED", *, incarnation: str = ONE, at: int = 0) -> Gap:
    closed = stage in CLOSED_STAGES
    return Gap(
        exchange="X",
        incarnation=incarnation,
        id=identity,
        first=identity * 100,
        last=identity * 100 + 9,
        stage=stage,
        missing=0 if stage == "FILLED" else 10,
        sources=("A", "retransmit") if stage == "FILLED" else (),
        attempts=2,
        detected_ns=NOW + identity + at,
        closed_ns=NOW + identity + at + SECOND if closed else 0,
        reason="attempts_exhausted" if stage == "UNRECOVERABLE" else "",
    )


def told(events: list[GapEvent]) -> list[tuple[str, int]]:
    return [(event.type, event.gap.id) for event in events]


def as_events(events: list[GapEvent]) -> list[Event]:
    return [
        Event(n + 1, "e", e.time_ns, e.type, "exchanges/X", "daemon", e.message, details(e.gap))
        for n, e in enumerate(events)
    ]


def test_a_gap_is_told_once_when_it_opens_and_once_when_it_closes() -> None:
    """Steps in between change the object and tell nothing."""
    ledger = GapLedger()
    assert told(ledger.observe("X", ONE, [gap(1, "DETECTED")], NOW)) == [("gap.opened", 1)]
    assert ledger.observe("X", ONE, [gap(1, "REQUESTED")], NOW) == []
    assert ledger.observe("X", ONE, [gap(1, "PARTIAL")], NOW) == []
    assert ledger.gaps("X")[0].stage == "PARTIAL"
    assert told(ledger.observe("X", ONE, [gap(1, "FILLED")], NOW)) == [("gap.filled", 1)]
    assert ledger.observe("X", ONE, [gap(1, "FILLED")], NOW) == []
    assert ledger.open_gaps("X") == []


def test_a_gap_that_was_closed_between_two_looks_is_told_whole() -> None:
    """A fast recovery leaves both events, at the times when they happened."""
    opened, filled = GapLedger().observe("X", ONE, [gap(1, "FILLED")], NOW + 9 * SECOND)
    assert (opened.type, filled.type) == ("gap.opened", "gap.filled")
    assert filled.time_ns - opened.time_ns == SECOND
    assert "10 messages 100..109" in opened.message
    assert "A, retransmit" in filled.message


def test_a_lost_gap_tells_its_reason() -> None:
    """What could not be recovered is an explicit range with a reason."""
    events = GapLedger().observe("X", ONE, [gap(4, "UNRECOVERABLE")], NOW)
    assert told(events) == [("gap.opened", 4), ("gap.unrecoverable", 4)]
    assert "attempts_exhausted" in events[1].message


def test_events_of_one_look_are_in_order_of_time() -> None:
    """Several gaps in one look do not tell the second before the first."""
    events = GapLedger().observe("X", ONE, [gap(2), gap(1, "FILLED"), gap(3)], NOW)
    times = [event.time_ns for event in events]
    assert times == sorted(times)


def test_gaps_of_an_ended_worker_stay_and_are_no_longer_open() -> None:
    """The next incarnation asks anew; the old object says so and keeps its range."""
    ledger = GapLedger()
    ledger.observe("X", ONE, [gap(1, "FILLED"), gap(2)], NOW)
    events = ledger.observe("X", TWO, [gap(1, incarnation=TWO, at=SECOND)], NOW + SECOND)
    assert ("gap.superseded", 2) in told(events)
    assert [(g.incarnation, g.id) for g in ledger.open_gaps("X")] == [(TWO, 1)]
    old = next(g for g in ledger.gaps("X") if g.incarnation == ONE and g.id == 2)
    assert old.closed_ns == NOW + SECOND
    assert "next one asks anew" in old.reason
    assert len(ledger.gaps("X")) == 3


def test_an_overwritten_row_is_told_as_such() -> None:
    """A gap whose slot was taken by a later one is no longer followed."""
    ledger = GapLedger()
    ledger.observe("X", ONE, [gap(1)], NOW)
    events = ledger.observe("X", ONE, [gap(257)], NOW)
    assert ("gap.superseded", 1) in told(events)


def test_a_row_that_was_being_written_is_not_lost() -> None:
    """A row missing from one look, with nothing in its slot, is still the same open gap."""
    ledger = GapLedger()
    ledger.observe("X", ONE, [gap(1), gap(2)], NOW)
    assert ledger.observe("X", ONE, [gap(2)], NOW) == []
    assert told(ledger.observe("X", ONE, [gap(1, "FILLED"), gap(2)], NOW)) == [("gap.filled", 1)]


def test_order_is_open_ones_first_then_the_newest() -> None:
    """The oldest open gap leads; of the closed ones the newest."""
    ledger = GapLedger()
    table = [gap(1, "FILLED"), gap(2), gap(3), gap(4, "FILLED")]
    ledger.observe("X", ONE, table, NOW)
    assert [g.id for g in ledger.gaps("X")] == [2, 3, 4, 1]


def test_a_daemon_that_starts_again_repeats_nothing_and_misses_nothing() -> None:
    """From its own log it knows what was told; what happened meanwhile is told now."""
    before = GapLedger()
    log = before.observe("X", ONE, [gap(1, "FILLED"), gap(2), gap(3)], NOW)
    after = GapLedger()
    after.restore(as_events(log))
    table = [gap(1, "FILLED"), gap(2, "FILLED"), gap(3), gap(4)]
    assert told(after.observe("X", ONE, table, NOW)) == [("gap.opened", 4), ("gap.filled", 2)]


def test_gaps_older_than_the_log_in_hand_are_not_told_again() -> None:
    """Events that fell out of memory were told before it begins."""
    ledger = GapLedger()
    later = Event(500, "e", NOW + 60 * SECOND, "worker.state", "workers/X-rx", "daemon", "x")
    ledger.restore([later])
    assert ledger.observe("X", ONE, [gap(1, "FILLED")], NOW) == []
    assert [g.id for g in ledger.gaps("X")] == [1]


def test_events_of_another_version_are_passed_over() -> None:
    """A gap event without the known details does not stop the daemon."""
    ledger = GapLedger()
    ledger.restore([Event(1, "e", NOW, "gap.opened", "exchanges/X", "daemon", "x", {"id": "?"})])
    assert ledger.gaps("X") == []


def noted(seq: int, entry: Gap, text: str) -> Event:
    told = {**details(entry), "note": text}
    return Event(seq, "e", NOW + seq, ANNOTATED, "exchanges/X", "uid:7", "x", told)


def test_the_whole_gap_survives_a_restart_of_the_daemon() -> None:
    """Every field of the ledger comes back from the event that told it."""
    whole = replace(
        gap(1, "FILLED"),
        **{"channel": 3, "lines_missed": ("A", "B"), "lost_on": "all", "waited_ns": 4},
        **{"requested_last_ns": 5, "partial_ns": 6, "snapshot_ns": 7, "stale_answers": 8},
        parts=(GapPart("A", 4), GapPart("other lines", 1), GapPart("retransmit", 5)),
        fault="truncated",
        noted=True,
    )
    ledger = GapLedger()
    events = ledger.observe("X", ONE, [whole], NOW)
    assert "a source lied: truncated" in events[-1].message
    after = GapLedger()
    after.restore(as_events(events))
    assert after.gaps("X") == [whole]


def test_notes_stay_with_their_gap() -> None:
    """Through later states of the row, and through a restart of the daemon, in order."""
    ledger = GapLedger()
    ledger.observe("X", ONE, [gap(1)], NOW)
    ledger.annotate(gap(1), GapNote(NOW, "uid:7", "venue called"))
    ledger.observe("X", ONE, [gap(1, "FILLED")], NOW)
    (kept,) = ledger.gaps("X")
    assert (kept.stage, [note.text for note in kept.notes], kept.noted) == (
        *("FILLED", ["venue called"]),
        False,  # as the row says: the worker decides
    )
    opened = as_events(GapLedger().observe("X", ONE, [gap(1)], NOW))
    log = [*opened, noted(2, gap(1), "one"), noted(3, gap(1), "two")]
    after = GapLedger()
    after.restore(log)
    after.observe("X", ONE, [gap(1, "FILLED")], NOW)
    (again,) = after.gaps("X")
    assert [(note.actor, note.text) for note in again.notes] == [("uid:7", "one"), ("uid:7", "two")]


def test_a_note_is_no_news_of_the_gap_itself() -> None:
    """What the note's event says of the gap is older than what is known already."""
    filled = as_events(GapLedger().observe("X", ONE, [gap(1, "FILLED")], NOW))
    ledger = GapLedger()
    ledger.restore([*filled, noted(3, gap(1, "REQUESTED"), "late")])
    assert [(g.stage, len(g.notes)) for g in ledger.gaps("X")] == [("FILLED", 1)]


def test_notes_of_a_gap_are_bounded() -> None:
    """The newest are kept."""
    ledger = GapLedger()
    ledger.observe("X", ONE, [gap(1)], NOW)
    for number in range(40):
        ledger.annotate(gap(1), GapNote(NOW, "uid:7", str(number)))
    notes = ledger.gaps("X")[0].notes
    assert (len(notes), notes[-1].text) == (32, "39")


def test_trend_counts_detections_by_span() -> None:
    """The last of eight spans of 7.5 s is now; older gaps fall out of the picture."""
    ledger = GapLedger()
    table = [gap(1, at=-SECOND), gap(2, at=-2 * SECOND), gap(3, at=-59 * SECOND)]
    ledger.observe("X", ONE, [*table, gap(4, at=-61 * SECOND)], NOW)
    assert ledger.trend("X", NOW) == (1, 0, 0, 0, 0, 0, 0, 2)


def test_a_deleted_exchange_is_forgotten() -> None:
    """Nothing of it stays, so that a new one of that name begins empty."""
    ledger = GapLedger()
    ledger.observe("X", ONE, [gap(1)], NOW)
    ledger.forget("X")
    assert ledger.gaps("X") == []
    assert sum(ledger.trend("X", NOW)) == 0


STAGES = ["DETECTED", "WAITING", "REQUESTED", "PARTIAL", "FILLED", "UNRECOVERABLE"]


@given(
    lives=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), min_size=1, max_size=6),
    restart=st.integers(0, 8),
)
def test_each_gap_opens_once_and_closes_at_most_once(lives: list[list[int]], restart: int) -> None:
    """Whatever is seen of the table, and wherever the daemon restarts, no event is doubled."""
    paths = [sorted(life) for life in lives]
    ledger, events = GapLedger(), list[GapEvent]()
    for step, row in enumerate(itertools.zip_longest(*paths)):
        if step == restart:
            ledger = GapLedger()
            ledger.restore(as_events(events))
        table = [
            gap(n + 1, STAGES[path[min(step, len(path) - 1)] if at is None else at])
            for n, (at, path) in enumerate(zip(row, paths, strict=True))
        ]
        # Closed is closed: a table never moves a gap back.
        events += ledger.observe("X", ONE, table, NOW)
    names = [(event.type == "gap.opened", event.gap.id) for event in events]
    assert len(names) == len(set(names))
    assert {identity for opened, identity in names if opened} == set(range(1, len(lives) + 1))
