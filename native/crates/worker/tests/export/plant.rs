//! A journal with its writer, the stats file of its receiver, and the exporter beside.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tickdeck_journal::{Record, SyncPolicy, Writer, WriterConfig};
use tickdeck_stats::reader::Reader;
use tickdeck_stats::{Builder, Gauge, Identity, StatsFile};

use crate::exporter_spec::whole;
use crate::spec;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The keys of the clients `a` to `d`, and of many more.
pub(crate) const KEY: [u8; 32] = *b"a key of thirty-two bytes, or so";

/// Everything of one test.
pub(crate) struct Plant {
    home: TempDir,
    pub(crate) writer: Writer,
    receiver: Receiver,
}

/// What a receiver publishes of its journal.
struct Receiver {
    written: Gauge,
    durable: Gauge,
    bytes: tickdeck_stats::Counter,
    _file: StatsFile,
}

/// A running exporter; killed when dropped.
pub(crate) struct Exporter {
    child: Child,
    dir: PathBuf,
    log: PathBuf,
}

impl Plant {
    pub(crate) fn new() -> Self {
        Self::with_segments(256 * 1024)
    }

    pub(crate) fn with_segments(segment_size_bytes: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let home = match memory.is_dir() {
            true => TempDir::new_in(memory),
            false => TempDir::new(),
        };
        let home = home.expect("a directory");
        let dir = home.path().join("journal");
        let config = WriterConfig::new(&dir, segment_size_bytes, SyncPolicy::default(), 1);
        let writer = Writer::open(config).expect("opens").0;
        let receiver = Receiver::new(&home.path().join("T-rx"));
        let keys: String = ["a", "b", "c", "d"]
            .iter()
            .map(|name| name.to_string())
            .chain((0..40).map(|n| format!("client-{n}")))
            .map(|name| format!("{name} {}\n", hex(&KEY)))
            .collect();
        let path = home.path().join("keys");
        fs::write(&path, keys).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changes mode");
        let plant = Self {
            home,
            writer,
            receiver,
        };
        plant.publish();
        plant
    }

    /// The same log under the next writer, which begins an epoch.
    pub(crate) fn reopen(self) -> Self {
        let Self {
            home,
            writer,
            receiver,
        } = self;
        drop(writer);
        let dir = home.path().join("journal");
        let config = WriterConfig::new(&dir, 256 * 1024, SyncPolicy::default(), 1);
        let writer = Writer::open(config).expect("opens").0;
        Self {
            home,
            writer,
            receiver,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path("journal")
    }

    /// Appends records whose payload names their sequence, syncs, and tells the watermarks.
    pub(crate) fn append(&mut self, count: u64, len: usize) {
        for _ in 0..count {
            let seq = self.writer.next_seq();
            let payload = payload(seq, len);
            let record = Record {
                kind: 1,
                stamp: 2,
                line: 0,
                channel: 1,
                venue_seq: seq,
                rx_ns: 1_700_000_000_000_000_000 + seq,
                payload: &payload,
            };
            self.writer.append(&record).expect("appends");
        }
        self.sync();
    }

    pub(crate) fn sync(&mut self) {
        self.writer.sync().expect("syncs");
        self.publish();
    }

    /// Tells the watermarks as they are.
    pub(crate) fn publish(&self) {
        let marks = self.writer.watermarks();
        self.receiver.bytes.set(self.writer.counters().bytes);
        self.receiver.written.set(marks.written);
        self.receiver.durable.set(marks.durable);
    }

    /// Nothing is left of the receiver but the log.
    pub(crate) fn lose_receiver(&self) {
        fs::remove_dir_all(self.path("T-rx")).expect("removes");
    }

    /// The next receiver has begun, and has not opened its journal yet.
    pub(crate) fn begin_receiver(&mut self) {
        self.receiver = Receiver::new(&self.path("T-rx"));
    }

    pub(crate) fn durable(&self) -> u64 {
        self.writer.watermarks().durable
    }

    /// An exporter on a Unix socket, changed by `settings`.
    pub(crate) fn export_on_unix(&self, settings: Value) -> Exporter {
        let addr = format!("unix:{}", self.path("socket").display());
        self.export(json!({"addr": addr}), settings)
    }

    /// An exporter on loopback with keys; gives its port too.
    pub(crate) fn export_on_tcp(&self, settings: Value) -> (Exporter, u16) {
        let place = json!({"addr": "127.0.0.1:0", "auth_token": self.path("keys")});
        let mut exporter = self.export(place, settings);
        let port = exporter.port();
        (exporter, port)
    }

    /// An exporter that is ready.
    pub(crate) fn export(&self, place: Value, settings: Value) -> Exporter {
        let (child, ready) = self.spawn(place, settings);
        let mut exporter = child;
        assert_eq!(ready, "\n", "not ready: {}", exporter.log_text());
        assert!(exporter.child.try_wait().expect("waits").is_none());
        exporter
    }

    /// An exporter, and what it said on its ready descriptor before it closed it or was ready.
    pub(crate) fn spawn(&self, place: Value, settings: Value) -> (Exporter, String) {
        self.spawn_by(&[], place, settings)
    }

    /// As [`spawn`](Self::spawn), by a command that becomes the exporter.
    pub(crate) fn spawn_by(
        &self,
        command: &[&str],
        place: Value,
        settings: Value,
    ) -> (Exporter, String) {
        let path = self.export_spec(&[json!({"enabled": true}), place, settings]);
        let dir = self.path("T-export");
        let log = dir.join("log");
        // A FIFO, which the shell opens for the exporter under a number of its own.
        let fifo = dir.join("ready");
        if !fifo.exists() {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).expect("makes a FIFO");
        }
        let script = format!("exec 9>{}; exec \"$@\"", fifo.display());
        let child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .args(command)
            .arg(env!("CARGO_BIN_EXE_tickdeck-journal"))
            .args(["export", "--ephemeral", "--ready-fd", "9", "--spec"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("creates"))
            .spawn()
            .expect("runs");
        let exporter = Exporter { child, dir, log };
        let mut reader = fs::File::open(&fifo).expect("opens");
        let mut said = [0; 1];
        let length = reader.read(&mut said).expect("reads");
        let said = String::from_utf8_lossy(&said[..length]).into_owned();
        (exporter, said)
    }

    /// Writes the spec file of an exporter with these settings, the last of a name counts.
    pub(crate) fn export_spec(&self, settings: &[Value]) -> PathBuf {
        let dir = self.path("T-export");
        fs::create_dir_all(&dir).expect("creates");
        let mut export = spec::tcp_export();
        for change in settings {
            for (key, value) in change.as_object().expect("an object") {
                export[key] = value.clone();
            }
        }
        let mut spec = whole(&self.journal(), &dir, self.home.path());
        spec["exchange"]["tcp_export"] = export;
        let path = dir.join("spec.json");
        fs::write(&path, spec.to_string()).expect("writes");
        path
    }
}

impl Receiver {
    fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("creates");
        let mut builder = Builder::new(Identity {
            worker_id: "T-rx".to_owned(),
            resource: "T".to_owned(),
            build_id: "test".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        builder.begin_thread();
        let written = builder.gauge("journal_written_seq", "sequence", "");
        let durable = builder.gauge("journal_durable_seq", "sequence", "");
        let bytes = builder.counter("journal_bytes_total", "bytes", "");
        let file = builder.create(dir).expect("creates");
        Self {
            written,
            durable,
            bytes,
            _file: file,
        }
    }
}

impl Exporter {
    /// A control op's result.
    pub(crate) fn ask(&mut self, op: &str) -> Value {
        use std::io::Write;
        let path = self.dir.join("control.sock");
        let mut socket = std::os::unix::net::UnixStream::connect(path).expect("connects");
        let mut lines = BufReader::new(socket.try_clone().expect("clones")).lines();
        lines.next().expect("a hello").expect("reads");
        // A repeated id would get the first answer again.
        let request = json!({"id": format!("{op} {:?}", Instant::now()), "op": op, "args": {}});
        writeln!(socket, "{request}").expect("writes");
        let answer = lines.next().expect("an answer").expect("reads");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["ok"], true, "{answer}");
        answer["result"].clone()
    }

    /// The port that it listens on.
    pub(crate) fn port(&mut self) -> u16 {
        let address = self.ask("status")["address"].clone();
        let port = address.as_str().expect("an address").rsplit_once(':');
        port.expect("a port").1.parse().expect("a number")
    }

    /// Rows of `export.subscribers`.
    pub(crate) fn rows(&mut self) -> Vec<Value> {
        let rows = self.ask("export.subscribers")["subscribers"].clone();
        rows.as_array().expect("an array").clone()
    }

    /// A number of its stats file.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.stat_of(name, "")
    }

    pub(crate) fn stat_of(&self, name: &str, labels: &str) -> u64 {
        self.stats().value(name, labels).expect("is there")
    }

    /// Its stats file.
    pub(crate) fn stats(&self) -> Reader {
        let files = fs::read_dir(&self.dir).expect("lists");
        let path = files
            .map(|entry| entry.expect("lists").path())
            .find(|path| path.extension().is_some_and(|it| it == "dat"))
            .expect("a stats file");
        Reader::open(&path).expect("opens")
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).expect("reads")
    }

    /// Resident memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("reads");
        let line = status.lines().find(|line| line.starts_with("VmRSS"));
        let kib = line.expect("a size").split_whitespace().nth(1);
        kib.expect("a number").parse::<u64>().expect("a number") * 1_024
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(sent.expect("runs").success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still there: {}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if self.child.try_wait().expect("waits").is_none() {
            self.child.kill().expect("kills");
            self.child.wait().expect("waits");
        }
        if std::thread::panicking() {
            match fs::read(&self.log) {
                Ok(log) => {
                    let tail = &log[log.len().saturating_sub(4_000)..];
                    eprintln!("{}", String::from_utf8_lossy(tail));
                }
                Err(error) => eprintln!("no log of the exporter: {error}"),
            }
        }
    }
}

/// Waits for a fact.
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Payload of a record: its sequence, again and again.
pub(crate) fn payload(seq: u64, len: usize) -> Vec<u8> {
    seq.to_le_bytes()
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
