//! Shared-memory broadcast ring: one writer that never waits, any number of readers at their own
//! pace, each of which knows when it was lapped.
//!
//! # The file, version 1
//!
//! Little-endian words of 64 bits on tmpfs: a header of 4,096 bytes, then `slot_count` slots of
//! `slot_stride` bytes. Record `seq` lives in slot `seq % slot_count`:
//!
//! | word | content |
//! |---|---|
//! | 0 | stamp: `2·seq + 1` while the record is written, `2·seq + 2` when it is whole, 0 never used |
//! | 1 | u8 kind, u8 line, u8 stamp source, u8 zero, u16 channel, u16 zero |
//! | 2 | u32 message count, u32 payload length |
//! | 3 | venue sequence of the first message |
//! | 4 | receive time, UTC nanoseconds |
//! | 5… | payload, the last word padded with zeros |
//!
//! # Why it is right
//!
//! Each slot is a seqlock whose sequence says *which* record it holds. The writer stores the odd
//! stamp, `fence(Release)`, the words, and the even stamp with Release; then the head with Release.
//! A reader takes a record only when the head is past it, loads the stamp with Acquire, copies the
//! words, `fence(Acquire)`, and loads the stamp again. When one of its words came from a later
//! record, the two fences synchronise and the second load sees at least that record's odd stamp: the
//! copy is thrown away. All words are relaxed atomics, so there is no data race in between, and the
//! price is one 8-byte store per word.
//!
//! The head, not the stamp, publishes: a record whose writer died before it moved the head was never
//! there, for live readers and for the one that drains the ring after the crash alike.
//!
//! A new writer makes a new file and renames it over the old one. Readers keep the old mapping,
//! finish it if they want, and learn of the change by [`Reader::writer_changed`].

#[cfg(not(target_endian = "little"))]
compile_error!("the ring file is little-endian: this target needs byte swaps in every accessor");

mod error;
mod layout;
mod mapping;
mod reader;
mod writer;

pub use error::RingError;
pub use reader::{Read, Reader};
pub use writer::Writer;

/// Shape and identity of a new ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingConfig {
    /// Number of slots, a power of two.
    pub slot_count: u32,
    /// Largest payload of a record, in bytes.
    pub slot_bytes: u32,
    /// Sequence of the first record.
    pub start_seq: u64,
    /// The log whose sequences the ring continues.
    pub log_id: [u8; 16],
    /// The writer's incarnation.
    pub incarnation: [u8; 16],
}

/// The most slots of `slot_bytes`, a power of two, whose ring file takes at most `file_bytes`; `None`
/// when not one fits or `slot_bytes` is out of range.
pub fn slots_within(file_bytes: u64, slot_bytes: u32) -> Option<u32> {
    let shape = |slot_count| {
        layout::Shape::of(&RingConfig {
            slot_count,
            slot_bytes,
            start_seq: 0,
            log_id: [0; 16],
            incarnation: [0; 16],
        })
    };
    let fits = |slot_count: &u32| {
        shape(*slot_count).is_ok_and(|shape| shape.total_len() as u64 <= file_bytes)
    };
    (0..u32::BITS).rev().map(|power| 1 << power).find(fits)
}

/// What travels with a payload. Codes are the caller's; the ring only carries them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordHeader {
    /// Kind of record.
    pub kind: u8,
    /// Line that it came on.
    pub line: u8,
    /// Source of the receive time.
    pub stamp: u8,
    /// Channel number.
    pub channel: u16,
    /// Number of messages in the payload.
    pub count: u32,
    /// Venue sequence of the first message.
    pub venue_seq: u64,
    /// Receive time, UTC nanoseconds.
    pub rx_ns: u64,
}
