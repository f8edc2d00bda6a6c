//! `tickdeck-journal verify`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_journal::{Report, VerifyProgress, verify};

use super::{LookArgs, answer, journal_failure};
use crate::exit::{Code, Failure};

/// Checks a journal; the code is clean only when it is whole.
pub(super) fn run(args: &LookArgs) -> Result<Code, Failure> {
    let mut display = ProgressLine::new();
    let result = verify(&args.dir, &mut |progress| display.show(&progress));
    display.clear()?;
    let report = result.map_err(|error| journal_failure(&error))?;
    answer(args.json, &to_json(&report), &to_text(&report))?;
    Ok(if report.is_whole() {
        Code::Clean
    } else {
        Code::Failed
    })
}

fn to_json(report: &Report) -> Value {
    let problems: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file,
                "offset": problem.offset,
                "class": problem.class.name(),
                "from": problem.from,
                "to": problem.to,
                "detail": problem.detail,
            })
        })
        .collect();
    json!({
        "segments": report.segments,
        "records": report.records,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "durable_seq": report.durable_seq,
        "problems": problems,
    })
}

fn to_text(report: &Report) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        writeln!(text, "{problem}").expect("a string takes all");
    }
    let verdict = match report.problems.len() {
        0 => "whole".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let Report {
        segments,
        records,
        first_seq,
        last_seq,
        durable_seq,
        ..
    } = report;
    let span = if last_seq < first_seq {
        "no records".to_owned()
    } else {
        format!("sequences {first_seq} to {last_seq}")
    };
    write!(
        text,
        "{verdict}: {segments} segments, {records} records, {span}, durable {durable_seq}"
    )
    .expect("a string takes all");
    text
}

/// One line on a terminal that is rewritten; nothing where nobody watches.
struct ProgressLine {
    shown_at: Instant,
    is_shown: bool,
    watched: bool,
}

impl ProgressLine {
    fn new() -> Self {
        let watched = io::stderr().is_terminal();
        Self {
            shown_at: Instant::now(),
            is_shown: false,
            watched,
        }
    }

    fn show(&mut self, progress: &VerifyProgress) {
        if !self.watched || self.shown_at.elapsed() < INTERVAL {
            return;
        }
        self.shown_at = Instant::now();
        let percent = (progress.bytes_done * 100)
            .checked_div(progress.bytes)
            .unwrap_or(100);
        let (done, all) = (progress.segments_done, progress.segments);
        let line = format!("\r{percent:3} %  segment {done} of {all} ");
        // Progress is a courtesy: a terminal that refuses it must not end the check.
        self.is_shown = io::stderr().write_all(line.as_bytes()).is_ok();
        self.watched = self.is_shown;
    }

    fn clear(&self) -> Result<(), Failure> {
        if self.is_shown {
            let clear = io::stderr().write_all(b"\r\x1b[K");
            clear.map_err(|error| Failure::failed(format!("standard error: {error}")))?;
        }
        Ok(())
    }
}

const INTERVAL: Duration = Duration::from_millis(100);
