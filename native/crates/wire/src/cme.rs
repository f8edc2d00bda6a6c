//! CME MDP 3.0: the packet of a channel and what recovery needs of its SBE messages.
//!
//! All numbers are little-endian. A packet is a header of 12 bytes and messages, back to back:
//!
//! | Offset | Field |
//! |---|---|
//! | 0 | MsgSeqNum `u32`: of the packet, from 1, per channel; reset weekly |
//! | 4 | SendingTime `u64`, ns since the epoch |
//!
//! | Offset in a message | Field |
//! |---|---|
//! | 0 | MsgSize `u16`: of the whole message, this field included |
//! | 2 | blockLength `u16` of the root block |
//! | 4 | templateId `u16` |
//! | 6 | schemaId `u16`, always 1 |
//! | 8 | version `u16` |
//! | 10 | the root block, then groups |
//!
//! A newer version of the schema appends fields to blocks and groups to messages, so a reader
//! steps by the lengths on the wire and never by its own idea of them.
//!
//! Two numbers guard a book by price: the packet's MsgSeqNum, and each instrument's RptSeq, which
//! counts over all templates that carry it ([`Message::rpt_seqs`]). Books by order have the first
//! only.

use std::iter::FusedIterator;

use thiserror::Error;

mod builder;
mod fields;
mod groups;
pub mod layout;
mod rpt_seqs;
mod snapshot;
pub mod types;
mod views;

pub use builder::{
    DefinitionOf, OrderChange, PacketBuilder, PriceChange, SnapshotHead, SnapshotLevel,
    SnapshotOrder, TradeReport,
};
pub use groups::{Group, GroupError, Groups};
pub use layout::template;
pub use rpt_seqs::{OrderUpdate, OrderUpdates, RptSeqs, Update};
pub use snapshot::{OrderSnapshot, PriceSnapshot};
pub use views::{
    Block, DailyStatistic, Definition, Entries, FeedType, IncrementalRoot, Limits, LinkedOrder,
    Login, Logout, OldTrade, OrderEntry, OrderSnapshotEntry, OrderSnapshotRoot, PriceEntry,
    QuoteRequest, RelatedSymbol, ResetEntry, SecurityStatus, SessionStatistic, SnapshotEntry,
    SnapshotRoot, Trade, TradeOrder, View, Volume,
};

/// Bytes of the packet header.
pub const HEADER_LEN: usize = 12;

/// Bytes of a message in front of its root block: MsgSize and the SBE header.
pub const MESSAGE_HEADER_LEN: usize = 10;

/// The schemaId of every MDP 3.0 message.
pub const SCHEMA_ID: u16 = 1;

/// The newest version of the schema that the layouts here were checked against.
pub const SCHEMA_VERSION: u16 = 9;

/// A packet whose header and message lengths were checked.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    sequence: u32,
    sending_time_ns: u64,
    bytes: &'a [u8],
}

/// A message of a packet; its root block is whole.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    template_id: u16,
    version: u16,
    bytes: &'a [u8],
    root: &'a [u8],
    /// What follows the root block: groups.
    rest: &'a [u8],
}

/// The messages of a packet, in order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Shorter than the header.
    #[error("{actual} bytes are too short for an MDP 3.0 packet header of {HEADER_LEN}")]
    Truncated {
        /// Bytes of the datagram.
        actual: usize,
    },
    /// Sequence number 0; channels count from 1.
    #[error("MDP 3.0 packet number 0; channels count from 1")]
    ZeroSequence,
    /// Fewer bytes are left than a message header has.
    #[error("{extra} bytes at {offset} are too short for a message header")]
    TrailingBytes {
        /// Where in the datagram.
        offset: usize,
        /// Bytes that belong to no message.
        extra: usize,
    },
    /// A message ends after the datagram.
    #[error("the message at {offset} has {needed} bytes, {available} are left")]
    MessageBeyondEnd {
        /// Where in the datagram.
        offset: usize,
        /// Its MsgSize.
        needed: usize,
        /// Bytes left in the datagram.
        available: usize,
    },
    /// MsgSize is less than header and root block together.
    #[error("the message at {offset} has {size} bytes, its header and root block {needed}")]
    BlockBeyondMessage {
        /// Where in the datagram.
        offset: usize,
        /// Its MsgSize.
        size: usize,
        /// Bytes that header and root block need.
        needed: usize,
    },
    /// A schema that is not MDP 3.0's.
    #[error("the message at {offset} is of schema {schema_id}, not {SCHEMA_ID}")]
    WrongSchema {
        /// Where in the datagram.
        offset: usize,
        /// Its schemaId.
        schema_id: u16,
    },
}

impl<'a> Packet<'a> {
    /// Checks a whole datagram: header, every message's length, nothing left over. What is inside
    /// the messages is checked when it is asked for.
    ///
    /// # Errors
    /// [`PacketError`] names the first rule that was broken.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
            let actual = bytes.len();
            return Err(PacketError::Truncated { actual });
        };
        let packet = Self {
            sequence: fields::u32_at(head, 0),
            sending_time_ns: fields::u64_at(head, 4),
            bytes,
        };
        if packet.sequence == 0 {
            return Err(PacketError::ZeroSequence);
        }
        let mut offset = HEADER_LEN;
        while offset < bytes.len() {
            offset += check_message(&bytes[offset..], offset)?;
        }
        Ok(packet)
    }

    /// The packet's number in its channel, at least 1.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// When it was sent, ns since the epoch, by the sender's clock.
    pub fn sending_time_ns(&self) -> u64 {
        self.sending_time_ns
    }

    /// The whole datagram.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The messages, in order.
    pub fn messages(&self) -> Messages<'a> {
        Messages {
            rest: &self.bytes[HEADER_LEN..],
        }
    }

    /// Whether it says only that the channel lives. It has a number of its own all the same.
    pub fn is_heartbeat(&self) -> bool {
        let mut messages = self.messages();
        messages.all(|message| message.template_id == template::HEARTBEAT)
    }

    /// Whether it empties every book of the channel and starts RptSeq again.
    pub fn resets_channel(&self) -> bool {
        let mut messages = self.messages();
        messages.any(|message| message.template_id == template::CHANNEL_RESET)
    }
}

impl<'a> Message<'a> {
    /// The message that these bytes are, from its MsgSize on; `None` when they are not one whole
    /// message.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let size = check_message(bytes, 0).ok()?;
        (size == bytes.len()).then(|| Messages { rest: bytes }.next())?
    }

    /// Which message this is; [`template`] names those that matter here.
    pub fn template_id(&self) -> u16 {
        self.template_id
    }

    /// The version of the schema it was written with.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The whole message, from its MsgSize on.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The root block, as long as the wire says.
    pub fn root(&self) -> &'a [u8] {
        self.root
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        // `Packet::parse` has checked every length.
        let head = self.rest.first_chunk::<MESSAGE_HEADER_LEN>()?;
        let (message, rest) = self.rest.split_at(usize::from(fields::u16_at(head, 0)));
        self.rest = rest;
        let root_len = usize::from(fields::u16_at(head, 2));
        let (root, groups) = message[MESSAGE_HEADER_LEN..].split_at(root_len);
        Some(Message {
            template_id: fields::u16_at(head, 4),
            version: fields::u16_at(head, 8),
            bytes: message,
            root,
            rest: groups,
        })
    }
}

impl FusedIterator for Messages<'_> {}

impl PacketError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::ZeroSequence => "zero_sequence",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::MessageBeyondEnd { .. } => "message_beyond_end",
            Self::BlockBeyondMessage { .. } => "block_beyond_message",
            Self::WrongSchema { .. } => "wrong_schema",
        }
    }
}

/// Checks the message that `rest` begins with, at `offset` of the datagram; returns its length.
fn check_message(rest: &[u8], offset: usize) -> Result<usize, PacketError> {
    let Some(head) = rest.first_chunk::<MESSAGE_HEADER_LEN>() else {
        let extra = rest.len();
        return Err(PacketError::TrailingBytes { offset, extra });
    };
    let schema_id = fields::u16_at(head, 6);
    if schema_id != SCHEMA_ID {
        return Err(PacketError::WrongSchema { offset, schema_id });
    }
    let size = usize::from(fields::u16_at(head, 0));
    let needed = MESSAGE_HEADER_LEN + usize::from(fields::u16_at(head, 2));
    if size < needed {
        return Err(PacketError::BlockBeyondMessage {
            offset,
            size,
            needed,
        });
    }
    if size > rest.len() {
        return Err(PacketError::MessageBeyondEnd {
            offset,
            needed: size,
            available: rest.len(),
        });
    }
    Ok(size)
}

#[cfg(test)]
mod tests;
