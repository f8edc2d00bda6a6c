//! Checks the books against their own rules while they are at work.
//!
//! One book in turn every so often, for ever, and all or one of them when somebody asks. Both take
//! place between two batches of records and walk a bounded number of orders at a time: asked for
//! all, the check goes on in the next pass, so that records never wait for more than a slice and
//! one book. A book that breaks a rule is suspect from then on.

use std::collections::HashSet;

use serde_json::json;
use tickdeck_book::{BookId, Cause, Crossing, InvariantError, Venue};

use super::answers::by_price;
use super::commands::{Answer, Place, Query, Request};
use super::venue::BookChannel;
use crate::control::ControlError;

/// Orders of one book that a check in turn walks at most, from the best level on: at up to half a
/// microsecond an order, which is where the index is looked into, a quarter of a millisecond.
const SAMPLE_ORDERS: u64 = 512;

/// Orders after which a check that was asked for waits for the next pass. One book is walked as a
/// whole, whatever its size.
const SLICE_ORDERS: u64 = 2_048;

/// Checks that wait for an answer.
const ASKED_MOST: usize = 4;

/// Faults that are told; all are counted.
const FAULTS_TOLD: usize = 16;

/// Checks books in turn, and what is asked for.
pub(crate) struct Patrol {
    /// Time between two books in turn; 0: none is checked in turn.
    interval_ns: u64,
    due_ns: u64,
    /// Index of the book whose turn is next.
    next: usize,
    asked: Vec<Asked>,
    checks: u64,
    errors: u64,
    /// Books of which it was told that they break a rule.
    told: HashSet<BookId>,
    /// Books at the last check: fewer of them are those of another session.
    books: usize,
}

/// A check that somebody waits for.
struct Asked {
    request: Request,
    /// Index of the next book, and the one after the last.
    next: usize,
    end: usize,
    checked: u64,
    orders: u64,
    faults: Vec<(String, String)>,
    faults_total: u64,
}

impl Patrol {
    /// Checks a book every `interval_ns`; 0: only when asked.
    pub(crate) fn new(interval_ns: u64) -> Self {
        Self {
            interval_ns,
            due_ns: 0,
            next: 0,
            asked: Vec::new(),
            checks: 0,
            errors: 0,
            told: HashSet::new(),
            books: 0,
        }
    }

    /// Books that were checked (`book_integrity_checks_total`).
    pub(crate) fn checks(&self) -> u64 {
        self.checks
    }

    /// Rules that were found broken (`book_integrity_errors_total`).
    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    /// Takes a check that somebody asks for; answers at once what cannot be checked.
    pub(crate) fn ask(&mut self, channel: &BookChannel, request: Request) {
        let Query::Check { symbol } = &request.query else {
            return;
        };
        let books = channel.books();
        let (next, end) = match symbol {
            None => (0, books.len()),
            Some(symbol) => {
                let is_it = |book: &tickdeck_book::BookView<'_>| {
                    book.symbol().as_bytes() == symbol.as_bytes()
                };
                let Some(at) = books.iter().position(|book| is_it(&book)) else {
                    let error = not_by_order(channel, symbol);
                    return request.answer(Err(error));
                };
                (at, at + 1)
            }
        };
        if self.asked.len() == ASKED_MOST {
            let text = format!("{ASKED_MOST} checks are running already; try again later");
            return request.answer(Err(ControlError::new("RESOURCE_EXHAUSTED", text)));
        }
        self.asked.push(Asked {
            request,
            next,
            end,
            checked: 0,
            orders: 0,
            faults: Vec::new(),
            faults_total: 0,
        });
    }

    /// Does a slice of what is asked for, and the book whose turn it is; `has_changed`: records
    /// were applied in this pass. Returns how much was done.
    pub(crate) fn walk(
        &mut self,
        channel: &mut BookChannel,
        now_ns: u64,
        has_changed: bool,
    ) -> usize {
        let mut count = 0;
        if has_changed && self.interval_ns != 0 && now_ns >= self.due_ns {
            self.due_ns = now_ns + self.interval_ns;
            self.check_next(channel);
            count += 1;
        }
        if let Some(asked) = self.asked.pop() {
            self.go_on(asked, channel);
            count += 1;
        }
        count
    }

    /// The book whose turn it is; after the last one the sums over all.
    fn check_next(&mut self, channel: &mut BookChannel) {
        if self.next < channel.books().len() {
            let index = self.next;
            self.next += 1;
            drop(self.check(channel, index, SAMPLE_ORDERS));
        } else {
            self.next = 0;
            drop(self.check_totals(channel));
        }
    }

    fn go_on(&mut self, mut asked: Asked, channel: &mut BookChannel) {
        let mut walked = 0;
        // A session that took over may have left fewer books.
        asked.end = asked.end.min(channel.books().len());
        while asked.next < asked.end && walked < SLICE_ORDERS {
            // Books that are empty or found wrong take time too.
            let held = channel.books().at(asked.next);
            walked += held.map_or(1, |book| u64::from(book.orders()).max(1));
            let found = self.check(channel, asked.next, u64::MAX);
            match found.and_then(|orders| uncrossed(channel, asked.next).map(|()| orders)) {
                Ok(orders) => asked.orders += orders,
                Err((symbol, error)) => asked.found(symbol, error.to_string()),
            }
            asked.checked += 1;
            asked.next += 1;
        }
        if asked.next < asked.end {
            return self.asked.push(asked);
        }
        if matches!(asked.request.query, Query::Check { symbol: None })
            && let Err(error) = self.check_totals(channel)
        {
            asked.found(String::new(), error);
        }
        asked.answer(Place::of(channel));
    }

    /// Checks one book, and doubts it when it breaks a rule; the orders walked.
    fn check(
        &mut self,
        channel: &mut BookChannel,
        index: usize,
        most_orders: u64,
    ) -> Result<u64, (String, InvariantError)> {
        let books = channel.books();
        let Some(view) = books.at(index) else {
            return Ok(0);
        };
        let id: BookId = view.id();
        if books.len() < self.books {
            self.told.clear();
        }
        self.books = books.len();
        self.checks += 1;
        match books.check_book(id, Crossing::Allowed, most_orders) {
            Ok(checked) => Ok(checked.orders),
            Err(error) => {
                let symbol = view.symbol().to_string();
                let since = channel.next_sequence().unwrap_or(1);
                self.errors += 1;
                if self.told.insert(id) {
                    tracing::error!(symbol, %error, since, "a book breaks its own rules");
                }
                channel
                    .books_mut()
                    .suspect_book(id, since, Cause::Inconsistent);
                Err((symbol, error))
            }
        }
    }

    /// The sums over all books, and the books by price, which are small.
    fn check_totals(&mut self, channel: &mut BookChannel) -> Result<(), String> {
        let totals = channel.books().check_totals();
        let checked = totals
            .map_err(|error| error.to_string())
            .and_then(|()| channel.books().price_books().check_invariants());
        if let Err(error) = &checked {
            let since = channel.next_sequence().unwrap_or(1);
            self.errors += 1;
            tracing::error!(error, since, "the books together break their own rules");
            channel
                .books_mut()
                .mark_suspect_all(since, Cause::Inconsistent);
        }
        checked
    }
}

/// Whether a book is crossed although its venue does not cross. It is told, and no doubt: between
/// two messages of one event the books of real order flow cross for a moment.
fn uncrossed(channel: &BookChannel, index: usize) -> Result<(), (String, InvariantError)> {
    let books = channel.books();
    let Some(view) = books.at(index) else {
        return Ok(());
    };
    let crossing = channel.venue().crossing();
    let checked = books.check_book(view.id(), crossing, 0);
    checked
        .map(drop)
        .map_err(|error| (view.symbol().to_string(), error))
}

/// Why a symbol without a book by order cannot be checked alone.
fn not_by_order(channel: &BookChannel, symbol: &str) -> ControlError {
    if by_price(channel.books(), symbol).is_some() {
        let text = format!(
            "{symbol} has a book by price only; those are checked with all books: \
             leave the symbol out"
        );
        return ControlError::new("WRONG_STATE", text);
    }
    let text = format!("there is no book of {symbol:?}; book.list names them");
    ControlError::new("NOT_FOUND", text)
}

impl Asked {
    fn found(&mut self, symbol: String, error: String) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_TOLD {
            self.faults.push((symbol, error));
        }
    }

    fn answer(self, place: Place) {
        let faults: Vec<_> = self
            .faults
            .iter()
            .map(|(symbol, text)| json!({"symbol": symbol, "text": text}))
            .collect();
        self.request.answer(Ok(Answer::Facts(json!({
            "checked": self.checked,
            "orders": self.orders,
            "faults": faults,
            "faults_total": self.faults_total,
            "cursor": place.cursor,
            "messages": place.messages,
            "next_sequence": place.next_sequence,
        }))));
    }
}
