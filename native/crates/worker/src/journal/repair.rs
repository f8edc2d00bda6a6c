//! `tickdeck-journal repair`: what a damaged journal can be made into, and making it.
//!
//! Nothing is changed without `--apply`. `--mode` is what a writer of that mode would do when it opens
//! the journal; `--into` salvages into a new directory and leaves the old one alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tickdeck_journal::{Action, RecoveryMode, Repair, Salvaged, repair, salvage};

use super::progress::ProgressLine;
use super::{answer, journal_failure};
use crate::exit::{Code, Failure};

/// Arguments of `repair`.
#[derive(Args, Clone, Debug)]
pub(super) struct RepairArgs {
    /// The journal directory.
    dir: PathBuf,
    /// `tail` cuts an unfinished write at the end; `point-in-time` keeps what lies before the first
    /// bad block and sets the rest aside in `quarantine/`.
    #[arg(long, value_enum, default_value = "tail", conflicts_with = "into")]
    mode: Mode,
    /// Copy all that can be read into a new journal here, with holes where nothing can. It is another
    /// log: a subscriber with a copy of the old one is refused (WRONG_LOG) and keeps it until you
    /// decide; snapshots of books and pins of the old one do not count. What lies here after a stop is
    /// unfinished: remove it.
    #[arg(long)]
    into: Option<PathBuf>,
    /// Make the changes; without it they are only told.
    #[arg(long)]
    apply: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show progress on standard error even when it is no terminal, about once a second. What is
    /// changed is looked at again before, each look from 0 on.
    #[arg(long)]
    progress: bool,
}

/// Modes that change something.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Tail,
    #[value(alias = "point_in_time")]
    PointInTime,
}

/// Plans or repairs; the code is clean when nothing is left to do.
pub(super) fn run(args: &RepairArgs) -> Result<Code, Failure> {
    if let Some(into) = &args.into {
        return run_salvage(args, into);
    }
    let mode = match args.mode {
        Mode::Tail => RecoveryMode::Tail,
        Mode::PointInTime => RecoveryMode::PointInTime,
    };
    let mut display = ProgressLine::new(args.progress);
    let result = repair(&args.dir, mode, args.apply, &mut |at| {
        let again = match at.look {
            1 => String::new(),
            look => format!(", look {look}"),
        };
        display.segments(&at.progress, &again);
    });
    display.clear()?;
    let done = result.map_err(|error| journal_failure(&error))?;
    answer(args.json, &repair_json(&done), &repair_text(&done))?;
    let is_whole = done.report.problems.is_empty() || done.applied;
    Ok(if is_whole { Code::Clean } else { Code::Failed })
}

fn run_salvage(args: &RepairArgs, into: &Path) -> Result<Code, Failure> {
    check_target(&args.dir, into)?;
    let mut display = ProgressLine::new(args.progress);
    let target = args.apply.then_some(into);
    let result = salvage(&args.dir, target, &mut |done, total| {
        display.show(done, total, "bytes");
    });
    display.clear()?;
    let found = result.map_err(|error| journal_failure(&error))?;
    answer(
        args.json,
        &salvage_json(&found, target),
        &salvage_text(&found, target),
    )?;
    Ok(if args.apply || found.lost.is_empty() {
        Code::Clean
    } else {
        Code::Failed
    })
}

/// Refuses a target that could not be taken, also when it is only told what would be done.
fn check_target(dir: &Path, into: &Path) -> Result<(), Failure> {
    let refused = |what: &str| {
        let text = format!("--into {}: {what}; name a new directory", into.display());
        Err(Failure::new(Code::Config, text))
    };
    match fs::read_dir(into).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return refused("it is not empty"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let place = into.display();
            let text = format!("--into {place}: {error}; name a directory that you may write");
            return Err(Failure::new(Code::Permission, text));
        }
        Err(error) => return refused(&error.to_string()),
        Ok(false) => {}
    }
    let failed = |error: io::Error| Failure::failed(format!("--into {}: {error}", into.display()));
    let absolute = std::path::absolute(into).map_err(failed)?;
    let existing = absolute.ancestors().find(|path| path.exists());
    let place = existing
        .unwrap_or(&absolute)
        .canonicalize()
        .map_err(failed)?;
    match dir.canonicalize() {
        Ok(dir) if place.starts_with(&dir) => {
            refused("it lies in the journal, which stays as it is")
        }
        // That there is no journal is told by whoever reads it.
        _ => Ok(()),
    }
}

fn repair_json(done: &Repair) -> Value {
    let mut value = done.report.to_json(done.refused);
    value["applied"] = done.applied.into();
    value
}

fn repair_text(done: &Repair) -> String {
    let mut text = String::new();
    for problem in &done.report.problems {
        writeln!(text, "{problem}").expect("a string takes all");
    }
    for action in &done.report.actions {
        writeln!(text, "{}", action_text(action)).expect("a string takes all");
    }
    let verdict = match (done.refused, done.applied, done.report.problems.is_empty()) {
        (true, ..) => {
            "refused: this is more than a torn tail; try --mode point-in-time, or --into a new directory"
        }
        (_, true, _) => "done",
        (_, _, true) if done.report.mode == RecoveryMode::Tail => {
            "whole at its end, no repair is needed to write it; what lies before was not read: verify does"
        }
        (_, _, true) => "whole: nothing needs a repair",
        _ => "nothing was changed; --apply does it",
    };
    text.push_str(verdict);
    text
}

fn action_text(action: &Action) -> String {
    let mut text = format!(
        "{} {}+{}, {} bytes",
        action.action, action.file, action.offset, action.bytes
    );
    match (action.from, action.to) {
        (Some(from), Some(to)) => write!(text, ", sequences {from}-{to}"),
        (Some(from), None) => write!(text, ", from sequence {from}"),
        _ => Ok(()),
    }
    .expect("a string takes all");
    if let Some(class) = action.class {
        write!(text, ": {}", class.name()).expect("a string takes all");
    }
    text
}

fn salvage_json(found: &Salvaged, into: Option<&Path>) -> Value {
    let lost: Vec<Value> = found
        .lost
        .iter()
        .map(|range| {
            json!({"from": range.from, "to": range.to, "file": range.file, "offset": range.offset})
        })
        .collect();
    json!({
        "into": into,
        "files": found.files,
        "left_out": found.left_out,
        "records": found.records,
        "first_seq": found.first_seq,
        "last_seq": found.last_seq,
        "lost": lost,
    })
}

fn salvage_text(found: &Salvaged, into: Option<&Path>) -> String {
    let mut text = String::new();
    for range in &found.lost {
        let (from, to, file, offset) = (range.from, range.to, &range.file, range.offset);
        writeln!(text, "lost {from}-{to} behind {file}+{offset}").expect("a string takes all");
    }
    for file in &found.left_out {
        writeln!(text, "left out {file}: it is not of this log").expect("a string takes all");
    }
    let Salvaged {
        records,
        first_seq,
        last_seq,
        files,
        ..
    } = found;
    let where_to = match into {
        Some(into) => format!("written to {}", into.display()),
        None => "nothing was written; --apply does it".to_owned(),
    };
    write!(
        text,
        "{records} records of {files} files, sequences {first_seq} to {last_seq}; {where_to}"
    )
    .expect("a string takes all");
    text
}
