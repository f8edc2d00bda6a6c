//! MoldUDP64 1.00: the downstream packet, the request packet, and builders for both.
//!
//! All numbers are big-endian. Downstream header, 20 bytes:
//!
//! | Offset | Field |
//! |---|---|
//! | 0 | session, 10 bytes, compared raw |
//! | 10 | sequence number `u64`: of the first message, from 1; next expected when there is none |
//! | 18 | message count `u16`: 0 is a heartbeat, `0xFFFF` ends the session |
//!
//! Then `count` message blocks: length `u16` (excluding itself), that many bytes. A length of zero
//! is legal. A request has the same 20 bytes: session, first wanted, wanted count.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text;

mod blocks;
mod builder;
mod request;

pub use blocks::{Blocks, count_blocks, skip_blocks};
pub use builder::{PacketBuilder, end_of_session, heartbeat};
pub use request::{Request, RequestError};

/// Bytes of the downstream header and of a request.
pub const HEADER_LEN: usize = 20;

/// Bytes of the length field in front of each message.
pub const BLOCK_LEN: usize = 2;

/// Message count that says "this session has ended".
pub const END_OF_SESSION: u16 = 0xFFFF;

/// Largest message count of a packet or a request.
pub const MAX_REQUEST_COUNT: u16 = 0xFFFE;

/// The ten bytes that name a session. Compared raw: padding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub [u8; 10]);

/// What a downstream packet is, from its message count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// Carries messages.
    Data {
        /// Number of messages, 1 to [`MAX_REQUEST_COUNT`].
        count: u16,
    },
    /// Carries nothing; its sequence number is the next expected.
    Heartbeat,
    /// The session has ended; its sequence number is the one after the last message.
    EndOfSession,
}

/// A downstream packet whose header and message blocks were checked.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    session: Session,
    first_sequence: u64,
    kind: PacketKind,
    blocks: &'a [u8],
}

/// Why bytes are not a downstream packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Shorter than the header.
    #[error("{actual} bytes are too short for a MoldUDP64 header of {HEADER_LEN}")]
    Truncated {
        /// Bytes of the datagram.
        actual: usize,
    },
    /// Sequence number 0; sessions count from 1.
    #[error("MoldUDP64 sequence number 0; sessions count from 1")]
    ZeroSequence,
    /// A message block, or its length field, ends after the datagram.
    #[error("message {index} of {count} needs {needed} bytes, {available} are left")]
    BlockBeyondEnd {
        /// Index of the block in the packet, from 0.
        index: u16,
        /// Message count of the header.
        count: u16,
        /// Bytes the block needs, with its length field.
        needed: usize,
        /// Bytes left in the datagram.
        available: usize,
    },
    /// Bytes follow the last message.
    #[error("{extra} bytes follow the last of {count} messages")]
    TrailingBytes {
        /// Messages of the packet; 0 for a heartbeat or an end of session.
        count: u16,
        /// Bytes that belong to no message.
        extra: usize,
    },
    /// Sequence number plus message count exceeds 64 bits.
    #[error("sequence number {first_sequence} plus {count} messages exceeds 64 bits")]
    SequenceOverflow {
        /// Sequence number of the header.
        first_sequence: u64,
        /// Message count of the header.
        count: u16,
    },
}

/// Why text is not a session name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("session {text:?} is not 1 to 10 printable ASCII characters")]
pub struct SessionError {
    text: String,
}

impl<'a> Packet<'a> {
    /// Checks a whole datagram: header, every message block, nothing left over.
    ///
    /// # Errors
    /// [`PacketError`] names the first rule that was broken.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let Some((head, blocks)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(PacketError::Truncated {
                actual: bytes.len(),
            });
        };
        let (session, first_sequence, count) = split_header(head);
        if first_sequence == 0 {
            return Err(PacketError::ZeroSequence);
        }
        let kind = match count {
            0 => PacketKind::Heartbeat,
            END_OF_SESSION => PacketKind::EndOfSession,
            count => PacketKind::Data { count },
        };
        let packet = Self {
            session,
            first_sequence,
            kind,
            blocks,
        };
        let count = packet.count();
        if first_sequence.checked_add(u64::from(count)).is_none() {
            return Err(PacketError::SequenceOverflow {
                first_sequence,
                count,
            });
        }
        check_blocks(blocks, count)?;
        Ok(packet)
    }

    /// The session this packet belongs to.
    pub fn session(&self) -> Session {
        self.session
    }

    /// Sequence number of the first message; the next expected one when there is none.
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// Data, heartbeat or end of session.
    pub fn kind(&self) -> PacketKind {
        self.kind
    }

    /// Number of messages; 0 for a heartbeat and an end of session.
    pub fn count(&self) -> u16 {
        match self.kind {
            PacketKind::Data { count } => count,
            PacketKind::Heartbeat | PacketKind::EndOfSession => 0,
        }
    }

    /// The sequence number expected after this packet.
    pub fn next_sequence(&self) -> u64 {
        // `parse` refused packets whose sum overflows.
        self.first_sequence + u64::from(self.count())
    }

    /// The message blocks as they are on the wire: lengths and bytes.
    pub fn blocks(&self) -> &'a [u8] {
        self.blocks
    }

    /// The messages, without their lengths.
    pub fn messages(&self) -> Blocks<'a> {
        Blocks::new(self.blocks)
    }
}

impl PacketError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::ZeroSequence => "zero_sequence",
            Self::BlockBeyondEnd { .. } => "block_beyond_end",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::SequenceOverflow { .. } => "sequence_overflow",
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_trimmed(f, &self.0)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({self})")
    }
}

impl FromStr for Session {
    type Err = SessionError;

    /// Right-pads with spaces: `"DEMO"` is `DEMO` and six spaces.
    fn from_str(text: &str) -> Result<Self, SessionError> {
        match text::padded(text) {
            Some(bytes) if !text.is_empty() => Ok(Self(bytes)),
            _ => Err(SessionError {
                text: text.to_owned(),
            }),
        }
    }
}

/// The 20 bytes in front of `count` message blocks, for a sender that has the blocks already.
pub fn header(session: Session, sequence: u64, count: u16) -> [u8; HEADER_LEN] {
    let mut head = [0; HEADER_LEN];
    head[..10].copy_from_slice(&session.0);
    head[10..18].copy_from_slice(&sequence.to_be_bytes());
    head[18..].copy_from_slice(&count.to_be_bytes());
    head
}

/// Session, sequence number and count of a header or a request.
fn split_header(header: &[u8; HEADER_LEN]) -> (Session, u64, u16) {
    let mut session = [0; 10];
    let mut sequence = [0; 8];
    session.copy_from_slice(&header[..10]);
    sequence.copy_from_slice(&header[10..18]);
    (
        Session(session),
        u64::from_be_bytes(sequence),
        u16::from_be_bytes([header[18], header[19]]),
    )
}

/// Walks exactly `count` blocks and requires that nothing follows.
fn check_blocks(bytes: &[u8], count: u16) -> Result<(), PacketError> {
    let mut rest = bytes;
    for index in 0..count {
        let Some((length, after)) = rest.split_first_chunk::<BLOCK_LEN>() else {
            let (needed, available) = (BLOCK_LEN, rest.len());
            return Err(PacketError::BlockBeyondEnd {
                index,
                count,
                needed,
                available,
            });
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > after.len() {
            let (needed, available) = (BLOCK_LEN + length, rest.len());
            return Err(PacketError::BlockBeyondEnd {
                index,
                count,
                needed,
                available,
            });
        }
        rest = &after[length..];
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(PacketError::TrailingBytes {
            count,
            extra: rest.len(),
        })
    }
}

#[cfg(test)]
mod tests;
