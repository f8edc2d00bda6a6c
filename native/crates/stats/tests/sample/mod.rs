//! The sample file behind `tests/data/stats_v1_1`: one of everything, with values that are easy to
//! tell apart. Written through the public API alone. `tests/data/stats_v1` was written by minor
//! version 0 from the same values, but for the newer fields of gap rows.

use std::path::{Path, PathBuf};

use tickdeck_stats::{Builder, ExitReason, GapRow, GapState, Identity, State, StatsError};

/// Incarnation of the sample: it names the file.
pub(crate) const INCARNATION: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Writes the sample into `dir` and returns its path.
pub(crate) fn write_sample(dir: &Path) -> Result<PathBuf, StatsError> {
    let mut builder = Builder::new(Identity {
        worker_id: "XNAS-rx".into(),
        resource: "exchanges/XNAS".into(),
        build_id: "0.1.0+sample".into(),
        incarnation: INCARNATION,
        generation: 3,
    });
    let packets_a = builder.counter("rx_packets_total", "packets", "line=A");
    let packets_b = builder.counter("rx_packets_total", "packets", "line=B");
    let rejected = builder.counter("rx_rejected_total", "packets", "line=A,reason=truncated");
    let next = builder.gauge("arbiter_next_sequence", "messages", "");
    let session = builder.state("session_state", "", "");
    let highest = builder.hwm("hold_packets_max", "packets", "");
    builder.begin_thread();
    let shard_1 = builder.counter("journal_bytes_total", "bytes", "");
    let records = builder.counter("journal_records_total", "records", "");
    builder.begin_thread();
    let shard_2 = builder.counter("journal_bytes_total", "bytes", "");
    let kernel = builder.histogram("latency_rx_to_ring_ns", "ns", "source=kernel");
    let user = builder.histogram("latency_rx_to_ring_ns", "ns", "source=user");
    let sync = builder.histogram("journal_sync_ns", "ns", "");
    let gaps = builder.gap_table();
    let file = builder.create(dir)?;

    packets_a.add(1_000_000);
    packets_a.add(7);
    packets_b.set(999_999);
    rejected.add(2);
    next.set((1 << 63) + 5);
    session.set(2);
    for seen in [10, 40, 30] {
        highest.raise(seen);
    }
    shard_1.add(100);
    records.add(11);
    shard_2.add(23);
    for value in [
        0,
        31,
        32,
        33,
        1_000,
        1_000,
        123_456_789,
        (1 << 38) - 1,
        1 << 40,
    ] {
        kernel.record(value);
    }
    user.record_many(2_500, 64);
    assert_eq!(
        sync.count(),
        0,
        "nothing was synced: an empty histogram is part of the sample"
    );
    for row in gap_rows() {
        gaps.put(&row);
    }
    let header = file.header();
    header.heartbeat(4_000_000_000);
    header.progress();
    header.progress();
    header.last_packet(3_999_000_000);
    header.set_command_generation(412);
    header.set_sub_state(State::Draining, 5);
    let message = format!("cannot write segment 17: {}", "é".repeat(150));
    header.exit_at(
        ExitReason::Failed,
        1,
        6,
        &message,
        "journal/src/writer.rs:212",
    );
    Ok(file.path().to_owned())
}

/// The rows of the sample's gap table in the order of their ids. Gap 1 was overwritten by gap 257
/// while it was open, which is one overflow.
pub(crate) fn gap_rows() -> [GapRow; 4] {
    let open = GapRow {
        id: 1,
        first: 5,
        last: 5,
        missing: 1,
        detected_ns: 40,
        ..GapRow::default()
    };
    let filled = GapRow {
        id: 2,
        first: 100,
        last: 199,
        state: GapState::Filled,
        sources: 0b110,
        reason: 0,
        detected_ns: 1_700_000_000_000_000_001,
        requested_ns: 1_700_000_000_002_000_000,
        closed_ns: 1_700_000_000_005_000_000,
        attempts: 1,
        missing: 0,
        lines_missed: 0b01,
        slo_violated: false,
        drop_layer: 8,
        drop_count: 812,
        channel: 7,
        waited_ns: 1_700_000_000_001_000_000,
        requested_last_ns: 1_700_000_000_003_000_000,
        partial_ns: 1_700_000_000_004_000_000,
        snapshot_ns: 0,
        by_line_a: 0,
        by_line_b: 40,
        by_other_lines: 0,
        by_request: 60,
        by_stream: 0,
        by_peer: 0,
        by_snapshot: 0,
        stale_answers: 3,
        injected: 2,
        fault: 4,
        noted: true,
    };
    let lost = GapRow {
        id: 3,
        first: 300,
        last: 301,
        state: GapState::Unrecoverable,
        reason: 1,
        attempts: 10,
        missing: 2,
        lines_missed: 0b11,
        slo_violated: true,
        partial_ns: 0,
        by_line_b: 0,
        by_request: 0,
        noted: false,
        ..filled
    };
    let over = GapRow {
        id: 257,
        first: 400,
        last: 420,
        state: GapState::Snapshot,
        sources: 0b111_1000_0111,
        reason: 6,
        missing: 3,
        snapshot_ns: 1_700_000_000_006_000_000,
        by_line_a: 1,
        by_line_b: 2,
        by_other_lines: 3,
        by_request: 4,
        by_stream: 5,
        by_peer: 2,
        by_snapshot: 1,
        ..lost
    };
    [open, filled, lost, over]
}
