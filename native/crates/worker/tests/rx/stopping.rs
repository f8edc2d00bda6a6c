//! A stop while the journal cannot be written (W26, W28): it ends in time and not with success, says
//! how many records it leaves behind, and the next start has all of them.

use std::time::{Duration, Instant};

use serde_json::json;
use tickdeck_journal::{checkpoint, verify};
use tickdeck_testbed::promised;

use crate::devices::{LoopDisk, SmallDisk, Tracer, is_privileged};
use crate::plant::{Plant, Worker};

/// Codes of `journal_state`.
const HUNG: u64 = 2;
const FULL: u64 = 4;
const READ_ONLY: u64 = 5;
/// Each packet has so many messages.
const MESSAGES: u64 = 20;

/// Sends packets on both lines behind `next` until so many are in the ring; what comes then.
fn send(plant: &Plant, worker: &Worker, next: u64, packets: u64) -> u64 {
    let end = next + packets * MESSAGES;
    for first in (next..end).step_by(MESSAGES as usize) {
        plant.send_both(first, first + MESSAGES - 1);
        // One packet at a time: nothing may be dropped on the way.
        worker.wait_for("arbiter_next_sequence", "", first + MESSAGES);
    }
    end
}

fn wait_for_durable(worker: &Worker) {
    let last_seq = worker.value("ring_next_seq", "") - 1;
    worker.wait_until("journal_durable_seq", "", |durable| durable >= last_seq);
}

/// Stops a worker that must not call it a success; the log. A tracer would hold the end of a process
/// that it keeps in a system call, so it goes when the last words are there.
fn stop_in_vain(worker: Worker, tracer: Option<Tracer>, limit: Duration) -> String {
    worker.terminate();
    end_in_vain(worker, tracer, limit)
}

/// The same, when the stop has been ordered.
fn end_in_vain(worker: Worker, tracer: Option<Tracer>, limit: Duration) -> String {
    let begun = Instant::now();
    while worker.stats().exit_record().is_none() {
        assert!(begun.elapsed() < promised(limit), "it is held");
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(tracer);
    worker.stop_with(1)
}

/// The stop told what the ring holds behind what is durable, and the journal is not called closed.
fn assert_told(plant: &Plant, incarnation: u32, log: &str) {
    let stats = plant.stats_of(incarnation);
    let value = |name: &str| stats.value(name, "").expect("a metric");
    let undrained = value("ring_next_seq") - 1 - value("journal_durable_seq");
    assert!(undrained > 0);
    let text = format!("undrained={undrained}:");
    assert!(log.contains(&text), "{text} {log}");
    let told = stats.exit_record().expect("an exit record").message;
    assert!(told.contains(&text), "{told}");
    let state = checkpoint(plant.path("journal")).expect("reads");
    assert!(!state.expect("a checkpoint").clean);
}

/// The next start has all of it.
fn assert_goes_on(plant: &mut Plant, next: u64) {
    let worker = plant.start();
    let end = send(plant, &worker, next, 1);
    worker.stop();
    assert_eq!(plant.journalled_messages(), end - 1);
    let report = verify(plant.path("journal"), &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, []);
}

/// The disk is full: a stop has three seconds of patience.
#[test]
fn a_full_disk_does_not_hold_a_stop() {
    if !is_privileged("a_full_disk_does_not_hold_a_stop") {
        return;
    }
    let mut plant = Plant::new();
    plant.set("/exchange/journal/segment_size_bytes", json!(16_384));
    let disk = SmallDisk::mount(plant.path("journal"), "32m");
    let worker = plant.start();
    let next = send(&plant, &worker, 1, 20);
    wait_for_durable(&worker);
    disk.fill();
    let next = send(&plant, &worker, next, 200);
    worker.wait_for("journal_state", "", FULL);
    let next = send(&plant, &worker, next, 200);
    let log = stop_in_vain(worker, None, Duration::from_secs(6));
    assert_told(&plant, 1, &log);
    disk.make_room();
    assert_goes_on(&mut plant, next);
}

/// Every sync fails, the last one too.
#[test]
fn a_last_sync_that_fails_is_no_success() {
    if !is_privileged("a_last_sync_that_fails_is_no_success") {
        return;
    }
    let mut plant = Plant::new();
    let worker = plant.start();
    let next = send(&plant, &worker, 1, 20);
    wait_for_durable(&worker);
    let tracer = Tracer::tamper(worker.pid(), "error=EIO");
    let next = send(&plant, &worker, next, 200);
    let log = stop_in_vain(worker, Some(tracer), Duration::from_secs(6));
    assert_told(&plant, 1, &log);
    assert_goes_on(&mut plant, next);
}

/// A sync does not come back: the stop goes on without it.
#[test]
fn a_hanging_disk_does_not_hold_a_stop() {
    if !is_privileged("a_hanging_disk_does_not_hold_a_stop") {
        return;
    }
    let mut plant = Plant::new();
    let worker = plant.start();
    let next = send(&plant, &worker, 1, 20);
    wait_for_durable(&worker);
    let tracer = Tracer::tamper(worker.pid(), "delay_enter=600000000:when=1");
    let next = send(&plant, &worker, next, 20);
    worker.wait_for("journal_state", "", HUNG);
    let next = send(&plant, &worker, next, 200);
    let log = stop_in_vain(worker, Some(tracer), Duration::from_secs(9));
    assert_told(&plant, 1, &log);
    assert_goes_on(&mut plant, next);
}

/// An order to drain names its deadline: a device that hangs is not waited for any longer. The words
/// tell which limit it was; the times are those of the unit tests.
#[test]
fn a_drain_ends_with_its_deadline() {
    if !is_privileged("a_drain_ends_with_its_deadline") {
        return;
    }
    let mut plant = Plant::new();
    let worker = plant.start();
    let next = send(&plant, &worker, 1, 20);
    wait_for_durable(&worker);
    let tracer = Tracer::tamper(worker.pid(), "delay_enter=60000000:when=1");
    let next = send(&plant, &worker, next, 20);
    worker.wait_for("journal_state", "", HUNG);
    let next = send(&plant, &worker, next, 20);
    let answer = worker.call("drain", &json!({"deadline_ms": "soon"}));
    assert_eq!(answer["error"]["code"], "INVALID_ARGS", "{answer}");
    assert_eq!(
        worker.call("status", &json!({}))["result"]["state"],
        "RUNNING"
    );
    let answer = worker.call("drain", &json!({"deadline_ms": 50}));
    let wanted = json!({"state": "DRAINING", "deadline_ms": 50});
    assert_eq!(answer["result"], wanted, "{answer}");
    let log = end_in_vain(worker, Some(tracer), Duration::from_secs(60));
    assert_told(&plant, 1, &log);
    assert!(
        log.contains("has not answered within the drain's deadline"),
        "{log}"
    );
    assert_goes_on(&mut plant, next);
}

/// R14: the file system becomes read-only. It is shown as that, with words on it, receiving goes on, a
/// stop does not wait for it, and once it can be written again, nothing is missing.
#[test]
fn a_read_only_disk_is_shown_and_survived() {
    if !is_privileged("a_read_only_disk_is_shown_and_survived") {
        return;
    }
    let mut plant = Plant::new();
    let disk = LoopDisk::mount(plant.path("journal"), &plant.path("image"));
    let worker = plant.start();
    let next = send(&plant, &worker, 1, 20);
    wait_for_durable(&worker);
    disk.fail();
    let next = send(&plant, &worker, next, 20);
    worker.wait_for("journal_state", "", READ_ONLY);
    let durable = worker.value("journal_durable_seq", "");
    let next = send(&plant, &worker, next, 200);
    // It stays that as long as it lasts.
    assert_eq!(worker.value("journal_state", ""), READ_ONLY);
    assert_eq!(worker.value("journal_durable_seq", ""), durable);
    assert!(worker.value("journal_write_errors_total", "") > 0);
    for name in ["journal_holes_total", "journal_acked_loss_total"] {
        assert_eq!(worker.value(name, ""), 0, "{name}");
    }
    let log = stop_in_vain(worker, None, Duration::from_secs(15));
    assert!(log.contains("Read-only file system"), "{log}");
    assert_told(&plant, 1, &log);
    disk.mend();
    assert_goes_on(&mut plant, next);
}
