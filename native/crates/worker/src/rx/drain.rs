//! By when a stop has to be over: the op `drain` says so, a signal does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest that a stop takes for a journal that is slow; the daemon waits longer.
pub(super) const STOP_LIMIT_NS: u64 = 10_000_000_000;
/// No order has named one.
const NEVER: u64 = u64::MAX;

/// Shared by who takes the order and those who drain.
#[derive(Clone, Debug)]
pub(super) struct DrainDeadline(Arc<AtomicU64>);

impl DrainDeadline {
    /// None, until an order names one.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NEVER)))
    }

    /// Takes an order, the last one counts; tells for how many milliseconds it holds.
    pub(super) fn order(&self, deadline_ms: Option<u64>, now_ns: u64) -> u64 {
        let limit_ms = STOP_LIMIT_NS / 1_000_000;
        let Some(wanted_ms) = deadline_ms else {
            return limit_ms;
        };
        let held_ms = wanted_ms.min(limit_ms);
        self.0
            .store(now_ns + held_ms * 1_000_000, Ordering::Release);
        held_ms
    }

    /// Whether it has passed.
    pub(super) fn has_passed(&self, now_ns: u64) -> bool {
        now_ns >= self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It counts from the order, the last order counts, and none is longer than a stop's own limit.
    #[test]
    fn the_last_order_counts() {
        let deadline = DrainDeadline::new();
        assert!(!deadline.has_passed(u64::MAX - 1));
        assert_eq!(deadline.order(None, 5), 10_000);
        assert!(!deadline.has_passed(u64::MAX - 1));
        assert_eq!(deadline.order(Some(u64::MAX), 5), 10_000);
        assert!(!deadline.has_passed(STOP_LIMIT_NS + 4));
        assert!(deadline.has_passed(STOP_LIMIT_NS + 5));
        let same = deadline.clone();
        assert_eq!(same.order(Some(3), 7), 3);
        assert!(!deadline.has_passed(3_000_006));
        assert!(deadline.has_passed(3_000_007));
        assert_eq!(deadline.order(Some(0), 9), 0);
        assert!(deadline.has_passed(9));
    }
}
