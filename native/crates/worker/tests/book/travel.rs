//! `tickdeck-book offline` at points of a stream: `--at`, `--diff`, `--snapshots`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tickdeck_journal::Reader as Journal;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{SessionEventKind, kind};

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE, journal_dir};
use crate::worker::{BOOK, Worker, snapshot_dir};

fn offline(input: &Path, extra: &[&str]) -> Output {
    let mut command = Command::new(BOOK);
    command.args(["offline", "--json", "--input"]).arg(input);
    command.args(extra).output().expect("tickdeck-book starts")
}

fn printed(output: &Output) -> Value {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn books(input: &Path, extra: &[&str]) -> Value {
    printed(&offline(input, extra))
}

/// The checkpoints of `--at`, one book's only.
fn at(input: &Path, points: &str, extra: &[&str]) -> Vec<Value> {
    let found = books(
        input,
        &[&["--at", points, "--symbol", "S0001"], extra].concat(),
    );
    found["checkpoints"].as_array().expect("a list").clone()
}

/// What a checkpoint says of the book, whatever it was asked by.
fn content(checkpoint: &Value) -> Value {
    let keys = ["symbol", "orders", "bids", "asks", "state_hash"];
    json!(keys.map(|key| checkpoint[key].clone()))
}

fn write(flow: &Flow, path: &Path) {
    fs::write(path, flow.blocks(1, flow.last())).expect("file");
}

/// A journal of one session: everything, or all but the messages `lost`.
fn journal(root: &Path, flow: &Flow, lost: Option<(u64, u64)>) {
    let mut receiver = Receiver::start(root, WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    match lost {
        None => receiver.data(flow, 1, flow.last()),
        Some((first, last)) => {
            receiver.data(flow, 1, first - 1);
            receiver.lost(1, first, last);
            receiver.data(flow, last + 1, flow.last());
        }
    }
    receiver.close();
}

fn day_time(message: &[u8]) -> u64 {
    let bytes = message[5..11].iter();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn day_text(ns: u64) -> String {
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!(
        "{:02}:{:02}:{seconds:02}.{fraction:09}",
        minutes / 60,
        minutes % 60
    )
}

/// Points of a file are numbers of messages; they hold what a checkpoint there holds, and reading
/// ends with the last of them.
#[test]
fn points_of_a_file_are_its_messages() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(60_000);
    let file = root.path().join("day");
    write(&flow, &file);
    let plain = books(&file, &["--messages", "700,1900", "--symbol", "S0001"]);
    let found = books(&file, &["--at", "1900, 700", "--symbol", "S0001"]);
    let points = found["checkpoints"].as_array().expect("a list");
    assert_eq!(points.len(), 2, "in the order of the file: {points:?}");
    for (point, checkpoint) in points
        .iter()
        .zip(plain["checkpoints"].as_array().expect("a list"))
    {
        assert_eq!(content(point), content(checkpoint));
        assert_eq!(point["message"], checkpoint["message"]);
    }
    assert_eq!(
        (
            &points[1]["wanted"],
            &points[1]["sequence"],
            &points[1]["record"]
        ),
        (&json!("1900"), &json!(1900), &Value::Null)
    );
    assert_eq!(found["final"]["stopped"], true);
    let messages = found["final"]["messages"].as_u64().expect("a number");
    assert!((1900..flow.last()).contains(&messages), "{messages}");
    assert_eq!(found["final"]["place"]["message"], messages);
    // With checkpoints wanted too, everything is read.
    let whole = books(&file, &["--at", "700", "--every", "50000"]);
    assert_eq!(whole["final"]["messages"], flow.last());
    assert_eq!(whole["final"]["stopped"], false);
}

/// A venue sequence of a journal: inside a run, in a lost range, behind the end; each time the state
/// after the last message at or before it, and the place says which that is.
#[test]
fn points_of_a_journal_are_venue_sequences() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    journal(root.path(), &flow, Some((1_501, 1_520)));
    let journal = journal_dir(root.path());
    let last = flow.last();
    let wanted = format!("1000,1500,1510,1521,{}", last + 5);
    let points = at(&journal, &wanted, &[]);
    let places: Vec<_> = points
        .iter()
        .map(|point| point["sequence"].as_u64())
        .collect();
    assert_eq!(places, [1000, 1500, 1500, 1521, last].map(Some));
    let trusts: Vec<_> = points.iter().map(|point| point["trust"].as_str()).collect();
    let trusts: Vec<_> = trusts.into_iter().flatten().collect();
    assert_eq!(trusts, ["GOOD", "GOOD", "SUSPECT", "SUSPECT", "SUSPECT"]);
    assert_eq!(points[3]["message"], 1501);
    assert!(points[3]["record"].as_u64() > points[0]["record"].as_u64());

    let file = root.path().join("day");
    write(&flow, &file);
    let whole = at(&file, "1000,1500", &[]);
    assert_eq!(content(&points[0]), content(&whole[0]));
    assert_eq!(content(&points[1]), content(&whole[1]));
    assert_eq!(content(&points[2]), content(&whole[1]));
}

/// The books of a snapshot are those of the place where it ends: a sequence before that is answered
/// with the books before the snapshot, which lack messages, and never with those.
#[test]
fn a_snapshot_answers_no_earlier_sequence() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(1_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.lost(1, 1, 499);
    receiver.snapshot(&flow, 500);
    receiver.data(&flow, 500, flow.last());
    receiver.close();
    let found = books(&journal_dir(root.path()), &["--at", "200,499"]);
    let points = found["checkpoints"].as_array().expect("a list");
    let of = |wanted: &str| {
        let of_point = points.iter().filter(|point| point["wanted"] == wanted);
        of_point.cloned().collect::<Vec<Value>>()
    };
    let orders = |points: &[Value]| -> u64 {
        let orders = points.iter().map(|point| point["orders"].as_u64());
        orders.map(Option::unwrap_or_default).sum()
    };
    let (before, behind) = (of("200"), of("499"));
    assert_eq!(orders(&before), 0, "{before:?}");
    assert!(orders(&behind) > 0, "{points:?}");
    assert!(
        behind.iter().all(|point| point["trust"] == "GOOD"),
        "{behind:?}"
    );
    assert!(
        before.iter().all(|point| point["trust"] != "GOOD"),
        "{before:?}"
    );
}

/// A time of day is that of the messages, a date and time that of the receiver: both give the state
/// after the last message at or before them.
#[test]
fn points_may_be_times() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    journal(root.path(), &flow, None);
    let dir = journal_dir(root.path());
    let time = day_time(&flow.messages[1_233]);
    let is_at_or_before = |message: &&Vec<u8>| day_time(message) <= time;
    let before = flow.messages.iter().take_while(is_at_or_before).count();
    let file = root.path().join("day");
    write(&flow, &file);
    for input in [&dir, &file] {
        let by_time = at(input, &day_text(time), &[]);
        assert_eq!(by_time[0]["sequence"], before);
        assert_eq!(
            by_time[0]["day_time_ns"],
            day_time(&flow.messages[before - 1])
        );
        assert_eq!(
            content(&by_time[0]),
            content(&at(input, &before.to_string(), &[])[0])
        );
        let just_before = at(input, &day_text(time - 1), &[]);
        assert!(just_before[0]["sequence"].as_u64() < Some(before as u64));
    }

    let mut reader = Journal::open(&dir).expect("journal");
    reader.seek(100).expect("record");
    let entry = reader.next().expect("record").expect("record");
    let (rx_ns, first) = (entry.record.rx_ns, entry.record.venue_seq);
    let seconds = rx_ns / 1_000_000_000;
    let days = seconds / 86_400;
    // Days since 1970 to a date by counting, as nobody's library does it here.
    let text = format!("{}T{}Z", date(days), day_text(rx_ns % 86_400_000_000_000));
    let found = at(&dir, &text, &[]);
    let sequence = found[0]["sequence"].as_u64().expect("a number");
    assert!(
        sequence >= first + 6,
        "the record itself is in: {sequence} {first}"
    );
    assert_eq!(
        found[0]["time_ns"].as_u64().map(|ns| ns <= rx_ns),
        Some(true)
    );
    assert_eq!(
        content(&found[0]),
        content(&at(&dir, &sequence.to_string(), &[])[0])
    );
}

fn date(mut days: u64) -> String {
    let is = |year: u64, every: u64| year.is_multiple_of(every);
    let is_leap = |year| is(year, 4) && (!is(year, 100) || is(year, 400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    for (month, length) in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        .iter()
        .enumerate()
    {
        if days < *length {
            return format!("{year}-{:02}-{:02}", month + 1, days + 1);
        }
        days -= length;
    }
    unreachable!("a year has twelve months")
}

/// A sequence is that of the newest session, though an older one had it too.
#[test]
fn a_sequence_is_of_the_newest_session() {
    let root = tempfile::tempdir().expect("temporary directory");
    let (old, new) = (Flow::new(2_000), Flow::new(1_200));
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&old, 1, old.last());
    let next = Session(*b"BOOKTEST02");
    receiver.session(SessionEventKind::Changed, next, 1);
    receiver.data(&new, 1, 600);
    // A restart of the receiver goes on with the session.
    receiver.session(SessionEventKind::Resumed, next, 601);
    receiver.data(&new, 601, new.last());
    receiver.close();
    let point = &at(&journal_dir(root.path()), "500", &[])[0];
    assert_eq!(point["sequence"], 500);
    assert!(point["record"].as_u64() > Some(old.last() / 7), "{point}");
    let file = root.path().join("new");
    write(&new, &file);
    assert_eq!(content(point), content(&at(&file, "500", &[])[0]));
}

/// With the book worker's snapshots a late point is answered from the newest one that fits, and the
/// answer is the same to the byte; an early point, a foreign or a damaged snapshot start at the
/// beginning.
#[test]
fn snapshots_change_no_answer() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(4_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    let mut live = Worker::ready(root.path());
    receiver.data(&flow, 1, 1_000);
    receiver.lost(1, 1_001, 1_010);
    receiver.data(&flow, 1_011, 2_000);
    live.wait_status("messages", 1_990);
    let snapshot = live.call("book.snapshot", json!({})).expect("snapshot");
    receiver.gap(kind::GAP_OPEN, 2, 2_001, 2_002);
    receiver.gap(kind::GAP_FILLED, 2, 2_001, 2_002);
    receiver.data(&flow, 2_001, 3_000);
    live.wait_status("messages", 2_990);
    receiver.data(&flow, 3_001, flow.last());
    live.wait_status("messages", flow.last() - 10);
    drop(live);
    receiver.close();

    let (dir, journal) = (snapshot_dir(root.path()), journal_dir(root.path()));
    let snapshots = dir.to_str().expect("text");
    let later = day_text(day_time(&flow.messages[2_500]));
    let earlier = day_text(day_time(&flow.messages[500]));
    for (points, is_used) in [
        ("2500", true),
        ("2001,2002,3500", true),
        (&*later, true),
        ("9999999", true),
        ("2000", false),
        ("1500,2500", false),
        (&*earlier, false),
        ("2000-01-01T00:00:00Z", false),
        ("2200-01-01T00:00:00Z", true),
    ] {
        let quick = offline(&journal, &["--at", points, "--snapshots", snapshots]);
        assert_eq!(
            printed(&quick),
            books(&journal, &["--at", points]),
            "{points}"
        );
        let log = String::from_utf8_lossy(&quick.stderr).into_owned();
        assert_eq!(
            log.contains("begins with this snapshot"),
            is_used,
            "{points}: {log}"
        );
    }
    let diff = ["--diff", "2100,3900"];
    let quick = books(&journal, &[&diff[..], &["--snapshots", snapshots]].concat());
    assert_eq!(quick, books(&journal, &diff));

    // The same snapshot beside another journal, and cut.
    let other = tempfile::tempdir().expect("temporary directory");
    self::journal(other.path(), &flow, None);
    let foreign = journal_dir(other.path());
    let quick = offline(&foreign, &["--at", "2500", "--snapshots", snapshots]);
    assert_eq!(printed(&quick), books(&foreign, &["--at", "2500"]));
    assert!(String::from_utf8_lossy(&quick.stderr).contains("another journal"));
    let path = snapshot["path"].as_str().expect("a path").to_owned();
    let whole = fs::read(&path).expect("snapshot");
    fs::write(&path, &whole[..whole.len() - 1]).expect("snapshot");
    let quick = offline(&journal, &["--at", "2500", "--snapshots", snapshots]);
    assert_eq!(printed(&quick), books(&journal, &["--at", "2500"]));
    assert!(String::from_utf8_lossy(&quick.stderr).contains("passed over"));
    assert!(Path::new(&path).exists(), "a reader sets nothing aside");
}

/// A difference names what is not alike at two points and nothing else, in both directions.
#[test]
fn a_difference_is_that_of_the_two_books() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let file = root.path().join("day");
    write(&flow, &file);
    let symbol = ["--symbol", "S0001", "--levels", "100000"];
    let diff = |points: &str| books(&file, &[&["--diff", points], &symbol[..]].concat());
    let found = diff("1000,2900");
    let book = &found["books"][0];
    let sides = at(&file, "1000,2900", &["--levels", "100000"]);
    let mut changes = 0;
    for (name, key) in [("bid", "bids"), ("ask", "asks")] {
        let levels = |point: usize| sides[point][key].as_array().expect("a list").clone();
        let of = |levels: &[Value], price: &Value| {
            let level = levels.iter().find(|level| level[0] == *price);
            level.map_or(Value::Null, |level| json!([level[1], level[2]]))
        };
        let (old, new) = (levels(0), levels(1));
        for level in old.iter().chain(&new) {
            let (before, after) = (of(&old, &level[0]), of(&new, &level[0]));
            let listed = book["levels"].as_array().expect("a list").iter();
            let mut listed = listed.filter(|one| one["side"] == name && one["price"] == level[0]);
            match listed.next() {
                Some(one) => {
                    assert_eq!((&one["before"], &one["after"]), (&before, &after));
                    assert_ne!(before, after);
                }
                None => assert_eq!(before, after, "{name} {}", level[0]),
            }
        }
        changes += book["levels"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|one| one["side"] == name)
            .count();
    }
    let count = |book: &Value, key: &str| book[key].as_u64().expect("a number");
    let counts = |book: &Value, keys: [&str; 3]| keys.map(|key| count(book, key));
    let levels = counts(book, ["levels_added", "levels_removed", "levels_changed"]);
    assert_eq!(levels.iter().sum::<u64>(), changes as u64);
    assert!(changes > 0 && levels[0] > 0, "{levels:?}");
    let orders = counts(book, ["orders_entered", "orders_left", "orders_changed"]);
    let at_end = |point: usize| count(&sides[point], "orders");
    assert_eq!(at_end(0) + orders[0] - orders[1], at_end(1));

    let back = diff("2900,1000");
    let back = &back["books"][0];
    assert_eq!(
        counts(back, ["orders_left", "orders_entered", "orders_changed"]),
        orders
    );
    assert_eq!(
        counts(back, ["levels_removed", "levels_added", "levels_changed"]),
        levels
    );
    let none = diff("1000,1000");
    assert_eq!(none["books"][0]["levels"], json!([]));
    // The lists are cut, the counts are not.
    let short = books(
        &file,
        &["--diff", "1000,2900", "--symbol", "S0001", "--levels", "1"],
    );
    let short = &short["books"][0];
    assert!(short["levels"].as_array().expect("a list").len() <= 2);
    assert_eq!(
        counts(short, ["levels_added", "levels_removed", "levels_changed"]),
        levels
    );
}

/// Points that an input cannot have are refused before anything is printed.
#[test]
fn impossible_points_are_refused() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(1_000);
    let file = root.path().join("day");
    write(&flow, &file);
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--at", "noon"], 2, "is no point"),
        (&["--at", "2026-01-02T00:00:00Z"], 78, "no receive times"),
        (&["--at", "5", "--snapshots", "/nowhere"], 78, "no journal"),
        (&["--diff", "5"], 78, "two points"),
        (&["--diff", "5,6", "--at", "7"], 2, "cannot be used with"),
    ];
    for (arguments, code, words) in cases {
        let output = offline(&file, arguments);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(log.contains(words), "{words}: {log}");
        assert!(output.stdout.is_empty());
    }
}
