//! Books by price as JSON, in the shapes of [`super::report`].

use serde::Serialize;
use tickdeck_book::price_book::{Kind, PriceBook, PriceCounters};
use tickdeck_book::{Books, LevelView, Side};

/// A book by price in a few numbers, and its best levels.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PriceSummary {
    /// `price`: beside the book by order of the same name.
    pub(crate) book: &'static str,
    /// Name of the instrument, unprintable bytes escaped.
    pub(crate) symbol: String,
    /// Orders of the levels that are known.
    pub(crate) orders: u64,
    /// Levels of the bids, down to the first that is unknown.
    pub(crate) bid_levels: usize,
    /// Levels of the asks, down to the first that is unknown.
    pub(crate) ask_levels: usize,
    /// Best bid: price in the venue's scale, quantity.
    pub(crate) best_bid: Option<(i64, u64)>,
    /// Best ask: price in the venue's scale, quantity.
    pub(crate) best_ask: Option<(i64, u64)>,
    /// Bids, best first: price, quantity, orders.
    pub(crate) bids: Vec<LevelView>,
    /// Asks, best first: price, quantity, orders.
    pub(crate) asks: Vec<LevelView>,
    /// Levels of the implied bids; they have no orders.
    pub(crate) implied_bids: Vec<LevelView>,
    /// Levels of the implied asks; they have no orders.
    pub(crate) implied_asks: Vec<LevelView>,
    /// Places of both sides of which nothing was said since the book was doubted.
    pub(crate) unknown_levels: usize,
    /// Trading status of the venue, once known.
    pub(crate) trading_status: Option<u8>,
    /// Whether the book is locked or crossed.
    pub(crate) crossed: bool,
    /// 64-bit hash of the levels and their places, as hexadecimal digits.
    pub(crate) state_hash: String,
    /// GOOD, SUSPECT, REBUILDING or STALE.
    pub(crate) trust: &'static str,
    /// Venue sequence number from which on the book may be wrong.
    pub(crate) suspect_since: Option<u64>,
    /// Why.
    pub(crate) suspect_cause: Option<&'static str>,
}

impl PriceSummary {
    /// Sums up a book with the best `levels` of each side.
    pub(crate) fn of(books: &Books, book: &PriceBook, levels: usize) -> Self {
        let top = |kind, side| book.levels(kind, side).take(levels).collect();
        let best = |side| {
            let level = book.best(Kind::Real, side);
            level.map(|level| (level.price, level.quantity))
        };
        let known = |side| book.known(Kind::Real, side);
        let known = known(Side::Bid).chain(known(Side::Ask));
        let trust = books.price_trust(book);
        let unknown = |side| book.unknown(Kind::Real, side);
        Self {
            book: "price",
            symbol: book.symbol().to_string(),
            orders: known.map(|(_, level)| u64::from(level.orders)).sum(),
            bid_levels: book.levels(Kind::Real, Side::Bid).count(),
            ask_levels: book.levels(Kind::Real, Side::Ask).count(),
            best_bid: best(Side::Bid),
            best_ask: best(Side::Ask),
            bids: top(Kind::Real, Side::Bid),
            asks: top(Kind::Real, Side::Ask),
            implied_bids: top(Kind::Implied, Side::Bid),
            implied_asks: top(Kind::Implied, Side::Ask),
            unknown_levels: unknown(Side::Bid) + unknown(Side::Ask),
            trading_status: book.trading_status(),
            crossed: book.is_crossed(Kind::Real),
            state_hash: format!("{:016x}", book.state_hash()),
            trust: trust.name(),
            suspect_since: trust.doubt().map(|doubt| doubt.since),
            suspect_cause: trust.doubt().map(|doubt| doubt.cause.name()),
        }
    }

    /// The book in one line of text.
    pub(crate) fn line(&self) -> String {
        let touch = |best: Option<(i64, u64)>| {
            best.map_or_else(
                || "-".to_owned(),
                |(price, quantity)| format!("{price} x {quantity}"),
            )
        };
        format!(
            "{} by price, {}/{} levels, {} unknown, bid {}, ask {}, {}",
            self.symbol,
            self.bid_levels,
            self.ask_levels,
            self.unknown_levels,
            touch(self.best_bid),
            touch(self.best_ask),
            self.trust,
        )
    }
}

/// What was read of a channel with books by price; `None` of other venues.
pub(crate) fn counters(books: &Books) -> Option<&PriceCounters> {
    let prices = books.price_books();
    let counters = prices.counters();
    (!prices.is_empty() || *counters != PriceCounters::default()).then_some(counters)
}
