//! Asking for memory some messages before it is needed.
//!
//! A book update is a chain of cache misses: index slot, order, then its level and its neighbours
//! in the queue; for a new order the book, the end of its side, the level, the last order there.
//! Whoever has many messages at hand knows what comes, and can go along many chains at a time. So
//! a second cursor runs ahead in batches of [`BATCH`] messages and goes one link further each time:
//!
//! | Batch | an order that rests (D X E C U) | a new order (A F) |
//! |---|---|---|
//! | third from now | ask for its index slot | ask for the book |
//! | second | look it up, ask for the order | ask for the best end of the side |
//! | next | ask for level and neighbours | find the level, ask for it |
//! | this one | | ask for the last order of the level |
//!
//! Within a link the orders of a batch are done one after another in a small loop, so that the
//! processor overlaps their misses and predicts the loop. What was asked for may be outdated when
//! the message is applied: then it was in vain, nothing more.
//!
//! How to ask the processor is the caller's: this crate has no unsafe code.

use tickdeck_wire::moldudp64::BLOCK_LEN;

use crate::books::Books;
use crate::index::OrderKey;
use crate::slab::NONE;
use crate::types::Side;

/// Asks for memory that will be read soon.
pub trait Prefetch {
    /// Whether asking does anything; what is only done to ask is left out otherwise.
    const IS_ACTIVE: bool;

    /// Asks for the first cache line of `target`; returns at once.
    fn read<T>(&self, target: &T);
}

/// Asks for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrefetch;

impl Prefetch for NoPrefetch {
    const IS_ACTIVE: bool = false;

    #[inline(always)]
    fn read<T>(&self, _target: &T) {}
}

/// Messages that are looked at together.
pub(crate) const BATCH: usize = 16;

/// Batches that are looked at before they are applied, and the one that is.
const DEPTH: usize = 4;

/// A cursor ahead of another one over the same message blocks.
pub(crate) struct LookAhead<'a, P> {
    rest: &'a [u8],
    prefetch: &'a P,
    batches: [Batch; DEPTH],
    /// Which of them is applied now.
    now: usize,
    /// Where new orders of that batch will probably join a level, by the message's place in it.
    levels: [u32; BATCH],
}

/// What is known of some messages that come soon.
#[derive(Clone, Copy)]
struct Batch {
    /// References of orders that rest, then their addresses.
    resting: [u64; BATCH],
    resting_len: usize,
    new: [New; BATCH],
    new_len: usize,
}

/// An order that will be added.
#[derive(Clone, Copy)]
struct New {
    /// Locate code, then the book, then the level.
    place: u32,
    price: u32,
    side: Side,
    /// Which message of the batch it is.
    message: u8,
}

/// What a kind of message means for orders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    /// It names an order that rests.
    Resting,
    /// It adds one.
    New,
}

/// By the message's first byte.
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    classes[b'A' as usize] = Class::New;
    classes[b'F' as usize] = Class::New;
    classes[b'D' as usize] = Class::Resting;
    classes[b'X' as usize] = Class::Resting;
    classes[b'E' as usize] = Class::Resting;
    classes[b'C' as usize] = Class::Resting;
    classes[b'U' as usize] = Class::Resting;
    classes
};

const EMPTY: Batch = Batch {
    resting: [0; BATCH],
    resting_len: 0,
    new: [New {
        place: 0,
        price: 0,
        side: Side::Bid,
        message: 0,
    }; BATCH],
    new_len: 0,
};

impl<'a, P: Prefetch> LookAhead<'a, P> {
    /// A cursor at the beginning of `blocks`.
    #[inline]
    pub(crate) fn new(blocks: &'a [u8], books: &Books, prefetch: &'a P) -> Self {
        let mut ahead = Self {
            rest: blocks,
            prefetch,
            batches: [EMPTY; DEPTH],
            now: 0,
            levels: [NONE; BATCH],
        };
        for _ in 1..DEPTH {
            ahead.step(books);
        }
        ahead
    }

    /// Goes one batch further. To be called before each [`BATCH`] messages are applied.
    #[inline(always)]
    pub(crate) fn step(&mut self, books: &Books) {
        let at = |ahead: usize| (self.now + ahead) % DEPTH;
        let (third, second, next, this) = (at(0), at(3), at(2), at(1));
        self.read_batch(third, books);
        self.find_orders(second, books);
        self.surroundings(next, books);
        self.tails(this, books);
        self.now = this;
    }

    /// The level that this message of the batch probably adds an order to; anything, when it adds
    /// none or was not looked at.
    #[inline(always)]
    pub(crate) fn level(&self, message: usize) -> u32 {
        self.levels[message % BATCH]
    }

    /// First link: reads messages.
    #[inline(always)]
    fn read_batch(&mut self, at: usize, books: &Books) {
        let batch = &mut self.batches[at];
        batch.resting_len = 0;
        batch.new_len = 0;
        for message in 0..BATCH as u8 {
            let Some((length, behind)) = self.rest.split_first_chunk::<BLOCK_LEN>() else {
                break;
            };
            let length = usize::from(u16::from_be_bytes(*length));
            // Read without regard to the kind, beyond a short message too: a branch on what the
            // next message is can only be guessed wrong.
            let (Some(m), Some(rest)) = (behind.first_chunk::<36>(), behind.get(length..)) else {
                self.rest = &[];
                break;
            };
            self.rest = rest;
            let reference =
                u64::from_be_bytes([m[11], m[12], m[13], m[14], m[15], m[16], m[17], m[18]]);
            books
                .store
                .index
                .look_ahead(OrderKey { reference, tag: 0 }, self.prefetch);
            batch.resting[batch.resting_len % BATCH] = reference;
            batch.resting_len += usize::from(CLASSES[usize::from(m[0])] == Class::Resting);
            let place = books.book_of_locate(u16::from_be_bytes([m[1], m[2]]));
            if let Some(sides) = books.store.books.get(place as usize) {
                self.prefetch.read(sides);
            }
            batch.new[batch.new_len % BATCH] = New {
                place,
                price: u32::from_be_bytes([m[32], m[33], m[34], m[35]]),
                side: if m[19] == b'S' { Side::Ask } else { Side::Bid },
                message,
            };
            batch.new_len += usize::from(CLASSES[usize::from(m[0])] == Class::New);
        }
    }

    /// Second link: where orders rest, and the ends of sides.
    #[inline(always)]
    fn find_orders(&mut self, at: usize, books: &Books) {
        let batch = &mut self.batches[at];
        for resting in batch.resting.iter_mut().take(batch.resting_len) {
            let key = OrderKey {
                reference: *resting,
                tag: 0,
            };
            let address = books.store.index.get(key).unwrap_or(NONE);
            if let Some(order) = books.store.orders.near(address) {
                self.prefetch.read(order);
            }
            *resting = u64::from(address);
        }
        for new in batch.new.iter().take(batch.new_len) {
            if let Some(sides) = books.store.books.get(new.place as usize) {
                sides.side(new.side).look_ahead(self.prefetch);
            }
        }
    }

    /// Third link: levels and neighbours.
    #[inline(always)]
    fn surroundings(&mut self, at: usize, books: &Books) {
        let store = &books.store;
        let batch = &mut self.batches[at];
        for resting in batch.resting.iter().take(batch.resting_len) {
            // An address, or NONE.
            let Some(order) = store.orders.near(*resting as u32) else {
                continue;
            };
            let level = store.levels.near(order.level);
            let [previous, next] = [order.previous, order.next].map(|at| store.orders.near(at));
            if let (Some(level), Some(previous), Some(next)) = (level, previous, next) {
                self.prefetch.read(level);
                self.prefetch.read(previous);
                self.prefetch.read(next);
            }
        }
        for new in batch.new.iter_mut().take(batch.new_len) {
            let sides = store.books.get(new.place as usize);
            new.place = sides.map_or(NONE, |sides| {
                let key = new.side.key(i64::from(new.price));
                sides.side(new.side).level_near(key)
            });
            if let Some(level) = store.levels.near(new.place) {
                self.prefetch.read(level);
            }
        }
    }

    /// Last link: the orders behind which new ones will stand.
    #[inline(always)]
    fn tails(&mut self, at: usize, books: &Books) {
        let store = &books.store;
        let batch = &self.batches[at];
        for new in batch.new.iter().take(batch.new_len) {
            self.levels[usize::from(new.message) % BATCH] = new.place;
            let tail = store
                .levels
                .near(new.place)
                .map_or(NONE, |level| level.tail);
            if let Some(order) = store.orders.near(tail) {
                self.prefetch.read(order);
            }
        }
    }
}
