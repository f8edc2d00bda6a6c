//! The stats file of the book worker.

use std::path::Path;

use tickdeck_book::Fault;
use tickdeck_stats::{Builder, Counter, Gauge, Histogram, Identity, StatsFile};

use super::checkpoints::Checkpoints;
use super::feed::Feed;
use super::handover::Handover;
use super::patrol::Patrol;
use super::snapshots::Snapshots;
use super::venue::BookChannel;
use crate::exit::Failure;
use crate::spec::Spec;

/// Every number that the worker publishes, written by the thread that applies records.
pub(crate) struct Metrics {
    /// `book_laps_total`
    pub(crate) laps: Counter,
    /// `book_catchup_records_total`
    pub(crate) catchup_records: Counter,
    /// `book_snapshots_total`
    pub(crate) snapshots: Counter,
    /// `book_snapshot_errors_total`: not written, or refused at the start.
    pub(crate) snapshot_errors: Counter,
    /// `snapshot_payload_bytes`
    pub(crate) snapshot_bytes: Gauge,
    snapshot_grows: Counter,
    /// `book_checkpoints_total`: taken, and in the stream.
    pub(crate) checkpoints: Counter,
    checkpoint_errors: Counter,
    checkpoints_equal: Counter,
    checkpoint_mismatches: Counter,
    checkpoints_incomparable: Counter,
    integrity_checks: Counter,
    integrity_errors: Counter,
    records: Counter,
    messages: Counter,
    sequence_errors: Counter,
    lost_messages: Counter,
    missing_records: Counter,
    malformed_records: Counter,
    excused_references: Counter,
    faults: Vec<(Fault, Counter)>,
    slab_grows: Counter,
    depth_grows: Counter,
    off_tick: Counter,
    ticks: Gauge,
    cursor: Gauge,
    next_sequence: Gauge,
    lag: Gauge,
    suspect: Gauge,
    books: Gauge,
    orders: Gauge,
    trust: Gauge,
    kernel_latency: Histogram,
    user_latency: Histogram,
}

impl Metrics {
    /// Creates the stats file of this incarnation.
    pub(crate) fn create(spec: &Spec, dir: &Path) -> Result<(Self, StatsFile), Failure> {
        let mut builder = Builder::new(Identity {
            worker_id: spec.worker.clone(),
            resource: spec.exchange.name.clone(),
            build_id: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: spec.incarnation_bytes()?,
            generation: spec.generation,
        });
        builder.begin_thread();
        let metrics = Self::define(&mut builder);
        let file = builder
            .create(dir)
            .map_err(|error| Failure::failed(format!("stats file: {error}")))?;
        Ok((metrics, file))
    }

    fn define(b: &mut Builder) -> Self {
        let fault = |b: &mut Builder, fault: Fault| match fault {
            Fault::UnknownType => b.counter("book_unknown_type_total", "messages", ""),
            Fault::BadLength => b.counter("book_bad_length_total", "messages", ""),
            other => {
                let label = format!("reason={}", other.reason());
                b.counter("book_errors_total", "messages", &label)
            }
        };
        Self {
            faults: Fault::ALL
                .into_iter()
                .map(|kind| (kind, fault(b, kind)))
                .collect(),
            laps: b.counter("book_laps_total", "laps", ""),
            catchup_records: b.counter("book_catchup_records_total", "records", ""),
            snapshots: b.counter("book_snapshots_total", "snapshots", ""),
            snapshot_errors: b.counter("book_snapshot_errors_total", "snapshots", ""),
            snapshot_bytes: b.gauge("snapshot_payload_bytes", "bytes", ""),
            snapshot_grows: b.counter("snapshot_payload_vec_grows_total", "growths", ""),
            checkpoints: b.counter("book_checkpoints_total", "checkpoints", ""),
            checkpoint_errors: b.counter("book_checkpoint_errors_total", "attempts", ""),
            checkpoints_equal: b.counter("book_checkpoints_equal_total", "checkpoints", ""),
            checkpoint_mismatches: b.counter("book_checkpoint_mismatches_total", "checkpoints", ""),
            checkpoints_incomparable: b.counter(
                "book_checkpoints_incomparable_total",
                "checkpoints",
                "",
            ),
            integrity_checks: b.counter("book_integrity_checks_total", "books", ""),
            integrity_errors: b.counter("book_integrity_errors_total", "errors", ""),
            records: b.counter("book_records_total", "records", ""),
            messages: b.counter("book_messages_total", "messages", ""),
            sequence_errors: b.counter("book_sequence_errors_total", "errors", ""),
            lost_messages: b.counter("book_lost_messages_total", "messages", ""),
            missing_records: b.counter("book_missing_records_total", "records", ""),
            malformed_records: b.counter("book_malformed_records_total", "records", ""),
            excused_references: b.counter("book_excused_references_total", "messages", ""),
            slab_grows: b.counter("orderbook_slab_grows_total", "growths", ""),
            depth_grows: b.counter("orderbook_depth_vec_grows_total", "growths", ""),
            off_tick: b.counter("book_off_tick_total", "levels", ""),
            ticks: b.gauge("book_ticks", "books", ""),
            cursor: b.gauge("book_cursor_seq", "seq", ""),
            next_sequence: b.gauge("book_next_sequence", "sequence", ""),
            lag: b.gauge("book_lag_records", "records", ""),
            suspect: b.gauge("book_suspect", "books", ""),
            books: b.gauge("book_count", "books", ""),
            orders: b.gauge("book_orders", "orders", ""),
            trust: b.state("book_trust", "state", ""),
            kernel_latency: b.histogram("latency_rx_to_book_ns", "ns", "source=kernel"),
            user_latency: b.histogram("latency_rx_to_book_ns", "ns", "source=user"),
        }
    }

    /// Counts the time from the receipt of a record to its end in the books. `is_late` are records
    /// whose receive time was taken late: re-requested, or stamped by the receiver itself.
    #[inline]
    pub(crate) fn rx_to_book(&self, is_late: bool, latency_ns: u64) {
        let histogram = if is_late {
            &self.user_latency
        } else {
            &self.kernel_latency
        };
        histogram.record(latency_ns);
    }

    /// Publishes what came of checkpoints and checks.
    pub(crate) fn publish_checks(
        &self,
        checkpoints: &Checkpoints,
        handover: &Handover,
        patrol: &Patrol,
    ) {
        let tally = checkpoints.tally();
        self.checkpoint_errors.set(handover.errors());
        self.checkpoints_equal.set(tally.equal);
        self.checkpoint_mismatches.set(tally.different);
        self.checkpoints_incomparable.set(tally.incomparable);
        self.integrity_checks.set(patrol.checks());
        self.integrity_errors.set(patrol.errors());
    }

    /// Publishes the totals of the books; once per batch.
    pub(crate) fn publish(&self, channel: &BookChannel, feed: &Feed, snapshots: &Snapshots) {
        let (stream, books) = (channel.counters(), channel.books());
        self.records.set(stream.records);
        self.messages.set(books.counters().messages);
        self.sequence_errors.set(stream.sequence_errors);
        self.lost_messages.set(stream.lost_messages);
        self.missing_records.set(stream.missing_records);
        self.malformed_records.set(stream.malformed_records);
        self.excused_references
            .set(books.counters().excused_references);
        for (fault, counter) in &self.faults {
            counter.set(books.counters().fault(*fault));
        }
        self.slab_grows.set(books.slab_grows());
        self.depth_grows.set(books.depth_vec_grows());
        self.off_tick.set(books.off_tick());
        self.ticks.set(books.tick_count() as u64);
        self.snapshot_grows.set(snapshots.buffer_grows());
        self.cursor.set(channel.cursor());
        self.next_sequence.set(channel.next_sequence().unwrap_or(0));
        self.lag.set(feed.lag(channel.cursor()));
        self.suspect.set(books.suspect_count() as u64);
        self.books
            .set((books.len() + books.price_books().len()) as u64);
        self.orders.set(books.order_count() as u64);
        self.trust.set(books.channel_trust().code());
    }
}
