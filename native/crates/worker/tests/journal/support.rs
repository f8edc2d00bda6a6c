//! Shared by the tests: a journal of known content, the binary, a receiver on the loopback
//! interface.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tickdeck_journal::{Record, SyncPolicy, Writer, WriterConfig};
use tickdeck_wire::ledger::{LedgerNote, LedgerRow, WORDS};
use tickdeck_wire::moldudp64::{PacketBuilder, Session};
use tickdeck_wire::record::{
    GapEvent, LossReason, LostEvent, SessionEvent, SessionEventKind, kind, line,
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const BEGIN_NS: u64 = 1_700_000_000_000_000_000;
pub(crate) const FIRST: Session = Session(*b"DEMO000001");
pub(crate) const SECOND: Session = Session(*b"DEMO000002");

/// Writes the journal of a short day.
pub(crate) struct Day {
    pub(crate) writer: Writer,
    now_ns: u64,
    pub(crate) step_ns: u64,
}

impl Day {
    /// A new journal in `dir`, or the one that is there; each record comes `step_ns` after the
    /// last.
    pub(crate) fn open(dir: &Path, step_ns: u64) -> Self {
        let config = WriterConfig::new(dir, 16 * 1024, SyncPolicy::Os, 1);
        let writer = Writer::open(config).expect("opens").0;
        Self {
            writer,
            now_ns: BEGIN_NS,
            step_ns,
        }
    }

    pub(crate) fn append(&mut self, kind: u8, venue_seq: u64, payload: &[u8]) -> u64 {
        self.now_ns += self.step_ns;
        let (stamp, line, channel, rx_ns) = (1, line::A, 3, self.now_ns);
        let record = Record {
            kind,
            stamp,
            line,
            channel,
            venue_seq,
            rx_ns,
            payload,
        };
        self.writer.append(&record).expect("appends")
    }

    pub(crate) fn session(&mut self, kind: SessionEventKind, session: Session, next: u64) -> u64 {
        let event = SessionEvent {
            kind,
            session,
            next_sequence: next,
        };
        self.append(kind::SESSION, next, &event.encode())
    }

    /// Appends the messages of a packet as rx does, and returns the packet.
    pub(crate) fn data(&mut self, session: Session, first: u64, messages: &[&[u8]]) -> Vec<u8> {
        let mut builder = PacketBuilder::new(session, 1400);
        builder.begin(first);
        for message in messages {
            assert!(builder.push(message));
        }
        let packet = builder.finish().to_vec();
        self.append(kind::DATA, first, &packet[20..]);
        packet
    }

    /// Appends the row of a filled gap of the messages 10 to 12 with a state's code.
    pub(crate) fn row(&mut self, id: u64, state: u64) -> u64 {
        let row = LedgerRow {
            id,
            first: 10,
            last: 12,
            state,
            detected_ns: 77_000,
            closed_ns: 99_000,
            sources: 4,
            by_request: 3,
            lines_missed: 3,
            attempts: 2,
            fault: 8,
            ..LedgerRow::from_words([0xab; 16], FIRST, &[0; WORDS])
        };
        self.append(kind::GAP_ROW, 10, &row.encode())
    }

    pub(crate) fn note(&mut self, gap_id: u64, note: &str) -> u64 {
        let note = LedgerNote {
            gap_id,
            at_ns: 5,
            actor: "ops",
            note,
        };
        let mut out = [0; LedgerNote::MAX_LEN];
        self.append(kind::GAP_NOTE, 0, note.encode(&mut out))
    }

    /// Appends an event of gap 4.
    pub(crate) fn gap(&mut self, kind: u8) -> u64 {
        let gap = GapEvent {
            gap_id: 4,
            first: 10,
            last: 12,
            detected_ns: 77,
        };
        match kind {
            kind::GAP_LOST => {
                let event = LostEvent {
                    gap,
                    reason: LossReason::AttemptsExhausted,
                };
                self.append(kind, 10, &event.encode())
            }
            _ => self.append(kind, 10, &gap.encode()),
        }
    }
}

/// Runs `tickdeck-journal` to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().expect("runs")
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"));
    command
        .args(args)
        .env_remove("TICKDECK_LOG")
        .stdin(Stdio::null());
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("was not killed")
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

/// A process that does not outlive its test, whatever becomes of it.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).spawn().expect("starts"))
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.0.wait().expect("ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do for a child that has ended and was waited for.
        self.0.kill().expect("kills its own child");
        self.0.wait().expect("ends");
    }
}

/// A member of a multicast group of its own on the loopback interface.
pub(crate) struct Listener {
    socket: UdpSocket,
    pub(crate) target: SocketAddrV4,
}

impl Listener {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let [high, low] = (std::process::id() as u16).to_be_bytes();
        let index = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = Ipv4Addr::new(239, high, low, index as u8);
        let socket = UdpSocket::bind((group, 0)).expect("binds");
        socket
            .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .expect("joins");
        let timeout = Some(Duration::from_millis(20));
        socket.set_read_timeout(timeout).expect("sets a timeout");
        let port = socket.local_addr().expect("is bound").port();
        Self {
            socket,
            target: SocketAddrV4::new(group, port),
        }
    }

    /// Receives until the process has ended and nothing is left.
    pub(crate) fn receive(&self, process: &mut Running) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut packets = Vec::new();
        let mut buffer = vec![0; 65_536];
        let mut ended = false;
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => packets.push(buffer[..length].to_vec()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                Err(_) if ended => return packets,
                Err(_) => ended = process.0.try_wait().expect("waits").is_some(),
            }
            assert!(Instant::now() < deadline, "the replay does not end");
        }
    }

    /// Waits for one packet.
    pub(crate) fn receive_one(&self) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut buffer = vec![0; 65_536];
        loop {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                return buffer[..length].to_vec();
            }
            assert!(Instant::now() < deadline, "nothing was sent");
        }
    }
}
