//! Shared by the tests: small logs, copies of directories, damage.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tickdeck_journal::{
    JournalError, Reader, Record, Report, SyncPolicy, Writer, WriterConfig, kind, verify,
};

/// Smallest segment the writer accepts.
pub(crate) const SMALL: u64 = 16 * 1024;

/// A directory in memory where there is one: these tests sync thousands of times and prove nothing
/// about the device.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}

pub(crate) fn config(dir: &Path, segment_size_bytes: u64) -> WriterConfig {
    WriterConfig::new(dir, segment_size_bytes, SyncPolicy::default(), 7)
}

pub(crate) fn open(dir: &Path, segment_size_bytes: u64) -> Writer {
    Writer::open(config(dir, segment_size_bytes))
        .expect("opens")
        .0
}

/// A record whose every field follows from its number.
pub(crate) fn record(number: u64, payload: &[u8]) -> Record<'_> {
    Record {
        kind: kind::DATA,
        stamp: (number % 3) as u8,
        line: (number % 2) as u8,
        channel: 7,
        venue_seq: number * 10,
        rx_ns: 1_700_000_000_000_000_000 + number,
        payload,
    }
}

/// Payload of a given length that names its sequence.
pub(crate) fn payload(seq: u64, len: usize) -> Vec<u8> {
    seq.to_le_bytes()
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect()
}

/// Appends `count` records of `len` bytes.
pub(crate) fn fill(writer: &mut Writer, count: u64, len: usize) {
    for _ in 0..count {
        let seq = writer.next_seq();
        let given = writer
            .append(&record(seq, &payload(seq, len)))
            .expect("appends");
        assert_eq!(given, seq);
    }
}

/// Reads on until the end for now, checks each record against its sequence, returns the sequences.
pub(crate) fn read_on(reader: &mut Reader) -> Result<Vec<u64>, JournalError> {
    let mut seqs = Vec::new();
    while let Some(entry) = reader.next()? {
        if entry.record.kind != kind::JOURNAL_HOLE {
            let expected = payload(entry.seq, entry.record.payload.len());
            assert_eq!(
                entry.record,
                record(entry.seq, &expected),
                "sequence {}",
                entry.seq
            );
        }
        seqs.push(entry.seq);
    }
    Ok(seqs)
}

pub(crate) fn read_all(dir: &Path) -> Result<Vec<u64>, JournalError> {
    read_on(&mut Reader::open(dir)?)
}

pub(crate) fn check(dir: &Path) -> Report {
    verify(dir, &mut |_| {}).expect("verifies")
}

pub(crate) fn classes(report: &Report) -> Vec<&'static str> {
    report
        .problems
        .iter()
        .map(|problem| problem.class.name())
        .collect()
}

/// Segment files in order of their numbers.
pub(crate) fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    files
}

/// Copies files of a directory as they are now: what a crash of the process would leave.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for entry in fs::read_dir(from).expect("lists") {
        let path = entry.expect("lists").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("a file"))).expect("copies");
        }
    }
}

pub(crate) fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).expect("reads");
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).expect("writes");
}
