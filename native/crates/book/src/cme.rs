//! Applies entries of CME MDP 3.0 to the books: by price and by order, side by side.
//!
//! | Entry | Effect |
//! |---|---|
//! | price level 0 1 2 | new, change, delete at its place, see [`crate::price_book`] |
//! | price level 3 4 5 | delete thru, delete from, overlay: not in use; a fault, the side unknown |
//! | price level J | the instrument's books by price are empty |
//! | order 0 | joins its level at its priority; one that rests already is replaced in one step |
//! | order 1 | keeps its place, or moves when price or priority differ |
//! | order 2 | goes |
//! | order J | the instrument's book by order is empty |
//! | definition | names the instrument and says its depths |
//! | status | tracked, of an instrument or of its group |
//!
//! A change of an order says everything about it, so in a suspect book one that is not known is
//! entered. Who may be believed is the caller's to judge, by the venue's numbers; it says so with
//! [`Books::cme_trust`].

use tickdeck_wire::cme::{
    Definition, LinkedOrder, OrderEntry, OrderSnapshotEntry, PriceEntry, SecurityStatus,
    SnapshotEntry,
};

use crate::books::{Applied, Books};
use crate::fault::Fault;
use crate::price_book::{DEFAULT_DEPTH, DEFAULT_IMPLIED_DEPTH, Kind, LevelChange, PriceBook};
use crate::store::NewOrder;
use crate::trust::{Cause, Doubt};
use crate::types::{BookId, LevelView, Side, Symbol};

/// A change of an order, whichever template it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// SecurityID.
    pub instrument: i64,
    /// MDEntryType.
    pub kind: u8,
    /// 0 new, 1 change, 2 delete.
    pub action: u8,
    /// OrderID.
    pub order_id: Option<u64>,
    /// MDOrderPriority; lower goes first.
    pub priority: Option<u64>,
    /// Price.
    pub price: Option<i64>,
    /// Quantity that is shown.
    pub quantity: Option<i32>,
}

impl OrderChange {
    /// An order on its own (templates 43, 47).
    pub fn of(entry: OrderEntry<'_>) -> Self {
        Self {
            instrument: i64::from(entry.security_id()),
            kind: entry.kind(),
            action: entry.action(),
            order_id: entry.order_id(),
            priority: entry.priority(),
            price: entry.price(),
            quantity: entry.quantity(),
        }
    }

    /// An order and the price entry that it refers to (templates 32, 46).
    pub fn linked(order: LinkedOrder<'_>, price: PriceEntry<'_>) -> Self {
        Self {
            instrument: i64::from(price.security_id()),
            kind: price.kind(),
            action: order.action(),
            order_id: Some(order.order_id()),
            priority: order.priority(),
            price: price.price(),
            quantity: order.quantity(),
        }
    }
}

/// Instruments that definitions make at most; a channel of options has some ten thousands.
const MAX_INSTRUMENTS: usize = 1 << 17;
/// Places of a side at most, whatever a definition says; the venue sends 10.
const MAX_DEPTH: usize = 32;

impl Books {
    /// Applies a change of a price level.
    #[inline]
    pub fn cme_price(&mut self, sequence: u64, entry: PriceEntry<'_>) -> Option<Fault> {
        let instrument = i64::from(entry.security_id());
        let Some((kind, side)) = side_of(entry.kind()) else {
            return self.on_odd_kind(sequence, instrument, entry.kind());
        };
        let book = self.prices.book_for(instrument, false);
        let is_tentative = book.doubt.is_some();
        let place = usize::from(entry.level());
        let wrong = match change_of(entry) {
            Ok(change) => {
                let applied = book.apply(kind, side, place, change);
                if let LevelChange::New(level) = change {
                    self.on_new_price(instrument, level.price);
                }
                applied.err().map(|_| Fault::BadLevel)
            }
            Err(fault) => {
                book.forget_side(kind, side);
                Some(fault)
            }
        };
        let counters = &mut self.prices.counters;
        counters.tentative += u64::from(is_tentative);
        match kind {
            Kind::Real => counters.levels += 1,
            Kind::Implied => counters.implied_levels += 1,
        }
        wrong.and_then(|fault| self.price_fault(sequence, instrument, fault))
    }

    /// Applies a change of an order.
    pub fn cme_order(&mut self, sequence: u64, change: OrderChange) -> Applied {
        self.prices.counters.orders += 1;
        let book = self.cme_order_book(change.instrument);
        let doubt = self.listings[book.0 as usize].doubt;
        self.prices.counters.tentative += u64::from(doubt.is_some());
        let (side, reference) = match (side_of(change.kind), change.order_id) {
            (Some((Kind::Real, side)), Some(reference)) => (side, reference),
            _ if change.kind == RESET => {
                self.prices.counters.resets += 1;
                self.store.clear_book(book);
                return changed(book);
            }
            _ => return self.order_fault(sequence, book, Fault::BadSide),
        };
        let resting = self.store.find_in(book, side, reference);
        match (change.action, resting) {
            (NEW, None) => {
                self.counters.adds += 1;
                self.enter_order(sequence, book, side, change)
            }
            (NEW, Some(twin)) => {
                self.counters.adds += 1;
                self.store.remove(twin);
                self.enter_order(sequence, book, side, change);
                self.odd_order(sequence, book, Fault::DuplicateReference)
            }
            (CHANGE, Some(address)) => {
                self.counters.replaces += 1;
                self.change_order(sequence, book, (side, address), change)
            }
            (CHANGE, None) => {
                self.counters.replaces += 1;
                self.enter_order(sequence, book, side, change);
                self.odd_order(sequence, book, Fault::UnknownReference)
            }
            (DELETE, Some(address)) => {
                self.counters.deletes += 1;
                self.store.remove(address);
                changed(book)
            }
            (DELETE, None) => {
                self.counters.deletes += 1;
                self.odd_order(sequence, book, Fault::UnknownReference)
            }
            _ => self.order_fault(sequence, book, Fault::UnsupportedAction),
        }
    }

    /// The instrument's books by price are what a snapshot says.
    pub fn cme_load_prices<'a>(
        &mut self,
        sequence: u64,
        security_id: i32,
        entries: impl Iterator<Item = SnapshotEntry<'a>>,
    ) -> Option<Fault> {
        let instrument = i64::from(security_id);
        self.prices.book_for(instrument, true).clear();
        let mut wrong = None;
        for entry in entries {
            // Statistics stand between the levels.
            let Some((kind, side)) = side_of(entry.kind()) else {
                continue;
            };
            let level = level_of(entry.price(), entry.size(), entry.orders());
            let place = entry.level().and_then(|level| usize::try_from(level).ok());
            let book = self.prices.book_for(instrument, true);
            let applied = match (level, place) {
                (Ok(level), Some(place)) => {
                    let change = LevelChange::New(level);
                    let applied = book.apply(kind, side, place, change);
                    applied.map_err(|_| Fault::BadLevel)
                }
                (Err(fault), _) => Err(fault),
                (_, None) => Err(Fault::BadLevel),
            };
            wrong = wrong.or(applied.err());
        }
        wrong.and_then(|fault| self.price_fault(sequence, instrument, fault))
    }

    /// The instrument's book by order is empty; [`Self::cme_load_order`] fills it.
    pub fn cme_begin_orders(&mut self, security_id: i32) {
        let book = self.cme_order_book(i64::from(security_id));
        self.store.clear_book(book);
    }

    /// Enters an order of a snapshot.
    pub fn cme_load_order(
        &mut self,
        sequence: u64,
        security_id: i32,
        order: OrderSnapshotEntry<'_>,
    ) -> Applied {
        let book = self.cme_order_book(i64::from(security_id));
        let change = OrderChange {
            instrument: i64::from(security_id),
            kind: order.kind(),
            action: NEW,
            order_id: Some(order.order_id()),
            priority: order.priority(),
            price: Some(order.price()),
            quantity: Some(order.quantity()),
        };
        match side_of(change.kind) {
            Some((Kind::Real, side))
                if self.store.find_in(book, side, order.order_id()).is_none() =>
            {
                self.enter_order(sequence, book, side, change)
            }
            Some((Kind::Real, _)) => self.order_fault(sequence, book, Fault::DuplicateReference),
            _ => self.order_fault(sequence, book, Fault::BadSide),
        }
    }

    /// Takes a definition of an instrument.
    pub fn cme_define(&mut self, definition: &Definition<'_>) {
        self.counters.directory += 1;
        self.prices.counters.definitions += 1;
        let instrument = i64::from(definition.security_id());
        let symbol = match definition.symbol() {
            [] => Symbol::from_number(instrument),
            name => Symbol::from_padded(name),
        };
        let depth = |name: &[u8], default: usize| {
            let depth = definition.depth(name).map_or(default, usize::from);
            depth.min(MAX_DEPTH)
        };
        let depths = (
            depth(b"GBX", DEFAULT_DEPTH),
            depth(b"GBI", DEFAULT_IMPLIED_DEPTH),
        );
        if self.prices.get(instrument).is_none() && self.prices.len() >= MAX_INSTRUMENTS {
            self.prices.counters.refused_definitions += 1;
            return;
        }
        let book = self.prices.book_for(instrument, false);
        book.symbol = symbol;
        book.group = Symbol::from_padded(definition.group());
        book.is_defined = true;
        if let Some(status) = definition.trading_status() {
            book.trading_status = status;
        }
        book.set_depths(depths.0, depths.1);
        let status = book.trading_status().unwrap_or(0);
        if let Some(id) = self.by_instrument(instrument) {
            self.listings[id.0 as usize].trading_state = status;
            self.set_symbol(id, symbol);
        }
        self.define_ticks(definition);
    }

    /// Takes a trading status of an instrument, or of every instrument of a group.
    pub fn cme_status(&mut self, status: &SecurityStatus<'_>) {
        self.prices.counters.statuses += 1;
        let Some(code) = status.trading_status().filter(|code| *code != NO_CHANGE) else {
            return;
        };
        let group = Symbol::from_padded(status.group());
        let is_meant = |book: &PriceBook| match status.security_id() {
            Some(id) => book.instrument == i64::from(id),
            None => book.is_defined && book.group == group,
        };
        for at in 0..self.prices.len() {
            let Some(book) = self.prices.at_mut(at).filter(|book| is_meant(book)) else {
                continue;
            };
            book.trading_status = code;
            let (instrument, is_defined) = (book.instrument, book.is_defined);
            if let Some(id) = self.by_instrument(instrument).filter(|_| is_defined) {
                self.listings[id.0 as usize].trading_state = code;
            }
        }
    }

    /// Every book of the channel is empty, and nothing speaks against it.
    pub fn cme_reset(&mut self) {
        self.prices.counters.resets += 1;
        for book in self.prices.iter_mut() {
            book.clear();
            book.doubt = None;
        }
        for id in (0..self.listings.len() as u32).map(BookId) {
            self.store.clear_book(id);
            self.trust_book(id);
        }
    }

    /// How far an instrument's book by price is believed from here on: `None` is good. One that
    /// becomes suspect is forgotten; entries show it again, place by place.
    pub fn cme_trust_prices(&mut self, security_id: i32, doubt: Option<Doubt>) {
        let book = self
            .prices
            .book_for(i64::from(security_id), doubt.is_none());
        let was = std::mem::replace(&mut book.doubt, doubt);
        match (was, doubt) {
            (_, Some(_)) => book.forget(),
            // Its first update is the first there was: it began empty.
            (None, None) => book.clear(),
            (Some(_), None) => {}
        }
    }

    /// Doubts an instrument's books by price as they are. The first cause stays.
    pub fn cme_suspect_prices(&mut self, security_id: i32, doubt: Doubt) {
        let book = self.prices.book_for(i64::from(security_id), false);
        book.doubt.get_or_insert(doubt);
    }

    /// Counts a message of a venue whose messages others read.
    pub fn count_message(&mut self) {
        self.counters.messages += 1;
    }

    /// Whether nothing was ever said of the book by price of this instrument.
    pub fn is_new_by_price(&self, security_id: i32) -> bool {
        let book = self.prices.get(i64::from(security_id));
        book.is_none_or(PriceBook::is_untouched)
    }

    /// How far an instrument's book by order is believed from here on: `None` is good.
    pub fn cme_trust_orders(&mut self, security_id: i32, doubt: Option<Doubt>) {
        let book = self.cme_order_book(i64::from(security_id));
        self.trust_book(book);
        if let Some(doubt) = doubt {
            self.doubt_book(book, doubt);
        }
    }

    /// The book by order of an instrument, named as its definition says.
    fn cme_order_book(&mut self, instrument: i64) -> BookId {
        if let Some(book) = self.by_instrument(instrument) {
            return book;
        }
        let known = self.prices.get(instrument);
        let symbol = known.map_or_else(|| Symbol::from_number(instrument), PriceBook::symbol);
        let known = known.filter(|book| book.is_defined);
        let trading_state = known.and_then(PriceBook::trading_status).unwrap_or(0);
        let book = self.book_for(instrument, || symbol);
        self.listings[book.0 as usize].trading_state = trading_state;
        book
    }

    fn enter_order(
        &mut self,
        sequence: u64,
        book: BookId,
        side: Side,
        change: OrderChange,
    ) -> Applied {
        let (Some(price), Some(reference)) = (change.price, change.order_id) else {
            return self.order_fault(sequence, book, Fault::MissingField);
        };
        let Some(quantity) = positive(change.quantity) else {
            return self.order_fault(sequence, book, Fault::ZeroShares);
        };
        let new = NewOrder {
            book,
            side,
            price,
            quantity,
            reference,
        };
        let priority = change.priority.unwrap_or(u64::MAX);
        match self.store.add_by_priority(new, priority) {
            Ok(_) => changed(book),
            Err(_) => self.order_fault(sequence, book, Fault::OrderLimit),
        }
    }

    /// Changes an order that rests: in place, or to where its price and priority put it.
    fn change_order(
        &mut self,
        sequence: u64,
        book: BookId,
        (side, address): (Side, u32),
        change: OrderChange,
    ) -> Applied {
        let order = self.store.orders[address];
        let (was_side, was_price) = (order.place.side(), self.store.levels[order.level].price);
        let was_priority = self.store.priority(address);
        let price = change.price.unwrap_or(was_price);
        let priority = change.priority.unwrap_or(was_priority);
        let stays = (was_side, was_price, was_priority) == (side, price, priority);
        match positive(change.quantity) {
            Some(quantity) if stays => {
                self.store.set_quantity(address, quantity);
                changed(book)
            }
            _ => {
                self.store.remove(address);
                let moved = OrderChange {
                    price: Some(price),
                    priority: Some(priority),
                    ..change
                };
                self.enter_order(sequence, book, side, moved)
            }
        }
    }

    /// An order that does not rest, or rests already: an error, unless the book is suspect anyway.
    #[cold]
    fn odd_order(&mut self, sequence: u64, book: BookId, fault: Fault) -> Applied {
        let is_doubted = self.listings[book.0 as usize].doubt.is_some();
        if is_doubted || self.trust.is_doubtful() {
            self.counters.excused_references += 1;
            return changed(book);
        }
        self.order_fault(sequence, book, fault)
    }

    #[cold]
    fn on_odd_kind(&mut self, sequence: u64, instrument: i64, kind: u8) -> Option<Fault> {
        if kind == RESET {
            self.prices.counters.resets += 1;
            self.prices.book_for(instrument, true).clear();
            return None;
        }
        self.price_fault(sequence, instrument, Fault::BadSide)
    }

    #[cold]
    fn price_fault(&mut self, sequence: u64, instrument: i64, fault: Fault) -> Option<Fault> {
        self.counters.count(fault);
        let doubt = Doubt {
            since: sequence,
            cause: cause_of(fault),
        };
        let book = self.prices.book_for(instrument, false);
        book.doubt.get_or_insert(doubt);
        Some(fault)
    }

    #[cold]
    fn order_fault(&mut self, sequence: u64, book: BookId, fault: Fault) -> Applied {
        self.counters.count(fault);
        let doubt = Doubt {
            since: sequence,
            cause: cause_of(fault),
        };
        self.doubt_book(book, doubt);
        Applied {
            book: Some(book),
            fault: Some(fault),
        }
    }
}

const NEW: u8 = 0;
const CHANGE: u8 = 1;
const DELETE: u8 = 2;

/// MDEntryType that empties a book.
const RESET: u8 = b'J';

/// SecurityTradingStatus that leaves the status as it is.
const NO_CHANGE: u8 = 103;

fn side_of(kind: u8) -> Option<(Kind, Side)> {
    match kind {
        b'0' => Some((Kind::Real, Side::Bid)),
        b'1' => Some((Kind::Real, Side::Ask)),
        b'E' => Some((Kind::Implied, Side::Bid)),
        b'F' => Some((Kind::Implied, Side::Ask)),
        _ => None,
    }
}

fn change_of(entry: PriceEntry<'_>) -> Result<LevelChange, Fault> {
    let level = || level_of(entry.price(), entry.size(), entry.orders());
    match entry.action() {
        NEW => level().map(LevelChange::New),
        CHANGE => level().map(LevelChange::Change),
        DELETE => Ok(LevelChange::Delete(entry.price())),
        _ => Err(Fault::UnsupportedAction),
    }
}

fn level_of(
    price: Option<i64>,
    size: Option<i32>,
    orders: Option<i32>,
) -> Result<LevelView, Fault> {
    let price = price.ok_or(Fault::MissingField)?;
    let quantity = positive(size).ok_or(Fault::ZeroShares)?;
    // Implied levels have none.
    let orders = orders.and_then(|orders| u32::try_from(orders).ok());
    Ok(LevelView {
        price,
        quantity,
        orders: orders.unwrap_or(0),
    })
}

fn positive(quantity: Option<i32>) -> Option<u64> {
    quantity
        .and_then(|quantity| u64::try_from(quantity).ok())
        .filter(|quantity| *quantity > 0)
}

fn cause_of(fault: Fault) -> Cause {
    match fault {
        Fault::UnknownReference => Cause::UnknownReference,
        Fault::DuplicateReference => Cause::DuplicateReference,
        Fault::ZeroShares => Cause::ZeroShares,
        Fault::OrderLimit => Cause::OrderLimit,
        _ => Cause::BadEntry,
    }
}

fn changed(book: BookId) -> Applied {
    Applied {
        book: Some(book),
        fault: None,
    }
}
