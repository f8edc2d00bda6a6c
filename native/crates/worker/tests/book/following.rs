//! Following a living receiver: order of start, trust, queries, laps, pulse.

use rustix::process::Signal;
use serde_json::json;
use tickdeck_wire::record::{SessionEventKind, kind};

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE, journal_dir};
use crate::worker::{Worker, wait_for};

/// A worker that starts before its receiver waits, says for what, answers meanwhile, and then
/// follows to the right books.
#[test]
fn it_waits_for_the_receiver() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut book = Worker::start(root.path());
    book.wait_status("stage", "waiting_for_journal");
    assert_eq!(book.status()["state"], "STARTING");
    assert_eq!(
        book.call("book.snapshot", json!({})),
        Err("WRONG_STATE".to_owned())
    );

    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 500);
    book.wait_ready();
    receiver.data(&flow, 501, flow.last());
    book.wait_status("messages", flow.last());
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    let status = book.status();
    assert_eq!(status["trust"], "GOOD", "{status}");
    assert_eq!(status["session"], "BOOKTEST01");
    assert_eq!(status["next_sequence"], flow.last() + 1);
    assert_eq!(
        (
            book.value("book_sequence_errors_total"),
            book.value("book_laps_total")
        ),
        (0, 0)
    );
    let histogram = book.stats().expect("stats").histograms().remove(0);
    assert_eq!(histogram.labels, "source=kernel");
    assert!(histogram.count > 0, "live records were timed");
}

/// Depth and list carry levels, place and trust; wrong questions get an error that says why.
#[test]
fn it_answers_queries() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, flow.last());
    let mut book = Worker::ready(root.path());
    let depth = book
        .call("book.depth", json!({"symbol": "S0001", "levels": 3}))
        .expect("depth");
    for side in ["bids", "asks"] {
        let levels = depth[side].as_array().expect("a list");
        assert_eq!(levels.len(), 3, "{depth}");
        assert!(
            levels
                .iter()
                .all(|level| level.as_array().is_some_and(|l| l.len() == 3))
        );
    }
    assert_eq!(depth["best_bid"][0], depth["bids"][0][0]);
    assert!(
        depth["bids"][0][0].as_u64() > depth["bids"][1][0].as_u64(),
        "best first"
    );
    assert!(
        depth["asks"][0][0].as_u64() < depth["asks"][1][0].as_u64(),
        "best first"
    );
    assert_eq!(
        (&depth["trust"], &depth["cursor"]),
        (&json!("GOOD"), &json!(receiver.next_seq()))
    );

    let list = book.call("book.list", json!({})).expect("list");
    assert_eq!(list["total"], 3);
    assert_eq!(
        list["books"][0].get("queue_sha256"),
        None,
        "hashes only when asked for"
    );
    assert_eq!(
        list["books"][2]["symbol"], "S0002",
        "in the order of symbols"
    );
    assert_eq!(list["messages"], flow.last());
    let second = book.call("book.list", json!({"offset": 2})).expect("list");
    assert_eq!(second["books"].as_array().map(Vec::len), Some(1));

    for (op, args, code) in [
        ("book.depth", json!({"symbol": "NONE"}), "NOT_FOUND"),
        ("book.depth", json!({}), "INVALID_ARGS"),
        (
            "book.depth",
            json!({"symbol": "S0001", "levels": 0}),
            "INVALID_ARGS",
        ),
        ("book.list", json!({"hashes": "yes"}), "INVALID_ARGS"),
        ("book.burn", json!({}), "UNKNOWN_OP"),
    ] {
        assert_eq!(book.call(op, args), Err(code.to_owned()), "{op}");
    }
}

/// Books are suspect while gaps are open and good again when all are filled; a loss stays, is
/// explained, and no error; a new session starts clean.
#[test]
fn trust_follows_the_gaps() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 999);
    let mut book = Worker::ready(root.path());
    book.wait_status("trust", "GOOD");

    receiver.gap(kind::GAP_OPEN, 1, 1_000, 1_009);
    receiver.gap(kind::GAP_OPEN, 2, 1_050, 1_059);
    book.wait_status("suspect_since", 1_000);
    assert_eq!(book.value("book_suspect"), 3);
    receiver.data(&flow, 1_000, 1_009);
    receiver.gap(kind::GAP_FILLED, 1, 1_000, 1_009);
    receiver.data(&flow, 1_010, 1_049);
    book.wait_status("suspect_since", 1_050);
    receiver.data(&flow, 1_050, 1_059);
    receiver.gap(kind::GAP_FILLED, 2, 1_050, 1_059);
    book.wait_status("trust", "GOOD");

    receiver.gap(kind::GAP_OPEN, 3, 1_060, 1_069);
    receiver.lost(3, 1_060, 1_069);
    receiver.data(&flow, 1_070, flow.last());
    book.wait_status("messages", flow.last() - 10);
    book.wait_status("suspect_cause", "messages_lost");
    assert_eq!(book.value("book_lost_messages_total"), 10);
    assert_eq!(book.value("book_sequence_errors_total"), 0);
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 1_060..1_070));

    let next = tickdeck_wire::moldudp64::Session(*b"BOOKTEST02");
    receiver.session(SessionEventKind::Changed, next, 1);
    book.wait_status("orders", 0);
    receiver.data(&flow, 1, flow.last());
    book.wait_status("messages", 2 * flow.last() - 10);
    book.wait_status("trust", "GOOD");
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
}

/// A worker that was stopped for longer than the ring holds finds the rest in the journal, without
/// a repeated or a missing message, also when the journal is still behind the ring at first.
#[test]
fn a_lapped_worker_catches_up_from_the_journal() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(4_000);
    let mut receiver = Receiver::start(root.path(), 16);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 700);
    let mut book = Worker::ready(root.path());
    book.suspend();
    receiver.data(&flow, 701, 2_000);
    receiver.journals = false;
    receiver.data(&flow, 2_001, flow.last());
    book.signal(Signal::CONT);
    book.wait_status("stage", "journal_behind_ring");
    assert_eq!(book.status()["trust"], "REBUILDING");
    receiver.catch_up();
    book.wait_status("messages", flow.last());
    book.wait_status("trust", "GOOD");
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    assert_eq!(book.value("book_laps_total"), 1);
    assert_eq!(book.value("book_sequence_errors_total"), 0);
    assert!(book.value("book_catchup_records_total") > 300);
}

/// Records that neither ring nor journal kept leave every book suspect, and are no sequence error.
#[test]
fn a_hole_in_the_journal_is_a_lasting_doubt() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), 16);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 700);
    let mut book = Worker::ready(root.path());
    book.suspend();
    receiver.journals = false;
    receiver.data(&flow, 701, 1_400);
    receiver.lose_behind();
    receiver.journals = true;
    receiver.data(&flow, 1_401, flow.last());
    book.signal(Signal::CONT);
    book.wait_status("next_sequence", flow.last() + 1);
    book.wait_status("suspect_cause", "journal_hole");
    assert_eq!(book.value("book_sequence_errors_total"), 0);
    assert!(book.value("book_lost_messages_total") >= 500);
    assert_eq!(book.value("book_missing_records_total"), 100);
}

/// Books are stale as soon as the receiver's pulse is gone, and good again when it beats.
#[test]
fn a_dead_receiver_makes_books_stale() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(1_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, flow.last());
    let mut book = Worker::ready(root.path());
    book.wait_status("trust", "GOOD");
    receiver.stop_beating();
    book.wait_status("trust", "STALE");
    // The status is told at once, the stats file at the end of the agent's turn.
    wait_for("the stats file", || book.value("book_trust") == 3);
    assert_eq!(
        book.status()["state"],
        "READY",
        "the process itself is well"
    );
}

/// W11: one bit of segment 2 of 3 or more: the books come as far as what lies before it and wait there;
/// nothing of segment 3 is applied as if it followed.
#[test]
fn a_catch_up_ends_before_the_damage() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start_with_segments(root.path(), 16, 16 * 1024);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, flow.last());
    let name = "00000000000000000002.seg";
    let path = journal_dir(root.path()).join(name);
    assert!(path.with_file_name("00000000000000000003.seg").exists());
    let mut bytes = std::fs::read(&path).expect("segment");
    let middle = bytes.iter().rposition(|byte| *byte != 0).expect("written") / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("damage");

    let mut before = 1;
    let mut journal = tickdeck_journal::Reader::open(journal_dir(root.path())).expect("opens");
    while let Ok(Some(entry)) = journal.next() {
        let blocks = tickdeck_wire::moldudp64::Blocks::new(entry.record.payload);
        if entry.record.kind == kind::DATA {
            before = entry.record.venue_seq + blocks.count() as u64;
        }
    }
    assert!(before > 1 && before < flow.last(), "{before}");
    let mut book = Worker::start(root.path());
    book.wait_status("stage", "journal_damaged");
    let status = book.status();
    assert!(status["problem"].to_string().contains(name), "{status}");
    assert_eq!(status["next_sequence"], before, "{status}");
    assert_eq!(status["messages"], before - 1, "{status}");
}

/// Damage in the journal is waited out, in case somebody mends it; then the books go on with what the
/// ring still holds, suspect.
#[test]
fn a_damaged_journal_is_passed_by_with_the_ring() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), 16);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_500);
    Receiver::damage_journal(root.path());
    let mut book = Worker::start(root.path());
    book.wait_status("stage", "journal_damaged");
    let problem = book.status()["problem"].to_string();
    assert!(problem.contains("bad_payload"), "{problem}");
    book.wait_ready();
    receiver.data(&flow, 1_501, flow.last());
    book.wait_status("next_sequence", flow.last() + 1);
    book.wait_status("suspect_cause", "journal_hole");
    assert_eq!(book.value("book_sequence_errors_total"), 0);
}
