//! What leaves: each message once, in order, whatever is lost on which line.

use serde_json::{Value, json};
use tickdeck_journal::REPORT_FILE;
use tickdeck_wire::record::SessionEventKind::{Ended, Started};

use crate::plant::{Entry, Plant};

/// Copies, a loss on one line, a loss on both that the server brings in parts, the end of the
/// session: the journal has every message once, in order, with each gap told where it was.
#[test]
fn every_message_once_in_order() {
    every_message(Plant::new());
}

/// The same through packet rings.
#[test]
fn every_message_once_in_order_through_packet_rings() {
    if !rustix::process::geteuid().is_root() {
        println!(
            "SKIPPED: every_message_once_in_order_through_packet_rings: packet rings need root"
        );
        return;
    }
    let mut plant = Plant::new();
    for line in 0..2 {
        plant.set(
            &format!("/exchange/lines/{line}/receive"),
            json!("packet_mmap"),
        );
    }
    every_message(plant);
}

fn every_message(mut plant: Plant) {
    let worker = plant.start();
    plant.send_both(1, 10);
    plant.send(0, 11, 20);
    worker.wait_for("line_next_sequence", "line=A", 21);
    plant.send(1, 21, 30);
    worker.wait_for("arbiter_next_sequence", "", 31);
    plant.send_both(51, 60);
    plant.answer_until(&worker, 61, 8);
    worker.wait_for("arbiter_next_sequence", "", 61);
    plant.end_session(61);
    worker.wait_for("session_state", "", 2);
    let value = |name: &str| worker.value(name, "");
    assert_eq!(
        (value("gaps_opened_total"), value("gaps_filled_total")),
        (1, 1)
    );
    assert_eq!(
        (
            value("arbiter_delivered_total"),
            value("arbiter_duplicates_total")
        ),
        (60, 20)
    );
    assert!(value("recovery_requests_total") >= 3);
    assert_eq!(value("gap_messages_lost_total"), 0);
    assert_eq!(worker.value("line_lost_total", "line=A"), 30);
    assert_eq!(worker.value("line_lost_total", "line=B"), 30);
    let [row] = worker.stats().gaps()[..] else {
        panic!("one gap")
    };
    assert_eq!(
        (row.first, row.last, row.sources, row.missing),
        (31, 50, 4, 0)
    );
    assert!(row.attempts >= 3, "one request for each part");
    assert_eq!(row.lines_missed, 3);
    assert!(row.detected_ns <= row.requested_ns && row.requested_ns <= row.closed_ns);
    worker.stop();
    let entries = [
        Entry::Session(Started, 1),
        Entry::Data(1, 10),
        Entry::Data(11, 20),
        Entry::Data(21, 30),
        Entry::Opened(31, 50),
        Entry::Data(31, 38),
        Entry::Data(39, 46),
        Entry::Data(47, 50),
        Entry::Filled(31, 50),
        Entry::Data(51, 60),
        Entry::Session(Ended, 61),
    ];
    assert_eq!(plant.journal(), entries);
}

/// The ring holds the same records under the same sequence numbers as the journal.
#[test]
fn ring_and_journal_agree() {
    let mut plant = Plant::new();
    let worker = plant.start();
    for first in (1..200).step_by(4) {
        plant.send(0, first, first + 3);
    }
    worker.wait_for("arbiter_next_sequence", "", 201);
    worker.wait_for(
        "journal_durable_seq",
        "",
        worker.value("ring_published_total", ""),
    );
    let ring = tickdeck_ring::Reader::open(&plant.path("ring")).expect("ring");
    let mut journal = tickdeck_journal::Reader::open(plant.path("journal")).expect("journal");
    assert_eq!(ring.log_id(), journal.log_id());
    let mut payload = vec![0; ring.slot_bytes()];
    let mut count = 0;
    while let Some(entry) = journal.next().expect("a whole journal") {
        let tickdeck_ring::Read::Record { header, len } = ring.read(entry.seq, &mut payload) else {
            panic!("the ring holds record {}", entry.seq);
        };
        assert_eq!(&payload[..len], entry.record.payload);
        assert_eq!(
            (header.kind, header.line),
            (entry.record.kind, entry.record.line)
        );
        assert_eq!(
            (header.venue_seq, header.rx_ns),
            (entry.record.venue_seq, entry.record.rx_ns)
        );
        count += 1;
    }
    assert_eq!(count, ring.next_seq() - 1);
    worker.stop();
}

/// The ops of the control socket act, answer, and refuse what makes no sense.
#[test]
fn control_ops() {
    let mut plant = Plant::new();
    let mut worker = plant.start();
    plant.send(0, 1, 4);
    worker.wait_for("arbiter_next_sequence", "", 5);
    let status = worker.call("status", &json!({}));
    assert_eq!(status["result"]["state"], "RUNNING");
    let sealed = worker.call("journal.seal", &json!({}));
    assert_eq!(sealed["result"]["segments"], 2);
    assert_eq!(sealed["result"]["durable_seq"], 2);
    let losses = worker.call("journal.losses", &json!({}));
    assert_eq!(losses["result"]["losses"], json!([]));
    let code = |op: &str, args| worker.call(op, &args)["error"]["code"].clone();
    assert_eq!(code("recovery.start", json!({"gap_id": 5})), "NOT_FOUND");
    assert_eq!(code("feed.start", json!({})), "UNKNOWN_OP");
    assert_eq!(worker.call("drain", &json!({}))["ok"], true);
    assert_eq!(worker.exit_code(), 0);
    assert_eq!(plant.journalled_messages(), 4);
}

/// The worker itself marks its recovery report, once; one that it cannot read stays as it is.
#[test]
fn the_recovery_report_is_acknowledged() {
    let mut plant = Plant::new();
    let worker = plant.start();
    let ask = || worker.call("journal.acknowledge", &json!({}));
    assert_eq!(ask()["result"]["acknowledged"], false, "there is none");
    let path = plant.path("journal").join(REPORT_FILE);
    let report =
        json!({"mode": "tail", "problems": [{"class": "torn_tail"}], "acknowledged": false});
    std::fs::write(&path, report.to_string()).expect("writes");
    worker.wait_for("journal_recovery_problems", "", 1);
    assert_eq!(ask()["result"]["acknowledged"], true);
    let text = std::fs::read(&path).expect("reads");
    let marked: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(marked["acknowledged"], true);
    assert_eq!(marked["problems"], report["problems"]);
    worker.wait_for("journal_recovery_problems", "", 0);
    assert_eq!(ask()["result"]["acknowledged"], false, "it was seen");
    std::fs::write(&path, "{").expect("writes");
    let refused = ask();
    assert_eq!(refused["error"]["code"], "WRONG_STATE", "{refused}");
    assert_eq!(std::fs::read(&path).expect("reads"), b"{");
    worker.stop();
}

/// An operator's retry does not wait for the backoff.
#[test]
fn retry_now() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/retry_backoff_ms", json!(3_600_000));
    plant.set("/exchange/recovery/request_timeout_ms", json!(20));
    let worker = plant.start();
    plant.send(0, 1, 1);
    plant.send(0, 3, 3);
    plant.request();
    worker.wait_for("recovery_failures_total", "", 1);
    assert_eq!(
        worker.call("recovery.start", &json!({"gap_id": 0}))["result"]["gaps"],
        1
    );
    assert_eq!(plant.answer(1), (2, 2));
    worker.wait_for("gaps_filled_total", "", 1);
    worker.stop();
}

/// A spinning receive thread gives the same stream.
#[test]
fn spinning_receiver() {
    let mut plant = Plant::new();
    plant.set("/exchange/receive/wait", json!("spin"));
    let worker = plant.start();
    plant.send(0, 1, 2);
    plant.send(1, 5, 6);
    assert_eq!(plant.answer(2), (3, 4));
    worker.wait_for("arbiter_next_sequence", "", 7);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 6);
}
