//! Whatever interrupts a recovery, and however often: what was cut or moved is in the report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{REPORT_FILE, acknowledge_report, unacknowledged_problems};
use crate::crash_tests::{append, scratch};
use crate::directory::segment_name;
use crate::disk::recording::{Cut, Fault, How, RecordingDisk};
use crate::error::JournalError;
use crate::recovery::{RecoveryMode, RecoveryReport};
use crate::repair_crash_tests::{config, damaged_log, flip_retention, pruned_log, shorten_state};
use crate::writer::Writer;

/// A log that must be repaired, and what repairs it.
struct Case {
    name: &'static str,
    make: fn() -> TempDir,
    mode: RecoveryMode,
}

const CASES: [Case; 4] = [
    Case {
        name: "torn tail",
        make: torn_log,
        mode: RecoveryMode::Tail,
    },
    Case {
        name: "damage in the middle",
        make: damaged_log,
        mode: RecoveryMode::PointInTime,
    },
    Case {
        name: "RETENTION and STATE",
        make: || {
            pruned_log(|dir| {
                flip_retention(dir);
                shorten_state(dir);
            })
        },
        mode: RecoveryMode::PointInTime,
    },
    Case {
        name: "damage that was refused before",
        make: || {
            let dir = damaged_log();
            open(dir.path(), RecoveryMode::Tail).expect_err("is refused");
            dir
        },
        mode: RecoveryMode::PointInTime,
    },
];

/// Two closed segments and one whose last block was not written to its end.
fn torn_log() -> TempDir {
    let dir = scratch();
    let mut writer = Writer::open(config(dir.path())).expect("opens").0;
    for _ in 0..2 {
        for _ in 0..10 {
            append(&mut writer).expect("appends");
        }
        writer.seal().expect("seals");
    }
    for _ in 0..3 {
        append(&mut writer).expect("appends");
        writer.flush().expect("writes");
    }
    drop(writer);
    let path = dir.path().join(segment_name(3));
    let mut bytes = fs::read(&path).expect("reads");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("data");
    bytes[end - 20..=end].fill(0);
    fs::write(path, bytes).expect("writes");
    dir
}

fn open(dir: &Path, mode: RecoveryMode) -> Result<RecoveryReport, JournalError> {
    Writer::open_with(config(dir), mode).map(|(_, report)| report)
}

/// What the next start does: as `tail`, or as the operator says where that is refused.
fn start(disk: &RecordingDisk, dir: &Path, context: &str) {
    let open = |mode| Writer::open_on(Box::new(disk.clone()), config(dir), mode);
    let opened = match open(RecoveryMode::Tail) {
        Err(JournalError::Refused { .. }) => open(RecoveryMode::PointInTime),
        opened => opened,
    };
    drop(opened.unwrap_or_else(|error| panic!("{context}: {error}")));
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("lists").path());
    let named = |path: &Path| path.file_name().expect("a name").to_string_lossy().into();
    paths
        .filter(|path| path.is_file())
        .map(|path| (named(&path), fs::read(&path).expect("reads")))
        .collect()
}

fn report(dir: &Path) -> Value {
    match fs::read(dir.join(REPORT_FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes).expect("a whole report"),
        Err(_) => Value::Null,
    }
}

/// Every byte of a segment of `before` that is not where it was, and every file in quarantine, is
/// named by an action of the report, or of an earlier one that a later event has set aside. Gives how
/// many are.
fn assert_named(before: &Files, dir: &Path, context: &str) -> u64 {
    let (now, quarantine) = (files(dir), files(&dir.join("quarantine")));
    let is_report = |name: &String| name.starts_with("recovery-report.");
    let earlier = quarantine.iter().filter(|(name, _)| is_report(name));
    let earlier = earlier.map(|(_, text)| serde_json::from_slice(text).expect("a whole report"));
    let report = Value::Array(earlier.chain([report(dir)]).collect());
    let reports = report.as_array().expect("a list").iter();
    let actions: Vec<Value> = reports
        .flat_map(|it| it["actions"].as_array().cloned().unwrap_or_default())
        .collect();
    let mut named = 0;
    for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".seg")) {
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        let empty = Vec::new();
        let now = now.get(name).unwrap_or(&empty);
        let same = bytes.iter().zip(now).take_while(|(a, b)| a == b).count();
        if same >= used {
            continue;
        }
        let names = |action: &Value| {
            let (offset, len) = (action["offset"].as_u64(), action["bytes"].as_u64());
            let (offset, len) = (offset.expect("a place"), len.expect("a length"));
            action["file"] == name.as_str()
                && ["cut", "cut_torn_tail", "quarantined"].contains(&text(&action["action"]))
                && offset <= same as u64
                && offset + len >= used as u64
        };
        assert!(
            actions.iter().any(names),
            "{context}: bytes {same} to {used} of {name} are not in {report:#}"
        );
        named += 1;
    }
    for kept in quarantine.keys().filter(|name| !is_report(name)) {
        let is_of =
            |action: &Value| kept.starts_with(text(&action["file"])) && !action["class"].is_null();
        assert!(
            actions.iter().any(is_of),
            "{context}: quarantine/{kept} is not in {report:#}"
        );
        named += 1;
    }
    named
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A power cut after every operation of a recovery, and of the start behind it: what is changed is
/// named from the first moment on, and the report that is there in the end is finished.
#[test]
fn power_cuts_hide_nothing_that_was_cut_or_moved() {
    for Case { name, make, mode } in CASES {
        let (mut changed, mut unfinished) = (0, 0);
        for cut in [Cut::Ordered, Cut::Chaotic] {
            let home = make();
            let before = files(home.path());
            let disk = RecordingDisk::with_existing(home.path());
            let begin = disk.len();
            let writer = Writer::open_on(Box::new(disk.clone()), config(home.path()), mode);
            drop(writer.expect("recovers"));
            for ops in begin..=disk.len() {
                let image = scratch();
                disk.cut(ops, cut, ops as u64, home.path(), image.path());
                let context = format!("{name}: {cut:?} after {} operations", ops - begin);
                changed += assert_named(&before, image.path(), &context);
                unfinished += u64::from(report(image.path())["finished"] == false);
                let second = RecordingDisk::with_existing(image.path());
                let second_begin = second.len();
                start(&second, image.path(), &context);
                for at in (second_begin..=second.len()).step_by(13) {
                    let again = scratch();
                    second.cut(at, cut, at as u64, image.path(), again.path());
                    let context = format!("{context}, then after {}", at - second_begin);
                    assert_named(&before, again.path(), &context);
                    let third = RecordingDisk::with_existing(again.path());
                    start(&third, again.path(), &context);
                    assert!(
                        assert_named(&before, again.path(), &context) > 0,
                        "{context}"
                    );
                    assert_eq!(report(again.path())["finished"], true, "{context}");
                }
                assert!(
                    assert_named(&before, image.path(), &context) > 0,
                    "{context}"
                );
                assert_eq!(report(image.path())["finished"], true, "{context}");
                assert!(unacknowledged_problems(image.path()).expect("reads") > 0);
            }
        }
        assert!(
            changed > 4 && unfinished > 4,
            "{name}: {changed}, {unfinished}"
        );
    }
}

/// The same when an operation fails: the start ends with an error, the next one with a report.
#[test]
fn failing_operations_hide_nothing_that_was_cut_or_moved() {
    for Case { name, make, mode } in CASES {
        let recover = |at: usize, home: &Path| {
            let disk = RecordingDisk::with_existing(home);
            disk.fail(Fault {
                at,
                how: How::Errno(ENOSPC),
                persistent: false,
            });
            let opened = Writer::open_on(Box::new(disk.clone()), config(home), mode);
            (opened.is_err(), disk.calls())
        };
        let calls = recover(usize::MAX, make().path()).1;
        assert!(calls > 15, "{name}: {calls}");
        for at in 0..calls {
            let home = make();
            let before = files(home.path());
            let context = format!("{name}: operation {at} failed");
            assert!(recover(at, home.path()).0, "{context}");
            assert_named(&before, home.path(), &context);
            start(
                &RecordingDisk::with_existing(home.path()),
                home.path(),
                &context,
            );
            assert!(
                assert_named(&before, home.path(), &context) > 0,
                "{context}"
            );
            assert_eq!(report(home.path())["finished"], true, "{context}");
        }
    }
}

/// A log whose torn tail was cut by a start that died then: the log itself has no problem any more.
fn interrupted_behind_the_cut() -> TempDir {
    let home = torn_log();
    let disk = RecordingDisk::with_existing(home.path());
    let begin = disk.len();
    let mode = RecoveryMode::Tail;
    drop(Writer::open_on(Box::new(disk.clone()), config(home.path()), mode).expect("opens"));
    for ops in begin..=disk.len() {
        let image = scratch();
        disk.cut(ops, Cut::Ordered, 1, home.path(), image.path());
        let has_cut = crate::verify::verify(image.path(), &mut |_| {})
            .expect("verifies")
            .is_whole();
        if has_cut && report(image.path())["finished"] == false {
            return image;
        }
    }
    panic!("no moment between the cut and the end of the start");
}

/// What an interrupted start was going to do goes through a refusal, an acknowledgement and more
/// refusals to the report of the start that succeeds, marked and counted.
#[test]
fn an_unfinished_report_is_taken_over() {
    let home = interrupted_behind_the_cut();
    let dir = home.path();
    assert!(acknowledge_report(dir).expect("writes"));
    let state = fs::read(dir.join("STATE")).expect("reads");
    fs::remove_file(dir.join("STATE")).expect("removes");
    let mut texts = Vec::new();
    for _ in 0..2 {
        open(dir, RecoveryMode::Strict).expect_err("is refused");
        texts.push(fs::read(dir.join(REPORT_FILE)).expect("is there"));
    }
    assert!(texts[0] == texts[1], "the same refusal is told once");
    fs::write(dir.join("STATE"), state).expect("writes");
    let refused = report(dir);
    assert_eq!(
        (&refused["refused"], &refused["finished"]),
        (&true.into(), &true.into())
    );

    // Nothing is wrong with the log now, and a start that finds nothing leaves the report.
    open(dir, RecoveryMode::Tail).expect("opens");
    for report in [refused, report(dir)] {
        let actions = report["actions"].as_array().expect("a list");
        let cut = actions
            .iter()
            .find(|action| action["action"] == "cut_torn_tail")
            .unwrap_or_else(|| panic!("{report:#}"));
        assert_eq!(cut["interrupted"], true, "{report:#}");
        assert_eq!(report["interrupted_starts"], 1, "{report:#}");
        let problems = report["problems"].as_array().expect("a list");
        assert!(
            problems
                .iter()
                .any(|it| it["class"] == "torn_tail" && it["interrupted"] == true),
            "{report:#}"
        );
        assert_eq!(report["acknowledged"], false);
    }
}

/// Without anything wrong in the log, the next start still says that it has ended what the one before
/// had begun.
#[test]
fn a_start_without_problems_finishes_the_report() {
    let home = interrupted_behind_the_cut();
    let found = open(home.path(), RecoveryMode::Strict).expect("is whole");
    assert_eq!(found.problems, []);
    let report = report(home.path());
    assert_eq!(report["finished"], true);
    assert_eq!(report["interrupted_starts"], 1);
    assert_eq!(unacknowledged_problems(home.path()).expect("reads"), 1);
    // What was taken over is told once.
    open(home.path(), RecoveryMode::Tail).expect("opens");
    assert_eq!(self::report(home.path()), report);
}

/// What the start before left may be damaged itself, on a log that is whole: it is set aside as it is
/// and told of once, also by a start that refuses something else, and the next start has no trouble.
#[test]
fn an_unreadable_report_stops_no_start() {
    let makes: [fn(&Path); 4] = [
        |path| fs::create_dir(path).expect("creates"),
        |path| std::os::unix::fs::symlink(REPORT_FILE, path).expect("links"),
        |path| fs::write(path, "{\"problems\": [").expect("writes"),
        |path| fs::write(path, "[1]").expect("writes"),
    ];
    for (case, make) in makes.into_iter().enumerate() {
        for has_refused in [false, true] {
            let context = format!("case {case}, refused before: {has_refused}");
            let home = scratch();
            let dir = home.path();
            Writer::open(config(dir))
                .expect("opens")
                .0
                .close()
                .expect("closes");
            make(&dir.join(REPORT_FILE));
            if has_refused {
                let state = fs::read(dir.join("STATE")).expect("reads");
                fs::remove_file(dir.join("STATE")).expect("removes");
                for _ in 0..2 {
                    open(dir, RecoveryMode::Strict).expect_err("is refused");
                }
                fs::write(dir.join("STATE"), state).expect("writes");
            }
            let found = open(dir, RecoveryMode::Tail);
            let found = found.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(found.problems, [], "{context}");
            let told = report(dir);
            let problems = told["problems"].as_array().expect("a list");
            let is_it = |it: &&Value| it["class"] == "unreadable" && it["file"] == REPORT_FILE;
            assert_eq!(
                problems.iter().filter(is_it).count(),
                1,
                "{context}: {told:#}"
            );
            assert_eq!(told["finished"], true, "{context}");
            let kept = dir.join("quarantine/recovery-report.unreadable");
            assert!(kept.symlink_metadata().is_ok(), "{context}");
            open(dir, RecoveryMode::Strict).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(report(dir), told, "{context}");
        }
    }
}

/// Whatever fails, a report that nobody has seen stays in its place until the next one takes it.
#[test]
fn there_is_a_report_at_all_times() {
    let recover = |at: usize| {
        let home = torn_log();
        let unseen = r#"{"finished": true, "problems": [{}, {}], "acknowledged": false}"#;
        fs::write(home.path().join(REPORT_FILE), unseen).expect("writes");
        let disk = RecordingDisk::with_existing(home.path());
        let how = How::Errno(ENOSPC);
        let persistent = true;
        disk.fail(Fault {
            at,
            how,
            persistent,
        });
        let mode = RecoveryMode::Tail;
        let opened = Writer::open_on(Box::new(disk.clone()), config(home.path()), mode);
        let problems = unacknowledged_problems(home.path()).expect("reads");
        assert!(problems > 0, "operation {at} failed");
        (opened.is_err(), disk.calls())
    };
    let (_, calls) = recover(usize::MAX);
    for at in 0..calls {
        assert!(recover(at).0, "operation {at} failed");
    }
}

const ENOSPC: i32 = 28;
