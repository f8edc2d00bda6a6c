//! The request packet of MoldUDP64: sent unicast to a re-request server.

use thiserror::Error;

use super::{END_OF_SESSION, HEADER_LEN, Session, header, split_header};

/// Asks for `count` messages from `first_sequence` on.
///
/// The answer is a normal downstream packet with the whole messages that fit one datagram, so the
/// remainder must be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Session of the wanted messages.
    pub session: Session,
    /// Sequence number of the first wanted message, from 1.
    pub first_sequence: u64,
    /// Number of wanted messages, 1 to [`super::MAX_REQUEST_COUNT`].
    pub count: u16,
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not exactly 20 bytes.
    #[error("a MoldUDP64 request has {HEADER_LEN} bytes, not {actual}")]
    WrongLength {
        /// Bytes of the datagram.
        actual: usize,
    },
    /// Sequence number 0; sessions count from 1.
    #[error("request for sequence number 0; sessions count from 1")]
    ZeroSequence,
    /// Message count 0 or 0xFFFF.
    #[error("request for {count} messages; 1 to 65534 can be asked for")]
    BadCount {
        /// Message count of the request.
        count: u16,
    },
    /// Sequence number plus message count exceeds 64 bits.
    #[error("sequence number {first_sequence} plus {count} messages exceeds 64 bits")]
    SequenceOverflow {
        /// First wanted sequence number.
        first_sequence: u64,
        /// Message count of the request.
        count: u16,
    },
}

impl Request {
    /// The 20 bytes of the request.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        header(self.session, self.first_sequence, self.count)
    }

    /// Checks a whole datagram.
    ///
    /// # Errors
    /// [`RequestError`] names the first rule that was broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let Ok(head) = <&[u8; HEADER_LEN]>::try_from(bytes) else {
            return Err(RequestError::WrongLength {
                actual: bytes.len(),
            });
        };
        let (session, first_sequence, count) = split_header(head);
        if first_sequence == 0 {
            return Err(RequestError::ZeroSequence);
        }
        if count == 0 || count == END_OF_SESSION {
            return Err(RequestError::BadCount { count });
        }
        if first_sequence.checked_add(u64::from(count)).is_none() {
            return Err(RequestError::SequenceOverflow {
                first_sequence,
                count,
            });
        }
        Ok(Self {
            session,
            first_sequence,
            count,
        })
    }
}

impl RequestError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::WrongLength { .. } => "wrong_length",
            Self::ZeroSequence => "zero_sequence",
            Self::BadCount { .. } => "bad_count",
            Self::SequenceOverflow { .. } => "sequence_overflow",
        }
    }
}
