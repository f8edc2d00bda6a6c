//! `tickdeck-journal torture`: kills writers and cuts power, and counts what was lost.
//!
//! A child process appends records that follow from a seed, and tells through a pipe what its
//! journal calls durable. It is ended at a random moment; the parent, which wrote down what it had
//! been told to a file of its own, opens the journal and looks for every one of those records.
//!
//! | Kind | What ends the writer | What must be there |
//! |---|---|---|
//! | `kill` | SIGKILL | what was durable, and in fact what was written |
//! | `syscalls` | SIGKILL at the n-th call of each system call that changes a file (strace) | the same |
//! | `errors` | its own end; every n-th fdatasync fails with EIO (strace) | what was durable |
//! | `power` | shutdown of a loop-mounted file system without a flush (root, xfsprogs) | what was durable |
//!
//! A power cut of this kind drops or keeps whole pages of what was not synced; torn sectors are the
//! business of the simulated disk in the tests of the journal.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::child::Claim;
use self::setting::Setting;
use self::tally::Tally;
use self::volume::FileSystem;
use super::answer;
use crate::exit::{Code, Failure};

mod check;
mod child;
mod content;
mod errors;
mod kill;
mod life;
mod power;
mod random;
mod setting;
mod syscalls;
mod tally;
mod volume;
mod writer;

pub(super) use self::writer::{WriterArgs, run as run_writer};

/// Arguments of `torture`.
#[derive(Args, Clone, Debug)]
pub(super) struct TortureArgs {
    /// How often the writer is ended, for each kind and file system.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    cuts: u64,
    /// Fixes content, order of operations and delays; not the moment a signal arrives.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What ends the writer.
    #[arg(long, value_enum, default_value_t = Kind::Kill)]
    kind: Kind,
    /// Sync policy; by default each log takes another one.
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// Codec of the blocks; by default each log takes another one.
    #[arg(long, value_enum)]
    codec: Option<Codec>,
    /// File system that loses its power; by default one after the other.
    #[arg(long, value_enum)]
    fs: Option<FileSystem>,
    /// Where the logs lie, for kills on a real disk; a new folder below it is used, and removed
    /// when nothing was lost. By default the folder for temporary files, of power cuts /dev/shm.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The writer lives up to so long after it has opened its journal.
    #[arg(long, default_value_t = 50)]
    within_ms: u64,
    /// Writers at a time, each with a log of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    lanes: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// What the writer reports as safe; anything but `durable` is for the test of this test.
    #[arg(long, value_enum, default_value_t = Claim::Durable, hide = true)]
    claim: Claim,
    #[arg(long, hide = true)]
    in_namespace: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// SIGKILL at random moments.
    Kill,
    /// SIGKILL at each system call that changes a file, or at so many of them; needs strace.
    Syscalls,
    /// EIO from every n-th fdatasync; needs strace.
    Errors,
    /// Shutdown of a loop-mounted file system; needs root and xfsprogs.
    Power,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Syscalls => "syscalls",
            Self::Errors => "errors",
            Self::Power => "power",
        }
    }
}

/// Sync policies by their configured names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Policy {
    Os,
    Interval,
    Batch,
    Always,
}

/// Codecs by their configured names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Codec {
    None,
    Lz4,
    Zstd,
}

/// Runs the cuts and prints the result; the code is clean only when nothing was lost.
pub(super) fn run(args: &TortureArgs) -> Result<Code, Failure> {
    if args.kind == Kind::Power && !args.in_namespace {
        return Err(volume::enter_namespace());
    }
    let home = home(args)?;
    let setting = Setting {
        seed: args.seed,
        policy: args.policy,
        codec: args.codec,
        claim: args.claim,
        within: Duration::from_millis(args.within_ms),
    };
    let mut tally = Tally::default();
    match args.kind {
        Kind::Kill => tally.add(spread(args, args.cuts, |lane, cuts, done| {
            kill::run(&setting, home.path(), lane, cuts, done)
        })?),
        Kind::Syscalls => {
            syscalls::require()?;
            let points = syscalls::points(&setting, home.path(), args.cuts)?;
            tally.add(spread(args, points.len() as u64, |lane, _, done| {
                let lanes = usize::try_from(args.lanes).unwrap_or(usize::MAX);
                let first = usize::try_from(lane).unwrap_or(usize::MAX);
                let points: Vec<_> = points.iter().skip(first).step_by(lanes).collect();
                syscalls::run(&setting, home.path(), lane, &points, done)
            })?);
        }
        Kind::Errors => {
            syscalls::require()?;
            tally.add(spread(args, args.cuts, |lane, cuts, done| {
                errors::run(&setting, home.path(), lane, cuts, done)
            })?);
        }
        Kind::Power => {
            for fs in file_systems(args) {
                tally.add(spread(args, args.cuts, |lane, cuts, done| {
                    power::run(&setting, fs, home.path(), lane, cuts, done)
                })?);
            }
        }
    }
    if !tally.is_clean() {
        eprintln!("the logs are kept in {}", home.keep().display());
    }
    let value = to_json(args, &tally);
    answer(args.json, &value, &to_text(args, &tally))?;
    Ok(if tally.is_clean() {
        Code::Clean
    } else {
        Code::Failed
    })
}

/// The folder for logs, images and oracles.
fn home(args: &TortureArgs) -> Result<TempDir, Failure> {
    let memory = Path::new("/dev/shm");
    let parent = match &args.dir {
        Some(dir) => dir.clone(),
        None if args.kind == Kind::Power && memory.is_dir() => memory.to_owned(),
        None => std::env::temp_dir(),
    };
    TempDir::with_prefix_in("tickdeck-torture-", &parent).map_err(|error| {
        Failure::new(
            Code::Config,
            format!("cannot make a folder in {}: {error}", parent.display()),
        )
    })
}

fn file_systems(args: &TortureArgs) -> Vec<FileSystem> {
    match args.fs {
        Some(fs) => vec![fs],
        None => vec![FileSystem::Ext4, FileSystem::Xfs],
    }
}

/// Divides the cuts among lanes, shows progress, adds up what they found.
fn spread(
    args: &TortureArgs,
    cuts: u64,
    lane: impl Fn(u64, u64, &AtomicU64) -> Result<Tally, Failure> + Sync,
) -> Result<Tally, Failure> {
    let (done, lanes) = (AtomicU64::new(0), args.lanes.min(cuts.max(1)));
    let share = |index: u64| cuts / lanes + u64::from(index < cuts % lanes);
    let found: Vec<Result<Tally, Failure>> = thread::scope(|scope| {
        let running: Vec<_> = (0..lanes)
            .map(|index| {
                let (lane, done) = (&lane, &done);
                scope.spawn(move || lane(index, share(index), done))
            })
            .collect();
        while running.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(200));
            progress(args, done.load(Ordering::Relaxed), cuts);
        }
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut total = Tally::default();
    for tally in found {
        total.add(tally?);
    }
    Ok(total)
}

/// One line that is rewritten; nothing when standard error is no terminal.
fn progress(args: &TortureArgs, done: u64, cuts: u64) {
    use std::io::IsTerminal as _;
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let line = format!("\r{}: {done} of {cuts} ", args.kind.name());
        // A courtesy: a terminal that refuses it must not end the run.
        drop(stderr.write_all(line.as_bytes()));
    }
}

fn to_json(args: &TortureArgs, tally: &Tally) -> Value {
    let mut value = tally.to_json();
    value["kind"] = json!(args.kind.name());
    value["seed"] = json!(args.seed);
    if args.kind == Kind::Power {
        value["fs"] = file_systems(args)
            .into_iter()
            .map(FileSystem::name)
            .collect();
    }
    value["policy"] = json!(args.policy.map_or("mixed", Policy::name));
    value["codec"] = json!(args.codec.map_or("mixed", Codec::name));
    value
}

fn to_text(args: &TortureArgs, tally: &Tally) -> String {
    format!("{}, seed {}: {tally}", args.kind.name(), args.seed)
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Interval => "interval",
            Self::Batch => "batch",
            Self::Always => "always",
        }
    }
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}
