//! Repair and salvage of damaged logs: nothing readable is lost, every loss is named, the result is
//! whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tickdeck_journal::kind::{self, JournalHole};
use tickdeck_journal::{JournalError, Reader, RecoveryMode, RepairProgress, repair, salvage};

use crate::support::*;

/// Five closed segments of ten blocks with three records each, and one that was left open.
fn many_blocks() -> TempDir {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for segment in 0..6 {
        for _ in 0..10 {
            fill(&mut writer, 3, 40);
            writer.sync().expect("syncs");
        }
        if segment == 2 {
            let next = writer.next_seq();
            writer.append_hole(next, next + 4, 9).expect("a hole");
        }
        if segment < 5 {
            writer.seal().expect("seals");
        }
    }
    // STATE knows all of it.
    writer.poll(0).expect("polls");
    writer.poll(2_000_000_000).expect("polls");
    dir
}

const LAST_SEQ: u64 = 6 * 30 + 5;

/// The sequences that records of a log carry, those of holes apart.
fn data_and_holes(dir: &Path) -> (BTreeSet<u64>, Vec<JournalHole>) {
    let mut reader = Reader::open(dir).expect("opens");
    let (mut data, mut holes) = (BTreeSet::new(), Vec::new());
    while let Some(entry) = reader.next().expect("reads") {
        if entry.record.kind == kind::JOURNAL_HOLE {
            holes.push(JournalHole::decode(entry.record.payload).expect("a hole"));
            continue;
        }
        let expected = payload(entry.seq, 40);
        assert_eq!(entry.record, record(entry.seq, &expected));
        data.insert(entry.seq);
    }
    (data, holes)
}

/// Salvages and checks that what is lost is exactly what the new log says.
fn assert_salvaged(dir: &Path, lost: &[(u64, u64)], context: &str) {
    let planned = salvage(dir, None, &mut |_, _| {}).expect("plans");
    let into = scratch();
    let target = into.path().join("new");
    let mut last = (0, 0);
    let found = salvage(dir, Some(&target), &mut |done, total| last = (done, total));
    let found = found.expect("salvages");
    assert_eq!(found, planned, "{context}");
    assert_eq!(last.0, last.1, "{context}: progress reaches its end");
    let ranges: Vec<(u64, u64)> = found.lost.iter().map(|it| (it.from, it.to)).collect();
    assert_eq!(ranges, lost, "{context}");
    assert_eq!(
        (found.first_seq, found.last_seq),
        (1, LAST_SEQ),
        "{context}"
    );
    assert_eq!(check(&target).problems, [], "{context}");
    let (data, holes) = data_and_holes(&target);
    let is_lost = |seq: &u64| lost.iter().any(|(from, to)| (from..=to).contains(&seq));
    let expected: BTreeSet<u64> = (1..=LAST_SEQ)
        .filter(|seq| !is_lost(seq) && !(91..=95).contains(seq))
        .collect();
    assert_eq!(data, expected, "{context}");
    for hole in holes {
        let reason = if hole.from == 91 && hole.to == 95 {
            9
        } else {
            assert!(lost.contains(&(hole.from, hole.to)), "{context}: {hole:?}");
            kind::HOLE_NOT_SALVAGED
        };
        assert_eq!(hole.reason, reason, "{context}");
    }
    let old = Reader::open(dir).map(|reader| reader.log_id());
    if let Ok(log_id) = old {
        let new = Reader::open(&target).expect("opens").log_id();
        assert_ne!(
            new, log_id,
            "{context}: a copy of the old log is none of the new one"
        );
    }
    let again = salvage(dir, Some(&target), &mut |_, _| {});
    assert!(
        matches!(again, Err(JournalError::BadSetting { .. })),
        "a log is never written over"
    );
}

/// A block is 72 bytes and three records of 24 + 40.
const BLOCK: usize = 72 + 3 * 64;

/// One flipped bit costs one block, wherever it is; a lost file costs its records; a damaged segment
/// header costs nothing; a foreign file is left out.
#[test]
fn everything_readable_is_salvaged() {
    let dir = many_blocks();
    assert_salvaged(dir.path(), &[], "undamaged");
    for block in [0, 4, 9] {
        let dir = many_blocks();
        let files = segment_files(dir.path());
        flip(&files[1], 128 + block * BLOCK + 100, 3);
        let from = 31 + 3 * block as u64;
        assert_salvaged(dir.path(), &[(from, from + 2)], "a payload");
        flip(&files[1], 128 + block * BLOCK + 20, 3);
        assert_salvaged(dir.path(), &[(from, from + 2)], "and its header");
    }
    let dir = many_blocks();
    let files = segment_files(dir.path());
    for file in &files {
        // The creation time: the log_id is still there.
        flip(file, 58, 1);
    }
    fs::remove_file(&files[4]).expect("removes");
    let error = salvage(dir.path(), None, &mut |_, _| {}).expect_err("no header names the log");
    assert!(matches!(error, JournalError::NotAJournal { .. }));
    flip(&files[0], 58, 1);
    let foreign = many_blocks();
    fs::copy(
        &segment_files(foreign.path())[3],
        dir.path().join("foreign.seg"),
    )
    .expect("copies");
    assert_salvaged(
        dir.path(),
        &[(126, 155)],
        "five damaged headers, a lost and a foreign file",
    );
    let found = salvage(dir.path(), None, &mut |_, _| {}).expect("plans");
    assert_eq!(found.left_out, ["foreign.seg"]);
}

/// A copy of a segment fills what is damaged in the other one; what STATE calls synced and nobody has
/// is lost, not the end.
#[test]
fn copies_help_and_ends_are_told() {
    let dir = many_blocks();
    let files = segment_files(dir.path());
    fs::copy(&files[1], dir.path().join("z-copy.seg")).expect("copies");
    flip(&files[1], 128 + 4 * BLOCK + 100, 3);
    // Blocks are taken in the order of files: the copy only helps behind the damage of the first.
    let found = salvage(dir.path(), None, &mut |_, _| {}).expect("plans");
    assert_eq!(found.lost.len(), 1, "{:?}", found.lost);
    let dir = many_blocks();
    let last = segment_files(dir.path())[5].clone();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(last)
        .expect("opens");
    file.set_len(128 + 7 * BLOCK as u64).expect("cuts");
    assert_salvaged(dir.path(), &[(LAST_SEQ - 8, LAST_SEQ)], "a cut end");
}

/// `repair` tells first and changes nothing; with the order to do it, the log ends before the first
/// bad block inside a sealed segment, and nothing is given out twice.
#[test]
fn repair_reads_every_byte() {
    let dir = many_blocks();
    repair(dir.path(), RecoveryMode::Tail, true, &mut |_| {}).expect("closes what was left open");
    let files = segment_files(dir.path());
    flip(&files[2], 128 + 5 * BLOCK + 100, 3);
    let before: Vec<Vec<u8>> = files
        .iter()
        .map(|it| fs::read(it).expect("reads"))
        .collect();
    let tail =
        repair(dir.path(), RecoveryMode::Tail, false, &mut |_| {}).expect("looks at the edges");
    assert!(!tail.refused && tail.report.problems.is_empty(), "{tail:?}");
    let planned = repair(dir.path(), RecoveryMode::PointInTime, false, &mut |_| {}).expect("plans");
    assert!(!planned.applied && !planned.refused, "{planned:?}");
    let after: Vec<Vec<u8>> = files
        .iter()
        .map(|it| fs::read(it).expect("reads"))
        .collect();
    assert!(before == after, "a plan changed something");
    let done = repair(dir.path(), RecoveryMode::PointInTime, true, &mut |_| {}).expect("repairs");
    assert!(done.applied);
    let names = |it: &tickdeck_journal::Repair| -> Vec<(&'static str, Option<u64>)> {
        it.report
            .actions
            .iter()
            .map(|it| (it.action, it.from))
            .collect()
    };
    assert_eq!(names(&done), names(&planned));
    assert_eq!(done.report.hole, Some((76, LAST_SEQ)));
    assert_eq!(check(dir.path()).problems, []);
    let (data, holes) = data_and_holes(dir.path());
    assert_eq!(data, (1..=75).collect());
    assert_eq!((holes[0].from, holes[0].to), (76, LAST_SEQ));
    let again = repair(dir.path(), RecoveryMode::PointInTime, false, &mut |_| {}).expect("plans");
    assert_eq!(again.report.problems, []);
}

/// Whoever watches a repair sees each look at the log from its beginning on: within a segment, past
/// each segment, and, where nothing is wrong, to the end. A look at the edges reads one segment.
#[test]
fn repair_tells_how_far_it_has_come() {
    const MIB: u64 = 1 << 20;
    let dir = scratch();
    let mut writer = open(dir.path(), 8 * MIB);
    for _ in 0..3 {
        fill(&mut writer, 400, 8_000);
        writer.seal().expect("seals");
    }
    fill(&mut writer, 400, 8_000);
    writer.sync().expect("syncs");
    drop(writer);
    let files = segment_files(dir.path());
    let bytes = |files: &[PathBuf]| -> u64 {
        let len = |path: &PathBuf| path.metadata().expect("looks").len();
        files.iter().map(len).sum()
    };
    let watched = |mode, apply| {
        let mut seen: Vec<RepairProgress> = Vec::new();
        repair(dir.path(), mode, apply, &mut |at| seen.push(at)).expect("repairs");
        let looks: Vec<Vec<RepairProgress>> = seen
            .chunk_by(|a, b| a.look == b.look)
            .map(<[_]>::to_vec)
            .collect();
        for (index, look) in looks.iter().enumerate() {
            assert_eq!(look[0].look, index as u64 + 1, "{looks:?}");
            let done = |at: &RepairProgress| (at.progress.bytes_done, at.progress.segments_done);
            assert!(look.is_sorted_by_key(done), "{look:?}");
            assert!(
                look.iter()
                    .all(|at| at.progress.bytes_done <= at.progress.bytes)
            );
        }
        looks
    };
    let totals = |look: &[RepairProgress]| {
        let last = look.last().expect("something").progress;
        (
            last.segments_done,
            last.segments,
            last.bytes_done,
            last.bytes,
        )
    };

    let whole = bytes(&files);
    let planned = watched(RecoveryMode::PointInTime, false);
    assert_eq!(planned.len(), 1);
    assert_eq!(totals(&planned[0]), (4, 4, whole, whole));
    let steps = planned[0].windows(2);
    let most = steps
        .map(|at| at[1].progress.bytes_done - at[0].progress.bytes_done)
        .max();
    // A step may be a block longer; what was allocated behind the end of the last one is one step.
    assert!(
        planned[0].len() >= 4 * 3 && most <= Some(6 * MIB),
        "{planned:?}"
    );

    let edges = watched(RecoveryMode::Tail, false);
    let last = bytes(&files[3..]);
    assert_eq!(totals(&edges[0]), (1, 1, last, last));

    flip(&files[1], 500_000, 3);
    let done = watched(RecoveryMode::PointInTime, true);
    // To tell, under the writer's lock, under that of retention, and the end that is kept.
    assert_eq!(done.len(), 4, "{done:?}");
    assert_eq!(
        done[0].last().map(|at| at.progress),
        done[2].last().map(|at| at.progress)
    );
    assert_eq!(totals(&done[3]).1, 1);
    assert_eq!(check(dir.path()).problems, []);
}
