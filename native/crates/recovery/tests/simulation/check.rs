//! The output that fails at once when a promise is broken.

use std::collections::BTreeMap;

use tickdeck_arbiter::{Conflict, Event, LossReason, Output, Run, SessionEventKind};
use tickdeck_wire::moldudp64::{Blocks, Session};

use crate::ledger::Ledger;

/// The text of a message: its session and number, with a length that varies.
pub(crate) fn message(session: Session, sequence: u64) -> Vec<u8> {
    let mut text = sequence.to_be_bytes().to_vec();
    text.extend(session.0);
    text.resize(text.len() + (sequence % 5) as usize, b'.');
    text
}

/// A text of the same length that the venue never sent.
pub(crate) fn wrong(session: Session, sequence: u64) -> Vec<u8> {
    let mut text = message(session, sequence);
    text[3] ^= 0xFF;
    text
}

/// What left of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) next: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// Everything below is in a snapshot.
    pub(crate) snapshot_to: u64,
}

/// Checks order and content, and keeps the events for the recovery.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    current: Option<Session>,
    pub(crate) streams: BTreeMap<Session, Stream>,
    pub(crate) ended: Vec<Session>,
    pub(crate) events: Vec<Event>,
    pub(crate) ledger: Ledger,
    /// The output was stopped and was not let go on.
    pub(crate) stands: bool,
    /// Messages told as conflicts.
    pub(crate) conflicts: u64,
    /// Messages lost by reason, as [`LossReason`] numbers them.
    pub(crate) lost_by: [u64; LossReason::ALL.len() + 1],
}

impl Checked {
    /// Messages lost although somebody could have been asked for them.
    pub(crate) fn lost_for_want_of_an_answer(&self) -> u64 {
        let reasons = [LossReason::AttemptsExhausted, LossReason::NoRecoverySource];
        reasons
            .map(|reason| self.lost_by[reason as usize])
            .iter()
            .sum()
    }

    /// A snapshot stands in for what is below `resume_sequence` of the current session.
    pub(crate) fn take_snapshot(&mut self, resume_sequence: u64) {
        let stream = self.stream();
        stream.snapshot_to = stream.snapshot_to.max(resume_sequence);
    }

    pub(crate) fn stream(&mut self) -> &mut Stream {
        let session = self.current.expect("a session is told before its data");
        self.streams
            .get_mut(&session)
            .expect("a session is told before its data")
    }
}

impl Output for Checked {
    fn deliver(&mut self, run: Run<'_>) {
        let session = self.current.expect("a session is told before its data");
        assert!(!self.stands, "nothing leaves while the output stands");
        let stream = self.stream();
        assert_eq!(
            run.first_sequence, stream.next,
            "output is strictly in sequence"
        );
        let mut blocks = Blocks::new(run.payload);
        for sequence in stream.next..stream.next + u64::from(run.count) {
            assert_eq!(
                blocks.next(),
                Some(&message(session, sequence)[..]),
                "message {sequence}"
            );
        }
        assert!(
            blocks.rest().is_empty() && run.count > 0,
            "a run holds what it says"
        );
        stream.next += u64::from(run.count);
        stream.delivered += u64::from(run.count);
    }

    fn conflict(&mut self, conflict: Conflict) {
        self.conflicts += conflict.count;
    }

    fn event(&mut self, event: Event) {
        self.ledger.book(&event);
        match event {
            Event::Session {
                kind: SessionEventKind::Ended,
                session,
                next_sequence,
                ..
            } => {
                assert_eq!(
                    next_sequence,
                    self.stream().next,
                    "an end is told at the end"
                );
                self.ended.push(session);
            }
            Event::Session {
                session,
                next_sequence,
                ..
            } => {
                assert!(
                    self.ledger.is_empty(),
                    "a session that is left has no open gap"
                );
                self.current = Some(session);
                self.stands = false;
                self.ended.retain(|ended| *ended != session);
                let stream = self.streams.entry(session).or_insert(Stream {
                    next: next_sequence,
                    ..Stream::default()
                });
                assert_eq!(
                    stream.next, next_sequence,
                    "a return repeats and skips nothing"
                );
            }
            Event::GapLost { gap, reason } => {
                let count = gap.last - gap.first + 1;
                self.lost_by[reason as usize] += count;
                let stream = self.stream();
                assert_eq!(gap.first, stream.next, "a loss is told where the hole is");
                assert!(
                    reason != LossReason::Snapshot || gap.last < stream.snapshot_to,
                    "a snapshot stands in for what is lost to it"
                );
                stream.next = gap.last + 1;
                stream.lost += count;
            }
            Event::GapFilled { gap, .. } | Event::GapUnrecovered { gap, .. } => {
                assert!(gap.last < self.stream().next, "closed when it was passed");
            }
            Event::Stopped { sequence } => {
                assert_eq!(sequence, self.stream().next, "it stands where it says");
                self.stands = true;
            }
            _ => {}
        }
        self.events.push(event);
    }
}
