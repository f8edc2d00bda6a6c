//! All books by price of a channel.

use std::collections::HashMap;

use serde::Serialize;

use super::{Kind, PriceBook};
use crate::hash::mix;
use crate::trust::Doubt;

/// Trading status in which a venue's books may not be crossed (CME: ready to trade).
const READY_TO_TRADE: u8 = 17;

/// What was read of a channel with books by price, by kind of entry. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PriceCounters {
    /// Entries of real price levels.
    pub levels: u64,
    /// Entries of implied price levels.
    pub implied_levels: u64,
    /// Entries of orders.
    pub orders: u64,
    /// Of both, entries of books that were suspect then: shown, not proven.
    pub tentative: u64,
    /// Trades.
    pub trades: u64,
    /// Traded volumes.
    pub volumes: u64,
    /// Statistics of day or session, and limits.
    pub statistics: u64,
    /// Definitions of instruments.
    pub definitions: u64,
    /// Definitions of more instruments than there is room for.
    pub refused_definitions: u64,
    /// Trading statuses.
    pub statuses: u64,
    /// Requests for quotes, logins, logouts, heartbeats.
    pub other: u64,
    /// Books, or the whole channel, that were emptied.
    pub resets: u64,
    /// Messages of templates that are not known; skipped by their length.
    pub unknown_templates: u64,
    /// Messages of a schema version newer than the one that is known.
    pub newer_versions: u64,
    /// Messages that are not what their template says; skipped.
    pub malformed: u64,
    /// Messages that end an event of the matching engine.
    pub events: u64,
}

/// The books by price of every instrument of a channel.
#[derive(Debug, Default)]
pub struct PriceBooks {
    pub(super) books: Vec<PriceBook>,
    pub(super) places: HashMap<i64, usize>,
    /// What was read.
    pub(crate) counters: PriceCounters,
}

impl PriceBooks {
    /// The book of an instrument.
    pub fn get(&self, instrument: i64) -> Option<&PriceBook> {
        let at = *self.places.get(&instrument)?;
        self.books.get(at)
    }

    /// The first book with this name.
    pub fn by_symbol(&self, symbol: &[u8]) -> Option<&PriceBook> {
        self.iter().find(|book| book.symbol().as_bytes() == symbol)
    }

    /// Every book, in the order in which they were first named.
    pub fn iter(&self) -> impl Iterator<Item = &PriceBook> {
        self.books.iter()
    }

    /// How many books there are.
    pub fn len(&self) -> usize {
        self.books.len()
    }

    /// Whether there is no book.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// Books that are suspect on their own.
    pub fn suspect_count(&self) -> usize {
        self.books
            .iter()
            .filter(|book| book.doubt.is_some())
            .count()
    }

    /// The doubt of the first book that is suspect on its own.
    pub(crate) fn first_doubt(&self) -> Option<Doubt> {
        self.books.iter().find_map(|book| book.doubt)
    }

    /// What was read.
    pub fn counters(&self) -> &PriceCounters {
        &self.counters
    }

    /// The same, for whoever reads the messages.
    pub fn counters_mut(&mut self) -> &mut PriceCounters {
        &mut self.counters
    }

    /// Books that are crossed or locked although they are defined, good and ready to trade. Between
    /// the messages of one event of the matching engine a book may be crossed for a moment.
    pub fn crossed(&self) -> impl Iterator<Item = &PriceBook> {
        self.books.iter().filter(|book| {
            let must_not =
                book.is_defined && book.doubt.is_none() && book.trading_status == READY_TO_TRADE;
            must_not && book.is_crossed(Kind::Real)
        })
    }

    /// A hash of every book's levels; the order in which the books were named does not matter.
    pub fn state_hash(&self) -> u64 {
        let hash = |book: &PriceBook| mix(mix(book.instrument.cast_unsigned()) ^ book.state_hash());
        self.books.iter().map(hash).fold(0, u64::wrapping_add)
    }

    /// Checks every book: sorting, positive quantities, nothing below an empty place.
    ///
    /// # Errors
    /// The first rule that does not hold, and where.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (at, book) in self.books.iter().enumerate() {
            let check = book.check();
            check.map_err(|what| format!("{what} in the book by price of {}", book.symbol()))?;
            if self.places.get(&book.instrument) != Some(&at) {
                return Err(format!("{} is not where it is looked for", book.symbol()));
            }
        }
        Ok(())
    }

    /// The book of an instrument, made when there is none: unknown, or empty.
    #[inline]
    pub(crate) fn book_for(&mut self, instrument: i64, is_empty: bool) -> &mut PriceBook {
        let next = self.books.len();
        let at = *self.places.entry(instrument).or_insert(next);
        if at == next {
            self.books.push(PriceBook::new(instrument, is_empty));
        }
        &mut self.books[at]
    }

    /// The book with this place in the order in which books were first named.
    pub(crate) fn at_mut(&mut self, at: usize) -> Option<&mut PriceBook> {
        self.books.get_mut(at)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PriceBook> {
        self.books.iter_mut()
    }

    /// Another session: no instrument is known. Counters go on.
    pub(crate) fn clear(&mut self) {
        self.books.clear();
        self.places.clear();
    }
}
