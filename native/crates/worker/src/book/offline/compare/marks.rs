//! Checkpoints of an input, coarse over the whole of it and fine over a part.

use tickdeck_book::Books;

use super::events::{Seen, Watcher};

/// What holds after so many events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) events: u64,
    pub(super) messages: u64,
    /// Over all events.
    pub(super) digest: u64,
    /// Over all books.
    pub(super) books: u64,
}

/// A mark every so many events, at most a given number of them.
pub(super) struct Marks {
    stride: u64,
    limit: usize,
    list: Vec<Mark>,
    end: Mark,
}

impl Marks {
    pub(super) fn new(stride: u64, limit: usize) -> Self {
        Self {
            stride,
            limit,
            list: Vec::new(),
            end: Mark::default(),
        }
    }

    /// Events between two marks: what was asked for, doubled as often as needed.
    pub(super) fn stride(&self) -> u64 {
        self.stride
    }

    pub(super) fn list(&self) -> &[Mark] {
        &self.list
    }

    /// The mark of the end.
    pub(super) fn end(&self) -> Mark {
        self.end
    }
}

impl Watcher for Marks {
    #[inline]
    fn event(&mut self, event: &Seen<'_>, books: &Books) {
        self.end.events = event.number;
        self.end.digest = event.digest;
        if event.number.is_multiple_of(self.stride) {
            let mark = Mark {
                messages: event.place.message,
                books: channel_hash(books),
                ..self.end
            };
            self.list.push(mark);
            if self.list.len() > self.limit {
                self.stride *= 2;
                let stride = self.stride;
                self.list.retain(|mark| mark.events.is_multiple_of(stride));
            }
        }
    }

    fn is_done(&self) -> bool {
        false
    }

    fn end(&mut self, books: &Books) {
        self.end.messages = books.counters().messages;
        self.end.books = channel_hash(books);
    }
}

/// The digest after each event of an interval.
pub(super) struct Fine {
    after: u64,
    until: u64,
    digests: Vec<u64>,
    is_done: bool,
}

impl Fine {
    /// Of events `after + 1..=until`.
    pub(super) fn new(after: u64, until: u64) -> Self {
        Self {
            after,
            until,
            digests: Vec::new(),
            is_done: false,
        }
    }

    pub(super) fn digests(self) -> Vec<u64> {
        self.digests
    }
}

impl Watcher for Fine {
    #[inline]
    fn event(&mut self, event: &Seen<'_>, _: &Books) {
        if event.number > self.after {
            self.digests.push(event.digest);
        }
        self.is_done = event.number >= self.until;
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

/// One hash over all books, those by price too, whatever their order.
fn channel_hash(books: &Books) -> u64 {
    let by_price = books.price_books().state_hash();
    books.iter().fold(by_price, |sum: u64, book| {
        let mut name = std::hash::DefaultHasher::new();
        std::hash::Hasher::write(&mut name, book.symbol().as_bytes());
        std::hash::Hasher::write_u64(&mut name, book.state_hash());
        sum.wrapping_add(std::hash::Hasher::finish(&name))
    })
}
