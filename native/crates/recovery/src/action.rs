//! What an engine wants done, and what it thinks of what came.

use tickdeck_wire::moldudp64::{Packet, PacketError, Session};
use tickdeck_wire::record::LossReason;

use crate::fault::Fault;
use crate::source::RangeSource;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask this source for a range.
    Request {
        /// Number of the lowest gap it is for.
        id: u64,
        /// Requests made for that gap, with this one.
        requests: u32,
        /// Whom to ask.
        source: RangeSource,
        /// The session.
        session: Session,
        /// First sequence number.
        first: u64,
        /// How many messages, from 1 to the source's most.
        count: u64,
    },
    /// The request just made is for this gap too.
    Joined {
        /// Number of the gap.
        id: u64,
        /// Requests made for that gap, with this one.
        requests: u32,
        /// Who was asked.
        source: RangeSource,
    },
    /// Recover by a snapshot: [`crate::Engine::awaiting_snapshot`] names the gaps. Answer with
    /// [`crate::Engine::snapshot_done`] or [`crate::Engine::snapshot_failed`].
    Snapshot {
        /// Why.
        reason: SnapshotReason,
        /// Number of the lowest gap that waits for it; 0: none, an operator wanted it.
        id: u64,
        /// Gaps that wait for it now.
        gaps: usize,
    },
    /// Nobody will bring the rest of this gap; it is forgotten here.
    GiveUp {
        /// Number of the gap.
        id: u64,
        /// For the loss record.
        reason: LossReason,
        /// The last fault of a source while it was open.
        fault: Fault,
    },
    /// This gap has missed its objective; told once.
    SloMissed {
        /// Number of the gap.
        id: u64,
    },
}

/// Why a snapshot is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SnapshotReason {
    /// Every source is exhausted for a gap.
    #[default]
    Exhausted,
    /// More gaps are open than are worth asking for.
    Storm,
    /// An operator wants it.
    Operator,
}

/// The facts of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its session.
    pub session: Session,
    /// Its first sequence number.
    pub first: u64,
    /// Messages in it.
    pub count: u64,
    /// Bytes of the messages: a datagram with room left that brings a part is called partial.
    pub bytes: usize,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It brings something that was asked for and is missing. Only these numbers may be merged;
    /// cut the answer to them, see [`crate::cut_blocks`].
    Wanted {
        /// First of them.
        first: u64,
        /// Last of them, inclusive.
        last: u64,
    },
    /// It brings only what is no longer missing.
    Stale,
    /// It is of another session.
    WrongSession,
    /// It carries no message, or only such as nobody asked for.
    NotAsked,
}

/// A gap that is no longer open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// From its detection until now, ns.
    pub latency_ns: u64,
    /// Requests made for it.
    pub requests: u32,
    /// The last fault of a source while it was open.
    pub fault: Fault,
}

impl SnapshotReason {
    /// The reason as a stable word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Storm => "storm",
            Self::Operator => "operator",
        }
    }
}

impl From<&Packet<'_>> for Answer {
    fn from(packet: &Packet<'_>) -> Self {
        Self {
            session: packet.session(),
            first: packet.first_sequence(),
            count: u64::from(packet.count()),
            bytes: packet.blocks().len(),
        }
    }
}

/// The blocks of the messages `wanted_first..=wanted_last` among well-formed MoldUDP64 message
/// blocks that begin with message `first`; less when the blocks end before.
pub fn cut_blocks(blocks: &[u8], first: u64, wanted_first: u64, wanted_last: u64) -> &[u8] {
    let skip = wanted_first.saturating_sub(first);
    let from = offset_of(blocks, skip);
    let take = wanted_last
        .saturating_sub(wanted_first.max(first))
        .saturating_add(1);
    let rest = &blocks[from..];
    &rest[..offset_of(rest, take)]
}

/// Where the message with this index begins.
fn offset_of(blocks: &[u8], index: u64) -> usize {
    let mut at = 0;
    for _ in 0..index {
        let Some(&[high, low]) = blocks.get(at..at + 2) else {
            break;
        };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    at.min(blocks.len())
}

impl From<&PacketError> for Fault {
    /// A datagram that ends too early is truncated, any other that cannot be read is garbage.
    fn from(error: &PacketError) -> Self {
        match error {
            PacketError::Truncated { .. } | PacketError::BlockBeyondEnd { .. } => Self::Truncated,
            _ => Self::Garbage,
        }
    }
}
