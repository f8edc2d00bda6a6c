//! One look at a log for many readers: what it costs, and that they read the same.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tickdeck_journal::{
    BlockCursor, BlockStep, IndexCounts, JournalError, Missing, SegmentIndex, Tail, TailEnd,
};

use crate::support::*;

/// Some ten segments; the last one is open.
fn log(dir: &Path) -> u64 {
    let mut writer = open(dir, SMALL);
    for group in 0..150 {
        fill(&mut writer, 1 + group % 7, (group * 37 % 400) as usize);
        writer.sync().expect("syncs");
    }
    let last = writer.watermarks().durable;
    drop(writer);
    assert!(segment_files(dir).len() >= 8);
    last
}

/// What each step is about, to the end for now.
fn steps(mut cursor: BlockCursor, limit: u64) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        all.push(match cursor.next(limit).expect("reads") {
            BlockStep::End => return all,
            BlockStep::Block(block) => format!("{} to {}", block.base_seq, block.last_seq),
            // Who has seen a segment while it was good knows that it was not pruned.
            BlockStep::Missing(Missing { from, to, .. }) => format!("{from} to {to} missing"),
        });
    }
}

/// A further look lists the names and opens what is new or was written since, and nothing else.
#[test]
fn a_look_opens_new_files_only() {
    let dir = scratch();
    let last = log(dir.path());
    let count = |dir| segment_files(dir).len() as u64;
    let mut index = SegmentIndex::open(dir.path()).expect("looks");
    let first = count(dir.path());
    let cost = |listings, opens| IndexCounts { listings, opens };
    assert_eq!(index.counts(), cost(1, first));
    index.look().expect("looks");
    assert_eq!(index.counts(), cost(2, first));

    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 500, 100);
    writer.close().expect("closes");
    let grown = count(dir.path());
    assert!(grown > first + 1);
    index.look().expect("looks");
    // What was the last one was sealed.
    assert_eq!(index.counts(), cost(3, grown + 1));
    index.look().expect("looks");
    assert_eq!(index.counts(), cost(4, grown + 1));
    assert_eq!(index.shared().outline().segments as u64, grown);
    assert_eq!(index.shared().outline().epochs, [(1, 1), (2, last + 1)]);

    // One that is gone is forgotten; another file under an old name is looked into.
    let files = segment_files(dir.path());
    fs::remove_file(&files[0]).expect("removes");
    let aside = dir.path().join("aside");
    fs::copy(&files[1], &aside).expect("copies");
    fs::rename(&aside, &files[1]).expect("renames");
    index.look().expect("looks");
    assert_eq!(index.counts(), cost(5, grown + 2));
    assert!(index.shared().outline().first_seq > 1);

    // Without a segment the last look stays.
    let seen = index.shared().outline();
    for file in &files[1..] {
        fs::remove_file(file).expect("removes");
    }
    let error = index.look().expect_err("nothing is there");
    assert!(matches!(error, JournalError::NotAJournal { .. }), "{error}");
    assert_eq!(index.shared().outline(), seen);
}

/// A file in place of another with the same inode number, which file systems give again at once, is
/// looked into again; otherwise nobody could read it by the shared look.
#[test]
fn another_file_with_the_same_inode_is_seen() {
    let (dir, other) = (scratch(), scratch());
    let last = log(dir.path());
    copy_dir(dir.path(), other.path());
    // A first attempt at the next segment, and a second one that got further.
    drop(open(dir.path(), SMALL));
    let mut index = SegmentIndex::open(dir.path()).expect("looks");
    let mut writer = open(other.path(), SMALL);
    fill(&mut writer, 10, 20);
    writer.sync().expect("syncs");
    let newest = |dir| segment_files(dir).pop().expect("there are some");
    let (path, bytes) = (
        newest(dir.path()),
        fs::read(newest(other.path())).expect("reads"),
    );
    let inode = || path.metadata().expect("is there").ino();
    let before = inode();
    fs::write(&path, bytes).expect("writes");
    assert_eq!(inode(), before);

    let opens = index.counts().opens;
    index.look().expect("looks");
    assert_eq!(index.counts().opens, opens + 1);
    let cursor = BlockCursor::over(&index.shared(), last + 1).expect("opens");
    let range = format!("{} to {}", last + 1, last + 10);
    assert_eq!(steps(cursor, last + 10), [range]);
}

/// Whoever reads by a shared look reads what it would find by itself, whatever happened to the log
/// since the look.
#[test]
fn readers_by_a_shared_look_read_the_same() {
    type Harm = fn(&[std::path::PathBuf]);
    let harms: [Harm; 6] = [
        |_| {},
        |files| fs::remove_file(&files[0]).expect("removes"),
        |files| fs::remove_file(&files[3]).expect("removes"),
        |files| flip(&files[0], 20, 1),
        |files| flip(&files[3], 20, 1),
        |files| flip(&files[4], 300, 1),
    ];
    for (number, harm) in harms.iter().enumerate() {
        for is_seen in [true, false] {
            let dir = scratch();
            let last = log(dir.path());
            let mut index = SegmentIndex::open(dir.path()).expect("looks");
            harm(&segment_files(dir.path()));
            if is_seen {
                index.look().expect("looks");
            }
            for seq in [1, last / 3, last / 2, last] {
                let own = BlockCursor::open(dir.path(), seq).expect("opens");
                let own = steps(own, last);
                let shared = BlockCursor::over(&index.shared(), seq).expect("opens");
                let mut shared = steps(shared, last);
                if own != shared && !is_seen {
                    // It waits for the next look; that one must do.
                    assert!(own.starts_with(&shared), "harm {number}, from {seq}");
                    index.look().expect("looks");
                    let again = BlockCursor::over(&index.shared(), seq).expect("opens");
                    shared = steps(again, last);
                }
                assert_eq!(own, shared, "harm {number}, from {seq}");
            }
        }
    }
}

/// A cursor follows a writer beyond what its look knows.
#[test]
fn a_cursor_goes_beyond_its_look() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 10, 100);
    writer.sync().expect("syncs");
    let index = SegmentIndex::open(dir.path()).expect("looks");
    let mut cursor = BlockCursor::over(&index.shared(), 1).expect("opens");
    fill(&mut writer, 1_000, 100);
    writer.sync().expect("syncs");
    while cursor.next_seq() <= 1_010 {
        let step = cursor.next(1_010).expect("reads");
        assert!(matches!(step, BlockStep::Block(_)), "{step:?}");
    }
    assert_eq!(index.shared().outline().segments, 1);
    assert!(segment_files(dir.path()).len() > 4);
}

/// A foreign segment is never served, and neither are two with one number.
#[test]
fn what_is_no_log_is_refused() {
    let (dir, other) = (scratch(), scratch());
    log(dir.path());
    log(other.path());
    let mut index = SegmentIndex::open(dir.path()).expect("looks");
    let shared = index.shared();
    let double = dir.path().join("00000000000000099999.seg");
    for from in [other.path(), dir.path()] {
        fs::copy(&segment_files(from)[2], &double).expect("copies");
        index.look().expect("looks");
        let error = BlockCursor::over(&shared, 1).expect_err("is refused");
        assert!(matches!(error, JournalError::Damaged(_)), "{error}");
        fs::remove_file(&double).expect("removes");
        index.look().expect("looks");
        BlockCursor::over(&shared, 1).expect("is a log again");
    }
}

/// How far whole blocks go is found out step by step, goes on with the log, and says where more may
/// lie behind.
#[test]
fn the_tail_is_followed() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    let mut index = SegmentIndex::open(dir.path()).expect("looks");
    let tail = |last_seq, end| Tail { last_seq, end };
    let all = 1 << 30;
    let found = index.follow_tail(all).expect("reads");
    assert_eq!(found, tail(0, TailEnd::Clean));
    for group in 1..=20 {
        fill(&mut writer, 5, 50);
        writer.sync().expect("syncs");
        index.look().expect("looks");
        let found = index.follow_tail(all).expect("reads");
        assert_eq!(found, tail(group * 5, TailEnd::Clean));
    }
    let mut late = SegmentIndex::open(dir.path()).expect("looks");
    let found = late.follow_tail(1).expect("reads");
    assert_eq!(found.end, TailEnd::More);
    assert!(found.last_seq < 100);
    while late.follow_tail(1).expect("reads").end == TailEnd::More {}
    let found = late.follow_tail(1).expect("reads");
    assert_eq!(found, tail(100, TailEnd::Clean));

    // A new segment is met by the next look.
    fill(&mut writer, 300, 100);
    writer.sync().expect("syncs");
    index.look().expect("looks");
    let found = index.follow_tail(all).expect("reads");
    assert_eq!(found, tail(400, TailEnd::Clean));

    // What a crash left of a block.
    drop(writer);
    let newest = segment_files(dir.path()).pop().expect("there are some");
    let mut bytes = fs::read(&newest).expect("reads");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("has data");
    bytes[end] = 0;
    fs::write(&newest, &bytes).expect("writes");
    let mut torn = SegmentIndex::open(dir.path()).expect("looks");
    let found = torn.follow_tail(all).expect("reads");
    assert!(
        found.last_seq < 400 && found.end == TailEnd::Unclear,
        "{found:?}"
    );
}
