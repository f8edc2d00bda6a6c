//! Blocks as stored: verbatim, never above the bound, and without a gap that is not declared.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tickdeck_journal::{
    BlockCursor, BlockStep, JournalError, Missing, MissingCause, Writer, outline, unpack,
};

use crate::support::*;

/// One step, with what a test looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Block { from: u64, to: u64, bytes: Vec<u8> },
    Pruned(u64, u64),
    Damaged(u64, u64),
}

impl Seen {
    fn range(&self) -> (u64, u64) {
        match self {
            Self::Block { from, to, .. } => (*from, *to),
            Self::Pruned(from, to) | Self::Damaged(from, to) => (*from, *to),
        }
    }

    fn is_block(&self) -> bool {
        matches!(self, Self::Block { .. })
    }
}

/// Steps to the end for now.
fn steps(cursor: &mut BlockCursor, limit: u64) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let seen = match cursor.next(limit).expect("reads") {
            BlockStep::End => return all,
            BlockStep::Block(block) => {
                check_records(block.bytes, block.base_seq, block.count);
                Seen::Block {
                    from: block.base_seq,
                    to: block.last_seq,
                    bytes: block.bytes.to_vec(),
                }
            }
            BlockStep::Missing(Missing { from, to, cause }) => match cause {
                MissingCause::Pruned => Seen::Pruned(from, to),
                MissingCause::Damaged(problem) => {
                    assert_eq!((problem.from, problem.to), (Some(from), Some(to)));
                    Seen::Damaged(from, to)
                }
            },
        };
        assert_eq!(cursor.next_seq(), seen.range().1 + 1);
        all.push(seen);
    }
}

/// The records of an uncompressed block are those of `fill`.
fn check_records(block: &[u8], base_seq: u64, count: u32) {
    let number = |at: usize, len: usize| {
        let bytes = block[at..at + len].iter().rev();
        bytes.fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    assert_eq!((number(16, 8), number(24, 4)), (base_seq, u64::from(count)));
    assert_eq!(number(8, 4) as usize, block.len() - 72);
    let mut at = 72;
    for seq in base_seq..base_seq + u64::from(count) {
        let len = number(at, 4) as usize;
        let is_hole = block[at + 4] & 63 == 9;
        assert!(is_hole || block[at + 24..at + 24 + len] == payload(seq, len));
        at += 24 + len;
    }
    assert_eq!(at, block.len());
}

/// The ranges follow one another without a gap.
fn assert_seamless(seen: &[Seen], first: u64, last: u64) {
    let mut next = first;
    for range in seen.iter().map(Seen::range) {
        assert!(range.0 <= next && range.1 >= next, "{range:?} at {next}");
        next = range.1 + 1;
    }
    assert_eq!(next, last + 1);
}

/// Several segments of blocks of a few records; the last one is open.
fn several_segments(dir: &Path) -> u64 {
    let mut writer = open(dir, SMALL);
    for group in 0..60 {
        fill(&mut writer, 1 + group % 7, (group * 37 % 400) as usize);
        writer.sync().expect("syncs");
    }
    let last = writer.watermarks().durable;
    drop(writer);
    assert!(segment_files(dir).len() >= 4);
    last
}

/// Each block is found in a file as it is, and all of them are all records.
#[test]
fn blocks_are_verbatim_and_whole() {
    let dir = scratch();
    let last = several_segments(dir.path());
    let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
    let seen = steps(&mut cursor, u64::MAX - 1);
    assert_seamless(&seen, 1, last);
    let files: Vec<Vec<u8>> = segment_files(dir.path())
        .iter()
        .map(|path| fs::read(path).expect("reads"))
        .collect();
    for block in &seen {
        let Seen::Block { bytes, .. } = block else {
            panic!("{block:?}");
        };
        let holds = |file: &Vec<u8>| file.windows(bytes.len()).any(|window| window == bytes);
        assert!(files.iter().any(holds));
    }
}

/// W10: any block alone tells its epoch, its first sequence and its count; shuffled, they sort back
/// into the log.
#[test]
fn shuffled_blocks_sort_back() {
    let dir = scratch();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let mut writer = open(dir.path(), SMALL);
        for group in 0..40 {
            fill(&mut writer, 1 + group % 5, (group * 37 % 300) as usize);
            writer.sync().expect("syncs");
        }
        ends.push(writer.watermarks().durable);
    }
    let last = ends[2];
    let seen = steps(&mut BlockCursor::open(dir.path(), 1).expect("opens"), last);
    let mut blocks: Vec<Vec<u8>> = seen
        .into_iter()
        .map(|seen| match seen {
            Seen::Block { bytes, .. } => bytes,
            missing => panic!("{missing:?}"),
        })
        .collect();
    let mut state = 7_u64;
    for at in (1..blocks.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005) + 1;
        blocks.swap(at, (state >> 33) as usize % (at + 1));
    }
    assert!(!blocks.is_sorted_by_key(|block| base_seq(block)));
    blocks.sort_by_key(|block| base_seq(block));
    let mut seqs = Vec::new();
    for block in &blocks {
        let (base_seq, count) = (base_seq(block), word(block, 24));
        let epoch = 1 + ends.iter().filter(|end| **end < base_seq).count();
        assert_eq!(word(block, 56) as usize, epoch, "{base_seq}");
        let (entries, next_seq) = unpack(base_seq, count, &block[72..]).expect("records");
        assert_eq!(next_seq, base_seq + u64::from(count));
        for entry in entries {
            let expected = payload(entry.seq, entry.record.payload.len());
            assert_eq!(entry.record, record(entry.seq, &expected));
            seqs.push(entry.seq);
        }
    }
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(block[at..at + 4].try_into().expect("four"))
}

fn base_seq(block: &[u8]) -> u64 {
    u64::from_le_bytes(block[16..24].try_into().expect("eight"))
}

/// Wherever the bound lies, no block reaches above it, and the rest comes once it has risen.
#[test]
fn nothing_comes_above_the_bound() {
    let dir = scratch();
    let last = several_segments(dir.path());
    for limit in 0..=last {
        let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
        let mut seen = steps(&mut cursor, limit);
        assert!(seen.iter().all(|block| block.range().1 <= limit));
        seen.extend(steps(&mut cursor, last));
        assert_seamless(&seen, 1, last);
    }
}

/// From wherever it starts, the first block holds the sequence asked for.
#[test]
fn a_start_may_lie_inside_a_block() {
    let dir = scratch();
    let last = several_segments(dir.path());
    for first in 1..=last {
        let mut cursor = BlockCursor::open(dir.path(), first).expect("opens");
        let seen = steps(&mut cursor, last);
        assert!(seen[0].range().0 <= first && seen[0].range().1 >= first);
        assert_seamless(&seen, first, last);
    }
    let mut beyond = BlockCursor::open(dir.path(), last + 1).expect("opens");
    assert_eq!(steps(&mut beyond, last + 100), []);
}

/// A cursor in another thread gives every record once while the writer appends, rotates and
/// restarts, and nothing that was not synced when it looked.
#[test]
fn a_cursor_follows_a_writer() {
    const TOTAL: u64 = 30_000;
    let dir = scratch();
    let config = config(dir.path(), 64 * 1024);
    let mut writer = Writer::open(config.clone()).expect("opens").0;
    let (durable, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
            let mut seen = Vec::new();
            loop {
                let ended = done.load(Ordering::Acquire);
                let limit = durable.load(Ordering::Acquire);
                let new = steps(&mut cursor, limit);
                assert!(new.iter().all(|block| block.range().1 <= limit));
                // All that was synced is there: nothing has to be waited for.
                assert_eq!(cursor.next_seq(), limit + 1);
                seen.extend(new);
                if ended {
                    return seen;
                }
            }
        });
        for step in 0..TOTAL / 10 {
            fill(&mut writer, 10, (step % 97) as usize);
            writer.poll(step * 400_000).expect("polls");
            if step % 700 == 699 {
                writer.close().expect("closes");
                writer = Writer::open(config.clone()).expect("opens").0;
            }
            durable.store(writer.watermarks().durable, Ordering::Release);
        }
        writer.sync().expect("syncs");
        durable.store(TOTAL, Ordering::Release);
        done.store(true, Ordering::Release);
        let seen = follower.join().expect("follows");
        assert!(seen.iter().all(Seen::is_block));
        assert_seamless(&seen, 1, TOTAL);
    });
}

/// Sequences that were pruned are declared, before the start and under a cursor that stood still.
#[test]
fn pruned_sequences_are_declared() {
    let dir = scratch();
    let last = several_segments(dir.path());
    let files = segment_files(dir.path());
    let base = |cursor: &mut BlockCursor| steps(cursor, last)[0].range();
    let mut standing = BlockCursor::open(dir.path(), 1).expect("opens");
    let first_block = standing.next(last).expect("reads");
    assert!(matches!(first_block, BlockStep::Block(_)));
    let held_to = standing.next_seq();
    for path in &files[..2] {
        fs::remove_file(path).expect("removes");
    }
    let mut late = BlockCursor::open(dir.path(), 1).expect("opens");
    let (from, to) = base(&mut late);
    assert_eq!(from, 1);
    let mut behind = BlockCursor::open(dir.path(), to + 1).expect("opens");
    assert_eq!(base(&mut behind).0, to + 1);

    // The open file can still be read to its end; the one behind it cannot.
    let seen = steps(&mut standing, last);
    assert_seamless(&seen, held_to, last);
    let pruned: Vec<_> = seen.iter().filter(|seen| !seen.is_block()).collect();
    assert!(
        matches!(pruned[..], [Seen::Pruned(_, end)] if *end == to),
        "{pruned:?}"
    );
}

/// One flipped bit in any block of a sealed segment costs that block, exactly.
#[test]
fn a_damaged_block_is_a_gap_of_its_records() {
    let dir = scratch();
    let last = several_segments(dir.path());
    let seen = steps(&mut BlockCursor::open(dir.path(), 1).expect("opens"), last);
    let path = segment_files(dir.path()).swap_remove(1);
    let good = fs::read(&path).expect("reads");
    let mut damaged = 0;
    for block in &seen {
        let Seen::Block { from, to, bytes } = block else {
            panic!("{block:?}");
        };
        let Some(at) = good.windows(bytes.len()).position(|window| window == bytes) else {
            continue;
        };
        // A header of each kind of field, and the payload.
        for byte in [0, 9, 16, 60, 70, 72, bytes.len() - 1] {
            flip(&path, at + byte, 3);
            let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
            let now = steps(&mut cursor, last);
            let expected: Vec<Seen> = seen
                .iter()
                .map(|seen| match seen == block {
                    true => Seen::Damaged(*from, *to),
                    false => seen.clone(),
                })
                .collect();
            assert_eq!(now, expected, "byte {byte} of {from}-{to}");
            fs::write(&path, &good).expect("writes");
        }
        damaged += 1;
    }
    assert!(damaged > 5);
}

/// A whole damaged stretch is one gap, up to the next good block or the next segment.
#[test]
fn a_damaged_stretch_is_one_gap() {
    let dir = scratch();
    let last = several_segments(dir.path());
    let path = segment_files(dir.path()).swap_remove(1);
    let good = fs::read(&path).expect("reads");
    for (from, to) in [
        (200, 5_000),
        (6_000, good.len()),
        (128, good.len()),
        (128, 4_096),
    ] {
        let mut bytes = good.clone();
        bytes[from..to].fill(0x5A);
        fs::write(&path, bytes).expect("writes");
        let seen = steps(&mut BlockCursor::open(dir.path(), 1).expect("opens"), last);
        assert_seamless(&seen, 1, last);
        let gaps = seen.iter().filter(|seen| !seen.is_block()).count();
        assert_eq!(gaps, 1, "{from}..{to}");
    }
}

/// A segment that is away, or whose header cannot be read, is a gap; so is the end of one whose
/// seal is damaged, which costs nothing.
#[test]
fn whole_segments_may_be_missing() {
    let dir = scratch();
    let last = several_segments(dir.path());
    let path = segment_files(dir.path()).swap_remove(1);
    let good = fs::read(&path).expect("reads");
    let all = || steps(&mut BlockCursor::open(dir.path(), 1).expect("opens"), last);
    let whole = all();
    fs::remove_file(&path).expect("removes");
    let without = all();
    assert_seamless(&without, 1, last);
    let gaps: Vec<_> = without.iter().filter(|seen| !seen.is_block()).collect();
    assert!(matches!(gaps[..], [Seen::Damaged(..)]), "{gaps:?}");

    fs::write(&path, &good).expect("writes");
    flip(&path, 20, 1);
    assert_eq!(all(), without);

    for from_end in [1, 60, 64, 90] {
        fs::write(&path, &good).expect("writes");
        flip(&path, good.len() - from_end, 1);
        assert_eq!(all(), whole, "{from_end} bytes before the end");
    }
}

/// In an open segment a damaged block is a gap only when a good one lies behind it; else it may yet
/// come.
#[test]
fn the_open_segment_is_given_time() {
    let dir = scratch();
    let mut writer = open(dir.path(), 1 << 20);
    for _ in 0..10 {
        fill(&mut writer, 5, 50);
        writer.sync().expect("syncs");
    }
    let path = segment_files(dir.path()).swap_remove(0);
    let seen = steps(&mut BlockCursor::open(dir.path(), 1).expect("opens"), 50);
    let good = fs::read(&path).expect("reads");
    let place = |block: &Seen| match block {
        Seen::Block { bytes, .. } => good.windows(bytes.len()).position(|window| window == bytes),
        _ => None,
    };
    flip(&path, place(&seen[9]).expect("is there") + 80, 1);
    let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
    assert_eq!(steps(&mut cursor, 50), seen[..9]);
    flip(&path, place(&seen[9]).expect("is there") + 80, 1);
    assert_eq!(steps(&mut cursor, 50), seen[9..]);

    flip(&path, place(&seen[4]).expect("is there") + 80, 1);
    let seen = steps(&mut BlockCursor::open(dir.path(), 1).expect("opens"), 50);
    assert_eq!(seen[4], Seen::Damaged(21, 25));
    assert_seamless(&seen, 1, 50);
}

/// A record can hold what looks like a block; nothing is read from inside it.
#[test]
fn a_block_inside_a_record_is_no_block() {
    let dir = scratch();
    // As an attacker would have it: right checksums, the same epoch, a later sequence.
    let elsewhere = scratch();
    let mut other = open(elsewhere.path(), SMALL);
    fill(&mut other, 4, 40);
    other.sync().expect("syncs");
    fill(&mut other, 2, 40);
    other.sync().expect("syncs");
    let mut cursor = BlockCursor::open(elsewhere.path(), 5).expect("opens");
    let BlockStep::Block(block) = cursor.next(6).expect("reads") else {
        panic!("a block");
    };
    assert_eq!((block.base_seq, block.last_seq), (5, 6));
    let mut hostile = block.bytes.to_vec();
    hostile.resize(hostile.len() + 100, 0);

    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 3, 40);
    writer.sync().expect("syncs");
    writer.append(&record(4, &hostile)).expect("appends");
    writer.sync().expect("syncs");
    fill(&mut writer, 3, 40);
    writer.sync().expect("syncs");
    writer.seal().expect("seals");
    let path = segment_files(dir.path()).swap_remove(0);
    let good = fs::read(&path).expect("reads");
    let at = good
        .windows(hostile.len())
        .position(|window| window == hostile)
        .expect("is there");
    assert!(at.is_multiple_of(8));
    flip(&path, at - 24 - 72, 0);
    let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
    let ranges: Vec<_> = steps_unchecked(&mut cursor, 7);
    assert_eq!(ranges, [(true, 1, 3), (false, 4, 4), (true, 5, 7)]);
}

fn steps_unchecked(cursor: &mut BlockCursor, limit: u64) -> Vec<(bool, u64, u64)> {
    let mut all = Vec::new();
    loop {
        match cursor.next(limit).expect("reads") {
            BlockStep::End => return all,
            BlockStep::Block(block) => all.push((true, block.base_seq, block.last_seq)),
            BlockStep::Missing(missing) => all.push((false, missing.from, missing.to)),
        }
    }
}

/// A hole travels as a record, and its range is told beside.
#[test]
fn holes_are_told() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 3, 10);
    writer.append_hole(4, 103, 2).expect("appends");
    fill(&mut writer, 1, 10);
    writer.append_hole(105, 105, 2).expect("appends");
    fill(&mut writer, 1, 10);
    writer.sync().expect("syncs");
    let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
    let mut holes = Vec::new();
    loop {
        match cursor.next(1_000).expect("reads") {
            BlockStep::Block(block) => holes.push((block.last_seq, block.hole)),
            BlockStep::End => break,
            missing => panic!("{missing:?}"),
        }
    }
    let bounds: Vec<_> = holes
        .iter()
        .map(|(last, hole)| (*last, hole.map(|hole| (hole.from, hole.to))))
        .collect();
    assert_eq!(
        bounds,
        [(103, Some((4, 103))), (105, Some((105, 105))), (106, None)]
    );
}

/// A segment of another log, or one that does not continue the one before, is an error: it is never
/// served.
#[test]
fn a_foreign_segment_is_never_served() {
    let (dir, other) = (scratch(), scratch());
    let last = several_segments(dir.path());
    several_segments(other.path());
    let (ours, theirs) = (segment_files(dir.path()), segment_files(other.path()));
    fs::copy(&theirs[1], &ours[1]).expect("copies");
    let opened = BlockCursor::open(dir.path(), 1);
    let error = opened.expect_err("is foreign");
    assert!(matches!(error, JournalError::Damaged(_)), "{error}");

    // The same while a cursor stands before it: it finds out at the border.
    let (dir, other) = (scratch(), scratch());
    several_segments(dir.path());
    several_segments(other.path());
    let mut cursor = BlockCursor::open(dir.path(), 1).expect("opens");
    cursor.next(last).expect("reads");
    let (ours, theirs) = (segment_files(dir.path()), segment_files(other.path()));
    fs::copy(&theirs[1], &ours[1]).expect("copies");
    let error = loop {
        match cursor.next(last) {
            Ok(BlockStep::Block(_)) => {}
            other => break other.map(|step| format!("{step:?}")),
        }
    };
    assert!(matches!(error, Err(JournalError::Damaged(_))), "{error:?}");
}

/// The outline knows log, oldest sequence and where each epoch began.
#[test]
fn the_outline_has_every_epoch() {
    let dir = scratch();
    assert!(matches!(
        outline(dir.path()),
        Err(JournalError::NotAJournal { .. })
    ));
    for _ in 0..3 {
        let mut writer = open(dir.path(), SMALL);
        fill(&mut writer, 300, 100);
        writer.close().expect("closes");
    }
    let seen = outline(dir.path()).expect("reads");
    assert_eq!(seen.epochs, [(1, 1), (2, 301), (3, 601)]);
    assert_eq!((seen.schema_id, seen.first_seq), (7, 1));
    assert_eq!(
        seen.log_id,
        BlockCursor::open(dir.path(), 1).expect("opens").log_id()
    );
    let files = segment_files(dir.path());
    assert_eq!(seen.segments, files.len());
    flip(&files[0], 20, 1);
    let without = outline(dir.path()).expect("reads");
    assert!(without.first_seq > 1 && without.segments + 1 == files.len());
}
