//! Readings of the last minute, one per second and one per gap.

use std::collections::VecDeque;

/// Readings that are kept: a minute of them, and some at gaps.
const KEPT: usize = 80;

/// Readings in order of time, each with when it was complete.
pub(in crate::rx) struct History<T> {
    readings: VecDeque<(u64, T)>,
}

impl<T> History<T> {
    /// Empty; room for everything that will be kept.
    pub(in crate::rx) fn new() -> Self {
        Self {
            readings: VecDeque::with_capacity(KEPT),
        }
    }

    /// Adds one that was complete at `at_ns`, monotonic; the oldest leaves when it is full.
    pub(in crate::rx) fn add(&mut self, at_ns: u64, reading: T) {
        if self.readings.len() == KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back((at_ns, reading));
    }

    /// The newest that was complete by `at_ns`, or else the oldest.
    pub(in crate::rx) fn before(&self, at_ns: u64) -> Option<&(u64, T)> {
        let older = self
            .readings
            .iter()
            .rev()
            .find(|(done_ns, _)| *done_ns <= at_ns);
        older.or_else(|| self.readings.front())
    }

    /// The newest.
    pub(in crate::rx) fn latest(&self) -> Option<&(u64, T)> {
        self.readings.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The base of a gap is the newest reading from before it, and the oldest there is when all are
    /// younger: also when the history has been filled many times.
    #[test]
    fn base_is_the_newest_from_before() {
        let mut history = History::new();
        assert!(history.before(5).is_none() && history.latest().is_none());
        for at_ns in 0..1_000_u64 {
            history.add(at_ns * 10, at_ns);
        }
        assert_eq!(history.before(9_950), Some(&(9_950, 995)));
        assert_eq!(history.before(9_949), Some(&(9_940, 994)));
        assert_eq!(history.before(u64::MAX), history.latest());
        let oldest = 1_000 - KEPT as u64;
        assert_eq!(history.before(3), Some(&(oldest * 10, oldest)));
    }
}
