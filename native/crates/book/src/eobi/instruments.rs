//! Instruments and products: names, states, and what stands in for orders in auctions.

use tickdeck_wire::eobi::{
    Content, InstrumentSummary, MassInstrumentStateChange, ProductStateChange, ProductSummary,
};

use super::{AuctionRule, EobiBooks, Instrument, TradingStatus, changed};
use crate::books::{Applied, Listing};
use crate::types::{BookId, Symbol};

/// Instruments of a channel at most. A book without orders takes about a kilobyte.
const MAX_INSTRUMENTS: usize = 1 << 18;

impl Instrument {
    /// What stood in for orders is over.
    pub(super) fn forget_touches(&mut self) {
        (self.auction_bbo, self.clearing_price, self.top_of_book) = (None, None, None);
    }
}

impl EobiBooks {
    /// The book of an instrument, made when there is none yet: messages of unknown instruments come
    /// after a late start. `None` when there are too many.
    #[inline]
    pub(super) fn book_of(&mut self, product: i32, security_id: i64) -> Option<BookId> {
        let known = self.books.by_instrument(security_id);
        known.or_else(|| self.new_book(product, security_id))
    }

    /// The venue names an instrument. A name that is cut, or that another one has, is none.
    pub(super) fn on_instrument(
        &mut self,
        product: i32,
        security_id: i64,
        name: &[u8],
        product_complex: Option<u8>,
    ) {
        self.counters.instruments += 1;
        self.books.counters.directory += 1;
        let Some(book) = self.book_of(product, security_id) else {
            return;
        };
        if let Some(kind) = product_complex {
            self.instruments[book.0 as usize].product_complex = kind;
        }
        let symbol = Symbol::from_padded(name);
        let fits = symbol.as_bytes() == name.trim_ascii_end();
        let is_free = self.books.by_symbol(symbol.as_bytes()).is_none();
        if !symbol.as_bytes().is_empty() && fits && is_free {
            self.books.set_symbol(book, symbol);
        }
    }

    pub(super) fn on_product_state(&mut self, product: i32, change: &ProductStateChange) {
        self.counters.state_changes += 1;
        let product = self.product_mut(product);
        product.session = change.session.unwrap_or(0);
        product.sub_session = change.sub_session.unwrap_or(0);
        product.session_status = change.session_status.unwrap_or(0);
    }

    pub(super) fn on_product_summary(&mut self, product: i32, summary: &ProductSummary) {
        let product = self.product_mut(product);
        product.session = summary.session.unwrap_or(0);
        product.sub_session = summary.sub_session.unwrap_or(0);
        product.session_status = summary.session_status.unwrap_or(0);
    }

    /// An instrument of a snapshot: its orders follow.
    pub(super) fn on_instrument_summary(
        &mut self,
        product: i32,
        summary: &InstrumentSummary<'_>,
    ) -> Option<BookId> {
        let book = self.book_of(product, summary.security_id)?;
        let instrument = &mut self.instruments[book.0 as usize];
        instrument.security_status = summary.security_status.unwrap_or(0);
        if let Some(kind) = summary.product_complex {
            instrument.product_complex = kind;
        }
        self.books.listings[book.0 as usize].trading_state = summary.trading_status.unwrap_or(0);
        Some(book)
    }

    /// An instrument changes its state. Going into an auction empties a book that is closed in one.
    pub(super) fn on_state(
        &mut self,
        book: BookId,
        security_status: Option<u8>,
        trading_status: Option<u8>,
    ) -> Applied {
        self.counters.state_changes += 1;
        let instrument = &mut self.instruments[book.0 as usize];
        if let Some(status) = security_status {
            instrument.security_status = status;
        }
        let Some(now) = trading_status else {
            return Applied::default();
        };
        let state = &mut self.books.listings[book.0 as usize].trading_state;
        let before = TradingStatus(std::mem::replace(state, now));
        let (was_auction, is_auction) = (before.is_auction(), TradingStatus(now).is_auction());
        if was_auction && !is_auction {
            (instrument.auction_bbo, instrument.clearing_price) = (None, None);
        }
        if TradingStatus(now) == TradingStatus::CONTINUOUS {
            instrument.top_of_book = None;
        }
        let is_closed = self.config.auction_rule(instrument.product) == AuctionRule::Closed;
        if is_auction && !was_auction && is_closed {
            self.counters.auction_clears += 1;
            self.empty(book);
            return changed(book);
        }
        Applied::default()
    }

    /// Many instruments change their state: all of a kind, but for those that are named with their
    /// own.
    pub(super) fn on_mass_state(&mut self, product: i32, change: &MassInstrumentStateChange<'_>) {
        let books = self.product_mut(product).books.clone();
        for book in books {
            let security_id = self.books.listings[book.0 as usize].instrument;
            let kind = self.instruments[book.0 as usize].product_complex;
            let is_meant = change
                .product_complex
                .is_none_or(|it| kind == 0 || kind == it);
            let is_named = change
                .entries
                .iter()
                .any(|it| it.security_id == security_id);
            if is_meant && !is_named {
                self.on_state(book, change.security_status, change.trading_status);
            }
        }
        for entry in change.entries.iter() {
            if let Some(book) = self.book_of(product, entry.security_id) {
                self.on_state(book, entry.security_status, entry.trading_status);
            }
        }
    }

    /// What stands in for orders: in an auction, and after trading.
    pub(super) fn on_touch(&mut self, product: i32, content: &Content<'_>) {
        let security_id = match content {
            Content::AuctionBbo(it) => it.security_id,
            Content::AuctionClearingPrice(it) => it.security_id,
            Content::TopOfBook(it) => it.security_id,
            _ => return,
        };
        self.counters.touches += 1;
        let Some(book) = self.book_of(product, security_id) else {
            return;
        };
        let instrument = &mut self.instruments[book.0 as usize];
        match content {
            Content::AuctionBbo(it) => instrument.auction_bbo = Some(*it),
            Content::AuctionClearingPrice(it) => instrument.clearing_price = Some(*it),
            Content::TopOfBook(it) => instrument.top_of_book = Some(*it),
            _ => {}
        }
    }

    #[cold]
    fn new_book(&mut self, product: i32, security_id: i64) -> Option<BookId> {
        if self.books.len() >= MAX_INSTRUMENTS {
            return None;
        }
        let known = self.products.entry(product).or_default();
        let book = self.books.add_listing(Listing {
            instrument: security_id,
            trading_state: 0,
            symbol: Symbol::from_padded(security_id.to_string().as_bytes()),
            doubt: known.broken.or(known.doubt),
        });
        known.books.push(book);
        self.instruments.push(Instrument {
            product,
            ..Instrument::default()
        });
        self.note_unnamed();
        Some(book)
    }
}
