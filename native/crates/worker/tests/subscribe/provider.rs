//! A provider of a made-up log: the gate and the messages are the real ones, the log is a formula.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tickdeck_export::auth::{Gate, Key, Keyring, Transport};
use tickdeck_export::authenticator::Authenticator as _;
use tickdeck_export::frame::{Decoder, MAX_PAYLOAD};
use tickdeck_export::message::{
    Auth, AuthOk, Data, ErrorCode, Gap, GapReason, Hello, Message, Refused, Sentence, Start, SubOk,
    Subscribe, without_mac,
};
use tickdeck_journal::kind;

pub(crate) const LOG: [u8; 16] = [7; 16];

/// What the log holds and how the provider behaves.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) log_id: [u8; 16],
    /// First sequence that is kept.
    pub(crate) first: u64,
    /// Last one. Each block has ten records.
    pub(crate) last: u64,
    /// A hole from the first of these to the second, which begin and end a block.
    pub(crate) hole: Option<(u64, u64)>,
    /// Each connection is broken after so many bytes of data, drawn from this seed.
    pub(crate) cuts: Option<u64>,
    /// SUBSCRIBE is answered with this.
    pub(crate) refusal: Option<(ErrorCode, u64)>,
}

impl Log {
    pub(crate) fn up_to(last: u64) -> Self {
        Self {
            log_id: LOG,
            first: 1,
            last,
            hole: None,
            cuts: None,
            refusal: None,
        }
    }
}

/// What was seen of the subscribers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: u64,
    pub(crate) acks: Vec<u64>,
    pub(crate) starts: Vec<Subscribe>,
    pub(crate) denied: Vec<String>,
}

/// A running provider.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    keys: Option<Arc<Keyring>>,
}

impl Provider {
    pub(crate) fn new(log: Log, keys: Option<&str>) -> Self {
        let decoy = Key::new(std::array::from_fn(|index| index as u8));
        let keys = keys.map(|text| Arc::new(Keyring::parse(text, decoy).expect("keys")));
        Self {
            log: Arc::new(Mutex::new(log)),
            seen: Arc::default(),
            keys,
        }
    }

    /// Serves a Unix socket until the test ends.
    pub(crate) fn on_unix(&self, path: &Path) {
        let listener = UnixListener::bind(path).expect("binds");
        let provider = self.clone();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.expect("accepts");
                let limit = Some(Duration::from_secs(20));
                socket.set_read_timeout(limit).expect("sets");
                let (uid, is_ours) = (0, true);
                provider.serve(&socket, Transport::Unix { uid, is_ours });
            }
        });
    }

    /// Serves TCP on the loopback interface until the test ends.
    pub(crate) fn on_tcp(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let provider = self.clone();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.expect("accepts");
                let limit = Some(Duration::from_secs(20));
                socket.set_read_timeout(limit).expect("sets");
                provider.serve(&socket, Transport::Clear { is_loopback: true });
            }
        });
        address
    }

    /// One connection. However it ends is the subscriber's business.
    pub(crate) fn serve<S>(&self, socket: &S, transport: Transport)
    where
        for<'a> &'a S: Read + Write,
    {
        self.seen.lock().expect("lock").connections += 1;
        let outcome = self.converse(socket, transport);
        if let Err(error) = outcome {
            eprintln!("provider: {error}");
        }
    }

    fn converse<S>(&self, mut socket: &S, transport: Transport) -> io::Result<()>
    where
        for<'a> &'a S: Read + Write,
    {
        let log = self.log.lock().expect("lock").clone();
        let mut peer = Peer::default();
        let mut gate = Gate::new(transport, self.keys.clone(), Arc::from([])).expect("a gate");
        let hello = Message::Hello(Hello {
            oldest_version: 1,
            newest_version: 1,
            method: gate.method(),
            epoch: 1,
            log_id: log.log_id,
            nonce: [3; 32],
            server: "test-export".parse().expect("a name"),
        });
        socket.write_all(&hello.to_frame())?;
        let (payload, auth) = loop {
            if let Some(auth) = peer.auth(&mut socket)? {
                break auth;
            }
        };
        let signed = without_mac(&payload).expect("a MAC");
        match gate.judge(&hello.payload(), signed, &auth, 5) {
            Ok((identity, mac)) => {
                let identity = identity.name;
                let mac = mac.to_bytes();
                let ok = AuthOk {
                    session: 5,
                    identity,
                    mac,
                };
                socket.write_all(&Message::AuthOk(ok).to_frame())?;
            }
            Err(refusal) => {
                self.seen.lock().expect("lock").denied.push(refusal.reason);
                return socket.write_all(&refuse(ErrorCode::Denied, 0));
            }
        }
        let subscribe = peer.subscribe(&mut socket)?;
        self.seen.lock().expect("lock").starts.push(subscribe);
        let refusal = self.log.lock().expect("lock").refusal.take();
        if let Some((code, seq)) = refusal {
            return socket.write_all(&refuse(code, seq));
        }
        let from = match subscribe.start {
            Start::Seq(seq) => seq,
            Start::Earliest => log.first,
            Start::Live => log.last + 1,
        };
        socket.write_all(&Message::SubOk(sub_ok(from, &log)).to_frame())?;
        let mut bytes = data(&log, from);
        let is_cut = log.cuts.is_some();
        if let Some(seed) = log.cuts {
            let connections = self.seen.lock().expect("lock").connections;
            let drawn = (seed + connections).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            bytes.truncate(drawn as usize % (bytes.len() + 1));
            self.log.lock().expect("lock").cuts = (connections < 40).then_some(seed);
        }
        socket.write_all(&bytes)?;
        if is_cut {
            return Ok(());
        }
        loop {
            let ack = peer.ack(&mut socket)?;
            self.seen.lock().expect("lock").acks.push(ack);
        }
    }
}

/// The subscriber's side of the stream.
struct Peer {
    decoder: Decoder,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(MAX_PAYLOAD),
        }
    }
}

impl Peer {
    fn fill(&mut self, socket: &mut impl Read) -> io::Result<()> {
        let mut chunk = [0; 4_096];
        match socket.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.decoder.feed(&chunk[..length]);
                Ok(())
            }
        }
    }

    fn auth(&mut self, socket: &mut impl Read) -> io::Result<Option<(Vec<u8>, Auth)>> {
        let Some(frame) = self.decoder.next().expect("a good frame") else {
            self.fill(socket)?;
            return Ok(None);
        };
        let payload = frame.payload.to_vec();
        match Message::parse(&frame).expect("a good message") {
            Message::Auth(auth) => Ok(Some((payload, auth))),
            other => panic!("not AUTH: {other:?}"),
        }
    }

    fn subscribe(&mut self, socket: &mut impl Read) -> io::Result<Subscribe> {
        loop {
            if let Some(frame) = self.decoder.next().expect("a good frame") {
                match Message::parse(&frame).expect("a good message") {
                    Message::Subscribe(subscribe) => return Ok(subscribe),
                    other => panic!("not SUBSCRIBE: {other:?}"),
                }
            }
            self.fill(socket)?;
        }
    }

    fn ack(&mut self, socket: &mut impl Read) -> io::Result<u64> {
        loop {
            if let Some(frame) = self.decoder.next().expect("a good frame") {
                match Message::parse(&frame).expect("a good message") {
                    Message::Ack(ack) => return Ok(ack.seq),
                    Message::Goodbye(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
                    other => panic!("not ACK: {other:?}"),
                }
            }
            self.fill(socket)?;
        }
    }
}

fn refuse(code: ErrorCode, seq: u64) -> Vec<u8> {
    let text = Sentence::new("as the test wants it");
    Message::Err(Refused { code, seq, text }).to_frame()
}

fn sub_ok(start_seq: u64, log: &Log) -> SubOk {
    SubOk {
        start_seq,
        epoch: 1,
        first_available: log.first,
        next_seq: log.last + 1,
        durable_seq: log.last,
        window_bytes: 8 << 20,
        schema_id: 1,
        heartbeat_ms: 1_000,
        timeout_ms: 20_000,
    }
}

/// Everything from `from` on: blocks of ten, whole, the hole where it is.
fn data(log: &Log, from: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut base = log.first;
    while base <= log.last {
        let hole = log.hole.filter(|(first, _)| *first == base);
        let to = hole.map_or((base + 9).min(log.last), |(_, to)| to);
        if to >= from {
            match hole {
                Some(_) if base < from => {
                    let reason = GapReason::JournalHole;
                    Message::Gap(Gap { from, to, reason }).push(&mut out);
                }
                Some(_) => {
                    push_block(base, &[hole_record(base, to)], &mut out);
                    let reason = GapReason::JournalHole;
                    Message::Gap(Gap {
                        from: base,
                        to,
                        reason,
                    })
                    .push(&mut out);
                }
                None => {
                    let records: Vec<Vec<u8>> = (base..=to).map(data_record).collect();
                    push_block(base, &records, &mut out);
                }
            }
        }
        base = to + 1;
    }
    out
}

fn push_block(base_seq: u64, records: &[Vec<u8>], out: &mut Vec<u8>) {
    let payload = records.concat();
    let masked = |bytes: &[u8]| crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8);
    let mut header = [0; 72];
    header[..8].copy_from_slice(b"TDBK\x01\x00\x48\x00");
    let length = payload.len() as u32;
    header[8..12].copy_from_slice(&length.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..24].copy_from_slice(&base_seq.to_le_bytes());
    header[24..28].copy_from_slice(&(records.len() as u32).to_le_bytes());
    header[29] = 1;
    header[64..68].copy_from_slice(&masked(&payload).to_le_bytes());
    let crc = masked(&header[..68]);
    header[68..].copy_from_slice(&crc.to_le_bytes());
    let block = [&header[..], &payload].concat();
    Message::Data(Data {
        base_seq,
        block: &block,
    })
    .push(out);
}

fn data_record(seq: u64) -> Vec<u8> {
    record(kind::DATA, seq, &seq.to_be_bytes())
}

fn hole_record(from: u64, to: u64) -> Vec<u8> {
    let reason = 1;
    let hole = kind::JournalHole { from, to, reason };
    record(kind::JOURNAL_HOLE, 0, &hole.encode())
}

fn record(kind: u8, venue_seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[kind, 0, 3, 0]);
    bytes.extend_from_slice(&venue_seq.to_le_bytes());
    bytes.extend_from_slice(&1_700_000_000_000_000_000_u64.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// CRC32C, bit by bit: another one than the product's.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0x82F6_3B78
            } else {
                crc >> 1
            }
        })
    })
}
