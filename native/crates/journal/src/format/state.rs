//! The `STATE` file: two slots of 512 bytes, the valid one with the higher generation wins.
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 8 | generation, from 1; generation g lies in slot `g % 2` |
//! | 8 | 8 | writer_epoch |
//! | 16 | 8 | number of the active segment |
//! | 24 | 8 | last sealed sequence |
//! | 32 | 32 | last seal hash |
//! | 64 | 8 | durable_seq at this checkpoint |
//! | 72 | 1 | clean-stop flag |
//! | 73 | 435 | zero |
//! | 508 | 4 | masked CRC32C of 0..508 |
//!
//! It shows that the *last* segment is missing or was cut, which a chain alone cannot. A slot is
//! one sector, and the slot that is valid is never the one being written.

use super::{Fields, MAX_NUMBER, array, get_u32, get_u64, is_zero, masked_crc};

/// One checkpoint of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) generation: u64,
    pub(crate) writer_epoch: u64,
    pub(crate) active_segment: u64,
    pub(crate) last_sealed_seq: u64,
    pub(crate) last_seal_hash: [u8; 32],
    pub(crate) durable_seq: u64,
    pub(crate) clean: bool,
}

/// What one slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Never written.
    Empty,
    /// Not what was written.
    Damaged,
    /// A checkpoint.
    Valid(State),
}

impl State {
    pub(crate) const SLOT_LEN: usize = 512;
    /// Length of the file.
    pub(crate) const FILE_LEN: usize = 2 * Self::SLOT_LEN;
    const CRC_AT: usize = 508;

    /// Where this generation lies in the file.
    pub(crate) fn offset(&self) -> u64 {
        (self.generation % 2) * Self::SLOT_LEN as u64
    }

    pub(crate) fn encode(&self) -> [u8; Self::SLOT_LEN] {
        let mut bytes = [0; Self::SLOT_LEN];
        let mut fields = Fields(&mut bytes);
        fields.u64(0, self.generation);
        fields.u64(8, self.writer_epoch);
        fields.u64(16, self.active_segment);
        fields.u64(24, self.last_sealed_seq);
        fields.bytes(32, &self.last_seal_hash);
        fields.u64(64, self.durable_seq);
        fields.bytes(72, &[u8::from(self.clean)]);
        let crc = masked_crc(&bytes[..Self::CRC_AT]);
        Fields(&mut bytes).u32(Self::CRC_AT, crc);
        bytes
    }

    pub(crate) fn parse_slot(bytes: &[u8]) -> Slot {
        if bytes.len() == Self::SLOT_LEN && is_zero(bytes) {
            return Slot::Empty;
        }
        let valid = bytes.len() == Self::SLOT_LEN
            && get_u32(bytes, Self::CRC_AT) == masked_crc(&bytes[..Self::CRC_AT])
            && bytes[72] <= 1
            && is_zero(&bytes[73..Self::CRC_AT]);
        if !valid {
            return Slot::Damaged;
        }
        let state = Self {
            generation: get_u64(bytes, 0),
            writer_epoch: get_u64(bytes, 8),
            active_segment: get_u64(bytes, 16),
            last_sealed_seq: get_u64(bytes, 24),
            last_seal_hash: array(bytes, 32),
            durable_seq: get_u64(bytes, 64),
            clean: bytes[72] == 1,
        };
        let highest = [
            state.generation,
            state.writer_epoch,
            state.active_segment,
            state.last_sealed_seq,
            state.durable_seq,
        ];
        match highest.into_iter().max() {
            // One more comes behind each.
            Some(highest) if highest < MAX_NUMBER => Slot::Valid(state),
            _ => Slot::Damaged,
        }
    }
}
