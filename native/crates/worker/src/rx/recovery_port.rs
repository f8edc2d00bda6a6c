//! The receive thread's side of the recovery: tells it which holes to ask for.
//!
//! Telling must never wait. When the queue is full, single messages are not worth keeping: the
//! port remembers only that the recovery's picture is out of date, and as soon as there is room
//! it tells every open gap anew, hole by hole, from the merge's own account.

use tickdeck_arbiter::Arbiter;

use super::link::{Command, Feedback, ReceiveEnd};

pub(super) struct RecoveryPort {
    end: ReceiveEnd,
    /// The recovery's picture is out of date.
    stale: bool,
    /// Something was told that the recovery does not know of yet.
    unseen: bool,
    /// Commands that did not fit.
    pub(super) dropped: u64,
}

impl RecoveryPort {
    pub(super) fn new(end: ReceiveEnd) -> Self {
        Self {
            end,
            stale: false,
            unseen: false,
            dropped: 0,
        }
    }

    /// Asks for what is missing of a gap.
    pub(super) fn open(&mut self, arbiter: &Arbiter, id: u64, detected_ns: u64) {
        let Some(session) = arbiter.session() else {
            return;
        };
        for (first, last) in arbiter.holes(id) {
            self.tell(Command::Open {
                id,
                session,
                first,
                last,
                detected_ns,
            });
        }
    }

    pub(super) fn tell(&mut self, command: Command) {
        if self.stale {
            return;
        }
        self.unseen = true;
        if self.end.commands.push(command).is_err() {
            self.stale = true;
            self.dropped += 1;
        }
    }

    /// The recovery says that it lost track.
    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Tells everything anew if that is due and there is room; wakes the recovery if it has news.
    pub(super) fn flush(&mut self, arbiter: &Arbiter) {
        if self.stale {
            self.tell_all(arbiter);
        }
        if self.unseen {
            self.unseen = false;
            self.end.wake_recovery.wake();
        }
    }

    pub(super) fn next_feedback(&mut self) -> Option<Feedback> {
        self.end.feedback.pop().ok()
    }

    /// Gives an answer's buffer back.
    pub(super) fn give_back(&mut self, answer: Box<super::link::Answer>) {
        // The ring holds as many as there are buffers.
        if self.end.returns.push(answer).is_err() {
            tracing::error!("an answer buffer was lost: more came back than were made");
        }
    }

    pub(super) fn wake(&self) -> &super::wake::Wake {
        &self.end.wake
    }

    fn tell_all(&mut self, arbiter: &Arbiter) {
        let asked = || {
            arbiter
                .gaps()
                .filter(|view| view.wait_over && view.given_up.is_none())
        };
        let needed: usize = 1 + asked()
            .map(|view| arbiter.holes(view.gap.id).count())
            .sum::<usize>();
        if self.end.commands.slots() < needed {
            return;
        }
        self.stale = false;
        self.tell(Command::ForgetAll);
        for view in asked() {
            self.open(arbiter, view.gap.id, view.gap.opened_ns);
        }
    }
}
