//! A device that has no room for what it took, as found out by a sync (R10, RELIABILITY 11.2).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tickdeck_journal::{
    Condition, Event, JournalError, Reader, SyncPolicy, Writer, WriterConfig, kind,
};

use crate::mounts::{Lying, Mount, may_mount};
use crate::writing::{Caller, payload};

const LEN: usize = 200_000;

fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir, 16 << 20, SyncPolicy::batch(5), 1)
}

/// The newest segment file, its length and the time of its last change.
fn newest(dir: &Path) -> (PathBuf, u64, (i64, i64)) {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    let path = files.pop().expect("a segment");
    let metadata = fs::metadata(&path).expect("is there");
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    (path, metadata.len(), changed)
}

/// Writes until a sync fails, mends the device, and looks: the file that failed was left alone, and
/// all that was acknowledged is readable once the caches are gone, or its loss was told.
fn survives(name: &str, make: &[&str], size: &str, options: &str) {
    if !may_mount(name) {
        return;
    }
    let device = Lying::new(make, size);
    let at = device.home.path().join("mounted");
    let mount = Mount::image(&device.image, &at, options);
    let dir = at.join("log");
    let (writer, _) = Writer::open(config(&dir)).expect("opens");
    let mut caller = Caller::new(writer, LEN);
    let mut before = newest(&dir);
    let mut rounds = 0;
    while caller.writer.counters().write_errors == 0 {
        before = newest(&dir);
        caller.offer();
        // It may fail: that is what this is about.
        if let Err(error) = caller.writer.sync() {
            assert!(matches!(error, JournalError::Stalled { .. }), "{error}");
        }
        rounds += 1;
        assert!(rounds < 1000, "the device has room for all of it");
    }
    let failed = fs::metadata(&before.0).expect("is there");
    let failed = (failed.len(), (failed.mtime(), failed.mtime_nsec()));
    device.mend();
    let mended = Instant::now();
    while caller.writer.condition() != Condition::Healthy
        && mended.elapsed() < Duration::from_secs(5)
    {
        caller.poll();
        std::thread::yield_now();
    }
    let healed = caller.writer.condition() == Condition::Healthy;
    for _ in 0..20 {
        caller.offer();
    }
    if healed {
        caller.writer.sync().expect("the device is mended");
    }
    let acked = caller.writer.watermarks().durable;
    let mut told = Vec::new();
    while let Some(event) = caller.writer.take_event() {
        if let Event::AckedLoss { from, to } | Event::Hole { from, to, .. } = event {
            told.push((from, to));
        }
    }
    let left = fs::metadata(&before.0).expect("is there");
    assert_eq!(
        (left.len(), (left.mtime(), left.mtime_nsec())),
        failed,
        "{name}: touched"
    );
    let (counters, condition) = (*caller.writer.counters(), caller.writer.condition());
    drop(caller);
    drop(mount);
    let mount = Mount::image(&device.image, &at, options);
    let lost = unreadable(&dir, acked);
    eprintln!(
        "{name}: acked {acked}, healed {healed}, {condition:?}, told {told:?}, unreadable {lost:?}, {counters:?}"
    );
    for seq in &lost {
        let is_told = told.iter().any(|(from, to)| (from..=to).contains(&seq));
        assert!(
            is_told,
            "{name}: {seq} of {acked} is lost and nobody said so"
        );
    }
    if healed {
        assert!(counters.reopens > 0, "{name}");
    } else {
        // The file system has given up, and says so until it is mounted anew.
        let shown = [Condition::ReadOnly, Condition::Degraded, Condition::Full];
        assert!(shown.contains(&condition), "{name}: {condition:?}");
    }
    let (writer, report) = Writer::open(config(&dir)).expect("goes on");
    assert!(report.next_seq > acked, "{name}: {report:?}");
    writer.close().expect("closes");
    drop(mount);
}

/// Sequences up to `acked` that a reader does not give with their bytes.
fn unreadable(dir: &Path, acked: u64) -> Vec<u64> {
    let mut there = vec![false; usize::try_from(acked).expect("small") + 1];
    let mut reader = Reader::open(dir).expect("opens");
    loop {
        match reader.next() {
            Ok(Some(entry)) => {
                let is_whole = entry.record.kind != kind::JOURNAL_HOLE
                    && entry.record.payload == payload(entry.seq, LEN);
                if let Some(slot) = there.get_mut(usize::try_from(entry.seq).expect("small")) {
                    *slot = is_whole;
                }
            }
            Ok(None) => break,
            Err(error) => {
                eprintln!("{error}");
                break;
            }
        }
    }
    (1..=acked)
        .filter(|seq| !there[usize::try_from(*seq).expect("small")])
        .collect()
}

#[test]
fn ext4_with_a_journal() {
    let make = ["mkfs.ext4", "-q", "-F"];
    survives("ext4_with_a_journal", &make, "70m", "errors=continue");
}

#[test]
fn ext4_without_a_journal() {
    let make = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal"];
    survives("ext4_without_a_journal", &make, "70m", "errors=continue");
}

#[test]
fn xfs() {
    survives("xfs", &["mkfs.xfs", "-q", "-f"], "170m", "rw");
}
