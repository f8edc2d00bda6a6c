//! On-disk structures of format version 1 (RELIABILITY.md section 6), all little endian.
//!
//! ```text
//! log      = directory: segment files, STATE, lock, quarantine/
//! segment  = header (128 B) , block* , [ SEAL block , trailer (64 B) ] , [ zeros up to the size ]
//! block    = header (72 B) , payload (stored_len) , zero padding (pad_len)
//! payload  = records of a DATA block | nothing (CHECKPOINT) | seal figures and index (SEAL)
//! record   = header (24 B) , payload
//! ```
//!
//! Two checksums per block, because with one a damaged length makes a reader look at the wrong
//! place and the damage then looks like an unfinished write. Every block names the header checksum
//! of the block before it, so a lost or misplaced write breaks the chain; every segment names the
//! SHA-256 of the seal before it, so a lost or swapped file does too.
//!
//! Checksums are CRC32C stored masked, because they cover data that holds checksums itself.

pub(crate) mod block_header;
pub(crate) mod record;
pub(crate) mod seal;
pub(crate) mod segment_header;
pub(crate) mod state;
#[cfg(test)]
mod tests;

pub(crate) use block_header::{BlockHeader, BlockKind};
pub(crate) use record::RecordHeader;
pub(crate) use seal::{IndexEntry, Seal, Trailer};
pub(crate) use segment_header::{SegmentHeader, abandoned_hash};
pub(crate) use state::State;

/// The only format version that exists.
pub(crate) const VERSION: u16 = 1;
/// Longest stored or raw payload of a block.
pub(crate) const MAX_BLOCK_PAYLOAD: usize = 1 << 20;
/// Longest stored payload of a normal block; longer ones begin and end on the grid.
pub(crate) const NORMAL_BLOCK_PAYLOAD: usize = 60 * 1024;
/// Highest sequence that may come next, 2^63 - 1. What is in files stays at or below it, and numbers
/// that are counted on from (last sequences, segments, epochs, generations) below it, so that no sum
/// overflows and what a writer writes is never beyond what is read.
pub(crate) const MAX_NUMBER: u64 = u64::MAX >> 1;
/// Blocks begin at multiples of this.
pub(crate) const BLOCK_ALIGN: u64 = 8;

/// CRC32C of `bytes` in the form kept in files: rotated right by 15, plus 0xA282EAD8.
pub(crate) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xA282_EAD8)
}

/// Writes fields into a fixed structure by offset.
pub(crate) struct Fields<'a>(pub(crate) &'a mut [u8]);

impl Fields<'_> {
    pub(crate) fn u16(&mut self, at: usize, value: u16) {
        self.bytes(at, &value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, at: usize, value: u32) {
        self.bytes(at, &value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, at: usize, value: &[u8]) {
        self.0[at..at + value.len()].copy_from_slice(value);
    }
}

/// The `N` bytes at `at`. Callers pass structures whose length they have checked.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub(crate) fn get_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// True when every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Whole words first: this runs over preallocated tails of many megabytes.
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
