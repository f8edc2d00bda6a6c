//! Two writers on one directory (R15).

use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tickdeck_journal::{JournalError, SyncPolicy, Writer, WriterConfig};

const CHILD: &str = "TICKDECK_TEST_LOCK_DIR";

fn config(dir: &std::path::Path) -> WriterConfig {
    WriterConfig::new(dir, 1 << 20, SyncPolicy::batch(5), 1)
}

/// The second writer is refused and told the pid of the first; when that one is dead, the next has
/// a higher epoch.
#[test]
fn the_second_writer_is_told_who_holds_the_log() {
    let dir = TempDir::new().expect("a directory");
    let mut child = Command::new(env::current_exe().expect("knows itself"))
        .args(["--exact", "lock::child_holds_the_log", "--nocapture"])
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let out = child.stdout.take().expect("is piped");
    let mut lines = BufReader::new(out).lines();
    let epoch = lines.find_map(|line| {
        let line = line.expect("reads");
        line.split_once("epoch ").map(|(_, epoch)| epoch.to_owned())
    });
    assert_eq!(epoch.as_deref(), Some("1"));
    let refused = Writer::open(config(dir.path())).expect_err("is locked");
    let JournalError::Locked { holder, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*holder, format!("pid {}", child.id()));
    child.kill().expect("kills");
    child.wait().expect("ends");
    let (writer, report) = Writer::open(config(dir.path())).expect("opens");
    assert_eq!((report.writer_epoch, writer.writer_epoch()), (2, 2));
}

/// The child: does nothing unless started by the test above.
#[test]
fn child_holds_the_log() {
    let Some(dir) = env::var_os(CHILD) else {
        return;
    };
    let (writer, _) = Writer::open(config(dir.as_ref())).expect("opens");
    println!("epoch {}", writer.writer_epoch());
    stdout().flush().expect("writes");
    loop {
        // Until it is killed.
        thread::sleep(Duration::from_secs(60));
    }
}
