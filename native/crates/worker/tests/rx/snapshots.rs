//! GLIMPSE snapshots in the stream: where ranges are not to be had, the books come back good.

use serde_json::json;
use tickdeck_book::{Books, BooksConfig, Channel, Record, Trust};
use tickdeck_journal::Reader;
use tickdeck_stats::GapState;
use tickdeck_wire::record::kind;

use crate::plant::Plant;
use crate::venue::Venue;

const MESSAGES: u64 = 20_000;

/// A plant whose re-request server is silent and who may take snapshots.
fn plant_with(venue: impl Fn(&Plant) -> Venue, storm_gaps: u64) -> (Plant, Venue) {
    let mut plant = Plant::new();
    let venue = venue(&plant);
    for (key, value) in [
        ("request_address", venue.address("request")),
        ("request_timeout_ms", json!(20)),
        ("retry_attempts", json!(2)),
        ("retry_backoff_ms", json!(1)),
        ("storm_gaps", json!(storm_gaps)),
        ("snapshot/protocol", json!("glimpse")),
        ("snapshot/address", venue.address("glimpse")),
    ] {
        plant.set(&format!("/exchange/recovery/{key}"), value);
    }
    plant.set("/exchange/recovery/snapshot/max_bytes", json!(1 << 26));
    plant.set("/exchange/arbiter/hold_capacity_packets", json!(16_384));
    (plant, venue)
}

/// The hash and trust of the books that a journal gives.
fn replayed(plant: &Plant) -> (Vec<u64>, Trust) {
    let mut reader = Reader::open(plant.path("journal")).expect("a journal");
    let mut channel = Channel::new(BooksConfig::default());
    while let Some(found) = reader.next().expect("a whole journal") {
        channel.apply(Record {
            seq: found.seq,
            kind: found.record.kind,
            venue_seq: found.record.venue_seq,
            rx_ns: found.record.rx_ns,
            payload: found.record.payload,
        });
    }
    (hashes(channel.books()), channel.books().channel_trust())
}

/// How many whole snapshots a journal has.
fn snapshots_in(plant: &Plant) -> usize {
    let mut reader = Reader::open(plant.path("journal")).expect("a journal");
    let mut count = 0;
    while let Some(found) = reader.next().expect("a whole journal") {
        count += usize::from(found.record.kind == kind::SNAPSHOT_END);
    }
    count
}

fn hashes(books: &Books) -> Vec<u64> {
    let mut hashes: Vec<_> = books.iter().map(|book| book.state_hash()).collect();
    hashes.sort_unstable();
    hashes
}

/// The books of the whole day, from its messages.
fn whole_day(venue: &Venue) -> Vec<u64> {
    let mut books = Books::new(BooksConfig::default());
    for (sequence, message) in (1..).zip(venue.messages()) {
        books.apply(sequence, message);
    }
    hashes(&books)
}

/// A thousand messages that nobody brings: the books are those of the whole day, the loss is told
/// with its reason, the row says that a snapshot filled it.
#[test]
fn books_come_back_from_a_snapshot() {
    let (mut plant, mut venue) = plant_with(|plant| Venue::open(plant, MESSAGES, "40000", &[]), 0);
    let worker = plant.start();
    venue.arm("drop", json!({"line": "AB", "ranges": [[5_000, 5_999]]}));
    venue.arm("request_stop", json!({}));
    venue.play();
    venue.wait_for_the_end(&worker);
    worker.wait_for_gap(|row| row.state == GapState::Filled && row.by_snapshot > 0);
    let row = worker.stats().gaps()[0];
    assert_eq!((row.by_snapshot, row.missing), (1_000, 0), "{row:?}");
    assert_eq!(worker.value("recovery_snapshots_total", ""), 1);
    worker.stop();
    assert_eq!(venue.compare(&plant), 1_000);
    assert_eq!(replayed(&plant), (whole_day(&venue), Trust::Good));
}

/// A storm of gaps goes to the snapshot at once, although the server would answer.
#[test]
fn a_storm_goes_to_the_snapshot() {
    let (mut plant, mut venue) = plant_with(
        |plant| Venue::open(plant, MESSAGES, "max", &["--messages-per-packet", "1"]),
        20,
    );
    let worker = plant.start();
    let ranges: Vec<_> = (0..200)
        .map(|at| [5_000 + at * 10, 5_004 + at * 10])
        .collect();
    venue.arm("drop", json!({"line": "AB", "ranges": ranges}));
    venue.arm("request_stop", json!({}));
    venue.play();
    venue.wait_for_the_end(&worker);
    assert!(worker.value("recovery_snapshots_total", "") >= 1);
    worker.stop();
    assert!(venue.compare(&plant) > 0, "some was left to a snapshot");
    assert_eq!(replayed(&plant), (whole_day(&venue), Trust::Good));
}

/// A snapshot server that lies: no byte of a lie gets into the stream, the range is declared lost
/// and the ledger names the lie.
#[test]
fn a_lying_snapshot_server_changes_nothing() {
    for lie in [
        "wrong_session",
        "garbage",
        "truncated",
        "stale",
        "silent",
        "refused",
    ] {
        let (mut plant, mut venue) = plant_with(|plant| Venue::open(plant, 5_000, "40000", &[]), 0);
        let timeout_ms = if lie == "silent" { 300 } else { 5_000 };
        plant.set("/exchange/recovery/snapshot/timeout_ms", json!(timeout_ms));
        let worker = plant.start();
        venue.arm("drop", json!({"line": "AB", "ranges": [[2_000, 2_099]]}));
        venue.arm("request_stop", json!({}));
        let args = json!({"server": "glimpse", "lie": lie, "probability": 1.0, "delay_ms": 0});
        venue.arm("lie", args);
        venue.play();
        venue.wait_for_the_end(&worker);
        worker.wait_for_gap(|row| row.fault != 0 && row.state.is_final());
        let row = worker.stats().gaps()[0];
        // An old snapshot is no lie once it is new enough.
        assert!(
            row.state == GapState::Unrecoverable || lie == "stale",
            "{lie}: {row:?}"
        );
        let fault = tickdeck_wire::ledger::FAULTS[usize::try_from(row.fault).expect("small")];
        worker.stop();
        assert_eq!(venue.compare(&plant), 100, "{lie}");
        let (_, trust) = replayed(&plant);
        assert_eq!(trust == Trust::Good, row.state == GapState::Filled, "{lie}");
        let same = match lie {
            "truncated" => ["truncated", "disconnected"],
            "silent" => ["silent", "slow"],
            // One that is old, and new enough, is none: then only the silent server is named.
            "stale" if row.state == GapState::Filled => ["stale", "silent"],
            "stale" => ["stale", "not_asked"],
            other => [other, other],
        };
        assert!(same.contains(&fault), "{lie}: the ledger says {fault}");
    }
}

/// An operator takes a snapshot without a gap, while the lines go on: it is in the stream at the
/// first attempt, and the books are the same, and good.
#[test]
fn an_operator_takes_a_snapshot() {
    let (mut plant, mut venue) = plant_with(|plant| Venue::open(plant, MESSAGES, "40000", &[]), 0);
    let worker = plant.start();
    venue.play();
    worker.wait_until("arbiter_next_sequence", "", |next| next > 1_000);
    worker.wait_until("recovery_source_state", "source=request", |_| true);
    let answer = worker.call("recovery.snapshot", &json!({}));
    assert_eq!(answer["result"]["gaps"], 0, "{answer}");
    worker.wait_for("recovery_snapshots_total", "", 1);
    venue.wait_for_the_end(&worker);
    worker.stop();
    assert_eq!(venue.compare(&plant), 0);
    assert_eq!(snapshots_in(&plant), 1);
    assert_eq!(replayed(&plant), (whole_day(&venue), Trust::Good));
}
