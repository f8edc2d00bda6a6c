//! `len_seq_payload`: a range of a session from another tickdeck, over TCP.
//!
//! All numbers are big-endian. A client sends a request of [`REQUEST_LEN`] bytes and reads one
//! answer; then it may send the next one on the same connection.
//!
//! | Offset | Request |
//! |---|---|
//! | 0 | magic `TDRP` |
//! | 4 | version `u16`, 1 |
//! | 6 | session, 10 bytes, compared raw |
//! | 16 | first wanted sequence number `u64`, from 1 |
//! | 24 | count `u32`, from 1 |
//!
//! An answer is a run of frames: one *begin*, any number of *messages* or *packet* frames whose
//! numbers follow each other, one *end*. Or it is one *refused*.
//!
//! | Offset | Frame |
//! |---|---|
//! | 0 | length `u32` of what follows it, 12 to 12 + [`MAX_PAYLOAD`] |
//! | 4 | sequence number `u64` |
//! | 12 | count `u16` of messages |
//! | 14 | kind `u8` |
//! | 15 | reserved `u8`, 0 |
//! | 16 | payload |
//!
//! | Kind | Sequence number | Count | Payload |
//! |---|---|---|---|
//! | `B` begin | first wanted | 0 | the request's session `[10]` and count `u32` |
//! | `M` messages | of the first | 1 to 65,534 | message blocks: length `u16` + bytes each |
//! | `W` packet | of it | 1 | one whole packet, of a protocol that numbers packets |
//! | `E` end | the next one, of what was not given | 0 | none |
//! | `R` refused | first wanted | 0 | a word: [`Refusal::name`] |
//!
//! An answer may end before the range does: the end's number says so, and the rest is not here.

use thiserror::Error;

use crate::moldudp64::{MAX_REQUEST_COUNT, Session, count_blocks};
use crate::stream::Buffer;

/// Bytes of a request.
pub const REQUEST_LEN: usize = 28;
/// Bytes of a frame in front of its payload.
pub const FRAME_HEADER_LEN: usize = 16;
/// Most bytes of a frame's payload.
pub const MAX_PAYLOAD: usize = 65_537;

const MAGIC: [u8; 4] = *b"TDRP";
const VERSION: u16 = 1;
/// The length that a frame without payload has.
const LEAST_LENGTH: usize = FRAME_HEADER_LEN - 4;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Session of the wanted messages or packets.
    pub session: Session,
    /// First wanted number, from 1.
    pub first_sequence: u64,
    /// How many, from 1.
    pub count: u32,
}

/// One frame of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The answer to this request begins.
    Begin(Request),
    /// Messages that follow each other.
    Messages {
        /// Number of the first.
        first_sequence: u64,
        /// How many, 1 to 65,534.
        count: u16,
        /// Length and bytes of each.
        blocks: &'a [u8],
    },
    /// One whole packet.
    Packet {
        /// Its number.
        sequence: u64,
        /// Its bytes.
        packet: &'a [u8],
    },
    /// The answer is over.
    End {
        /// The first number that was not given.
        next_sequence: u64,
    },
    /// There is no answer.
    Refused {
        /// The first wanted number.
        first_sequence: u64,
        /// Why.
        reason: Refusal,
    },
}

/// Why a server has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a request of this version.
    BadRequest,
    /// It has nothing of that session.
    WrongSession,
    /// It does not have the first wanted number: lost, dropped, or not there yet.
    NotHere,
    /// It serves as many as it can.
    Busy,
    /// It cannot read what it has.
    Failed,
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// It does not begin with the magic.
    #[error("a len_seq_payload request begins with TDRP")]
    BadMagic,
    /// Another version.
    #[error("len_seq_payload version {version}; this one knows {VERSION}")]
    UnknownVersion {
        /// Version of the request.
        version: u16,
    },
    /// A range that is empty, begins at 0 or exceeds 64 bits.
    #[error("{count} numbers from {first_sequence} are no range; numbers and counts are from 1")]
    BadRange {
        /// First wanted number.
        first_sequence: u64,
        /// How many.
        count: u32,
    },
}

/// Why bytes are not a frame. After an error nothing behind it can be found any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Shorter than a header or longer than allowed.
    #[error("a len_seq_payload frame of {length} bytes; {LEAST_LENGTH} to {} are allowed",
            LEAST_LENGTH + MAX_PAYLOAD)]
    BadLength {
        /// Length field.
        length: u32,
    },
    /// Not a kind of frame.
    #[error("{:?} is not a kind of len_seq_payload frame", char::from(*.0))]
    UnknownKind(u8),
    /// A field or the payload has a value that its kind does not allow.
    #[error("the {what} of a len_seq_payload frame {:?} is not allowed", char::from(*.kind))]
    BadField {
        /// Kind byte.
        kind: u8,
        /// Which field.
        what: &'static str,
    },
}

/// Collects requests from the chunks of a TCP stream.
#[derive(Clone, Debug)]
pub struct RequestDecoder {
    buffer: Buffer,
}

/// Collects frames from the chunks of a TCP stream, in a buffer of fixed size.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    buffer: Buffer,
}

impl Request {
    /// The number behind the range.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.count))
    }

    /// The request's bytes.
    pub fn encode(&self) -> [u8; REQUEST_LEN] {
        let mut out = [0; REQUEST_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_be_bytes());
        out[6..16].copy_from_slice(&self.session.0);
        out[16..24].copy_from_slice(&self.first_sequence.to_be_bytes());
        out[24..].copy_from_slice(&self.count.to_be_bytes());
        out
    }

    /// Checks a request.
    ///
    /// # Errors
    /// [`RequestError`] names the first rule that was broken.
    pub fn parse(bytes: &[u8; REQUEST_LEN]) -> Result<Self, RequestError> {
        if bytes[..4] != MAGIC {
            return Err(RequestError::BadMagic);
        }
        let version = u16::from_be_bytes(array(&bytes[4..6]));
        if version != VERSION {
            return Err(RequestError::UnknownVersion { version });
        }
        let first_sequence = u64::from_be_bytes(array(&bytes[16..24]));
        let count = u32::from_be_bytes(array(&bytes[24..]));
        let request = Self {
            session: Session(array(&bytes[6..16])),
            first_sequence,
            count,
        };
        request.checked().ok_or(RequestError::BadRange {
            first_sequence,
            count,
        })
    }

    fn checked(self) -> Option<Self> {
        let end = self.first_sequence.checked_add(u64::from(self.count));
        (self.first_sequence > 0 && self.count > 0 && end.is_some()).then_some(self)
    }
}

impl RequestDecoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self {
            buffer: Buffer::new(REQUEST_LEN),
        }
    }

    /// As [`FrameDecoder::push`].
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.push(bytes)
    }

    /// The next whole request; `None` until more bytes come.
    ///
    /// # Errors
    /// [`RequestError`]; the stream cannot go on.
    #[expect(clippy::should_implement_trait, reason = "as the decoder of frames")]
    pub fn next(&mut self) -> Result<Option<Request>, RequestError> {
        let Some(&bytes) = self.buffer.unread().first_chunk() else {
            return Ok(None);
        };
        self.buffer.take(REQUEST_LEN);
        Request::parse(&bytes).map(Some)
    }
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameDecoder {
    /// An empty decoder; it owns room for one frame.
    pub fn new() -> Self {
        Self {
            buffer: Buffer::new(FRAME_HEADER_LEN + MAX_PAYLOAD),
        }
    }

    /// Takes bytes of the stream and returns how many; the rest is to be given again after
    /// [`FrameDecoder::next`] was called until it answered `None`. Then at least one is taken.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.push(bytes)
    }

    /// The next whole frame; `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError`]; the stream cannot go on.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows from the decoder"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let unread = self.buffer.unread();
        let Some(length) = unread.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) else {
            return Ok(None);
        };
        let bytes = length as usize;
        if !(LEAST_LENGTH..=LEAST_LENGTH + MAX_PAYLOAD).contains(&bytes) {
            return Err(FrameError::BadLength { length });
        }
        if unread.len() < 4 + bytes {
            return Ok(None);
        }
        parse_frame(&self.buffer.take(4 + bytes)[4..]).map(Some)
    }

    /// Whether a part of a frame waits for the rest.
    pub fn is_inside_frame(&self) -> bool {
        !self.buffer.unread().is_empty()
    }

    /// Forgets everything, for a new connection.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame<'_> {
    /// Appends the frame.
    ///
    /// # Panics
    /// When the payload exceeds [`MAX_PAYLOAD`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let head = |out: &mut Vec<u8>, sequence: u64, count: u16, kind: u8, payload: usize| {
            assert!(
                payload <= MAX_PAYLOAD,
                "a frame has at most {MAX_PAYLOAD} bytes of payload"
            );
            out.extend_from_slice(&((LEAST_LENGTH + payload) as u32).to_be_bytes());
            out.extend_from_slice(&sequence.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
            out.extend_from_slice(&[kind, 0]);
        };
        match *self {
            Self::Begin(request) => {
                head(out, request.first_sequence, 0, b'B', 14);
                out.extend_from_slice(&request.session.0);
                out.extend_from_slice(&request.count.to_be_bytes());
            }
            Self::Messages {
                first_sequence,
                count,
                blocks,
            } => {
                head(out, first_sequence, count, b'M', blocks.len());
                out.extend_from_slice(blocks);
            }
            Self::Packet { sequence, packet } => {
                head(out, sequence, 1, b'W', packet.len());
                out.extend_from_slice(packet);
            }
            Self::End { next_sequence } => head(out, next_sequence, 0, b'E', 0),
            Self::Refused {
                first_sequence,
                reason,
            } => {
                head(out, first_sequence, 0, b'R', reason.name().len());
                out.extend_from_slice(reason.name().as_bytes());
            }
        }
    }
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::BadRequest,
        Self::WrongSession,
        Self::NotHere,
        Self::Busy,
        Self::Failed,
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::WrongSession => "wrong_session",
            Self::NotHere => "not_here",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

impl RequestError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadMagic => "bad_magic",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::BadRange { .. } => "bad_range",
        }
    }
}

impl FrameError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadLength { .. } => "bad_length",
            Self::UnknownKind(_) => "unknown_kind",
            Self::BadField { .. } => "bad_field",
        }
    }
}

/// Checks a frame without its length; it has at least the rest of the header.
fn parse_frame(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let (head, payload) = bytes.split_at(LEAST_LENGTH);
    let sequence = u64::from_be_bytes(array(&head[..8]));
    let count = u16::from_be_bytes(array(&head[8..10]));
    let (kind, reserved) = (head[10], head[11]);
    let bad = |what| FrameError::BadField { kind, what };
    let require = |holds: bool, what| holds.then_some(()).ok_or(bad(what));
    if !b"BMWER".contains(&kind) {
        return Err(FrameError::UnknownKind(kind));
    }
    require(reserved == 0, "reserved byte")?;
    let last = sequence.checked_add(u64::from(count));
    require(sequence > 0 && last.is_some(), "sequence number")?;
    match kind {
        b'M' => {
            require((1..=MAX_REQUEST_COUNT).contains(&count), "count")?;
            require(count_blocks(payload) == Some(usize::from(count)), "payload")?;
            return Ok(Frame::Messages {
                first_sequence: sequence,
                count,
                blocks: payload,
            });
        }
        b'W' => {
            require(count == 1, "count")?;
            let packet = payload;
            return Ok(Frame::Packet { sequence, packet });
        }
        _ => require(count == 0, "count")?,
    }
    Ok(match kind {
        b'B' => {
            require(payload.len() == 14, "payload")?;
            let request = Request {
                session: Session(array(&payload[..10])),
                first_sequence: sequence,
                count: u32::from_be_bytes(array(&payload[10..])),
            };
            Frame::Begin(request.checked().ok_or(bad("payload"))?)
        }
        b'E' => {
            require(payload.is_empty(), "payload")?;
            Frame::End {
                next_sequence: sequence,
            }
        }
        _ => {
            let known = |reason: &Refusal| reason.name().as_bytes() == payload;
            let reason = Refusal::ALL.into_iter().find(known);
            Frame::Refused {
                first_sequence: sequence,
                reason: reason.ok_or(bad("payload"))?,
            }
        }
    })
}

/// A field of known length.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(bytes);
    field
}

#[cfg(test)]
mod tests;
