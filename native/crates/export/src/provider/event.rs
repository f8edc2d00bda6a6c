//! What happens to a session, what it wants done, and how it looks.

use std::fmt;

use crate::message::{ErrorCode, Gap, GapReason, GoodbyeReason};

/// What happens to a session.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The peer sent this.
    Received(&'a [u8]),
    /// The peer closed, or the socket is broken.
    PeerClosed,
    /// The socket took some of the outgoing bytes.
    Progress,
    /// The cursor gave a block.
    Block {
        /// Sequence of its first record.
        base_seq: u64,
        /// Last sequence that it spends.
        last_seq: u64,
        /// Low half of the epoch in its header.
        epoch_low: u32,
        /// Header and payload as stored.
        bytes: &'a [u8],
        /// What a JOURNAL_HOLE at its end spends.
        hole: Option<(u64, u64)>,
    },
    /// The cursor found these missing and stands behind them.
    Missing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
        /// Why.
        reason: GapReason,
    },
    /// The log cannot be read.
    Broken(&'a str),
    /// Time has passed, or the log has grown.
    Tick {
        /// UTC nanoseconds for heartbeats.
        utc_ns: u64,
    },
    /// The provider stops: what is available now is still sent, until acknowledged or this time.
    Stop {
        /// Monotonic.
        deadline_ns: u64,
    },
    /// From now on it is listened to: its time to subscribe begins.
    Heard,
    /// What it asks for cannot be judged within that time; it may try again.
    Busy(&'a str),
    /// The right to be here has ended, or the place is needed.
    End(GoodbyeReason),
}

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Place the cursor at this sequence.
    Seek(u64),
    /// The subscriber keeps everything up to this sequence.
    Acked(u64),
    /// Sequences were declared as not coming.
    Declared(Gap),
    /// Send what is outgoing, if the socket takes it, and close.
    Close(CloseReason),
}

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed without a word.
    PeerClosed,
    /// The peer said goodbye.
    Goodbye(GoodbyeReason),
    /// The subscription was refused.
    Refused(ErrorCode, String),
    /// The peer broke the protocol.
    Violation(String),
    /// Nothing was heard, or nothing could be sent, for too long.
    Timeout(String),
    /// Too slow.
    Slow(String),
    /// All that was available is acknowledged, or the time for it is over.
    Stopped {
        /// Sequences that were available and are not acknowledged.
        unacked: u64,
    },
    /// The provider ended it.
    Ended(GoodbyeReason),
    /// The log cannot be read.
    Broken(String),
}

impl CloseReason {
    /// A word for logs and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Goodbye(_) => "goodbye",
            Self::Refused(..) => "refused",
            Self::Violation(_) => "violation",
            Self::Timeout(_) => "timeout",
            Self::Slow(_) => "slow",
            Self::Stopped { .. } => "stopped",
            Self::Ended(_) => "ended",
            Self::Broken(_) => "broken",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed"),
            Self::Goodbye(reason) => write!(f, "the peer said goodbye: {}", reason.name()),
            Self::Refused(code, text) => write!(f, "refused, {}: {text}", code.name()),
            Self::Violation(text) | Self::Timeout(text) | Self::Slow(text) | Self::Broken(text) => {
                f.write_str(text)
            }
            Self::Stopped { unacked } => write!(f, "stopped with {unacked} unacknowledged"),
            Self::Ended(reason) => f.write_str(reason.name()),
        }
    }
}

/// Where a step's results go.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// Bytes for the socket, in order; the caller takes from the front what was sent.
    pub bytes: Vec<u8>,
    /// What else is to be done, in order.
    pub actions: Vec<Action>,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Waits for SUBSCRIBE.
    Subscribing,
    /// Reads history.
    CatchingUp,
    /// Follows the end.
    Live,
    /// Sends what is left before a stop.
    Draining,
    /// Over.
    Closed,
}

impl StreamState {
    /// A word for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribing => "subscribing",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Closed => "closed",
        }
    }
}

/// A look at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub state: StreamState,
    /// Last sequence that was sent or declared; 0 before the subscription.
    pub sent_seq: u64,
    /// Last sequence that the subscriber keeps; 0 before the subscription.
    pub acked_seq: u64,
    /// Bytes in flight.
    pub in_flight_bytes: u64,
    /// Sequences that are available and not acknowledged.
    pub lag_records: u64,
    /// The same in bytes of the log.
    pub lag_bytes: u64,
    /// For how long the oldest of them has been available.
    pub lag_ns: u64,
}
