//! What must hold between any two messages, checked the slow way.

use thiserror::Error;

use crate::books::Books;
use crate::slab::NONE;
use crate::store::BookSide;
use crate::types::{BookId, Side};

/// A rule that does not hold: the memory of the books is damaged or the code is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvariantError {
    /// A sum or count kept beside the orders is not what the orders give.
    #[error("{what} of {place} is {kept}, its orders give {found}")]
    Sum {
        /// Which sum.
        what: &'static str,
        /// Book, side and price.
        place: String,
        /// The value that is kept.
        kept: u64,
        /// The value that the orders give.
        found: u64,
    },
    /// A link, a field or the sorting of a level is wrong.
    #[error("{what} at {place}")]
    Broken {
        /// The rule, worded as what is wrong.
        what: &'static str,
        /// Book, side and price, or the order.
        place: String,
    },
}

impl Books {
    /// Checks index, queue links, aggregates, sorting, free lists and positive quantities.
    ///
    /// Takes time in proportion to all orders: for tests after every message, live on demand.
    /// Locked and crossed books are not violations here, as venues cross in auctions:
    /// [`crate::BookView::is_crossed`] tells.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_invariants(&self) -> Result<(), InvariantError> {
        let mut orders = 0;
        let mut levels = 0;
        for id in (0..self.listings.len() as u32).map(BookId) {
            let mut in_book = 0;
            for side in Side::BOTH {
                in_book += self.check_side(id, side, u64::MAX)?.0;
                levels += self.store.books[id.0 as usize].side(side).len() as u64;
            }
            let place = || self.view(id).symbol().to_string();
            let kept = self.store.order_counts[id.0 as usize];
            same("number of orders", place, u64::from(kept), in_book)?;
            orders += in_book;
        }
        let pool = || "the pool".to_owned();
        same("live orders", pool, self.store.orders.len() as u64, orders)?;
        same("live levels", pool, self.store.levels.len() as u64, levels)?;
        same(
            "indexed references",
            pool,
            self.store.index.len() as u64,
            orders,
        )?;
        let free = (
            self.store.orders.free_list_len(),
            self.store.levels.free_list_len(),
        );
        let unused_orders = self.store.orders.places() - self.store.orders.len();
        let unused_levels = self.store.levels.places() - self.store.levels.len();
        holds(
            free == (Some(unused_orders), Some(unused_levels)),
            "a free list is damaged",
            pool,
        )?;
        same(
            "records in use",
            pool,
            self.store.orders.iter().count() as u64,
            orders,
        )
    }

    /// Checks one side from its best level on while at most `most_orders` are walked; returns how
    /// many were, and whether that was all.
    pub(crate) fn check_side(
        &self,
        id: BookId,
        side: Side,
        most_orders: u64,
    ) -> Result<(u64, bool), InvariantError> {
        let ladder = self.store.books[id.0 as usize].side(side);
        let symbol = self.view(id).symbol();
        holds(ladder.is_sorted(), "levels are not sorted", || {
            format!("{symbol} {side:?}")
        })?;
        let mut orders = 0;
        for rung in ladder.best_first() {
            let level = &self.store.levels[rung.level];
            let place = || format!("{symbol} {side:?} {}", level.price);
            holds(
                side.key(level.price) == rung.key,
                "a level has another price",
                place,
            )?;
            holds(
                level.side == BookSide::new(id, side),
                "a level belongs elsewhere",
                place,
            )?;
            holds(level.count > 0, "an empty level is listed", place)?;
            if u64::from(level.count) > most_orders - orders {
                return Ok((orders, false));
            }
            let (count, quantity) = self.check_queue(id, side, rung.level)?;
            same("order count", place, u64::from(level.count), count)?;
            same("quantity", place, level.quantity, quantity)?;
            orders += count;
        }
        Ok((orders, true))
    }

    /// Walks the queue of one level and returns its order count and quantity.
    fn check_queue(&self, id: BookId, side: Side, at: u32) -> Result<(u64, u64), InvariantError> {
        let level = &self.store.levels[at];
        let (mut previous, mut address) = (NONE, level.head);
        let (mut count, mut quantity) = (0, 0);
        while address != NONE {
            let order = &self.store.orders[address];
            let place = || format!("order {} at {}", order.reference, level.price);
            holds(order.quantity > 0, "an order of no shares rests", place)?;
            holds(
                order.previous == previous,
                "a queue link does not lead back",
                place,
            )?;
            holds(order.level == at, "an order names another level", place)?;
            holds(
                order.place == BookSide::new(id, side),
                "an order is in another book",
                place,
            )?;
            let indexed = self.store.index.get(self.store.key_of(order));
            holds(
                indexed == Some(address),
                "the index does not lead to an order",
                place,
            )?;
            count += 1;
            holds(
                count <= self.store.orders.len() as u64,
                "a queue is a circle",
                place,
            )?;
            quantity = order.quantity.wrapping_add(quantity);
            (previous, address) = (address, order.next);
        }
        holds(
            level.tail == previous,
            "a queue's tail is not its last order",
            || format!("{side:?} {}", level.price),
        )?;
        Ok((count, quantity))
    }
}

pub(crate) fn holds(
    rule: bool,
    what: &'static str,
    place: impl FnOnce() -> String,
) -> Result<(), InvariantError> {
    if rule {
        Ok(())
    } else {
        Err(InvariantError::Broken {
            what,
            place: place(),
        })
    }
}

pub(crate) fn same(
    what: &'static str,
    place: impl FnOnce() -> String,
    kept: u64,
    found: u64,
) -> Result<(), InvariantError> {
    if kept == found {
        Ok(())
    } else {
        Err(InvariantError::Sum {
            what,
            place: place(),
            kept,
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::BooksConfig;
    use crate::index::OrderKey;
    use crate::store::NewOrder;
    use crate::types::Symbol;

    /// Three orders at two bid prices of one book.
    fn books() -> Books {
        let mut books = Books::new(BooksConfig {
            initial_orders: 8,
            ..BooksConfig::default()
        });
        let book = books.book_for(1, || Symbol::from_padded(b"TEST"));
        for (reference, price) in [(1, 100), (2, 100), (3, 99)] {
            let order = NewOrder {
                book,
                side: Side::Bid,
                price,
                quantity: 10,
                reference,
            };
            assert!(books.store.add(order).is_ok());
        }
        books
    }

    /// Each kind of damage is found, so that a passing check means something.
    #[test]
    fn every_kind_of_damage_is_found() {
        type Damage = fn(&mut Books);
        let damages: [(&str, Damage); 11] = [
            ("quantity", |b| b.store.levels[0].quantity += 1),
            ("order count", |b| b.store.levels[0].count += 1),
            ("number of orders", |b| b.store.order_counts[0] += 1),
            ("a queue link", |b| b.store.orders[1].previous = NONE),
            ("tail", |b| b.store.levels[0].tail = 0),
            ("another level", |b| b.store.orders[0].level = 1),
            ("another book", |b| {
                b.store.orders[0].place = BookSide::new(BookId(0), Side::Ask);
            }),
            ("the index", |b| {
                b.store.index.remove(OrderKey {
                    reference: 1,
                    tag: 0,
                });
            }),
            ("another price", |b| b.store.levels[1].price = 98),
            ("a level's side", |b| {
                b.store.levels[1].side = BookSide::new(BookId(0), Side::Ask);
            }),
            ("circle", |b| {
                b.store.orders[1].next = 1;
                b.store.orders[1].previous = 1;
            }),
        ];
        assert_eq!(books().check_invariants(), Ok(()));
        for (expected, damage) in damages {
            let mut books = books();
            damage(&mut books);
            let error = books.check_invariants().map_err(|error| error.to_string());
            assert!(error.is_err(), "{expected} went unnoticed");
        }
    }

    /// A free list that leads to a live record is found.
    #[test]
    fn a_damaged_free_list_is_found() {
        let mut books = books();
        books.store.remove(0);
        assert_eq!(books.check_invariants(), Ok(()));
        books.store.orders[0].previous = 1;
        assert!(books.check_invariants().is_err());
    }
}
