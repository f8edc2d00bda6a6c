//! Damaged RETENTION and STATE files: kept in `quarantine/`, and replaced in one step.
//!
//! The name is never absent in between. A log without RETENTION would seem to have lost its oldest
//! segments, and one without STATE could not be opened after a power cut.

use std::path::Path;

use super::{Action, Plan, aside};
use crate::directory::{RETENTION_FILE, STATE_FILE, StateView};
use crate::disk::Disk;
use crate::error::{Class, JournalError};
use crate::failpoints::fp;
use crate::format::State;
use crate::retention::Mark;

/// A RETENTION file that cannot be read is replaced: the log begins with the segment it begins with.
/// Where that is the first one of all, or there is none, the file goes.
pub(super) fn renew_mark(
    disk: &dyn Disk,
    dir: &Path,
    plan: &Plan,
    actions: &mut Vec<Action>,
) -> Result<(), JournalError> {
    let action = mark_action(dir)?;
    let mark = plan.keep.first().map(|first| Mark::before(&first.header));
    match mark.filter(|mark| mark.segment > 0) {
        Some(mark) => {
            aside::copy_file(disk, dir, RETENTION_FILE)?;
            fp!("recovery.mark.after_copy");
            mark.store(disk, dir)?;
        }
        None => {
            aside::move_file(disk, dir, RETENTION_FILE)?;
        }
    }
    actions.push(action);
    Ok(())
}

/// The change that [`renew_mark`] is.
pub(super) fn mark_action(dir: &Path) -> Result<Action, JournalError> {
    Ok(Action {
        class: Some(Class::BadRetention),
        ..Action::new(
            RETENTION_FILE,
            0,
            bytes_of(dir, RETENTION_FILE)?,
            "quarantined",
        )
    })
}

/// Whether the STATE file cannot be continued: it has a wrong length or, in a repair, no valid
/// checkpoint.
pub(super) fn must_renew_state(
    dir: &Path,
    view: &StateView,
    is_repair: bool,
) -> Result<bool, JournalError> {
    if !view.exists || view.damaged_at.is_none() {
        return Ok(false);
    }
    let is_usable = bytes_of(dir, STATE_FILE)? == State::FILE_LEN as u64;
    Ok(!is_usable || (view.current.is_none() && is_repair))
}

/// Copies the STATE file into quarantine, before it is replaced.
pub(super) fn keep_state(
    disk: &dyn Disk,
    dir: &Path,
    actions: &mut Vec<Action>,
) -> Result<(), JournalError> {
    let action = state_action(dir)?;
    aside::copy_file(disk, dir, STATE_FILE)?;
    actions.push(action);
    Ok(())
}

/// The change that [`keep_state`] begins.
pub(super) fn state_action(dir: &Path) -> Result<Action, JournalError> {
    Ok(Action {
        class: Some(Class::StateDamaged),
        ..Action::new(STATE_FILE, 0, bytes_of(dir, STATE_FILE)?, "quarantined")
    })
}

fn bytes_of(dir: &Path, name: &str) -> Result<u64, JournalError> {
    let path = dir.join(name);
    let metadata = path.metadata();
    metadata
        .map(|it| it.len())
        .map_err(|error| JournalError::io("cannot read", &path, error))
}
