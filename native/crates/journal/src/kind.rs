//! Record types, timestamp sources and the payload of the journal's own event.

/// A run of contiguous venue messages.
pub const DATA: u8 = 1;
/// A feed gap was detected.
pub const GAP_OPEN: u8 = 2;
/// A feed gap was filled.
pub const GAP_FILLED: u8 = 3;
/// A feed gap was given up.
pub const GAP_LOST: u8 = 4;
/// A venue session started, ended or changed.
pub const SESSION: u8 = 5;
/// A checkpoint of the books: their hash at an earlier place of the stream.
pub const SNAPSHOT_ANCHOR: u8 = 6;
/// The wall clock jumped.
pub const CLOCK_STEP: u8 = 7;
/// What a named subscriber of the export lost.
pub const EXPORT_HOLE: u8 = 8;
/// What the journal itself did not keep; spends the sequences it names.
pub const JOURNAL_HOLE: u8 = 9;
/// Hash of the configuration in force.
pub const CONFIG_HASH: u8 = 10;
/// A snapshot of the venue's state follows.
pub const SNAPSHOT_BEGIN: u8 = 11;
/// A part of that snapshot.
pub const SNAPSHOT_DATA: u8 = 12;
/// The snapshot is whole.
pub const SNAPSHOT_END: u8 = 13;
/// The ledger's row of a gap that is closed.
pub const GAP_ROW: u8 = 14;
/// What an operator noted on a gap.
pub const GAP_NOTE: u8 = 15;
/// Largest value the type field can hold (six bits); 0 is invalid.
pub const MAX: u8 = 63;

/// Name of a record type in lower case, `unknown` for numbers without one.
#[must_use]
pub fn name(kind: u8) -> &'static str {
    match kind {
        DATA => "data",
        GAP_OPEN => "gap_open",
        GAP_FILLED => "gap_filled",
        GAP_LOST => "gap_lost",
        SESSION => "session",
        SNAPSHOT_ANCHOR => "snapshot_anchor",
        CLOCK_STEP => "clock_step",
        EXPORT_HOLE => "export_hole",
        JOURNAL_HOLE => "journal_hole",
        CONFIG_HASH => "config_hash",
        SNAPSHOT_BEGIN => "snapshot_begin",
        SNAPSHOT_DATA => "snapshot_data",
        SNAPSHOT_END => "snapshot_end",
        GAP_ROW => "gap_row",
        GAP_NOTE => "gap_note",
        _ => "unknown",
    }
}

/// Reason of a hole: the records were in a file that failed, and nowhere else.
pub const HOLE_LOST: u8 = 2;
/// Reason of a hole: a repair set damaged segments aside, and what they held with them.
pub const HOLE_SET_ASIDE: u8 = 3;
/// Reason of a hole: a salvage found no valid block for these sequences.
pub const HOLE_NOT_SALVAGED: u8 = 4;

/// Sequences that the journal did not keep, both ends inclusive.
///
/// The record carrying it has sequence `from` and the record behind it `to + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHole {
    /// First missing sequence.
    pub from: u64,
    /// Last missing sequence.
    pub to: u64,
    /// Why: a code of the caller's choosing.
    pub reason: u8,
}

impl JournalHole {
    /// Bytes of the encoded form.
    pub const LEN: usize = 24;

    /// `from` u64, `to` u64, `reason` u8, seven zero bytes; little endian.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.from.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.to.to_le_bytes());
        bytes[16] = self.reason;
        bytes
    }

    /// Reads the form written by [`encode`](Self::encode); `None` when it is anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (from, rest) = bytes.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        let hole = Self {
            from: u64::from_le_bytes(*from),
            to: u64::from_le_bytes(*to),
            reason: rest[0],
        };
        (rest[1..] == [0; 7] && hole.from <= hole.to).then_some(hole)
    }
}
