//! Real system calls that fail or hang, by strace (R09 by sample, R13).

use std::env;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tickdeck_journal::{Event, Reader, SyncPolicy, Writer, WriterConfig, verify};

use crate::mounts::{may_mount, run};
use crate::writing::{Caller, payload};

const CHILD: &str = "TICKDECK_TEST_INJECTED_DIR";
const LEN: usize = 500;
const SYNCS: u64 = 40;

/// Runs the child below under strace; what it printed.
fn under_strace(dir: &Path, injection: &str) -> String {
    let child = env::current_exe().expect("knows itself");
    let trace = dir.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", injection, "-o"])
        .arg(&trace)
        .arg(child)
        .args(["--exact", "injected::child_writes", "--nocapture"])
        .env(CHILD, dir.join("log"))
        .output()
        .expect("strace is there: requirements/test-packages.sh");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The figure behind a word in the child's output.
fn figure(text: &str, word: &str) -> u64 {
    let (_, rest) = text
        .split_once(word)
        .unwrap_or_else(|| panic!("{word}: {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn assert_all_there(dir: &Path, last_seq: u64) {
    assert_eq!(verify(dir, &mut |_| {}).expect("verifies").problems, []);
    let mut reader = Reader::open(dir).expect("opens");
    for seq in 1..=last_seq {
        let entry = reader.next().expect("whole").expect("a record");
        assert_eq!(
            (entry.seq, entry.record.payload),
            (seq, &payload(seq, LEN)[..])
        );
    }
}

/// Every third sync fails with EIO: each is told, a new segment follows each, nothing is lost.
#[test]
fn every_third_sync_fails() {
    if !may_trace("every_third_sync_fails") {
        return;
    }
    let home = TempDir::new().expect("a directory");
    let injection = "inject=fdatasync:error=EIO:when=6+3";
    let text = under_strace(home.path(), injection);
    assert_eq!(figure(&text, "durable "), SYNCS, "{text}");
    assert!(figure(&text, "failures ") >= 10, "{text}");
    assert!(figure(&text, "reopens ") >= 5, "{text}");
    assert_all_there(&home.path().join("log"), SYNCS);
}

/// A sync hangs for three seconds: another thread sees within two that the writer is at the device,
/// and since when; afterwards all is well.
#[test]
fn a_hanging_sync_is_seen_from_outside() {
    if !may_trace("a_hanging_sync_is_seen_from_outside") {
        return;
    }
    let home = TempDir::new().expect("a directory");
    let injection = "inject=fdatasync:delay_enter=3000000:when=10";
    let text = under_strace(home.path(), injection);
    let longest_ms = figure(&text, "longest_ms ");
    assert!((2_000..60_000).contains(&longest_ms), "{text}");
    assert_eq!(
        (figure(&text, "durable "), figure(&text, "failures ")),
        (SYNCS, 0),
        "{text}"
    );
    assert_all_there(&home.path().join("log"), SYNCS);
}

fn may_trace(test: &str) -> bool {
    may_mount(test)
        && run("strace", &["-V"])
            .map_err(|error| panic!("{error}"))
            .is_ok()
}

/// The child: does nothing unless started by the tests above.
#[test]
fn child_writes() {
    let Some(dir) = env::var_os(CHILD) else {
        return;
    };
    let config = WriterConfig::new(Path::new(&dir), 1 << 20, SyncPolicy::batch(5), 1);
    let (writer, _) = Writer::open(config).expect("opens");
    let busy_since_ns = writer.busy_since_ns();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
    let watcher = {
        let (stop, done) = (Arc::clone(&stop), done.0);
        thread::spawn(move || done.send(longest_ms(&busy_since_ns, &stop)))
    };
    let mut caller = Caller::new(writer, LEN);
    let mut failures = 0;
    for _ in 0..SYNCS {
        caller.offer();
        let deadline = Instant::now() + Duration::from_secs(60);
        while caller.writer.sync().is_err() {
            assert!(Instant::now() < deadline, "it comes back");
        }
        while let Some(event) = caller.writer.take_event() {
            failures += u64::from(matches!(event, Event::Failed { .. }));
        }
    }
    stop.store(true, Ordering::Release);
    let longest_ms = done.1.recv().expect("the watcher tells");
    watcher.join().expect("ends").expect("was heard");
    let (marks, counters) = (caller.writer.watermarks(), *caller.writer.counters());
    println!(
        "durable {} failures {failures} reopens {} longest_ms {longest_ms} ",
        marks.durable, counters.reopens
    );
    stdout().flush().expect("writes");
}

/// The longest stay at the device that was seen from this thread while it lasted.
fn longest_ms(busy_since_ns: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut longest = Duration::ZERO;
    let mut current = (0, Instant::now());
    while !stop.load(Ordering::Acquire) {
        let since_ns = busy_since_ns.load(Ordering::Acquire);
        if since_ns != current.0 {
            current = (since_ns, Instant::now());
        } else if since_ns > 0 {
            longest = longest.max(current.1.elapsed());
        }
        thread::sleep(Duration::from_millis(20));
    }
    u64::try_from(longest.as_millis()).expect("short")
}
