//! Retention on real files.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::disk::recording::{Cut, Fault, How, RecordingDisk};
use crate::error::Class;
use crate::pins::{BOOK_PIN, Pin, read_pins, write_pin};
use crate::policy::SyncPolicy;
use crate::verify::verify;
use crate::writer::{Record, Writer, WriterConfig};

const SECOND_NS: u64 = 1_000_000_000;

fn pin(client: &str, acked_seq: u64) -> Pin {
    Pin {
        client: client.into(),
        acked_seq,
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: 0,
        lost: false,
    }
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

fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir, 16 * 1024, SyncPolicy::Os, 1)
}

fn append(writer: &mut Writer, kind: u8, rx_ns: u64) {
    let payload = writer.next_seq().to_le_bytes();
    let record = Record {
        kind,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: 1,
        rx_ns,
        payload: &payload,
    };
    writer.append(&record).expect("appends");
}

/// Closed segments of ten records and an open one with a SESSION record; receive times step by
/// `step_ns` in the middle.
fn log(segments: u64, step_ns: i64) -> (TempDir, Writer) {
    let dir = scratch();
    let mut writer = Writer::open(config(dir.path())).expect("opens").0;
    for segment in 0..segments {
        for record in 0..10 {
            let rx_ns = 10_000 * SECOND_NS + segment * 10 + record;
            let late = if segment >= segments / 2 { step_ns } else { 0 };
            append(&mut writer, kind::DATA, rx_ns.saturating_add_signed(late));
        }
        writer.seal().expect("seals");
    }
    append(&mut writer, kind::SESSION, 1);
    append(&mut writer, kind::DATA, 2);
    writer.flush().expect("writes");
    (dir, writer)
}

fn all_but(segments: u64, dir: &Path) -> Limits {
    let listing = directory::list(dir).expect("lists");
    let kept: u64 = listing
        .segments
        .iter()
        .rev()
        .take(segments as usize)
        .map(|it| it.len)
        .sum();
    Limits {
        max_bytes: kept,
        ..Limits::default()
    }
}

fn read_all(dir: &Path) -> Vec<u64> {
    let mut reader = Reader::open(dir).expect("opens");
    let mut seqs = Vec::new();
    while let Some(entry) = reader.next().expect("reads") {
        seqs.push(entry.seq);
    }
    seqs
}

/// The oldest segments go; the log is whole without them, for readers, for `verify` and for the next
/// writer; a reader that was behind is told so.
#[test]
fn a_pruned_log_is_whole() {
    let (dir, writer) = log(5, 0);
    let limits = all_but(4, dir.path());
    let mut slow = Reader::open(dir.path()).expect("opens");
    slow.next().expect("reads").expect("a record");
    let planned = prune(dir.path(), &limits, None, false).expect("plans");
    assert_eq!((planned.deleted.len(), planned.first_seq), (2, 21));
    assert_eq!(read_all(dir.path()).len(), 52, "a plan changes nothing");
    let done = prune(dir.path(), &limits, None, true).expect("prunes");
    assert_eq!(
        (&done.deleted, done.bytes),
        (&planned.deleted, planned.bytes)
    );
    assert_eq!((done.total_pruned, done.total_quarantined), (2, 0));
    let expected: Vec<u64> = (21..=52).collect();
    assert_eq!(read_all(dir.path()), expected);
    let report = verify(dir.path(), &mut |_| {}).expect("verifies");
    assert_eq!(
        (report.problems, report.first_seq, report.segments),
        (vec![], 21, 4)
    );
    let mut behind = Reader::open(dir.path()).expect("opens");
    assert!(matches!(
        behind.seek(20),
        Err(JournalError::Pruned { first_seq: 21, .. })
    ));
    let told = loop {
        match slow.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("what is pruned is not the end"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(told, JournalError::Pruned { first_seq: 21, .. }),
        "{told}"
    );
    // The same again finds nothing to do, and a start goes on as ever.
    let again = prune(dir.path(), &limits, None, true).expect("prunes");
    assert_eq!((again.deleted.len(), again.total_pruned), (0, 2));
    drop(writer);
    let (writer, report) = Writer::open(config(dir.path())).expect("opens");
    assert_eq!(
        (report.first_seq, report.next_seq, report.problems),
        (21, 53, vec![])
    );
    writer.close().expect("closes");
    assert!(
        verify(dir.path(), &mut |_| {})
            .expect("verifies")
            .is_whole()
    );
    // Without its RETENTION file the same log misses its beginning.
    fs::remove_file(dir.path().join(directory::RETENTION_FILE)).expect("removes");
    let report = verify(dir.path(), &mut |_| {}).expect("verifies");
    assert_eq!(report.problems[0].class, Class::MissingSegment);
}

/// Whoever watches sees how far the verifying of what goes has come.
#[test]
fn progress_reaches_its_end() {
    let (dir, _writer) = log(5, 0);
    let limits = all_but(3, dir.path());
    let mut seen = Vec::new();
    let mut watch = |done, total| seen.push((done, total));
    let done = prune_watched(dir.path(), &limits, None, true, &mut watch).expect("prunes");
    assert_eq!(seen.len(), done.deleted.len() + 1);
    assert!(seen.is_sorted() && seen[0].0 == 0);
    assert_eq!(seen.last(), Some(&(done.bytes, done.bytes)));
}

/// W12: a segment that does not verify is never deleted: it is in quarantine, counted, and the rest
/// goes as it should.
#[test]
fn damage_is_never_deleted() {
    let (dir, _writer) = log(5, 0);
    let victim = dir.path().join(directory::segment_name(2));
    let mut bytes = fs::read(&victim).expect("reads");
    bytes[128 + 80] ^= 1;
    fs::write(&victim, &bytes).expect("writes");
    let done = prune(dir.path(), &all_but(3, dir.path()), None, true).expect("prunes");
    let name = directory::segment_name(2);
    assert_eq!(
        (done.deleted.len(), done.quarantined),
        (2, vec![name.clone()])
    );
    assert_eq!((done.total_pruned, done.total_quarantined), (3, 1));
    let kept = fs::read(dir.path().join("quarantine").join(name)).expect("is kept");
    assert_eq!(kept, bytes);
    let report = verify(dir.path(), &mut |_| {}).expect("verifies");
    assert_eq!((report.problems, report.first_seq), (vec![], 31));
}

/// W13: what goes by age follows monotonic time; a receive clock that steps by an hour in the middle
/// of the log changes nothing.
#[test]
fn a_clock_step_changes_nothing() {
    let mut outcomes = Vec::new();
    for step_s in [0_i64, 3600, -3600] {
        let (dir, _writer) = log(4, step_s * 1_000_000_000);
        let limits = Limits {
            max_age_s: 1000,
            ..Limits::default()
        };
        let boot_id = boot_id().expect("reads");
        let mono_ns = clock_ns(ClockId::Monotonic);
        let mut counts = Vec::new();
        for later_s in [900, 1001] {
            let now = Moment {
                boot_id,
                mono_ns: mono_ns + later_s * SECOND_NS,
            };
            let done = prune_on(&RealDisk, dir.path(), &limits, None, true, now);
            counts.push(done.expect("prunes").deleted);
        }
        outcomes.push(counts);
    }
    assert_eq!(outcomes[0][0], Vec::<String>::new());
    assert_eq!(outcomes[0][1].len(), 4);
    assert!(
        outcomes.iter().all(|outcome| *outcome == outcomes[0]),
        "{outcomes:?}"
    );
}

/// Pins hold; one beyond its cap is marked before it is passed; the books' pin is waited for; the
/// newest SESSION record stays; a pin that cannot be read stops everything.
#[test]
fn pins_and_the_session_hold() {
    let (dir, mut writer) = log(4, 0);
    let limits = |needs_book_pin| Limits {
        max_bytes: 1,
        needs_book_pin,
        ..Limits::default()
    };
    let round = |limits: &Limits| prune(dir.path(), limits, None, true).expect("prunes");
    assert_eq!(round(&limits(true)).held, Some(Held::NoBookPin));
    write_pin(dir.path(), &pin(BOOK_PIN, 30)).expect("writes");
    write_pin(dir.path(), &pin("west", 10)).expect("writes");
    let done = round(&limits(true));
    assert_eq!(
        (done.first_seq, done.held),
        (11, Some(Held::Pin("west".into())))
    );
    let capped = Pin {
        retain_max_bytes: 100,
        ..pin("west", 10)
    };
    write_pin(dir.path(), &capped).expect("writes");
    let done = round(&limits(true));
    assert_eq!(
        (done.first_seq, &done.lost[..]),
        (31, &["west".to_owned()][..])
    );
    assert_eq!(done.held, Some(Held::Pin(BOOK_PIN.into())));
    assert!(read_pins(dir.path()).expect("reads")[1].lost);

    // Everything is acknowledged, and the next writer needs the newest SESSION record all the same.
    for _ in 0..2 {
        (0..10).for_each(|_| append(&mut writer, kind::DATA, 1));
        writer.seal().expect("seals");
    }
    write_pin(dir.path(), &pin(BOOK_PIN, 1000)).expect("writes");
    let done = round(&limits(true));
    assert_eq!((done.first_seq, done.held), (41, Some(Held::Resume)));
    append(&mut writer, kind::SESSION, 1);
    append(&mut writer, kind::DATA, 1);
    writer.flush().expect("writes");
    let done = round(&limits(true));
    assert_eq!((done.first_seq, done.held), (63, None));

    fs::write(dir.path().join("pins/east.json"), b"?").expect("writes");
    let error = prune(dir.path(), &limits(true), None, true).expect_err("unknown needs");
    assert!(error.to_string().contains("bad_pin"), "{error}");
}

/// A round takes a few segments, reads no more than these, and says that more may go; in the end all
/// is gone that may go, and a held segment is no "more".
#[test]
fn a_bounded_round_takes_a_few() {
    let (dir, _writer) = log(7, 0);
    // Damage beyond the round is not met yet.
    let victim = dir.path().join(directory::segment_name(5));
    let mut bytes = fs::read(&victim).expect("reads");
    bytes[128 + 80] ^= 1;
    fs::write(&victim, bytes).expect("writes");
    let limits = Limits {
        max_bytes: 1,
        ..Limits::default()
    };
    write_pin(dir.path(), &pin("west", 60)).expect("writes");
    let mut rounds = Vec::new();
    for _ in 0..4 {
        let done = prune_some(dir.path(), &limits, 2).expect("prunes");
        rounds.push((done.first_seq, done.quarantined.len(), done.more));
    }
    let expected = [(21, 0, true), (41, 0, true), (61, 1, false), (61, 0, false)];
    assert_eq!(rounds, expected);
    assert_eq!(read_all(dir.path())[0], 61);
}

/// Pins that are written or made while segments are read count: what was acknowledged meanwhile stays
/// acknowledged beside `lost`, and a new reader's records stay.
#[test]
fn pins_written_meanwhile_count() {
    let limits = Limits {
        max_bytes: 1,
        ..Limits::default()
    };
    let capped = |acked_seq| Pin {
        retain_max_bytes: 100,
        ..pin("west", acked_seq)
    };
    let now = now().expect("a moment");
    let begin = |dir: &Path| {
        write_pin(dir, &capped(5)).expect("writes");
        let round = Round::begin(dir, &limits, None, usize::MAX, now).expect("begins");
        assert_eq!(round.decision.prune, 4);
        round.verify(&mut |_, _| {}).expect("reads")
    };
    let (dir, _writer) = log(4, 0);
    let round = begin(dir.path());
    write_pin(dir.path(), &capped(25)).expect("writes");
    write_pin(dir.path(), &pin("new", 30)).expect("writes");
    let done = round.finish(&RealDisk).expect("prunes");
    assert_eq!(
        (done.first_seq, &done.lost[..]),
        (31, &["west".to_owned()][..])
    );
    let expected = Pin {
        lost: true,
        ..capped(25)
    };
    assert_eq!(
        read_pins(dir.path()).expect("reads"),
        [pin("new", 30), expected]
    );

    // One that has caught up is not lost at all.
    let (dir, _writer) = log(4, 0);
    let round = begin(dir.path());
    write_pin(dir.path(), &capped(40)).expect("writes");
    let done = round.finish(&RealDisk).expect("prunes");
    assert_eq!((done.first_seq, done.lost.len()), (41, 0));
    assert_eq!(read_pins(dir.path()).expect("reads"), [capped(40)]);
}

/// A power cut or a failing operation at any point of a round: the log is whole before and after the
/// next round, nothing above the mark is gone, damage is still in quarantine.
#[test]
fn an_interrupted_round_is_finished() {
    let home = || {
        let (dir, writer) = log(5, 0);
        drop(writer);
        Writer::open(config(dir.path()))
            .expect("opens")
            .0
            .close()
            .expect("closes");
        let victim = dir.path().join(directory::segment_name(2));
        let mut bytes = fs::read(&victim).expect("reads");
        bytes[128 + 80] ^= 1;
        fs::write(&victim, &bytes).expect("writes");
        dir
    };
    let now = Moment {
        boot_id: [0; 16],
        mono_ns: 0,
    };
    let limits = all_but(3, home().path());
    let round = |disk: &RecordingDisk, dir: &Path| prune_on(disk, dir, &limits, None, true, now);
    let finished = |dir: &Path, context: &str| {
        let seqs = read_all(dir);
        let expected: Vec<u64> = (seqs[0]..=52).collect();
        assert_eq!(seqs, expected, "{context}");
        prune_on(&RealDisk, dir, &limits, None, true, now).expect("prunes");
        let report = verify(dir, &mut |_| {}).expect("verifies");
        assert_eq!(report.problems, [], "{context}");
        assert_eq!(read_all(dir)[0], report.first_seq, "{context}");
        assert!(
            dir.join("quarantine")
                .join(directory::segment_name(2))
                .exists(),
            "{context}"
        );
        assert_eq!(
            directory::list(dir).expect("lists").condemned.len(),
            0,
            "{context}"
        );
    };
    for cut in [Cut::Ordered, Cut::Chaotic] {
        let dir = home();
        let disk = RecordingDisk::with_existing(dir.path());
        let before = disk.len();
        round(&disk, dir.path()).expect("prunes");
        for ops in before..=disk.len() {
            let image = scratch();
            disk.cut(ops, cut, ops as u64, dir.path(), image.path());
            // Sequence 12 to 20 is behind the damage until the mark stands.
            if directory::list(image.path()).expect("lists").pruned == MarkView::Absent {
                continue;
            }
            finished(
                image.path(),
                &format!("{cut:?} after {} operations", ops - before),
            );
        }
    }
    for at in 0.. {
        let dir = home();
        let disk = RecordingDisk::with_existing(dir.path());
        let (how, persistent) = (How::Errno(EIO), false);
        disk.fail(Fault {
            at,
            how,
            persistent,
        });
        match round(&disk, dir.path()) {
            Ok(_) => {
                assert!(at > 8, "{at}");
                break;
            }
            Err(_) if directory::list(dir.path()).expect("lists").pruned == MarkView::Absent => {}
            Err(_) => finished(dir.path(), &format!("operation {at} failed")),
        }
    }
}

/// A RETENTION file that is not what was written is named; only a repair goes on without it.
#[test]
fn a_damaged_mark_is_named() {
    use crate::recovery::RecoveryMode;
    let (dir, writer) = log(4, 0);
    prune(dir.path(), &all_but(3, dir.path()), None, true).expect("prunes");
    writer.close().expect("closes");
    let path = dir.path().join(directory::RETENTION_FILE);
    let mut bytes = fs::read(&path).expect("reads");
    for byte in 0..bytes.len() {
        bytes[byte] ^= 16;
        fs::write(&path, &bytes).expect("writes");
        let report = verify(dir.path(), &mut |_| {}).expect("verifies");
        assert_eq!(report.problems[0].class, Class::BadRetention, "byte {byte}");
        bytes[byte] ^= 16;
    }
    assert!(matches!(
        Writer::open(config(dir.path())),
        Err(JournalError::Refused { .. })
    ));
    let opened = Writer::open_with(config(dir.path()), RecoveryMode::PointInTime);
    let (writer, report) = opened.expect("opens");
    assert_eq!(
        (report.first_seq, report.next_seq, report.hole),
        (21, 43, None)
    );
    writer.close().expect("closes");
    assert!(
        verify(dir.path(), &mut |_| {})
            .expect("verifies")
            .is_whole()
    );
}

const EIO: i32 = 5;
