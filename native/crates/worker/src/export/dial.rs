//! Connects without standing still: the resolver and the handshake of TCP may take as long as they
//! like, on a thread of their own; the caller looks now and then.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::spec::export::Endpoint;

/// A connection that came about.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// A try to connect.
#[derive(Debug)]
pub(crate) struct Dial {
    outcome: Receiver<io::Result<Socket>>,
    until: Instant,
}

impl Dial {
    /// Begins; all addresses of a name together have `timeout`.
    pub(crate) fn begin(endpoint: Endpoint, timeout: Duration) -> io::Result<Self> {
        let until = Instant::now() + timeout;
        let (report, outcome) = channel();
        thread::Builder::new()
            .name("dial".to_owned())
            .spawn(move || {
                // Whoever began it may have lost interest.
                if report.send(connect(&endpoint, until)).is_err() {
                    tracing::debug!(%endpoint, "nobody waits for this connection any more");
                }
            })?;
        Ok(Self { outcome, until })
    }

    /// The outcome, once there is one. A resolver that does not answer in time is not waited for.
    pub(crate) fn poll(&mut self) -> Option<io::Result<Socket>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) if Instant::now() < self.until => None,
            Err(TryRecvError::Empty) => Some(Err(io::ErrorKind::TimedOut.into())),
            Err(TryRecvError::Disconnected) => Some(Err(io::Error::other(
                "the dialling thread ended without a word",
            ))),
        }
    }
}

fn connect(endpoint: &Endpoint, until: Instant) -> io::Result<Socket> {
    let (host, port) = match endpoint {
        Endpoint::Unix(path) => return UnixStream::connect(path).map(Socket::Unix),
        Endpoint::Tcp(host, port) => (host.as_str(), *port),
    };
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => return Ok(Socket::Tcp(socket)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
