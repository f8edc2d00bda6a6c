//! How a connection comes about: dialled, or waited for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tickdeck_export::auth::Transport;
use tickdeck_export::subscriber::{Position, Session, Settings};

use super::args::Plan;
use super::door::Door;
use crate::exit::Failure;
use crate::export::channel::Channel;
use crate::export::dial::{Dial, Socket};
use crate::export::keys::random_bytes;
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
    /// We are the server, and of clients believe the one of this name.
    Accepts(TlsAcceptor, Option<String>),
}

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Dialling; a try is under way or not.
    Dialling {
        endpoint: Endpoint,
        dial: Option<Dial>,
    },
    /// Waiting to be dialled.
    Listening(Door),
}

impl Source {
    /// Binds when we are the one to wait.
    pub(super) fn open(side: &Side) -> Result<Self, Failure> {
        match side {
            Side::Dials(endpoint) => Ok(Self::Dialling {
                endpoint: endpoint.clone(),
                dial: None,
            }),
            Side::Listens(endpoint) => Door::open(endpoint),
        }
    }

    /// Where exporters find us, if that is on TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Listening(door) => door.address(),
            Self::Dialling { .. } => None,
        }
    }

    /// The connection that is dialled, once there is one.
    pub(super) fn poll(&mut self, timeout: Duration) -> io::Result<Option<Socket>> {
        let Self::Dialling { endpoint, dial } = self else {
            return Ok(None);
        };
        let pending = match dial {
            Some(pending) => pending,
            None => dial.insert(Dial::begin(endpoint.clone(), timeout)?),
        };
        let Some(outcome) = pending.poll() else {
            return Ok(None);
        };
        *dial = None;
        outcome.map(Some)
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
            (Socket::Tcp(socket), Self::Accepts(acceptor, _)) => {
                Channel::tls(socket, acceptor.accept()?)
            }
        };
        channel.map_err(TlsError::Socket)
    }

    /// Whether the transport has proved who the provider is: we dialled and verified it, it showed a
    /// certificate of its name, or the kernel says that it is our own user or root. A certificate that
    /// we trust is not enough where we listen: other subscribers have such, too.
    pub(super) fn proves(&self, transport: &Transport) -> bool {
        match transport {
            Transport::Tls { names, .. } => match self {
                Self::Dials(..) => true,
                Self::Accepts(_, name) => name.as_ref().is_some_and(|name| names.contains(name)),
                Self::Off => false,
            },
            Transport::Unix { is_ours, .. } => *is_ours,
            Transport::Clear { .. } => false,
        }
    }

    /// Seconds until our certificate expires, if we have one.
    pub(super) fn expires_s(&self) -> Option<i64> {
        match self {
            Self::Off => None,
            Self::Dials(dialer, _) => dialer.expires_s(),
            Self::Accepts(acceptor, _) => Some(acceptor.expires_s()),
        }
    }

    /// Reads the certificates again, for the next connection.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        match self {
            Self::Off => Ok(()),
            Self::Dials(dialer, _) => dialer.reload(),
            Self::Accepts(acceptor, _) => acceptor.reload(),
        }
    }
}

/// A session over a transport that stands; its time began at `begun_ns`.
pub(super) fn open_session(
    plan: &Plan,
    position: Option<Position>,
    transport: &Transport,
    begun_ns: u64,
) -> Result<Session, Failure> {
    let nonce = random_bytes().map_err(|error| Failure::failed(format!("randomness: {error}")))?;
    let key = match (&plan.keys, &plan.client) {
        (Some(keys), Some(client)) => keys.keys().current(client).cloned(),
        _ => None,
    };
    let settings = Settings {
        client: plan.client.clone(),
        key,
        guarantee: plan.guarantee,
        start: plan.start,
        window_bytes: plan.window_bytes,
        handshake_ms: plan.connect_timeout_ms,
    };
    let is_verified = plan.tls.proves(transport);
    let exporter = transport.exporter();
    Ok(Session::new(
        settings,
        position,
        exporter,
        is_verified,
        nonce,
        begun_ns,
    ))
}
