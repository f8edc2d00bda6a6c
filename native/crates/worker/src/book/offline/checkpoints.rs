//! Checkpoints on the way through an input, and the books at its end.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tickdeck_book::{BookView, Books, Record, StreamCounters};

use super::point::Points;
use super::walk::{Place, Visitor, Walked};
use super::{OfflineArgs, text};
use crate::book::price_report::{self, PriceSummary};
use crate::book::report::{self, BookSummary, Depth};

/// Prints checkpoints as they are reached, then the end.
pub(super) struct Checkpoints<'a> {
    args: &'a OfflineArgs,
    messages: BTreeSet<u64>,
    points: Points,
    /// Nothing but points was asked for: the walk ends with the last one.
    points_only: bool,
    out: BufWriter<StdoutLock<'a>>,
    /// What stands before the next checkpoint: the opening of the object, then commas.
    separator: &'static str,
    error: Option<io::Error>,
}

const OPENING: &str = "{\"checkpoints\":[";

/// A book at a point that was asked for, as it stands in the output.
#[derive(Serialize)]
struct AtPoint<'a> {
    wanted: &'a str,
    #[serde(flatten)]
    place: &'a Place,
    #[serde(flatten)]
    summary: BookSummary,
    #[serde(flatten)]
    depth: Depth,
    state_hash: String,
}

/// What is known beside the books at the end of the input.
pub(super) struct End {
    /// How the walk ended.
    pub(super) walked: Walked,
    /// What the records said, when the input was a journal.
    pub(super) stream: Option<StreamCounters>,
    /// Messages whose stock field was wider than the specification's and was cut.
    pub(super) narrowed: u64,
}

impl Visitor for Checkpoints<'_> {
    fn before(&mut self, books: &Books, place: &Place, record: &Record<'_>) -> ControlFlow<()> {
        let reached = self.points.before(record);
        self.at(&reached, books, place);
        self.flow()
    }

    #[inline]
    fn after(&mut self, books: &Books, place: &Place, _: &[u8]) {
        let message = place.message;
        let every = self.args.every;
        let due = every.is_some_and(|every| message.is_multiple_of(every));
        if due || self.messages.contains(&message) {
            self.keep(|printer| printer.checkpoint(message, books));
        }
        if let Some(sequence) = place.sequence {
            let reached = self.points.after(sequence);
            self.at(&reached, books, place);
        }
    }

    fn behind(&mut self, books: &Books, place: &Place) -> ControlFlow<()> {
        let reached = self.points.at_end();
        self.at(&reached, books, place);
        self.flow()
    }
}

impl<'a> Checkpoints<'a> {
    /// Prints what the arguments ask for; points come from `--at`.
    pub(super) fn new(args: &'a OfflineArgs, points: Points, out: StdoutLock<'a>) -> Self {
        let points_only = args.every.is_none() && args.messages.is_empty() && !args.at.is_empty();
        Self {
            args,
            messages: args.messages.iter().copied().collect(),
            points,
            points_only,
            out: BufWriter::new(out),
            separator: OPENING,
            error: None,
        }
    }

    /// Prints points beyond the end of the input, and the end.
    pub(super) fn finish(mut self, books: &Books, end: &End) -> io::Result<()> {
        if !end.walked.stopped {
            let reached = self.points.rest();
            self.at(&reached, books, &end.walked.place);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let wanted = books.iter().filter(|book| self.args.wants(*book));
        let summaries: Vec<BookSummary> = wanted.map(|book| BookSummary::of(book, true)).collect();
        let by_price = price_books(self.args, books);
        let faults = report::faults(books);
        let messages = books.counters().messages;
        if self.args.json {
            let faults: Map<String, Value> = faults
                .into_iter()
                .map(|(reason, count)| (reason.to_owned(), count.into()))
                .collect();
            let mut last = json!({
                "messages": messages,
                "books": all_books(&summaries, &by_price, books)?,
                "faults": faults,
                "narrowed": end.narrowed,
                "stream": end.stream.as_ref().map(stream_json),
                "place": end.walked.place,
                "stopped": end.walked.stopped,
            });
            if let Some(counters) = price_report::counters(books) {
                last["entries"] = serde_json::to_value(counters)?;
            }
            let opening = if self.separator == OPENING {
                OPENING
            } else {
                ""
            };
            writeln!(self.out, "{opening}],\"final\":{last}}}")?;
        } else {
            let stopped = if end.walked.stopped {
                ", stopped there"
            } else {
                ""
            };
            let count = summaries.len() + by_price.len();
            writeln!(self.out, "{messages} messages, {count} books{stopped}")?;
            for summary in &summaries {
                writeln!(self.out, "{}", text::line(summary))?;
            }
            for summary in &by_price {
                writeln!(self.out, "{}", summary.line())?;
            }
            for (reason, count) in faults {
                writeln!(self.out, "fault {reason}: {count}")?;
            }
        }
        self.out.flush()
    }

    fn flow(&self) -> ControlFlow<()> {
        let is_done = self.points_only && self.points.is_done();
        if is_done || self.error.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Runs a step of printing; its error is kept for the end.
    fn keep(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = step(self).err();
        }
    }

    fn at(&mut self, reached: &[usize], books: &Books, place: &Place) {
        for index in reached {
            self.keep(|printer| printer.point(*index, books, place));
        }
    }

    fn point(&mut self, index: usize, books: &Books, place: &Place) -> io::Result<()> {
        let args = self.args;
        for book in books.iter().filter(|book| args.wants(*book)) {
            let point = AtPoint {
                wanted: &args.at[index].text,
                place,
                summary: BookSummary::of(book, false),
                depth: Depth::of(book, args.levels),
                state_hash: report::state_hash(book),
            };
            if args.json {
                self.json(&serde_json::to_value(&point)?)?;
            } else {
                let place = text::place(point.place);
                writeln!(
                    self.out,
                    "{} ({place}): {}",
                    point.wanted,
                    text::line(&point.summary)
                )?;
                text::depth(&mut self.out, &point.depth, "  ")?;
            }
        }
        for summary in price_books(args, books) {
            let mut value = serde_json::to_value(place)?;
            let scale = books.config().scale;
            value["wanted"] = args.at[index].text.clone().into();
            value["price_decimals"] = scale.price_decimals.into();
            value["quantity_decimals"] = scale.quantity_decimals.into();
            self.price_book(value, &summary, &args.at[index].text)?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, message: u64, books: &Books) -> io::Result<()> {
        let args = self.args;
        for book in books.iter().filter(|book| args.wants(*book)) {
            if args.json {
                self.json(&checkpoint(message, book, args.levels))?;
            } else {
                let summary = BookSummary::of(book, false);
                writeln!(self.out, "message {message}: {}", text::line(&summary))?;
            }
        }
        for summary in price_books(args, books) {
            let value = json!({ "message": message });
            self.price_book(value, &summary, &format!("message {message}"))?;
        }
        Ok(())
    }

    /// Prints a book by price behind what says where: an object in JSON, or a text.
    fn price_book(
        &mut self,
        mut value: Value,
        summary: &PriceSummary,
        place: &str,
    ) -> io::Result<()> {
        if !self.args.json {
            return writeln!(self.out, "{place}: {}", summary.line());
        }
        if let (Value::Object(value), Value::Object(summary)) =
            (&mut value, serde_json::to_value(summary)?)
        {
            value.extend(summary);
        }
        self.json(&value)
    }

    fn json(&mut self, value: &Value) -> io::Result<()> {
        write!(self.out, "{}{value}", self.separator)?;
        self.separator = ",";
        Ok(())
    }
}

/// The books by price that are wanted; none of a venue that has orders only.
fn price_books(args: &OfflineArgs, books: &Books) -> Vec<PriceSummary> {
    let wanted = books.price_books().iter();
    let wanted = wanted.filter(|book| args.wants_symbol(book.symbol()));
    wanted
        .map(|book| PriceSummary::of(books, book, args.levels))
        .collect()
}

/// Books by order, then books by price, each with which it is where there are both.
fn all_books(
    by_order: &[BookSummary],
    by_price: &[PriceSummary],
    books: &Books,
) -> io::Result<Vec<Value>> {
    let mut all = Vec::new();
    for book in by_order {
        let mut value = serde_json::to_value(book)?;
        if price_report::counters(books).is_some() {
            value["book"] = "order".into();
        }
        all.push(value);
    }
    for book in by_price {
        all.push(serde_json::to_value(book)?);
    }
    Ok(all)
}

fn checkpoint(message: u64, book: BookView<'_>, levels: usize) -> Value {
    let depth = Depth::of(book, levels);
    json!({
        "message": message,
        "symbol": book.symbol().to_string(),
        "orders": book.orders(),
        "bids": depth.bids,
        "asks": depth.asks,
        "state_hash": report::state_hash(book),
        "trust": book.trust().name(),
    })
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
