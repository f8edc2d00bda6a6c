//! An instrument of a generated channel: its orders, and what follows from them.

use std::collections::BTreeMap;

use crate::Random;

/// Ticks of a side that the book by price shows.
const DEPTH: u64 = 10;

/// Ticks of a side that orders come at.
const TICKS: u64 = 15;

/// Orders that an instrument has most.
const MOST_ORDERS: usize = 60;

const NEW: u8 = 0;
const CHANGE: u8 = 1;
const DELETE: u8 = 2;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// OrderID.
    pub id: u64,
    /// MDOrderPriority.
    pub priority: u64,
    /// MDDisplayQty.
    pub quantity: i32,
    /// `0` bid, `1` offer.
    pub kind: u8,
    /// Distance from the middle.
    tick: u64,
}

/// A price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its price, negative on the bid side.
    pub price: i64,
    /// Sum of its orders; 0: the level is gone.
    pub size: i32,
    /// Its orders.
    pub orders: i32,
    /// Its place on its side, from 1.
    pub rank: u8,
    /// `0` bid, `1` offer.
    pub kind: u8,
}

/// An instrument's orders and numbers.
#[derive(Clone, Debug)]
pub struct Instrument {
    security_id: i32,
    has_orders: bool,
    is_active: bool,
    rpt_seq: u32,
    orders: BTreeMap<u64, Order>,
}

impl Order {
    /// MDEntryPx.
    pub fn price(&self) -> i64 {
        let distance = (self.tick as i64 + 1) * 25_000_000;
        if self.kind == b'0' {
            -distance
        } else {
            distance
        }
    }
}

impl Instrument {
    pub(super) fn new(index: usize) -> Self {
        Self {
            security_id: 1_000 + index as i32,
            has_orders: index % 3 != 2,
            is_active: false,
            rpt_seq: 0,
            orders: BTreeMap::new(),
        }
    }

    /// SecurityID.
    pub fn security_id(&self) -> i32 {
        self.security_id
    }

    /// RptSeq of its last update; 0 before the first.
    pub fn rpt_seq(&self) -> u32 {
        self.rpt_seq
    }

    /// Whether its orders are shown.
    pub fn has_orders(&self) -> bool {
        self.has_orders
    }

    /// Whether an order came since the channel was empty.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// Its orders, by OrderID.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Its book by price: bids, then offers, from the middle on.
    pub fn levels(&self) -> Vec<Level> {
        let mut levels = Vec::new();
        for kind in [b'0', b'1'] {
            let mut rank = 0;
            for tick in 0..DEPTH {
                let level = self.level(kind, tick, rank + 1);
                if level.orders > 0 {
                    rank += 1;
                    levels.push(level);
                }
            }
        }
        levels
    }

    pub(super) fn clear(&mut self) {
        self.orders.clear();
        (self.rpt_seq, self.is_active) = (0, false);
    }

    /// The number of the next update.
    pub(super) fn count_update(&mut self) -> u32 {
        self.rpt_seq += 1;
        self.rpt_seq
    }

    /// Adds, changes or deletes an order; the order as it is then (or was), and the action.
    pub(super) fn change(&mut self, random: &mut Random, next_id: &mut u64) -> (Order, u8) {
        self.is_active = true;
        let is_few = self.orders.len() < 4;
        let is_many = self.orders.len() >= MOST_ORDERS;
        if is_few || (!is_many && random.below(100) < 52) {
            // Without a book by order only what shows by price is sent.
            let ticks = if self.has_orders { TICKS } else { DEPTH };
            let order = Order {
                id: *next_id,
                priority: *next_id,
                quantity: 1 + random.below(50) as i32,
                kind: b'0' + random.below(2) as u8,
                tick: random.below(ticks),
            };
            *next_id += 1;
            self.orders.insert(order.id, order);
            return (order, NEW);
        }
        let index = random.below(self.orders.len() as u64) as usize;
        let order = self.orders.values_mut().nth(index).expect("it is there");
        if random.below(2) == 0 {
            order.quantity = 1 + random.below(50) as i32;
            return (*order, CHANGE);
        }
        let order = *order;
        self.orders.remove(&order.id);
        (order, DELETE)
    }

    /// What a change of an order means to the book by price; `None` behind its depth.
    pub(super) fn level_change(&self, order: &Order, action: u8) -> Option<(Level, u8)> {
        if order.tick >= DEPTH {
            return None;
        }
        let better = (0..order.tick).filter(|tick| self.level(order.kind, *tick, 0).orders > 0);
        let level = self.level(order.kind, order.tick, better.count() as u8 + 1);
        let action = match (action, level.orders) {
            (_, 0) => DELETE,
            (NEW, 1) => NEW,
            _ => CHANGE,
        };
        Some((level, action))
    }

    fn level(&self, kind: u8, tick: u64, rank: u8) -> Level {
        let at = |order: &&Order| (order.kind, order.tick) == (kind, tick);
        let orders = self.orders.values().filter(at);
        let (count, size) = orders.fold((0, 0), |(count, size), order| {
            (count + 1, size + order.quantity)
        });
        let order = Order {
            id: 0,
            priority: 0,
            quantity: 0,
            kind,
            tick,
        };
        Level {
            price: order.price(),
            size,
            orders: count,
            rank,
            kind,
        }
    }
}
