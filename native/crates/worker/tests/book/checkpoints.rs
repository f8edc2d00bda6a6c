//! Checkpoints in the journal: taken by one worker, compared by the next and by `verify`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tickdeck_journal::{Reader, Record, SyncPolicy, Writer, WriterConfig};
use tickdeck_wire::record::{Checkpoint, SessionEventKind, kind};

use crate::flow::Flow;
use crate::live::LiveReceiver;
use crate::receiver::{Receiver, SESSION, WIDE, journal_dir};
use crate::worker::{BOOK, Worker, wait_for};

/// Messages between two checkpoints.
const EVERY: u64 = 400;

/// Checkpoints of a live book get into the journal of a real receiver; a worker that takes over
/// after kill -9, from the journal alone or from a snapshot on, finds its own books in every one
/// that it passes, and so does `verify`.
#[test]
fn checkpoints_outlive_the_worker_that_took_them() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(6_000);
    let receiver = LiveReceiver::start(root.path());
    let settings = json!({"checkpoint_messages": EVERY});
    let mut book = Worker::start_set(root.path(), &settings);
    book.wait_ready();
    let mut sent = take_checkpoints(&receiver, &book, &flow, 0, 4);
    book.wait_status("messages", sent);
    assert_eq!(book.status()["trust"], "GOOD");
    assert_eq!(book.value("book_checkpoint_errors_total"), 0);
    wait_for_journal(root.path(), 4);
    book.kill();

    let mut book = Worker::start_set(root.path(), &settings);
    book.wait_ready();
    book.wait_status("messages", sent);
    let compared = |book: &Worker| {
        ["equal", "incomparable"].map(|it| book.value(&format!("book_checkpoints_{it}_total")))
    };
    assert_eq!(compared(&book), [4, 0], "from the journal alone");
    assert_eq!(book.value("book_checkpoint_mismatches_total"), 0);
    book.call("book.snapshot", json!({})).expect("snapshot");
    sent = take_checkpoints(&receiver, &book, &flow, sent, 3);
    wait_for_journal(root.path(), 7);
    book.kill();

    let mut book = Worker::start_set(root.path(), &settings);
    book.wait_ready();
    book.wait_status("messages", sent);
    assert_eq!(compared(&book), [3, 0], "from the snapshot on");
    assert_eq!(book.hashes(), flow.hashes(sent, 0..0));
    drop(book);
    receiver.stop();

    let (code, report) = verify(&journal_dir(root.path()));
    assert_eq!(code, 0, "{report}");
    let counts = json!({"found": 7, "equal": 7, "different": 0, "not_comparable": 0});
    assert_eq!(report["checkpoints"], counts);
    assert_eq!(report["whole"], true);
    assert_eq!(report["messages"], sent);
}

/// One message of a journal was changed: `verify` names the first checkpoint behind it, and a
/// worker that reads the journal reports one mismatch, not one per checkpoint, and trusts no book
/// from where it was last right.
#[test]
fn a_changed_message_is_one_mismatch() {
    let (root, flow) = journal_with_checkpoints();
    let changed = tempfile::tempdir().expect("temporary directory");
    let place = checkpoints(&journal_dir(root.path()))[1];
    let mut is_changed = false;
    rewrite(root.path(), changed.path(), |seq, record| {
        if seq > place.cursor && record.kind == kind::DATA && !is_changed {
            let mut payload = record.payload.to_vec();
            is_changed = change_price(&mut payload);
            return vec![(record.kind, record.venue_seq, payload)];
        }
        vec![(record.kind, record.venue_seq, record.payload.to_vec())]
    });
    assert!(
        is_changed,
        "an order was added behind the second checkpoint"
    );
    let (code, report) = verify(&journal_dir(changed.path()));
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["checkpoints"]["equal"], 2, "{report}");
    assert_eq!(report["checkpoints"]["different"], 1, "{report}");
    let third = checkpoints(&journal_dir(root.path()))[2];
    let first = &report["first_difference"];
    assert_eq!(first["cursor"], third.cursor);
    assert_eq!(first["expected_hash"], format!("{:016x}", third.state_hash));
    assert_ne!(first["found_hash"], first["expected_hash"]);
    assert_eq!(report["sequence_errors"], 0);

    let mut book = Worker::start(changed.path());
    book.wait_status("messages", flow.last());
    book.wait_status("suspect_cause", "checkpoint_mismatch");
    assert_eq!(book.status()["suspect_since"], place.next_sequence);
    wait_for("the numbers", || {
        book.value("book_checkpoint_mismatches_total") == 1
    });
    assert_eq!(book.value("book_checkpoints_equal_total"), 2);
}

/// What a journal lost cannot be compared, which is no mismatch, but the journal is not whole;
/// records that come twice are told as breaks of the sequence.
#[test]
fn holes_and_disorder_are_told_apart() {
    let (root, _) = journal_with_checkpoints();
    let place = checkpoints(&journal_dir(root.path()))[1];
    let holed = tempfile::tempdir().expect("temporary directory");
    let mut is_holed = false;
    rewrite(root.path(), holed.path(), |seq, record| {
        let is_lost = seq >= place.cursor && record.kind == kind::DATA && !is_holed;
        is_holed |= is_lost;
        let kept = vec![(record.kind, record.venue_seq, record.payload.to_vec())];
        if is_lost { Vec::new() } else { kept }
    });
    let (code, report) = verify(&journal_dir(holed.path()));
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["checkpoints"]["different"], 0, "{report}");
    assert_eq!(report["checkpoints"]["equal"], 2, "{report}");
    assert!(
        report["checkpoints"]["not_comparable"].as_u64() > Some(0),
        "{report}"
    );
    assert_eq!(report["missing_records"], 1);

    let twice = tempfile::tempdir().expect("temporary directory");
    let last = last_data(&journal_dir(root.path()));
    rewrite(root.path(), twice.path(), |seq, record| {
        let kept = (record.kind, record.venue_seq, record.payload.to_vec());
        vec![kept; if seq == last { 2 } else { 1 }]
    });
    let (code, report) = verify(&journal_dir(twice.path()));
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["sequence_errors"], 1, "{report}");
    assert_eq!(report["first_sequence_error"], last + 1);
    assert_eq!(
        report["checkpoints"]["equal"],
        report["checkpoints"]["found"]
    );
}

/// Without a receiver that takes them, checkpoints are given up and counted; the books go on.
#[test]
fn a_receiver_that_takes_none_is_no_fault() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    let mut book = Worker::start_set(root.path(), &json!({"checkpoint_messages": 100}));
    book.wait_ready();
    let mut sent = 0;
    wait_for("two checkpoints to be given up", || {
        if sent < flow.last() {
            receiver.data(&flow, sent + 1, (sent + 50).min(flow.last()));
            sent = (sent + 50).min(flow.last());
        }
        book.value("book_checkpoint_errors_total") >= 6
    });
    receiver.data(&flow, sent + 1, flow.last());
    book.wait_status("messages", flow.last());
    assert_eq!(book.status()["trust"], "GOOD");
    assert_eq!(book.value("book_checkpoints_total"), 0);
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
}

/// Sends on until so many more checkpoints are in the stream; the last message that was sent.
fn take_checkpoints(
    receiver: &LiveReceiver,
    book: &Worker,
    flow: &Flow,
    sent: u64,
    wanted: u64,
) -> u64 {
    let (mut sent, mut goal) = (sent, 0);
    wait_for("checkpoints", || {
        let taken = book.value("book_checkpoints_total");
        let is_applied = book.value("book_messages_total") == sent;
        if is_applied && taken == goal && taken < wanted {
            let next = sent + EVERY;
            assert!(next <= flow.last(), "the flow is long enough");
            receiver.send(flow, sent + 1, next);
            (sent, goal) = (next, taken + 1);
            return false;
        }
        is_applied && taken == wanted
    });
    sent
}

/// A journal of a live receiver with at least four checkpoints and something behind the last.
fn journal_with_checkpoints() -> (tempfile::TempDir, Flow) {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let receiver = LiveReceiver::start(root.path());
    let book = Worker::start_set(root.path(), &json!({"checkpoint_messages": EVERY}));
    book.wait_ready();
    let sent = take_checkpoints(&receiver, &book, &flow, 0, 4);
    receiver.send(&flow, sent + 1, flow.last());
    wait_for("the rest", || {
        book.value("book_messages_total") == flow.last()
    });
    drop(book);
    receiver.stop();
    let (code, report) = verify(&journal_dir(root.path()));
    assert_eq!(code, 0, "{report}");
    (root, flow)
}

/// Exit code and answer of `tickdeck-book verify`.
fn verify(journal: &Path) -> (i32, Value) {
    let output = Command::new(BOOK)
        .args(["verify", "--json"])
        .arg(journal)
        .output()
        .expect("tickdeck-book runs");
    let report = serde_json::from_slice(&output.stdout).expect("an object");
    (output.status.code().expect("it ended"), report)
}

/// The checkpoints of a journal in order.
fn checkpoints(journal: &Path) -> Vec<Checkpoint> {
    let mut reader = Reader::open(journal).expect("a journal");
    let mut found = Vec::new();
    while let Some(entry) = reader.next().expect("a whole journal") {
        if entry.record.kind == kind::SNAPSHOT_ANCHOR {
            found.push(Checkpoint::decode(entry.record.payload).expect("a checkpoint"));
        }
    }
    found
}

/// Number of the last record with messages.
fn last_data(journal: &Path) -> u64 {
    let reader = Reader::open(journal).expect("a journal");
    let last = reader
        .last_record_of_kind(kind::DATA)
        .expect("a whole journal");
    last.expect("messages").seq
}

fn wait_for_journal(root: &Path, wanted: usize) {
    wait_for("the journal", || {
        checkpoints(&journal_dir(root)).len() == wanted
    });
}

type Kept = Vec<(u8, u64, Vec<u8>)>;

/// Copies a journal; `change` gives what takes the place of each record, nothing for a hole.
/// Checkpoints keep naming the same records.
fn rewrite(from: &Path, to: &Path, mut change: impl FnMut(u64, &Record<'_>) -> Kept) {
    let mut reader = Reader::open(journal_dir(from)).expect("a journal");
    let config = WriterConfig::new(journal_dir(to), 1 << 20, SyncPolicy::Os, 1);
    let mut writer = Writer::open(config).expect("journal").0;
    while let Some(entry) = reader.next().expect("a whole journal") {
        let kept = change(entry.seq, &entry.record);
        if kept.is_empty() {
            let seq = writer.next_seq();
            writer.append_hole(seq, seq, 1).expect("hole");
        }
        for (kind, venue_seq, payload) in kept {
            let record = Record {
                kind,
                venue_seq,
                payload: &payload,
                ..entry.record
            };
            writer.append(&record).expect("append");
        }
    }
    writer.close().expect("close");
}

/// Raises the price of the first order that is added in these message blocks, if there is one.
fn change_price(blocks: &mut [u8]) -> bool {
    let mut at = 0;
    while at + 2 <= blocks.len() {
        let len = usize::from(u16::from_be_bytes([blocks[at], blocks[at + 1]]));
        if blocks[at + 2] == b'A' {
            blocks[at + 2 + 35] ^= 1;
            return true;
        }
        at += 2 + len;
    }
    false
}
