//! ITCH 5.0: messages in blocks, numbered one by one, and GLIMPSE snapshots of the whole channel.
//!
//! SNAPSHOT_BEGIN empties the books, the blocks of SNAPSHOT_DATA build them, and SNAPSHOT_END makes
//! them good if every record between came. What ends it early (messages, a hole, another session)
//! leaves the doubt that it began with. It stands exactly before the first message that it does
//! not contain.

use tickdeck_wire::moldudp64::Blocks;
use tickdeck_wire::record::SnapshotEvent;

use crate::books::{Books, BooksConfig};
use crate::lookahead::{NoPrefetch, Prefetch};
use crate::spot_check::Crossing;
use crate::trust::Cause;
use crate::venue::{Run, Taken, Venue};

/// The books of an ITCH 5.0 channel. `P` asks for memory ahead: see [`Prefetch`].
pub struct Itch<P = NoPrefetch> {
    books: Books,
    prefetch: P,
    /// A snapshot of the venue's that is not whole yet.
    loading: Option<Loading>,
}

/// A snapshot that is being read.
#[derive(Clone, Copy, Debug)]
struct Loading {
    event: SnapshotEvent,
    records: u64,
}

impl Itch {
    /// Empty books.
    pub fn new(config: BooksConfig) -> Self {
        Self::with_prefetch(config, NoPrefetch)
    }
}

impl<P: Prefetch> Itch<P> {
    /// Empty books that ask for memory ahead.
    pub fn with_prefetch(config: BooksConfig, prefetch: P) -> Self {
        Self {
            books: Books::new(config),
            prefetch,
            loading: None,
        }
    }

    /// The books alone.
    pub fn into_books(self) -> Books {
        self.books
    }
}

impl<P: Prefetch> Venue for Itch<P> {
    #[inline]
    fn books(&self) -> &Books {
        &self.books
    }

    #[inline]
    fn books_mut(&mut self) -> &mut Books {
        &mut self.books
    }

    #[inline]
    fn apply(&mut self, run: Run<'_>, after: impl FnMut(&Books, u64, &[u8])) -> Taken {
        // Only after a counted break is a message older than expected: it was applied before.
        let (first, expected) = (run.first_sequence, run.expected);
        let taken =
            self.books
                .apply_blocks_with(first, expected, run.payload, &self.prefetch, after);
        Taken {
            next_sequence: taken.next_sequence,
            is_whole: taken.taken_bytes == run.payload.len(),
        }
    }

    fn clear(&mut self) {
        self.books.clear();
        self.loading = None;
    }

    fn begin_snapshot(&mut self, event: SnapshotEvent) -> Option<()> {
        is_whole_channel(event)?;
        self.books.begin_anew();
        let since = event.resume_sequence;
        self.books
            .mark_suspect_all(since, Cause::SnapshotIncomplete);
        self.loading = Some(Loading { event, records: 0 });
        Some(())
    }

    fn take_snapshot(&mut self, payload: &[u8]) -> Option<()> {
        let Some(loading) = &mut self.loading else {
            return Some(());
        };
        loading.records += 1;
        let sequence = loading.event.resume_sequence.saturating_sub(1);
        let mut blocks = Blocks::new(payload);
        for message in blocks.by_ref() {
            self.books.apply(sequence, message);
        }
        blocks.rest().is_empty().then_some(())
    }

    fn end_snapshot(&mut self, event: SnapshotEvent) -> Option<Option<u64>> {
        is_whole_channel(event)?;
        let Some(loading) = self.loading.take() else {
            return Some(None);
        };
        if loading.event != event || loading.records != event.records {
            return None;
        }
        self.books.trust.restore(event.resume_sequence);
        Some(Some(event.resume_sequence))
    }

    fn leave_snapshot(&mut self) {
        self.loading = None;
    }

    fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// While a stock trades (Stock Trading Action `T`), what would cross executes.
    fn crossing(&self) -> Crossing {
        Crossing::ForbiddenIn(b'T')
    }
}

/// Snapshots of less than the channel are of other venues.
fn is_whole_channel(event: SnapshotEvent) -> Option<()> {
    (event.scope == SnapshotEvent::WHOLE_CHANNEL).then_some(())
}
