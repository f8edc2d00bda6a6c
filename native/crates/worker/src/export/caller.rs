//! The exporter dials: one collector of a list, the first that answers, again and again.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tickdeck_export::backoff::Backoff;
use tickdeck_net::clock::monotonic_ns;

use super::audit::Audit;
use super::channel::Channel;
use super::dial::{Dial, Socket};
use super::guest::{Arrival, Guest, Outcome, Reception, Ticket};
use super::metrics::DoorMetrics;
use super::sockets::prepare;
use super::tls::TlsDialer;
use crate::exit::Failure;
use crate::lifecycle::StopFlag;
use crate::spec::export::Endpoint;

/// How soon a stop, or an answer, is noticed.
const STEP: Duration = Duration::from_millis(5);

/// The thread's state.
pub(super) struct Caller {
    pub(super) collectors: Vec<Endpoint>,
    pub(super) connect_timeout: Duration,
    pub(super) backoff: Backoff,
    pub(super) reception: Reception,
    pub(super) tls: Option<Arc<TlsDialer>>,
    pub(super) guests: SyncSender<Guest>,
    pub(super) metrics: DoorMetrics,
    pub(super) audit: Audit,
    pub(super) stop: StopFlag,
}

impl Caller {
    /// Works until the stop. After a round without an answer, or a conversation that brought the
    /// collector nothing, it waits longer each time.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        while !self.stop.is_set() {
            let mut served = false;
            for collector in self.collectors.clone() {
                if let Some(ticket) = self.call(&collector) {
                    self.sit_out(&ticket);
                    served = ticket.is_served();
                    break;
                }
                if self.stop.is_set() {
                    return Ok(());
                }
            }
            if served {
                self.backoff.reset();
            }
            self.pause();
        }
        Ok(())
    }

    /// Dials one collector; `None` when it is no guest.
    fn call(&mut self, collector: &Endpoint) -> Option<Ticket> {
        let peer = collector.to_string();
        match self.connect(collector) {
            Ok(channel) => self.receive(channel, peer),
            Err(reason) => {
                self.metrics.connect_failures.add(1);
                self.audit.write(monotonic_ns(), "deny", "", &peer, &reason);
                None
            }
        }
    }

    fn connect(&self, collector: &Endpoint) -> Result<Channel, String> {
        let begun = Dial::begin(collector.clone(), self.connect_timeout);
        let mut dial = begun.map_err(|error| format!("cannot dial: {error}"))?;
        let socket = loop {
            match dial.poll() {
                Some(outcome) => break outcome.map_err(|error| format!("cannot dial: {error}"))?,
                None if self.stop.is_set() => return Err("stopping".to_owned()),
                None => thread::sleep(STEP),
            }
        };
        let channel = match (socket, &self.tls, collector) {
            (Socket::Unix(socket), ..) => Channel::unix(socket),
            (Socket::Tcp(socket), Some(dialer), Endpoint::Tcp(host, _)) => {
                prepare(&socket).map_err(|error| format!("socket options: {error}"))?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| format!("{host} is no name of a server: {error}"))?;
                let session = dialer.dial(name).map_err(|error| error.to_string())?;
                Channel::tls(socket, session)
            }
            (Socket::Tcp(socket), ..) => {
                prepare(&socket).map_err(|error| format!("socket options: {error}"))?;
                Channel::tcp(socket)
            }
        };
        channel.map_err(|error| error.to_string())
    }

    /// The collector proves itself, as a subscriber does that has dialled us.
    fn receive(&mut self, channel: Channel, peer: String) -> Option<Ticket> {
        let mut arrival = Arrival::new(monotonic_ns(), channel, peer);
        self.metrics.preauth.set(1);
        let outcome = loop {
            match arrival.turn(monotonic_ns(), &self.reception) {
                Outcome::Waits if self.stop.is_set() => break None,
                Outcome::Waits => thread::sleep(STEP),
                other => break Some(other),
            }
        };
        self.metrics.preauth.set(0);
        match outcome? {
            Outcome::Proved(identity) => {
                let guest = arrival.into_guest(identity);
                let ticket = guest.ticket.clone();
                self.guests.send(guest).ok().map(|()| ticket)
            }
            Outcome::Failed {
                reason,
                is_violation,
            } => {
                self.metrics.rejected.add(1);
                self.metrics.violations.add(u64::from(is_violation));
                let verdict = if is_violation { "violation" } else { "deny" };
                self.audit
                    .write(monotonic_ns(), verdict, "", arrival.peer(), &reason);
                None
            }
            Outcome::Waits => None,
        }
    }

    fn sit_out(&self, ticket: &Ticket) {
        while !ticket.is_over() && !self.stop.is_set() {
            thread::sleep(STEP);
        }
    }

    fn pause(&mut self) {
        let until_ns = monotonic_ns() + self.backoff.next_ms() * 1_000_000;
        while monotonic_ns() < until_ns && !self.stop.is_set() {
            thread::sleep(STEP);
        }
    }
}
