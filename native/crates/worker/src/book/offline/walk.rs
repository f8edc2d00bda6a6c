//! Applying an input record by record, with a look at the books wherever one is wanted.

use std::ops::ControlFlow;

use serde::Serialize;
use tickdeck_book::{Books, Record};

use super::input::Input;
use super::protocol::Protocol;
use crate::book::venue::BookChannel;

/// Where in a stream the books stand: the last message applied, and the record that brought it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// Messages applied so far.
    pub(super) message: u64,
    /// Venue sequence of the last message.
    pub(super) sequence: Option<u64>,
    /// Journal sequence of its record.
    pub(super) record: Option<u64>,
    /// Receive time of its record, UTC ns.
    pub(super) time_ns: Option<u64>,
    /// The venue's time of day in the message, ns since midnight.
    pub(super) day_time_ns: Option<u64>,
}

/// Looks at the books while an input is applied.
pub(super) trait Visitor {
    /// Before a record is applied. `Break` ends the walk in front of it.
    fn before(&mut self, books: &Books, place: &Place, record: &Record<'_>) -> ControlFlow<()>;

    /// After a message of a DATA record was applied.
    fn after(&mut self, books: &Books, place: &Place, message: &[u8]);

    /// After a whole record was applied. `Break` ends the walk behind it.
    fn behind(&mut self, books: &Books, place: &Place) -> ControlFlow<()>;
}

/// How a walk ended.
pub(super) struct Walked {
    /// The place of the last message applied.
    pub(super) place: Place,
    /// The visitor ended it.
    pub(super) stopped: bool,
    /// Why the end of the input is not its real end.
    pub(super) problem: Option<String>,
}

/// Applies what is left of an input, until the visitor has seen enough.
pub(super) fn walk(
    input: &mut Input,
    channel: &mut BookChannel,
    protocol: Protocol,
    visitor: &mut impl Visitor,
) -> Walked {
    let is_journal = input.journal().is_some();
    let mut place = Place::default();
    let ended = |place, stopped, problem| Walked {
        place,
        stopped,
        problem,
    };
    loop {
        let record = match input.next() {
            Ok(Some(record)) => record,
            Ok(None) => return ended(place, false, None),
            Err(problem) => return ended(place, false, Some(problem)),
        };
        if visitor.before(channel.books(), &place, &record).is_break() {
            return ended(place, true, None);
        }
        let (seq, rx_ns) = (record.seq, record.rx_ns);
        channel.apply_with(record, |books, sequence, message| {
            place.message = books.counters().messages;
            place.sequence = Some(sequence);
            if is_journal {
                (place.record, place.time_ns) = (Some(seq), Some(rx_ns));
            }
            place.day_time_ns = protocol.day_time_ns(message);
            visitor.after(books, &place, message);
        });
        if visitor.behind(channel.books(), &place).is_break() {
            return ended(place, true, None);
        }
    }
}
