//! Lists and depths of books, by order and by price, as the control socket answers them.

use serde::Serialize;
use tickdeck_book::price_book::{Kind, PriceBook};
use tickdeck_book::{BookView, Books, LevelView, Side};

use super::commands::Place;
use super::price_report::PriceSummary;
use super::report::{BookSummary, Depth, ScaleView};
use super::venue::BookChannel;

/// Which levels are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DepthKind {
    /// Those of the orders.
    Order,
    /// Those that the venue tells.
    Price,
    /// Those that other instruments imply.
    Implied,
}

/// Some of the books.
#[derive(Debug, Serialize)]
pub(crate) struct BookList {
    /// Books in the order of their symbols, by order before by price.
    books: Vec<Row>,
    /// How many there are in all.
    total: usize,
    /// Where in the stream this holds.
    #[serde(flatten)]
    place: Place,
}

/// One book with its best levels.
#[derive(Debug, Serialize)]
pub(crate) struct BookDepth {
    #[serde(flatten)]
    row: Row,
    /// Its best levels; of a book by price, those of the kind that was asked for.
    #[serde(flatten)]
    depth: Depth,
    /// Where in the stream this holds.
    #[serde(flatten)]
    place: Place,
}

/// A book in a few numbers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Row {
    Order(Box<BookSummary>),
    Price(Box<PriceRow>),
}

/// A book by price in a few numbers.
#[derive(Debug, Serialize)]
struct PriceRow {
    /// `price`, or `implied`.
    book: &'static str,
    symbol: String,
    orders: u64,
    bid_levels: usize,
    ask_levels: usize,
    best_bid: Option<(i64, u64)>,
    best_ask: Option<(i64, u64)>,
    crossed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spread_ticks: Option<u64>,
    #[serde(flatten)]
    scale: ScaleView,
    trust: &'static str,
    suspect_since: Option<u64>,
    suspect_cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_hash: Option<String>,
}

/// One of the two.
enum Book<'a> {
    Order(BookView<'a>),
    Price(&'a PriceBook),
}

impl DepthKind {
    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "order" => Some(Self::Order),
            "price" => Some(Self::Price),
            "implied" => Some(Self::Implied),
            _ => None,
        }
    }
}

impl BookList {
    /// At most `limit` books behind the first `offset`.
    pub(crate) fn of(channel: &BookChannel, hashes: bool, offset: usize, limit: usize) -> Self {
        let books = channel.books();
        let mut all: Vec<Book<'_>> = books.iter().map(Book::Order).collect();
        all.extend(books.price_books().iter().map(Book::Price));
        all.sort_by_key(|book| match book {
            Book::Order(book) => (book.symbol(), 0),
            Book::Price(book) => (book.symbol(), 1),
        });
        let total = all.len();
        let row = |book| match book {
            Book::Order(book) => Row::Order(Box::new(BookSummary::of(book, hashes))),
            Book::Price(book) => Row::Price(Box::new(PriceRow::of(books, book, hashes))),
        };
        Self {
            books: all.into_iter().skip(offset).take(limit).map(row).collect(),
            total,
            place: Place::of(channel),
        }
    }
}

impl BookDepth {
    /// The best levels of the book of a symbol, or of the venue's number in digits; `None` when
    /// there is no such book. Without a kind: by order, or else by price.
    pub(crate) fn of(
        channel: &BookChannel,
        symbol: &str,
        kind: Option<DepthKind>,
        levels: usize,
    ) -> Option<Self> {
        let books = channel.books();
        let by_order = || by_order(books, symbol);
        let by_price = || by_price(books, symbol);
        let (row, depth) = match kind {
            Some(DepthKind::Order) => order_depth(by_order()?, levels),
            Some(DepthKind::Price) => price_depth(books, by_price()?, Kind::Real, levels),
            Some(DepthKind::Implied) => price_depth(books, by_price()?, Kind::Implied, levels),
            None => match by_order() {
                Some(book) => order_depth(book, levels),
                None => price_depth(books, by_price()?, Kind::Real, levels),
            },
        };
        Some(Self {
            row,
            depth,
            place: Place::of(channel),
        })
    }
}

impl PriceRow {
    fn of(books: &Books, book: &PriceBook, hashes: bool) -> Self {
        let summary = PriceSummary::of(books, book, 0);
        let ticks = books.price_ticks(book);
        let price = |best: Option<(i64, u64)>| best.map(|(price, _)| price);
        let (bid, ask) = (price(summary.best_bid), price(summary.best_ask));
        let at = bid.or(ask).unwrap_or(0);
        Self {
            book: summary.book,
            symbol: summary.symbol,
            orders: summary.orders,
            bid_levels: summary.bid_levels,
            ask_levels: summary.ask_levels,
            best_bid: summary.best_bid,
            best_ask: summary.best_ask,
            crossed: summary.crossed,
            tick: ticks.as_ref().map(|ticks| ticks.at(at)),
            spread_ticks: ticks.and_then(|ticks| ticks.steps(bid?, ask?)),
            scale: ScaleView::of(books.config().scale),
            trust: summary.trust,
            suspect_since: summary.suspect_since,
            suspect_cause: summary.suspect_cause,
            state_hash: hashes.then_some(summary.state_hash),
        }
    }
}

fn by_order<'a>(books: &'a Books, symbol: &str) -> Option<BookView<'a>> {
    books.by_symbol(symbol.as_bytes()).or_else(|| {
        let id = books.by_instrument(number(symbol)?)?;
        Some(books.view(id))
    })
}

/// The book by price of a name or number.
pub(super) fn by_price<'a>(books: &'a Books, symbol: &str) -> Option<&'a PriceBook> {
    let prices = books.price_books();
    let named = prices.by_symbol(symbol.as_bytes());
    named.or_else(|| prices.get(number(symbol)?))
}

fn number(symbol: &str) -> Option<i64> {
    symbol.parse().ok()
}

fn order_depth(book: BookView<'_>, levels: usize) -> (Row, Depth) {
    let summary = Box::new(BookSummary::of(book, false));
    (Row::Order(summary), Depth::of(book, levels))
}

fn price_depth(books: &Books, book: &PriceBook, kind: Kind, levels: usize) -> (Row, Depth) {
    let mut row = PriceRow::of(books, book, false);
    let top = |side| -> Vec<LevelView> { book.levels(kind, side).take(levels).collect() };
    let depth = Depth {
        bids: top(Side::Bid),
        asks: top(Side::Ask),
    };
    if kind == Kind::Implied {
        let best = |levels: &[LevelView]| levels.first().map(|best| (best.price, best.quantity));
        row.book = "implied";
        row.orders = 0;
        (row.bid_levels, row.ask_levels) = (depth.bids.len(), depth.asks.len());
        (row.best_bid, row.best_ask) = (best(&depth.bids), best(&depth.asks));
        (row.tick, row.spread_ticks) = (None, None);
    }
    (Row::Price(Box::new(row)), depth)
}
