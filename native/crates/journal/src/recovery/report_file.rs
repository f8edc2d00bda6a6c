//! The file that keeps what opening a log found and did, until somebody has seen it.
//!
//! `recovery-report.json` is written when something is repaired or refused: first with what is going
//! to be done (`"finished": false`), before anything is changed, then with what was done. It stays
//! until the next such event; one that nobody has acknowledged by then goes to `quarantine/`, and
//! so does one that cannot be read. It keeps its name until the new one takes it.
//!
//! What an unfinished report names may have been done. The next start takes its actions and problems
//! over, marked `"interrupted": true`, next to its own; so does a refusal, for the start behind it.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::aside;
use super::report::RecoveryReport;
use crate::disk::{Disk, RealDisk};
use crate::error::JournalError;
use crate::failpoints::fp;

/// File name of the report inside the journal directory.
pub const REPORT_FILE: &str = "recovery-report.json";

/// How far the start has come that a report tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is changed yet; the actions are what will be done.
    Planned,
    Finished,
    Refused,
}

/// The report file during one start.
#[derive(Debug)]
pub(super) struct ReportFile<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    path: PathBuf,
    /// What the start before left; nothing once this one has stored its own.
    before: Before,
    carried: Carried,
}

/// What the start before left.
#[derive(Debug)]
enum Before {
    Nothing,
    Report(Value),
    /// Nobody knows what it says; it stops no start, and is handled as one that was not finished.
    Unreadable(String),
}

impl<'a> ReportFile<'a> {
    /// Reads what is there.
    pub(super) fn open(disk: &'a dyn Disk, dir: &'a Path) -> Self {
        let path = dir.join(REPORT_FILE);
        let before = match load(&path) {
            Ok(None) => Before::Nothing,
            Ok(Some(report)) if report.is_object() => Before::Report(report),
            Ok(Some(_)) => Before::Unreadable("no JSON object".into()),
            Err(error) => Before::Unreadable(error.to_string()),
        };
        let carried = match &before {
            Before::Nothing => Carried::default(),
            Before::Report(report) => Carried::of(report),
            Before::Unreadable(why) => Carried::of_unreadable(why),
        };
        Self {
            disk,
            dir,
            path,
            before,
            carried,
        }
    }

    /// An earlier start said what it was going to do, and not that it was done.
    pub(super) fn is_interrupted(&self) -> bool {
        match &self.before {
            Before::Nothing => false,
            Before::Report(report) => is_unfinished(report),
            Before::Unreadable(_) => true,
        }
    }

    /// Writes the file durably, unless it already says the same.
    pub(super) fn store(
        &mut self,
        report: &RecoveryReport,
        stage: Stage,
    ) -> Result<(), JournalError> {
        let mut value = report.to_json(stage == Stage::Refused);
        value["finished"] = (stage != Stage::Planned).into();
        self.carried.add_to(&mut value);
        if let Before::Report(before) = &self.before
            && says_the_same(before, &value)
        {
            return Ok(());
        }
        // The new one is durable first, so that at no time there is none.
        let temporary = prepare(self.disk, self.dir, &value)?;
        match &self.before {
            // All that an unfinished one says is in the new one.
            Before::Report(before) if before["acknowledged"] != true && !is_unfinished(before) => {
                let time_ns = before["time_ns"].as_u64().unwrap_or(0);
                self.keep_aside(&format!("recovery-report.{time_ns}.json"))?;
            }
            Before::Unreadable(_) => self.keep_aside("recovery-report.unreadable")?,
            Before::Nothing | Before::Report(_) => {}
        }
        put_in_place(self.disk, self.dir, &temporary, &self.path)?;
        self.before = Before::Nothing;
        Ok(())
    }

    /// Gives the file a second name in quarantine; what cannot have two goes there.
    fn keep_aside(&self, name: &str) -> Result<(), JournalError> {
        let quarantine = aside::make_quarantine(self.disk, self.dir)?;
        let kept = aside::free_name(&quarantine, name);
        let kept_there = match self.disk.link_new(&self.path, &kept) {
            Err(error) if has_no_links(&error) => self.disk.rename_new(&self.path, &kept),
            linked => linked,
        };
        kept_there.map_err(|error| JournalError::io("cannot set aside", &self.path, error))?;
        fp!("recovery.report.after_aside");
        self.disk
            .sync_dir(&quarantine)
            .map_err(|error| JournalError::io("cannot sync", &quarantine, error))
    }
}

/// Problems of the newest recovery that nobody has acknowledged, at least 1; 0 when there is no report.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn unacknowledged_problems(dir: impl AsRef<Path>) -> Result<u64, JournalError> {
    // A report that cannot be read is itself something to look at.
    Ok(match read(&dir.as_ref().join(REPORT_FILE))? {
        None => 0,
        Some(report) if report["acknowledged"] == true => 0,
        Some(report) => entries(&report, "problems").count().max(1) as u64,
    })
}

/// Marks the newest recovery report as seen; false when there is none, or it was seen before.
///
/// # Errors
///
/// [`JournalError::Io`] when the system refuses.
pub fn acknowledge_report(dir: impl AsRef<Path>) -> Result<bool, JournalError> {
    acknowledge_on(&RealDisk, dir.as_ref())
}

/// As [`acknowledge_report`], on a given disk.
pub(crate) fn acknowledge_on(disk: &dyn Disk, dir: &Path) -> Result<bool, JournalError> {
    let path = dir.join(REPORT_FILE);
    let Some(mut report) = read(&path)? else {
        return Ok(false);
    };
    if !report.is_object() {
        let error = io::Error::other("no JSON object");
        return Err(JournalError::io("cannot understand", &path, error));
    }
    if report["acknowledged"] == true {
        return Ok(false);
    }
    report["acknowledged"] = true.into();
    let temporary = prepare(disk, dir, &report)?;
    put_in_place(disk, dir, &temporary, &path)?;
    Ok(true)
}

/// What starts that were interrupted were going to do.
#[derive(Debug, Default)]
struct Carried {
    starts: u64,
    /// When the first of them was.
    since_ns: Value,
    actions: Vec<Value>,
    problems: Vec<Value>,
}

impl Carried {
    /// Of an unfinished report all of it; of a refusal what it had taken over itself.
    fn of(before: &Value) -> Self {
        let is_unfinished = is_unfinished(before);
        if !is_unfinished && before["refused"] != true {
            return Self::default();
        }
        let take = |key| {
            let taken = entries(before, key).filter(|it| is_unfinished || is_interrupted(it));
            taken.cloned().map(marked).collect()
        };
        let earlier = before["interrupted_starts"].as_u64().unwrap_or(0);
        Self {
            starts: earlier.saturating_add(is_unfinished.into()),
            since_ns: match before["interrupted_since_ns"].as_u64() {
                Some(since_ns) => since_ns.into(),
                None => before["time_ns"].clone(),
            },
            actions: take("actions"),
            problems: take("problems"),
        }
    }

    /// Of one that cannot be read only that.
    fn of_unreadable(why: &str) -> Self {
        let problem = json!({
            "file": REPORT_FILE,
            "offset": 0,
            "class": "unreadable",
            "from": null,
            "to": null,
            "bytes": 0,
            "action": "quarantined",
            "detail": format!("the report of an earlier start: {why}"),
        });
        Self {
            starts: 1,
            problems: vec![marked(problem)],
            ..Self::default()
        }
    }

    /// Puts behind the entries of a report those that it does not say itself.
    fn add_to(&self, report: &mut Value) {
        if self.starts == 0 {
            return;
        }
        report["interrupted_starts"] = self.starts.into();
        report["interrupted_since_ns"] = self.since_ns.clone();
        for (key, what, carried) in [
            ("actions", "action", &self.actions),
            ("problems", "class", &self.problems),
        ] {
            let Some(own) = report[key].as_array_mut() else {
                continue;
            };
            let said = own.len();
            for entry in carried {
                if !own[..said].iter().any(|it| covers(it, entry, what)) {
                    own.push(entry.clone());
                }
            }
        }
    }
}

/// Whether an entry says all that an earlier one says.
fn covers(entry: &Value, earlier: &Value, what: &str) -> bool {
    let bytes = |it: &Value| it["bytes"].as_u64().unwrap_or(0);
    ["file", "offset", "from", "to", what]
        .iter()
        .all(|key| entry[key] == earlier[key])
        && bytes(entry) >= bytes(earlier)
}

fn is_unfinished(report: &Value) -> bool {
    report["finished"] == false
}

fn is_interrupted(entry: &Value) -> bool {
    entry["interrupted"] == true
}

fn marked(mut entry: Value) -> Value {
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("interrupted".into(), true.into());
    }
    entry
}

fn entries<'a>(report: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    report[key].as_array().into_iter().flatten()
}

/// A refusal that is tried again each second is one event.
fn says_the_same(before: &Value, now: &Value) -> bool {
    now["refused"] == true
        && ["refused", "mode", "problems", "actions"]
            .iter()
            .all(|key| before[key] == now[key])
}

/// A directory, or a file system on which a file has one name.
fn has_no_links(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported)
}

/// The report; one that is no JSON is null.
fn load(path: &Path) -> io::Result<Option<Value>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Value::Null))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> Result<Option<Value>, JournalError> {
    load(path).map_err(|error| JournalError::io("cannot read", path, error))
}

/// Writes a report durably beside its place.
fn prepare(disk: &dyn Disk, dir: &Path, report: &Value) -> Result<PathBuf, JournalError> {
    let temporary = dir.join(format!("{REPORT_FILE}.tmp"));
    let failed = |context| {
        let temporary = temporary.clone();
        move |error| JournalError::io(context, &temporary, error)
    };
    if temporary.symlink_metadata().is_ok() {
        disk.remove(&temporary).map_err(failed("cannot remove"))?;
    }
    let text = format!("{report:#}\n");
    let file = disk
        .create_new(&temporary)
        .map_err(failed("cannot create"))?;
    file.write_all_at(text.as_bytes(), 0)
        .map_err(failed("cannot write"))?;
    file.sync_data().map_err(failed("cannot sync"))?;
    fp!("recovery.report.after_write");
    Ok(temporary)
}

fn put_in_place(
    disk: &dyn Disk,
    dir: &Path,
    temporary: &Path,
    path: &Path,
) -> Result<(), JournalError> {
    let failed = |context| move |error| JournalError::io(context, path, error);
    disk.replace(temporary, path)
        .map_err(failed("cannot put the new one in the place of"))?;
    fp!("recovery.report.after_rename");
    disk.sync_dir(dir)
        .map_err(failed("cannot sync the directory of"))?;
    fp!("recovery.report.after_dir_sync");
    Ok(())
}
