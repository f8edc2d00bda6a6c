//! `tickdeck-journal prune`: the oldest segments of a journal that nobody writes go.
//!
//! The rules are those of the receiver's retention: pins hold, the records that a receiver resumes
//! from stay, what does not verify goes to `quarantine/`. Nothing is changed without `--apply`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tickdeck_journal::{Held, JournalError, Limits, Pruned, has_writer, prune_watched};

use super::progress::ProgressLine;
use super::{answer, journal_failure, names_in};
use crate::exit::{Code, Failure};

/// Arguments of `prune`.
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true))]
pub(super) struct PruneArgs {
    /// The journal directory.
    dir: PathBuf,
    /// Keep at most so many bytes of segments.
    #[arg(long, group = "limit", value_parser = clap::value_parser!(u64).range(1..))]
    keep_bytes: Option<u64>,
    /// Keep segments that were closed at most so many seconds ago.
    #[arg(long, group = "limit", value_parser = clap::value_parser!(u64).range(1..))]
    keep_age_s: Option<u64>,
    /// Give up segments that lie wholly below this sequence.
    #[arg(long, group = "limit", conflicts_with_all = ["keep_bytes", "keep_age_s"])]
    below_seq: Option<u64>,
    /// Make the changes; without it they are only told.
    #[arg(long)]
    apply: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show progress on standard error even when it is no terminal, about once a second.
    #[arg(long)]
    progress: bool,
}

/// Plans or prunes.
pub(super) fn run(args: &PruneArgs) -> Result<Code, Failure> {
    let failure = |error| journal_failure(&error);
    // A round of pruning leaves a lock file, which no other directory is to get.
    let names = names_in(&args.dir).map_err(failure)?;
    if !names
        .iter()
        .any(|name| Path::new(name).extension() == Some(OsStr::new("seg")))
    {
        return Err(failure(JournalError::NotAJournal {
            dir: args.dir.clone(),
        }));
    }
    if args.apply && has_writer(&args.dir).map_err(failure)? {
        let text = "a receiver writes this journal and prunes it itself; set journal.retain_max_bytes \
                    or journal.retain_max_age_s of the exchange, or stop the receiver";
        return Err(Failure::new(Code::Config, text));
    }
    let limits = Limits {
        max_bytes: args.keep_bytes.unwrap_or(0),
        max_age_s: args.keep_age_s.unwrap_or(0),
        needs_book_pin: false,
    };
    let mut display = ProgressLine::new(args.progress);
    let show = &mut |done, total| display.show(done, total, "bytes verified");
    let pruned = prune_watched(&args.dir, &limits, args.below_seq, args.apply, show);
    display.clear()?;
    let pruned = pruned.map_err(failure)?;
    answer(
        args.json,
        &to_json(&pruned, args.apply),
        &to_text(&pruned, args.apply),
    )?;
    Ok(Code::Clean)
}

fn to_json(pruned: &Pruned, applied: bool) -> Value {
    json!({
        "applied": applied,
        "deleted": pruned.deleted,
        "quarantined": pruned.quarantined,
        "bytes": pruned.bytes,
        "first_seq": pruned.first_seq,
        "lost": pruned.lost,
        "held_by": pruned.held.as_ref().map(held_text),
    })
}

fn to_text(pruned: &Pruned, applied: bool) -> String {
    let mut text = String::new();
    let verb = if applied { "deleted" } else { "would delete" };
    for file in &pruned.deleted {
        writeln!(text, "{verb} {file}").expect("a string takes all");
    }
    for file in &pruned.quarantined {
        writeln!(text, "{file} did not verify and is in quarantine").expect("a string takes all");
    }
    for client in &pruned.lost {
        writeln!(text, "{client} is beyond its cap and loses records").expect("a string takes all");
    }
    if let Some(held) = &pruned.held {
        writeln!(text, "the next segment is held by {}", held_text(held)).expect("takes all");
    }
    let (bytes, first_seq) = (pruned.bytes, pruned.first_seq);
    let tail = if applied { "" } else { "; --apply does it" };
    write!(
        text,
        "{bytes} bytes, oldest sequence then {first_seq}{tail}"
    )
    .expect("takes all");
    text
}

fn held_text(held: &Held) -> String {
    match held {
        Held::Pin(client) => format!("the pin of {client}"),
        Held::NoBookPin => "the books, whose worker has written no snapshot yet".to_owned(),
        Held::Resume => "the records that the receiver resumes from".to_owned(),
    }
}
