//! Walks over files that are damaged everywhere.

use std::fs;

use super::{MOST_DAMAGE, walk};
use crate::crash_tests::scratch;
use crate::directory;
use crate::format::{BLOCK_ALIGN, BlockHeader, SegmentHeader};
use crate::policy::SyncPolicy;
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
