//! The export of a journal to other hosts: the exporter, and what it shares of sockets, TLS and keys
//! with `tickdeck-journal subscribe`.

mod admission;
pub(crate) mod audit;
pub(crate) mod buckets;
mod caller;
pub(crate) mod channel;
mod check;
mod crew;
mod descriptors;
pub(crate) mod dial;
mod door;
mod feed;
mod guest;
pub(crate) mod keys;
pub(crate) mod listener;
mod marks;
mod metrics;
mod pins;
mod run;
mod script;
mod sight;
mod sockets;
mod subscriber;
pub(crate) mod tls;

use clap::Args;

use self::script::Script;
use crate::exit::{Code, Failure};
use crate::lifecycle::RunArgs;

/// Arguments of `export`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Only tell whether the keys and certificates of the spec can be used, as JSON; start nothing.
    #[arg(long)]
    check: bool,
    /// Print a JSON object when it serves (`ready`, where it listens or whom it dials) and one at its
    /// end (`ended`, the exit code, an error, what was sent); what fails before is told on standard
    /// error only.
    #[arg(long)]
    json: bool,
}

/// Runs until SIGTERM or the op `drain`; with `--check` only until it has looked.
pub(crate) fn run(args: &ExportArgs) -> Result<Code, Failure> {
    match args.check {
        true => check::run(&args.run.spec),
        false => run::run(&args.run, Script::new(args.json)),
    }
}

#[cfg(test)]
mod secure_tests;
