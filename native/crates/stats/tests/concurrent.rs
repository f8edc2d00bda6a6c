//! A writer and a reader at full speed on one file.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use tickdeck_stats::reader::Reader;
use tickdeck_stats::{Builder, GapRow, GapState, Identity};

/// Rows written while the reader looks: what is read is one row as it was put, never a mixture.
#[test]
fn a_gap_row_is_never_torn() {
    const ROUNDS: u64 = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(identity());
    let gaps = builder.gap_table();
    let file = builder.create(dir.path()).unwrap();
    let reader = Reader::open(file.path()).unwrap();
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            // Two slots only, so that the reader meets rows in the making.
            for round in 1..=ROUNDS {
                gaps.put(&row(round * 256 + round % 2, round));
            }
            done.store(true, Relaxed);
        });
        let mut last_seen = 0;
        while !done.load(Relaxed) {
            for read in reader.gaps() {
                assert_eq!(read, row(read.id, read.first));
                last_seen = last_seen.max(read.first);
            }
        }
        assert!(last_seen > 0, "the reader saw something");
    });
    let last: Vec<u64> = reader.gaps().iter().map(|row| row.first).collect();
    assert_eq!((last, reader.torn_gaps()), (vec![ROUNDS - 1, ROUNDS], 0));
}

/// Counters and histograms only grow in the eyes of a reader, and nothing that was counted before
/// the end is missing after it.
#[test]
fn a_reader_sees_values_grow_to_the_total() {
    const ROUNDS: u64 = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(identity());
    let counter = builder.counter("x_total", "packets", "");
    let histogram = builder.histogram("x_ns", "ns", "");
    let file = builder.create(dir.path()).unwrap();
    let reader = Reader::open(file.path()).unwrap();
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..ROUNDS {
                counter.add(1);
                histogram.record(round);
            }
            done.store(true, Relaxed);
        });
        let (mut count, mut buckets) = (0, vec![0; 1_088]);
        while !done.load(Relaxed) {
            let now = reader.value("x_total", "").unwrap();
            let view = reader.histograms().remove(0);
            assert!(now >= count && view.buckets.iter().zip(&buckets).all(|(a, b)| a >= b));
            (count, buckets) = (now, view.buckets);
        }
    });
    let view = reader.histograms().remove(0);
    assert_eq!(reader.value("x_total", ""), Some(ROUNDS));
    assert_eq!(
        (view.count, view.buckets.iter().sum::<u64>()),
        (ROUNDS, ROUNDS)
    );
    assert_eq!(
        (view.min, view.max, view.sum),
        (0, ROUNDS - 1, ROUNDS * (ROUNDS - 1) / 2)
    );
}

/// A row whose every field follows from `round`.
fn row(id: u64, round: u64) -> GapRow {
    GapRow {
        id,
        first: round,
        last: round + 1,
        state: if round.is_multiple_of(2) {
            GapState::Waiting
        } else {
            GapState::Partial
        },
        sources: round * 3,
        reason: round * 5,
        detected_ns: round * 7,
        requested_ns: round * 11,
        closed_ns: round * 13,
        attempts: round * 17,
        missing: round * 19,
        lines_missed: round * 23,
        slo_violated: round.is_multiple_of(2),
        drop_layer: round * 29,
        drop_count: round * 31,
        channel: round * 37,
        waited_ns: round * 41,
        requested_last_ns: round * 43,
        partial_ns: round * 47,
        snapshot_ns: round * 53,
        by_line_a: round * 59,
        by_line_b: round * 61,
        by_other_lines: round * 67,
        by_request: round * 71,
        by_stream: round * 73,
        by_peer: round * 79,
        by_snapshot: round * 83,
        stale_answers: round * 89,
        injected: round * 97,
        fault: round * 101,
        noted: !round.is_multiple_of(2),
    }
}

fn identity() -> Identity {
    Identity {
        worker_id: "XNAS-rx".into(),
        resource: "XNAS".into(),
        build_id: "test".into(),
        incarnation: [9; 16],
        generation: 1,
    }
}
