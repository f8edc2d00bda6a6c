//! What a channel of some protocol makes of its records: the part that differs by venue.

use tickdeck_wire::record::SnapshotEvent;

use crate::books::Books;
use crate::spot_check::Crossing;
use crate::trust::Cause;

/// The payload of a DATA record.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Venue sequence number of its first message; of its packet, where packets are numbered.
    pub first_sequence: u64,
    /// Messages with a lower number were applied before and are passed over.
    pub expected: u64,
    /// Message blocks, or one whole packet.
    pub payload: &'a [u8],
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The number behind its last message.
    pub next_sequence: u64,
    /// Every byte of it could be read.
    pub is_whole: bool,
}

/// Makes books of the records of one protocol.
///
/// [`crate::Channel`] holds the continuity of records and messages and tells what is missing; the
/// venue decides what that means for its books.
pub trait Venue {
    /// The books.
    fn books(&self) -> &Books;

    /// The books, to doubt or trust them.
    fn books_mut(&mut self) -> &mut Books;

    /// Applies the messages of a run; calls `after(books, sequence, message)` after each.
    fn apply(&mut self, run: Run<'_>, after: impl FnMut(&Books, u64, &[u8])) -> Taken;

    /// Something may be missing from message `since` on, because of `cause`. Where messages have
    /// no second number that could prove a book, every book is suspect.
    fn doubt_all(&mut self, since: u64, cause: Cause) {
        self.books_mut().mark_suspect_all(since, cause);
    }

    /// Another session, another log: nothing of what was known holds.
    fn clear(&mut self) {
        self.books_mut().clear();
    }

    /// A snapshot of the venue's state begins; `None` when it cannot be one of this venue.
    fn begin_snapshot(&mut self, event: SnapshotEvent) -> Option<()>;

    /// A part of it; `None` when it cannot be read. Parts without a beginning are those of a
    /// snapshot that was left.
    fn take_snapshot(&mut self, payload: &[u8]) -> Option<()>;

    /// It ends; `None` when it does not end what began. The number of the next message of the
    /// channel, where the snapshot says one.
    fn end_snapshot(&mut self, event: SnapshotEvent) -> Option<Option<u64>>;

    /// A snapshot that has begun will not be whole.
    fn leave_snapshot(&mut self);

    /// Whether a snapshot is half read. The books are not worth keeping then.
    fn is_loading(&self) -> bool;

    /// A hash of everything that its books hold: [`Books::channel_hash`], mixed with what a venue
    /// keeps beside them.
    fn channel_hash(&self) -> u64 {
        self.books().channel_hash()
    }

    /// When its books may not be locked or crossed.
    fn crossing(&self) -> Crossing {
        Crossing::Allowed
    }

    /// Appends what the venue knows beside its books, for the worker's own snapshot.
    fn save(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Takes back what [`Self::save`] wrote; the books are restored before.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn restore(&mut self, saved: &[u8]) -> Result<(), &'static str> {
        if saved.is_empty() {
            Ok(())
        } else {
            Err("a part that this venue does not have")
        }
    }
}
