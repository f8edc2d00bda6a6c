//! What opening a log found and did.

use std::fmt;
use std::path::PathBuf;

use rustix::time::ClockId;
use serde_json::{Value, json};

use super::RecoveryMode;
use crate::error::{Class, Problem};
use crate::segment::clock_ns;

/// One thing that opening a log changed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// File name inside the journal directory.
    pub file: String,
    /// Where the change begins.
    pub offset: u64,
    /// Bytes concerned.
    pub bytes: u64,
    /// `cut_torn_tail`, `cut`, `quarantined`, `sealed`, `hole` or `removed_unused`.
    pub action: &'static str,
    /// The damage that made it necessary.
    pub class: Option<Class>,
    /// First sequence that the log no longer holds because of it.
    pub from: Option<u64>,
    /// Last such sequence, where it is known.
    pub to: Option<u64>,
}

impl Action {
    /// A change that costs no sequence.
    pub(crate) fn new(file: &str, offset: u64, bytes: u64, action: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            offset,
            bytes,
            action,
            class: None,
            from: None,
            to: None,
        }
    }
}

/// What opening a log for writing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The journal directory.
    pub dir: PathBuf,
    /// How much was allowed.
    pub mode: RecoveryMode,
    /// True when the log did not exist before.
    pub created: bool,
    /// True when the writer before had closed the log.
    pub clean: bool,
    /// Epoch of the new writer, +1 at each start.
    pub writer_epoch: u64,
    /// Segments found.
    pub segments: u64,
    /// Oldest sequence kept; equals `next_seq` when the log is empty.
    pub first_seq: u64,
    /// Sequence of the next record.
    pub next_seq: u64,
    /// Highest sequence known to have been synced before this start.
    pub durable_seq: u64,
    /// Sequences that were set aside and are spent by a JOURNAL_HOLE, both ends inclusive.
    pub hole: Option<(u64, u64)>,
    /// What was changed.
    pub actions: Vec<Action>,
    /// Damage found: what was repaired, or all that made opening refuse.
    pub problems: Vec<Problem>,
}

impl RecoveryReport {
    /// The form of the report file, of a start that is over.
    #[must_use]
    pub fn to_json(&self, refused: bool) -> Value {
        let actions: Vec<Value> = self.actions.iter().map(action_json).collect();
        let problems: Vec<Value> = self
            .problems
            .iter()
            .map(|problem| {
                let done = action_for(&self.actions, problem);
                let what = match done {
                    Some(action) => action.action,
                    None if refused => "refused",
                    None => "noted",
                };
                json!({
                    "file": problem.file,
                    "offset": problem.offset,
                    "class": problem.class.name(),
                    "from": problem.from,
                    "to": problem.to,
                    "bytes": done.map_or(0, |action| action.bytes),
                    "action": what,
                    "detail": problem.detail,
                })
            })
            .collect();
        json!({
            "time_ns": clock_ns(ClockId::Realtime),
            "mode": self.mode.name(),
            "clean": self.clean,
            "refused": refused,
            "finished": true,
            "writer_epoch": self.writer_epoch,
            "next_seq": self.next_seq,
            "durable_seq": self.durable_seq,
            "hole": self.hole.map(|(from, to)| json!({"from": from, "to": to})),
            "actions": actions,
            "problems": problems,
            "acknowledged": false,
        })
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return write!(
                f,
                "whole, {} segments, next sequence {}",
                self.segments, self.next_seq
            );
        }
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

fn action_json(action: &Action) -> Value {
    json!({
        "file": action.file,
        "offset": action.offset,
        "bytes": action.bytes,
        "action": action.action,
        "class": action.class.map(Class::name),
        "from": action.from,
        "to": action.to,
    })
}

/// What was done about a problem: at its place, else with its file.
fn action_for<'a>(actions: &'a [Action], problem: &Problem) -> Option<&'a Action> {
    let of_file = |action: &&Action| action.file == problem.file && action.class.is_some();
    let at_place = |action: &&Action| of_file(action) && action.offset == problem.offset;
    let exact = actions.iter().find(at_place);
    exact.or_else(|| actions.iter().find(of_file))
}
