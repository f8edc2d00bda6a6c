//! One `tickdeck-book run` process and its control socket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_stats::reader::Reader;
use tickdeck_stats::{State, layout};

use crate::receiver::{journal_dir, ring_path};
use crate::spec;

pub(crate) const BOOK: &str = env!("CARGO_BIN_EXE_tickdeck-book");
const PATIENCE: Duration = Duration::from_secs(60);

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    dir: PathBuf,
    incarnation: String,
    control: Option<BufReader<UnixStream>>,
    calls: u64,
}

impl Worker {
    /// Starts a worker with snapshots only on request and at the end.
    pub(crate) fn start(root: &Path) -> Self {
        Self::start_with(root, 3_600_000)
    }

    pub(crate) fn start_with(root: &Path, snapshot_interval_ms: u64) -> Self {
        let book = json!({"snapshot_interval_ms": snapshot_interval_ms});
        Self::start_set(root, &book)
    }

    /// Starts a worker with these settings of `[book]` beside the usual ones.
    pub(crate) fn start_set(root: &Path, book: &Value) -> Self {
        let dir = root.join("book");
        std::fs::create_dir_all(&dir).expect("runtime directory");
        let count = std::fs::read_dir(&dir).expect("runtime directory").count();
        let incarnation = format!("00000000-0000-4000-8000-{count:012x}");
        let path = dir.join(format!("spec.{count}.json"));
        let mut spec = spec(root, &dir, &incarnation);
        for (key, value) in book.as_object().expect("settings") {
            spec["exchange"]["book"][key] = value.clone();
        }
        std::fs::write(&path, spec.to_string()).expect("spec file");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(root.join("book.jsonl"))
            .expect("log file");
        let child = Command::new(BOOK)
            .args(["run", "--ephemeral", "--spec"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("tickdeck-book starts");
        Self {
            child,
            dir,
            incarnation,
            control: None,
            calls: 0,
        }
    }

    /// Starts a worker and waits until it is ready.
    pub(crate) fn ready(root: &Path) -> Self {
        let worker = Self::start(root);
        worker.wait_ready();
        worker
    }

    pub(crate) fn wait_ready(&self) {
        wait_for("READY", || {
            self.stats()
                .is_some_and(|s| s.state() == Some(State::Ready))
        });
    }

    /// The worker's numbers, once its file is there.
    pub(crate) fn stats(&self) -> Option<Reader> {
        let incarnation = layout::parse_incarnation(&self.incarnation).expect("a uuid");
        Reader::open(&self.dir.join(layout::file_name(&incarnation))).ok()
    }

    pub(crate) fn value(&self, name: &str) -> u64 {
        let stats = self.stats().expect("the stats file is there");
        stats
            .value(name, "")
            .unwrap_or_else(|| panic!("{name} is published"))
    }

    /// One call on the control socket: the result, or the error's code.
    pub(crate) fn call(&mut self, op: &str, args: Value) -> Result<Value, String> {
        self.calls += 1;
        let request = json!({"id": format!("{}", self.calls), "op": op, "args": args,
                             "deadline_ms": 10_000});
        let control = self.connection();
        writeln!(control.get_mut(), "{request}").expect("request");
        let mut line = String::new();
        control.read_line(&mut line).expect("answer");
        let answer: Value = serde_json::from_str(&line).expect("answers are JSON");
        if answer["ok"] == true {
            Ok(answer["result"].clone())
        } else {
            Err(answer["error"]["code"].as_str().expect("a code").to_owned())
        }
    }

    pub(crate) fn status(&mut self) -> Value {
        self.call("status", json!({})).expect("status")
    }

    /// Waits until a field of the status has this value.
    pub(crate) fn wait_status(&mut self, field: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        let mut last = Value::Null;
        let reached = reached(|| {
            last = self.status();
            last[field] == wanted
        });
        assert!(reached, "{field} never became {wanted}: {last}");
    }

    /// Queue hash of each instrument.
    pub(crate) fn hashes(&mut self) -> BTreeMap<String, String> {
        let list = self
            .call("book.list", json!({"hashes": true}))
            .expect("list");
        let text = |book: &Value, key: &str| book[key].as_str().expect("text").to_owned();
        let books = list["books"].as_array().expect("a list");
        books
            .iter()
            .map(|book| (text(book, "symbol"), text(book, "queue_sha256")))
            .collect()
    }

    /// Ends as by a crash.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a child's pid"), signal).expect("signal");
    }

    /// Stops every thread, and waits until they stand still.
    pub(crate) fn suspend(&self) {
        self.signal(rustix::process::Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        wait_for("the stop", || {
            std::fs::read_dir(&tasks).expect("tasks").all(|task| {
                let path = task.expect("a task").path().join("stat");
                let stat = std::fs::read_to_string(path).expect("stat");
                stat.rsplit_once(") ")
                    .is_some_and(|(_, rest)| rest.starts_with('T'))
            })
        });
    }

    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        status.expect("it ended")
    }

    fn connection(&mut self) -> &mut BufReader<UnixStream> {
        let path = self.dir.join("control.sock");
        self.control.get_or_insert_with(|| {
            let mut stream = None;
            wait_for("the control socket", || {
                stream = UnixStream::connect(&path).ok();
                stream.is_some()
            });
            let mut control = BufReader::new(stream.expect("it was connected"));
            let mut hello = String::new();
            control.read_line(&mut hello).expect("hello");
            control
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("wait");
        }
    }
}

/// Waits for a condition; a test fails when it does not come.
pub(crate) fn wait_for(what: &str, condition: impl FnMut() -> bool) {
    assert!(reached(condition), "{what} did not come");
}

fn reached(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

/// The worker's log so far.
pub(crate) fn log(root: &Path) -> String {
    std::fs::read_to_string(root.join("book.jsonl")).expect("the log is text")
}

/// The snapshot directory below a test's directory.
pub(crate) fn snapshot_dir(root: &Path) -> PathBuf {
    root.join("snapshots")
}

/// A spec of this worker; one of its receiver differs in kind and lines.
pub(crate) fn spec(root: &Path, dir: &Path, incarnation: &str) -> Value {
    let line = |name: &str, group: &str| {
        json!({"name": name, "group": group, "port": 31001, "interface": "127.0.0.1",
               "source": null, "receive": "recvmmsg"})
    };
    let recovery = json!({"replay_protocol": "none", "request_address": null,
                         "min_request_interval_ms": 5, "request_timeout_ms": 50,
                         "retry_attempts": 10, "retry_backoff_ms": 20, "slo_ms": 500,
                         "unrecoverable_policy": "declare_lost", "start_at": "session_start",
                         "username": null, "password_file": null, "peer_address": null,
                         "connect_timeout_ms": 1000, "retry_backoff_max_ms": 500,
                         "storm_gaps": 64, "probe_interval_ms": 0,
                         "snapshot": {"protocol": "none", "address": null, "group": null,
                                      "port": null, "interface": null, "source": null,
                                      "timeout_ms": 10_000, "max_bytes": 1_048_576}});
    json!({
        "schema": "tickdeck.spec/v1", "kind": "book", "worker": "T-book",
        "incarnation": incarnation, "generation": 1,
        "runtime_dir": dir, "ring_path": ring_path(root), "snapshot_dir": snapshot_dir(root),
        "exchange": {
            "name": "T", "protocol": "moldudp64", "decoder": "itch50",
                "eobi_release": "14.1", "channel": 1,
            "general": {"mlock_all": false},
                "afxdp": {"enable": null, "require": "any", "frame_count": 1024, "rx_ring": 1024,
                          "huge_pages": false},
            "receive": {"cpu": null, "wait": "block", "rcvbuf_bytes": 65536, "batch": 64,
                        "max_packet_bytes": 2048, "busy_poll_us": 0, "busy_poll_budget": 64,
                        "timestamps": "hardware_or_kernel"},
            "packet_mmap": {"enable": null, "queues": 1, "block_bytes": 262_144,
                            "block_count": 128, "retire_ms": 1},
            "lines": [line("A", "239.81.0.1"), line("B", "239.81.0.2")],
            "arbiter": {"reorder_window_ns": 2_000_000, "reorder_window_min_ns": 100_000,
                        "reorder_window_packets": 16, "hold_capacity_packets": 1024,
                        "session_takeover_ms": 3000},
            "ring": {"slot_count": 4096},
            "recovery": recovery,
            "journal": spec::journal(&journal_dir(root)),
            "tcp_export": spec::tcp_export(),
            "capture": {"enabled": false, "ring_bytes": 1_048_576, "before_ms": 1000,
                        "after_ms": 50, "cut_on_gap": true, "max_files": 10,
                        "data_dir": root.join("captures")},
            "book": {"enabled": true, "snapshot_interval_ms": 3_600_000,
                     "initial_orders": 1024, "checkpoint_messages": 0,
                     "check_interval_ms": 10, "ticks": []}
        }
    })
}
