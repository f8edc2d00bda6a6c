//! Where a gap was lost is told with it, and on demand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tickdeck_stats::GapRow;
use tickdeck_testbed::or_skip;

use crate::plant::{Plant, Worker};

/// Codes of the gap table, as the daemon reads them.
const UPSTREAM: u64 = 1;
const XSK: u64 = 6;
const SOCKET: u64 = 8;
const ARBITER: u64 = 10;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the only gap has its verdict.
fn judged(worker: &Worker) -> GapRow {
    let start = Instant::now();
    loop {
        if let [row] = worker.stats().gaps()[..]
            && row.drop_layer != 0
        {
            return row;
        }
        let rows = worker.stats().gaps();
        assert!(start.elapsed() < LIMIT, "no verdict on one gap: {rows:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Stops the worker, and waits until each of its threads stands: one that is awake runs on until
/// another has been told.
fn stand_still(worker: &Worker) {
    worker.signal(Signal::STOP);
    let start = Instant::now();
    let stands = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.expect("a thread").path().join("stat"));
        // proc(5): the state is the letter behind the name, which is in brackets.
        let stat = stat.expect("its state");
        stat.rsplit_once(") ").expect("a name").1.starts_with('T')
    };
    let tasks = format!("/proc/{}/task", worker.pid());
    while !std::fs::read_dir(&tasks).expect("threads").all(stands) {
        assert!(start.elapsed() < LIMIT, "it does not stand still");
        std::thread::yield_now();
    }
}

fn report(worker: &Worker) -> Value {
    let answer = worker.call("receive.report", &json!({}));
    assert_eq!(answer["ok"], true, "{answer}");
    answer["result"].clone()
}

/// The row of a counter in a report.
fn counter<'r>(report: &'r Value, layer: &str, name: &str) -> &'r Value {
    let rows = report["layers"].as_array().expect("layers");
    let mut found = rows
        .iter()
        .filter(|row| row["layer"] == layer && row["counter"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no {layer}/{name} in {report}"))
}

/// A worker that stands still while its small socket buffers overflow on both lines: the gap was
/// lost at the sockets, and the count is the kernel's to the packet.
#[test]
fn full_socket_buffers_are_named() {
    let mut plant = Plant::new();
    plant.set("/exchange/receive/rcvbuf_bytes", json!(8_192));
    let worker = plant.start();
    plant.send_both(1, 1);
    worker.wait_for("rx_packets_total", "line=A", 1);
    worker.wait_for("rx_packets_total", "line=B", 1);
    stand_still(&worker);
    for sequence in 2..=200 {
        plant.send_both(sequence, sequence);
    }
    worker.signal(Signal::CONT);
    // The buffers hold less than one batch, so one call each empties them.
    for line in ["line=A", "line=B"] {
        worker.wait_until("rx_packets_total", line, |packets| packets > 1);
    }
    plant.send_both(201, 201);
    plant.answer_until(&worker, 202, 100);
    let row = judged(&worker);
    let packets = |line| worker.value("rx_packets_total", line);
    let lost = 2 * 201 - packets("line=A") - packets("line=B");
    assert!(lost > 300, "{lost}");
    assert_eq!((row.drop_layer, row.drop_count), (SOCKET, lost));
    assert_eq!(row.lines_missed, 0b11);
    let at = |receiver: u32| {
        worker.value(
            "rx_layer_drops_total",
            &format!("layer=socket,receiver={receiver}"),
        )
    };
    assert_eq!(at(1) + at(2), lost);
    let report = report(&worker);
    let last = &report["last_verdict"];
    assert_eq!(
        (&last["layer"], &last["lost"]),
        (&json!("socket"), &json!(lost))
    );
    assert_eq!(last["grown"], json!([{"layer": "socket", "lost": lost}]));
    assert_eq!(counter(&report, "socket", "drops")["since_start"], lost);
    worker.stop();
}

/// Numbers that the venue left out on both lines were not lost here: every layer could be read and
/// none lost anything.
#[test]
fn what_never_came_is_upstream() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 1);
    worker.wait_for("arbiter_next_sequence", "", 2);
    plant.send_both(4, 4);
    plant.answer_until(&worker, 5, 10);
    let row = judged(&worker);
    assert_eq!((row.drop_layer, row.drop_count), (UPSTREAM, 0));
    assert_eq!(
        report(&worker)["last_verdict"]["text"],
        "upstream: not lost on this host"
    );
    worker.stop();
}

/// What a full hold dropped is the merge's own loss, although it is seen as a gap only when the
/// one before has been filled.
#[test]
fn full_hold_is_named() {
    let mut plant = Plant::new();
    plant.set("/exchange/arbiter/hold_capacity_packets", json!(2));
    plant.set("/exchange/recovery/retry_attempts", json!(100));
    let worker = plant.start();
    for sequence in [1, 3, 4, 5, 6, 7] {
        plant.send(0, sequence, sequence);
    }
    worker.wait_for("arbiter_hold_dropped_total", "", 3);
    // Readings and packets go on before the answer comes: the last packet in front of the second
    // gap is then younger than a reading that has the loss.
    std::thread::sleep(Duration::from_millis(1_200));
    plant.send_both(1, 1);
    worker.wait_for("rx_packets_total", "line=B", 1);
    plant.answer_until(&worker, 8, 10);
    let start = Instant::now();
    let told = |row: &GapRow| (row.first, row.drop_layer, row.drop_count);
    // What was dropped behind the first gap did not make it.
    let expected = [(2, UPSTREAM, 0), (5, ARBITER, 3)];
    while worker.stats().gaps().iter().map(told).ne(expected) {
        assert!(start.elapsed() < LIMIT, "{:?}", worker.stats().gaps());
        std::thread::sleep(Duration::from_millis(5));
    }
    worker.stop();
}

/// The same on a bypass path, whose ring both lines share: the XSK is named, the kernel's count is
/// taken, and the report says why no better path runs.
#[test]
fn full_xsk_ring_is_named() {
    let Some(testbed) = or_skip("full_xsk_ring_is_named", 1) else {
        return;
    };
    let mut plant = Plant::across(&Arc::new(testbed), "af_xdp");
    let worker = plant.start();
    plant.send_both(1, 1);
    worker.wait_for("rx_packets_total", "line=A", 1);
    worker.wait_for("rx_packets_total", "line=B", 1);
    stand_still(&worker);
    for sequence in 2..=3_000 {
        plant.send_both(sequence, sequence);
    }
    // Longer than the interval of readings: one is due when the worker wakes, while the ring is
    // full; it would hold the loss and must not be taken for one from before the gap.
    std::thread::sleep(Duration::from_millis(1_200));
    worker.signal(Signal::CONT);
    // Heartbeats may meet the full ring too, until one tells what is missing.
    let start = Instant::now();
    while worker.value("gaps_opened_total", "") == 0 {
        assert!(start.elapsed() < LIMIT, "a heartbeat arrives");
        plant.heartbeat(0, 3_001);
        plant.heartbeat(1, 3_001);
        std::thread::sleep(Duration::from_millis(5));
    }
    let row = judged(&worker);
    let lost = worker.value("rx_layer_drops_total", "layer=xsk,receiver=1");
    assert!(lost > 2_000, "{lost}");
    assert_eq!((row.drop_layer, row.drop_count), (XSK, lost));
    for line in ["line=A", "line=B"] {
        assert_eq!(worker.value("rx_receiver", line), 1);
    }
    assert_eq!(worker.value("rx_layer_drops_total", "layer=nic"), 0);
    let report = report(&worker);
    let line = &report["lines"][1];
    let refused = json!([line["rungs"][0]["path"], line["rungs"][0]["errno"]]);
    assert_eq!(refused, json!(["af_xdp zero-copy", 95]));
    assert_eq!(line["path"], "af_xdp native copy");
    assert_eq!(counter(&report, "nic", "rx_dropped")["readable"], true);
    worker.stop();
}

/// The report shows the path of each line and every layer in the order of a packet, before any gap.
#[test]
fn report_shows_every_layer() {
    let mut plant = Plant::new();
    let worker = plant.start();
    worker.wait_for("rx_path", "line=A", tickdeck_net::Rung::Recvmmsg as u64);
    worker.wait_for("rx_receiver", "line=B", 2);
    let report = report(&worker);
    let line = |line, receiver| {
        json!({"line": line, "receiver": receiver, "path": "recvmmsg",
               "rungs": [{"path": "recvmmsg", "ok": true, "errno": null, "error": ""}]})
    };
    assert_eq!(report["lines"], json!([line("A", 1), line("B", 2)]));
    let rows = report["layers"].as_array().expect("layers");
    let mut layers: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["layer"].as_str())
        .collect();
    layers.dedup();
    let expected = [
        "nic",
        "softnet",
        "xdp_program",
        "xsk",
        "packet_ring",
        "socket",
        "receiver",
        "arbiter",
        "ring",
        "journal",
    ];
    assert_eq!(layers, expected);
    assert!(rows.iter().all(|row| row["readable"] == true), "{report}");
    assert!(report["last_verdict"].is_null());
    worker.stop();
}
