//! Where subscribers come in: everything before a proof, on a thread of its own.
//!
//! 32 connections at a time, three seconds and 512 bytes for each, a bucket of tokens per address.
//! Whatever happens here, those who are inside do not notice.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tickdeck_export::message::ErrorCode;
use tickdeck_export::provider::refusal;
use tickdeck_net::clock::monotonic_ns;

use super::audit::Audit;
use super::buckets::{Buckets, origin};
use super::channel::Channel;
use super::guest::{Arrival, Guest, Outcome, Reception, write_some};
use super::listener::Listener;
use super::metrics::DoorMetrics;
use super::sockets::prepare;
use super::tls::TlsAcceptor;
use crate::exit::Failure;
use crate::lifecycle::StopFlag;

/// Connections without a proof at a time.
pub(super) const SLOTS: usize = 32;
/// Connections taken before the others have their turn.
const ACCEPTS_PER_TURN: usize = 16;
/// After the system has refused to accept.
const BACKOFF_NS: u64 = 100_000_000;
const STOP_POLL_NS: u64 = 20_000_000;

/// The thread's state.
pub(super) struct Door {
    pub(super) listener: Listener,
    pub(super) reception: Reception,
    pub(super) tls: Option<Arc<TlsAcceptor>>,
    pub(super) guests: SyncSender<Guest>,
    pub(super) metrics: DoorMetrics,
    pub(super) audit: Audit,
    pub(super) stop: StopFlag,
}

/// What changes while it works.
struct Yard {
    arrivals: Vec<Arrival>,
    buckets: Buckets,
    /// Given up when descriptors run out, so that a connection can be taken and closed.
    reserve: Option<File>,
    not_before_ns: u64,
}

impl Door {
    /// Works until the stop.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let mut yard = Yard {
            arrivals: Vec::with_capacity(SLOTS),
            buckets: Buckets::default(),
            reserve: reserve(),
            not_before_ns: 0,
        };
        while !self.stop.is_set() {
            let is_called = self.wait(&yard)?;
            let now_ns = monotonic_ns();
            if is_called && now_ns >= yard.not_before_ns {
                self.accept(now_ns, &mut yard);
            }
            self.turn(now_ns, &mut yard);
            self.audit.settle(now_ns);
            self.metrics.preauth.set(yard.arrivals.len() as u64);
        }
        Ok(())
    }

    fn wait(&self, yard: &Yard) -> Result<bool, Failure> {
        let mut sockets = Vec::with_capacity(1 + yard.arrivals.len());
        for arrival in &yard.arrivals {
            let channel = arrival.channel();
            sockets.push(PollFd::new(channel, channel.interest(arrival.has_output())));
        }
        let listener = self.listener.as_fd();
        let backs_off = monotonic_ns() < yard.not_before_ns;
        if !backs_off {
            sockets.push(PollFd::new(&listener, PollFlags::IN));
        }
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: STOP_POLL_NS.cast_signed(),
        };
        match poll(&mut sockets, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::failed(format!("wait at the door: {error}"))),
        }
        let last = sockets.last();
        Ok(!backs_off && last.is_some_and(|socket| !socket.revents().is_empty()))
    }

    fn accept(&mut self, now_ns: u64, yard: &mut Yard) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.take_one(now_ns, yard) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.metrics.accept_failures.add(1);
                    self.testify(now_ns, "deny", "", &format!("accept: {error}"));
                    yard.not_before_ns = now_ns + BACKOFF_NS;
                    if is_out_of_descriptors(&error) {
                        self.shed(yard);
                    }
                    return;
                }
            }
        }
    }

    /// Takes one connection; false when none waits.
    fn take_one(&mut self, now_ns: u64, yard: &mut Yard) -> io::Result<bool> {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        let accepted = match &self.listener {
            Listener::Tcp(listener) => listener
                .accept()
                .map(|(socket, peer)| (Some((socket, origin(peer.ip()))), None, peer.to_string())),
            Listener::Unix(listener, name) => listener
                .accept()
                .map(|(socket, _)| (None, Some(socket), format!("unix:{}", name.path.display()))),
        };
        let (tcp, unix, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == WouldBlock => return Ok(false),
            Err(error) if matches!(error.kind(), ConnectionAborted | Interrupted) => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let over = match &tcp {
            Some((_, ip)) => !yard.buckets.admit(now_ns, *ip),
            None => false,
        };
        if over {
            self.reject(now_ns, &peer, "too many connections of this address", false);
            return Ok(true);
        }
        let channel = match (tcp, unix) {
            (Some((socket, _)), _) => self.over_tcp(socket),
            (_, Some(socket)) => Channel::unix(socket).map_err(|error| error.to_string()),
            (None, None) => return Ok(true),
        };
        match channel {
            Ok(channel) if yard.arrivals.len() < SLOTS => {
                yard.arrivals.push(Arrival::new(now_ns, channel, peer));
            }
            Ok(channel) => self.turn_away(now_ns, channel, &peer),
            Err(reason) => self.reject(now_ns, &peer, &reason, false),
        }
        Ok(true)
    }

    fn over_tcp(&self, socket: TcpStream) -> Result<Channel, String> {
        prepare(&socket).map_err(|error| format!("socket options: {error}"))?;
        match &self.tls {
            None => Channel::tcp(socket).map_err(|error| error.to_string()),
            Some(acceptor) => {
                let session = acceptor.accept().map_err(|error| error.to_string())?;
                Channel::tls(socket, session).map_err(|error| error.to_string())
            }
        }
    }

    /// All slots are taken. Over TLS there is nobody yet who could be told.
    fn turn_away(&mut self, now_ns: u64, mut channel: Channel, peer: &str) {
        if !matches!(channel, Channel::Tls(_)) {
            let mut frame = refusal(ErrorCode::Busy, 0, "too many connections; try again later");
            if let Err(error) = write_some(&mut channel, &mut frame) {
                tracing::debug!(peer, %error, "not told why");
            }
        }
        self.reject(now_ns, peer, "all places before the proof are taken", false);
    }

    fn turn(&mut self, now_ns: u64, yard: &mut Yard) {
        let mut at = 0;
        while at < yard.arrivals.len() {
            match yard.arrivals[at].turn(now_ns, &self.reception) {
                Outcome::Waits => at += 1,
                Outcome::Proved(identity) => {
                    let guest = yard.arrivals.swap_remove(at).into_guest(identity);
                    let peer = guest.peer.clone();
                    // The feed takes guests at each turn; a full queue is a feed that hangs.
                    if self.guests.try_send(guest).is_err() {
                        self.reject(now_ns, &peer, "nobody serves", false);
                    }
                }
                Outcome::Failed {
                    reason,
                    is_violation,
                } => {
                    let arrival = yard.arrivals.swap_remove(at);
                    self.reject(now_ns, arrival.peer(), &reason, is_violation);
                }
            }
        }
    }

    fn reject(&mut self, now_ns: u64, peer: &str, reason: &str, is_violation: bool) {
        self.metrics.rejected.add(1);
        let verdict = if is_violation {
            self.metrics.violations.add(1);
            "violation"
        } else {
            "deny"
        };
        self.testify(now_ns, verdict, peer, reason);
    }

    fn testify(&self, now_ns: u64, verdict: &str, peer: &str, reason: &str) {
        if !self.audit.write(now_ns, verdict, "", peer, reason) {
            self.metrics.audit_suppressed.add(1);
        }
    }

    /// Without descriptors nothing can be accepted, and the listener would stay ready for ever: one
    /// connection is taken with the reserve and closed.
    fn shed(&mut self, yard: &mut Yard) {
        yard.reserve = None;
        let taken = match &self.listener {
            Listener::Tcp(listener) => listener.accept().map(drop),
            Listener::Unix(listener, _) => listener.accept().map(drop),
        };
        match taken {
            Ok(()) => self.metrics.rejected.add(1),
            Err(error) => tracing::debug!(%error, "nothing to shed"),
        }
        yard.reserve = reserve();
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null")
        .inspect_err(|error| tracing::debug!(%error, "no descriptor in reserve"))
        .ok()
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
