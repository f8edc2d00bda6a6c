//! `verify`, `cat` and `info`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::tempdir;
use tickdeck_wire::record::{SessionEventKind, kind};

use crate::support::*;

/// Session, gap, data, loss, hole, data, end: 8 records, sequences 1 to 26.
fn short_day(dir: &Path) {
    let mut day = Day::open(dir, MS);
    day.session(SessionEventKind::Started, FIRST, 1);
    day.data(FIRST, 1, &[b"one", b"two"]);
    day.gap(kind::GAP_OPEN);
    day.gap(kind::GAP_LOST);
    day.data(FIRST, 13, &[b""]);
    day.writer.append_hole(6, 24, 1).expect("appends");
    day.data(FIRST, 14, &[b"x"]);
    day.session(SessionEventKind::Ended, FIRST, 15);
    day.writer.close().expect("closes");
}

/// A whole journal: exit code 0 and exactly the agreed object.
#[test]
fn verify_whole() {
    let dir = tempdir().expect("a directory");
    short_day(dir.path());
    let output = run(&["verify", text(dir.path()), "--json"]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert_eq!(
        json(&output),
        json!({"segments": 1, "records": 8, "first_seq": 1, "last_seq": 26, "durable_seq": 26,
               "problems": []})
    );
    let output = run(&["verify", text(dir.path())]);
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        said,
        "whole: 1 segments, 8 records, sequences 1 to 26, durable 26\n"
    );
}

/// A damaged journal: exit code 1, and the problem with file, offset, class and bounds.
#[test]
fn verify_damaged() {
    let dir = tempdir().expect("a directory");
    short_day(dir.path());
    let file = dir.path().join("00000000000000000001.seg");
    let mut bytes = fs::read(&file).expect("reads");
    bytes[300] ^= 1;
    fs::write(&file, bytes).expect("writes");
    let output = run(&["verify", text(dir.path()), "--json"]);
    assert_eq!(code(&output), 1);
    let problem = &json(&output)["problems"][0];
    assert_eq!(problem["file"], "00000000000000000001.seg");
    assert_eq!(problem["class"], "bad_payload");
    assert_eq!((&problem["from"], &problem["to"]), (&json!(1), &json!(24)));
    assert_eq!(problem["offset"], 128);
    let output = run(&["verify", text(dir.path())]);
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(
        said.starts_with("bad_payload at 00000000000000000001.seg+128"),
        "{said}"
    );
    assert!(said.contains("1 problem: "), "{said}");
}

/// What is no journal gets a clear error and a code of its own, not a report.
#[test]
fn no_journal_is_an_error() {
    let dir = tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    for command in ["verify", "cat"] {
        for path in [dir.path(), &missing] {
            let output = run(&[command, text(path), "--json"]);
            assert_eq!(code(&output), 78, "{command}: {}", errors(&output));
            assert!(
                errors(&output).contains("holds no journal"),
                "{}",
                errors(&output)
            );
            assert!(output.stdout.is_empty());
        }
    }
    let output = run(&["info", text(&missing), "--json"]);
    assert_eq!(code(&output), 78);
    // A directory that a writer is about to fill is not an error for those who only look.
    let output = run(&["info", text(dir.path()), "--json"]);
    assert_eq!((code(&output), &json(&output)["segments"]), (0, &json!([])));
}

/// Every record with its fields, the events spelled out; ranges are inclusive.
#[test]
fn cat_prints_records() {
    let dir = tempdir().expect("a directory");
    short_day(dir.path());
    let lines = |args: &[&str]| -> Vec<Value> {
        let output = run(&[&["cat", text(dir.path()), "--json"], args].concat());
        assert_eq!(code(&output), 0, "{}", errors(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let all = lines(&["--payload"]);
    let kinds: Vec<&str> = all
        .iter()
        .map(|line| line["kind"].as_str().expect("text"))
        .collect();
    assert_eq!(
        kinds,
        [
            "session",
            "data",
            "gap_open",
            "gap_lost",
            "data",
            "journal_hole",
            "data",
            "session"
        ]
    );
    let first = json!({
        "seq": 1, "kind": "session", "line": "A", "stamp": "kernel", "channel": 3, "venue_seq": 1,
        "rx_ns": BEGIN_NS + MS, "length": 24, "event": "started", "session": "DEMO000001",
        "next_sequence": 1, "payload": "01000000000044454d4f3030303030310100000000000000",
    });
    assert_eq!(all[0], first);
    assert_eq!(
        (&all[1]["messages"], &all[1]["payload"]),
        (&json!(2), &json!("00036f6e65000374776f"))
    );
    assert_eq!(
        (&all[3]["gap_id"], &all[3]["reason"]),
        (&json!(4), &json!("attempts_exhausted"))
    );
    assert_eq!(
        (&all[5]["from"], &all[5]["to"], &all[5]["seq"]),
        (&json!(6), &json!(24), &json!(6))
    );
    let seqs = |lines: &[Value]| -> Vec<u64> {
        lines
            .iter()
            .map(|line| line["seq"].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(seqs(&all), [1, 2, 3, 4, 5, 6, 25, 26]);
    assert_eq!(seqs(&lines(&["--from", "3", "--to", "5"])), [3, 4, 5]);
    assert_eq!(
        seqs(&lines(&["--from", "20"])),
        [6, 25, 26],
        "the hole spends 20"
    );
    let output = run(&["cat", text(dir.path()), "--from", "2", "--to", "2"]);
    assert_eq!(
        String::from_utf8(output.stdout).expect("text"),
        format!(
            "seq=2 kind=data line=A stamp=kernel channel=3 venue_seq=1 rx_ns={} length=10 \
             messages=2\n",
            BEGIN_NS + 2 * MS
        )
    );
    let output = run(&["cat", text(dir.path()), "--from", "0"]);
    assert_eq!(code(&output), 78);
}

/// A reader that has seen enough ends `cat` without an error.
#[test]
fn cat_survives_a_closed_pipe() {
    let dir = tempdir().expect("a directory");
    let mut day = Day::open(dir.path(), MS);
    for seq in 0..20_000 {
        day.append(kind::DATA, seq, b"");
    }
    day.writer.close().expect("closes");
    let mut child = command(&["cat", text(dir.path())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("is piped"))
        .read_line(&mut line)
        .expect("reads");
    assert!(line.starts_with("seq=1 "));
    let output = child.wait_with_output().expect("ends");
    assert_eq!((code(&output), errors(&output)), (0, String::new()));
}

/// Damage ends `cat` with an error, after everything that could be read.
#[test]
fn cat_stops_at_damage() {
    let dir = tempdir().expect("a directory");
    let mut day = Day::open(dir.path(), MS);
    for seq in 0..1_000 {
        day.append(kind::DATA, seq, b"");
    }
    day.writer.close().expect("closes");
    let file = dir.path().join("00000000000000000002.seg");
    let mut bytes = fs::read(&file).expect("reads");
    bytes[200] ^= 1;
    fs::write(&file, bytes).expect("writes");
    let output = run(&["cat", text(dir.path())]);
    assert_eq!(code(&output), 76);
    assert!(errors(&output).contains("bad_"), "{}", errors(&output));
    let printed = String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .count();
    assert!((100..900).contains(&printed), "{printed} lines");
}

/// Segments, sequences, and whether a writer holds the log, closed it or died.
#[test]
fn info_tells_where_a_journal_stands() {
    let dir = tempdir().expect("a directory");
    let mut day = Day::open(dir.path(), MS);
    for seq in 0..1_000 {
        day.append(kind::DATA, seq, b"abc");
    }
    day.writer.flush().expect("writes");
    let info = || json(&run(&["info", text(dir.path()), "--json"]));
    let said = || String::from_utf8(run(&["info", text(dir.path())]).stdout).expect("text");
    let answer = info();
    assert_eq!(
        (&answer["first_seq"], &answer["last_seq"]),
        (&json!(1), &json!(1000))
    );
    assert_eq!(
        (&answer["has_writer"], &answer["clean"]),
        (&json!(true), &json!(false))
    );
    let segments = answer["segments"].as_array().expect("a list");
    assert!(segments.len() > 2);
    assert_eq!(segments[0]["file"], "00000000000000000001.seg");
    assert_eq!(
        (&segments[0]["base_seq"], &segments[0]["sealed"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(segments.last().expect("one")["sealed"], false);
    assert!(said().contains("being written"), "{}", said());
    drop(day);
    assert_eq!(info()["has_writer"], false);
    assert!(said().contains("left by a crash"), "{}", said());
    Day::open(dir.path(), MS).writer.close().expect("closes");
    assert_eq!(info()["clean"], true);
    assert!(said().contains("closed"), "{}", said());
}
