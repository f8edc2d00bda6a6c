//! A venue's snapshot inside the stream: books begin anew from it where messages were lost.
//!
//! SNAPSHOT_BEGIN empties the books, the blocks of SNAPSHOT_DATA build them, and SNAPSHOT_END makes
//! them good if every record between came. What ends it early (messages, a hole, another session)
//! leaves the doubt that it began with. It stands exactly before the first message that it does
//! not contain.

use tickdeck_wire::moldudp64::Blocks;
use tickdeck_wire::record::SnapshotEvent;

use crate::channel::Channel;
use crate::trust::Cause;

/// A snapshot that is being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loading {
    event: SnapshotEvent,
    records: u64,
}

impl Channel {
    /// Whether a snapshot of the venue's is half read. The books are not worth keeping then.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// `None` for a payload that is none. Snapshots of less than the channel are of other venues.
    pub(crate) fn begin_venue_snapshot(&mut self, payload: &[u8]) -> Option<()> {
        let event = whole_channel(payload)?;
        self.books.begin_anew();
        let since = event.resume_sequence;
        self.books
            .mark_suspect_all(since, Cause::SnapshotIncomplete);
        self.loading = Some(Loading { event, records: 0 });
        Some(())
    }

    /// `None` for blocks that are not whole. Blocks without a beginning are those of a snapshot
    /// that was left.
    pub(crate) fn take_venue_snapshot(&mut self, payload: &[u8]) -> Option<()> {
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

    /// `None` when it does not end what began.
    pub(crate) fn end_venue_snapshot(&mut self, payload: &[u8]) -> Option<()> {
        let event = whole_channel(payload)?;
        let Some(loading) = self.loading.take() else {
            return Some(());
        };
        if loading.event != event || loading.records != event.records {
            return None;
        }
        let next = event.resume_sequence;
        self.books.trust.restore(next);
        self.next_sequence = Some(self.next_sequence.unwrap_or(next).max(next));
        self.after_hole = false;
        Some(())
    }
}

fn whole_channel(payload: &[u8]) -> Option<SnapshotEvent> {
    let event = SnapshotEvent::decode(payload).ok()?;
    (event.scope == SnapshotEvent::WHOLE_CHANNEL).then_some(event)
}
