"""Journals, their readers and the exporter: from the daemon's values to messages."""

from tickdeck.v1 import journal_service_pb2 as pb
from tickdeck.v1 import observe_pb2
from tickdeck_daemon.observe.facts import ExchangeFacts, JournalFacts
from tickdeck_daemon.observe.health import DEFAULT_THRESHOLDS, observable
from tickdeck_daemon.observe.loss_watch import Unbounded
from tickdeck_daemon.observe.losses import Loss
from tickdeck_daemon.operate.journals import SegmentInfo
from tickdeck_daemon.operate.recovery_report import RecoveryProblem, RecoveryReport
from tickdeck_daemon.operate.subscribers import Subscriber
from tickdeck_daemon.services.times import timestamp


def journal(facts: JournalFacts) -> observe_pb2.JournalHealth:
    """State of a journal."""
    return observe_pb2.JournalHealth(
        state=facts.state,
        appended_seq=facts.appended_seq,
        written_seq=facts.written_seq,
        durable_seq=facts.durable_seq,
        records=facts.records,
        segments=facts.segments,
        rotations=facts.rotations,
        bytes=facts.bytes,
        sync_p99_ns=facts.sync_p99_ns,
        directory=facts.directory,
        sync_policy=facts.sync_policy,
        acked_seq=facts.acked_seq,
        sync_p50_ns=facts.sync_p50_ns,
        flush_p99_ns=facts.flush_p99_ns,
        worst_loss=facts.worst_loss,
        fsync_interval_ms=facts.fsync_interval_ms,
        compression=facts.compression,
        recovery_mode=facts.recovery_mode,
        on_failure=facts.on_failure,
        oldest_seq=facts.oldest_seq,
        unsynced_bytes=facts.unsynced_bytes,
        write_errors=facts.write_errors,
        reopens=facts.reopens,
        overruns=facts.overruns,
        acked_loss=facts.acked_loss,
        holes=facts.holes,
        hole_records=facts.hole_records,
        recovery_problems=facts.recovery_problems,
        pins_lost=facts.pins_lost,
        pruned_segments=facts.pruned_segments,
        quarantined_segments=facts.quarantined_segments,
        disk_free_bytes=facts.disk_free_bytes,
        bytes_per_second=facts.bytes_per_second,
        disk_full_in_s=facts.disk_full_in_s,
        retain_max_bytes=facts.retain_max_bytes,
        retain_max_age_s=facts.retain_max_age_s,
        look_errors=facts.look_errors,
        retention_failed=facts.retention_failed,
        holes_waiting=facts.holes_new,
        acked_loss_waiting=facts.acked_loss_new,
    )


def export(facts: ExchangeFacts) -> observe_pb2.ExportHealth | None:
    """State of an exporter; None when the exchange has none."""
    if not facts.export_wanted:
        return None
    state = facts.exporter.state if facts.exporter else "PENDING"
    seen = facts.export
    if seen is None:
        return observe_pb2.ExportHealth(state=state)
    # Ages in the last sample of one that tells no more are no news.
    is_fresh = observable(facts.exporter, DEFAULT_THRESHOLDS)
    return observe_pb2.ExportHealth(
        state=state,
        mode=seen.mode,
        address=seen.address,
        active_subscribers=seen.active,
        accepted=seen.accepted,
        rejected=seen.rejected,
        preauth=seen.preauth,
        violations=seen.violations,
        sent_frames=seen.sent_frames,
        sent_bytes=seen.sent_bytes,
        bytes_per_second=seen.bytes_per_second,
        queued_bytes=seen.queued_bytes,
        lag_records=seen.lag_records,
        dropped=seen.dropped,
        write_failures=seen.write_failures,
        connect_failures=seen.connect_failures,
        cert_expires_s=seen.cert_expires_s,
        look_failures=seen.look_failures,
        pin_failures=seen.pin_failures,
        sight_age_ms=seen.sight_age_ms if is_fresh else None,
        pin_lag_ms=seen.pin_lag_ms if is_fresh else None,
    )


def segment(info: SegmentInfo) -> pb.Segment:
    """One file of a journal."""
    return pb.Segment(
        file=info.file,
        number=info.number,
        base_seq=info.base_seq,
        bytes=info.bytes,
        sealed=info.sealed,
        last_seq=info.last_seq,
        abandoned=info.abandoned,
        create_time=timestamp(info.created_ns),
    )


def loss(row: Loss) -> pb.JournalLoss:
    """A range that a log does not hold."""
    return pb.JournalLoss(
        kind=row.kind, from_seq=row.from_seq, to_seq=row.to_seq, time=timestamp(row.seen_ns)
    )


def unbounded_loss(row: Unbounded) -> pb.JournalLoss:
    """What was counted, and nobody has told the bounds of."""
    return pb.JournalLoss(
        kind=row.kind,
        time=timestamp(row.seen_ns),
        counted=row.count,
        incarnation=row.incarnation,
    )


def recovery_report(report: RecoveryReport) -> pb.RecoveryReport:
    """What the last start that found anything did."""
    return pb.RecoveryReport(
        time=timestamp(report.time_ns),
        mode=report.mode,
        clean=report.clean,
        writer_epoch=report.writer_epoch,
        problems=map(_problem, report.problems),
        refused=report.refused,
        acknowledged=report.acknowledged,
    )


def subscriber(row: Subscriber) -> pb.Subscriber:
    """A reader of a journal, or the place kept for one."""
    return pb.Subscriber(
        id=row.id,
        peer=row.peer,
        state=row.state,
        sent_seq=row.sent_seq,
        acked_seq=row.acked_seq,
        lag_bytes=row.lag_bytes,
        lag_records=row.lag_records,
        lag_ms=row.lag_ms,
        policy=row.policy,
        since=timestamp(row.since_ns),
        reason=row.reason,
        lost=row.lost,
        retain_max_bytes=row.retain_max_bytes,
        kept_seq=row.kept_seq,
    )


def _problem(problem: RecoveryProblem) -> pb.RecoveryProblem:
    message = pb.RecoveryProblem(
        file=problem.file,
        offset=problem.offset,
        from_seq=problem.from_seq,
        to_seq=problem.to_seq,
        bytes=problem.bytes,
        action=problem.action,
    )
    setattr(message, "class", problem.kind)
    return message
