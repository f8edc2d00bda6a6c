//! Bad packets are counted and change nothing; a worker that cannot work says why.

use serde_json::json;
use tickdeck_wire::moldudp64::Session;

use crate::plant::{Plant, SESSION, packet};

/// Header with a session, a sequence number and a count, then `rest`.
fn raw(sequence: u64, count: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SESSION.0.to_vec();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// Each kind of bad packet has its counter on its line, and the stream is as if it had not come.
#[test]
fn bad_packets_are_counted() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send(0, 1, 3);
    worker.wait_for("arbiter_next_sequence", "", 4);
    let cases: [(&str, Vec<u8>); 8] = [
        ("truncated", raw(4, 1, &[])[..19].to_vec()),
        ("zero_sequence", raw(0, 1, &[0, 1, 7])),
        ("block_beyond_end", raw(4, 1, &[0, 9, 7])),
        ("trailing_bytes", raw(4, 1, &[0, 1, 7, 7])),
        ("sequence_overflow", raw(u64::MAX, 1, &[0, 1, 7])),
        ("wrong_session", packet(Session(*b"STRANGER  "), 4, 5)),
        ("implausible_jump", raw(1 << 40, 0, &[])),
        ("oversize", vec![7; 1501]),
    ];
    for (reason, bytes) in &cases {
        plant.send_bytes(1, bytes);
        worker.wait_for("rx_rejected_total", &format!("line=B,reason={reason}"), 1);
        assert_eq!(
            worker.value("rx_rejected_total", &format!("line=A,reason={reason}")),
            0
        );
    }
    assert_eq!(worker.value("rx_packets_total", "line=B"), 8);
    assert_eq!(worker.value("rx_messages_total", "line=B"), 0);
    assert_eq!(worker.value("arbiter_next_sequence", ""), 4);
    assert_eq!(worker.value("gaps_opened_total", ""), 0);
    plant.send(1, 4, 4);
    worker.wait_for("arbiter_next_sequence", "", 5);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 4);
}

/// A heartbeat with a count of 0 shows a tail gap, an end of session with 0xFFFF likewise.
#[test]
fn packets_without_messages() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send(0, 1, 1);
    plant.heartbeat(1, 3);
    assert_eq!(plant.answer(1), (2, 2));
    worker.wait_for("arbiter_next_sequence", "", 3);
    assert_eq!(worker.value("rx_heartbeats_total", "line=B"), 1);
    plant.end_session(5);
    assert_eq!(plant.answer(2), (3, 4));
    worker.wait_for("arbiter_next_sequence", "", 5);
    worker.wait_for("session_state", "", 2);
    worker.stop();
}

/// What cannot start says why and ends with the code of its cause.
#[test]
fn exit_codes() {
    let mut plant = Plant::new();
    let first = plant.start();
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 125, "{log}");
    assert!(log.contains("already runs"), "{log}");
    first.stop();

    plant.set("/exchange/lines/1/interface", json!("nosuch0"));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 69, "{log}");
    assert!(log.contains("line B") && log.contains("nosuch0"), "{log}");
    plant.set("/exchange/lines/1/interface", json!("127.0.0.1"));

    plant.set("/exchange/receive/cpu", json!(1000));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 77, "{log}");
    assert!(log.contains("core 1000"), "{log}");
    plant.set("/exchange/receive/cpu", json!(null));

    plant.set("/exchange/journal/segment_size_bytes", json!(1));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("segment_size_bytes"), "{log}");

    plant.set("/exchange", json!({"name": "TEST", "colour": "red"}));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("colour"), "{log}");
}
