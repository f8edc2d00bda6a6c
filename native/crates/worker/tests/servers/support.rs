//! A running sim with all its servers, and its control socket.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tickdeck_sim::day::{DayConfig, generate};
use tickdeck_sim::{History, HistoryBuilder, SimError};
use tickdeck_wire::moldudp64::Session;

pub(crate) const SIM: &str = env!("CARGO_BIN_EXE_tickdeck-sim");
pub(crate) const SESSION: Session = Session(*b"TEST01    ");
pub(crate) const MESSAGES: u64 = 5_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// The messages that the sim plays.
pub(crate) fn day() -> History {
    let mut builder = HistoryBuilder::default();
    let config = DayConfig {
        messages: MESSAGES,
        instruments: 5,
        seed: 1,
    };
    generate::<SimError>(config, |message| builder.push(message)).expect("a day");
    builder.finish()
}

/// Killed when the test is done with it.
pub(crate) struct Sim {
    child: Child,
    ready: Value,
    _stdout: BufReader<ChildStdout>,
    control: BufReader<UnixStream>,
    last_id: u64,
    _directory: TempDir,
}

impl Sim {
    /// Plays as fast as it can, and waits until all was sent.
    pub(crate) fn played(line: u8) -> Self {
        let mut sim = Self::start(line, &["--rate", "max"]);
        let started = Instant::now();
        while sim.call("status", json!({}))["state"] != "ended" {
            assert!(started.elapsed() < PATIENCE, "the day does not end");
        }
        sim
    }

    /// Plays at a rate; `line` tells the tests' groups apart.
    pub(crate) fn start(line: u8, extra: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut child = command(line)
            .args(extra)
            .arg("--runtime-dir")
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the sim");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut text = String::new();
        stdout.read_line(&mut text).expect("the ready line");
        let ready = serde_json::from_str(&text).expect("JSON");
        let control = UnixStream::connect(directory.path().join("control.sock"));
        let control = control.expect("connect to the control socket");
        control.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut sim = Self {
            child,
            ready,
            _stdout: stdout,
            control: BufReader::new(control),
            last_id: 0,
            _directory: directory,
        };
        assert_eq!(sim.line()["hello"], 1);
        sim
    }

    /// Where a server listens: `request`, `soup`, `glimpse`, `peer`.
    pub(crate) fn address(&self, server: &str) -> SocketAddr {
        let text = self.ready[format!("{server}_listen")]
            .as_str()
            .expect("listens");
        text.parse().expect("an address")
    }

    /// Arms a lie and returns its id.
    pub(crate) fn arm(&mut self, server: &str, lie: &str, delay_ms: u64) -> u64 {
        let args = json!({"server": server, "lie": lie, "delay_ms": delay_ms});
        let fault = json!({"fault": "lie", "args": args, "lease_ms": 60_000});
        let id = &self.call("fault.arm", fault)["fault_id"];
        id.as_u64().expect("a number")
    }

    /// Ends all lies and returns how often the last one was told.
    pub(crate) fn clear(&mut self) -> u64 {
        let faults = self.call("fault.list", json!({}))["faults"].clone();
        self.call("fault.clear", json!({}));
        faults[0]["hits"].as_u64().expect("a number")
    }

    pub(crate) fn call(&mut self, op: &str, args: Value) -> Value {
        self.last_id += 1;
        let request = json!({"id": self.last_id.to_string(), "op": op, "args": args});
        writeln!(self.control.get_mut(), "{request}").expect("ask");
        let answer = self.line();
        assert_eq!(answer["ok"], true, "{answer}");
        answer["result"].clone()
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.control.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The command line of a sim with all servers.
pub(crate) fn command(line: u8) -> Command {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let mut command = Command::new(SIM);
    command
        .args(["play", "--generate", "--instruments", "5", "--messages"])
        .arg(MESSAGES.to_string())
        .args(["--session", "TEST01", "--heartbeat-ms", "50"])
        .arg(format!("--line=A=239.{}.{high}.{low}:40001", 120 + line));
    for server in ["request", "soup", "glimpse", "peer"] {
        command.args([&format!("--{server}-listen"), "127.0.0.1:0"]);
    }
    command
}
