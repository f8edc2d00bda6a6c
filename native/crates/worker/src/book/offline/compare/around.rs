//! The books before and behind one event.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tickdeck_book::Books;

use super::events::{Event, Seen, Watcher};
use crate::book::offline::OfflineArgs;
use crate::book::report::{self, BookSummary, Depth};

/// Books printed at most; a session that begins changes all of them.
const PRINTED: usize = 16;

/// Looks at an input around one event.
pub(super) struct Around<'a> {
    args: &'a OfflineArgs,
    event: u64,
    seen: SeenAround,
    is_done: bool,
}

/// What one input has there.
#[derive(Default)]
pub(super) struct SeenAround {
    /// The event; `None` when the input ended before it.
    pub(super) event: Option<Event>,
    /// Symbol of the instrument that the event is about.
    about: Option<String>,
    before: BTreeMap<String, Book>,
    after: BTreeMap<String, Book>,
    /// Of the books by price only the hashes, by instrument.
    by_price_before: BTreeMap<i64, u64>,
    by_price_after: BTreeMap<i64, u64>,
}

/// A book before or behind the event.
#[derive(Clone, Serialize)]
pub(super) struct Book {
    #[serde(flatten)]
    pub(super) summary: BookSummary,
    #[serde(flatten)]
    pub(super) depth: Depth,
    pub(super) state_hash: String,
}

/// A book in both inputs.
#[derive(Serialize)]
pub(super) struct BookAround {
    pub(super) symbol: String,
    pub(super) a: Side,
    pub(super) b: Side,
}

/// A book in one input; `None` where there is no such book.
#[derive(Serialize)]
pub(super) struct Side {
    pub(super) before: Option<Book>,
    pub(super) after: Option<Book>,
}

impl<'a> Around<'a> {
    /// Looks at the event with this number.
    pub(super) fn new(args: &'a OfflineArgs, event: u64) -> Self {
        Self {
            args,
            event,
            seen: SeenAround::default(),
            is_done: false,
        }
    }

    pub(super) fn finish(self) -> SeenAround {
        self.seen
    }

    fn books(&self, books: &Books) -> BTreeMap<String, Book> {
        let wanted = books.iter().filter(|book| self.args.wants(*book));
        let image = wanted.map(|book| {
            let image = Book {
                summary: BookSummary::of(book, false),
                depth: Depth::of(book, self.args.levels),
                state_hash: report::state_hash(book),
            };
            (book.symbol().to_string(), image)
        });
        image.collect()
    }

    fn by_price(&self, books: &Books) -> BTreeMap<i64, u64> {
        let all = books.price_books().iter();
        let wanted = all.filter(|book| self.args.wants_symbol(book.symbol()));
        wanted
            .map(|book| (book.instrument(), book.state_hash()))
            .collect()
    }

    fn look_before(&mut self, books: &Books) {
        self.seen.before = self.books(books);
        self.seen.by_price_before = self.by_price(books);
    }

    fn look_after(&mut self, books: &Books) {
        self.seen.after = self.books(books);
        self.seen.by_price_after = self.by_price(books);
    }
}

impl Watcher for Around<'_> {
    fn before(&mut self, events: u64, books: &Books) {
        if events + 1 == self.event {
            self.look_before(books);
        }
    }

    fn event(&mut self, event: &Seen<'_>, books: &Books) {
        if event.number + 1 == self.event {
            self.look_before(books);
        } else if event.number == self.event {
            self.look_after(books);
            let seen = Event::of(event, self.args.protocol);
            self.seen.about = about(event, books, self.args);
            self.seen.event = Some(seen);
            self.is_done = true;
        }
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn end(&mut self, books: &Books) {
        if self.seen.event.is_none() {
            self.look_after(books);
            self.seen.before = self.seen.after.clone();
            self.seen.by_price_before = self.seen.by_price_after.clone();
        }
    }
}

/// The books that the event changed in either input or that differ behind it, and those that it is
/// about.
pub(super) fn books(a: &SeenAround, b: &SeenAround) -> Vec<BookAround> {
    let mut symbols: Vec<&String> = [a, b]
        .into_iter()
        .flat_map(|seen| seen.before.keys().chain(seen.after.keys()))
        .collect();
    symbols.sort_unstable();
    symbols.dedup();
    let hash = |books: &BTreeMap<String, Book>, symbol: &String| {
        books
            .get(symbol)
            .map(|book| (book.state_hash.clone(), book.summary.trust))
    };
    let touched = symbols.into_iter().filter(|symbol| {
        let changed = |seen: &SeenAround| hash(&seen.before, symbol) != hash(&seen.after, symbol);
        let about = |seen: &SeenAround| seen.about.as_ref() == Some(symbol);
        changed(a)
            || changed(b)
            || hash(&a.after, symbol) != hash(&b.after, symbol)
            || about(a)
            || about(b)
    });
    let side = |seen: &SeenAround, symbol: &String| Side {
        before: seen.before.get(symbol).cloned(),
        after: seen.after.get(symbol).cloned(),
    };
    touched
        .take(PRINTED)
        .map(|symbol| BookAround {
            symbol: symbol.clone(),
            a: side(a, symbol),
            b: side(b, symbol),
        })
        .collect()
}

/// Books by price that the event changed in either input or that differ behind it: those are not
/// printed.
pub(super) fn by_price_left_out(a: &SeenAround, b: &SeenAround) -> usize {
    let all = [a, b].into_iter().flat_map(|seen| {
        seen.by_price_before
            .keys()
            .chain(seen.by_price_after.keys())
    });
    let touched = all.filter(|id| {
        let changed =
            |seen: &SeenAround| seen.by_price_before.get(id) != seen.by_price_after.get(id);
        let differs = a.by_price_after.get(id) != b.by_price_after.get(id);
        changed(a) || changed(b) || differs
    });
    touched.collect::<BTreeSet<_>>().len()
}

fn about(event: &Seen<'_>, books: &Books, args: &OfflineArgs) -> Option<String> {
    let super::events::Content::Message(message) = event.content else {
        return None;
    };
    let instrument = args.protocol.instrument(message)?;
    let book = books.view(books.by_instrument(instrument)?);
    Some(book.symbol().to_string())
}
