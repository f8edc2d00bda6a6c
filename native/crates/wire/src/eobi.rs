//! Eurex and Xetra T7 EOBI: the packet of a channel, its messages, and the layouts of two releases.
//!
//! All numbers are little-endian. A datagram is a PacketHeader and one or more messages of **one**
//! product (MarketSegmentID), back to back; both begin alike:
//!
//! | Offset | Field |
//! |---|---|
//! | 0 | BodyLen `u16`: of the whole message, this field included |
//! | 2 | TemplateID `u16` |
//! | 4 | MsgSeqNum `u32`: per product, contiguous over all templates; all ones: not used |
//!
//! The PacketHeader has 32 bytes:
//!
//! | Offset | Field |
//! |---|---|
//! | 8 | ApplSeqNum `u32`: of the packet, from 1, per channel, over all products |
//! | 12 | MarketSegmentID `i32`: the product |
//! | 16 | PartitionID `u8` |
//! | 17 | CompletionIndicator `u8`: 1 ends a unit of work |
//! | 18 | ApplSeqResetIndicator `u8`: 1 in the first packets after a restart |
//! | 19 | DSCP `u8` (padding in 6.0); 20 padding |
//! | 24 | TransactTime `u64`, ns since the epoch: stamped at each sending, so A and B may differ |
//!
//! Template ids do not name a release: 6.0 and 14.1 both use 13002 for the header, 14.0 used 13000,
//! 13.1 used 13005. So the release is configuration ([`Release`]), and the length of OrderAdd is
//! the check. A reader steps by BodyLen; what is inside a message is checked when it is asked for.

use thiserror::Error;

mod builder;
mod codec;
mod content;
mod fields;
pub mod layout;
mod messages;
mod release;
mod structure;

pub use builder::{Header, PacketBuilder};
pub use content::{Content, ContentError, Execution, Order, Side};
pub use messages::{Message, Messages};
pub use release::{Release, ReleaseError};
pub use structure::{
    AddComplexInstrument, AddFlexibleInstrument, AddScaledSimpleInstrument, AuctionBbo,
    AuctionClearingPrice, CrossRequest, Entries, ExecutionSummary, InstrumentEntry,
    InstrumentStateChange, InstrumentSummary, Leg, MassInstrumentStateChange, ProductStateChange,
    ProductSummary, QuoteRequest, RelatedInstrument, RemainingOrder, StateEntry, Structure,
    TesTradeReport, TopOfBook, TradeEntry, TradeReport, TradeReversal,
};

/// Bytes of the PacketHeader.
pub const HEADER_LEN: usize = 32;

/// Bytes that every message begins with: BodyLen, TemplateID, MsgSeqNum.
pub const MESSAGE_HEADER_LEN: usize = 8;

/// Largest datagram of a channel.
pub const MAX_DATAGRAM_LEN: usize = 1_372;

/// TemplateIDs that a PacketHeader had in some release.
pub const HEADER_TEMPLATES: [u16; 5] = [13_000, 13_002, 13_003, 13_004, 13_005];

/// How a technical heartbeat begins. It has a port of its own and keeps the network path warm.
pub const TECHNICAL_HEARTBEAT: [u8; 2] = [0xC0, 0xF8];

/// A packet whose header and message lengths were checked.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    head: &'a [u8; HEADER_LEN],
    bytes: &'a [u8],
    release: Release,
}

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// A technical heartbeat: to be counted and ignored, not a fault.
    #[error("a technical heartbeat, which carries nothing")]
    TechnicalHeartbeat,
    /// Shorter than the header.
    #[error("{actual} bytes are too short for an EOBI PacketHeader of {HEADER_LEN}")]
    Truncated {
        /// Bytes of the datagram.
        actual: usize,
    },
    /// The first message is not a PacketHeader.
    #[error(
        "the first message has BodyLen {body_len} and TemplateID {template_id}: not a PacketHeader"
    )]
    NotAPacketHeader {
        /// Its BodyLen.
        body_len: u16,
        /// Its TemplateID.
        template_id: u16,
    },
    /// ApplSeqNum 0 or "not used"; channels count from 1.
    #[error("ApplSeqNum {sequence:#x} is no packet number; channels count from 1")]
    NoSequence {
        /// The ApplSeqNum.
        sequence: u32,
    },
    /// Nothing follows the header.
    #[error("no message follows the PacketHeader")]
    NoMessage,
    /// Fewer bytes are left than a message begins with.
    #[error("{extra} bytes at {offset} are too short for a message")]
    TrailingBytes {
        /// Where in the datagram.
        offset: usize,
        /// Bytes that belong to no message.
        extra: usize,
    },
    /// BodyLen is less than what every message begins with.
    #[error("the message at {offset} has BodyLen {body_len}, less than {MESSAGE_HEADER_LEN}")]
    BodyTooShort {
        /// Where in the datagram.
        offset: usize,
        /// Its BodyLen.
        body_len: usize,
    },
    /// A message ends after the datagram.
    #[error("the message at {offset} has BodyLen {needed}, {available} bytes are left")]
    MessageBeyondEnd {
        /// Where in the datagram.
        offset: usize,
        /// Its BodyLen.
        needed: usize,
        /// Bytes left in the datagram.
        available: usize,
    },
    /// An OrderAdd of another release's length: `eobi_release` is set wrongly.
    #[error("an OrderAdd of {body_len} bytes is not of release {release}; set `eobi_release`")]
    WrongRelease {
        /// Its BodyLen.
        body_len: usize,
        /// The release that the packet was read as.
        release: Release,
    },
}

impl<'a> Packet<'a> {
    /// Checks a whole datagram: header, every message's length, nothing left over.
    ///
    /// # Errors
    /// [`PacketError`] names the first rule that was broken.
    pub fn parse(bytes: &'a [u8], release: Release) -> Result<Self, PacketError> {
        if bytes.starts_with(&TECHNICAL_HEARTBEAT) {
            return Err(PacketError::TechnicalHeartbeat);
        }
        let Some((head, messages)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            let actual = bytes.len();
            return Err(PacketError::Truncated { actual });
        };
        check_head(head)?;
        check_messages(messages, release)?;
        Ok(Self {
            head,
            bytes,
            release,
        })
    }

    /// ApplSeqNum: the packet's number on its channel, equal on services A and B.
    pub fn sequence(&self) -> u32 {
        fields::u32_at(self.head, 8)
    }

    /// The product that all messages of the packet are about.
    pub fn market_segment_id(&self) -> i32 {
        fields::i32_at(self.head, 12)
    }

    /// The partition: even ones are sent on A first, odd ones on B.
    pub fn partition_id(&self) -> u8 {
        self.head[16]
    }

    /// Whether the packet ends a unit of work; on the snapshot channel, a product's cycle.
    pub fn completes(&self) -> bool {
        self.head[17] == 1
    }

    /// Whether the packet announces that the numbers began anew at 1.
    pub fn resets(&self) -> bool {
        self.head[18] == 1
    }

    /// When this copy was sent, ns since the epoch; A and B may differ.
    pub fn transact_time_ns(&self) -> u64 {
        fields::u64_at(self.head, 24)
    }

    /// The release that the packet was read as.
    pub fn release(&self) -> Release {
        self.release
    }

    /// The messages after the PacketHeader.
    pub fn messages(&self) -> Messages<'a> {
        Messages::new(&self.bytes[HEADER_LEN..])
    }

    /// The whole datagram.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl PacketError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TechnicalHeartbeat => "technical_heartbeat",
            Self::Truncated { .. } => "truncated",
            Self::NotAPacketHeader { .. } => "not_a_packet_header",
            Self::NoSequence { .. } => "no_sequence",
            Self::NoMessage => "no_message",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::BodyTooShort { .. } => "body_too_short",
            Self::MessageBeyondEnd { .. } => "message_beyond_end",
            Self::WrongRelease { .. } => "wrong_release",
        }
    }
}

/// A PacketHeader by its length, its id and its unused MsgSeqNum, with a usable ApplSeqNum.
fn check_head(head: &[u8; HEADER_LEN]) -> Result<(), PacketError> {
    let (body_len, template_id) = (fields::u16_at(head, 0), fields::u16_at(head, 2));
    if usize::from(body_len) != HEADER_LEN
        || !HEADER_TEMPLATES.contains(&template_id)
        || fields::u32_at(head, 4) != u32::MAX
    {
        return Err(PacketError::NotAPacketHeader {
            body_len,
            template_id,
        });
    }
    match fields::u32_at(head, 8) {
        sequence @ (0 | u32::MAX) => Err(PacketError::NoSequence { sequence }),
        _ => Ok(()),
    }
}

/// Steps over all messages by BodyLen and requires that nothing follows.
fn check_messages(bytes: &[u8], release: Release) -> Result<(), PacketError> {
    if bytes.is_empty() {
        return Err(PacketError::NoMessage);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let (offset, available) = (HEADER_LEN + bytes.len() - rest.len(), rest.len());
        if available < MESSAGE_HEADER_LEN {
            let extra = available;
            return Err(PacketError::TrailingBytes { offset, extra });
        }
        let body_len = usize::from(fields::u16_at(rest, 0));
        if body_len < MESSAGE_HEADER_LEN {
            return Err(PacketError::BodyTooShort { offset, body_len });
        }
        if body_len > available {
            return Err(PacketError::MessageBeyondEnd {
                offset,
                needed: body_len,
                available,
            });
        }
        if release.denies(fields::u16_at(rest, 2), body_len) {
            return Err(PacketError::WrongRelease { body_len, release });
        }
        rest = &rest[body_len..];
    }
    Ok(())
}

#[cfg(test)]
mod tests;
