//! Recovery mode `point_in_time`: what lies before the first bad place stays, everything else is set
//! aside, and no sequence is ever given out twice.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tickdeck_journal::kind::{self, JournalHole};
use tickdeck_journal::{
    JournalError, Pin, Reader, RecoveryMode, RecoveryReport, Writer, acknowledge_report,
    unacknowledged_problems, write_pin,
};

use crate::support::*;

/// Five closed segments of 20 records each.
fn five_segments() -> TempDir {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for _ in 0..5 {
        fill(&mut writer, 20, 10);
        writer.seal().expect("seals");
    }
    writer.close().expect("closes");
    dir
}

fn recover(dir: &Path) -> RecoveryReport {
    let opened = Writer::open_with(config(dir, SMALL), RecoveryMode::PointInTime);
    let (mut writer, report) = opened.expect("opens");
    assert_eq!(writer.next_seq(), report.next_seq);
    assert_eq!(writer.watermarks().durable, report.next_seq - 1);
    fill(&mut writer, 3, 10);
    writer.close().expect("closes");
    report
}

/// Every sequence of a log that is read, holes spelled out.
fn sequences(dir: &Path) -> Vec<(u64, u64)> {
    let mut reader = Reader::open(dir).expect("opens");
    let mut spans = Vec::new();
    while let Some(entry) = reader.next().expect("reads") {
        let hole = JournalHole::decode(entry.record.payload);
        match hole.filter(|_| entry.record.kind == kind::JOURNAL_HOLE) {
            Some(hole) => {
                assert_eq!(hole.reason, kind::HOLE_SET_ASIDE);
                spans.push((hole.from, hole.to));
            }
            None => spans.push((entry.seq, entry.seq)),
        }
    }
    spans
}

/// Records 1 to `kept`, one hole up to 100, three new records.
fn assert_hole_behind(dir: &Path, kept: u64) {
    let mut expected: Vec<(u64, u64)> = (1..=kept).map(|seq| (seq, seq)).collect();
    expected.push((kept + 1, 100));
    expected.extend((101..=103).map(|seq| (seq, seq)));
    assert_eq!(sequences(dir), expected);
    assert_eq!(check(dir).problems, []);
}

fn names_in_quarantine(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join("quarantine"))
        .expect("lists")
        .map(|entry| entry.expect("lists").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

/// A segment in the middle is gone: what follows is kept aside byte for byte, its sequences are
/// spent by one hole, the report says what and why, and `tail` would have refused.
#[test]
fn a_missing_segment_is_a_hole() {
    let dir = five_segments();
    let files = segment_files(dir.path());
    let later: Vec<Vec<u8>> = files[3..]
        .iter()
        .map(|it| fs::read(it).expect("reads"))
        .collect();
    fs::remove_file(&files[2]).expect("removes");
    let refused = Writer::open(config(dir.path(), SMALL));
    assert!(matches!(refused, Err(JournalError::Refused { .. })));
    assert!(unacknowledged_problems(dir.path()).expect("reads") > 0);

    let report = recover(dir.path());
    assert_eq!(report.hole, Some((41, 100)));
    assert_hole_behind(dir.path(), 40);
    let moved: Vec<&str> = report
        .actions
        .iter()
        .filter(|action| action.action == "quarantined")
        .map(|action| action.file.as_str())
        .collect();
    assert_eq!(
        moved,
        [
            "00000000000000000004.seg",
            "00000000000000000005.seg",
            "00000000000000000006.seg"
        ]
    );
    assert_eq!(
        (report.actions[0].from, report.actions[0].to),
        (Some(61), Some(80))
    );
    for (name, bytes) in moved.iter().zip(&later) {
        let kept = fs::read(dir.path().join("quarantine").join(name)).expect("is kept");
        assert_eq!(&kept, bytes);
    }
    assert!(!dir.path().join("REPAIR").exists());

    let text = fs::read_to_string(dir.path().join("recovery-report.json")).expect("is there");
    for part in [
        "\"mode\": \"point_in_time\"",
        "\"missing_segment\"",
        "\"quarantined\"",
        "\"hole\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(acknowledge_report(dir.path()).expect("writes"));
    assert!(!acknowledge_report(dir.path()).expect("was seen"));
    assert_eq!(unacknowledged_problems(dir.path()).expect("reads"), 0);
    // The refusal before was not acknowledged, so it is kept.
    let kept = names_in_quarantine(dir.path());
    assert!(
        kept.iter().any(|name| name.starts_with("recovery-report.")),
        "{kept:?}"
    );
    // A start without an event leaves the report and what was said about it.
    drop(open(dir.path(), SMALL));
    assert_eq!(unacknowledged_problems(dir.path()).expect("reads"), 0);
}

/// Damage in the blocks of a segment that lost its seal: whole blocks before it stay, the bytes from
/// there on are copied before they are cut.
#[test]
fn a_segment_is_cut_at_its_first_bad_block() {
    let dir = five_segments();
    let victim = segment_files(dir.path())[1].clone();
    let mut bytes = fs::read(&victim).expect("reads");
    // The trailer is gone, and a bit of the only block is another.
    let len = bytes.len() - 64;
    bytes.truncate(len);
    bytes[128 + 100] ^= 4;
    fs::write(&victim, &bytes).expect("writes");
    let report = recover(dir.path());
    assert_hole_behind(dir.path(), 20);
    let cut = report.actions.iter().find(|action| action.action == "cut");
    let cut = cut.expect("is cut");
    assert_eq!((cut.offset, cut.from), (128, Some(21)));
    assert_eq!(cut.class.map(|class| class.name()), Some("bad_payload"));
    let kept = fs::read(
        dir.path()
            .join("quarantine/00000000000000000002.seg.128.torn"),
    );
    assert_eq!(kept.expect("is kept")[..], bytes[128..]);
}

type Damage<'a> = &'a dyn Fn(&[PathBuf]);

/// Damaged headers, foreign files, copies, a lost first segment: nothing is deleted, nothing is given
/// out twice.
#[test]
fn other_files_are_set_aside() {
    let foreign = five_segments();
    let damage: [(&str, u64, Damage<'_>); 4] = [
        ("a damaged header", 20, &|files| flip(&files[1], 40, 0)),
        ("a foreign file", 100, &|files| {
            let from = &segment_files(foreign.path())[2];
            fs::copy(from, files[0].with_file_name("x.seg")).expect("copies");
        }),
        ("a copy", 100, &|files| {
            fs::copy(&files[2], files[2].with_file_name("copy.seg")).expect("copies");
        }),
        ("a lost beginning", 0, &|files| {
            fs::remove_file(&files[0]).expect("removes")
        }),
    ];
    for (what, kept, damage) in damage {
        let dir = five_segments();
        let files = segment_files(dir.path());
        let before = files.len();
        damage(&files);
        let report = recover(dir.path());
        let present = segment_files(dir.path()).len() + names_in_quarantine(dir.path()).len();
        // One more for the new epoch, one less where the test took one away.
        assert!(present >= before, "{what}: {report:?}");
        if kept == 100 {
            let expected: Vec<(u64, u64)> = (1..=103).map(|seq| (seq, seq)).collect();
            assert_eq!(sequences(dir.path()), expected, "{what}");
            assert_eq!(check(dir.path()).problems, [], "{what}");
        } else {
            assert_hole_behind(dir.path(), kept);
        }
    }
}

/// STATE knows of more than the segments hold, or is damaged: the log goes on behind what STATE
/// called synced, and behind what a reader has acknowledged.
#[test]
fn what_was_promised_is_not_given_out_again() {
    let dir = five_segments();
    for file in &segment_files(dir.path())[3..] {
        fs::remove_file(file).expect("removes");
    }
    recover(dir.path());
    assert_hole_behind(dir.path(), 60);

    let dir = five_segments();
    fs::remove_file(&segment_files(dir.path())[4]).expect("removes");
    fs::remove_file(&segment_files(dir.path())[4]).expect("removes");
    fs::write(dir.path().join("STATE"), [7; 1000]).expect("writes");
    let pin = Pin {
        client: "west".into(),
        acked_seq: 100,
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: 0,
        lost: false,
    };
    write_pin(dir.path(), &pin).expect("writes");
    fs::remove_file(&segment_files(dir.path())[2]).expect("removes");
    recover(dir.path());
    assert_hole_behind(dir.path(), 40);
    assert!(names_in_quarantine(dir.path()).contains(&"STATE".to_owned()));
}

/// A whole log, and one with a torn tail only, are treated as in mode `tail`.
#[test]
fn without_damage_nothing_is_set_aside() {
    let dir = five_segments();
    let report = recover(dir.path());
    assert_eq!((report.hole, &report.problems[..]), (None, &[][..]));
    assert!(!dir.path().join("quarantine").exists());

    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 4, 50);
    writer.sync().expect("syncs");
    fill(&mut writer, 4, 50);
    writer.flush().expect("writes");
    drop(writer);
    flip(&segment_files(dir.path())[0], 128 + 72 + 4 * 74 + 80, 1);
    let report = recover(dir.path());
    assert_eq!((report.hole, report.next_seq), (None, 5));
    assert_eq!(report.actions[0].action, "cut_torn_tail");
}
