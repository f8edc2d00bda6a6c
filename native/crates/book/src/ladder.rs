//! One side of a book: its price levels, sorted, the best at the end.
//!
//! A sorted array of rungs. Nearly all events touch the best few levels, so a search walks
//! back from the end and an insertion or removal there moves only the rungs behind it; a tree would
//! pay a cache miss per step for the same answer. A far level is found by binary search, so that a
//! deep or hostile book costs a logarithm, not a walk.

use crate::types::Side;

/// The sorted levels of one side.
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
}

/// A price, as a key that grows towards the best price, and the address of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) key: i64,
    pub(crate) level: u32,
}

/// How many rungs are tried one by one before the search halves the rest.
const WALK: usize = 16;

impl Ladder {
    pub(crate) fn new(reserve: usize) -> Self {
        Self {
            rungs: Vec::with_capacity(reserve),
        }
    }

    /// The position of the rung with this key, or where it would have to be inserted.
    #[inline]
    pub(crate) fn find(&self, key: i64) -> Result<usize, usize> {
        let len = self.rungs.len();
        let walked = len.saturating_sub(WALK);
        for at in (walked..len).rev() {
            let rung = self.rungs[at];
            if rung.key <= key {
                return if rung.key == key { Ok(at) } else { Err(at + 1) };
            }
        }
        self.rungs[..walked].binary_search_by_key(&key, |rung| rung.key)
    }

    /// The level at a position that [`Self::find`] returned as `Ok`.
    #[inline]
    pub(crate) fn level_at(&self, position: usize) -> u32 {
        self.rungs[position].level
    }

    /// Inserts a level at a position that [`Self::find`] returned as `Err`. True when the array
    /// grew.
    #[inline]
    pub(crate) fn insert(&mut self, position: usize, key: i64, level: u32) -> bool {
        let grows = self.rungs.len() == self.rungs.capacity();
        self.rungs.insert(position, Rung { key, level });
        grows
    }

    /// Takes the level of this price out, if it is there.
    #[inline]
    pub(crate) fn remove(&mut self, key: i64) {
        if let Ok(position) = self.find(key) {
            self.rungs.remove(position);
        }
    }

    /// The rung of the best price.
    #[inline]
    pub(crate) fn best(&self) -> Option<Rung> {
        self.rungs.last().copied()
    }

    /// How many levels there are.
    pub(crate) fn len(&self) -> usize {
        self.rungs.len()
    }

    /// Rungs, best price first.
    pub(crate) fn best_first(&self) -> impl Iterator<Item = Rung> {
        self.rungs.iter().rev().copied()
    }

    /// Whether the keys are strictly ascending, as every method relies on.
    pub(crate) fn is_sorted(&self) -> bool {
        self.rungs.windows(2).all(|pair| pair[0].key < pair[1].key)
    }
}

/// The two ladders of one instrument and its number of orders.
pub(crate) struct Sides {
    ladders: [Ladder; 2],
    pub(crate) orders: u32,
}

impl Sides {
    pub(crate) fn new(levels_per_side: usize) -> Self {
        Self {
            ladders: [Ladder::new(levels_per_side), Ladder::new(levels_per_side)],
            orders: 0,
        }
    }

    #[inline]
    pub(crate) fn side(&self, side: Side) -> &Ladder {
        &self.ladders[side.index()]
    }

    #[inline]
    pub(crate) fn side_mut(&mut self, side: Side) -> &mut Ladder {
        &mut self.ladders[side.index()]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Insertions and removals anywhere keep the array equal to a sorted map, beyond the walk
        /// too.
        #[test]
        fn agrees_with_a_sorted_map(
            steps in prop::collection::vec((any::<bool>(), -45..45i64), 1..400)
        ) {
            let mut ladder = Ladder::new(1);
            let mut map = BTreeMap::new();
            for (level, (insert, key)) in (0u32..).zip(steps) {
                if insert {
                    if let Err(position) = ladder.find(key) {
                        ladder.insert(position, key, level);
                        map.insert(key, level);
                    }
                } else {
                    ladder.remove(key);
                    map.remove(&key);
                }
                let rungs = ladder.best_first().map(|rung| (rung.key, rung.level));
                let expected = map.iter().rev().map(|(key, level)| (*key, *level));
                prop_assert!(rungs.eq(expected));
                prop_assert!(ladder.is_sorted());
                for (key, level) in &map {
                    prop_assert_eq!(ladder.find(*key).map(|at| ladder.level_at(at)), Ok(*level));
                }
            }
        }
    }
}
