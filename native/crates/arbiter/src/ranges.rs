//! A bounded set of sequence ranges.

use std::collections::VecDeque;

/// The sequence numbers from `first` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) end: u64,
}

impl Span {
    pub(crate) fn len(self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    pub(crate) fn overlap(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            end: self.end.min(other.end),
        }
    }
}

/// Disjoint ranges in ascending order. When it is full the lowest range is forgotten: whoever
/// asks later gets "not in the set" for it, which errs towards what was already reported.
#[derive(Debug)]
pub(crate) struct RangeSet {
    ranges: VecDeque<Span>,
    capacity: usize,
    /// The length of the longest range that was forgotten.
    longest_forgotten: u64,
}

impl RangeSet {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        // One more, so that a split never allocates.
        Self {
            ranges: VecDeque::with_capacity(capacity + 1),
            capacity,
            longest_forgotten: 0,
        }
    }

    /// Adds numbers of which none is in the set.
    pub(crate) fn insert(&mut self, span: Span) {
        if span.len() == 0 {
            return;
        }
        let index = self.ranges.partition_point(|range| range.end <= span.first);
        let follows = index > 0 && self.ranges[index - 1].end == span.first;
        if follows {
            self.ranges[index - 1].end = span.end;
        } else {
            self.ranges.insert(index, span);
            self.forget_beyond_capacity();
        }
    }

    /// Removes what the set holds of `span` and returns how much that was.
    pub(crate) fn remove(&mut self, span: Span) -> u64 {
        let mut removed = 0;
        let mut index = self.ranges.partition_point(|range| range.end <= span.first);
        while let Some(range) = self.ranges.get(index).copied() {
            let cut = range.overlap(span);
            if cut.len() == 0 {
                break;
            }
            removed += cut.len();
            index = self.cut(index, range, cut);
        }
        self.forget_beyond_capacity();
        removed
    }

    /// How many numbers of `span` are in the set.
    pub(crate) fn count_in(&self, span: Span) -> u64 {
        let start = self.ranges.partition_point(|range| range.end <= span.first);
        let overlaps = self
            .ranges
            .iter()
            .skip(start)
            .map(|r| r.overlap(span).len());
        overlaps.take_while(|length| *length > 0).sum()
    }

    /// The length of the longest range, of those that were forgotten too.
    pub(crate) fn longest(&self) -> u64 {
        let lengths = self.ranges.iter().map(|range| range.len());
        lengths.max().unwrap_or(0).max(self.longest_forgotten)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
        self.longest_forgotten = 0;
    }

    /// Takes `cut` out of the range at `index`; returns the index of the range behind it.
    fn cut(&mut self, index: usize, range: Span, cut: Span) -> usize {
        let before = Span {
            first: range.first,
            end: cut.first,
        };
        let after = Span {
            first: cut.end,
            end: range.end,
        };
        match (before.len() > 0, after.len() > 0) {
            (false, false) => {
                self.ranges.remove(index);
                index
            }
            (true, false) => {
                self.ranges[index] = before;
                index + 1
            }
            (false, true) => {
                self.ranges[index] = after;
                index + 1
            }
            (true, true) => {
                self.ranges[index] = before;
                self.ranges.insert(index + 1, after);
                index + 2
            }
        }
    }

    fn forget_beyond_capacity(&mut self) {
        while self.ranges.len() > self.capacity {
            let forgotten = self.ranges.pop_front().map_or(0, Span::len);
            self.longest_forgotten = self.longest_forgotten.max(forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members(set: &RangeSet) -> BTreeSet<u64> {
        set.ranges.iter().flat_map(|r| r.first..r.end).collect()
    }

    proptest! {
        /// Inserting and removing ranges gives the same numbers as a plain set of numbers.
        #[test]
        fn behaves_like_a_set(
            steps in proptest::collection::vec((any::<bool>(), 0..80u64, 0..9u64), 0..60),
        ) {
            let mut set = RangeSet::with_capacity(1000);
            let mut model = BTreeSet::new();
            for (insert, first, length) in steps {
                let span = Span { first, end: first + length };
                let inside = model.range(span.first..span.end).count() as u64;
                prop_assert_eq!(set.count_in(span), inside);
                if insert {
                    if inside == 0 {
                        set.insert(span);
                        model.extend(first..span.end);
                    }
                } else {
                    prop_assert_eq!(set.remove(span), inside);
                    model.retain(|number| !(first..span.end).contains(number));
                }
                prop_assert_eq!(members(&set), model.clone());
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
        }

        /// A full set keeps the highest ranges, never grows and never allocates again.
        #[test]
        fn stays_in_its_bound(starts in proptest::collection::vec(0..1000u64, 1..100)) {
            let mut set = RangeSet::with_capacity(4);
            let allocated = set.ranges.capacity();
            for start in starts {
                let span = Span { first: start * 3, end: start * 3 + 2 };
                if set.count_in(span) == 0 {
                    set.insert(span);
                }
                set.remove(Span { first: start * 3 + 1, end: start * 3 + 2 });
                prop_assert!(set.ranges.len() <= 4);
                prop_assert_eq!(set.ranges.capacity(), allocated);
            }
        }
    }
    /// The longest range stays known when it is forgotten, until the set is cleared.
    #[test]
    fn longest_is_remembered() {
        let mut set = RangeSet::with_capacity(2);
        for (first, end) in [(1, 10), (20, 22), (30, 33)] {
            set.insert(Span { first, end });
        }
        assert_eq!((set.ranges.len(), set.longest()), (2, 9));
        set.clear();
        assert_eq!(set.longest(), 0);
    }
}
