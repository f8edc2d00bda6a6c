//! `tickdeck-book offline`: books from an ITCH file, a capture or a journal, with checkpoints on the
//! way.
//!
//! Files and journals are read in pieces and checkpoints are printed as they come, so memory does
//! not grow with the length of the day; only a capture's messages are held, to put them in order.
//! One JSON object:
//!
//! ```json
//! {"checkpoints":[{"message":1000,"symbol":"ES","orders":995,"bids":[[p,q,n],…],"asks":[…],
//!                  "state_hash":"…","trust":"GOOD"},…],
//!  "final":{"messages":59607,"books":[{"symbol":"ES","orders":11217,…,"queue_sha256":"…",…}],
//!           "faults":{},"narrowed":0,"stream":null}}
//! ```

use std::collections::BTreeSet;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use tickdeck_book::{BookView, Books, BooksConfig, StreamCounters};

use super::report::{self, BookSummary, Depth};
use crate::capture::is_capture;
use crate::exit::{Code, Failure};

mod input;

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
    /// Print a checkpoint after every N-th message.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// Print checkpoints after these messages, counted from 1.
    #[arg(long, value_delimiter = ',')]
    messages: Vec<u64>,
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

/// Formats that books can be built from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// TotalView-ITCH 5.0.
    Itch50,
}

impl OfflineArgs {
    fn wants(&self, book: BookView<'_>) -> bool {
        let wants = |symbol: &String| symbol.as_bytes() == book.symbol().as_bytes();
        self.symbol.is_empty() || self.symbol.iter().any(wants)
    }

    fn refuse_destination(&self) -> Result<(), Failure> {
        if self.destination.is_none() {
            return Ok(());
        }
        let text = format!(
            "--destination chooses from a capture; {} is no pcap or pcapng",
            self.input.display()
        );
        Err(Failure::new(Code::Config, text))
    }
}

/// Reads the input to its end, prints, and fails when the input was not whole.
pub(crate) fn run(args: &OfflineArgs) -> Result<Code, Failure> {
    let Protocol::Itch50 = args.protocol;
    let mut printer = Printer::new(args, io::stdout().lock());
    let (path, config) = (&args.input, BooksConfig::default());
    let outcome = if path.is_dir() {
        args.refuse_destination()?;
        input::read_journal(path, config, &mut printer)?
    } else if is_capture(path).map_err(|error| cannot_read(path, error))? {
        input::read_capture(path, args.destination, config, &mut printer)?
    } else {
        args.refuse_destination()?;
        input::read_file(path, config, &mut printer)?
    };
    printer.finish(&outcome).map_err(on_stdout)?;
    if outcome.narrowed > 0 {
        tracing::warn!(
            messages = outcome.narrowed,
            "stock fields wider than eight bytes were cut"
        );
    }
    match outcome.problem {
        None => Ok(Code::Clean),
        Some(problem) => Err(Failure::failed(format!(
            "{}: {problem}; the books up to there were printed",
            args.input.display()
        ))),
    }
}

/// What is left when the input has been read.
struct Outcome {
    /// The books at the end.
    books: Books,
    /// What the records said, when the input was a journal.
    stream: Option<StreamCounters>,
    /// Messages whose stock field was wider than the specification's and was cut.
    narrowed: u64,
    /// Why the end of the input is not its real end.
    problem: Option<String>,
}

/// Prints checkpoints as they are reached, then the end.
struct Printer<'a> {
    args: &'a OfflineArgs,
    wanted: BTreeSet<u64>,
    out: BufWriter<StdoutLock<'a>>,
    /// What stands before the next checkpoint: the opening of the object, then commas.
    separator: &'static str,
    error: Option<io::Error>,
}

const OPENING: &str = "{\"checkpoints\":[";

impl<'a> Printer<'a> {
    fn new(args: &'a OfflineArgs, out: StdoutLock<'a>) -> Self {
        let wanted = args.messages.iter().copied().collect();
        Self {
            args,
            wanted,
            out: BufWriter::new(out),
            separator: OPENING,
            error: None,
        }
    }

    /// Called after each message, counted from 1. An error of the output is kept for the end.
    #[inline]
    fn after(&mut self, message: u64, books: &Books) {
        let due = self
            .args
            .every
            .is_some_and(|every| message.is_multiple_of(every));
        if (due || self.wanted.contains(&message)) && self.error.is_none() {
            self.error = self.checkpoint(message, books).err();
        }
    }

    fn checkpoint(&mut self, message: u64, books: &Books) -> io::Result<()> {
        let args = self.args;
        for book in books.iter().filter(|book| args.wants(*book)) {
            let depth = Depth::of(book, self.args.levels);
            if self.args.json {
                let checkpoint = json!({
                    "message": message,
                    "symbol": book.symbol().to_string(),
                    "orders": book.orders(),
                    "bids": depth.bids,
                    "asks": depth.asks,
                    "state_hash": report::state_hash(book),
                    "trust": book.trust().name(),
                });
                write!(self.out, "{}{checkpoint}", self.separator)?;
                self.separator = ",";
            } else {
                writeln!(
                    self.out,
                    "message {message}: {}",
                    line(&BookSummary::of(book, false))
                )?;
            }
        }
        Ok(())
    }

    fn finish(mut self, outcome: &Outcome) -> io::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let books = &outcome.books;
        let summaries: Vec<BookSummary> = books
            .iter()
            .filter(|book| self.args.wants(*book))
            .map(|book| BookSummary::of(book, true))
            .collect();
        let faults = report::faults(books);
        let messages = books.counters().messages;
        if self.args.json {
            let faults: Map<String, Value> = faults
                .into_iter()
                .map(|(reason, count)| (reason.to_owned(), count.into()))
                .collect();
            let last = json!({
                "messages": messages,
                "books": summaries,
                "faults": faults,
                "narrowed": outcome.narrowed,
                "stream": outcome.stream.as_ref().map(stream_json),
            });
            let opening = if self.separator == OPENING {
                OPENING
            } else {
                ""
            };
            writeln!(self.out, "{opening}],\"final\":{last}}}")?;
        } else {
            writeln!(self.out, "{messages} messages, {} books", summaries.len())?;
            for summary in &summaries {
                writeln!(self.out, "{}", line(summary))?;
            }
            for (reason, count) in faults {
                writeln!(self.out, "fault {reason}: {count}")?;
            }
        }
        self.out.flush()
    }
}

fn stream_json(stream: &StreamCounters) -> Value {
    json!({
        "records": stream.records,
        "missing_records": stream.missing_records,
        "malformed_records": stream.malformed_records,
        "sequence_errors": stream.sequence_errors,
        "lost_messages": stream.lost_messages,
        "sessions": stream.sessions,
    })
}

/// A book in one line of text.
fn line(book: &BookSummary) -> String {
    let touch = |best: Option<(i64, u64)>| {
        best.map_or_else(
            || "-".to_owned(),
            |(price, quantity)| format!("{price} x {quantity}"),
        )
    };
    format!(
        "{} {} orders, {}/{} levels, bid {}, ask {}, {}{}",
        book.symbol,
        book.orders,
        book.bid_levels,
        book.ask_levels,
        touch(book.best_bid),
        touch(book.best_ask),
        book.trust,
        book.hashes
            .as_ref()
            .map_or_else(String::new, |hashes| format!(
                ", queue_sha256 {}",
                hashes.queue_sha256
            )),
    )
}

fn on_stdout(error: io::Error) -> Failure {
    Failure::failed(format!("standard output: {error}"))
}

fn cannot_read(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("cannot read {}: {error}", path.display()))
}
