//! Stopping the output exactly before a number, so that a snapshot can take its place there.

use thiserror::Error;
use tickdeck_wire::record::LossReason;

use crate::io::{Event, Output};
use crate::jumps::SEQUENCE_LIMIT;

use super::Arbiter;

/// Why the output does not stop where it was asked to; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StopError {
    /// No session was seen yet: there is no output that could stop.
    #[error("there is no session yet; ask again when the lines are heard")]
    NoSession,
    /// The output is beyond the number: what comes next is `next`.
    #[error("the output is at {next} already; take a newer snapshot")]
    Passed {
        /// The sequence number to deliver next.
        next: u64,
    },
    /// Further ahead of everything known than a line packet could be on its own.
    #[error("too far ahead: the lines have come to {shown}; the snapshot is of another session")]
    TooFar {
        /// The end of what the lines have shown.
        shown: u64,
    },
    /// It stands at another number and was not let go on.
    #[error("the output stands at {at} already; let it go on first")]
    Standing {
        /// Where it stands.
        at: u64,
    },
}

impl Arbiter {
    /// Brings the output to `sequence` and stops it there: what is missing below is given up
    /// with [`LossReason::Snapshot`], what is held below is delivered, and a run that straddles
    /// the number is cut there. [`Event::Stopped`] has reached `out` when this returns.
    ///
    /// Until [`Arbiter::go_on`] nothing leaves. What comes meanwhile is held like data behind a
    /// gap, in the same bounded memory, but no gap opens for it and no time runs. A session that
    /// takes over lets the output go on by itself.
    ///
    /// # Errors
    /// [`StopError`] when the output cannot stop there.
    pub fn stop_at(
        &mut self,
        sequence: u64,
        now_ns: u64,
        out: &mut impl Output,
    ) -> Result<(), StopError> {
        let far = self.shown.saturating_add(self.jumps.max_messages());
        if self.next == 0 || self.sessions.current().is_none() {
            return Err(StopError::NoSession);
        }
        if self.stopped {
            return Err(StopError::Standing { at: self.next });
        }
        if sequence < self.next {
            return Err(StopError::Passed { next: self.next });
        }
        if sequence > far.min(SEQUENCE_LIMIT) {
            return Err(StopError::TooFar { shown: self.shown });
        }
        // The venue's word for what exists is as good as a line's.
        self.shown = self.shown.max(sequence);
        self.advance_to(sequence, Some(LossReason::Snapshot), out);
        self.reveal_rest(now_ns, out);
        self.advance_to(sequence, Some(LossReason::Snapshot), out);
        assert_eq!(self.next, sequence, "everything before the number is known");
        self.stopped = true;
        out.event(Event::Stopped { sequence });
        self.finish(now_ns, out);
        Ok(())
    }

    /// As [`Arbiter::stop_at`] for an output that may stand already: it is carried on to `sequence`,
    /// and nothing behind that leaves.
    ///
    /// # Errors
    /// [`StopError`] when the output cannot stop there; it stands where it stood.
    pub fn carry_to(
        &mut self,
        sequence: u64,
        now_ns: u64,
        out: &mut impl Output,
    ) -> Result<(), StopError> {
        let stood = std::mem::take(&mut self.stopped);
        let carried = self.stop_at(sequence, now_ns, out);
        if carried.is_err() {
            self.stopped = stood;
        }
        carried
    }

    /// Lets the output go on. `false` when it was not stopped.
    pub fn go_on(&mut self, now_ns: u64, out: &mut impl Output) -> bool {
        let stood = std::mem::take(&mut self.stopped);
        if stood {
            self.advance(out);
            self.finish(now_ns, out);
        }
        stood
    }

    /// Where the output stands, when it is stopped.
    pub fn stopped_at(&self) -> Option<u64> {
        self.stopped.then_some(self.next)
    }
}
