//! The journal's files fail under a running worker.

use std::fs;

use crate::plant::Plant;

/// Codes of `journal_state`.
const OK: u64 = 0;
const LOST_FILES: u64 = 7;

/// The segment that is being written is deleted by mistake: it is missed within seconds, receiving
/// goes on, and a new segment has all of it that was in memory.
#[test]
fn a_deleted_segment_is_missed() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 100);
    worker.wait_for("arbiter_next_sequence", "", 101);
    let published = worker.value("ring_next_seq", "") - 1;
    worker.wait_until("journal_durable_seq", "", |durable| durable >= published);
    let segment = fs::read_dir(plant.path("journal"))
        .expect("the journal")
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"));
    fs::remove_file(segment.expect("a segment")).expect("is removed");
    worker.wait_for("journal_state", "", LOST_FILES);
    plant.send_both(101, 200);
    worker.wait_for("arbiter_next_sequence", "", 201);
    worker.wait_for("journal_state", "", OK);
    assert_eq!(worker.value("journal_reopens_total", ""), 1);
    assert_eq!(worker.value("journal_overrun_total", ""), 0);
    assert!(worker.value("journal_acked_loss_total", "") > 0);
    assert!(worker.value("journal_disk_free_bytes", "") > 0);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 200);
}
