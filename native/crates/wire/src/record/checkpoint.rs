//! Payload of SNAPSHOT_ANCHOR: what the books of a channel were at a place of its stream.
//!
//! The book worker takes it at a record boundary and asks the receiver to put it into the stream.
//! So it stands later than the place that it names: whoever reads the stream compares it with the
//! books as they were before record `cursor`.

use super::{PayloadError, put_u64, sized, u64_at};

/// Payload of SNAPSHOT_ANCHOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first record that is not in it.
    pub cursor: u64,
    /// Messages that the writer of the checkpoint had applied. Tells how much lies between two
    /// checkpoints; it is not compared, since it goes on where books start over.
    pub messages: u64,
    /// Venue sequence number of the next message; 0 when it is not known.
    pub next_sequence: u64,
    /// Hash of every order of every book, as `Books::channel_hash` gives it.
    pub state_hash: u64,
    /// Books of the channel.
    pub books: u32,
    /// How far the writer trusted them: 0 GOOD, 1 SUSPECT, 2 REBUILDING, 3 STALE.
    pub trust: u8,
}

impl Checkpoint {
    /// Bytes of the payload.
    pub const LEN: usize = 40;
    /// The trust of books that nothing speaks against.
    pub const GOOD: u8 = 0;
    /// The highest trust code.
    const TRUST_MAX: u8 = 3;

    /// The payload: four words, books, trust, three zero bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_u64(&mut out, 0, self.cursor);
        put_u64(&mut out, 8, self.messages);
        put_u64(&mut out, 16, self.next_sequence);
        put_u64(&mut out, 24, self.state_hash);
        out[32..36].copy_from_slice(&self.books.to_le_bytes());
        out[36] = self.trust;
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for another size or an unknown trust.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes: &[u8; Self::LEN] = sized("checkpoint", payload)?;
        let trust = bytes[36];
        if trust > Self::TRUST_MAX {
            return Err(PayloadError::UnknownCode {
                payload: "checkpoint",
                field: "trust",
                code: trust,
            });
        }
        Ok(Self {
            cursor: u64_at(bytes, 0),
            messages: u64_at(bytes, 8),
            next_sequence: u64_at(bytes, 16),
            state_hash: u64_at(bytes, 24),
            books: u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]),
            trust,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Proves the byte layout: four little-endian words, four bytes of books, trust, zeros.
    #[test]
    fn the_layout_is_stable() {
        let checkpoint = Checkpoint {
            cursor: 0x0102,
            messages: 3,
            next_sequence: 4,
            state_hash: 0x1112_1314_1516_1718,
            books: 0x0506,
            trust: 1,
        };
        let mut expected = [0; 40];
        expected[..2].copy_from_slice(&[0x02, 0x01]);
        (expected[8], expected[16]) = (3, 4);
        expected[24..32].copy_from_slice(&[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]);
        expected[32..34].copy_from_slice(&[0x06, 0x05]);
        expected[36] = 1;
        assert_eq!(checkpoint.encode(), expected);
        assert_eq!(Checkpoint::decode(&expected), Ok(checkpoint));
    }

    proptest! {
        /// Every checkpoint comes back, and what is no checkpoint is refused by name.
        #[test]
        fn every_checkpoint_comes_back(
            words in any::<[u64; 4]>(),
            books: u32,
            trust in 0..=3_u8,
            noise in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let [cursor, messages, next_sequence, state_hash] = words;
            let checkpoint = Checkpoint {
                cursor, messages, next_sequence, state_hash, books, trust,
            };
            prop_assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint));
            match Checkpoint::decode(&noise) {
                Ok(read) => prop_assert_eq!(&read.encode()[..37], &noise[..37]),
                Err(PayloadError::WrongLength { actual, .. }) => {
                    prop_assert_eq!(actual, noise.len());
                    prop_assert_ne!(actual, Checkpoint::LEN);
                }
                Err(PayloadError::UnknownCode { code, .. }) => prop_assert!(code > 3),
            }
        }
    }
}
