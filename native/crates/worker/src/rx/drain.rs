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

    /// Takes an order, the last one counts; tells for how many milliseconds it holds. One that is no
    /// shorter than a stop's own limits leaves it to them: they count from where the ring ends.
    pub(super) fn order(&self, deadline_ms: Option<u64>, now_ns: u64) -> u64 {
        let limit_ms = STOP_LIMIT_NS / 1_000_000;
        let shorter_ms = deadline_ms.filter(|wanted_ms| *wanted_ms < limit_ms);
        let at_ns = shorter_ms.map_or(NEVER, |shorter_ms| now_ns + shorter_ms * 1_000_000);
        self.0.store(at_ns, Ordering::Release);
        shorter_ms.unwrap_or(limit_ms)
    }

    /// Whether it has passed.
    pub(super) fn has_passed(&self, now_ns: u64) -> bool {
        now_ns >= self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It counts from the order, the last order counts, and a long one is left to the stop's own limits.
    #[test]
    fn the_last_order_counts() {
        let deadline = DrainDeadline::new();
        assert!(!deadline.has_passed(u64::MAX - 1));
        assert_eq!(deadline.order(None, 5), 10_000);
        assert!(!deadline.has_passed(u64::MAX - 1));
        for long in [10_000, u64::MAX] {
            assert_eq!(deadline.order(Some(long), 5), 10_000);
            assert!(!deadline.has_passed(u64::MAX - 1));
        }
        let same = deadline.clone();
        assert_eq!(same.order(Some(3), 7), 3);
        assert!(!deadline.has_passed(3_000_006));
        assert!(deadline.has_passed(3_000_007));
        assert_eq!(deadline.order(Some(0), 9), 0);
        assert!(deadline.has_passed(9));
        assert_eq!(deadline.order(None, 9), 10_000);
        assert!(!deadline.has_passed(u64::MAX - 1));
    }
}
