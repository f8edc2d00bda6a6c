//! Power cuts and failing operations at every point of a writer's life.

use std::path::Path;

use tempfile::TempDir;

use crate::disk::Disk;
use crate::disk::recording::{Cut, Random, RecordingDisk};
use crate::error::JournalError;
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::recovery::RecoveryMode;
use crate::verify::verify;
use crate::writer::{Record, Writer, WriterConfig};

pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}

fn config(dir: &Path) -> WriterConfig {
    let sync = SyncPolicy::Batch {
        bytes: 8192,
        records: 40,
        ms: 5,
    };
    WriterConfig::new(dir, 16 * 1024, sync, 1)
}

fn open(disk: Box<dyn Disk>, dir: &Path) -> Result<Writer, JournalError> {
    Writer::open_on(disk, config(dir), RecoveryMode::Tail).map(|(writer, _)| writer)
}

pub(crate) fn payload(seq: u64) -> Vec<u8> {
    let len = (seq * 37 % 700) as usize;
    seq.to_le_bytes().into_iter().cycle().take(len).collect()
}

pub(crate) fn append(writer: &mut Writer) -> Result<u64, JournalError> {
    let seq = writer.next_seq();
    let (kind, payload) = (1, payload(seq));
    let record = Record {
        kind,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: seq,
        rx_ns: seq,
        payload: &payload,
    };
    writer.append(&record)
}

/// A life of a writer: appends, polls, syncs, seals, a close; stops at the first error.
fn live(disk: &RecordingDisk, dir: &Path, seed: u64) -> Result<(), JournalError> {
    let mut random = Random(seed);
    let mut writer = open(Box::new(disk.clone()), dir)?;
    let mut now_ns = 0;
    for _ in 0..220 {
        let result = match random.below(20) {
            0..14 => append(&mut writer).map(|_| ()),
            14..17 => {
                now_ns += random.below(400_000_000);
                writer.poll(now_ns).map(|_| ())
            }
            17 => writer.flush(),
            18 => writer.sync(),
            _ if random.below(4) == 0 => writer.seal(),
            _ => {
                let next = writer.next_seq();
                writer
                    .append_hole(next, next + random.below(5), 1)
                    .map(|_| ())
            }
        };
        disk.acknowledge(writer.watermarks().durable);
        result?;
    }
    let last_seq = writer.next_seq() - 1;
    writer.close()?;
    disk.acknowledge(last_seq);
    Ok(())
}

/// Checks that a reader finds whole records in order, and at least those up to `acknowledged`.
pub(crate) fn assert_readable(dir: &Path, acknowledged: u64, context: &str) {
    let mut reader = match Reader::open(dir) {
        Ok(reader) => reader,
        Err(JournalError::NotAJournal { .. }) if acknowledged == 0 => return,
        Err(error) => panic!("{context}: {error}"),
    };
    let mut next_seq = 1;
    loop {
        match reader.next() {
            Ok(Some(entry)) => {
                assert_eq!(entry.seq, next_seq, "{context}");
                if entry.record.kind == 1 {
                    assert_eq!(entry.record.payload, payload(entry.seq), "{context}");
                }
            }
            Ok(None) => break,
            Err(error) => {
                assert!(next_seq > acknowledged, "{context}: {error}");
                break;
            }
        }
        next_seq = reader.position();
    }
    assert!(
        next_seq > acknowledged,
        "{context}: {next_seq} but {acknowledged} was acknowledged"
    );
}

/// After any power cut that keeps a prefix of what was not synced, the log opens again, holds
/// everything acknowledged, and can be continued; a second cut during that recovery changes
/// nothing.
#[test]
fn ordered_power_cuts_lose_nothing_acknowledged() {
    let mut torn = 0;
    for seed in 1..=3 {
        let home = scratch();
        let disk = RecordingDisk::new();
        live(&disk, home.path(), seed).expect("lives");
        for ops in 0..=disk.len() {
            let image = scratch();
            disk.cut(
                ops,
                Cut::Ordered,
                seed ^ ops as u64,
                home.path(),
                image.path(),
            );
            let acknowledged = disk.acknowledged(ops);
            let context = format!("seed {seed}, cut after {ops} operations");
            assert_readable(image.path(), acknowledged, &context);

            let second = RecordingDisk::with_existing(image.path());
            let before = second.len();
            let opened = Writer::open_on(
                Box::new(second.clone()),
                config(image.path()),
                RecoveryMode::Tail,
            );
            let (mut writer, report) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(report.next_seq > acknowledged, "{context}: {report:?}");
            torn += report.problems.len();
            append(&mut writer).expect("appends");
            writer.close().expect("closes");
            let report = verify(image.path(), &mut |_| {}).expect("verifies");
            assert_eq!(report.problems, [], "{context}");

            let again = scratch();
            let at = before + Random(ops as u64).below((second.len() - before) as u64) as usize;
            second.cut(at, Cut::Ordered, ops as u64, image.path(), again.path());
            let context = format!("{context}, cut again after {} of recovery", at - before);
            assert_readable(again.path(), acknowledged, &context);
            let opened = open(Box::new(crate::disk::RealDisk), again.path());
            let writer = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(writer.next_seq() > acknowledged, "{context}");
        }
    }
    assert!(torn > 20, "only {torn} torn tails were met");
}

/// Even when unsynced sectors and names survive at random, everything acknowledged is readable, and
/// a writer either continues behind it or refuses.
#[test]
fn chaotic_power_cuts_lose_nothing_acknowledged() {
    let (mut opened, mut refused) = (0, 0);
    for seed in 1..=3 {
        let home = scratch();
        let disk = RecordingDisk::new();
        live(&disk, home.path(), seed).expect("lives");
        for ops in 0..=disk.len() {
            let image = scratch();
            disk.cut(
                ops,
                Cut::Chaotic,
                seed ^ ops as u64,
                home.path(),
                image.path(),
            );
            let acknowledged = disk.acknowledged(ops);
            let context = format!("seed {seed}, cut after {ops} operations");
            assert_readable(image.path(), acknowledged, &context);
            match open(Box::new(crate::disk::RealDisk), image.path()) {
                Ok(writer) => {
                    assert!(writer.next_seq() > acknowledged, "{context}");
                    opened += 1;
                }
                Err(JournalError::Refused { report }) => {
                    assert!(
                        report
                            .problems
                            .iter()
                            .all(|problem| problem.from != Some(0))
                    );
                    refused += 1;
                }
                Err(error) => panic!("{context}: {error}"),
            }
        }
    }
    assert!(opened > refused, "{opened} opened, {refused} refused");
}
