//! The stats file of the exporter.

use tickdeck_stats::{Builder, Counter, Gauge, Identity, StatsFile};

use crate::exit::Failure;
use crate::spec::Spec;

/// What the thread that serves subscribers writes.
pub(super) struct FeedMetrics {
    pub(super) queued_bytes: Gauge,
    pub(super) dropped: Counter,
    pub(super) sent_frames: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) write_failures: Counter,
    pub(super) accepted: Counter,
    pub(super) rejected: Counter,
    pub(super) active: Gauge,
    pub(super) acked_seq: Gauge,
    pub(super) lag_records: Gauge,
    pub(super) look_failures: Counter,
    pub(super) violations: Counter,
    pub(super) audit_suppressed: Counter,
}

/// What the thread at the door, or the one that dials, writes.
pub(super) struct DoorMetrics {
    pub(super) preauth: Gauge,
    pub(super) rejected: Counter,
    pub(super) violations: Counter,
    pub(super) connect_failures: Counter,
    pub(super) accept_failures: Counter,
    pub(super) audit_suppressed: Counter,
}

/// What the main thread writes.
pub(super) struct HouseMetrics {
    pub(super) cert_expires_s: Gauge,
    /// For how long a pin has waited to become durable: told by a thread that no disk can stop.
    pub(super) pin_lag_ms: Gauge,
    /// How old the newest look at the log is, told by the same thread.
    pub(super) sight_age_ms: Gauge,
}

/// What the thread writes that looks at the log's directory.
pub(super) struct SightMetrics {
    pub(super) looks: Counter,
    pub(super) opens: Counter,
    pub(super) failures: Counter,
}

/// What the thread writes that writes pins.
pub(super) struct PinMetrics {
    pub(super) lost: Gauge,
    pub(super) failures: Counter,
}

/// All of them, each with its one writer.
pub(super) struct Metrics {
    pub(super) feed: FeedMetrics,
    pub(super) door: DoorMetrics,
    pub(super) house: HouseMetrics,
    pub(super) sight: SightMetrics,
    pub(super) pins: PinMetrics,
}

/// Creates the stats file of this incarnation.
pub(super) fn create(spec: &Spec) -> Result<(Metrics, StatsFile), Failure> {
    let mut b = Builder::new(Identity {
        worker_id: spec.worker.clone(),
        resource: spec.exchange.name.clone(),
        build_id: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: spec.incarnation_bytes()?,
        generation: spec.generation,
    });
    b.begin_thread();
    let feed = FeedMetrics {
        queued_bytes: b.gauge("tcp_export_queued_bytes", "bytes", ""),
        dropped: b.counter("tcp_export_dropped_total", "records", ""),
        sent_frames: b.counter("tcp_export_sent_frames_total", "frames", ""),
        sent_bytes: b.counter("tcp_export_sent_bytes_total", "bytes", ""),
        write_failures: b.counter("tcp_export_write_failures_total", "failures", ""),
        accepted: b.counter("tcp_export_subscriber_accepted_total", "subscribers", ""),
        rejected: b.counter("tcp_export_subscriber_rejected_total", "subscribers", ""),
        active: b.gauge("tcp_export_active_subscribers", "subscribers", ""),
        acked_seq: b.gauge("tcp_export_acked_seq", "sequence", ""),
        lag_records: b.gauge("tcp_export_lag_records", "records", ""),
        look_failures: b.counter("tcp_export_look_failures_total", "failures", ""),
        violations: b.counter("tcp_export_violations_total", "violations", ""),
        audit_suppressed: b.counter("tcp_export_audit_suppressed_total", "lines", "source=feed"),
    };
    b.begin_thread();
    let door = DoorMetrics {
        preauth: b.gauge("tcp_export_preauth", "connections", ""),
        rejected: b.counter("tcp_export_subscriber_rejected_total", "subscribers", ""),
        violations: b.counter("tcp_export_violations_total", "violations", ""),
        connect_failures: b.counter("tcp_export_connect_failures_total", "failures", ""),
        accept_failures: b.counter("tcp_export_accept_failures_total", "failures", ""),
        audit_suppressed: b.counter("tcp_export_audit_suppressed_total", "lines", "source=door"),
    };
    b.begin_thread();
    let house = HouseMetrics {
        cert_expires_s: b.gauge("tcp_export_cert_expires_s", "seconds", ""),
        pin_lag_ms: b.gauge("tcp_export_pin_lag_ms", "milliseconds", ""),
        sight_age_ms: b.gauge("tcp_export_sight_age_ms", "milliseconds", ""),
    };
    b.begin_thread();
    let sight = SightMetrics {
        looks: b.counter("tcp_export_looks_total", "looks", ""),
        opens: b.counter("tcp_export_look_opens_total", "files", ""),
        failures: b.counter("tcp_export_look_failures_total", "failures", ""),
    };
    b.begin_thread();
    let pins = PinMetrics {
        lost: b.gauge("tcp_export_slots_lost", "slots", ""),
        failures: b.counter("tcp_export_pin_failures_total", "failures", ""),
    };
    let file = b
        .create(&spec.runtime_dir)
        .map_err(|error| Failure::failed(format!("stats file: {error}")))?;
    let metrics = Metrics {
        feed,
        door,
        house,
        sight,
        pins,
    };
    Ok((metrics, file))
}
