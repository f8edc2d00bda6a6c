//! One exchange in its own directory, with the test as the venue.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tickdeck_journal::Reader;
use tickdeck_net::{MulticastSender, find_interface};
use tickdeck_testbed::{RX_INTERFACE, TX_INTERFACE, Testbed};
use tickdeck_wire::moldudp64::{
    Blocks, PacketBuilder, Request, Session, end_of_session, heartbeat,
};
use tickdeck_wire::record::{GapEvent, LostEvent, SessionEvent, SessionEventKind, kind};

/// How long anything may take before a test fails.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const SESSION: Session = Session(*b"DEMO000001");

/// A venue with two lines and a re-request server, and a directory for a worker.
pub(crate) struct Plant {
    directory: tempfile::TempDir,
    spec: Value,
    lines: [MulticastSender; 2],
    /// How the worker is started: directly, or in another network namespace.
    launcher: Box<dyn Fn(&str) -> Command + Send + Sync>,
    server: UdpSocket,
    pub(crate) session: Session,
    incarnations: AtomicU32,
}

/// A started worker; killed when dropped.
pub(crate) struct Worker {
    name: String,
    child: Child,
    stats: PathBuf,
    control: PathBuf,
}

/// What a journal says, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// First and last sequence number of a run.
    Data(u64, u64),
    Opened(u64, u64),
    Filled(u64, u64),
    Lost(u64, u64),
    Session(SessionEventKind, u64),
    Hole(u64, u64),
}

impl Plant {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().expect("temporary directory"))
    }

    fn at(directory: tempfile::TempDir) -> Self {
        let path = |name: &str| directory.path().join(name).display().to_string();
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("request server");
        server
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("read timeout");
        let port = free_port();
        let groups = [1, 2].map(|line| Ipv4Addr::new(239, 192, fresh_number(), line));
        let loopback = find_interface("lo").expect("loopback interface");
        let lines = groups.map(|group| {
            MulticastSender::open(group.into(), port, &loopback, 0).expect("multicast sender")
        });
        let line = |name: &str, group: Ipv4Addr| {
            json!({"name": name, "group": group.to_string(), "port": port,
                   "interface": "127.0.0.1", "source": null, "receive": "recvmmsg"})
        };
        let recovery = json!({"replay_protocol": "moldudp64",
                             "request_address": server.local_addr().expect("address").to_string(),
                             "min_request_interval_ms": 1, "request_timeout_ms": 5000,
                             "retry_attempts": 3, "retry_backoff_ms": 1, "slo_ms": 500,
                             "unrecoverable_policy": "declare_lost", "start_at": "session_start",
                             "username": null, "password_file": null, "peer_address": null,
                             "connect_timeout_ms": 1000, "retry_backoff_max_ms": 500,
                             "storm_gaps": 64, "probe_interval_ms": 0,
                             "snapshot": {"protocol": "none", "address": null, "group": null,
                                          "port": null, "interface": null, "source": null,
                                          "timeout_ms": 10_000, "max_bytes": 1_048_576}});
        let spec = json!({
            "schema": "tickdeck.spec/v1", "kind": "rx", "worker": "TEST-rx", "generation": 1,
            "incarnation": "", "runtime_dir": path(""), "ring_path": path("ring"),
            "snapshot_dir": path("snapshots"),
            "exchange": {
                "name": "TEST", "protocol": "moldudp64", "decoder": "itch50",
                "eobi_release": "14.1", "channel": 7,
                "general": {"mlock_all": false},
                "afxdp": {"enable": null, "require": "any", "frame_count": 1024, "rx_ring": 1024,
                          "huge_pages": false},
                "receive": {"cpu": null, "wait": "block", "rcvbuf_bytes": 1_048_576, "batch": 32,
                            "max_packet_bytes": 1500, "busy_poll_us": 0, "busy_poll_budget": 64,
                            "timestamps": "hardware_or_kernel"},
                "packet_mmap": {"enable": null, "queues": 1, "block_bytes": 262_144,
                                "block_count": 128, "retire_ms": 1},
                "lines": [line("A", groups[0]), line("B", groups[1])],
                "arbiter": {"reorder_window_ns": 1_000_000, "reorder_window_min_ns": 1_000_000,
                            "reorder_window_packets": 16, "hold_capacity_packets": 4096,
                            "session_takeover_ms": 3000},
                "ring": {"slot_count": 4096},
                "recovery": recovery,
                "journal": crate::spec::journal(&directory.path().join("journal")),
                "tcp_export": crate::spec::tcp_export(),
                "capture": {"enabled": false, "ring_bytes": 1_048_576, "before_ms": 1000,
                            "after_ms": 50, "cut_on_gap": true, "max_files": 10,
                            "data_dir": path("captures")},
                "book": {"enabled": false, "snapshot_interval_ms": 5000, "initial_orders": 16,
                         "checkpoint_messages": 0, "check_interval_ms": 0, "ticks": []},
            },
        });
        Self {
            directory,
            spec,
            lines,
            server,
            launcher: Box::new(|program| Command::new(program)),
            session: SESSION,
            incarnations: AtomicU32::new(0),
        }
    }

    /// A venue on one end of the testbed's wire and the worker on the other, both lines on `path`.
    /// The re-request server would be out of reach, so there is none.
    ///
    /// It lies on tmpfs, as ring and stats file do in production: a disk's file system protects each
    /// page that it writes back, and the next packet takes a fault.
    pub(crate) fn across(testbed: &Arc<Testbed>, path: &str) -> Self {
        let mut plant = Self::at(tempfile::tempdir_in("/dev/shm").expect("temporary directory"));
        for line in 0..2 {
            let at = |key: &str| format!("/exchange/lines/{line}/{key}");
            plant.set(&at("interface"), json!(RX_INTERFACE));
            plant.set(&at("receive"), json!(path));
        }
        plant.set("/exchange/recovery/replay_protocol", json!("none"));
        plant.set("/exchange/recovery/request_address", Value::Null);
        plant.lines = testbed.in_tx(|| {
            let interface = find_interface(TX_INTERFACE).expect("the sending end");
            [0, 1].map(|line| {
                let (group, port) = plant.group(line);
                MulticastSender::open(group, port, &interface, 1).expect("multicast sender")
            })
        });
        let testbed = Arc::clone(testbed);
        plant.launcher = Box::new(move |program| testbed.process_rx(program));
        plant
    }

    /// Sets a value of the spec, such as `/exchange/recovery/slo_ms`.
    pub(crate) fn set(&mut self, pointer: &str, value: Value) {
        *self.spec.pointer_mut(pointer).expect("a key of the spec") = value;
    }

    /// Where line 0 or 1 is sent to.
    pub(crate) fn destination(&self, line: usize) -> SocketAddr {
        let line = &self.spec["exchange"]["lines"][line];
        let text = |key: &str| line[key].to_string().replace('"', "");
        let address = format!("{}:{}", text("group"), text("port"));
        address.parse().expect("an address")
    }

    /// Where the snapshot channel is sent to.
    pub(crate) fn snapshot_destination(&self) -> SocketAddr {
        let snapshot = &self.spec["exchange"]["recovery"]["snapshot"];
        let group = snapshot["group"].as_str().expect("a group");
        let address = format!("{group}:{}", snapshot["port"]);
        address.parse().expect("an address")
    }

    /// Starts a worker and waits until it is ready.
    pub(crate) fn start(&mut self) -> Worker {
        self.ready("rx")
    }

    /// Starts a book worker beside it and waits until that is ready.
    pub(crate) fn start_book(&self) -> Worker {
        self.ready("book")
    }

    fn ready(&self, kind: &str) -> Worker {
        let mut worker = self.spawn(kind);
        let mut ready = [0];
        let mut stdout = worker
            .child
            .stdout
            .take()
            .expect("standard output is a pipe");
        stdout
            .read_exact(&mut ready)
            .expect("the worker becomes ready");
        assert_eq!(ready, *b"\n");
        worker
    }

    /// Starts a worker that must not become ready; returns its exit code and its log.
    pub(crate) fn start_in_vain(&mut self) -> (i32, String) {
        let mut worker = self.spawn("rx");
        let mut log = String::new();
        let mut stderr = worker
            .child
            .stderr
            .take()
            .expect("standard error is a pipe");
        stderr.read_to_string(&mut log).expect("the log");
        let stdout = worker.child.stdout.as_mut().expect("standard output");
        assert_eq!(stdout.read(&mut [0]).expect("reads"), 0, "READY: {log}");
        (worker.exit_code(), log)
    }

    /// What `tickdeck-rx probe` says of the lines.
    pub(crate) fn probe(&self) -> Value {
        let path = self.directory.path().join("probe.json");
        let mut spec = self.spec.clone();
        spec["incarnation"] = json!("00000000-0000-4000-8000-000000000000");
        std::fs::write(&path, spec.to_string()).expect("spec file");
        let mut command = (self.launcher)(env!("CARGO_BIN_EXE_tickdeck-rx"));
        let output = command.args(["probe", "--spec"]).arg(&path).output();
        let output = output.expect("tickdeck-rx probe runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Group and port of a line.
    pub(crate) fn group(&self, line: usize) -> (IpAddr, u16) {
        let line = &self.spec["exchange"]["lines"][line];
        let group = line["group"].as_str().and_then(|group| group.parse().ok());
        let port = line["port"].as_u64().and_then(|port| port.try_into().ok());
        (group.expect("a group"), port.expect("a port"))
    }

    fn spawn(&self, kind: &str) -> Worker {
        let count = self.incarnations.fetch_add(1, Ordering::Relaxed) + 1;
        let incarnation = format!("00000000-0000-4000-8000-{count:012}");
        let (mut spec, mut home) = (self.spec.clone(), self.directory.path().to_owned());
        spec["incarnation"] = json!(incarnation);
        let name = format!("TEST-{kind}");
        let mut program = env!("CARGO_BIN_EXE_tickdeck-rx");
        if kind == "book" {
            home.push("book");
            std::fs::create_dir_all(&home).expect("a directory");
            program = env!("CARGO_BIN_EXE_tickdeck-book");
            (spec["kind"], spec["worker"]) = (json!(kind), json!(name));
            spec["runtime_dir"] = json!(home);
        }
        let path = home.join("spec.json");
        std::fs::write(&path, spec.to_string()).expect("spec file");
        let child = (self.launcher)(program)
            .args(["run", "--ephemeral", "--ready-fd", "1", "--spec"])
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        Worker {
            name,
            child,
            stats: home.join(format!("stats.{incarnation}.dat")),
            control: home.join("control.sock"),
        }
    }

    /// Sends messages `first..=last` in one packet on line 0 or 1.
    pub(crate) fn send(&self, line: usize, first: u64, last: u64) {
        self.send_bytes(line, &packet(self.session, first, last));
    }

    /// Sends the same on both lines.
    pub(crate) fn send_both(&self, first: u64, last: u64) {
        self.send(0, first, last);
        self.send(1, first, last);
    }

    pub(crate) fn send_bytes(&self, line: usize, bytes: &[u8]) {
        self.lines[line].send(bytes).expect("sent");
    }

    pub(crate) fn heartbeat(&self, line: usize, next: u64) {
        self.send_bytes(line, &heartbeat(self.session, next));
    }

    pub(crate) fn end_session(&self, next: u64) {
        self.send_bytes(0, &end_of_session(self.session, next));
    }

    /// Waits for the next re-request.
    pub(crate) fn request(&self) -> (Request, SocketAddr) {
        let start = Instant::now();
        loop {
            if let Some(request) = self.try_request() {
                return request;
            }
            assert!(start.elapsed() < LIMIT, "a re-request comes");
        }
    }

    /// A re-request, if one is there or comes within some milliseconds.
    fn try_request(&self) -> Option<(Request, SocketAddr)> {
        let mut bytes = [0; 64];
        let (length, from) = self.server.recv_from(&mut bytes).ok()?;
        let request = Request::parse(&bytes[..length]).expect("a well-formed request");
        Some((request, from))
    }

    /// Answers re-requests, each with at most `most` messages, until the output has come to
    /// `next`.
    pub(crate) fn answer_until(&self, worker: &Worker, next: u64, most: u64) {
        let start = Instant::now();
        while worker.value("arbiter_next_sequence", "") < next {
            assert!(
                start.elapsed() < LIMIT,
                "the answers bring the output to {next}"
            );
            if let Some((request, from)) = self.try_request() {
                self.reply(&answer_to(&request, most), from);
            }
        }
    }

    pub(crate) fn reply(&self, bytes: &[u8], to: SocketAddr) {
        self.server.send_to(bytes, to).expect("answered");
    }

    /// Answers the next re-request with at most `most` messages; returns what was asked for.
    pub(crate) fn answer(&self, most: u64) -> (u64, u64) {
        let (request, from) = self.request();
        self.reply(&answer_to(&request, most), from);
        let first = request.first_sequence;
        (first, first + u64::from(request.count) - 1)
    }

    /// Everything in the journal but the ledger, which [`Self::ledger`] tells; the messages' content
    /// and the journal's own order are checked.
    pub(crate) fn journal(&self) -> Vec<Entry> {
        let mut reader = Reader::open(self.directory.path().join("journal")).expect("a journal");
        let mut entries = Vec::new();
        let mut next_seq = reader.first_seq();
        while let Some(found) = reader.next().expect("a whole journal") {
            assert_eq!(found.seq, next_seq, "journal sequences follow each other");
            let entry = decode(&found.record);
            next_seq = match entry {
                Some(Entry::Hole(_, to)) => to + 1,
                _ => found.seq + 1,
            };
            entries.extend(entry);
        }
        entries
    }

    /// The venue messages of the journal; fails on a duplicate or on a hole that was not told.
    pub(crate) fn journalled_messages(&self) -> u64 {
        let mut next = 1;
        let mut count = 0;
        for entry in self.journal() {
            match entry {
                Entry::Data(first, last) => {
                    assert_eq!(first, next, "no message twice, none left out");
                    count += last - first + 1;
                    next = last + 1;
                }
                Entry::Lost(first, last) => {
                    assert_eq!(first, next, "a loss is told in its place");
                    next = last + 1;
                }
                _ => {}
            }
        }
        count
    }

    /// What `tickdeck-journal gaps` tells of each gap.
    pub(crate) fn ledger(&self) -> Vec<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
            .args(["gaps", "--json"])
            .arg(self.path("journal"))
            .output()
            .expect("tickdeck-journal runs");
        assert!(output.status.success(), "{output:?}");
        let lines = output.stdout.lines();
        lines.map(|line| parse(Some(line))).collect()
    }

    /// The stats file of an incarnation, from 1, whether it lives or not.
    pub(crate) fn stats_of(&self, incarnation: u32) -> tickdeck_stats::reader::Reader {
        let name = format!("stats.00000000-0000-4000-8000-{incarnation:012}.dat");
        tickdeck_stats::reader::Reader::open(&self.path(&name)).expect("stats file")
    }

    /// Calls `each` with the runs of the journal, numbers and blocks, and with the numbers of each
    /// loss, in order.
    pub(crate) fn each_run(&self, mut each: impl FnMut((u64, u64), Option<Blocks<'_>>)) {
        let mut reader = Reader::open(self.path("journal")).expect("a journal");
        while let Some(found) = reader.next().expect("a whole journal") {
            let (record, payload) = (&found.record, found.record.payload);
            match record.kind {
                kind::DATA => each((record.venue_seq, 0), Some(Blocks::new(payload))),
                kind::GAP_LOST => {
                    let lost = LostEvent::decode(payload).expect("a loss").gap;
                    each((lost.first, lost.last), None);
                }
                kind::JOURNAL_HOLE => panic!("the journal was lapped: a larger ring is needed"),
                _ => {}
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Worker {
    /// Waits until a metric has a value.
    pub(crate) fn wait_for(&self, name: &str, labels: &str, value: u64) {
        self.wait_until(name, labels, |present| present == value);
    }

    /// Waits until a metric is as wanted.
    pub(crate) fn wait_until(&self, name: &str, labels: &str, is_wanted: impl Fn(u64) -> bool) {
        let start = Instant::now();
        while !is_wanted(self.value(name, labels)) {
            assert!(
                start.elapsed() < LIMIT,
                "{name}{{{labels}}} stays {}",
                self.value(name, labels)
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a gap's row is as wanted.
    pub(crate) fn wait_for_gap(&self, is_wanted: impl Fn(&tickdeck_stats::GapRow) -> bool) {
        let start = Instant::now();
        while !self.stats().gaps().iter().any(&is_wanted) {
            let rows = self.stats().gaps();
            assert!(start.elapsed() < LIMIT, "no such gap among {rows:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn value(&self, name: &str, labels: &str) -> u64 {
        let reader = self.stats();
        reader
            .value(name, labels)
            .unwrap_or_else(|| panic!("no metric {name}{{{labels}}}"))
    }

    pub(crate) fn stats(&self) -> tickdeck_stats::reader::Reader {
        tickdeck_stats::reader::Reader::open(&self.stats).expect("stats file")
    }

    /// Calls an op of the control socket.
    pub(crate) fn call(&self, op: &str, args: &Value) -> Value {
        let mut stream = UnixStream::connect(&self.control).expect("control socket");
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let id = CALLS.fetch_add(1, Ordering::Relaxed).to_string();
        let request = json!({"id": id, "op": op, "args": args, "deadline_ms": 10_000});
        writeln!(stream, "{request}").expect("request");
        let mut lines = BufReader::new(stream).lines();
        let hello: Value = parse(lines.next());
        assert_eq!(hello["worker"], self.name);
        parse(lines.next())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the worker is there");
    }

    /// SIGKILL, as a crash would end it.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("ended");
    }

    /// Stops in order and expects exit code 0.
    pub(crate) fn stop(mut self) {
        self.terminate();
        assert_eq!(self.exit_code(), 0);
    }

    /// Stops in order, expects exit code 0 and returns the log.
    pub(crate) fn stop_for_log(self) -> String {
        self.stop_with(0)
    }

    /// Stops, expects this exit code and returns the log.
    pub(crate) fn stop_with(mut self, code: i32) -> String {
        let mut stderr = self.child.stderr.take().expect("standard error is a pipe");
        self.terminate();
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("the log");
        assert_eq!(self.exit_code(), code, "{log}");
        log
    }

    /// Waits for the end.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code().expect("an exit code");
            }
            assert!(start.elapsed() < LIMIT, "the worker ends");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().expect("SIGKILL");
            self.child.wait().expect("ended");
        }
    }
}

/// A packet whose messages tell their own sequence number.
pub(crate) fn packet(session: Session, first: u64, last: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(session, 1400);
    builder.begin(first);
    for sequence in first..=last {
        assert!(builder.push(&sequence.to_be_bytes()), "the packet has room");
    }
    builder.finish().to_vec()
}

fn answer_to(request: &Request, most: u64) -> Vec<u8> {
    let (first, count) = (request.first_sequence, u64::from(request.count));
    packet(request.session, first, first + count.min(most) - 1)
}

/// The entry of a record; `None` for those of the ledger and checkpoints.
fn decode(record: &tickdeck_journal::Record<'_>) -> Option<Entry> {
    let payload = record.payload;
    let gap = || GapEvent::decode(payload).expect("a gap");
    Some(match record.kind {
        kind::GAP_ROW | kind::GAP_NOTE | kind::SNAPSHOT_ANCHOR => return None,
        kind::DATA => {
            assert_eq!(record.channel, 7);
            let mut next = record.venue_seq;
            for message in Blocks::new(payload) {
                assert_eq!(message, next.to_be_bytes(), "the message of this number");
                next += 1;
            }
            Entry::Data(record.venue_seq, next - 1)
        }
        kind::GAP_OPEN => Entry::Opened(gap().first, gap().last),
        kind::GAP_FILLED => Entry::Filled(gap().first, gap().last),
        kind::GAP_LOST => {
            let lost = LostEvent::decode(payload).expect("a loss").gap;
            Entry::Lost(lost.first, lost.last)
        }
        kind::SESSION => {
            let event = SessionEvent::decode(payload).expect("a session");
            Entry::Session(event.kind, event.next_sequence)
        }
        kind::JOURNAL_HOLE => {
            let hole = tickdeck_wire::record::JournalHole::decode(payload).expect("a hole");
            Entry::Hole(hole.from, hole.to)
        }
        other => panic!("record of kind {other}"),
    })
}

fn parse(line: Option<std::io::Result<String>>) -> Value {
    let line = line.expect("an answer").expect("an answer");
    serde_json::from_str(&line).expect("JSON")
}

/// A port that no one uses now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    socket.local_addr().expect("address").port()
}

/// Different for each plant of this process, and mostly for each process.
fn fresh_number() -> u8 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(16) + NUMBER.fetch_add(1, Ordering::Relaxed);
    (number % 256) as u8
}
