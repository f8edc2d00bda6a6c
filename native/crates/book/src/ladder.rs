//! One side of a book: its price levels, sorted, the best at the end.
//!
//! A sorted array of prices. Nearly all events touch the best few levels, so a search walks
//! back from the end and an insertion or removal there moves only the rungs behind it; a tree would
//! pay a cache miss per step for the same answer. A far level is found by binary search, so that a
//! deep or hostile book costs a logarithm, not a walk.

use crate::lookahead::Prefetch;
use crate::slab::NONE;
use crate::types::Side;

/// The sorted levels of one side. Keys and levels are apart, so that a search reads only keys.
pub(crate) struct Ladder {
    keys: Vec<i64>,
    levels: Vec<u32>,
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
            keys: Vec::with_capacity(reserve),
            levels: Vec::with_capacity(reserve),
        }
    }

    /// The position of the rung with this key, or where it would have to be inserted.
    #[inline]
    pub(crate) fn find(&self, key: i64) -> Result<usize, usize> {
        let len = self.keys.len();
        let walked = len.saturating_sub(WALK);
        for (back, other) in self.keys[walked..].iter().rev().enumerate() {
            if *other <= key {
                let at = len - 1 - back;
                return if *other == key { Ok(at) } else { Err(at + 1) };
            }
        }
        self.keys[..walked].binary_search(&key)
    }

    /// Asks for the best levels, where a search begins.
    #[inline]
    pub(crate) fn look_ahead(&self, prefetch: &impl Prefetch) {
        let last = self.keys.len().wrapping_sub(1);
        if let (Some(key), Some(level)) = (self.keys.get(last), self.levels.get(last)) {
            prefetch.read(key);
            prefetch.read(level);
            prefetch.read(&self.keys[last.saturating_sub(8)]);
        }
    }

    /// The level of this key, if it is there; another one or none otherwise.
    #[inline]
    pub(crate) fn level_near(&self, key: i64) -> u32 {
        let (Ok(at) | Err(at)) = self.find(key);
        self.levels.get(at).copied().unwrap_or(NONE)
    }

    /// The level at a position that [`Self::find`] returned as `Ok`.
    #[inline]
    pub(crate) fn level_at(&self, position: usize) -> u32 {
        self.levels[position]
    }

    /// Inserts a level at a position that [`Self::find`] returned as `Err`. True when the array
    /// grew.
    #[inline]
    pub(crate) fn insert(&mut self, position: usize, key: i64, level: u32) -> bool {
        let grows = self.keys.len() == self.keys.capacity();
        self.keys.insert(position, key);
        self.levels.insert(position, level);
        grows
    }

    /// Takes the level of this price out, if it is there.
    #[inline]
    pub(crate) fn remove(&mut self, key: i64) {
        if let Ok(position) = self.find(key) {
            self.keys.remove(position);
            self.levels.remove(position);
        }
    }

    /// The rung of the best price.
    #[inline]
    pub(crate) fn best(&self) -> Option<Rung> {
        self.best_first().next()
    }

    /// How many levels there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Rungs, best price first.
    pub(crate) fn best_first(&self) -> impl Iterator<Item = Rung> {
        let rungs = self.keys.iter().zip(&self.levels).rev();
        rungs.map(|(key, level)| Rung {
            key: *key,
            level: *level,
        })
    }

    /// Whether the keys are strictly ascending, as every method relies on.
    pub(crate) fn is_sorted(&self) -> bool {
        self.keys.is_sorted_by(|one, next| one < next) && self.keys.len() == self.levels.len()
    }
}

/// The two ladders of one instrument.
pub(crate) struct Sides {
    ladders: [Ladder; 2],
}

impl Sides {
    pub(crate) fn new(levels_per_side: usize) -> Self {
        Self {
            ladders: [Ladder::new(levels_per_side), Ladder::new(levels_per_side)],
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
