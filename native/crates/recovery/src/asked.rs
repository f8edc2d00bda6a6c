//! What was asked for, remembered in bounded logs: ranges of numbers of several sessions.

use std::collections::VecDeque;

use tickdeck_wire::moldudp64::Session;

#[derive(Clone, Copy, Debug)]
struct Range {
    session: Session,
    first: u64,
    last: u64,
}

/// Disjoint inclusive ranges, in the order in which they were last added to; the oldest goes when
/// there is no room.
#[derive(Debug)]
pub(crate) struct RangeLog {
    ranges: VecDeque<Range>,
    capacity: usize,
}

impl RangeLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ranges: VecDeque::new(),
            capacity,
        }
    }

    /// Adds a range; what overlaps it or touches it becomes one with it.
    pub(crate) fn add(&mut self, session: Session, first: u64, last: u64) {
        let mut joined = Range {
            session,
            first,
            last,
        };
        self.ranges.retain(|range| {
            let touches = range.session == session
                && range.first <= joined.last.saturating_add(1)
                && joined.first <= range.last.saturating_add(1);
            if touches {
                joined.first = joined.first.min(range.first);
                joined.last = joined.last.max(range.last);
            }
            !touches
        });
        if self.ranges.len() >= self.capacity {
            self.ranges.pop_front();
        }
        self.ranges.push_back(joined);
    }

    pub(crate) fn knows(&self, session: Session) -> bool {
        self.ranges.iter().any(|range| range.session == session)
    }

    /// The ranges that overlap `first..=last`, whole.
    pub(crate) fn overlapping(
        &self,
        session: Session,
        first: u64,
        last: u64,
    ) -> impl Iterator<Item = (u64, u64)> {
        let overlaps = move |range: &&Range| {
            range.session == session && range.first <= last && range.last >= first
        };
        let ranges = self.ranges.iter().filter(overlaps);
        ranges.map(|range| (range.first, range.last))
    }
}

/// Requests in the order in which they were made, each with what it was not answered for; the
/// oldest goes when there is no room.
#[derive(Debug)]
pub(crate) struct RequestLog {
    requests: VecDeque<Range>,
    capacity: usize,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            requests: VecDeque::new(),
            capacity,
        }
    }

    pub(crate) fn add(&mut self, session: Session, first: u64, last: u64) {
        self.requests.push_back(Range {
            session,
            first,
            last,
        });
        self.trim();
    }

    /// Takes `first..=last` off the oldest request that has some of it; `false` when none has.
    pub(crate) fn answer(&mut self, session: Session, first: u64, last: u64) -> bool {
        let overlaps =
            |range: &Range| range.session == session && range.first <= last && range.last >= first;
        let Some(index) = self.requests.iter().position(overlaps) else {
            return false;
        };
        let Some(whole) = self.requests.remove(index) else {
            return false;
        };
        if whole.last > last {
            let rest = Range {
                first: last + 1,
                ..whole
            };
            self.requests.insert(index, rest);
        }
        if whole.first < first {
            let rest = Range {
                last: first - 1,
                ..whole
            };
            self.requests.insert(index, rest);
        }
        self.trim();
        true
    }

    fn trim(&mut self) {
        while self.requests.len() > self.capacity {
            self.requests.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SESSION: Session = Session(*b"DEMO000001");

    proptest! {
        /// With room enough, what was added is there, and no two ranges touch.
        #[test]
        fn behaves_like_a_set(steps in proptest::collection::vec((1..90u64, 0..9u64), 0..40)) {
            let mut log = RangeLog::new(1000);
            let mut model = BTreeSet::new();
            for (first, length) in steps {
                log.add(SESSION, first, first + length);
                model.extend(first..=first + length);
                let mut ranges: Vec<_> = log.overlapping(SESSION, 0, u64::MAX).collect();
                ranges.sort_unstable();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
                let numbers: Vec<u64> = ranges.into_iter().flat_map(|(f, l)| f..=l).collect();
                prop_assert_eq!(numbers, model.iter().copied().collect::<Vec<u64>>());
            }
        }
    }

    /// The same request made twice has two answers, each in as many parts as it likes.
    #[test]
    fn each_request_is_answered_for_itself() {
        let mut log = RequestLog::new(8);
        log.add(SESSION, 10, 19);
        log.add(SESSION, 10, 19);
        for part in [(14, 15), (10, 13), (16, 19), (1, 30)] {
            assert!(log.answer(SESSION, part.0, part.1), "{part:?}");
        }
        assert!(!log.answer(SESSION, 10, 19), "both are answered");
        for first in 0..20 {
            log.add(SESSION, first * 10, first * 10);
        }
        assert!(!log.answer(SESSION, 110, 110), "the oldest are forgotten");
        assert!(log.answer(SESSION, 120, 120));
    }

    /// At the limit the oldest range is forgotten; sessions are kept apart.
    #[test]
    fn is_bounded() {
        let mut log = RangeLog::new(2);
        log.add(SESSION, 1, 2);
        log.add(Session(*b"OTHER     "), 3, 4);
        log.add(SESSION, 10, 11);
        assert_eq!(
            log.overlapping(SESSION, 1, 99).collect::<Vec<_>>(),
            [(10, 11)]
        );
        assert!(log.knows(Session(*b"OTHER     ")));
    }
}
