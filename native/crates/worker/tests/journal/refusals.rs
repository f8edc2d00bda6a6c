//! What is asked for by mistake is refused with what, where and what to do, and changes nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::tempdir;

use crate::support::*;

/// Every command that reads a journal, up to its directory.
const COMMANDS: [&[&str]; 8] = [
    &["verify"],
    &["cat"],
    &["gaps"],
    &["repair"],
    &["repair", "--mode", "point-in-time", "--apply"],
    &["prune", "--keep-bytes", "1", "--apply"],
    &["replay", "--target", "239.1.1.1:5000", "--journal"],
    &["serve", "--listen", "127.0.0.1:0", "--dir"],
];

/// A closed segment, and one that was begun.
fn small(dir: &Path) {
    let mut day = Day::open(dir, MS);
    for first in 0..3 {
        day.data(FIRST, 1 + first, &[b"message"]);
    }
    day.writer.seal().expect("seals");
    day.writer.close().expect("closes");
}

/// Names and bytes of a directory.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(dir).expect("lists");
    let mut files: Vec<(PathBuf, Vec<u8>)> = entries
        .map(|entry| entry.expect("lists").path())
        .map(|path| (path.clone(), fs::read(&path).expect("reads")))
        .collect();
    files.sort();
    files
}

/// Not even a lock is left in a directory that is none of ours.
#[test]
fn no_journal_is_told_and_left_alone() {
    let home = tempdir().expect("a directory");
    let [absent, empty, other, file, copy] =
        ["absent", "empty", "other", "file", "copy"].map(|name| home.path().join(name));
    for dir in [&empty, &other, &copy] {
        fs::create_dir(dir).expect("creates");
    }
    fs::write(other.join("readme.txt"), "mine").expect("writes");
    fs::write(&file, "mine").expect("writes");
    fs::write(copy.join("from-1.frames"), "").expect("writes");
    for command in COMMANDS {
        for (path, hint) in [
            (&absent, "there is no such directory"),
            (&empty, "tickdeck journal show"),
            (&other, "tickdeck journal show"),
            (&file, "name that"),
        ] {
            let output = run(&[command, &[text(path)]].concat());
            let told = errors(&output);
            assert_eq!(code(&output), 78, "{command:?} {path:?}: {told}");
            assert!(told.contains(text(path)), "{command:?} {path:?}: {told}");
            assert!(told.contains(hint), "{command:?} {path:?}: {told}");
            assert!(output.stdout.is_empty(), "{command:?} {path:?}");
        }
    }
    assert_eq!(code(&run(&["info", text(&other)])), 78);
    assert_eq!(
        code(&run(&["info", text(&empty)])),
        0,
        "a writer may have made it"
    );
    let output = run(&["info", text(&copy)]);
    assert_eq!(code(&output), 78);
    assert!(
        errors(&output).contains("a subscriber's copy"),
        "{}",
        errors(&output)
    );
    assert!(!absent.exists());
    assert_eq!(content(&empty), []);
    assert_eq!(
        content(&other),
        [(other.join("readme.txt"), b"mine".to_vec())]
    );
}

/// A salvage that could not be done is not planned either; the journal is no place for another one.
#[test]
fn a_salvage_needs_a_new_directory_elsewhere() {
    let home = tempdir().expect("a directory");
    let dir = home.path().join("journal");
    small(&dir);
    fs::write(home.path().join("file"), "mine").expect("writes");
    let before = content(&dir);
    for (into, hint) in [
        (dir.clone(), "is not empty"),
        (dir.join("new/one"), "lies in the journal"),
        (dir.join("../journal/new"), "lies in the journal"),
        (home.path().join("file"), "name a new directory"),
    ] {
        for apply in [&[][..], &["--apply"]] {
            let args = [&["repair", text(&dir), "--into", text(&into)], apply].concat();
            let output = run(&args);
            let told = errors(&output);
            assert_eq!(code(&output), 78, "{args:?}: {told}");
            assert!(told.contains(hint), "{args:?}: {told}");
        }
    }
    assert!(content(&dir) == before, "the journal was changed");
}

/// A writer that lives is named, with a code of its own; so is a range that nothing can be in. What a
/// repair of the end did not read, it does not call whole.
#[test]
fn what_cannot_be_done_is_told() {
    let home = tempdir().expect("a directory");
    let dir = home.path().join("journal");
    small(&dir);
    for command in ["cat", "gaps"] {
        let output = run(&[command, text(&dir), "--from", "5", "--to", "2"]);
        assert_eq!(code(&output), 78, "{command}");
        assert!(
            errors(&output).contains("--from 5 is above --to 2"),
            "{command}"
        );
    }
    let output = run(&["cat", text(&dir), "--from", "50"]);
    assert_eq!((code(&output), output.stdout.len()), (0, 0));
    assert!(
        errors(&output).contains("the journal ends at 3"),
        "{}",
        errors(&output)
    );
    assert_eq!(errors(&run(&["cat", text(&dir), "--from", "3"])), "");
    // What proves nothing has not passed; what shows none has no progress.
    assert_eq!(code(&run(&["torture", "--cuts", "0"])), 2);
    assert_eq!(code(&run(&["info", text(&dir), "--progress"])), 2);
    let output = run(&["repair", text(&dir)]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        code(&output) == 0 && said.contains("was not read: verify does"),
        "{said}"
    );
    let help = run(&["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("125 somebody else writes it"));
    let _writer = Day::open(&dir, MS);
    let output = run(&["repair", text(&dir)]);
    let told = errors(&output);
    assert_eq!(code(&output), 125, "{told}");
    assert!(told.contains("locked by another writer (pid"), "{told}");
}

/// Who may not read is told as whom to come. Root may read everything.
#[test]
fn a_missing_right_has_a_code_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let name = "a_missing_right_has_a_code_of_its_own";
    let is_root = rustix::process::geteuid().is_root();
    let home = tempdir().expect("a directory");
    let dir = home.path().join("journal");
    small(&dir);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("sets");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o000)).expect("sets");
    // Somebody else must be able to run it. Copied by another process: what this one has open to write
    // may be in the hands of a child of another test, and then cannot be run.
    let binary = home.path().join("tickdeck-journal");
    let copied = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_tickdeck-journal"))
        .arg(&binary)
        .status();
    assert!(copied.expect("cp runs").success());
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("sets");
    let run_as_other = |args: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command.args(args).arg(&dir).stdin(Stdio::null());
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        command.output().expect("runs")
    };
    for args in COMMANDS {
        let output = run_as_other(args);
        let told = errors(&output);
        assert_eq!(code(&output), 77, "{name}: {args:?}: {told}");
        assert!(told.contains("Permission denied"), "{args:?}: {told}");
        assert!(told.contains("as root"), "{args:?}: {told}");
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("sets");
    let closed = home.path().join("closed");
    fs::create_dir(&closed).expect("creates");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("sets");
    let output = run_as_other(&["repair", "--into", text(&closed)]);
    let told = errors(&output);
    assert_eq!(code(&output), 77, "{told}");
    assert!(
        told.contains("name a directory that you may write"),
        "{told}"
    );
}

/// A path is bytes, not text; and a reader that has seen enough, or takes nothing, is no crash.
#[test]
fn paths_and_pipes_of_any_kind() {
    let home = tempdir().expect("a directory");
    let dir = home.path().join(OsStr::from_bytes(b"journal-\xff\xfe"));
    small(&dir);
    for (args, expected) in [
        (&["verify", "--json"][..], 0),
        (&["cat"], 0),
        (&["gaps"], 0),
        (&["info"], 0),
        (&["repair", "--json"], 0),
        (&["prune", "--keep-bytes", "1", "--json"], 0),
    ] {
        let output = command(args).arg(&dir).output().expect("runs");
        assert_eq!(code(&output), expected, "{args:?}: {}", errors(&output));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command(args)
            .arg(&dir)
            .stdout(writer)
            .output()
            .expect("runs");
        assert_eq!(code(&output), expected, "{args:?}: {}", errors(&output));
        assert_eq!(errors(&output), "", "{args:?}");
    }
}
