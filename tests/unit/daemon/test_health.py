"""Health is judged from facts alone: silence, gaps, loss, journal, book, processes."""

# ruff: noqa: ANN401 - any field may be changed

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthy_facts import MS, NOW, SECOND, facts, gap, line, worker
from tickdeck_daemon.observe.facts import (
    SESSION_ENDED,
    SESSION_NONE,
    SESSION_OPEN,
    BookFacts,
    ExchangeFacts,
    JournalFacts,
)
from tickdeck_daemon.observe.health import (
    SEVERITY,
    Data,
    HealthTracker,
    State,
    Transport,
    data,
    findings,
    recovery,
    silent_lines,
    transport,
)


def judged(given_facts: ExchangeFacts) -> tuple[State, str]:
    """State, and the key of the cause line."""
    found = findings(given_facts)
    return (found[0].state, found[0].key) if found else (State.OK, "")


def test_a_healthy_exchange_has_no_finding() -> None:
    """With fresh traffic on both lines and a good book there is nothing to say."""
    assert findings(facts()) == []
    assert transport(facts()) is Transport.UP
    assert data(facts()) is Data.OK
    assert recovery(facts()) == "-"


SUSPECT = BookFacts(trust="SUSPECT", books=3, suspect_books=1)
CASES: list[tuple[str, dict[str, Any], State, str]] = [
    ("stopped by order", {"wanted": False, "rx": None}, State.CLOSED, "stopped"),
    ("no worker yet", {"rx": None}, State.STALE, "process.rx.start"),
    ("rx starting", {"rx": worker("rx", state="STARTING")}, State.STALE, "process.rx.start"),
    (
        "rx in backoff",
        {"rx": worker("rx", state="BACKOFF", ready=False)},
        State.DOWN,
        "process.rx",
    ),
    (
        "rx of another user",
        {"rx": worker("rx", state="FOREIGN", ready=False)},
        State.DOWN,
        "process.rx",
    ),
    ("rx impaired", {"rx": worker("rx", state="DEGRADED")}, State.DEGRADED, "process.rx"),
    (
        "rx crashes but is up",
        {"rx": worker("rx", state="CRASH_LOOP")},
        State.DEGRADED,
        "process.rx",
    ),
    (
        "book starts",
        {"book_worker": worker("book", state="STARTING")},
        State.RECOVERING,
        "process.book.start",
    ),
    (
        "book failed",
        {"book_worker": worker("book", state="FAILED_PERMANENT", ready=False)},
        State.DOWN,
        "process.book",
    ),
    ("old heartbeat", {"rx": worker("rx", heartbeat_age_ns=4 * SECOND)}, State.STALE, "stats.rx"),
    (
        "no stats file",
        {"rx": worker("rx", heartbeat_age_ns=None, stats_error="gone")},
        State.STALE,
        "stats.rx",
    ),
    (
        "never a packet",
        {
            "lines": (line("A", last_packet_ns=0), line("B", last_packet_ns=0)),
            "rx": worker("rx", started_ns=NOW - SECOND),
            "last_delivery_ns": 0,
        },
        State.STALE,
        "feed.waiting",
    ),
    (
        "both lines silent",
        {
            "lines": tuple(line(n, last_packet_ns=NOW - 4 * SECOND) for n in "AB"),
            "last_delivery_ns": NOW - 4 * SECOND,
        },
        State.STALE,
        "feed.silent",
    ),
    (
        "one line silent",
        {"lines": (line("A"), line("B", last_packet_ns=NOW - 4 * SECOND))},
        State.DEGRADED,
        "line.silent.B",
    ),
    (
        "one line silent, the other losing",
        {"lines": (line("A", lost_10s=1), line("B", last_packet_ns=NOW - 4 * SECOND))},
        State.DOWN,
        "line.silent.B",
    ),
    ("feed late", {"last_delivery_ns": NOW - 2 * SECOND}, State.DEGRADED, "feed.late"),
    ("loss", {"lines": (line("A", lost_10s=50), line("B"))}, State.DEGRADED, "line.loss.A"),
    (
        "a few kernel drops",
        {"lines": (line("A", drops_10s=1), line("B"))},
        State.DEGRADED,
        "line.drops.A",
    ),
    (
        "many kernel drops",
        {"lines": (line("A", drops_10s=900, drops_per_second=150.0), line("B"))},
        State.DOWN,
        "line.drops.A",
    ),
    ("young gap", {"gaps": (gap(100 * MS),)}, State.RECOVERING, "gap.open"),
    ("old gap", {"gaps": (gap(600 * MS),)}, State.DOWN, "gap.open"),
    (
        "drops with a gap open",
        {"gaps": (gap(100 * MS),), "lines": (line("A", drops_10s=1), line("B"))},
        State.DOWN,
        "line.drops.A",
    ),
    (
        "lost for good, book suspect",
        {"messages_lost": 5, "gaps_unrecovered": 1, "book": SUSPECT},
        State.DOWN,
        "gap.lost",
    ),
    (
        "lost for good, no books",
        {"messages_lost": 5, "book_wanted": False, "book": None, "book_worker": None},
        State.DEGRADED,
        "gap.lost",
    ),
    (
        "suspect while its gap is young",
        {"gaps": (gap(100 * MS),), "book": SUSPECT},
        State.RECOVERING,
        "gap.open",
    ),
    ("suspect without a reason", {"book": SUSPECT}, State.DOWN, "book.suspect"),
    (
        "suspect just after its gap was closed",
        {"book": SUSPECT, "gap_closed_ns": NOW - SECOND},
        State.RECOVERING,
        "book.suspect",
    ),
    (
        "book rebuilds",
        {"book": BookFacts(trust="REBUILDING", lag_records=990)},
        State.RECOVERING,
        "book.rebuilding",
    ),
    ("book lags", {"book": BookFacts(lag_records=750)}, State.DEGRADED, "book.lag"),
    ("book nearly lapped", {"book": BookFacts(lag_records=950)}, State.DOWN, "book.lag"),
    (
        "book differs from a checkpoint",
        {"book": BookFacts(trust="SUSPECT", suspect_books=1, checkpoint_mismatches=1)},
        State.DOWN,
        "book.checkpoint",
    ),
    (
        "book breaks a rule",
        {"book": BookFacts(trust="SUSPECT", suspect_books=1, integrity_errors=2)},
        State.DOWN,
        "book.integrity",
    ),
    ("book saw a hole", {"book": BookFacts(sequence_errors=1)}, State.DOWN, "book.sequence"),
    ("journal slow", {"journal": JournalFacts("SLOW")}, State.DEGRADED, "journal.state"),
    ("journal full", {"journal": JournalFacts("FULL")}, State.DOWN, "journal.state"),
    ("journal unknown", {"journal": JournalFacts("CODE_77")}, State.DEGRADED, "journal.state"),
    (
        "sync slow",
        {"journal": JournalFacts(sync_p99_ns=80 * MS, syncs_10s=9)},
        State.DEGRADED,
        "journal.sync",
    ),
    (
        "disk nearly full",
        {"journal": JournalFacts(disk_free_bytes=1 << 30, disk_used_ratio=0.95)},
        State.DEGRADED,
        "journal.disk",
    ),
    ("session ended", {"session_state": SESSION_ENDED}, State.CLOSED, "session.ended"),
    (
        "silence after the end of the session",
        {
            "session_state": SESSION_ENDED,
            "lines": tuple(line(n, last_packet_ns=NOW - 60 * SECOND) for n in "AB"),
            "last_delivery_ns": NOW - 60 * SECOND,
        },
        State.CLOSED,
        "session.ended",
    ),
    (
        "a gap stays open at the end of the session",
        {"session_state": SESSION_ENDED, "gaps": (gap(2 * SECOND),)},
        State.DOWN,
        "gap.open",
    ),
]


@pytest.mark.parametrize(
    ("changes", "state", "key"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_fault_gives_its_state_and_its_cause_line(
    changes: dict[str, Any], state: State, key: str
) -> None:
    """One fault in an otherwise healthy exchange decides state and first cause."""
    assert judged(facts(**changes)) == (state, key)


def test_causes_are_ranked_root_first_within_the_worst_state() -> None:
    """Kernel drops stand before the gap that follows from them, and that before line loss."""
    bad = facts(
        gaps=(gap(2 * SECOND),),
        lines=(line("A", drops_10s=9, lost_10s=100), line("B", lost_10s=100)),
        book=SUSPECT,
    )
    keys = [finding.key for finding in findings(bad)]
    assert keys[:3] == ["line.drops.A", "gap.open", "book.suspect"]
    assert keys.index("line.loss.A") > keys.index("gap.open")


def test_old_numbers_are_not_judged() -> None:
    """With a dead heartbeat the feed's numbers say nothing, so only that is told."""
    frozen = facts(rx=worker("rx", heartbeat_age_ns=10 * SECOND), gaps=(gap(9 * SECOND),))
    assert [finding.key for finding in findings(frozen)] == ["stats.rx"]
    assert data(frozen) is Data.STALE
    assert transport(frozen) is Transport.DOWN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gaps": (gap(MS, "DETECTED"),)}, "WAIT"),
        ({"gaps": (gap(MS, "WAITING"),)}, "WAIT"),
        ({"gaps": (gap(MS, "REQUESTED", attempts=3),)}, "REQ 3"),
        ({"gaps": (gap(MS, "PARTIAL", missing=29),)}, "FILL 71%"),
        ({"messages_lost": 4, "book": SUSPECT}, "UNRECOV"),
        ({"lines": (line("A"), line("B", last_packet_ns=NOW - 9 * SECOND))}, "A-ONLY"),
        ({"lines": (line("A", last_packet_ns=NOW - 9 * SECOND), line("B"))}, "B-ONLY"),
        ({}, "-"),
    ],
)
def test_recovery_cell_tells_what_recovery_does(changes: dict[str, Any], expected: str) -> None:
    """The cell follows the oldest open gap, else the line that carries alone."""
    assert recovery(facts(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gaps": (gap(MS),)}, Data.SUSPECT),
        ({"messages_lost": 1}, Data.SUSPECT),
        ({"book": SUSPECT}, Data.SUSPECT),
        ({"last_delivery_ns": NOW - 4 * SECOND}, Data.STALE),
        ({"last_delivery_ns": 0}, Data.STALE),
        ({"last_delivery_ns": NOW - 4 * SECOND, "session_state": SESSION_ENDED}, Data.OK),
    ],
)
def test_data_is_an_axis_of_its_own(changes: dict[str, Any], expected: Data) -> None:
    """Whether data can be trusted follows from data, whatever the process does."""
    assert data(facts(**changes)) is expected


AGES = st.integers(min_value=0, max_value=20 * SECOND)


@given(
    a=st.one_of(st.none(), AGES),
    b=st.one_of(st.none(), AGES),
    delivery=st.one_of(st.none(), AGES),
    up=AGES,
    session=st.sampled_from([SESSION_NONE, SESSION_OPEN]),
)
def test_nothing_is_healthy_because_it_is_silent(
    a: int | None, b: int | None, delivery: int | None, up: int, session: int
) -> None:
    """OK needs a packet on every line and a delivery, all within the silence limit."""

    def stamp(age: int | None) -> int:
        return 0 if age is None else NOW - age

    seen = facts(
        lines=(line("A", last_packet_ns=stamp(a)), line("B", last_packet_ns=stamp(b))),
        last_delivery_ns=stamp(delivery),
        rx=worker("rx", started_ns=NOW - up),
        session_state=session,
    )
    if findings(seen) == []:
        assert min(x for x in (a, b, up) if x is not None) <= 3 * SECOND
        assert seen.age_ns <= 1.5 * SECOND
        assert not silent_lines(seen)
        assert a is not None or b is not None


@given(
    states=st.lists(st.sampled_from(["RUNNING", "BACKOFF", "STARTING", "DEGRADED"]), max_size=30),
    step=st.integers(min_value=1, max_value=8 * SECOND),
)
def test_a_tracker_is_never_better_than_the_facts(states: list[str], step: int) -> None:
    """Whatever happened before, the state shown is at least as bad as the present facts."""
    tracker = HealthTracker()
    now = NOW
    for name in states:
        now += step
        lines = tuple(line(n, last_packet_ns=now) for n in "AB")
        seen = facts(
            now_ns=now,
            lines=lines,
            last_delivery_ns=now,
            rx=worker("rx", state=name, ready=name in ("RUNNING", "DEGRADED")),
        )
        shown = tracker.update(seen)
        state, _ = judged(seen)
        assert SEVERITY.index(shown.state) <= SEVERITY.index(state)


def tracked(tracker: HealthTracker, at_ns: int, **changes: Any) -> State:
    now = NOW + at_ns
    lines = tuple(line(n, last_packet_ns=now) for n in "AB")
    base = facts(now_ns=now, lines=lines, last_delivery_ns=now)
    return tracker.update(replace(base, **changes)).state


def test_a_state_is_raised_at_once_and_cleared_after_five_clean_seconds() -> None:
    """A short fault stays visible; the same fault again begins the wait anew."""
    tracker = HealthTracker()
    slow = JournalFacts("SLOW")
    assert tracked(tracker, 0) is State.OK
    assert tracked(tracker, 1 * SECOND, journal=slow) is State.DEGRADED
    assert tracked(tracker, 5 * SECOND) is State.DEGRADED
    assert tracked(tracker, 5 * SECOND + MS, journal=slow) is State.DEGRADED
    assert tracked(tracker, 10 * SECOND) is State.DEGRADED
    assert tracked(tracker, 10 * SECOND + 2 * MS) is State.OK


def test_since_is_when_the_state_began() -> None:
    """`since` moves with the state, not with the causes."""
    tracker = HealthTracker()
    tracked(tracker, 0)
    tracked(tracker, SECOND, journal=JournalFacts("SLOW"))
    now = NOW + 2 * SECOND
    again = tracker.update(facts(now_ns=now, journal=JournalFacts("DEGRADED")))
    assert again.since_ns == NOW + SECOND


def test_an_order_takes_effect_at_once() -> None:
    """A stop by the operator clears held findings, and a start does not bring them back."""
    tracker = HealthTracker()
    assert tracked(tracker, 0, journal=JournalFacts("FAILED")) is State.DOWN
    assert tracked(tracker, SECOND, wanted=False) is State.CLOSED
    assert tracked(tracker, SECOND + MS) is State.OK


def test_flapping_makes_clearing_slow() -> None:
    """More than four changes in a minute turn into one long alarm."""
    tracker = HealthTracker()
    at = 0
    tracked(tracker, at)
    for _ in range(3):
        at += SECOND
        tracked(tracker, at, journal=JournalFacts("SLOW"))
        at += 6 * SECOND
        tracked(tracker, at)
    assert tracked(tracker, at + SECOND, journal=JournalFacts("SLOW")) is State.DEGRADED
    assert tracked(tracker, at + 7 * SECOND) is State.DEGRADED
    assert tracked(tracker, at + 40 * SECOND) is State.OK


def test_a_clock_set_back_does_not_freeze_an_alarm() -> None:
    """A finding whose last sight lies in the future is dropped, not kept for ever."""
    tracker = HealthTracker()
    tracked(tracker, 3600 * SECOND, journal=JournalFacts("SLOW"))
    assert tracked(tracker, 0) is State.OK
