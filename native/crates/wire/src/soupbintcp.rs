//! SoupBinTCP 3.00: packets over TCP, both ways, and builders for all of them.
//!
//! A packet is a `u16` big-endian length (type and payload, not itself), a type byte, the payload.
//! Fields are text; numbers are ASCII digits. TCP does not keep packets together, so a
//! [`Decoder`] collects them.
//!
//! | Type | From | Payload |
//! |---|---|---|
//! | `A` | server | login accepted: session `[10]`, next sequence number `[20]`, both padded on the left |
//! | `J` | server | login rejected: `A` not authorised, `S` session not available |
//! | `S` | server | one sequenced message; its number is the accepted one plus those before it |
//! | `H` | server | heartbeat |
//! | `Z` | server | end of session |
//! | `L` | client | login: user `[6]`, password `[10]` padded on the right, session `[10]`, number `[20]` |
//! | `R` | client | heartbeat |
//! | `O` | client | logout |
//! | `U` | both | one message without a number |
//! | `+` | both | text for debugging, to be ignored |
//!
//! A login with a blank session means the current one; number 1 is the session's start, 0 the
//! newest message, any other is where the stream is to go on.

use thiserror::Error;

use crate::moldudp64::Session;
use crate::stream::{Buffer, digits};

mod builder;
mod login;

pub use builder::{
    ACCEPTED_LEN, CLIENT_HEARTBEAT, END_OF_SESSION, LOGIN_LEN, LOGOUT, MessageTooLong,
    SERVER_HEARTBEAT, accepted, push_debug, push_sequenced, push_unsequenced, rejected,
};
pub use login::{CredentialError, Login, Password, Username};

/// Bytes of the length in front of each packet.
pub const LENGTH_LEN: usize = 2;

/// Longest packet without its length: type and payload.
pub const MAX_PACKET_LEN: usize = u16::MAX as usize;

/// Packet types.
pub mod kind {
    /// Login accepted.
    pub const ACCEPTED: u8 = b'A';
    /// Login rejected.
    pub const REJECTED: u8 = b'J';
    /// Sequenced data.
    pub const SEQUENCED: u8 = b'S';
    /// Heartbeat of the server.
    pub const SERVER_HEARTBEAT: u8 = b'H';
    /// End of session.
    pub const END_OF_SESSION: u8 = b'Z';
    /// Login request.
    pub const LOGIN: u8 = b'L';
    /// Unsequenced data.
    pub const UNSEQUENCED: u8 = b'U';
    /// Heartbeat of the client.
    pub const CLIENT_HEARTBEAT: u8 = b'R';
    /// Logout.
    pub const LOGOUT: u8 = b'O';
    /// Debug text.
    pub const DEBUG: u8 = b'+';
}

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    /// `A`: logged in; the next sequenced message has this number.
    Accepted {
        /// The session, padded on the right as everywhere else in this crate.
        session: Session,
        /// Number of the next sequenced message.
        sequence: u64,
    },
    /// `J`: not logged in; the server closes.
    Rejected(RejectReason),
    /// `S`: the next message.
    Sequenced(&'a [u8]),
    /// `U`: a message without a number.
    Unsequenced(&'a [u8]),
    /// `H`: nothing was sent for a second.
    Heartbeat,
    /// `Z`: the session is over; the server closes.
    EndOfSession,
    /// `+`: to be ignored.
    Debug(&'a [u8]),
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPacket<'a> {
    /// `L`: who it is and what it wants.
    Login(Login),
    /// `U`: a message without a number.
    Unsequenced(&'a [u8]),
    /// `R`: nothing was sent for a second.
    Heartbeat,
    /// `O`: the server may close.
    Logout,
    /// `+`: to be ignored.
    Debug(&'a [u8]),
}

/// Why a login was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RejectReason {
    /// Unknown user or wrong password.
    NotAuthorised = b'A',
    /// The session does not exist here, or not up to that number.
    SessionNotAvailable = b'S',
}

/// One packet of the stream, its type not yet judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type byte.
    pub kind: u8,
    /// What follows it.
    pub payload: &'a [u8],
}

/// Collects packets from the chunks of a TCP stream, in a buffer of fixed size.
///
/// ```
/// use tickdeck_wire::soupbintcp::{Decoder, SERVER_HEARTBEAT, ServerPacket};
///
/// let mut decoder = Decoder::new(100);
/// for byte in SERVER_HEARTBEAT {
///     assert!(decoder.next()?.is_none());
///     assert_eq!(decoder.push(&[byte]), 1);
/// }
/// let frame = decoder.next()?.expect("whole");
/// assert_eq!(ServerPacket::parse(frame)?, ServerPacket::Heartbeat);
/// # Ok::<(), tickdeck_wire::soupbintcp::SoupError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    buffer: Buffer,
    max_packet_len: usize,
}

/// Why bytes are not a packet. After an error nothing behind it can be found any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SoupError {
    /// A length of zero leaves no room for the type.
    #[error("a SoupBinTCP packet of length 0 has no type")]
    Empty,
    /// Longer than this receiver takes.
    #[error("a SoupBinTCP packet {:?} of {length} bytes; at most {limit} are taken here",
            char::from(*.kind))]
    TooLong {
        /// Type byte.
        kind: u8,
        /// Bytes of type and payload.
        length: usize,
        /// Most that are taken.
        limit: usize,
    },
    /// The type is not one that this side sends.
    #[error("{:?} is not a type of a SoupBinTCP {from} packet", char::from(*.kind))]
    UnknownType {
        /// Type byte.
        kind: u8,
        /// `server` or `client`.
        from: &'static str,
    },
    /// The type has another length.
    #[error("SoupBinTCP packet {:?} has {expected} bytes, not {actual}", char::from(*.kind))]
    WrongLength {
        /// Type byte.
        kind: u8,
        /// Its payload's length.
        expected: usize,
        /// Bytes of the payload.
        actual: usize,
    },
    /// A sequence number that is not digits, or exceeds 64 bits.
    #[error("the sequence number of a SoupBinTCP packet {:?} is not a number", char::from(*.kind))]
    BadNumber {
        /// Type byte.
        kind: u8,
    },
    /// An unknown reason of a reject.
    #[error("{:?} is not a reason of a SoupBinTCP reject", char::from(*.0))]
    UnknownReason(u8),
}

impl Decoder {
    /// A decoder that takes packets of at most `max_packet_len` bytes (type and payload); more
    /// than [`MAX_PACKET_LEN`] counts as that.
    pub fn new(max_packet_len: usize) -> Self {
        let max_packet_len = max_packet_len.clamp(1, MAX_PACKET_LEN);
        Self {
            buffer: Buffer::new(LENGTH_LEN + max_packet_len),
            max_packet_len,
        }
    }

    /// Takes bytes of the stream and returns how many; the rest is to be given again after
    /// [`Decoder::next`] was called until it answered `None`. Then at least one is taken.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.push(bytes)
    }

    /// The next whole packet; `None` until more bytes come.
    ///
    /// # Errors
    /// [`SoupError::Empty`], [`SoupError::TooLong`]: the stream cannot go on. The same again on
    /// each further call.
    #[expect(
        clippy::should_implement_trait,
        reason = "the packet borrows from the decoder"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, SoupError> {
        let Some((length, rest)) = self.buffer.unread().split_first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            return Err(SoupError::Empty);
        }
        if let Some(&kind) = rest.first().filter(|_| length > self.max_packet_len) {
            let limit = self.max_packet_len;
            return Err(SoupError::TooLong {
                kind,
                length,
                limit,
            });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let packet = &self.buffer.take(LENGTH_LEN + length)[LENGTH_LEN..];
        Ok(packet
            .split_first()
            .map(|(&kind, payload)| Frame { kind, payload }))
    }

    /// Whether a part of a packet waits for the rest.
    pub fn is_inside_packet(&self) -> bool {
        !self.buffer.unread().is_empty()
    }

    /// Forgets everything, for a new connection.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }
}

impl<'a> ServerPacket<'a> {
    /// Checks a packet of a server.
    ///
    /// # Errors
    /// [`SoupError`] names the first rule that was broken.
    pub fn parse(frame: Frame<'a>) -> Result<Self, SoupError> {
        let Frame { kind, payload } = frame;
        Ok(match kind {
            kind::ACCEPTED => {
                let fields: &[u8; 30] = sized(kind, payload)?;
                let sequence = digits(&fields[10..]).ok_or(SoupError::BadNumber { kind })?;
                Self::Accepted {
                    session: session_of(&fields[..10]),
                    sequence,
                }
            }
            kind::REJECTED => {
                let [code] = sized(kind, payload)?;
                let reason = RejectReason::from_code(*code);
                Self::Rejected(reason.ok_or(SoupError::UnknownReason(*code))?)
            }
            kind::SEQUENCED => Self::Sequenced(payload),
            kind::UNSEQUENCED => Self::Unsequenced(payload),
            kind::SERVER_HEARTBEAT => sized::<0>(kind, payload).map(|_| Self::Heartbeat)?,
            kind::END_OF_SESSION => sized::<0>(kind, payload).map(|_| Self::EndOfSession)?,
            kind::DEBUG => Self::Debug(payload),
            kind => {
                let from = "server";
                return Err(SoupError::UnknownType { kind, from });
            }
        })
    }
}

impl<'a> ClientPacket<'a> {
    /// Checks a packet of a client.
    ///
    /// # Errors
    /// [`SoupError`] names the first rule that was broken.
    pub fn parse(frame: Frame<'a>) -> Result<Self, SoupError> {
        let Frame { kind, payload } = frame;
        Ok(match kind {
            kind::LOGIN => Self::Login(Login::parse(sized(kind, payload)?)?),
            kind::UNSEQUENCED => Self::Unsequenced(payload),
            kind::CLIENT_HEARTBEAT => sized::<0>(kind, payload).map(|_| Self::Heartbeat)?,
            kind::LOGOUT => sized::<0>(kind, payload).map(|_| Self::Logout)?,
            kind::DEBUG => Self::Debug(payload),
            kind => {
                let from = "client";
                return Err(SoupError::UnknownType { kind, from });
            }
        })
    }
}

impl RejectReason {
    /// The reason as a stable snake_case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAuthorised => "not_authorised",
            Self::SessionNotAvailable => "session_not_available",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::NotAuthorised, Self::SessionNotAvailable]
            .into_iter()
            .find(|reason| *reason as u8 == code)
    }
}

impl SoupError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong { .. } => "too_long",
            Self::UnknownType { .. } => "unknown_type",
            Self::WrongLength { .. } => "wrong_length",
            Self::BadNumber { .. } => "bad_number",
            Self::UnknownReason(_) => "unknown_reason",
        }
    }
}

/// Whether two names mean one session: SoupBinTCP pads on the left, MoldUDP64 as the venue likes.
pub fn same_session(left: Session, right: Session) -> bool {
    left.0.trim_ascii() == right.0.trim_ascii()
}

/// A session's name from its field, padded on the right.
fn session_of(field: &[u8]) -> Session {
    let name = field.trim_ascii();
    let mut session = [b' '; 10];
    session[..name.len()].copy_from_slice(name);
    Session(session)
}

fn sized<const N: usize>(kind: u8, payload: &[u8]) -> Result<&[u8; N], SoupError> {
    payload.try_into().map_err(|_| SoupError::WrongLength {
        kind,
        expected: N,
        actual: payload.len(),
    })
}

#[cfg(test)]
mod tests;
