"""Gathers the facts of an exchange from its file, its workers and their statistics."""

from collections import deque
from collections.abc import Iterable, Mapping

from tickdeck_daemon.exchanges.model import Line, Recovery
from tickdeck_daemon.exchanges.store import ExchangeRecord
from tickdeck_daemon.observe.collect_journal import Disk, export_facts, journal_facts
from tickdeck_daemon.observe.facts import (
    BOOK_TRUST,
    SOURCE_STATES,
    BookFacts,
    ExchangeFacts,
    LatencyFacts,
    LayerDrops,
    LineFacts,
    OpenGap,
    SourceFacts,
    WorkerFacts,
)
from tickdeck_daemon.observe.gaps import REASONS, STAGES, Gap, GapLedger, GapPart
from tickdeck_daemon.observe.loss_watch import LossWatch
from tickdeck_daemon.observe.sampler import Sampler, Series, key_of
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.stats import GapRow, drop_verdict, gap_fault
from tickdeck_daemon.workers.views import WorkerKind, WorkerView

ERROR_COUNTERS: Mapping[WorkerKind, tuple[str, ...]] = {
    "rx": (
        "rx_rejected_total",
        "arbiter_hold_dropped_total",
        "recovery_failures_total",
        "ring_oversize_total",
        "journal_overrun_total",
        "journal_write_errors_total",
        "journal_look_errors_total",
    ),
    "book": (
        "book_sequence_errors_total",
        "book_missing_records_total",
        "book_malformed_records_total",
        "book_unknown_type_total",
        "book_bad_length_total",
        "book_errors_total",
        "book_snapshot_errors_total",
    ),
    "export": (
        "tcp_export_write_failures_total",
        "tcp_export_connect_failures_total",
        "tcp_export_violations_total",
        "tcp_export_look_failures_total",
        "tcp_export_pin_failures_total",
    ),
}
"""Counters whose growth is an error of the exchange."""
WINDOW_S = 10.0
RESTART_WINDOW_NS = 600_000_000_000
LAYER_DROPS = "rx_layer_drops_total"
HOST_LAYERS = ("nic", "softnet")
"""Layers whose counters are of all packets of the host, or of an interface."""
KERNEL_LAYERS = ("xsk", "packet_ring", "socket")
"""Layers in which the kernel drops packets of our own receive paths."""
OWN_LAYERS = (*KERNEL_LAYERS, "receiver")
LINE_NAMES = ("A", "B")
LEAD = "line_lead_ns"
"""Histogram of the line race: by how much the line that was first led."""
GAP_SOURCES = (
    ("A", 1),
    ("B", 2),
    ("retransmit", 4),
    ("C", 8),
    ("D", 16),
    ("E", 32),
    ("F", 64),
    ("G", 128),
    ("stream", 256),
    ("peer", 512),
    ("snapshot", 1024),
)
"""Who can bring a part of a gap, and its bit."""


class Collector:
    """Makes `ExchangeFacts`; remembers only when workers were restarted."""

    def __init__(
        self, settings: Settings, sampler: Sampler, ledger: GapLedger, losses: LossWatch
    ) -> None:
        """Take what is read; nothing is changed in it."""
        self._settings = settings
        self._sampler = sampler
        self._ledger = ledger
        self._losses = losses
        self._restarts: dict[str, tuple[int, deque[int]]] = {}
        self.disks: dict[str, Disk] = {}
        """Room by journal directory, filled by whoever looks at disks."""
        self.reports: dict[str, int] = {}
        """Problems of recovery reports that nobody has seen, by journal directory."""

    def facts(
        self, record: ExchangeRecord, workers: Iterable[WorkerView], now_ns: int
    ) -> ExchangeFacts:
        """Facts of one exchange at `now_ns` (UTC)."""
        config, name = record.config, record.name
        views: dict[WorkerKind, WorkerView] = {view.kind: view for view in workers}
        rx = self._series(views.get("rx"))
        book = self._series(views.get("book"))
        export = self._series(views.get("export"))
        worker = self._worker(views.get("rx"), rx, now_ns)
        # Counters of the messages that were delivered in order, once each.
        delivered = "arbiter_delivered_total"
        return ExchangeFacts(
            name=name,
            now_ns=now_ns,
            wanted=record.wanted,
            generation=record.generation,
            slo_ns=config.recovery.slo_ms * 1_000_000,
            ring_slots=config.slot_count,
            book_wanted=config.book.enabled,
            recovery_configured=bool(config.recovery.sources),
            rx=worker,
            book_worker=self._worker(views.get("book"), book, now_ns),
            lines=tuple(_line(line, rx) for line in config.lines),
            journal=journal_facts(
                record.config,
                rx,
                export,
                directory=self.journal_directory(record),
                disk=self._disk(record),
                is_written=worker is not None and worker.alive,
                unseen=self.reports.get(self.journal_directory(record), 0),
                waiting=self._losses.waiting(name),
            ),
            export=export_facts(record.config.tcp_export, export),
            export_wanted=config.tcp_export.enabled,
            exporter=self._worker(views.get("export"), export, now_ns),
            book=_book(book) if config.book.enabled and book.has("book_trust") else None,
            gaps=tuple(_open_gap(gap) for gap in self._ledger.open_gaps(name)),
            gaps_opened=rx.total("gaps_opened_total"),
            gaps_filled=rx.total("gaps_filled_total"),
            gaps_unrecovered=rx.total("gaps_unrecovered_total"),
            gap_closed_ns=max((gap.closed_ns for gap in self._ledger.gaps(name)), default=0),
            messages_lost=rx.total("gap_messages_lost_total"),
            messages_received=rx.total(delivered),
            bytes_received=rx.total_of_all("rx_bytes_total"),
            duplicates=rx.total("arbiter_duplicates_total"),
            errors=rx.total_of_all(*ERROR_COUNTERS["rx"])
            + book.total_of_all(*ERROR_COUNTERS["book"])
            + export.total_of_all(*ERROR_COUNTERS["export"]),
            next_sequence=rx.value("arbiter_next_sequence"),
            last_delivery_ns=rx.value("arbiter_last_delivery_ns"),
            session=_session(rx),
            session_state=rx.value("session_state"),
            messages_per_second=rx.rate(delivered, 1.0),
            messages_per_second_10s=rx.rate(delivered, 10.0),
            messages_per_second_60s=rx.rate(delivered, 60.0),
            bytes_per_second=sum(
                rx.rate("rx_bytes_total", 1.0, line=line.name) for line in config.lines
            ),
            latencies=tuple(_latencies((rx, book))),
            gap_trend=self._ledger.trend(name, now_ns),
            drops=tuple(_layer_drops(rx)),
            recovery_dropped=rx.total("recovery_requests_dropped_total"),
            conflicts=rx.total("arbiter_conflicts_total"),
            conflicts_10s=rx.delta("arbiter_conflicts_total", WINDOW_S),
            lost_on_all=rx.total("line_lost_on_all_total"),
            reorder_window_ns=rx.value("arbiter_reorder_window_ns"),
            sources=tuple(_sources(config.recovery, rx)),
            storm=bool(rx.value("recovery_storm")),
            storm_gaps=config.recovery.storm_gaps,
            snapshots=rx.total("recovery_snapshots_total"),
            lies=tuple(_lies(rx)),
        )

    def gap_table(self, exchange: str, series: Series) -> list[Gap]:
        """The gaps in a worker's table."""
        sample = series.latest
        if sample is None:
            return []
        return [_gap(exchange, sample.incarnation, row) for row in sample.gaps]

    def journal_directory(self, record: ExchangeRecord) -> str:
        """Directory of an exchange's journal."""
        own = record.config.journal.data_dir
        return own or str(self._settings.journal_dir(record.name))

    def _series(self, view: WorkerView | None) -> Series:
        return self._sampler.series(view.id) if view else Series("")

    def _worker(self, view: WorkerView | None, series: Series, now_ns: int) -> WorkerFacts | None:
        if view is None:
            return None
        age_ns = None
        if series.latest is not None and series.latest.incarnation == view.incarnation:
            # A reading that failed makes the heartbeat older, never fresher.
            age_ns = series.latest.heartbeat_age_ns + max(0, now_ns - series.latest.time_ns)
        return WorkerFacts(
            id=view.id,
            kind=view.kind,
            state=view.state.value,
            ready=view.ready,
            reason=view.reason,
            started_ns=view.started_ns or 0,
            state_since_ns=view.state_since_ns,
            pid=view.pid or 0,
            restarts=view.restarts,
            restarts_10min=self._count_restarts(view, now_ns),
            heartbeat_age_ns=age_ns,
            stats_error=series.error,
            last_exit=view.last_exit,
        )

    def _count_restarts(self, view: WorkerView, now_ns: int) -> int:
        """Restarts of the last 10 minutes, seen by the growth of the worker's counter."""
        seen, times = self._restarts.setdefault(view.id, (view.restarts, deque(maxlen=256)))
        times.extend([now_ns] * max(0, view.restarts - seen))
        self._restarts[view.id] = (view.restarts, times)
        while times and now_ns - times[0] > RESTART_WINDOW_NS:
            times.popleft()
        return len(times)

    def _disk(self, record: ExchangeRecord) -> Disk | None:
        return self.disks.get(self.journal_directory(record))


def _line(line: Line, rx: Series) -> LineFacts:
    name = line.name
    drops = _line_drops(rx, name)
    lead = rx.histograms(WINDOW_S).get(key_of(LEAD, {"line": name}))
    return LineFacts(
        name=name,
        group=line.group,
        port=line.port,
        interface=line.interface,
        receive_path=line.receive,
        packets=rx.total("rx_packets_total", line=name),
        messages=rx.total("rx_messages_total", line=name),
        bytes=rx.total("rx_bytes_total", line=name),
        heartbeats=rx.total("rx_heartbeats_total", line=name),
        first=rx.total("line_first_total", line=name),
        lost=rx.total("line_lost_total", line=name),
        kernel_drops=sum(rx.total(metric, **labels) for metric, labels in drops),
        drops_shared=len(drops) > 1,
        rejected=_rejected(rx, name),
        next_sequence=rx.value("line_next_sequence", line=name),
        last_packet_ns=rx.value("line_last_packet_ns", line=name),
        packets_per_second=rx.rate("rx_packets_total", 1.0, line=name),
        messages_per_second=rx.rate("rx_messages_total", 1.0, line=name),
        messages_10s=rx.delta("rx_messages_total", WINDOW_S, line=name),
        lost_10s=rx.delta("line_lost_total", WINDOW_S, line=name),
        drops_10s=sum(rx.delta(metric, WINDOW_S, **labels) for metric, labels in drops),
        drops_per_second=sum(rx.rate(metric, 1.0, **labels) for metric, labels in drops),
        leads_10s=lead.count if lead else 0,
        lead_p50_ns=(lead.percentile(50.0) or 0) if lead else 0,
        lead_p99_ns=(lead.percentile(99.0) or 0) if lead else 0,
        loss_run_most=rx.value("line_loss_run_most", line=name),
        alone_since_ns=rx.value("line_alone_since_ns", line=name),
    )


def _sources(recovery: Recovery, rx: Series) -> Iterable[SourceFacts]:
    """The sources of the file with what the running worker knows of each."""
    for one in recovery.sources:
        yield SourceFacts(
            source=one.source,
            protocol=one.protocol,
            address=one.address,
            state=_word(SOURCE_STATES, rx.value("recovery_source_state", source=one.source)),
            probed_ns=rx.value("recovery_source_probed_ns", source=one.source),
            rtt_ns=rx.value("recovery_source_rtt_ns", source=one.source),
            probe_interval_ns=recovery.probe_interval_ms * 1_000_000,
            told=rx.has("recovery_source_state", source=one.source),
        )


def _lies(rx: Series) -> Iterable[tuple[str, int]]:
    """How often sources of the recovery lied, by fault."""
    metrics = rx.latest.metrics.values() if rx.latest else ()
    faults = {m.labels.get("fault", "") for m in metrics if m.name == "recovery_lies_total"}
    for fault in sorted(faults):
        count = rx.total("recovery_lies_total", fault=fault)
        if count:
            yield fault, count


def _line_drops(rx: Series, line: str) -> list[tuple[str, dict[str, str]]]:
    """The counters of what the kernel dropped of a line.

    Of a receiver that several lines share, the kernel cannot tell whose packet was lost: then they
    are the receiver's layers, the same for each of its lines.
    """
    receiver = rx.value("rx_receiver", line=line)
    sharing = [name for name in LINE_NAMES if rx.value("rx_receiver", line=name) == receiver]
    if receiver and len(sharing) > 1:
        labels = ({"layer": layer, "receiver": str(receiver)} for layer in KERNEL_LAYERS)
        return [(LAYER_DROPS, one) for one in labels]
    return [("rx_kernel_drops_total", {"line": line})]


def _layer_drops(rx: Series) -> Iterable[LayerDrops]:
    """What each layer lost that the running worker knows, in the order of a packet's way."""
    if rx.latest is None:
        return
    known = [metric.labels for metric in rx.latest.metrics.values() if metric.name == LAYER_DROPS]
    for layer in HOST_LAYERS + OWN_LAYERS:
        labels = [one for one in known if one.get("layer") == layer]
        if labels:
            yield LayerDrops(
                layer=layer,
                of_host=layer in HOST_LAYERS,
                total=sum(rx.total(LAYER_DROPS, **one) for one in labels),
                in_10s=sum(rx.delta(LAYER_DROPS, WINDOW_S, **one) for one in labels),
            )


def _rejected(rx: Series, line: str) -> int:
    """Packets of a line refused for any reason, by the running worker."""
    metrics = rx.latest.metrics.values() if rx.latest else ()
    return sum(
        metric.value
        for metric in metrics
        if metric.name == "rx_rejected_total" and metric.labels.get("line") == line
    )


def _book(book: Series) -> BookFacts:
    return BookFacts(
        trust=_word(BOOK_TRUST, book.value("book_trust")),
        books=book.value("book_count"),
        orders=book.value("book_orders"),
        suspect_books=book.value("book_suspect"),
        cursor_seq=book.value("book_cursor_seq"),
        lag_records=book.value("book_lag_records"),
        laps=book.total("book_laps_total"),
        messages=book.value("book_messages_total"),
        sequence_errors=book.value("book_sequence_errors_total"),
        lost_messages=book.value("book_lost_messages_total"),
        checkpoints_equal=book.value("book_checkpoints_equal_total"),
        checkpoint_mismatches=book.value("book_checkpoint_mismatches_total"),
        integrity_errors=book.value("book_integrity_errors_total"),
    )


def _latencies(series: Iterable[Series]) -> Iterable[LatencyFacts]:
    for one in series:
        for (name, labels), view in sorted(one.histograms(WINDOW_S).items()):
            if view.count and name != LEAD:
                yield LatencyFacts(
                    stage=stage_of(name),
                    timestamp_source=source_of(labels),
                    count=view.count,
                    p50_ns=view.percentile(50.0) or 0,
                    p99_ns=view.percentile(99.0) or 0,
                    p999_ns=view.percentile(99.9) or 0,
                    max_ns=view.max,
                )


def stage_of(name: str, labels: str = "") -> str:
    """Stage of a histogram: "latency_rx_to_book_ns" measures "rx_to_book".

    One of each line is a stage of each line, such as "line_lead A".
    """
    stage = name.removeprefix("latency_").removesuffix("_ns")
    line = _pairs(labels).get("line", "")
    return f"{stage} {line}".rstrip()


def source_of(labels: str) -> str:
    """Who took the first time stamp; our own stages are stamped in user space."""
    return _pairs(labels).get("source", "user")


def _pairs(labels: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in labels.split(",") if "=" in pair)


def _gap(exchange: str, incarnation: str, row: GapRow) -> Gap:
    return Gap(
        exchange=exchange,
        incarnation=incarnation,
        id=row.id,
        first=row.first,
        last=row.last,
        stage=_word(STAGES, row.state),
        missing=row.missing,
        sources=_of_bits(row.sources),
        attempts=row.attempts,
        detected_ns=row.detected_ns,
        requested_ns=row.requested_ns,
        closed_ns=row.closed_ns,
        reason=_word(REASONS, row.reason),
        slo_violated=bool(row.slo_violated),
        drop_verdict=drop_verdict(row.drop_layer),
        drop_count=row.drop_count,
        channel=row.channel,
        lines_missed=_of_bits(row.lines_missed),
        lost_on=row.lost_on,
        waited_ns=row.waited_ns,
        requested_last_ns=row.requested_last_ns,
        partial_ns=row.partial_ns,
        snapshot_ns=row.snapshot_ns,
        parts=tuple(part for part in _parts(row) if part.messages),
        stale_answers=row.stale_answers,
        fault=gap_fault(row.fault),
        noted=row.noted,
    )


def _of_bits(bits: int) -> tuple[str, ...]:
    return tuple(name for name, bit in GAP_SOURCES if bits & bit)


def _parts(row: GapRow) -> tuple[GapPart, ...]:
    return (
        GapPart("A", row.by_line_a),
        GapPart("B", row.by_line_b),
        GapPart("other lines", row.by_other_lines),
        GapPart("retransmit", row.by_request),
        GapPart("stream", row.by_stream),
        GapPart("peer", row.by_peer),
        GapPart("snapshot", row.by_snapshot),
    )


def _open_gap(gap: Gap) -> OpenGap:
    return OpenGap(
        id=gap.id,
        first=gap.first,
        last=gap.last,
        stage=gap.stage,
        detected_ns=gap.detected_ns,
        missing=gap.missing,
        attempts=gap.attempts,
    )


def _session(rx: Series) -> str:
    """The ten bytes of the session's name, from two words."""
    high, low = rx.value("session_hi"), rx.value("session_lo")
    name = high.to_bytes(8, "big") + (low & 0xFFFF).to_bytes(2, "big")
    return name.rstrip(b"\0 ").decode("ascii", "backslashreplace")


def _word(words: tuple[str, ...], code: int) -> str:
    """Name of a code; a code of a newer worker stays visible as a number."""
    return words[code] if 0 <= code < len(words) else f"CODE_{code}"
