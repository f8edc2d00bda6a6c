//! The snapshot directory: what is kept, what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tickdeck_wire::record::SessionEventKind;

use crate::flow::Flow;
use crate::receiver::{Receiver, SESSION, WIDE, journal_dir};
use crate::worker::{Worker, log, snapshot_dir};

/// Names in the snapshot directory with this extension, sorted.
fn names(root: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(snapshot_dir(root)).expect("snapshot directory");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

/// A worker's life that leaves snapshots after 500, 1,000 and 1,500 messages, then a kill.
fn with_three_snapshots(root: &Path, flow: &Flow) -> Receiver {
    let mut receiver = Receiver::start(root, WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    let mut book = Worker::ready(root);
    for first in [1, 501, 1_001] {
        receiver.data(flow, first, first + 499);
        book.wait_status("messages", first + 499);
        let written = book.call("book.snapshot", json!({})).expect("snapshot");
        assert_eq!(written["cursor"], receiver.next_seq());
        assert!(Path::new(written["path"].as_str().expect("a path")).exists());
    }
    book.kill();
    receiver
}

/// The last two snapshots are kept, no temporary file is left.
#[test]
fn the_last_two_are_kept() {
    let root = tempfile::tempdir().expect("temporary directory");
    drop(with_three_snapshots(root.path(), &Flow::new(2_000)));
    assert_eq!(names(root.path(), "snap").len(), 2);
    assert_eq!(names(root.path(), "tmp").len(), 0);
}

/// A damaged snapshot is refused with its reason, counted and set aside; the older one is used.
#[test]
fn a_damaged_snapshot_is_passed_by() {
    let root = tempfile::tempdir().expect("temporary directory");
    let flow = Flow::new(2_000);
    let receiver = with_three_snapshots(root.path(), &flow);
    let newest = names(root.path(), "snap").pop().expect("a snapshot");
    let mut bytes = fs::read(&newest).expect("snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).expect("snapshot");

    let mut book = Worker::ready(root.path());
    assert_eq!(book.value("book_snapshot_errors_total"), 1);
    assert_eq!(book.hashes(), flow.hashes(1_500, 0..0));
    assert!(log(root.path()).contains("SHA-256 does not match"));
    assert!(!newest.exists() && newest.with_extension("refused").exists());
    assert!(
        book.value("book_catchup_records_total") < receiver.next_seq() / 2,
        "one was used"
    );
}

/// Snapshots of another journal are refused, and the books come from the journal alone.
#[test]
fn foreign_snapshots_are_refused() {
    let flow = Flow::new(2_000);
    let (root, other) = (
        tempfile::tempdir().expect("root"),
        tempfile::tempdir().expect("other"),
    );
    drop(with_three_snapshots(other.path(), &flow));
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 700);
    copy_files(&snapshot_dir(other.path()), &snapshot_dir(root.path()));
    assert_refused(root.path(), "belongs to another journal", &flow, 700);
}

/// Snapshots beyond the end of a journal that lost its tail are refused.
#[test]
fn snapshots_beyond_the_journal_are_refused() {
    let flow = Flow::new(2_000);
    let root = tempfile::tempdir().expect("root");
    let kept = root.path().join("kept");
    let mut receiver = Receiver::start(root.path(), WIDE);
    receiver.session(SessionEventKind::Started, SESSION, 1);
    receiver.data(&flow, 1, 700);
    copy_files(&journal_dir(root.path()), &kept);
    let mut book = Worker::ready(root.path());
    for first in [701, 1_001] {
        receiver.data(&flow, first, first + 299);
        book.wait_status("messages", first + 299);
        book.call("book.snapshot", json!({})).expect("snapshot");
    }
    book.kill();
    drop(receiver);
    fs::remove_dir_all(journal_dir(root.path())).expect("journal removed");
    fs::rename(kept, journal_dir(root.path())).expect("old journal restored");
    drop(Receiver::start_without_old_ring(root.path(), WIDE));
    assert_refused(root.path(), "beyond the journal", &flow, 700);
}

/// Two snapshots are refused for this reason, and the books are right without them.
fn assert_refused(root: &Path, reason: &str, flow: &Flow, last: u64) {
    let mut book = Worker::ready(root);
    assert_eq!(book.value("book_snapshot_errors_total"), 2);
    assert!(log(root).contains(reason), "{}", log(root));
    assert_eq!(names(root, "refused").len(), 2);
    assert_eq!(book.hashes(), flow.hashes(last, 0..0));
    assert_eq!(book.status()["suspect"], 0);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directory");
    for entry in fs::read_dir(from).expect("directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if path.is_file() {
            fs::copy(&path, to.join(name)).expect("copy");
        }
    }
}
