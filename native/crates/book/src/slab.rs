//! A pool of equal records with a free list inside: a removed record's place is used again first.
//!
//! Records are addressed by u32, half a pointer, so that an order fits in 32 bytes and two of them
//! in one cache line. The pool never shrinks and grows only when its reserve is used up; each
//! growth is counted, because it copies all records and shows that the configured reserve was too
//! small.

use std::ops::{Index, IndexMut};

/// The address that means "none".
pub(crate) const NONE: u32 = u32::MAX;

/// A record that can be part of a free list while it is not in use.
pub(crate) trait Pooled: Copy {
    /// Makes this record a link of the free list, marked as unused.
    fn vacate(&mut self, next_free: u32);
    /// The next link of the free list, if this record is unused.
    fn next_free(&self) -> Option<u32>;
}

/// Pool of `T`, addressed by u32.
pub(crate) struct Slab<T> {
    records: Vec<T>,
    first_free: u32,
    live: usize,
    limit: usize,
    grows: u64,
}

impl<T: Pooled> Slab<T> {
    /// A pool with room for `reserve` records that never holds more than `limit` (< 2^32 - 1).
    pub(crate) fn new(reserve: usize, limit: usize) -> Self {
        let limit = limit.min(NONE as usize);
        Self {
            records: Vec::with_capacity(reserve.min(limit)),
            first_free: NONE,
            live: 0,
            limit,
            grows: 0,
        }
    }

    /// Stores a record and returns its address, or `None` when the limit is reached.
    #[inline]
    pub(crate) fn insert(&mut self, record: T) -> Option<u32> {
        if self.first_free != NONE {
            let address = self.first_free;
            let place = &mut self.records[address as usize];
            self.first_free = place
                .next_free()
                .expect("the free list links only unused records");
            *place = record;
            self.live += 1;
            return Some(address);
        }
        if self.records.len() >= self.limit {
            return None;
        }
        if self.records.len() == self.records.capacity() {
            self.grow();
        }
        self.records.push(record);
        self.live += 1;
        // The length was below the limit, which fits in a u32.
        Some((self.records.len() - 1) as u32)
    }

    /// Frees the record at `address`.
    #[inline]
    pub(crate) fn remove(&mut self, address: u32) {
        let next = self.first_free;
        self[address].vacate(next);
        self.first_free = address;
        self.live -= 1;
    }

    /// Frees everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.first_free = NONE;
        self.live = 0;
    }

    /// How many records are in use.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Whether another record fits below the limit.
    pub(crate) fn has_room(&self) -> bool {
        self.live < self.limit
    }

    /// How often the reserve was used up and the pool moved to a larger place.
    pub(crate) fn grows(&self) -> u64 {
        self.grows
    }

    /// Every record in use with its address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..)
            .zip(&self.records)
            .filter(|(_, record)| record.next_free().is_none())
    }

    /// The length of the free list, or `None` when it is damaged (a cycle, or a link to a live
    /// record).
    pub(crate) fn free_list_len(&self) -> Option<usize> {
        let (mut at, mut len) = (self.first_free, 0);
        while at != NONE {
            at = self.records.get(at as usize)?.next_free()?;
            len += 1;
            if len > self.records.len() {
                return None;
            }
        }
        Some(len)
    }

    /// Places in use or on the free list.
    pub(crate) fn places(&self) -> usize {
        self.records.len()
    }

    #[cold]
    fn grow(&mut self) {
        let more = self
            .records
            .len()
            .max(64)
            .min(self.limit - self.records.len());
        self.records.reserve_exact(more);
        self.grows += 1;
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, address: u32) -> &T {
        &self.records[address as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, address: u32) -> &mut T {
        &mut self.records[address as usize]
    }
}
