//! The provider's side of a connection, as two machines without I/O.
//!
//! [`Handshake`] runs where nobody is trusted yet: few bytes, one deadline, no log. When it has an
//! identity, the caller admits it ([`Admission`]) and makes a [`Session`], which validates the
//! subscription, says how far a cursor may be read, and turns blocks into frames. The caller owns
//! socket, cursor and clock:
//!
//! ```text
//! bytes from the socket ──► Session::step(now, event, out) ──► out.bytes  ──► to the socket
//! cursor ──► Event::Block, Event::Missing                      out.actions ──► Seek, Acked, Close …
//!            only while Session::read_limit says so
//! ```
//!
//! No queue stands between the log and a subscriber: what it has not been sent is in the log. So a
//! slow one costs its window of bookkeeping and one socket buffer, and nobody else anything.
//!
//! *Behind* means acknowledged against available. A subscriber that reads history is behind by its
//! own wish; it has to make progress, and is held to the lag limits once it has caught up.

mod ages;
mod event;
mod handshake;
mod roster;
mod session;
mod slow;
mod subscribe;
mod window;

pub use ages::{Head, HeadHistory};
pub use event::{Action, CloseReason, Event, Outbox, Status, StreamState};
pub use handshake::{Handshake, HandshakeEnd, HandshakeLimits};
pub use roster::{Roster, Seat};
pub use session::Session;
pub use slow::{SlowLimits, SlowPolicy};

use crate::auth::ClientId;
use crate::message::{ErrorCode, Message, Refused, Sentence};

/// What is known of the log. The caller keeps it current.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogView {
    /// Identity.
    pub log_id: [u8; 16],
    /// What the payloads are, as the journal's writer numbers it.
    pub schema_id: u32,
    /// Oldest sequence kept.
    pub first_available: u64,
    /// Newest sequence written, as far as is known.
    pub written: u64,
    /// Nothing is written behind `written`. Without it nobody is told that a copy goes beyond the log:
    /// it would be cut for good.
    pub end_is_known: bool,
    /// Newest sequence synced.
    pub durable: u64,
    /// Each epoch that still has a segment, with the first sequence of its first one; rising, never
    /// empty in a log.
    pub epochs: Vec<(u64, u64)>,
}

impl LogView {
    /// The newest epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epochs.last().map_or(0, |(epoch, _)| *epoch)
    }
}

/// Times and sizes of every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// A heartbeat is sent so often.
    pub heartbeat_ns: u64,
    /// A peer that is silent for so long is gone.
    pub timeout_ns: u64,
    /// A peer whose socket takes nothing for so long is gone.
    pub write_timeout_ns: u64,
    /// Largest window.
    pub max_window_bytes: u32,
    /// True: a full window waits. False: the slow policy acts at once.
    pub waits_on_full_window: bool,
}

/// What an identity may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Who; `None` is anonymous.
    pub name: Option<ClientId>,
    /// May ask for what is written and not yet durable.
    pub allow_written: bool,
    /// What happens when it is slow.
    pub policy: SlowPolicy,
    /// From when on it is.
    pub limits: SlowLimits,
}

/// The frame that turns a peer away.
#[must_use]
pub fn refusal(code: ErrorCode, seq: u64, text: &str) -> Vec<u8> {
    let text = Sentence::new(text);
    Message::Err(Refused { code, seq, text }).to_frame()
}
