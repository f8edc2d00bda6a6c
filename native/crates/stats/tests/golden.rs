//! The layout, number by number, and against the checked-in files: `stats_v1` of layout version
//! 1.0, whose gap rows are shorter, and `stats_v1_1` of today's 1.1.

mod sample;

use std::ops::Range;
use std::path::{Path, PathBuf};

use sample::{INCARNATION, gap_rows, write_sample};
use tickdeck_stats::layout::{self, AT_BUILD_ID, AT_RESOURCE, AT_WORKER_ID};
use tickdeck_stats::reader::Reader;
use tickdeck_stats::{ExitReason, Kind, State, format_incarnation, histogram};

/// The header has its fields where the format says, written as numbers here on purpose.
#[test]
fn the_header_is_laid_out_as_documented() {
    let (_dir, bytes) = fresh_sample();
    let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[0..8], b"TDSTATS1");
    assert_eq!((u16_at(8), u16_at(10), u32_at(12)), (1, 1, 4096));
    assert_eq!(u64_at(16), 0x0102_0304_0506_0708);
    assert_eq!(u64_at(24), bytes.len() as u64);
    assert_eq!(&bytes[56..72], &INCARNATION);
    assert_eq!(u32_at(80), std::process::id());
    assert_eq!(u32_at(88), 4, "DESC, VALUES, HIST, GAPS");
    assert_eq!(&bytes[96..104], b"XNAS-rx\0");
    assert_eq!(&bytes[160..174], b"exchanges/XNAS");
    assert_eq!(&bytes[288..300], b"0.1.0+sample");
    assert_eq!(u64_at(328), 3);
    assert_eq!(u64_at(512), 4_000_000_000);
    assert_eq!((u64_at(576), u64_at(584)), (2, 3_999_000_000));
    assert_eq!((u32_at(640), u32_at(644), u64_at(656)), (3, 5, 412));
    assert_eq!(
        (u32_at(1024), u32_at(1028), u32_at(1032), u32_at(1036)),
        (1, 7, 1, 6)
    );
    assert_eq!(&bytes[1048..1056], b"cannot w");
    assert_eq!(&bytes[1304..1311], b"journal");
    // Directory: type, version, flags, offset, length, count, stride.
    assert_eq!((u32_at(2048), u16_at(2052), u64_at(2056)), (1, 1, 4096));
    assert_eq!(
        (u64_at(2064), u32_at(2072), u32_at(2076)),
        (13 * 256, 13, 256)
    );
    assert_eq!((u32_at(2080), u32_at(2104), u32_at(2108)), (2, 8, 128));
    assert_eq!((u32_at(2112), u32_at(2136), u32_at(2140)), (3, 3, 8832));
    assert_eq!((u32_at(2144), u32_at(2168), u32_at(2172)), (5, 256, 256));
    // Second descriptor: id, kind, section, slot, word, unit, name, labels.
    let at = 4096 + 256;
    assert_eq!((u32_at(at), u16_at(at + 4), u32_at(at + 8)), (2, 1, 2));
    assert_eq!((u32_at(at + 12), u32_at(at + 16)), (1, 0));
    assert_eq!(&bytes[at + 24..at + 32], b"packets\0");
    assert_eq!(&bytes[at + 40..at + 57], b"rx_packets_total\0");
    assert_eq!(&bytes[at + 128..at + 135], b"line=B\0");
}

/// Today's writer makes the same bytes as the one that wrote the checked-in file, but for what
/// belongs to the process and the moment: a change of layout cannot pass unseen.
#[test]
fn the_writer_still_makes_the_checked_in_file() {
    let (_dir, mut fresh) = fresh_sample();
    let mut golden = std::fs::read(golden_path("stats_v1_1")).unwrap();
    for range in OF_THE_PROCESS {
        fresh[range.clone()].fill(0);
        golden[range].fill(0);
    }
    let difference = fresh.iter().zip(&golden).position(|(a, b)| a != b);
    assert_eq!((difference, fresh.len()), (None, golden.len()));
}

/// The reader finds in the checked-in files what was put into them.
#[test]
fn the_checked_in_files_read_back() {
    for version in ["stats_v1", "stats_v1_1"] {
        reads_back(&Reader::open(&golden_path(version)).unwrap());
    }
}

/// Every word of the gap rows; those of the older file have the newer ones empty.
#[test]
fn the_checked_in_gap_rows_read_back() {
    let new = Reader::open(&golden_path("stats_v1_1")).unwrap();
    assert_eq!((new.gaps(), new.torn_gaps()), (gap_rows()[1..].to_vec(), 0));
    let old = Reader::open(&golden_path("stats_v1")).unwrap();
    assert_eq!((old.gaps().len(), old.torn_gaps()), (3, 0));
    for (old, new) in old.gaps().iter().zip(&gap_rows()[1..3]) {
        assert_eq!(old.words()[..13], new.words()[..13]);
        assert_eq!(old.words()[13..], [0; 18]);
    }
}

fn reads_back(reader: &Reader) {
    assert_eq!(
        reader.header_text(AT_WORKER_ID, layout::WORKER_ID_LEN),
        "XNAS-rx"
    );
    assert_eq!(
        reader.header_text(AT_RESOURCE, layout::RESOURCE_LEN),
        "exchanges/XNAS"
    );
    assert_eq!(
        reader.header_text(AT_BUILD_ID, layout::BUILD_ID_LEN),
        "0.1.0+sample"
    );
    assert_eq!(reader.state(), Some(State::Draining));
    assert_eq!(reader.value("rx_packets_total", "line=A"), Some(1_000_007));
    assert_eq!(reader.value("rx_packets_total", "line=B"), Some(999_999));
    assert_eq!(
        reader.value("rx_rejected_total", "line=A,reason=truncated"),
        Some(2)
    );
    assert_eq!(
        reader.value("arbiter_next_sequence", ""),
        Some((1 << 63) + 5)
    );
    assert_eq!(reader.value("hold_packets_max", ""), Some(40));
    assert_eq!(
        reader.value("journal_bytes_total", ""),
        Some(123),
        "the sum of two shards"
    );
    assert_eq!(reader.value("gap_table_overflows_total", ""), Some(1));
    assert_eq!(reader.value("rx_packets_total", "line=C"), None);
    let session = reader
        .metrics()
        .into_iter()
        .find(|m| m.name == "session_state")
        .unwrap();
    assert_eq!((session.kind, session.value), (Kind::State, 2));
    let exit = reader.exit_record().unwrap();
    assert_eq!(
        (exit.reason, exit.code, exit.signal),
        (Some(ExitReason::Failed), 1, 6)
    );
    assert_eq!(exit.location, "journal/src/writer.rs:212");
    assert!(
        exit.message.ends_with('é') && exit.message.len() == 255,
        "cut between characters"
    );
}

/// Buckets and sums of the checked-in histograms.
#[test]
fn the_checked_in_histograms_read_back() {
    let histograms = Reader::open(&golden_path("stats_v1")).unwrap().histograms();
    let [kernel, user, sync] = &histograms[..] else {
        panic!("three histograms")
    };
    assert_eq!((kernel.count, kernel.min, kernel.max), (9, 0, 1 << 40));
    assert_eq!(
        kernel.sum,
        31 + 32 + 33 + 2_000 + 123_456_789 + ((1 << 38) - 1) + (1 << 40)
    );
    let buckets = kernel.buckets.iter().copied().enumerate();
    let filled: Vec<(usize, u64)> = buckets.filter(|(_, count)| *count > 0).collect();
    let expected = "[(0, 1), (31, 1), (32, 1), (33, 1), (190, 2), (730, 1), (1087, 2)]";
    assert_eq!(format!("{filled:?}"), expected);
    assert_eq!(
        (user.labels.as_str(), user.count, user.sum),
        ("source=user", 64, 160_000)
    );
    assert_eq!((sync.count, sync.min, sync.max), (0, u64::MAX, 0));
    assert_eq!(histogram::percentile(&sync.buckets, 0.5), None);
}

/// What depends on the process that wrote and on the moment: boot id, start, pid and uid, clocks,
/// time of the state, time of the exit.
const OF_THE_PROCESS: [Range<usize>; 5] = [40..56, 72..88, 336..352, 648..656, 1040..1048];

fn fresh_sample() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = write_sample(dir.path()).unwrap();
    let bytes = std::fs::read(path).unwrap();
    (dir, bytes)
}

fn golden_path(version: &str) -> PathBuf {
    let name = format!("stats.{}.dat", format_incarnation(&INCARNATION));
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/data")
        .join(version)
        .join(name)
}
