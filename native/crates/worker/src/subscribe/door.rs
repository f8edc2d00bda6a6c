//! Where exporters come in that dial us: nobody who has not proved who it is holds more than one of
//! a few places, and none of them for longer than the time for a connection.
//!
//! Only one that has proved it becomes the session that is followed; the others are closed then. Who
//! calls while a session is followed waits in the backlog of the socket, which costs nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tickdeck_export::subscriber::{Event, Position, Session};
use tickdeck_net::clock::monotonic_ns;

use super::args::Plan;
use super::link::{Source, open_session};
use super::wire::{read, write};
use crate::exit::Failure;
use crate::export::audit::Audit;
use crate::export::buckets::{Buckets, origin};
use crate::export::channel::Channel;
use crate::export::dial::Socket;
use crate::export::listener::Listener;
use crate::spec::export::Endpoint;

/// Connections without a proof at a time; beyond them one gives way, see [`giving_way`].
const PLACES: usize = 16;
/// A true exporter needs its place for a moment only: so long nobody takes it from one that is alone.
const MOMENT_NS: u64 = 500_000_000;
/// Connections taken before those inside have their turn.
const ACCEPTS_PER_TURN: usize = 4;
/// What a peer may say before its proof; HELLO and AUTH_OK are a few hundred bytes.
const MAX_UNPROVED_BYTES: usize = 4_096;

/// A bound listener and those who have not proved anything.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
    callers: Vec<Caller>,
    buckets: Buckets,
    audit: Audit,
    /// Of those who have proved who they are: no flood of others hides them.
    proved: Audit,
}

#[derive(Debug)]
struct Caller {
    channel: Channel,
    peer: String,
    /// `None`: on our own host.
    origin: Option<IpAddr>,
    /// Begun once the transport stands.
    session: Option<Session>,
    begun_ns: u64,
    unproved_bytes: usize,
}

impl Door {
    pub(super) fn open(endpoint: &Endpoint) -> Result<Source, Failure> {
        Ok(Source::Listening(Self {
            listener: Listener::bind(endpoint)?,
            callers: Vec::with_capacity(PLACES),
            buckets: Buckets::default(),
            audit: Audit::of("subscriber"),
            proved: Audit::of("proved"),
        }))
    }

    /// Where exporters find us, if that is on TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
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
            let (socket, peer, origin) = match accept(&self.listener) {
                Ok(accepted) => accepted,
                Err(error) if is_nobody(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            let now_ns = monotonic_ns();
            if origin.is_some_and(|origin| !self.buckets.admit(now_ns, origin)) {
                self.deny(now_ns, &peer, "too many connections of this address");
                continue;
            }
            match plan.tls.over(socket) {
                Ok(channel) => self.seat(now_ns, channel, peer, origin),
                Err(error) => self.deny(now_ns, &peer, &error.to_string()),
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
        self.proved.settle(now_ns);
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
                    self.deny(now_ns, &caller.peer, &reason);
                }
                Turn::Proved => {
                    let caller = self.callers.remove(index);
                    self.proved
                        .write(now_ns, "accept", "", &caller.peer, "exporter");
                    self.callers.clear();
                    return Ok(caller.session.map(|session| (caller.channel, session)));
                }
            }
        }
        Ok(None)
    }

    fn seat(&mut self, begun_ns: u64, channel: Channel, peer: String, origin: Option<IpAddr>) {
        if self.callers.len() == PLACES {
            let places: Vec<_> = self
                .callers
                .iter()
                .map(|caller| (caller.origin, caller.begun_ns))
                .collect();
            let Some(index) = giving_way(&places, begun_ns, origin) else {
                return self.deny(begun_ns, &peer, "all places before the proof are taken");
            };
            let caller = self.callers.remove(index);
            let reason = format!("gave its place to a newer one of {PLACES} without a proof");
            self.deny(begun_ns, &caller.peer, &reason);
        }
        self.callers.push(Caller {
            channel,
            peer,
            origin,
            session: None,
            begun_ns,
            unproved_bytes: 0,
        });
    }

    fn deny(&self, now_ns: u64, peer: &str, reason: &str) {
        self.audit.write(now_ns, "deny", "", peer, reason);
    }
}

/// Which of the places (address, since when; the oldest first) is given to a newcomer: the oldest of
/// the address that would hold most. `None`: the newcomer's address holds as many, and the other has
/// not had its moment.
fn giving_way(
    places: &[(Option<IpAddr>, u64)],
    now_ns: u64,
    newcomer: Option<IpAddr>,
) -> Option<usize> {
    let held = |origin| {
        let places = places.iter().filter(|(holder, _)| *holder == origin);
        places.count() + usize::from(origin == newcomer)
    };
    let most = places.iter().map(|(holder, _)| held(*holder)).max()?;
    let most = most.max(held(newcomer));
    if held(newcomer) == most
        && let Some(own) = places.iter().position(|(holder, _)| *holder == newcomer)
    {
        return Some(own);
    }
    let index = places
        .iter()
        .position(|(holder, _)| held(*holder) == most)?;
    let has_had_its_moment = now_ns.saturating_sub(places[index].1) >= MOMENT_NS;
    (most > held(newcomer) || has_had_its_moment).then_some(index)
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

/// The next connection, who it is, and what its [`origin`] is.
fn accept(listener: &Listener) -> io::Result<(Socket, String, Option<IpAddr>)> {
    match listener {
        Listener::Tcp(listener) => listener.accept().map(|(socket, peer)| {
            let origin = origin(peer.ip());
            (Socket::Tcp(socket), peer.to_string(), Some(origin))
        }),
        Listener::Unix(listener, _) => listener
            .accept()
            .map(|(socket, _)| (Socket::Unix(socket), "unix".to_owned(), None)),
    }
}

fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn host(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, n]))
    }

    /// A flood from one host costs its own places, however young they are, and nobody else's.
    #[test]
    fn a_flood_costs_its_own_places() {
        let mut places = vec![(host(9), SECOND)];
        places.extend((1..16).map(|_| (host(1), 2 * SECOND)));
        let now = 2 * SECOND;
        assert_eq!(giving_way(&places, now, host(1)), Some(1), "more of it");
        assert_eq!(giving_way(&places, now, host(2)), Some(1), "another");
        assert_eq!(giving_way(&places, now, host(9)), Some(1), "a true one");
        let local = vec![(None, SECOND); 16];
        assert_eq!(giving_way(&local, now, None), Some(0));
    }

    /// Where all are alone, each has its moment, and only then the oldest gives way.
    #[test]
    fn who_is_alone_has_a_moment() {
        let begun = |n: u8| SECOND + u64::from(n);
        let places: Vec<_> = (1..=16).map(|n| (host(n), begun(n))).collect();
        let due = begun(1) + MOMENT_NS;
        assert_eq!(giving_way(&places, due - 1, host(99)), None);
        assert_eq!(giving_way(&places, due, host(99)), Some(0));
        // Who is there already takes nobody's place but its own.
        assert_eq!(giving_way(&places, due, host(7)), Some(6));
    }
}
