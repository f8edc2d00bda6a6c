use std::fs;
use std::thread;

use tempfile::TempDir;

use super::{MOST_PASSED_OVER, SegmentFile, add_passed_over, gaps, segment_files};
use crate::directory::{segment_name, segment_number};

fn names(files: &[SegmentFile]) -> Vec<&str> {
    files.iter().map(|it| it.name.as_str()).collect()
}

/// A list that lacks files which are there gets them; what is not there stays absent.
#[test]
fn what_a_list_has_passed_over_is_found_by_name() {
    let dir = TempDir::new().expect("a directory");
    for number in [1, 2, 3, 4, 7, 9] {
        fs::write(dir.path().join(segment_name(number)), "").expect("writes");
    }
    let whole = segment_files(dir.path()).expect("lists");
    assert_eq!(whole.len(), 6);
    let is_listed = |file: &SegmentFile| ![2, 3, 7].map(segment_name).contains(&file.name);
    let mut part: Vec<SegmentFile> = whole.iter().filter(|it| is_listed(it)).cloned().collect();
    add_passed_over(dir.path(), &mut part).expect("looks");
    part.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(part, whole);
}

/// Other files are no segments; a name of another form is one, whose header tells its number.
#[test]
fn only_segments_are_listed() {
    let dir = TempDir::new().expect("a directory");
    for name in ["STATE", "next.tmp", "b.seg", &segment_name(3)] {
        fs::write(dir.path().join(name), "").expect("writes");
    }
    let files = segment_files(dir.path()).expect("lists");
    assert_eq!(names(&files), [segment_name(3).as_str(), "b.seg"]);
    assert!(segment_files(&dir.path().join("absent")).is_err());
}

/// A gap that no writer can have made during one list costs nothing, whatever the numbers are.
#[test]
fn wide_gaps_are_not_asked_for() {
    let numbers = [0, 2, 2, 5, 6 + MOST_PASSED_OVER, u64::MAX, u64::MAX];
    let found: Vec<_> = gaps(&numbers).filter(|gap| !gap.is_empty()).collect();
    assert_eq!(found, [1..2, 3..5, 6..6 + MOST_PASSED_OVER]);
}

/// Whatever is created during a list, of two segments the older one is never absent alone.
#[test]
fn no_segment_is_absent_before_another() {
    const FILES: u64 = 3_000;
    let dir = TempDir::new().expect("a directory");
    thread::scope(|scope| {
        let creator = scope.spawn(|| {
            for number in 1..=FILES {
                fs::write(dir.path().join(segment_name(number)), "").expect("writes");
            }
        });
        loop {
            let has_ended = creator.is_finished();
            let files = segment_files(dir.path()).expect("lists");
            let newest = files.last().and_then(|it| segment_number(&it.name));
            assert_eq!(files.len() as u64, newest.unwrap_or(0));
            if has_ended {
                assert_eq!(newest, Some(FILES));
                return;
            }
        }
    });
}
