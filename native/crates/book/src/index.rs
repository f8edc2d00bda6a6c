//! Finds an order by its reference.
//!
//! Two ways behind one interface. A venue that numbers the orders of a channel upwards (ITCH) has
//! them in [`PagedIndex`], four bytes for a reference and no searching; what does not lie dense
//! enough there, and every key of a venue whose references hold only within a book, is in
//! [`HashedIndex`]. A reference is in the table exactly when its page is not open, so one look
//! decides which of the two to ask.

mod hashed;
mod paged;

use crate::lookahead::Prefetch;
use hashed::HashedIndex;
use paged::{Inserted, PAGE_SLOTS, PagedIndex, page_of};

/// Order key to order address.
pub(crate) struct OrderIndex {
    /// Of keys without a tag; absent where keys have one.
    paged: Option<PagedIndex>,
    hashed: HashedIndex,
    /// No page above this one has a reference in the table.
    highest_hashed_page: u64,
}

/// What an order is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OrderKey {
    /// The venue's reference.
    pub(crate) reference: u64,
    /// Within what the reference names one order: see [`crate::KeyScope`].
    pub(crate) tag: u32,
}

impl OrderIndex {
    /// An index that takes `reserve` orders of any keys before it has to grow. `is_numbered`: keys
    /// have no tags, and references may rise one by one.
    pub(crate) fn new(reserve: usize, is_numbered: bool) -> Self {
        Self {
            paged: is_numbered.then(|| PagedIndex::new(reserve)),
            hashed: HashedIndex::new(reserve),
            highest_hashed_page: 0,
        }
    }

    /// The order with this key.
    #[inline]
    pub(crate) fn get(&self, key: OrderKey) -> Option<u32> {
        if let Some(paged) = &self.paged
            && let Some(found) = paged.get(key.reference)
        {
            return found;
        }
        if self.hashed.len() == 0 {
            return None;
        }
        self.hashed.get(key)
    }

    /// Adds a key, unless it is there: then its order is the error.
    #[inline]
    pub(crate) fn insert(&mut self, key: OrderKey, order: u32) -> Result<(), u32> {
        if let Some(paged) = &mut self.paged {
            match paged.insert(key.reference, order) {
                Inserted::New => return Ok(()),
                Inserted::Twin(twin) => return Err(twin),
                Inserted::NotOpen => {}
            }
        }
        self.insert_apart(key, order)
    }

    /// Takes a key out and returns its order.
    #[inline]
    pub(crate) fn remove(&mut self, key: OrderKey) -> Option<u32> {
        if let Some(paged) = &mut self.paged
            && let Some(found) = paged.remove(key.reference)
        {
            return found;
        }
        self.hashed.remove(key)
    }

    /// Asks for the memory that a search for this key begins with.
    #[inline]
    pub(crate) fn look_ahead(&self, key: OrderKey, prefetch: &impl Prefetch) {
        match self
            .paged
            .as_ref()
            .and_then(|paged| paged.slot(key.reference))
        {
            Some(slot) => prefetch.read(slot),
            None => prefetch.read(self.hashed.first_slot(key)),
        }
    }

    /// Forgets every key and keeps the memory.
    pub(crate) fn clear(&mut self) {
        if let Some(paged) = &mut self.paged {
            paged.clear();
        }
        self.hashed.clear();
        self.highest_hashed_page = 0;
    }

    /// How many keys are known.
    pub(crate) fn len(&self) -> usize {
        self.hashed.len() + self.paged.as_ref().map_or(0, PagedIndex::len)
    }

    /// How often a part of it had to move to a larger place.
    pub(crate) fn grows(&self) -> u64 {
        self.hashed.grows() + self.paged.as_ref().map_or(0, PagedIndex::grows)
    }

    /// A key whose page is not open: opens it, or goes to the table.
    #[inline(never)]
    fn insert_apart(&mut self, key: OrderKey, order: u32) -> Result<(), u32> {
        if self.hashed.len() > 0
            && let Some(twin) = self.hashed.get(key)
        {
            return Err(twin);
        }
        if let Some(paged) = &mut self.paged {
            let page = page_of(key.reference);
            if paged.deserves_page(page) {
                self.open_page(page);
                return self.insert(key, order);
            }
            self.highest_hashed_page = match self.hashed.len() {
                0 => page,
                _ => self.highest_hashed_page.max(page),
            };
        }
        self.hashed.insert_new(key, order);
        Ok(())
    }

    /// Opens a page and moves into it what the table has of it.
    fn open_page(&mut self, page: u64) {
        let Some(paged) = &mut self.paged else { return };
        let (hashed, highest) = (&mut self.hashed, &mut self.highest_hashed_page);
        paged.open(page, |reference, order| {
            *highest = (*highest).max(page_of(reference));
            hashed.insert_new(OrderKey { reference, tag: 0 }, order);
        });
        if hashed.len() == 0 || page > *highest {
            return;
        }
        let first = page * PAGE_SLOTS as u64;
        for reference in first..=first + (PAGE_SLOTS as u64 - 1) {
            if let Some(order) = hashed.remove(OrderKey { reference, tag: 0 }) {
                let inserted = paged.insert(reference, order);
                debug_assert!(inserted == Inserted::New, "{inserted:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
