//! A writer at full speed, readers that fall behind, and a writer that is killed.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_ring::{Read, Reader, RecordHeader, RingConfig, Writer};

/// Every record that readers in other mappings get is whole: its checksum holds and its sequence is
/// the one asked for. What they do not get is told as lapped, so that both add up to all.
#[test]
fn records_are_whole_or_lapped() {
    const RECORDS: u64 = 400_000;
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("ring");
    let mut writer = Writer::create(path, &config(16)).unwrap();
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3u64)
            .map(|pace| scope.spawn(move || follow(path, pace, done)))
            .collect();
        for seq in 1..=RECORDS {
            let (header, payload, length) = record(seq);
            assert_eq!(writer.publish(&header, &payload[..length]).unwrap(), seq);
        }
        done.store(true, Relaxed);
        for reader in readers {
            let seen = reader.join().unwrap();
            assert_eq!(seen.whole + seen.lost, RECORDS, "{seen:?}");
            assert!(
                seen.whole >= 16,
                "at least the last round of the ring: {seen:?}"
            );
        }
    });
}

/// A reader that is never further behind than half the ring gets every record: what the head has
/// passed is whole, so nothing is told as lapped that was not.
#[test]
fn who_keeps_up_is_never_lapped() {
    const RECORDS: u64 = 300_000;
    const SLOTS: u64 = 64;
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("ring");
    let mut writer = Writer::create(path, &config(SLOTS as u32)).unwrap();
    let read_to = &AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let reader = Reader::open(path).unwrap();
            let mut payload = vec![0; reader.slot_bytes()];
            for seq in 1..=RECORDS {
                // Mostly without a pause, so that the moment of publication is met.
                let mut rounds = 0;
                let header = loop {
                    match reader.read(seq, &mut payload) {
                        Read::NotYet if rounds < 1_000 => rounds += 1,
                        Read::NotYet => thread::yield_now(),
                        Read::Record { header, .. } => break header,
                        Read::Lapped { .. } => {
                            read_to.store(u64::MAX / 2, Release);
                            panic!("{seq} is told as lapped");
                        }
                    }
                };
                assert_eq!(header.venue_seq, seq);
                read_to.store(seq, Release);
            }
        });
        for seq in 1..=RECORDS {
            while seq > read_to.load(Acquire) + SLOTS / 2 {
                thread::yield_now();
            }
            let header = RecordHeader {
                venue_seq: seq,
                ..RecordHeader::default()
            };
            writer.publish(&header, &[7; CAPACITY]).unwrap();
        }
    });
}

/// A writer that is killed in the middle leaves a ring that opens: every record before the head is
/// whole or lapped, none behind it is there.
#[test]
fn the_ring_of_a_killed_writer_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring");
    for _ in 0..5 {
        let mut child = spawn_writer(&path);
        wait_for("records of the child", || {
            Reader::open(&path).is_ok_and(|reader| reader.next_seq() > 10_000)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let reader = Reader::open(&path).unwrap();
        let (oldest, head) = (reader.oldest_seq(), reader.next_seq());
        let mut payload = vec![0; reader.slot_bytes()];
        for seq in oldest..head {
            match reader.read(seq, &mut payload) {
                Read::Record { header, len } => check(seq, header, &payload[..len]),
                // The slot that the writer was in when it died.
                Read::Lapped { .. } => assert_eq!(seq, oldest),
                Read::NotYet => panic!("{seq} is before the head {head}"),
            }
        }
        assert_eq!(reader.read(head, &mut payload), Read::NotYet);
        assert_eq!(reader.next_seq(), head);
        std::fs::remove_file(&path).unwrap();
    }
}

/// The process that the test above kills.
#[test]
#[ignore = "runs for ever; started by the_ring_of_a_killed_writer_is_readable"]
fn endless_writer() {
    let path = std::env::var("TICKDECK_TEST_RING").unwrap();
    let mut writer = Writer::create(Path::new(&path), &config(64)).unwrap();
    for seq in 1.. {
        let (header, payload, length) = record(seq);
        writer.publish(&header, &payload[..length]).unwrap();
    }
}

#[derive(Debug, Default)]
struct Seen {
    whole: u64,
    lost: u64,
}

/// Reads to the end; `pace` slows the reader down so that it is lapped.
fn follow(path: &Path, pace: u64, done: &AtomicBool) -> Seen {
    let reader = Reader::open(path).unwrap();
    let mut payload = vec![0; reader.slot_bytes()];
    let (mut seq, mut seen) = (1, Seen::default());
    loop {
        let is_done = done.load(Relaxed);
        match reader.read(seq, &mut payload) {
            Read::Record { header, len } => {
                check(seq, header, &payload[..len]);
                seen.whole += 1;
                seq += 1;
            }
            Read::Lapped { oldest_seq } => {
                assert!(oldest_seq > seq, "a lapped reader gets ahead");
                seen.lost += oldest_seq - seq;
                seq = oldest_seq;
            }
            Read::NotYet if is_done => return seen,
            Read::NotYet => thread::yield_now(),
        }
        for _ in 0..pace * 40 {
            std::hint::spin_loop();
        }
    }
}

/// Record `seq`: every field and byte follows from the sequence, and so does the length.
fn record(seq: u64) -> (RecordHeader, [u8; CAPACITY], usize) {
    let mix = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let header = RecordHeader {
        kind: seq as u8,
        line: mix as u8,
        stamp: (mix >> 8) as u8,
        channel: (mix >> 16) as u16,
        count: (mix >> 32) as u32,
        venue_seq: !seq,
        rx_ns: mix,
    };
    let mut payload = [0; CAPACITY];
    for (place, chunk) in (0u64..).zip(payload.chunks_mut(8)) {
        let word = mix
            .rotate_left(place as u32 % 64)
            .wrapping_add(place)
            .to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    (header, payload, (mix % (CAPACITY as u64 + 1)) as usize)
}

fn check(seq: u64, header: RecordHeader, payload: &[u8]) {
    let (expected, bytes, length) = record(seq);
    assert_eq!(
        (header, payload),
        (expected, &bytes[..length]),
        "record {seq} is torn"
    );
}

fn spawn_writer(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "endless_writer", "--ignored", "--quiet"])
        .env("TICKDECK_TEST_RING", path)
        .spawn()
        .unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "no {what} within 60 s");
        thread::yield_now();
    }
}

/// Not a multiple of eight, so that the last word is a partial one.
const CAPACITY: usize = 203;

fn config(slot_count: u32) -> RingConfig {
    RingConfig {
        slot_count,
        slot_bytes: CAPACITY as u32,
        start_seq: 1,
        log_id: [1; 16],
        incarnation: [2; 16],
    }
}
