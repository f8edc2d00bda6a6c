//! What must hold of EOBI books beside the invariants of all books.

use super::{EobiBooks, TradingStatus};
use crate::invariants::InvariantError;
use crate::trust::Trust;

impl EobiBooks {
    /// As [`crate::Books::check_invariants`]; further: a name is at a price or without one, never
    /// both, market orders have a quantity, and a believed book that is complete is not crossed
    /// while its instrument trades (202, 203). In auctions, before and after trading, and out of
    /// the main session it may be.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_invariants(&self) -> Result<(), InvariantError> {
        self.books.check_invariants()?;
        for order in self.market.all() {
            let place = || format!("{} {:?}", order.reference, order.side);
            let (book, side) = (order.book, order.side);
            let twin = self.books.store.find_in(book, side, order.reference);
            let is_right = order.quantity > 0 && twin.is_none();
            if !is_right || book.0 as usize >= self.books.len() {
                let what = "a market order of nothing, of no book, or that rests at a price too";
                return Err(InvariantError::Broken {
                    what,
                    place: place(),
                });
            }
        }
        for book in self.books.iter() {
            let status = TradingStatus(book.trading_state());
            let is_believed = book.trust() == Trust::Good && self.is_complete(book.id());
            if is_believed && status.forbids_crossing() && book.is_crossed() {
                return Err(InvariantError::Broken {
                    what: "a crossed book in trading",
                    place: book.symbol().to_string(),
                });
            }
        }
        Ok(())
    }
}
