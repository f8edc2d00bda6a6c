//! Header of a segment file, 128 bytes.
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `TDJRNSEG` |
//! | 8 | 2 | format version, 1 |
//! | 10 | 2 | header length, 128 |
//! | 12 | 4 | flags, below |
//! | 16 | 16 | log_id, random at creation of the log |
//! | 32 | 8 | segment number, from 1 |
//! | 40 | 8 | base_seq: sequence of the first record |
//! | 48 | 8 | writer_epoch |
//! | 56 | 8 | created, UTC ns |
//! | 64 | 16 | boot_id: domain of the monotonic stamps |
//! | 80 | 8 | prev_last_seq, `base_seq - 1` |
//! | 88 | 32 | prev_seal_hash: SHA-256 of the previous SEAL block and trailer; zero in segment 1; behind
//! an abandoned segment [`abandoned_hash`] |
//! | 120 | 4 | schema id of the payload |
//! | 124 | 4 | masked CRC32C of 0..124 |
//!
//! Flags: bits 0-7 the set of codecs that may occur (bit 0 none, always; 1 lz4, 2 zstd),
//! bits 8-15 log2 of the sector unit, bit 16 preallocated, bit 17 chain keyed by HMAC (not in this
//! build), bit 18 the segment before was abandoned after an I/O error.
//!
//! An *abandoned* segment has no seal and is never written again. It is valid up to and including
//! the `prev_last_seq` of its successor, where a block ends; what lies behind is not data.
//!
//! The version lies inside the checksum and no other format shares the magic, so that no damage
//! turns this file into one of another version.

use sha2::{Digest, Sha256};

use super::{Fields, MAX_NUMBER, VERSION, array, get_u16, get_u32, get_u64, masked_crc};
use crate::codec::Codec;
use crate::error::Class;

/// Segment header; parsed only from bytes whose CRC, version and flags are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) preallocated: bool,
    /// The segment before was abandoned at `prev_last_seq`.
    pub(crate) continues_abandoned: bool,
    /// Codecs that blocks may have, bit n for number n.
    pub(crate) codecs: u8,
    pub(crate) log_id: [u8; 16],
    pub(crate) number: u64,
    pub(crate) base_seq: u64,
    pub(crate) writer_epoch: u64,
    pub(crate) created_ns: u64,
    pub(crate) boot_id: [u8; 16],
    pub(crate) prev_last_seq: u64,
    pub(crate) prev_seal_hash: [u8; 32],
    pub(crate) schema_id: u32,
}

impl SegmentHeader {
    pub(crate) const LEN: usize = 128;
    const CRC_AT: usize = 124;

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut fields = Fields(&mut bytes);
        fields.bytes(0, MAGIC);
        fields.u16(8, VERSION);
        fields.u16(10, Self::LEN as u16);
        fields.u32(
            12,
            u32::from(self.codecs)
                | SECTOR_UNIT
                | flag(self.preallocated, FLAG_PREALLOCATED)
                | flag(self.continues_abandoned, FLAG_CONTINUES_ABANDONED),
        );
        fields.bytes(16, &self.log_id);
        fields.u64(32, self.number);
        fields.u64(40, self.base_seq);
        fields.u64(48, self.writer_epoch);
        fields.u64(56, self.created_ns);
        fields.bytes(64, &self.boot_id);
        fields.u64(80, self.prev_last_seq);
        fields.bytes(88, &self.prev_seal_hash);
        fields.u32(120, self.schema_id);
        let crc = masked_crc(&bytes[..Self::CRC_AT]);
        Fields(&mut bytes).u32(Self::CRC_AT, crc);
        bytes
    }

    /// Reads a header; the error says what is wrong in a sentence.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, (Class, String)> {
        let bad = |detail: String| Err((Class::BadSegmentHeader, detail));
        if bytes.len() < Self::LEN {
            return bad(format!(
                "{} bytes, a segment header has {}",
                bytes.len(),
                Self::LEN
            ));
        }
        if &bytes[..8] != MAGIC {
            return bad("magic is not TDJRNSEG".into());
        }
        // CRC before version: damage must not look like a file of a future build.
        let (stored, computed) = (stored_crc(bytes), masked_crc(&bytes[..Self::CRC_AT]));
        let (version, length) = (get_u16(bytes, 8), get_u16(bytes, 10));
        if stored != computed {
            let newer = if version == VERSION {
                ""
            } else {
                ", or written by a newer build"
            };
            return bad(format!(
                "CRC {stored:#010x}, computed {computed:#010x}, version {version}: damaged{newer}"
            ));
        }
        let flags = get_u32(bytes, 12);
        if version != VERSION || usize::from(length) != Self::LEN {
            let detail = format!("version {version}, header length {length}; known: 1, 128");
            return Err((Class::UnsupportedVersion, detail));
        }
        let codecs = bytes[12];
        let known = codecs & !Codec::KNOWN == 0 && codecs & Codec::None.bit() != 0;
        if !known || flags & !FLAGS_FREE != SECTOR_UNIT {
            let detail = format!(
                "flags {flags:#010x}: this build reads codecs none, lz4 and zstd, no keyed chain"
            );
            return Err((Class::UnsupportedCodec, detail));
        }
        let header = Self {
            preallocated: flags & FLAG_PREALLOCATED != 0,
            continues_abandoned: flags & FLAG_CONTINUES_ABANDONED != 0,
            codecs,
            log_id: array(bytes, 16),
            number: get_u64(bytes, 32),
            base_seq: get_u64(bytes, 40),
            writer_epoch: get_u64(bytes, 48),
            created_ns: get_u64(bytes, 56),
            boot_id: array(bytes, 64),
            prev_last_seq: get_u64(bytes, 80),
            prev_seal_hash: array(bytes, 88),
            schema_id: get_u32(bytes, 120),
        };
        match header.contradiction() {
            Some(detail) => bad(detail),
            None => Ok(header),
        }
    }

    /// Sequences begin at 1; behind number, epoch and the sequence before comes one more.
    fn contradiction(&self) -> Option<String> {
        let (number, epoch) = (self.number, self.writer_epoch);
        let (base_seq, before) = (self.base_seq, self.prev_last_seq);
        let in_range = (1..=MAX_NUMBER).contains(&base_seq)
            && [number, epoch, before].iter().all(|it| *it < MAX_NUMBER);
        (!in_range).then(|| {
            format!(
                "segment {number} of epoch {epoch} from sequence {base_seq} behind {before}: \
                 out of range"
            )
        })
    }
}

/// The stored CRC of an encoded header: what the first block of the segment names as its
/// forerunner.
pub(crate) fn stored_crc(encoded: &[u8]) -> u32 {
    get_u32(encoded, SegmentHeader::CRC_AT)
}

/// What the successor of an abandoned segment names in place of a seal: SHA-256 of a fixed text,
/// the header of the abandoned one and the last sequence that is valid in it.
pub(crate) fn abandoned_hash(header: &SegmentHeader, last_seq: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"tickdeck abandoned")
        .chain_update(header.encode())
        .chain_update(last_seq.to_le_bytes())
        .finalize()
        .into()
}

fn flag(is_set: bool, flag: u32) -> u32 {
    if is_set { flag } else { 0 }
}

const MAGIC: &[u8; 8] = b"TDJRNSEG";
const FLAG_PREALLOCATED: u32 = 1 << 16;
const FLAG_CONTINUES_ABANDONED: u32 = 1 << 18;
/// Bits that may have any value; the codec set is checked by itself.
const FLAGS_FREE: u32 = 0xFF | FLAG_PREALLOCATED | FLAG_CONTINUES_ABANDONED;
/// 512 = 2^9.
const SECTOR_UNIT: u32 = 9 << 8;
