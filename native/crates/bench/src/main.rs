//! `tickdeck-bench`: every performance claim, paired with its baseline in the same run.
#![forbid(unsafe_code)]

mod anchors;
mod book;
mod day;
mod decode;
mod export;
mod journal;
mod machine;
mod memory;
mod merge;
mod print;
mod rounds;
mod rx;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::Value;

/// Measures one engine beside a bare loop over the same input.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
    /// Counted rounds, after one discarded warm-up; at least five.
    #[arg(long, global = true, default_value_t = 9, value_parser = clap::value_parser!(u64).range(5..))]
    rounds: u64,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Subject {
    /// The A/B merge, per packet received.
    Arbiter {
        /// Packets on each line.
        #[arg(long, default_value_t = 200_000)]
        packets: u64,
        /// How the lines behave; each way by turns, if not given.
        #[arg(long, value_enum)]
        lines: Option<merge::Lines>,
    },
    /// Decoding and the L3 book, per message of an ITCH 5.0 file.
    Book {
        /// BinaryFILE, plain or gzip.
        #[arg(long)]
        input: PathBuf,
    },
    /// Decoding alone, per message of an ITCH 5.0 file.
    Decode {
        /// BinaryFILE, plain or gzip.
        #[arg(long)]
        input: PathBuf,
    },
    /// A healthy subscriber of the exporter, without and with bad ones beside it.
    Export(export::Options),
    /// The journal, per record, beside the same writes without it.
    Journal(journal::Options),
    /// The receive paths, per packet, on a veth pair; needs root.
    Rx(rx::Options),
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The input cannot be read.
    #[error("input {}: {source}", path.display())]
    Input {
        /// As given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The input ends inside a message.
    #[error(transparent)]
    Truncated(#[from] tickdeck_wire::binaryfile::Truncated),
    /// The results differ.
    #[error(transparent)]
    WrongResult(#[from] rounds::WrongResult),
    /// No figure of the exporter.
    #[error("export: {0}")]
    Export(#[from] export::Error),
    /// No figure of the journal.
    #[error("journal: {0}")]
    Journal(#[from] journal::Error),
    /// No figure of a receive path.
    #[error("rx: {0}")]
    Rx(#[from] rx::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(report) if arguments.json => println!("{report}"),
        Ok(report) => match arguments.subject {
            Subject::Rx(_) => rx::print(&report),
            Subject::Export(_) => export::print(&report),
            Subject::Journal(_) => journal::print(&report),
            Subject::Arbiter { lines: None, .. } => {
                for (name, part) in report.as_object().into_iter().flatten() {
                    print!("{name}: ");
                    print::results(part);
                }
            }
            _ => print::results(&report),
        },
        // `make bench` goes on without; who reads JSON must not take nothing for a figure.
        Err(Error::Rx(error)) if error.is_unavailable() && !arguments.json => {
            println!("SKIPPED: rx: {error}");
        }
        Err(error) => {
            eprintln!("tickdeck-bench: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) -> Result<Value, Error> {
    let rounds = arguments.rounds as usize;
    match &arguments.subject {
        Subject::Arbiter { packets, lines } => Ok(merge::run(*packets, rounds, *lines)?),
        Subject::Book { input } => book::run(input, rounds),
        Subject::Decode { input } => decode::run(input, rounds),
        Subject::Export(options) => Ok(export::run(options, rounds)?),
        Subject::Journal(options) => Ok(journal::run(options, rounds)?),
        Subject::Rx(options) => Ok(rx::run(options, rounds)?),
    }
}
