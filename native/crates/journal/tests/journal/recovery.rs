//! Reopening: sequences go on, epochs rise, torn tails are cut and kept aside, writers exclude one
//! another.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tickdeck_journal::{
    JournalError, REPORT_FILE, Reader, RecoveryMode, Writer, checkpoint, has_writer,
};

use crate::support::*;

/// A clean stop and a crash both continue the sequence under a new epoch, in a new segment.
#[test]
fn reopening_continues_under_a_new_epoch() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    let log_id = writer.log_id();
    fill(&mut writer, 10, 50);
    writer.close().expect("closes");

    let (mut writer, report) = Writer::open(config(dir.path(), SMALL)).expect("opens");
    assert!(
        report.clean && !report.created && report.actions.is_empty(),
        "{report:?}"
    );
    assert_eq!(
        (report.writer_epoch, report.next_seq, writer.next_seq()),
        (2, 11, 11)
    );
    assert!(has_writer(dir.path()).expect("asks"));
    let state = checkpoint(dir.path())
        .expect("reads")
        .expect("there is one");
    assert_eq!(
        (state.writer_epoch, state.active_segment, state.durable_seq),
        (2, 2, 10)
    );
    assert!(!state.clean);
    fill(&mut writer, 10, 50);
    writer.flush().expect("writes");
    fill(&mut writer, 3, 50);
    drop(writer);

    let (mut writer, report) = Writer::open(config(dir.path(), SMALL)).expect("opens");
    assert!(!report.clean);
    assert_eq!(report.actions.len(), 1, "{report:?}");
    assert_eq!(report.actions[0].action, "sealed");
    assert_eq!(
        (report.writer_epoch, report.next_seq),
        (3, 21),
        "what was not written is gone"
    );
    assert_eq!(writer.log_id(), log_id);
    fill(&mut writer, 5, 50);
    writer.close().expect("closes");
    assert!(!has_writer(dir.path()).expect("asks"));
    assert!(
        checkpoint(dir.path())
            .expect("reads")
            .is_some_and(|state| state.clean)
    );
    assert_eq!(check(dir.path()).problems, []);
    assert_eq!(
        read_all(dir.path()).expect("reads"),
        (1..=25).collect::<Vec<_>>()
    );
    let epochs: Vec<u64> = Reader::open(dir.path())
        .expect("opens")
        .segments()
        .expect("lists")
        .iter()
        .map(|segment| segment.writer_epoch)
        .collect();
    assert_eq!(epochs, [1, 2, 3]);
}

/// A torn tail is cut, kept in quarantine byte for byte, and reported; `strict` refuses it and
/// changes nothing.
#[test]
fn a_torn_tail_is_cut_and_kept() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 4, 50);
    writer.sync().expect("syncs");
    fill(&mut writer, 4, 50);
    writer.flush().expect("writes");
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let mut bytes = fs::read(&file).expect("reads");
    let block = 72 + 4 * (24 + 50);
    let torn_at = 128 + block;
    bytes[torn_at + 200..torn_at + block].fill(0);
    fs::write(&file, &bytes).expect("writes");

    let refused = Writer::open_with(config(dir.path(), SMALL), RecoveryMode::Strict);
    match refused {
        Err(JournalError::Refused { report }) => {
            assert_eq!(report.problems[0].class.name(), "torn_tail");
            assert!(
                report
                    .to_string()
                    .contains("torn_tail at 00000000000000000001.seg+496")
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        fs::read(&file).expect("reads"),
        bytes,
        "nothing was changed"
    );

    let (writer, report) = Writer::open(config(dir.path(), SMALL)).expect("opens");
    assert_eq!(report.next_seq, 5);
    let actions: Vec<&str> = report.actions.iter().map(|action| action.action).collect();
    assert_eq!(actions, ["cut_torn_tail", "sealed"]);
    assert_eq!(
        (report.problems[0].offset, report.problems[0].from),
        (torn_at as u64, Some(5))
    );
    writer.close().expect("closes");
    let kept = dir
        .path()
        .join("quarantine/00000000000000000001.seg.496.torn");
    let kept = fs::read(kept).expect("is kept");
    assert_eq!(kept[..], bytes[torn_at..torn_at + kept.len()]);
    assert!(kept.len() >= 200);
    assert_eq!(check(dir.path()).problems, []);
}

/// A long torn tail is kept whole as well.
#[test]
fn a_long_torn_tail_is_kept_whole() {
    let dir = scratch();
    let mut writer = open(dir.path(), 4 << 20);
    fill(&mut writer, 1, 50);
    writer.flush().expect("writes");
    fill(&mut writer, 1, 1_000_000);
    writer.flush().expect("writes");
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let mut bytes = fs::read(&file).expect("reads");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("data");
    bytes[last] ^= 1;
    fs::write(&file, &bytes).expect("writes");
    let (_, report) = Writer::open(config(dir.path(), 4 << 20)).expect("opens");
    let cut = &report.actions[0];
    assert_eq!(cut.action, "cut_torn_tail");
    let kept = fs::read_dir(dir.path().join("quarantine"))
        .expect("lists")
        .map(|entry| fs::read(entry.expect("lists").path()).expect("reads"))
        .next()
        .expect("is kept");
    let torn_at = usize::try_from(cut.offset).expect("small");
    assert!(kept.len() > 1_000_000);
    assert_eq!(kept[..], bytes[torn_at..torn_at + kept.len()]);
}

/// A refused log is left exactly as it was.
#[test]
fn refusing_changes_nothing() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 400, 100);
    writer.close().expect("closes");
    let victim = segment_files(dir.path())[1].clone();
    fs::remove_file(&victim).expect("removes");
    let image = |dir: &std::path::Path| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(dir).expect("lists").flatten().collect();
        files.sort_by_key(fs::DirEntry::path);
        let content = |entry: fs::DirEntry| (entry.path(), fs::read(entry.path()).expect("reads"));
        // The lock file holds the number of the last process that asked; the report says why not.
        files
            .into_iter()
            .filter(|entry| entry.file_name() != "lock")
            .filter(|entry| entry.file_name() != REPORT_FILE && entry.path().is_file())
            .map(content)
            .collect()
    };
    let before = image(dir.path());
    for mode in [RecoveryMode::Strict, RecoveryMode::Tail] {
        match Writer::open_with(config(dir.path(), SMALL), mode) {
            Err(JournalError::Refused { report }) => {
                assert_eq!(report.problems[0].class.name(), "missing_segment");
                assert_eq!(report.problems[0].file, "00000000000000000002.seg");
            }
            other => panic!("{other:?}"),
        }
        assert!(image(dir.path()) == before, "a file of the log was changed");
        let report = fs::read_to_string(dir.path().join(REPORT_FILE)).expect("is written");
        assert!(report.contains("\"action\": \"refused\""), "{report}");
    }
    let mut reader = Reader::open(dir.path()).expect("opens");
    let error = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a missing segment is not the end"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("missing_segment"), "{error}");
}

/// A second writer is refused with the holder's pid, in this process and in another one.
#[test]
fn two_writers_exclude_each_other() {
    let dir = scratch();
    let writer = open(dir.path(), SMALL);
    match Writer::open(config(dir.path(), SMALL)) {
        Err(JournalError::Locked { holder, .. }) => {
            assert_eq!(holder, format!("pid {}", std::process::id()));
        }
        other => panic!("{other:?}"),
    }
    drop(writer);
    let mut child = Command::new("flock")
        .args(["--no-fork", "--exclusive"])
        .arg(dir.path().join("lock"))
        .args(["sh", "-c", "echo locked; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux is there");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("is piped");
    BufReader::new(stdout).read_line(&mut line).expect("reads");
    assert_eq!(line, "locked\n");
    let refused = Writer::open(config(dir.path(), SMALL));
    assert!(
        matches!(refused, Err(JournalError::Locked { .. })),
        "{refused:?}"
    );
    child.kill().expect("kills its own child");
    child.wait().expect("ends");
}

/// A writer waits out a reader that asks for an instant whether a writer lives.
#[test]
fn verifying_beside_a_start_does_not_lock_the_writer_out() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 2, 10);
    writer.flush().expect("writes");
    drop(writer);
    let file = segment_files(dir.path())[0].clone();
    let mut bytes = fs::read(&file).expect("reads");
    bytes[128 + 72 + 68 + 4] = 1;
    fs::write(&file, bytes).expect("writes");
    std::thread::scope(|scope| {
        let path = dir.path();
        let verifier = scope.spawn(move || {
            for _ in 0..200 {
                check(path);
            }
        });
        for _ in 0..20 {
            drop(open(path, SMALL));
        }
        verifier.join().expect("verifies");
    });
}

/// Without a directory to write, opening fails at once and says where.
#[test]
fn an_impossible_directory_is_an_error() {
    let dir = scratch();
    let file = dir.path().join("file");
    fs::write(&file, b"x").expect("writes");
    let error = Writer::open(config(&file.join("journal"), SMALL)).expect_err("not a directory");
    assert!(error.to_string().contains("file/journal"), "{error}");
    open(&dir.path().join("a/b/c"), SMALL)
        .close()
        .expect("closes");
}
