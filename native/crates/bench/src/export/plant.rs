//! A journal with its writer, the stats file of its receiver, and the exporter process beside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tickdeck_journal::{Record, SyncPolicy, Writer, WriterConfig, kind};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_stats::reader::Reader;
use tickdeck_stats::{Builder, Counter, Gauge, Identity, StatsFile};

use super::run::PAYLOAD;
use super::{Error, bad, failed, spec, whole_spec};

/// The key of every client.
pub(super) const KEY: [u8; 32] = *b"a key of thirty-two bytes, or so";

/// When everything up to a sequence had come so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) seq: u64,
    /// Monotonic time.
    pub(super) ns: u64,
}

/// The times of the measured records.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// First sequence that counts.
    pub(super) first: u64,
    pub(super) appended: Vec<Mark>,
    pub(super) durable: Vec<Mark>,
}

/// Everything of one run.
pub(super) struct Plant {
    home: PathBuf,
    writer: Writer,
    receiver: Receiver,
    marks: Marks,
}

/// What a receiver publishes of its journal.
struct Receiver {
    written: Gauge,
    durable: Gauge,
    bytes: Counter,
    _file: StatsFile,
}

impl Plant {
    /// A new log, and the keys.
    pub(super) fn new(home: &Path) -> Result<Self, Error> {
        let dir = home.join("journal");
        let config = WriterConfig::new(&dir, SEGMENT_BYTES, SyncPolicy::default(), 1);
        let writer = Writer::open(config)?.0;
        let names = (0..bad::ALL.len()).map(|number| format!("bad-{number}"));
        let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let keys: String = names
            .chain(["healthy".to_owned()])
            .map(|name| format!("{name} {hex}\n"))
            .collect();
        let path = home.join("keys");
        fs::write(&path, keys).map_err(failed("write the keys"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(failed("protect the keys"))?;
        let mut plant = Self {
            home: home.to_owned(),
            writer,
            receiver: Receiver::new(&home.join("T-rx"))?,
            marks: Marks::default(),
        };
        plant.append(1)?;
        plant.sync()?;
        Ok(plant)
    }

    /// From the next record on all times are kept.
    pub(super) fn begin(&mut self) -> u64 {
        self.marks = Marks {
            first: self.writer.next_seq(),
            ..Marks::default()
        };
        self.marks.first
    }

    pub(super) fn append(&mut self, count: u64) -> Result<(), Error> {
        let ns = monotonic_ns();
        for _ in 0..count {
            let seq = self.writer.next_seq();
            self.writer.append(&Record {
                kind: kind::DATA,
                stamp: 1,
                line: 0,
                channel: 1,
                venue_seq: seq,
                rx_ns: ns,
                payload: &[seq as u8; PAYLOAD],
            })?;
        }
        let seq = self.writer.watermarks().appended;
        self.marks.appended.push(Mark { seq, ns });
        Ok(())
    }

    pub(super) fn poll(&mut self) -> Result<(), Error> {
        self.writer.poll(monotonic_ns())?;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.writer.sync()?;
        self.publish();
        Ok(())
    }

    /// Tells the watermarks as they are.
    pub(super) fn publish(&mut self) {
        let now = self.writer.watermarks();
        if self
            .marks
            .durable
            .last()
            .is_none_or(|mark| mark.seq < now.durable)
        {
            let (seq, ns) = (now.durable, monotonic_ns());
            self.marks.durable.push(Mark { seq, ns });
        }
        self.receiver.bytes.set(self.writer.counters().bytes);
        self.receiver.written.set(now.written);
        self.receiver.durable.set(now.durable);
    }

    /// Bytes written and syncs so far.
    pub(super) fn written(&self) -> (u64, u64) {
        let counters = self.writer.counters();
        (counters.bytes, counters.syncs)
    }

    pub(super) fn drain_syncs(&mut self, into: &mut Vec<f64>) {
        self.writer
            .drain_sync_durations(|ns| into.push(ns as f64 / 1e3));
    }

    pub(super) fn durable(&self) -> u64 {
        self.writer.watermarks().durable
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// An exporter on loopback with keys, that is ready.
    pub(super) fn export(&self, program: &Path) -> Result<Exporter, Error> {
        let dir = self.home.join("T-export");
        fs::create_dir(&dir).map_err(failed("make the exporter's directory"))?;
        let mut spec = whole_spec::whole(&self.home.join("journal"), &dir, &self.home);
        let mut export = spec::tcp_export();
        export["enabled"] = json!(true);
        export["addr"] = json!("127.0.0.1:0");
        export["auth_token"] = json!(self.home.join("keys"));
        export["max_subscribers"] = json!(32);
        spec["exchange"]["tcp_export"] = export;
        let path = dir.join("spec.json");
        fs::write(&path, spec.to_string()).map_err(failed("write the spec"))?;
        let log = dir.join("log");
        let stderr = File::create(&log).map_err(failed("create the exporter's log"))?;
        // Its log goes to standard error, so that standard output can be the ready descriptor.
        let child = Command::new(program)
            .args(["export", "--ephemeral", "--ready-fd", "1", "--spec"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(failed("start the exporter"))?;
        let mut exporter = Exporter { child, dir };
        let mut said = [0; 1];
        let pipe = exporter.child.stdout.as_mut();
        let length = pipe.map_or(Ok(0), |pipe| pipe.read(&mut said));
        if length.map_err(failed("wait for the exporter"))? == 0 {
            let text = fs::read_to_string(&log).map_err(failed("read the exporter's log"))?;
            return Err(Error::Exporter(format!("not ready: {text}")));
        }
        Ok(exporter)
    }
}

impl Receiver {
    fn new(dir: &Path) -> Result<Self, Error> {
        fs::create_dir(dir).map_err(failed("make the receiver's directory"))?;
        let mut builder = Builder::new(Identity {
            worker_id: "T-rx".to_owned(),
            resource: "T".to_owned(),
            build_id: "bench".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        builder.begin_thread();
        let written = builder.gauge("journal_written_seq", "sequence", "");
        let durable = builder.gauge("journal_durable_seq", "sequence", "");
        let bytes = builder.counter("journal_bytes_total", "bytes", "");
        Ok(Self {
            written,
            durable,
            bytes,
            _file: builder.create(dir)?,
        })
    }
}

/// A running exporter; killed when dropped.
pub(super) struct Exporter {
    child: Child,
    dir: PathBuf,
}

impl Exporter {
    /// Where it listens.
    pub(super) fn port(&mut self) -> Result<u16, Error> {
        let socket = UnixStream::connect(self.dir.join("control.sock"));
        let mut socket = socket.map_err(failed("connect to the exporter's control socket"))?;
        let request = json!({"id": "1", "op": "status", "args": {}});
        writeln!(socket, "{request}").map_err(failed("ask the exporter"))?;
        // A hello comes first.
        let answer = BufReader::new(socket).lines().nth(1).transpose();
        let answer = answer.map_err(failed("read the exporter's answer"))?;
        let ended = || Error::Exporter("it ended the control connection without an answer".into());
        let text = answer.ok_or_else(ended)?;
        let address = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|answer| {
                let address = answer["result"]["address"].as_str()?.to_owned();
                address.rsplit_once(':')?.1.parse().ok()
            });
        address.ok_or_else(|| Error::Exporter(format!("no address in its status: {text}")))
    }

    /// Subscribers now, violations and subscribers let in so far.
    pub(super) fn counts(&self) -> Result<(u64, u64, u64), Error> {
        let files = fs::read_dir(&self.dir).map_err(failed("list the exporter's directory"))?;
        let path = files
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|it| it == "dat"));
        let path = path.ok_or_else(|| Error::Exporter("has no stats file".to_owned()))?;
        let stats = Reader::open(&path)?;
        let value = |name: &str| {
            let value = stats.value(name, "");
            value.ok_or_else(|| Error::Exporter(format!("does not count {name}")))
        };
        Ok((
            value("tcp_export_active_subscribers")?,
            value("tcp_export_violations_total")?,
            value("tcp_export_subscriber_accepted_total")?,
        ))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = killed {
            eprintln!("tickdeck-bench: exporter {}: {error}", self.child.id());
        }
    }
}

const SEGMENT_BYTES: u64 = 64 << 20;
