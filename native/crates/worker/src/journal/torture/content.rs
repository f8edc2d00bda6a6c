//! What a log of the torture holds: each record follows from a seed and its sequence.

use tickdeck_journal::{Record, kind};

use super::random::mix;

/// What stands at a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A record with this payload.
    Record(Vec<u8>),
    /// A hole that spends so many sequences.
    Hole(u64),
}

/// The content of a sequence; its fields are given by [`record`].
pub(super) fn content(seed: u64, seq: u64) -> Content {
    let bits = mix(seed, seq);
    if bits.is_multiple_of(HOLE_EVERY) {
        return Content::Hole(1 + (bits >> 32) % 5);
    }
    let (class, size) = (bits >> 8 & 0xff, bits >> 16 & 0xffff);
    let len = match class {
        0..180 => size % 200,
        180..240 => 200 + size % 1300,
        240..255 => 1500 + size % 4500,
        _ => 20_000 + size % 30_000,
    };
    // Every other payload repeats itself, as quotes do; the rest does not compress.
    let period = if bits >> 60 & 1 == 0 { 5 } else { u64::MAX };
    let words = (0..).flat_map(|word| mix(bits, word % period).to_le_bytes());
    Content::Record(words.take(usize::try_from(len).expect("small")).collect())
}

/// The record of a sequence, written in an epoch.
pub(super) fn record(seed: u64, seq: u64, epoch: u64, payload: &[u8]) -> Record<'_> {
    let bits = mix(seed ^ 1, seq);
    Record {
        kind: KINDS[usize::try_from(bits % KINDS.len() as u64).expect("small")],
        stamp: (bits >> 8 & 1) as u8,
        line: (bits >> 9 & 3) as u8,
        channel: (bits >> 16 & 0xffff) as u16,
        venue_seq: epoch,
        rx_ns: 1_700_000_000_000_000_000 + seq * 1000 + (bits >> 40) % 1000,
        payload,
    }
}

/// Reason in every hole.
pub(super) const HOLE_REASON: u8 = 1;

const HOLE_EVERY: u64 = 613;
const KINDS: [u8; 8] = [
    kind::DATA,
    kind::DATA,
    kind::DATA,
    kind::DATA,
    kind::DATA,
    kind::GAP_OPEN,
    kind::SNAPSHOT_DATA,
    kind::GAP_NOTE,
];
