//! Checkpoints of the stream compared with the books that this process made of the same records.
//!
//! A checkpoint names a place behind it: the books as they were before record `cursor`. So the hash
//! at that place must be known when the checkpoint is met. Whoever takes checkpoints remembers what
//! it took; whoever reads a journal has a [`Scout`] in front, which says at which places a hash
//! will be wanted. That costs one more pass over records that are in the page cache, and hashes
//! exactly where one is needed; hashing at guessed places would need the settings of whoever took
//! the checkpoints.
//!
//! An equality always counts. A difference counts only where neither side has an excuse: books that
//! were suspect when the checkpoint was taken, or that here lack records, may differ. Behind a
//! difference everything differs until the books are equal again, so it is told once.

use std::collections::VecDeque;

use tickdeck_book::{Cause, Channel, Record, Venue};
use tickdeck_wire::record::{Checkpoint, kind};

mod scout;

pub(crate) use scout::Scout;

/// Own states that are remembered.
const OWN_KEPT: usize = 64;

/// Places ahead at which a hash is wanted, at most, when a journal is followed; a place beyond is
/// not compared.
const PLACES_KEPT: usize = 1 << 16;

/// What a checkpoint says about the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are the same.
    Equal,
    /// They are not, and nothing excuses it.
    Different(Difference),
    /// The own books at its place are not known, or either side had an excuse.
    Incomparable,
}

/// A checkpoint and the own books at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What the stream says.
    pub(crate) expected: Checkpoint,
    /// What the books were.
    pub(crate) found: Checkpoint,
}

/// What came of all checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Checkpoints of the same books.
    pub(crate) equal: u64,
    /// Checkpoints of other books.
    pub(crate) different: u64,
    /// Checkpoints that could not be compared.
    pub(crate) incomparable: u64,
}

/// The books at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    /// As it would stand in the stream.
    pub(crate) checkpoint: Checkpoint,
    /// Records are missing in them, so that they may be others.
    pub(crate) is_excused: bool,
}

/// Compares the checkpoints of a stream, in its order.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// By rising cursor.
    own: VecDeque<Own>,
    /// Rising cursors at which a hash is wanted.
    places: VecDeque<u64>,
    places_most: usize,
    is_behind_difference: bool,
    /// Next venue sequence at the last place where the books were equal.
    equal_until: Option<u64>,
    tally: Tally,
}

impl Own {
    /// Hashes the books as they are.
    pub(crate) fn of<V: Venue>(channel: &Channel<V>) -> Self {
        let books = channel.books();
        let trust = books.channel_trust();
        let cause = trust.doubt().map(|doubt| doubt.cause);
        Self {
            checkpoint: Checkpoint {
                cursor: channel.cursor(),
                messages: books.counters().messages,
                next_sequence: channel.next_sequence().unwrap_or(0),
                state_hash: channel.channel_hash(),
                books: (books.len() + books.price_books().len()) as u32,
                trust: trust.code() as u8,
            },
            is_excused: cause.is_some_and(is_excuse),
        }
    }

    fn is_same(&self, other: &Checkpoint) -> bool {
        let of = |it: &Checkpoint| (it.state_hash, it.books, it.next_sequence);
        of(&self.checkpoint) == of(other)
    }
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self::with_places(PLACES_KEPT)
    }
}

impl Checkpoints {
    /// Keeps at most so many places ahead.
    pub(crate) fn with_places(places_most: usize) -> Self {
        Self {
            own: VecDeque::new(),
            places: VecDeque::new(),
            places_most,
            is_behind_difference: false,
            equal_until: None,
            tally: Tally::default(),
        }
    }

    /// Applies a record; the verdict of a checkpoint.
    #[inline]
    pub(crate) fn follow<V: Venue>(
        &mut self,
        channel: &mut Channel<V>,
        record: Record<'_>,
    ) -> Option<Verdict> {
        if self.is_wanted(channel.cursor()) {
            self.remember(Own::of(channel));
        }
        channel.apply(record);
        (record.kind == kind::SNAPSHOT_ANCHOR).then(|| self.meet(record.payload))
    }

    /// A checkpoint further on names this place.
    pub(crate) fn expect(&mut self, cursor: u64) {
        let at = self.places.partition_point(|place| *place < cursor);
        if self.places.get(at) != Some(&cursor) && self.places.len() < self.places_most {
            self.places.insert(at, cursor);
        }
    }

    /// Whether the books before record `cursor` are to be remembered.
    #[inline]
    pub(crate) fn is_wanted(&mut self, cursor: u64) -> bool {
        self.places.front().is_some_and(|place| *place <= cursor) && self.is_reached(cursor)
    }

    /// Keeps what the books are at one place; places come in rising order.
    pub(crate) fn remember(&mut self, own: Own) {
        if self
            .own
            .back()
            .is_some_and(|last| last.checkpoint.cursor >= own.checkpoint.cursor)
        {
            return;
        }
        if self.own.len() == OWN_KEPT {
            self.own.pop_front();
        }
        self.own.push_back(own);
    }

    /// The first venue sequence at which the books may be other than those of the checkpoints.
    pub(crate) fn equal_until(&self) -> u64 {
        self.equal_until.unwrap_or(1)
    }

    #[cold]
    fn meet(&mut self, payload: &[u8]) -> Verdict {
        match Checkpoint::decode(payload) {
            Ok(checkpoint) => self.compare(checkpoint),
            Err(error) => {
                tracing::warn!(%error, "a checkpoint cannot be read");
                self.tally.incomparable += 1;
                Verdict::Incomparable
            }
        }
    }

    fn compare(&mut self, expected: Checkpoint) -> Verdict {
        let verdict = self.judge(expected);
        match verdict {
            Verdict::Equal => self.tally.equal += 1,
            Verdict::Different(_) => self.tally.different += 1,
            Verdict::Incomparable => self.tally.incomparable += 1,
        }
        verdict
    }

    /// Forgets every place: another log counts anew.
    pub(crate) fn forget(&mut self) {
        self.own.clear();
        self.places.clear();
        self.is_behind_difference = false;
        self.equal_until = None;
    }

    /// What came of all checkpoints.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    #[cold]
    fn is_reached(&mut self, cursor: u64) -> bool {
        while self.places.front().is_some_and(|place| *place < cursor) {
            self.places.pop_front();
        }
        let is_wanted = self.places.front() == Some(&cursor);
        if is_wanted {
            self.places.pop_front();
        }
        is_wanted
    }

    fn judge(&mut self, expected: Checkpoint) -> Verdict {
        let at = self
            .own
            .binary_search_by_key(&expected.cursor, |own| own.checkpoint.cursor);
        let Ok(at) = at else {
            return Verdict::Incomparable;
        };
        let own = self.own[at];
        if own.is_same(&expected) {
            self.is_behind_difference = false;
            self.equal_until = Some(expected.next_sequence);
            return Verdict::Equal;
        }
        if self.is_behind_difference || own.is_excused || expected.trust == SUSPECT {
            return Verdict::Incomparable;
        }
        self.is_behind_difference = true;
        Verdict::Different(Difference {
            expected,
            found: own.checkpoint,
        })
    }
}

/// The trust code of suspect books.
const SUSPECT: u8 = 1;

/// Whether books with this doubt may lack something that others have, such as what a worker before
/// them had healed. A contradiction is no excuse: everybody reads the same stream, so others would
/// have met it too.
fn is_excuse(cause: Cause) -> bool {
    !matches!(
        cause,
        Cause::SequenceBreak
            | Cause::UnknownReference
            | Cause::DuplicateReference
            | Cause::TooManyShares
            | Cause::ZeroShares
            | Cause::MalformedRecord
            | Cause::Inconsistent
    )
}

#[cfg(test)]
mod tests;
