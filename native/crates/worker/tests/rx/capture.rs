//! The rolling capture: files around gaps and on demand hold exactly what came on the lines.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_worker::capture::{Reader, Skip};

use crate::plant::{Plant, SESSION, packet};

/// A plant whose worker captures; a cut around a gap ends `after_ms` after it.
fn capturing(after_ms: u64) -> Plant {
    let mut plant = Plant::new();
    plant.set("/exchange/capture/enabled", json!(true));
    plant.set("/exchange/capture/after_ms", json!(after_ms));
    plant
}

/// What a file holds: the line, told by the destination, and the payload; in order of arrival on
/// each line.
fn content(plant: &Plant, path: &Path) -> [Vec<Vec<u8>>; 2] {
    let groups = [0, 1].map(|line| plant.destination(line));
    let mut content = [Vec::new(), Vec::new()];
    let mut reader = Reader::open(path).expect("a capture");
    while let Some(frame) = reader.next_frame().expect("a whole capture") {
        let datagram = frame.datagram.expect("a datagram");
        let line = groups
            .iter()
            .position(|group| *group == datagram.destination);
        content[line.expect("a line of ours")].push(datagram.payload.to_vec());
    }
    content
}

fn captures(plant: &Plant) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(plant.path("captures")) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("lists").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("UTF-8")
}

fn utc_ns() -> u64 {
    tickdeck_net::clock::realtime_ns()
}

/// Waits until the clock is so far on: what is sent then is beyond a span that ends now.
fn pass(duration: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        std::thread::sleep(duration - begin.elapsed().min(duration));
    }
}

/// A gap on one line is no occasion; one on both is cut with exactly the packets around it, those
/// of before and after its span left out, the gap still open.
#[test]
fn a_gap_on_both_lines_is_cut() {
    let mut plant = capturing(3_000);
    plant.set("/exchange/capture/before_ms", json!(3_000));
    // Line B may be late by so much that the test's own pauses open no gap.
    plant.set("/exchange/arbiter/reorder_window_ns", json!(1_000_000_000));
    plant.set(
        "/exchange/arbiter/reorder_window_min_ns",
        json!(1_000_000_000),
    );
    plant.set("/exchange/arbiter/reorder_window_packets", json!(0));
    let worker = plant.start();
    plant.send_both(1, 2);
    plant.send(0, 3, 3);
    plant.send_both(4, 4);
    plant.send(1, 3, 4);
    worker.wait_for("arbiter_next_sequence", "", 5);
    pass(Duration::from_millis(4_500));
    plant.send_both(5, 6);
    plant.send_both(9, 9);
    plant.send(1, 10, 11);
    worker.wait_for("capture_cuts_total", "", 1);
    plant.send_both(12, 12);
    worker.wait_for("capture_packets_total", "", 13);
    let [path] = &captures(&plant)[..] else {
        panic!("one file: {:?}", captures(&plant))
    };
    assert!(name(path).starts_with("TEST-gap-"), "{path:?}");
    let (five, nine) = (packet(SESSION, 5, 6), packet(SESSION, 9, 9));
    let [a, b] = content(&plant, path);
    assert_eq!(a, [five.clone(), nine.clone()]);
    assert_eq!(b, [five, nine, packet(SESSION, 10, 11)]);
    assert_eq!(
        worker.value("gaps_open", ""),
        1,
        "the cut did not wait for the recovery"
    );
    assert_eq!(worker.value("capture_cuts_skipped_total", ""), 0);
    plant.answer_until(&worker, 13, 10);
    worker.stop();
    assert_eq!(plant.journalled_messages(), 12);
}

/// A gap shortly before the worker's end is cut at the end; another one of the same second is
/// counted.
#[test]
fn a_gap_before_the_end_is_cut() {
    let mut plant = capturing(60_000);
    let worker = plant.start();
    plant.send_both(1, 1);
    plant.send_both(3, 3);
    plant.send_both(5, 5);
    plant.answer_until(&worker, 6, 1);
    worker.wait_for("capture_cuts_skipped_total", "", 1);
    assert!(captures(&plant).is_empty());
    worker.stop();
    let [path] = &captures(&plant)[..] else {
        panic!("one file: {:?}", captures(&plant))
    };
    let sent = [1, 3, 5].map(|sequence| packet(SESSION, sequence, sequence));
    assert_eq!(content(&plant, path), [sent.to_vec(), sent.to_vec()]);
}

/// A cut on demand holds the span asked for, or everything: bad packets too, since they are what
/// one looks for. Only so many files are kept.
#[test]
fn a_cut_on_demand() {
    let mut plant = capturing(50);
    plant.set("/exchange/capture/max_files", json!(2));
    let worker = plant.start();
    let cut = |args: &Value| worker.call("capture.cut", args);
    assert_eq!(cut(&json!({}))["error"]["code"], "NOT_FOUND");
    plant.send_both(1, 1);
    plant.send_bytes(1, b"not MoldUDP64");
    worker.wait_for("capture_packets_total", "", 3);
    pass(Duration::from_millis(5));
    let middle_ns = utc_ns();
    pass(Duration::from_millis(5));
    plant.send_both(2, 2);
    plant.send_bytes(0, &[7; 1501]);
    worker.wait_for("capture_packets_total", "", 6);

    let answer = cut(&json!({"reason": "why not?"}));
    let result = &answer["result"];
    assert_eq!(
        (&result["packets"], &result["lapped"]),
        (&json!(6), &json!(0)),
        "{answer}"
    );
    let path = PathBuf::from(result["path"].as_str().expect("a path"));
    assert!(name(&path).starts_with("TEST-cut-"), "{path:?}");
    let bytes = std::fs::read(&path).expect("reads");
    assert_eq!(result["bytes"], bytes.len());
    assert!(bytes.windows(8).any(|window| window == b"why not?"));
    let mut reader = Reader::open(&path).expect("a capture");
    let mut skips = Vec::new();
    while let Some(frame) = reader.next_frame().expect("a whole capture") {
        skips.extend(frame.datagram.err());
    }
    assert_eq!(skips, [Skip::Truncated], "the packet that was too long");

    let before = cut(&json!({"to_ns": middle_ns}));
    let path = PathBuf::from(before["result"]["path"].as_str().expect("a path"));
    let one = packet(SESSION, 1, 1);
    let bad = b"not MoldUDP64".to_vec();
    assert_eq!(content(&plant, &path), [vec![one.clone()], vec![one, bad]]);
    assert!(before["result"]["last_ns"].as_u64() <= Some(middle_ns));
    let behind = cut(&json!({"from_ns": middle_ns, "to_ns": u64::MAX}));
    assert_eq!(behind["result"]["packets"], 3, "{behind}");
    assert!(behind["result"]["first_ns"].as_u64() > Some(middle_ns));
    assert_eq!(captures(&plant).len(), 2);
    assert_eq!(worker.value("capture_cuts_total", ""), 3);
    worker.stop();
}

/// Arguments that make no sense are refused with their name, and the worker goes on.
#[test]
fn hostile_orders_are_refused() {
    let mut plant = capturing(50);
    let worker = plant.start();
    plant.send_both(1, 1);
    worker.wait_for("capture_packets_total", "", 2);
    let long = "x".repeat(201);
    for (args, culprit) in [
        (json!({"from_ns": -1}), "from_ns"),
        (json!({"from_ns": 1.5}), "from_ns"),
        (json!({"to_ns": "now"}), "to_ns"),
        (json!({"from_ns": 5, "to_ns": 4}), "behind to_ns 4"),
        (json!({"reason": 7}), "reason"),
        (json!({"reason": "a\nb"}), "control characters"),
        (json!({"reason": "../../\u{0}"}), "control characters"),
        (json!({ "reason": long }), "at most 200"),
    ] {
        let answer = worker.call("capture.cut", &args);
        assert_eq!(answer["error"]["code"], "INVALID_ARGS", "{args}: {answer}");
        let message = answer["error"]["message"].as_str().expect("a text");
        assert!(message.contains(culprit), "{args}: {message}");
    }
    let nothing = worker.call("capture.cut", &json!({"from_ns": u64::MAX}));
    assert_eq!(nothing["error"]["code"], "NOT_FOUND");
    assert!(captures(&plant).is_empty());
    assert_eq!(
        worker.call("capture.cut", &json!({}))["result"]["packets"],
        2
    );
    worker.stop();
}

/// Without a capture there is no ring, and an order is refused with the setting to change.
#[test]
fn nothing_is_captured_by_default() {
    let mut plant = Plant::new();
    let worker = plant.start();
    plant.send_both(1, 1);
    worker.wait_for("arbiter_next_sequence", "", 2);
    assert_eq!(worker.value("capture_packets_total", ""), 0);
    assert!(!plant.path("capture.ring").exists());
    let refused = worker.call("capture.cut", &json!({}));
    assert_eq!(refused["error"]["code"], "WRONG_STATE");
    let message = refused["error"]["message"].as_str().expect("a text");
    assert!(message.contains("capture.enabled = true"), "{message}");
    worker.stop();
}
