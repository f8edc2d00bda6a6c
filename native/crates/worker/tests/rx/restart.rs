//! An incarnation ends, in order or not, and the next one goes on: nothing twice, no hole.

use serde_json::json;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::SessionEventKind::{Changed, Resumed, Started};

use crate::plant::{Entry, Plant};

/// Killed with data only in the ring and a gap open: what the ring held is journalled by the
/// next incarnation, what was missed meanwhile is asked for, and the stream has no seam.
#[test]
fn killed_and_started_again() {
    let mut plant = Plant::new();
    let worker = plant.start();
    for first in (1..=2000).step_by(20) {
        plant.send_both(first, first + 19);
    }
    plant.send_both(2011, 2020);
    worker.wait_for("gaps_opened_total", "", 1);
    worker.wait_for("arbiter_next_sequence", "", 2001);
    worker.kill();
    plant.send_both(2021, 2030);
    let worker = plant.start();
    plant.send_both(2031, 2040);
    plant.answer_until(&worker, 2041, 40);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 2040);
    let sessions: Vec<Entry> = plant
        .journal()
        .into_iter()
        .filter(|e| matches!(e, Entry::Session(..)))
        .collect();
    assert_eq!(
        sessions,
        [Entry::Session(Started, 1), Entry::Session(Resumed, 2001)]
    );
}

/// Killed before the journal could take what was published, with nobody to ask: the next
/// incarnation takes it from the ring, and nothing is lost.
#[test]
fn killed_with_records_only_in_the_ring() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/replay_protocol", json!("none"));
    plant.set("/exchange/recovery/request_address", json!(null));
    let mut next = 1;
    for _ in 0..5 {
        let worker = plant.start();
        for _ in 0..30 {
            plant.send_both(next, next + 9);
            next += 10;
        }
        worker.wait_for("arbiter_next_sequence", "", next);
        worker.kill();
    }
    let worker = plant.start();
    plant.heartbeat(0, next);
    worker.wait_for("session_state", "", 1);
    assert_eq!(worker.value("arbiter_next_sequence", ""), next);
    worker.stop();
    assert_eq!(plant.journalled_messages(), next - 1);
}

/// Killed again and again at any moment of a running stream: no message twice, none missing.
#[test]
fn killed_at_any_moment() {
    let mut plant = Plant::new();
    let mut next = 1;
    for round in 0..6 {
        let worker = plant.start();
        for _ in 0..40 + round * 37 {
            plant.send_both(next, next + 4);
            next += 5;
        }
        worker.kill();
    }
    let worker = plant.start();
    plant.heartbeat(0, next);
    worker.wait_for("session_state", "", 1);
    plant.answer_until(&worker, next, 100);
    worker.stop();
    assert_eq!(plant.journalled_messages(), next - 1);
}

/// Stopped in order: the journal is sealed, and the next incarnation repeats nothing even when
/// the lines do.
#[test]
fn stopped_and_started_again() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 30);
    worker.wait_for("arbiter_next_sequence", "", 31);
    worker.stop();
    let worker = plant.start();
    plant.send_both(1, 30);
    plant.send_both(25, 40);
    worker.wait_for("arbiter_next_sequence", "", 41);
    assert_eq!(worker.value("arbiter_stale_total", ""), 72);
    assert_eq!(worker.value("arbiter_duplicates_total", ""), 10);
    assert_eq!(worker.value("gaps_opened_total", ""), 0);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 40);
}

/// The venue's next session began while the worker was down: it is taken from its start,
/// once the one before has been silent for the takeover time.
#[test]
fn next_session_after_a_restart() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 5);
    worker.wait_for("arbiter_next_sequence", "", 6);
    worker.stop();
    plant.session = Session(*b"DEMO000002");
    plant.set("/exchange/arbiter/session_takeover_ms", json!(300));
    let worker = plant.start();
    plant.send_both(3, 4);
    worker.wait_for("rx_rejected_total", "line=A,reason=wrong_session", 1);
    let start = std::time::Instant::now();
    while worker.value("session_changes_total", "") == 0 {
        assert!(start.elapsed().as_secs() < 60, "the session is taken");
        plant.send(0, 3, 4);
    }
    assert_eq!(plant.answer(2), (1, 2));
    worker.wait_for("arbiter_next_sequence", "", 5);
    worker.stop();
    let entries = plant.journal();
    let wanted = [
        Entry::Session(Changed, 1),
        Entry::Opened(1, 2),
        Entry::Data(1, 2),
        Entry::Filled(1, 2),
        Entry::Data(3, 4),
    ];
    assert_eq!(entries[entries.len() - 5..], wanted);
}
