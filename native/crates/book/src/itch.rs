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

use tickdeck_wire::itch50::{
    self, AddOrder, ItchError, Message, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedWithPrice, OrderReplace, Side as WireSide, Stock,
};

use crate::books::{Applied, Books};
use crate::fault::Fault;
use crate::slab::NONE;
use crate::store::{NewOrder, NotAdded};
use crate::trust::{Cause, Doubt};
use crate::types::{BookId, Side, Symbol};

impl Books {
    /// Applies one message. `sequence` is its venue sequence number, which doubts then refer to.
    ///
    /// Never fails and never panics: what is wrong with a message is counted and told in the
    /// answer.
    pub fn apply(&mut self, sequence: u64, message: &[u8]) -> Applied {
        self.apply_here(sequence, message, NONE)
    }

    /// As [`Self::apply`], made part of the caller: a loop over messages must not wait for what
    /// each of them did, which an answer through memory would mean. `level` is where an order that
    /// the message adds probably belongs, or [`NONE`].
    #[inline(always)]
    pub(crate) fn apply_here(&mut self, sequence: u64, message: &[u8], level: u32) -> Applied {
        self.counters.messages += 1;
        let applied = match message.first().copied() {
            Some(AddOrder::KIND) => AddOrder::parse(message).map(|m| {
                let order = (m.order_reference(), m.side(), m.shares(), m.price());
                self.on_add(sequence, m.stock_locate(), m.stock(), order, level)
            }),
            Some(OrderDelete::KIND) => {
                OrderDelete::parse(message).map(|m| self.on_delete(sequence, m))
            }
            Some(OrderReplace::KIND) => {
                OrderReplace::parse(message).map(|m| self.on_replace(sequence, m))
            }
            Some(OrderExecuted::KIND | OrderExecutedWithPrice::KIND | OrderCancel::KIND) => {
                taken_by(message).map(|taken| self.on_taken(sequence, taken))
            }
            _ => return self.apply_rare(sequence, message),
        };
        applied.unwrap_or_else(|error| self.refuse(sequence, message, error))
    }

    /// Messages that come rarely.
    #[inline(never)]
    fn apply_rare(&mut self, sequence: u64, message: &[u8]) -> Applied {
        match itch50::parse(message) {
            Ok(Message::AddOrderMpid(m)) => {
                let order = (m.order_reference(), m.side(), m.shares(), m.price());
                self.on_add(sequence, m.stock_locate(), m.stock(), order, NONE)
            }
            Ok(other) => self.apply_bookless(other),
            Err(error) => self.refuse(sequence, message, error),
        }
    }

    /// Messages that change no orders.
    fn apply_bookless(&mut self, message: Message<'_>) -> Applied {
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

    #[inline(always)]
    fn on_add(
        &mut self,
        sequence: u64,
        locate: u16,
        stock: Stock,
        (reference, side, shares, price): (u64, WireSide, u32, u32),
        level: u32,
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
            level,
        )
    }

    #[inline(always)]
    fn on_delete(&mut self, sequence: u64, m: OrderDelete<'_>) -> Applied {
        self.counters.deletes += 1;
        let Some(place) = self.store.remove_by_reference(m.order_reference()) else {
            return self.on_unknown(sequence, m.stock_locate());
        };
        Applied {
            book: Some(place.book()),
            fault: None,
        }
    }

    #[inline(always)]
    fn on_replace(&mut self, sequence: u64, m: OrderReplace<'_>) -> Applied {
        self.counters.replaces += 1;
        let original = m.original_order_reference();
        let Some(place) = self.store.remove_by_reference(original) else {
            return self.on_unknown(sequence, m.stock_locate());
        };
        let book = place.book();
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
                side: place.side(),
                price,
                quantity,
                reference,
            },
            NONE,
        )
    }

    /// Puts an order at the back of its queue, in place of one with the same reference.
    #[inline(always)]
    fn enter(&mut self, sequence: u64, new: NewOrder, level: u32) -> Applied {
        match self.store.add_unless_twin(new, level) {
            Ok(_) => Applied {
                book: Some(new.book),
                fault: None,
            },
            Err(refused) => self.on_refused(sequence, new, refused),
        }
    }

    #[cold]
    #[inline(never)]
    fn on_refused(&mut self, sequence: u64, new: NewOrder, refused: NotAdded) -> Applied {
        let NotAdded::Twin(twin) = refused else {
            let doubt = Doubt {
                since: sequence,
                cause: Cause::OrderLimit,
            };
            return self.fault(new.book, Fault::OrderLimit, doubt, false);
        };
        let doubt = Doubt {
            since: sequence,
            cause: Cause::DuplicateReference,
        };
        let other = self.store.orders[twin].place.book();
        self.store.remove(twin);
        self.doubt_book(other, doubt);
        let applied = self.fault(new.book, Fault::DuplicateReference, doubt, true);
        // The twin's place is free now.
        let added = self.store.add(new);
        debug_assert!(added.is_ok(), "{added:?}");
        applied
    }

    /// Shares left an order by execution or cancel.
    #[inline(always)]
    fn on_taken(&mut self, sequence: u64, taken: Taken) -> Applied {
        match taken.too_much {
            Fault::CancelledTooMuch => self.counters.cancels += 1,
            _ => self.counters.executions += 1,
        }
        let Some(address) = self.store.find(taken.reference) else {
            return self.on_unknown(sequence, taken.locate);
        };
        let order = &self.store.orders[address];
        let (book, left, shares) = (order.place.book(), order.quantity, taken.shares);
        if shares < left && shares > 0 {
            self.store.reduce(address, shares);
        } else if shares == 0 {
            return self.count_only(Fault::ZeroShares);
        } else {
            self.store.remove(address);
            if shares > left {
                let doubt = Doubt {
                    since: sequence,
                    cause: Cause::TooManyShares,
                };
                return self.fault(book, taken.too_much, doubt, true);
            }
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
        self.doubt_place(sequence, &locate.to_be_bytes(), Cause::UnknownReference);
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
    fn refuse(&mut self, sequence: u64, message: &[u8], error: ItchError) -> Applied {
        if let [b'A' | b'F' | b'E' | b'C' | b'X' | b'D' | b'U', rest @ ..] = message {
            self.doubt_place(sequence, rest, Cause::BadEntry);
        }
        self.count_only(match error {
            ItchError::UnknownType(_) => Fault::UnknownType,
            ItchError::Empty | ItchError::WrongLength { .. } => Fault::BadLength,
            ItchError::BadSide { .. } => Fault::BadSide,
        })
    }

    /// Doubts the book of the locate code that `place` begins with; every book of the channel when
    /// there is none of it.
    fn doubt_place(&mut self, sequence: u64, place: &[u8], cause: Cause) {
        let doubt = Doubt {
            since: sequence,
            cause,
        };
        let locate = place.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        match locate.and_then(|locate| self.by_instrument(i64::from(locate))) {
            Some(book) => self.doubt_book(book, doubt),
            None => self.trust.doubt_all(doubt),
        }
    }

    /// A fault that changes nothing and that no book can be blamed for.
    #[cold]
    fn count_only(&mut self, fault: Fault) -> Applied {
        self.counters.count(fault);
        Applied {
            book: None,
            fault: Some(fault),
        }
    }
}

/// What E, C and X have in common.
struct Taken {
    locate: u16,
    reference: u64,
    shares: u64,
    /// What it is when there were fewer.
    too_much: Fault,
}

/// Reads E, C or X.
#[inline(always)]
fn taken_by(message: &[u8]) -> Result<Taken, ItchError> {
    let (locate, reference, shares, too_much) = match message.first().copied() {
        Some(OrderExecuted::KIND) => {
            let m = OrderExecuted::parse(message)?;
            let shares = m.executed_shares();
            (
                m.stock_locate(),
                m.order_reference(),
                shares,
                Fault::ExecutedTooMuch,
            )
        }
        Some(OrderExecutedWithPrice::KIND) => {
            let m = OrderExecutedWithPrice::parse(message)?;
            let shares = m.executed_shares();
            (
                m.stock_locate(),
                m.order_reference(),
                shares,
                Fault::ExecutedTooMuch,
            )
        }
        _ => {
            let m = OrderCancel::parse(message)?;
            let shares = m.cancelled_shares();
            (
                m.stock_locate(),
                m.order_reference(),
                shares,
                Fault::CancelledTooMuch,
            )
        }
    };
    Ok(Taken {
        locate,
        reference,
        shares: u64::from(shares),
        too_much,
    })
}

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
