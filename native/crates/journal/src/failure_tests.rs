//! What a writer does when its device fails, case by case.

use std::fs;
use std::path::Path;

use crate::crash_tests::{append, payload, scratch};
use crate::directory::{self, SegmentEntry};
use crate::disk::recording::{Call, Fault, How, RecordingDisk};
use crate::error::JournalError;
use crate::format::SegmentHeader;
use crate::kind::{self, JournalHole};
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::recovery::RecoveryMode;
use crate::verify::verify;
use crate::writer::{Condition, Event, OnFailure, Record, Writer, WriterConfig};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const SECOND: u64 = 1_000_000_000;

fn config(dir: &Path, sync: SyncPolicy) -> WriterConfig {
    WriterConfig::new(dir, 64 << 20, sync, 1)
}

fn open(disk: &RecordingDisk, config: WriterConfig) -> Writer {
    let opened = Writer::open_on(Box::new(disk.clone()), config, RecoveryMode::Tail);
    opened.expect("opens").0
}

/// Lets the next call of a kind fail.
fn fail_next(disk: &RecordingDisk, call: Call, errno: i32, persistent: bool) {
    disk.fail_kind(
        call,
        Fault {
            at: 0,
            how: How::Errno(errno),
            persistent,
        },
    );
}

fn events(writer: &mut Writer) -> Vec<Event> {
    std::iter::from_fn(|| writer.take_event())
        .filter(|event| !matches!(event, Event::Failed { .. }))
        .collect()
}

fn entries(dir: &Path) -> Vec<SegmentEntry> {
    directory::list(dir).expect("lists").segments
}

/// The sequences of a log; of a hole, the pair of its ends.
fn read_all(dir: &Path) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut seqs, mut holes) = (Vec::new(), Vec::new());
    let mut reader = Reader::open(dir).expect("opens");
    while let Some(entry) = reader.next().expect("whole") {
        if entry.record.kind == kind::JOURNAL_HOLE {
            let hole = JournalHole::decode(entry.record.payload).expect("a hole");
            holes.push((hole.from, hole.to));
            continue;
        }
        seqs.push(entry.seq);
    }
    (seqs, holes)
}

fn assert_whole(dir: &Path) {
    assert_eq!(verify(dir, &mut |_| {}).expect("verifies").problems, []);
}

/// A failed sync: the file is left at the last synced block, the rest is in a new segment, and the
/// writer tells so.
#[test]
fn a_failed_sync_moves_to_a_new_segment() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, config(dir, SyncPolicy::batch(5)));
    for _ in 0..10 {
        append(&mut writer).expect("appends");
    }
    writer.sync().expect("syncs");
    for _ in 0..5 {
        append(&mut writer).expect("appends");
        writer.flush().expect("writes");
    }
    let path = entries(dir)[0].path.clone();
    fail_next(&disk, Call::Sync, EIO, false);
    writer.sync().expect("syncs in a new segment");
    assert_eq!(writer.watermarks().durable, 15);
    assert_eq!(writer.condition(), Condition::Healthy);
    let reopened = events(&mut writer);
    assert!(
        matches!(&reopened[..], [Event::Reopened { from: 11, to: 15, cause }]
            if cause.contains("cannot sync") && cause.contains("os error 5")),
        "{reopened:?}"
    );
    assert_eq!(
        (writer.counters().reopens, writer.counters().segments),
        (1, 2)
    );
    let left = fs::read(&path).expect("reads");
    append(&mut writer).expect("appends");
    writer.close().expect("closes");
    assert_eq!(fs::read(&path).expect("reads"), left, "nobody touched it");
    let segments = entries(dir);
    assert_eq!(segments[0].abandoned_at, Some(10));
    assert_eq!(segments[1].header.base_seq, 11);
    assert_eq!(read_all(dir), ((1..=16).collect(), vec![]));
    assert_whole(dir);
}

/// A device that had lied about an earlier sync: what was acknowledged and is damaged is told, and
/// written again from memory.
#[test]
fn acknowledged_loss_is_told_and_mended_from_memory() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, config(dir, SyncPolicy::batch(5)));
    for _ in 0..10 {
        for _ in 0..4 {
            append(&mut writer).expect("appends");
        }
        writer.sync().expect("syncs");
    }
    let path = entries(dir)[0].path.clone();
    damage(&path, 21);
    append(&mut writer).expect("appends");
    fail_next(&disk, Call::Write, EIO, false);
    writer.sync().expect("syncs in a new segment");
    let told = events(&mut writer);
    assert_eq!(told[0], Event::AckedLoss { from: 21, to: 40 });
    assert!(
        matches!(
            told[1],
            Event::Reopened {
                from: 21,
                to: 40,
                ..
            }
        ),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    assert_eq!(writer.counters().acked_loss, 20);
    assert_eq!(writer.watermarks().durable, 41, "never goes back");
    writer.close().expect("closes");
    assert_eq!(read_all(dir), ((1..=41).collect(), vec![]));
    assert_whole(dir);
}

/// Damages the block that holds a sequence.
fn damage(path: &Path, seq: u64) {
    let mut bytes = fs::read(path).expect("reads");
    let needle = payload(seq);
    assert!(needle.len() > 16, "can be found");
    let found = bytes
        .windows(needle.len())
        .position(|window| window == needle);
    bytes[found.expect("is in the file") + 8] ^= 1;
    fs::write(path, bytes).expect("writes");
}

/// What neither the device nor memory has any more is spent by a hole with exact ends.
#[test]
fn what_is_nowhere_becomes_an_exact_hole() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, config(dir, SyncPolicy::Os));
    let large = vec![7; 50_000];
    let append_large = |writer: &mut Writer| {
        let record = Record {
            kind: 1,
            stamp: 1,
            line: 0,
            channel: 3,
            venue_seq: 1,
            rx_ns: 1,
            payload: &large,
        };
        writer.append(&record).expect("appends");
        writer.flush().expect("writes");
    };
    // 25 MB, of which memory keeps less than 17.
    for _ in 0..500 {
        append_large(&mut writer);
    }
    let entry = entries(dir).swap_remove(0);
    let mut file = fs::read(&entry.path).expect("reads");
    // In the second block.
    file[SegmentHeader::LEN + 100_700] ^= 1;
    fs::write(&entry.path, file).expect("writes");
    fail_next(&disk, Call::Write, EIO, false);
    append_large(&mut writer);
    let told = events(&mut writer);
    let Event::Hole {
        from: 2,
        to,
        reason: kind::HOLE_LOST,
    } = told[0]
    else {
        panic!("{told:?}");
    };
    assert!((150..200).contains(&to), "{to}");
    assert_eq!(writer.counters().hole_records, to - 1);
    append_large(&mut writer);
    writer.close().expect("closes");
    let seqs = [1].into_iter().chain(to + 1..=502).collect();
    assert_eq!(read_all(dir), (seqs, vec![(2, to)]));
    assert_whole(dir);
}

/// Told to halt, a writer ends at the second failure within ten seconds, and touches nothing more.
#[test]
fn halts_at_the_second_failure_when_told_so() {
    let home = scratch();
    let disk = RecordingDisk::new();
    let mut halting = config(home.path(), SyncPolicy::batch(5));
    halting.on_failure = OnFailure::Halt;
    let mut writer = open(&disk, halting);
    append(&mut writer).expect("appends");
    fail_next(&disk, Call::Sync, EIO, false);
    writer.sync().expect("the first failure is overcome");
    writer.poll(11 * SECOND).expect("polls");
    append(&mut writer).expect("appends");
    fail_next(&disk, Call::Sync, EIO, false);
    writer
        .sync()
        .expect("eleven seconds later it is a first one again");
    append(&mut writer).expect("appends");
    fail_next(&disk, Call::Sync, EIO, false);
    let error = writer
        .sync()
        .expect_err("the second one within ten seconds");
    assert!(
        matches!(error, JournalError::Poisoned { durable_seq: 2, .. }),
        "{error}"
    );
    assert_eq!(writer.condition(), Condition::Halted);
    let calls = disk.calls();
    let poisoned = |result: Result<(), JournalError>| {
        assert!(
            matches!(result, Err(JournalError::Poisoned { .. })),
            "{result:?}"
        );
    };
    poisoned(append(&mut writer).map(|_| ()));
    poisoned(writer.append_hole(4, 5, 1).map(|_| ()));
    poisoned(writer.poll(60 * SECOND).map(|_| ()));
    poisoned(writer.flush());
    poisoned(writer.sync());
    poisoned(writer.seal());
    poisoned(writer.close());
    assert_eq!(disk.calls(), calls);
}

/// A full device: records are taken while memory lasts, then refused without loss; when there is
/// space again, the log goes on by itself.
#[test]
fn a_full_device_is_waited_for() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut small = config(dir, SyncPolicy::batch(5));
    small.segment_size_bytes = 1 << 20;
    let mut writer = open(&disk, small);
    let mut now_ns = SECOND;
    let mut refused = 0;
    for _ in 0..40_000 {
        if disk.calls() == 100 {
            fail_next(&disk, Call::Allocate, ENOSPC, true);
        }
        match append(&mut writer) {
            Ok(_) => {}
            Err(JournalError::Stalled { cause, .. }) => {
                assert!(cause.contains("os error 28"), "{cause}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        now_ns += 100_000;
        writer.poll(now_ns).expect("never fails");
    }
    assert_eq!(writer.condition(), Condition::Full);
    assert!(refused > 1000, "{refused}");
    assert!(
        writer.counters().prepare_errors > 0,
        "told before it was needed"
    );
    let marks = writer.watermarks();
    assert!(
        marks.durable < marks.appended && marks.appended > 10_000,
        "{marks:?}"
    );
    let kept_bytes = writer.unsynced_bytes();
    assert!((3 << 20..5 << 20).contains(&kept_bytes), "{kept_bytes}");

    disk.mend();
    let freed_ns = now_ns;
    while writer.condition() != Condition::Healthy {
        now_ns += 10_000_000;
        writer.poll(now_ns).expect("never fails");
        assert!(
            now_ns - freed_ns < 5 * SECOND,
            "it has to come back by itself"
        );
    }
    writer.sync().expect("syncs");
    assert_eq!(writer.watermarks().durable, marks.appended);
    // The caller lost some meanwhile.
    let next_seq = writer.next_seq();
    writer
        .append_hole(next_seq, next_seq + 9, 1)
        .expect("appends");
    append(&mut writer).expect("appends");
    writer.close().expect("closes");
    let (seqs, holes) = read_all(dir);
    assert_eq!(holes, [(next_seq, next_seq + 9)]);
    assert!(
        seqs.iter()
            .copied()
            .eq((1..next_seq).chain([next_seq + 10]))
    );
    assert_whole(dir);
}

/// A hole that cannot be written yet ends its block all the same.
#[test]
fn a_hole_waits_in_memory_too() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, config(dir, SyncPolicy::batch(5)));
    append(&mut writer).expect("appends");
    fail_next(&disk, Call::Write, ENOSPC, true);
    assert!(writer.flush().is_err());
    append(&mut writer).expect("appends");
    writer.append_hole(3, 7, 1).expect("is taken");
    writer.append_hole(8, 8, 1).expect("is taken");
    append(&mut writer).expect("appends");
    disk.mend();
    writer.close().expect("closes");
    assert_eq!(read_all(dir), (vec![1, 2, 9], vec![(3, 7), (8, 8)]));
    assert_whole(dir);
}

/// A sync that fails in `close`: an error, no clean mark, and nothing is lost.
#[test]
fn a_bad_end_is_not_called_clean() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, config(dir, SyncPolicy::batch(5)));
    append(&mut writer).expect("appends");
    fail_next(&disk, Call::Sync, EIO, false);
    assert!(writer.close().is_err());
    let state = directory::read_state(dir).expect("reads").current;
    assert!(!state.expect("a checkpoint").clean);
    assert_eq!(read_all(dir), (vec![1], vec![]));
    let (writer, report) = Writer::open(config(dir, SyncPolicy::batch(5))).expect("opens");
    assert_eq!((report.clean, report.next_seq), (false, 2));
    writer.close().expect("closes");
}

/// Files of the log that vanish under the writer are missed within seconds, and the log goes on in
/// a new segment with all that memory has.
#[test]
fn vanished_files_are_missed() {
    type Take<'a> = &'a dyn Fn(&Path);
    let remove =
        |name: String| move |dir: &Path| fs::remove_file(dir.join(&name)).expect("removes");
    let segment = remove(directory::segment_name(1));
    let (lock, state) = (remove("lock".into()), remove("STATE".into()));
    let cases: [(&str, Take<'_>); 4] = [
        ("segment", &segment),
        ("lock", &lock),
        ("STATE", &state),
        ("directory", &|dir| {
            fs::remove_dir_all(dir).expect("removes")
        }),
    ];
    for (what, take) in cases {
        let home = scratch();
        let dir = home.path().join("log");
        let settings = config(&dir, SyncPolicy::batch(5));
        let (mut writer, _) = Writer::open(settings.clone()).expect("opens");
        for _ in 0..10 {
            append(&mut writer).expect("appends");
        }
        let mut now_ns = SECOND;
        writer.sync().expect("syncs");
        writer.poll(now_ns).expect("polls");
        take(&dir);
        let gone_ns = now_ns;
        let mut told = Vec::new();
        while !told
            .iter()
            .any(|event| matches!(event, Event::Reopened { .. }))
        {
            now_ns += SECOND / 10;
            append(&mut writer).expect("appends");
            writer.poll(now_ns).expect("polls");
            told.extend(events(&mut writer));
            assert!(now_ns - gone_ns < 5 * SECOND, "{what}: {told:?}");
        }
        assert!(
            matches!(told[0], Event::FilesLost { .. }),
            "{what}: {told:?}"
        );
        assert_eq!(writer.condition(), Condition::Healthy, "{what}");
        let (seqs, holes) = match what {
            // All of the file was in memory still.
            "segment" | "directory" => {
                assert!(told.contains(&Event::AckedLoss { from: 1, to: 10 }) || told.len() > 2);
                let last = entries(&dir).pop().expect("a segment");
                assert_eq!((last.header.number, last.header.base_seq), (2, 1), "{what}");
                read_all(&dir)
            }
            _ => read_all(&dir),
        };
        let next_seq = writer.next_seq();
        assert_eq!((seqs, holes), ((1..next_seq).collect(), vec![]), "{what}");
        let second = Writer::open(settings).expect_err("is locked");
        assert!(
            matches!(second, JournalError::Locked { .. }),
            "{what}: {second}"
        );
        writer.close().expect("closes");
    }
}

/// Another log that has taken the place is left alone.
#[test]
fn another_log_in_the_place_is_left_alone() {
    let home = scratch();
    let dir = home.path().join("log");
    let settings = config(&dir, SyncPolicy::batch(5));
    let (mut writer, _) = Writer::open(settings.clone()).expect("opens");
    append(&mut writer).expect("appends");
    writer.sync().expect("syncs");
    fs::rename(&dir, home.path().join("elsewhere")).expect("renames");
    let (other, _) = Writer::open(settings).expect("opens another one");
    other.close().expect("closes");
    let before = verify(&dir, &mut |_| {}).expect("verifies");
    let mut now_ns = SECOND;
    for _ in 0..60 {
        now_ns += SECOND / 10;
        append(&mut writer).expect("appends");
        writer.poll(now_ns).expect("polls");
    }
    assert_eq!(writer.condition(), Condition::LostFiles);
    assert_eq!(verify(&dir, &mut |_| {}).expect("verifies"), before);
}
