//! Payload of the SEAL block, and the trailer that closes a sealed file.
//!
//! Payload, 240 bytes and the sparse index:
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 8 | first_seq, the segment's base_seq |
//! | 8 | 8 | last_seq; `first_seq - 1` in a segment without records |
//! | 16 | 8 | records |
//! | 24 | 8 | blocks before this one |
//! | 32 | 8 | bytes of record payloads |
//! | 40 | 8 | rx_ns of the first record |
//! | 48 | 8 | rx_ns of the last record |
//! | 56 | 8 | epoch of the writer that sealed: a later one than the segment's after a crash |
//! | 64 | 8 | sealed, UTC ns |
//! | 72 | 128 | records by type, 16 counters; types 16 and above are counted in the first |
//! | 200 | 4 | index entries |
//! | 204 | 4 | zero |
//! | 208 | 32 | SHA-256 of the file up to the SEAL block |
//! | 240 | 24 each | index: seq, rx_ns, offset of a DATA block, at least 64 KiB apart |
//!
//! Trailer, the last 64 bytes of the file: `0` magic `TDJRNEND`, `8` offset of the SEAL block, `16`
//! zero, `60` masked CRC32C of 0..60. The file is cut to it.

use sha2::{Digest, Sha256};

use super::{Fields, MAX_NUMBER, array, get_u32, get_u64, is_zero, masked_crc};

/// Where a DATA block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) seq: u64,
    pub(crate) rx_ns: u64,
    pub(crate) offset: u64,
}

/// Figures of a segment, collected while its blocks pass and compared when it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) records: u64,
    pub(crate) blocks: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) first_rx_ns: u64,
    pub(crate) last_rx_ns: u64,
    pub(crate) by_kind: [u64; KIND_COUNTERS],
}

impl Totals {
    pub(crate) fn new(base_seq: u64) -> Self {
        Self {
            first_seq: base_seq,
            last_seq: base_seq - 1,
            records: 0,
            blocks: 0,
            payload_bytes: 0,
            first_rx_ns: 0,
            last_rx_ns: 0,
            by_kind: [0; KIND_COUNTERS],
        }
    }

    pub(crate) fn add_record(&mut self, kind: u8, rx_ns: u64, payload_len: usize) {
        if self.records == 0 {
            self.first_rx_ns = rx_ns;
        }
        self.records += 1;
        self.last_rx_ns = rx_ns;
        self.payload_bytes += payload_len as u64;
        self.by_kind[counter_of(kind)] += 1;
    }

    /// Adds the figures of a block; `last_seq` is the last sequence it spends.
    pub(crate) fn add(&mut self, block: &Self, last_seq: u64) {
        if self.records == 0 {
            self.first_rx_ns = block.first_rx_ns;
        }
        self.last_seq = last_seq;
        self.last_rx_ns = block.last_rx_ns;
        self.records += block.records;
        self.payload_bytes += block.payload_bytes;
        for (sum, count) in self.by_kind.iter_mut().zip(block.by_kind) {
            *sum += count;
        }
    }

    /// Records that may be of this type: exact below 16.
    pub(crate) fn of_kind(&self, kind: u8) -> u64 {
        self.by_kind[counter_of(kind)]
    }
}

/// Content of the SEAL block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) totals: Totals,
    pub(crate) sealed_by_epoch: u64,
    pub(crate) sealed_ns: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) index: Vec<IndexEntry>,
}

impl Seal {
    const FIXED_LEN: usize = 240;
    /// Longest index: keeps the block under the parser's cap.
    pub(crate) const MAX_INDEX: usize =
        (super::MAX_BLOCK_PAYLOAD - Self::FIXED_LEN) / IndexEntry::LEN;

    /// Bytes of the payload with this many index entries.
    pub(crate) fn payload_len(index_entries: usize) -> usize {
        Self::FIXED_LEN + index_entries * IndexEntry::LEN
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; Self::payload_len(self.index.len())];
        let mut fields = Fields(&mut bytes);
        let totals = &self.totals;
        let words = [
            totals.first_seq,
            totals.last_seq,
            totals.records,
            totals.blocks,
            totals.payload_bytes,
            totals.first_rx_ns,
            totals.last_rx_ns,
            self.sealed_by_epoch,
            self.sealed_ns,
        ];
        for (index, word) in words.into_iter().chain(totals.by_kind).enumerate() {
            fields.u64(index * 8, word);
        }
        // At most MAX_INDEX entries.
        fields.u32(200, self.index.len() as u32);
        fields.bytes(208, &self.sha256);
        for (entry, at) in self
            .index
            .iter()
            .zip((Self::FIXED_LEN..).step_by(IndexEntry::LEN))
        {
            fields.bytes(at, &entry.encode());
        }
        bytes
    }

    /// `None` when the length, the zero field, the index count, a sequence or an offset is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < Self::FIXED_LEN || get_u32(bytes, 204) != 0 {
            return None;
        }
        let entries = get_u32(bytes, 200) as usize;
        if entries > Self::MAX_INDEX || bytes.len() != Self::payload_len(entries) {
            return None;
        }
        let word = |index: usize| get_u64(bytes, index * 8);
        let (first_seq, last_seq) = (word(0), word(1));
        // One more comes behind the last.
        if first_seq == 0 || first_seq > MAX_NUMBER || last_seq >= MAX_NUMBER {
            return None;
        }
        let (index, _) = bytes[Self::FIXED_LEN..].as_chunks::<{ IndexEntry::LEN }>();
        let is_place = |entry: &[u8; IndexEntry::LEN]| {
            (1..=MAX_NUMBER).contains(&get_u64(entry, 0)) && get_u64(entry, 16) <= MAX_OFFSET
        };
        if !index.iter().all(is_place) {
            return None;
        }
        let mut by_kind = [0; KIND_COUNTERS];
        for (slot, counter) in by_kind.iter_mut().enumerate() {
            *counter = word(9 + slot);
        }
        Some(Self {
            totals: Totals {
                first_seq: word(0),
                last_seq: word(1),
                records: word(2),
                blocks: word(3),
                payload_bytes: word(4),
                first_rx_ns: word(5),
                last_rx_ns: word(6),
                by_kind,
            },
            sealed_by_epoch: word(7),
            sealed_ns: word(8),
            sha256: array(bytes, 208),
            index: index
                .iter()
                .map(|entry| IndexEntry {
                    seq: get_u64(entry, 0),
                    rx_ns: get_u64(entry, 8),
                    offset: get_u64(entry, 16),
                })
                .collect(),
        })
    }
}

impl IndexEntry {
    const LEN: usize = 24;

    /// SHA-256 of an index.
    pub(crate) fn digest(index: &[Self]) -> [u8; 32] {
        let mut sha = Sha256::new();
        for entry in index {
            sha.update(entry.encode());
        }
        sha.finalize().into()
    }

    fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut fields = Fields(&mut bytes);
        fields.u64(0, self.seq);
        fields.u64(8, self.rx_ns);
        fields.u64(16, self.offset);
        bytes
    }
}

/// The last bytes of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) seal_offset: u64,
}

impl Trailer {
    pub(crate) const LEN: usize = 64;
    const CRC_AT: usize = 60;

    pub(crate) fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(MAGIC);
        Fields(&mut bytes).u64(8, self.seal_offset);
        let crc = masked_crc(&bytes[..Self::CRC_AT]);
        Fields(&mut bytes).u32(Self::CRC_AT, crc);
        bytes
    }

    /// `None` for anything but a whole valid trailer.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let valid = bytes.len() == Self::LEN
            && &bytes[..8] == MAGIC
            && get_u32(bytes, Self::CRC_AT) == masked_crc(&bytes[..Self::CRC_AT])
            && is_zero(&bytes[16..Self::CRC_AT]);
        valid.then(|| Self {
            seal_offset: get_u64(bytes, 8),
        })
    }
}

fn counter_of(kind: u8) -> usize {
    let kind = usize::from(kind);
    if kind < KIND_COUNTERS { kind } else { 0 }
}

const MAGIC: &[u8; 8] = b"TDJRNEND";
/// Beyond any file, and reading on from it does not overflow.
const MAX_OFFSET: u64 = u64::MAX >> 2;
const KIND_COUNTERS: usize = 16;
