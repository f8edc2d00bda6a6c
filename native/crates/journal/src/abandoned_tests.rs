//! Segments given up after an I/O error, as every reader of a log sees them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::codec::Codec;
use crate::directory::{self, SegmentEntry, StateFile, read_state};
use crate::disk::RealDisk;
use crate::error::{Class, JournalError};
use crate::format::{Fields, SegmentHeader, State, abandoned_hash, masked_crc};
use crate::kind;
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::reader::blocks::{BlockCursor, BlockStep};
use crate::recovery::RecoveryMode;
use crate::segment::{ActiveSegment, BlockBuffer, Identity, Predecessor, Prepared};
use crate::verify::{Report, verify};
use crate::walk::walk;
use crate::writer::{Record, Writer, WriterConfig};

const SIZE: u64 = 1 << 20;

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}

fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir, SIZE, SyncPolicy::Os, 1)
}

fn record(seq: u64, payload: &[u8]) -> Record<'_> {
    Record {
        kind: if seq.is_multiple_of(7) {
            kind::SESSION
        } else {
            kind::DATA
        },
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: seq,
        rx_ns: seq,
        payload,
    }
}

fn payload(seq: u64) -> Vec<u8> {
    let len = (seq * 37 % 900) as usize;
    seq.to_le_bytes().into_iter().cycle().take(len).collect()
}

fn entries(dir: &Path) -> Vec<SegmentEntry> {
    directory::list(dir).expect("lists").segments
}

/// A log whose only segment is open, with blocks of these numbers of records; returns the last
/// sequence of each block, the empty segment's first.
fn open_log(dir: &Path, blocks: &[u64]) -> Vec<u64> {
    let (mut writer, _) = Writer::open(config(dir)).expect("opens");
    let mut edges = vec![0];
    for count in blocks {
        for _ in 0..*count {
            let seq = writer.next_seq();
            writer.append(&record(seq, &payload(seq))).expect("appends");
        }
        writer.flush().expect("writes");
        edges.push(writer.watermarks().written);
    }
    edges
}

/// Gives the last segment up at `at_seq` and writes `rewritten` behind it in blocks of up to
/// three records.
fn abandon(dir: &Path, at_seq: u64, rewritten: std::ops::RangeInclusive<u64>) {
    let last = entries(dir).pop().expect("a segment");
    let before = Predecessor {
        number: last.header.number,
        last_seq: at_seq,
        seal_hash: abandoned_hash(&last.header, at_seq),
        abandoned: true,
    };
    let identity = Identity {
        log_id: last.header.log_id,
        writer_epoch: last.header.writer_epoch,
        boot_id: last.header.boot_id,
        schema_id: last.header.schema_id,
        codecs: Codec::None.set(),
    };
    let prepared = Prepared::create(&RealDisk, dir, SIZE).expect("allocates");
    let mut segment =
        ActiveSegment::begin(&RealDisk, dir, prepared, &identity, &before).expect("begins");
    let mut buffer = BlockBuffer::new(*rewritten.start());
    let end = *rewritten.end();
    for seq in rewritten {
        buffer.push(&record(seq, &payload(seq)));
        if seq.is_multiple_of(3) || seq == end {
            segment
                .write_records(&mut buffer, seq + 1, at_seq)
                .expect("writes");
            buffer.clear(seq + 1);
        }
    }
    let view = read_state(dir).expect("reads");
    let mut state = StateFile::open(&RealDisk, dir, &view).expect("opens");
    let now = State {
        active_segment: segment.number(),
        last_sealed_seq: at_seq,
        last_seal_hash: before.seal_hash,
        durable_seq: at_seq,
        ..*state.current()
    };
    state.store(now).expect("stores");
}

/// Where the block behind this sequence begins in the first segment.
fn offset_behind(dir: &Path, seq: u64) -> u64 {
    let mut entry = entries(dir).swap_remove(0);
    entry.abandoned_at = None;
    let mut offset = SegmentHeader::LEN as u64;
    walk(&entry, &mut |_, block| {
        if block.next_seq <= seq + 1 {
            offset = block.end();
        }
    })
    .expect("reads");
    offset
}

fn read_on(reader: &mut Reader) -> Result<Vec<u64>, JournalError> {
    let mut seqs = Vec::new();
    while let Some(entry) = reader.next()? {
        let expected = payload(entry.seq);
        assert_eq!(entry.record, record(entry.seq, &expected));
        seqs.push(entry.seq);
    }
    Ok(seqs)
}

fn check(dir: &Path) -> Report {
    verify(dir, &mut |_| {}).expect("verifies")
}

/// Closes the only segment, as far as its file shows.
fn seal_only(dir: &Path) {
    drop(Writer::open(config(dir)).expect("opens"));
    let second = entries(dir).pop().expect("a second segment");
    fs::remove_file(second.path).expect("removes");
    assert!(entries(dir)[0].seal.is_some());
    let view = read_state(dir).expect("reads");
    let mut state = StateFile::open(&RealDisk, dir, &view).expect("opens");
    let before = State {
        active_segment: 1,
        ..State::default()
    };
    state.store(before).expect("stores");
}

/// What may stand behind the valid part of an abandoned segment.
#[derive(Debug, Clone, Copy)]
enum Behind {
    Blocks,
    Zeros,
    Noise,
    End,
    Sealed,
}

fn leave_behind(dir: &Path, offset: u64, behind: Behind) {
    let path = entries(dir).swap_remove(0).path;
    let mut bytes = fs::read(&path).expect("reads");
    let at = usize::try_from(offset).expect("small");
    match behind {
        Behind::Blocks | Behind::Sealed => return,
        Behind::Zeros => bytes[at..].fill(0),
        Behind::Noise => {
            for (index, byte) in bytes[at..].iter_mut().enumerate() {
                *byte = (index * 131 % 251) as u8;
            }
        }
        Behind::End => bytes.truncate(at),
    }
    fs::write(path, bytes).expect("writes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever a segment was given up and whatever lies behind that place, a log reads as if the
    /// file had ended there: for one who reads later, for one who had read more of it, for one who
    /// seeks, for verification, and for the next writer.
    #[test]
    fn an_abandoned_segment_ends_where_its_successor_says(
        blocks in prop::collection::vec(1..9u64, 1..12),
        edge in any::<prop::sample::Index>(),
        behind in prop::sample::select(vec![
            Behind::Blocks, Behind::Zeros, Behind::Noise, Behind::End, Behind::Sealed,
        ]),
        further in 0..5u64,
        follows in any::<bool>(),
    ) {
        let home = scratch();
        let dir = home.path();
        let edges = open_log(dir, &blocks);
        let (at_seq, end) = (*edge.get(&edges), edges[edges.len() - 1] + further);
        let mut follower = Reader::open(dir).expect("opens");
        let mut seen = if follows { read_on(&mut follower).expect("whole") } else { Vec::new() };
        let mut cursor = BlockCursor::open(dir, 1).expect("opens");
        let read_before = if follows { edges[edges.len() - 1] } else { 0 };
        let mut blocks_seen = block_ranges(&mut cursor, read_before);
        if matches!(behind, Behind::Sealed) {
            // Its seal was written and its sync failed.
            seal_only(dir);
        }
        let offset = offset_behind(dir, at_seq);
        abandon(dir, at_seq, at_seq + 1..=end);
        leave_behind(dir, offset, behind);

        let all: Vec<u64> = (1..=end).collect();
        prop_assert_eq!(read_on(&mut Reader::open(dir).expect("opens")).expect("whole"), all.clone());
        seen.extend(read_on(&mut follower).expect("whole"));
        prop_assert_eq!(seen, all.clone());
        for seq in 1..=end {
            follower.seek(seq).expect("is there");
            prop_assert_eq!(follower.next().expect("whole").map(|entry| entry.seq), Some(seq));
        }
        blocks_seen.extend(block_ranges(&mut cursor, end));
        prop_assert_eq!(spent(&blocks_seen), all.clone());
        let later = block_ranges(&mut BlockCursor::open(dir, 1).expect("opens"), end);
        prop_assert_eq!(spent(&later), all.clone());
        let session = follower.last_record_of_kind(kind::SESSION).expect("whole");
        let expected = (end >= 7).then(|| end / 7 * 7);
        prop_assert_eq!(session.map(|record| record.seq), expected);
        prop_assert_eq!(follower.last_seq().expect("reads"), end);
        let infos = follower.segments().expect("lists");
        prop_assert!(infos[0].abandoned && !infos[0].sealed && !infos[1].abandoned);
        prop_assert_eq!((infos[0].last_seq, infos[1].last_seq), (Some(at_seq), None));
        let report = check(dir);
        prop_assert_eq!(report.problems, []);
        prop_assert_eq!((report.records, report.last_seq), (end, end));

        let (mut writer, report) = Writer::open_with(config(dir), RecoveryMode::Strict).expect("opens");
        prop_assert_eq!(report.next_seq, end + 1);
        writer.append(&record(end + 1, &payload(end + 1))).expect("appends");
        writer.close().expect("closes");
        prop_assert_eq!(check(dir).problems, []);
        prop_assert_eq!(read_on(&mut Reader::open(dir).expect("opens")).expect("whole").len() as u64, end + 1);
    }
}

/// Ranges of blocks up to a bound; nothing may be missing.
fn block_ranges(cursor: &mut BlockCursor, limit: u64) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    loop {
        let before = cursor.next_seq();
        match cursor.next(limit).expect("reads") {
            BlockStep::Block(block) => ranges.push((block.base_seq.max(before), block.last_seq)),
            BlockStep::End => return ranges,
            BlockStep::Missing(missing) => panic!("{missing:?}"),
        }
    }
}

fn spent(ranges: &[(u64, u64)]) -> Vec<u64> {
    ranges.iter().flat_map(|(from, to)| *from..=*to).collect()
}

/// Damage in the valid part is damage, with bounds that end where the segment was given up, though
/// whole blocks lie behind.
#[test]
fn damage_before_the_end_is_reported() {
    let home = scratch();
    let dir = home.path();
    let edges = open_log(dir, &[4; 6]);
    let (path, at) = (
        entries(dir).swap_remove(0).path,
        offset_behind(dir, edges[3]),
    );
    abandon(dir, edges[4], edges[4] + 1..=30);
    let mut bytes = fs::read(&path).expect("reads");
    bytes[usize::try_from(at).expect("small") + 80] ^= 1;
    fs::write(&path, bytes).expect("writes");

    let report = check(dir);
    let found: Vec<_> = report
        .problems
        .iter()
        .map(|problem| (problem.class, problem.from, problem.to))
        .collect();
    assert_eq!(found, [(Class::BadPayload, Some(13), Some(16))]);
    let mut reader = Reader::open(dir).expect("opens");
    for seq in 1..=12 {
        let entry = reader.next().expect("whole").expect("a record");
        assert_eq!(entry.seq, seq);
    }
    for _ in 0..2 {
        let error = reader.next().expect_err("damaged");
        assert!(
            matches!(&error, JournalError::Damaged(problem)
                if problem.class == Class::BadPayload && problem.from == Some(13)),
            "{error}"
        );
    }
    let error = reader.last_record_of_kind_below(kind::SESSION, 15);
    assert!(matches!(error, Err(JournalError::Damaged(_))), "{error:?}");
}

/// The data of an abandoned segment ends before the place that its successor names: that is a loss.
#[test]
fn a_short_abandoned_segment_is_damaged() {
    let home = scratch();
    let dir = home.path();
    let edges = open_log(dir, &[4; 6]);
    let offset = offset_behind(dir, edges[3]);
    abandon(dir, edges[4], edges[4] + 1..=30);
    leave_behind(dir, offset, Behind::Zeros);
    let problems = check(dir).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].class, Class::MissingBlocks);
    assert_eq!((problems[0].from, problems[0].to), (Some(13), Some(16)));
    let mut reader = Reader::open(dir).expect("opens");
    let error = read_on(&mut reader).expect_err("damaged");
    assert!(matches!(error, JournalError::Damaged(_)), "{error}");
    let error = reader.last_record_of_kind(99);
    assert!(matches!(error, Err(JournalError::Damaged(_))), "{error:?}");
}

/// A place inside a block is no end.
#[test]
fn a_segment_is_given_up_on_the_edge_of_a_block() {
    let home = scratch();
    let dir = home.path();
    open_log(dir, &[4; 3]);
    abandon(dir, 6, 7..=14);
    let problems = check(dir).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].class, Class::BrokenChain);
}

/// Only the successor that names the header of the segment and the sequence ends it.
#[test]
fn the_hash_must_agree() {
    let change_u64 = |bytes: &mut [u8], at: usize, by: u64| {
        let value = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        Fields(bytes).u64(at, value.wrapping_add(by));
    };
    type Change<'a> = &'a dyn Fn(&mut [u8]);
    let changes: [(&str, Change<'_>); 4] = [
        ("another place", &|bytes| {
            change_u64(bytes, 40, 4);
            change_u64(bytes, 80, 4);
        }),
        ("another hash", &|bytes| bytes[90] ^= 1),
        ("no flag", &|bytes| bytes[14] &= !4),
        ("an earlier epoch", &|bytes| change_u64(bytes, 48, u64::MAX)),
    ];
    for (what, change) in changes {
        let home = scratch();
        let dir = home.path();
        let edges = open_log(dir, &[4; 6]);
        abandon(dir, edges[4], edges[4] + 1..=30);
        let path = entries(dir).pop().expect("two").path;
        let mut bytes = fs::read(&path).expect("reads");
        change(&mut bytes[..SegmentHeader::LEN]);
        let crc = masked_crc(&bytes[..124]);
        Fields(&mut bytes).u32(124, crc);
        fs::write(&path, bytes).expect("writes");
        assert_eq!(entries(dir)[0].abandoned_at, None, "{what}");
        let problems = check(dir).problems;
        let has = |class| problems.iter().any(|problem| problem.class == class);
        assert!(has(Class::MissingSeal), "{what}: {problems:?}");
        let error = read_on(&mut Reader::open(dir).expect("opens"));
        assert!(matches!(error, Err(JournalError::Damaged(_))), "{what}");
        let refused = Writer::open(config(dir));
        assert!(
            matches!(refused, Err(JournalError::Refused { .. })),
            "{what}"
        );
    }
}

/// A crash right after the file was given up, before its successor exists: it is the open last
/// segment, as after any crash.
#[test]
fn without_a_successor_nothing_was_abandoned() {
    let home = scratch();
    let dir = home.path();
    let edges = open_log(dir, &[4; 6]);
    let (mut writer, report) = Writer::open(config(dir)).expect("opens");
    assert_eq!(report.next_seq, edges[6] + 1);
    writer.append(&record(25, &payload(25))).expect("appends");
    writer.close().expect("closes");
    assert!(
        entries(dir)
            .iter()
            .all(|entry| entry.abandoned_at.is_none())
    );
    assert_eq!(check(dir).problems, []);
}

/// A segment of another log between an abandoned one and its successor leaves; what it stood between is
/// a whole log again, of which nothing is lost.
#[test]
fn a_foreign_segment_does_not_part_an_abandoned_one_from_its_successor() {
    let (home, other) = (scratch(), scratch());
    let edges = open_log(home.path(), &[3, 4, 5]);
    abandon(home.path(), edges[2], edges[2] + 1..=20);
    open_log(other.path(), &[2]);
    let foreign = entries(other.path()).pop().expect("a segment");
    // Of the same number, it stands in front of the successor by its name.
    let path = entries(home.path()).pop().expect("a segment").path;
    let name = path.with_file_name("0.seg");
    let mut header = foreign.header.clone();
    header.number = 2;
    fs::write(&name, header.encode()).expect("writes");
    let listed: Vec<_> = entries(home.path())
        .iter()
        .map(|it| it.header.log_id)
        .collect();
    assert_eq!((listed.len(), listed[1]), (3, foreign.header.log_id));

    let opened = Writer::open_with(config(home.path()), RecoveryMode::PointInTime);
    let (writer, report) = opened.expect("repairs");
    assert_eq!((report.next_seq, report.hole), (21, None), "{report:?}");
    writer.close().expect("closes");
    let moved = home.path().join("quarantine").join("0.seg");
    assert!(moved.exists(), "{report:?}");
    let report = verify(home.path(), &mut |_| {}).expect("verifies");
    assert_eq!((report.problems, report.records), (vec![], 20));
}
