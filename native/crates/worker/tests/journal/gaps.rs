//! `gaps`: the ledger of a journal.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::tempdir;
use tickdeck_wire::record::{SessionEventKind, kind};

use crate::support::*;

/// Two incarnations: gap 4 is filled and noted in the first, open in the second.
fn two_gaps(dir: &Path) {
    let mut day = Day::open(dir, MS);
    day.session(SessionEventKind::Started, FIRST, 1);
    day.gap(kind::GAP_OPEN);
    day.gap(kind::GAP_FILLED);
    day.row(4, 5);
    day.note(4, "late again");
    day.session(SessionEventKind::Resumed, FIRST, 10);
    day.gap(kind::GAP_OPEN);
    day.writer.close().expect("closes");
}

fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(code(output), 0, "{}", errors(output));
    let text = String::from_utf8_lossy(&output.stdout);
    let parsed = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    parsed.collect()
}

/// Each gap is one object with every field by its name; what nothing closes is open, and what only
/// a row can tell is null without one.
#[test]
fn one_object_for_each_gap() {
    let dir = tempdir().expect("a directory");
    two_gaps(dir.path());
    let ledger = lines(&run(&["gaps", text(dir.path()), "--json"]));
    let filled: Value = serde_json::from_str(
        r#"{
        "gap_id": 4, "incarnation": "abababab-abab-abab-abab-abababababab",
        "incarnation_number": 1, "session": "DEMO000001", "channel": 3, "first": 10, "last": 12,
        "messages": 3, "state": "filled", "left_open": false, "continued_by": [],
        "detected_ns": 77, "messages_lost": 0, "lost": [], "reason": "", "sources": ["request"],
        "lines_missed": ["A", "B"], "lost_on": "all", "waited_ns": 0, "requested_ns": 0,
        "requested_last_ns": 0, "partial_ns": 0, "snapshot_ns": 0, "closed_ns": 99000,
        "attempts": 2, "missing": 0, "by_line_a": 0, "by_line_b": 0, "by_other_lines": 0,
        "by_request": 3, "by_stream": 0, "by_peer": 0, "by_snapshot": 0, "stale_answers": 0,
        "injected": 0, "fault": "oversize", "slo_violated": false, "drop_verdict": "",
        "drop_count": 0, "noted": false,
        "notes": [{"at_ns": 5, "actor": "ops", "note": "late again"}],
        "opened_seq": 2, "filled_seq": 3, "row_seq": 4, "contradictions": []
    }"#,
    )
    .expect("JSON");
    assert_eq!(ledger[0], filled);
    let open = &ledger[1];
    assert_eq!((ledger.len(), &open["state"]), (2, &json!("open")));
    assert_eq!(
        (&open["sources"], &open["by_request"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        open.as_object().map(|it| it.len()),
        filled.as_object().map(|it| it.len())
    );
    let only_open = lines(&run(&["gaps", text(dir.path()), "--json", "--open"]));
    assert_eq!(only_open[..], ledger[1..]);
}

/// A range of records: a gap whose opening is not among them is told as far as it is known, with
/// the session of its time.
#[test]
fn a_range_of_records() {
    let dir = tempdir().expect("a directory");
    two_gaps(dir.path());
    let ledger = lines(&run(&[
        "gaps",
        text(dir.path()),
        "--json",
        "--from",
        "3",
        "--to",
        "5",
    ]));
    assert_eq!(ledger.len(), 1);
    assert_eq!(
        (&ledger[0]["state"], &ledger[0]["opened_seq"]),
        (&json!("filled"), &Value::Null)
    );
    assert_eq!(ledger[0]["session"], "DEMO000001");
    let none = lines(&run(&["gaps", text(dir.path()), "--json", "--to", "1"]));
    assert!(none.is_empty());
}

/// One line for each gap, for people.
#[test]
fn text_for_people() {
    let dir = tempdir().expect("a directory");
    two_gaps(dir.path());
    let output = run(&["gaps", text(dir.path())]);
    let expected = "1.4 10..=12 (3) filled, by request, missed on A+B, lost on all lines, asked 2 \
                    times, fault oversize, after 22 us, ops: late again\n2.4 10..=12 (3) open\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// Damage ends with an error and the code of damage after the gaps that could be read; what is no
/// journal is an error as for the other commands.
#[test]
fn damage_is_an_error() {
    let dir = tempdir().expect("a directory");
    two_gaps(dir.path());
    let file = dir.path().join("00000000000000000001.seg");
    let mut bytes = fs::read(&file).expect("reads");
    bytes[300] ^= 1;
    fs::write(&file, bytes).expect("writes");
    let damaged = run(&["gaps", text(dir.path()), "--json"]);
    let as_cat = run(&["cat", text(dir.path()), "--json"]);
    assert_ne!(code(&damaged), 0);
    assert_eq!(code(&damaged), code(&as_cat));
    let said = errors(&damaged);
    assert!(
        said.contains("bad_payload at 00000000000000000001.seg"),
        "{said}"
    );
    let missing = dir.path().join("missing");
    assert_eq!(code(&run(&["gaps", text(&missing)])), 78);
}

/// A record that is not what its kind says is named.
#[test]
fn a_malformed_record_is_named() {
    let dir = tempdir().expect("a directory");
    let mut day = Day::open(dir.path(), MS);
    day.append(kind::GAP_ROW, 1, b"no row");
    day.writer.close().expect("closes");
    let output = run(&["gaps", text(dir.path())]);
    assert_ne!(code(&output), 0);
    let said = errors(&output);
    assert!(
        said.contains("journal record 1, GAP_ROW, cannot be read"),
        "{said}"
    );
    assert!(said.contains("280 bytes, not 6"), "{said}");
}
