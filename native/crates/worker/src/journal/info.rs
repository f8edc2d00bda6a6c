//! `tickdeck-journal info`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tickdeck_journal::{
    Checkpoint, JournalError, Reader, SegmentInfo, checkpoint, has_writer, quarantine,
};

use super::{InfoArgs, answer, journal_failure, names_in};
use crate::exit::{Code, Failure};

/// What `info` tells.
struct Info {
    /// `None` before the first segment exists.
    log: Option<Log>,
    checkpoint: Option<Checkpoint>,
    has_writer: bool,
    quarantine: Vec<(String, u64)>,
}

struct Log {
    log_id: String,
    first_seq: u64,
    last_seq: u64,
    segments: Vec<SegmentInfo>,
}

/// Prints where a journal stands, without reading all of it.
pub(super) fn run(args: &InfoArgs) -> Result<Code, Failure> {
    let info = look(args).map_err(|error| journal_failure(&error))?;
    answer(args.json, &to_json(&info), &to_text(&info))?;
    Ok(Code::Clean)
}

fn look(args: &InfoArgs) -> Result<Info, JournalError> {
    let log = match Reader::open(&args.dir) {
        Ok(reader) => Some(Log {
            log_id: reader
                .log_id()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            first_seq: reader.first_seq(),
            last_seq: reader.last_seq()?,
            segments: reader.segments()?,
        }),
        // A directory that a writer has only just made; a missing one is an error, and so is one
        // of another program.
        Err(JournalError::NotAJournal { .. }) if is_new(&args.dir)? => None,
        Err(error) => return Err(error),
    };
    Ok(Info {
        log,
        checkpoint: checkpoint(&args.dir)?,
        has_writer: has_writer(&args.dir)?,
        quarantine: quarantine(&args.dir)?,
    })
}

/// Whether a writer has made a directory, or may do so: it locks it before anything else.
fn is_new(dir: &Path) -> Result<bool, JournalError> {
    let names = names_in(dir)?;
    Ok(dir.is_dir() && (names.is_empty() || names.iter().any(|name| name == "lock")))
}

fn to_json(info: &Info) -> Value {
    let segment = |segment: &SegmentInfo| {
        json!({
            "number": segment.number,
            "file": segment.file,
            "base_seq": segment.base_seq,
            "last_seq": segment.last_seq,
            "records": segment.records,
            "sealed": segment.sealed,
            "abandoned": segment.abandoned,
            "bytes": segment.bytes,
            "writer_epoch": segment.writer_epoch,
            "created_ns": segment.created_ns,
        })
    };
    let log = info.log.as_ref();
    let segments: Vec<Value> =
        log.map_or_else(Vec::new, |log| log.segments.iter().map(segment).collect());
    json!({
        "log_id": log.map(|log| &log.log_id),
        "first_seq": log.map(|log| log.first_seq),
        "last_seq": log.map(|log| log.last_seq),
        "durable_seq": info.checkpoint.map(|state| state.durable_seq),
        "writer_epoch": info.checkpoint.map(|state| state.writer_epoch),
        "clean": info.checkpoint.is_some_and(|state| state.clean),
        "has_writer": info.has_writer,
        "bytes": log.map_or(0, bytes),
        "quarantine": info
            .quarantine
            .iter()
            .map(|(file, bytes)| json!({"file": file, "bytes": bytes}))
            .collect::<Vec<_>>(),
        "segments": segments,
    })
}

fn to_text(info: &Info) -> String {
    let Some(log) = &info.log else {
        return "no segments yet".to_owned();
    };
    let state = match (info.has_writer, info.checkpoint) {
        (true, _) => "being written",
        (false, Some(Checkpoint { clean: true, .. })) => "closed",
        (false, _) => "left by a crash",
    };
    let durable = info
        .checkpoint
        .map_or_else(|| "?".to_owned(), |at| at.durable_seq.to_string());
    let mut text = format!(
        "log {}, {state}\nsequences {} to {}, durable {durable}\n{} segments, {} bytes\n",
        log.log_id,
        log.first_seq,
        log.last_seq,
        log.segments.len(),
        bytes(log),
    );
    for segment in &log.segments {
        let last = segment
            .last_seq
            .map_or_else(|| "…".to_owned(), |last| last.to_string());
        writeln!(
            text,
            "{}  {} to {last}  {} bytes  epoch {}{}",
            segment.file,
            segment.base_seq,
            segment.bytes,
            segment.writer_epoch,
            match (segment.sealed, segment.abandoned) {
                (true, _) => "  sealed",
                (_, true) => "  abandoned",
                _ => "",
            },
        )
        .expect("a string takes all");
    }
    for (file, bytes) in &info.quarantine {
        writeln!(text, "quarantine/{file}  {bytes} bytes").expect("a string takes all");
    }
    text
}

fn bytes(log: &Log) -> u64 {
    log.segments.iter().map(|segment| segment.bytes).sum()
}
