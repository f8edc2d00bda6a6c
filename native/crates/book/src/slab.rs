//! A pool of equal records with a free list inside: a removed record's place is used again first.
//!
//! Records are addressed by u32, half a pointer, so that an order fits in 32 bytes and two of them
//! in one cache line. They lie in chunks that never move: a pool that outgrows its reserve gets
//! another chunk, so nothing is copied and no reader of an address has to look again. The pool never
//! shrinks; each chunk beyond the reserve is counted, because it takes time that no message should
//! cost and shows that the configured reserve was too small. All memory of a chunk is touched when
//! it is made, not when an order comes.

use std::ops::{Index, IndexMut};

/// The address that means "none".
pub(crate) const NONE: u32 = u32::MAX;

/// Records of a chunk.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 14;

/// A record that can be part of a free list while it is not in use.
pub(crate) trait Pooled: Copy {
    /// A record that is in nobody's use.
    const UNUSED: Self;

    /// Makes this record a link of the free list, marked as unused.
    fn vacate(&mut self, next_free: u32);
    /// The next link of the free list. Only an unused record has one.
    fn link(&self) -> u32;
    /// Whether this record is unused.
    fn is_unused(&self) -> bool;
}

/// Pool of `T`, addressed by u32.
pub(crate) struct Slab<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
    /// Places in use or on the free list: those below it.
    places: usize,
    first_free: u32,
    live: usize,
    limit: usize,
    grows: u64,
}

impl<T: Pooled> Slab<T> {
    /// A pool with room for `reserve` records that never holds more than `limit` (< 2^32 - 1).
    pub(crate) fn new(reserve: usize, limit: usize) -> Self {
        let limit = limit.min(NONE as usize);
        let chunks = reserve.min(limit).div_ceil(CHUNK);
        let mut all = Vec::with_capacity(limit.div_ceil(CHUNK));
        all.extend(std::iter::repeat_with(chunk).take(chunks));
        Self {
            chunks: all,
            places: 0,
            first_free: NONE,
            live: 0,
            limit,
            grows: 0,
        }
    }

    /// Stores a record and returns its address, or `None` when the limit is reached.
    #[inline]
    pub(crate) fn insert(&mut self, record: T) -> Option<u32> {
        let address = self.next_address()?;
        self.insert_at(address, record);
        Some(address)
    }

    /// The address that the next record will have, or `None` when the limit is reached.
    #[inline]
    pub(crate) fn next_address(&self) -> Option<u32> {
        if self.first_free != NONE {
            return Some(self.first_free);
        }
        // The limit fits in a u32.
        (self.places < self.limit).then_some(self.places as u32)
    }

    /// Stores a record at the address that [`Self::next_address`] has just given.
    #[inline]
    pub(crate) fn insert_at(&mut self, address: u32, record: T) {
        self.live += 1;
        if address == self.first_free {
            let place = &mut self[address];
            let next = place.link();
            *place = record;
            self.first_free = next;
            return;
        }
        debug_assert!(
            address as usize == self.places,
            "the next address is given out"
        );
        if self.places == self.chunks.len() * CHUNK {
            self.grow();
        }
        self.places += 1;
        self[address] = record;
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
        self.places = 0;
        self.first_free = NONE;
        self.live = 0;
    }

    /// How many records are in use.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// How often the reserve was used up and a chunk was added.
    pub(crate) fn grows(&self) -> u64 {
        self.grows
    }

    /// The record at an address, in use or not; some other one for an address that was never
    /// given. Without a branch on the address, to ask for memory.
    #[inline]
    pub(crate) fn near(&self, address: u32) -> Option<&T> {
        let last = self.chunks.len().wrapping_sub(1);
        let chunk = self
            .chunks
            .get((address as usize >> CHUNK_BITS).min(last))?;
        Some(&chunk[address as usize % CHUNK])
    }

    /// The record at an address, in use or not; `None` where no memory is.
    #[inline]
    pub(crate) fn peek(&self, address: u32) -> Option<&T> {
        let chunk = self.chunks.get(address as usize >> CHUNK_BITS)?;
        Some(&chunk[address as usize % CHUNK])
    }

    /// Every record in use with its address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..)
            .zip(self.chunks.iter().flat_map(|chunk| chunk.iter()))
            .take(self.places)
            .filter(|(_, record)| !record.is_unused())
    }

    /// The length of the free list, or `None` when it is damaged (a cycle, or a link to a live
    /// record).
    pub(crate) fn free_list_len(&self) -> Option<usize> {
        let (mut at, mut len) = (self.first_free, 0);
        while at != NONE {
            if at as usize >= self.places || !self[at].is_unused() {
                return None;
            }
            at = self[at].link();
            len += 1;
            if len > self.places {
                return None;
            }
        }
        Some(len)
    }

    /// Places in use or on the free list.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    #[cold]
    fn grow(&mut self) {
        self.chunks.push(chunk());
        self.grows += 1;
    }
}

/// A chunk of unused records.
fn chunk<T: Pooled>() -> Box<[T; CHUNK]> {
    let Ok(chunk) = vec![T::UNUSED; CHUNK].into_boxed_slice().try_into() else {
        unreachable!("a chunk has as many records as it was made of");
    };
    chunk
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, address: u32) -> &T {
        &self.chunks[address as usize >> CHUNK_BITS][address as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, address: u32) -> &mut T {
        &mut self.chunks[address as usize >> CHUNK_BITS][address as usize % CHUNK]
    }
}
