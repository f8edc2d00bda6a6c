//! A gap that is open, and where its recovery stands.

use tickdeck_wire::moldudp64::Session;

use crate::fault::Fault;
use crate::missing::Missing;

/// Answers in a row that the merge does not take, for each attempt: it may be busy for a while.
const UNTAKEN_PER_ATTEMPT: u32 = 8;

/// Who is to bring what is missing of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The source with this index.
    Asking(usize),
    /// The next snapshot; an answer that comes nevertheless is taken.
    Snapshot,
}

#[derive(Debug)]
pub(crate) struct OpenGap {
    pub(crate) id: u64,
    pub(crate) session: Session,
    pub(crate) missing: Missing,
    pub(crate) detected_ns: u64,
    pub(crate) stage: Stage,
    /// Sources that are exhausted for it, as bits of their indices.
    pub(crate) tried: u8,
    /// Since when the source of its stage has been its source.
    pub(crate) turn_ns: u64,
    /// When it may be asked for.
    pub(crate) due_ns: u64,
    /// Rounds in a row in which nothing wanted came back for a request of its own.
    pub(crate) unanswered: u32,
    /// Rounds in a row, besides those, in which the source was silent altogether.
    pub(crate) silent: u32,
    /// Rounds in a row in which an answer came that the merge did not take.
    pub(crate) untaken: u32,
    /// Rounds without an answer of its source altogether, in a row or not.
    pub(crate) stalls: u32,
    /// When a round was counted last.
    pub(crate) counted_ns: u64,
    pub(crate) requests: u32,
    pub(crate) answers: u32,
    pub(crate) fault: Fault,
    pub(crate) slo_told: bool,
}

impl OpenGap {
    pub(crate) fn new(id: u64, session: Session, detected_ns: u64, stage: Stage) -> Self {
        Self {
            id,
            session,
            missing: Missing::default(),
            detected_ns,
            stage,
            tried: 0,
            turn_ns: detected_ns,
            due_ns: detected_ns,
            unanswered: 0,
            silent: 0,
            untaken: 0,
            stalls: 0,
            counted_ns: 0,
            requests: 0,
            answers: 0,
            fault: Fault::None,
            slo_told: false,
        }
    }

    /// Rounds in a row without an answer.
    pub(crate) fn rounds(&self) -> u32 {
        self.unanswered.saturating_add(self.silent)
    }

    /// Whether its source is exhausted for it after `most` attempts.
    pub(crate) fn is_exhausted(&self, most: u32) -> bool {
        self.rounds() >= most || self.untaken >= most.saturating_mul(UNTAKEN_PER_ATTEMPT)
    }

    /// Its source has answered: due now.
    pub(crate) fn renew(&mut self, now_ns: u64) {
        (self.unanswered, self.silent) = (0, 0);
        self.due_ns = self.due_ns.min(now_ns);
    }

    /// Begins with the source of this index.
    pub(crate) fn turn_to(&mut self, source: usize, now_ns: u64) {
        self.stage = Stage::Asking(source);
        self.turn_ns = now_ns;
        self.due_ns = now_ns;
        self.counted_ns = now_ns;
        self.stalls = 0;
        (self.unanswered, self.silent, self.untaken) = (0, 0, 0);
    }

    pub(crate) fn overlaps(&self, session: Session, first: u64, last: u64) -> bool {
        self.session == session && self.missing.overlaps(first, last)
    }
}
