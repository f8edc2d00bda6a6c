//! Connects without standing still: the resolver and the handshake of TCP may take as long as they
//! like, on a thread of their own; the caller looks now and then.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

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
        Endpoint::Unix(path) => return connect_unix(path, until).map(Socket::Unix),
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

/// Connects to a Unix socket by `until`; at least one try is made. A listener whose queue is full
/// would hold a blocking socket for as long as it likes.
pub(super) fn connect_unix(path: &Path, until: Instant) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if Instant::now() < until => {
                thread::sleep(QUEUE_STEP);
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "its queue of connections is full",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let socket = UnixStream::from(socket);
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// Time between two tries at a full queue.
const QUEUE_STEP: Duration = Duration::from_millis(5);

/// A listener that takes nobody, with a full queue of those who wait.
#[cfg(test)]
pub(super) fn full_listener(path: &Path) -> (rustix::fd::OwnedFd, Vec<UnixStream>) {
    let listener = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("a socket");
    let address = SocketAddrUnix::new(path).expect("an address");
    rustix::net::bind(&listener, &address).expect("binds");
    rustix::net::listen(&listener, 0).expect("listens");
    let waiting = std::iter::from_fn(|| connect_unix(path, Instant::now()).ok()).collect();
    (listener, waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A collector that listens and takes nobody holds nobody longer than was said.
    #[test]
    fn a_full_queue_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let (_listener, waiting) = full_listener(&path);
        assert!(!waiting.is_empty());
        let begun = Instant::now();
        let until = begun + Duration::from_millis(100);
        let error = connect(&Endpoint::Unix(path), until).expect_err("nobody answers");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(100) && took < Duration::from_secs(5),
            "{took:?}"
        );
    }
}
