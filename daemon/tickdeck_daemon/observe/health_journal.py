"""Findings on the journal and on the exporter. Pure, as `health`."""

from collections.abc import Iterator

from tickdeck_daemon.observe.facts import ExportFacts, JournalFacts
from tickdeck_daemon.observe.finding import Finding, State, Thresholds, seconds

_STATES = {
    "SLOW": (State.DEGRADED, "WalFsyncSlow.runbook.md"),
    "HUNG": (State.DOWN, "WalFsyncSlow.runbook.md"),
    "REOPENING": (State.DEGRADED, "WalWriteFailure.runbook.md"),
    "FULL": (State.DOWN, "WalDiskFull.runbook.md"),
    "READONLY": (State.DOWN, "WalWriteFailure.runbook.md"),
    "DEGRADED": (State.DEGRADED, "WalWriteFailure.runbook.md"),
    "LOST_FILES": (State.DOWN, "WalFilesLost.runbook.md"),
    "LOCKED": (State.DOWN, "WalBacklog.runbook.md"),
    "FAILED": (State.DOWN, "WalWriteFailure.runbook.md"),
}
"""What each state of the journal but OK means, and its runbook."""


def of_journal(journal: JournalFacts | None, limits: Thresholds) -> Iterator[Finding]:
    """What the journal cannot do now, and what it did not keep."""
    if journal is None:
        return
    yield from _of_state(journal, limits)
    yield from _of_looks(journal)
    yield from of_losses(journal)
    yield from _of_disk(journal, limits)


def of_export(export: ExportFacts | None, limits: Thresholds) -> Iterator[Finding]:
    """Subscribers that are behind or were cut, and a certificate that ends."""
    if export is None:
        return
    if export.queued_bytes > export.lag_soft_bytes > 0:
        evidence = f"{_size(export.queued_bytes)} not taken yet, "
        evidence += f"{export.lag_records} records behind (normal < {_size(export.lag_soft_bytes)})"
        summary = "subscriber lags"
        yield Finding("export.lag", State.DEGRADED, 80, summary, evidence, _SLOW)
    if export.dropped_10s:
        evidence = f"{export.dropped_10s} records declared missing to subscribers in 10 s, "
        evidence += f"{export.dropped} in all (normal 0)"
        yield Finding(
            "export.dropped", State.DEGRADED, 81, "subscriber lost records", evidence, _SLOW
        )
    if export.look_failures_10s:
        evidence = f"{export.look_failures_10s} looks at the journal failed in 10 s, "
        evidence += f"{export.look_failures} in all (normal 0); subscribers wait"
        summary = "exporter cannot read the journal"
        yield Finding("export.look", State.DEGRADED, 83, summary, evidence, _LOOKS)
    if export.pin_failures_10s:
        evidence = f"{export.pin_failures_10s} places of subscribers not stored in 10 s, "
        evidence += f"{export.pin_failures} in all (normal 0)"
        summary = "exporter cannot store its subscribers' places"
        yield Finding("export.pins", State.DEGRADED, 84, summary, evidence, _LOOKS)
    if export.pin_lag_ms is not None and export.pin_lag_ms > limits.pin_lag_ms:
        evidence = f"oldest waits {seconds(export.pin_lag_ms * 1e6)} "
        evidence += f"(normal < {seconds(limits.pin_lag_ms * 1e6)}); the log is kept meanwhile"
        summary = "pins of subscribers do not become durable"
        runbook = "WalFsyncSlow.runbook.md"
        yield Finding("export.pins_late", State.DEGRADED, 85, summary, evidence, runbook)
    if export.sight_age_ms is not None and export.sight_age_ms > limits.sight_age_ms:
        evidence = f"last look {seconds(export.sight_age_ms * 1e6)} ago "
        evidence += f"(normal < {seconds(limits.sight_age_ms * 1e6)}); new subscribers wait"
        summary = "exporter's looks at the journal hang"
        yield Finding("export.look_late", State.DEGRADED, 86, summary, evidence, _LOOKS)
    left_s = export.cert_expires_s
    if left_s is not None and left_s <= limits.certificate_s:
        ends = f"in {_days(left_s)}" if left_s else "NOW"
        evidence = f"ends {ends} (normal > {_days(limits.certificate_s)})"
        summary = "exporter's certificate ends soon" if left_s else "exporter's certificate ended"
        runbook = "ExportCertificateExpiring.runbook.md"
        yield Finding("export.certificate", State.DEGRADED, 82, summary, evidence, runbook)


def _of_state(journal: JournalFacts, limits: Thresholds) -> Iterator[Finding]:
    if journal.state != "OK":
        verdict, runbook = _STATES.get(journal.state, (State.DEGRADED, "WalBacklog.runbook.md"))
        evidence = f"state {journal.state} (normal OK), {journal.write_errors} write errors, "
        evidence += f"{journal.appended_seq - journal.durable_seq} records not durable"
        summary = f"journal {journal.state}"
        yield Finding("journal.state", verdict, 60, summary, evidence, runbook)
    if journal.syncs_10s and journal.sync_p99_ns > limits.sync_p99_degraded_ns:
        slow = journal.sync_p99_ns > limits.sync_p99_down_ns
        evidence = f"p99 {seconds(journal.sync_p99_ns)} over 10 s "
        evidence += f"(normal < {seconds(limits.sync_p99_degraded_ns)})"
        state = State.DOWN if slow else State.DEGRADED
        runbook = "WalFsyncSlow.runbook.md"
        yield Finding("journal.sync", state, 61, "journal sync slow", evidence, runbook)


def _of_looks(journal: JournalFacts) -> Iterator[Finding]:
    """What cannot be seen: then neither a file that is gone is noticed nor one pruned."""
    if journal.look_errors_10s:
        evidence = f"{journal.look_errors_10s} looks for lost files failed in 10 s, "
        evidence += f"{journal.look_errors} in all (normal 0)"
        summary = "journal directory cannot be looked at"
        runbook = "WalFilesLost.runbook.md"
        yield Finding("journal.look", State.DEGRADED, 67, summary, evidence, runbook)
    if journal.retention_failed:
        evidence = "its last look failed (normal: none); the log of the rx worker says why"
        summary = "nothing is pruned from the journal"
        runbook = "WalDiskFillSoon.runbook.md"
        yield Finding("journal.retention", State.DEGRADED, 68, summary, evidence, runbook)


def of_losses(journal: JournalFacts | None) -> Iterator[Finding]:
    """Each stays until an operator has acknowledged it, or what it tells of is mended.

    Also while nobody writes the journal: one that was refused is not written for what they tell.
    """
    if journal is None:
        return
    if journal.acked_loss_new:
        evidence = f"{journal.acked_loss_new} durable records damaged, not acknowledged (normal 0)"
        summary = "durable records of the journal were lost"
        yield Finding(
            "journal.acked_loss", State.DOWN, 59, summary, evidence, "WalAckedLoss.runbook.md"
        )
    if journal.holes_new:
        evidence = f"{journal.holes_new} holes not acknowledged (normal 0)"
        summary = "journal has holes"
        yield Finding("journal.holes", State.DEGRADED, 63, summary, evidence, _HOLES)
    if journal.recovery_problems:
        evidence = f"{journal.recovery_problems} problems not acknowledged (normal 0)"
        summary = "recovery report of the journal waits for you"
        runbook = "WalRecoveryReport.runbook.md"
        yield Finding("journal.recovery", State.DEGRADED, 64, summary, evidence, runbook)
    if journal.quarantined_segments:
        evidence = f"{journal.quarantined_segments} segments in quarantine (normal 0)"
        summary = "segment of the journal is damaged"
        yield Finding(
            "journal.quarantine",
            State.DEGRADED,
            65,
            summary,
            evidence,
            "WalRecoveryReport.runbook.md",
        )
    if journal.pins_lost:
        evidence = f"{journal.pins_lost} subscribers beyond their cap (normal 0); "
        evidence += "what they had not acknowledged was pruned"
        summary = "subscriber lost its place in the journal"
        runbook = "WalPinsLost.runbook.md"
        yield Finding("journal.pins", State.DEGRADED, 66, summary, evidence, runbook)


def _of_disk(journal: JournalFacts, limits: Thresholds) -> Iterator[Finding]:
    free, used = journal.disk_free_bytes, journal.disk_used_ratio
    if free is None:
        return
    evidence = f"{free / (1 << 30):.1f} GiB free below {journal.directory}"
    left_s = journal.disk_full_in_s
    if left_s is not None:
        evidence += f", full in {seconds(left_s * 1e9)} at the rate of the last minute"
    reserve = limits.disk_reserve_segments * journal.segment_size_bytes
    if free < reserve:
        evidence += f" (normal > {_size(reserve)})"
        summary = "journal disk full"
        runbook = "WalDiskFull.runbook.md"
        yield Finding("journal.disk", State.DOWN, 62, summary, evidence, runbook)
        return
    crowded = used is not None and used > limits.disk_used_ratio and free < limits.disk_free_bytes
    soon = left_s is not None and left_s < limits.disk_forecast_s
    if crowded or soon:
        if used is not None:
            evidence += f", {used:.0%} used"
        evidence += f" (normal < {limits.disk_used_ratio:.0%} and an hour of room)"
        summary = "journal disk nearly full"
        runbook = "WalDiskFillSoon.runbook.md"
        yield Finding("journal.disk", State.DEGRADED, 62, summary, evidence, runbook)


def _size(octets: int) -> str:
    return f"{octets / (1 << 20):.1f} MiB"


def _days(left_s: int) -> str:
    return f"{left_s / 86_400:.1f} days"


_HOLES = "WalHoles.runbook.md"
_LOOKS = "ExportLookFailed.runbook.md"
_SLOW = "ExportSubscriberSlow.runbook.md"
