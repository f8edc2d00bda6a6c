//! The gap table: the life of the last 256 gaps, readable while it changes.
//!
//! Slot `id % 256`, 16 words each. Word 0 is the slot's seqlock: odd while it is written. A reader
//! that finds it odd or changed tries again; a writer that died inside leaves it odd for good, and
//! the reader reports that slot as torn. A gap that is overwritten while it is still open is
//! counted in `gap_table_overflows_total`.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use crate::handles::{Counter, Region, resolved};

/// Number of slots.
pub const SLOTS: usize = 256;
/// Words of a slot, the seqlock included.
pub const SLOT_WORDS: usize = 16;
/// Bytes of a slot.
pub const SLOT_STRIDE: usize = SLOT_WORDS * 8;
/// How often a reader tries a slot that is being written.
pub const READ_ATTEMPTS: usize = 64;

/// Where a gap is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u64)]
pub enum GapState {
    /// Seen; the other line may still bring it.
    #[default]
    Detected = 1,
    /// The wait for the other line runs.
    Waiting = 2,
    /// The venue was asked.
    Requested = 3,
    /// A part came.
    Partial = 4,
    /// All came, in time or late.
    Filled = 5,
    /// Given up: the missing range was declared lost.
    Unrecoverable = 6,
}

impl GapState {
    /// The state with this code.
    pub fn from_code(code: u64) -> Option<Self> {
        [
            Self::Detected,
            Self::Waiting,
            Self::Requested,
            Self::Partial,
            Self::Filled,
            Self::Unrecoverable,
        ]
        .into_iter()
        .find(|state| *state as u64 == code)
    }

    /// Whether nothing more happens to the gap.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Unrecoverable)
    }
}

/// One gap. Times are UTC nanoseconds, 0: not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GapRow {
    /// Number of the gap within the incarnation, from 1.
    pub id: u64,
    /// First missing sequence.
    pub first: u64,
    /// Last missing sequence, inclusive.
    pub last: u64,
    /// Where it is in its life.
    pub state: GapState,
    /// Who filled it: bit 0 line A, bit 1 line B, bit 2 re-request.
    pub sources: u64,
    /// Why it was given up, 0: it was not.
    pub reason: u64,
    /// When it was seen.
    pub detected_ns: u64,
    /// When the venue was first asked.
    pub requested_ns: u64,
    /// When it was filled or given up.
    pub closed_ns: u64,
    /// How often the venue was asked.
    pub attempts: u64,
    /// Messages still missing.
    pub missing: u64,
    /// Lines that missed it: bit 0 A, bit 1 B.
    pub lines_missed: u64,
    /// Whether the recovery took longer than promised.
    pub slo_violated: bool,
    /// The layer that lost it: a code of the worker's, 0: not known yet, or never asked.
    pub drop_layer: u64,
    /// What that layer lost between the last reading before the gap and the one at the gap.
    pub drop_count: u64,
}

impl GapRow {
    /// The words behind the seqlock. Files of before the drop verdict have zeros in the last two.
    fn to_words(self) -> [u64; SLOT_WORDS - 1] {
        [
            self.id,
            self.first,
            self.last,
            self.state as u64,
            self.sources,
            self.reason,
            self.detected_ns,
            self.requested_ns,
            self.closed_ns,
            self.attempts,
            self.missing,
            self.lines_missed,
            u64::from(self.slo_violated),
            self.drop_layer,
            self.drop_count,
        ]
    }

    /// None when the state is unknown.
    fn from_words(words: &[u64; SLOT_WORDS - 1]) -> Option<Self> {
        Some(Self {
            id: words[0],
            first: words[1],
            last: words[2],
            state: GapState::from_code(words[3])?,
            sources: words[4],
            reason: words[5],
            detected_ns: words[6],
            requested_ns: words[7],
            closed_ns: words[8],
            attempts: words[9],
            missing: words[10],
            lines_missed: words[11],
            slo_violated: words[12] != 0,
            drop_layer: words[13],
            drop_count: words[14],
        })
    }
}

/// Writes gap rows; one thread.
pub struct GapTable {
    region: Region,
    overflows: Counter,
}

impl GapTable {
    /// Stores a row in slot `id % 256`, in place of what was there.
    pub fn put(&self, row: &GapRow) {
        let slot = self.slot(row.id);
        self.count_overflow(slot, row.id);
        let sequence = slot[0].load(Relaxed);
        // The fence keeps the row's stores behind the odd mark; the Release store keeps them
        // before the even one.
        slot[0].store(sequence.wrapping_add(1), Relaxed);
        fence(Release);
        for (word, value) in slot[1..].iter().zip(row.to_words()) {
            word.store(value, Relaxed);
        }
        slot[0].store(sequence.wrapping_add(2), Release);
    }

    pub(crate) fn new(region: Region, overflows: Counter) -> Self {
        Self { region, overflows }
    }

    fn count_overflow(&self, slot: &[AtomicU64], id: u64) {
        let present = slot[1].load(Relaxed);
        let is_open =
            GapState::from_code(slot[4].load(Relaxed)).is_some_and(|state| !state.is_final());
        if present != id && is_open {
            self.overflows.add(1);
        }
    }

    fn slot(&self, id: u64) -> &'static [AtomicU64] {
        let live = resolved(&self.region);
        let first = live.gaps_at + (id % SLOTS as u64) as usize * SLOT_WORDS;
        &live.words[first..first + SLOT_WORDS]
    }
}

/// What a reader found in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotRead {
    /// Never written.
    Empty,
    /// A whole row.
    Row(GapRow),
    /// Still being written after [`READ_ATTEMPTS`] tries, or of an unknown state.
    Torn,
}

/// Reads one slot of [`SLOT_WORDS`] words.
pub(crate) fn read_slot(slot: &[AtomicU64]) -> SlotRead {
    for _ in 0..READ_ATTEMPTS {
        let before = slot[0].load(Acquire);
        if before == 0 {
            return SlotRead::Empty;
        }
        let words: [u64; SLOT_WORDS - 1] =
            std::array::from_fn(|index| slot[1 + index].load(Relaxed));
        fence(Acquire);
        if before.is_multiple_of(2) && slot[0].load(Relaxed) == before {
            return GapRow::from_words(&words).map_or(SlotRead::Torn, SlotRead::Row);
        }
        std::hint::spin_loop();
    }
    SlotRead::Torn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row fills its slot to the last word and comes back whole.
    #[test]
    fn every_word_of_a_row_comes_back() {
        let row = GapRow {
            id: 1,
            first: 2,
            last: 3,
            state: GapState::Filled,
            sources: 5,
            reason: 6,
            detected_ns: 7,
            requested_ns: 8,
            closed_ns: 9,
            attempts: 10,
            missing: 11,
            lines_missed: 12,
            slo_violated: true,
            drop_layer: 14,
            drop_count: 15,
        };
        let words = row.to_words();
        assert_eq!(words, [1, 2, 3, 5, 5, 6, 7, 8, 9, 10, 11, 12, 1, 14, 15]);
        let mut slot = [const { AtomicU64::new(0) }; SLOT_WORDS];
        *slot[0].get_mut() = 2;
        for (place, word) in slot[1..].iter_mut().zip(words) {
            *place.get_mut() = word;
        }
        assert_eq!(read_slot(&slot), SlotRead::Row(row));
    }
}
