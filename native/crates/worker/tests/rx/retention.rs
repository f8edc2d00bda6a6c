//! The journal is pruned while it is written, and the next incarnation goes on from what is left.

use serde_json::json;
use tickdeck_journal::{BOOK_PIN, Pin, Reader, kind, verify, write_pin};

use crate::plant::Plant;

/// Old segments go although the session began in the first of them: the worker says again where the
/// session stands. Killed and started again it goes on without a seam. With books, nothing goes before
/// their pin exists, and nothing that it holds.
#[test]
fn prunes_and_resumes() {
    let mut plant = Plant::new();
    plant.set("/exchange/journal/segment_size_bytes", json!(16_384));
    plant.set("/exchange/journal/retain_max_bytes", json!(20_000));
    plant.set("/exchange/book/enabled", json!(true));
    let worker = plant.start();
    let dir = plant.path("journal");
    let mut next = 1;
    let mut send = |count: u64| {
        for _ in 0..count {
            plant.send_both(next, next + 19);
            next += 20;
        }
        worker.wait_for("arbiter_next_sequence", "", next);
    };
    send(200);
    worker.wait_until("journal_segments", "", |segments| segments > 8);
    let mut pin = Pin {
        client: BOOK_PIN.into(),
        acked_seq: 30,
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: 0,
        lost: false,
    };
    write_pin(&dir, &pin).expect("written");
    // The session's first record is in the first segment, so this takes another one.
    worker.wait_until("journal_pruned_segments_total", "", |segments| segments > 0);
    let first_seq = worker.value("journal_oldest_seq", "");
    assert!((2..=31).contains(&first_seq), "{first_seq}");
    pin.acked_seq = 1_000_000;
    write_pin(&dir, &pin).expect("written");
    worker.wait_until("journal_pruned_segments_total", "", |segments| segments > 4);
    send(5);
    worker.kill();

    let worker = plant.start();
    plant.send_both(next, next + 19);
    worker.wait_for("arbiter_next_sequence", "", next + 20);
    worker.stop();
    let report = verify(&dir, &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, []);
    assert!(report.first_seq > 31, "{report:?}");
    let mut reader = Reader::open(&dir).expect("a journal");
    let (mut sessions, mut messages) = (0, None);
    while let Some(entry) = reader.next().expect("whole") {
        match entry.record.kind {
            kind::SESSION => sessions += 1,
            kind::DATA => {
                let first = entry.record.venue_seq;
                assert!(
                    messages.is_none_or(|next| next == first),
                    "{first} is behind a seam"
                );
                let count = tickdeck_wire::moldudp64::count_blocks(entry.record.payload);
                messages = Some(first + count.expect("whole blocks") as u64);
            }
            _ => {}
        }
    }
    assert_eq!(messages, Some(next + 20));
    // Older ones go with their segments, the one that the next start needs never.
    assert!(sessions >= 1, "no SESSION record is left");
}
