//! From a socket to a guest: transport, handshake, identity; the same for those who dial us and those
//! whom we dial.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tickdeck_export::auth::{ClientId, Gate};
use tickdeck_export::authenticator::{Authenticator as _, Identity};
use tickdeck_export::message::{Hello, VERSION};
use tickdeck_export::provider::{Handshake, HandshakeEnd, HandshakeLimits};

use super::channel::Channel;
use super::keys::{KeyFile, random_bytes};
use super::sight::SharedSight;

/// One that has proved who it is, on its way to the thread that serves it.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) channel: Channel,
    pub(super) peer: String,
    pub(super) identity: Identity,
    /// What is still to be sent of the handshake.
    pub(super) unsent: Vec<u8>,
    pub(super) ticket: Ticket,
}

/// Tells whoever brought a guest how it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    served: AtomicBool,
    over: AtomicBool,
}

impl Ticket {
    /// It keeps records of ours.
    pub(super) fn set_served(&self) {
        self.0.served.store(true, Ordering::Relaxed);
    }

    /// It has left.
    pub(super) fn set_over(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_served(&self) -> bool {
        self.0.served.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }
}

/// What every handshake needs.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    pub(super) server: ClientId,
    pub(super) sight: SharedSight,
    pub(super) keys: Option<Arc<KeyFile>>,
    pub(super) revoked: Arc<[String]>,
}

/// A connection before its proof.
pub(super) struct Arrival {
    channel: Channel,
    peer: String,
    handshake: Option<Handshake<Gate>>,
    out: Vec<u8>,
    deadline_ns: u64,
}

/// What became of an arrival.
pub(super) enum Outcome {
    /// Nothing yet.
    Waits,
    /// It is a guest: [`Arrival::into_guest`].
    Proved(Identity),
    /// It is not, and its socket is closed with the arrival.
    Failed { reason: String, is_violation: bool },
}

impl Arrival {
    pub(super) fn new(now_ns: u64, channel: Channel, peer: String) -> Self {
        Self {
            channel,
            peer,
            handshake: None,
            out: Vec::new(),
            deadline_ns: now_ns + HandshakeLimits::default().deadline_ns,
        }
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    pub(super) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// The guest that it has become.
    pub(super) fn into_guest(self, identity: Identity) -> Guest {
        Guest {
            channel: self.channel,
            peer: self.peer,
            identity,
            unsent: self.out,
            ticket: Ticket::default(),
        }
    }

    /// Goes on as far as the socket lets it.
    pub(super) fn turn(&mut self, now_ns: u64, reception: &Reception) -> Outcome {
        if now_ns >= self.deadline_ns {
            return failed("no proof within the deadline");
        }
        if self.handshake.is_none() {
            match self.channel.handshake() {
                Ok(None) => return Outcome::Waits,
                Ok(Some(transport)) => {
                    if let Err(end) = self.begin(now_ns, transport, reception) {
                        return end;
                    }
                }
                Err(error) if is_retry(&error) => return Outcome::Waits,
                Err(error) => return failed(format!("transport: {error}")),
            }
        }
        let end = self.exchange(now_ns);
        if let Err(error) = self.write() {
            return failed(format!("cannot write: {error}"));
        }
        match end {
            None => Outcome::Waits,
            Some(HandshakeEnd::Failed {
                reason,
                is_violation,
            }) => Outcome::Failed {
                reason,
                is_violation,
            },
            Some(HandshakeEnd::Proved(identity)) => Outcome::Proved(identity),
        }
    }

    fn begin(
        &mut self,
        now_ns: u64,
        transport: tickdeck_export::auth::Transport,
        reception: &Reception,
    ) -> Result<(), Outcome> {
        let keys = reception.keys.as_ref().map(|file| file.keys());
        let gate = Gate::new(transport, keys, Arc::clone(&reception.revoked))
            .map_err(|refusal| failed(refusal.reason))?;
        let nonce = random_bytes().map_err(|error| failed(format!("no random: {error}")))?;
        let session = random_bytes().map_err(|error| failed(format!("no random: {error}")))?;
        let outline = reception.sight.get().outline;
        let hello = Hello {
            oldest_version: VERSION,
            newest_version: VERSION,
            method: gate.method(),
            epoch: outline.epochs.last().map_or(0, |(epoch, _)| *epoch),
            log_id: outline.log_id,
            nonce,
            server: reception.server.clone(),
        };
        let limits = HandshakeLimits {
            deadline_ns: self.deadline_ns - now_ns,
            ..HandshakeLimits::default()
        };
        let session = u64::from_le_bytes(session);
        let out = &mut self.out;
        self.handshake = Some(Handshake::begin(now_ns, hello, session, gate, limits, out));
        Ok(())
    }

    fn exchange(&mut self, now_ns: u64) -> Option<HandshakeEnd> {
        let handshake = self.handshake.as_mut().expect("it was begun");
        let mut chunk = [0; 512];
        loop {
            match self.channel.read(&mut chunk) {
                Ok(0) => return Some(handshake.on_closed()),
                Ok(length) => {
                    let end = handshake.on_bytes(now_ns, &chunk[..length], &mut self.out);
                    if end.is_some() {
                        return end;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Some(handshake.on_closed()),
            }
        }
    }

    /// A frame or two: whatever the socket does not take at once, the next owner sends.
    fn write(&mut self) -> io::Result<()> {
        write_some(&mut self.channel, &mut self.out).map(|_| ())
    }
}

/// Writes what the channel takes off the front of `out`; gives the bytes taken.
pub(super) fn write_some(channel: &mut Channel, out: &mut Vec<u8>) -> io::Result<usize> {
    let mut taken = 0;
    let result = loop {
        if taken == out.len() {
            break channel.flush().map(|_| ());
        }
        match channel.write(&out[taken..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => taken += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    out.drain(..taken);
    match result {
        Err(error) if is_retry(&error) => Ok(taken),
        other => other.map(|()| taken),
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn failed(reason: impl Into<String>) -> Outcome {
    Outcome::Failed {
        reason: reason.into(),
        is_violation: false,
    }
}
