//! A subscriber of the test: as good or as bad as the test wants it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tickdeck_export::auth::{Key, Transcript};
use tickdeck_export::authenticator::Method;
use tickdeck_export::frame::{Decoder, MAX_PAYLOAD};
use tickdeck_export::message::{
    Ack, Auth, Gap, GapReason, Goodbye, Guarantee, Heartbeat, Message, Refused, Start, SubOk,
    Subscribe, without_mac,
};
use tickdeck_journal::unpack;

use crate::plant::{KEY, PATIENCE, payload};

/// A socket of any kind.
pub(crate) trait Socket: Read + Write + Send {
    fn set_patience(&self, time: Duration);
}

impl Socket for UnixStream {
    fn set_patience(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("sets");
    }
}

impl Socket for TcpStream {
    fn set_patience(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("sets");
    }
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    AuthOk(Option<String>),
    SubOk(SubOk),
    Err(Refused),
    Data {
        from: u64,
        to: u64,
    },
    Heartbeat(Heartbeat),
    Gap(Gap),
    Goodbye(Goodbye),
    /// The end of the connection.
    End,
}

/// One connection.
pub(crate) struct Peer {
    pub(crate) socket: Box<dyn Socket>,
    decoder: Decoder,
    hello: Option<(Vec<u8>, Method)>,
}

/// What a subscriber keeps: an unbroken range, and the gaps in it.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) log_id: [u8; 16],
    pub(crate) epoch: u64,
    /// Records that came a second time.
    pub(crate) again: u64,
}

impl Copy {
    pub(crate) fn keep(&mut self, said: &Said) {
        match said {
            Said::SubOk(ok) => {
                self.epoch = ok.epoch;
                if self.end == 0 {
                    (self.first, self.end) = (ok.start_seq, ok.start_seq - 1);
                }
            }
            Said::Data { from, to } => {
                assert!(*from <= self.end + 1, "{from} after {}", self.end);
                self.again += (self.end + 1 - from).min(to + 1 - from);
                self.end = self.end.max(*to);
            }
            Said::Gap(gap) if gap.reason != GapReason::JournalHole => {
                assert_eq!(gap.from, self.end + 1);
                self.end = gap.to;
                self.gaps.push(*gap);
            }
            Said::Heartbeat(beat) => {
                assert_eq!(beat.next_seq, self.end + 1);
                self.epoch = beat.epoch;
            }
            _ => {}
        }
    }
}

impl Peer {
    pub(crate) fn over(socket: impl Socket + 'static) -> Self {
        socket.set_patience(PATIENCE);
        Self {
            socket: Box::new(socket),
            decoder: Decoder::new(MAX_PAYLOAD),
            hello: None,
        }
    }

    pub(crate) fn on_unix(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).expect("connects"))
    }

    /// From an address of the loopback network, so that each may have a bucket of its own.
    pub(crate) fn on_tcp(port: u16, host: u16) -> Self {
        Self::over(dial(port, host).expect("connects"))
    }

    /// Proves itself as `name`; the provider's verdict.
    pub(crate) fn prove(&mut self, name: Option<&str>) -> Said {
        self.try_prove(name).unwrap_or(Said::End)
    }

    fn try_prove(&mut self, name: Option<&str>) -> std::io::Result<Said> {
        while self.hello.is_none() {
            if let Some(said) = self.read_some()? {
                return Ok(said);
            }
        }
        let (hello, method) = self.hello.clone().expect("was read");
        let mut auth = Auth {
            version: 1,
            nonce: [3; 32],
            client: name.map(|name| name.parse().expect("a name")),
            mac: [0; 32],
        };
        let signed = Message::Auth(auth.clone()).payload();
        if method == Method::Hmac {
            let transcript = Transcript {
                hello: &hello,
                auth: without_mac(&signed).expect("long enough"),
                exporter: &[],
            };
            auth.mac = transcript.client_mac(&Key::new(KEY)).to_bytes();
        }
        self.socket.write_all(&Message::Auth(auth).to_frame())?;
        Ok(self.next())
    }

    /// Subscribes; the answer.
    pub(crate) fn subscribe(&mut self, start: Start, copy: &Copy) -> Said {
        self.ask(Subscribe {
            start,
            guarantee: Guarantee::Durable,
            window_bytes: 4 << 20,
            epoch: copy.epoch,
            log_id: copy.log_id,
        })
    }

    pub(crate) fn ask(&mut self, asked: Subscribe) -> Said {
        self.send(&Message::Subscribe(asked));
        self.next()
    }

    /// Connects wholly: proves itself as `name` and goes on behind its copy.
    pub(crate) fn resume(&mut self, name: Option<&str>, copy: &mut Copy) -> Said {
        let proved = self.prove(name);
        if !matches!(proved, Said::AuthOk(_)) {
            return proved;
        }
        let start = match copy.end {
            0 => Start::Earliest,
            end => Start::Seq(end + 1),
        };
        let said = self.subscribe(start, copy);
        copy.keep(&said);
        said
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) {
        // A provider may have closed: what it said is what counts.
        if let Err(error) = self.socket.write_all(&message.to_frame()) {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ),
                "{error}"
            );
        }
    }

    pub(crate) fn ack(&mut self, seq: u64) {
        self.send(&Message::Ack(Ack { seq }));
    }

    /// The next thing the provider says.
    pub(crate) fn next(&mut self) -> Said {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "nothing is said");
            match self.read_some() {
                Ok(Some(said)) => return said,
                Ok(None) => {}
                Err(_) => return Said::End,
            }
        }
    }

    /// Takes what comes into the copy until it has everything up to `seq`, with ACKs on the way.
    pub(crate) fn follow_to(&mut self, seq: u64, copy: &mut Copy) {
        let mut acked = copy.end;
        while copy.end < seq {
            let said = self.next();
            assert!(
                !matches!(said, Said::End | Said::Err(_) | Said::Goodbye(_)),
                "{said:?}"
            );
            copy.keep(&said);
            if copy.end > acked + 200 || copy.end == seq {
                acked = copy.end;
                self.ack(acked);
            }
        }
    }

    /// What is there now, or after one read.
    fn read_some(&mut self) -> std::io::Result<Option<Said>> {
        if let Some(said) = self.take()? {
            return Ok(Some(said));
        }
        let mut chunk = [0; 64 * 1024];
        match self.socket.read(&mut chunk)? {
            0 => Ok(Some(Said::End)),
            length => {
                self.decoder.feed(&chunk[..length]);
                self.take()
            }
        }
    }

    fn take(&mut self) -> std::io::Result<Option<Said>> {
        let Some(frame) = self.decoder.next().expect("good frames") else {
            return Ok(None);
        };
        Ok(Some(match Message::parse(&frame).expect("a message") {
            Message::Hello(hello) => {
                self.hello = Some((frame.payload.to_vec(), hello.method));
                return Ok(None);
            }
            Message::AuthOk(ok) => Said::AuthOk(ok.identity.map(|name| name.to_string())),
            Message::SubOk(ok) => Said::SubOk(ok),
            Message::Err(refused) => Said::Err(refused),
            Message::Data(data) => {
                let count = u32::from_le_bytes(data.block[24..28].try_into().expect("four"));
                let records = unpack(data.base_seq, count, &data.block[72..]);
                let (entries, next_seq) = records.expect("records");
                for entry in entries.iter().filter(|entry| entry.record.kind == 1) {
                    let expected = payload(entry.seq, entry.record.payload.len());
                    assert_eq!(entry.record.payload, expected);
                }
                let (from, to) = (data.base_seq, next_seq - 1);
                Said::Data { from, to }
            }
            Message::Heartbeat(heartbeat) => Said::Heartbeat(heartbeat),
            Message::Gap(gap) => Said::Gap(gap),
            Message::Goodbye(goodbye) => Said::Goodbye(goodbye),
            other => panic!("a provider says {other:?}"),
        }))
    }
}

/// A connection to a port of loopback from 127.0.x.y.
pub(crate) fn dial(port: u16, host: u16) -> std::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    let [high, low] = host.to_be_bytes();
    bind(
        &socket,
        &SocketAddrV4::new(Ipv4Addr::new(127, 0, high, low), 0),
    )?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket.into())
}
