//! Books of a T7 EOBI channel: messages applied by the rules of the interface's manual.
//!
//! | Message | Effect |
//! |---|---|
//! | OrderAdd | joins the back of its price; an order with its key is replaced in one step |
//! | OrderModify | takes the previous order out and joins the back; an order that kept its priority (out of main session, at another price) takes the place that its priority gives it |
//! | OrderModifySamePrio | another quantity at its place |
//! | OrderDelete, FullOrderExecution | takes the order out |
//! | PartialOrderExecution | takes LastQty; the rest keeps its place |
//! | OrderMassDelete | empties the instrument |
//! | ExecutionSummary, trade reports, requests | counted; they do not touch the book |
//! | state changes | tracked; entering an auction empties a book that is closed in auctions |
//! | AuctionBBO, AuctionClearingPrice, TopOfBook | tracked beside the book |
//! | Add…Instrument | gives the instrument its name |
//!
//! An order is named by instrument, side and TrdRegTSTimePriority; [`KeyRule`] has the rule for
//! venues that leave the priority unused. Market orders have no price: they are kept and counted
//! beside the levels. Which messages may be applied at all, product by product, is decided before
//! they come here; what is known of a product's completeness is told by [`EobiBooks::doubt_product`]
//! and [`EobiBooks::trust_product`].

use std::collections::HashMap;

use tickdeck_wire::eobi::{
    AuctionBbo, AuctionClearingPrice, Content, ContentError, Message, Release, TopOfBook,
};

use crate::books::{Applied, Books, BooksConfig};
use crate::fault::Fault;
use crate::hash;
use crate::trust::{Cause, Doubt};
use crate::types::{BookId, OrderView};

mod counters;
mod instruments;
mod invariants;
mod market;
mod orders;
mod rules;
mod saved;

pub use counters::EobiCounters;
pub use rules::{AuctionRule, EobiConfig, KeyRule, TradingStatus};

use market::MarketOrders;

/// The books of a channel with what EOBI says beside orders.
pub struct EobiBooks {
    config: EobiConfig,
    books: Books,
    market: MarketOrders,
    /// Of each book, by its id.
    instruments: Vec<Instrument>,
    products: HashMap<i32, Product>,
    /// The instrument whose snapshot orders come next.
    loading: Option<BookId>,
    /// MsgSeqNum of the product's last message that is in the snapshot.
    loading_at: u64,
    /// Number of the next order, where orders have no priority.
    next_serial: u64,
    /// Products within a unit of work.
    open_products: usize,
    counters: EobiCounters,
}

/// What is known of an instrument beside its orders.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Instrument {
    /// MarketSegmentID of its product.
    pub product: i32,
    /// SecurityStatus, 0 when unknown.
    pub security_status: u8,
    /// ProductComplex: which kind of instrument it is; 0 when unknown.
    pub product_complex: u8,
    /// The touch of the auction that goes on.
    pub auction_bbo: Option<AuctionBbo>,
    /// The price of the auction that goes on.
    pub clearing_price: Option<AuctionClearingPrice>,
    /// The touch after trading.
    pub top_of_book: Option<TopOfBook>,
}

/// A product: the instruments that share MsgSeqNum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Product {
    /// Its books.
    pub books: Vec<BookId>,
    /// TradingSessionID, 0 when unknown.
    pub session: u8,
    /// TradingSessionSubID, 0 when unknown.
    pub sub_session: u8,
    /// TradSesStatus, 0 when unknown.
    pub session_status: u8,
    /// Its last packet did not end its unit of work: the touch is not to be shown yet.
    pub is_open: bool,
    /// What may be missing of it.
    pub doubt: Option<Doubt>,
    /// A message that could not be read or not be applied: any of its books may be wrong, those
    /// that are not known yet too, until it is loaded.
    pub broken: Option<Doubt>,
}

impl EobiBooks {
    /// Empty books; the number of orders is that of `books`, all else is EOBI's.
    pub fn new(config: EobiConfig, books: BooksConfig) -> Self {
        let BooksConfig {
            scope,
            width,
            scale,
            has_priorities,
            levels_per_side,
            ..
        } = BooksConfig::EOBI;
        Self {
            config,
            books: Books::new(BooksConfig {
                scope,
                width,
                scale,
                has_priorities,
                levels_per_side,
                ..books
            }),
            market: MarketOrders::new(),
            instruments: Vec::new(),
            products: HashMap::new(),
            loading: None,
            loading_at: 0,
            next_serial: 1,
            open_products: 0,
            counters: EobiCounters::default(),
        }
    }

    /// Applies the next message of a product.
    ///
    /// Never fails and never panics: what is wrong with a message is counted and told in the answer.
    pub fn apply(&mut self, product: i32, release: Release, message: &Message<'_>) -> Applied {
        self.books.counters.messages += 1;
        let sequence = u64::from(message.msg_seq_num().unwrap_or(0));
        match message.content(release) {
            Ok(content) => self.apply_content(product, sequence, &content),
            Err(error) => self.refuse(product, sequence, message.template_id(), error),
        }
    }

    /// A packet of a product came, and it ended a unit of work or did not.
    pub fn on_packet(&mut self, product: i32, completes: bool) {
        let known = self.product_mut(product);
        let was_open = std::mem::replace(&mut known.is_open, !completes);
        self.open_products += usize::from(!completes);
        self.open_products -= usize::from(was_open);
    }

    /// The product's orders are from here on what its snapshot says, message by message, by
    /// [`Self::load`]; what was doubted of them no longer is.
    pub fn begin_load(&mut self, product: i32) {
        self.loading = None;
        let known = self.product_mut(product);
        (known.doubt, known.broken) = (None, None);
        for book in known.books.clone() {
            self.empty(book);
            self.books.trust_book(book);
            self.instruments[book.0 as usize].forget_touches();
        }
        self.note_unnamed();
    }

    /// Takes the next message of the product's snapshot.
    pub fn load(&mut self, product: i32, release: Release, message: &Message<'_>) {
        match message.content(release) {
            Ok(Content::ProductSummary(summary)) => {
                self.loading_at = u64::from(summary.last_processed);
                self.on_product_summary(product, &summary);
            }
            Ok(Content::InstrumentSummary(summary)) => {
                self.loading = self.on_instrument_summary(product, &summary);
                if self.loading.is_none() {
                    self.no_book(product, self.loading_at);
                }
            }
            Ok(Content::SnapshotOrder(order)) => {
                if let Some(book) = self.loading {
                    self.counters.snapshot_orders += 1;
                    self.enter(self.loading_at, book, order, false);
                }
            }
            Ok(content) => self.on_touch(product, &content),
            Err(error) => self.counters.unreadable(&error),
        }
    }

    /// Something may be missing of a product. The first cause stays.
    pub fn doubt_product(&mut self, product: i32, since: u64, cause: Cause) {
        let known = self.product_mut(product);
        let doubt = *known.doubt.get_or_insert(Doubt { since, cause });
        for book in known.books.clone() {
            self.books.doubt_book(book, doubt);
        }
        self.note_unnamed();
    }

    /// As [`Self::doubt_product`], for every product that is known.
    pub fn doubt_products(&mut self, since: u64, cause: Cause) {
        let known: Vec<i32> = self.products.keys().copied().collect();
        for product in known {
            self.doubt_product(product, since, cause);
        }
    }

    /// Nothing is missing of a product; what a book contradicted stays a doubt about that book, and
    /// what could not be read or applied one about all of its books.
    pub fn trust_product(&mut self, product: i32) {
        let Some(known) = self.products.get_mut(&product) else {
            return;
        };
        let Some(doubt) = known.doubt.take() else {
            return;
        };
        let broken = known.broken;
        for book in known.books.clone() {
            if self.books.doubt_of(book) == Some(doubt) {
                self.books.trust_book(book);
            }
            if let Some(broken) = broken {
                self.books.doubt_book(book, broken);
            }
        }
        self.note_unnamed();
    }

    /// Another session: nothing of what was known holds. Counters go on.
    pub fn clear(&mut self) {
        self.books.clear();
        self.market.clear();
        self.instruments.clear();
        self.products.clear();
        self.loading = None;
        self.next_serial = 1;
        self.open_products = 0;
    }

    /// The books.
    #[inline]
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The books, to doubt or trust them.
    #[inline]
    pub fn books_mut(&mut self) -> &mut Books {
        &mut self.books
    }

    /// What is known of an instrument beside its orders.
    pub fn instrument(&self, book: BookId) -> &Instrument {
        &self.instruments[book.0 as usize]
    }

    /// What is known of a product.
    pub fn product(&self, product: i32) -> Option<&Product> {
        self.products.get(&product)
    }

    /// Whether the last unit of work on a book's product was complete: only then its touch is what
    /// the venue's was at some time.
    pub fn is_complete(&self, book: BookId) -> bool {
        let product = self.instruments[book.0 as usize].product;
        self.products.get(&product).is_none_or(|it| !it.is_open)
    }

    /// Whether no product is within a unit of work.
    pub fn is_all_complete(&self) -> bool {
        self.open_products == 0
    }

    /// A hash of all orders, those without a price too: see [`Books::channel_hash`].
    pub fn channel_hash(&self) -> u64 {
        let of_prices = self.books.channel_hash();
        if self.market.all().is_empty() {
            return of_prices;
        }
        let view = |order: &market::MarketOrder| {
            let instrument = self.books.listings[order.book.0 as usize].instrument;
            let view = OrderView {
                side: order.side,
                price: 0,
                reference: order.reference,
                quantity: order.quantity,
            };
            (instrument, view)
        };
        let of_market = hash::channel_hash(self.market.all().iter().map(view));
        hash::mix(of_prices ^ hash::mix(of_market))
    }

    /// Market orders that rest in a book: how many, and their quantity.
    pub fn market_orders(&self, book: BookId) -> (u32, u64) {
        self.market.of(book)
    }

    /// What was counted beside [`Books::counters`].
    pub fn counters(&self) -> &EobiCounters {
        &self.counters
    }

    /// The rules.
    pub fn config(&self) -> &EobiConfig {
        &self.config
    }

    fn apply_content(&mut self, product: i32, sequence: u64, content: &Content<'_>) -> Applied {
        match *content {
            Content::OrderAdd { security_id, order } => {
                self.books.counters.adds += 1;
                let Some(book) = self.book_of(product, security_id) else {
                    return self.no_book(product, sequence);
                };
                self.enter(sequence, book, order, false)
            }
            Content::OrderModify {
                security_id,
                previous_priority_ns,
                previous_price,
                previous_quantity,
                order,
            } => {
                self.books.counters.replaces += 1;
                let Some(book) = self.book_of(product, security_id) else {
                    return self.no_book(product, sequence);
                };
                let previous = orders::Terms {
                    side: order.side,
                    priority_ns: previous_priority_ns,
                    price: previous_price,
                    quantity: Some(previous_quantity),
                };
                self.on_modify(sequence, book, previous, order)
            }
            Content::OrderModifySamePriority {
                security_id,
                previous_quantity,
                order,
            } => {
                self.books.counters.cancels += 1;
                let Some(book) = self.book_of(product, security_id) else {
                    return self.no_book(product, sequence);
                };
                self.on_modify_in_place(sequence, book, previous_quantity, order)
            }
            Content::OrderDelete { security_id, order } => {
                self.books.counters.deletes += 1;
                let Some(book) = self.book_of(product, security_id) else {
                    return self.no_book(product, sequence);
                };
                self.on_delete(sequence, book, order)
            }
            Content::OrderMassDelete { security_id } => {
                self.counters.mass_deletes += 1;
                let Some(book) = self.book_of(product, security_id) else {
                    return self.no_book(product, sequence);
                };
                self.empty(book);
                changed(book)
            }
            Content::FullOrderExecution(execution) => {
                self.on_execution(product, sequence, execution, true)
            }
            Content::PartialOrderExecution(execution) => {
                self.on_execution(product, sequence, execution, false)
            }
            _ => {
                self.books.counters.other += 1;
                self.apply_rare(product, sequence, content)
            }
        }
    }

    /// Messages that change no orders, but for the derived end of a book in an auction.
    fn apply_rare(&mut self, product: i32, sequence: u64, content: &Content<'_>) -> Applied {
        let counters = &mut self.counters;
        match content {
            Content::ExecutionSummary(_) => counters.execution_summaries += 1,
            Content::TradeReport(_) => counters.trade_reports += 1,
            Content::TesTradeReport(_) => counters.off_book_trades += 1,
            Content::TradeReversal(_) => counters.trade_reversals += 1,
            Content::CrossRequest(_) | Content::QuoteRequest(_) => counters.requests += 1,
            Content::Heartbeat { .. } => counters.heartbeats += 1,
            Content::ProductStateChange(it) => self.on_product_state(product, it),
            Content::InstrumentStateChange(it) => {
                let Some(book) = self.book_of(product, it.security_id) else {
                    return self.no_book(product, sequence);
                };
                return self.on_state(book, it.security_status, it.trading_status);
            }
            Content::MassInstrumentStateChange(it) => self.on_mass_state(product, it),
            Content::AddComplexInstrument(it) => {
                self.on_instrument(product, it.security_id, it.description, it.product_complex);
            }
            Content::AddFlexibleInstrument(it) => {
                self.on_instrument(product, it.security_id, it.description, None);
            }
            Content::AddScaledSimpleInstrument(it) => {
                self.on_instrument(product, it.security_id, it.description, None);
            }
            Content::AuctionBbo(_) | Content::AuctionClearingPrice(_) | Content::TopOfBook(_) => {
                self.on_touch(product, content);
            }
            // Messages of the snapshot channel have no place here.
            _ => {
                counters.misplaced += 1;
                self.doubt_books(product, sequence, Cause::MalformedRecord);
            }
        }
        Applied::default()
    }

    /// A message that cannot be read. If it is one of orders, or of the state of instruments, which
    /// may be the auction that empties a book, its product can no longer be believed.
    #[cold]
    fn refuse(
        &mut self,
        product: i32,
        sequence: u64,
        template_id: u16,
        error: ContentError,
    ) -> Applied {
        let fault = match error {
            ContentError::UnknownTemplate { .. } => Fault::UnknownType,
            ContentError::WrongLength { .. } => Fault::BadLength,
            ContentError::NoValue { .. } => Fault::BadSide,
        };
        self.counters.unreadable(&error);
        self.books.counters.count(fault);
        if matches!(template_id, 13_100..=13_106 | 13_301 | 13_302) {
            self.doubt_books(product, sequence, Cause::MalformedRecord);
        }
        Applied {
            book: None,
            fault: Some(fault),
        }
    }

    /// A message of an instrument for which there is no room.
    #[cold]
    fn no_book(&mut self, product: i32, sequence: u64) -> Applied {
        let fault = Fault::OrderLimit;
        self.books.counters.count(fault);
        self.doubt_books(product, sequence, Cause::OrderLimit);
        Applied {
            book: None,
            fault: Some(fault),
        }
    }

    /// Doubts every book of a product until it is loaded, those too that are not known yet. The
    /// first cause stays.
    fn doubt_books(&mut self, product: i32, since: u64, cause: Cause) {
        let known = self.product_mut(product);
        if known.broken.is_some() {
            // All of its books are doubted already.
            return;
        }
        let doubt = Doubt { since, cause };
        known.broken = Some(doubt);
        for book in known.books.clone() {
            self.books.doubt_book(book, doubt);
        }
        self.note_unnamed();
    }

    /// Takes every order of a book out, those without a price too.
    fn empty(&mut self, book: BookId) {
        self.books.store.clear_book(book);
        self.market.clear_book(book);
    }

    fn product_mut(&mut self, product: i32) -> &mut Product {
        self.products.entry(product).or_default()
    }

    /// Products without a book make the channel doubtful as long as they are doubted.
    fn note_unnamed(&mut self) {
        let unnamed = self.products.values().filter(|it| it.books.is_empty());
        let doubts = unnamed.filter_map(|it| it.broken.or(it.doubt));
        self.books.unnamed_doubt = doubts.min_by_key(|it| it.since);
    }
}

fn changed(book: BookId) -> Applied {
    Applied {
        book: Some(book),
        fault: None,
    }
}
