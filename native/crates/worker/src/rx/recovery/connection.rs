//! A TCP connection that never waits: made, written and read as far as the kernel allows.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Most bytes that wait to be written; a peer that takes no more than that is not working.
const OUTPUT_LIMIT: usize = 64 << 10;

/// A connection being made, or made.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Until when it must be made; `None` when it is.
    connecting_until_ns: Option<u64>,
    output: Vec<u8>,
}

/// What a reading brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// The peer has closed.
    Closed,
    /// Nothing for now.
    Nothing,
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// The system refuses at once.
    pub(super) fn open(address: SocketAddrV4, now_ns: u64, timeout_ns: u64) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket: OwnedFd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            connecting_until_ns: Some(now_ns.saturating_add(timeout_ns)),
            output: Vec::new(),
        })
    }

    /// Whether the connection was just made; told once.
    ///
    /// # Errors
    /// It was refused, or not made in time.
    pub(super) fn has_connected(&mut self, now_ns: u64) -> io::Result<bool> {
        let Some(until_ns) = self.connecting_until_ns else {
            return Ok(false);
        };
        if !is_writable(self.stream.as_fd())? {
            return match now_ns >= until_ns {
                true => Err(io::ErrorKind::TimedOut.into()),
                false => Ok(false),
            };
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        self.connecting_until_ns = None;
        Ok(true)
    }

    /// Whether it still has to be made, or has bytes to write: look at it again soon.
    pub(super) fn is_pending(&self) -> bool {
        self.connecting_until_ns.is_some() || !self.output.is_empty()
    }

    /// Queues bytes and writes what can be written.
    ///
    /// # Errors
    /// The connection is broken, or the peer takes nothing.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.output.len() + bytes.len() > OUTPUT_LIMIT {
            return Err(io::Error::other("the peer takes no bytes"));
        }
        self.output.extend_from_slice(bytes);
        self.flush()
    }

    /// Writes what can be written.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() && self.connecting_until_ns.is_none() {
            match self.stream.write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there into `buffer`, which is not empty.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.connecting_until_ns.is_some() {
            return Ok(Received::Nothing);
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Received::Closed),
                Ok(length) => return Ok(Received::Bytes(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Received::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_writable(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    let at_once = Timespec::try_from(Duration::ZERO).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&at_once)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::time::Instant;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn listener() -> (TcpListener, SocketAddrV4) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        match listener.local_addr().expect("its address") {
            SocketAddr::V4(address) => (listener, address),
            SocketAddr::V6(address) => panic!("{address} for an IPv4 listener"),
        }
    }

    /// Tries until it is so, for five seconds.
    fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(value) = attempt() {
                return value;
            }
            assert!(Instant::now() < deadline, "not within five seconds");
            std::thread::yield_now();
        }
    }

    /// Bytes queued before the connection is made arrive; answers are read; a close is seen.
    #[test]
    fn bytes_go_both_ways() {
        let (listener, address) = listener();
        let mut connection = Connection::open(address, 0, SECOND_NS).expect("begun");
        connection.send(b"hello").expect("queued");
        until(|| connection.has_connected(0).expect("made").then_some(()));
        assert!(!connection.has_connected(0).expect("told once"));
        connection.flush().expect("written");
        let (mut peer, _) = listener.accept().expect("a connection");
        let mut got = [0; 5];
        peer.read_exact(&mut got).expect("five bytes");
        assert_eq!(&got, b"hello");
        let mut buffer = [0; 16];
        assert_eq!(
            connection.receive(&mut buffer).expect("open"),
            Received::Nothing
        );
        peer.write_all(b"you").expect("written");
        let received = until(|| match connection.receive(&mut buffer).expect("open") {
            Received::Nothing => None,
            other => Some(other),
        });
        assert_eq!((received, &buffer[..3]), (Received::Bytes(3), &b"you"[..]));
        drop(peer);
        until(|| {
            (connection.receive(&mut buffer).expect("open") == Received::Closed).then_some(())
        });
    }

    /// A port where nobody listens is an error, not a wait.
    #[test]
    fn refusal_is_told() {
        let (listener, address) = listener();
        drop(listener);
        let mut connection = match Connection::open(address, 0, SECOND_NS) {
            Ok(connection) => connection,
            Err(error) => return assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
        };
        let error = until(|| connection.has_connected(0).err());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// A peer that takes nothing is an error once the bound is reached.
    #[test]
    fn a_peer_that_takes_nothing_is_told() {
        let (_listener, address) = listener();
        let mut connection = Connection::open(address, 0, SECOND_NS).expect("begun");
        until(|| connection.has_connected(0).expect("made").then_some(()));
        let chunk = [0; 32 << 10];
        let refused = (0..10_000).find_map(|_| connection.send(&chunk).err());
        assert!(
            refused.is_some(),
            "320 MB went into a socket that nobody reads"
        );
    }
}
