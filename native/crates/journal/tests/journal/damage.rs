//! Damage of any size and place in segments of 64 KiB: it is found, and nothing at or below what was
//! synced is ever taken for the unfinished end of a crash.
//!
//! `TICKDECK_DAMAGE_STRIDE` is the distance between two places that are tried (1 is all of them),
//! `TICKDECK_DAMAGE_CASES` the number of random damages.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::*;

/// A sealed and an open segment of about 64 KiB; of the open one the first half is synced.
/// Returns the files and the last sequence that was synced.
fn two_segments() -> (TempDir, PathBuf, PathBuf, u64) {
    let dir = scratch();
    let mut writer = open(dir.path(), 64 << 10);
    for _ in 0..40 {
        fill(&mut writer, 10, 100);
        writer.flush().expect("writes");
    }
    writer.seal().expect("seals");
    let mut synced = 0;
    for block in 0..36 {
        fill(&mut writer, 10, 100);
        writer.flush().expect("writes");
        if block == 17 {
            writer.sync().expect("syncs");
            synced = writer.watermarks().durable;
            // A second later STATE says so too.
            writer.poll(0).expect("polls");
            writer.poll(2_000_000_000).expect("polls");
        }
    }
    drop(writer);
    let files = segment_files(dir.path());
    assert_eq!(files.len(), 2);
    (dir, files[0].clone(), files[1].clone(), synced)
}

fn knob(name: &str, usual: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(usual, |it| it.parse().expect("a number"))
}

/// Reads the sequences that follow one another, up to the last one that can be read.
fn read_prefix(dir: &Path) -> u64 {
    let Ok(mut reader) = tickdeck_journal::Reader::open(dir) else {
        return 0;
    };
    let mut last = reader.first_seq() - 1;
    while let Ok(Some(entry)) = reader.next() {
        assert_eq!(entry.seq, last + 1);
        let expected = payload(entry.seq, 100);
        assert_eq!(
            entry.record,
            record(entry.seq, &expected),
            "no other record is read"
        );
        last = entry.seq;
    }
    last
}

/// The judgement of a damaged log.
fn assert_judged(dir: &Path, synced: u64, is_sealed: bool, context: &str) {
    let report = check(dir);
    assert!(!report.is_whole(), "{context}: not noticed");
    let torn: Vec<_> = report
        .problems
        .iter()
        .filter(|problem| problem.class.name() == "torn_tail")
        .collect();
    assert!(
        torn.is_empty() || !is_sealed,
        "{context}: a sealed segment has no torn tail"
    );
    for problem in torn {
        let from = problem.from.expect("a torn tail begins somewhere");
        assert!(from > synced, "{context}: {problem} at or below {synced}");
    }
    read_prefix(dir);
}

/// One bit at a time, in both segments.
#[test]
fn bits_of_long_segments_matter() {
    let (dir, sealed, open, synced) = two_segments();
    let stride = knob("TICKDECK_DAMAGE_STRIDE", 257);
    for (file, is_sealed) in [(&sealed, true), (&open, false)] {
        let intact = fs::read(file).expect("reads");
        let used = intact.len() - intact.iter().rev().take_while(|byte| **byte == 0).count();
        for bit in (0..used as u64 * 8).step_by(stride as usize) {
            let mut bytes = intact.clone();
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            fs::write(file, &bytes).expect("writes");
            assert_judged(dir.path(), synced, is_sealed, &format!("bit {bit}"));
        }
        fs::write(file, &intact).expect("writes");
    }
}

/// Two to 32 random bytes anywhere.
#[test]
fn random_damage_is_found() {
    let (dir, sealed, open, synced) = two_segments();
    let mut state = 7_u64;
    let mut random = |limit: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for case in 0..knob("TICKDECK_DAMAGE_CASES", 1500) {
        let is_sealed = random(2) == 0;
        let file = if is_sealed { &sealed } else { &open };
        let intact = fs::read(file).expect("reads");
        let used = intact.len() - intact.iter().rev().take_while(|byte| **byte == 0).count();
        let mut bytes = intact.clone();
        let len = 2 + random(31) as usize;
        let at = random((used - len) as u64) as usize;
        for byte in &mut bytes[at..at + len] {
            *byte = random(256) as u8;
        }
        if bytes != intact {
            fs::write(file, &bytes).expect("writes");
            assert_judged(
                dir.path(),
                synced,
                is_sealed,
                &format!("case {case}: {len} bytes at {at}"),
            );
            fs::write(file, &intact).expect("writes");
        }
    }
}

/// Every length: what is left is a prefix of whole blocks, torn only above what was synced.
#[test]
fn every_length_is_a_prefix() {
    let (dir, _, open, synced) = two_segments();
    let intact = fs::read(&open).expect("reads");
    let used = intact.len() - intact.iter().rev().take_while(|byte| **byte == 0).count();
    let whole = read_prefix(dir.path());
    let stride = knob("TICKDECK_DAMAGE_STRIDE", 257) as usize;
    let mut seen = (0, 0);
    for len in (0..used).step_by(stride) {
        fs::write(&open, &intact[..len]).expect("writes");
        let report = check(dir.path());
        let last = read_prefix(dir.path());
        assert!(last < whole, "length {len}");
        let is_torn = report
            .problems
            .iter()
            .all(|it| it.class.name() == "torn_tail");
        assert!(
            !is_torn || last >= synced,
            "length {len}: {:?}",
            report.problems
        );
        if last < synced {
            assert!(
                !report.is_whole(),
                "length {len}: {synced} was synced, {last} is left"
            );
            seen.0 += 1;
        } else {
            seen.1 += 1;
        }
    }
    assert!(seen.0 > 10 && seen.1 > 10, "{seen:?}");
}

/// W14: no other value of any of the first sixteen bytes makes a segment one of another format.
#[test]
fn the_format_cannot_be_changed_by_damage() {
    let (dir, sealed, ..) = two_segments();
    let intact = fs::read(&sealed).expect("reads");
    for byte in 0..16 {
        for value in (0..=255).filter(|value| *value != intact[byte]) {
            let mut bytes = intact.clone();
            bytes[byte] = value;
            fs::write(&sealed, &bytes).expect("writes");
            let error = tickdeck_journal::Reader::open(dir.path());
            let first = error.map(|reader| reader.first_seq());
            assert!(
                first.is_err() || first.is_ok_and(|seq| seq > 1),
                "byte {byte} = {value}"
            );
            let report = check(dir.path());
            let named = report
                .problems
                .iter()
                .any(|it| it.class.name() == "bad_segment_header");
            assert!(named, "byte {byte} = {value}: {:?}", report.problems);
        }
    }
}
