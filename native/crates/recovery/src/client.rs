//! What the clients of TCP sources have in common: their actions, their timing, their connection.
//!
//! A client is a state machine. The caller owns the socket and tells what happened to it; the
//! client says what to do. On one thread, with a non-blocking socket in a poll loop:
//!
//! ```
//! use std::io::{self, Read, Write};
//! use tickdeck_recovery::client::Action;
//! use tickdeck_recovery::soup::SoupClient;
//!
//! /// Carries out what the client wants; call it when the socket is readable, and when
//! /// `client.next_deadline_ns()` has come. The socket was made by a non-blocking connect, and
//! /// `client.on_connected` was called once it was writable.
//! fn drive<S: Read + Write>(client: &mut SoupClient, socket: &mut Option<S>, now_ns: u64) {
//!     let mut chunk = [0; 16 * 1024];
//!     if let Some(open) = socket {
//!         match open.read(&mut chunk) {
//!             Ok(0) => client.on_closed(now_ns),
//!             Ok(length) => client.on_bytes(&chunk[..length], now_ns),
//!             Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
//!             Err(_) => client.on_closed(now_ns),
//!         }
//!     }
//!     while let Some(action) = client.poll(now_ns) {
//!         match action {
//!             Action::Connect => { /* begin a non-blocking connect, drop the old socket */ }
//!             // Requests are a few bytes: a socket that does not take them at once is broken.
//!             Action::Send(bytes) => match socket.as_mut().map(|open| open.write(&bytes)) {
//!                 Some(Ok(written)) if written == bytes.len() => {}
//!                 _ => client.on_closed(now_ns),
//!             },
//!             Action::Deliver(_delivery) => { /* into the merge */ }
//!             Action::Noticed { .. } => { /* count it, name it in the ledger */ }
//!             Action::Close => *socket = None,
//!             Action::Done { .. } | Action::Failed { .. } => { /* tell the engine */ }
//!         }
//!     }
//! }
//! ```

use std::collections::VecDeque;

use tickdeck_wire::moldudp64::{BLOCK_LEN, MAX_REQUEST_COUNT, Session};

use crate::Fault;

/// Most bytes of one delivery's blocks, unless its first message alone is longer.
const DELIVERY_BYTES: usize = 32 * 1024;
/// What must come within one answer timeout, as far as so much is wanted: a source that drips is
/// slow, not alive.
const LEAST_MESSAGES: u64 = 64;

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect, and tell `on_connected` or `on_closed`. An old socket is closed already.
    Connect,
    /// Send this on the connection.
    Send(Vec<u8>),
    /// These came, in order, each wanted and none twice.
    Deliver(Delivery),
    /// Something was wrong that does not end the request; the client goes on.
    Noticed {
        /// What.
        fault: Fault,
        /// The same in words.
        detail: String,
    },
    /// Close the connection; `on_closed` need not be told.
    Close,
    /// All that was wanted came.
    Done {
        /// The number behind it.
        next_sequence: u64,
    },
    /// The request is over without all of it.
    Failed {
        /// Why.
        fault: Fault,
        /// The same in words.
        detail: String,
        /// The first number that did not come.
        next_sequence: u64,
    },
}

/// Messages or a packet of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The session, as it was asked for.
    pub session: Session,
    /// Number of the first message, or of the packet.
    pub first_sequence: u64,
    /// The bytes.
    pub content: Content,
}

/// What a delivery holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Messages that follow each other.
    Blocks {
        /// How many, 1 to 65,534.
        count: u16,
        /// Length and bytes of each.
        blocks: Vec<u8>,
    },
    /// One whole packet, of a protocol that numbers packets.
    Packet(Vec<u8>),
}

/// How long a client waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For the connection.
    pub connect_timeout_ns: u64,
    /// For the first word on a request: the login's answer, the beginning of a range.
    pub login_timeout_ns: u64,
    /// For the next messages of a range; 64 of them must come within, or what is left of it.
    pub answer_timeout_ns: u64,
    /// Connections in a row that may break without having brought anything.
    pub reconnects: u32,
    /// The wait before the n-th of them is n times this.
    pub reconnect_wait_ns: u64,
}

impl Default for Timing {
    /// 1 s for a connection, 500 ms for an answer, three reconnects, 50 ms before the first.
    fn default() -> Self {
        Self {
            connect_timeout_ns: 1_000_000_000,
            login_timeout_ns: 500_000_000,
            answer_timeout_ns: 500_000_000,
            reconnects: 3,
            reconnect_wait_ns: 50_000_000,
        }
    }
}

impl Content {
    /// How many numbers it takes.
    pub fn count(&self) -> u16 {
        match self {
            Self::Blocks { count, .. } => *count,
            Self::Packet(_) => 1,
        }
    }
}

/// Why a request, or a connection, is over.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) fault: Fault,
    pub(crate) detail: String,
}

impl Wrong {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { fault, detail }
    }
}

/// The connection of a client, and its actions in order.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    timing: Timing,
    state: LinkState,
    actions: VecDeque<Action>,
    /// Connections that broke since something came.
    broken: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Down,
    Connecting { until_ns: u64 },
    Up,
    Waiting { until_ns: u64 },
}

impl Link {
    pub(crate) fn new(timing: Timing) -> Self {
        Self {
            timing,
            state: LinkState::Down,
            actions: VecDeque::new(),
            broken: 0,
        }
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn pop(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state == LinkState::Up
    }

    /// A new request: earlier breaks are forgotten.
    pub(crate) fn begin(&mut self) {
        self.broken = 0;
    }

    /// Something that was asked for came.
    pub(crate) fn brought(&mut self) {
        self.broken = 0;
    }

    pub(crate) fn connect(&mut self, now_ns: u64) {
        self.close();
        self.push(Action::Connect);
        self.state = LinkState::Connecting {
            until_ns: now_ns.saturating_add(self.timing.connect_timeout_ns),
        };
    }

    /// True when a connection was awaited.
    pub(crate) fn connected(&mut self) -> bool {
        let awaited = matches!(self.state, LinkState::Connecting { .. });
        if awaited {
            self.state = LinkState::Up;
        }
        awaited
    }

    pub(crate) fn close(&mut self) {
        if matches!(self.state, LinkState::Connecting { .. } | LinkState::Up) {
            self.push(Action::Close);
        }
        self.state = LinkState::Down;
    }

    /// The other side closed; false when there was no connection.
    pub(crate) fn closed(&mut self) -> bool {
        let had = matches!(self.state, LinkState::Connecting { .. } | LinkState::Up);
        if had {
            self.state = LinkState::Down;
        }
        had
    }

    /// Waits for the next connection; false when there were enough.
    pub(crate) fn retry(&mut self, wrong: &Wrong, now_ns: u64) -> bool {
        self.close();
        if self.broken >= self.timing.reconnects {
            return false;
        }
        self.broken += 1;
        let Wrong { fault, detail } = wrong.clone();
        self.push(Action::Noticed { fault, detail });
        let wait_ns = self.timing.reconnect_wait_ns;
        self.state = LinkState::Waiting {
            until_ns: now_ns.saturating_add(wait_ns.saturating_mul(u64::from(self.broken))),
        };
        true
    }

    /// Connects when it is time; gives back a connection that was not made in time.
    pub(crate) fn expire(&mut self, now_ns: u64) -> Option<Wrong> {
        match self.state {
            LinkState::Waiting { until_ns } if until_ns <= now_ns => self.connect(now_ns),
            LinkState::Connecting { until_ns } if until_ns <= now_ns => {
                return Some(Wrong::new(Fault::Disconnected, "not connected in time"));
            }
            _ => {}
        }
        None
    }

    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        match self.state {
            LinkState::Waiting { until_ns } | LinkState::Connecting { until_ns } => Some(until_ns),
            LinkState::Down | LinkState::Up => None,
        }
    }
}

/// Whether enough comes: so many messages within each answer timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    until_ns: u64,
    needed: u64,
}

impl Pace {
    /// `left` messages are wanted from now on.
    pub(crate) fn begin(timing: &Timing, left: u64, now_ns: u64) -> Self {
        Self {
            until_ns: now_ns.saturating_add(timing.answer_timeout_ns),
            needed: left.min(LEAST_MESSAGES),
        }
    }

    /// So many came, `left` are still wanted.
    pub(crate) fn came(&mut self, count: u64, left: u64, timing: &Timing, now_ns: u64) {
        self.needed = self.needed.saturating_sub(count);
        if self.needed == 0 {
            *self = Self::begin(timing, left, now_ns);
        }
    }

    pub(crate) fn until_ns(&self) -> u64 {
        self.until_ns
    }
}

/// Messages that wait to be delivered together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    count: u16,
    blocks: Vec<u8>,
}

impl Batch {
    pub(crate) fn is_full_for(&self, length: usize) -> bool {
        let bytes = self.blocks.len() + BLOCK_LEN + length;
        self.count == MAX_REQUEST_COUNT || (self.count > 0 && bytes > DELIVERY_BYTES)
    }

    /// Appends a message; its length fits the field.
    pub(crate) fn push(&mut self, message: &[u8]) {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        self.blocks.extend_from_slice(&length.to_be_bytes());
        self.blocks
            .extend_from_slice(&message[..usize::from(length)]);
        self.count += 1;
    }

    /// What was collected, whose last message has number `next_sequence - 1`.
    pub(crate) fn take(&mut self, session: Session, next_sequence: u64) -> Option<Delivery> {
        let count = std::mem::take(&mut self.count);
        let blocks = std::mem::take(&mut self.blocks);
        (count > 0).then(|| Delivery {
            session,
            first_sequence: next_sequence - u64::from(count),
            content: Content::Blocks { count, blocks },
        })
    }
}
