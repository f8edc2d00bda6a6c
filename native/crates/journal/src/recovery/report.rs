//! What opening a log found and did, and the file that keeps it until somebody has seen it.
//!
//! `recovery-report.json` is written when something was repaired or refused. It stays until the
//! next such event; one that nobody has acknowledged by then goes to `quarantine/`.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::time::ClockId;
use serde_json::{Value, json};

use super::{RecoveryMode, aside};
use crate::directory::{QUARANTINE, sync_directory};
use crate::error::{Class, JournalError, Problem};
use crate::segment::clock_ns;

/// File name of the report inside the journal directory.
pub const REPORT_FILE: &str = "recovery-report.json";

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
    /// The form of the report file.
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
            "writer_epoch": self.writer_epoch,
            "next_seq": self.next_seq,
            "durable_seq": self.durable_seq,
            "hole": self.hole.map(|(from, to)| json!({"from": from, "to": to})),
            "actions": actions,
            "problems": problems,
            "acknowledged": false,
        })
    }

    /// Writes the report file, unless the same is already said there.
    pub(crate) fn store(&self, refused: bool) -> Result<(), JournalError> {
        let report = self.to_json(refused);
        let path = self.dir.join(REPORT_FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let before: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                if says_the_same(&before, &report) {
                    return Ok(());
                }
                if before["acknowledged"] != true {
                    keep_aside(&self.dir, &path, &before)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(JournalError::io("cannot read", &path, error)),
        }
        write_durably(&self.dir, &path, &report)
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

/// Problems of the newest recovery that nobody has acknowledged; 0 when there is no report.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn unacknowledged_problems(dir: impl AsRef<Path>) -> Result<u64, JournalError> {
    let path = dir.as_ref().join(REPORT_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(JournalError::io("cannot read", &path, error)),
    };
    // A report that cannot be read is itself something to look at.
    let report: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if report["acknowledged"] == true {
        return Ok(0);
    }
    Ok(report["problems"]
        .as_array()
        .map_or(1, |it| it.len() as u64))
}

/// Marks the newest recovery report as seen; false when there is none, or it was seen before.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn acknowledge_report(dir: impl AsRef<Path>) -> Result<bool, JournalError> {
    let dir = dir.as_ref();
    let path = dir.join(REPORT_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(JournalError::io("cannot read", &path, error)),
    };
    let mut report: Value = serde_json::from_slice(&bytes)
        .map_err(|error| JournalError::io("cannot understand", &path, error.into()))?;
    if report["acknowledged"] == true {
        return Ok(false);
    }
    report["acknowledged"] = true.into();
    write_durably(dir, &path, &report)?;
    Ok(true)
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

/// A refusal that is tried again each second is one event.
fn says_the_same(before: &Value, now: &Value) -> bool {
    now["refused"] == true
        && ["refused", "mode", "problems", "actions"]
            .iter()
            .all(|key| before[key] == now[key])
}

fn keep_aside(dir: &Path, path: &Path, before: &Value) -> Result<(), JournalError> {
    let quarantine = dir.join(QUARANTINE);
    fs::create_dir_all(&quarantine)
        .map_err(|error| JournalError::io("cannot create", &quarantine, error))?;
    let time_ns = before["time_ns"].as_u64().unwrap_or(0);
    let kept = aside::free_name(&quarantine, &format!("recovery-report.{time_ns}.json"));
    fs::rename(path, &kept).map_err(|error| JournalError::io("cannot rename", path, error))?;
    sync_directory(&quarantine)
}

fn write_durably(dir: &Path, path: &Path, report: &Value) -> Result<(), JournalError> {
    let temporary = dir.join(format!("{REPORT_FILE}.tmp"));
    let failed = |context| {
        let temporary = temporary.clone();
        move |error| JournalError::io(context, &temporary, error)
    };
    let mut file = File::create(&temporary).map_err(failed("cannot create"))?;
    writeln!(file, "{report:#}").map_err(failed("cannot write"))?;
    file.sync_data().map_err(failed("cannot sync"))?;
    fs::rename(&temporary, path).map_err(failed("cannot rename"))?;
    sync_directory(dir)
}
