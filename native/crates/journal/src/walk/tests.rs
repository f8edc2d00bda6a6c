//! Walks over files that are damaged everywhere, and over records that hold blocks of the same log.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{End, MOST_DAMAGE, Walk, walk};
use crate::crash_tests::scratch;
use crate::directory::{self, SegmentEntry};
use crate::disk::recording::Random;
use crate::format::{BLOCK_ALIGN, BlockHeader, SegmentHeader, is_zero, masked_crc};
use crate::policy::SyncPolicy;
use crate::reader::blocks::{BlockCursor, BlockStep};
use crate::recovery::is_torn_tail;
use crate::salvage::salvage;
use crate::scan::Block;
use crate::writer::{Record, Writer, WriterConfig};

/// Of more damages than the limit the last entry tells the number, and reaches as far as they do.
#[test]
fn damage_everywhere_is_counted_not_listed() {
    let home = scratch();
    let dir = home.path();
    let config = WriterConfig::new(dir, 64 << 20, SyncPolicy::Os, 1);
    let (mut writer, _) = Writer::open(config).expect("opens");
    let extra = 3;
    let blocks = 2 * (MOST_DAMAGE as u64 + extra) + 1;
    for seq in 1..=blocks {
        let record = Record {
            kind: 1,
            stamp: 1,
            line: 0,
            channel: 3,
            venue_seq: seq,
            rx_ns: seq,
            payload: b"12345678",
        };
        writer.append(&record).expect("appends");
        writer.flush().expect("writes");
    }
    let entry = directory::list(dir).expect("lists").segments.swap_remove(0);
    let mut block_len = 0;
    let mut ends = vec![SegmentHeader::LEN as u64];
    walk(&entry, &mut |_, block| {
        block_len = block.end() - block.offset;
        ends.push(block.end());
    })
    .expect("walks");
    assert_eq!(ends.len() as u64, blocks + 1);
    assert!(block_len >= BlockHeader::LEN as u64 + BLOCK_ALIGN);
    let mut bytes = fs::read(&entry.path).expect("reads");
    for block in (1..blocks as usize).step_by(2) {
        bytes[ends[block] as usize + BlockHeader::LEN] ^= 1;
    }
    fs::write(&entry.path, bytes).expect("writes");
    let found = walk(&entry, &mut |_, _| {}).expect("walks");
    assert_eq!(found.damage.len(), MOST_DAMAGE);
    assert_eq!(found.next_seq, blocks + 1);
    let last = found.damage.last().expect("a damage");
    assert_eq!(last.from, 2 * MOST_DAMAGE as u64);
    assert_eq!(last.resumed_at, Some(blocks));
    let text = format!("{extra} further places");
    assert!(last.detail.contains(&text), "{}", last.detail);
}

/// A segment in which records hold blocks of this very segment, as they are or forged.
struct Nested {
    _home: TempDir,
    entry: SegmentEntry,
    bytes: Vec<u8>,
    /// Its blocks, and whether the record in each holds blocks.
    blocks: Vec<(Block, bool)>,
}

/// One block of one record each; half of the records hold a run of one to three earlier blocks.
fn nested(random: &mut Random) -> Nested {
    let home = scratch();
    let config = WriterConfig::new(home.path(), 256 << 10, SyncPolicy::Os, 1);
    let (mut writer, _) = Writer::open(config).expect("opens");
    let path = home.path().join(directory::segment_name(1));
    let (mut ends, mut holds) = (vec![SegmentHeader::LEN], Vec::new());
    let last_seq = 6 + random.below(8);
    for seq in 1..=last_seq {
        let mut payload = seq.to_le_bytes().repeat(1 + random.below(20) as usize);
        let mut has_blocks = seq > 1 && random.below(2) == 0;
        if has_blocks {
            let bytes = fs::read(&path).expect("reads");
            let first = random.below(seq - 1) as usize;
            let count = 1 + random.below((seq - 1).min(3)) as usize;
            let last = ends.len().min(first + count + 1) - 1;
            let mut run: Vec<Vec<u8>> = (first..last)
                .map(|at| bytes[ends[at]..ends[at + 1]].to_vec())
                .collect();
            if random.below(2) == 0 {
                forge(&mut run, seq + random.below(4));
            }
            // Blocks in blocks in blocks would grow without end.
            has_blocks = run.concat().len() < 2000;
            if has_blocks {
                payload.extend(run.concat());
                // With nothing behind, the run ends where the next real block begins. One that ends
                // where the data do cannot be told from blocks when the header before it is gone.
                let has_tail = seq == last_seq || random.below(2) == 0;
                payload.extend(has_tail.then_some([0xab; 24]).into_iter().flatten());
            }
        }
        let record = Record {
            kind: 1,
            stamp: 1,
            line: 0,
            channel: 3,
            venue_seq: seq,
            rx_ns: seq,
            payload: &payload,
        };
        writer.append(&record).expect("appends");
        writer.flush().expect("writes");
        let len = (BlockHeader::LEN + 24 + payload.len()).next_multiple_of(8);
        ends.push(ends.last().expect("the header") + len);
        holds.push(has_blocks);
    }
    match random.below(2) {
        0 => writer.close().expect("closes"),
        _ => drop(writer),
    }
    let entry = directory::list(home.path())
        .expect("lists")
        .segments
        .swap_remove(0);
    let mut blocks = Vec::new();
    walk(&entry, &mut |_, block| blocks.push(*block)).expect("walks");
    assert_eq!(blocks.len(), holds.len());
    Nested {
        bytes: fs::read(&entry.path).expect("reads"),
        blocks: blocks.into_iter().zip(holds).collect(),
        entry,
        _home: home,
    }
}

/// Gives a run of blocks of one record each other sequences, and right checksums and links again.
fn forge(run: &mut [Vec<u8>], seq: u64) {
    let mut before = None;
    for (block, seq) in run.iter_mut().zip(seq..) {
        block[16..24].copy_from_slice(&seq.to_le_bytes());
        if let Some(crc) = before {
            block[60..64].copy_from_slice(&u32::to_le_bytes(crc));
        }
        let crc = masked_crc(&block[..68]);
        block[68..72].copy_from_slice(&crc.to_le_bytes());
        before = Some(crc);
    }
}

/// Damages a block; true when its header is still right.
fn damage(bytes: &mut [u8], block: &Block, random: &mut Random) -> bool {
    let at = block.offset as usize;
    let kind = random.below(5);
    match kind {
        0 => bytes[at + random.below(72) as usize] ^= 1 << random.below(8),
        1 => bytes[at..at + 72].fill(0),
        2 => bytes[at..at + 72]
            .iter_mut()
            .for_each(|byte| *byte = random.next() as u8),
        3 => {
            bytes[at + random.below(68) as usize] ^= 1 << random.below(8);
            bytes[at + 68 + random.below(4) as usize] ^= 1 << random.below(8);
        }
        _ => bytes[at + 72 + random.below(30) as usize] ^= 1 << random.below(8),
    }
    kind == 4
}

fn look(nested: &Nested, bytes: &[u8]) -> (Walk, Vec<Block>) {
    fs::write(&nested.entry.path, bytes).expect("writes");
    let mut seen = Vec::new();
    let found = walk(&nested.entry, &mut |_, block| seen.push(*block)).expect("walks");
    (found, seen)
}

fn home(nested: &Nested) -> &Path {
    nested.entry.path.parent().expect("a directory")
}

/// First sequences of the blocks that a cursor gives.
fn cursor_bases(nested: &Nested, last_seq: u64) -> Vec<u64> {
    let mut cursor = BlockCursor::open(home(nested), 1).expect("opens");
    let mut bases = Vec::new();
    loop {
        match cursor.next(last_seq).expect("reads") {
            BlockStep::Block(block) => bases.push(block.base_seq),
            BlockStep::Missing(_) => {}
            BlockStep::End => return bases,
        }
    }
}

fn salvaged_losses(nested: &Nested) -> Vec<(u64, u64)> {
    let found = salvage(home(nested), None, &mut |_, _| {}).expect("salvages");
    found.lost.iter().map(|it| (it.from, it.to)).collect()
}

/// Whatever records hold: one damaged block costs that block and no other, and is a torn tail only at
/// the end of an open segment; of two, nothing is believed that is no block.
#[test]
fn a_block_in_a_record_is_none() {
    let (mut torn, mut behind_holder, mut doubtful) = (0, 0, 0);
    for seed in 1..=600 {
        let mut random = Random(seed);
        let nested = nested(&mut random);
        let is_open = nested.entry.seal.is_none();
        for _ in 0..6 {
            let last = nested.blocks.len() - 1;
            let victim = random.below(nested.blocks.len() as u64) as usize;
            let (block, holds) = nested.blocks[victim];
            let mut bytes = nested.bytes.clone();
            let has_header = damage(&mut bytes, &block, &mut random);
            let (found, seen) = look(&nested, &bytes);
            let context = format!("seed {seed}, block {victim} of {}", last + 1);
            let rest = nested.blocks.iter().map(|it| it.0);
            let rest: Vec<Block> = rest.filter(|it| it.offset != block.offset).collect();
            assert_eq!(seen, rest, "{context}: {found:?}");
            let resumed_at = match (victim == last, is_open) {
                (true, true) => None,
                _ => Some(block.next_seq),
            };
            let ends: Vec<_> = found
                .damage
                .iter()
                .map(|it| (it.from, it.resumed_at))
                .collect();
            assert_eq!(ends, [(block.header.base_seq, resumed_at)], "{context}");
            let is_end = victim == last && is_open;
            assert_eq!(found.end == End::Lost, is_end, "{context}");
            let bases: Vec<u64> = rest.iter().map(|it| it.header.base_seq).collect();
            let last_seq = nested.blocks[last].0.next_seq - 1;
            let at = block.offset as usize;
            // Zeros in an open segment are its end to a cursor, for now.
            let waits = is_open && is_zero(&bytes[at..at + BlockHeader::LEN]);
            let before = |seq: &u64| !waits || *seq < block.header.base_seq;
            let given: Vec<u64> = bases.iter().copied().filter(before).collect();
            assert_eq!(cursor_bases(&nested, last_seq), given, "{context}");
            let lost: Vec<_> = salvaged_losses(&nested);
            let expected = (!is_end).then_some((block.header.base_seq, block.next_seq - 1));
            assert_eq!(lost, Vec::from_iter(expected), "{context}");
            if is_end && (has_header || !holds) {
                assert!(is_torn_tail(&found, 0), "{context}: {found:?}");
                torn += 1;
            } else if !is_end {
                assert!(!is_torn_tail(&found, 0), "{context}");
                behind_holder += u64::from(holds);
            }

            let other = random.below(nested.blocks.len() as u64) as usize;
            damage(&mut bytes, &nested.blocks[other].0, &mut random);
            let (found, seen) = look(&nested, &bytes);
            let context = format!("{context}, and {other}");
            assert!(
                seen.iter().all(|it| rest.contains(it)),
                "{context}: {found:?}"
            );
            let believed = cursor_bases(&nested, last_seq);
            assert!(
                believed.iter().all(|it| bases.contains(it)),
                "{context}: {believed:?}"
            );
            let is_whole = |at: usize| at != victim && at != other;
            let has_behind = (victim.min(other)..=last).any(is_whole) || !is_open;
            if has_behind {
                assert!(!is_torn_tail(&found, 0), "{context}: {found:?}");
            }
            doubtful += u64::from(found.claimed_seq > 0);
        }
    }
    assert!(torn > 50 && behind_holder > 500, "{torn}, {behind_holder}");
    assert!(doubtful > 50, "{doubtful}");
}
