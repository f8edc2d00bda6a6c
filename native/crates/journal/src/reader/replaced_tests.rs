//! Segments that another file replaces, or that lose their end, while they are being read.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::crash_tests::scratch;
use crate::format::{Fields, SegmentHeader, masked_crc};
use crate::policy::SyncPolicy;
use crate::reader::blocks::{BlockCursor, BlockStep};
use crate::writer::{Writer, WriterConfig};

fn open(dir: &Path) -> Writer {
    let config = WriterConfig::new(dir, 64 << 10, SyncPolicy::Os, 1);
    Writer::open(config).expect("opens").0
}

/// One block per record.
fn append(writer: &mut Writer, count: u64) {
    for _ in 0..count {
        let seq = writer.next_seq();
        let record = Record {
            kind: 1,
            stamp: 1,
            line: 0,
            channel: 3,
            venue_seq: seq,
            rx_ns: seq,
            payload: &seq.to_le_bytes().repeat(40),
        };
        writer.append(&record).expect("appends");
        writer.flush().expect("writes");
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        if entry.file_type().expect("a type").is_file() {
            let path = to.join(entry.file_name());
            // Another file, not other bytes in the same one.
            if path.exists() {
                fs::remove_file(&path).expect("removes");
            }
            fs::copy(entry.path(), path).expect("copies");
        }
    }
}

/// Sequences up to the end for now; nothing may be missing.
fn cursor_seqs(cursor: &mut BlockCursor) -> Result<Vec<u64>, JournalError> {
    let mut seqs = Vec::new();
    loop {
        match cursor.next(u64::MAX - 1)? {
            BlockStep::Block(block) => seqs.extend(block.base_seq..=block.last_seq),
            BlockStep::End => return Ok(seqs),
            BlockStep::Missing(missing) => panic!("{missing:?}"),
        }
    }
}

fn reader_seqs(reader: &mut Reader) -> Result<Vec<u64>, JournalError> {
    let mut seqs = Vec::new();
    while let Some(entry) = reader.next()? {
        seqs.push(entry.seq);
    }
    Ok(seqs)
}

/// A log of one closed segment of ten records, and two writers' beginnings of the second: the first
/// one in place and empty, the other with `count` records and whatever segments they take.
fn two_attempts(count: u64) -> (TempDir, TempDir) {
    let (home, other) = (scratch(), scratch());
    let mut writer = open(home.path());
    append(&mut writer, 10);
    writer.close().expect("closes");
    copy_files(home.path(), other.path());
    drop(open(home.path()));
    let mut writer = open(other.path());
    append(&mut writer, count);
    writer.sync().expect("syncs");
    drop(writer);
    (home, other)
}

/// Who stands in a first attempt at a segment, which was removed, goes on in the one that succeeded.
#[test]
fn a_cursor_leaves_a_removed_attempt() {
    for count in [20, 1_000] {
        let (home, other) = two_attempts(count);
        let mut cursor = BlockCursor::open(home.path(), 1).expect("opens");
        let seqs = cursor_seqs(&mut cursor).expect("whole");
        assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
        assert_eq!(cursor.place().map(|place| place.0), Some(2));
        copy_files(other.path(), home.path());
        let seqs = cursor_seqs(&mut cursor).expect("whole");
        assert_eq!(seqs, (11..=10 + count).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_leaves_a_removed_attempt() {
    for count in [20, 1_000] {
        let (home, other) = two_attempts(count);
        let mut reader = Reader::open(home.path()).expect("opens");
        let seqs = reader_seqs(&mut reader).expect("whole");
        assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
        copy_files(other.path(), home.path());
        let seqs = reader_seqs(&mut reader).expect("whole");
        assert_eq!(seqs, (11..=10 + count).collect::<Vec<_>>());
    }
}

/// Where a later writer has begun the segment again before the end of what was read, what was read
/// may be otherwise now: that is told, not passed over.
#[test]
fn a_segment_of_another_writer_is_told() {
    let (home, other) = two_attempts(20);
    copy_files(other.path(), home.path());
    let mut cursor = BlockCursor::open(home.path(), 1).expect("opens");
    assert_eq!(cursor_seqs(&mut cursor).expect("whole").len(), 30);
    let path = home.path().join(segment_name(2));
    let mut bytes = fs::read(&path).expect("reads");
    bytes[SegmentHeader::LEN..].fill(0);
    let epoch = u64::from_le_bytes(bytes[48..56].try_into().expect("eight"));
    Fields(&mut bytes).u64(48, epoch + 1);
    let crc = masked_crc(&bytes[..124]);
    Fields(&mut bytes).u32(124, crc);
    fs::remove_file(&path).expect("removes");
    fs::write(&path, bytes).expect("writes");
    let error = cursor_seqs(&mut cursor).expect_err("was read further");
    assert!(
        matches!(&error, JournalError::Damaged(problem) if problem.class == Class::SegmentChain),
        "{error}"
    );
}

/// A log that came back shorter than it was read, and went on, is told to who has read more.
#[test]
fn a_shorter_log_is_told() {
    let home = scratch();
    let mut writer = open(home.path());
    append(&mut writer, 10);
    writer.sync().expect("syncs");
    let path = home.path().join(segment_name(1));
    let synced = fs::read(&path).expect("reads");
    append(&mut writer, 10);
    let mut cursor = BlockCursor::open(home.path(), 1).expect("opens");
    assert_eq!(cursor_seqs(&mut cursor).expect("whole").len(), 20);
    drop(writer);
    // What was not synced is gone with the power.
    fs::write(&path, synced).expect("writes");
    let mut writer = open(home.path());
    append(&mut writer, 30);
    writer.sync().expect("syncs");
    assert_eq!(writer.watermarks().durable, 40);
    let error = cursor_seqs(&mut cursor).expect_err("was read further");
    assert!(
        matches!(&error, JournalError::Damaged(problem) if problem.class == Class::SegmentChain),
        "{error}"
    );
    // Who reads it anew gets all of it.
    cursor.seek(1);
    assert_eq!(cursor_seqs(&mut cursor).expect("whole").len(), 40);
}
