//! A hash table with open addressing, for keys of any kind.
//!
//! Linear probing over 16-byte slots, at most half full, so that a search mostly ends in the cache
//! line where it began. Deletion shifts the followers back instead of leaving tombstones: after a
//! day of as many deletions as additions a search is as short as in the morning. References are
//! spread by multiplication with 2^64/phi (Knuth, The Art of Computer Programming 6.4), which
//! places the rising numbers that venues give out far apart.

use super::OrderKey;
use crate::slab::NONE;

/// Order key to order address.
pub(super) struct HashedIndex {
    slots: Vec<Slot>,
    /// Right shift that leaves as many bits of the hash as the table has index bits.
    shift: u32,
    len: usize,
    grows: u64,
}

/// One place of the table.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    reference: u64,
    tag: u32,
    order: u32,
}

const EMPTY: Slot = Slot {
    reference: 0,
    tag: 0,
    order: NONE,
};

impl Slot {
    #[inline]
    fn key(self) -> OrderKey {
        OrderKey {
            reference: self.reference,
            tag: self.tag,
        }
    }
}

impl HashedIndex {
    /// A table that takes `reserve` orders before it has to grow.
    pub(super) fn new(reserve: usize) -> Self {
        let slots = (reserve.max(8) * 2).next_power_of_two();
        Self {
            slots: vec![EMPTY; slots],
            shift: 64 - slots.trailing_zeros(),
            len: 0,
            grows: 0,
        }
    }

    /// The order with this reference.
    #[inline]
    pub(super) fn get(&self, key: OrderKey) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(key);
        loop {
            let slot = self.slots[at & mask];
            if slot.order == NONE {
                return None;
            }
            if slot.key() == key {
                return Some(slot.order);
            }
            at += 1;
        }
    }

    /// Adds a reference that is not in the table.
    #[inline]
    pub(super) fn insert_new(&mut self, key: OrderKey, order: u32) {
        debug_assert!(self.get(key).is_none(), "a reference is indexed once");
        debug_assert!(order != NONE, "an indexed order has an address");
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let OrderKey { reference, tag } = key;
        self.place(Slot {
            reference,
            tag,
            order,
        });
        self.len += 1;
    }

    /// Takes a reference out and returns its order.
    #[inline]
    pub(super) fn remove(&mut self, key: OrderKey) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(key) & mask;
        loop {
            let slot = self.slots[at];
            if slot.order == NONE {
                return None;
            }
            if slot.key() == key {
                self.close_hole(at);
                self.len -= 1;
                return Some(slot.order);
            }
            at = (at + 1) & mask;
        }
    }

    /// Forgets every reference and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.len = 0;
    }

    /// How many references are known.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How often the table had to be rebuilt larger.
    pub(super) fn grows(&self) -> u64 {
        self.grows
    }

    #[inline]
    fn home(&self, key: OrderKey) -> usize {
        // The tag goes to the high bits, which a reference rarely uses.
        let mixed = key.reference ^ u64::from(key.tag).reverse_bits();
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    /// Where a search for this key begins.
    #[inline]
    pub(super) fn first_slot(&self, key: OrderKey) -> &Slot {
        &self.slots[self.home(key)]
    }

    #[inline]
    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(slot.key()) & mask;
        while self.slots[at].order != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// Moves followers of the emptied slot back so that every search still finds its reference.
    ///
    /// A follower may move into the hole when its home is not cyclically between hole and follower.
    #[inline]
    fn close_hole(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.order == NONE {
                break;
            }
            let from_home = at.wrapping_sub(self.home(slot.key())) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }

    #[cold]
    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        self.shift = 64 - slots.trailing_zeros();
        for slot in old.into_iter().filter(|slot| slot.order != NONE) {
            self.place(slot);
        }
        self.grows += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any sequence of insertions and removals leaves exactly what a standard map holds, also
        /// when all references collide, when they are extreme, and across growth.
        #[test]
        fn agrees_with_a_standard_map(
            steps in prop::collection::vec((any::<bool>(), key()), 1..400)
        ) {
            let mut index = HashedIndex::new(0);
            let mut map = HashMap::new();
            for (order, (insert, key)) in (0u32..).zip(steps) {
                if insert && !map.contains_key(&key) {
                    index.insert_new(key, order);
                    map.insert(key, order);
                } else {
                    prop_assert_eq!(index.remove(key), map.remove(&key));
                }
                prop_assert_eq!(index.len(), map.len());
                for (key, order) in &map {
                    prop_assert_eq!(index.get(*key), Some(*order));
                }
            }
            index.clear();
            for key in map.keys() {
                prop_assert_eq!(index.get(*key), None);
            }
        }
    }

    /// A reference with one of three tags.
    fn key() -> impl Strategy<Value = OrderKey> {
        (reference(), 0..3u32).prop_map(|(reference, tag)| OrderKey { reference, tag })
    }

    /// Few distinct references, many of them with the same home in a small table.
    fn reference() -> impl Strategy<Value = u64> {
        let inverse = 0xF1DE_83E1_9937_733D_u64; // of the multiplier: consecutive hashes collide
        prop_oneof![
            0..40u64,
            (0..40u64).prop_map(move |n| n.wrapping_mul(inverse)),
            (0..8u64).prop_map(|n| u64::MAX - n),
        ]
    }

    /// The multiplier's inverse used above is right, so the collision case really collides.
    #[test]
    fn colliding_references_share_a_home() {
        let index = HashedIndex::new(0);
        let homes: Vec<_> = (0..40u64)
            .map(|n| {
                let reference = n.wrapping_mul(0xF1DE_83E1_9937_733D);
                index.home(OrderKey { reference, tag: 0 })
            })
            .collect();
        assert!(homes.iter().all(|home| *home == 0), "{homes:?}");
    }
}
