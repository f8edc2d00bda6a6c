//! When each policy writes and syncs, and what the watermarks promise.

use tickdeck_journal::{JournalError, SyncPolicy, Watermarks, Writer, WriterConfig};

use crate::support::*;

const MS: u64 = 1_000_000;

fn with_policy(dir: &std::path::Path, sync: SyncPolicy) -> Writer {
    Writer::open(WriterConfig::new(dir, 1 << 20, sync, 7))
        .expect("opens")
        .0
}

fn marks(appended: u64, written: u64, durable: u64) -> Watermarks {
    Watermarks {
        appended,
        written,
        durable,
    }
}

/// `os` writes after a millisecond and syncs only at a seal.
#[test]
fn os_syncs_at_the_seal_only() {
    let dir = scratch();
    let mut writer = with_policy(dir.path(), SyncPolicy::Os);
    fill(&mut writer, 3, 10);
    assert_eq!(writer.watermarks(), marks(3, 0, 0));
    assert_eq!(writer.poll(0).expect("polls").next_deadline_ns, Some(MS));
    assert_eq!(writer.watermarks(), marks(3, 0, 0));
    let progress = writer.poll(MS).expect("polls");
    assert!(progress.wrote && !progress.synced);
    assert_eq!(progress.watermarks, marks(3, 3, 0));
    assert_eq!(progress.next_deadline_ns, None, "nothing is due any more");
    writer.poll(60_000 * MS).expect("polls");
    assert_eq!(writer.watermarks().durable, 0);
    writer.seal().expect("seals");
    assert_eq!(writer.watermarks(), marks(3, 3, 3));
}

/// `interval` of 50 ms under a second of load syncs 20 times, and not at all when idle.
#[test]
fn interval_syncs_by_time_under_load_and_never_when_idle() {
    let dir = scratch();
    let mut writer = with_policy(dir.path(), SyncPolicy::Interval { ms: 50 });
    for tick in 0..1000 {
        fill(&mut writer, 20, 30);
        writer.poll(tick * MS).expect("polls");
        let marks = writer.watermarks();
        assert!(marks.appended >= marks.written && marks.written >= marks.durable);
        assert!(
            marks.appended - marks.durable <= 20 * 51,
            "at most 50 ms are unsynced"
        );
    }
    let syncs = writer.counters().syncs;
    assert!((18..=22).contains(&syncs), "{syncs} syncs");
    writer.poll(1_050 * MS).expect("polls");
    let syncs = writer.counters().syncs;
    let mut durations = 0;
    writer.drain_sync_durations(|_| durations += 1);
    assert_eq!(durations, syncs);
    for tick in 1_051..5_000 {
        let progress = writer.poll(tick * MS).expect("polls");
        assert!(!progress.wrote && !progress.synced);
    }
    assert_eq!(writer.counters().syncs, syncs);
}

/// `batch` syncs at its first limit: bytes, records or age.
#[test]
fn batch_syncs_at_its_first_limit() {
    let policy = SyncPolicy::Batch {
        bytes: 100_000,
        records: 500,
        ms: 5,
    };
    let dir = scratch();
    let mut writer = with_policy(dir.path(), policy);
    fill(&mut writer, 499, 0);
    writer.poll(0).expect("polls");
    assert_eq!(writer.watermarks().durable, 0);
    fill(&mut writer, 1, 0);
    assert!(writer.poll(1).expect("polls").synced, "500 records");
    assert_eq!(writer.watermarks(), marks(500, 500, 500));

    fill(&mut writer, 99, 1000);
    fill(&mut writer, 1, 1000);
    assert!(writer.poll(2).expect("polls").synced, "100,000 bytes");

    fill(&mut writer, 1, 10);
    assert_eq!(
        writer.poll(10 * MS).expect("polls").next_deadline_ns,
        Some(11 * MS)
    );
    assert!(!writer.poll(15 * MS - 1).expect("polls").synced);
    assert!(writer.poll(15 * MS).expect("polls").synced, "5 ms");
    assert_eq!(writer.watermarks(), marks(601, 601, 601));
}

/// `batch` keeps its byte limit even when nobody polls.
#[test]
fn batch_syncs_in_append_when_nobody_polls() {
    let dir = scratch();
    let mut writer = with_policy(dir.path(), SyncPolicy::batch(5));
    fill(&mut writer, 4000, 200);
    let marks = writer.watermarks();
    assert!(marks.appended - marks.durable < 2500, "{marks:?}");
}

/// `always` has nothing written and unsynced after any call.
#[test]
fn always_syncs_each_block() {
    let dir = scratch();
    let mut writer = with_policy(dir.path(), SyncPolicy::Always);
    for tick in 0..300 {
        fill(&mut writer, 1, 900);
        let marks = writer.watermarks();
        assert_eq!(marks.written, marks.durable);
        if tick % 7 == 0 {
            let marks = writer.poll(tick).expect("polls").watermarks;
            assert_eq!(marks.durable, marks.appended);
        }
    }
}

/// The three verbs: flush writes, sync syncs, seal closes the segment.
#[test]
fn flush_sync_and_seal_are_three_things() {
    let dir = scratch();
    let mut writer = with_policy(dir.path(), SyncPolicy::Os);
    fill(&mut writer, 1, 10);
    writer.flush().expect("writes");
    assert_eq!(writer.watermarks(), marks(1, 1, 0));
    fill(&mut writer, 1, 10);
    writer.sync().expect("syncs");
    assert_eq!(writer.watermarks(), marks(2, 2, 2));
    assert_eq!(segment_files(dir.path()).len(), 1);
    writer.seal().expect("seals");
    writer.seal().expect("an empty segment stays");
    assert_eq!(segment_files(dir.path()).len(), 2);
    assert_eq!(
        (writer.counters().rotations, writer.counters().segments),
        (1, 2)
    );
}

/// A segment with records is sealed at its age, counted from its first record; an empty one stays.
#[test]
fn a_segment_is_sealed_at_its_age() {
    let dir = scratch();
    let mut config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::Os, 7);
    config.segment_max_age_ms = 200;
    let mut writer = Writer::open(config).expect("opens").0;
    for tick in 0..1000 {
        writer.poll(tick * MS).expect("polls");
    }
    assert_eq!(writer.counters().rotations, 0, "no record, no age");
    fill(&mut writer, 1, 10);
    writer.poll(1_000 * MS).expect("polls");
    fill(&mut writer, 1, 10);
    let progress = writer.poll(1_100 * MS).expect("polls");
    assert_eq!(progress.next_deadline_ns, Some(1_200 * MS));
    writer.poll(1_200 * MS - 1).expect("polls");
    assert_eq!(writer.counters().rotations, 0);
    fill(&mut writer, 1, 10);
    let progress = writer.poll(1_200 * MS).expect("polls");
    assert_eq!(progress.watermarks, marks(3, 3, 3), "sealed and durable");
    assert_eq!(writer.counters().rotations, 1);
    for tick in 1_201..3_000 {
        writer.poll(tick * MS).expect("polls");
    }
    assert_eq!(writer.counters().rotations, 1, "the new one is empty");
    fill(&mut writer, 1, 10);
    writer.poll(3_000 * MS).expect("polls");
    writer.seal().expect("seals");
    fill(&mut writer, 1, 10);
    writer.poll(3_150 * MS).expect("polls");
    writer.poll(3_210 * MS).expect("polls");
    assert_eq!(writer.counters().rotations, 2, "a seal starts the age anew");
    writer.poll(3_350 * MS).expect("polls");
    assert_eq!(writer.counters().rotations, 3);
    writer.close().expect("closes");
    assert_eq!(check(dir.path()).problems, []);
    assert_eq!(segment_files(dir.path()).len(), 4);
}

/// Names, limits and the words on the worst loss.
#[test]
fn policies_are_checked() {
    for name in ["os", "interval", "batch", "always"] {
        let policy = SyncPolicy::from_name(name, 50).expect("known");
        assert_eq!(policy.name(), name);
        assert!(!policy.worst_loss().is_empty());
    }
    assert_eq!(
        SyncPolicy::from_name("batch", 5).expect("known"),
        SyncPolicy::default()
    );
    for (name, ms) in [
        ("interval", 0),
        ("batch", 0),
        ("interval", 10_001),
        ("safe", 5),
        ("", 5),
    ] {
        let refused = SyncPolicy::from_name(name, ms);
        assert!(
            matches!(refused, Err(JournalError::BadSetting { .. })),
            "{name} {ms}"
        );
    }
    let dir = scratch();
    let bad = SyncPolicy::Batch {
        bytes: 0,
        records: 1,
        ms: 5,
    };
    assert!(Writer::open(WriterConfig::new(dir.path(), SMALL, bad, 7)).is_err());
}
