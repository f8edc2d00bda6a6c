//! `tickdeck-book offline`: books from an ITCH file, a capture or a journal, with checkpoints on the
//! way, at any point asked for, and compared with those of another input.
//!
//! Files and journals are read in pieces and checkpoints are printed as they come, so memory does
//! not grow with the length of the day; only a capture's messages are held, to put them in order.
//! One JSON object:
//!
//! ```json
//! {"checkpoints":[{"message":1000,"symbol":"ES","orders":995,"bids":[[p,q,n],…],"asks":[…],
//!                  "state_hash":"…","trust":"GOOD"},…],
//!  "final":{"messages":59607,"books":[{"symbol":"ES","orders":11217,…,"queue_sha256":"…",…}],
//!           "faults":{},"narrowed":0,"stream":null,"place":{…},"stopped":false}}
//! ```
//!
//! A checkpoint of `--at` also says what was wanted, where it really stands (message, sequence,
//! record, times), and sums the book up.
//!
//! | Module | Does |
//! |---|---|
//! | `input`, `mender` | journal, file or capture as records |
//! | `protocol` | what must be known of a protocol beside its books |
//! | `point` | points asked for, and where a record passes them |
//! | `start` | snapshots to begin with |
//! | `walk` | applies records and lets a visitor look |
//! | `checkpoints`, `diff`, `compare` | the three things that are printed |

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tickdeck_book::{BookView, BooksConfig, Symbol};

use super::venue::BookChannel;
use crate::exit::{Code, Failure};

mod checkpoints;
mod compare;
mod diff;
mod input;
mod mender;
mod point;
mod protocol;
mod start;
mod text;
mod walk;

use checkpoints::{Checkpoints, End};
use input::Input;
use point::{Point, Points, Wanted};
use protocol::Protocol;
use walk::walk;

/// Arguments of `offline`.
#[derive(Args, Clone, Debug)]
pub(crate) struct OfflineArgs {
    /// Format of the messages.
    #[arg(long, value_enum, default_value = "itch50")]
    protocol: Protocol,
    /// A BinaryFILE or a capture (pcap, pcapng), plain or gzip, or a journal directory.
    #[arg(long)]
    input: PathBuf,
    /// Of a capture, take the messages that were sent there; without it, to the first destination
    /// that gets MoldUDP64 messages.
    #[arg(long, value_name = "GROUP:PORT")]
    destination: Option<SocketAddr>,
    /// Of a capture of CME or EOBI packets, the lines of the channel; they are merged as
    /// `tickdeck-rx offline` does.
    #[arg(long, value_name = "A=GROUP:PORT,B=GROUP:PORT")]
    lines: Vec<String>,
    /// Print a checkpoint after every N-th message.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// Print checkpoints after these messages, counted from 1.
    #[arg(long, value_delimiter = ',')]
    messages: Vec<u64>,
    /// Print the state after the last message at or before each point: a venue sequence (of a file,
    /// a message number), HH:MM:SS[.frac] of the venue's day, or an RFC 3339 receive time.
    /// Reading ends with the last point when nothing else was asked for.
    #[arg(long, value_name = "SEQ|TIME", value_delimiter = ',')]
    at: Vec<Wanted>,
    /// Print the difference between the books at two points instead.
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1,
          conflicts_with_all = ["every", "messages", "at"])]
    diff: Vec<Wanted>,
    /// Find the first event in which the input differs from this one, and print the books around
    /// it. Exit code 0: equal, 1: different, 2: one could not be read.
    #[arg(long, value_name = "INPUT2",
          conflicts_with_all = ["every", "messages", "at", "diff", "snapshots"])]
    compare: Option<PathBuf>,
    /// Events between two checkpoints of a comparison.
    #[arg(long, default_value_t = compare::STRIDE, value_parser = clap::value_parser!(u64).range(1..))]
    stride: u64,
    /// Begin with the newest snapshot of this directory that lies before every point.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["every", "messages"])]
    snapshots: Option<PathBuf>,
    /// Levels per side in a checkpoint.
    #[arg(long, default_value_t = 10)]
    levels: usize,
    /// Only these instruments; all when none is given.
    #[arg(long)]
    symbol: Vec<String>,
    /// Print one JSON object instead of lines of text.
    #[arg(long)]
    json: bool,
}

impl OfflineArgs {
    fn wants(&self, book: BookView<'_>) -> bool {
        self.wants_symbol(book.symbol())
    }

    fn wants_symbol(&self, name: Symbol) -> bool {
        let wants = |symbol: &String| symbol.as_bytes() == name.as_bytes();
        self.symbol.is_empty() || self.symbol.iter().any(wants)
    }
}

/// Reads the input as far as needed, prints, and fails when the input was not whole.
pub(crate) fn run(args: &OfflineArgs) -> Result<Code, Failure> {
    if let Some(other) = &args.compare {
        return compare::run(args, other);
    }
    if !args.diff.is_empty() {
        return diff::run(args);
    }
    let (mut input, mut channel, points) = begin(args, &args.at)?;
    let mut printer = Checkpoints::new(args, points, io::stdout().lock());
    let walked = walk(&mut input, &mut channel, args.protocol, &mut printer);
    let stream = input.journal().map(|_| *channel.counters());
    let end = End {
        walked,
        stream,
        narrowed: input.narrowed(),
    };
    printer.finish(channel.books(), &end).map_err(on_stdout)?;
    if end.narrowed > 0 {
        tracing::warn!(
            messages = end.narrowed,
            "stock fields wider than eight bytes were cut"
        );
    }
    whole(&args.input, end.walked.problem.as_ref())
}

/// Opens the input where a walk to these points may begin.
fn begin(args: &OfflineArgs, wanted: &[Wanted]) -> Result<(Input, BookChannel, Points), Failure> {
    let mut input = Input::open(&args.input, args)?;
    check(args, &mut input, wanted)?;
    let on_journal = |error: &dyn std::fmt::Display| cannot_read(&args.input, error);
    let (mut session_from, mut restored) = (0, None);
    if let Some(journal) = input.journal()
        && !wanted.is_empty()
    {
        session_from = start::newest_session(journal).map_err(|error| on_journal(&error))?;
        if let Some(dir) = &args.snapshots {
            restored = start::restore(journal, dir, args.protocol, wanted, session_from)
                .map_err(|error| on_journal(&error))?;
        }
    }
    let channel = restored.unwrap_or_else(|| empty(args.protocol, &input));
    let points = Points::new(args.protocol, wanted, session_from);
    Ok((input, channel, points))
}

/// Empty books before the first record of an input.
fn empty(protocol: Protocol, input: &Input) -> BookChannel {
    let mut channel = protocol.venue().channel(BooksConfig::default());
    // A log of which the beginning was pruned: the books start without it, and say so.
    channel.skip_to(input.first_record());
    channel
}

/// Refuses points that the input cannot have.
fn check(args: &OfflineArgs, input: &mut Input, wanted: &[Wanted]) -> Result<(), Failure> {
    let is_journal = input.journal().is_some();
    let path = args.input.display();
    for Wanted { text, point } in wanted {
        let fault = match point {
            Point::Received(_) if !is_journal => {
                format!("{path} has no receive times; {text} can be looked for in a journal only")
            }
            Point::DayTime(_) if !args.protocol.has_day_time() => format!(
                "messages of this protocol carry no time of day; write {text} as an RFC 3339 time"
            ),
            _ => continue,
        };
        return Err(Failure::new(Code::Config, fault));
    }
    if args.snapshots.is_some() && (wanted.is_empty() || !is_journal) {
        let text = "--snapshots begins a journal nearer to the points of --at or --diff; \
                    here is no journal, or no point";
        return Err(Failure::new(Code::Config, text));
    }
    Ok(())
}

fn whole(path: &Path, problem: Option<&String>) -> Result<Code, Failure> {
    match problem {
        None => Ok(Code::Clean),
        Some(problem) => Err(Failure::failed(format!(
            "{}: {problem}; the books up to there were printed",
            path.display()
        ))),
    }
}

fn on_stdout(error: io::Error) -> Failure {
    Failure::failed(format!("standard output: {error}"))
}

fn cannot_read(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("cannot read {}: {error}", path.display()))
}
