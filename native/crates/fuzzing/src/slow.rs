//! ITCH books that are slow and obviously right: a list of orders in the order of their arrival.

use tickdeck_book::{BookView, Books, LevelView, OrderView, Side, hash};
use tickdeck_wire::itch50::{self, Message};

/// Orders of all instruments, oldest first, at most `limit`.
pub(crate) struct SlowBooks {
    limit: usize,
    resting: Vec<(u16, OrderView)>,
}

impl SlowBooks {
    /// No orders yet.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            resting: Vec::new(),
        }
    }

    /// Applies one message, or nothing when the bytes are none.
    pub(crate) fn apply(&mut self, message: &[u8]) {
        match itch50::parse(message) {
            Ok(Message::AddOrder(m)) => {
                let side = side_of(m.side());
                let order = order(side, m.price(), m.order_reference(), m.shares());
                self.enter(m.stock_locate(), order);
            }
            Ok(Message::AddOrderMpid(m)) => {
                let side = side_of(m.side());
                let order = order(side, m.price(), m.order_reference(), m.shares());
                self.enter(m.stock_locate(), order);
            }
            Ok(Message::OrderExecuted(m)) => self.take(m.order_reference(), m.executed_shares()),
            Ok(Message::OrderExecutedWithPrice(m)) => {
                self.take(m.order_reference(), m.executed_shares());
            }
            Ok(Message::OrderCancel(m)) => self.take(m.order_reference(), m.cancelled_shares()),
            Ok(Message::OrderDelete(m)) => {
                self.remove(m.order_reference());
            }
            Ok(Message::OrderReplace(m)) => {
                if let Some((locate, old)) = self.remove(m.original_order_reference()) {
                    let reference = m.new_order_reference();
                    self.enter(locate, order(old.side, m.price(), reference, m.shares()));
                }
            }
            _ => {}
        }
    }

    /// Every queue, level and count of the books is what these orders give.
    pub(crate) fn compare(&self, books: &Books) {
        assert_eq!(books.order_count(), self.resting.len());
        for view in books.iter() {
            assert_eq!(books.by_instrument(view.instrument()), Some(view.id()));
            self.compare_book(view);
        }
        for (locate, _) in &self.resting {
            assert!(books.by_instrument(i64::from(*locate)).is_some());
        }
    }

    /// Both hashes of every book are those of these orders.
    pub(crate) fn compare_hashes(&self, books: &Books) {
        for view in books.iter() {
            let orders = self.compare_book(view);
            let state_hash = hash::state_hash(orders.iter().copied());
            assert_eq!(view.state_hash(), state_hash);
            let queue_sha256 = hash::queue_sha256(orders.into_iter(), books.config().width);
            assert_eq!(view.queue_sha256(), queue_sha256);
        }
    }

    /// The orders of the book, bids before asks, in price-time order.
    fn compare_book(&self, view: BookView<'_>) -> Vec<OrderView> {
        let mut all = Vec::new();
        for side in Side::BOTH {
            let queue = self.queue(view.instrument(), side);
            let levels: Vec<_> = queue
                .chunk_by(|one, next| one.price == next.price)
                .collect();
            assert!(view.queue(side).eq(queue.iter().copied()));
            assert!(
                view.top_n(side, usize::MAX)
                    .eq(levels.iter().map(|level| sum(level)))
            );
            assert_eq!(view.best(side), levels.first().map(|level| sum(level)));
            assert_eq!(view.levels(side), levels.len());
            all.extend(queue);
        }
        assert_eq!(view.orders() as usize, all.len());
        all
    }

    /// A stable sort of the arrivals by price.
    fn queue(&self, instrument: i64, side: Side) -> Vec<OrderView> {
        let here = |(locate, order): &&(u16, OrderView)| {
            i64::from(*locate) == instrument && order.side == side
        };
        let mut orders: Vec<_> = self
            .resting
            .iter()
            .filter(here)
            .map(|pair| pair.1)
            .collect();
        match side {
            Side::Bid => orders.sort_by_key(|order| -order.price),
            Side::Ask => orders.sort_by_key(|order| order.price),
        }
        orders
    }

    fn enter(&mut self, locate: u16, order: OrderView) {
        if order.quantity == 0 {
            return;
        }
        self.remove(order.reference);
        if self.resting.len() < self.limit {
            self.resting.push((locate, order));
        }
    }

    fn take(&mut self, reference: u64, shares: u32) {
        let Some(at) = self.position(reference) else {
            return;
        };
        let left = self.resting[at].1.quantity.saturating_sub(shares.into());
        if left == 0 {
            self.resting.remove(at);
        } else {
            self.resting[at].1.quantity = left;
        }
    }

    fn remove(&mut self, reference: u64) -> Option<(u16, OrderView)> {
        self.position(reference).map(|at| self.resting.remove(at))
    }

    fn position(&self, reference: u64) -> Option<usize> {
        let is_it = |(_, order): &(u16, OrderView)| order.reference == reference;
        self.resting.iter().position(is_it)
    }
}

fn order(side: Side, price: u32, reference: u64, shares: u32) -> OrderView {
    OrderView {
        side,
        price: price.into(),
        reference,
        quantity: shares.into(),
    }
}

fn sum(level: &[OrderView]) -> LevelView {
    LevelView {
        price: level[0].price,
        quantity: level.iter().map(|order| order.quantity).sum(),
        // Levels here are short.
        orders: level.len() as u32,
    }
}

fn side_of(side: itch50::Side) -> Side {
    match side {
        itch50::Side::Buy => Side::Bid,
        itch50::Side::Sell => Side::Ask,
    }
}
