//! Checkpoints of the books that the book worker hands to the receiver for the stream.

use serde_json::{Value, json};
use tickdeck_journal::Reader;
use tickdeck_wire::record::{Checkpoint, kind};

use crate::plant::{Plant, Worker};

const CHECKPOINT: Checkpoint = Checkpoint {
    cursor: 2,
    messages: 5,
    next_sequence: 6,
    state_hash: 0xFEDC_BA98_7654_3210,
    books: 3,
    trust: 1,
};

/// A checkpoint goes into ring and journal as it was given; one of another log, of a place that the
/// stream has not reached is refused and leaves no record. The worker that comes after a crash goes
/// on behind it.
#[test]
fn a_checkpoint_becomes_a_record() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 5);
    worker.wait_for("arbiter_next_sequence", "", 6);
    let log_id = log_id(&plant);
    let foreign = publish(&worker, &"0".repeat(32), CHECKPOINT);
    assert_eq!(foreign["code"], "WRONG_STATE");
    let too_far = Checkpoint {
        cursor: 1_000,
        ..CHECKPOINT
    };
    assert_eq!(publish(&worker, &log_id, too_far)["code"], "WRONG_STATE");
    let partial = worker.call("book.checkpoint", &json!({"cursor": 2}));
    assert_eq!(partial["error"]["code"], "INVALID_ARGS");
    let given = publish(&worker, &log_id, CHECKPOINT);
    let seq = given["seq"].as_u64().expect("a record");
    plant.send_both(6, 8);
    worker.wait_for("arbiter_next_sequence", "", 9);
    worker.kill();

    let worker = plant.start();
    plant.send_both(9, 9);
    worker.wait_for("arbiter_next_sequence", "", 10);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 9);
    let mut reader = Reader::open(plant.path("journal")).expect("a journal");
    let mut found = Vec::new();
    while let Some(entry) = reader.next().expect("a whole journal") {
        if entry.record.kind == kind::SNAPSHOT_ANCHOR {
            found.push((
                entry.seq,
                entry.record.venue_seq,
                entry.record.payload.to_vec(),
            ));
        }
    }
    assert_eq!(found, [(seq, 6, CHECKPOINT.encode().to_vec())]);
}

/// Asks until the pace allows it; the result, or the error.
fn publish(worker: &Worker, log_id: &str, checkpoint: Checkpoint) -> Value {
    for _ in 0..1_000 {
        let answer = worker.call("book.checkpoint", &arguments(log_id, checkpoint));
        if answer["error"]["code"] != "BUSY" {
            let key = if answer["ok"] == true {
                "result"
            } else {
                "error"
            };
            return answer[key].clone();
        }
    }
    panic!("BUSY for ever");
}

fn arguments(log_id: &str, checkpoint: Checkpoint) -> Value {
    let hash = format!("{:016x}", checkpoint.state_hash);
    json!({"log_id": log_id, "cursor": checkpoint.cursor, "messages": checkpoint.messages,
           "next_sequence": checkpoint.next_sequence, "state_hash": hash,
           "books": checkpoint.books, "trust": checkpoint.trust})
}

fn log_id(plant: &Plant) -> String {
    let reader = Reader::open(plant.path("journal")).expect("a journal");
    format!("{:032x}", u128::from_be_bytes(reader.log_id()))
}
