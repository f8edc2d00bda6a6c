//! Reads a journal ahead of the books, only to learn where checkpoints were taken.

use std::path::Path;

use tickdeck_journal::{JournalError, Reader as Journal};
use tickdeck_wire::record::{Checkpoint, kind};

use super::Checkpoints;

/// How many records a checkpoint may stand behind its place to be compared when a journal is
/// followed: far more than the receiver needs to take one.
const AHEAD_RECORDS: u64 = 65_536;

/// A second reader of the journal that the books are made of.
pub(crate) struct Scout {
    reader: Journal,
    /// Set at an error: whoever reads behind comes to it and says so.
    has_failed: bool,
}

impl Scout {
    /// A scout at record `from`.
    ///
    /// # Errors
    /// The journal cannot be opened there.
    pub(crate) fn open(dir: &Path, from: u64) -> Result<Self, JournalError> {
        let mut reader = Journal::open(dir)?;
        reader.seek(from.max(reader.first_seq()))?;
        Ok(Self {
            reader,
            has_failed: false,
        })
    }

    /// Number of the first record that was not read; `None` when one could not be.
    pub(crate) fn end(&self) -> Option<u64> {
        (!self.has_failed).then(|| self.reader.position())
    }

    /// Keeps in front of books that are at `cursor`.
    pub(crate) fn keep_ahead(&mut self, cursor: u64, checkpoints: &mut Checkpoints) {
        self.read_to(cursor.saturating_add(AHEAD_RECORDS), checkpoints);
    }

    /// Reads up to record `end`, or to the end of the journal.
    pub(crate) fn read_to(&mut self, end: u64, checkpoints: &mut Checkpoints) {
        while !self.has_failed && self.reader.position() < end {
            match self.reader.next() {
                Ok(Some(entry)) if entry.record.kind == kind::SNAPSHOT_ANCHOR => {
                    if let Ok(checkpoint) = Checkpoint::decode(entry.record.payload) {
                        checkpoints.expect(checkpoint.cursor);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "nobody looks ahead any more");
                    self.has_failed = true;
                }
            }
        }
    }
}
