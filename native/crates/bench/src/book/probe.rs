//! The bare program that shows what is attainable: an L3 book of ITCH 5.0 and nothing else.
//!
//! No counters, no trust, no checks of the input, no twins, no snapshot: it believes every byte.
//! Order 32 bytes, level 24, rung 8, two sorted arrays per book with the best at the end, searched
//! from there; pools with free lists; an index with 4 bytes for every reference. A second cursor
//! goes [`AHEAD`] messages in front and asks for the index slot of the order that is meant.
//!
//! The pools are arrays of a fixed power of two, addressed through a mask, so that safe code has no
//! bounds to check in them. All of their memory is touched before the clock starts.

use tickdeck_net::prefetch_read;

/// Messages that the second cursor is in front.
const AHEAD: usize = 12;

const ORDERS: usize = 1 << 21;
const LEVELS: usize = 1 << 19;
const NONE: u32 = u32::MAX;

/// The largest reference that the index takes: 4 bytes each, 1 GiB.
pub(super) const MAX_REFERENCE: u64 = (1 << 28) - 1;

/// All books of a day.
pub(super) struct Probe {
    index: Vec<u32>,
    index_mask: usize,
    orders: Pool<Order, ORDERS>,
    levels: Pool<Level, LEVELS>,
    books: Vec<[Vec<Rung>; 2]>,
    live: u64,
    live_levels: u64,
}

#[derive(Clone, Copy, Default)]
struct Order {
    #[expect(
        dead_code,
        reason = "part of the layout: written, as nothing asks for it"
    )]
    reference: u64,
    quantity: u32,
    level: u32,
    previous: u32,
    next: u32,
    book: u32,
    side: u32,
}

#[derive(Clone, Copy, Default)]
struct Level {
    quantity: u64,
    head: u32,
    tail: u32,
    count: u32,
    price: u32,
}

#[derive(Clone, Copy)]
struct Rung {
    key: i32,
    level: u32,
}

const _: () =
    assert!(size_of::<Order>() == 32 && size_of::<Level>() == 24 && size_of::<Rung>() == 8);

impl Probe {
    /// Empty books for references up to `highest` and the locate codes of ITCH.
    pub(super) fn new(highest: u64) -> Self {
        let slots = (highest.min(MAX_REFERENCE) as usize + 1).next_power_of_two();
        let mut index = vec![NONE; slots];
        index.fill(0);
        Self {
            index,
            index_mask: slots - 1,
            orders: Pool::new(),
            levels: Pool::new(),
            books: (0..1 << 16).map(|_| [const { Vec::new() }; 2]).collect(),
            live: 0,
            live_levels: 0,
        }
    }

    /// Live orders and price levels.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.live, self.live_levels)
    }

    /// Applies the whole messages at the beginning of `bytes`; returns how many bytes they are.
    pub(super) fn apply(&mut self, bytes: &[u8]) -> usize {
        let mut ahead = bytes;
        for _ in 0..AHEAD {
            self.look_ahead(&mut ahead);
        }
        let mut rest = bytes;
        while let Some(message) = split_message(&mut rest) {
            self.look_ahead(&mut ahead);
            self.message(message);
        }
        bytes.len() - rest.len()
    }

    #[inline(always)]
    fn look_ahead(&self, ahead: &mut &[u8]) {
        let Some(message) = split_message(ahead) else {
            return;
        };
        if let Some(head) = message.first_chunk::<19>()
            && matches!(head[0], b'A' | b'D' | b'X' | b'E' | b'C' | b'U')
        {
            prefetch_read(&self.index[long(head, 11) as usize & self.index_mask]);
        }
    }

    #[inline(always)]
    fn message(&mut self, message: &[u8]) {
        match message[0] {
            b'A' | b'F' => {
                let Some(m) = message.first_chunk::<36>() else {
                    return;
                };
                let side = u32::from(m[19] == b'S');
                let book = u32::from(u16::from_be_bytes([m[1], m[2]]));
                self.add(long(m, 11), book, side, word(m, 20), word(m, 32));
            }
            b'D' => {
                if let Some(m) = message.first_chunk::<19>() {
                    let at = self.index[long(m, 11) as usize & self.index_mask];
                    self.remove(at);
                }
            }
            b'U' => {
                let Some(m) = message.first_chunk::<35>() else {
                    return;
                };
                let at = self.index[long(m, 11) as usize & self.index_mask];
                let old = *self.orders.get(at);
                self.remove(at);
                self.add(long(m, 19), old.book, old.side, word(m, 27), word(m, 31));
            }
            b'E' | b'C' | b'X' => {
                let Some(m) = message.first_chunk::<23>() else {
                    return;
                };
                let at = self.index[long(m, 11) as usize & self.index_mask];
                let taken = word(m, 19);
                let order = self.orders.get(at);
                if taken >= order.quantity {
                    self.remove(at);
                } else {
                    order.quantity -= taken;
                    let level = order.level;
                    self.levels.get(level).quantity -= u64::from(taken);
                }
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn add(&mut self, reference: u64, book: u32, side: u32, quantity: u32, price: u32) {
        let sign = 1 - 2 * side as i32;
        let key = price as i32 * sign;
        let rungs = &mut self.books[book as usize][side as usize & 1];
        let mut at = rungs.len();
        while at > 0 && rungs[at - 1].key > key {
            at -= 1;
        }
        let level = if at > 0 && rungs[at - 1].key == key {
            rungs[at - 1].level
        } else {
            let level = self.levels.take();
            *self.levels.get(level) = Level {
                quantity: 0,
                head: NONE,
                tail: NONE,
                count: 0,
                price,
            };
            rungs.insert(at, Rung { key, level });
            self.live_levels += 1;
            level
        };
        let address = self.orders.take();
        let place = self.levels.get(level);
        let tail = place.tail;
        place.tail = address;
        place.count += 1;
        place.quantity += u64::from(quantity);
        if tail == NONE {
            place.head = address;
        } else {
            self.orders.get(tail).next = address;
        }
        *self.orders.get(address) = Order {
            reference,
            quantity,
            level,
            previous: tail,
            next: NONE,
            book,
            side,
        };
        self.index[reference as usize & self.index_mask] = address;
        self.live += 1;
    }

    #[inline(always)]
    fn remove(&mut self, at: u32) {
        let order = *self.orders.get(at);
        let level = self.levels.get(order.level);
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
            self.orders.get(order.previous).next = order.next;
        }
        if order.next != NONE {
            self.orders.get(order.next).previous = order.previous;
        }
        if count == 0 {
            let key = price as i32 * (1 - 2 * order.side as i32);
            let rungs = &mut self.books[order.book as usize][order.side as usize & 1];
            let mut place = rungs.len();
            while place > 0 && rungs[place - 1].key != key {
                place -= 1;
            }
            rungs.remove(place - 1);
            self.levels.give(order.level);
            self.live_levels -= 1;
        }
        self.orders.give(at);
        self.live -= 1;
    }
}

/// Records of which the unused ones are on a list.
struct Pool<T, const N: usize> {
    records: Box<[T; N]>,
    free: Vec<u32>,
}

impl<T: Clone + Copy + Default, const N: usize> Pool<T, N> {
    fn new() -> Self {
        let records: Box<[T]> = (0..N).map(|_| T::default()).collect();
        let Ok(records) = records.try_into() else {
            unreachable!("N records were made");
        };
        Self {
            records,
            free: (0..N as u32).rev().collect(),
        }
    }

    #[inline(always)]
    fn get(&mut self, at: u32) -> &mut T {
        &mut self.records[at as usize & (N - 1)]
    }

    #[inline(always)]
    fn take(&mut self) -> u32 {
        self.free
            .pop()
            .expect("a day has less than 2 million live orders")
    }

    #[inline(always)]
    fn give(&mut self, at: u32) {
        self.free.push(at);
    }
}

/// The highest reference that these messages name.
pub(super) fn highest_reference(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut highest = 0;
    while let Some(message) = split_message(&mut rest) {
        let head = message.first_chunk::<27>();
        match (message.first(), message.first_chunk::<19>(), head) {
            (Some(b'U'), _, Some(m)) => highest = highest.max(long(m, 11)).max(long(m, 19)),
            (Some(b'A' | b'F' | b'D' | b'X' | b'E' | b'C'), Some(m), _) => {
                highest = highest.max(long(m, 11));
            }
            _ => {}
        }
    }
    highest
}

/// Takes a message off the front; `None` at the end and before a cut one.
#[inline(always)]
pub(crate) fn split_message<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<2>()?;
    let (message, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = behind;
    Some(message)
}

#[inline(always)]
fn word<const N: usize>(message: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([
        message[at],
        message[at + 1],
        message[at + 2],
        message[at + 3],
    ])
}

#[inline(always)]
fn long<const N: usize>(message: &[u8; N], at: usize) -> u64 {
    (u64::from(word(message, at)) << 32) | u64::from(word(message, at + 4))
}
