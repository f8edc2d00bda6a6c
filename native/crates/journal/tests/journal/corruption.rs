//! Damage is found, named and bounded, wherever it strikes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tickdeck_journal::{Class, JournalError, Reader, Writer};

use crate::support::*;

const SEGMENT_HEADER_LEN: u64 = 128;

/// A log of three segments, all closed, and the records in each.
fn three_segments() -> (TempDir, Vec<u64>) {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    let mut ends = Vec::new();
    for _ in 0..3 {
        fill(&mut writer, 20, 10);
        ends.push(writer.watermarks().appended);
        writer.seal().expect("seals");
    }
    writer.close().expect("closes");
    (dir, ends)
}

/// A log with one sealed and one open segment of a writer that died; everything is synced.
fn died_after_sync() -> TempDir {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 5, 10);
    writer.seal().expect("seals");
    writer.poll(0).expect("polls");
    for _ in 0..5 {
        fill(&mut writer, 3, 10);
        writer.sync().expect("syncs");
    }
    // A second later STATE calls all of it synced.
    writer.poll(1_000_000_000).expect("polls");
    dir
}

/// Reads everything that can be read before the first error.
fn prefix(dir: &Path) -> Vec<u64> {
    let Ok(mut reader) = Reader::open(dir) else {
        return Vec::new();
    };
    let mut seqs = Vec::new();
    while let Ok(Some(entry)) = reader.next() {
        seqs.push(entry.seq);
    }
    seqs
}

fn opening_is_refused(dir: &Path) -> bool {
    matches!(
        Writer::open(config(dir, SMALL)),
        Err(JournalError::Refused { .. })
    )
}

/// Every single-bit flip in a sealed segment is reported, is never read as data or as the end, and
/// a writer refuses it or reads nothing of it but headers and seal.
#[test]
fn every_bit_of_a_sealed_segment_matters() {
    let (dir, _) = three_segments();
    let victim = segment_files(dir.path())[1].clone();
    let intact = fs::read(&victim).expect("reads");
    for byte in 0..intact.len() {
        for bit in 0..8 {
            let mut damaged = intact.clone();
            damaged[byte] ^= 1 << bit;
            fs::write(&victim, &damaged).expect("writes");
            let report = check(dir.path());
            assert!(!report.is_whole(), "byte {byte} bit {bit}");
            assert!(
                !classes(&report).contains(&"torn_tail"),
                "byte {byte} bit {bit}: {:?}",
                report.problems
            );
        }
        // Reading is checked at one bit per byte: it passes through the same checks. It needs no
        // trailer.
        let read = prefix(dir.path());
        assert_eq!(read, (1..=read.len() as u64).collect::<Vec<_>>());
        assert_eq!(read.len() == 60, byte >= intact.len() - 64, "byte {byte}");
    }
}

/// Every single-bit flip in the used part of an open segment is reported; behind it is preallocated
/// space, where a flip is either reported or provably in zeros that hold nothing.
#[test]
fn every_bit_of_an_open_segment_matters_or_is_unused_space() {
    let dir = died_after_sync();
    let victim = segment_files(dir.path())[1].clone();
    let intact = fs::read(&victim).expect("reads");
    // Five blocks of three records, each padded by two bytes.
    let used = 128 + 5 * (72 + 3 * (24 + 10) + 2);
    let expected = prefix(dir.path());
    assert_eq!(expected.len(), 20);
    for byte in 0..used + 80 {
        for bit in 0..8 {
            let mut damaged = intact.clone();
            damaged[byte] ^= 1 << bit;
            fs::write(&victim, &damaged).expect("writes");
            let report = check(dir.path());
            assert!(!report.is_whole(), "byte {byte} bit {bit}");
            let torn = classes(&report) == ["torn_tail"];
            assert_eq!(
                torn,
                byte >= used,
                "byte {byte} bit {bit}: {:?}",
                report.problems
            );
        }
        if byte < used {
            assert!(prefix(dir.path()).len() < 20, "byte {byte}");
        }
        if byte < used && byte % 5 == 0 {
            assert!(opening_is_refused(dir.path()), "byte {byte}");
        }
    }
}

/// Padding is checked, though no checksum covers it.
#[test]
fn a_flip_in_the_padding_is_found() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 1, 1);
    writer.close().expect("closes");
    let file = &segment_files(dir.path())[0];
    // Segment header, block header, record header, one byte of payload: 7 bytes of padding follow.
    flip(file, 128 + 72 + 24 + 1 + 3, 5);
    let report = check(dir.path());
    assert_eq!(classes(&report), ["bad_padding"]);
    assert_eq!(
        (report.problems[0].from, report.problems[0].to),
        (Some(1), Some(1))
    );
}

/// Cutting a segment of a dead writer at any length leaves a prefix of whole records, and is called
/// torn only beyond what was synced.
#[test]
fn every_truncation_leaves_a_prefix() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for _ in 0..4 {
        fill(&mut writer, 3, 40);
        writer.sync().expect("syncs");
    }
    // STATE and the headers of later blocks call 12 synced once the next block is written.
    writer.poll(0).expect("polls");
    writer.poll(2_000_000_000).expect("polls");
    for _ in 0..4 {
        fill(&mut writer, 3, 40);
        writer.flush().expect("writes");
    }
    drop(writer);
    let intact = dir.path().join("intact");
    copy_dir(dir.path(), &intact);
    let file = segment_files(dir.path())[0].clone();
    let bytes = fs::read(&file).expect("reads");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("data") + 1;
    let mut seen = [0; 3];
    for len in 0..used + 100 {
        fs::write(&file, &bytes[..len]).expect("writes");
        let read = prefix(dir.path());
        assert_eq!(read, (1..=read.len() as u64).collect::<Vec<_>>());
        assert_eq!(read.len() % 3, 0, "whole blocks only");
        let report = check(dir.path());
        let refused = opening_is_refused(dir.path());
        if read.len() < 12 {
            assert!(
                refused && !report.is_whole(),
                "length {len}: synced records are gone"
            );
            assert!(!classes(&report).contains(&"torn_tail"), "length {len}");
            seen[0] += 1;
        } else if report.is_whole() {
            assert!(!refused, "length {len}: a cut on a block edge");
            seen[1] += 1;
        } else {
            assert_eq!(classes(&report), ["torn_tail"], "length {len}");
            assert_eq!(report.problems[0].from, Some(read.len() as u64 + 1));
            assert!(!refused, "length {len}: a torn tail is cut");
            seen[2] += 1;
        }
        fs::remove_dir_all(dir.path().join("quarantine")).unwrap_or_default();
        for path in segment_files(dir.path()) {
            fs::remove_file(path).expect("removes");
        }
        copy_dir(&intact, dir.path());
    }
    assert!(seen.iter().all(|count| *count > 3), "{seen:?}");
}

/// One damaged bit in segment 2 of 3: the report bounds it, and nothing behind it is replayed.
#[test]
fn reading_stops_at_the_first_damage() {
    let (dir, ends) = three_segments();
    let file = segment_files(dir.path())[1].clone();
    flip(&file, 128 + 72 + 30, 0);
    let report = check(dir.path());
    assert_eq!(classes(&report), ["bad_payload"]);
    let problem = &report.problems[0];
    assert_eq!(problem.file, "00000000000000000002.seg");
    assert_eq!(
        (problem.from, problem.to),
        (Some(ends[0] + 1), Some(ends[1]))
    );
    assert_eq!(report.records, 40);

    let mut reader = Reader::open(dir.path()).expect("opens");
    for _ in 0..ends[0] {
        assert!(reader.next().expect("reads").is_some());
    }
    for _ in 0..2 {
        match reader.next() {
            Err(JournalError::Damaged(problem)) => assert_eq!(problem.class, Class::BadPayload),
            other => panic!("{other:?}"),
        }
    }
}

/// A reader that goes to a sequence of a sealed segment goes by the index: what is damaged before that
/// place does not matter to it.
#[test]
fn a_seek_goes_by_the_index() {
    let dir = scratch();
    let mut writer = open(dir.path(), 1 << 20);
    for _ in 0..100 {
        fill(&mut writer, 10, 300);
        writer.flush().expect("writes");
    }
    writer.close().expect("closes");
    flip(&segment_files(dir.path())[0], 128 + 72 + 30, 0);
    let mut reader = Reader::open(dir.path()).expect("opens");
    assert!(reader.next().is_err());
    reader.seek(900).expect("seeks");
    let seqs = read_on(&mut reader).expect("reads");
    assert_eq!(seqs, (900..=1000).collect::<Vec<_>>());
}

/// Two segments under each other's name are one log: the number in the header is the authority.
#[test]
fn file_names_do_not_matter() {
    let (dir, _) = three_segments();
    let files = segment_files(dir.path());
    let aside = dir.path().join("aside");
    fs::rename(&files[0], &aside).expect("renames");
    fs::rename(&files[1], &files[0]).expect("renames");
    fs::rename(&aside, &files[1]).expect("renames");
    assert_eq!(check(dir.path()).problems, []);
    assert_eq!(read_all(dir.path()).expect("reads").len(), 60);
}

/// A lost or old STATE file, which alone shows that the end of a log is missing, stops a writer.
#[test]
fn state_guards_the_end() {
    let (dir, _) = three_segments();
    let state = dir.path().join("STATE");
    let intact = fs::read(&state).expect("reads");

    fs::remove_file(&state).expect("removes");
    assert_eq!(classes(&check(dir.path())), ["state_missing"]);
    assert!(opening_is_refused(dir.path()));

    fs::write(&state, [0; 1024]).expect("writes");
    assert_eq!(classes(&check(dir.path())), ["state_damaged"]);
    assert!(opening_is_refused(dir.path()));

    let beginning = {
        let other = scratch();
        drop(open(other.path(), SMALL));
        fs::read(other.path().join("STATE")).expect("reads")
    };
    fs::write(&state, beginning).expect("writes");
    assert_eq!(classes(&check(dir.path())), ["state_stale"]);
    assert!(opening_is_refused(dir.path()));

    // One damaged slot is what a crash can leave: the other one rules, and the writer heals it.
    let newest = if intact[0] > intact[512] { 0 } else { 512 };
    let mut torn = intact.clone();
    torn[(newest + 512) % 1024 + 20] ^= 1;
    fs::write(&state, &torn).expect("writes");
    assert_eq!(classes(&check(dir.path())), ["state_damaged"]);
    let (writer, report) = Writer::open(config(dir.path(), SMALL)).expect("opens");
    assert!(report.clean);
    writer.close().expect("closes");
    assert_eq!(check(dir.path()).problems, []);
}

/// The seal of the last segment was synced, and STATE names it: no damage of it is ever called torn,
/// and a writer does not touch it.
#[test]
fn a_damaged_last_seal_is_not_torn() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 20, 10);
    writer.flush().expect("writes");
    let data_end = SEGMENT_HEADER_LEN + writer.counters().bytes;
    writer.close().expect("closes");
    let segment = segment_files(dir.path()).pop().expect("a segment");
    let whole = fs::read(&segment).expect("reads");
    assert!(whole.len() as u64 > data_end, "a seal lies behind the data");
    for byte in data_end as usize..whole.len() {
        flip(&segment, byte, 1);
        let found = classes(&check(dir.path()));
        assert!(found.contains(&"bad_seal"), "byte {byte}: {found:?}");
        assert!(!found.contains(&"torn_tail"), "byte {byte}: {found:?}");
        assert!(opening_is_refused(dir.path()), "byte {byte}: {found:?}");
        flip(&segment, byte, 1);
    }
    assert!(fs::read(&segment).expect("reads") == whole, "untouched");
}

/// The last block of a dead writer, once synced, is missed through STATE even when the cut is
/// clean.
#[test]
fn a_clean_cut_below_the_checkpoint_is_noticed() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    writer.poll(0).expect("polls");
    for _ in 0..4 {
        fill(&mut writer, 3, 40);
        writer.sync().expect("syncs");
    }
    writer.poll(1_000_000_000).expect("polls");
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let bytes = fs::read(&file).expect("reads");
    let block = 72 + 3 * (24 + 40);
    fs::write(&file, &bytes[..128 + 3 * block]).expect("writes");
    let report = check(dir.path());
    assert_eq!(classes(&report), ["missing_blocks"]);
    assert_eq!(
        (report.problems[0].from, report.problems[0].to),
        (Some(10), Some(12))
    );
    assert!(opening_is_refused(dir.path()));
    let mut reader = Reader::open(dir.path()).expect("opens");
    for _ in 0..9 {
        assert!(reader.next().expect("reads").is_some());
    }
    assert!(
        reader.next().is_err(),
        "missing synced records are not the end for now"
    );
}

/// Damage in the middle of an open segment is corruption, although the segment is the last one and
/// nothing was ever synced: a valid block behind it proves that it was whole.
#[test]
fn damage_before_valid_blocks_is_not_torn() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for _ in 0..3 {
        fill(&mut writer, 2, 40);
        writer.flush().expect("writes");
    }
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let block = 72 + 2 * (24 + 40);
    for offset in [0, 8, 71, 72, 100] {
        flip(&file, 128 + block + offset, 3);
        let report = check(dir.path());
        assert!(
            !classes(&report).contains(&"torn_tail"),
            "{:?}",
            report.problems
        );
        assert_eq!(
            (report.problems[0].from, report.problems[0].to),
            (Some(3), Some(4))
        );
        assert!(opening_is_refused(dir.path()));
        flip(&file, 128 + block + offset, 3);
    }
    // With the last block damaged as well, neither is called torn.
    flip(&file, 128 + 80, 3);
    flip(&file, 128 + 2 * block + 80, 3);
    assert_eq!(classes(&check(dir.path())), ["bad_payload", "bad_payload"]);
    assert!(opening_is_refused(dir.path()));
    flip(&file, 128 + 80, 3);
    flip(&file, 128 + 2 * block + 80, 3);
    // The same in the last block is a torn tail.
    flip(&file, 128 + 2 * block + 80, 3);
    assert_eq!(classes(&check(dir.path())), ["torn_tail"]);
    assert!(!opening_is_refused(dir.path()));
}

/// A block of a twin log, valid in itself and with the right sequences, is not taken for the one
/// that belongs here: it names another block before it.
#[test]
fn a_misplaced_block_breaks_the_chain() {
    let twin = || {
        let dir = scratch();
        let mut writer = open(dir.path(), SMALL);
        for _ in 0..4 {
            fill(&mut writer, 3, 40);
            writer.flush().expect("writes");
        }
        drop(writer);
        dir
    };
    let (dir, other) = (twin(), twin());
    let file = segment_files(dir.path())[0].clone();
    let mut bytes = fs::read(&file).expect("reads");
    let foreign = fs::read(&segment_files(other.path())[0]).expect("reads");
    let block = 72 + 3 * (24 + 40);
    let second = 128 + block..128 + 2 * block;
    bytes[second.clone()].copy_from_slice(&foreign[second]);
    fs::write(&file, &bytes).expect("writes");
    let report = check(dir.path());
    assert_eq!(classes(&report), ["broken_chain", "broken_chain"]);
    assert_eq!(report.problems[0].offset, 128 + block as u64);
    assert!(opening_is_refused(dir.path()));
    assert_eq!(
        prefix(dir.path()),
        [1, 2, 3],
        "no record of the foreign block is shown"
    );
}

/// Two copies of a log that went on differently: segments of the one in the other are of the same
/// log, with the same numbers and sequences, and still do not fit, because each names the seal
/// before it.
#[test]
fn segments_of_a_forked_copy_do_not_fit() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 5, 40);
    writer.close().expect("closes");
    let fork = scratch();
    copy_dir(dir.path(), fork.path());
    for path in [dir.path(), fork.path()] {
        let mut writer = open(path, SMALL);
        fill(&mut writer, 5, 40);
        writer.seal().expect("seals");
        fill(&mut writer, 5, 40);
        writer.close().expect("closes");
        assert!(check(path).is_whole());
    }
    let second = |path: &Path| segment_files(path)[1].clone();
    fs::copy(second(fork.path()), second(dir.path())).expect("copies");
    let report = check(dir.path());
    assert_eq!(classes(&report), ["segment_chain"]);
    assert_eq!(report.problems[0].file, "00000000000000000003.seg");
    assert!(opening_is_refused(dir.path()));
    assert_eq!(
        prefix(dir.path()),
        (1..=10).collect::<Vec<_>>(),
        "nothing behind the seam is shown"
    );
}

/// The rule says "no valid block of this epoch behind it": an old copy of an earlier block there is
/// enough to make damage at the end corruption.
#[test]
fn a_stray_copy_behind_damage_is_not_torn() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for _ in 0..2 {
        fill(&mut writer, 2, 40);
        writer.flush().expect("writes");
    }
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let mut bytes = fs::read(&file).expect("reads");
    let block = 72 + 2 * (24 + 40);
    bytes[128 + block] ^= 1;
    fs::write(&file, &bytes).expect("writes");
    assert_eq!(classes(&check(dir.path())), ["torn_tail"]);
    bytes.copy_within(128..128 + block, 4096);
    fs::write(&file, &bytes).expect("writes");
    assert_eq!(classes(&check(dir.path())), ["bad_block_header"]);
    assert!(opening_is_refused(dir.path()));
}
