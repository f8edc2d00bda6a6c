//! `tickdeck-sim` as the venue of a plant: lines, and every recovery source on ports of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_wire::binaryfile::Messages;

use crate::plant::{Plant, Worker};

const SIM: &str = env!("CARGO_BIN_EXE_tickdeck-sim");
/// How long anything may take before a test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// A running sim that waits for [`Venue::play`]; killed when dropped.
pub(crate) struct Venue {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    ready: Value,
    runtime: PathBuf,
    messages: Vec<Vec<u8>>,
    calls: u32,
}

impl Venue {
    /// A generated day of about so many messages for the plant's lines, at `rate`; `extra` goes on
    /// the command line.
    pub(crate) fn open(plant: &Plant, messages: u64, rate: &str, extra: &[&str]) -> Self {
        let day = plant.path("day.itch");
        let generated = Command::new(SIM)
            .args(["generate", "--instruments", "5", "--messages"])
            .args([&messages.to_string(), "--out"])
            .arg(&day)
            .stdout(Stdio::null())
            .status()
            .expect("tickdeck-sim generate runs");
        assert!(generated.success());
        let bytes = std::fs::read(&day).expect("the day");
        let messages = Messages::new(&bytes).map(|message| message.expect("whole").to_vec());
        let runtime = plant.path("venue");
        let mut child = Command::new(SIM)
            .args(["play", "--wait", "--session", "DEMO000001", "--rate", rate])
            .args(["--heartbeat-ms", "20"])
            .arg("--input")
            .arg(&day)
            .arg("--runtime-dir")
            .arg(&runtime)
            .arg(format!("--line=A={}", plant.destination(0)))
            .arg(format!("--line=B={}", plant.destination(1)))
            .args([
                "--request-listen",
                "127.0.0.1:0",
                "--soup-listen",
                "127.0.0.1:0",
            ])
            .args([
                "--glimpse-listen",
                "127.0.0.1:0",
                "--peer-listen",
                "127.0.0.1:0",
            ])
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tickdeck-sim starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the ready line");
        Self {
            child,
            _stdout: stdout,
            ready: serde_json::from_str(&line).expect("JSON"),
            runtime,
            messages: messages.collect(),
            calls: 0,
        }
    }

    /// Where a server listens: `request`, `soup`, `glimpse` or `peer`.
    pub(crate) fn address(&self, server: &str) -> Value {
        let address = &self.ready[format!("{server}_listen")];
        assert!(address.is_string(), "{server} in {}", self.ready);
        address.clone()
    }

    /// Number of messages of the day.
    pub(crate) fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The messages of the day, in order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.messages.iter().map(Vec::as_slice)
    }

    /// Sends the day.
    pub(crate) fn play(&mut self) {
        self.call("play", json!({}));
    }

    /// Arms a fault for a minute.
    pub(crate) fn arm(&mut self, fault: &str, args: Value) {
        self.arm_for(fault, args, 60_000);
    }

    /// Arms a fault for so long.
    pub(crate) fn arm_for(&mut self, fault: &str, args: Value, lease_ms: u64) {
        let args = json!({"fault": fault, "args": args, "lease_ms": lease_ms});
        self.call("fault.arm", args);
    }

    /// Waits until the output of the worker has come to the end of the day.
    pub(crate) fn wait_for_the_end(&self, worker: &Worker) {
        let (start, end) = (Instant::now(), self.count() + 1);
        while worker.value("arbiter_next_sequence", "") < end {
            let at = worker.value("arbiter_next_sequence", "");
            assert!(start.elapsed() < LIMIT, "the output stays at {at} of {end}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asserts that the journal has the day's messages and no others, byte for byte, in order, but
    /// for those that it declares lost; returns how many are.
    pub(crate) fn compare(&self, plant: &Plant) -> u64 {
        let mut next = 1;
        let mut lost = 0;
        plant.each_run(|first, blocks| match blocks {
            Some(blocks) => {
                assert_eq!(first.0, next, "no message twice, none left out");
                for block in blocks {
                    let message = &self.messages[usize::try_from(next).expect("small") - 1];
                    assert_eq!(block, message, "message {next}");
                    next += 1;
                }
            }
            None => {
                assert_eq!(first.0, next, "a loss is told in its place");
                lost += first.1 - first.0 + 1;
                next = first.1 + 1;
            }
        });
        assert_eq!(next, self.count() + 1, "the whole day");
        lost
    }

    fn call(&mut self, op: &str, args: Value) -> Value {
        let mut stream =
            UnixStream::connect(self.runtime.join("control.sock")).expect("control socket");
        self.calls += 1;
        let request = json!({"id": self.calls.to_string(), "op": op, "args": args,
                             "deadline_ms": 10_000});
        writeln!(stream, "{request}").expect("request");
        let mut lines = BufReader::new(stream).lines();
        lines.next().expect("hello").expect("readable");
        let answer = lines.next().expect("an answer").expect("readable");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["ok"], true, "{op}: {answer}");
        answer["result"].clone()
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
