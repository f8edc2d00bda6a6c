//! Power cuts and failing operations at every point of a repair.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::directory::{self, segment_name};
use crate::disk::RealDisk;
use crate::disk::recording::{Cut, Fault, How, RecordingDisk};
use crate::error::JournalError;
use crate::format::State;
use crate::kind::{self, JournalHole};
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::recovery::RecoveryMode;
use crate::retention::Mark;
use crate::verify::verify;
use crate::writer::{Record, Writer, WriterConfig};

/// Records in the damaged log; nothing above was ever given out.
pub(crate) const GIVEN_OUT: u64 = 50;

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}

pub(crate) fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir.to_owned(), 16 * 1024, SyncPolicy::Os, 1)
}

fn append(writer: &mut Writer) {
    let payload = writer.next_seq().to_le_bytes();
    let record = Record {
        kind: kind::DATA,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: 1,
        rx_ns: 1,
        payload: &payload,
    };
    writer.append(&record).expect("appends");
}

/// Four segments of ten records and a last one of ten that was only written, never synced, so that
/// STATE knows nothing of it: only the file itself says that its sequences were given out. The
/// second one is damaged at its seal and in its only block.
pub(crate) fn damaged_log() -> TempDir {
    let dir = scratch();
    let mut writer = Writer::open(config(dir.path())).expect("opens").0;
    for segment in 0..5 {
        (0..10).for_each(|_| append(&mut writer));
        if segment < 4 {
            writer.seal().expect("seals");
        }
    }
    writer.flush().expect("writes");
    drop(writer);
    let victim = dir.path().join(segment_name(2));
    let mut bytes = fs::read(&victim).expect("reads");
    let len = bytes.len() - 64;
    bytes.truncate(len);
    bytes[300] ^= 1;
    fs::write(&victim, bytes).expect("writes");
    dir
}

fn repair(disk: &RecordingDisk, dir: &Path) -> Result<u64, JournalError> {
    let disk = Box::new(disk.clone());
    let (writer, report) = Writer::open_on(disk, config(dir), RecoveryMode::PointInTime)?;
    drop(writer);
    Ok(report.next_seq)
}

/// After any interruption the next writer, which only cuts torn tails by itself, finishes the repair:
/// what was kept is there, nothing is given out twice, the rest is in quarantine.
fn assert_finished(dir: &Path, context: &str) {
    let opened = Writer::open_with(config(dir), RecoveryMode::Tail);
    let (mut writer, _) = match opened {
        Ok(opened) => opened,
        // The repair had not begun durably: it is still the operator's decision.
        Err(JournalError::Refused { .. }) => {
            Writer::open_with(config(dir), RecoveryMode::PointInTime)
                .unwrap_or_else(|error| panic!("{context}: {error}"))
        }
        Err(error) => panic!("{context}: {error}"),
    };
    assert_eq!(writer.next_seq(), GIVEN_OUT + 1, "{context}");
    append(&mut writer);
    writer.close().expect("closes");
    let report = verify(dir, &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, [], "{context}");
    let mut reader = Reader::open(dir).expect("opens");
    for seq in 1..=10 {
        let entry = reader.next().expect("reads").expect("is there");
        assert_eq!(
            (entry.seq, entry.record.kind),
            (seq, kind::DATA),
            "{context}"
        );
    }
    let entry = reader.next().expect("reads").expect("is there");
    let hole = JournalHole::decode(entry.record.payload).expect("a hole");
    assert_eq!((hole.from, hole.to), (11, GIVEN_OUT), "{context}");
    let entry = reader.next().expect("reads").expect("is there");
    assert_eq!(entry.seq, GIVEN_OUT + 1, "{context}");
    for number in 3..=5 {
        let kept = dir.join("quarantine").join(segment_name(number));
        assert!(kept.exists(), "{context}: segment {number} is gone");
    }
}

/// A power cut at any point of a repair, and another one at any point of the repair after it.
#[test]
fn power_cuts_interrupt_a_repair_without_harm() {
    let mut interrupted = 0;
    for cut in [Cut::Ordered, Cut::Chaotic] {
        let home = damaged_log();
        let disk = RecordingDisk::with_existing(home.path());
        let before = disk.len();
        assert_eq!(repair(&disk, home.path()).expect("repairs"), GIVEN_OUT + 1);
        for ops in before..=disk.len() {
            let image = scratch();
            disk.cut(ops, cut, ops as u64, home.path(), image.path());
            interrupted += u64::from(image.path().join("REPAIR").exists());
            let context = format!("{cut:?} after {} operations", ops - before);
            let second = RecordingDisk::with_existing(image.path());
            let begin = second.len();
            repair(&second, image.path()).unwrap_or_else(|error| panic!("{context}: {error}"));
            for at in (begin..=second.len()).step_by(3) {
                let again = scratch();
                second.cut(at, cut, at as u64, image.path(), again.path());
                assert_finished(
                    again.path(),
                    &format!("{context}, again after {}", at - begin),
                );
            }
            assert_finished(image.path(), &context);
        }
    }
    assert!(
        interrupted > 20,
        "only {interrupted} cuts met a repair under way"
    );
}

/// Any one failing operation ends a repair with an error, and the next one finishes it.
#[test]
fn failing_operations_interrupt_a_repair_without_harm() {
    let total = {
        let home = damaged_log();
        let disk = RecordingDisk::with_existing(home.path());
        repair(&disk, home.path()).expect("repairs");
        disk.calls()
    };
    assert!(total > 25, "{total}");
    for at in 0..total {
        let home = damaged_log();
        let disk = RecordingDisk::with_existing(home.path());
        disk.fail(Fault {
            at,
            how: How::Errno(ENOSPC),
            persistent: false,
        });
        let error = repair(&disk, home.path()).expect_err("one operation fails");
        assert!(error.is_disk_full(), "operation {at}: {error}");
        assert_finished(home.path(), &format!("operation {at} failed"));
    }
}

const ENOSPC: i32 = 28;

/// A way to damage a log.
pub(crate) type Damage = fn(&Path);

/// A pruned log of the segments 3 to 5, the last one only written, before one of these damages.
pub(crate) fn pruned_log(damage: Damage) -> TempDir {
    let dir = scratch();
    let mut writer = Writer::open(config(dir.path())).expect("opens").0;
    for segment in 0..5 {
        (0..10).for_each(|_| append(&mut writer));
        if segment < 4 {
            writer.seal().expect("seals");
        }
    }
    writer.flush().expect("writes");
    drop(writer);
    let listing = directory::list(dir.path()).expect("lists");
    let mark = Mark::before(&listing.segments[2].header);
    mark.store(&RealDisk, dir.path()).expect("stores");
    for number in 1..=2 {
        fs::remove_file(dir.path().join(segment_name(number))).expect("removes");
    }
    damage(dir.path());
    dir
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("reads");
    change(&mut bytes);
    fs::write(path, bytes).expect("writes");
}

pub(crate) fn flip_retention(dir: &Path) {
    change(&dir.join("RETENTION"), |bytes| bytes[40] ^= 1);
}

pub(crate) fn shorten_state(dir: &Path) {
    change(&dir.join("STATE"), |bytes| bytes.truncate(bytes.len() - 1));
}

fn flip_both_slots(dir: &Path) {
    change(&dir.join("STATE"), |bytes| {
        bytes[20] ^= 1;
        let second = State::SLOT_LEN + 20;
        bytes[second] ^= 1;
    });
}

const DAMAGES: [(&str, Damage); 6] = [
    ("RETENTION", flip_retention),
    ("STATE of a wrong length", shorten_state),
    ("STATE with a byte too many", |dir| {
        change(&dir.join("STATE"), |bytes| bytes.push(0));
    }),
    ("STATE without a valid slot", flip_both_slots),
    ("RETENTION and a short STATE", |dir| {
        flip_retention(dir);
        shorten_state(dir);
    }),
    ("RETENTION and both slots", |dir| {
        flip_retention(dir);
        flip_both_slots(dir);
    }),
];

/// No segment is damaged: none may leave the log, whatever interrupts the repair of the files that
/// describe it. `Tail` opens the log, or refuses what was there before.
fn assert_whole(dir: &Path, context: &str) {
    let has_begun = dir.join("REPAIR").exists();
    let (mut writer, _) = match Writer::open_with(config(dir), RecoveryMode::Tail) {
        Ok(opened) => opened,
        Err(JournalError::Refused { .. }) if !has_begun => {
            Writer::open_with(config(dir), RecoveryMode::PointInTime)
                .unwrap_or_else(|error| panic!("{context}: {error}"))
        }
        Err(error) => panic!("{context}: {error}"),
    };
    assert_eq!(writer.next_seq(), GIVEN_OUT + 1, "{context}");
    append(&mut writer);
    writer.close().expect("closes");
    let report = verify(dir, &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, [], "{context}");
    let mut reader = Reader::open(dir).expect("opens");
    for seq in 21..=GIVEN_OUT + 1 {
        let entry = reader.next().expect("reads").expect("is there");
        assert_eq!(entry.seq, seq, "{context}");
    }
    let quarantine = fs::read_dir(dir.join("quarantine"));
    for entry in quarantine.into_iter().flatten() {
        let name = entry.expect("lists").file_name();
        let name = name.to_string_lossy();
        assert!(!name.ends_with(".seg"), "{context}: {name} left the log");
    }
}

#[test]
fn power_cuts_in_a_repair_of_retention_and_state_cost_no_segment() {
    for (what, damage) in DAMAGES {
        for cut in [Cut::Ordered, Cut::Chaotic] {
            let home = pruned_log(damage);
            let disk = RecordingDisk::with_existing(home.path());
            let before = disk.len();
            assert_eq!(repair(&disk, home.path()).expect("repairs"), GIVEN_OUT + 1);
            for ops in before..=disk.len() {
                for seed in 0..2 {
                    let image = scratch();
                    let seed = (ops * 2 + seed) as u64;
                    disk.cut(ops, cut, seed, home.path(), image.path());
                    let context = format!("{what}: {cut:?} after {}, {seed}", ops - before);
                    assert_whole(image.path(), &context);
                }
            }
        }
    }
}

#[test]
fn failing_operations_in_a_repair_of_retention_and_state_cost_no_segment() {
    for (what, damage) in DAMAGES {
        let disk = {
            let home = pruned_log(damage);
            let disk = RecordingDisk::with_existing(home.path());
            repair(&disk, home.path()).expect("repairs");
            disk
        };
        for at in 0..disk.calls() {
            let home = pruned_log(damage);
            let disk = RecordingDisk::with_existing(home.path());
            disk.fail(Fault {
                at,
                how: How::Errno(ENOSPC),
                persistent: false,
            });
            repair(&disk, home.path()).expect_err("one operation fails");
            assert_whole(home.path(), &format!("{what}: operation {at} failed"));
        }
    }
}
