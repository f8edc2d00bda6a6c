//! Walks the blocks of one segment file and says exactly where and why it stops.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::codec::{Codec, Decompressor};
use crate::error::Class;
use crate::format::record::next_seq_after;
use crate::format::seal::Totals;
use crate::format::{
    BLOCK_ALIGN, BlockHeader, BlockKind, IndexEntry, Seal, SegmentHeader, Trailer, block_header,
    is_zero, masked_crc,
};

/// A file read through a window, so that small blocks do not cost a system call each.
#[derive(Debug)]
pub(crate) struct Source {
    file: Arc<File>,
    window: Vec<u8>,
    start: u64,
    filled: usize,
    /// Bytes that the next read fetches: grows while reading goes on, small after `forget`.
    reach: usize,
    decompressor: Decompressor,
    /// Payload of the last compressed block, and where that block begins.
    raw: Vec<u8>,
    raw_of: u64,
}

impl Source {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?))
    }

    pub(crate) fn new(file: File) -> Self {
        Self::shared(Arc::new(file))
    }

    /// Reads through a descriptor that another part holds too.
    pub(crate) fn shared(file: Arc<File>) -> Self {
        Self {
            file,
            window: Vec::new(),
            start: 0,
            filled: 0,
            reach: REACH_MIN,
            decompressor: Decompressor::default(),
            raw: Vec::new(),
            raw_of: 0,
        }
    }

    /// Forgets what was read: the file may have changed.
    pub(crate) fn forget(&mut self) {
        self.filled = 0;
        self.reach = REACH_MIN;
    }

    /// The `len` bytes at `offset`, fewer at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let inside = offset >= self.start
            && offset + len as u64 <= self.start + self.filled as u64
            && self.filled > 0;
        if !inside {
            self.fill(offset, len)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.window[from..self.filled.min(from + len)])
    }

    /// Bytes that an earlier call of [`bytes`](Self::bytes) has brought into the window.
    fn held(&self, offset: u64, len: usize) -> &[u8] {
        let from = (offset - self.start) as usize;
        &self.window[from..from + len]
    }

    /// Decompresses the payload of a block that lies in the window.
    fn decompress(&mut self, offset: u64, header: &BlockHeader) -> Result<(), String> {
        self.raw_of = offset;
        let from = (offset - self.start) as usize + BlockHeader::LEN;
        let stored = &self.window[from..from + header.stored_len as usize];
        let raw_len = header.raw_len as usize;
        self.decompressor
            .decompress(header.codec, stored, raw_len, &mut self.raw)
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let wanted = self.reach.max(len);
        self.reach = (wanted * 2).min(REACH_MAX);
        if self.window.len() < wanted {
            self.window.resize(wanted, 0);
        }
        (self.start, self.filled) = (offset, 0);
        self.filled = read_up_to(&self.file, &mut self.window[..wanted], offset)?;
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What stands where a block should begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A block whose checksums, padding and records are right.
    Block(Block),
    /// An all-zero header: the end of the data in a preallocated file.
    Zero,
    /// The end of the file.
    Eof,
    /// Anything else.
    Bad(Class, String),
}

/// A valid block; its payload stays in the source until the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    pub(crate) header: BlockHeader,
    /// Header CRC, which the next block names.
    pub(crate) crc: u32,
    /// Sequence of the next block.
    pub(crate) next_seq: u64,
}

impl Block {
    /// Where the next block begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.header.block_len()
    }

    /// The payload, decompressed.
    pub(crate) fn payload<'a>(&self, source: &'a Source) -> &'a [u8] {
        if self.header.codec != Codec::None {
            debug_assert_eq!(source.raw_of, self.offset, "no block was read since");
            return &source.raw;
        }
        let at = self.offset + BlockHeader::LEN as u64;
        source.held(at, self.header.stored_len as usize)
    }

    /// Header, payload and padding, as stored.
    pub(crate) fn bytes<'a>(&self, source: &'a Source) -> &'a [u8] {
        source.held(self.offset, self.header.block_len() as usize)
    }
}

/// Reads what stands at `offset`.
pub(crate) fn read_block(source: &mut Source, offset: u64) -> io::Result<Found> {
    let bytes = source.bytes(offset, BlockHeader::LEN)?;
    if bytes.is_empty() {
        return Ok(Found::Eof);
    }
    if is_zero(bytes) {
        return Ok(Found::Zero);
    }
    if bytes.len() < BlockHeader::LEN {
        let detail = format!("file ends {} bytes into a block header", bytes.len());
        return Ok(Found::Bad(Class::BadBlockHeader, detail));
    }
    let crc = block_header::stored_crc(bytes);
    let header = match BlockHeader::parse(bytes) {
        Ok(header) => header,
        Err((class, detail)) => return Ok(Found::Bad(class, detail)),
    };
    let (stored_len, block_len) = (header.stored_len as usize, header.block_len() as usize);
    let bytes = source.bytes(offset, block_len)?;
    if bytes.len() < block_len {
        let detail = format!(
            "file ends {} bytes into a block of {block_len}",
            bytes.len()
        );
        return Ok(Found::Bad(Class::BadPayload, detail));
    }
    let (payload, padding) = bytes[BlockHeader::LEN..].split_at(stored_len);
    let computed = masked_crc(payload);
    if computed != header.payload_crc {
        let detail = format!(
            "payload CRC {:#010x}, computed {computed:#010x}",
            header.payload_crc
        );
        return Ok(Found::Bad(Class::BadPayload, detail));
    }
    if !is_zero(padding) {
        let detail = format!("{} bytes of padding are not all zero", padding.len());
        return Ok(Found::Bad(Class::BadPadding, detail));
    }
    if header.codec != Codec::None
        && let Err(detail) = source.decompress(offset, &header)
    {
        return Ok(Found::Bad(Class::BadPayload, detail));
    }
    let mut block = Block {
        offset,
        header,
        crc,
        next_seq: header.base_seq,
    };
    if header.kind == BlockKind::Data {
        match next_seq_after(header.base_seq, header.count, block.payload(source)) {
            Ok(next_seq) => block.next_seq = next_seq,
            Err(detail) => return Ok(Found::Bad(Class::BadRecords, detail)),
        }
    }
    Ok(Found::Block(block))
}

/// What the next block of a segment must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) offset: u64,
    pub(crate) seq: u64,
    /// `None` when the block before was not read.
    pub(crate) prev_crc: Option<u32>,
    pub(crate) epoch_low: u32,
    /// Codecs that the segment's header announces.
    pub(crate) codecs: u8,
}

impl Chain {
    /// Before the first block of a segment.
    pub(crate) fn begin(header: &SegmentHeader, header_crc: u32) -> Self {
        Self {
            offset: SegmentHeader::LEN as u64,
            seq: header.base_seq,
            prev_crc: Some(header_crc),
            epoch_low: epoch_low(header.writer_epoch),
            codecs: header.codecs,
        }
    }

    /// Reads the next block and checks that it follows; moves on only past a good one.
    pub(crate) fn step(&mut self, source: &mut Source) -> io::Result<Found> {
        let found = read_block(source, self.offset)?;
        let Found::Block(block) = &found else {
            return Ok(found);
        };
        if let Some((class, detail)) = self.contradiction(&block.header) {
            return Ok(Found::Bad(class, detail));
        }
        self.offset = block.end();
        self.seq = block.next_seq;
        self.prev_crc = Some(block.crc);
        Ok(found)
    }

    /// True when a block with this header is the next one.
    pub(crate) fn is_followed_by(&self, header: &BlockHeader) -> bool {
        self.contradiction(header).is_none()
    }

    /// True when a block is of this segment's epoch and codecs.
    pub(crate) fn may_hold(&self, header: &BlockHeader) -> bool {
        header.epoch_low == self.epoch_low && self.has_codec(header)
    }

    /// True when the segment's header announces the block's codec.
    fn has_codec(&self, header: &BlockHeader) -> bool {
        self.codecs & header.codec.bit() != 0
    }

    fn contradiction(&self, header: &BlockHeader) -> Option<(Class, String)> {
        if header.epoch_low != self.epoch_low {
            let detail = format!("epoch {}, expected {}", header.epoch_low, self.epoch_low);
            return Some((Class::StaleEpoch, detail));
        }
        if !self.has_codec(header) {
            let detail = format!(
                "codec {} is none of the segment header's set {:#04x}",
                header.codec, self.codecs
            );
            return Some((Class::BadBlockHeader, detail));
        }
        if header.base_seq != self.seq {
            let detail = format!(
                "block of sequence {}, expected {}",
                header.base_seq, self.seq
            );
            return Some((Class::BrokenChain, detail));
        }
        let prev_crc = self.prev_crc?;
        (header.prev_block_crc != prev_crc).then(|| {
            let named = header.prev_block_crc;
            let detail =
                format!("names {named:#010x} as the block before, which is {prev_crc:#010x}");
            (Class::BrokenChain, detail)
        })
    }
}

/// The first valid block at or behind `from`, on any 8-byte boundary: one of the epoch and codecs
/// of `chain`, or of any.
///
/// `last_nonzero` is raised to the end of the last bytes that are not zero, to the grain of the
/// search: what lies behind is preallocated and untouched.
pub(crate) fn find_block(
    source: &mut Source,
    from: u64,
    chain: Option<&Chain>,
    last_nonzero: &mut u64,
) -> io::Result<Option<Block>> {
    let mut offset = from.next_multiple_of(BLOCK_ALIGN);
    loop {
        let chunk = source.bytes(offset, SEARCH_GRAIN)?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let len = chunk.len();
        if is_zero(chunk) {
            offset += len as u64;
            continue;
        }
        *last_nonzero = offset + len as u64;
        let candidates: Vec<u64> = (0..len)
            .step_by(BLOCK_ALIGN as usize)
            .filter(|at| block_header::has_sync(&chunk[*at..]))
            .map(|at| offset + at as u64)
            .collect();
        for candidate in candidates {
            if let Found::Block(block) = read_block(source, candidate)?
                && chain.is_none_or(|chain| chain.may_hold(&block.header))
            {
                return Ok(Some(block));
            }
        }
        offset += len as u64;
    }
}

/// A valid seal, found through the trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealInfo {
    pub(crate) seal: SealFigures,
    /// Offset of the SEAL block.
    pub(crate) offset: u64,
    /// SHA-256 of SEAL block and trailer, which the next segment names.
    pub(crate) hash: [u8; 32],
}

/// What a seal says, without its index, which is as long as its segment: a list of a long log must
/// not hold them all. [`read_index`] reads one when it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealFigures {
    pub(crate) totals: Totals,
    pub(crate) sealed_by_epoch: u64,
    pub(crate) sha256: [u8; 32],
    /// Of the index that was left out.
    pub(crate) index_digest: [u8; 32],
}

impl SealFigures {
    fn of(seal: Seal) -> Self {
        Self {
            index_digest: IndexEntry::digest(&seal.index),
            totals: seal.totals,
            sealed_by_epoch: seal.sealed_by_epoch,
            sha256: seal.sha256,
        }
    }
}

/// Reads the seal of a file; `None` unless trailer and SEAL block are valid and fill the end
/// exactly.
///
/// The block is not checked against the blocks before it.
pub(crate) fn read_seal(
    file: &File,
    len: u64,
    header: &SegmentHeader,
) -> io::Result<Option<SealInfo>> {
    let Some(trailer_at) = len.checked_sub(Trailer::LEN as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; Trailer::LEN];
    // A writer may cut the file to its seal between the caller's look at the length and this.
    let read = read_up_to(file, &mut trailer, trailer_at)?;
    let Some(Trailer { seal_offset }) = Trailer::parse(&trailer[..read]) else {
        return Ok(None);
    };
    if seal_offset < SegmentHeader::LEN as u64 || seal_offset >= trailer_at {
        return Ok(None);
    }
    let mut source = Source::new(file.try_clone()?);
    let Found::Block(block) = read_block(&mut source, seal_offset)? else {
        return Ok(None);
    };
    let placed = block.header.kind == BlockKind::Seal
        && block.end() == trailer_at
        && block.header.epoch_low == epoch_low(header.writer_epoch);
    let Some(seal) = Seal::parse(block.payload(&source)).filter(|_| placed) else {
        return Ok(None);
    };
    let hash = seal_hash(block.bytes(&source), &trailer);
    Ok(Some(SealInfo {
        seal: SealFigures::of(seal),
        offset: seal_offset,
        hash,
    }))
}

/// Reads the index of a seal that was read before; empty when it is not that seal any more.
pub(crate) fn read_index(source: &mut Source, info: &SealInfo) -> io::Result<Vec<IndexEntry>> {
    let Found::Block(block) = read_block(source, info.offset)? else {
        return Ok(Vec::new());
    };
    let index = match Seal::parse(block.payload(source)) {
        Some(seal) if block.header.kind == BlockKind::Seal => seal.index,
        _ => Vec::new(),
    };
    let is_same = IndexEntry::digest(&index) == info.seal.index_digest;
    Ok(if is_same { index } else { Vec::new() })
}

/// What the next segment names: SHA-256 of the SEAL block and the trailer.
pub(crate) fn seal_hash(seal_block: &[u8], trailer: &[u8; Trailer::LEN]) -> [u8; 32] {
    Sha256::new()
        .chain_update(seal_block)
        .chain_update(trailer)
        .finalize()
        .into()
}

/// The part of the epoch that a block carries.
pub(crate) fn epoch_low(writer_epoch: u64) -> u32 {
    (writer_epoch & u64::from(u32::MAX)) as u32
}

const REACH_MIN: usize = 4 * 1024;
const REACH_MAX: usize = 256 * 1024;
const SEARCH_GRAIN: usize = 4096;
