//! A full file system (R11).

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tickdeck_journal::{
    Condition, JournalError, Reader, SyncPolicy, Writer, WriterConfig, kind, verify,
};

use crate::mounts::{Mount, may_mount};
use crate::writing::{Caller, REASON, payload, promised};

/// A tmpfs of 32 MB fills up: the writer says FULL within a second of the first refusal, keeps what
/// memory holds, comes back by itself within five seconds of the space, and a hole tells exactly
/// what was refused meanwhile.
#[test]
fn a_full_file_system_is_survived() {
    if !may_mount("a_full_file_system_is_survived") {
        return;
    }
    let home = TempDir::new().expect("a directory");
    let mount = Mount::tmpfs(&home.path().join("small"), "32m");
    let ballast = mount.path().join("ballast");
    fs::write(&ballast, vec![1; 16 << 20]).expect("writes");
    let dir = mount.path().join("log");
    let config = WriterConfig::new(&dir, 1 << 20, SyncPolicy::batch(5), 1);
    let (writer, _) = Writer::open(config).expect("opens");
    let mut caller = Caller::new(writer, 1400);
    let deadline = Instant::now() + Duration::from_secs(60);
    while caller.refused < 2000 {
        caller.offer();
        caller.poll();
        assert!(Instant::now() < deadline, "it does not fill up");
    }
    assert_eq!(caller.writer.condition(), Condition::Full);
    let durable = caller.writer.watermarks().durable;
    assert!(caller.writer.unsynced_bytes() > 3 << 20, "memory is used");

    fs::remove_file(&ballast).expect("removes");
    let freed = Instant::now();
    while caller.writer.condition() != Condition::Healthy {
        caller.poll();
        assert!(
            freed.elapsed() < promised(Duration::from_secs(5)),
            "it has to come back by itself"
        );
        std::thread::yield_now();
    }
    let took = freed.elapsed();
    for _ in 0..100 {
        caller.offer();
    }
    let Caller { writer, holes, .. } = caller;
    let last_seq = writer.next_seq() - 1;
    writer.close().expect("closes");
    assert!(last_seq > durable);
    eprintln!("came back {took:?} after the space did");
    let lost: u64 = holes.iter().map(|(from, to)| to - from + 1).sum();
    assert!(lost >= 2000, "{holes:?}");
    assert_eq!(verify(&dir, &mut |_| {}).expect("verifies").problems, []);
    assert_holds(&dir, last_seq, &holes).expect("whole");
}

/// Every sequence is there with its bytes, or in one of the holes.
fn assert_holds(
    dir: &std::path::Path,
    last_seq: u64,
    holes: &[(u64, u64)],
) -> Result<(), JournalError> {
    let mut reader = Reader::open(dir)?;
    let (mut next_seq, mut found) = (1, Vec::new());
    while let Some(entry) = reader.next()? {
        assert_eq!(entry.seq, next_seq);
        next_seq += 1;
        if entry.record.kind == kind::JOURNAL_HOLE {
            let hole = kind::JournalHole::decode(entry.record.payload).expect("a hole");
            assert_eq!(hole.reason, REASON);
            found.push((hole.from, hole.to));
            next_seq = hole.to + 1;
            continue;
        }
        assert_eq!(entry.record.payload, payload(entry.seq, 1400));
    }
    assert_eq!((next_seq, found.as_slice()), (last_seq + 1, holes));
    Ok(())
}
