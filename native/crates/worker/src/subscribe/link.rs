//! How a connection comes about: dialled, or waited for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tickdeck_export::auth::Transport;

use crate::exit::{Code, Failure};
use crate::export::channel::Channel;
use crate::export::dial::{Dial, Socket};
use crate::export::tls::{TlsAcceptor, TlsDialer, TlsError};
use crate::spec::export::Endpoint;

/// Who dials.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// We do.
    Dials(Endpoint),
    /// The exporter does.
    Listens(Endpoint),
}

/// What lies between the socket and the protocol.
#[derive(Debug)]
pub(super) enum Tls {
    /// Nothing.
    Off,
    /// We are the client, and want a server of this name.
    Dials(TlsDialer, ServerName<'static>),
    /// We are the server.
    Accepts(TlsAcceptor),
}

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Dialling; a try is under way or not.
    Dialling {
        endpoint: Endpoint,
        dial: Option<Dial>,
    },
    /// Waiting on TCP.
    Tcp(TcpListener),
    /// Waiting on a Unix socket.
    Unix(UnixListener),
}

impl Source {
    /// Binds when we are the one to wait.
    pub(super) fn open(side: &Side) -> Result<Self, Failure> {
        match side {
            Side::Dials(endpoint) => Ok(Self::Dialling {
                endpoint: endpoint.clone(),
                dial: None,
            }),
            Side::Listens(endpoint) => bind(endpoint).map_err(|error| {
                Failure::new(Code::Unavailable, format!("listen on {endpoint}: {error}"))
            }),
        }
    }

    /// Where exporters find us, if that is on TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Dialling { .. } | Self::Unix(_) => None,
        }
    }

    /// The next connection, once there is one.
    pub(super) fn poll(&mut self, timeout: Duration) -> io::Result<Option<Socket>> {
        let accepted = match self {
            Self::Dialling { endpoint, dial } => {
                let pending = match dial {
                    Some(pending) => pending,
                    None => dial.insert(Dial::begin(endpoint.clone(), timeout)?),
                };
                let Some(outcome) = pending.poll() else {
                    return Ok(None);
                };
                *dial = None;
                return outcome.map(Some);
            }
            Self::Tcp(listener) => listener.accept().map(|(socket, _)| Socket::Tcp(socket)),
            Self::Unix(listener) => listener.accept().map(|(socket, _)| Socket::Unix(socket)),
        };
        match accepted {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A try to dial that fails is followed by a wait; who listens just goes on.
    pub(super) fn dials(&self) -> bool {
        matches!(self, Self::Dialling { .. })
    }
}

impl Tls {
    /// Puts it over a socket.
    pub(super) fn over(&self, socket: Socket) -> Result<Channel, TlsError> {
        let channel = match (socket, self) {
            (Socket::Unix(socket), _) => Channel::unix(socket),
            (Socket::Tcp(socket), Self::Off) => Channel::tcp(socket),
            (Socket::Tcp(socket), Self::Dials(dialer, name)) => {
                Channel::tls(socket, dialer.dial(name.clone())?)
            }
            (Socket::Tcp(socket), Self::Accepts(acceptor)) => {
                Channel::tls(socket, acceptor.accept()?)
            }
        };
        channel.map_err(TlsError::Socket)
    }

    /// Whether the transport has proved who the provider is: we dialled and verified it, it showed a
    /// certificate that we trust, or the kernel says that it is our own user or root.
    pub(super) fn proves(&self, transport: &Transport) -> bool {
        match transport {
            Transport::Tls { names, .. } => matches!(self, Self::Dials(..)) || !names.is_empty(),
            Transport::Unix { is_ours, .. } => *is_ours,
            Transport::Clear { .. } => false,
        }
    }

    /// Seconds until our certificate expires, if we have one.
    pub(super) fn expires_s(&self) -> Option<i64> {
        match self {
            Self::Off => None,
            Self::Dials(dialer, _) => dialer.expires_s(),
            Self::Accepts(acceptor) => Some(acceptor.expires_s()),
        }
    }

    /// Reads the certificates again, for the next connection.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        match self {
            Self::Off => Ok(()),
            Self::Dials(dialer, _) => dialer.reload(),
            Self::Accepts(acceptor) => acceptor.reload(),
        }
    }
}

fn bind(endpoint: &Endpoint) -> io::Result<Source> {
    match endpoint {
        Endpoint::Tcp(host, port) => {
            let listener = TcpListener::bind((host.as_str(), *port))?;
            listener.set_nonblocking(true)?;
            Ok(Source::Tcp(listener))
        }
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(Source::Unix(listener))
        }
    }
}
