//! What fuzz targets need of the inside: structures read and encoded again, and small segments that
//! are the same in each run.

use sha2::{Digest, Sha256};

use crate::codec::{Codec, Compressor};
use crate::format;
use crate::format::seal::Totals;
use crate::format::state::Slot;
use crate::format::{
    BlockHeader, BlockKind, IndexEntry, RecordHeader, Seal, SegmentHeader, State, Trailer,
    block_header, segment_header,
};
use crate::pins::Pin;
use crate::retention::Mark;
use crate::scan::{epoch_low, seal_hash};
use crate::tally::Tally;
use crate::writer::Record;

/// The checksum as files keep it.
pub fn masked_crc(bytes: &[u8]) -> u32 {
    format::masked_crc(bytes)
}

/// A slot of STATE, encoded again if it is a checkpoint.
pub fn state_slot(bytes: &[u8]) -> Option<Vec<u8>> {
    match State::parse_slot(bytes) {
        Slot::Valid(state) => Some(state.encode().to_vec()),
        Slot::Empty | Slot::Damaged => None,
    }
}

/// A RETENTION file, encoded again if it is one.
pub fn retention(bytes: &[u8]) -> Option<Vec<u8>> {
    let mark = Mark::parse(bytes).ok()?;
    Some(mark.encode().to_vec())
}

/// A segment header, encoded again if it is one.
pub fn segment_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = SegmentHeader::parse(bytes).ok()?;
    Some(header.encode().to_vec())
}

/// A block header, encoded again if it is one.
pub fn block_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.get(..BlockHeader::LEN)?;
    let header = BlockHeader::parse(bytes).ok()?;
    Some(header.encode().to_vec())
}

/// Content of a SEAL block, encoded again if it is one.
pub fn seal(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Seal::parse(bytes)?.encode())
}

/// A trailer, encoded again if it is one.
pub fn trailer(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Trailer::parse(bytes)?.encode().to_vec())
}

/// The content of a pin's file.
pub fn pin_text(pin: &Pin) -> Vec<u8> {
    serde_json::to_vec(pin).expect("numbers and a name are JSON")
}

/// What a codec makes of these bytes; `None` when they are better stored as they are.
pub fn compressed(codec: Codec, raw: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = Compressor::new(codec).expect("memory");
    let mut out = vec![0; compressor.bound(raw.len())];
    let len = compressor.compress(raw, &mut out)?;
    out.truncate(len);
    Some(out)
}

/// A RETENTION file of the log that [`segment`] gives.
pub fn sample_retention() -> Vec<u8> {
    let mark = Mark {
        log_id: LOG_ID,
        segment: 3,
        last_seq: 900,
        closing_hash: [4; 32],
        pruned: 3,
        quarantined: 0,
    };
    mark.encode().to_vec()
}

/// The first segment of a log, of three blocks, the last of them with a hole; with its seal if
/// asked for. Behind it the STATE file that goes with it.
pub fn segment(codec: Codec, is_sealed: bool) -> (Vec<u8>, Vec<u8>) {
    let header = SegmentHeader {
        preallocated: false,
        continues_abandoned: false,
        codecs: codec.set(),
        log_id: LOG_ID,
        number: 1,
        base_seq: 1,
        writer_epoch: 1,
        created_ns: 1,
        boot_id: [2; 16],
        prev_last_seq: 0,
        prev_seal_hash: [0; 32],
        schema_id: 1,
    };
    let mut sample = Sample {
        bytes: header.encode().to_vec(),
        prev_crc: segment_header::stored_crc(&header.encode()),
        tally: Tally::new(1),
    };
    for block in 0..3 {
        sample.add_records(codec, block == 2);
    }
    let last_seq = sample.tally.totals.last_seq;
    let hash = if is_sealed { sample.seal() } else { [0; 32] };
    let state = State {
        generation: 1,
        writer_epoch: 1,
        active_segment: 1,
        last_sealed_seq: if is_sealed { last_seq } else { 0 },
        last_seal_hash: hash,
        durable_seq: last_seq,
        clean: is_sealed,
    };
    let mut file = vec![0; State::FILE_LEN];
    file[State::SLOT_LEN..].copy_from_slice(&state.encode());
    (sample.bytes, file)
}

/// A segment being made.
struct Sample {
    bytes: Vec<u8>,
    prev_crc: u32,
    tally: Tally,
}

impl Sample {
    fn add_records(&mut self, codec: Codec, with_hole: bool) {
        let base_seq = self.tally.totals.last_seq + 1;
        let (mut raw, mut totals, mut next_seq) = (Vec::new(), Totals::new(base_seq), base_seq);
        for number in 0..4 {
            let payload = [number; 40];
            push(&mut raw, &mut totals, crate::kind::DATA, &payload);
            next_seq += 1;
        }
        if with_hole {
            let (from, to) = (next_seq, next_seq + 9);
            let hole = crate::kind::JournalHole {
                from,
                to,
                reason: crate::kind::HOLE_SET_ASIDE,
            };
            let kind = crate::kind::JOURNAL_HOLE;
            push(&mut raw, &mut totals, kind, &hole.encode());
            next_seq = to + 1;
        }
        let stored = compressed(codec, &raw);
        let codec = if stored.is_some() { codec } else { Codec::None };
        let stored = stored.unwrap_or_else(|| raw.clone());
        let entry = IndexEntry {
            seq: base_seq,
            rx_ns: RX_NS,
            offset: self.bytes.len() as u64,
        };
        let kind = BlockKind::Data;
        let (count, raw_len) = (totals.records as u32, raw.len() as u32);
        self.add_block((kind, codec), &stored, raw_len, base_seq, count);
        self.tally.add_records(&totals, next_seq, entry);
        self.tally.totals.blocks += 1;
    }

    /// Adds SEAL block and trailer; gives their hash.
    fn seal(&mut self) -> [u8; 32] {
        let seal = Seal {
            totals: self.tally.totals.clone(),
            sealed_by_epoch: 1,
            sealed_ns: 1,
            sha256: Sha256::digest(&self.bytes).into(),
            index: self.tally.index.clone(),
        };
        let (payload, at) = (seal.encode(), self.bytes.len());
        let base_seq = seal.totals.last_seq + 1;
        let kind = BlockKind::Seal;
        let raw_len = payload.len() as u32;
        self.add_block((kind, Codec::None), &payload, raw_len, base_seq, 0);
        let seal_offset = at as u64;
        let trailer = Trailer { seal_offset }.encode();
        let hash = seal_hash(&self.bytes[at..], &trailer);
        self.bytes.extend_from_slice(&trailer);
        hash
    }

    fn add_block(
        &mut self,
        (kind, codec): (BlockKind, Codec),
        stored: &[u8],
        raw_len: u32,
        base_seq: u64,
        count: u32,
    ) {
        let pad = (BlockHeader::LEN + stored.len()).next_multiple_of(8);
        let pad = pad - BlockHeader::LEN - stored.len();
        let header = BlockHeader {
            kind,
            codec,
            stored_len: stored.len() as u32,
            raw_len,
            base_seq,
            count,
            pad_len: pad as u16,
            first_rx_ns: RX_NS,
            last_mono_ns: 1,
            durable_seq_before: base_seq - 1,
            epoch_low: epoch_low(1),
            prev_block_crc: self.prev_crc,
            payload_crc: masked_crc(stored),
        };
        let encoded = header.encode();
        self.prev_crc = block_header::stored_crc(&encoded);
        self.bytes.extend_from_slice(&encoded);
        self.bytes.extend_from_slice(stored);
        self.bytes.extend(std::iter::repeat_n(0, pad));
    }
}

fn push(raw: &mut Vec<u8>, totals: &mut Totals, kind: u8, payload: &[u8]) {
    let record = Record {
        kind,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: totals.records,
        rx_ns: RX_NS,
        payload,
    };
    RecordHeader::encode(&record, raw);
    totals.add_record(kind, RX_NS, payload.len());
}

const LOG_ID: [u8; 16] = [1; 16];
const RX_NS: u64 = 1_700_000_000_000_000_000;
