//! One healthy subscriber of a journal, without and with fifteen bad ones beside it: how long a
//! durable record takes to reach it, and what the writer of the journal notices.
//!
//! A run has a log, a writer at a steady rate in this process, a real exporter process on loopback
//! TCP with HMAC, and subscribers in this process, everything new. Within a round the two ways take
//! turns, the other one first in every second round, and ratios and differences are taken within the
//! round. The bad ones need processor time too, and it is that of the same machine.

mod bad;
mod healthy;
mod plant;
mod report;
mod run;
#[path = "../../worker/tests/common/spec.rs"]
mod spec;
#[path = "../../worker/tests/export/exporter_spec.rs"]
mod whole_spec;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::machine::Machine;
pub(crate) use report::print;
use run::{Case, Run};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Records a second.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..=500_000))]
    rate: u64,
    /// Measured time of a run.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Directory on the device to be measured; a temporary one if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The program `tickdeck-journal`; the one beside this program if not given.
    #[arg(long)]
    exporter: Option<PathBuf>,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no exporter to measure.
    #[error("{} is not there: build it with `cargo build --release -p tickdeck-worker`, or name one with --exporter", .0.display())]
    NoExporter(PathBuf),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] tickdeck_journal::JournalError),
    /// A stats file failed.
    #[error(transparent)]
    Stats(#[from] tickdeck_stats::StatsError),
    /// A file, process or socket failed.
    #[error("{what}: {source}")]
    Io {
        /// Doing what.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The exporter did not do what it is there for.
    #[error("exporter: {0}")]
    Exporter(String),
    /// What was to be measured did not happen: a time would mean nothing.
    #[error("{0}: the figures would be void")]
    WrongResult(String),
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// Measures and gives the report.
pub(crate) fn run(options: &Options, rounds: usize) -> Result<Value, Error> {
    let exporter = match &options.exporter {
        Some(path) => path.clone(),
        None => beside_us()?,
    };
    if !exporter.is_file() {
        return Err(Error::NoExporter(exporter));
    }
    let scratch = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.map_err(failed("make a scratch directory"))?;
    let machine = Machine::before();
    let case = Case {
        rate: options.rate,
        measured_ms: options.seconds * 1_000,
        exporter,
    };
    let mut report = by_turns(&case, scratch.path(), rounds)?;
    report["dir"] = json!(scratch.path());
    report["machine"] = machine.after();
    Ok(report)
}

/// Takes turns, one discarded round first.
fn by_turns(case: &Case, dir: &Path, rounds: usize) -> Result<Value, Error> {
    let (mut alone, mut beside): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mut first, mut second) = (None, None);
        for with_bad in [round % 2 == 1, round % 2 == 0] {
            let run = run::measure(case, dir, with_bad)?;
            *(if with_bad { &mut second } else { &mut first }) = Some(run);
        }
        if round > 0 {
            alone.extend(first);
            beside.extend(second);
        }
    }
    let mut report = report::of(&alone, &beside);
    report["rate"] = json!(case.rate);
    report["record_bytes"] = json!(run::PAYLOAD);
    report["measured_ms"] = json!(case.measured_ms);
    report["rounds"] = json!(rounds);
    report["bad_subscribers"] = json!(bad::ALL.len());
    Ok(report)
}

fn beside_us() -> Result<PathBuf, Error> {
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    Ok(us.with_file_name("tickdeck-journal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small run has every figure, everything arrived, and the bad ones were there and bad.
    #[test]
    fn both_ways_have_figures() {
        let us = std::env::current_exe().unwrap();
        let exporter = us.ancestors().nth(2).unwrap().join("tickdeck-journal");
        if !exporter.is_file() {
            println!("SKIPPED: {}", Error::NoExporter(exporter));
            return;
        }
        let case = Case {
            rate: 2_000,
            measured_ms: 300,
            exporter,
        };
        let dir = tempfile::tempdir().unwrap();
        let report = by_turns(&case, dir.path(), 1).unwrap();
        for way in ["alone", "beside"] {
            for figure in ["lag_us_p99", "append_lag_us_p99", "write_us_p99"] {
                let least = report[way][figure]["min"].as_f64();
                assert!(least > Some(0.0), "{way} {figure}: {report}");
            }
            assert!(
                report[way]["records"]["min"].as_f64() >= Some(300.0),
                "{report}"
            );
        }
        assert_eq!(report["alone"]["violations"]["max"], 0.0);
        assert!(
            report["beside"]["violations"]["min"].as_f64() >= Some(3.0),
            "{report}"
        );
        assert!(
            report["beside"]["subscribers"]["min"].as_f64() >= Some(5.0),
            "{report}"
        );
        assert!(report["verdict"]["lag_us_p99"]["is_met"].is_boolean());
    }

    /// Without the program there is no figure, and the error says what to do.
    #[test]
    fn a_missing_exporter_is_named() {
        let options = Options {
            rate: 1_000,
            seconds: 1,
            dir: None,
            exporter: Some(PathBuf::from("/nowhere/tickdeck-journal")),
        };
        let error = run(&options, 5).unwrap_err().to_string();
        assert!(
            error.starts_with("/nowhere/tickdeck-journal is not there: build it"),
            "{error}"
        );
    }
}
