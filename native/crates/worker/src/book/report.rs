//! Books as JSON, the same shapes offline and on the control socket.

use serde::Serialize;
use tickdeck_book::{BookView, Books, Fault, LevelView, Scale, Side, hash};

/// One book in a few numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BookSummary {
    /// Name of the instrument, unprintable bytes escaped.
    pub(crate) symbol: String,
    /// Resting orders.
    pub(crate) orders: u32,
    /// Price levels of the bids.
    pub(crate) bid_levels: usize,
    /// Price levels of the asks.
    pub(crate) ask_levels: usize,
    /// Best bid: price in the venue's scale, shares.
    pub(crate) best_bid: Option<(i64, u64)>,
    /// Best ask: price in the venue's scale, shares.
    pub(crate) best_ask: Option<(i64, u64)>,
    /// Last trading state of the venue, if it named one.
    pub(crate) trading_state: Option<char>,
    /// Whether the book is locked or crossed.
    pub(crate) crossed: bool,
    /// Step between two prices at the touch, in the venue's scale, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tick: Option<i64>,
    /// Ticks between best bid and best ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spread_ticks: Option<u64>,
    /// How its prices and quantities are read.
    #[serde(flatten)]
    pub(crate) scale: ScaleView,
    /// GOOD, SUSPECT, REBUILDING or STALE.
    pub(crate) trust: &'static str,
    /// Venue sequence number from which on the book may be wrong.
    pub(crate) suspect_since: Option<u64>,
    /// Why.
    pub(crate) suspect_cause: Option<&'static str>,
    /// Both hashes, when they were asked for.
    #[serde(flatten)]
    pub(crate) hashes: Option<Hashes>,
}

/// The hashes of a book, as hexadecimal digits.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hashes {
    /// SHA-256 over every order in price-time order.
    pub(crate) queue_sha256: String,
    /// 64-bit hash of the set of orders.
    pub(crate) state_hash: String,
}

/// The best levels of a book.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Depth {
    /// Bids, best first: price, shares, orders.
    pub(crate) bids: Vec<LevelView>,
    /// Asks, best first: price, shares, orders.
    pub(crate) asks: Vec<LevelView>,
}

/// Decimals of the integers of a book.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ScaleView {
    /// A price of 1 is 10 to the minus this.
    pub(crate) price_decimals: u8,
    /// A quantity of 1 is 10 to the minus this.
    pub(crate) quantity_decimals: u8,
}

impl ScaleView {
    /// Those of a channel's books.
    pub(crate) fn of(scale: Scale) -> Self {
        Self {
            price_decimals: scale.price_decimals,
            quantity_decimals: scale.quantity_decimals,
        }
    }
}

impl BookSummary {
    /// Sums up a book; the hashes take time in proportion to its orders.
    pub(crate) fn of(book: BookView<'_>, with_hashes: bool) -> Self {
        let best = |side| book.best(side).map(|level| (level.price, level.quantity));
        let trust = book.trust();
        Self {
            symbol: book.symbol().to_string(),
            orders: book.orders(),
            bid_levels: book.levels(Side::Bid),
            ask_levels: book.levels(Side::Ask),
            best_bid: best(Side::Bid),
            best_ask: best(Side::Ask),
            trading_state: Some(book.trading_state())
                .filter(u8::is_ascii_graphic)
                .map(char::from),
            crossed: book.is_crossed(),
            tick: book.tick(),
            spread_ticks: book.spread_ticks(),
            scale: ScaleView::of(book.scale()),
            trust: trust.name(),
            suspect_since: trust.doubt().map(|doubt| doubt.since),
            suspect_cause: trust.doubt().map(|doubt| doubt.cause.name()),
            hashes: with_hashes.then(|| Hashes::of(book)),
        }
    }
}

impl Hashes {
    /// Computes both hashes.
    pub(crate) fn of(book: BookView<'_>) -> Self {
        Self {
            queue_sha256: hash::hex(&book.queue_sha256()),
            state_hash: state_hash(book),
        }
    }
}

impl Depth {
    /// The best `levels` of each side.
    pub(crate) fn of(book: BookView<'_>, levels: usize) -> Self {
        Self {
            bids: book.top_n(Side::Bid, levels).collect(),
            asks: book.top_n(Side::Ask, levels).collect(),
        }
    }
}

/// The state hash as sixteen hexadecimal digits.
pub(crate) fn state_hash(book: BookView<'_>) -> String {
    format!("{:016x}", book.state_hash())
}

/// Every fault that was found at least once, with its count.
pub(crate) fn faults(books: &Books) -> Vec<(&'static str, u64)> {
    Fault::ALL
        .into_iter()
        .map(|fault| (fault.reason(), books.counters().fault(fault)))
        .filter(|(_, count)| *count > 0)
        .collect()
}
