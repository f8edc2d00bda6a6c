//! An array by reference, in pages: for venues that number orders upwards through the day.
//!
//! ```text
//!  reference ─► page number (reference / 4,096) ─► directory[page number mod 4,096]
//!                                                    │ page number, place, live orders
//!                                                    ▼
//!                                   slots[place * 4,096 + reference mod 4,096] = order address
//! ```
//!
//! The directory is a ring: it holds the pages of the last 16.7 million references, 64 MiB at most.
//! Opening a page closes the one of which it takes the place; what still rests there moves to the
//! table, as do references that never had a page. A page without a live order is used again.
//!
//! A page costs 16 KiB, so it is only opened where orders are: near an open page as long as pages
//! get enough orders on the average, or where enough orders went to the table one after another.
//! Sparse or hostile references therefore cost what they cost in the table.

use crate::slab::NONE;

/// References of a page.
pub(super) const PAGE_SLOTS: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 12;

/// Pages that can be open.
const PAGES: usize = 1 << 12;

/// A page no further than this from an open one is near.
const NEAR_PAGES: u64 = 4;

/// Orders that must have come into pages for each one that is opened.
const ORDERS_PER_PAGE: u32 = 128;
/// What is saved up of them at most.
const MOST_CREDIT: u32 = 16 * ORDERS_PER_PAGE;

/// Orders in the table that are a reason to open a page.
const ENOUGH_HITS: u32 = 256;

/// The page number of a reference.
#[inline]
pub(super) fn page_of(reference: u64) -> u64 {
    reference >> PAGE_BITS
}

/// Reference to order address, for references in open pages.
pub(super) struct PagedIndex {
    directory: Vec<Entry>,
    /// Pages back to back; [`NONE`] where no order rests. In an unused page the first slot is the
    /// next unused one.
    slots: Vec<u32>,
    first_unused: u32,
    /// Page number that was opened last; it stays open without orders.
    newest: u64,
    credit: u32,
    /// Page number around which orders went to the table, and how many.
    candidate: u64,
    hits: u32,
    len: usize,
    grows: u64,
}

/// What became of a reference that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It was added.
    New,
    /// It is there, with this order.
    Twin(u32),
    /// Its page is not open.
    NotOpen,
}

#[derive(Clone, Copy)]
struct Entry {
    number: u64,
    place: u32,
    live: u32,
}

const CLOSED: Entry = Entry {
    // Larger than any page number.
    number: u64::MAX,
    place: 0,
    live: 0,
};

impl PagedIndex {
    /// No page is open yet; `reserve` orders fit before it has to grow, if pages are full enough.
    pub(super) fn new(reserve: usize) -> Self {
        let pages = (reserve * 4 / PAGE_SLOTS).clamp(4, PAGES);
        Self {
            directory: vec![CLOSED; PAGES],
            slots: Vec::with_capacity(pages * PAGE_SLOTS),
            first_unused: NONE,
            newest: u64::MAX,
            credit: MOST_CREDIT,
            candidate: 0,
            hits: 0,
            len: 0,
            grows: 0,
        }
    }

    /// The order with this reference, `Some(None)` for none; `None` when its page is not open.
    #[inline]
    pub(super) fn get(&self, reference: u64) -> Option<Option<u32>> {
        let order = *self.slot(reference)?;
        Some((order != NONE).then_some(order))
    }

    /// Where the order with this reference is noted; `None` when its page is not open.
    #[inline]
    pub(super) fn slot(&self, reference: u64) -> Option<&u32> {
        let number = page_of(reference);
        let entry = self.directory[at(number)];
        (entry.number == number).then(|| &self.slots[slot_in(entry.place, reference)])
    }

    /// Adds a reference, unless it is there or its page is not open.
    #[inline]
    pub(super) fn insert(&mut self, reference: u64, order: u32) -> Inserted {
        let number = page_of(reference);
        let entry = &mut self.directory[at(number)];
        if entry.number != number {
            return Inserted::NotOpen;
        }
        let slot = &mut self.slots[slot_in(entry.place, reference)];
        if *slot != NONE {
            return Inserted::Twin(*slot);
        }
        *slot = order;
        entry.live += 1;
        self.credit = (self.credit + 1).min(MOST_CREDIT);
        self.len += 1;
        Inserted::New
    }

    /// Takes a reference out and returns its order, `Some(None)` for none; `None` when its page is
    /// not open.
    #[inline]
    pub(super) fn remove(&mut self, reference: u64) -> Option<Option<u32>> {
        let number = page_of(reference);
        let entry = &mut self.directory[at(number)];
        if entry.number != number {
            return None;
        }
        let slot = &mut self.slots[slot_in(entry.place, reference)];
        let order = std::mem::replace(slot, NONE);
        if order == NONE {
            return Some(None);
        }
        self.len -= 1;
        entry.live -= 1;
        if entry.live == 0 && number != self.newest {
            self.close(number);
        }
        Some(Some(order))
    }

    /// Whether a page that is not open should be, for an order that comes now. Remembers the
    /// answer's reasons: ask once per order.
    pub(super) fn deserves_page(&mut self, number: u64) -> bool {
        let is_near = (1..=NEAR_PAGES).any(|step| {
            let below = number.checked_sub(step);
            below.is_some_and(|below| self.is_open(below)) || self.is_open(number + step)
        });
        if is_near && self.credit >= ORDERS_PER_PAGE {
            self.credit -= ORDERS_PER_PAGE;
            return true;
        }
        if number == self.candidate {
            self.hits += 1;
        } else if number > self.candidate && number - self.candidate <= NEAR_PAGES {
            self.candidate = number;
            self.hits = self.hits.saturating_sub(ORDERS_PER_PAGE);
        } else if self.hits == 0 {
            self.candidate = number;
            self.hits = 1;
        } else {
            self.hits -= 1;
        }
        if number == self.candidate && self.hits >= ENOUGH_HITS {
            self.hits = 0;
            return true;
        }
        false
    }

    /// Opens a page. The orders of the one that has to make room are given to `displaced`.
    pub(super) fn open(&mut self, number: u64, mut displaced: impl FnMut(u64, u32)) {
        let former = self.directory[at(number)];
        debug_assert!(former.number != number, "a page is opened once");
        if former.number != CLOSED.number {
            let first = former.place as usize * PAGE_SLOTS;
            let page = &mut self.slots[first..first + PAGE_SLOTS];
            for (offset, slot) in (0..).zip(page).filter(|(_, slot)| **slot != NONE) {
                displaced(former.number << PAGE_BITS | offset, *slot);
                *slot = NONE;
                self.len -= 1;
            }
            self.close(former.number);
        }
        let place = self.take_place();
        self.directory[at(number)] = Entry {
            number,
            place,
            live: 0,
        };
        let older = std::mem::replace(&mut self.newest, number);
        if self.is_open(older) && self.directory[at(older)].live == 0 {
            self.close(older);
        }
    }

    /// Closes every page and keeps their memory.
    pub(super) fn clear(&mut self) {
        self.directory.fill(CLOSED);
        self.slots.clear();
        self.first_unused = NONE;
        self.newest = u64::MAX;
        self.credit = MOST_CREDIT;
        self.hits = 0;
        self.len = 0;
    }

    /// How many references are known.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How often the pages had to move to a larger place.
    pub(super) fn grows(&self) -> u64 {
        self.grows
    }

    fn is_open(&self, number: u64) -> bool {
        number != CLOSED.number && self.directory[at(number)].number == number
    }

    /// Gives the place of a page without orders back.
    fn close(&mut self, number: u64) {
        let entry = std::mem::replace(&mut self.directory[at(number)], CLOSED);
        self.slots[entry.place as usize * PAGE_SLOTS] = self.first_unused;
        self.first_unused = entry.place;
    }

    /// A place for a page, all of its slots [`NONE`].
    fn take_place(&mut self) -> u32 {
        if self.first_unused != NONE {
            let place = self.first_unused;
            let first = &mut self.slots[place as usize * PAGE_SLOTS];
            self.first_unused = std::mem::replace(first, NONE);
            return place;
        }
        let place = self.slots.len() / PAGE_SLOTS;
        if self.slots.len() == self.slots.capacity() {
            let more = self.slots.len().min((PAGES - place) * PAGE_SLOTS);
            self.slots.reserve_exact(more.max(PAGE_SLOTS));
            self.grows += 1;
        }
        self.slots.resize(self.slots.len() + PAGE_SLOTS, NONE);
        // At most one for each entry of the directory.
        place as u32
    }
}

/// Where the directory keeps a page.
#[inline]
fn at(number: u64) -> usize {
    number as usize & (PAGES - 1)
}

#[inline]
fn slot_in(place: u32, reference: u64) -> usize {
    (place as usize) << PAGE_BITS | (reference as usize & (PAGE_SLOTS - 1))
}
