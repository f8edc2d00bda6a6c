"""The line race and the sources of the recovery: what lasts is a finding, a change an event."""

from dataclasses import replace

import pytest

from healthy_facts import NOW, SECOND, facts, gap, line, source
from tickdeck_daemon.observe.alarms import TELL_AGAIN_NS, Looks, alarms
from tickdeck_daemon.observe.facts import SESSION_ENDED, ExchangeFacts, SourceFacts
from tickdeck_daemon.observe.health import State, findings, recovery


def judged(given: ExchangeFacts) -> list[tuple[str, State]]:
    return [(finding.key, finding.state) for finding in findings(given)]


def alone(since_s: float, name: str = "A") -> ExchangeFacts:
    lines = tuple(
        line(one, alone_since_ns=NOW - int(since_s * SECOND) if one == name else 0) for one in "AB"
    )
    return facts(lines=lines)


def test_lines_that_disagree_degrade_the_exchange() -> None:
    """Same number, other bytes: one of the lines lies, and nobody can tell which."""
    (found,) = findings(facts(conflicts=3, conflicts_10s=1))
    assert (found.key, found.state) == ("arbiter.conflict", State.DEGRADED)
    assert "3 in all, 1 in 10 s (normal 0)" in found.evidence


def test_a_line_that_carries_alone_for_long_degrades_the_exchange() -> None:
    """Not at once: the other one may be late."""
    assert judged(alone(4)) == []
    (found,) = findings(alone(12))
    assert (found.key, found.summary) == ("line.alone.A", "line A carries alone")
    assert "for 12.0 s (normal < 5.0 s)" in found.evidence


def test_a_silent_line_says_that_the_other_carries_alone() -> None:
    """One finding, not two; and none at the end of a session."""
    lines = (line("A", alone_since_ns=NOW - 9 * SECOND), line("B", last_packet_ns=NOW - 9 * SECOND))
    (found,) = findings(facts(lines=lines))
    assert found.key == "line.silent.B"
    assert "line A alone for 9.0 s" in found.evidence
    ended = replace(alone(12), session_state=SESSION_ENDED)
    assert judged(ended) == [("session.ended", State.CLOSED)]


@pytest.mark.parametrize(
    ("one", "key"),
    [
        (source(), ""),
        (source("in_use"), ""),
        (source("failed"), "recovery.source.request"),
        (source(age_ns=29 * SECOND), ""),
        (source(age_ns=31 * SECOND), "recovery.source.request"),
        (source("unknown", probed_ns=0), "recovery.source.request"),
        (source("unknown", probed_ns=0, probe_interval_ns=0), ""),
        (source("unknown", probed_ns=0, told=False), ""),
    ],
)
def test_a_source_that_would_not_answer_degrades_the_exchange(one: SourceFacts, key: str) -> None:
    """Failed, or not probed for three intervals; who wants no probes has no alarm for it."""
    assert judged(facts(sources=(one,))) == ([(key, State.DEGRADED)] if key else [])


def test_a_storm_is_a_finding_beside_its_gaps() -> None:
    """Gaps in time only recover; that there are so many is worse."""
    given = facts(storm=True, storm_gaps=64, gaps=(gap(SECOND // 10, "SNAPSHOT"),))
    assert [key for key, _ in judged(given)] == ["recovery.storm", "gap.open"]
    assert recovery(given) == "SNAPSHOT"


def told(before: ExchangeFacts | None, now: ExchangeFacts) -> list[str]:
    return [alarm.type for alarm in alarms(before, now)]


def test_conflicts_are_told_as_they_grow() -> None:
    """Once for each growth, with how many; nothing while nothing grows."""
    (alarm,) = alarms(facts(conflicts=2), facts(conflicts=5))
    assert (alarm.type, alarm.details) == ("arbiter.conflict", {"new": "3", "total": "5"})
    assert told(facts(conflicts=5), facts(conflicts=5)) == []
    assert told(None, facts(conflicts=5)) == ["arbiter.conflict"]
    assert told(None, facts()) == []


def test_loneliness_is_told_when_it_lasts_and_when_it_ends() -> None:
    """With the line and since when."""
    assert told(alone(1), alone(4)) == []
    (alarm,) = alarms(alone(4), alone(6))
    assert (alarm.type, alarm.details["line"]) == ("line.alone", "A")
    assert told(alone(6), alone(7)) == []
    assert told(alone(7), facts()) == ["line.accompanied"]
    assert told(alone(4), facts()) == []


def test_a_source_is_told_when_it_fails_and_when_it_answers_again() -> None:
    """A first look tells only what is wrong."""
    good, bad = facts(sources=(source(),)), facts(sources=(source("failed"),))
    assert told(None, good) == []
    assert told(None, bad) == ["recovery.source_failed"]
    assert told(good, bad) == ["recovery.source_failed"]
    assert told(bad, bad) == []
    assert told(bad, good) == ["recovery.source_ready"]


def test_storms_and_lies_are_told() -> None:
    """Begin and end; each fault with its growth."""
    storm = facts(storm=True)
    assert told(facts(), storm) == ["recovery.storm_began"]
    assert told(storm, storm) == []
    assert told(storm, facts()) == ["recovery.storm_ended"]
    before, now = facts(lies=(("garbage", 1),)), facts(lies=(("garbage", 3), ("stale", 1)))
    assert [alarm.details for alarm in alarms(before, now)] == [
        {"fault": "garbage", "new": "2"},
        {"fault": "stale", "new": "1"},
    ]


def test_growth_is_told_at_once_and_then_once_a_minute() -> None:
    """A server that stays silent does not fill the event log; nothing is left out of the count."""
    looks = Looks()

    def counts(after_ns: int, lies: int) -> list[str]:
        given = facts(lies=(("silent", lies),) if lies else (), now_ns=NOW + after_ns)
        return [alarm.details["new"] for alarm in looks.take(given)]

    assert counts(0, 0) == []
    assert counts(SECOND, 1) == ["1"]
    assert [counts(second * SECOND, second) for second in range(2, 60)] == [[]] * 58
    assert counts(SECOND + TELL_AGAIN_NS, 60) == ["59"]
    assert counts(2 * SECOND + TELL_AGAIN_NS, 61) == []


def test_each_cause_sends_to_its_own_runbook() -> None:
    """What is to be done about it differs."""
    given = facts(
        conflicts=1, storm=True, storm_gaps=64, sources=(source("failed"), source(age_ns=10**11))
    )
    assert {found.runbook.removesuffix(".runbook.md") for found in findings(given)} == {
        "FeedLinesDisagree",
        "FeedRecoveryStorm",
        "FeedRecoverySourceFailed",
    }
