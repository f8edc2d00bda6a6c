//! The journal's files fail under a running worker.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use tickdeck_journal::verify;
use tickdeck_testbed::promised;

use crate::devices::{SmallDisk, Tracer, is_privileged};
use crate::plant::Plant;

/// Codes of `journal_state`.
const OK: u64 = 0;
const FULL: u64 = 4;
const DEGRADED: u64 = 6;
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

/// W4: every third sync fails. It is shown within a second, each failure is counted and told, each is
/// followed by a new segment, and nothing is missing.
#[test]
fn failing_syncs_are_shown_and_overcome() {
    if !is_privileged("failing_syncs_are_shown_and_overcome") {
        return;
    }
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 20);
    worker.wait_for("arbiter_next_sequence", "", 21);
    worker.wait_for("journal_state", "", OK);
    let tracer = Tracer::tamper(worker.pid(), "error=EIO:when=1+3");
    let begun = Instant::now();
    plant.send_both(21, 40);
    worker.wait_until("journal_state", "", |state| state != OK);
    let shown_after = begun.elapsed();
    let most = promised(Duration::from_secs(2));
    assert!(shown_after < most, "{shown_after:?}");
    let mut next = 41;
    while worker.value("journal_write_errors_total", "") < 4 {
        plant.send_both(next, next + 19);
        next += 20;
        worker.wait_for("arbiter_next_sequence", "", next);
        let last_seq = worker.value("ring_next_seq", "") - 1;
        // Not before it was synced, be it in a segment behind the failure.
        worker.wait_until("journal_durable_seq", "", |durable| durable >= last_seq);
        assert!(next < 4_000, "no more failures");
    }
    worker.wait_for("journal_state", "", DEGRADED);
    drop(tracer);
    let reopens = worker.value("journal_reopens_total", "");
    assert!(reopens >= 2, "{reopens}");
    assert_eq!(worker.value("journal_acked_loss_total", ""), 0);
    let log = worker.stop_for_log();
    let told = |text: &str| log.matches(text).count() as u64;
    assert!(told("journal failed; receiving goes on") >= 2, "{log}");
    assert_eq!(told("journal goes on in a new segment"), reopens, "{log}");
    assert_eq!(plant.journalled_messages(), next - 1);
    let report = verify(plant.path("journal"), &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, []);
}

/// W29: a disk that fills slowly is told before the first operation fails for it.
#[test]
fn low_space_is_told_before_it_is_gone() {
    if !is_privileged("low_space_is_told_before_it_is_gone") {
        return;
    }
    const SEGMENT: u64 = 65_536;
    let mut plant = Plant::new();
    plant.set("/exchange/journal/segment_size_bytes", json!(SEGMENT));
    let disk = SmallDisk::mount(plant.path("journal"), "32m");
    let worker = plant.start();
    plant.send_both(1, 20);
    worker.wait_for("arbiter_next_sequence", "", 21);
    disk.fill_but(SEGMENT * 3 / 2);
    // Looked at each second.
    worker.wait_until("journal_disk_free_bytes", "", |free| free < 2 * SEGMENT);
    assert_eq!(worker.value("journal_state", ""), OK);
    assert_eq!(worker.value("journal_write_errors_total", ""), 0);
    let mut next = 21;
    while worker.value("journal_state", "") != FULL {
        plant.send_both(next, next + 19);
        next += 20;
        worker.wait_for("arbiter_next_sequence", "", next);
        assert!(next < 1_000_000, "it does not fill up");
    }
    disk.make_room();
    worker.wait_for("journal_state", "", OK);
    let log = worker.stop_for_log();
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(place("less than two segments fit") < place("journal failed"));
    assert_eq!(plant.journalled_messages(), next - 1);
}

/// W9: a journal that cannot be opened ends the worker before it was READY, with words on where.
#[test]
fn no_journal_no_receiver() {
    let mut plant = Plant::new();
    let file = plant.path("file");
    fs::write(&file, b"no directory").expect("writes");
    plant.set("/exchange/journal/data_dir", json!(file.join("journal")));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("file/journal"), "{log}");
    if !is_privileged("no_journal_no_receiver, read-only") {
        return;
    }
    let disk = SmallDisk::mount(plant.path("journal"), "4m");
    disk.forbid_writing();
    plant.set("/exchange/journal/data_dir", json!(disk.path()));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("Read-only file system"), "{log}");
}
