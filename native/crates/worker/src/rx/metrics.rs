//! The metrics of `tickdeck-rx`, grouped by the one thread that writes each.

use tickdeck_recovery::{Engine, Fault};
use tickdeck_stats::{Builder, Counter, GapTable, Gauge, Histogram};

use super::ladder::Layer;
use super::ladder::own::PATH_LAYERS;
use super::ladder::watch::HostMetrics;
use super::race::{Race, RaceMetrics};
use crate::spec::LineName;

/// What a layer lost, of our own lines or of the host.
const LAYER_DROPS: &str = "rx_layer_drops_total";

/// What the receive thread writes.
pub(super) struct ReceiveMetrics {
    /// One per line, in the arbiter's order.
    pub(super) lines: [LineMetrics; 2],
    /// One per receiver, which are no more than lines: losses by [`PATH_LAYERS`].
    pub(super) receivers: [[Counter; PATH_LAYERS.len()]; 2],
    pub(super) merge: MergeMetrics,
    pub(super) lines_race: RaceMetrics,
    pub(super) race: Race,
    pub(super) ring: RingMetrics,
    pub(super) gaps: GapTable,
    /// Commands to the recovery that did not fit its queue.
    pub(super) requests_dropped: Counter,
}

/// What one line brought.
pub(super) struct LineMetrics {
    pub(super) packets: Counter,
    pub(super) bytes: Counter,
    pub(super) messages: Counter,
    pub(super) heartbeats: Counter,
    pub(super) kernel_drops: Counter,
    /// [`tickdeck_net::Rung`] of its receive path; 0: not open.
    pub(super) path: Gauge,
    /// Number of its receiver, from 1; lines with the same number share one.
    pub(super) receiver: Gauge,
    pub(super) first: Counter,
    /// A gauge: a late arrival takes a loss back.
    pub(super) lost: Gauge,
    pub(super) next_sequence: Gauge,
    pub(super) last_packet_ns: Gauge,
    pub(super) rejected: Rejected,
}

/// What the merge made of it.
pub(super) struct MergeMetrics {
    pub(super) delivered: Counter,
    pub(super) duplicates: Counter,
    pub(super) stale: Counter,
    pub(super) held_packets: Gauge,
    pub(super) hold_dropped: Counter,
    pub(super) next_sequence: Gauge,
    pub(super) last_delivery_ns: Gauge,
    pub(super) gaps_opened: Counter,
    pub(super) gaps_filled: Counter,
    pub(super) gaps_unrecovered: Counter,
    pub(super) gaps_open: Gauge,
    pub(super) messages_lost: Counter,
    pub(super) session_changes: Counter,
    pub(super) session_state: Gauge,
    pub(super) session_hi: Gauge,
    pub(super) session_lo: Gauge,
    /// Gaps that got no verdict of the drop ladder.
    pub(super) verdicts_skipped: Counter,
    /// Packets in the capture.
    pub(super) captured: Counter,
}

/// What went into the ring.
pub(super) struct RingMetrics {
    pub(super) published: Counter,
    pub(super) next_seq: Gauge,
    pub(super) oversize: Counter,
    /// From the card's stamp to the ring.
    pub(super) latency_hardware: Histogram,
    /// From the kernel's stamp to the ring.
    pub(super) latency_kernel: Histogram,
    /// The same for packets that were stamped by this process: answers, and late stamps.
    pub(super) latency_user: Histogram,
}

/// Packets refused, by reason; nothing else changes for them.
pub(super) struct Rejected {
    by_reason: [(&'static str, Counter); REASONS.len()],
}

/// What the recovery thread writes.
pub(super) struct RecoveryMetrics {
    requests: Counter,
    requests_dropped: Counter,
    retries: Counter,
    failures: Counter,
    fetched_ranges: Counter,
    unrecoverable_gaps: Counter,
    injected_packets: Counter,
    stale_packets: Counter,
    slo_violations: Counter,
    pub(super) range_latency_ns: Histogram,
    pub(super) rejected: Rejected,
    snapshots: Counter,
    storm: Gauge,
    /// By [`Fault`]'s number; the first is never used.
    lies: [Counter; Fault::ALL.len()],
}

/// What the journal thread writes.
pub(super) struct JournalMetrics {
    pub(super) appended_seq: Gauge,
    pub(super) written_seq: Gauge,
    pub(super) durable_seq: Gauge,
    pub(super) records: Counter,
    pub(super) bytes: Counter,
    pub(super) segments: Gauge,
    pub(super) rotations: Counter,
    pub(super) syncs: Counter,
    pub(super) overrun: Counter,
    pub(super) write_errors: Counter,
    pub(super) look_errors: Counter,
    pub(super) acked_loss: Counter,
    pub(super) holes: Counter,
    pub(super) hole_records: Counter,
    pub(super) reopens: Counter,
    pub(super) unsynced_bytes: Gauge,
    pub(super) disk_free_bytes: Gauge,
    pub(super) sync_ns: Histogram,
    pub(super) flush_ns: Histogram,
}

/// What the retention thread writes.
pub(super) struct RetentionMetrics {
    pub(super) oldest_seq: Gauge,
    pub(super) pruned: Counter,
    pub(super) quarantined: Counter,
    /// Problems of the last recovery that nobody has acknowledged.
    pub(super) recovery_problems: Gauge,
    pub(super) pins_lost: Gauge,
    /// 1 when the last look failed; nothing is pruned then.
    pub(super) failed: Gauge,
}

/// What the capture thread writes.
pub(super) struct CaptureMetrics {
    pub(super) cuts: Counter,
    pub(super) errors: Counter,
    pub(super) lapped: Counter,
    pub(super) skipped: Counter,
}

impl ReceiveMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        Self {
            lines: [LineName::A, LineName::B].map(|line| LineMetrics::new(builder, line)),
            receivers: ["1", "2"].map(|receiver| {
                PATH_LAYERS.map(|layer| {
                    let labels = format!("layer={},receiver={receiver}", layer.name());
                    builder.counter(LAYER_DROPS, "packets", &labels)
                })
            }),
            merge: MergeMetrics::new(builder),
            lines_race: RaceMetrics::new(builder),
            race: Race::new(builder),
            ring: RingMetrics::new(builder),
            requests_dropped: builder.counter("recovery_requests_dropped_total", "requests", ""),
            gaps: builder.gap_table(),
        }
    }
}

impl LineMetrics {
    fn new(builder: &mut Builder, line: LineName) -> Self {
        let label = line.label();
        let labels = format!("line={label}");
        Self {
            packets: builder.counter("rx_packets_total", "packets", &labels),
            bytes: builder.counter("rx_bytes_total", "bytes", &labels),
            messages: builder.counter("rx_messages_total", "messages", &labels),
            heartbeats: builder.counter("rx_heartbeats_total", "packets", &labels),
            kernel_drops: builder.counter("rx_kernel_drops_total", "packets", &labels),
            path: builder.state("rx_path", "state", &labels),
            receiver: builder.state("rx_receiver", "state", &labels),
            first: builder.counter("line_first_total", "messages", &labels),
            lost: builder.gauge("line_lost_total", "messages", &labels),
            next_sequence: builder.gauge("line_next_sequence", "sequence", &labels),
            last_packet_ns: builder.gauge("line_last_packet_ns", "ns", &labels),
            rejected: Rejected::new(builder, label),
        }
    }
}

impl MergeMetrics {
    fn new(builder: &mut Builder) -> Self {
        Self {
            delivered: builder.counter("arbiter_delivered_total", "messages", ""),
            duplicates: builder.counter("arbiter_duplicates_total", "messages", ""),
            stale: builder.counter("arbiter_stale_total", "messages", ""),
            held_packets: builder.gauge("arbiter_held_packets", "packets", ""),
            hold_dropped: builder.counter("arbiter_hold_dropped_total", "messages", ""),
            next_sequence: builder.gauge("arbiter_next_sequence", "sequence", ""),
            last_delivery_ns: builder.gauge("arbiter_last_delivery_ns", "ns", ""),
            gaps_opened: builder.counter("gaps_opened_total", "gaps", ""),
            gaps_filled: builder.counter("gaps_filled_total", "gaps", ""),
            gaps_unrecovered: builder.counter("gaps_unrecovered_total", "gaps", ""),
            gaps_open: builder.gauge("gaps_open", "gaps", ""),
            messages_lost: builder.counter("gap_messages_lost_total", "messages", ""),
            session_changes: builder.counter("session_changes_total", "sessions", ""),
            session_state: builder.state("session_state", "state", ""),
            session_hi: builder.gauge("session_hi", "bytes", ""),
            session_lo: builder.gauge("session_lo", "bytes", ""),
            verdicts_skipped: builder.counter("gap_verdicts_skipped_total", "gaps", ""),
            captured: builder.counter("capture_packets_total", "packets", ""),
        }
    }
}

impl RingMetrics {
    fn new(builder: &mut Builder) -> Self {
        let latency = "latency_rx_to_ring_ns";
        Self {
            published: builder.counter("ring_published_total", "records", ""),
            next_seq: builder.gauge("ring_next_seq", "sequence", ""),
            oversize: builder.counter("ring_oversize_total", "records", ""),
            latency_hardware: builder.histogram(latency, "ns", "source=hardware"),
            latency_kernel: builder.histogram(latency, "ns", "source=kernel"),
            latency_user: builder.histogram(latency, "ns", "source=user"),
        }
    }
}

impl Rejected {
    fn new(builder: &mut Builder, line: &str) -> Self {
        let by_reason = REASONS.map(|reason| {
            let labels = format!("line={line},reason={reason}");
            (
                reason,
                builder.counter("rx_rejected_total", "packets", &labels),
            )
        });
        Self { by_reason }
    }

    /// Packets that no session can make good: not of the protocol, or too long.
    pub(super) fn malformed(&self) -> u64 {
        const OF_THE_MERGE: [&str; 6] = [
            SEQUENCE_OVERFLOW,
            IMPLAUSIBLE_JUMP,
            WRONG_SESSION,
            TECHNICAL_HEARTBEAT,
            STRAGGLER,
            UNCONFIRMED_RESET,
        ];
        let counters = self.by_reason.iter();
        let malformed = counters.filter(|(reason, _)| !OF_THE_MERGE.contains(reason));
        malformed.map(|(_, counter)| counter.get()).sum()
    }

    /// Counts a packet that was refused for `reason`.
    pub(super) fn count(&self, reason: &str) {
        match self.by_reason.iter().find(|(known, _)| *known == reason) {
            Some((_, counter)) => counter.add(1),
            None => debug_assert!(false, "every reason has a counter, {reason} has none"),
        }
    }
}

impl RecoveryMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        let mut counter = |name: &str, unit: &str| builder.counter(name, unit, "");
        Self {
            requests: counter("recovery_requests_total", "requests"),
            requests_dropped: counter("recovery_requests_dropped_total", "requests"),
            retries: counter("recovery_retries_total", "requests"),
            failures: counter("recovery_failures_total", "requests"),
            fetched_ranges: counter("recovery_fetched_ranges_total", "ranges"),
            unrecoverable_gaps: counter("recovery_unrecoverable_gaps_total", "gaps"),
            injected_packets: counter("recovery_injected_packets_total", "packets"),
            stale_packets: counter("recovery_stale_packets_total", "packets"),
            slo_violations: counter("recovery_slo_violations_total", "gaps"),
            snapshots: counter("recovery_snapshots_total", "snapshots"),
            lies: Fault::ALL.map(|fault| {
                let labels = format!("fault={}", fault.name());
                builder.counter("recovery_lies_total", "faults", &labels)
            }),
            storm: builder.state("recovery_storm", "state", ""),
            range_latency_ns: builder.histogram("recovery_range_latency_ns", "ns", ""),
            rejected: Rejected::new(builder, "R"),
        }
    }

    /// Copies what the engine counted into the stats file.
    pub(super) fn show(&self, engine: &Engine) {
        let counters = engine.counters();
        self.requests.set(counters.requests);
        self.requests_dropped.set(counters.requests_dropped);
        self.retries.set(counters.retries);
        self.failures.set(counters.failures);
        self.fetched_ranges.set(counters.fetched_ranges);
        self.unrecoverable_gaps.set(counters.unrecoverable_gaps);
        self.injected_packets.set(counters.injected_packets);
        self.stale_packets.set(counters.stale_packets);
        self.slo_violations.set(counters.slo_violations);
        self.snapshots.set(counters.snapshots);
        self.storm.set(u64::from(engine.storm()));
        for (metric, lies) in self.lies.iter().zip(counters.lies) {
            metric.set(lies);
        }
    }
}

impl HostMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        let mut counter = |layer: Layer| {
            builder.counter(LAYER_DROPS, "packets", &format!("layer={}", layer.name()))
        };
        Self {
            nic: counter(Layer::Nic),
            softnet: counter(Layer::Softnet),
        }
    }
}

impl JournalMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        Self {
            appended_seq: builder.gauge("journal_appended_seq", "sequence", ""),
            written_seq: builder.gauge("journal_written_seq", "sequence", ""),
            durable_seq: builder.gauge("journal_durable_seq", "sequence", ""),
            records: builder.counter("journal_records_total", "records", ""),
            bytes: builder.counter("journal_bytes_total", "bytes", ""),
            segments: builder.gauge("journal_segments", "segments", ""),
            rotations: builder.counter("journal_rotations_total", "segments", ""),
            syncs: builder.counter("journal_syncs_total", "syncs", ""),
            overrun: builder.counter("journal_overrun_total", "records", ""),
            write_errors: builder.counter("journal_write_errors_total", "errors", ""),
            look_errors: builder.counter("journal_look_errors_total", "errors", ""),
            acked_loss: builder.counter("journal_acked_loss_total", "records", ""),
            holes: builder.counter("journal_holes_total", "holes", ""),
            hole_records: builder.counter("journal_hole_records_total", "records", ""),
            reopens: builder.counter("journal_reopens_total", "segments", ""),
            unsynced_bytes: builder.gauge("journal_unsynced_bytes", "bytes", ""),
            disk_free_bytes: builder.gauge("journal_disk_free_bytes", "bytes", ""),
            sync_ns: builder.histogram("journal_sync_ns", "ns", ""),
            flush_ns: builder.histogram("journal_flush_ns", "ns", ""),
        }
    }
}

impl RetentionMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        Self {
            oldest_seq: builder.gauge("journal_oldest_seq", "sequence", ""),
            pruned: builder.counter("journal_pruned_segments_total", "segments", ""),
            quarantined: builder.counter("journal_quarantined_segments_total", "segments", ""),
            recovery_problems: builder.gauge("journal_recovery_problems", "problems", ""),
            pins_lost: builder.gauge("journal_pins_lost", "pins", ""),
            failed: builder.gauge("journal_retention_failed", "flag", ""),
        }
    }
}

impl CaptureMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        builder.begin_thread();
        Self {
            cuts: builder.counter("capture_cuts_total", "files", ""),
            errors: builder.counter("capture_cut_errors_total", "errors", ""),
            lapped: builder.counter("capture_lapped_total", "packets", ""),
            skipped: builder.counter("capture_cuts_skipped_total", "gaps", ""),
        }
    }
}

/// Why a packet is refused, in any protocol.
const REASONS: [&str; 19] = [
    "truncated",
    "zero_sequence",
    "block_beyond_end",
    "trailing_bytes",
    "message_beyond_end",
    "block_beyond_message",
    "wrong_schema",
    "not_a_packet_header",
    "no_sequence",
    "no_message",
    "body_too_short",
    "wrong_release",
    TECHNICAL_HEARTBEAT,
    STRAGGLER,
    UNCONFIRMED_RESET,
    SEQUENCE_OVERFLOW,
    IMPLAUSIBLE_JUMP,
    WRONG_SESSION,
    OVERSIZE,
];

/// What a line of EOBI carries beside packets; counted, and no fault.
const TECHNICAL_HEARTBEAT: &str = "technical_heartbeat";
/// A packet of numbers that a restart has ended.
const STRAGGLER: &str = "straggler";
/// A packet that counts from 1 again, which nobody has confirmed yet.
const UNCONFIRMED_RESET: &str = "unconfirmed_reset";
/// The reason of a packet that is longer than allowed.
pub(super) const OVERSIZE: &str = "oversize";
/// The reason of a packet with a number that no session reaches.
pub(super) const SEQUENCE_OVERFLOW: &str = "sequence_overflow";
/// The reason of a packet too far ahead to be believed on its own.
pub(super) const IMPLAUSIBLE_JUMP: &str = "implausible_jump";
/// The reason of a packet of another session.
pub(super) const WRONG_SESSION: &str = "wrong_session";
