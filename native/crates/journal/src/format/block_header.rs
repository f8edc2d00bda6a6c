//! Header of a block, 72 bytes, on an 8-byte boundary.
//!
//! | Off | Size | Field | Why |
//! | --- | --- | --- | --- |
//! | 0 | 4 | sync `TDBK` | search by offline salvage only |
//! | 4 | 2 | version, 1 | before any CRC |
//! | 6 | 2 | header length, 72 | |
//! | 8 | 4 | stored_len | at most 1 MiB |
//! | 12 | 4 | raw_len | at most 1 MiB, checked before anything is allocated; above stored_len if compressed |
//! | 16 | 8 | base_seq | record i has `base_seq + i` |
//! | 24 | 4 | record count | |
//! | 28 | 1 | codec | 0 none, 1 lz4, 2 zstd; only DATA is compressed |
//! | 29 | 1 | flags | exactly one of 1 DATA, 2 CHECKPOINT, 4 SEAL |
//! | 30 | 2 | pad_len | zero bytes behind the payload, checked |
//! | 32 | 8 | first_rx_ns, UTC | index |
//! | 40 | 8 | last_mono_ns | ages, clock steps |
//! | 48 | 8 | durable_seq_before | all up to it was synced by then: damage there is no torn write |
//! | 56 | 4 | writer_epoch, low 32 bits | stale data |
//! | 60 | 4 | prev_block_crc | header CRC of the block before; of the segment for the first |
//! | 64 | 4 | payload CRC over the stored bytes | |
//! | 68 | 4 | header CRC over 0..68 | a length is trusted only after this matches |

use super::{
    BLOCK_ALIGN, Fields, MAX_BLOCK_PAYLOAD, MAX_NUMBER, VERSION, get_u16, get_u32, get_u64,
    masked_crc,
};
use crate::codec::Codec;
use crate::error::Class;

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Records.
    Data,
    /// No records; its padding reaches the next grid edge.
    Checkpoint,
    /// Figures and index; the end of the segment.
    Seal,
}

/// Block header; parsed only from bytes whose CRC and limits are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) kind: BlockKind,
    pub(crate) codec: Codec,
    pub(crate) stored_len: u32,
    pub(crate) raw_len: u32,
    pub(crate) base_seq: u64,
    pub(crate) count: u32,
    pub(crate) pad_len: u16,
    pub(crate) first_rx_ns: u64,
    pub(crate) last_mono_ns: u64,
    pub(crate) durable_seq_before: u64,
    pub(crate) epoch_low: u32,
    pub(crate) prev_block_crc: u32,
    pub(crate) payload_crc: u32,
}

impl BlockHeader {
    pub(crate) const LEN: usize = 72;
    const PREV_CRC_AT: usize = 60;
    const CRC_AT: usize = 68;

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut fields = Fields(&mut bytes);
        fields.bytes(0, SYNC);
        fields.u16(4, VERSION);
        fields.u16(6, Self::LEN as u16);
        fields.u32(8, self.stored_len);
        fields.u32(12, self.raw_len);
        fields.u64(16, self.base_seq);
        fields.u32(24, self.count);
        fields.bytes(28, &[self.codec.code(), flag(self.kind)]);
        fields.u16(30, self.pad_len);
        fields.u64(32, self.first_rx_ns);
        fields.u64(40, self.last_mono_ns);
        fields.u64(48, self.durable_seq_before);
        fields.u32(56, self.epoch_low);
        fields.u32(Self::PREV_CRC_AT, self.prev_block_crc);
        fields.u32(64, self.payload_crc);
        let crc = masked_crc(&bytes[..Self::CRC_AT]);
        Fields(&mut bytes).u32(Self::CRC_AT, crc);
        bytes
    }

    /// Reads a header of exactly [`LEN`](Self::LEN) bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, (Class, String)> {
        let bad = |detail: String| Err((Class::BadBlockHeader, detail));
        if &bytes[..4] != SYNC {
            return bad("sync word is not TDBK".into());
        }
        let (stored, computed) = (stored_crc(bytes), masked_crc(&bytes[..Self::CRC_AT]));
        if stored != computed {
            return bad(format!(
                "header CRC {stored:#010x}, computed {computed:#010x}"
            ));
        }
        let (version, length) = (get_u16(bytes, 4), get_u16(bytes, 6));
        if version != VERSION || usize::from(length) != Self::LEN {
            let detail = format!("block version {version}, header length {length}; known: 1, 72");
            return Err((Class::UnsupportedVersion, detail));
        }
        let (stored_len, raw_len) = (get_u32(bytes, 8), get_u32(bytes, 12));
        if stored_len as usize > MAX_BLOCK_PAYLOAD || raw_len as usize > MAX_BLOCK_PAYLOAD {
            return bad(format!(
                "lengths {stored_len} stored, {raw_len} raw exceed 1 MiB"
            ));
        }
        let Some(codec) = Codec::from_code(bytes[28]) else {
            let detail = format!("codec {}; known: 0 none, 1 lz4, 2 zstd", bytes[28]);
            return Err((Class::UnsupportedCodec, detail));
        };
        let header = Self {
            kind: match kind(bytes[29]) {
                Some(kind) => kind,
                None => return bad(format!("flags {:#04x}", bytes[29])),
            },
            codec,
            stored_len,
            raw_len,
            base_seq: get_u64(bytes, 16),
            count: get_u32(bytes, 24),
            pad_len: get_u16(bytes, 30),
            first_rx_ns: get_u64(bytes, 32),
            last_mono_ns: get_u64(bytes, 40),
            durable_seq_before: get_u64(bytes, 48),
            epoch_low: get_u32(bytes, 56),
            prev_block_crc: get_u32(bytes, Self::PREV_CRC_AT),
            payload_crc: get_u32(bytes, 64),
        };
        match header.contradiction() {
            Some(detail) => bad(detail),
            None => Ok(header),
        }
    }

    /// Bytes of the whole block: header, payload, padding.
    pub(crate) fn block_len(&self) -> u64 {
        Self::LEN as u64 + u64::from(self.stored_len) + u64::from(self.pad_len)
    }

    fn contradiction(&self) -> Option<String> {
        let lengths_fit = match self.codec {
            Codec::None => self.raw_len == self.stored_len,
            _ => self.kind == BlockKind::Data && self.raw_len > self.stored_len,
        };
        if !lengths_fit {
            let (kind, codec) = (self.kind, self.codec);
            return Some(format!(
                "{kind:?} block of codec {codec} with {} bytes stored, {} raw",
                self.stored_len, self.raw_len
            ));
        }
        if !self.block_len().is_multiple_of(BLOCK_ALIGN) {
            return Some(format!(
                "block length {} is not a multiple of 8",
                self.block_len()
            ));
        }
        let empty = self.stored_len == 0;
        let fits = match self.kind {
            BlockKind::Data => self.count > 0 && !empty,
            BlockKind::Checkpoint => self.count == 0 && empty,
            BlockKind::Seal => self.count == 0 && !empty,
        };
        let next_seq = self.base_seq.saturating_add(self.count.into());
        let in_range = self.base_seq > 0 && next_seq.max(self.durable_seq_before) <= MAX_NUMBER;
        if !fits || !in_range {
            let (kind, count, seq) = (self.kind, self.count, self.base_seq);
            return Some(format!(
                "{kind:?} block of {count} records at sequence {seq}"
            ));
        }
        None
    }
}

/// The stored CRC of an encoded header: what the next block names as its forerunner.
pub(crate) fn stored_crc(encoded: &[u8]) -> u32 {
    get_u32(encoded, BlockHeader::CRC_AT)
}

/// What an encoded header names as the block before it.
pub(crate) fn stored_prev_crc(encoded: &[u8]) -> u32 {
    get_u32(encoded, BlockHeader::PREV_CRC_AT)
}

/// True when a block may begin with these bytes: a cheap first look for searches.
pub(crate) fn has_sync(bytes: &[u8]) -> bool {
    bytes.starts_with(SYNC)
}

fn flag(kind: BlockKind) -> u8 {
    match kind {
        BlockKind::Data => 1,
        BlockKind::Checkpoint => 2,
        BlockKind::Seal => 4,
    }
}

fn kind(flags: u8) -> Option<BlockKind> {
    match flags {
        1 => Some(BlockKind::Data),
        2 => Some(BlockKind::Checkpoint),
        4 => Some(BlockKind::Seal),
        _ => None,
    }
}

const SYNC: &[u8; 4] = b"TDBK";
