"""Gathers the facts of a journal and of its exporter from their statistics.

A metric that a worker of an older release does not have counts as 0, or as unknown.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tickdeck_daemon.exchanges.model import ExchangeConfig, TcpExport
from tickdeck_daemon.observe.facts import JOURNAL_STATES, ExportFacts, JournalFacts
from tickdeck_daemon.observe.sampler import Series

WINDOW_S = 10.0
GROWTH_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Disk:
    """Room in the file system below a directory."""

    free_bytes: int
    used_ratio: float

    @classmethod
    def of(cls, directory: str) -> "Disk":
        """Ask the kernel; OSError when it cannot tell. May block on a dead disk.

        A directory that is not there yet will be made where its nearest parent is.
        """
        path = Path(directory)
        while not path.exists() and path != path.parent:
            path = path.parent
        status = os.statvfs(path)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        free = status.f_bavail * status.f_frsize
        return cls(free, used / (used + free) if used + free else 1.0)


def journal_facts(
    config: ExchangeConfig,
    rx: Series,
    export: Series,
    *,
    directory: str,
    disk: Disk | None,
    unseen: int,
    is_written: bool,
    waiting: tuple[int, int],
) -> JournalFacts | None:
    """Facts of the journal; None while no worker has told any.

    `unseen` are the problems of its recovery report; a worker that has only begun, that refused the
    journal or that has ended (not `is_written`) does not know them. `waiting` are the durable
    records lost, and the holes, that nobody has acknowledged.
    """
    if not rx.has("journal_state"):
        return None
    settings = config.journal
    histograms = rx.histograms(WINDOW_S)
    sync, flush = histograms.get(("journal_sync_ns", "")), histograms.get(("journal_flush_ns", ""))
    acked_loss, holes = rx.total("journal_acked_loss_total"), rx.total("journal_holes_total")
    free = rx.value("journal_disk_free_bytes") if rx.has("journal_disk_free_bytes") else None
    return JournalFacts(
        state=_state(rx.value("journal_state")),
        appended_seq=rx.value("journal_appended_seq"),
        written_seq=rx.value("journal_written_seq"),
        durable_seq=rx.value("journal_durable_seq"),
        acked_seq=_acked(export),
        records=rx.total("journal_records_total"),
        bytes=rx.total("journal_bytes_total"),
        segments=rx.value("journal_segments"),
        rotations=rx.total("journal_rotations_total"),
        write_errors=rx.total("journal_write_errors_total"),
        look_errors=rx.total("journal_look_errors_total"),
        look_errors_10s=rx.delta("journal_look_errors_total", WINDOW_S),
        retention_failed=bool(rx.value("journal_retention_failed")),
        overruns=rx.total("journal_overrun_total"),
        sync_p50_ns=(sync.percentile(50.0) or 0) if sync else 0,
        sync_p99_ns=(sync.percentile(99.0) or 0) if sync else 0,
        syncs_10s=sync.count if sync else 0,
        flush_p99_ns=(flush.percentile(99.0) or 0) if flush else 0,
        directory=directory,
        sync_policy=settings.sync_policy,
        fsync_interval_ms=settings.fsync_interval_ms,
        # The kernel's word is the newer one; what the worker saw stands in when it cannot be asked.
        disk_free_bytes=disk.free_bytes if disk else free,
        disk_used_ratio=disk.used_ratio if disk else None,
        bytes_per_second=rx.rate("journal_bytes_total", GROWTH_WINDOW_S),
        segment_size_bytes=settings.segment_size_bytes,
        oldest_seq=rx.value("journal_oldest_seq"),
        unsynced_bytes=rx.value("journal_unsynced_bytes"),
        reopens=rx.total("journal_reopens_total"),
        acked_loss=acked_loss,
        acked_loss_new=waiting[0],
        holes=holes,
        holes_new=waiting[1],
        hole_records=rx.total("journal_hole_records_total"),
        recovery_problems=max(unseen, rx.value("journal_recovery_problems") if is_written else 0),
        pins_lost=max(rx.value("journal_pins_lost"), export.value("tcp_export_slots_lost")),
        pruned_segments=rx.total("journal_pruned_segments_total"),
        quarantined_segments=rx.value("journal_quarantined_segments_total"),
        compression=settings.codec if settings.compress_wal else "none",
        recovery_mode=settings.recovery_mode,
        on_failure=settings.on_failure,
        retain_max_bytes=settings.retain_max_bytes,
        retain_max_age_s=settings.retain_max_age_s,
    )


def export_facts(table: TcpExport, export: Series) -> ExportFacts | None:
    """Facts of the exporter; None while none has told any, or none is wanted."""
    if not table.enabled or not export.has("tcp_export_active_subscribers"):
        return None
    certified = table.tls_cert is not None and export.has("tcp_export_cert_expires_s")
    return ExportFacts(
        active=export.value("tcp_export_active_subscribers"),
        accepted=export.total("tcp_export_subscriber_accepted_total"),
        rejected=export.total("tcp_export_subscriber_rejected_total"),
        preauth=export.value("tcp_export_preauth"),
        violations=export.total("tcp_export_violations_total"),
        sent_frames=export.total("tcp_export_sent_frames_total"),
        sent_bytes=export.total("tcp_export_sent_bytes_total"),
        bytes_per_second=export.rate("tcp_export_sent_bytes_total", 1.0),
        queued_bytes=export.value("tcp_export_queued_bytes"),
        lag_records=export.value("tcp_export_lag_records"),
        acked_seq=_acked(export),
        dropped=export.total("tcp_export_dropped_total"),
        dropped_10s=export.delta("tcp_export_dropped_total", WINDOW_S),
        write_failures=export.total("tcp_export_write_failures_total"),
        connect_failures=export.total("tcp_export_connect_failures_total"),
        slots_lost=export.value("tcp_export_slots_lost"),
        look_failures=export.total("tcp_export_look_failures_total"),
        look_failures_10s=export.delta("tcp_export_look_failures_total", WINDOW_S),
        pin_failures=export.total("tcp_export_pin_failures_total"),
        pin_failures_10s=export.delta("tcp_export_pin_failures_total", WINDOW_S),
        pin_lag_ms=_told(export, "tcp_export_pin_lag_ms"),
        sight_age_ms=_told(export, "tcp_export_sight_age_ms"),
        cert_expires_s=export.value("tcp_export_cert_expires_s") if certified else None,
        lag_soft_bytes=table.lag_soft_bytes,
        mode=table.mode,
        address=table.addr or ", ".join(table.collectors),
    )


def _told(series: Series, name: str) -> int | None:
    """A value; None when a worker of another release does not tell it."""
    return series.value(name) if series.has(name) else None


def _acked(export: Series) -> int | None:
    """What all named subscribers acknowledged; 0 and the highest number mean that there is none."""
    acked = export.value("tcp_export_acked_seq")
    return acked if 0 < acked < 1 << 63 else None


def _state(code: int) -> str:
    """Name of a state; a code of a newer worker stays visible as a number."""
    return JOURNAL_STATES[code] if code < len(JOURNAL_STATES) else f"CODE_{code}"
