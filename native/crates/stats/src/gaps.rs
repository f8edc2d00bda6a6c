//! The gap table: the life of the last 256 gaps, readable while it changes.
//!
//! Slot `id % 256`, 32 words each. Word 0 is the slot's seqlock: odd while it is written. A reader
//! that finds it odd or changed tries again; a writer that died inside leaves it odd for good, and
//! the reader reports that slot as torn. A gap that is overwritten while it is still open is
//! counted in `gap_table_overflows_total`.
//!
//! Files of minor version 0 have slots of 16 words. The words that a file does not have read as 0,
//! which in all of them says nothing; words that a later version appends are not looked at.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use crate::handles::{Counter, Region, resolved};

/// Number of slots.
pub const SLOTS: usize = 256;
/// Words of a slot, the seqlock included.
pub const SLOT_WORDS: usize = 32;
/// Bytes of a slot.
pub const SLOT_STRIDE: usize = SLOT_WORDS * 8;
/// Words of a slot in files of minor version 0: the least that a reader takes.
pub const LEAST_SLOT_WORDS: usize = 16;
/// Words of a row: a slot without its seqlock.
pub const ROW_WORDS: usize = SLOT_WORDS - 1;
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
    /// Nobody brings the rest; a snapshot of the venue's state is to stand in for it.
    Snapshot = 7,
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
            Self::Snapshot,
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
///
/// Every message of it is accounted for: all `by_*` and `missing` together are its size.
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
    /// Who brought parts of it: 1 line A, 2 line B, 4 re-request, 8 the third line … 128 the
    /// seventh, 256 resumed stream, 512 peer, 1024 snapshot.
    pub sources: u64,
    /// Why it was given up, 0: it was not.
    pub reason: u64,
    /// When it was seen.
    pub detected_ns: u64,
    /// When the first source was asked.
    pub requested_ns: u64,
    /// When it was filled or given up.
    pub closed_ns: u64,
    /// How often a source was asked.
    pub attempts: u64,
    /// Messages still missing; of an unrecoverable gap: lost.
    pub missing: u64,
    /// Lines that missed it, by the bits of `sources`: it was not there when the wait was over, or
    /// when the gap was closed, though they had gone on behind it.
    pub lines_missed: u64,
    /// Whether the recovery took longer than promised.
    pub slo_violated: bool,
    /// The layer that lost it: a code of the worker's, 0: not known yet, or never asked.
    pub drop_layer: u64,
    /// What that layer lost between the last reading before the gap and the one at the gap.
    pub drop_count: u64,
    /// Number of the channel.
    pub channel: u64,
    /// When the reorder window was over: no line had brought all of it in time.
    pub waited_ns: u64,
    /// When a source was last asked.
    pub requested_last_ns: u64,
    /// When the first part came.
    pub partial_ns: u64,
    /// When a snapshot stood in for the rest.
    pub snapshot_ns: u64,
    /// Messages that line A brought.
    pub by_line_a: u64,
    /// Messages that line B brought.
    pub by_line_b: u64,
    /// Messages that the other lines brought.
    pub by_other_lines: u64,
    /// Messages that a re-request server brought.
    pub by_request: u64,
    /// Messages that a resumed stream brought.
    pub by_stream: u64,
    /// Messages that the journal of a peer brought.
    pub by_peer: u64,
    /// Messages that a snapshot stands in for.
    pub by_snapshot: u64,
    /// Answers to its requests of which nothing was wanted any more.
    pub stale_answers: u64,
    /// Answers to its requests that went into the merge.
    pub injected: u64,
    /// The last lie that a source told while it was open: a code of the worker's, 0: none.
    pub fault: u64,
    /// Whether an operator noted something on it; the journal has the text.
    pub noted: bool,
}

impl GapRow {
    /// The words behind the seqlock, in the order of the fields.
    pub fn words(&self) -> [u64; ROW_WORDS] {
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
            self.channel,
            self.waited_ns,
            self.requested_last_ns,
            self.partial_ns,
            self.snapshot_ns,
            self.by_line_a,
            self.by_line_b,
            self.by_other_lines,
            self.by_request,
            self.by_stream,
            self.by_peer,
            self.by_snapshot,
            self.stale_answers,
            self.injected,
            self.fault,
            u64::from(self.noted),
        ]
    }

    /// None when the state is unknown.
    fn from_words(words: &[u64; ROW_WORDS]) -> Option<Self> {
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
            channel: words[15],
            waited_ns: words[16],
            requested_last_ns: words[17],
            partial_ns: words[18],
            snapshot_ns: words[19],
            by_line_a: words[20],
            by_line_b: words[21],
            by_other_lines: words[22],
            by_request: words[23],
            by_stream: words[24],
            by_peer: words[25],
            by_snapshot: words[26],
            stale_answers: words[27],
            injected: words[28],
            fault: words[29],
            noted: words[30] != 0,
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
        for (word, value) in slot[1..].iter().zip(row.words()) {
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
#[allow(
    clippy::large_enum_variant,
    reason = "made and taken apart one at a time; none is kept"
)]
pub enum SlotRead {
    /// Never written.
    Empty,
    /// A whole row.
    Row(GapRow),
    /// Still being written after [`READ_ATTEMPTS`] tries, or of an unknown state.
    Torn,
}

/// Reads one slot of at least [`LEAST_SLOT_WORDS`] words; what is behind [`SLOT_WORDS`] is not
/// ours to read.
pub(crate) fn read_slot(slot: &[AtomicU64]) -> SlotRead {
    for _ in 0..READ_ATTEMPTS {
        let before = slot[0].load(Acquire);
        if before == 0 {
            return SlotRead::Empty;
        }
        let words: [u64; ROW_WORDS] = std::array::from_fn(|index| {
            let word = slot.get(1 + index);
            word.map_or(0, |word| word.load(Relaxed))
        });
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

    fn full_row() -> GapRow {
        GapRow {
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
            channel: 16,
            waited_ns: 17,
            requested_last_ns: 18,
            partial_ns: 19,
            snapshot_ns: 20,
            by_line_a: 21,
            by_line_b: 22,
            by_other_lines: 23,
            by_request: 24,
            by_stream: 25,
            by_peer: 26,
            by_snapshot: 27,
            stale_answers: 28,
            injected: 29,
            fault: 30,
            noted: true,
        }
    }

    fn slot_of(words: &[u64]) -> Vec<AtomicU64> {
        [2].iter()
            .chain(words)
            .map(|word| AtomicU64::new(*word))
            .collect()
    }

    /// A row fills its slot to the last word and comes back whole.
    #[test]
    fn every_word_of_a_row_comes_back() {
        let row = full_row();
        let words = row.words();
        let expected: [u64; ROW_WORDS] = std::array::from_fn(|index| match index + 1 {
            4 => GapState::Filled as u64,
            13 | 31 => 1,
            place => place as u64,
        });
        assert_eq!(words, expected);
        assert_eq!(read_slot(&slot_of(&words)), SlotRead::Row(row));
    }

    /// Of a slot of before the ledger the newer fields are empty; of a longer one, of a version to
    /// come, the rest is not looked at.
    #[test]
    fn shorter_and_longer_slots_are_read() {
        let words = full_row().words();
        let short = read_slot(&slot_of(&words[..LEAST_SLOT_WORDS - 1]));
        let SlotRead::Row(row) = short else {
            panic!("{short:?}");
        };
        assert_eq!(row.words()[..15], words[..15]);
        assert_eq!(row.words()[15..], [0; 16]);
        let long: Vec<u64> = words.iter().copied().chain([99; 8]).collect();
        assert_eq!(read_slot(&slot_of(&long)), SlotRead::Row(full_row()));
    }
}
