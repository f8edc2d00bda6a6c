"""Writes a worker's stats file, so that tests need no native worker.

Layout version 1 as `tickdeck_daemon.stats.file` reads it; each metric has a slot of its own.
"""

import mmap
import os
import struct
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from tickdeck_daemon.stats.histogram import BUCKETS, bucket_of

COUNTER, GAUGE, STATE, HISTOGRAM = 1, 2, 4, 5
DESC, VALUES, HIST, GAPS = 1, 2, 3, 5
HEADER = 4096
VALUE_STRIDE = 128
HISTOGRAM_STRIDE = (4 + BUCKETS) * 8
GAP_STRIDE = 256
GAP_SLOTS = 256
GAP_LEDGER = (
    *("channel", "waited_ns", "requested_last_ns", "partial_ns", "snapshot_ns"),
    *("by_line_a", "by_line_b", "by_other_lines", "by_request", "by_stream", "by_peer"),
    *("by_snapshot", "stale_answers", "injected", "fault", "noted"),
)
"""The words of a gap's row behind the drop verdict, in order."""

LINES = ("A", "B")
RX_METRICS: tuple[tuple[str, int, str], ...] = (
    *(
        (name, kind, f"line={line}")
        for line in LINES
        for name, kind in (
            ("rx_packets_total", COUNTER),
            ("rx_bytes_total", COUNTER),
            ("rx_messages_total", COUNTER),
            ("rx_heartbeats_total", COUNTER),
            ("rx_kernel_drops_total", COUNTER),
            ("rx_path", STATE),
            ("rx_receiver", STATE),
            ("line_first_total", COUNTER),
            ("line_lost_total", GAUGE),
            ("line_next_sequence", GAUGE),
            ("line_last_packet_ns", GAUGE),
            ("line_loss_run_most", COUNTER),
            ("line_alone_since_ns", GAUGE),
        )
    ),
    *(
        (name, kind, f"source={source}")
        for source in ("request", "stream", "peer", "snapshot")
        for name, kind in (
            ("recovery_source_state", STATE),
            ("recovery_source_probed_ns", GAUGE),
            ("recovery_source_rtt_ns", GAUGE),
        )
    ),
    ("arbiter_conflicts_total", COUNTER, ""),
    ("line_lost_on_all_total", COUNTER, ""),
    ("arbiter_reorder_window_ns", GAUGE, ""),
    ("recovery_storm", STATE, ""),
    ("recovery_snapshots_total", COUNTER, ""),
    ("recovery_lies_total", COUNTER, "fault=garbage"),
    ("recovery_lies_total", COUNTER, "fault=wrong_session"),
    ("rx_layer_drops_total", COUNTER, "layer=packet_ring,receiver=1"),
    ("rx_layer_drops_total", COUNTER, "layer=socket,receiver=1"),
    ("rx_layer_drops_total", COUNTER, "layer=socket,receiver=2"),
    ("rx_layer_drops_total", COUNTER, "layer=nic"),
    ("rx_rejected_total", COUNTER, "line=A,reason=truncated"),
    ("rx_rejected_total", COUNTER, "line=B,reason=wrong_session"),
    ("arbiter_delivered_total", COUNTER, ""),
    ("arbiter_duplicates_total", COUNTER, ""),
    ("arbiter_next_sequence", GAUGE, ""),
    ("arbiter_last_delivery_ns", GAUGE, ""),
    ("gaps_opened_total", COUNTER, ""),
    ("gaps_filled_total", COUNTER, ""),
    ("gaps_unrecovered_total", COUNTER, ""),
    ("gap_messages_lost_total", COUNTER, ""),
    ("gap_table_overflows_total", COUNTER, ""),
    ("session_state", STATE, ""),
    ("session_hi", GAUGE, ""),
    ("session_lo", GAUGE, ""),
    ("journal_appended_seq", GAUGE, ""),
    ("journal_written_seq", GAUGE, ""),
    ("journal_durable_seq", GAUGE, ""),
    ("journal_records_total", COUNTER, ""),
    ("journal_bytes_total", COUNTER, ""),
    ("journal_segments", GAUGE, ""),
    ("journal_write_errors_total", COUNTER, ""),
    ("journal_overrun_total", COUNTER, ""),
    ("journal_state", STATE, ""),
)
"""What the tests need of an rx worker: name, kind, labels."""
RX_HISTOGRAMS = (
    ("journal_sync_ns", ""),
    ("latency_rx_to_ring_ns", "source=kernel"),
    ("line_lead_ns", "line=A"),
    ("line_lead_ns", "line=B"),
)
BOOK_METRICS: tuple[tuple[str, int, str], ...] = (
    ("book_messages_total", COUNTER, ""),
    ("book_cursor_seq", GAUGE, ""),
    ("book_lag_records", GAUGE, ""),
    ("book_laps_total", COUNTER, ""),
    ("book_sequence_errors_total", COUNTER, ""),
    ("book_lost_messages_total", COUNTER, ""),
    ("book_suspect", GAUGE, ""),
    ("book_count", GAUGE, ""),
    ("book_orders", GAUGE, ""),
    ("book_trust", STATE, ""),
)
BOOK_HISTOGRAMS = (("latency_rx_to_book_ns", "source=kernel"),)
JOURNAL_METRICS: tuple[tuple[str, int, str], ...] = (
    ("journal_rotations_total", COUNTER, ""),
    ("journal_acked_loss_total", COUNTER, ""),
    ("journal_holes_total", COUNTER, ""),
    ("journal_hole_records_total", COUNTER, ""),
    ("journal_reopens_total", COUNTER, ""),
    ("journal_unsynced_bytes", GAUGE, ""),
    ("journal_disk_free_bytes", GAUGE, ""),
    ("journal_oldest_seq", GAUGE, ""),
    ("journal_pruned_segments_total", COUNTER, ""),
    ("journal_quarantined_segments_total", COUNTER, ""),
    ("journal_recovery_problems", GAUGE, ""),
    ("journal_pins_lost", GAUGE, ""),
    ("journal_look_errors_total", COUNTER, ""),
    ("journal_retention_failed", GAUGE, ""),
)
"""What an rx worker of the release before does not have."""
EXPORT_METRICS: tuple[tuple[str, int, str], ...] = (
    ("tcp_export_queued_bytes", GAUGE, ""),
    ("tcp_export_dropped_total", COUNTER, ""),
    ("tcp_export_sent_frames_total", COUNTER, ""),
    ("tcp_export_sent_bytes_total", COUNTER, ""),
    ("tcp_export_write_failures_total", COUNTER, ""),
    ("tcp_export_connect_failures_total", COUNTER, ""),
    ("tcp_export_subscriber_accepted_total", COUNTER, ""),
    ("tcp_export_subscriber_rejected_total", COUNTER, ""),
    ("tcp_export_active_subscribers", GAUGE, ""),
    ("tcp_export_acked_seq", GAUGE, ""),
    ("tcp_export_lag_records", GAUGE, ""),
    ("tcp_export_preauth", GAUGE, ""),
    ("tcp_export_violations_total", COUNTER, ""),
    ("tcp_export_slots_lost", GAUGE, ""),
    ("tcp_export_cert_expires_s", GAUGE, ""),
    ("tcp_export_look_failures_total", COUNTER, ""),
    ("tcp_export_pin_failures_total", COUNTER, ""),
    ("tcp_export_pin_lag_ms", GAUGE, ""),
    ("tcp_export_sight_age_ms", GAUGE, ""),
)


class StatsWriter:
    """One stats file, open for writing."""

    def __init__(
        self,
        path: Path,
        worker: str,
        incarnation: str,
        *,
        metrics: Iterable[tuple[str, int, str]] = RX_METRICS,
        histograms: Iterable[tuple[str, str]] = RX_HISTOGRAMS,
    ) -> None:
        metrics, histograms = tuple(metrics), tuple(histograms)
        self.path = path
        self.incarnation = incarnation
        descriptors = len(metrics) + len(histograms)
        self._values = HEADER + 256 * descriptors
        self._histograms = self._values + VALUE_STRIDE * len(metrics)
        self._gaps = self._histograms + HISTOGRAM_STRIDE * len(histograms)
        total = self._gaps + GAP_STRIDE * GAP_SLOTS
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(bytes(total))
        with temporary.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), total)
        self._slots = {(name, labels): at for at, (name, _, labels) in enumerate(metrics)}
        self._histogram_slots = {series: at for at, series in enumerate(histograms)}
        self._header(worker, total)
        records = [(n, kind, VALUES, at, text) for at, (n, kind, text) in enumerate(metrics)]
        records += [(n, HISTOGRAM, HIST, at, text) for at, (n, text) in enumerate(histograms)]
        for at, (name, kind, section, slot, labels) in enumerate(records):
            self._pack(
                "<IHHIIII16s88s128s",
                HEADER + 256 * at,
                *(at, kind, 0, section, slot, 0, 0, b"", name.encode(), labels.encode()),
            )
        sections = (
            (DESC, HEADER, descriptors, 256),
            (VALUES, self._values, len(metrics), VALUE_STRIDE),
            (HIST, self._histograms, len(histograms), HISTOGRAM_STRIDE),
            (GAPS, self._gaps, GAP_SLOTS, GAP_STRIDE),
        )
        self._pack("<I", 88, len(sections))
        for at, (kind, offset, count, stride) in enumerate(sections):
            entry = (kind, 1, 0, offset, count * stride, count, stride)
            self._pack("<IHHQQII", 2048 + 32 * at, *entry)
        temporary.rename(path)
        self._pack("<Q", 0, int.from_bytes(b"TDSTATS1", "little"))
        self.beat()

    def set(self, name: str, value: int, **labels: str) -> None:
        """Set a metric."""
        text = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
        self._pack("<Q", self._values + VALUE_STRIDE * self._slots[name, text], value)

    def set_all(self, values: Mapping[str, int]) -> None:
        """Set metrics without labels."""
        for name, value in values.items():
            self.set(name, value)

    def record(self, name: str, value: int, *, labels: str = "", times: int = 1) -> None:
        """Add values to a histogram."""
        at = self._histograms + HISTOGRAM_STRIDE * self._histogram_slots[name, labels]
        count, total, least, most = struct.unpack_from("<QQQQ", self._map, at)
        least = value if not count else min(least, value)
        self._pack("<QQQQ", at, count + times, total + times * value, least, max(most, value))
        bucket = at + 32 + 8 * bucket_of(value)
        self._pack("<Q", bucket, struct.unpack_from("<Q", self._map, bucket)[0] + times)

    def gap(
        self,
        identity: int,
        first: int,
        last: int,
        state: int,
        *,
        detected_ns: int | None = None,
        closed_ns: int = 0,
        sources: int = 0,
        reason: int = 0,
        attempts: int = 0,
        missing: int | None = None,
        drop_layer: int = 0,
        drop_count: int = 0,
        lines_missed: int = 3,
        ledger: Mapping[str, int] | None = None,
    ) -> None:
        """Put a row into the gap table; `ledger` sets words of `GAP_LEDGER` by name."""
        at = self._gaps + GAP_STRIDE * (identity % GAP_SLOTS)
        if missing is None:
            missing = 0 if state == 5 else last - first + 1
        detected_ns = time.time_ns() if detected_ns is None else detected_ns
        words = (2, identity, first, last, state, sources, reason, detected_ns, 0, closed_ns)
        more = [(ledger or {}).get(name, 0) for name in GAP_LEDGER]
        words += (attempts, missing, lines_missed, 0, drop_layer, drop_count)
        self._pack("<32Q", at, *words, *more)

    def beat(self, mono_ns: int | None = None) -> None:
        """A heartbeat, now unless told otherwise."""
        self._pack("<Q", 512, time.monotonic_ns() if mono_ns is None else mono_ns)

    def traffic(self, packets: int, *, line: str = "", now_ns: int | None = None) -> None:
        """More packets of ten messages on a line, or on both and delivered in order."""
        now_ns = time.time_ns() if now_ns is None else now_ns
        for name in [line] if line else LINES:
            self.add("rx_packets_total", packets, line=name)
            self.add("rx_messages_total", packets * 10, line=name)
            self.add("rx_bytes_total", packets * 400, line=name)
            self.set("line_last_packet_ns", now_ns, line=name)
        if not line:
            self.add("arbiter_delivered_total", packets * 10)
            self.set("arbiter_last_delivery_ns", now_ns)
            self.set("session_state", 1)

    def add(self, name: str, count: int, **labels: str) -> None:
        """Let a counter grow."""
        text = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
        at = self._values + VALUE_STRIDE * self._slots[name, text]
        self._pack("<Q", at, struct.unpack_from("<Q", self._map, at)[0] + count)

    def session(self, name: str) -> None:
        """Set the session's ten bytes."""
        raw = name.encode().ljust(10)
        self.set("session_hi", int.from_bytes(raw[:8], "big"))
        self.set("session_lo", int.from_bytes(raw[8:], "big"))

    def close(self) -> None:
        """Unmap; the file stays."""
        self._map.close()

    def _header(self, worker: str, total: int) -> None:
        boot = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        self._pack("<HHIQQQ", 8, 1, 0, HEADER, 0x0102030405060708, total, 0)
        identity = (boot.bytes, uuid.UUID(self.incarnation).bytes, 1, os.getpid(), 0)
        self._pack("<16s16sQII", 40, *identity)
        self._pack("<64s", 96, worker.encode())
        self._pack("<Q", 640, 2)

    def _pack(self, form: str, at: int, *values: int | bytes) -> None:
        struct.pack_into(form, self._map, at, *values)
