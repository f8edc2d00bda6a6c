//! `tickdeck-journal verify`.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tickdeck_journal::{Report, verify};

use super::progress::ProgressLine;
use super::{VerifyArgs, answer, copied, journal_failure};
use crate::exit::{Code, Failure};

/// Checks a journal; the code is clean only when it is whole.
pub(super) fn run(args: &VerifyArgs) -> Result<Code, Failure> {
    if copied::is_copy(&args.dir) {
        return copied::verify(args);
    }
    let mut display = ProgressLine::new(args.progress);
    let result = verify(&args.dir, &mut |progress| display.segments(&progress, ""));
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
