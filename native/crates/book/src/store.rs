//! The orders of all books of a channel, in price-time priority.
//!
//! ```text
//!  reference ──► OrderIndex ──► order (32 B) ──► level (24 B)
//!                                 │ ▲              ▲   │ head, tail
//!                   previous/next ▼ │              │   ▼
//!                               order ...          │  first and last order of the queue
//!  book ──► Sides ──► bids, asks: [key, level] ────┘
//!                     sorted, best at the end
//! ```
//!
//! The queue of a level is a doubly linked list through the orders themselves, so an order anywhere
//! in it is removed in constant time, and a level keeps the sum of its orders, so depth is read
//! without walking queues. Everything lives in pools that are reserved at the start. Nothing here
//! knows a venue's messages; [`crate::itch`] translates them into these few operations.

use crate::index::OrderIndex;
use crate::ladder::Sides;
use crate::slab::{NONE, Pooled, Slab};
use crate::types::{BookId, LevelView, OrderView, Side};

/// One resting order.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub(crate) reference: u64,
    /// Shares left; 0 marks an unused record.
    pub(crate) quantity: u32,
    pub(crate) level: u32,
    /// The order before this one in its queue; in an unused record the next free one.
    pub(crate) previous: u32,
    pub(crate) next: u32,
    pub(crate) book: u32,
    pub(crate) side: Side,
}

/// One price level: its queue and the sums over it.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub(crate) quantity: u64,
    /// First order of the queue; in an unused record the next free one.
    pub(crate) head: u32,
    pub(crate) tail: u32,
    /// Orders in the queue; 0 marks an unused record.
    pub(crate) count: u32,
    pub(crate) price: u32,
}

/// An order about to join the back of its queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOrder {
    pub(crate) book: BookId,
    pub(crate) side: Side,
    pub(crate) price: u32,
    pub(crate) quantity: u32,
    pub(crate) reference: u64,
}

/// The limit on resting orders is reached; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Orders, levels, index and ladders of a channel.
pub(crate) struct Store {
    pub(crate) orders: Slab<Order>,
    pub(crate) levels: Slab<Level>,
    pub(crate) index: OrderIndex,
    pub(crate) books: Vec<Sides>,
    levels_per_side: usize,
    depth_grows: u64,
}

impl Store {
    pub(crate) fn new(reserve: usize, limit: usize, levels_per_side: usize) -> Self {
        let reserve = reserve.min(limit);
        Self {
            orders: Slab::new(reserve, limit),
            levels: Slab::new(reserve / 4, limit),
            index: OrderIndex::new(reserve),
            books: Vec::new(),
            levels_per_side,
            depth_grows: 0,
        }
    }

    /// Adds an empty book.
    pub(crate) fn add_book(&mut self) -> BookId {
        let id = u32::try_from(self.books.len()).expect("a channel has at most 65,536 books");
        self.books.push(Sides::new(self.levels_per_side));
        BookId(id)
    }

    /// The order with this reference.
    #[inline]
    pub(crate) fn find(&self, reference: u64) -> Option<u32> {
        self.index.get(reference)
    }

    /// Puts an order at the back of its level. Its reference must not rest and its quantity be > 0.
    #[inline]
    pub(crate) fn add(&mut self, new: NewOrder) -> Result<(), Full> {
        debug_assert!(new.quantity > 0, "a resting order has shares");
        // Live levels never exceed live orders and have the same limit: one check covers both.
        if !self.orders.has_room() {
            return Err(Full);
        }
        let level = self.level_for(new);
        let tail = self.levels[level].tail;
        let order = Order {
            reference: new.reference,
            quantity: new.quantity,
            level,
            previous: tail,
            next: NONE,
            book: new.book.0,
            side: new.side,
        };
        let address = self
            .orders
            .insert(order)
            .expect("there is room for one more order");
        if tail == NONE {
            self.levels[level].head = address;
        } else {
            self.orders[tail].next = address;
        }
        let level = &mut self.levels[level];
        level.tail = address;
        level.count += 1;
        level.quantity += u64::from(new.quantity);
        self.index.insert_new(new.reference, address);
        self.books[new.book.0 as usize].orders += 1;
        Ok(())
    }

    /// Takes `by` shares, fewer than the order has, and leaves it at its place in the queue.
    #[inline]
    pub(crate) fn reduce(&mut self, address: u32, by: u32) {
        let order = &mut self.orders[address];
        debug_assert!(by < order.quantity, "a reduced order keeps shares");
        order.quantity -= by;
        self.levels[order.level].quantity -= u64::from(by);
    }

    /// Takes the whole order out, and its level when it was the last.
    #[inline]
    pub(crate) fn remove(&mut self, address: u32) {
        let order = self.orders[address];
        self.index.remove(order.reference);
        let level = &mut self.levels[order.level];
        level.count -= 1;
        level.quantity -= u64::from(order.quantity);
        if order.previous == NONE {
            level.head = order.next;
        }
        if order.next == NONE {
            level.tail = order.previous;
        }
        let (count, price) = (level.count, level.price);
        if order.previous != NONE {
            self.orders[order.previous].next = order.next;
        }
        if order.next != NONE {
            self.orders[order.next].previous = order.previous;
        }
        let book = &mut self.books[order.book as usize];
        book.orders -= 1;
        if count == 0 {
            book.side_mut(order.side).remove(order.side.key(price));
            self.levels.remove(order.level);
        }
        self.orders.remove(address);
    }

    /// Removes every order and book and keeps the memory of the pools.
    pub(crate) fn clear(&mut self) {
        self.orders.clear();
        self.levels.clear();
        self.index.clear();
        self.books.clear();
    }

    /// The level's sums.
    #[inline]
    pub(crate) fn level_view(&self, level: u32) -> LevelView {
        let level = &self.levels[level];
        LevelView {
            price: level.price,
            quantity: level.quantity,
            orders: level.count,
        }
    }

    /// The orders of one side: best price first, each level in queue order.
    pub(crate) fn queue(&self, book: BookId, side: Side) -> impl Iterator<Item = OrderView> {
        let rungs = self.books[book.0 as usize].side(side).best_first();
        rungs.flat_map(move |rung| {
            let level = &self.levels[rung.level];
            let first = Some(level.head).filter(|at| *at != NONE);
            std::iter::successors(first, |at| {
                Some(self.orders[*at].next).filter(|at| *at != NONE)
            })
            .map(move |at| {
                let order = &self.orders[at];
                let (reference, quantity) = (order.reference, order.quantity);
                OrderView {
                    side,
                    price: level.price,
                    reference,
                    quantity,
                }
            })
        })
    }

    /// How often a pool or the index had to move to a larger place.
    pub(crate) fn slab_grows(&self) -> u64 {
        self.orders.grows() + self.levels.grows() + self.index.grows()
    }

    /// How often the array of one side's levels had to grow.
    pub(crate) fn depth_grows(&self) -> u64 {
        self.depth_grows
    }

    /// The level of the new order's price, made when there is none.
    #[inline]
    fn level_for(&mut self, new: NewOrder) -> u32 {
        let ladder = self.books[new.book.0 as usize].side_mut(new.side);
        let key = new.side.key(new.price);
        match ladder.find(key) {
            Ok(position) => ladder.level_at(position),
            Err(position) => {
                let empty = Level {
                    quantity: 0,
                    head: NONE,
                    tail: NONE,
                    count: 0,
                    price: new.price,
                };
                let level = self
                    .levels
                    .insert(empty)
                    .expect("a level per order is below the limit");
                self.depth_grows += u64::from(ladder.insert(position, key, level));
                level
            }
        }
    }
}

impl Pooled for Order {
    #[inline]
    fn vacate(&mut self, next_free: u32) {
        self.quantity = 0;
        self.previous = next_free;
    }

    #[inline]
    fn next_free(&self) -> Option<u32> {
        (self.quantity == 0).then_some(self.previous)
    }
}

impl Pooled for Level {
    #[inline]
    fn vacate(&mut self, next_free: u32) {
        self.count = 0;
        self.head = next_free;
    }

    #[inline]
    fn next_free(&self) -> Option<u32> {
        (self.count == 0).then_some(self.head)
    }
}

/// Two orders per cache line is what the pools are for.
const _: () = assert!(size_of::<Order>() == 32 && size_of::<Level>() == 24);
