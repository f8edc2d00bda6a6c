//! `tickdeck-book`: the order books of one channel.
//!
//! `run` follows a channel beside its receiver: snapshot → journal → ring, and answers on its
//! control socket. `offline` builds the same books from a file or a journal and prints them; both
//! drive the same [`tickdeck_book`] code. `verify` replays a journal against its checkpoints.
//!
//! | Module | Does |
//! |---|---|
//! | `offline` | the `offline` command: input, checkpoints, output |
//! | `verify` | the `verify` command |
//! | `run` | start and end of the live worker |
//! | `agent` | the one thread that applies records and answers between batches |
//! | `feed` | where records come from: journal, ring, or nowhere yet |
//! | `pulse` | whether the receiver lives |
//! | `checkpoints` | compares the checkpoints of the stream with the own books |
//! | `handover` | gives own checkpoints to the receiver |
//! | `patrol` | checks the books against their own rules |
//! | `snapshots` | the snapshot directory: choose, write, prune |
//! | `commands` | control ops and their answers |
//! | `metrics` | the stats file |
//! | `report`, `price_report` | books by order and by price as JSON |
//! | `venue` | the venues behind one type |

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit;
use crate::lifecycle::RunArgs;

mod agent;
mod answers;
mod checkpoints;
mod commands;
mod feed;
mod handover;
mod metrics;
mod offline;
mod patrol;
mod price_report;
mod pulse;
mod report;
mod run;
mod snapshots;
mod venue;
mod verify;

/// Order books of one channel.
#[derive(Parser)]
#[command(name = "tickdeck-book", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Follow a channel: snapshot, journal, then the receiver's ring.
    Run(RunArgs),
    /// Build books from an ITCH file or a journal directory and print them.
    Offline(Box<offline::OfflineArgs>),
    /// Replay a journal and compare the books with every checkpoint in it.
    Verify(verify::VerifyArgs),
}

/// Entry point of the binary.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    crate::logging::start();
    exit::finish(match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Offline(args) => offline::run(&args),
        Command::Verify(args) => verify::run(&args),
    })
}
