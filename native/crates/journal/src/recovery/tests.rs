//! What a writer finds may be in the cache only, and what it does may be cut short.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{REPORT_FILE, RecoveryMode, intent};
use crate::codec::Codec;
use crate::directory::{self, StateFile, segment_name};
use crate::disk::recording::{Cut, RecordingDisk};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::error::{Class, JournalError};
use crate::format::record::RecordHeader;
use crate::format::{BlockHeader, BlockKind, MAX_NUMBER, State, masked_crc};
use crate::policy::SyncPolicy;
use crate::writer::{Record, Writer, WriterConfig};

/// A disk whose device holds something else of one file than the cache does.
#[derive(Debug, Clone)]
struct ForgetfulDisk {
    path: PathBuf,
    device: Vec<u8>,
}

#[derive(Debug)]
struct ForgetfulFile {
    file: Box<dyn DiskFile>,
    device: Vec<u8>,
}

impl Disk for ForgetfulDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create_new(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.open(path)?;
        if path != self.path {
            return Ok(file);
        }
        let device = self.device.clone();
        Ok(Box::new(ForgetfulFile { file, device }))
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.link_new(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename_new(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.replace(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

impl DiskFile for ForgetfulFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        self.file.allocate(len)
    }

    /// What is read from now on is what the device holds.
    fn evict(&self) -> io::Result<()> {
        self.file.set_len(self.device.len() as u64)?;
        self.file.write_all_at(&self.device, 0)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.file.is_at(path)
    }

    fn descriptor(&self) -> std::sync::Arc<std::fs::File> {
        self.file.descriptor()
    }
}

fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir, 16 * 1024, SyncPolicy::Os, 1)
}

/// Ten records in as many blocks.
fn fill(writer: &mut Writer) {
    for _ in 0..10 {
        let record = Record {
            kind: 1,
            stamp: 1,
            line: 0,
            channel: 3,
            venue_seq: 1,
            rx_ns: 1,
            payload: &[7; 100],
        };
        writer.append(&record).expect("appends");
        writer.flush().expect("writes");
    }
}

/// A log whose one segment is sealed in the cache, while the device holds it unsealed and damaged in
/// its first block; STATE does not know of the seal.
fn sealed_in_cache_only() -> (TempDir, ForgetfulDisk) {
    let dir = TempDir::new().expect("a directory");
    let mut writer = Writer::open(config(dir.path())).expect("opens").0;
    fill(&mut writer);
    let path = dir.path().join(segment_name(1));
    let state = dir.path().join("STATE");
    let mut device = fs::read(&path).expect("reads");
    device[300] ^= 1;
    let before = fs::read(&state).expect("reads");
    writer.close().expect("closes");
    fs::write(&state, before).expect("writes");
    (dir, ForgetfulDisk { path, device })
}

/// Without its seal the segment is a tail, and damage in a tail is reported and refused.
#[test]
fn a_seal_that_is_not_on_the_device_hides_no_damage() {
    for mode in [RecoveryMode::Strict, RecoveryMode::Tail] {
        let (dir, disk) = sealed_in_cache_only();
        let device = disk.device.clone();
        let opened = Writer::open_on(Box::new(disk), config(dir.path()), mode);
        let Err(JournalError::Refused { report }) = opened else {
            panic!("{mode:?}: {opened:?}");
        };
        assert!(
            report.problems.iter().any(|it| it.class != Class::TornTail),
            "{mode:?}: {report}"
        );
        let now = fs::read(dir.path().join(segment_name(1))).expect("reads");
        assert!(now == device, "{mode:?}: the segment was changed");
    }
    let (dir, disk) = sealed_in_cache_only();
    let mode = RecoveryMode::PointInTime;
    let (_, report) = Writer::open_on(Box::new(disk), config(dir.path()), mode).expect("repairs");
    assert_ne!(report.problems, []);
    assert!(dir.path().join(REPORT_FILE).exists());
}

/// STATE may be one segment behind after a crash. A crash of the recovery after it leaves a log that
/// opens as well: STATE is never two segments behind.
#[test]
fn a_crash_while_a_segment_is_begun_does_not_age_state() {
    for cut in [Cut::Ordered, Cut::Chaotic] {
        let home = TempDir::new().expect("a directory");
        let mut writer = Writer::open(config(home.path())).expect("opens").0;
        for _ in 0..2 {
            fill(&mut writer);
            writer.seal().expect("seals");
        }
        fill(&mut writer);
        drop(writer);
        let view = directory::read_state(home.path()).expect("reads");
        let mut state = StateFile::open(&RealDisk, home.path(), &view).expect("opens");
        let behind = State {
            active_segment: 2,
            ..*state.current()
        };
        state.store(behind).expect("stores");
        let disk = RecordingDisk::with_existing(home.path());
        let before = disk.len();
        let boxed = Box::new(disk.clone());
        drop(Writer::open_on(boxed, config(home.path()), RecoveryMode::Tail).expect("opens"));
        for ops in before..=disk.len() {
            let image = TempDir::new().expect("a directory");
            disk.cut(ops, cut, ops as u64, home.path(), image.path());
            let opened = Writer::open_with(config(image.path()), RecoveryMode::Tail);
            let (writer, _) =
                opened.unwrap_or_else(|error| panic!("{cut:?} after {}: {error}", ops - before));
            assert_eq!(writer.next_seq(), 31, "{cut:?} after {}", ops - before);
        }
    }
}

/// A seal that is only in the cache, over blocks that are whole on the device, is no damage: the
/// segment is an unsealed one, and is sealed again.
#[test]
fn a_seal_that_was_never_synced_is_made_again() {
    for mode in [RecoveryMode::Strict, RecoveryMode::Tail] {
        let (dir, mut disk) = sealed_in_cache_only();
        disk.device[300] ^= 1;
        let (writer, report) =
            Writer::open_on(Box::new(disk), config(dir.path()), mode).expect("opens");
        assert_eq!((report.problems, report.next_seq), (vec![], 11), "{mode:?}");
        assert_eq!(report.actions[0].action, "sealed", "{mode:?}");
        writer.close().expect("closes");
        let report = crate::verify::verify(dir.path(), &mut |_| {}).expect("verifies");
        assert_eq!((report.problems, report.records), (vec![], 10), "{mode:?}");
    }
}

/// A repair that knows of more sequences than the one before it says so beside it: notes only grow.
#[test]
fn the_note_of_a_repair_never_goes_back() {
    let home = TempDir::new().expect("a directory");
    let dir = home.path();
    for (resume_seq, noted) in [(50, 50), (60, 60), (55, 60), (70, 70), (80, 80)] {
        intent::store(&RealDisk, dir, resume_seq).expect("stores");
        assert_eq!(intent::read(dir).expect("reads"), Some(noted));
    }
    let error = intent::store(&RealDisk, dir, 90).expect_err("four notes are enough");
    let JournalError::Io { source, .. } = &error else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("salvage"), "{source}");
    intent::remove(&RealDisk, dir).expect("removes");
    assert_eq!(intent::read(dir).expect("reads"), None);
}

/// A repair beside a round of pruning waits: it says so, and nothing is told or changed yet.
#[test]
fn a_repair_waits_for_the_end_of_pruning() {
    let home = crate::repair_crash_tests::damaged_log();
    let dir = home.path();
    let open = || Writer::open_with(config(dir), RecoveryMode::PointInTime);
    let pruning = directory::DirectoryLock::take_named(dir, directory::RETENTION_LOCK);
    let error = open().expect_err("waits");
    assert!(matches!(error, JournalError::Pruning { .. }), "{error}");
    assert!(!dir.join(REPORT_FILE).exists());
    drop(pruning);
    open().expect("repairs");
    assert!(dir.join(REPORT_FILE).exists());
}

/// A log of ten blocks that was not closed; behind them is something that is no block, in which
/// something looks like a block of one record with this sequence.
fn with_a_claim(seq: u64) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let mut writer = Writer::open(config(dir.path())).expect("opens").0;
    fill(&mut writer);
    drop(writer);
    let mut payload = Vec::new();
    let record = Record {
        kind: 1,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: 1,
        rx_ns: 1,
        payload: &[7; 16],
    };
    RecordHeader::encode(&record, &mut payload);
    let header = BlockHeader {
        kind: BlockKind::Data,
        codec: Codec::None,
        stored_len: payload.len() as u32,
        raw_len: payload.len() as u32,
        base_seq: seq,
        count: 1,
        pad_len: 0,
        first_rx_ns: 1,
        last_mono_ns: 1,
        durable_seq_before: 0,
        epoch_low: 1,
        prev_block_crc: 7,
        payload_crc: masked_crc(&payload),
    };
    let block = [&header.encode()[..], &payload].concat();
    let path = dir.path().join(segment_name(1));
    let mut bytes = fs::read(&path).expect("reads");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("data") + 1;
    let begin = end.next_multiple_of(8);
    bytes[begin..begin + 512].fill(0xff);
    bytes[begin + 64..begin + 64 + block.len()].copy_from_slice(&block);
    fs::write(path, bytes).expect("writes");
    dir
}

/// What may have been given out is not given out again, unless that would leave no sequence.
#[test]
fn a_claim_beyond_what_the_file_can_hold_is_refused() {
    let mode = RecoveryMode::PointInTime;
    let home = with_a_claim(5000);
    let (_, report) = Writer::open_with(config(home.path()), mode).expect("repairs");
    assert_eq!((report.next_seq, report.hole), (5001, Some((11, 5000))));
    for seq in [1 << 50, MAX_NUMBER - 2] {
        let home = with_a_claim(seq);
        let path = home.path().join(segment_name(1));
        let before = fs::read(&path).expect("reads");
        let opened = Writer::open_with(config(home.path()), mode);
        let Err(JournalError::Refused { report }) = opened else {
            panic!("{seq}: {opened:?}");
        };
        let says = |it: &crate::error::Problem| it.detail.contains(&format!("sequence {seq},"));
        assert!(report.problems.iter().any(says), "{report}");
        assert!(fs::read(&path).expect("reads") == before);
    }
}
