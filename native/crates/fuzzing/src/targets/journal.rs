//! Files of the journal: what is accepted encodes to the bytes that came; several ways to read a
//! segment agree; a writer takes nothing away from a log that it opens.
//!
//! Every structure with a checksum is tried twice: as it came, and with the checksums made right,
//! for a checksum keeps mistakes away and nobody with intent.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tickdeck_journal::{
    BlockCursor, BlockStep, Codec, Decompressor, JournalError, OwnedRecord, Pin, Reader,
    SyncPolicy, Writer, WriterConfig, fuzz, is_client, read_pins, unpack, verify,
};

/// The two files of a log: as they are, then with right checksums.
pub(crate) fn run_log(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (state, segment) = rest.split_at(length);
    check_log(state, segment);
    let (mut state, mut segment) = (state.to_vec(), segment.to_vec());
    correct_state(&mut state);
    correct_segment(&mut segment);
    check_log(&state, &segment);
}

fn check_log(state: &[u8], segment: &[u8]) {
    let again = fuzz::segment_header(segment);
    assert!(again.is_none_or(|again| segment.starts_with(&again)));
    let dir = directory();
    fs::write(dir.path().join("STATE"), state).expect("writes");
    fs::write(dir.path().join(FIRST), segment).expect("writes");
    let is_whole =
        verify(dir.path(), &mut |_| {}).map(|report| (report.is_whole(), report.records));
    let (read, failed) = read(dir.path());
    assert!(read.is_sorted_by(|one, two| one.seq < two.seq));
    if let Ok((true, records)) = is_whole {
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(records, read.len() as u64);
        seek_all(dir.path(), &read);
        assert_eq!(blocks(dir.path()), read.len());
    }
    let config = WriterConfig::new(dir.path(), SEGMENT_BYTES, SyncPolicy::default(), 1);
    if let Ok((writer, _)) = Writer::open(config) {
        drop(writer);
        let (after, _) = self::read(dir.path());
        assert!(after.starts_with(&read), "a writer has taken records away");
    }
}

/// Everything up to the first error.
fn read(dir: &Path) -> (Vec<OwnedRecord>, Option<JournalError>) {
    let mut records = Vec::new();
    let mut reader = match Reader::open(dir) {
        Ok(reader) => reader,
        Err(error) => return (records, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(entry)) => records.push(OwnedRecord {
                seq: entry.seq,
                kind: entry.record.kind,
                stamp: entry.record.stamp,
                line: entry.record.line,
                channel: entry.record.channel,
                venue_seq: entry.record.venue_seq,
                rx_ns: entry.record.rx_ns,
                payload: entry.record.payload.to_vec(),
            }),
            Ok(None) => return (records, None),
            Err(error) => return (records, Some(error)),
        }
    }
}

/// The index leads to every record.
fn seek_all(dir: &Path, records: &[OwnedRecord]) {
    let mut reader = Reader::open(dir).expect("opens");
    for record in records {
        reader.seek(record.seq).expect("seeks");
        let found = reader.next().expect("reads").expect("a record");
        assert_eq!((found.seq, found.record.kind), (record.seq, record.kind));
    }
}

/// Records in the blocks that an exporter would send.
fn blocks(dir: &Path) -> usize {
    let mut cursor = BlockCursor::open(dir, 1).expect("opens");
    let mut records = 0;
    while let BlockStep::Block(block) = cursor.next(u64::MAX).expect("reads") {
        records += block.count as usize;
    }
    records
}

/// Records of one block: they are the payload to its last byte.
pub(crate) fn run_block(bytes: &[u8]) {
    let Some((head, payload)) = bytes.split_first_chunk::<12>() else {
        return;
    };
    let base_seq = u64::from_le_bytes(head[..8].try_into().expect("eight"));
    let count = u32::from_le_bytes(head[8..].try_into().expect("four"));
    let Ok((entries, next_seq)) = unpack(base_seq, count, payload) else {
        return;
    };
    assert_eq!(entries.len(), count as usize);
    assert!(next_seq - base_seq >= u64::from(count));
    let mut again = Vec::with_capacity(payload.len());
    for (entry, seq) in entries.iter().zip(base_seq..) {
        assert_eq!(entry.seq, seq);
        let record = &entry.record;
        again.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
        again.extend_from_slice(&[record.kind | record.stamp << 6, record.line]);
        again.extend_from_slice(&record.channel.to_le_bytes());
        again.extend_from_slice(&record.venue_seq.to_le_bytes());
        again.extend_from_slice(&record.rx_ns.to_le_bytes());
        again.extend_from_slice(record.payload);
    }
    assert_eq!(again, payload);
}

/// A SEAL block and the trailer behind it.
pub(crate) fn run_seal(bytes: &[u8]) {
    let check = |bytes: &[u8]| {
        let header = fuzz::block_header(bytes);
        assert!(header.is_none_or(|again| bytes.starts_with(&again)));
        let Some(rest) = bytes.get(BLOCK_LEN..) else {
            return;
        };
        let (payload, trailer) = rest.split_at(rest.len().saturating_sub(TRAILER_LEN));
        assert!(fuzz::seal(payload).is_none_or(|again| again == payload));
        assert!(fuzz::trailer(trailer).is_none_or(|again| again == trailer));
    };
    check(bytes);
    let mut bytes = bytes.to_vec();
    correct_blocks(&mut bytes, 0);
    correct_trailer(&mut bytes);
    check(&bytes);
}

/// Two slots.
pub(crate) fn run_state(bytes: &[u8]) {
    let check = |bytes: &[u8]| {
        for slot in bytes.chunks(SLOT_LEN) {
            assert!(fuzz::state_slot(slot).is_none_or(|again| again == slot));
        }
    };
    check(bytes);
    let mut bytes = bytes.to_vec();
    correct_state(&mut bytes);
    check(&bytes);
}

/// The mark of what was pruned.
pub(crate) fn run_retention(bytes: &[u8]) {
    let check = |bytes: &[u8]| {
        assert!(fuzz::retention(bytes).is_none_or(|again| again == bytes));
    };
    check(bytes);
    let mut bytes = bytes.to_vec();
    put_crc(&mut bytes, 0, RETENTION_LEN - 4);
    check(&bytes);
}

/// A pin is written as it was read, and one that cannot be read is an error, not an absent one.
pub(crate) fn run_pin(bytes: &[u8]) {
    if let Ok(pin) = Pin::parse(bytes) {
        assert!(is_client(&pin.client));
        assert_eq!(Pin::parse(&fuzz::pin_text(&pin)).as_ref(), Ok(&pin));
    }
    if !bytes.len().is_multiple_of(16) {
        return;
    }
    let dir = directory();
    fs::create_dir(dir.path().join("pins")).expect("creates");
    fs::write(dir.path().join("pins/a.json"), bytes).expect("writes");
    match read_pins(dir.path()) {
        Ok(pins) => assert_eq!(pins.len(), 1),
        Err(error) => assert!(matches!(error, JournalError::Damaged(_)), "{error}"),
    }
}

/// What comes out has the announced length, never more than a block may have, and nothing of an
/// earlier call is in it.
pub(crate) fn run_decompress(bytes: &[u8]) {
    let Some((head, stored)) = bytes.split_first_chunk::<5>() else {
        return;
    };
    let Some(codec) = Codec::from_code(head[0] % 3) else {
        return;
    };
    let raw_len = u32::from_le_bytes(head[1..].try_into().expect("four")) as usize;
    let (mut out, mut used) = (Vec::new(), Decompressor::default());
    let first = used.decompress(codec, stored, raw_len, &mut out);
    assert!(out.capacity() <= MAX_RAW_LEN);
    if first.is_err() {
        return;
    }
    assert_eq!(out.len(), raw_len);
    let cut = &stored[..stored.len() / 2];
    let mut again = vec![0xFF; 100];
    // Whatever a cut input gives, the next call is not touched by it.
    drop(used.decompress(codec, cut, raw_len, &mut again));
    used.decompress(codec, stored, raw_len, &mut again)
        .expect("as before");
    assert!(out == again);
}

fn correct_state(bytes: &mut [u8]) {
    for at in [0, SLOT_LEN] {
        // A slot that was never written stays so.
        if bytes.get(at..at + 8).is_some_and(|it| it != [0; 8]) {
            put_crc(bytes, at, SLOT_LEN - 4);
        }
    }
}

fn correct_segment(bytes: &mut [u8]) {
    put_crc(bytes, 0, HEADER_LEN - 4);
    correct_blocks(bytes, HEADER_LEN);
    correct_trailer(bytes);
}

/// Makes the checksums of a chain of blocks right, and their links if something was before.
fn correct_blocks(bytes: &mut [u8], begin: usize) {
    let (mut at, mut before) = (begin, begin.checked_sub(4));
    while bytes.len() >= at + BLOCK_LEN && bytes[at..].starts_with(b"TDBK") {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four"));
        let pad = u16::from_le_bytes(bytes[at + 30..at + 32].try_into().expect("two"));
        let payload = at + BLOCK_LEN..at + BLOCK_LEN + length as usize;
        let Some(stored) = bytes.get(payload.clone()) else {
            put_crc(bytes, at, BLOCK_LEN - 4);
            return;
        };
        let crc = fuzz::masked_crc(stored);
        bytes[at + 64..at + 68].copy_from_slice(&crc.to_le_bytes());
        if let Some(before) = before {
            bytes.copy_within(before..before + 4, at + 60);
        }
        put_crc(bytes, at, BLOCK_LEN - 4);
        before = before.map(|_| at + BLOCK_LEN - 4);
        at = payload.end + usize::from(pad);
    }
}

fn correct_trailer(bytes: &mut [u8]) {
    if let Some(at) = bytes.len().checked_sub(TRAILER_LEN) {
        put_crc(bytes, at, TRAILER_LEN - 4);
    }
}

/// Writes the checksum of the `length` bytes at `at` behind them, if there is room.
fn put_crc(bytes: &mut [u8], at: usize, length: usize) {
    if bytes.len() >= at + length + 4 {
        let crc = fuzz::masked_crc(&bytes[at..at + length]);
        bytes[at + length..at + length + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// In memory where there is some: nothing is proved about a device.
fn directory() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}

/// Length of a segment header.
pub(crate) const HEADER_LEN: usize = 128;
/// Length of a block header.
pub(crate) const BLOCK_LEN: usize = 72;
/// Length of a trailer.
pub(crate) const TRAILER_LEN: usize = 64;
const SLOT_LEN: usize = 512;
const RETENTION_LEN: usize = 128;
const MAX_RAW_LEN: usize = 1 << 20;
const SEGMENT_BYTES: u64 = 16 * 1024;
const FIRST: &str = "00000000000000000001.seg";
