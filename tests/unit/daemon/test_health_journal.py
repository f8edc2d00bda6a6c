"""Journal and exporter: each alarm is raised by its facts and cleared without them."""

# ruff: noqa: ANN401 - any field may be changed

from dataclasses import replace
from typing import Any

import pytest

from healthy_facts import NOW, SECOND, facts, worker
from tickdeck_daemon.observe.alarms import Looks, alarms
from tickdeck_daemon.observe.facts import JOURNAL_STATES, ExchangeFacts, ExportFacts, JournalFacts
from tickdeck_daemon.observe.health import HealthTracker, State, findings
from tickdeck_daemon.plant import runbook_names
from tickdeck_daemon.services import convert_journal

DAY = 86_400
GIB = 1 << 30


def journal(**changes: Any) -> ExchangeFacts:
    """A healthy exchange but for these facts of its journal."""
    base = JournalFacts(directory="/j", segment_size_bytes=64 << 20, disk_free_bytes=100 * GIB)
    return facts(journal=replace(base, **changes))


def export(process: dict[str, Any] | None = None, **changes: Any) -> ExchangeFacts:
    """A healthy exchange with an exporter but for these facts of it."""
    base = ExportFacts(active=2, lag_soft_bytes=8 << 20, cert_expires_s=90 * DAY)
    return facts(
        export_wanted=True,
        exporter=worker("export", **(process or {})),
        export=replace(base, **changes),
    )


CASES = [
    (journal(state="SLOW"), "journal.state", State.DEGRADED),
    (journal(state="HUNG"), "journal.state", State.DOWN),
    (journal(state="REOPENING"), "journal.state", State.DEGRADED),
    (journal(state="FULL"), "journal.state", State.DOWN),
    (journal(state="READONLY"), "journal.state", State.DOWN),
    (journal(state="DEGRADED"), "journal.state", State.DEGRADED),
    (journal(state="LOST_FILES"), "journal.state", State.DOWN),
    (journal(state="LOCKED"), "journal.state", State.DOWN),
    (journal(state="FAILED"), "journal.state", State.DOWN),
    (journal(state="CODE_77"), "journal.state", State.DEGRADED),
    (journal(syncs_10s=9, sync_p99_ns=60_000_000), "journal.sync", State.DEGRADED),
    (journal(syncs_10s=9, sync_p99_ns=2 * SECOND), "journal.sync", State.DOWN),
    (journal(acked_loss=3, acked_loss_new=3), "journal.acked_loss", State.DOWN),
    (journal(holes=2, holes_new=1, hole_records=9), "journal.holes", State.DEGRADED),
    (journal(holes=0, holes_new=2), "journal.holes", State.DEGRADED),
    (journal(look_errors=7, look_errors_10s=2), "journal.look", State.DEGRADED),
    (journal(retention_failed=True), "journal.retention", State.DEGRADED),
    (journal(recovery_problems=1), "journal.recovery", State.DEGRADED),
    (journal(quarantined_segments=1), "journal.quarantine", State.DEGRADED),
    (journal(pins_lost=1), "journal.pins", State.DEGRADED),
    (journal(disk_free_bytes=100 << 20), "journal.disk", State.DOWN),
    (journal(disk_free_bytes=9 * GIB, disk_used_ratio=0.9), "journal.disk", State.DEGRADED),
    (journal(disk_free_bytes=9 * GIB, bytes_per_second=3e6), "journal.disk", State.DEGRADED),
    (export({"state": "BACKOFF", "ready": False}), "process.export", State.DEGRADED),
    (export({"state": "PENDING", "ready": False}), "process.export.start", State.DEGRADED),
    (export({"heartbeat_age_ns": 4 * SECOND}), "stats.export", State.DEGRADED),
    (export(queued_bytes=9 << 20, lag_records=70), "export.lag", State.DEGRADED),
    (export(dropped=9, dropped_10s=4), "export.dropped", State.DEGRADED),
    (export(look_failures=9, look_failures_10s=4), "export.look", State.DEGRADED),
    (export(pin_failures=9, pin_failures_10s=4), "export.pins", State.DEGRADED),
    (export(pin_lag_ms=5_001), "export.pins_late", State.DEGRADED),
    (export(sight_age_ms=5_001), "export.look_late", State.DEGRADED),
    (export(cert_expires_s=6 * DAY), "export.certificate", State.DEGRADED),
    (export(cert_expires_s=0), "export.certificate", State.DEGRADED),
]


@pytest.mark.parametrize(("seen", "key", "state"), CASES, ids=lambda value: str(value)[:24])
def test_raised_and_cleared(seen: ExchangeFacts, key: str, state: State) -> None:
    """One finding with evidence and a runbook that exists; gone 5 s after its cause is."""
    tracker = HealthTracker()
    health = tracker.update(replace(seen, now_ns=NOW - 5 * SECOND))
    assert [(cause.key, cause.state) for cause in health.causes] == [(key, state)]
    (cause,) = health.causes
    assert "normal" in cause.evidence
    assert cause.runbook in runbook_names() or not cause.hold
    well = export() if seen.export_wanted else journal()
    assert tracker.update(well).state is State.OK


def test_every_state_of_the_journal_has_a_verdict() -> None:
    """OK is none; each other one is raised above."""
    seen = [one.journal for one, key, _ in CASES if key == "journal.state"]
    raised = {journal.state for journal in seen if journal}
    assert raised - {"CODE_77"} == set(JOURNAL_STATES) - {"OK"}
    assert findings(journal()) == []
    assert findings(export()) == []


LOST = {
    "journal.acked_loss": {"acked_loss_new": 3},
    "journal.holes": {"holes_new": 1},
    "journal.recovery": {"recovery_problems": 2},
    "journal.quarantine": {"quarantined_segments": 1},
    "journal.pins": {"pins_lost": 1},
}


@pytest.mark.parametrize("key", LOST)
def test_what_was_lost_is_told_while_nobody_writes(key: str) -> None:
    """An rx that is down, perhaps for just that; how the journal stands is not known then."""
    seen = journal(state="HUNG", look_errors_10s=2, **LOST[key])
    down = worker("rx", state="FAILED_PERMANENT", ready=False)
    assert [cause.key for cause in findings(replace(seen, rx=down))] == ["process.rx", key]
    stale = worker("rx", heartbeat_age_ns=60 * SECOND)
    assert {cause.key for cause in findings(replace(seen, rx=stale))} == {"stats.rx", key}
    assert [cause.key for cause in findings(replace(seen, wanted=False))] == ["stopped"]


def test_an_exporter_that_is_not_wanted_is_not_judged() -> None:
    """Neither its process nor its numbers."""
    seen = replace(export(queued_bytes=9 << 20), export_wanted=False, exporter=None)
    assert findings(seen) == []


def test_old_numbers_of_an_exporter_are_not_judged() -> None:
    """A process that does not beat is told; what its file says is not."""
    seen = export({"heartbeat_age_ns": 4 * SECOND}, queued_bytes=9 << 20)
    assert [cause.key for cause in findings(seen)] == ["stats.export"]


@pytest.mark.parametrize(
    ("bad", "raised", "cleared"),
    [
        (journal(state="FULL"), "journal.state", "journal.ok"),
        (journal(acked_loss=1, acked_loss_new=1), "journal.acked_loss", None),
        (journal(holes=1, holes_new=1), "journal.hole", None),
        (journal(look_errors=1), "journal.look_failed", None),
        (journal(retention_failed=True), "journal.retention_failed", "journal.retention_works"),
        (export(look_failures=1), "export.look_failed", None),
        (export(pin_failures=1), "export.pin_failed", None),
        (journal(recovery_problems=2), "journal.recovery_report", "journal.recovery_acknowledged"),
        (journal(pins_lost=1), "journal.pins_lost", "journal.pins_kept"),
        (journal(quarantined_segments=1), "journal.quarantined", "journal.quarantine_empty"),
        (export(queued_bytes=9 << 20), "export.lagging", "export.caught_up"),
        (export(dropped=5), "export.dropped", None),
        (export(violations=1), "export.violation", None),
        (export(rejected=1), "export.violation", None),
        (export(cert_expires_s=DAY), "export.certificate", "export.certificate_renewed"),
    ],
)
def test_events(bad: ExchangeFacts, raised: str, cleared: str | None) -> None:
    """Told once when it comes, also at the first look, and once when it goes."""
    well = export() if bad.export_wanted else journal()
    assert [alarm.type for alarm in alarms(well, bad)] == [raised]
    assert [alarm.type for alarm in alarms(None, bad)] == [raised]
    assert list(alarms(bad, bad)) == []
    assert [alarm.type for alarm in alarms(bad, well)] == ([cleared] if cleared else [])
    assert list(alarms(None, well)) == []


def test_a_certificate_is_told_at_each_mark() -> None:
    """30, 7 and 1 days before its end and at its end; never twice."""
    looks = Looks()
    told = [
        (days, alarm.type)
        for days in (40, 30, 29, 8, 7, 2, 1, 0, 0, 90)
        for alarm in looks.take(export(cert_expires_s=days * DAY))
    ]
    marks = [(days, "export.certificate") for days in (30, 7, 1, 0)]
    assert told == [*marks, (90, "export.certificate_renewed")]


def test_what_grows_fast_is_told_once_a_minute() -> None:
    """With all that came meanwhile."""
    looks = Looks()
    told = [
        alarm.details["new"]
        for second in range(0, 62)
        for alarm in looks.take(replace(journal(holes=second), now_ns=NOW + second * SECOND))
    ]
    assert told == ["1", "60"]


def test_the_disk_is_not_foreseen_full_where_the_journal_prunes_itself() -> None:
    """Growth up to `retain_max_bytes` that has room is no forecast."""
    rate = {"disk_free_bytes": 9 * GIB, "bytes_per_second": 3e6, "bytes": 4 * GIB}
    assert journal(**rate).journal.disk_full_in_s == 3221  # type: ignore[union-attr]
    assert findings(journal(**rate, retain_max_bytes=8 * GIB)) == []
    kept = journal(**rate, retain_max_bytes=20 * GIB)
    assert [cause.key for cause in findings(kept)] == ["journal.disk"]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("os", "unbounded: everything since the last seal"),
        ("interval", "the last 50 ms + one sync"),
        ("batch", "nothing acknowledged; else the last 50 ms + one sync"),
        ("always", "nothing acknowledged; else one block"),
        ("new", "unknown"),
    ],
)
def test_worst_loss_of_each_policy(policy: str, words: str) -> None:
    """What a power cut may take is told with the policy."""
    assert JournalFacts(sync_policy=policy, fsync_interval_ms=50).worst_loss == words


@pytest.mark.parametrize(
    ("process", "is_told"),
    [
        ({}, True),
        ({"state": "BACKOFF", "ready": False}, False),
        ({"heartbeat_age_ns": 60 * SECOND}, False),
        ({"heartbeat_age_ns": None}, False),
    ],
    ids=["fresh", "dead", "frozen", "without statistics"],
)
def test_ages_of_an_exporter_that_tells_no_more_are_not_told(
    process: dict[str, Any], *, is_told: bool
) -> None:
    """They are its last words; the rest of them stays."""
    message = convert_journal.export(export(process, sight_age_ms=210, pin_lag_ms=3))
    assert message is not None
    assert message.active_subscribers == 2
    ages = (message.sight_age_ms, message.pin_lag_ms)
    assert (message.HasField("sight_age_ms"), message.HasField("pin_lag_ms")) == (is_told, is_told)
    assert ages == ((210, 3) if is_told else (0, 0))
