//! A reader follows a log that is being written.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_journal::{Class, JournalError, Reader, SyncPolicy, Writer};

use crate::support::*;

/// A reader in another thread sees every record once and in order, across many rotations, restarts
/// and holes, never an error; a verification beside it finds nothing wrong.
#[test]
fn a_reader_follows_a_writer() {
    const TOTAL: u64 = 60_000;
    let dir = scratch();
    let mut config = config(dir.path(), 100_000);
    config.sync = SyncPolicy::Os;
    let mut writer = Writer::open(config.clone()).expect("opens").0;
    let done = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut reader = Reader::open(dir.path()).expect("opens");
            let mut seqs = Vec::new();
            loop {
                let ended = done.load(Ordering::Acquire);
                seqs.extend(read_on(&mut reader).expect("follows"));
                seen.store(seqs.len() as u64, Ordering::Release);
                if ended {
                    return seqs;
                }
            }
        });
        let verifier = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Acquire) {
                assert_eq!(check(dir.path()).problems, []);
                looks += 1;
            }
            looks
        });
        for step in 0..TOTAL / 10 {
            fill(&mut writer, 10, (step % 97) as usize);
            writer.poll(step * 400_000).expect("polls");
            if step % 1500 == 1499 {
                writer.flush().expect("writes");
                drop(writer);
                writer = Writer::open(config.clone()).expect("opens").0;
            }
        }
        writer.close().expect("closes");
        done.store(true, Ordering::Release);
        let seqs = follower.join().expect("follows");
        assert_eq!(seqs, (1..=TOTAL).collect::<Vec<_>>());
        assert!(verifier.join().expect("verifies") > 0);
    });
    assert_eq!(check(dir.path()).records, TOTAL);
}

/// Written records become visible within the write delay, without a sync.
#[test]
fn written_is_visible_and_appended_is_not() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    let mut reader = Reader::open(dir.path()).expect("opens");
    fill(&mut writer, 5, 20);
    assert_eq!(read_on(&mut reader).expect("reads"), Vec::<u64>::new());
    writer.flush().expect("writes");
    assert_eq!(read_on(&mut reader).expect("reads"), [1, 2, 3, 4, 5]);
    assert_eq!(read_on(&mut reader).expect("reads"), Vec::<u64>::new());
    assert_eq!(reader.unfinished_tail(), None);
}

/// A block that grows byte by byte is "end for now" until it is whole, then data: never an error,
/// never data before.
#[test]
fn a_half_written_block_is_the_end_for_now() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 3, 20);
    writer.flush().expect("writes");
    let before = fs::read(&segment_files(dir.path())[0]).expect("reads");
    fill(&mut writer, 3, 20);
    writer.flush().expect("writes");
    let file = segment_files(dir.path())[0].clone();
    let after = fs::read(&file).expect("reads");
    fs::write(&file, &before).expect("writes");
    let mut reader = Reader::open(dir.path()).expect("opens");
    assert_eq!(read_on(&mut reader).expect("reads"), [1, 2, 3]);
    let begin = 128 + 72 + 3 * 44 + 4;
    let end = begin + 72 + 3 * 44 + 4;
    let last_nonzero = after.iter().rposition(|byte| *byte != 0).expect("data");
    for cut in begin..end {
        let mut half = before.clone();
        half[begin..cut].copy_from_slice(&after[begin..cut]);
        fs::write(&file, half).expect("writes");
        let whole = cut > last_nonzero;
        let expected: &[u64] = if whole { &[4, 5, 6] } else { &[] };
        assert_eq!(
            read_on(&mut reader).expect("reads"),
            expected,
            "{} bytes",
            cut - begin
        );
        if whole {
            return;
        }
        let unfinished = reader.unfinished_tail().map(|problem| problem.class);
        let torn = (cut > begin).then_some(Class::TornTail);
        assert_eq!(unfinished, torn, "{} bytes", cut - begin);
    }
    panic!("the whole block was not read");
}

/// A reader at the end of a dead writer's torn tail goes on in the next segment once a new writer
/// has cut it.
#[test]
fn a_reader_survives_the_repair_of_a_torn_tail() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 3, 20);
    writer.flush().expect("writes");
    fill(&mut writer, 3, 20);
    writer.flush().expect("writes");
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let mut bytes = fs::read(&file).expect("reads");
    bytes[128 + 208 + 100] ^= 1;
    fs::write(&file, &bytes).expect("writes");
    let mut reader = Reader::open(dir.path()).expect("opens");
    assert_eq!(read_on(&mut reader).expect("reads"), [1, 2, 3]);
    let mut writer = open(dir.path(), SMALL);
    assert_eq!(read_on(&mut reader).expect("reads"), Vec::<u64>::new());
    fill(&mut writer, 2, 30);
    writer.close().expect("closes");
    assert_eq!(read_on(&mut reader).expect("reads"), [4, 5]);
}

/// Damage in the block at the end becomes an error as soon as the writer has gone past it.
#[test]
fn damage_is_not_the_end_for_long() {
    let dir = scratch();
    let mut writer = open(dir.path(), 1 << 20);
    fill(&mut writer, 3, 20);
    writer.flush().expect("writes");
    let file = segment_files(dir.path())[0].clone();
    let mut reader = Reader::open(dir.path()).expect("opens");
    flip(&file, 128 + 100, 0);
    assert_eq!(read_on(&mut reader).expect("reads"), Vec::<u64>::new());
    // Enough for a block on a grid edge behind the damage.
    fill(&mut writer, 3000, 50);
    writer.flush().expect("writes");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match reader.next() {
            Err(JournalError::Damaged(problem)) => {
                assert_eq!((problem.class, problem.from), (Class::BadPayload, Some(1)));
                break;
            }
            Ok(None) => assert!(Instant::now() < deadline, "the damage passes for the end"),
            other => panic!("{other:?}"),
        }
    }
}
