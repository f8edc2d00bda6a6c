//! A small TCP server: one thread, non-blocking sockets, a bounded number of connections.
//!
//! What is said on a connection is a [`Conversation`]; it knows no socket. A client that does not
//! read stops only itself.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tickdeck_net::clock::monotonic_ns;

use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

/// Connections at a time; a further one is closed at once.
pub(crate) const MAX_CONNECTIONS: usize = 8;
/// A client that takes nothing for so long is cut off.
const STALLED_NS: u64 = 30_000_000_000;
/// How long a closed connection waits for the client to close too: a reset could take away what
/// was sent last.
const LINGER_NS: u64 = 1_000_000_000;
/// Longest wait before a look for a stop.
const STOP_POLL_NS: u64 = 20_000_000;
/// Answers of one connection before the others have their turn.
const TURNS: usize = 16;

/// One connection's side of what is said.
pub(crate) trait Conversation {
    /// The client sent this.
    fn on_bytes(&mut self, bytes: &[u8], now_ns: u64);

    /// Appends what is to be sent now.
    fn poll(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Next;
}

/// What comes after what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// More, as soon as that is sent.
    More,
    /// Nothing before the client sends something, or this time, monotonic.
    Wait { until_ns: u64 },
    /// The end of the connection.
    Close,
}

/// A bound server.
pub(crate) struct TcpServer<A> {
    listener: TcpListener,
    address: SocketAddr,
    accept: A,
    /// What a client is told that comes while there are as many as fit.
    turned_away: Vec<u8>,
}

struct Connection<C> {
    socket: TcpStream,
    peer: SocketAddr,
    conversation: C,
    out: Vec<u8>,
    written: usize,
    next: Next,
    /// When something was written last, or there was nothing to write.
    moved_ns: u64,
    closing: Option<u64>,
}

impl<C: Conversation, A: FnMut(u64) -> C> TcpServer<A> {
    /// Binds; `accept` makes the conversation of a connection, from the time.
    pub(crate) fn bind(
        what: &str,
        address: SocketAddr,
        turned_away: Vec<u8>,
        accept: A,
    ) -> Result<Self, Failure> {
        let bind = || -> io::Result<_> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bind().map_err(|error| {
            let text = format!("listen for {what} on {address}: {error}");
            Failure::new(Code::Unavailable, text)
        })?;
        Ok(Self {
            listener,
            address,
            accept,
            turned_away,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. Each conversation is polled at least once in `tick`.
    pub(crate) fn run(mut self, tick: Duration, stop: &StopFlag) -> Result<(), Failure> {
        let tick_ns = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX);
        let mut connections: Vec<Connection<C>> = Vec::with_capacity(MAX_CONNECTIONS);
        while !stop.is_set() {
            let now_ns = monotonic_ns();
            connections.retain_mut(|connection| connection.turn(now_ns));
            let wake_ns = connections
                .iter()
                .map(|connection| connection.wake_ns(now_ns));
            let wait_ns = wake_ns.min().unwrap_or(u64::MAX).min(STOP_POLL_NS);
            let wait_ns = if connections.is_empty() {
                wait_ns
            } else {
                wait_ns.min(tick_ns)
            };
            let is_called = wait(&self.listener, &connections, wait_ns)
                .map_err(|error| Failure::failed(format!("wait for {}: {error}", self.address)))?;
            if is_called {
                self.accept(&mut connections)?;
            }
        }
        Ok(())
    }

    /// Takes one connection.
    fn accept(&mut self, connections: &mut Vec<Connection<C>>) -> Result<(), Failure> {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        let (mut socket, peer) = match self.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock) => {
                return Ok(());
            }
            Err(error) => {
                return Err(Failure::failed(format!(
                    "accept on {}: {error}",
                    self.address
                )));
            }
        };
        let prepared = socket
            .set_nonblocking(true)
            .and_then(|()| socket.set_nodelay(true));
        if let Err(error) = prepared {
            tracing::warn!(%peer, %error, "connection not prepared");
            return Ok(());
        }
        if connections.len() >= MAX_CONNECTIONS {
            tracing::warn!(%peer, "turned away: {MAX_CONNECTIONS} connections are open");
            if let Err(error) = socket.write_all(&self.turned_away) {
                tracing::debug!(%peer, %error, "not told why");
            }
            return Ok(());
        }
        let now_ns = monotonic_ns();
        tracing::debug!(%peer, "connected");
        connections.push(Connection {
            socket,
            peer,
            conversation: (self.accept)(now_ns),
            out: Vec::new(),
            written: 0,
            next: Next::More,
            moved_ns: now_ns,
            closing: None,
        });
        Ok(())
    }
}

impl<C: Conversation> Connection<C> {
    /// Reads, answers and writes what can be; false when the connection is over.
    fn turn(&mut self, now_ns: u64) -> bool {
        match self.exchange(now_ns) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "connection broken");
                false
            }
        }
    }

    fn exchange(&mut self, now_ns: u64) -> io::Result<bool> {
        for _ in 0..TURNS {
            if !self.read(now_ns)? {
                return Ok(false);
            }
            if let Some(until_ns) = self.closing {
                return Ok(now_ns < until_ns);
            }
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                self.next = self.conversation.poll(now_ns, &mut self.out);
            }
            if !self.write(now_ns)? {
                // The client has to read first.
                return Ok(now_ns < self.moved_ns + STALLED_NS);
            }
            match self.next {
                Next::More => {}
                Next::Wait { .. } => return Ok(true),
                Next::Close => {
                    self.socket.shutdown(Shutdown::Write)?;
                    self.closing = Some(now_ns + LINGER_NS);
                }
            }
        }
        Ok(true)
    }

    /// Takes what the client sent; false when it closed.
    fn read(&mut self, now_ns: u64) -> io::Result<bool> {
        let mut chunk = [0; 4_096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(_) if self.closing.is_some() => return Ok(true),
                Ok(length) => {
                    self.conversation.on_bytes(&chunk[..length], now_ns);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is due; false while something is left.
    fn write(&mut self, now_ns: u64) -> io::Result<bool> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.written += length;
                    self.moved_ns = now_ns;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.moved_ns = now_ns;
        Ok(true)
    }

    fn is_writing(&self) -> bool {
        self.written < self.out.len()
    }

    /// How long it may be left alone, ns, unless its socket is ready.
    fn wake_ns(&self, now_ns: u64) -> u64 {
        match (self.closing, self.next) {
            (Some(until_ns), _) => until_ns.saturating_sub(now_ns),
            _ if self.is_writing() => u64::MAX,
            (None, Next::Wait { until_ns }) => until_ns.saturating_sub(now_ns),
            (None, Next::More | Next::Close) => 0,
        }
    }
}

/// Waits for a socket; true when somebody wants to connect.
fn wait<C>(
    listener: &TcpListener,
    connections: &[Connection<C>],
    wait_ns: u64,
) -> io::Result<bool> {
    let mut sockets = Vec::with_capacity(1 + connections.len());
    sockets.push(PollFd::new(listener, PollFlags::IN));
    for connection in connections {
        let mut events = PollFlags::IN;
        if connection.written < connection.out.len() {
            events |= PollFlags::OUT;
        }
        sockets.push(PollFd::new(&connection.socket, events));
    }
    let timeout = Timespec {
        tv_sec: (wait_ns / 1_000_000_000).cast_signed(),
        tv_nsec: (wait_ns % 1_000_000_000).cast_signed(),
    };
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(!sockets[0].revents().is_empty())
}
