//! Offsets of the ring file.

use std::path::Path;

use crate::{RingConfig, RingError};

/// The bytes "TDRING01" as a little-endian word, stored last with Release.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"TDRING01");
/// Bytes of the header: a page, so that the slots begin on their own.
pub(crate) const HEADER_LEN: usize = 4096;
/// Words of a slot before the payload.
pub(crate) const SLOT_HEADER_WORDS: usize = 5;
/// Slots begin on cache lines.
pub(crate) const SLOT_ALIGN: usize = 64;

/// Words of the header.
pub(crate) const WORD_MAGIC: usize = 0;
/// u32 slot count, u32 payload bytes of a slot.
pub(crate) const WORD_SHAPE: usize = 1;
/// u64 length of the file.
pub(crate) const WORD_TOTAL_LEN: usize = 2;
/// u64 sequence of the first record.
pub(crate) const WORD_START_SEQ: usize = 3;
/// 16 bytes.
pub(crate) const WORD_LOG_ID: usize = 4;
/// 16 bytes.
pub(crate) const WORD_INCARNATION: usize = 6;
/// u64 sequence of the next record, in a pair of cache lines of its own.
pub(crate) const WORD_HEAD: usize = 32;

/// Largest slot payload: more would be a mistake in the configuration, not a packet.
pub(crate) const SLOT_BYTES_MAX: u32 = 1 << 20;
/// Stamps are `2·seq + 2`, so sequences keep clear of the top bits.
pub(crate) const SEQ_MAX: u64 = 1 << 62;

/// Shape of a ring that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) slot_count: u32,
    pub(crate) slot_bytes: u32,
}

impl Shape {
    pub(crate) fn of(config: &RingConfig) -> Result<Self, RingError> {
        let refuse = |field, value, expected| {
            Err(RingError::Config {
                field,
                value,
                expected,
            })
        };
        if !config.slot_count.is_power_of_two() {
            return refuse("slot_count", config.slot_count.into(), "a power of two");
        }
        if config.slot_bytes == 0 || config.slot_bytes > SLOT_BYTES_MAX {
            return refuse("slot_bytes", config.slot_bytes.into(), "1 to 1,048,576");
        }
        if config.start_seq > SEQ_MAX {
            return refuse("start_seq", config.start_seq, "at most 2^62");
        }
        Ok(Self {
            slot_count: config.slot_count,
            slot_bytes: config.slot_bytes,
        })
    }

    pub(crate) fn from_word(word: u64, path: &Path) -> Result<Self, RingError> {
        let (slot_count, slot_bytes) = (word as u32, (word >> 32) as u32);
        let is_valid = slot_count.is_power_of_two() && (1..=SLOT_BYTES_MAX).contains(&slot_bytes);
        if is_valid {
            Ok(Self {
                slot_count,
                slot_bytes,
            })
        } else {
            Err(RingError::format(
                path,
                format!("{slot_count} slots of {slot_bytes} bytes"),
            ))
        }
    }

    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.slot_count) | u64::from(self.slot_bytes) << 32
    }

    /// Words from one slot to the next.
    pub(crate) fn stride_words(self) -> usize {
        let bytes = SLOT_HEADER_WORDS * 8 + self.slot_bytes as usize;
        bytes.next_multiple_of(SLOT_ALIGN) / 8
    }

    /// Length of the file.
    pub(crate) fn total_len(self) -> usize {
        HEADER_LEN + self.slot_count as usize * self.stride_words() * 8
    }

    /// First word of the slot of `seq`.
    #[inline]
    pub(crate) fn slot_word(self, seq: u64) -> usize {
        let slot = (seq & u64::from(self.slot_count - 1)) as usize;
        HEADER_LEN / 8 + slot * self.stride_words()
    }
}

/// Stamp of a slot while `seq` is written into it.
#[inline]
pub(crate) fn writing(seq: u64) -> u64 {
    2 * seq + 1
}

/// Stamp of a slot that holds all of `seq`.
#[inline]
pub(crate) fn whole(seq: u64) -> u64 {
    2 * seq + 2
}

/// The two words of a 16-byte identity.
pub(crate) fn id_words(id: [u8; 16]) -> [u64; 2] {
    let value = u128::from_le_bytes(id);
    [value as u64, (value >> 64) as u64]
}

/// The identity of two words.
pub(crate) fn id_of(words: [u64; 2]) -> [u8; 16] {
    (u128::from(words[0]) | u128::from(words[1]) << 64).to_le_bytes()
}
