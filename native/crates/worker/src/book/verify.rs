//! `tickdeck-book verify`: replays a journal and compares the books with every checkpoint in it.
//!
//! The first pass learns where checkpoints were taken, the second makes the books, up to the record
//! that the first one ended with: a journal may still be written. It is whole when every checkpoint
//! is equal, every record is there and can be read, and messages follow each other without a break
//! that no record explains; only then the exit code is 0.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tickdeck_book::{BooksConfig, Record, StreamCounters};
use tickdeck_journal::Reader as Journal;

use super::checkpoints::{Checkpoints, Difference, Scout, Tally, Verdict};
use super::venue::{BookChannel, VenueKind};
use crate::exit::{Code, Failure};

/// Arguments of `verify`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyArgs {
    /// A journal directory.
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
    /// Print one JSON object instead of lines of text.
    #[arg(long)]
    json: bool,
}

/// Replays, prints, and says by the exit code whether all is equal and whole.
pub(crate) fn run(args: &VerifyArgs) -> Result<Code, Failure> {
    let report = replay(&args.journal)?;
    let text = if args.json {
        report.to_json(&args.journal).to_string()
    } else {
        report.to_text()
    };
    let printed = writeln!(io::stdout().lock(), "{}", text.trim_end());
    printed.map_err(|error| Failure::failed(format!("standard output: {error}")))?;
    Ok(if report.is_whole() {
        Code::Clean
    } else {
        Code::Failed
    })
}

/// What a replay found.
struct Report {
    tally: Tally,
    /// The first one, and the record of its checkpoint.
    first_difference: Option<(u64, Difference)>,
    /// Record at which the first unexplained break was met.
    first_sequence_error: Option<u64>,
    counters: StreamCounters,
    messages: u64,
    books: usize,
    orders: usize,
    state_hash: u64,
    /// Why the replay ended early.
    problem: Option<String>,
}

fn replay(path: &Path) -> Result<Report, Failure> {
    let cannot_read = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let reader = Journal::open(path).map_err(cannot_read)?;
    let schema = reader.schema_id();
    let venue = VenueKind::of_schema(schema).ok_or_else(|| {
        let text = format!("{}: no books are made of schema {schema}", path.display());
        Failure::new(Code::Layout, text)
    })?;
    // All of them: the whole journal is read ahead. They are 8 bytes each.
    let mut checkpoints = Checkpoints::with_places(usize::MAX);
    let mut scout = Scout::open(path, reader.first_seq()).map_err(cannot_read)?;
    scout.read_to(u64::MAX, &mut checkpoints);
    let end = scout.end().unwrap_or(u64::MAX);
    Ok(make_books(reader, venue, checkpoints, end))
}

/// The second pass, up to record `end` or to the end of the journal.
fn make_books(
    mut reader: Journal,
    venue: VenueKind,
    mut checkpoints: Checkpoints,
    end: u64,
) -> Report {
    let mut channel = venue.channel(BooksConfig::default());
    // A log of which the beginning was pruned: the books start without it, and say so.
    channel.skip_to(reader.first_seq());
    let (mut first_difference, mut first_sequence_error) = (None, None);
    let problem = loop {
        if reader.position() >= end {
            break None;
        }
        let entry = match reader.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break None,
            Err(error) => {
                let cursor = channel.cursor();
                break Some(format!("record {cursor} cannot be read: {error}"));
            }
        };
        let record = Record {
            seq: entry.seq,
            kind: entry.record.kind,
            venue_seq: entry.record.venue_seq,
            rx_ns: entry.record.rx_ns,
            payload: entry.record.payload,
        };
        let verdict = checkpoints.follow(&mut channel, record);
        if let Some(Verdict::Different(difference)) = verdict {
            first_difference.get_or_insert((record.seq, difference));
        }
        if first_sequence_error.is_none() && channel.counters().sequence_errors > 0 {
            first_sequence_error = Some(record.seq);
        }
    };
    Report::of(
        &channel,
        checkpoints.tally(),
        first_difference,
        first_sequence_error,
        problem,
    )
}

impl Report {
    fn of(
        channel: &BookChannel,
        tally: Tally,
        first_difference: Option<(u64, Difference)>,
        first_sequence_error: Option<u64>,
        problem: Option<String>,
    ) -> Self {
        Self {
            tally,
            first_difference,
            first_sequence_error,
            counters: *channel.counters(),
            messages: channel.books().counters().messages,
            // As a checkpoint counts them.
            books: channel.books().len() + channel.books().price_books().len(),
            orders: channel.books().order_count(),
            state_hash: channel.channel_hash(),
            problem,
        }
    }

    fn found(&self) -> u64 {
        let Tally {
            equal,
            different,
            incomparable,
        } = self.tally;
        equal + different + incomparable
    }

    fn is_whole(&self) -> bool {
        let counters = &self.counters;
        let faults =
            counters.sequence_errors + counters.missing_records + counters.malformed_records;
        self.tally.equal == self.found() && faults == 0 && self.problem.is_none()
    }

    fn to_json(&self, path: &Path) -> Value {
        let first = self.first_difference.map(|(seq, difference)| {
            let (expected, found) = (difference.expected, difference.found);
            json!({
                "seq": seq,
                "cursor": expected.cursor,
                "next_sequence": expected.next_sequence,
                "expected_hash": hash(expected.state_hash),
                "found_hash": hash(found.state_hash),
                "expected_books": expected.books,
                "found_books": found.books,
                "found_next_sequence": found.next_sequence,
            })
        });
        json!({
            "journal": path,
            "records": self.counters.records,
            "messages": self.messages,
            "checkpoints": {
                "found": self.found(),
                "equal": self.tally.equal,
                "different": self.tally.different,
                "not_comparable": self.tally.incomparable,
            },
            "first_difference": first,
            "sequence_errors": self.counters.sequence_errors,
            "first_sequence_error": self.first_sequence_error,
            "missing_records": self.counters.missing_records,
            "malformed_records": self.counters.malformed_records,
            "lost_messages": self.counters.lost_messages,
            "books": self.books,
            "orders": self.orders,
            "state_hash": hash(self.state_hash),
            "problem": self.problem,
            "whole": self.is_whole(),
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            writeln!(text, "{words}").expect("a string takes all");
        };
        let (tally, counters) = (&self.tally, &self.counters);
        let verdict = if self.is_whole() {
            "whole"
        } else {
            "NOT whole"
        };
        line(format_args!(
            "{verdict}: {} records, {} messages, {} orders in {} books, state hash {}",
            counters.records,
            self.messages,
            self.orders,
            self.books,
            hash(self.state_hash)
        ));
        line(format_args!(
            "checkpoints: {} found, {} equal, {} different, {} not comparable",
            self.found(),
            tally.equal,
            tally.different,
            tally.incomparable
        ));
        if let Some((seq, difference)) = &self.first_difference {
            let (expected, found) = (difference.expected, difference.found);
            line(format_args!(
                "first difference: checkpoint in record {seq}, of the books before record {} \
                 (next sequence {}): {} in {} books expected, {} in {} found",
                expected.cursor,
                expected.next_sequence,
                hash(expected.state_hash),
                expected.books,
                hash(found.state_hash),
                found.books
            ));
        }
        if let Some(seq) = self.first_sequence_error {
            line(format_args!(
                "{} breaks of the message sequence that no record explains, the first in record {seq}",
                counters.sequence_errors
            ));
        }
        if counters.missing_records + counters.malformed_records + counters.lost_messages > 0 {
            line(format_args!(
                "{} records missing, {} malformed; {} messages declared lost",
                counters.missing_records, counters.malformed_records, counters.lost_messages
            ));
        }
        if let Some(problem) = &self.problem {
            line(format_args!("{problem}"));
        }
        text
    }
}

fn hash(value: u64) -> String {
    format!("{value:016x}")
}

#[cfg(test)]
mod tests {
    use tickdeck_journal::{Record as Entry, SyncPolicy, Writer, WriterConfig};
    use tickdeck_wire::record::{Checkpoint, kind};

    use super::*;

    fn append(journal: &mut Writer, kind: u8, payload: &[u8]) {
        let record = Entry {
            kind,
            stamp: 0,
            line: 0,
            channel: 1,
            venue_seq: 0,
            rx_ns: 1,
            payload,
        };
        journal.append(&record).expect("append");
        journal.flush().expect("flush");
    }

    /// A checkpoint that came into the journal behind the first pass is left to the next run: its
    /// place was not known, so it could not be compared.
    #[test]
    fn what_is_written_meanwhile_is_left_out() {
        let root = tempfile::tempdir().expect("temporary directory");
        let dir = root.path().join("journal");
        let config = WriterConfig::new(&dir, 1 << 20, SyncPolicy::Os, 1);
        let mut journal = Writer::open(config).expect("journal").0;
        append(&mut journal, kind::GAP_NOTE, b"first");
        let mut checkpoints = Checkpoints::with_places(usize::MAX);
        let mut scout = Scout::open(&dir, 1).expect("a journal");
        scout.read_to(u64::MAX, &mut checkpoints);
        let end = scout.end().expect("it was read");
        let late = Checkpoint {
            cursor: 2,
            messages: 0,
            next_sequence: 0,
            state_hash: 0,
            books: 0,
            trust: 0,
        };
        append(&mut journal, kind::SNAPSHOT_ANCHOR, &late.encode());

        let reader = Journal::open(&dir).expect("a journal");
        let report = make_books(reader, VenueKind::Itch50, checkpoints, end);
        assert_eq!((report.counters.records, report.found()), (1, 0));
        assert!(report.is_whole(), "{}", report.to_text());
    }
}
