//! A writer is killed with SIGKILL at random moments; an oracle remembers what it had acknowledged.

use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tickdeck_journal::{Reader, SyncPolicy, Writer};

use crate::support::*;

const ROUNDS: u64 = 60;

/// Killed 60 times, never an acknowledged record is missing, never one is there twice, and the log
/// verifies after each restart.
#[test]
fn kill_9_loses_nothing_acknowledged() {
    let dir = TempDir::new().expect("a directory on a real disk");
    let (mut acknowledged, mut total) = (0, 0);
    for round in 1..=ROUNDS {
        let delay = Duration::from_micros(500 + round * 7919 % 40_000);
        let acks = run_and_kill(dir.path(), delay);
        assert!(acks.is_sorted(), "acknowledgements only grow");
        acknowledged = acks.last().copied().unwrap_or(acknowledged);
        let seqs = read_all(dir.path()).expect("reads");
        assert!(
            seqs.iter().copied().eq(1..=seqs.len() as u64),
            "round {round}"
        );
        total = seqs.len() as u64;
        assert!(
            total >= acknowledged,
            "round {round}: {total} of {acknowledged}"
        );
    }
    let (writer, report) = Writer::open(config(dir.path(), 1 << 20)).expect("opens");
    assert_eq!(
        (report.next_seq, report.writer_epoch),
        (total + 1, ROUNDS + 1)
    );
    writer.close().expect("closes");
    let report = check(dir.path());
    assert_eq!(
        (report.problems.as_slice(), report.records),
        (&[][..], total)
    );
    assert!(
        acknowledged > 1000,
        "only {acknowledged} records were acknowledged"
    );
}

/// Starts the writer below in a process of its own, kills it, returns what it acknowledged.
fn run_and_kill(dir: &std::path::Path, delay: Duration) -> Vec<u64> {
    let mut child = Command::new(env::current_exe().expect("knows itself"))
        .args([
            "--exact",
            "kill::child_writer",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let acknowledgement = |line: Option<std::io::Result<String>>| -> Option<u64> {
        line?.ok()?.strip_prefix("durable ")?.parse().ok()
    };
    // The harness of the test prints first; the clock starts when the writer is open.
    while !lines
        .next()
        .expect("the child opens")
        .expect("reads")
        .starts_with("open ")
    {}
    let deadline = Instant::now() + delay;
    let mut acks = Vec::new();
    while Instant::now() < deadline {
        acks.extend(acknowledgement(lines.next()));
    }
    child.kill().expect("kills its own child");
    child.wait().expect("ends");
    for line in lines {
        acks.extend(acknowledgement(Some(line)));
    }
    acks
}

/// The child of the test above: appends for ever and prints each new durable sequence. Does nothing
/// in a normal test run.
#[test]
fn child_writer() {
    let Some(dir) = env::var_os(CHILD_DIR) else {
        return;
    };
    let mut config = config(dir.as_ref(), 1 << 20);
    config.sync = SyncPolicy::Batch {
        bytes: 64 * 1024,
        records: 500,
        ms: 1,
    };
    let (mut writer, report) = Writer::open(config).expect("opens");
    let mut out = stdout().lock();
    writeln!(out, "\nopen {}", report.next_seq).expect("prints");
    let (begin, mut durable) = (Instant::now(), report.next_seq - 1);
    while begin.elapsed() < Duration::from_secs(60) {
        fill(&mut writer, 17, (durable % 300) as usize);
        let now_ns = begin.elapsed().as_nanos() as u64;
        let marks = writer.poll(now_ns).expect("polls").watermarks;
        if marks.durable != durable {
            durable = marks.durable;
            writeln!(out, "durable {durable}").expect("prints");
        }
    }
}

const CHILD_DIR: &str = "TICKDECK_JOURNAL_TEST_CHILD";

/// A log is copied file by file while it is written: whatever mixture of moments the copy is, what
/// it holds is a prefix, and either opens or is refused, never misread.
#[test]
fn copies_at_arbitrary_moments_are_prefixes() {
    let dir = scratch();
    let copies = scratch();
    let mut writer = open(dir.path(), SMALL);
    for step in 0..300_u64 {
        fill(&mut writer, 1 + step % 9, (step * 13 % 400) as usize);
        match step % 5 {
            0 => writer.flush().expect("writes"),
            1 => writer.sync().expect("syncs"),
            _ => drop(writer.poll(step * 1_000_000).expect("polls")),
        }
        let copy = copies.path().join(step.to_string());
        copy_dir(dir.path(), &copy);
        let mut reader = Reader::open(&copy).expect("opens");
        let seqs = read_on(&mut reader).expect("a copy between two calls is whole");
        assert!(
            seqs.iter().copied().eq(1..=writer.watermarks().written),
            "step {step}"
        );
        let again = open(&copy, SMALL);
        assert_eq!(
            again.next_seq(),
            writer.watermarks().written + 1,
            "step {step}"
        );
        again.close().expect("closes");
        assert_eq!(check(&copy).problems, [], "step {step}");
    }
}
