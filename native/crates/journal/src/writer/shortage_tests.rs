//! A writer while the system lacks something that says nothing about its files.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

use super::failure::first_lost;
use super::{Condition, Event, Record, Writer, WriterConfig};
use crate::crash_tests::{append, scratch};
use crate::directory::{self, segment_name};
use crate::disk::recording::{Call, Fault, How, RecordingDisk};
use crate::error::JournalError;
use crate::format::{MAX_NUMBER, State};
use crate::kind;
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::reader::blocks::{BlockCursor, BlockStep};
use crate::recovery::{REPORT_FILE, RecoveryMode};
use crate::verify::verify;

const CHILD: &str = "TICKDECK_TEST_DESCRIPTORS_DIR";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;
const SECOND: u64 = 1_000_000_000;

fn open(disk: &RecordingDisk, dir: &Path) -> Result<Writer, JournalError> {
    let config = WriterConfig::new(dir, 1 << 20, SyncPolicy::batch(5), 1);
    let opened = Writer::open_on(Box::new(disk.clone()), config, RecoveryMode::Tail);
    opened.map(|(writer, _)| writer)
}

/// A journal whose sequences are used up takes no more records, and is whole: what it had taken can
/// be read, also behind another start.
#[test]
fn the_last_sequence_is_given_out_once() {
    let home = scratch();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, home.path()).expect("opens");
    let record = super::hole_record(b"");
    let record = Record { kind: 1, ..record };
    writer.append_hole(1, MAX_NUMBER - 2, 1).expect("appends");
    assert_eq!(writer.append(&record).expect("appends"), MAX_NUMBER - 1);
    for _ in 0..2 {
        let refused = writer.append(&record).expect_err("is refused");
        assert!(matches!(refused, JournalError::BadRecord(_)), "{refused}");
        writer.close().expect("closes");
        let report = verify(home.path(), &mut |_| {}).expect("verifies");
        assert_eq!((report.problems, report.records), (vec![], 2));
        writer = open(&disk, home.path()).expect("opens");
        assert_eq!(writer.next_seq(), MAX_NUMBER);
    }
}

/// Whatever a writer asks of its device, another thread can see that it does not come back.
#[test]
fn no_operation_hangs_unseen() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, dir).expect("opens");
    disk.watch(Some(writer.busy_since_ns()));
    append(&mut writer).expect("appends");
    writer.seal().expect("seals");
    fs::write(dir.join(REPORT_FILE), r#"{"problems": [{}]}"#).expect("writes");
    assert!(writer.acknowledge_report().expect("writes"));
    append(&mut writer).expect("appends");
    disk.fail_kind(
        Call::Sync,
        Fault {
            at: 0,
            how: How::Errno(EIO),
            persistent: false,
        },
    );
    writer.sync().expect("syncs in a new segment");
    assert_eq!(writer.counters().reopens, 1);
    append(&mut writer).expect("appends");
    writer.poll(SECOND).expect("polls");
    writer.close().expect("closes");
    assert_eq!(disk.watch(None), []);
}

/// Runs one of the children below in a process that may have few open files.
fn run_child(name: &str) {
    let home = scratch();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 48 && exec \"$0\" \"$@\""])
        .arg(env::current_exe().expect("knows itself"))
        .args(["--exact", "--test-threads=1", "--nocapture"])
        .arg(format!("writer::shortage_tests::{name}"))
        .env(CHILD, home.path())
        .output()
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}");
    assert!(text.contains("the child is done"), "{text}");
}

/// Opens files until no more can be had.
fn take_all_descriptors() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}");
                return taken;
            }
        }
    }
}

fn assert_whole(dir: &Path, last_seq: u64) {
    assert_eq!(verify(dir, &mut |_| {}).expect("verifies").problems, []);
    let mut reader = Reader::open(dir).expect("opens");
    for seq in 1..=last_seq {
        let entry = reader.next().expect("whole").expect("a record");
        assert_eq!(entry.seq, seq);
        assert_ne!(entry.record.kind, kind::JOURNAL_HOLE, "{seq}");
    }
}

fn events(writer: &mut Writer) -> Vec<Event> {
    std::iter::from_fn(|| writer.take_event()).collect()
}

/// Descriptors run out for eight seconds: nothing failed on the log's own files, so it goes on in
/// the same segment; that nobody could look for missing files is counted.
#[test]
fn a_look_without_descriptors_is_no_failure() {
    run_child("child_looks");
}

#[test]
fn child_looks() {
    let Some(dir) = env::var_os(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, dir).expect("opens");
    let mut now_ns = SECOND;
    writer.poll(now_ns).expect("polls");
    let taken = take_all_descriptors();
    for _ in 0..80 {
        now_ns += SECOND / 10;
        append(&mut writer).expect("appends");
        writer.poll(now_ns).expect("polls");
        assert_eq!(events(&mut writer), []);
        assert_eq!(writer.condition(), Condition::Healthy);
    }
    let counters = *writer.counters();
    assert!(counters.look_errors >= 3, "{counters:?}");
    assert_eq!((counters.write_errors, counters.segments), (0, 1));
    drop(taken);
    writer.close().expect("closes");
    assert_whole(dir, 80);
    println!("the child is done");
}

/// A sync fails once, and no file can be opened for a minute: what the device has is still read, by
/// the descriptor at hand, and no acknowledged record is given up however many attempts fail.
#[test]
fn a_left_file_is_read_without_a_descriptor() {
    run_child("child_leaves");
}

#[test]
fn child_leaves() {
    let Some(dir) = env::var_os(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, dir).expect("opens");
    let mut now_ns = SECOND;
    for _ in 0..20 {
        append(&mut writer).expect("appends");
        writer.sync().expect("syncs");
    }
    append(&mut writer).expect("appends");
    let taken = take_all_descriptors();
    let fault = Fault {
        at: 0,
        how: How::Errno(EIO),
        persistent: false,
    };
    disk.fail_kind(Call::Sync, fault);
    writer
        .sync()
        .expect("the descriptor of the left file is free for the new one");
    for _ in 0..60 {
        now_ns += SECOND;
        writer.poll(now_ns).expect("polls");
    }
    assert_eq!(writer.condition(), Condition::Healthy);
    drop(taken);
    let told = events(&mut writer);
    let is_loss = |event: &Event| matches!(event, Event::AckedLoss { .. } | Event::Hole { .. });
    assert!(!told.iter().any(is_loss), "{told:?}");
    assert_eq!(writer.counters().acked_loss, 0);
    assert_eq!(writer.watermarks().durable, 21);
    writer.close().expect("closes");
    let segments = directory::list(dir).expect("lists").segments;
    assert_eq!(segments[0].abandoned_at, Some(20));
    assert_whole(dir, 21);
    println!("the child is done");
}

/// No descriptor is left where a segment ends: the next one takes that of the one before.
#[test]
fn a_rotation_gives_the_descriptor_that_it_takes() {
    run_child("child_rotates");
}

#[test]
fn child_rotates() {
    let Some(dir) = env::var_os(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, dir).expect("opens");
    let taken = take_all_descriptors();
    append_and_poll(&mut writer);
    let counters = *writer.counters();
    assert!(counters.prepare_errors > 0, "{counters:?}");
    assert!(counters.rotations > 1, "{counters:?}");
    assert_eq!(counters.write_errors, 0);
    drop(taken);
    writer.close().expect("closes");
    assert_whole(dir, RECORDS);
    println!("the child is done");
}

/// 350 bytes each on average: more than two segments of 1 MiB.
const RECORDS: u64 = 7_000;

fn append_and_poll(writer: &mut Writer) {
    for step in 1..=RECORDS {
        append(writer).expect("memory takes it");
        writer.poll(SECOND + step * 1_000_000).expect("polls");
    }
}

/// W8: the next segment cannot be opened (EMFILE). The rotation fails, not the records: they wait in
/// memory, and in the end the log has each of them once, for a reader and for the cursor of an
/// exporter alike.
#[test]
fn a_rotation_that_fails_loses_nothing() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, dir).expect("opens");
    let fault = Fault {
        at: 0,
        how: How::Errno(EMFILE),
        persistent: true,
    };
    disk.fail_kind(Call::Create, fault);
    append_and_poll(&mut writer);
    let durable = writer.watermarks().durable;
    assert!((1..RECORDS).contains(&durable), "{durable}");
    assert_ne!(writer.condition(), Condition::Healthy);
    disk.mend();
    for seconds in 10..13 {
        writer.poll(seconds * SECOND).expect("polls");
    }
    assert_eq!(writer.condition(), Condition::Healthy);
    let told = events(&mut writer);
    let is_loss = |event: &Event| matches!(event, Event::AckedLoss { .. } | Event::Hole { .. });
    assert!(!told.iter().any(is_loss), "{told:?}");
    writer.close().expect("closes");
    assert_whole(dir, RECORDS);
    let mut cursor = BlockCursor::open(dir, 1).expect("opens");
    while cursor.next_seq() <= RECORDS {
        let next_seq = cursor.next_seq();
        match cursor.next(RECORDS).expect("reads") {
            BlockStep::Block(block) => assert_eq!(block.base_seq, next_seq),
            other => panic!("{other:?}"),
        }
    }
}

/// STATE never names an abandoned end before the segment is there that declares it: the device is
/// full just then, the process dies, and the next start finds nothing wrong.
#[test]
fn state_names_no_end_that_nothing_declares() {
    let home = scratch();
    let dir = home.path();
    let disk = RecordingDisk::new();
    let mut writer = open(&disk, dir).expect("opens");
    let early = writer.state_now(false);
    append(&mut writer).expect("appends");
    writer.seal().expect("seals");
    append(&mut writer).expect("appends");
    writer.sync().expect("syncs");
    // STATE is one segment behind, as after a checkpoint that could not be written.
    let behind = State {
        durable_seq: 1,
        ..early
    };
    writer.state.store(behind).expect("stores");
    let fault = Fault {
        at: 0,
        how: How::Errno(ENOSPC),
        persistent: true,
    };
    disk.fail_kind(Call::Create, fault);
    let error = io::Error::from_raw_os_error(EIO);
    writer.save(&JournalError::io("cannot write", dir, error));
    let state = directory::read_state(dir).expect("reads").current;
    let state = state.expect("a checkpoint");
    assert_eq!(state.active_segment, 2, "may be one behind the next one");
    assert_eq!(state.last_seal_hash, early.last_seal_hash);
    drop(writer);
    disk.mend();
    assert!(fs::read_dir(dir).expect("lists").count() >= 3);
    let writer = open(&disk, dir).expect("opens again");
    assert_eq!(writer.next_seq(), 3);
    writer.close().expect("closes");
    assert_whole(dir, 2);
}

/// What retention deletes while the names are read is not lost: then the older ones are gone too.
#[test]
fn what_is_pruned_while_the_names_are_read_is_not_lost() {
    let home = scratch();
    for number in [4, 6, 9] {
        fs::write(home.path().join(segment_name(number)), "").expect("writes");
    }
    let lost = |read: &[u64]| first_lost(home.path(), &read.iter().copied().collect(), 9);
    assert_eq!(lost(&[4, 6, 9]), Some(5));
    assert_eq!(lost(&[1, 4, 5, 6, 7, 8, 9]), None, "1 is gone since");
    assert_eq!(lost(&[1, 4, 5, 6, 8, 9]), Some(7));
}
