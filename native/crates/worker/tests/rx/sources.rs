//! Every source of missing ranges, honest and lying, as processes: what it brings is byte for byte
//! the venue's, and the ledger says who brought it and what went wrong.

use serde_json::{Value, json};
use tickdeck_stats::{GapRow, GapState};
use tickdeck_testbed::promised;
use tickdeck_wire::ledger::FAULTS;

use crate::plant::{Plant, Worker};
use crate::venue::Venue;

const MESSAGES: u64 = 20_000;
const RATE: &str = "40000";

/// Sources by the name of their server in the sim, and their protocol.
const SOURCES: [(&str, &str); 3] = [
    ("request", "moldudp64"),
    ("soup", "soupbintcp"),
    ("peer", "len_seq_payload"),
];

/// As [`plant_of`], for sources that answer: they may take their time on a busy machine.
fn patient_plant_of(protocol: &str) -> Plant {
    let mut plant = plant_of(protocol);
    let timeout = json!(10_000);
    plant.set("/exchange/recovery/request_timeout_ms", timeout);
    let slo_ms = promised(std::time::Duration::from_millis(250)).as_millis();
    plant.set("/exchange/recovery/slo_ms", json!(slo_ms as u64));
    plant
}

/// A plant whose only source is this one.
fn plant_of(protocol: &str) -> Plant {
    let mut plant = Plant::new();
    let recovery = [
        ("replay_protocol", json!(protocol)),
        ("request_timeout_ms", json!(50)),
        ("retry_attempts", json!(5)),
        ("retry_backoff_ms", json!(2)),
        ("slo_ms", json!(250)),
        ("storm_gaps", json!(0)),
    ];
    for (key, value) in recovery {
        plant.set(&format!("/exchange/recovery/{key}"), value);
    }
    plant.set("/exchange/arbiter/hold_capacity_packets", json!(16_384));
    // What a busy machine does not take in time is a loss of its own.
    plant.set("/exchange/receive/rcvbuf_bytes", json!(16 << 20));
    plant.set("/exchange/ring/slot_count", json!(32_768));
    plant
}

fn both_lines(ranges: &[(u64, u64)]) -> Value {
    let ranges: Vec<_> = ranges.iter().map(|(first, last)| [*first, *last]).collect();
    json!({"line": "AB", "ranges": ranges})
}

/// The key of the ledger for what a source brought.
fn brought_key(server: &str) -> &'static str {
    match server {
        "request" => "by_request",
        "soup" => "by_stream",
        _ => "by_peer",
    }
}

/// Messages that a source brought, by the row.
fn brought_by(row: &GapRow, server: &str) -> u64 {
    match server {
        "request" => row.by_request,
        "soup" => row.by_stream,
        _ => row.by_peer,
    }
}

/// Line A is cut for 200 ms at the highest rate: line B carries alone, nothing is lost, nothing
/// comes twice, nobody is asked.
#[test]
fn line_a_is_cut_for_200_ms() {
    let mut plant = plant_of("moldudp64");
    // Longer than this machine may keep line B's packets waiting.
    plant.set("/exchange/arbiter/reorder_window_ns", json!(500_000_000));
    plant.set(
        "/exchange/arbiter/reorder_window_min_ns",
        json!(500_000_000),
    );
    let mut venue = Venue::open(&plant, 100_000, "200000", &[]);
    plant.set(
        "/exchange/recovery/request_address",
        venue.address("request"),
    );
    let worker = plant.start();
    venue.play();
    worker.wait_until("arbiter_next_sequence", "", |next| next > 10_000);
    venue.arm_for("cut", json!({"line": "A"}), 200);
    venue.wait_for_the_end(&worker);
    assert!(
        worker.value("line_lost_total", "line=A") > 0,
        "the cut was felt"
    );
    assert_eq!(worker.value("line_lost_total", "line=B"), 0);
    assert_eq!(worker.value("recovery_requests_total", ""), 0);
    assert_eq!(worker.value("gap_messages_lost_total", ""), 0);
    worker.stop();
    assert_eq!(venue.compare(&plant), 0);
}

/// A thousand messages that both lines lost come from each source within the objective of 250 ms,
/// in order, and the row tells who brought them.
#[test]
fn a_thousand_messages_from_each_source() {
    for (server, protocol) in SOURCES {
        let mut plant = patient_plant_of(protocol);
        let mut venue = Venue::open(&plant, MESSAGES, RATE, &[]);
        plant.set("/exchange/recovery/request_address", venue.address(server));
        let worker = plant.start();
        venue.arm("drop", both_lines(&[(5_000, 5_999)]));
        venue.play();
        venue.wait_for_the_end(&worker);
        let rows = worker.stats().gaps();
        let is_it = |row: &&GapRow| row.first <= 5_000 && 5_999 <= row.last;
        let row = rows.iter().find(is_it);
        let row = row.unwrap_or_else(|| panic!("{server}: no such gap among {rows:?}"));
        assert_eq!(row.state, GapState::Filled, "{server}");
        assert_eq!(brought_by(row, server), 1_000, "{server}");
        assert!(!row.slo_violated, "{server}: within 250 ms");
        worker.stop();
        assert_eq!(venue.compare(&plant), 0, "{server}");
    }
}

/// A hundred ranges at a time come from each source, and every row is closed by its own part.
#[test]
fn a_hundred_ranges_from_each_source() {
    let ranges: Vec<_> = (0..100)
        .map(|at| (5_000 + at * 40, 5_000 + at * 40 + at % 20))
        .collect();
    for (server, protocol) in SOURCES {
        let mut plant = patient_plant_of(protocol);
        let mut venue = Venue::open(&plant, MESSAGES, "100000", &["--messages-per-packet", "1"]);
        plant.set("/exchange/recovery/request_address", venue.address(server));
        let worker = plant.start();
        venue.arm("drop", both_lines(&ranges));
        venue.play();
        venue.wait_for_the_end(&worker);
        worker.stop();
        assert_eq!(venue.compare(&plant), 0, "{server}");
        let ledger = plant.ledger();
        let number = |row: &Value, key: &str| row[key].as_u64().expect("a number");
        // Not by the lines that missed it: an answer can be here before a line has come so far.
        let is_of = |row: &Value, range: &(u64, u64)| {
            number(row, "first") <= range.0 && range.1 <= number(row, "last")
        };
        for range in &ranges {
            let of_it = ledger.iter().filter(|row| is_of(row, range)).count();
            assert_eq!(of_it, 1, "{server}: rows of {range:?}");
        }
        let is_lost = |row: &&Value| ranges.iter().any(|range| is_of(row, range));
        for row in ledger.iter().filter(is_lost) {
            assert_eq!(row["state"], "filled", "{server}: {row}");
            let by_lines = number(row, "by_line_a") + number(row, "by_line_b");
            let brought = number(row, brought_key(server));
            let size = number(row, "last") + 1 - number(row, "first");
            assert_eq!(brought + by_lines, size, "{server}: {row}");
            let lost = ranges.iter().filter(|range| is_of(row, range));
            let lost: u64 = lost.map(|(first, last)| last + 1 - first).sum();
            assert!(brought >= lost, "{server}: {row}");
        }
    }
}

/// Each lie of each server: nothing of it reaches the journal, the peer behind it brings what is
/// missing, and the ledger names what was wrong.
#[test]
fn lies_are_named_and_cost_nothing() {
    for (server, protocol) in &SOURCES[..2] {
        for lie in lies_of(server) {
            let mut plant = plant_of(protocol);
            let mut venue = Venue::open(&plant, 5_000, RATE, &[]);
            plant.set("/exchange/recovery/request_address", venue.address(server));
            plant.set("/exchange/recovery/peer_address", venue.address("peer"));
            let worker = plant.start();
            venue.arm("drop", both_lines(&[(2_000, 2_099)]));
            venue.arm("lie", lie_of(server, lie));
            venue.play();
            venue.wait_for_the_end(&worker);
            let row = named(&worker, server, lie);
            assert_eq!(row.state, GapState::Filled, "{server} {lie}: {row:?}");
            worker.stop();
            assert_eq!(venue.compare(&plant), 0, "{server} {lie}");
        }
    }
}

/// A peer that lies and is the only source: the range is declared lost, with the lie's name.
#[test]
fn a_lying_peer_alone_loses_the_range() {
    for lie in lies_of("peer") {
        let mut plant = plant_of("len_seq_payload");
        plant.set("/exchange/recovery/retry_attempts", json!(2));
        let mut venue = Venue::open(&plant, 5_000, RATE, &[]);
        plant.set("/exchange/recovery/request_address", venue.address("peer"));
        let worker = plant.start();
        venue.arm("drop", both_lines(&[(2_000, 2_099)]));
        venue.arm("lie", lie_of("peer", lie));
        venue.play();
        venue.wait_for_the_end(&worker);
        let row = named(&worker, "peer", lie);
        worker.stop();
        let lost = venue.compare(&plant);
        let is_lost = row.state == GapState::Unrecoverable;
        assert_eq!(
            lost,
            if is_lost { row.missing } else { 0 },
            "{lie}: {row:?}"
        );
        assert!(is_lost || *lie == "partial", "{lie}: {row:?}");
    }
}

/// Probes tell that every source would answer, and, once the venue is gone, that none does; nobody is
/// called failed before the open.
#[test]
fn probes_know_who_would_answer() {
    let mut plant = plant_of("moldudp64");
    let mut venue = Venue::open(&plant, 1_000, RATE, &[]);
    plant.set(
        "/exchange/recovery/request_address",
        venue.address("request"),
    );
    plant.set("/exchange/recovery/peer_address", venue.address("peer"));
    plant.set("/exchange/recovery/probe_interval_ms", json!(50));
    plant.set("/exchange/recovery/snapshot/protocol", json!("glimpse"));
    plant.set(
        "/exchange/recovery/snapshot/address",
        venue.address("glimpse"),
    );
    let worker = plant.start();
    // Before the first message there is nothing to ask for again, but a snapshot to be had.
    worker.wait_for("recovery_source_state", "source=snapshot", 1);
    for source in ["request", "peer"] {
        assert_eq!(
            worker.value("recovery_source_state", &format!("source={source}")),
            0
        );
    }
    venue.play();
    for source in ["request", "peer", "snapshot"] {
        let labels = format!("source={source}");
        worker.wait_for("recovery_source_state", &labels, 1);
        worker.wait_until("recovery_source_probed_ns", &labels, |at_ns| at_ns > 0);
    }
    venue.wait_for_the_end(&worker);
    assert!(worker.value("recovery_source_rtt_ns", "source=request") > 0);
    drop(venue);
    for source in ["request", "peer", "snapshot"] {
        worker.wait_for("recovery_source_state", &format!("source={source}"), 2);
    }
    let after = worker.call("recovery.sources", &json!({}));
    for source in after["result"]["sources"].as_array().expect("sources") {
        assert_ne!(source["detail"], "", "{after}");
    }
    worker.stop();
}

/// The lies that a server of this kind can tell.
fn lies_of(server: &str) -> &'static [&'static str] {
    match server {
        "request" => &[
            "wrong_session",
            "garbage",
            "truncated",
            "stale",
            "slow",
            "silent",
            "partial",
            "oversize",
            "not_asked",
        ],
        _ => &[
            "wrong_session",
            "garbage",
            "truncated",
            "stale",
            "slow",
            "silent",
            "partial",
            "oversize",
            "not_asked",
            "refused",
            "disconnected",
        ],
    }
}

fn lie_of(server: &str, lie: &str) -> Value {
    json!({"server": server, "lie": lie, "probability": 1.0, "delay_ms": 2_000})
}

/// The gap that both lines lost, once its row has a fault; which is the lie's, or one that looks
/// the same from here.
fn named(worker: &Worker, server: &str, lie: &str) -> GapRow {
    let both = |row: &&GapRow| row.lines_missed == 3;
    worker.wait_for_gap(|row| row.lines_missed == 3 && row.fault != 0);
    let rows = worker.stats().gaps();
    let row = *rows.iter().find(both).expect("the gap");
    let fault = FAULTS[usize::try_from(row.fault).expect("a small number")];
    assert!(
        looks_like(lie).contains(&fault),
        "{server} {lie}: the ledger says {fault}"
    );
    row
}

/// What a lie can look like to who asked.
fn looks_like(lie: &str) -> &[&str] {
    match lie {
        "slow" => &["slow", "silent"],
        "truncated" => &["truncated", "disconnected", "garbage", "partial"],
        "disconnected" => &["disconnected", "truncated"],
        "wrong_session" => &["wrong_session"],
        "garbage" => &["garbage", "truncated"],
        "stale" => &["stale", "not_asked"],
        "silent" => &["silent"],
        "partial" => &["partial"],
        "oversize" => &["oversize"],
        "not_asked" => &["not_asked"],
        "refused" => &["refused"],
        _ => &[],
    }
}
