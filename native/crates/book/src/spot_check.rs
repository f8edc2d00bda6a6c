//! Checks of books at work: one book at a time, between two records.
//!
//! [`Books::check_invariants`] walks everything, which is for tests. A book at work is checked by
//! itself, and where it is large only from its best levels on; the sums over all books are cheap.

use crate::books::Books;
use crate::invariants::{InvariantError, holds, same};
use crate::types::{BookId, Side};
use crate::view::BookView;

/// When the books of a venue may not be locked or crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// They may always be: auctions, or nothing says when not.
    Allowed,
    /// Not while a book is in this trading state.
    ForbiddenIn(u8),
    /// Not while a book is in one of these.
    ForbiddenInEither(u8, u8),
}

impl Crossing {
    /// Whether a book in this trading state may not be locked or crossed.
    fn forbids(self, state: u8) -> bool {
        match self {
            Self::Allowed => false,
            Self::ForbiddenIn(forbidden) => state == forbidden,
            Self::ForbiddenInEither(one, other) => state == one || state == other,
        }
    }
}

/// What was checked of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpotCheck {
    /// Orders that were walked.
    pub orders: u64,
    /// Those were all of the book.
    pub is_whole: bool,
}

impl Books {
    /// Checks one book: sorting, queue links, index, sums, positive quantities, and that it is not
    /// crossed where that is not allowed and nothing is known to be missing. Walks the levels of
    /// each side from the best on until another one would be more than `most_orders` in all.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_book(
        &self,
        id: BookId,
        crossing: Crossing,
        most_orders: u64,
    ) -> Result<SpotCheck, InvariantError> {
        let (bids, has_all_bids) = self.check_side(id, Side::Bid, most_orders)?;
        let (asks, has_all_asks) = self.check_side(id, Side::Ask, most_orders - bids)?;
        let (orders, is_whole) = (bids + asks, has_all_bids && has_all_asks);
        let view = self.view(id);
        let place = || view.symbol().to_string();
        if is_whole {
            same("number of orders", place, u64::from(view.orders()), orders)?;
        }
        let is_forbidden = crossing.forbids(view.trading_state());
        holds(
            !is_forbidden || self.trust_of(id).doubt().is_some() || !view.is_crossed(),
            "the best bid is not below the best ask while trading",
            place,
        )?;
        Ok(SpotCheck { orders, is_whole })
    }

    /// One book by its place in the order in which books were first named.
    pub fn at(&self, index: usize) -> Option<BookView<'_>> {
        let id = u32::try_from(index).ok()?;
        (index < self.len()).then(|| self.view(BookId(id)))
    }

    /// Checks that the books together have the orders that the pool and the index have. Takes time
    /// in proportion to the number of books.
    ///
    /// # Errors
    /// The first sum that is another.
    pub fn check_totals(&self) -> Result<(), InvariantError> {
        let kept = self
            .store
            .order_counts
            .iter()
            .map(|count| u64::from(*count));
        let (pool, orders) = (|| "the pool".to_owned(), kept.sum());
        same("live orders", pool, self.store.orders.len() as u64, orders)?;
        let indexed = self.store.index.len() as u64;
        same("indexed references", pool, indexed, orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::BooksConfig;
    use crate::store::NewOrder;
    use crate::trust::Cause;
    use crate::types::Symbol;

    const T: Crossing = Crossing::ForbiddenIn(b'T');

    /// Two bids of one order each and a level of three asks, not crossed.
    fn books() -> (Books, BookId) {
        let mut books = Books::new(BooksConfig::default());
        let book = books.book_for(1, || Symbol::from_padded(b"TEST"));
        let orders = [
            (Side::Bid, 99),
            (Side::Bid, 98),
            (Side::Ask, 100),
            (Side::Ask, 100),
            (Side::Ask, 100),
        ];
        for (reference, (side, price)) in (1..).zip(orders) {
            books
                .store
                .add(NewOrder {
                    book,
                    side,
                    price,
                    quantity: 10,
                    reference,
                })
                .expect("room");
        }
        (books, book)
    }

    /// A book is walked as far as it is allowed to, whole levels only, and damage within is found.
    #[test]
    fn a_book_is_walked_within_its_bound() {
        let (mut books, book) = books();
        let walked = |books: &Books, most| {
            books
                .check_book(book, T, most)
                .map(|it| (it.orders, it.is_whole))
        };
        assert_eq!(walked(&books, 5), Ok((5, true)));
        assert_eq!(walked(&books, 4), Ok((2, false)));
        assert_eq!(walked(&books, 1), Ok((1, false)));
        books.store.orders[3].previous = 0;
        assert_eq!(walked(&books, 4), Ok((2, false)), "behind the bound");
        assert!(walked(&books, 5).is_err());
    }

    /// A locked book is a fault only in the state that forbids it, and only while nothing is known
    /// to be missing.
    #[test]
    fn a_crossed_book_is_a_fault_where_it_is_forbidden() {
        let (mut books, book) = books();
        let locking = NewOrder {
            book,
            side: Side::Bid,
            price: 100,
            quantity: 1,
            reference: 77,
        };
        books.store.add(locking).expect("room");
        let is_fault = |books: &Books, crossing| books.check_book(book, crossing, 99).is_err();
        assert!(!is_fault(&books, T), "the state is not known");
        books.listings[0].trading_state = b'T';
        assert!(is_fault(&books, T));
        assert!(!is_fault(&books, Crossing::Allowed));
        books.listings[0].trading_state = b'H';
        assert!(!is_fault(&books, T));
        books.listings[0].trading_state = b'T';
        books.suspect_book(book, 1, Cause::MessagesLost);
        assert!(!is_fault(&books, T));
    }

    /// An order that the books do not have, or the index does not know, is told by the sums alone.
    #[test]
    fn the_sums_over_all_books_are_checked() {
        let (mut books, _) = books();
        assert_eq!(books.check_totals(), Ok(()));
        books.store.order_counts[0] += 1;
        assert!(books.check_totals().is_err());
        books.store.order_counts[0] -= 1;
        let key = books.store.key_of(&books.store.orders[0]);
        books.store.index.remove(key);
        assert!(books.check_totals().is_err());
    }
}
