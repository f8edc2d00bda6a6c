//! `tickdeck-book offline --compare`: the first event in which two inputs differ.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tickdeck_wire::binaryfile;
use tickdeck_wire::record::{SessionEventKind, kind};

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE, journal_dir};
use crate::worker::BOOK;

fn compare(a: &Path, b: &Path, extra: &[&str]) -> Output {
    let mut command = Command::new(BOOK);
    command.args(["offline", "--input"]).arg(a);
    command.arg("--compare").arg(b).args(extra);
    command.output().expect("tickdeck-book starts")
}

/// The printed object, and the exit code.
fn found(a: &Path, b: &Path, extra: &[&str]) -> (Value, Option<i32>) {
    let output = compare(a, b, &[extra, &["--json"]].concat());
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    (value, output.status.code())
}

/// A file of these messages.
fn file(root: &Path, name: &str, messages: &[Vec<u8>]) -> PathBuf {
    let mut blocks = Vec::new();
    for message in messages {
        binaryfile::push(&mut blocks, message).expect("messages are short");
    }
    let path = root.join(name);
    fs::write(&path, blocks).expect("file");
    path
}

/// The index of the n-th add order message, from `from` on.
fn add(flow: &Flow, from: usize) -> usize {
    let is_add = |message: &Vec<u8>| message[0] == b'A';
    from + flow.messages[from..]
        .iter()
        .position(is_add)
        .expect("an add")
}

/// Journals of two hosts are equal whatever was packed, noted or recovered how.
#[test]
fn equal_inputs_say_so() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    let mut receiver = Receiver::start(&a, WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, flow.last());
    receiver.close();
    let mut receiver = Receiver::start(&b, WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_003);
    receiver.gap(kind::GAP_OPEN, 1, 1_004, 1_005);
    receiver.data(&flow, 1_004, 1_005);
    receiver.gap(kind::GAP_FILLED, 1, 1_004, 1_005);
    receiver.session(SessionEventKind::Resumed, SESSION, 1_006);
    receiver.data(&flow, 1_006, flow.last());
    receiver.close();
    let (a, b) = (journal_dir(&a), journal_dir(&b));
    let (value, code) = found(&a, &b, &["--stride", "100"]);
    assert_eq!((&value["equal"], code), (&json!(true), Some(0)), "{value}");
    assert_eq!(value["events"], json!([flow.last() + 1, flow.last() + 1]));
    assert_eq!(value["checkpoints"], (flow.last() + 1) / 100);
    assert_eq!(value["first_difference"], Value::Null);
    let text = compare(&a, &b, &[]);
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("equal: "));
}

/// One byte of one message, wherever it lies and however far the checkpoints are apart: the message
/// is found, both books stand beside it, and before it they are alike.
#[test]
fn the_first_differing_message_is_found() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(5_000);
    let a = file(root.path(), "a", &flow.messages);
    for (from, stride) in [
        (10, "64"),
        (2_000, "64"),
        (4_000, "7"),
        (4_000, "1000000"),
        (3_000, "1"),
    ] {
        let index = add(&flow, from);
        let mut messages = flow.messages.clone();
        messages[index][23] ^= 1; // its shares
        let b = file(root.path(), "b", &messages);
        let (value, code) = found(&a, &b, &["--stride", stride, "--levels", "3"]);
        assert_eq!((&value["equal"], code), (&json!(false), Some(1)));
        let difference = &value["first_difference"];
        assert_eq!(difference["event"], index + 1, "stride {stride}");
        assert_eq!(value["equal_events"], index);
        let (of_a, of_b) = (&difference["a"], &difference["b"]);
        assert_eq!(
            (&of_a["type"], &of_a["name"]),
            (&json!("A"), &json!("add order"))
        );
        assert_eq!(
            (&of_a["sequence"], &of_b["sequence"]),
            (&json!(index + 1), &json!(index + 1))
        );
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(of_a["hex"], hex(&flow.messages[index]));
        assert_eq!(of_b["hex"], hex(&messages[index]));
        let books = difference["books"].as_array().expect("a list");
        assert_eq!(books.len(), 1, "only the book of the message: {books:?}");
        let (side_a, side_b) = (&books[0]["a"], &books[0]["b"]);
        assert_eq!(side_a["before"], side_b["before"]);
        assert_ne!(side_a["after"]["state_hash"], side_b["after"]["state_hash"]);
        assert_ne!(
            side_a["before"]["state_hash"],
            side_a["after"]["state_hash"]
        );
    }
    let text = compare(&a, &root.path().join("b"), &[]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("different from event") && text.contains("A: message A add order"),
        "{text}"
    );
}

/// A difference that the books forget again is still the first; one that ends early is a difference
/// too.
#[test]
fn what_the_books_forget_is_found_and_so_is_an_end() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let a = file(root.path(), "a", &flow.messages);
    // A message of no type changes no book.
    let mut messages = flow.messages.clone();
    let index = flow
        .messages
        .iter()
        .position(|message| message[0] == b'P')
        .expect("a trade");
    messages[index][30] ^= 1;
    let b = file(root.path(), "b", &messages);
    let (value, code) = found(&a, &b, &["--stride", "50"]);
    assert_eq!(
        (&value["first_difference"]["event"], code),
        (&json!(index + 1), Some(1))
    );
    assert_eq!(value["books_equal_at_end"], true);
    let books = value["first_difference"]["books"]
        .as_array()
        .expect("a list");
    assert_eq!(books.len(), 1, "the book that the trade is about");

    let short = file(root.path(), "short", &flow.messages[..1_700]);
    let (value, code) = found(&a, &short, &["--stride", "50"]);
    let difference = &value["first_difference"];
    assert_eq!((&difference["event"], code), (&json!(1_701), Some(1)));
    assert_eq!(
        (&difference["a"]["message"], &difference["b"]),
        (&json!(1_701), &Value::Null)
    );
    assert_eq!(value["events"], json!([flow.last(), 1_700]));
}

/// A loss in one of two journals is the first difference, with what it did to the trust.
#[test]
fn a_loss_is_a_difference() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    for (root, lost) in [(&a, false), (&b, true)] {
        let mut receiver = Receiver::start(root, WIDE);
        receiver.session(SessionEventKind::Started, SESSION, 1);
        receiver.data(&flow, 1, 1_000);
        if lost {
            receiver.lost(1, 1_001, 1_003);
            receiver.data(&flow, 1_004, flow.last());
        } else {
            receiver.data(&flow, 1_001, flow.last());
        }
        receiver.close();
    }
    let (value, code) = found(&journal_dir(&a), &journal_dir(&b), &["--stride", "64"]);
    let difference = &value["first_difference"];
    // The session is the first event.
    assert_eq!((&difference["event"], code), (&json!(1_002), Some(1)));
    assert_eq!(difference["a"]["sequence"], 1_001);
    assert_eq!(difference["b"]["kind"], "gap_lost");
    let trusts = difference["books"].as_array().expect("a list").iter();
    assert!(trusts.clone().count() == 3, "every book lost its trust");
    for book in trusts {
        assert_eq!(book["b"]["before"]["trust"], "GOOD");
        assert_eq!(book["b"]["after"]["trust"], "SUSPECT");
    }
}

/// What cannot be read is neither equal nor different.
#[test]
fn trouble_has_a_code_of_its_own() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(1_000);
    let a = file(root.path(), "a", &flow.messages);
    let whole = fs::read(&a).expect("file");
    let cut = root.path().join("cut");
    fs::write(&cut, &whole[..whole.len() - 1]).expect("file");
    // Equal inputs, but the answer cannot be written: neither "equal" nor "different".
    let full = fs::File::options().write(true).open("/dev/full");
    let mut command = Command::new(BOOK);
    command.args(["offline", "--input"]).arg(&a);
    command.arg("--compare").arg(&a);
    let status = command.stdout(full.expect("/dev/full")).status();
    assert_eq!(status.expect("tickdeck-book starts").code(), Some(2));
    for b in [&root.path().join("absent"), &cut] {
        for output in [compare(&a, b, &["--json"]), compare(b, &a, &["--json"])] {
            assert_eq!(output.status.code(), Some(2));
            assert!(output.stdout.is_empty());
            assert!(!output.stderr.is_empty());
        }
    }
}
