//! Where exporters come in that dial us: nobody who has not proved who it is holds more than one of
//! a few places, and none of them for longer than the time for a connection.
//!
//! Only one that has proved it becomes the session that is followed; the others are closed then. Who
//! calls while a session is followed waits in the backlog of the socket, which costs nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tickdeck_export::subscriber::{Event, Position, Session};
use tickdeck_net::clock::monotonic_ns;

use super::args::Plan;
use super::link::{Source, open_session};
use super::wire::{read, write};
use crate::exit::{Code, Failure};
use crate::export::audit::Audit;
use crate::export::channel::Channel;
use crate::export::dial::Socket;
use crate::spec::export::Endpoint;

/// Connections without a proof at a time; beyond them the oldest gives way: a true exporter needs its
/// place for a moment only.
const PLACES: usize = 16;
/// Connections taken before those inside have their turn.
const ACCEPTS_PER_TURN: usize = 4;
/// What a peer may say before its proof; HELLO and AUTH_OK are a few hundred bytes.
const MAX_UNPROVED_BYTES: usize = 4_096;

/// A bound listener and those who have not proved anything.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
    callers: Vec<Caller>,
    audit: Audit,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

#[derive(Debug)]
struct Caller {
    channel: Channel,
    peer: String,
    /// Begun once the transport stands.
    session: Option<Session>,
    begun_ns: u64,
    unproved_bytes: usize,
}

impl Door {
    pub(super) fn open(endpoint: &Endpoint) -> Result<Source, Failure> {
        let listener = bind(endpoint).map_err(|error| {
            Failure::new(Code::Unavailable, format!("listen on {endpoint}: {error}"))
        })?;
        Ok(Source::Listening(Self {
            listener,
            callers: Vec::with_capacity(PLACES),
            audit: Audit::of("subscriber"),
        }))
    }

    /// Where exporters find us, if that is on TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Waits until somebody says something, or `timeout`; whether somebody new calls.
    pub(super) fn wait(&self, timeout: Duration) -> Result<bool, Failure> {
        let mut sockets = Vec::with_capacity(1 + self.callers.len());
        let listener = self.listener.as_fd();
        sockets.push(PollFd::new(&listener, PollFlags::IN));
        for caller in &self.callers {
            let has_output = caller.session.as_ref().is_some_and(Session::has_output);
            let interest = caller.channel.interest(has_output);
            sockets.push(PollFd::new(&caller.channel, interest));
        }
        // A TLS session may hold what its socket does not show.
        let has_pending = self
            .callers
            .iter()
            .any(|caller| caller.channel.has_pending());
        let timeout = if has_pending { Duration::ZERO } else { timeout };
        let timeout = Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut sockets, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!sockets[0].revents().is_empty()),
            Err(error) => Err(Failure::failed(format!("wait for an exporter: {error}"))),
        }
    }

    /// Takes those who call.
    pub(super) fn accept(&mut self, plan: &Plan) -> io::Result<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            let (socket, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_nobody(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            let now_ns = monotonic_ns();
            match plan.tls.over(socket) {
                Ok(channel) => self.seat(channel, peer, now_ns),
                Err(error) => {
                    let reason = error.to_string();
                    self.audit.write(now_ns, "deny", "", &peer, &reason);
                }
            }
        }
        Ok(())
    }

    /// Lets everybody go on; the first that has proved who it is comes in, and the others are closed.
    pub(super) fn turn(
        &mut self,
        plan: &Plan,
        position: Option<Position>,
    ) -> Result<Option<(Channel, Session)>, Failure> {
        let now_ns = monotonic_ns();
        self.audit.settle(now_ns);
        let deadline_ns = plan.connect_timeout_ms * 1_000_000;
        let mut index = 0;
        while index < self.callers.len() {
            let caller = &mut self.callers[index];
            let turn = match now_ns.saturating_sub(caller.begun_ns) < deadline_ns {
                true => caller.turn(plan, position)?,
                false => Turn::Fails(format!("no proof within {} ms", plan.connect_timeout_ms)),
            };
            match turn {
                Turn::Waits => index += 1,
                Turn::Fails(reason) => {
                    let caller = self.callers.remove(index);
                    self.audit.write(now_ns, "deny", "", &caller.peer, &reason);
                }
                Turn::Proved => {
                    let caller = self.callers.remove(index);
                    self.audit
                        .write(now_ns, "accept", "", &caller.peer, "exporter");
                    self.callers.clear();
                    return Ok(caller.session.map(|session| (caller.channel, session)));
                }
            }
        }
        Ok(None)
    }

    fn seat(&mut self, channel: Channel, peer: String, begun_ns: u64) {
        if self.callers.len() == PLACES {
            let oldest = self.callers.remove(0);
            let reason = format!("gave its place to a newer one of {PLACES} without a proof");
            self.audit
                .write(begun_ns, "deny", "", &oldest.peer, &reason);
        }
        self.callers.push(Caller {
            channel,
            peer,
            session: None,
            begun_ns,
            unproved_bytes: 0,
        });
    }
}

/// What came of a turn.
enum Turn {
    Waits,
    Proved,
    Fails(String),
}

impl Caller {
    fn turn(&mut self, plan: &Plan, position: Option<Position>) -> Result<Turn, Failure> {
        let session = match &mut self.session {
            Some(session) => session,
            none => match self.channel.handshake() {
                Ok(Some(transport)) => {
                    none.insert(open_session(plan, position, &transport, self.begun_ns)?)
                }
                Ok(None) => return Ok(Turn::Waits),
                Err(error) => return Ok(Turn::Fails(format!("no TLS session: {error}"))),
            },
        };
        let mut chunk = [0; MAX_UNPROVED_BYTES];
        let outcome = read(&mut self.channel, session, &mut chunk);
        if session.is_proved() {
            // What it said besides, and whether it is still there, is for whoever follows it.
            return Ok(Turn::Proved);
        }
        if let Some(Event::Ended(end)) = session.next_event() {
            return Ok(Turn::Fails(format!("{end:?}")));
        }
        match outcome.and_then(|read| write(&mut self.channel, session.output()).map(|()| read)) {
            Err(error) => Ok(Turn::Fails(error.to_string())),
            Ok(length) => {
                self.unproved_bytes += length;
                let too_much = self.unproved_bytes >= MAX_UNPROVED_BYTES;
                Ok(match too_much {
                    true => Turn::Fails(format!("{MAX_UNPROVED_BYTES} bytes and no proof")),
                    false => Turn::Waits,
                })
            }
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<(Socket, String)> {
        match self {
            Self::Tcp(listener) => listener
                .accept()
                .map(|(socket, peer)| (Socket::Tcp(socket), peer.to_string())),
            Self::Unix(listener) => listener
                .accept()
                .map(|(socket, _)| (Socket::Unix(socket), "unix".to_owned())),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}

fn bind(endpoint: &Endpoint) -> io::Result<Listener> {
    match endpoint {
        Endpoint::Tcp(host, port) => {
            let listener = TcpListener::bind((host.as_str(), *port))?;
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(listener))
        }
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(Listener::Unix(listener))
        }
    }
}
