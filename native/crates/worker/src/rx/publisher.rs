//! The merge's output: records in the ring, and the events that need an answer.
//!
//! Everything that belongs to the stream goes into the ring at once, so its order is the merge's.
//! What the events mean for the gap table and for the recovery is done after the merge's call has
//! returned, because it needs the merge itself; until then they wait in `pending`.

use tickdeck_arbiter::{Conflict, Event, Gap, Output, Run, SessionEventKind, Source};
use tickdeck_net::clock;
use tickdeck_ring::{RecordHeader, RingError, Writer};
use tickdeck_wire::ledger::{LedgerNote, LedgerRow};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    Checkpoint, GapEvent, LostEvent, SessionEvent, SnapshotEvent, kind, line, stamp,
};

use super::gap_rows::utc_of;
use super::metrics::{MergeMetrics, RingMetrics};
use super::race::Race;

pub(super) struct Publisher {
    ring: Writer,
    channel: u16,
    metrics: RingMetrics,
    race: Race,
    session: Option<Session>,
    /// When the last messages were delivered, UTC ns; 0 before.
    pub(super) last_delivery_ns: u64,
    latencies: Latencies,
    /// Events of the current call, in order.
    pub(super) pending: Vec<Event>,
    failure: Option<RingError>,
}

impl Publisher {
    /// `most_events` is how many events one call into the merge can cause.
    pub(super) fn new(
        ring: Writer,
        channel: u16,
        metrics: RingMetrics,
        race: Race,
        most_events: usize,
    ) -> Self {
        Self {
            ring,
            channel,
            metrics,
            race,
            session: None,
            last_delivery_ns: 0,
            latencies: Latencies::new(),
            pending: Vec::with_capacity(most_events),
            failure: None,
        }
    }

    /// A record that could not be published; the stream has a hole then.
    pub(super) fn take_failure(&mut self) -> Option<RingError> {
        self.failure.take()
    }

    /// The sequence of the next record.
    pub(super) fn next_seq(&self) -> u64 {
        self.ring.next_seq()
    }

    /// The log that the records belong to.
    pub(super) fn log_id(&self) -> [u8; 16] {
        self.ring.log_id()
    }

    /// Records that did not fit the ring.
    pub(super) fn oversize(&self) -> u64 {
        self.metrics.oversize.get()
    }

    /// Brings the numbers of this stage up to date.
    pub(super) fn show(&self, merge: &MergeMetrics, has_ended: bool) {
        self.metrics.next_seq.set(self.ring.next_seq());
        merge.last_delivery_ns.set(self.last_delivery_ns);
        let Some(Session(name)) = self.session else {
            return;
        };
        let (high, low) = name.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        merge.session_state.set(if has_ended {
            SESSION_ENDED
        } else {
            SESSION_OPEN
        });
        merge.session_hi.set(number(high));
        merge.session_lo.set(number(low));
    }

    /// Records how long the runs of this batch took to the ring, with one reading of the clock: a
    /// reading for each would cost as much as the merge. So the time of a batch's first run
    /// includes the rest of the batch; it is never too short.
    pub(super) fn settle_latencies(&mut self) {
        if self.latencies.pending.is_empty() {
            return;
        }
        let now_ns = clock::realtime_ns();
        for (rx_ns, stamp) in self.latencies.pending.drain(..) {
            let histogram = match stamp {
                stamp::HARDWARE => &self.metrics.latency_hardware,
                stamp::KERNEL => &self.metrics.latency_kernel,
                _ => &self.metrics.latency_user,
            };
            histogram.record(now_ns.saturating_sub(rx_ns));
        }
        self.last_delivery_ns = now_ns;
    }

    /// Publishes the ledger's row of a gap.
    pub(super) fn publish_row(&mut self, row: &LedgerRow) {
        self.publish_event(kind::GAP_ROW, row.first, &row.encode());
    }

    /// Publishes what an operator noted on a gap.
    pub(super) fn publish_note(&mut self, note: &LedgerNote<'_>) {
        let mut bytes = [0; LedgerNote::MAX_LEN];
        self.publish_event(kind::GAP_NOTE, 0, note.encode(&mut bytes));
    }

    /// Publishes a checkpoint of the books and returns its sequence.
    pub(super) fn publish_checkpoint(&mut self, checkpoint: &Checkpoint) -> u64 {
        let seq = self.next_seq();
        let venue_seq = checkpoint.next_sequence;
        self.publish_event(kind::SNAPSHOT_ANCHOR, venue_seq, &checkpoint.encode());
        seq
    }

    fn publish(&mut self, header: &RecordHeader, payload: &[u8]) {
        match self.ring.publish(header, payload) {
            Ok(_) => self.metrics.published.add(1),
            Err(error) => {
                self.metrics.oversize.add(1);
                self.failure.get_or_insert(error);
            }
        }
    }

    fn publish_event(&mut self, kind: u8, venue_seq: u64, payload: &[u8]) {
        let header = RecordHeader {
            kind,
            line: line::NONE,
            stamp: stamp::USER,
            channel: self.channel,
            count: 0,
            venue_seq,
            rx_ns: clock::realtime_ns(),
        };
        self.publish(&header, payload);
    }

    /// Publishes the beginning or the end of a snapshot of the venue's.
    pub(super) fn snapshot_edge(&mut self, kind: u8, event: &SnapshotEvent) {
        self.publish_event(kind, event.resume_sequence, &event.encode());
    }

    /// Publishes a part of that snapshot.
    pub(super) fn snapshot_part(&mut self, resume_sequence: u64, part: &[u8], rx_ns: u64) {
        let header = RecordHeader {
            kind: kind::SNAPSHOT_DATA,
            line: line::SNAPSHOT,
            stamp: stamp::USER,
            channel: self.channel,
            count: 0,
            venue_seq: resume_sequence,
            rx_ns,
        };
        self.publish(&header, part);
    }

    /// Says what the session does, and where it stands.
    pub(super) fn publish_session(
        &mut self,
        kind: SessionEventKind,
        session: Session,
        next_sequence: u64,
    ) {
        if kind != SessionEventKind::Ended {
            self.session = Some(session);
        }
        tracing::info!(event = kind.name(), %session, next_sequence, "session");
        let event = SessionEvent {
            kind,
            session,
            next_sequence,
        };
        self.publish_event(kind::SESSION, next_sequence, &event.encode());
    }
}

/// Receive times of the runs that were delivered since the clock was last read.
struct Latencies {
    pending: Vec<(u64, u8)>,
}

impl Latencies {
    /// Runs between two readings at most: a release of held packets can be long.
    const MOST: usize = 256;

    fn new() -> Self {
        Self {
            pending: Vec::with_capacity(Self::MOST),
        }
    }

    /// Notes one more; returns whether there is room for no other.
    #[inline]
    fn is_full_with(&mut self, rx_ns: u64, stamp: u8) -> bool {
        self.pending.push((rx_ns, stamp));
        self.pending.len() == Self::MOST
    }
}

impl Output for Publisher {
    #[inline]
    fn deliver(&mut self, run: Run<'_>) {
        let header = RecordHeader {
            kind: kind::DATA,
            line: line_code(run.source),
            stamp: run.stamp,
            channel: self.channel,
            count: run.count,
            venue_seq: run.first_sequence,
            rx_ns: run.rx_ns,
        };
        self.publish(&header, run.payload);
        if self.latencies.is_full_with(run.rx_ns, run.stamp) {
            self.settle_latencies();
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Session {
                kind,
                session,
                next_sequence,
                ..
            } => self.publish_session(kind, session, next_sequence),
            Event::GapOpened { gap } => {
                self.publish_event(kind::GAP_OPEN, gap.first, &gap_event(&gap).encode());
            }
            Event::GapFilled { gap, .. } => {
                self.publish_event(kind::GAP_FILLED, gap.first, &gap_event(&gap).encode());
            }
            Event::GapLost { gap, reason } => {
                let gap_event = gap_event(&gap);
                let lost = LostEvent {
                    gap: gap_event,
                    reason,
                };
                self.publish_event(kind::GAP_LOST, gap.first, &lost.encode());
            }
            Event::GapWaitOver { .. }
            | Event::GapProgress { .. }
            | Event::GapUnrecovered { .. }
            | Event::Stopped { .. } => {}
        }
        self.pending.push(event);
    }

    #[cold]
    fn conflict(&mut self, conflict: Conflict) {
        self.race.conflict(conflict);
    }

    #[inline]
    fn race(&mut self, first_line: u8, _second_line: u8, lead_ns: u64) {
        self.race.lead(first_line, lead_ns);
    }
}

fn gap_event(gap: &Gap) -> GapEvent {
    GapEvent {
        gap_id: gap.id,
        first: gap.first,
        last: gap.last,
        detected_ns: utc_of(gap.opened_ns),
    }
}

fn line_code(source: Source) -> u8 {
    match source {
        Source::Line(line) => line,
        Source::Retransmit => line::RETRANSMIT,
        Source::Stream => line::STREAM,
        Source::Peer => line::PEER,
    }
}

/// Codes of the metric `session_state`; 0 is none.
const SESSION_OPEN: u64 = 1;
const SESSION_ENDED: u64 = 2;
