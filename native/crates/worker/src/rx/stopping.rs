//! Stops the output for a snapshot, takes its records into the stream, and lets the output go on.
//!
//! It stops where it stands while a snapshot is loaded, so that the snapshot cannot be older than
//! what has left. Then it is carried on to the snapshot's place, but not before the lines have come
//! so far: what they still bring belongs into the journal.

use tickdeck_net::clock::realtime_ns;
use tickdeck_wire::record::{SessionEventKind, SnapshotEvent, kind};

use super::link::{Answer, Command};
use super::merge::Merge;

impl Merge {
    /// Stops before `sequence`, or where the output stands; tells the recovery when it has.
    pub(super) fn stop_output(&mut self, sequence: Option<u64>, now_ns: u64) {
        match sequence {
            None => self.stop_at(self.arbiter.next_sequence(), now_ns),
            Some(sequence) => {
                self.stop_target = Some(sequence);
                self.stop_if_due(now_ns);
            }
        }
    }

    /// Carries the output to the snapshot's place when the lines have come there.
    #[inline]
    pub(super) fn stop_if_due(&mut self, now_ns: u64) {
        if let Some(sequence) = self.stop_target
            && self.arbiter.shown_sequence() >= sequence
        {
            self.stop_target = None;
            // Not let go on first: with nothing missing it would run past the place.
            self.stop_at(sequence, now_ns);
        }
    }

    pub(super) fn let_output_go_on(&mut self, now_ns: u64) {
        self.stop_target = None;
        self.arbiter.go_on(now_ns, &mut self.publisher);
        self.settle(now_ns);
    }

    /// A session that takes over lets the output go on by itself: there is nothing to wait for.
    pub(super) fn on_session(&mut self, kind: SessionEventKind) {
        if matches!(kind, SessionEventKind::Started | SessionEventKind::Changed) {
            self.stop_target = None;
            self.is_loading = false;
            if let Some(session) = self.arbiter.session() {
                self.rows.session_began(session);
            }
            self.tell(Command::NotStopped);
        }
        // The recovery needs the session before the first gap of it.
        self.position_due_ns = 0;
    }

    /// A snapshot of the whole channel belongs where the output stands for it, and nowhere else.
    pub(super) fn begin_snapshot(&mut self, event: &SnapshotEvent) {
        let place = self.arbiter.stopped_at();
        self.is_loading =
            event.scope != SnapshotEvent::WHOLE_CHANNEL || place == Some(event.resume_sequence);
        if self.is_loading {
            self.publisher.snapshot_edge(kind::SNAPSHOT_BEGIN, event);
        } else {
            let resume_sequence = event.resume_sequence;
            tracing::warn!(resume_sequence, "a snapshot came too late and is left out");
        }
    }

    pub(super) fn take_snapshot_part(&mut self, part: Answer) {
        if self.is_loading {
            self.publisher
                .snapshot_part(part.about.first, part.payload(), part.rx_ns);
        }
        self.give_back(part);
    }

    pub(super) fn end_snapshot(&mut self, event: &SnapshotEvent) {
        if !std::mem::take(&mut self.is_loading) {
            return;
        }
        self.publisher.snapshot_edge(kind::SNAPSHOT_END, event);
        if event.scope == SnapshotEvent::WHOLE_CHANNEL {
            self.rows.healed_below(event.resume_sequence, realtime_ns());
        }
    }

    fn stop_at(&mut self, sequence: u64, now_ns: u64) {
        let stopped = self.arbiter.carry_to(sequence, now_ns, &mut self.publisher);
        if let Err(error) = stopped {
            tracing::warn!(sequence, %error, "the output does not stop for a snapshot");
            self.tell(Command::NotStopped);
        }
        self.settle(now_ns);
    }
}
