//! A source behind a TCP connection: a pure client and the socket that it asks for.

use std::cell::Cell;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::BorrowedFd;

use tickdeck_recovery::client::Action;
use tickdeck_recovery::replay::ReplayClient;
use tickdeck_recovery::soup::SoupClient;

use super::connection::{Connection, Received};

/// Bytes of one reading.
const CHUNK_BYTES: usize = 16 << 10;
/// Readings in one turn, so that other sources are not kept waiting.
const READINGS_PER_TURN: usize = 8;

/// What the clients of TCP sources have in common; see `tickdeck_recovery::client`.
pub(super) trait Client {
    /// What it wants done.
    type Action;

    fn on_connected(&mut self, now_ns: u64);
    fn on_bytes(&mut self, bytes: &[u8], now_ns: u64);
    fn on_closed(&mut self, now_ns: u64);
    fn poll(&mut self, now_ns: u64) -> Option<Self::Action>;
    fn next_deadline_ns(&self) -> Option<u64>;
    /// What an action means for the connection; the rest is for the caller.
    fn sort(action: Self::Action) -> Sorted<Self::Action>;
}

/// An action, sorted by who carries it out.
pub(super) enum Sorted<A> {
    Connect,
    Send(Vec<u8>),
    Close,
    /// Not about the connection.
    Other(A),
}

/// A client and its connection.
pub(super) struct TcpSource<C> {
    pub(super) client: C,
    address: SocketAddrV4,
    connect_timeout_ns: u64,
    connection: Option<Connection>,
    chunk: Box<[u8]>,
}

impl<C: Client> TcpSource<C> {
    pub(super) fn new(client: C, address: SocketAddrV4, connect_timeout_ns: u64) -> Self {
        Self {
            client,
            address,
            connect_timeout_ns,
            connection: None,
            chunk: vec![0; CHUNK_BYTES].into_boxed_slice(),
        }
    }

    /// Reads what is there, as long as `take` returns true, and carries out what the client wants.
    /// Returns whether anything happened.
    pub(super) fn serve(&mut self, now_ns: u64, mut take: impl FnMut(C::Action) -> bool) -> bool {
        let has_room = Cell::new(true);
        let mut take = |action| {
            has_room.set(take(action));
            has_room.get()
        };
        let mut happened = self.act(now_ns, &mut take);
        for _ in 0..READINGS_PER_TURN {
            if !has_room.get() {
                break;
            }
            let read = self.read(now_ns);
            let acted = self.act(now_ns, &mut take);
            happened |= read || acted;
            if !read {
                break;
            }
        }
        happened
    }

    /// When it has something to do although nothing comes.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        self.client.next_deadline_ns()
    }

    /// Whether it has to be looked at soon: connecting and writing are not waited for.
    pub(super) fn is_pending(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_pending)
    }

    /// The socket, while there is one.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// One reading; returns whether it brought anything.
    fn read(&mut self, now_ns: u64) -> bool {
        match self.try_read(now_ns) {
            Ok(Received::Bytes(length)) => {
                self.client.on_bytes(&self.chunk[..length], now_ns);
                true
            }
            Ok(Received::Nothing) => false,
            Ok(Received::Closed) => self.lose(now_ns, None),
            Err(error) => self.lose(now_ns, Some(&error)),
        }
    }

    fn try_read(&mut self, now_ns: u64) -> io::Result<Received> {
        let Some(connection) = &mut self.connection else {
            return Ok(Received::Nothing);
        };
        if connection.has_connected(now_ns)? {
            self.client.on_connected(now_ns);
        }
        connection.flush()?;
        connection.receive(&mut self.chunk)
    }

    fn act(&mut self, now_ns: u64, take: &mut impl FnMut(C::Action) -> bool) -> bool {
        let mut happened = false;
        while let Some(action) = self.client.poll(now_ns) {
            happened = true;
            match C::sort(action) {
                Sorted::Connect => self.connect(now_ns),
                Sorted::Send(bytes) => self.send(&bytes, now_ns),
                Sorted::Close => self.connection = None,
                Sorted::Other(action) => {
                    if !take(action) {
                        break;
                    }
                }
            }
        }
        happened
    }

    fn connect(&mut self, now_ns: u64) {
        match Connection::open(self.address, now_ns, self.connect_timeout_ns) {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => {
                self.lose(now_ns, Some(&error));
            }
        }
    }

    fn send(&mut self, bytes: &[u8], now_ns: u64) {
        if let Some(Err(error)) = self.connection.as_mut().map(|open| open.send(bytes)) {
            self.lose(now_ns, Some(&error));
        }
    }

    /// The client names the fault; the log has the system's word for it.
    fn lose(&mut self, now_ns: u64, error: Option<&io::Error>) -> bool {
        let address = self.address;
        match error {
            Some(error) => tracing::debug!(%address, %error, "connection lost"),
            None => tracing::debug!(%address, "connection closed by the peer"),
        }
        self.connection = None;
        self.client.on_closed(now_ns);
        true
    }
}

macro_rules! range_client {
    ($client:ty) => {
        impl Client for $client {
            type Action = Action;

            fn on_connected(&mut self, now_ns: u64) {
                self.on_connected(now_ns);
            }
            fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
                self.on_bytes(bytes, now_ns);
            }
            fn on_closed(&mut self, now_ns: u64) {
                self.on_closed(now_ns);
            }
            fn poll(&mut self, now_ns: u64) -> Option<Action> {
                self.poll(now_ns)
            }
            fn next_deadline_ns(&self) -> Option<u64> {
                self.next_deadline_ns()
            }
            fn sort(action: Action) -> Sorted<Action> {
                match action {
                    Action::Connect => Sorted::Connect,
                    Action::Send(bytes) => Sorted::Send(bytes),
                    Action::Close => Sorted::Close,
                    other => Sorted::Other(other),
                }
            }
        }
    };
}

range_client!(SoupClient);
range_client!(ReplayClient);
