//! What cannot be recovered is told, never left out.

use serde_json::json;
use tickdeck_wire::moldudp64::Session;

use crate::plant::{Entry, Plant, packet};

/// A silent server: after its attempts the gap is declared lost in its place, and the stream
/// goes on behind it.
#[test]
fn silent_server() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/request_timeout_ms", json!(20));
    plant.set("/exchange/recovery/slo_ms", json!(10));
    let worker = plant.start();
    plant.send(0, 1, 1);
    plant.send(0, 4, 4);
    worker.wait_for("gaps_unrecovered_total", "", 1);
    // Two threads count; each shows it in its time.
    worker.wait_for("gap_messages_lost_total", "", 2);
    worker.wait_for("recovery_requests_total", "", 3);
    worker.wait_for("recovery_unrecoverable_gaps_total", "", 1);
    worker.wait_for("recovery_slo_violations_total", "", 1);
    worker.wait_for_gap(|row| {
        (row.reason, row.missing, row.attempts, row.slo_violated) == (1, 2, 3, true)
    });
    assert_eq!(worker.stats().gaps().len(), 1);
    worker.stop();
    let told = &plant.journal()[1..];
    let wanted = [
        Entry::Data(1, 1),
        Entry::Opened(2, 3),
        Entry::Lost(2, 3),
        Entry::Data(4, 4),
    ];
    assert_eq!(told, wanted);
}

/// Without a server a gap is lost as soon as its reorder window has passed.
#[test]
fn no_server() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/replay_protocol", json!("none"));
    plant.set("/exchange/recovery/request_address", json!(null));
    let worker = plant.start();
    plant.send(0, 1, 1);
    plant.send(0, 3, 3);
    worker.wait_for("gap_messages_lost_total", "", 1);
    worker.wait_for("arbiter_next_sequence", "", 4);
    assert_eq!(worker.stats().gaps()[0].reason, 2);
    let refused = worker.call("recovery.start", &json!({"gap_id": 0}));
    assert_eq!(refused["error"]["code"], "WRONG_STATE");
    worker.stop();
}

/// With the policy "halt" the worker ends after it has told the loss, for good and with the
/// reason; started again it goes on behind the loss.
#[test]
fn halt_on_loss() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/unrecoverable_policy", json!("halt"));
    plant.set("/exchange/recovery/request_timeout_ms", json!(20));
    let mut worker = plant.start();
    plant.send(0, 1, 1);
    plant.send(0, 4, 4);
    assert_eq!(worker.exit_code(), 69);
    let last_words = worker
        .stats()
        .exit_record()
        .expect("an exit record")
        .message;
    assert!(
        last_words.contains("messages 2..=3 could not be recovered"),
        "{last_words}"
    );
    assert!(plant.journal().contains(&Entry::Lost(2, 3)));
    let worker = plant.start();
    plant.send(0, 4, 5);
    worker.wait_for("arbiter_next_sequence", "", 6);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 3);
}

/// A server that lies: another session, other messages, garbage. Nothing of it leaves, each is
/// counted, and the true answer is still taken.
#[test]
fn lying_server() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/retry_attempts", json!(100));
    let worker = plant.start();
    plant.send(0, 1, 1);
    plant.send(0, 4, 4);
    let (request, from) = plant.request();
    let session = request.session;
    plant.reply(&packet(Session(*b"STRANGER  "), 2, 3), from);
    plant.reply(&packet(session, 70, 71), from);
    plant.reply(&packet(session, 2, 3)[..30], from);
    plant.reply(&[0; 19], from);
    plant.reply(&[1; 1600], from);
    let rejected = |reason: &str| worker.wait_for("rx_rejected_total", reason, 1);
    rejected("line=R,reason=wrong_session");
    rejected("line=R,reason=block_beyond_end");
    rejected("line=R,reason=truncated");
    rejected("line=R,reason=oversize");
    assert_eq!(worker.value("arbiter_next_sequence", ""), 2);
    assert_eq!(worker.value("recovery_injected_packets_total", ""), 0);
    plant.reply(&packet(session, 2, 3), from);
    worker.wait_for("arbiter_next_sequence", "", 5);
    plant.reply(&packet(session, 2, 3), from);
    worker.wait_for("recovery_stale_packets_total", "", 1);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 4);
}

/// A hold that is too small: packets are dropped and counted, asked for as a later gap, and
/// nothing is lost.
#[test]
fn full_hold_loses_nothing() {
    let mut plant = Plant::new();
    plant.set("/exchange/arbiter/hold_capacity_packets", json!(2));
    plant.set("/exchange/recovery/retry_attempts", json!(100));
    let worker = plant.start();
    for sequence in [1, 3, 4, 5, 6, 7] {
        plant.send(0, sequence, sequence);
    }
    worker.wait_for("arbiter_hold_dropped_total", "", 3);
    plant.answer_until(&worker, 8, 1);
    assert_eq!(worker.value("gap_messages_lost_total", ""), 0);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 7);
}
