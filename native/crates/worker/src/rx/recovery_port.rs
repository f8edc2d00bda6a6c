//! The receive thread's side of the recovery: tells it which holes to ask for.
//!
//! Telling must never wait. When the queue is full, single messages are not worth keeping: the
//! port remembers only that the recovery's picture is out of date, and as soon as there is room
//! it tells every open gap anew, hole by hole, from the merge's own account.

use tickdeck_arbiter::Arbiter;

use super::link::{Answer, Command, Feedback, ReceiveEnd};

pub(super) struct RecoveryPort {
    end: ReceiveEnd,
    /// The recovery's picture is out of date.
    stale: bool,
    /// Something was told that the recovery does not know of yet.
    unseen: bool,
    /// The word on a stop that the recovery waits for. It is kept until there is room: without it
    /// the output would stand for ever.
    reply: Option<Command>,
    /// Commands that did not fit.
    pub(super) dropped: u64,
}

impl RecoveryPort {
    pub(super) fn new(end: ReceiveEnd) -> Self {
        Self {
            end,
            stale: false,
            unseen: false,
            reply: None,
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
        if matches!(command, Command::Stopped { .. } | Command::NotStopped) {
            // Only the newest counts.
            self.reply = Some(command);
            return;
        }
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
        if let Some(reply) = self.reply
            && self.end.commands.push(reply).is_ok()
        {
            self.reply = None;
            self.unseen = true;
        }
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
    pub(super) fn give_back(&mut self, answer: Answer) {
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

#[cfg(test)]
mod tests {
    use tickdeck_arbiter::{Arrival, Config, Event, Output, Run, Source, Start};
    use tickdeck_wire::moldudp64::{Packet, PacketBuilder, Session};

    use super::super::link::link;
    use super::*;

    struct Nowhere;
    impl Output for Nowhere {
        fn deliver(&mut self, _: Run<'_>) {}
        fn event(&mut self, _: Event) {}
    }

    /// An arbiter with gaps at 2, 4, 6, … up to `last`, all due to be asked for.
    fn arbiter_with_gaps(last: u64) -> Arbiter {
        let mut arbiter = Arbiter::new(Config {
            start: Start::SessionStart,
            ..Config::default()
        })
        .expect("a valid configuration");
        let mut builder = PacketBuilder::new(Session(*b"DEMO000001"), 100);
        for sequence in (1..=last + 1).step_by(2) {
            builder.begin(sequence);
            assert!(builder.push(b"x"));
            let arrival = Arrival {
                source: Source::Line(0),
                unit: Packet::parse(builder.finish()).expect("well formed").into(),
                rx_ns: 0,
                stamp: 1,
                now_ns: 0,
            };
            arbiter.on_packet(arrival, &mut Nowhere);
        }
        arbiter.poll(u64::MAX, &mut Nowhere);
        arbiter
    }

    /// A full queue does not cost the word on a stop: it is told, once, as soon as there is room.
    #[test]
    fn word_on_a_stop_is_kept() {
        let (end, mut other) = link(8, 100).expect("queues");
        let mut port = RecoveryPort::new(end);
        let arbiter = arbiter_with_gaps(2);
        for id in 0..100 {
            port.tell(Command::Closed { id });
        }
        port.tell(Command::Stopped { sequence: 7 });
        port.flush(&arbiter);
        while other.commands.pop().is_ok() {}
        port.mark_stale();
        port.flush(&arbiter);
        port.flush(&arbiter);
        let told: Vec<_> = std::iter::from_fn(|| other.commands.pop().ok()).collect();
        let is_word = |command: &&Command| matches!(command, Command::Stopped { sequence: 7 });
        assert_eq!(told.iter().filter(is_word).count(), 1, "{told:?}");
    }

    /// A queue that overflows loses no gap: once there is room, the recovery is told to forget
    /// and then hears of every hole that is still missing, exactly once.
    #[test]
    fn overflow_is_told_anew() {
        let (end, mut other) = link(8, 100).expect("queues");
        let mut port = RecoveryPort::new(end);
        let arbiter = arbiter_with_gaps(12);
        for _ in 0..10 {
            for view in arbiter.gaps() {
                port.open(&arbiter, view.gap.id, 0);
            }
        }
        assert!(port.dropped > 0);
        port.flush(&arbiter);
        let mut told = 0;
        while other.commands.pop().is_ok() {
            told += 1;
        }
        assert_eq!(told, 18, "nothing is told into a full queue");
        port.tell(Command::Closed { id: 1 });
        assert!(
            other.commands.pop().is_err(),
            "single messages wait for the whole"
        );
        port.flush(&arbiter);
        assert!(matches!(other.commands.pop(), Ok(Command::ForgetAll)));
        let mut holes = Vec::new();
        while let Ok(command) = other.commands.pop() {
            let Command::Open { first, last, .. } = command else {
                panic!("{command:?} among the gaps");
            };
            holes.push((first, last));
        }
        assert_eq!(holes, [(2, 2), (4, 4), (6, 6), (8, 8), (10, 10), (12, 12)]);
        port.tell(Command::Closed { id: 1 });
        assert!(matches!(
            other.commands.pop(),
            Ok(Command::Closed { id: 1 })
        ));
    }
}
