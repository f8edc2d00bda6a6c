//! The venue's and the peer's TCP servers: one connection each, and able to lie.
//!
//! A connection is a state machine: bytes and time in, bytes out. [`SoupServer`] serves the stream
//! or snapshots, [`PeerServer`] ranges; each asks for the lie to tell once per login or request.

use tickdeck_wire::moldudp64::Session;

use crate::History;
use crate::lies::Order;

mod peer;
mod snapshot;
mod soup;

pub use peer::PeerServer;
pub use snapshot::snapshot;
pub use soup::{Credentials, Service, SoupServer};

/// Most bytes that one `poll` of a server appends, but for its last packet.
pub(crate) const BURST_BYTES: usize = 64 * 1024;

/// What a server may give out now.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// The session.
    pub session: Session,
    /// Its messages.
    pub history: &'a History,
    /// The next one to be sent on the lines; what is before it may be asked for.
    pub next_sequence: u64,
}

/// What comes after what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More, as soon as that is sent.
    More,
    /// Nothing until bytes come, messages are sent on the lines, or this time, monotonic.
    Wait {
        /// When to look again.
        until_ns: u64,
    },
    /// The connection is to be closed when that is sent.
    Close,
}

/// Gives the lie for the answer that is about to be made.
pub type Draw<'a> = &'a mut dyn FnMut() -> Option<Order>;

/// Another session's name.
pub(crate) fn another(session: Session) -> Session {
    let Session(mut name) = session;
    name[0] = if name[0] == b'X' { b'Y' } else { b'X' };
    Session(name)
}
