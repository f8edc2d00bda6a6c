//! Restarts of either side: nothing is lost, nothing comes twice.

use tickdeck_wire::record::SessionEventKind;

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE};
use crate::worker::{Worker, log, snapshot_dir, wait_for};

/// A receiver that dies and comes back with a new ring is followed across it, whatever it had not
/// journalled before.
#[test]
fn a_restarted_receiver_is_followed() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_000);
    let mut book = Worker::ready(root.path());
    receiver.journals = false;
    receiver.data(&flow, 1_001, 1_500);
    book.wait_status("messages", 1_500);
    drop(receiver);

    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Resumed, SESSION, 1_501);
    receiver.data(&flow, 1_501, 2_000);
    receiver.close();
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Resumed, SESSION, 2_001);
    receiver.data(&flow, 2_001, flow.last());
    book.wait_status("messages", flow.last());
    book.wait_status("trust", "GOOD");
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    assert_eq!(book.value("book_sequence_errors_total"), 0);
    assert_eq!(book.value("book_missing_records_total"), 0);
}

/// A worker killed while messages flow comes back from snapshot and journal with the same books.
#[test]
fn a_killed_worker_comes_back() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(4_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_000);
    let book = Worker::start_with(root.path(), 10);
    book.wait_ready();
    wait_for("a snapshot", || book.value("book_snapshots_total") > 0);
    receiver.data(&flow, 1_001, 2_000);
    book.kill();
    receiver.data(&flow, 2_001, 3_000);

    let mut book = Worker::ready(root.path());
    receiver.data(&flow, 3_001, flow.last());
    book.wait_status("messages", flow.last());
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    assert_eq!(book.status()["trust"], "GOOD");
    assert_eq!(book.value("book_sequence_errors_total"), 0);
    assert_eq!(book.value("book_snapshot_errors_total"), 0);
    assert!(log(root.path()).contains("snapshot restored"));
}

/// When both sides died and the receiver is not back yet, a snapshot that is ahead of the journal
/// is still right if the old ring holds its last record.
#[test]
fn a_snapshot_ahead_of_the_journal_fits_the_old_ring() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 500);
    let mut book = Worker::ready(root.path());
    receiver.journals = false;
    receiver.data(&flow, 501, 1_000);
    book.wait_status("messages", 1_000);
    book.call("book.snapshot", serde_json::json!({}))
        .expect("snapshot");
    book.kill();
    drop(receiver);

    let mut book = Worker::start(root.path());
    book.wait_status("messages", 1_000);
    book.wait_status("stage", "journal_behind_books");
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Resumed, SESSION, 1_001);
    receiver.data(&flow, 1_001, flow.last());
    book.wait_status("messages", flow.last());
    book.wait_ready();
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    assert_eq!(book.value("book_snapshot_errors_total"), 0);
    assert_eq!(book.value("book_sequence_errors_total"), 0);
}

/// When a power cut took the end of the journal, and its numbers were given to other records, books
/// that had applied the lost ones start over instead of mixing the two.
#[test]
fn a_forked_journal_makes_the_books_start_over() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(3_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_000);
    let mut book = Worker::ready(root.path());
    receiver.journals = false;
    receiver.data(&flow, 1_001, 1_500);
    book.wait_status("messages", 1_500);
    drop(receiver);

    let mut receiver = Receiver::start_without_old_ring(root.path(), WIDE);
    receiver.session(SessionEventKind::Resumed, SESSION, 1_001);
    receiver.data(&flow, 1_001, flow.last());
    book.wait_status("next_sequence", flow.last() + 1);
    book.wait_status("trust", "GOOD");
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    assert_eq!(book.value("book_sequence_errors_total"), 0);
    assert!(log(root.path()).contains("another record than the books end with"));
}

/// Another journal in the same place, with its own ring, is another stream: the books start over.
#[test]
fn another_log_makes_the_books_start_over() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 1_000);
    let mut book = Worker::ready(root.path());
    book.wait_status("messages", 1_000);
    receiver.close();
    std::fs::remove_dir_all(crate::receiver::journal_dir(root.path())).expect("journal removed");

    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 300);
    book.wait_status("messages", 1_300);
    assert_eq!(
        book.hashes(),
        flow.hashes(300, 0..0),
        "before the new log is as long as the old"
    );
    receiver.data(&flow, 301, flow.last());
    book.wait_status("messages", 1_000 + flow.last());
    book.wait_status("trust", "GOOD");
    assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
    assert_eq!(book.value("book_sequence_errors_total"), 0);
}

/// SIGTERM and the op `drain` apply what the ring holds, write a snapshot and end with code 0; the
/// last words say so, and the next worker goes on from there.
#[test]
fn a_drained_worker_leaves_a_snapshot() {
    for by_op in [false, true] {
        let root = tempfile::tempdir().expect("temporary directory");
        let flow = Flow::new(2_000);
        let mut receiver = Receiver::start(root.path(), WIDE);
        receiver.session(SessionEventKind::Started, SESSION, 1);
        let mut book = Worker::ready(root.path());
        receiver.data(&flow, 1, flow.last());
        if by_op {
            book.call("drain", serde_json::json!({"deadline_ms": 5_000}))
                .expect("drain");
        } else {
            book.signal(rustix::process::Signal::TERM);
        }
        assert_eq!(book.wait_exit().code(), Some(0));
        let stats = book.stats().expect("stats");
        let last_words = stats.exit_record().expect("last words");
        assert_eq!(
            (last_words.code, last_words.message.as_str()),
            (0, "drained")
        );
        assert_eq!(
            book.value("book_messages_total"),
            flow.last(),
            "all of the ring was applied"
        );
        let snapshot =
            snapshot_dir(root.path()).join(format!("books.{:020}.snap", receiver.next_seq()));
        assert!(snapshot.exists(), "{}", snapshot.display());

        let mut book = Worker::ready(root.path());
        assert_eq!(book.hashes(), flow.hashes(flow.last(), 0..0));
        assert_eq!(
            book.value("book_catchup_records_total"),
            0,
            "nothing had to be read again"
        );
    }
}

/// A second worker in the same runtime directory is refused with code 125 and disturbs nothing.
#[test]
fn a_second_worker_is_refused() {
    let root = tempfile::tempdir().expect("temporary directory");
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    let mut first = Worker::ready(root.path());
    let mut second = Worker::start(root.path());
    assert_eq!(second.wait_exit().code(), Some(125));
    assert_eq!(first.status()["state"], "READY");
}
