//! Applies ITCH 5.0 messages to the books, by the rules of the specification's book section.
//!
//! | Type | Effect |
//! |---|---|
//! | A F | joins the back of its level; a reference that rests already is replaced in one step |
//! | E C | takes shares at the resting price, whatever price C traded at; the order goes at zero |
//! | X | takes shares; the order keeps its place |
//! | D | takes the order out |
//! | U | takes the original out; the new reference keeps side and stock, joins the back |
//! | R | names the instrument of a locate code |
//! | S H | tracked; books persist through halts |
//! | others | counted |
//!
//! The order's own book counts, not the locate code of a message that names the order.

use tickdeck_wire::itch50::{self, ItchError, Message, Side as WireSide, Stock};

use crate::books::{Applied, Books};
use crate::fault::Fault;
use crate::store::NewOrder;
use crate::trust::{Cause, Doubt};
use crate::types::{BookId, Side, Symbol};

impl Books {
    /// Applies one message. `sequence` is its venue sequence number, which doubts then refer to.
    ///
    /// Never fails and never panics: what is wrong with a message is counted and told in the
    /// answer.
    #[inline]
    pub fn apply(&mut self, sequence: u64, message: &[u8]) -> Applied {
        self.counters.messages += 1;
        match itch50::parse(message) {
            Ok(message) => self.apply_parsed(sequence, message),
            Err(error) => self.refuse(error),
        }
    }

    #[inline]
    fn apply_parsed(&mut self, sequence: u64, message: Message<'_>) -> Applied {
        match message {
            Message::AddOrder(m) => {
                let order = (m.order_reference(), m.side(), m.shares(), m.price());
                self.on_add(sequence, m.stock_locate(), m.stock(), order)
            }
            Message::AddOrderMpid(m) => {
                let order = (m.order_reference(), m.side(), m.shares(), m.price());
                self.on_add(sequence, m.stock_locate(), m.stock(), order)
            }
            Message::OrderDelete(m) => {
                self.counters.deletes += 1;
                let Some(address) = self.store.find(m.order_reference()) else {
                    return self.on_unknown(sequence, m.stock_locate());
                };
                let book = self.store.orders[address].place.book();
                self.store.remove(address);
                Applied {
                    book: Some(book),
                    fault: None,
                }
            }
            Message::OrderReplace(m) => self.on_replace(sequence, m),
            Message::OrderExecuted(m) => {
                self.counters.executions += 1;
                let shares = m.executed_shares();
                self.on_taken(
                    sequence,
                    m.stock_locate(),
                    m.order_reference(),
                    shares,
                    EXECUTED,
                )
            }
            Message::OrderExecutedWithPrice(m) => {
                self.counters.executions += 1;
                let shares = m.executed_shares();
                self.on_taken(
                    sequence,
                    m.stock_locate(),
                    m.order_reference(),
                    shares,
                    EXECUTED,
                )
            }
            Message::OrderCancel(m) => {
                self.counters.cancels += 1;
                let shares = m.cancelled_shares();
                self.on_taken(
                    sequence,
                    m.stock_locate(),
                    m.order_reference(),
                    shares,
                    CANCELLED,
                )
            }
            other => self.apply_rare(other),
        }
    }

    /// Messages that change no orders.
    fn apply_rare(&mut self, message: Message<'_>) -> Applied {
        match message {
            Message::StockDirectory(m) => {
                self.counters.directory += 1;
                let book = self.book_for(i64::from(m.stock_locate()), || symbol_of(m.stock()));
                self.set_symbol(book, symbol_of(m.stock()));
            }
            Message::TradingAction(m) => {
                self.counters.other += 1;
                if let Some(book) = self.by_instrument(i64::from(m.stock_locate())) {
                    self.listings[book.0 as usize].trading_state = m.trading_state();
                }
            }
            Message::SystemEvent(m) => {
                self.counters.other += 1;
                self.system_event = m.event_code();
            }
            _ => self.counters.other += 1,
        }
        Applied::default()
    }

    #[inline]
    fn on_add(
        &mut self,
        sequence: u64,
        locate: u16,
        stock: Stock,
        (reference, side, shares, price): (u64, WireSide, u32, u32),
    ) -> Applied {
        self.counters.adds += 1;
        let book = self.book_for(i64::from(locate), || symbol_of(stock));
        if shares == 0 {
            let doubt = Doubt {
                since: sequence,
                cause: Cause::ZeroShares,
            };
            return self.fault(book, Fault::ZeroShares, doubt, false);
        }
        let side = side_of(side);
        self.enter(
            sequence,
            NewOrder {
                book,
                side,
                price: i64::from(price),
                quantity: u64::from(shares),
                reference,
            },
        )
    }

    fn on_replace(&mut self, sequence: u64, m: itch50::OrderReplace<'_>) -> Applied {
        self.counters.replaces += 1;
        let Some(address) = self.store.find(m.original_order_reference()) else {
            return self.on_unknown(sequence, m.stock_locate());
        };
        let original = self.store.orders[address];
        let book = original.place.book();
        self.store.remove(address);
        if m.shares() == 0 {
            let doubt = Doubt {
                since: sequence,
                cause: Cause::ZeroShares,
            };
            return self.fault(book, Fault::ZeroShares, doubt, true);
        }
        let (price, quantity) = (i64::from(m.price()), u64::from(m.shares()));
        let reference = m.new_order_reference();
        self.enter(
            sequence,
            NewOrder {
                book,
                side: original.place.side(),
                price,
                quantity,
                reference,
            },
        )
    }

    /// Puts an order at the back of its queue, in place of one with the same reference.
    #[inline]
    fn enter(&mut self, sequence: u64, new: NewOrder) -> Applied {
        let mut applied = Applied {
            book: Some(new.book),
            fault: None,
        };
        if let Some(twin) = self.store.find(new.reference) {
            let doubt = Doubt {
                since: sequence,
                cause: Cause::DuplicateReference,
            };
            let other = self.store.orders[twin].place.book();
            self.store.remove(twin);
            self.doubt_book(other, doubt);
            applied = self.fault(new.book, Fault::DuplicateReference, doubt, true);
        }
        if self.store.add(new).is_err() {
            let doubt = Doubt {
                since: sequence,
                cause: Cause::OrderLimit,
            };
            return self.fault(new.book, Fault::OrderLimit, doubt, false);
        }
        applied
    }

    /// Shares left an order by execution or cancel.
    #[inline]
    fn on_taken(
        &mut self,
        sequence: u64,
        locate: u16,
        reference: u64,
        shares: u32,
        too_much: Fault,
    ) -> Applied {
        let shares = u64::from(shares);
        let Some(address) = self.store.find(reference) else {
            return self.on_unknown(sequence, locate);
        };
        let order = &self.store.orders[address];
        let (book, left) = (order.place.book(), order.quantity);
        if shares == 0 {
            self.counters.count(Fault::ZeroShares);
            return Applied {
                book: None,
                fault: Some(Fault::ZeroShares),
            };
        }
        if shares < left {
            self.store.reduce(address, shares);
            return Applied {
                book: Some(book),
                fault: None,
            };
        }
        self.store.remove(address);
        if shares > left {
            let doubt = Doubt {
                since: sequence,
                cause: Cause::TooManyShares,
            };
            return self.fault(book, too_much, doubt, true);
        }
        Applied {
            book: Some(book),
            fault: None,
        }
    }

    /// An order that does not rest: an error, unless something is known to be missing already.
    #[cold]
    fn on_unknown(&mut self, sequence: u64, locate: u16) -> Applied {
        let book = self.by_instrument(i64::from(locate));
        let doubted = book.is_some_and(|book| self.listings[book.0 as usize].doubt.is_some());
        if self.trust.is_doubtful() || doubted {
            self.counters.excused_references += 1;
            return Applied::default();
        }
        self.counters.count(Fault::UnknownReference);
        if let Some(book) = book {
            self.doubt_book(
                book,
                Doubt {
                    since: sequence,
                    cause: Cause::UnknownReference,
                },
            );
        }
        Applied {
            book: None,
            fault: Some(Fault::UnknownReference),
        }
    }

    #[cold]
    fn fault(&mut self, book: BookId, fault: Fault, doubt: Doubt, changed: bool) -> Applied {
        self.counters.count(fault);
        self.doubt_book(book, doubt);
        Applied {
            book: changed.then_some(book),
            fault: Some(fault),
        }
    }

    #[cold]
    fn refuse(&mut self, error: ItchError) -> Applied {
        let fault = match error {
            ItchError::UnknownType(_) => Fault::UnknownType,
            ItchError::Empty | ItchError::WrongLength { .. } => Fault::BadLength,
            ItchError::BadSide { .. } => Fault::BadSide,
        };
        self.counters.count(fault);
        Applied {
            book: None,
            fault: Some(fault),
        }
    }
}

const EXECUTED: Fault = Fault::ExecutedTooMuch;
const CANCELLED: Fault = Fault::CancelledTooMuch;

fn symbol_of(stock: Stock) -> Symbol {
    Symbol::from_padded(&stock.0)
}

#[inline]
fn side_of(side: WireSide) -> Side {
    match side {
        WireSide::Buy => Side::Bid,
        WireSide::Sell => Side::Ask,
    }
}
