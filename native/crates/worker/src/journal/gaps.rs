//! `tickdeck-journal gaps`: the gap ledger, one line for each gap.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use tickdeck_journal::{JournalError, Reader};
use tickdeck_stats::format_incarnation;
use tickdeck_wire::ledger::{DROP_VERDICTS, FAULTS, LedgerRow, source_names};
use tickdeck_wire::record::{LossReason, kind};

use super::history::{GapHistory, History, Outcome};
use super::{Audience, Output, check_range, journal_failure};
use crate::exit::{Code, Failure};

/// Arguments of `gaps`.
#[derive(Args, Clone, Debug)]
pub(super) struct GapsArgs {
    /// The journal directory.
    dir: PathBuf,
    /// First journal sequence; the oldest kept when absent.
    #[arg(long)]
    from: Option<u64>,
    /// Last journal sequence.
    #[arg(long)]
    to: Option<u64>,
    /// Print only the gaps that nothing closes.
    #[arg(long)]
    open: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Prints the gaps up to the end for now; damage ends with an error after what could be read.
pub(super) fn run(args: &GapsArgs) -> Result<Code, Failure> {
    check_range(args.from, args.to)?;
    let mut history = History::default();
    let outcome = read(args, &mut history);
    let mut output = Output {
        out: BufWriter::new(io::stdout().lock()),
    };
    let is_wanted = |gap: &&GapHistory| !args.open || gap.outcome() == Outcome::Open;
    for gap in history.gaps().iter().filter(is_wanted) {
        let line = if args.json {
            object(&history, gap).to_string()
        } else {
            text(&history, gap)
        };
        if output.line(&line)? == Audience::Gone {
            break;
        }
    }
    output.finish()?;
    if history.holes() > 0 {
        tracing::warn!(
            records = history.holes(),
            "the journal has holes: what these records said of gaps is not known"
        );
    }
    outcome?;
    Ok(Code::Clean)
}

fn read(args: &GapsArgs, history: &mut History) -> Result<(), Failure> {
    let failed = |error: JournalError| journal_failure(&error);
    let mut reader = Reader::open(&args.dir).map_err(failed)?;
    if let Some(from) = args.from {
        // The session of the first gaps.
        let session = reader.last_record_of_kind_below(kind::SESSION, from);
        if let Some(record) = session.map_err(failed)? {
            take(history, record.seq, 0, record.kind, &record.payload)?;
        }
        reader.seek(from).map_err(failed)?;
    }
    while let Some(entry) = reader.next().map_err(failed)? {
        if args.to.is_some_and(|to| entry.seq > to) {
            return Ok(());
        }
        let record = &entry.record;
        take(
            history,
            entry.seq,
            record.channel,
            record.kind,
            record.payload,
        )?;
    }
    if let Some(tail) = reader.unfinished_tail() {
        tracing::warn!("the journal ends in an unfinished block: {tail}");
    }
    Ok(())
}

fn take(
    history: &mut History,
    seq: u64,
    channel: u16,
    kind: u8,
    payload: &[u8],
) -> Result<(), Failure> {
    let taken = history.take(seq, channel, kind, payload);
    taken.map_err(|error| {
        let name = kind::name(kind).unwrap_or("unknown");
        let text = format!("journal record {seq}, {name}, cannot be read: {error}");
        Failure::new(Code::Layout, text)
    })
}

/// A gap as an object. What only its row tells is null for a gap without one.
fn object(history: &History, gap: &GapHistory) -> Value {
    let row = gap.row.as_ref().map(|(row, _)| row);
    let name = history
        .incarnation(gap)
        .map(|name| format_incarnation(&name));
    let continued = history.continued_by(gap);
    let continued: Vec<Value> = continued
        .filter(|_| gap.outcome() == Outcome::Open)
        .map(|later| json!({"incarnation_number": later.incarnation, "gap_id": later.id}))
        .collect();
    let lost = gap.lost.iter().map(
        |(first, last, reason)| json!({"first": first, "last": last, "reason": reason.name()}),
    );
    let notes = gap
        .notes
        .iter()
        .map(|note| json!({"at_ns": note.at_ns, "actor": note.actor, "note": note.note}));
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("gap_id", json!(gap.id));
    put("incarnation", json!(name));
    put("incarnation_number", json!(gap.incarnation));
    put(
        "session",
        json!(gap.session.map(|session| session.to_string())),
    );
    put("channel", json!(gap.channel));
    put("first", json!(gap.first));
    put("last", json!(gap.last));
    put("messages", json!(size(gap)));
    put("state", json!(gap.outcome().name()));
    put("left_open", json!(history.was_left_open(gap)));
    put("continued_by", json!(continued));
    put("detected_ns", json!(gap.detected_ns));
    put("messages_lost", json!(gap.messages_lost()));
    put("lost", lost.collect());
    put("reason", json!(reason(gap)));
    for (name, value) in row_fields(row) {
        put(name, value);
    }
    put("notes", notes.collect());
    put("opened_seq", json!(gap.opened_seq));
    put("filled_seq", json!(gap.filled_seq));
    put("row_seq", json!(gap.row.map(|(_, seq)| seq)));
    put("contradictions", json!(gap.contradictions()));
    Value::Object(object)
}

/// The fields that a row adds to what the events of the stream tell.
fn row_fields(row: Option<&LedgerRow>) -> Vec<(&'static str, Value)> {
    let number = |read: fn(&LedgerRow) -> u64| json!(row.map(read));
    let flag = |read: fn(&LedgerRow) -> bool| json!(row.map(read));
    let names = |read: fn(&LedgerRow) -> u64| {
        json!(row.map(|row| source_names(read(row)).collect::<Vec<_>>()))
    };
    vec![
        ("sources", names(|row| row.sources)),
        ("lines_missed", names(|row| row.lines_missed)),
        ("lost_on", json!(row.map(LedgerRow::lost_on))),
        ("waited_ns", number(|row| row.waited_ns)),
        ("requested_ns", number(|row| row.requested_ns)),
        ("requested_last_ns", number(|row| row.requested_last_ns)),
        ("partial_ns", number(|row| row.partial_ns)),
        ("snapshot_ns", number(|row| row.snapshot_ns)),
        ("closed_ns", number(|row| row.closed_ns)),
        ("attempts", number(|row| row.attempts)),
        ("missing", number(|row| row.missing)),
        ("by_line_a", number(|row| row.by_line_a)),
        ("by_line_b", number(|row| row.by_line_b)),
        ("by_other_lines", number(|row| row.by_other_lines)),
        ("by_request", number(|row| row.by_request)),
        ("by_stream", number(|row| row.by_stream)),
        ("by_peer", number(|row| row.by_peer)),
        ("by_snapshot", number(|row| row.by_snapshot)),
        ("stale_answers", number(|row| row.stale_answers)),
        ("injected", number(|row| row.injected)),
        ("fault", json!(row.map(|row| word(&FAULTS, row.fault)))),
        ("slo_violated", flag(|row| row.slo_violated)),
        (
            "drop_verdict",
            json!(row.map(|row| word(&DROP_VERDICTS, row.drop_layer))),
        ),
        ("drop_count", number(|row| row.drop_count)),
        ("noted", flag(|row| row.noted)),
    ]
}

/// The word of a code; a code of a newer worker stays visible as a number.
fn word(words: &[&str], code: u64) -> String {
    let known = usize::try_from(code)
        .ok()
        .and_then(|place| words.get(place));
    known.map_or_else(|| format!("code_{code}"), |word| (*word).to_owned())
}

/// Why it was given up; empty when it was not.
fn reason(gap: &GapHistory) -> String {
    let by_row = gap.row.map(|(row, _)| row.reason).filter(|code| *code != 0);
    let by_events = gap.lost.last().map(|(_, _, reason)| reason.name());
    match by_row {
        Some(code) => u8::try_from(code)
            .ok()
            .and_then(LossReason::from_code)
            .map_or_else(|| format!("code_{code}"), |reason| reason.name().to_owned()),
        None => by_events.unwrap_or_default().to_owned(),
    }
}

fn size(gap: &GapHistory) -> u64 {
    gap.last.saturating_sub(gap.first).saturating_add(1)
}

fn text(history: &History, gap: &GapHistory) -> String {
    let mut line = format!(
        "{}.{} {}..={} ({}) {}",
        gap.incarnation,
        gap.id,
        gap.first,
        gap.last,
        size(gap),
        gap.outcome().name()
    );
    let mut add = |part: String| {
        line.push_str(", ");
        line.push_str(&part);
    };
    if history.was_left_open(gap) {
        add("the worker ended".to_owned());
    }
    let reason = reason(gap);
    if !reason.is_empty() {
        add(format!("{} lost: {reason}", gap.messages_lost()));
    }
    if let Some((row, _)) = &gap.row {
        for part in row_parts(row) {
            add(part);
        }
    }
    for note in &gap.notes {
        add(format!("{}: {}", note.actor, note.note));
    }
    for contradiction in gap.contradictions() {
        add(format!("CONTRADICTION: {contradiction}"));
    }
    line
}

fn row_parts(row: &LedgerRow) -> Vec<String> {
    let joined = |bits| source_names(bits).collect::<Vec<_>>().join("+");
    let mut parts = Vec::new();
    if row.sources != 0 {
        parts.push(format!("by {}", joined(row.sources)));
    }
    if row.lines_missed != 0 {
        parts.push(format!("missed on {}", joined(row.lines_missed)));
    }
    match row.lost_on() {
        "all" => parts.push("lost on all lines".to_owned()),
        "one" => parts.push("late on one line".to_owned()),
        _ => {}
    }
    if row.attempts > 0 {
        parts.push(format!("asked {} times", row.attempts));
    }
    if row.fault != 0 {
        parts.push(format!("fault {}", word(&FAULTS, row.fault)));
    }
    if row.drop_layer != 0 {
        parts.push(format!("lost at {}", word(&DROP_VERDICTS, row.drop_layer)));
    }
    if row.closed_ns != 0 {
        let took_ns = row.closed_ns.saturating_sub(row.detected_ns);
        parts.push(format!("after {} us", took_ns / 1_000));
    }
    if row.slo_violated {
        parts.push("SLO violated".to_owned());
    }
    parts
}
