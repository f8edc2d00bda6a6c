//! The sources of missing ranges and their sockets: a re-request server, a stream, a peer.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use tickdeck_recovery::client::{Action, Content, Delivery};
use tickdeck_recovery::replay::ReplayClient;
use tickdeck_recovery::soup::{SoupClient, Wanted};
use tickdeck_recovery::{Engine, Fault, RangeSource};
use tickdeck_wire::moldudp64::{MAX_REQUEST_COUNT, Request, Session};
use tickdeck_wire::replay;

use super::tcp::TcpSource;
use crate::exit::Failure;

/// Answers taken from the re-request server in one turn.
const ANSWERS_PER_TURN: usize = 64;
/// Room for a burst of answers; the kernel may grant less, then the rest is asked for again.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// The configured sources.
pub(super) struct Ranges {
    pub(super) request: Option<UdpServer>,
    pub(super) stream: Option<TcpSource<SoupClient>>,
    pub(super) peer: Option<TcpSource<ReplayClient>>,
}

/// A re-request server.
pub(super) struct UdpServer {
    socket: UdpSocket,
    address: SocketAddrV4,
    buffer: Box<[u8]>,
}

/// What a source brought.
pub(super) enum Brought {
    /// Messages or a packet, whole and well-formed.
    Delivery(Delivery),
    /// Nothing good; what was wrong, and whether the request is over with it.
    Fault {
        fault: Fault,
        detail: String,
        is_over: bool,
    },
}

impl UdpServer {
    /// A socket that takes answers from `address` only, up to `max_packet_bytes` long.
    pub(super) fn connect(address: SocketAddrV4, max_packet_bytes: usize) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::failed(format!("re-request socket to {address}: {error}"));
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
        socket.connect(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES)
            .map_err(|error| failed(error.into()))?;
        Ok(Self {
            socket,
            address,
            // One byte more than allowed shows that a packet is too long.
            buffer: vec![0; max_packet_bytes + 1].into_boxed_slice(),
        })
    }

    pub(super) fn send(&self, request: &Request) -> io::Result<()> {
        self.socket.send(&request.encode()).map(drop)
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Hands on the datagrams that are there, with whether one is longer than allowed, until
    /// `take` says that there is no more room.
    pub(super) fn receive(
        &mut self,
        mut take: impl FnMut(&[u8], bool) -> bool,
    ) -> io::Result<usize> {
        for count in 0..ANSWERS_PER_TURN {
            match self.socket.recv(&mut self.buffer) {
                Ok(length) => {
                    if !take(&self.buffer[..length], length == self.buffer.len()) {
                        return Ok(count + 1);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            }
        }
        Ok(ANSWERS_PER_TURN)
    }
}

impl Ranges {
    /// Asks a source for `count` messages from `first` on.
    ///
    /// # Errors
    /// A datagram could not be sent. What happens to a connection is told later.
    pub(super) fn ask(
        &mut self,
        source: RangeSource,
        session: Session,
        first: u64,
        count: u64,
        now_ns: u64,
    ) -> io::Result<()> {
        match source {
            RangeSource::Request => {
                let Some(server) = &self.request else {
                    return Ok(());
                };
                let most = u64::from(MAX_REQUEST_COUNT);
                server.send(&Request {
                    session,
                    first_sequence: first,
                    count: count.min(most) as u16,
                })
            }
            RangeSource::Stream => {
                if let Some(stream) = &mut self.stream {
                    let wanted = Wanted {
                        session: Some(session),
                        first_sequence: first,
                        count: Some(count),
                    };
                    stream.client.ask(wanted, now_ns);
                }
                Ok(())
            }
            RangeSource::Peer => {
                if let Some(peer) = &mut self.peer {
                    let range = replay::Request {
                        session,
                        first_sequence: first,
                        count: u32::try_from(count).unwrap_or(u32::MAX),
                    };
                    peer.client.ask(range, now_ns);
                }
                Ok(())
            }
        }
    }

    /// Reads and writes the connections, as long as `take` has room. Returns whether anything
    /// happened.
    pub(super) fn serve(
        &mut self,
        now_ns: u64,
        mut take: impl FnMut(RangeSource, Brought) -> bool,
    ) -> bool {
        let mut happened = false;
        if let Some(stream) = &mut self.stream {
            happened |= stream.serve(now_ns, |action| {
                sort(RangeSource::Stream, action, &mut take)
            });
        }
        if let Some(peer) = &mut self.peer {
            happened |= peer.serve(now_ns, |action| sort(RangeSource::Peer, action, &mut take));
        }
        happened
    }

    /// Logs out of the stream when nothing more is expected of it.
    pub(super) fn release(&mut self, engine: &Engine) {
        if let Some(stream) = &mut self.stream
            && !stream.client.is_idle()
            && !engine.awaits(RangeSource::Stream)
        {
            stream.client.stop();
        }
    }

    /// When a connection has something to do although nothing comes.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let stream = self.stream.as_ref().and_then(TcpSource::next_deadline_ns);
        let peer = self.peer.as_ref().and_then(TcpSource::next_deadline_ns);
        stream.into_iter().chain(peer).min()
    }

    /// Whether a connection has to be looked at soon.
    pub(super) fn is_pending(&self) -> bool {
        self.stream.as_ref().is_some_and(TcpSource::is_pending)
            || self.peer.as_ref().is_some_and(TcpSource::is_pending)
    }

    /// The sockets to wait for.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let request = self.request.as_ref().map(|server| server.socket.as_fd());
        let stream = self.stream.as_ref().and_then(TcpSource::socket);
        let peer = self.peer.as_ref().and_then(TcpSource::socket);
        request.into_iter().chain(stream).chain(peer)
    }
}

/// Hands on what an action brought; what is done or was noticed and mended needs no more.
fn sort(
    source: RangeSource,
    action: Action,
    take: &mut impl FnMut(RangeSource, Brought) -> bool,
) -> bool {
    match action {
        Action::Deliver(delivery) => take(source, Brought::Delivery(delivery)),
        Action::Noticed { fault, detail } => {
            let is_over = false;
            take(
                source,
                Brought::Fault {
                    fault,
                    detail,
                    is_over,
                },
            )
        }
        Action::Failed { fault, detail, .. } => {
            let is_over = true;
            take(
                source,
                Brought::Fault {
                    fault,
                    detail,
                    is_over,
                },
            )
        }
        Action::Connect | Action::Send(_) | Action::Close | Action::Done { .. } => true,
    }
}

/// Number of messages, and whether they are one packet.
pub(super) fn shape(content: &Content) -> (u16, bool) {
    (content.count(), matches!(content, Content::Packet(_)))
}
