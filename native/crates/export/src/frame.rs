//! The envelope of every message: 20 bytes and a payload, little endian.
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 4 | length of the payload, at most 1 MiB + 128 |
//! | 4 | 1 | type, from 1 |
//! | 5 | 1 | flags, zero in version 1 |
//! | 6 | 2 | zero |
//! | 8 | 8 | sequence; its meaning is the type's |
//! | 16 | 4 | plain CRC32C over bytes 0..16 and the payload |
//! | 20 | | payload |
//!
//! In Python the header is `struct.Struct("<IBBHQI")`.
//!
//! A length is judged as soon as its four bytes are there, so nothing is awaited or reserved for a
//! frame that will be refused. After an error a decoder gives that error for ever: the place of the
//! next frame is not known.

/// Bytes of the header.
pub const HEADER_LEN: usize = 20;
/// Longest payload: a journal block with a payload of 1 MiB, and room.
pub const MAX_PAYLOAD: usize = (1 << 20) + 128;

/// Why bytes are not a frame. The connection is closed; the subscriber resumes by sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is above what the reader takes.
    #[error("frame of {length} payload bytes, at most {limit} are taken here")]
    TooLong {
        /// What the header says.
        length: u32,
        /// What the reader takes.
        limit: u32,
    },
    /// Type 0, or flags or reserved bytes that are not zero.
    #[error("frame header with type {kind}, flags {flags:#04x}, reserved {reserved:#06x}")]
    BadHeader {
        /// Type.
        kind: u8,
        /// Flags.
        flags: u8,
        /// Bytes 6 and 7.
        reserved: u16,
    },
    /// The checksum does not fit.
    #[error("frame CRC {stored:#010x}, computed {computed:#010x}")]
    BadCrc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
}

/// A frame whose length, header and checksum are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type, not 0; [`message`](crate::message) knows which exist.
    pub kind: u8,
    /// Sequence.
    pub seq: u64,
    /// Content.
    pub payload: &'a [u8],
}

/// The header of a frame, for callers that send it and the payload from two places.
///
/// # Panics
///
/// When the payload is longer than [`MAX_PAYLOAD`] or the type is 0.
#[must_use]
pub fn header(kind: u8, seq: u64, payload: &[u8]) -> [u8; HEADER_LEN] {
    assert!(payload.len() <= MAX_PAYLOAD && kind != 0);
    let mut bytes = [0; HEADER_LEN];
    // Below the cap, which fits.
    bytes[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[4] = kind;
    bytes[8..16].copy_from_slice(&seq.to_le_bytes());
    let crc = crc(&bytes, payload);
    bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Appends a frame to `out`.
///
/// # Panics
///
/// As [`header`].
pub fn push(out: &mut Vec<u8>, kind: u8, seq: u64, payload: &[u8]) {
    out.extend_from_slice(&header(kind, seq, payload));
    out.extend_from_slice(payload);
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next frame begins in the buffer.
    at: usize,
    max_payload: usize,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder that refuses payloads longer than `max_payload`, itself at most [`MAX_PAYLOAD`].
    #[must_use]
    pub fn new(max_payload: usize) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            max_payload: max_payload.min(MAX_PAYLOAD),
            failed: None,
        }
    }

    /// Takes bytes as they came. Between calls of this, call [`next`](Self::next) until it gives
    /// `None`, so that the buffer holds less than one frame and one feed.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// [`FrameError`], and the same again on each further call.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows from the decoder"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let begin = self.at;
        match whole_frame(&self.buffer[begin..], self.max_payload) {
            Ok(None) => Ok(None),
            Ok(Some(len)) => {
                self.at = begin + len;
                let bytes = &self.buffer[begin..self.at];
                Ok(Some(Frame {
                    kind: bytes[4],
                    seq: u64::from_le_bytes(array(bytes, 8)),
                    payload: &bytes[HEADER_LEN..],
                }))
            }
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                Err(error)
            }
        }
    }

    /// Bytes that wait for the rest of their frame.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.at.min(self.buffer.len())
    }

    /// Takes longer or shorter payloads from now on.
    pub fn set_max_payload(&mut self, max_payload: usize) {
        self.max_payload = max_payload.min(MAX_PAYLOAD);
    }
}

/// Length of the frame at the beginning of `bytes`, if it is whole; everything is checked that can
/// be.
fn whole_frame(bytes: &[u8], max_payload: usize) -> Result<Option<usize>, FrameError> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    let length = u32::from_le_bytes(array(bytes, 0));
    if length as usize > max_payload {
        let limit = max_payload as u32;
        return Err(FrameError::TooLong { length, limit });
    }
    if bytes.len() < HEADER_LEN {
        return Ok(None);
    }
    let (kind, flags) = (bytes[4], bytes[5]);
    let reserved = u16::from_le_bytes(array(bytes, 6));
    if kind == 0 || flags != 0 || reserved != 0 {
        return Err(FrameError::BadHeader {
            kind,
            flags,
            reserved,
        });
    }
    let len = HEADER_LEN + length as usize;
    let Some(frame) = bytes.get(..len) else {
        return Ok(None);
    };
    let (header, payload) = frame.split_at(HEADER_LEN);
    let stored = u32::from_le_bytes(array(header, CRC_AT));
    let computed = crc(header, payload);
    if stored != computed {
        return Err(FrameError::BadCrc { stored, computed });
    }
    Ok(Some(len))
}

fn crc(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CRC_AT]), payload)
}

/// The `N` bytes at `at`; callers have checked the length.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

const CRC_AT: usize = 16;
