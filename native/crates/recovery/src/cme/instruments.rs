//! What is known of each instrument's two books.

use std::collections::{BTreeMap, BTreeSet};

use super::{Book, Trust};

/// A book by price.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    pub(super) trust: Trust,
    /// RptSeq of the last update that is in the book; of a suspect one, of the last that came.
    pub(super) rpt_seq: u32,
    /// Number of the packet that touched the instrument last.
    pub(super) touched: u32,
    /// Packets up to this one are in the book, because its cycle includes them.
    pub(super) includes: u32,
}

/// A book by order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    pub(super) trust: Trust,
    /// Packets up to this one are in the book, because its cycle includes them.
    pub(super) includes: u32,
}

/// Every book that was seen, within a limit.
///
/// A reader keeps an instrument's place when a channel reset empties its books, so the limit is on
/// those met since the numbers began.
#[derive(Debug)]
pub(super) struct Instruments {
    prices: BTreeMap<i32, Prices>,
    orders: BTreeMap<i32, Orders>,
    met_prices: BTreeSet<i32>,
    met_orders: BTreeSet<i32>,
    most: usize,
}

impl Instruments {
    pub(super) fn new(most: usize) -> Self {
        Self {
            prices: BTreeMap::new(),
            orders: BTreeMap::new(),
            met_prices: BTreeSet::new(),
            met_orders: BTreeSet::new(),
            most,
        }
    }

    pub(super) fn prices(&mut self, security_id: i32) -> Option<&mut Prices> {
        self.prices.get_mut(&security_id)
    }

    pub(super) fn orders(&mut self, security_id: i32) -> Option<&mut Orders> {
        self.orders.get_mut(&security_id)
    }

    /// Enters or replaces a book; false when there is no room for one more.
    pub(super) fn set_prices(&mut self, security_id: i32, prices: Prices) -> bool {
        let has_room = has_room(&mut self.met_prices, security_id, self.most);
        if has_room {
            self.prices.insert(security_id, prices);
        }
        has_room
    }

    /// Enters or replaces a book; false when there is no room for one more.
    pub(super) fn set_orders(&mut self, security_id: i32, orders: Orders) -> bool {
        let has_room = has_room(&mut self.met_orders, security_id, self.most);
        if has_room {
            self.orders.insert(security_id, orders);
        }
        has_room
    }

    /// Every book by order, in order of the instruments.
    pub(super) fn all_orders(&mut self) -> impl Iterator<Item = (i32, &mut Orders)> {
        self.orders.iter_mut().map(|(id, orders)| (*id, orders))
    }

    /// Every book by price, then every book by order.
    pub(super) fn all(&self) -> (&BTreeMap<i32, Prices>, &BTreeMap<i32, Orders>) {
        (&self.prices, &self.orders)
    }

    pub(super) fn trust(&self, security_id: i32, book: Book) -> Option<Trust> {
        match book {
            Book::Prices => self.prices.get(&security_id).map(|prices| prices.trust),
            Book::Orders => self.orders.get(&security_id).map(|orders| orders.trust),
        }
    }

    /// The books that lack updates.
    pub(super) fn suspects(&self) -> impl Iterator<Item = (i32, Book)> {
        let is_suspect = |trust: Trust| matches!(trust, Trust::Suspect { .. });
        let prices = self.prices.iter();
        let prices = prices.filter(move |(_, prices)| is_suspect(prices.trust));
        let orders = self.orders.iter();
        let orders = orders.filter(move |(_, orders)| is_suspect(orders.trust));
        let prices = prices.map(|(id, _)| (*id, Book::Prices));
        prices.chain(orders.map(|(id, _)| (*id, Book::Orders)))
    }

    /// A channel reset: no book is known, and those met still count.
    pub(super) fn clear(&mut self) {
        self.prices.clear();
        self.orders.clear();
    }

    /// The numbers begin again: nothing was met.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.met_prices.clear();
        self.met_orders.clear();
    }
}

/// Whether there is room for this instrument, which has it from now on.
fn has_room(met: &mut BTreeSet<i32>, security_id: i32, most: usize) -> bool {
    met.contains(&security_id) || (met.len() < most && met.insert(security_id))
}
