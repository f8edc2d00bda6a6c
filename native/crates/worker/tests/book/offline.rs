//! `tickdeck-book offline`: files, journals, checkpoints, real order flow.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tickdeck_wire::binaryfile;
use tickdeck_wire::record::SessionEventKind;

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE, journal_dir};
use crate::worker::{BOOK, Worker};

fn offline(input: &Path, extra: &[&str]) -> Output {
    Command::new(BOOK)
        .args(["offline", "--protocol", "itch50", "--json", "--input"])
        .arg(input)
        .args(extra)
        .output()
        .expect("tickdeck-book starts")
}

/// The printed object of a run that succeeds.
fn books(input: &Path, extra: &[&str]) -> Value {
    let output = offline(input, extra);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Plain and gzip input, told by content, give the same books; checkpoints stand after the messages
/// asked for, for the instruments asked for.
#[test]
fn checkpoints_stand_where_they_were_asked_for() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let file = flow.blocks(1, flow.last());
    let (plain, packed) = (root.path().join("day"), root.path().join("packed"));
    fs::write(&plain, &file).expect("file");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&file).expect("memory");
    fs::write(&packed, gzip.finish().expect("memory")).expect("file");

    let whole = books(
        &plain,
        &["--every", "900", "--messages", "1000,1001", "--levels", "2"],
    );
    assert_eq!(
        books(
            &packed,
            &["--every", "900", "--messages", "1000,1001", "--levels", "2"]
        ),
        whole
    );
    let checkpoints = whole["checkpoints"].as_array().expect("a list");
    let messages: Vec<_> = checkpoints
        .iter()
        .filter_map(|c| c["message"].as_u64())
        .collect();
    assert_eq!(
        messages,
        [
            900, 900, 900, 1000, 1000, 1000, 1001, 1001, 1001, 1800, 1800, 1800
        ]
    );
    assert_eq!(checkpoints[0]["bids"].as_array().map(Vec::len), Some(2));
    assert_eq!(whole["final"]["messages"], flow.last());
    for book in whole["final"]["books"].as_array().expect("a list") {
        let symbol = book["symbol"].as_str().expect("a name");
        assert_eq!(book["queue_sha256"], flow.hashes(flow.last(), 0..0)[symbol]);
        assert_eq!(
            (&book["trust"], &whole["final"]["faults"]),
            (&json!("GOOD"), &json!({}))
        );
    }
    let one = books(&plain, &["--messages", "1000", "--symbol", "S0001"]);
    assert_eq!(one["checkpoints"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["checkpoints"][0]["symbol"], "S0001");
    assert_eq!(one["final"]["books"].as_array().map(Vec::len), Some(1));
}

/// Replaying a journal gives the same hashes as the live books, and what the stream said.
#[test]
fn a_journal_gives_the_live_books() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_500);
    receiver.lost(1, 1_501, 1_520);
    receiver.data(&flow, 1_521, flow.last());
    let mut live = Worker::ready(root.path());
    live.wait_status("messages", flow.last() - 20);

    let replayed = books(&journal_dir(root.path()), &[]);
    for book in replayed["final"]["books"].as_array().expect("a list") {
        let symbol = book["symbol"].as_str().expect("a name");
        assert_eq!(book["queue_sha256"], live.hashes()[symbol]);
        assert_eq!(
            (&book["trust"], &book["suspect_since"]),
            (&json!("SUSPECT"), &json!(1_501))
        );
    }
    let stream = &replayed["final"]["stream"];
    assert_eq!(
        (&stream["sequence_errors"], &stream["lost_messages"]),
        (&json!(0), &json!(20))
    );
}

/// A file that ends inside a message fails with the place, and what came before is printed.
#[test]
fn a_cut_file_fails_and_shows_what_it_has() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(1_000);
    let file = flow.blocks(1, flow.last());
    let path = root.path().join("cut");
    fs::write(&path, &file[..file.len() - 1]).expect("file");
    let output = offline(&path, &[]);
    assert_eq!(output.status.code(), Some(1));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(printed["final"]["messages"], flow.last() - 1);
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = file.len() - flow.messages[flow.messages.len() - 1].len() - 2;
    assert!(
        reason.contains(&format!("inside the message at byte {place}")),
        "{reason}"
    );
}

/// Input that is not there, or is no journal, is an error and prints nothing.
#[test]
fn absent_input_is_an_error() {
    let root = tempfile::tempdir().expect("temporary directory");
    for input in [root.path().join("absent"), root.path().to_owned()] {
        let output = offline(&input, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
    }
}

/// A file with wide stock fields is mended throughout, though it is read in pieces.
#[test]
fn wide_stock_fields_are_mended_in_every_piece() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(80_000);
    let mut wide = Vec::new();
    let mut widened = 0;
    for message in &flow.messages {
        let mut message = message.clone();
        let stock_end = match message[0] {
            b'R' | b'H' | b'Y' => 19,
            b'L' => 23,
            b'A' | b'F' | b'P' => 32,
            b'I' => 36,
            _ => 0,
        };
        if stock_end > 0 {
            message.splice(stock_end..stock_end, *b"XY");
            widened += 1;
        }
        binaryfile::push(&mut wide, &message).expect("messages are short");
    }
    let path = root.path().join("wide");
    fs::write(&path, &wide).expect("file");
    assert!(wide.len() > 2 << 20, "more than two pieces");
    let mended = books(&path, &[]);
    assert_eq!(mended["final"]["narrowed"], widened);
    assert_eq!(mended["final"]["faults"], json!({}));
    for book in mended["final"]["books"].as_array().expect("a list") {
        let symbol = book["symbol"].as_str().expect("a name");
        assert_eq!(book["queue_sha256"], flow.hashes(flow.last(), 0..0)[symbol]);
    }
}

/// Real order flow ends with the published books, the ten levels of every LOBSTER row included.
#[test]
fn real_files_end_as_published() {
    let Some((file, expected)) = real("es_mbo.itch.gz", "es_mbo.expected.json") else {
        return;
    };
    let found = books(&file, &["--every", "1000", "--levels", "1"]);
    assert_final(&found, &expected);
    for (found, expected) in pairs(&found, &expected) {
        assert_eq!(found["message"], expected["message"]);
        assert_eq!(
            found["orders"], expected["orders"],
            "message {}",
            found["message"]
        );
        for (best, side) in [("bid", "bids"), ("ask", "asks")] {
            let level = &found[side][0];
            let touch = level.as_array().map(|level| level[..2].to_vec());
            assert_eq!(json!(touch), expected[best], "message {}", found["message"]);
        }
    }

    let names = ("goog_lobster.itch.gz", "goog_lobster.expected.json.gz");
    let Some((file, expected)) = real(names.0, names.1) else {
        return;
    };
    let checkpoints = expected["checkpoints"].as_array().expect("a list");
    let messages: Vec<_> = checkpoints
        .iter()
        .map(|c| c["message"].to_string())
        .collect();
    let found = books(&file, &["--messages", &messages.join(",")]);
    assert_final(&found, &expected);
    for (found, expected) in pairs(&found, &expected) {
        for side in ["bids", "asks"] {
            let levels = found[side].as_array().expect("a list");
            let depth: Vec<_> = levels
                .iter()
                .map(|level| json!([level[0], level[1]]))
                .collect();
            assert_eq!(json!(depth), expected[side], "message {}", found["message"]);
        }
    }
}

fn pairs<'a>(
    found: &'a Value,
    expected: &'a Value,
) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let list = |value: &'a Value| value["checkpoints"].as_array().expect("a list");
    assert_eq!(list(found).len(), list(expected).len());
    list(found).iter().zip(list(expected))
}

fn assert_final(found: &Value, expected: &Value) {
    let (found, expected) = (&found["final"], &expected["final"]);
    assert_eq!(found["messages"], expected["messages"]);
    let book = &found["books"][0];
    for key in ["orders", "bid_levels", "ask_levels", "queue_sha256"] {
        assert_eq!(book[key], expected[key], "{key}");
    }
    for (best, side) in [("best_bid", "bids"), ("best_ask", "asks")] {
        assert_eq!(
            book[best],
            json!([expected[side][0][0], expected[side][0][1]]),
            "{best}"
        );
    }
    assert_eq!(
        (&book["trust"], &found["faults"]),
        (&json!("GOOD"), &json!({}))
    );
}

/// A file of the data folder and what is known of it; `None`, with a note, when it is not there.
fn real(file: &str, expected: &str) -> Option<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/itch50");
    let (file, expected) = (folder.join(file), folder.join(expected));
    if !file.exists() {
        eprintln!("skipped: {} is not there", file.display());
        return None;
    }
    let bytes = fs::read(&expected).expect("the expected books");
    let text = if expected
        .extension()
        .is_some_and(|extension| extension == "gz")
    {
        let mut text = Vec::new();
        let mut gzip = flate2::read::GzDecoder::new(bytes.as_slice());
        std::io::Read::read_to_end(&mut gzip, &mut text).expect("gzip");
        text
    } else {
        bytes
    };
    Some((file, serde_json::from_slice(&text).expect("JSON")))
}
