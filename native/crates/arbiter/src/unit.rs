//! What a packet means to the merge, whatever protocol it came in.

use tickdeck_wire::moldudp64::{Packet, PacketKind, Session};

/// A packet whose bytes were checked, in the merge's own terms.
///
/// MoldUDP64 numbers messages and carries several in a packet. CME MDP3 and EOBI number packets:
/// there a packet is one unit with one number, and the merge never looks inside it.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The session, or the epoch of a protocol whose sessions have no names.
    pub session: Session,
    /// Number of the first message; without any, the number expected next.
    pub first_sequence: u64,
    /// What it carries.
    pub content: Content<'a>,
    /// How this session is known to have taken the place of the one before.
    pub reset: Reset,
}

/// Whether a session took the place of another in a way that needs no waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reset {
    /// Nothing is known: the session's name is all there is.
    #[default]
    Unknown,
    /// The venue announced that it counts from 1 again, and a second packet confirmed it.
    Announced,
    /// It was not announced, but two packets agree that the venue counts from 1 again.
    Unannounced,
}

/// What a [`Unit`] carries.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Messages with a number each.
    Blocks {
        /// How many; at least 1.
        count: u16,
        /// As many whole blocks, back to back: `u16` big-endian length and that many bytes.
        blocks: &'a [u8],
    },
    /// A packet that has one number as a whole.
    Whole {
        /// Its bytes as they are on the wire.
        packet: &'a [u8],
        /// Where the bytes begin that are the same on every line.
        compare_from: usize,
    },
    /// Nothing; the stream has come this far.
    Heartbeat,
    /// Nothing; the session has ended here.
    EndOfSession,
}

impl<'a> Unit<'a> {
    /// A unit of a session of which nothing but its name is known.
    pub fn new(session: Session, first_sequence: u64, content: Content<'a>) -> Self {
        Self {
            session,
            first_sequence,
            content,
            reset: Reset::Unknown,
        }
    }

    /// How many sequence numbers it takes.
    pub fn count(&self) -> u16 {
        self.content.count()
    }
}

impl<'a> Content<'a> {
    /// How many sequence numbers it takes.
    #[inline]
    pub fn count(&self) -> u16 {
        match *self {
            Content::Blocks { count, .. } => count,
            Content::Whole { .. } => 1,
            Content::Heartbeat | Content::EndOfSession => 0,
        }
    }

    /// The bytes that are handed on, where those begin that are equal on every line, and whether
    /// they are a whole packet.
    #[inline]
    pub(crate) fn payload(&self) -> (&'a [u8], usize, bool) {
        match *self {
            Content::Blocks { blocks, .. } => (blocks, 0, false),
            Content::Whole {
                packet,
                compare_from,
            } => (packet, compare_from, true),
            Content::Heartbeat | Content::EndOfSession => (&[], 0, false),
        }
    }
}

impl<'a> From<Packet<'a>> for Unit<'a> {
    #[inline]
    fn from(packet: Packet<'a>) -> Self {
        let content = match packet.kind() {
            PacketKind::Data { count } => Content::Blocks {
                count,
                blocks: packet.blocks(),
            },
            PacketKind::Heartbeat => Content::Heartbeat,
            PacketKind::EndOfSession => Content::EndOfSession,
        };
        Self {
            session: packet.session(),
            first_sequence: packet.first_sequence(),
            content,
            reset: Reset::Unknown,
        }
    }
}
