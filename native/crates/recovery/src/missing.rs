//! What is missing of one gap, as ranges in order.

/// Ranges of one gap that are told apart. Beyond that a received part is not cut out, and is
/// asked for again with what lies around it.
const MAX_RANGES: usize = 256;

/// Ascending, disjoint, inclusive ranges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing(Vec<(u64, u64)>);

impl Missing {
    /// Adds a range; what overlaps it or touches it is joined with it.
    pub(crate) fn add(&mut self, first: u64, last: u64) {
        let mut joined = (first, last);
        self.0.retain(|&(f, l)| {
            let apart = l.saturating_add(1) < joined.0 || f > joined.1.saturating_add(1);
            if !apart {
                joined = (f.min(joined.0), l.max(joined.1));
            }
            apart
        });
        let index = self.0.partition_point(|range| range.0 < joined.0);
        self.0.insert(index, joined);
    }

    /// Takes a range out; `true` when something of it was missing.
    pub(crate) fn remove(&mut self, first: u64, last: u64) -> bool {
        let mut found = false;
        let mut index = 0;
        while let Some(&(f, l)) = self.0.get(index) {
            if l < first || f > last {
                index += 1;
                continue;
            }
            found = true;
            match (f < first, l > last) {
                (false, false) => {
                    self.0.remove(index);
                }
                (true, false) => self.0[index].1 = first - 1,
                (false, true) => self.0[index].0 = last + 1,
                (true, true) if self.0.len() < MAX_RANGES => {
                    self.0[index].1 = first - 1;
                    self.0.insert(index + 1, (last + 1, l));
                    index += 1;
                }
                (true, true) => index += 1,
            }
        }
        found
    }

    pub(crate) fn overlaps(&self, first: u64, last: u64) -> bool {
        self.0.iter().any(|&(f, l)| f <= last && l >= first)
    }

    /// The first and the last missing number in `first..=last`.
    pub(crate) fn hull_in(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        let mut within = self.0.iter().filter(|&&(f, l)| f <= last && l >= first);
        let &(low, end) = within.next()?;
        let high = within.next_back().map_or(end, |range| range.1);
        Some((low.max(first), high.min(last)))
    }

    /// The lowest missing number; 0 when nothing is missing.
    pub(crate) fn first(&self) -> u64 {
        self.0.first().map_or(0, |range| range.0)
    }

    /// The highest missing number; 0 when nothing is missing.
    pub(crate) fn last(&self) -> u64 {
        self.0.last().map_or(0, |range| range.1)
    }

    /// How many numbers are missing.
    pub(crate) fn count(&self) -> u64 {
        let lengths = self.0.iter().map(|&(f, l)| (l - f).saturating_add(1));
        lengths.fold(0, u64::saturating_add)
    }

    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Adding and removing ranges gives the same numbers as a plain set, in order, and
        /// ranges that touch are one.
        #[test]
        fn behaves_like_a_set(
            steps in proptest::collection::vec((any::<bool>(), 1..90u64, 0..9u64), 0..60),
        ) {
            let mut missing = Missing::default();
            let mut model = BTreeSet::new();
            for (add, first, length) in steps {
                let last = first + length;
                let overlaps = model.range(first..=last).next().is_some();
                prop_assert_eq!(missing.overlaps(first, last), overlaps);
                if add {
                    missing.add(first, last);
                    model.extend(first..=last);
                } else {
                    prop_assert_eq!(missing.remove(first, last), overlaps);
                    model.retain(|number| !(first..=last).contains(number));
                }
                let numbers: Vec<u64> = missing.0.iter().flat_map(|&(f, l)| f..=l).collect();
                prop_assert_eq!(numbers, model.iter().copied().collect::<Vec<u64>>());
                prop_assert_eq!(missing.is_empty(), model.is_empty());
                prop_assert_eq!(missing.count(), model.len() as u64);
                let within = || model.range(first..=last).copied();
                let hull = within().next().zip(within().next_back());
                prop_assert_eq!(missing.hull_in(first, last), hull);
            }
        }
    }

    /// At the limit a part in the middle stays in, so what is asked for still covers the rest.
    #[test]
    fn is_bounded() {
        let mut missing = Missing::default();
        missing.add(1, 10_000);
        for part in 1..=2 * MAX_RANGES as u64 {
            assert!(missing.remove(part * 4, part * 4));
        }
        assert_eq!(missing.0.len(), MAX_RANGES);
        assert!(missing.overlaps(10_000, 10_000));
    }
}
