//! `tickdeck-journal cat`: one line per record, with the events' fields spelled out.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use tickdeck_journal::{Entry, Reader, Record};
use tickdeck_wire::ledger::{LedgerNote, LedgerRow, state_name};
use tickdeck_wire::moldudp64::count_blocks;
use tickdeck_wire::record::{
    Checkpoint, GapEvent, JournalHole, LostEvent, PayloadError, SessionEvent, kind, line, stamp,
};

use super::{Audience, Output, check_range, copied, journal_failure};
use crate::exit::{Code, Failure};

/// Arguments of `cat`.
#[derive(Args, Clone, Debug)]
pub(super) struct CatArgs {
    /// The journal directory, or a subscriber's copy.
    pub(super) dir: PathBuf,
    /// First journal sequence; the oldest kept when absent.
    #[arg(long)]
    pub(super) from: Option<u64>,
    /// Last journal sequence.
    #[arg(long)]
    pub(super) to: Option<u64>,
    /// Print at most so many records.
    #[arg(long)]
    pub(super) limit: Option<u64>,
    /// Print the payloads too, as hexadecimal digits.
    #[arg(long)]
    pub(super) payload: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Prints records up to the end for now; damage ends with an error after what could be read.
pub(super) fn run(args: &CatArgs) -> Result<Code, Failure> {
    check_range(args.from, args.to)?;
    if copied::is_copy(&args.dir) {
        return copied::cat(args);
    }
    let mut reader = Reader::open(&args.dir).map_err(|error| journal_failure(&error))?;
    if let Some(from) = args.from {
        reader.seek(from).map_err(|error| journal_failure(&error))?;
    }
    let mut output = Output {
        out: BufWriter::new(io::stdout().lock()),
    };
    let outcome = print(&mut reader, args, &mut output);
    // What was read before an error is printed all the same.
    output.finish()?;
    let is_empty = outcome?;
    if let Some(from) = args.from.filter(|_| is_empty) {
        let last_seq = reader.last_seq().map_err(|error| journal_failure(&error))?;
        if from > last_seq {
            tracing::warn!("there is nothing from {from} on: the journal ends at {last_seq}");
        }
    }
    if let Some(tail) = reader.unfinished_tail() {
        tracing::warn!("the journal ends in an unfinished block: {tail}");
    }
    Ok(Code::Clean)
}

/// True when there was no record at all.
fn print(
    reader: &mut Reader,
    args: &CatArgs,
    output: &mut Output<impl io::Write>,
) -> Result<bool, Failure> {
    let limit = args.limit.unwrap_or(u64::MAX);
    let (mut left, mut is_empty) = (limit, limit > 0);
    while left > 0
        && let Some(entry) = reader.next().map_err(|error| journal_failure(&error))?
    {
        is_empty = false;
        if args.to.is_some_and(|to| entry.seq > to) {
            break;
        }
        left -= 1;
        let line = line_of(&entry, args.payload, args.json);
        if output.line(&line)? == Audience::Gone {
            break;
        }
    }
    Ok(is_empty)
}

/// A record with its payload, in one line.
pub(crate) fn record_line(entry: &Entry<'_>, json: bool) -> String {
    line_of(entry, true, json)
}

pub(super) fn line_of(entry: &Entry<'_>, with_payload: bool, json: bool) -> String {
    let fields = fields(entry, with_payload);
    if json {
        let object: Map<String, Value> = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Value::Object(object).to_string()
    } else {
        text(&fields)
    }
}

type Field = (&'static str, Value);

/// The record as names and values, in the order of printing.
fn fields(entry: &Entry<'_>, with_payload: bool) -> Vec<Field> {
    let record = &entry.record;
    let kind = kind::name(record.kind).unwrap_or("unknown").to_lowercase();
    let mut fields = vec![
        ("seq", json!(entry.seq)),
        ("kind", json!(kind)),
        ("line", json!(line::name(record.line))),
        ("stamp", json!(stamp::name(record.stamp))),
        ("channel", json!(record.channel)),
        ("venue_seq", json!(record.venue_seq)),
        ("rx_ns", json!(record.rx_ns)),
        ("length", json!(record.payload.len())),
    ];
    match event(record) {
        Ok(event) => fields.extend(event),
        Err(error) => fields.push(("malformed", json!(error.to_string()))),
    }
    if with_payload {
        let hex = |byte: &u8| format!("{byte:02x}");
        let digits: String = record.payload.iter().map(hex).collect();
        fields.push(("payload", json!(digits)));
    }
    fields
}

fn event(record: &Record<'_>) -> Result<Vec<Field>, PayloadError> {
    let payload = record.payload;
    Ok(match record.kind {
        kind::DATA => vec![("messages", json!(count_blocks(payload)))],
        kind::GAP_OPEN | kind::GAP_FILLED => gap(&GapEvent::decode(payload)?),
        kind::GAP_LOST => {
            let event = LostEvent::decode(payload)?;
            let mut fields = gap(&event.gap);
            fields.push(("reason", json!(event.reason.name())));
            fields
        }
        kind::SESSION => {
            let event = SessionEvent::decode(payload)?;
            vec![
                ("event", json!(event.kind.name())),
                ("session", json!(event.session.to_string())),
                ("next_sequence", json!(event.next_sequence)),
            ]
        }
        kind::GAP_ROW => {
            let row = LedgerRow::decode(payload)?;
            vec![
                ("gap_id", json!(row.id)),
                ("first", json!(row.first)),
                ("last", json!(row.last)),
                ("state", json!(state_name(row.state))),
                ("missing", json!(row.missing)),
            ]
        }
        kind::GAP_NOTE => {
            let note = LedgerNote::decode(payload)?;
            vec![
                ("gap_id", json!(note.gap_id)),
                ("at_ns", json!(note.at_ns)),
                ("actor", json!(note.actor)),
                ("note", json!(note.note)),
            ]
        }
        kind::SNAPSHOT_ANCHOR => {
            let checkpoint = Checkpoint::decode(payload)?;
            vec![
                ("cursor", json!(checkpoint.cursor)),
                ("applied", json!(checkpoint.messages)),
                ("next_sequence", json!(checkpoint.next_sequence)),
                (
                    "state_hash",
                    json!(format!("{:016x}", checkpoint.state_hash)),
                ),
                ("books", json!(checkpoint.books)),
                ("trust", json!(checkpoint.trust)),
            ]
        }
        kind::JOURNAL_HOLE => {
            let hole = JournalHole::decode(payload)?;
            vec![
                ("from", json!(hole.from)),
                ("to", json!(hole.to)),
                ("reason", json!(hole.reason)),
            ]
        }
        _ => Vec::new(),
    })
}

fn gap(event: &GapEvent) -> Vec<Field> {
    vec![
        ("gap_id", json!(event.gap_id)),
        ("first", json!(event.first)),
        ("last", json!(event.last)),
        ("detected_ns", json!(event.detected_ns)),
    ]
}

fn text(fields: &[Field]) -> String {
    let field = |(name, value): &Field| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    fields.iter().map(field).collect::<Vec<_>>().join(" ")
}
