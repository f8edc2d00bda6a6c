//! EIO from every n-th fdatasync: strace answers in place of the kernel.
//!
//! A writer may end with that error or go on; what it has reported durable is there either way.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::check::Trial;
use super::child::{Event, WriterProcess};
use super::life::{self, Fate};
use super::random::Random;
use super::setting::Setting;
use super::syscalls::strace;
use super::tally::Tally;
use crate::exit::Failure;

/// Lives through `cuts` lives in which syncs fail.
pub(super) fn run(
    setting: &Setting,
    home: &Path,
    lane: u64,
    cuts: u64,
    done: &AtomicU64,
) -> Result<Tally, Failure> {
    let home = life::home(home, lane);
    let trace = home.join("calls");
    life::run(
        setting,
        (&home, &home),
        lane,
        cuts,
        done,
        |trial, random, tally| live(&trace, trial, random, tally),
    )
}

fn live(
    trace: &Path,
    trial: &mut Trial,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<Fate, Failure> {
    // The first syncs belong to the opening, which may fail as well.
    let (first, step) = (1 + random.below(30), 2 + random.below(20));
    let inject = format!("inject=fdatasync:error=EIO:when={first}+{step}");
    let output = trace.to_string_lossy().into_owned();
    let strace = strace(&["-o", &output, "-e", "trace=fdatasync", "-e", &inject]);
    let records = 50 + random.below(400);
    let writer = WriterProcess::start(&trial.log, Some(records), &strace)?;
    let mut heard = Vec::new();
    let status = writer.end(&mut heard)?;
    trial.heard(&heard, &[], tally)?;
    let calls = fs::read_to_string(trace)
        .map_err(|error| Failure::failed(format!("cannot read {output}: {error}")))?;
    tally.injected += calls.matches("(INJECTED)").count() as u64;
    let is_expected = heard.iter().any(|event| match event {
        Event::Done => true,
        Event::Failed(text) => text.contains("os error 5"),
        _ => false,
    });
    if !is_expected {
        trial.refused(&super::child::reason(&heard, status), tally);
        return Ok(Fate::Ended);
    }
    trial.check(tally)?;
    Ok(Fate::Cut)
}
