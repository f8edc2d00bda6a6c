//! Wiring of `tickdeck-journal`: `verify`, `cat`, `info` and `gaps` look into a journal directory,
//! `replay` sends a journal or a capture to a multicast group, `serve` answers ranges of a journal
//! over TCP, `repair` and `prune` change one that nobody writes, `torture` proves that a crash loses nothing that was reported durable.
//!
//! Answers go to standard output, as text or JSON; everything else to standard error. All commands
//! stream: memory does not grow with the journal, only that of `gaps` with its gaps.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use tickdeck_journal::JournalError;

use self::cat::CatArgs;
use self::gaps::GapsArgs;
use self::prune::PruneArgs;
use self::repair::RepairArgs;
use self::replay::ReplayArgs;
use self::serve::ServeArgs;
use self::torture::{TortureArgs, WriterArgs};
use crate::exit::{self, Code, Failure};
use crate::export::ExportArgs;
use crate::logging;
use crate::subscribe::{self, SubscribeArgs};

mod cat;
mod copied;
mod gaps;
mod history;
mod info;
mod progress;
mod prune;
mod repair;
mod replay;
mod serve;
mod torture;
mod verify;

pub(crate) use self::cat::record_line;

const EXIT_CODES: &str = "\
Exit codes: 0 done, and nothing is wrong · 1 failed, damaged, or something is left to do · 2 wrong
arguments · 3 a replay was stopped · 69 an interface, address or tool is absent · 76 a file is damaged or
foreign · 77 a right is missing · 78 a wrong directory, file or setting · 125 somebody else writes it";

/// Looks into a journal of market data and replays it.
#[derive(Debug, Parser)]
#[command(name = "tickdeck-journal", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every byte, also of a copy made by `subscribe --into`; the exit code is 0 only for a
    /// whole one.
    Verify(VerifyArgs),
    /// Print the records, also those of a copy made by `subscribe --into`.
    Cat(CatArgs),
    /// Print the gap ledger: what became of every missing range, and who brought it.
    Gaps(GapsArgs),
    /// Print the segments and where the journal stands.
    Info(InfoArgs),
    /// Tell what a repair would do, and do it with `--apply`.
    Repair(RepairArgs),
    /// Tell which old segments may go, and let them go with `--apply`.
    Prune(PruneArgs),
    /// Send a journal or a capture to a multicast group; exit code 0 at the end, 3 when stopped.
    Replay(ReplayArgs),
    /// Take a journal over the export protocol, keep it and acknowledge it, until stopped.
    Subscribe(Box<SubscribeArgs>),
    /// Answer ranges over TCP to another tickdeck until stopped.
    Serve(ServeArgs),
    /// Send a journal to its subscribers, as the daemon starts it.
    Export(ExportArgs),
    /// Kill writers of scratch journals and count what is lost; exit code 0 only for nothing.
    Torture(TortureArgs),
    /// The writer that `torture` kills.
    #[command(hide = true)]
    TortureWriter(WriterArgs),
}

/// Arguments of `info`, which reads little and is done at once.
#[derive(Args, Clone, Debug)]
struct InfoArgs {
    /// The journal directory.
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `verify`.
#[derive(Args, Clone, Debug)]
struct VerifyArgs {
    /// The journal directory, or a subscriber's copy.
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show progress on standard error even when it is no terminal, about once a second.
    #[arg(long)]
    progress: bool,
}

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start();
    exit::finish(match cli.command {
        Command::Verify(args) => verify::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Gaps(args) => gaps::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Subscribe(args) => subscribe::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Export(args) => crate::export::run(&args),
        Command::Torture(args) => torture::run(&args),
        Command::TortureWriter(args) => torture::run_writer(&args),
    })
}

/// A journal that cannot be read, as an exit code, with what to do where that is known.
fn journal_failure(error: &JournalError) -> Failure {
    let (code, hint) = match error {
        JournalError::NotAJournal { dir } if !dir.exists() => {
            (Code::Config, "; there is no such directory")
        }
        JournalError::NotAJournal { dir } if copied::is_copy(dir) => (
            Code::Config,
            "; it is a subscriber's copy, which `verify` and `cat` read",
        ),
        JournalError::NotAJournal { .. } => (
            Code::Config,
            "; `tickdeck journal show EXCHANGE` names the directory of a journal",
        ),
        JournalError::Pruned { .. } | JournalError::BadSetting { .. } => (Code::Config, ""),
        JournalError::Locked { .. } => (Code::Locked, ""),
        JournalError::Damaged(_) => (Code::Layout, ""),
        JournalError::Io { source, .. } => match source.kind() {
            io::ErrorKind::PermissionDenied => (
                Code::Permission,
                "; run this as the user whose journal it is, or as root",
            ),
            io::ErrorKind::NotADirectory => (Code::Config, "; a journal is a directory, name that"),
            _ => (Code::Failed, ""),
        },
        _ => (Code::Failed, ""),
    };
    Failure::new(code, format!("{}{hint}", chain(error)))
}

/// Names in a directory; none where there is no such directory.
fn names_in(dir: &Path) -> Result<Vec<OsString>, JournalError> {
    let failed = |source| JournalError::Io {
        context: "cannot list",
        path: dir.to_owned(),
        source,
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    entries
        .map(|entry| Ok(entry.map_err(failed)?.file_name()))
        .collect()
}

/// Refuses a range that nothing can be in.
fn check_range(from: Option<u64>, to: Option<u64>) -> Result<(), Failure> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            let text = format!("--from {from} is above --to {to}: nothing can be in between");
            Err(Failure::new(Code::Config, text))
        }
        _ => Ok(()),
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Standard output. A reader that has seen enough, such as `head`, ends the command in order.
struct Output<W: Write> {
    out: W,
}

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Listening,
    Gone,
}

impl<W: Write> Output<W> {
    fn line(&mut self, line: &str) -> Result<Audience, Failure> {
        audience(writeln!(self.out, "{line}"))
    }

    fn finish(&mut self) -> Result<Audience, Failure> {
        audience(self.out.flush())
    }
}

fn audience(result: io::Result<()>) -> Result<Audience, Failure> {
    match result {
        Ok(()) => Ok(Audience::Listening),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Audience::Gone),
        Err(error) => Err(Failure::failed(format!("standard output: {error}"))),
    }
}

/// Prints one answer, as JSON or as lines of text.
pub(crate) fn answer(json: bool, value: &Value, text: &str) -> Result<(), Failure> {
    let mut output = Output {
        out: io::stdout().lock(),
    };
    if json {
        output.line(&value.to_string())?;
    } else {
        output.line(text.trim_end())?;
    }
    output.finish().map(|_| ())
}
