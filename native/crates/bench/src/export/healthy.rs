//! A subscriber as it should be, over TCP with HMAC.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tickdeck_export::auth::Key;
use tickdeck_export::message::{Guarantee, Start};
use tickdeck_export::subscriber::{BlockHead, Event, Session, Settings};
use tickdeck_net::clock::monotonic_ns;

use super::plant::KEY;
use super::{Error, failed};

/// Records that arrived together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// First sequence.
    pub(super) from: u64,
    /// Last sequence.
    pub(super) to: u64,
    /// Monotonic time of the read that ended the block.
    pub(super) ns: u64,
}

/// A connection that has subscribed from the end of the log.
pub(super) struct Healthy {
    pub(super) socket: TcpStream,
    session: Session,
    arrivals: Vec<Arrival>,
    last: u64,
}

impl Healthy {
    /// The healthy one.
    pub(super) fn connect(port: u16) -> Result<Self, Error> {
        Self::connect_as("healthy", port, 0x0401)
    }

    /// Proves itself as a client, from 127.0 and the two bytes of `host`, and subscribes.
    pub(super) fn connect_as(client: &str, port: u16, host: u16) -> Result<Self, Error> {
        let client = client.parse();
        let settings = Settings {
            client: Some(client.map_err(|error| Error::Exporter(format!("{error}")))?),
            key: Some(Key::new(KEY)),
            guarantee: Guarantee::Durable,
            start: Start::Live,
            window_bytes: 4 << 20,
            handshake_ms: 5_000,
        };
        let session = Session::new(settings, None, &[], false, [3; 32], monotonic_ns());
        let mut it = Self {
            socket: dial(port, host)?,
            session,
            arrivals: Vec::new(),
            last: 0,
        };
        while it.last == 0 {
            it.turn()?;
        }
        Ok(it)
    }

    /// Takes everything up to the sequence that `end` will hold, or until all is over.
    pub(super) fn follow(
        mut self,
        end: &AtomicU64,
        over: &AtomicBool,
    ) -> Result<Vec<Arrival>, Error> {
        let mut deadline = None;
        while !over.load(Ordering::Acquire) {
            let end = end.load(Ordering::Acquire);
            if (1..=self.last).contains(&end) {
                break;
            }
            if end > 0 && Instant::now() > *deadline.get_or_insert(Instant::now() + PATIENCE) {
                let last = self.last;
                return Err(Error::WrongResult(format!(
                    "{last} of {end} arrived in {PATIENCE:?}"
                )));
            }
            self.turn()?;
        }
        Ok(self.arrivals)
    }

    /// Sends what is to be sent, reads once and sees what it was.
    fn turn(&mut self) -> Result<(), Error> {
        if self.session.has_output() {
            let out = std::mem::take(self.session.output());
            self.socket.write_all(&out).map_err(failed("send"))?;
        }
        let mut chunk = [0; 64 * 1024];
        let read = self.socket.read(&mut chunk);
        let now_ns = monotonic_ns();
        match read {
            Ok(0) => return Err(Error::Exporter("closed the connection".to_owned())),
            Ok(length) => self.session.on_bytes(&chunk[..length], now_ns),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed("receive")(error)),
        }
        self.session.on_time(now_ns);
        while let Some(event) = self.session.next_event() {
            self.on_event(event, now_ns)?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event, ns: u64) -> Result<(), Error> {
        match event {
            Event::Subscribed(ok) => self.last = ok.start_seq - 1,
            Event::Block { from_seq, block } => {
                let head = BlockHead::parse(&block);
                let head = head.map_err(|error| Error::Exporter(error.to_string()))?;
                self.last = head.next_seq() - 1;
                let (from, to) = (from_seq, self.last);
                self.arrivals.push(Arrival { from, to, ns });
            }
            Event::Store(position) => self.session.stored(position),
            Event::Heartbeat(_) => {}
            Event::Gap { from, to, .. } => {
                return Err(Error::WrongResult(format!("gap {from} to {to}")));
            }
            Event::Ended(end) => return Err(Error::Exporter(format!("{end:?}"))),
        }
        Ok(())
    }
}

/// A connection from an address of its own of the loopback network, since the exporter counts by
/// address.
pub(super) fn dial(port: u16, host: u16) -> Result<TcpStream, Error> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let [high, low] = host.to_be_bytes();
    let ours = SocketAddrV4::new(Ipv4Addr::new(127, 0, high, low), 0);
    let theirs = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let dialled = socket(AddressFamily::INET, SocketType::STREAM, None).and_then(|socket| {
        bind(&socket, &ours)?;
        connect(&socket, &theirs)?;
        Ok(TcpStream::from(socket))
    });
    let socket = dialled.map_err(|errno| failed("connect")(errno.into()))?;
    let patience = Some(Duration::from_millis(100));
    socket
        .set_read_timeout(patience)
        .map_err(failed("set a timeout"))?;
    socket
        .set_write_timeout(patience)
        .map_err(failed("set a timeout"))?;
    Ok(socket)
}

/// For what is durable to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
