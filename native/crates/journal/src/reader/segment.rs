//! One segment being read, and the position among the records of a block.

use std::io;

use super::{Entry, OwnedRecord};
use crate::directory::SegmentEntry;
use crate::error::{Class, JournalError, Problem};
use crate::format::{BlockKind, MAX_BLOCK_PAYLOAD, RecordHeader, Seal, SegmentHeader, Trailer};
use crate::grid::{EDGE, GRID};
use crate::scan::{self, Block, Chain, Found, Source};

/// The segment being read.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) entry: SegmentEntry,
    pub(super) source: Source,
    pub(super) chain: Chain,
    pub(super) records: Records,
    /// Set once the SEAL block was met: what the next segment must name.
    pub(super) seal_hash: Option<[u8; 32]>,
    /// It is known whether the segment was abandoned.
    pub(super) is_end_known: bool,
}

impl OpenSegment {
    /// Opens a segment at its first block, or near a sequence when its index knows a better place.
    pub(super) fn open(entry: SegmentEntry, near_seq: Option<u64>) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io("cannot open", &entry.path, error);
        let mut source = Source::open(&entry.path).map_err(failed)?;
        let mut chain = Chain::begin(&entry.header, entry.header_crc);
        if let (Some(seq), Some(info)) = (near_seq, &entry.seal) {
            let index = scan::read_index(&mut source, info).map_err(failed)?;
            source.forget();
            let behind = index.partition_point(|place| place.seq <= seq);
            if let Some(place) = behind.checked_sub(1).map(|at| index[at]) {
                chain = Chain {
                    offset: place.offset,
                    seq: place.seq,
                    prev_crc: None,
                    ..chain
                };
            }
        }
        let records = Records::none(chain.seq);
        let is_end_known = entry.abandoned_at.is_some();
        Ok(Self {
            entry,
            source,
            chain,
            records,
            seal_hash: None,
            is_end_known,
        })
    }

    /// True when nothing more of this segment is data: its SEAL block was met, or it was abandoned
    /// and all that is valid has been read.
    pub(super) fn has_ended(&self) -> bool {
        let abandoned_at = self.entry.abandoned_at;
        self.seal_hash.is_some() || abandoned_at.is_some_and(|last| self.chain.seq > last)
    }

    /// Whether `next` goes on where this segment ended.
    pub(super) fn is_followed_by(&self, next: &SegmentHeader) -> bool {
        let seq = self.chain.seq;
        if let Some(last_seq) = self.entry.abandoned_by(next) {
            // Blocks behind were read before they ceased to be data; they come again.
            return last_seq < seq;
        }
        next.log_id == self.entry.header.log_id
            && next.number == self.entry.header.number + 1
            && next.base_seq == seq
            && next.prev_last_seq == seq - 1
            && !next.continues_abandoned
            && Some(next.prev_seal_hash) == self.seal_hash
    }

    /// Whether this file was an attempt of a writer at the segment that `now` begins: then the same
    /// records stand there, unless another writer has begun it before the end of what was read.
    pub(super) fn was_attempt_at(&self, now: &SegmentHeader) -> bool {
        let header = &self.entry.header;
        now != header
            && (now.log_id, now.number) == (header.log_id, header.number)
            && (now.writer_epoch == header.writer_epoch || now.base_seq >= self.chain.seq)
    }

    /// Moves past the next block if there is a good one.
    pub(super) fn step(&mut self) -> Result<Found, JournalError> {
        let before = self.chain;
        let found = self
            .chain
            .step(&mut self.source)
            .map_err(|error| self.failed(error))?;
        let Found::Block(block) = &found else {
            return Ok(found);
        };
        match block.header.kind {
            BlockKind::Data => self.records = Records::of(block),
            BlockKind::Checkpoint => {}
            BlockKind::Seal => {
                let seal = Seal::parse(block.payload(&self.source));
                if seal.is_none_or(|seal| seal.totals.last_seq + 1 != self.chain.seq) {
                    self.chain = before;
                    let detail = "the seal does not fit the blocks before it".to_owned();
                    return Err(JournalError::Damaged(self.problem(
                        Class::BadSeal,
                        None,
                        detail,
                    )));
                }
                let trailer = Trailer {
                    seal_offset: block.offset,
                }
                .encode();
                self.seal_hash = Some(scan::seal_hash(block.bytes(&self.source), &trailer));
            }
        }
        Ok(found)
    }

    /// As `step`, without moving.
    pub(super) fn peek(&mut self) -> Result<Found, JournalError> {
        let mut chain = self.chain;
        chain
            .step(&mut self.source)
            .map_err(|error| self.failed(error))
    }

    /// True when a valid block of this writer begins on one of the next edges: then the writer has
    /// finished what lies before it.
    pub(super) fn block_follows(&mut self) -> Result<bool, JournalError> {
        let begin = (self.chain.offset + 1).next_multiple_of(EDGE);
        let end = begin + MAX_BLOCK_PAYLOAD as u64 + GRID;
        for offset in (begin..end).step_by(EDGE as usize) {
            let found = scan::read_block(&mut self.source, offset);
            match found.map_err(|error| self.failed(error))? {
                Found::Block(block) if block.header.epoch_low == self.chain.epoch_low => {
                    return Ok(true);
                }
                Found::Eof => break,
                _ => {}
            }
        }
        Ok(false)
    }

    /// The last sequence of this segment.
    pub(super) fn last_seq(mut self) -> Result<u64, JournalError> {
        while let Found::Block(_) = self.step()? {
            if self.seal_hash.is_some() {
                break;
            }
        }
        Ok(self.chain.seq - 1)
    }

    /// The last record of a kind in this segment whose sequence is below a bound.
    pub(super) fn last_of_kind(
        mut self,
        kind: u8,
        below: u64,
    ) -> Result<Option<OwnedRecord>, JournalError> {
        let mut last = None;
        let is_closed = self.entry.last_seq().is_some();
        while !self.has_ended() {
            match self.step()? {
                Found::Block(block) if block.header.kind == BlockKind::Data => {
                    if self
                        .records
                        .last_of_kind(kind, below, &self.source)
                        .is_some()
                    {
                        last = Some(block);
                    }
                }
                Found::Block(_) => {}
                Found::Bad(class, detail) if is_closed => {
                    let seq = self.chain.seq;
                    return Err(JournalError::Damaged(self.problem(
                        class,
                        Some(seq),
                        detail,
                    )));
                }
                _ if self.entry.abandoned_at.is_some() => {
                    let seq = Some(self.chain.seq);
                    let detail = "the data ends before the place where it was abandoned".into();
                    let problem = self.problem(Class::MissingBlocks, seq, detail);
                    return Err(JournalError::Damaged(problem));
                }
                _ => break,
            }
        }
        let Some(block) = last else { return Ok(None) };
        // Only the place was kept on the way; the block is read once more.
        let found = scan::read_block(&mut self.source, block.offset);
        match found.map_err(|error| self.failed(error))? {
            Found::Block(block) => Ok(Records::of(&block).last_of_kind(kind, below, &self.source)),
            _ => {
                let detail = "the file changed while it was read".to_owned();
                let seq = Some(block.header.base_seq);
                Err(JournalError::Damaged(self.problem(
                    Class::ChangedWhileRead,
                    seq,
                    detail,
                )))
            }
        }
    }

    pub(super) fn problem(&self, class: Class, from: Option<u64>, detail: String) -> Problem {
        let (file, offset) = (self.entry.name.clone(), self.chain.offset);
        Problem {
            file,
            offset,
            class,
            from,
            to: None,
            detail,
        }
    }

    fn failed(&self, error: io::Error) -> JournalError {
        JournalError::io("cannot read", &self.entry.path, error)
    }
}

/// Position among the records of the block in the source's window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records {
    block: Option<Block>,
    /// The current record: where it begins in the payload, and its sequence.
    at: usize,
    seq: u64,
    /// Where the next one begins, and its sequence.
    next_at: usize,
    pub(super) next_seq: u64,
}

impl Records {
    pub(super) fn none(next_seq: u64) -> Self {
        Self {
            block: None,
            at: 0,
            seq: next_seq,
            next_at: 0,
            next_seq,
        }
    }

    fn of(block: &Block) -> Self {
        Self {
            block: Some(*block),
            ..Self::none(block.header.base_seq)
        }
    }

    /// Moves to the next record and gives the last sequence it spends.
    pub(super) fn advance(&mut self, source: &Source) -> Option<u64> {
        let block = self.block?;
        let payload = block.payload(source);
        let (_, rest) = RecordHeader::split(&payload[self.next_at..])?;
        (self.at, self.seq) = (self.next_at, self.next_seq);
        self.next_at = payload.len() - rest.len();
        self.next_seq = if rest.is_empty() {
            block.next_seq
        } else {
            self.seq + 1
        };
        Some(self.next_seq - 1)
    }

    /// The record that `advance` moved to.
    pub(super) fn entry<'a>(&self, source: &'a Source) -> Entry<'a> {
        let payload = self
            .block
            .expect("advance has found a record")
            .payload(source);
        let (record, _) = RecordHeader::split(&payload[self.at..]).expect("checked with its block");
        Entry {
            seq: self.seq,
            record,
        }
    }

    pub(super) fn last_of_kind(
        mut self,
        kind: u8,
        below: u64,
        source: &Source,
    ) -> Option<OwnedRecord> {
        let mut last = None;
        while self.advance(source).is_some() {
            if self.seq < below && self.entry(source).record.kind == kind {
                last = Some(self);
            }
        }
        let Entry { seq, record } = last?.entry(source);
        Some(OwnedRecord {
            seq,
            kind: record.kind,
            stamp: record.stamp,
            line: record.line,
            channel: record.channel,
            venue_seq: record.venue_seq,
            rx_ns: record.rx_ns,
            payload: record.payload.to_vec(),
        })
    }
}
