//! The orders of all books of a channel, in price-time priority.
//!
//! ```text
//!  reference ──► OrderIndex ──► order (32 B) ──► level (32 B)
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

use crate::books::{BooksConfig, KeyScope};
use crate::index::{OrderIndex, OrderKey};
use crate::ladder::Sides;
use crate::slab::{NONE, Pooled, Slab};
use crate::ticks::Ticks;
use crate::types::{BookId, LevelView, OrderView, Side};

/// One resting order.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Order {
    pub(crate) reference: u64,
    /// Shares left; 0 marks an unused record.
    pub(crate) quantity: u64,
    pub(crate) level: u32,
    /// The order before this one in its queue; in an unused record the next free one.
    pub(crate) previous: u32,
    pub(crate) next: u32,
    pub(crate) place: BookSide,
}

/// A side of a book in four bytes: the book's number doubled, plus 1 for asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BookSide(u32);

/// One price level: its queue and the sums over it.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Level {
    /// Sum of the orders, modulo 2^64: what a damaged message claims may exceed that, and the sum is
    /// right again when its orders are gone.
    pub(crate) quantity: u64,
    pub(crate) price: i64,
    /// First order of the queue; in an unused record the next free one.
    pub(crate) head: u32,
    pub(crate) tail: u32,
    /// Orders in the queue; 0 marks an unused record.
    pub(crate) count: u32,
    pub(crate) side: BookSide,
}

/// An order about to join the back of its queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOrder {
    pub(crate) book: BookId,
    pub(crate) side: Side,
    pub(crate) price: i64,
    pub(crate) quantity: u64,
    pub(crate) reference: u64,
}

/// Why an order was not added; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// The limit on resting orders is reached.
    Full,
    /// This order has its key.
    Twin(u32),
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
    /// Orders of each book; apart, as every message changes one of them.
    pub(crate) order_counts: Vec<u32>,
    pub(crate) ticks: Ticks,
    scope: KeyScope,
    /// Of each order by its address, where the venue tells priorities apart from arrival.
    priorities: Option<Vec<u64>>,
    levels_per_side: usize,
    depth_grows: u64,
    /// Times that the table of priorities outgrew its memory.
    priority_grows: u64,
}

impl Store {
    pub(crate) fn new(config: BooksConfig) -> Self {
        let BooksConfig {
            max_orders: limit,
            levels_per_side,
            scope,
            ..
        } = config;
        let reserve = config.initial_orders.min(limit);
        Self {
            orders: Slab::new(reserve, limit),
            levels: Slab::new(reserve / 4, limit),
            scope,
            priorities: config.has_priorities.then(|| Vec::with_capacity(reserve)),
            index: OrderIndex::new(reserve, scope == KeyScope::Channel),
            books: Vec::new(),
            order_counts: Vec::new(),
            ticks: Ticks::default(),
            levels_per_side,
            depth_grows: 0,
            priority_grows: 0,
        }
    }

    /// Adds an empty book.
    pub(crate) fn add_book(&mut self) -> BookId {
        let id = u32::try_from(self.books.len()).expect("books are fewer than orders");
        self.books.push(Sides::new(self.levels_per_side));
        self.order_counts.push(0);
        BookId(id)
    }

    /// The order with this reference, of a venue whose references are unique in the channel.
    #[inline]
    pub(crate) fn find(&self, reference: u64) -> Option<u32> {
        debug_assert!(self.scope == KeyScope::Channel, "{:?}", self.scope);
        self.index.get(OrderKey { reference, tag: 0 })
    }

    /// The order with this reference in a side of a book.
    #[inline]
    pub(crate) fn find_in(&self, book: BookId, side: Side, reference: u64) -> Option<u32> {
        let tag = self.scope.tag(BookSide::new(book, side));
        self.index.get(OrderKey { reference, tag })
    }

    /// Puts an order at the back of its level and returns its address. Its key must not rest and
    /// its quantity be > 0.
    #[inline]
    pub(crate) fn add(&mut self, new: NewOrder) -> Result<u32, Full> {
        self.add_unless_twin(new, NONE).map_err(|refused| {
            debug_assert!(
                refused == NotAdded::Full,
                "the caller has looked for the key"
            );
            Full
        })
    }

    /// As [`Self::add`], for a key that may rest. `level` is where the order probably belongs, or
    /// [`NONE`]: it saves the search when it is right.
    #[inline(always)]
    pub(crate) fn add_unless_twin(&mut self, new: NewOrder, level: u32) -> Result<u32, NotAdded> {
        debug_assert!(new.quantity > 0, "a resting order has shares");
        let place = BookSide::new(new.book, new.side);
        let key = OrderKey {
            reference: new.reference,
            tag: self.scope.tag(place),
        };
        // Live levels never exceed live orders and have the same limit: one check covers both.
        let Some(address) = self.orders.next_address() else {
            return Err(self.index.get(key).map_or(NotAdded::Full, NotAdded::Twin));
        };
        self.index.insert(key, address).map_err(NotAdded::Twin)?;
        let guess = self.levels.peek(level);
        let is_right = guess.is_some_and(|guess| {
            guess.count > 0 && guess.price == new.price && guess.side == place
        });
        let at = if is_right { level } else { self.level_for(new) };
        let level = &mut self.levels[at];
        let tail = std::mem::replace(&mut level.tail, address);
        level.count += 1;
        level.quantity = level.quantity.wrapping_add(new.quantity);
        if tail == NONE {
            level.head = address;
        } else {
            self.orders[tail].next = address;
        }
        let order = Order {
            reference: new.reference,
            quantity: new.quantity,
            level: at,
            previous: tail,
            next: NONE,
            place,
        };
        self.orders.insert_at(address, order);
        self.order_counts[new.book.0 as usize] += 1;
        Ok(address)
    }

    /// As [`Self::add`], in front of the orders of its level that have a greater priority number
    /// (CME: MDOrderPriority, lower is first).
    pub(crate) fn add_by_priority(&mut self, new: NewOrder, priority: u64) -> Result<u32, Full> {
        let address = self.add(new)?;
        let priorities = self.priorities.get_or_insert_default();
        if priorities.len() <= address as usize {
            let room = priorities.capacity();
            priorities.resize(address as usize + 1, 0);
            self.priority_grows += u64::from(priorities.capacity() > room);
        }
        priorities[address as usize] = priority;
        let mut before = self.orders[address].previous;
        while before != NONE && priorities[before as usize] > priority {
            before = self.orders[before].previous;
        }
        if before != self.orders[address].previous {
            self.unlink(address);
            self.link_behind(address, before);
        }
        Ok(address)
    }

    /// As [`Self::add`], in front of the orders of its level that have a greater reference, where
    /// references are priorities (EOBI: TrdRegTSTimePriority).
    pub(crate) fn add_by_reference(&mut self, new: NewOrder) -> Result<u32, Full> {
        let address = self.add(new)?;
        let mut before = self.orders[address].previous;
        while before != NONE && self.orders[before].reference > new.reference {
            before = self.orders[before].previous;
        }
        if before != self.orders[address].previous {
            self.unlink(address);
            self.link_behind(address, before);
        }
        Ok(address)
    }

    /// The level of a price.
    pub(crate) fn level_of(&self, book: BookId, side: Side, price: i64) -> Option<u32> {
        let ladder = self.books[book.0 as usize].side(side);
        let position = ladder.find(side.key(price)).ok()?;
        Some(ladder.level_at(position))
    }

    /// The priority that an order was added with; 0 for one without.
    pub(crate) fn priority(&self, address: u32) -> u64 {
        let of_all = self.priorities.as_deref().unwrap_or_default();
        of_all.get(address as usize).copied().unwrap_or(0)
    }

    /// Gives an order another quantity, more than 0, at its place in the queue.
    pub(crate) fn set_quantity(&mut self, address: u32, quantity: u64) {
        debug_assert!(quantity > 0, "a resting order has shares");
        let order = &mut self.orders[address];
        let level = &mut self.levels[order.level];
        let others = level.quantity.wrapping_sub(order.quantity);
        level.quantity = others.wrapping_add(quantity);
        order.quantity = quantity;
    }

    /// Takes `by` shares, fewer than the order has, and leaves it at its place in the queue.
    #[inline]
    pub(crate) fn reduce(&mut self, address: u32, by: u64) {
        let order = &mut self.orders[address];
        debug_assert!(by < order.quantity, "a reduced order keeps shares");
        order.quantity -= by;
        let level = &mut self.levels[order.level];
        level.quantity = level.quantity.wrapping_sub(by);
    }

    /// Takes the whole order out, and its level when it was the last.
    #[inline]
    pub(crate) fn remove(&mut self, address: u32) {
        let order = self.orders[address];
        let key = self.key_of(&order);
        self.index.remove(key);
        self.take_out(address);
    }

    /// Takes out the order with this reference and returns where it was, of a venue whose
    /// references are unique in the channel.
    #[inline(always)]
    pub(crate) fn remove_by_reference(&mut self, reference: u64) -> Option<BookSide> {
        debug_assert!(self.scope == KeyScope::Channel, "{:?}", self.scope);
        let address = self.index.remove(OrderKey { reference, tag: 0 })?;
        Some(self.take_out(address))
    }

    /// Takes an order out that the index does not know any more; returns where it was.
    #[inline]
    fn take_out(&mut self, address: u32) -> BookSide {
        let order = self.orders[address];
        let level = &mut self.levels[order.level];
        level.count -= 1;
        level.quantity = level.quantity.wrapping_sub(order.quantity);
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
        let (book, side) = (order.place.book(), order.place.side());
        self.order_counts[book.0 as usize] -= 1;
        if count == 0 {
            let ladder = self.books[book.0 as usize].side_mut(side);
            ladder.remove(side.key(price));
            self.levels.remove(order.level);
        }
        self.orders.remove(address);
        order.place
    }

    /// Takes every order of a book out and returns how many there were.
    pub(crate) fn clear_book(&mut self, book: BookId) -> u32 {
        for side in Side::BOTH {
            while let Some(rung) = self.books[book.0 as usize].side(side).best() {
                let level = self.levels[rung.level];
                let mut at = level.head;
                while at != NONE {
                    let order = self.orders[at];
                    let key = self.key_of(&order);
                    self.index.remove(key);
                    self.orders.remove(at);
                    at = order.next;
                }
                self.books[book.0 as usize].side_mut(side).remove(rung.key);
                self.levels.remove(rung.level);
            }
        }
        std::mem::take(&mut self.order_counts[book.0 as usize])
    }

    /// Removes every order and book and keeps the memory of the pools.
    pub(crate) fn clear(&mut self) {
        self.orders.clear();
        self.levels.clear();
        self.index.clear();
        self.books.clear();
        self.order_counts.clear();
        self.ticks.clear();
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

    /// The orders of one side with their addresses: best price first, each level in queue order.
    pub(crate) fn queue(&self, book: BookId, side: Side) -> impl Iterator<Item = (u32, OrderView)> {
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
                let view = OrderView {
                    side,
                    price: level.price,
                    reference,
                    quantity,
                };
                (at, view)
            })
        })
    }

    /// How often a pool or the index had to move to a larger place.
    pub(crate) fn slab_grows(&self) -> u64 {
        self.orders.grows() + self.levels.grows() + self.index.grows() + self.priority_grows
    }

    /// How often the array of one side's levels had to grow.
    pub(crate) fn depth_grows(&self) -> u64 {
        self.depth_grows
    }

    /// What the index knows an order by.
    #[inline]
    pub(crate) fn key_of(&self, order: &Order) -> OrderKey {
        OrderKey {
            reference: order.reference,
            tag: self.scope.tag(order.place),
        }
    }

    /// Takes an order out of its queue, which keeps others or gets it back at once.
    fn unlink(&mut self, address: u32) {
        let order = self.orders[address];
        match order.previous {
            NONE => self.levels[order.level].head = order.next,
            previous => self.orders[previous].next = order.next,
        }
        match order.next {
            NONE => self.levels[order.level].tail = order.previous,
            next => self.orders[next].previous = order.previous,
        }
    }

    /// Puts an unlinked order behind another of its level, or first.
    fn link_behind(&mut self, address: u32, before: u32) {
        let level = self.orders[address].level;
        let after = match before {
            NONE => std::mem::replace(&mut self.levels[level].head, address),
            before => std::mem::replace(&mut self.orders[before].next, address),
        };
        match after {
            NONE => self.levels[level].tail = address,
            after => self.orders[after].previous = address,
        }
        let order = &mut self.orders[address];
        order.previous = before;
        order.next = after;
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
                    side: BookSide::new(new.book, new.side),
                };
                let level = self
                    .levels
                    .insert(empty)
                    .expect("a level per order is below the limit");
                self.depth_grows += u64::from(ladder.insert(position, key, level));
                self.ticks.on_new_level(new.book, new.price);
                level
            }
        }
    }
}

impl BookSide {
    #[inline]
    pub(crate) fn new(book: BookId, side: Side) -> Self {
        Self(book.0 << 1 | side as u32)
    }

    #[inline]
    pub(crate) fn book(self) -> BookId {
        BookId(self.0 >> 1)
    }

    #[inline]
    pub(crate) fn side(self) -> Side {
        if self.0 & 1 == 0 {
            Side::Bid
        } else {
            Side::Ask
        }
    }
}

impl KeyScope {
    /// What is hashed beside the reference; 0 for references that need nothing.
    #[inline]
    fn tag(self, place: BookSide) -> u32 {
        match self {
            KeyScope::Channel => 0,
            KeyScope::Book => (place.0 | 1).wrapping_add(1),
            KeyScope::BookSide => place.0.wrapping_add(1),
        }
    }
}

impl Pooled for Order {
    const UNUSED: Self = Self {
        reference: 0,
        quantity: 0,
        level: NONE,
        previous: NONE,
        next: NONE,
        place: BookSide(0),
    };

    #[inline]
    fn vacate(&mut self, next_free: u32) {
        self.quantity = 0;
        self.previous = next_free;
    }

    #[inline]
    fn link(&self) -> u32 {
        self.previous
    }

    #[inline]
    fn is_unused(&self) -> bool {
        self.quantity == 0
    }
}

impl Pooled for Level {
    const UNUSED: Self = Self {
        quantity: 0,
        price: 0,
        head: NONE,
        tail: NONE,
        count: 0,
        side: BookSide(0),
    };

    #[inline]
    fn vacate(&mut self, next_free: u32) {
        self.count = 0;
        self.head = next_free;
    }

    #[inline]
    fn link(&self) -> u32 {
        self.head
    }

    #[inline]
    fn is_unused(&self) -> bool {
        self.count == 0
    }
}

/// Two orders per cache line is what the pools are for.
const _: () = assert!(size_of::<Order>() == 32 && size_of::<Level>() == 32);

#[cfg(test)]
mod tests;
