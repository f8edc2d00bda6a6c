//! What a subscriber has to know of a journal block: which sequences are in it, and that it is whole.
//!
//! The layout is the journal's (RELIABILITY section 6.4); the records inside are nobody's business
//! here.

/// Bytes of a block header.
const HEADER_LEN: usize = 72;
/// Longest payload, stored or raw.
const MAX_PAYLOAD: u32 = 1 << 20;

/// The checked header of a DATA block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Sequence of the first record.
    pub base_seq: u64,
    /// Records, at least one.
    pub count: u32,
    /// 0 none, 1 lz4, 2 zstd.
    pub codec: u8,
    /// Bytes of the payload when it is unpacked.
    pub raw_len: u32,
}

/// Why bytes are no DATA block as a journal stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// Not its beginning, or another version.
    #[error("not a block of version 1")]
    Foreign,
    /// A checksum does not fit.
    #[error("{0} CRC of the block does not fit")]
    Crc(&'static str),
    /// A field holds what it must not.
    #[error("{0} of the block is out of range")]
    Field(&'static str),
}

impl BlockHead {
    /// Checks a block without padding: header, payload, both checksums.
    ///
    /// # Errors
    ///
    /// [`BadBlock`]: the block was damaged at the provider or is none.
    pub fn parse(block: &[u8]) -> Result<Self, BadBlock> {
        let Some((header, payload)) = block.split_first_chunk::<HEADER_LEN>() else {
            return Err(BadBlock::Foreign);
        };
        if !header.starts_with(b"TDBK\x01\x00\x48\x00") {
            return Err(BadBlock::Foreign);
        }
        if u32_at(header, 68) != masked_crc(&header[..68]) {
            return Err(BadBlock::Crc("header"));
        }
        if u32_at(header, 64) != masked_crc(payload) {
            return Err(BadBlock::Crc("payload"));
        }
        let (stored_len, raw_len) = (u32_at(header, 8), u32_at(header, 12));
        if stored_len as usize != payload.len() || stored_len > MAX_PAYLOAD || raw_len > MAX_PAYLOAD
        {
            return Err(BadBlock::Field("length"));
        }
        let head = Self {
            base_seq: u64_at(header, 16),
            count: u32_at(header, 24),
            codec: header[28],
            raw_len,
        };
        if header[29] != DATA {
            return Err(BadBlock::Field("kind"));
        }
        if head.codec > 2 {
            return Err(BadBlock::Field("codec"));
        }
        let is_in_range = head.base_seq > 0 && head.count > 0;
        if !is_in_range || head.base_seq.checked_add(head.count.into()).is_none() {
            return Err(BadBlock::Field("sequence"));
        }
        Ok(head)
    }

    /// Sequence behind the last record, if that is not a JOURNAL_HOLE.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.base_seq + u64::from(self.count)
    }
}

/// CRC32C, rotated and shifted: what the journal stores, since it is the CRC of data that holds CRCs.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xA282_EAD8)
}

fn u32_at(header: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn u64_at(header: &[u8; HEADER_LEN], at: usize) -> u64 {
    u64::from(u32_at(header, at)) | u64::from(u32_at(header, at + 4)) << 32
}

const DATA: u8 = 1;
