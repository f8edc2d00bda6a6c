//! The n-th call fails, once or for ever, for every n of a writer's life (R09).

use std::path::Path;

use crate::crash_tests::{append, assert_readable, scratch};
use crate::directory;
use crate::disk::RealDisk;
use crate::disk::recording::{Call, Cut, Fault, How, Random, RecordingDisk};
use crate::error::JournalError;
use crate::policy::SyncPolicy;
use crate::reader::Reader;
use crate::recovery::RecoveryMode;
use crate::verify::verify;
use crate::writer::{Condition, Event, Writer, WriterConfig};

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;
const SECOND: u64 = 1_000_000_000;
const SEED: u64 = 9;

fn config(dir: &Path, sync: SyncPolicy) -> WriterConfig {
    WriterConfig::new(dir, 16 * 1024, sync, 1)
}

fn batch() -> SyncPolicy {
    SyncPolicy::Batch {
        bytes: 8192,
        records: 40,
        ms: 5,
    }
}

fn open(disk: &RecordingDisk, dir: &Path, sync: SyncPolicy) -> Result<Writer, JournalError> {
    let disk = Box::new(disk.clone());
    Writer::open_on(disk, config(dir, sync), RecoveryMode::Tail).map(|(writer, _)| writer)
}

/// One of the things that a caller does; what cannot be done now is tried again later, as rx does.
fn step(writer: &mut Writer, random: &mut Random, now_ns: &mut u64) {
    let result = match random.below(20) {
        0..14 => append(writer).map(|_| ()),
        14..17 => {
            *now_ns += random.below(400_000_000);
            writer.poll(*now_ns).map(|_| ())
        }
        17 => writer.flush(),
        18 => writer.sync(),
        _ if random.below(4) == 0 => writer.seal(),
        _ => {
            let next = writer.next_seq();
            let hole = writer.append_hole(next, next + random.below(5), 1);
            hole.map(|_| ())
        }
    };
    assert!(
        matches!(result, Ok(()) | Err(JournalError::Stalled { .. })),
        "{result:?}"
    );
}

/// What a life with a fault came to.
struct Life {
    disk: RecordingDisk,
    home: tempfile::TempDir,
    /// The last close failed.
    closed_badly: bool,
}

/// A writer's life with a fault in it; the fault is mended before the end.
fn live(sync: SyncPolicy, fault: Option<Fault>, context: &str) -> Life {
    let home = scratch();
    let disk = RecordingDisk::new();
    if let Some(fault) = fault {
        disk.fail(fault);
    }
    let mut random = Random(SEED);
    let mut opened_late = false;
    let mut writer = open(&disk, home.path(), sync).unwrap_or_else(|error| {
        assert!(
            matches!(error, JournalError::Io { .. }),
            "{context}: {error}"
        );
        opened_late = true;
        disk.mend();
        open(&disk, home.path(), sync).unwrap_or_else(|error| panic!("{context}: {error}"))
    });
    let mut now_ns = SECOND;
    let mut was_seen = opened_late;
    for _ in 0..360 {
        step(&mut writer, &mut random, &mut now_ns);
        disk.acknowledge(writer.watermarks().durable);
        was_seen |= see_failure(&mut writer, &disk, fault, context);
    }
    if disk.failed_call().is_some() && is_an_error(fault) {
        assert!(was_seen, "{context}: nobody was told");
    }
    let lasts = |fault: &Fault| fault.persistent && is_an_error(Some(*fault)) && !opened_late;
    if let Some(fault) = fault.filter(lasts) {
        check_condition(writer.condition(), fault, disk.failed_call(), context);
    }
    if fault.is_some_and(|fault| fault.at.is_multiple_of(5)) {
        assert_survives_a_cut(&disk, home.path(), sync, context);
    }
    let in_the_loop = disk.failed_call().is_some();
    if in_the_loop {
        disk.mend();
        for _ in 0..3 {
            now_ns += SECOND + 1;
            writer.poll(now_ns).expect("it has not halted");
        }
        let events: Vec<_> = std::iter::from_fn(|| writer.take_event()).collect();
        let condition = writer.condition();
        assert_eq!(condition, Condition::Healthy, "{context}: {events:?}");
        append(&mut writer).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(writer.counters().acked_loss, 0, "{context}");
    }
    let last_seq = writer.next_seq() - 1;
    let closed = writer.close();
    if closed.is_ok() {
        disk.acknowledge(last_seq);
    }
    Life {
        disk,
        home,
        closed_badly: closed.is_err(),
    }
}

/// An interrupted call and a short write are nothing that anybody needs to hear of, once.
fn is_an_error(fault: Option<Fault>) -> bool {
    fault.is_some_and(|fault| !matches!(fault.how, How::Errno(EINTR) | How::Short))
}

/// Takes the writer's events; true when they or the counters tell of a failure.
fn see_failure(
    writer: &mut Writer,
    disk: &RecordingDisk,
    fault: Option<Fault>,
    context: &str,
) -> bool {
    let counters = *writer.counters();
    let is_new = counters.write_errors + counters.prepare_errors > 0;
    assert!(
        !is_new || disk.failed_call().is_some(),
        "{context}: a failure from nowhere"
    );
    if let Some(Fault {
        how: How::Short,
        persistent: false,
        ..
    }) = fault
    {
        assert!(!is_new, "{context}: a short write is no failure");
    }
    while let Some(event) = writer.take_event() {
        assert!(
            matches!(event, Event::Failed { .. } | Event::Reopened { .. }),
            "{context}: {event:?}, though the device keeps what it has synced"
        );
    }
    is_new
}

/// A fault that lasts shows as what it is, where the call is one that writing needs.
fn check_condition(condition: Condition, fault: Fault, call: Option<Call>, context: &str) {
    let How::Errno(errno) = fault.how else { return };
    if !matches!(call, Some(Call::Write | Call::Sync)) {
        return;
    }
    let expected: &[Condition] = match errno {
        ENOSPC | EDQUOT => &[Condition::Full],
        EROFS => &[Condition::ReadOnly],
        _ => &[Condition::Reopening, Condition::Degraded],
    };
    assert!(expected.contains(&condition), "{context}: {condition:?}");
}

/// What was acknowledged is there after a power cut at any moment, and the log goes on.
fn assert_survives_a_cut(disk: &RecordingDisk, home: &Path, sync: SyncPolicy, context: &str) {
    let image = scratch();
    let seed = context.len() as u64 ^ disk.len() as u64;
    let ops = disk.len() - Random(seed).below(disk.len() as u64 / 4 + 1) as usize;
    disk.cut(ops, Cut::Ordered, seed, home, image.path());
    let context = format!("{context}, cut after {ops} of {} operations", disk.len());
    assert_readable(image.path(), disk.acknowledged(ops), &context);
    let opened = Writer::open_on(
        Box::new(RealDisk),
        config(image.path(), sync),
        RecoveryMode::Tail,
    );
    let (mut writer, _) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    append(&mut writer).expect("appends");
    writer.close().expect("closes");
    assert_whole(image.path(), &context);
}

/// Verifies, and every sequence is there or spent by a hole of the caller's.
fn assert_whole(dir: &Path, context: &str) {
    let report = verify(dir, &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, [], "{context}");
    let mut reader = Reader::open(dir).expect("opens");
    while let Some(entry) = reader
        .next()
        .unwrap_or_else(|error| panic!("{context}: {error}"))
    {
        if let Some(hole) = crate::kind::JournalHole::decode(entry.record.payload)
            .filter(|_| entry.record.kind == crate::kind::JOURNAL_HOLE)
        {
            assert_eq!(hole.reason, 1, "{context}: {hole:?}");
        }
    }
    assert_eq!(reader.position(), report.last_seq + 1, "{context}");
}

fn survive(sync: SyncPolicy, fault: Fault) {
    let context = format!("{} {fault:?}", sync.name());
    let life = live(sync, Some(fault), &context);
    let dir = life.home.path();
    let context = format!("{context} on {:?}", life.disk.failed_call());
    let acknowledged = life.disk.acknowledged(life.disk.len());
    assert_readable(dir, acknowledged, &context);
    let state = directory::read_state(dir).expect("reads").current;
    let clean = state.is_some_and(|state| state.clean);
    if life.closed_badly && clean {
        // The sync of the mark itself has failed, or the mark is a lie.
        let last = directory::list(dir).expect("lists").segments.pop();
        assert!(last.expect("a segment").seal.is_some(), "{context}");
    } else {
        assert_eq!(clean, !life.closed_badly, "{context}");
    }
    life.disk.mend();
    let mut writer =
        open(&life.disk, dir, sync).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(writer.next_seq() > acknowledged, "{context}");
    append(&mut writer).expect("appends");
    writer.close().expect("closes");
    assert_whole(dir, &context);
}

/// Calls of a life without a fault.
fn calls(sync: SyncPolicy) -> usize {
    live(sync, None, "no fault").disk.calls()
}

/// `TICKDECK_FAULT_FROM`: the first call to fail.
fn first() -> usize {
    env("TICKDECK_FAULT_FROM", 0)
}

/// `TICKDECK_FAULT_STRIDE`: each so many calls fail, one life each.
fn stride() -> usize {
    env("TICKDECK_FAULT_STRIDE", 1).max(1)
}

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Every call of a life fails, once and from then on, in every way: nothing acknowledged is lost,
/// the failure shows, a file that failed is left alone, and the log is whole when the fault is gone.
#[test]
fn every_call_may_fail() {
    let sync = batch();
    let total = calls(sync);
    assert!(total > 300, "{total} calls");
    for at in (first()..total).step_by(stride()) {
        for persistent in [false, true] {
            // The two ways of being full share one path of the code.
            let full = if at % 2 == 0 { ENOSPC } else { EDQUOT };
            for errno in [EIO, full, EINTR] {
                let how = How::Errno(errno);
                survive(
                    sync,
                    Fault {
                        at,
                        how,
                        persistent,
                    },
                );
            }
            let how = How::Short;
            survive(
                sync,
                Fault {
                    at,
                    how,
                    persistent,
                },
            );
        }
    }
}

/// The same under the other policies, at every eleventh call.
#[test]
fn every_policy_survives() {
    for sync in [
        SyncPolicy::Os,
        SyncPolicy::Always,
        SyncPolicy::Interval { ms: 50 },
    ] {
        for at in (0..calls(sync)).step_by(11) {
            for (errno, persistent) in [(EIO, false), (EIO, true), (ENOSPC, true), (EROFS, true)] {
                let how = How::Errno(errno);
                survive(
                    sync,
                    Fault {
                        at,
                        how,
                        persistent,
                    },
                );
            }
        }
    }
}
