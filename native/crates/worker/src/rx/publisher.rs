//! The merge's output: records in the ring, and the events that need an answer.
//!
//! Everything that belongs to the stream goes into the ring at once, so its order is the merge's.
//! What the events mean for the gap table and for the recovery is done after the merge's call has
//! returned, because it needs the merge itself; until then they wait in `pending`.

use tickdeck_arbiter::{Event, Gap, Output, Run, SessionEventKind, Source};
use tickdeck_net::clock;
use tickdeck_ring::{RecordHeader, RingError, Writer};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{GapEvent, LostEvent, SessionEvent, kind, line, stamp};

use super::gap_rows::utc_of;
use super::metrics::{MergeMetrics, RingMetrics};

pub(super) struct Publisher {
    ring: Writer,
    channel: u16,
    metrics: RingMetrics,
    session: Option<Session>,
    /// When the last messages were delivered, UTC ns; 0 before.
    pub(super) last_delivery_ns: u64,
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
        most_events: usize,
    ) -> Self {
        Self {
            ring,
            channel,
            metrics,
            session: None,
            last_delivery_ns: 0,
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

    fn publish_session(&mut self, kind: SessionEventKind, session: Session, next_sequence: u64) {
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
        self.publish(&header, run.blocks);
        let now_ns = clock::realtime_ns();
        let latency_ns = now_ns.saturating_sub(run.rx_ns);
        if run.stamp == stamp::USER {
            self.metrics.latency_user.record(latency_ns);
        } else {
            self.metrics.latency_kernel.record(latency_ns);
        }
        self.last_delivery_ns = now_ns;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Session {
                kind,
                session,
                next_sequence,
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
            | Event::GapUnrecovered { .. } => {}
        }
        if !matches!(event, Event::Session { .. }) {
            self.pending.push(event);
        }
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
    }
}

/// Codes of the metric `session_state`; 0 is none.
const SESSION_OPEN: u64 = 1;
const SESSION_ENDED: u64 = 2;
