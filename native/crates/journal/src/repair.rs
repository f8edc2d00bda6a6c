//! Repair of a log that nobody writes: what opening it in a mode would do, and doing it.

use std::path::Path;

use crate::directory;
use crate::disk::RealDisk;
use crate::error::JournalError;
use crate::policy::SyncPolicy;
use crate::recovery::{self, Depth, Look, RecoveryMode, RecoveryReport, RepairProgress, Survey};
use crate::writer::{Writer, WriterConfig};

/// What a repair would do, or has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What was found; `actions` says what would be changed, or was.
    pub report: RecoveryReport,
    /// The mode does not allow what would have to be done; nothing is changed.
    pub refused: bool,
    /// The changes were made.
    pub applied: bool,
}

/// Repairs a log as a writer that opens it in `mode` would, and closes it again. In mode
/// [`PointInTime`](RecoveryMode::PointInTime) every byte is read first, so that the log ends before
/// the first bad place wherever that is. With `apply` false nothing is changed.
/// `progress` is called at least once per MiB of each look at the log.
///
/// # Errors
///
/// [`JournalError::NotAJournal`] without segments, [`JournalError::Locked`] when a writer lives,
/// [`JournalError::Io`] when the system refuses. A refusal is no error but part of the answer.
pub fn repair(
    dir: impl AsRef<Path>,
    mode: RecoveryMode,
    apply: bool,
    progress: &mut dyn FnMut(RepairProgress),
) -> Result<Repair, JournalError> {
    let dir = dir.as_ref();
    let depth = match mode {
        RecoveryMode::PointInTime => Depth::All,
        RecoveryMode::Strict | RecoveryMode::Tail => Depth::Edges,
    };
    let mut look = Look::watched(depth, progress);
    let listing = directory::list(dir)?;
    if listing.segments.is_empty() && listing.bad.is_empty() {
        return Err(JournalError::NotAJournal {
            dir: dir.to_owned(),
        });
    }
    let newest = listing.segments.last();
    let schema_id = newest.map_or(0, |last| last.header.schema_id);
    let survey = {
        let _lock = directory::DirectoryLock::take(dir)?;
        Survey::take(&RealDisk, dir, mode, &mut look)?
    };
    let refused = !survey.is_accepted();
    if refused || !apply {
        let actions = match refused {
            true => Vec::new(),
            false => survey.actions(dir)?,
        };
        let report = RecoveryReport {
            actions,
            ..survey.report
        };
        return Ok(Repair {
            report,
            refused,
            applied: false,
        });
    }
    let config = WriterConfig::new(dir, SEGMENT_BYTES, SyncPolicy::Os, schema_id);
    let report = recovery::open(&RealDisk, &config, mode, &mut look)?.report;
    // What was begun is closed by one more writer, as after any other stop.
    Writer::open(config)?.0.close()?;
    Ok(Repair {
        report,
        refused: false,
        applied: true,
    })
}

/// Size of the segment that a repair begins; it is closed with what little it holds.
const SEGMENT_BYTES: u64 = 1 << 20;
