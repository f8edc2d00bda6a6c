//! The segment being written: placement, chain, running hash and index of its blocks.

mod hasher;
mod left;

use std::path::{Path, PathBuf};

use rustix::time::ClockId;

use self::hasher::Hasher;
pub(crate) use self::left::Left;
use crate::codec::{Codec, Compressor};
use crate::directory::{PREPARED_FILE, SegmentEntry, segment_name};
use crate::disk::{Disk, DiskFile};
use crate::error::JournalError;
use crate::failpoints::fp;
use crate::format::record::RecordHeader;
use crate::format::seal::Totals;
use crate::format::{
    BlockHeader, BlockKind, IndexEntry, Seal, SegmentHeader, Trailer, block_header, masked_crc,
    segment_header,
};
use crate::grid::{EDGE, Grid};
use crate::scan::{Block, Source, epoch_low, seal_hash};
use crate::tally::Tally;
use crate::writer::Record;

/// Records on their way into one block. The space of the header lies in front of them, so that the
/// block is written in one piece without copying.
#[derive(Debug)]
pub(crate) struct BlockBuffer {
    bytes: Vec<u8>,
    totals: Totals,
    compressor: Compressor,
    /// The compressed block, header space in front; empty without a codec.
    compressed: Vec<u8>,
}

impl BlockBuffer {
    /// Allocates once for the largest block, stored as it is.
    pub(crate) fn new(base_seq: u64) -> Self {
        Self::compressing(base_seq, Compressor::none())
    }

    /// Allocates once for the largest block.
    pub(crate) fn compressing(base_seq: u64, compressor: Compressor) -> Self {
        let capacity = BlockHeader::LEN + crate::format::MAX_BLOCK_PAYLOAD + EDGE as usize;
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(BlockHeader::LEN, 0);
        Self {
            bytes,
            totals: Totals::new(base_seq),
            compressed: match compressor.bound(crate::format::MAX_BLOCK_PAYLOAD) {
                0 => Vec::new(),
                bound => Vec::with_capacity(BlockHeader::LEN + bound + EDGE as usize),
            },
            compressor,
        }
    }

    /// Calls of the codec so far.
    pub(crate) fn codec_calls(&self) -> u64 {
        self.compressor.calls()
    }

    /// The block with space for its header, compressed when that is worth it, and its codec.
    fn pack(&mut self) -> (&mut Vec<u8>, Codec) {
        let raw = &self.bytes[BlockHeader::LEN..];
        let bound = self.compressor.bound(raw.len());
        self.compressed.resize(BlockHeader::LEN + bound, 0);
        let out = &mut self.compressed[BlockHeader::LEN..];
        match self.compressor.compress(raw, out) {
            Some(len) => {
                self.compressed.truncate(BlockHeader::LEN + len);
                (&mut self.compressed, self.compressor.codec())
            }
            None => (&mut self.bytes, Codec::None),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.totals.records == 0
    }

    pub(crate) fn records(&self) -> u64 {
        self.totals.records
    }

    /// Bytes of the records so far.
    pub(crate) fn payload_len(&self) -> usize {
        self.bytes.len() - BlockHeader::LEN
    }

    /// The encoded records so far.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[BlockHeader::LEN..]
    }

    /// Sequence of the first record, of the next one while it is empty.
    pub(crate) fn first_seq(&self) -> u64 {
        self.totals.first_seq
    }

    /// Takes over records that were encoded before.
    pub(crate) fn load(&mut self, payload: &[u8], first_seq: u64) {
        self.clear(first_seq);
        self.bytes.extend_from_slice(payload);
        let mut rest = payload;
        while let Some((record, behind)) = RecordHeader::split(rest) {
            self.totals
                .add_record(record.kind, record.rx_ns, record.payload.len());
            rest = behind;
        }
    }

    /// Adds a checked record.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        RecordHeader::encode(record, &mut self.bytes);
        self.totals
            .add_record(record.kind, record.rx_ns, record.payload.len());
    }

    /// Empties the buffer; the next record will have this sequence.
    pub(crate) fn clear(&mut self, base_seq: u64) {
        self.bytes.truncate(BlockHeader::LEN);
        self.totals = Totals::new(base_seq);
    }
}

/// Where a segment stands in its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Predecessor {
    pub(crate) number: u64,
    pub(crate) last_seq: u64,
    pub(crate) seal_hash: [u8; 32],
    /// It has no seal: it was given up after an I/O error, and `last_seq` is all that is valid.
    pub(crate) abandoned: bool,
}

/// What a log knows of itself, written into every header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) log_id: [u8; 16],
    pub(crate) writer_epoch: u64,
    pub(crate) boot_id: [u8; 16],
    pub(crate) schema_id: u32,
    /// Codecs that its blocks may have, bit n for number n.
    pub(crate) codecs: u8,
}

/// A file allocated for the next segment, not yet part of the log.
#[derive(Debug)]
pub(crate) struct Prepared {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    preallocated: bool,
}

impl Prepared {
    /// Creates and allocates the file; nothing stays behind on failure.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, size: u64) -> Result<Self, JournalError> {
        let path = dir.join(PREPARED_FILE);
        let failed =
            |context| move |error| JournalError::io(context, &dir.join(PREPARED_FILE), error);
        let file = disk.create_new(&path).map_err(failed("cannot create"))?;
        fp!("journal.prepare.after_create");
        match file.allocate(size) {
            Ok(preallocated) => {
                fp!("journal.prepare.after_allocate");
                Ok(Self {
                    path,
                    file,
                    preallocated,
                })
            }
            Err(error) => {
                disk.remove(&path).map_err(failed("cannot remove"))?;
                Err(failed("cannot allocate")(error))
            }
        }
    }

    /// Gives the file up.
    pub(crate) fn discard(self, disk: &dyn Disk) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("cannot remove", &self.path, error);
        disk.remove(&self.path).map_err(failed)?;
        fp!("journal.prepare.after_discard");
        Ok(())
    }
}

/// The one segment that accepts blocks.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    header: SegmentHeader,
    header_crc: u32,
    epoch_low: u32,
    prev_crc: u32,
    grid: Grid,
    sha: Hasher,
    tally: Tally,
}

/// A segment that was sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) predecessor: Predecessor,
    /// Bytes that the seal added.
    pub(crate) bytes: u64,
}

impl ActiveSegment {
    /// Turns a prepared file into the segment behind `before`; synced with its directory on return.
    pub(crate) fn begin(
        disk: &dyn Disk,
        dir: &Path,
        prepared: Prepared,
        identity: &Identity,
        before: &Predecessor,
    ) -> Result<Self, JournalError> {
        let header = SegmentHeader {
            preallocated: prepared.preallocated,
            continues_abandoned: before.abandoned,
            codecs: identity.codecs,
            log_id: identity.log_id,
            number: before.number + 1,
            base_seq: before.last_seq + 1,
            writer_epoch: identity.writer_epoch,
            created_ns: utc_ns(),
            boot_id: identity.boot_id,
            prev_last_seq: before.last_seq,
            prev_seal_hash: before.seal_hash,
            schema_id: identity.schema_id,
        };
        let bytes = header.encode();
        let path = dir.join(segment_name(header.number));
        let failed = |context| {
            let path = path.clone();
            move |error| JournalError::io(context, &path, error)
        };
        fp!("journal.header.before_write");
        prepared
            .file
            .write_all_at(&bytes, 0)
            .map_err(failed("cannot write the header of"))?;
        fp!("journal.header.after_write");
        prepared
            .file
            .sync_data()
            .map_err(failed("cannot sync the header of"))?;
        fp!("journal.header.after_sync");
        disk.rename_new(&prepared.path, &path)
            .map_err(failed("cannot create"))?;
        fp!("journal.header.after_rename");
        disk.sync_dir(dir)
            .map_err(failed("cannot sync the directory of"))?;
        fp!("journal.header.after_dir_sync");
        let mut segment = Self::resume(
            prepared.file,
            path,
            &header,
            segment_header::stored_crc(&bytes),
        );
        segment.sha.update(&bytes);
        Ok(segment)
    }

    /// A segment of which no block is known yet; its header is not hashed.
    fn resume(file: Box<dyn DiskFile>, path: PathBuf, header: &SegmentHeader, crc: u32) -> Self {
        Self {
            path,
            file,
            header: header.clone(),
            header_crc: crc,
            epoch_low: epoch_low(header.writer_epoch),
            prev_crc: crc,
            grid: Grid::new(),
            sha: Hasher::new(),
            tally: Tally::new(header.base_seq),
        }
    }

    /// A segment of an earlier writer, to be filled by [`note_block`](Self::note_block) and sealed.
    pub(crate) fn reopen(file: Box<dyn DiskFile>, entry: &SegmentEntry) -> Self {
        let mut segment = Self::resume(file, entry.path.clone(), &entry.header, entry.header_crc);
        segment.sha.update(&entry.header.encode());
        segment
    }

    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    /// Sequence of its first record.
    pub(crate) fn base_seq(&self) -> u64 {
        self.header.base_seq
    }

    /// True while its name in the directory still means this file.
    pub(crate) fn is_in_place(&self) -> Result<bool, JournalError> {
        let failed = |error| JournalError::io("cannot look at", &self.path, error);
        self.file.is_at(&self.path).map_err(failed)
    }

    pub(crate) fn has_records(&self) -> bool {
        self.tally.totals.records > 0
    }

    /// Bytes used so far.
    pub(crate) fn position(&self) -> u64 {
        self.grid.position()
    }

    /// True when a block of this payload leaves room for the seal.
    pub(crate) fn has_room(&self, payload_len: usize, segment_size: u64) -> bool {
        let seal = Seal::payload_len(self.tally.index.len() + 1) + BlockHeader::LEN + Trailer::LEN;
        let with_seal = self.grid.place(payload_len).end + seal as u64 + 2 * EDGE;
        with_seal <= segment_size && self.tally.index.len() < Seal::MAX_INDEX
    }

    /// Writes the buffered records as one block, a CHECKPOINT first where the grid asks for it.
    ///
    /// Returns what was written.
    pub(crate) fn write_records(
        &mut self,
        buffer: &mut BlockBuffer,
        next_seq: u64,
        durable_seq: u64,
    ) -> Result<Written, JournalError> {
        let begin = self.grid.position();
        let blocks = self.tally.totals.blocks;
        let totals = buffer.totals.clone();
        let raw_len = buffer.payload_len() as u32;
        let (bytes, codec) = buffer.pack();
        let stamp = BlockStamp {
            kind: BlockKind::Data,
            codec,
            raw_len,
            base_seq: totals.first_seq,
            // A block of at most 1 MiB holds fewer than 2^16 records.
            count: totals.records as u32,
            first_rx_ns: totals.first_rx_ns,
            durable_seq,
        };
        let (begin_len, written) = (bytes.len(), self.write_block(bytes, stamp));
        // Without the padding: the records may have to be written again, elsewhere.
        bytes.truncate(begin_len);
        let offset = written?;
        let entry = IndexEntry {
            seq: totals.first_seq,
            rx_ns: totals.first_rx_ns,
            offset,
        };
        self.tally.add_records(&totals, next_seq, entry);
        Ok(Written {
            bytes: self.grid.position() - begin,
            blocks: self.tally.totals.blocks - blocks,
            compressed: codec != Codec::None,
        })
    }

    /// Takes over a block that an earlier writer wrote, in order.
    pub(crate) fn note_block(&mut self, source: &Source, block: &Block) {
        debug_assert_eq!(
            self.grid.position(),
            block.offset,
            "blocks are noted without a hole"
        );
        self.sha.update(block.bytes(source));
        self.prev_crc = block.crc;
        self.grid.advance(block.end());
        self.tally.add_block(source, block);
    }

    /// Hands written data to the device.
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        fp!("journal.sync.before");
        self.file
            .sync_data()
            .map_err(|error| JournalError::io("cannot sync", &self.path, error))?;
        fp!("journal.sync.after");
        Ok(())
    }

    /// Writes SEAL block and trailer, cuts the file to them, syncs file and directory.
    pub(crate) fn seal(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        writer_epoch: u64,
        durable_seq: u64,
    ) -> Result<Sealed, JournalError> {
        let failed = |context| {
            let path = self.path.clone();
            move |error| JournalError::io(context, &path, error)
        };
        let (cut, sync) = (failed("cannot cut"), failed("cannot sync"));
        let sync_dir = failed("cannot sync the directory of");
        let write = failed("cannot write the trailer of");
        let begin = self.grid.position();
        let next_seq = self.tally.totals.last_seq + 1;
        let payload_len = Seal::payload_len(self.tally.index.len());
        if let Some(pad) = self.grid.place(payload_len).checkpoint_pad {
            self.write_checkpoint(next_seq, durable_seq, pad)?;
        }
        // The hash covers everything before the SEAL block, so the checkpoint goes first.
        let seal = Seal {
            totals: self.tally.totals.clone(),
            sealed_by_epoch: writer_epoch,
            sealed_ns: utc_ns(),
            sha256: self.sha.finish(),
            index: self.tally.index.clone(),
        };
        let mut bytes = vec![0; BlockHeader::LEN];
        bytes.extend_from_slice(&seal.encode());
        let (kind, first_rx_ns) = (BlockKind::Seal, self.tally.totals.last_rx_ns);
        let stamp = BlockStamp {
            kind,
            codec: Codec::None,
            raw_len: payload_len as u32,
            base_seq: next_seq,
            count: 0,
            first_rx_ns,
            durable_seq,
        };
        fp!("journal.seal.before_block");
        let offset = self.write_block(&mut bytes, stamp)?;
        fp!("journal.seal.after_block");
        let trailer = Trailer {
            seal_offset: offset,
        }
        .encode();
        let end = self.grid.position();
        self.file.write_all_at(&trailer, end).map_err(write)?;
        fp!("journal.seal.after_trailer");
        self.file.set_len(end + trailer.len() as u64).map_err(cut)?;
        fp!("journal.seal.after_cut");
        self.file.sync_data().map_err(sync)?;
        fp!("journal.seal.after_sync");
        disk.sync_dir(dir).map_err(sync_dir)?;
        fp!("journal.seal.after_dir_sync");
        Ok(Sealed {
            predecessor: Predecessor {
                number: self.header.number,
                last_seq: self.tally.totals.last_seq,
                seal_hash: seal_hash(&bytes, &trailer),
                abandoned: false,
            },
            bytes: end + trailer.len() as u64 - begin,
        })
    }

    /// Completes header and padding around the payload in `bytes`, writes it, returns its offset.
    fn write_block(&mut self, bytes: &mut Vec<u8>, stamp: BlockStamp) -> Result<u64, JournalError> {
        let payload_len = bytes.len() - BlockHeader::LEN;
        let placement = self.grid.place(payload_len);
        if let Some(pad) = placement.checkpoint_pad {
            self.write_checkpoint(stamp.base_seq, stamp.durable_seq, pad)?;
        }
        let header = BlockHeader {
            kind: stamp.kind,
            codec: stamp.codec,
            raw_len: stamp.raw_len,
            // At most 1 MiB: the buffer takes no more, the index is capped.
            stored_len: payload_len as u32,
            base_seq: stamp.base_seq,
            count: stamp.count,
            pad_len: placement.pad,
            first_rx_ns: stamp.first_rx_ns,
            last_mono_ns: mono_ns(),
            durable_seq_before: stamp.durable_seq,
            epoch_low: self.epoch_low,
            prev_block_crc: self.prev_crc,
            payload_crc: masked_crc(&bytes[BlockHeader::LEN..]),
        }
        .encode();
        bytes[..BlockHeader::LEN].copy_from_slice(&header);
        bytes.resize(bytes.len() + usize::from(placement.pad), 0);
        fp!("journal.block.before_write");
        self.file
            .write_all_at(bytes, placement.offset)
            .map_err(|error| JournalError::io("cannot write a block of", &self.path, error))?;
        fp!("journal.block.after_write");
        self.note_written(bytes, block_header::stored_crc(&header), placement.end);
        Ok(placement.offset)
    }

    fn write_checkpoint(&mut self, seq: u64, durable: u64, pad: u16) -> Result<(), JournalError> {
        let header = BlockHeader {
            kind: BlockKind::Checkpoint,
            codec: Codec::None,
            stored_len: 0,
            raw_len: 0,
            base_seq: seq,
            count: 0,
            pad_len: pad,
            first_rx_ns: self.tally.totals.last_rx_ns,
            last_mono_ns: mono_ns(),
            durable_seq_before: durable,
            epoch_low: self.epoch_low,
            prev_block_crc: self.prev_crc,
            payload_crc: masked_crc(&[]),
        }
        .encode();
        let mut bytes = [0; BlockHeader::LEN + 2 * EDGE as usize];
        bytes[..BlockHeader::LEN].copy_from_slice(&header);
        let bytes = &bytes[..BlockHeader::LEN + usize::from(pad)];
        let offset = self.grid.position();
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| JournalError::io("cannot write a checkpoint of", &self.path, error))?;
        fp!("journal.checkpoint.after_write");
        self.note_written(
            bytes,
            block_header::stored_crc(&header),
            offset + bytes.len() as u64,
        );
        Ok(())
    }

    fn note_written(&mut self, bytes: &[u8], crc: u32, end: u64) {
        self.sha.update(bytes);
        self.prev_crc = crc;
        self.grid.advance(end);
        self.tally.totals.blocks += 1;
    }
}

/// What one call of [`ActiveSegment::write_records`] wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// A CHECKPOINT counts too.
    pub(crate) blocks: u64,
    pub(crate) compressed: bool,
}

/// Header fields of a block that its writer knows.
#[derive(Debug, Clone, Copy)]
struct BlockStamp {
    kind: BlockKind,
    codec: Codec,
    raw_len: u32,
    base_seq: u64,
    count: u32,
    first_rx_ns: u64,
    durable_seq: u64,
}

/// UTC now in nanoseconds, 0 before 1970.
pub(crate) fn utc_ns() -> u64 {
    clock_ns(ClockId::Realtime)
}

fn mono_ns() -> u64 {
    clock_ns(ClockId::Monotonic)
}

pub(crate) fn clock_ns(clock: ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
