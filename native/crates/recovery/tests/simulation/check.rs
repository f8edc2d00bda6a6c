//! The output that fails at once when a promise is broken.

use std::collections::BTreeMap;

use tickdeck_arbiter::{Event, LossReason, Output, Run, SessionEventKind};
use tickdeck_wire::moldudp64::{Blocks, Session};

/// The text of a message: its session and number, with a length that varies.
pub(crate) fn message(session: Session, sequence: u64) -> Vec<u8> {
    let mut text = sequence.to_be_bytes().to_vec();
    text.extend(session.0);
    text.resize(text.len() + (sequence % 5) as usize, b'.');
    text
}

/// What left of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) next: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
}

/// Checks order and content, and keeps the events for the recovery.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    current: Option<Session>,
    pub(crate) streams: BTreeMap<Session, Stream>,
    pub(crate) ended: Vec<Session>,
    pub(crate) events: Vec<Event>,
    /// Messages lost for another reason than that the venue had gone on to its next session.
    pub(crate) unanswered: u64,
    open: BTreeMap<u64, u64>,
}

impl Checked {
    fn stream(&mut self) -> &mut Stream {
        let session = self.current.expect("a session is told before its data");
        self.streams
            .get_mut(&session)
            .expect("a session is told before its data")
    }
}

impl Output for Checked {
    fn deliver(&mut self, run: Run<'_>) {
        let session = self.current.expect("a session is told before its data");
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

    fn event(&mut self, event: Event) {
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
                assert!(self.open.is_empty(), "a session that is left has no gap");
                self.current = Some(session);
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
            Event::GapOpened { gap } => {
                assert!(gap.first <= gap.last, "a gap is not empty");
                self.open.insert(gap.id, gap.last - gap.first + 1);
            }
            Event::GapProgress { id, missing, .. } => {
                let before = self.open.insert(id, missing);
                assert!(
                    before.is_some_and(|before| missing < before),
                    "progress is progress"
                );
            }
            Event::GapLost { gap, reason } => {
                if reason != LossReason::SessionEnded {
                    self.unanswered += gap.last - gap.first + 1;
                }
                let stream = self.stream();
                assert_eq!(gap.first, stream.next, "a loss is told where the hole is");
                stream.next = gap.last + 1;
                stream.lost += gap.last - gap.first + 1;
            }
            Event::GapFilled { gap, .. } => {
                assert!(
                    gap.last < self.stream().next,
                    "filled when it was delivered"
                );
                assert_eq!(
                    self.open.remove(&gap.id),
                    Some(0),
                    "nothing is missing any more"
                );
            }
            Event::GapUnrecovered { gap, lost, .. } => {
                assert!(gap.last < self.stream().next, "closed when it was passed");
                assert_eq!(
                    self.open.remove(&gap.id),
                    Some(lost),
                    "the rest is what was missing"
                );
            }
            Event::GapWaitOver { .. } | Event::Stopped { .. } => {}
        }
        self.events.push(event);
    }
}
