//! What the STATE file says, for those who look at a log from outside.

use std::fs;
use std::io;
use std::path::Path;

use crate::directory;
use crate::error::JournalError;

/// The newest checkpoint of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Epoch of the writer that wrote it.
    pub writer_epoch: u64,
    /// Number of the segment that was being written.
    pub active_segment: u64,
    /// Last sequence of the last sealed segment.
    pub last_sealed_seq: u64,
    /// Everything up to it was synced; at most a second old while a writer works.
    pub durable_seq: u64,
    /// The writer had closed the log.
    pub clean: bool,
}

/// Reads the checkpoint of a log; `None` when there is no valid one.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn checkpoint(dir: impl AsRef<Path>) -> Result<Option<Checkpoint>, JournalError> {
    let state = directory::read_state(dir.as_ref())?.current;
    Ok(state.map(|state| Checkpoint {
        writer_epoch: state.writer_epoch,
        active_segment: state.active_segment,
        last_sealed_seq: state.last_sealed_seq,
        durable_seq: state.durable_seq,
        clean: state.clean,
    }))
}

/// Whether a writer holds the log now.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn has_writer(dir: impl AsRef<Path>) -> Result<bool, JournalError> {
    directory::has_writer(dir.as_ref())
}

/// Files of a log that were set aside, with their sizes, in order of names.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn quarantine(dir: impl AsRef<Path>) -> Result<Vec<(String, u64)>, JournalError> {
    let folder = dir.as_ref().join(directory::QUARANTINE);
    let failed = |error| JournalError::io("cannot list", &folder, error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let bytes = entry.metadata().map_err(failed)?.len();
        files.push((entry.file_name().to_string_lossy().into_owned(), bytes));
    }
    files.sort();
    Ok(files)
}
