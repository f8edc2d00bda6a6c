//! The messages of orders: who is meant, and what becomes of them.

use tickdeck_wire::eobi::{Execution, Order, Side as WireSide};

use super::market::MarketOrder;
use super::{EobiBooks, KeyRule, changed};
use crate::books::Applied;
use crate::fault::Fault;
use crate::slab::NONE;
use crate::store::NewOrder;
use crate::trust::{Cause, Doubt};
use crate::types::{BookId, Side};

/// An order of more than this, in units of 10⁻⁴, joins a price only while the price's sum stays
/// below 2^63; 2^26 orders of less cannot overflow what is left.
const LARGE: u64 = 1 << 37;

/// What a message says of the order that it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) side: WireSide,
    pub(super) priority_ns: Option<u64>,
    pub(super) price: Option<i64>,
    /// `None` for executions, which mean the first of their price.
    pub(super) quantity: Option<i64>,
}

/// Where an order rests.
#[derive(Clone, Copy, Debug)]
enum Resting {
    /// At a price, by its address.
    Level(u32),
    /// Without a price, by its place.
    Market(usize),
}

impl Terms {
    fn of(order: &Order) -> Self {
        Self {
            side: order.side,
            priority_ns: order.priority_ns,
            price: order.price.filter(|_| !order.is_market),
            quantity: Some(order.quantity),
        }
    }
}

impl EobiBooks {
    /// Puts an order at the back of its price, or where its priority gives it its place; an order
    /// of its name goes first.
    pub(super) fn enter(
        &mut self,
        sequence: u64,
        book: BookId,
        order: Order,
        by_priority: bool,
    ) -> Applied {
        let quantity = u64::try_from(order.quantity).unwrap_or(0);
        if quantity == 0 {
            return self.fault(sequence, book, Fault::ZeroShares, Cause::ZeroShares);
        }
        let Some(reference) = self.name_for(order.priority_ns) else {
            self.counters.nameless += 1;
            return self.fault(sequence, book, Fault::BadSide, Cause::UnknownReference);
        };
        let (side, price) = (side_of(order.side), Terms::of(&order).price);
        let mut applied = changed(book);
        if let Some(twin) = self.named(book, side, reference) {
            applied = self.replace_twin(sequence, book, twin, price, quantity);
        }
        let is_in = match price {
            Some(price) if self.has_room(book, side, price, quantity) => {
                let new = NewOrder {
                    book,
                    side,
                    price,
                    quantity,
                    reference,
                };
                match by_priority {
                    true => self.books.store.add_by_reference(new).is_ok(),
                    false => self.books.store.add(new).is_ok(),
                }
            }
            Some(_) => false,
            None => {
                self.counters.market_orders += 1;
                self.market.add(MarketOrder {
                    book,
                    side,
                    reference,
                    quantity,
                })
            }
        };
        if !is_in {
            return self.fault(sequence, book, Fault::OrderLimit, Cause::OrderLimit);
        }
        applied
    }

    /// The order leaves its place for another.
    pub(super) fn on_modify(
        &mut self,
        sequence: u64,
        book: BookId,
        previous: Terms,
        order: Order,
    ) -> Applied {
        let Some(resting) = self.find(book, previous) else {
            // The message says all of the order as it is now: the book is nearer to the venue's
            // with it than without.
            let unknown = self.on_unknown(sequence, book);
            let entered = self.enter(sequence, book, order, false);
            return Applied {
                fault: unknown.fault.or(entered.fault),
                ..entered
            };
        };
        self.compare(resting, previous);
        self.take_out(resting);
        let keeps_priority =
            previous.priority_ns.is_some() && previous.priority_ns == order.priority_ns;
        self.enter(sequence, book, order, keeps_priority)
    }

    /// The order has another quantity at its place.
    pub(super) fn on_modify_in_place(
        &mut self,
        sequence: u64,
        book: BookId,
        previous_quantity: i64,
        order: Order,
    ) -> Applied {
        let previous = Terms {
            quantity: Some(previous_quantity),
            ..Terms::of(&order)
        };
        let Some(resting) = self.find(book, previous) else {
            let unknown = self.on_unknown(sequence, book);
            let entered = self.enter(sequence, book, order, true);
            return Applied {
                fault: unknown.fault.or(entered.fault),
                ..entered
            };
        };
        let quantity = u64::try_from(order.quantity).unwrap_or(0);
        if quantity == 0 {
            self.take_out(resting);
            return self.fault(sequence, book, Fault::ZeroShares, Cause::ZeroShares);
        }
        if !self.compare(resting, previous) {
            // Another price, too: the order goes where the message has it.
            self.take_out(resting);
            return self.enter(sequence, book, order, true);
        }
        match resting {
            Resting::Market(at) => self.market.set_quantity(at, quantity),
            Resting::Level(address) => {
                let (side, price) = (side_of(order.side), previous.price.unwrap_or(0));
                let more = quantity.saturating_sub(self.books.store.orders[address].quantity);
                if more > 0
                    && quantity > LARGE
                    && !self.has_room(book, side, price, more.max(LARGE + 1))
                {
                    return self.fault(sequence, book, Fault::OrderLimit, Cause::OrderLimit);
                }
                self.books.store.set_quantity(address, quantity);
            }
        }
        changed(book)
    }

    pub(super) fn on_delete(&mut self, sequence: u64, book: BookId, order: Order) -> Applied {
        let terms = Terms::of(&order);
        let Some(resting) = self.find(book, terms) else {
            return self.on_unknown(sequence, book);
        };
        self.compare(resting, terms);
        self.take_out(resting);
        changed(book)
    }

    /// An order was matched, wholly or in part.
    pub(super) fn on_execution(
        &mut self,
        product: i32,
        sequence: u64,
        execution: Execution,
        is_full: bool,
    ) -> Applied {
        self.books.counters.executions += 1;
        let Some(book) = self.book_of(product, execution.security_id) else {
            return self.no_book(product, sequence);
        };
        let terms = Terms {
            side: execution.side,
            priority_ns: execution.priority_ns,
            price: execution.price,
            quantity: None,
        };
        let Some(resting) = self.find(book, terms) else {
            return self.on_unknown(sequence, book);
        };
        let left = self.quantity_of(resting);
        let matched = u64::try_from(execution.last_quantity).unwrap_or(0);
        if matched == 0 {
            // How much is left nobody knows; a full execution leaves nothing, whatever it says.
            if is_full {
                self.take_out(resting);
            }
            let (fault, cause) = (Fault::ZeroShares, Cause::ZeroShares);
            return self.fault_with(sequence, book, fault, cause, is_full);
        }
        self.compare(resting, terms);
        self.counters.mismatches += u64::from(is_full && matched < left);
        if is_full || matched >= left {
            self.take_out(resting);
            let too_much = matched > left || (!is_full && matched == left);
            if too_much {
                return self.fault_with(
                    sequence,
                    book,
                    Fault::ExecutedTooMuch,
                    Cause::TooManyShares,
                    true,
                );
            }
            return changed(book);
        }
        match resting {
            Resting::Level(address) => self.books.store.reduce(address, matched),
            Resting::Market(at) => self.market.set_quantity(at, left - matched),
        }
        changed(book)
    }

    /// The order that a message means.
    fn find(&mut self, book: BookId, terms: Terms) -> Option<Resting> {
        let side = side_of(terms.side);
        match self.config.keys {
            KeyRule::Priority => self.named(book, side, terms.priority_ns?),
            KeyRule::Terms => self.by_terms(book, side, terms),
        }
    }

    fn named(&self, book: BookId, side: Side, reference: u64) -> Option<Resting> {
        let at_price = self.books.store.find_in(book, side, reference);
        let without = || self.market.find(book, side, reference);
        at_price
            .map(Resting::Level)
            .or_else(|| without().map(Resting::Market))
    }

    /// The first order of the price with the quantity, or the first of the price.
    fn by_terms(&mut self, book: BookId, side: Side, terms: Terms) -> Option<Resting> {
        let quantity = match terms.quantity {
            Some(quantity) => Some(u64::try_from(quantity).ok()?),
            None => None,
        };
        let Some(price) = terms.price else {
            return self.market.first(book, side, quantity).map(Resting::Market);
        };
        let level = self.books.store.level_of(book, side, price)?;
        let orders = &self.books.store.orders;
        let first = Some(self.books.store.levels[level].head);
        let queue =
            std::iter::successors(first, |at| Some(orders[*at].next).filter(|at| *at != NONE));
        let is_meant = |at: &u32| quantity.is_none_or(|it| orders[*at].quantity == it);
        let mut meant = queue.filter(is_meant);
        let found = meant.next();
        let is_ambiguous = quantity.is_some() && meant.next().is_some();
        self.counters.ambiguous += u64::from(is_ambiguous);
        found.map(Resting::Level)
    }

    /// The name of a new order; `None` when it should have one and has not.
    fn name_for(&mut self, priority_ns: Option<u64>) -> Option<u64> {
        match self.config.keys {
            KeyRule::Priority => priority_ns,
            KeyRule::Terms => {
                let serial = self.next_serial;
                self.next_serial += 1;
                Some(serial)
            }
        }
    }

    /// An order of the same name rests: it goes. With the same terms it was sent again, which is
    /// what venues do behind an auction; with others the book was wrong.
    fn replace_twin(
        &mut self,
        sequence: u64,
        book: BookId,
        twin: Resting,
        price: Option<i64>,
        quantity: u64,
    ) -> Applied {
        let is_same = self.price_of(twin) == price && self.quantity_of(twin) == quantity;
        self.take_out(twin);
        if is_same {
            self.counters.sent_again += 1;
            return changed(book);
        }
        let (fault, cause) = (Fault::DuplicateReference, Cause::DuplicateReference);
        self.fault_with(sequence, book, fault, cause, true)
    }

    /// Counts what a message says of its order and is not so; false when the price differs.
    fn compare(&mut self, resting: Resting, terms: Terms) -> bool {
        let is_price = self.price_of(resting) == terms.price;
        let said = terms
            .quantity
            .map(|quantity| u64::try_from(quantity).unwrap_or(0));
        let is_quantity = said.is_none_or(|quantity| quantity == self.quantity_of(resting));
        self.counters.mismatches += u64::from(!(is_price && is_quantity));
        is_price
    }

    fn price_of(&self, resting: Resting) -> Option<i64> {
        match resting {
            Resting::Level(address) => {
                let level = self.books.store.orders[address].level;
                Some(self.books.store.levels[level].price)
            }
            Resting::Market(_) => None,
        }
    }

    fn quantity_of(&self, resting: Resting) -> u64 {
        match resting {
            Resting::Level(address) => self.books.store.orders[address].quantity,
            Resting::Market(at) => self.market.get(at).quantity,
        }
    }

    fn take_out(&mut self, resting: Resting) {
        match resting {
            Resting::Level(address) => self.books.store.remove(address),
            Resting::Market(at) => self.market.remove(at),
        }
    }

    /// Whether the sum of a price stays what 64 bits hold with so much more.
    fn has_room(&self, book: BookId, side: Side, price: i64, more: u64) -> bool {
        if more <= LARGE {
            return true;
        }
        let level = self.books.store.level_of(book, side, price);
        let sum = level.map_or(0, |level| self.books.store.levels[level].quantity);
        sum.checked_add(more)
            .is_some_and(|sum| sum <= i64::MAX.cast_unsigned())
    }

    /// An order that does not rest: an error, unless something is known to be missing already.
    #[cold]
    fn on_unknown(&mut self, sequence: u64, book: BookId) -> Applied {
        if self.books.trust.is_doubtful() || self.books.doubt_of(book).is_some() {
            self.books.counters.excused_references += 1;
            return Applied::default();
        }
        self.fault(
            sequence,
            book,
            Fault::UnknownReference,
            Cause::UnknownReference,
        )
    }

    #[cold]
    fn fault(&mut self, sequence: u64, book: BookId, fault: Fault, cause: Cause) -> Applied {
        self.fault_with(sequence, book, fault, cause, false)
    }

    #[cold]
    fn fault_with(
        &mut self,
        since: u64,
        book: BookId,
        fault: Fault,
        cause: Cause,
        has_changed: bool,
    ) -> Applied {
        self.books.counters.count(fault);
        self.books.doubt_book(book, Doubt { since, cause });
        Applied {
            book: has_changed.then_some(book),
            fault: Some(fault),
        }
    }
}

fn side_of(side: WireSide) -> Side {
    match side {
        WireSide::Buy => Side::Bid,
        WireSide::Sell => Side::Ask,
    }
}
