//! ITCH 5.0: messages in blocks, numbered one by one, and GLIMPSE snapshots of the whole channel.
//!
//! SNAPSHOT_BEGIN empties the books, the blocks of SNAPSHOT_DATA build them, and SNAPSHOT_END makes
//! them good if every record between came. What ends it early (messages, a hole, another session)
//! leaves the doubt that it began with. It stands exactly before the first message that it does
//! not contain.

use tickdeck_wire::moldudp64::Blocks;
use tickdeck_wire::record::SnapshotEvent;

use crate::books::{Books, BooksConfig};
use crate::spot_check::Crossing;
use crate::trust::Cause;
use crate::venue::{Run, Taken, Venue};

/// The books of an ITCH 5.0 channel.
pub struct Itch {
    books: Books,
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
        Self {
            books: Books::new(config),
            loading: None,
        }
    }

    /// The books alone.
    pub fn into_books(self) -> Books {
        self.books
    }
}

impl Venue for Itch {
    #[inline]
    fn books(&self) -> &Books {
        &self.books
    }

    #[inline]
    fn books_mut(&mut self) -> &mut Books {
        &mut self.books
    }

    #[inline]
    fn apply(&mut self, run: Run<'_>, mut after: impl FnMut(&Books, u64, &[u8])) -> Taken {
        let mut sequence = run.first_sequence;
        let mut blocks = Blocks::new(run.payload);
        for message in blocks.by_ref() {
            // Only after a counted break is a message older than expected: it was applied before.
            if sequence >= run.expected {
                self.books.apply(sequence, message);
                after(&self.books, sequence, message);
            }
            sequence = sequence.saturating_add(1);
        }
        Taken {
            next_sequence: sequence,
            is_whole: blocks.rest().is_empty(),
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
