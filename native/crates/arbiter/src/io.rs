//! What goes into an arbiter and what comes out of it.

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{LossReason, SessionEventKind};

use crate::unit::Unit;

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A line, from 0 up to, not including, [`crate::Config::lines`].
    Line(u8),
    /// The re-request server. An answer only fills known holes: it opens no gap, keeps no
    /// session alive and reveals nothing. The same holds for the sources below.
    Retransmit,
    /// A stream that was resumed at the missing number.
    Stream,
    /// The journal of a peer host.
    Peer,
}

impl Source {
    /// The bit of this source in a set: 1 line A, 2 line B, 4 re-request, 8 the third line to 128
    /// the seventh, 256 stream, 512 peer.
    pub fn bit(self) -> u16 {
        match self {
            Self::Line(line @ 0..=1) => 1 << line,
            Self::Retransmit => 4,
            Self::Line(line) => 2 << line,
            Self::Stream => 256,
            Self::Peer => 512,
        }
    }

    /// Whether this is a line and no source of answers.
    #[inline]
    pub(crate) fn is_line(self) -> bool {
        matches!(self, Self::Line(_))
    }
}

/// A packet and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Where it came from.
    pub source: Source,
    /// The checked packet.
    pub unit: Unit<'a>,
    /// When it was received, UTC ns. Only handed on.
    pub rx_ns: u64,
    /// Who stamped `rx_ns`, as records number it. Only handed on.
    pub stamp: u8,
    /// Monotonic time, ns; must not go back from call to call.
    pub now_ns: u64,
}

/// Contiguous messages, or a whole packet, that are next in the stream.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Whose copy this is.
    pub source: Source,
    /// Sequence number of the first message.
    pub first_sequence: u64,
    /// Number of messages, at least 1; 1 for a whole packet.
    pub count: u32,
    /// The message blocks, `u16` big-endian length and bytes, back to back; the bytes of a whole
    /// packet as they came.
    pub payload: &'a [u8],
    /// When the packet was received, UTC ns.
    pub rx_ns: u64,
    /// Who stamped `rx_ns`.
    pub stamp: u8,
}

/// Takes what an arbiter puts out, in stream order.
pub trait Output {
    /// The next messages of the stream.
    fn deliver(&mut self, run: Run<'_>);
    /// Something happened at this point of the stream.
    fn event(&mut self, event: Event);
    /// A copy has other bytes than what was accepted. The stream does not change.
    fn conflict(&mut self, conflict: Conflict) {
        let _ = conflict;
    }
    /// A line brought its copy of a packet that another line had brought first, `lead_ns` before
    /// by their receive times; 0 when these disagree with the order of arrival.
    #[inline]
    fn race(&mut self, first_line: u8, second_line: u8, lead_ns: u64) {
        let _ = (first_line, second_line, lead_ns);
    }
}

/// Messages that were accepted with other bytes than this copy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who brought the copy.
    pub source: Source,
    /// The first sequence number that differs.
    pub first_sequence: u64,
    /// How many messages of the packet differ, or 1 for a whole packet.
    pub count: u64,
}

/// A range of sequence numbers that was missing when it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of the gap in this arbiter, from 1.
    pub id: u64,
    /// First sequence number.
    pub first: u64,
    /// Last sequence number, inclusive.
    pub last: u64,
    /// When the hole was seen, monotonic ns.
    pub opened_ns: u64,
}

/// Something that happened at a point of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session began, ended, was taken over or was resumed.
    Session {
        /// What happened.
        kind: SessionEventKind,
        /// The session from here on; for an end, the one that ended.
        session: Session,
        /// The sequence number expected next in it.
        next_sequence: u64,
        /// `false` when another session took over that was neither announced nor due: the one
        /// before had not ended.
        expected: bool,
    },
    /// A hole was seen.
    GapOpened {
        /// The whole hole.
        gap: Gap,
    },
    /// The reorder window has passed: ask for [`crate::Arbiter::holes`] now.
    GapWaitOver {
        /// The gap, of which parts may have arrived.
        gap: Gap,
    },
    /// A part of a gap arrived.
    GapProgress {
        /// Number of the gap.
        id: u64,
        /// First sequence number of the part.
        first: u64,
        /// Last sequence number of the part, inclusive.
        last: u64,
        /// Messages of the gap that are still missing.
        missing: u64,
        /// Who brought it.
        source: Source,
        /// Whether [`Event::GapWaitOver`] was told of this gap.
        wait_over: bool,
    },
    /// The last message of a gap was delivered and none was lost.
    GapFilled {
        /// The gap.
        gap: Gap,
        /// Who brought its parts, as [`Source::bit`]s.
        sources: u16,
        /// Whether [`Event::GapWaitOver`] was told of this gap.
        wait_over: bool,
    },
    /// These messages will not come; the stream goes on behind them.
    GapLost {
        /// The hole; `id` and `opened_ns` are those of the gap it was part of.
        gap: Gap,
        /// Why it was given up.
        reason: LossReason,
    },
    /// The stream has passed a gap of which something was lost.
    GapUnrecovered {
        /// The whole gap.
        gap: Gap,
        /// Messages of it that were lost.
        lost: u64,
        /// Who brought the other parts, as [`Source::bit`]s.
        sources: u16,
        /// Whether [`Event::GapWaitOver`] was told of this gap.
        wait_over: bool,
        /// Why the rest was given up.
        reason: LossReason,
    },
    /// The output stands exactly before this number; see [`crate::Arbiter::stop_at`].
    Stopped {
        /// The sequence number that comes next.
        sequence: u64,
    },
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// At least one message was delivered.
    Delivered,
    /// Nothing was delivered yet; at least one message is held behind a hole.
    Held,
    /// Every message was there already.
    Duplicate,
    /// Every message was there already, and at least one of them with other bytes.
    Conflict,
    /// Every message came too late: it was given up, is older than the stream, or is an answer
    /// that nothing waits for any more.
    Stale,
    /// Another session; nothing changed.
    WrongSession,
    /// Too far ahead of everything known to be believed on its own; nothing changed.
    ImplausibleJump,
    /// A sequence number that no session reaches, or 0; nothing changed.
    SequenceOverflow,
    /// New messages did not fit behind the hole and were dropped.
    HoldFull,
    /// A heartbeat or an end of session.
    Control,
}
