//! A connection of the export, whatever carries it: non-blocking, one byte stream each way.

mod tls;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use tickdeck_export::auth::Transport;

pub(crate) use self::tls::TlsChannel;

/// A connected, non-blocking socket with what lies between it and the protocol.
#[derive(Debug)]
pub(crate) enum Channel {
    /// Clear text over TCP: loopback only.
    Tcp(TcpStream),
    /// A Unix socket; the kernel says who is at its other end.
    Unix(UnixStream),
    /// TLS 1.3 over TCP.
    Tls(Box<TlsChannel>),
}

impl Channel {
    /// Clear text over TCP.
    pub(crate) fn tcp(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self::Tcp(socket))
    }

    /// A Unix socket.
    pub(crate) fn unix(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::Unix(socket))
    }

    /// A TLS session that begins now.
    pub(crate) fn tls(
        socket: TcpStream,
        session: impl Into<rustls::Connection>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let channel = TlsChannel::new(socket, session.into());
        Ok(Self::Tls(Box::new(channel)))
    }

    /// What the transport says of the peer, once it can: `None` while a TLS handshake is under way.
    pub(crate) fn transport(&self) -> io::Result<Option<Transport>> {
        match self {
            Self::Tcp(socket) => {
                let is_loopback = socket.peer_addr()?.ip().to_canonical().is_loopback();
                Ok(Some(Transport::Clear { is_loopback }))
            }
            Self::Unix(socket) => {
                let peer = rustix::net::sockopt::socket_peercred(socket)?;
                let is_ours = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
                let uid = peer.uid.as_raw();
                Ok(Some(Transport::Unix { uid, is_ours }))
            }
            Self::Tls(channel) => channel.transport(),
        }
    }

    /// Goes on with the handshake; what the transport says of the peer once it is done.
    pub(crate) fn handshake(&mut self) -> io::Result<Option<Transport>> {
        if let Self::Tls(channel) = self {
            channel.handshake()?;
        }
        self.transport()
    }

    /// Whether there is something to read that the socket does not show.
    pub(crate) fn has_pending(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(channel) => channel.has_pending(),
        }
    }

    /// Reads; 0 is the end. Call it until it would block: a TLS session may hold more than the socket
    /// shows.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
            Self::Tls(channel) => channel.read(buffer),
        }
    }

    /// Writes a part; what a TLS session took may still have to be [`flush`](Self::flush)ed.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
            Self::Tls(channel) => channel.write(bytes),
        }
    }

    /// Gives the socket what waits; true when nothing is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(true),
            Self::Tls(channel) => channel.flush(),
        }
    }

    /// What to poll the socket for; `has_output` when there is something to write.
    pub(crate) fn interest(&self, has_output: bool) -> PollFlags {
        let wants_write = match self {
            Self::Tcp(_) | Self::Unix(_) => has_output,
            Self::Tls(channel) => channel.wants_write(has_output),
        };
        if wants_write {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn close_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(channel) => channel.close_write(),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(channel) => channel.as_fd(),
        }
    }
}
