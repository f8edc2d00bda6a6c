//! How many messages are due at a wanted rate.

use std::num::NonZeroU64;

/// How far a sender that was held up may run behind and still catch up; the rest is forgiven, so
/// that a pause does not end in a burst.
const MAX_BACKLOG_NS: u64 = 100_000_000;
const SECOND_NS: u128 = 1_000_000_000;

/// A wanted rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Messages per second.
    PerSecond(NonZeroU64),
    /// As fast as possible.
    Max,
}

/// Turns the time that passed into messages that are due.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Rate,
    /// When message 0 of the schedule was due, monotonic.
    origin_ns: u64,
    sent: u64,
}

impl Pacer {
    /// A pacer whose first message is due at once.
    pub fn new(rate: Rate, now_ns: u64) -> Self {
        Self {
            rate,
            origin_ns: now_ns,
            sent: 0,
        }
    }

    /// Messages that may be sent now, beyond those reported by [`Pacer::sent`].
    pub fn due(&mut self, now_ns: u64) -> u64 {
        let Rate::PerSecond(rate) = self.rate else {
            return u64::MAX;
        };
        let next_due_ns = self.due_at(rate, self.sent);
        let behind_ns = now_ns.saturating_sub(next_due_ns);
        if behind_ns > MAX_BACKLOG_NS {
            self.origin_ns += behind_ns - MAX_BACKLOG_NS;
        }
        let passed_ns = u128::from(now_ns.saturating_sub(self.origin_ns));
        let scheduled = passed_ns * u128::from(rate.get()) / SECOND_NS;
        let scheduled = u64::try_from(scheduled)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        scheduled.saturating_sub(self.sent)
    }

    /// Reports messages as sent.
    pub fn sent(&mut self, messages: u64) {
        self.sent += messages;
    }

    /// Nanoseconds until `messages` more are due; 0 when they are.
    pub fn wait_ns(&self, messages: u64, now_ns: u64) -> u64 {
        let Rate::PerSecond(rate) = self.rate else {
            return 0;
        };
        let last = (self.sent + messages).saturating_sub(1);
        self.due_at(rate, last).saturating_sub(now_ns)
    }

    /// When the message with this number, from 0, is due.
    fn due_at(&self, rate: NonZeroU64, number: u64) -> u64 {
        let after_ns = (u128::from(number) * SECOND_NS).div_ceil(u128::from(rate.get()));
        self.origin_ns
            .saturating_add(u64::try_from(after_ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u64) -> Rate {
        Rate::PerSecond(NonZeroU64::new(per_second).unwrap())
    }

    /// Proves that one message is due at once and then one per interval.
    #[test]
    fn messages_come_due_one_per_interval() {
        let mut pacer = Pacer::new(rate(1_000), 5);
        assert_eq!(pacer.due(5), 1);
        pacer.sent(1);
        assert_eq!((pacer.due(6), pacer.wait_ns(1, 6)), (0, 999_999));
        assert_eq!(
            (pacer.due(1_000_005), pacer.wait_ns(3, 1_000_005)),
            (1, 2_000_000)
        );
    }

    /// Proves that after a long pause only a tenth of a second is made up for.
    #[test]
    fn a_pause_does_not_end_in_a_burst() {
        let mut pacer = Pacer::new(rate(1_000), 0);
        pacer.sent(1);
        assert_eq!(pacer.due(60_000_000_000), 101);
    }

    /// Proves that the fastest rate never waits.
    #[test]
    fn as_fast_as_possible_never_waits() {
        let mut pacer = Pacer::new(Rate::Max, 0);
        assert_eq!((pacer.due(0), pacer.wait_ns(u64::MAX, 0)), (u64::MAX, 0));
    }

    proptest! {
        /// Proves that a sender that sleeps as told keeps the rate: never ahead, never behind.
        #[test]
        fn a_patient_sender_keeps_the_rate(per_second in 1u64..2_000_000, batch in 1u64..50) {
            let mut pacer = Pacer::new(rate(per_second), 1_000);
            let mut now_ns = 1_000;
            for round in 0..50 {
                now_ns += pacer.wait_ns(batch, now_ns);
                // A batch longer than the tolerated backlog was partly forgiven: not this test.
                prop_assume!(batch * 1_000_000_000 / per_second < MAX_BACKLOG_NS);
                prop_assert!(pacer.due(now_ns) >= batch, "round {}", round);
                pacer.sent(batch);
                prop_assert!(pacer.wait_ns(1, now_ns) > 0);
            }
            let expected_ns = (50 * batch - 1) * 1_000_000_000 / per_second;
            prop_assert!((now_ns - 1_000).abs_diff(expected_ns) <= 1);
        }
    }
}
