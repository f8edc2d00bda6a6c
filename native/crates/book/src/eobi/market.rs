//! Resting orders without a price, in order of their names.

use crate::types::{BookId, Side};

/// Market orders at most; further ones are refused and counted. Venues have a handful.
const LIMIT: usize = 65_536;

/// The market orders of all books: a sorted array, since they are few and seldom.
#[derive(Clone, Debug)]
pub(super) struct MarketOrders {
    orders: Vec<MarketOrder>,
}

/// A market order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarketOrder {
    pub(super) book: BookId,
    pub(super) side: Side,
    pub(super) reference: u64,
    pub(super) quantity: u64,
}

impl MarketOrders {
    pub(super) fn new() -> Self {
        Self {
            orders: Vec::with_capacity(256),
        }
    }

    pub(super) fn find(&self, book: BookId, side: Side, reference: u64) -> Option<usize> {
        self.place(book, side, reference).ok()
    }

    /// The first order of a side with this quantity, or the first of all.
    pub(super) fn first(&self, book: BookId, side: Side, quantity: Option<u64>) -> Option<usize> {
        let is_it = |order: &MarketOrder| {
            (order.book, order.side) == (book, side)
                && quantity.is_none_or(|quantity| order.quantity == quantity)
        };
        self.orders.iter().position(is_it)
    }

    /// Adds an order whose name is not here; false when there are too many.
    pub(super) fn add(&mut self, order: MarketOrder) -> bool {
        let place = self.place(order.book, order.side, order.reference);
        let (Err(at), true) = (place, self.orders.len() < LIMIT) else {
            return false;
        };
        self.orders.insert(at, order);
        true
    }

    pub(super) fn get(&self, at: usize) -> MarketOrder {
        self.orders[at]
    }

    pub(super) fn set_quantity(&mut self, at: usize, quantity: u64) {
        self.orders[at].quantity = quantity;
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.orders.remove(at);
    }

    pub(super) fn clear_book(&mut self, book: BookId) {
        self.orders.retain(|order| order.book != book);
    }

    pub(super) fn clear(&mut self) {
        self.orders.clear();
    }

    /// How many a book has, and their quantity.
    pub(super) fn of(&self, book: BookId) -> (u32, u64) {
        let orders = self.orders.iter().filter(|order| order.book == book);
        orders.fold((0, 0), |(count, sum), order| {
            (count + 1, sum.saturating_add(order.quantity))
        })
    }

    pub(super) fn all(&self) -> &[MarketOrder] {
        &self.orders
    }

    fn place(&self, book: BookId, side: Side, reference: u64) -> Result<usize, usize> {
        let key = |order: &MarketOrder| (order.book, order.side, order.reference);
        self.orders
            .binary_search_by_key(&(book, side, reference), key)
    }
}
