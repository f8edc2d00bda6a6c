//! Lives of writers on a disk that loses its power, one to three of them per seed.
//!
//! Each seed draws a policy, a segment size, the operations, the moment of the cut and what it
//! keeps: [`Cut::Ordered`] a prefix of the unsynced changes with a torn edge, [`Cut::Chaotic`] any
//! of their 512-byte sectors and names. Cuts hit recovery as well as life.
//!
//! `TICKDECK_CRASH_SEEDS` is how many seeds, `TICKDECK_CRASH_FROM` the first one.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::codec::Codec;
use crate::disk::RealDisk;
use crate::disk::recording::{Cut, Random, RecordingDisk};
use crate::error::JournalError;
use crate::kind::{self, JournalHole};
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::recovery::RecoveryMode;
use crate::verify::verify;
use crate::writer::{Record, Writer, WriterConfig};

/// R04: whatever the cuts keep, everything acknowledged is there once, in order and with its
/// content, and the log goes on behind it: in mode `tail`, or, where a chaotic cut left whole
/// blocks behind a hole, in mode `point_in_time`.
#[test]
fn power_cuts_of_every_seed_lose_nothing_acknowledged() {
    let (from, count) = (
        knob("TICKDECK_CRASH_FROM", 1),
        knob("TICKDECK_CRASH_SEEDS", 20_000),
    );
    let totals = Totals::default();
    let next = AtomicU64::new(from);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        break;
                    }
                    let run = catch_unwind(AssertUnwindSafe(|| run(seed, &totals)));
                    run.unwrap_or_else(|panic| {
                        eprintln!("TICKDECK_CRASH_FROM={seed} TICKDECK_CRASH_SEEDS=1");
                        resume_unwind(panic)
                    });
                }
            });
        }
    });
    println!("{count} seeds from {from}: {totals:?}");
    let total = |value: &AtomicU64| value.load(Ordering::Relaxed);
    if count >= 1000 {
        assert!(total(&totals.cuts) > count, "{totals:?}");
        assert!(total(&totals.acknowledged) > 10 * count, "{totals:?}");
        assert!(total(&totals.torn_tails) * 10 > count, "{totals:?}");
        assert!(
            total(&totals.refused) * 4 < total(&totals.cuts),
            "{totals:?}"
        );
    }
}

fn knob(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}"))
    })
}

#[derive(Debug, Default)]
struct Totals {
    cuts: AtomicU64,
    operations: AtomicU64,
    acknowledged: AtomicU64,
    torn_tails: AtomicU64,
    refused: AtomicU64,
}

impl Totals {
    fn add(total: &AtomicU64, more: u64) {
        total.fetch_add(more, Ordering::Relaxed);
    }
}

/// All lives of a seed.
fn run(seed: u64, totals: &Totals) {
    let mut random = Random(seed.wrapping_mul(0xd134_2543_de82_ef95));
    let settings = Settings::draw(&mut random);
    let mut dir = scratch();
    let mut log = Log::default();
    let mut cut = None;
    for _ in 0..=random.below(5) / 2 {
        let disk = match cut {
            None => RecordingDisk::new(),
            Some(_) => RecordingDisk::with_existing(dir.path()),
        };
        let before = disk.len();
        let lived = live(&disk, dir.path(), &settings, &mut log, &mut random);
        if let Err(error) = lived {
            refused(&error, cut);
            break;
        }
        // Most cuts fall among the last operations, some into the recovery that began this life.
        let depth = if random.below(4) == 0 { u64::MAX } else { 24 };
        let ops = (disk.len() - before) as u64;
        let at = disk.len() - random.below(ops.min(depth) + 1) as usize;
        let kept = if random.below(2) == 0 {
            Cut::Ordered
        } else {
            Cut::Chaotic
        };
        let image = scratch();
        disk.cut(at, kept, random.next(), dir.path(), image.path());
        log.acknowledged = log.acknowledged.max(disk.acknowledged(at));
        assert_readable(image.path(), &mut log);
        (dir, cut) = (image, Some(kept));
        Totals::add(&totals.cuts, 1);
        Totals::add(&totals.operations, ops);
    }
    finish(dir.path(), &settings, &mut log, cut, totals);
    Totals::add(&totals.acknowledged, log.acknowledged);
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    segment_size_bytes: u64,
    codec: Codec,
    sync: SyncPolicy,
    largest_payload: u64,
}

impl Settings {
    fn draw(random: &mut Random) -> Self {
        Self {
            segment_size_bytes: (16 * 1024) << random.below(2),
            codec: [Codec::None, Codec::Lz4, Codec::Zstd][random.below(3) as usize],
            sync: match random.below(6) {
                0 => SyncPolicy::Os,
                1 => SyncPolicy::Interval { ms: 5 },
                2 => SyncPolicy::Always,
                _ => SyncPolicy::Batch {
                    bytes: 8192,
                    records: 40,
                    ms: 5,
                },
            },
            largest_payload: [60, 700, 6000][random.below(3) as usize],
        }
    }

    fn writer(&self, dir: &Path) -> WriterConfig {
        let mut config = WriterConfig::new(dir, self.segment_size_bytes, self.sync, 1);
        config.codec = self.codec;
        config
    }
}

/// What is known of the log.
#[derive(Debug, Default)]
struct Log {
    acknowledged: u64,
    epoch: u64,
    /// Sequence behind the last readable record, at the last look.
    next_seq: u64,
    largest_payload: u64,
}

/// One life: recovery, then 25 to 250 operations on the disk. Leaves the log as a crash would.
fn live(
    disk: &RecordingDisk,
    dir: &Path,
    settings: &Settings,
    log: &mut Log,
    random: &mut Random,
) -> Result<(), JournalError> {
    log.largest_payload = settings.largest_payload;
    let config = settings.writer(dir);
    let (mut writer, report) = Writer::open_on(Box::new(disk.clone()), config, RecoveryMode::Tail)?;
    assert!(report.next_seq > log.acknowledged, "{report:?}");
    log.epoch = report.writer_epoch;
    let mut now_ns = 0;
    let enough = disk.len() + 25 + random.below(225) as usize;
    while disk.len() < enough {
        match random.below(40) {
            0..30 => append(&mut writer, settings.largest_payload).map(|_| ())?,
            30..35 => {
                now_ns += random.below(400_000_000);
                writer.poll(now_ns).map(|_| ())?;
            }
            35 => writer.flush()?,
            36 | 37 => writer.sync()?,
            38 if random.below(3) == 0 => writer.seal()?,
            39 if random.below(4) == 0 => {
                let next = writer.next_seq();
                writer.append_hole(next, next + random.below(5), 1)?;
            }
            _ => {}
        }
        disk.acknowledge(writer.watermarks().durable);
    }
    if random.below(8) == 0 {
        let last_seq = writer.next_seq() - 1;
        writer.close()?;
        disk.acknowledge(last_seq);
    }
    Ok(())
}

fn append(writer: &mut Writer, largest_payload: u64) -> Result<u64, JournalError> {
    let seq = writer.next_seq();
    let payload = payload(seq, largest_payload);
    writer.append(&record(seq, &payload))
}

fn record(seq: u64, payload: &[u8]) -> Record<'_> {
    Record {
        kind: kind::DATA,
        stamp: (seq % 3) as u8,
        line: (seq % 2) as u8,
        channel: 3,
        venue_seq: seq * 10,
        rx_ns: 1_700_000_000_000_000_000 + seq,
        payload,
    }
}

fn payload(seq: u64, largest: u64) -> Vec<u8> {
    let len = Random(seq).next() % largest;
    let mut payload = vec![seq as u8; len as usize];
    let stamped = payload.len().min(8);
    payload[..stamped].copy_from_slice(&seq.to_le_bytes()[..stamped]);
    payload
}

/// Only a chaotic cut may lead to a refusal, and the reasons lie behind what was acknowledged.
fn refused(error: &JournalError, cut: Option<Cut>) {
    let JournalError::Refused { report } = error else {
        panic!("{error}");
    };
    assert_eq!(cut, Some(Cut::Chaotic), "{report}");
}

/// Everything acknowledged can be read before any recovery, in order, once, as it was appended.
fn assert_readable(dir: &Path, log: &mut Log) {
    log.next_seq = 1;
    let end = read(dir, log);
    assert!(
        log.next_seq > log.acknowledged,
        "readable below {}, {} was acknowledged: {end:?}",
        log.next_seq,
        log.acknowledged
    );
}

fn read(dir: &Path, log: &mut Log) -> Result<(), JournalError> {
    let mut reader = Reader::open(dir)?;
    while let Some(entry) = reader.next()? {
        assert_eq!(entry.seq, log.next_seq, "no gap, no duplicate");
        log.next_seq = if entry.record.kind == kind::JOURNAL_HOLE {
            let hole = JournalHole::decode(entry.record.payload).expect("a hole");
            hole.to + 1
        } else {
            let payload = payload(entry.seq, log.largest_payload);
            assert_eq!(entry.record, record(entry.seq, &payload));
            entry.seq + 1
        };
    }
    Ok(())
}

/// The log is opened for good, goes on, is closed, and then is whole.
fn finish(dir: &Path, settings: &Settings, log: &mut Log, cut: Option<Cut>, totals: &Totals) {
    let open = |mode| Writer::open_on(Box::new(RealDisk), settings.writer(dir), mode);
    let opened = open(RecoveryMode::Tail).or_else(|error| {
        refused(&error, cut);
        Totals::add(&totals.refused, 1);
        open(RecoveryMode::PointInTime)
    });
    let (mut writer, report) = opened.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.next_seq > log.acknowledged, "{report:?}");
    Totals::add(&totals.torn_tails, report.problems.len() as u64);
    append(&mut writer, settings.largest_payload).expect("appends");
    let next_seq = writer.next_seq();
    writer.close().expect("closes");
    log.next_seq = 1;
    read(dir, log).expect("a closed log is read to its end");
    assert_eq!(log.next_seq, next_seq);
    let report = verify(dir, &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, []);
}

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}
