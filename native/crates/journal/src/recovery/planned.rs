//! What opening a log is going to change, known before anything is.

use std::fs;
use std::io;
use std::path::Path;

use super::plan::Aside;
use super::{Action, Plan, Survey, renew};
use crate::directory::{
    self, PREPARED_FILE, REPAIR_TEMPORARY, RETENTION_TEMPORARY, STATE_TEMPORARY,
};
use crate::error::JournalError;
use crate::format::SegmentHeader;

impl Survey {
    /// Every change, in the order in which it will be made.
    pub(crate) fn actions(&self, dir: &Path) -> Result<Vec<Action>, JournalError> {
        let mut actions = unused(dir)?;
        actions.extend(self.plan.aside.iter().map(Aside::action));
        if self.plan.mark_is_bad {
            actions.push(renew::mark_action(dir)?);
        }
        if renew::must_renew_state(dir, &self.view, self.is_repair)? {
            actions.push(renew::state_action(dir)?);
        }
        actions.extend(self.plan.changes_of_last());
        actions.extend(self.plan.hole_action());
        Ok(actions)
    }
}

impl Plan {
    /// How the last kept segment is closed.
    fn changes_of_last(&self) -> Vec<Action> {
        let (Some(last), Some(end)) = (self.keep.last(), &self.end) else {
            return Vec::new();
        };
        let cut = end.cut.as_ref();
        let cut = cut.map(|cut| cut.action(last, end, self.next_seq));
        let sealed = Action::new(&last.name, end.data_end, 0, "sealed");
        cut.into_iter().chain([sealed]).collect()
    }

    /// The sequences that the first record of the new segment spends.
    pub(super) fn hole_action(&self) -> Option<Action> {
        let name = directory::segment_name(self.newest() + 1);
        (self.resume_seq > self.next_seq).then(|| Action {
            from: Some(self.next_seq),
            to: Some(self.resume_seq - 1),
            ..Action::new(&name, SegmentHeader::LEN as u64, 0, "hole")
        })
    }
}

/// Files that were being prepared and never became part of the log, to be removed.
pub(super) fn unused(dir: &Path) -> Result<Vec<Action>, JournalError> {
    let mut actions = Vec::new();
    for name in [
        PREPARED_FILE,
        STATE_TEMPORARY,
        REPAIR_TEMPORARY,
        RETENTION_TEMPORARY,
    ] {
        let path = dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => actions.push(Action::new(name, 0, metadata.len(), "removed_unused")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(JournalError::io("cannot look at", &path, error)),
        }
    }
    Ok(actions)
}
