//! A provider's door: what stands between a connected socket and a subscription. The parts are the
//! real ones; what is said behind it is one word.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use tickdeck_export::auth::{Gate, Key, Keyring, Transport};
use tickdeck_export::authenticator::Method;
use tickdeck_export::frame::{Decoder, MAX_PAYLOAD};
use tickdeck_export::message::{Hello, MAX_CONTROL_PAYLOAD, Message};
use tickdeck_export::provider::{Handshake, HandshakeEnd, HandshakeLimits};
use tickdeck_net::clock::monotonic_ns;

use crate::export::channel::Channel;
use crate::export::tls::TlsAcceptor;

pub(super) const LOG: [u8; 16] = [7; 16];
/// How long a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is sent to who is in: a heartbeat.
pub(super) const INSIDE: u8 = 8;

/// Who may come in.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) tls: Option<Arc<TlsAcceptor>>,
    pub(super) keys: Option<Arc<Keyring>>,
    pub(super) revoked: Vec<String>,
}

/// What became of one who knocked: a name, or the sentence of the audit.
pub(super) type Verdict = Result<String, String>;

/// A door on the loopback interface, open until it is dropped.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    verdicts: Receiver<Verdict>,
}

impl Door {
    pub(super) fn open(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let (report, verdicts) = channel();
        thread::spawn(move || serve(&listener, &rules, &report));
        Self { address, verdicts }
    }

    /// The verdict on the next one.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict_on("the only one")
    }

    /// The same, with a name for a failure.
    pub(super) fn verdict_on(&self, what: &str) -> Verdict {
        self.verdicts
            .recv_timeout(2 * PATIENCE)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

fn serve(listener: &TcpListener, rules: &Rules, report: &Sender<Verdict>) {
    for socket in listener.incoming() {
        let verdict = judge(socket.expect("accepts"), rules).map_err(|error| error.to_string());
        if report.send(verdict).is_err() {
            return;
        }
    }
}

fn judge(socket: TcpStream, rules: &Rules) -> io::Result<String> {
    let mut channel = match &rules.tls {
        None => Channel::tcp(socket)?,
        Some(acceptor) => Channel::tls(socket, acceptor.accept().map_err(io::Error::other)?)?,
    };
    let transport = handshake(&mut channel)?;
    let refused = |refusal: tickdeck_export::authenticator::Refusal| io::Error::other(refusal);
    let revoked = Arc::from(rules.revoked.clone());
    let gate = Gate::new(transport, rules.keys.clone(), revoked).map_err(refused)?;
    let mut out = Vec::new();
    let mut nonce = [0; 32];
    nonce[..8].copy_from_slice(&monotonic_ns().to_le_bytes());
    let limits = HandshakeLimits::default();
    let mut handshake = Handshake::begin(monotonic_ns(), hello(nonce), 9, gate, limits, &mut out);
    let end = loop {
        send(&mut channel, &mut out)?;
        let mut chunk = [0; 300];
        let end = match receive(&mut channel, &mut chunk) {
            Ok(0) => Some(handshake.on_closed()),
            Ok(length) => handshake.on_bytes(monotonic_ns(), &chunk[..length], &mut out),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                handshake.on_time(monotonic_ns())
            }
            Err(error) => return Err(error),
        };
        if let Some(end) = end {
            break end;
        }
    };
    match end {
        HandshakeEnd::Proved(identity) => {
            tickdeck_export::frame::push(&mut out, INSIDE, 1, &[0; 32]);
            send(&mut channel, &mut out)?;
            Ok(identity
                .name
                .map_or_else(String::new, |name| name.to_string()))
        }
        HandshakeEnd::Failed { reason, .. } => {
            // Whether the peer still listens is its own business.
            if let Err(error) = send(&mut channel, &mut out) {
                eprintln!("door: {error}");
            }
            Err(io::Error::other(reason))
        }
    }
}

/// The HELLO of every provider here.
pub(super) fn hello(nonce: [u8; 32]) -> Hello {
    Hello {
        oldest_version: 1,
        newest_version: 1,
        method: Method::Hmac,
        epoch: 1,
        log_id: LOG,
        nonce,
        server: "door".parse().expect("a name"),
    }
}

/// Takes a channel through TLS.
pub(super) fn handshake(channel: &mut Channel) -> io::Result<Transport> {
    let begun = Instant::now();
    loop {
        if let Some(transport) = channel.handshake()? {
            return Ok(transport);
        }
        if begun.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        wait(channel, false);
    }
}

/// Sends everything.
pub(super) fn send(channel: &mut Channel, out: &mut Vec<u8>) -> io::Result<()> {
    while !out.is_empty() || !channel.flush()? {
        match channel.write(out) {
            Ok(length) => drop(out.drain(..length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(channel, true),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits for something to read, at most half a minute.
pub(super) fn receive(channel: &mut Channel, buffer: &mut [u8]) -> io::Result<usize> {
    let begun = Instant::now();
    loop {
        match channel.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        if begun.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        wait(channel, false);
    }
}

fn wait(channel: &Channel, has_output: bool) {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    let mut sockets = [PollFd::new(channel, channel.interest(has_output))];
    poll(&mut sockets, Some(&timeout)).expect("polls");
}

/// Frames that came until the peer closed or was silent.
pub(super) fn hear(channel: &mut Channel) -> Vec<(u8, Vec<u8>)> {
    let mut decoder = Decoder::new(MAX_PAYLOAD.max(MAX_CONTROL_PAYLOAD));
    let mut frames = Vec::new();
    let mut chunk = [0; 4_096];
    while let Ok(length @ 1..) = receive(channel, &mut chunk) {
        decoder.feed(&chunk[..length]);
        while let Ok(Some(frame)) = decoder.next() {
            frames.push((frame.kind, frame.payload.to_vec()));
            if frame.kind == INSIDE || frame.kind == 6 {
                return frames;
            }
        }
    }
    frames
}

/// The first frame of a provider, which is HELLO; its payload.
pub(super) fn hear_hello(channel: &mut Channel) -> io::Result<Vec<u8>> {
    let mut decoder = Decoder::new(MAX_PAYLOAD);
    let mut chunk = [0; 1];
    loop {
        if receive(channel, &mut chunk)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        decoder.feed(&chunk);
        if let Some(frame) = decoder.next().map_err(io::Error::other)? {
            return match Message::parse(&frame).map_err(io::Error::other)? {
                Message::Hello(_) => Ok(frame.payload.to_vec()),
                other => Err(io::Error::other(format!("{other:?}"))),
            };
        }
    }
}

pub(super) fn key(seed: u8) -> Key {
    let mut bytes = [seed; 32];
    bytes[0] = !seed;
    Key::new(bytes)
}

pub(super) fn key_hex(seed: u8) -> String {
    let digits = format!("{seed:02x}").repeat(31);
    format!("{:02x}{digits}", !seed)
}

pub(super) fn keyring(text: &str) -> Arc<Keyring> {
    Arc::new(Keyring::parse(text, key(251)).expect("keys"))
}
