//! Ranges of sequence numbers of several sessions, remembered in a bounded log.

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

    /// Takes `first..=last` out; `true` when something of it was there.
    pub(crate) fn cut(&mut self, session: Session, first: u64, last: u64) -> bool {
        let mut found = false;
        for index in (0..self.ranges.len()).rev() {
            let range = self.ranges[index];
            if range.session != session || range.first > last || range.last < first {
                continue;
            }
            found = true;
            self.ranges.remove(index);
            if range.last > last {
                let rest = Range {
                    first: last + 1,
                    ..range
                };
                self.ranges.insert(index, rest);
            }
            if range.first < first {
                let rest = Range {
                    last: first - 1,
                    ..range
                };
                self.ranges.insert(index, rest);
            }
        }
        while self.ranges.len() > self.capacity {
            self.ranges.pop_front();
        }
        found
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SESSION: Session = Session(*b"DEMO000001");

    proptest! {
        /// With room enough, adding and cutting give the numbers of a plain set, and no two
        /// ranges touch after an addition.
        #[test]
        fn behaves_like_a_set(
            steps in proptest::collection::vec((any::<bool>(), 1..90u64, 0..9u64), 0..60),
        ) {
            let mut log = RangeLog::new(1000);
            let mut model = BTreeSet::new();
            for (add, first, length) in steps {
                let last = first + length;
                if add {
                    log.add(SESSION, first, last);
                    model.extend(first..=last);
                } else {
                    let overlaps = model.range(first..=last).next().is_some();
                    prop_assert_eq!(log.cut(SESSION, first, last), overlaps);
                    model.retain(|number| !(first..=last).contains(number));
                }
                let mut numbers: Vec<u64> =
                    log.overlapping(SESSION, 0, u64::MAX).flat_map(|(f, l)| f..=l).collect();
                numbers.sort_unstable();
                prop_assert_eq!(numbers, model.iter().copied().collect::<Vec<u64>>());
            }
        }
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
