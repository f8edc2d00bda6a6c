//! GLIMPSE 5.0: a snapshot of the ITCH state over SoupBinTCP.
//!
//! After a login with sequence number [`LOGIN_SEQUENCE`] the server sends ITCH messages (system
//! event, directory, states of trading, one add per resting order) and at the end one message that
//! names the ITCH number at which real-time processing begins:
//!
//! | Offset | Field |
//! |---|---|
//! | 0 | type [`END_KIND`] |
//! | 1 | sequence number, 20 ASCII digits |
//!
//! The layout of that last message is not confirmed by a capture; it is in the constants here and
//! nowhere else.

use thiserror::Error;

use crate::stream::{digits, put_digits};

/// The number to log in with: the whole snapshot.
pub const LOGIN_SEQUENCE: u64 = 1;
/// Type of the last message.
pub const END_KIND: u8 = b'G';
/// Bytes of the last message.
pub const END_LEN: usize = 1 + END_DIGITS;

const END_DIGITS: usize = 20;

/// The last message of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// The first ITCH message that the snapshot does not contain.
    pub sequence: u64,
}

/// Why a message of the end's type is not the end of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SnapshotEndError {
    /// Another length.
    #[error("the end of a GLIMPSE snapshot has {END_LEN} bytes, not {actual}")]
    WrongLength {
        /// Bytes of the message.
        actual: usize,
    },
    /// No digits, or beyond 64 bits.
    #[error("the end of a GLIMPSE snapshot names no sequence number")]
    BadNumber,
    /// Sessions count from 1.
    #[error("the end of a GLIMPSE snapshot names sequence number 0; sessions count from 1")]
    ZeroSequence,
}

impl SnapshotEnd {
    /// The message.
    pub fn encode(&self) -> [u8; END_LEN] {
        let mut number = [0; END_DIGITS];
        put_digits(self.sequence, &mut number);
        let mut out = [END_KIND; END_LEN];
        out[1..].copy_from_slice(&number);
        out
    }

    /// Reads a message; `None` when it is of another type, hence ITCH.
    ///
    /// # Errors
    /// [`SnapshotEndError`] for one of this type with another layout.
    pub fn parse(message: &[u8]) -> Option<Result<Self, SnapshotEndError>> {
        let (&END_KIND, number) = message.split_first()? else {
            return None;
        };
        if message.len() != END_LEN {
            let actual = message.len();
            return Some(Err(SnapshotEndError::WrongLength { actual }));
        }
        Some(match digits(number) {
            None => Err(SnapshotEndError::BadNumber),
            Some(0) => Err(SnapshotEndError::ZeroSequence),
            Some(sequence) => Ok(Self { sequence }),
        })
    }
}

impl SnapshotEndError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::WrongLength { .. } => "wrong_length",
            Self::BadNumber => "bad_number",
            Self::ZeroSequence => "zero_sequence",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Proves the layout: `G` and twenty places, digits at the right; zeros may fill them.
    #[test]
    fn golden_bytes() {
        let end = SnapshotEnd { sequence: 9_001 };
        assert_eq!(end.encode(), *b"G                9001");
        assert_eq!(SnapshotEnd::parse(b"G                9001"), Some(Ok(end)));
        assert_eq!(SnapshotEnd::parse(b"G00000000000000009001"), Some(Ok(end)));
        assert_eq!(
            crate::itch50::length_of(END_KIND),
            None,
            "no ITCH message has its type"
        );
    }

    /// Proves that each broken rule has its reason and that other types are left to ITCH.
    #[test]
    fn broken_ends_name_the_rule() {
        let reason = |message: &[u8]| SnapshotEnd::parse(message).unwrap().unwrap_err().reason();
        assert_eq!(reason(b"G9001"), "wrong_length");
        assert_eq!(reason(b"G                90x1"), "bad_number");
        assert_eq!(reason(b"G                    "), "bad_number");
        assert_eq!(reason(b"G                   0"), "zero_sequence");
        assert_eq!(SnapshotEnd::parse(b""), None);
        assert_eq!(SnapshotEnd::parse(b"S9001"), None);
    }

    proptest! {
        /// Proves that no bytes panic and that every number comes back.
        #[test]
        fn any_message_is_judged(
            message in proptest::collection::vec(any::<u8>(), 0..30),
            sequence in 1u64..,
        ) {
            let _ = SnapshotEnd::parse(&message);
            let end = SnapshotEnd { sequence };
            prop_assert_eq!(SnapshotEnd::parse(&end.encode()), Some(Ok(end)));
        }
    }
}
