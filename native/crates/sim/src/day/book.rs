//! The generator's own books: enough to know the touch, the front of a queue and who is live.
//!
//! Per instrument 4,096 levels, each a queue threaded through one slab of orders, and a bitmap of
//! the levels in use per side with a summary word (64 x 64 bits), so that the best level is two
//! instructions away.

use tickdeck_wire::itch50::Side;

/// Levels of an instrument's grid.
pub(super) const LEVELS: usize = 4_096;

const NONE: u32 = u32::MAX;

/// The books of all instruments.
#[derive(Clone, Debug)]
pub(super) struct Books {
    orders: Vec<Order>,
    free: Vec<u32>,
    books: Vec<Book>,
    live: u64,
    live_most: u64,
}

/// A resting order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) reference: u64,
    pub(super) quantity: u32,
    pub(super) level: u16,
    pub(super) side: Side,
    next: u32,
    previous: u32,
    /// Where it stands in the instrument's live list.
    place: u32,
}

/// Best levels of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) bid: Option<u16>,
    pub(super) ask: Option<u16>,
}

#[derive(Clone, Debug)]
struct Book {
    queues: Vec<Queue>,
    bids: Bitmap,
    asks: Bitmap,
    live: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    front: u32,
    back: u32,
}

#[derive(Clone, Debug)]
struct Bitmap {
    summary: u64,
    words: [u64; 64],
}

impl Books {
    pub(super) fn new(instruments: usize) -> Self {
        let book = Book {
            queues: vec![
                Queue {
                    front: NONE,
                    back: NONE
                };
                LEVELS
            ],
            bids: Bitmap::new(),
            asks: Bitmap::new(),
            live: Vec::new(),
        };
        let books = vec![book; instruments];
        Self {
            orders: Vec::new(),
            free: Vec::new(),
            books,
            live: 0,
            live_most: 0,
        }
    }

    /// Live orders of an instrument, oldest additions mostly first.
    pub(super) fn live(&self, instrument: usize) -> &[u32] {
        &self.books[instrument].live
    }

    pub(super) fn touch(&self, instrument: usize) -> Touch {
        let book = &self.books[instrument];
        Touch {
            bid: book.bids.highest(),
            ask: book.asks.lowest(),
        }
    }

    pub(super) fn order(&self, order: u32) -> &Order {
        &self.orders[order as usize]
    }

    /// The order that is executed next on this side.
    pub(super) fn front_of_best(&self, instrument: usize, side: Side) -> Option<u32> {
        let touch = self.touch(instrument);
        let level = match side {
            Side::Buy => touch.bid,
            Side::Sell => touch.ask,
        }?;
        Some(self.books[instrument].queues[usize::from(level)].front)
    }

    /// Puts an order at the back of its level.
    pub(super) fn add(
        &mut self,
        instrument: usize,
        reference: u64,
        side: Side,
        level: u16,
        quantity: u32,
    ) {
        let book = &mut self.books[instrument];
        let previous = book.queues[usize::from(level)].back;
        let place = book.live.len() as u32;
        let order = Order {
            reference,
            quantity,
            level,
            side,
            next: NONE,
            previous,
            place,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.orders[slot as usize] = order;
                slot
            }
            None => {
                self.orders.push(order);
                self.orders.len() as u32 - 1
            }
        };
        book.live.push(slot);
        let queue = &mut book.queues[usize::from(level)];
        queue.back = slot;
        if previous == NONE {
            queue.front = slot;
            book.side(side).set(level);
        } else {
            self.orders[previous as usize].next = slot;
        }
        self.live += 1;
        self.live_most = self.live_most.max(self.live);
    }

    /// Takes shares away; the order goes when none are left.
    pub(super) fn reduce(&mut self, instrument: usize, order: u32, quantity: u32) {
        let resting = &mut self.orders[order as usize];
        debug_assert!(
            quantity <= resting.quantity,
            "an order cannot lose more than it has"
        );
        resting.quantity -= quantity;
        if resting.quantity == 0 {
            self.remove(instrument, order);
        }
    }

    /// Removes an order and returns it.
    pub(super) fn remove(&mut self, instrument: usize, order: u32) -> Order {
        let removed = self.orders[order as usize];
        let book = &mut self.books[instrument];
        let queue = &mut book.queues[usize::from(removed.level)];
        match removed.previous {
            NONE => queue.front = removed.next,
            previous => self.orders[previous as usize].next = removed.next,
        }
        match removed.next {
            NONE => queue.back = removed.previous,
            next => self.orders[next as usize].previous = removed.previous,
        }
        if queue.front == NONE {
            book.side(removed.side).clear(removed.level);
        }
        book.live.swap_remove(removed.place as usize);
        if let Some(moved) = book.live.get(removed.place as usize) {
            self.orders[*moved as usize].place = removed.place;
        }
        self.free.push(order);
        self.live -= 1;
        removed
    }

    /// Live orders now, and the most there were.
    pub(super) fn live_counts(&self) -> (u64, u64) {
        (self.live, self.live_most)
    }

    /// Levels in use, both sides of all instruments.
    pub(super) fn level_count(&self) -> u64 {
        self.books
            .iter()
            .map(|book| book.bids.count() + book.asks.count())
            .sum()
    }
}

impl Book {
    fn side(&mut self, side: Side) -> &mut Bitmap {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

impl Bitmap {
    fn new() -> Self {
        Self {
            summary: 0,
            words: [0; 64],
        }
    }

    fn set(&mut self, level: u16) {
        let (word, bit) = (level / 64, level % 64);
        self.words[usize::from(word)] |= 1 << bit;
        self.summary |= 1 << word;
    }

    fn clear(&mut self, level: u16) {
        let (word, bit) = (level / 64, level % 64);
        self.words[usize::from(word)] &= !(1 << bit);
        if self.words[usize::from(word)] == 0 {
            self.summary &= !(1 << word);
        }
    }

    fn lowest(&self) -> Option<u16> {
        let word = (self.summary != 0).then(|| self.summary.trailing_zeros())?;
        let bit = self.words[word as usize].trailing_zeros();
        Some((word * 64 + bit) as u16)
    }

    fn highest(&self) -> Option<u16> {
        let word = (self.summary != 0).then(|| 63 - self.summary.leading_zeros())?;
        let bit = 63 - self.words[word as usize].leading_zeros();
        Some((word * 64 + bit) as u16)
    }

    fn count(&self) -> u64 {
        self.words
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }
}
