"""Messages about journals, their readers and the exporter, as the console's plain types."""

from tickdeck.v1 import journal_service_pb2 as journal_pb
from tickdeck.v1 import observe_pb2 as observe_pb
from tickdeck_console.feed.times import nanoseconds
from tickdeck_console.model import frame, wal


def journal(message: observe_pb.JournalHealth) -> frame.Journal:
    """State and watermarks of a journal."""
    return frame.Journal(
        state=message.state,
        appended_seq=message.appended_seq,
        written_seq=message.written_seq,
        durable_seq=message.durable_seq,
        records=message.records,
        segments=message.segments,
        octets=message.bytes,
        sync_p99_ns=message.sync_p99_ns,
        directory=message.directory,
        sync_policy=message.sync_policy,
        acked_seq=message.acked_seq if message.HasField("acked_seq") else None,
        sync_p50_ns=message.sync_p50_ns,
        flush_p99_ns=message.flush_p99_ns,
        worst_loss=message.worst_loss,
        compression=message.compression,
        recovery_mode=message.recovery_mode,
        on_failure=message.on_failure,
        oldest_seq=message.oldest_seq,
        unsynced_octets=message.unsynced_bytes,
        write_errors=message.write_errors,
        reopens=message.reopens,
        acked_loss=message.acked_loss,
        acked_loss_waiting=message.acked_loss_waiting,
        holes=message.holes,
        holes_waiting=message.holes_waiting,
        hole_records=message.hole_records,
        recovery_problems=message.recovery_problems,
        look_errors=message.look_errors,
        retention_failed=message.retention_failed,
        pins_lost=message.pins_lost,
        quarantined=message.quarantined_segments,
        disk_free_octets=message.disk_free_bytes if message.HasField("disk_free_bytes") else None,
        octet_rate=message.bytes_per_second,
        disk_full_in_s=message.disk_full_in_s if message.HasField("disk_full_in_s") else None,
        retain_max_octets=message.retain_max_bytes,
        retain_max_age_s=message.retain_max_age_s,
    )


def export(message: observe_pb.ExportHealth) -> frame.Export:
    """State of an exporter; an empty state when there is none."""
    return frame.Export(
        state=message.state,
        mode=message.mode,
        address=message.address,
        active=message.active_subscribers,
        rejected=message.rejected,
        violations=message.violations,
        octet_rate=message.bytes_per_second,
        queued_octets=message.queued_bytes,
        lag_records=message.lag_records,
        dropped=message.dropped,
        look_failures=message.look_failures,
        pin_failures=message.pin_failures,
        cert_expires_s=message.cert_expires_s if message.HasField("cert_expires_s") else None,
        sight_age_ms=message.sight_age_ms if message.HasField("sight_age_ms") else None,
        pin_lag_ms=message.pin_lag_ms if message.HasField("pin_lag_ms") else None,
    )


def wal_of(
    files: journal_pb.GetJournalResponse, readers: journal_pb.ListSubscribersResponse | None
) -> wal.Wal:
    """The files of a journal, its recovery report, its readers."""
    return wal.Wal(
        segments=tuple(map(segment, files.segments)),
        report=report(files.recovery) if files.HasField("recovery") else None,
        losses=tuple(map(loss, files.losses)),
        subscribers=tuple(map(subscriber, readers.subscribers)) if readers else (),
        unavailable=readers.unavailable if readers else "",
        segments_unavailable=files.segments_unavailable,
    )


def segment(message: journal_pb.Segment) -> wal.Segment:
    """One file of a journal."""
    return wal.Segment(
        file=message.file,
        number=message.number,
        base_seq=message.base_seq,
        octets=message.bytes,
        sealed=message.sealed,
        last_seq=message.last_seq,
        abandoned=message.abandoned,
    )


def report(message: journal_pb.RecoveryReport) -> wal.RecoveryReport:
    """What was repaired or refused."""
    return wal.RecoveryReport(
        time_ns=nanoseconds(message.time),
        mode=message.mode,
        clean=message.clean,
        problems=tuple(
            wal.RecoveryProblem(
                file=problem.file,
                offset=problem.offset,
                kind=getattr(problem, "class"),
                from_seq=problem.from_seq,
                to_seq=problem.to_seq,
                octets=problem.bytes,
                action=problem.action,
            )
            for problem in message.problems
        ),
        refused=message.refused,
        acknowledged=message.acknowledged,
    )


def loss(message: journal_pb.JournalLoss) -> wal.Loss:
    """A range that the log does not hold."""
    return wal.Loss(
        kind=message.kind,
        from_seq=message.from_seq,
        to_seq=message.to_seq,
        time_ns=nanoseconds(message.time),
        counted=message.counted,
        incarnation=message.incarnation,
    )


def subscriber(message: journal_pb.Subscriber) -> wal.Subscriber:
    """A reader of a journal, or the place kept for one."""
    return wal.Subscriber(
        id=message.id,
        peer=message.peer,
        state=message.state,
        sent_seq=message.sent_seq,
        acked_seq=message.acked_seq,
        lag_octets=message.lag_bytes,
        lag_records=message.lag_records,
        lag_ms=message.lag_ms,
        policy=message.policy,
        since_ns=nanoseconds(message.since),
        reason=message.reason,
        lost=message.lost,
        kept_seq=message.kept_seq if message.HasField("kept_seq") else None,
    )
