//! Reads blocks as they are stored, for those who pass them on.
//!
//! A [`BlockCursor`] differs from a [`Reader`](crate::Reader) in three ways: it gives whole blocks,
//! it never goes above a bound that its caller names at each step, and damage does not stop it. What
//! cannot be read is declared as a range, and reading goes on with the next good block. Ranges and
//! blocks together are without a gap, so whoever keeps them knows what is missing.
//!
//! A block is believed missing only when nothing can bring it any more: its segment was closed, or a
//! good block of the same writer lies behind it although the bound says that both were written.

use std::path::Path;

use super::file_name;
use super::index::{Catalog, Opened, SegmentMap, SharedSegments};
use super::segment::OpenSegment;
use crate::directory::{self, SegmentEntry, segment_name};
use crate::error::{Class, JournalError, Problem};
use crate::format::{BlockHeader, BlockKind, RecordHeader, SegmentHeader};
use crate::kind::{self, JournalHole};
use crate::scan::{Block, Found, Source};
use crate::walk::behind;

/// A block as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlock<'a> {
    /// Sequence of its first record.
    pub base_seq: u64,
    /// Last sequence that it spends.
    pub last_seq: u64,
    /// Records in it.
    pub count: u32,
    /// Low half of its writer's epoch.
    pub epoch_low: u32,
    /// Header and payload; the padding is left out.
    pub bytes: &'a [u8],
    /// The sequences that its last record, a JOURNAL_HOLE, spends.
    pub hole: Option<JournalHole>,
}

/// Sequences that the log cannot give, both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// First.
    pub from: u64,
    /// Last.
    pub to: u64,
    /// Why.
    pub cause: MissingCause,
}

/// Why sequences are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingCause {
    /// They are older than the oldest record kept.
    Pruned,
    /// The log is damaged.
    Damaged(Problem),
}

/// One step of a [`BlockCursor`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockStep<'a> {
    /// The next block.
    Block(StoredBlock<'a>),
    /// The next sequences are missing; the cursor stands behind them.
    Missing(Missing),
    /// Nothing more below the bound, for now.
    End,
}

/// Reads blocks in order and follows a growing log.
#[derive(Debug)]
pub struct BlockCursor {
    catalog: Catalog,
    log_id: [u8; 16],
    /// The segment being read; `None` until the first step, and where no segment holds `next_seq`.
    segment: Option<OpenSegment>,
    /// Nothing more of the segment can be read, although no seal was met.
    ended: bool,
    next_seq: u64,
}

/// What a look at the next place gives.
enum Look {
    Block(Block),
    Missing(Missing),
    End,
    /// The cursor has moved: look again.
    Moved,
}

impl BlockCursor {
    /// A cursor whose first block holds `seq`, or is the first one behind it.
    ///
    /// # Errors
    ///
    /// [`JournalError::NotAJournal`] without segments, [`JournalError::Damaged`] when none can be
    /// read or two carry one number, [`JournalError::Io`] when the system refuses.
    pub fn open(dir: impl AsRef<Path>, seq: u64) -> Result<Self, JournalError> {
        Self::begin(Catalog::Own(dir.as_ref().to_owned()), seq)
    }

    /// As [`open`](Self::open), by what somebody else looks at: the directory is never listed, and a
    /// segment is opened when it is read. [`BlockStep::End`] is also the answer where the shared look
    /// is older than the log; a later step finds more.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] when the log is not one.
    pub fn over(segments: &SharedSegments, seq: u64) -> Result<Self, JournalError> {
        Self::begin(Catalog::Shared(segments.clone()), seq)
    }

    fn begin(catalog: Catalog, seq: u64) -> Result<Self, JournalError> {
        let log_id = catalog.look()?.outline.log_id;
        Ok(Self {
            catalog,
            log_id,
            segment: None,
            ended: false,
            next_seq: seq.max(1),
        })
    }

    /// The sequence that the next step is about.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Identity of the log.
    #[must_use]
    pub fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// Segment number and offset of the next block; `None` before the first step.
    #[must_use]
    pub fn place(&self) -> Option<(u64, u64)> {
        let segment = self.segment.as_ref()?;
        Some((segment.entry.header.number, segment.chain.offset))
    }

    /// Goes to another sequence.
    pub fn seek(&mut self, seq: u64) {
        (self.segment, self.ended) = (None, false);
        self.next_seq = seq.max(1);
    }

    /// The next block that ends at or below `limit`.
    ///
    /// `limit` is a watermark: everything up to it was written. The first block after a start
    /// inside one begins below [`next_seq`](Self::next_seq).
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`] when the system refuses, [`JournalError::Damaged`] when the log is not
    /// one any more (foreign or double segments, a segment that does not continue the one before).
    pub fn next(&mut self, limit: u64) -> Result<BlockStep<'_>, JournalError> {
        loop {
            if self.next_seq > limit {
                return Ok(BlockStep::End);
            }
            match self.look(limit)? {
                Look::Block(block) => {
                    self.next_seq = block.next_seq;
                    let segment = self.segment.as_ref().expect("a block was read from it");
                    return Ok(BlockStep::Block(stored(&block, &segment.source)));
                }
                Look::Missing(missing) => {
                    self.next_seq = missing.to + 1;
                    return Ok(BlockStep::Missing(missing));
                }
                Look::End => return Ok(BlockStep::End),
                Look::Moved => {}
            }
        }
    }

    fn look(&mut self, limit: u64) -> Result<Look, JournalError> {
        let Some(segment) = &mut self.segment else {
            return self.find_segment();
        };
        if self.ended || segment.has_ended() {
            return self.enter_next();
        }
        let before = segment.chain;
        let mut found = step(segment)?;
        if !matches!(found, Found::Block(_)) {
            // What the window holds may be older than the file.
            segment.source.forget();
            found = step(segment)?;
        }
        match found {
            Found::Block(block) if block.header.kind != BlockKind::Data => Ok(Look::Moved),
            Found::Block(block) if block.next_seq <= self.next_seq => Ok(Look::Moved),
            Found::Block(block) if block.next_seq - 1 > limit => {
                segment.chain = before;
                Ok(Look::End)
            }
            Found::Block(block) => Ok(Look::Block(block)),
            bad => self.pass(bad),
        }
    }

    /// Enters the segment that holds the next sequence.
    fn find_segment(&mut self) -> Result<Look, JournalError> {
        let map = self.catalog.look()?;
        let first = &map.places[0];
        if first.header.log_id != self.log_id {
            let detail = "another log lies here now".to_owned();
            return Err(damaged(&first.name, Class::ForeignSegment, detail));
        }
        if self.next_seq < first.header.base_seq {
            let to = first.header.base_seq - 1;
            return Ok(self.missing(to, MissingCause::Pruned));
        }
        let places = &map.places;
        let behind = places.partition_point(|place| place.header.base_seq <= self.next_seq);
        match map.open(&self.catalog, behind - 1)? {
            Opened::Segment(entry) => {
                self.open_segment(*entry, Some(self.next_seq))?;
                Ok(Look::Moved)
            }
            Opened::Gone => Ok(Look::End),
            Opened::Unreadable => {
                let number = places[behind - 1].header.number;
                self.enter_first(&map, behind, number)
            }
        }
    }

    /// Goes from a segment that has ended to the one behind it.
    fn enter_next(&mut self) -> Result<Look, JournalError> {
        let segment = self.segment.as_ref().expect("it has ended");
        let number = segment.entry.header.number + 1;
        let path = self.catalog.dir().join(segment_name(number));
        let entry = match directory::open_segment(&path, file_name(&path)) {
            Ok(Ok(entry)) if entry.header.number == number => Some(entry),
            Ok(_) => None,
            Err(error) if is_absent(&error) => None,
            Err(error) => return Err(error),
        };
        match entry {
            Some(entry) => self.enter(entry),
            None => self.pass_segments(number),
        }
    }

    fn enter(&mut self, entry: SegmentEntry) -> Result<Look, JournalError> {
        let segment = self.segment.as_ref().expect("the one before");
        let base_seq = entry.header.base_seq;
        if !continues(segment, &entry) {
            let detail = format!("does not continue the segment before it at {base_seq}");
            return Err(damaged(&entry.name, Class::SegmentChain, detail));
        }
        self.open_segment(entry, None)?;
        Ok(Look::Moved)
    }

    /// The segment with this number cannot be read: pruned, missing, damaged, or not there yet.
    fn pass_segments(&mut self, number: u64) -> Result<Look, JournalError> {
        let map = self.catalog.look()?;
        let places = &map.places;
        let behind = places.partition_point(|place| place.header.number < number);
        self.enter_first(&map, behind, number)
    }

    /// Enters the first segment that can be read from a place on, instead of the one with `number`.
    fn enter_first(
        &mut self,
        map: &SegmentMap,
        from: usize,
        number: u64,
    ) -> Result<Look, JournalError> {
        for (at, place) in map.places.iter().enumerate().skip(from) {
            let entry = match map.open(&self.catalog, at)? {
                Opened::Segment(entry) => *entry,
                Opened::Gone => return Ok(Look::End),
                Opened::Unreadable => continue,
            };
            let (found, base_seq) = (place.header.number, place.header.base_seq);
            self.open_segment(entry, None)?;
            if base_seq <= self.next_seq {
                return Ok(Look::Moved);
            }
            let cause = if at == 0 && found > number {
                MissingCause::Pruned
            } else {
                let detail = format!("segment {number} cannot be read, {found} is the next one");
                let name = segment_name(number);
                MissingCause::Damaged(problem(&name, 0, Class::MissingSegment, detail))
            };
            return Ok(self.missing(base_seq - 1, cause));
        }
        Ok(Look::End)
    }

    /// Decides what to do where no good block stands.
    fn pass(&mut self, bad: Found) -> Result<Look, JournalError> {
        let segment = self.segment.as_mut().expect("it is being read");
        let closed = match refresh(&self.catalog, segment)? {
            Refreshed::Replaced(entry) if entry.header.base_seq <= self.next_seq => {
                self.open_segment(*entry, Some(self.next_seq))?;
                return Ok(Look::Moved);
            }
            Refreshed::Replaced(_) => {
                self.seek(self.next_seq);
                return Ok(Look::Moved);
            }
            Refreshed::Open => None,
            Refreshed::Closed(last_seq) => Some(last_seq),
        };
        if segment.has_ended() {
            return Ok(Look::Moved);
        }
        // The proof that it is closed is newer than the look.
        segment.source.forget();
        let before = segment.chain;
        if let Found::Block(_) = step(segment)? {
            segment.chain = before;
            segment.seal_hash = None;
            return Ok(Look::Moved);
        }
        if let Some(last_seq) = closed
            && last_seq + 1 < segment.chain.seq
        {
            return Err(shortened(segment, last_seq));
        }
        let searches = closed.is_some() || matches!(bad, Found::Bad(..));
        let candidate = if searches {
            next_good(segment, closed)?
        } else {
            None
        };
        let (class, detail) = match bad {
            Found::Bad(class, detail) => (class, detail),
            _ => (Class::MissingBlocks, "the data ends here".to_owned()),
        };
        let cause = problem(&segment.entry.name, segment.chain.offset, class, detail);
        let to = match (candidate, closed) {
            (Some(block), _) => {
                segment.chain.offset = block.offset;
                segment.chain.seq = block.header.base_seq;
                segment.chain.prev_crc = None;
                block.header.base_seq - 1
            }
            (None, Some(last_seq)) => {
                self.ended = true;
                last_seq
            }
            (None, None) => return Ok(Look::End),
        };
        if to < self.next_seq {
            return Ok(Look::Moved);
        }
        Ok(self.missing(to, MissingCause::Damaged(cause)))
    }

    fn open_segment(
        &mut self,
        entry: SegmentEntry,
        near_seq: Option<u64>,
    ) -> Result<(), JournalError> {
        self.segment = Some(OpenSegment::open(entry, near_seq)?);
        self.ended = false;
        Ok(())
    }

    fn missing(&self, to: u64, cause: MissingCause) -> Look {
        let from = self.next_seq;
        let mut missing = Missing { from, to, cause };
        if let MissingCause::Damaged(problem) = &mut missing.cause {
            (problem.from, problem.to) = (Some(from), Some(to));
        }
        Look::Missing(missing)
    }
}

/// Whether a segment goes on where the one before ended; of one whose end is damaged, only number and
/// log are known.
fn continues(segment: &OpenSegment, next: &SegmentEntry) -> bool {
    let has_good_end = segment.has_ended();
    let header = &next.header;
    if has_good_end {
        segment.is_followed_by(header)
    } else {
        header.log_id == segment.entry.header.log_id
            && header.number == segment.entry.header.number + 1
    }
}

/// As [`OpenSegment::step`]; a seal that does not fit its blocks is a bad block.
pub(super) fn step(segment: &mut OpenSegment) -> Result<Found, JournalError> {
    match segment.step() {
        Err(JournalError::Damaged(problem)) => Ok(Found::Bad(problem.class, problem.detail)),
        other => other,
    }
}

/// What became of a segment that is being read.
enum Refreshed {
    Open,
    /// It has ended, with this last sequence.
    Closed(u64),
    /// Another file has its name: what is open was an attempt of the writer, and was removed.
    Replaced(Box<SegmentEntry>),
}

/// Looks again how a segment ended.
fn refresh(catalog: &Catalog, segment: &mut OpenSegment) -> Result<Refreshed, JournalError> {
    let (path, header) = (&segment.entry.path, &segment.entry.header);
    match directory::open_segment(path, file_name(path)) {
        Ok(Ok(entry)) if entry.header == *header => {
            (segment.entry.len, segment.entry.seal) = (entry.len, entry.seal);
        }
        Ok(Ok(entry)) if segment.was_attempt_at(&entry.header) => {
            return Ok(Refreshed::Replaced(Box::new(entry)));
        }
        Ok(Ok(SegmentEntry { header: now, .. }))
            if (now.log_id, now.number) == (header.log_id, header.number) =>
        {
            return Err(shortened(segment, now.base_seq - 1));
        }
        Ok(_) => {}
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error),
    }
    let Some(next) = next_header(catalog, segment.entry.header.number)? else {
        return Ok(segment
            .entry
            .last_seq()
            .map_or(Refreshed::Open, Refreshed::Closed));
    };
    if let Some(last_seq) = segment.entry.abandoned_by(&next) {
        segment.entry.abandoned_at = Some(last_seq);
        segment.entry.seal = None;
    }
    let last_seq = segment.entry.last_seq();
    Ok(Refreshed::Closed(last_seq.unwrap_or(next.base_seq - 1)))
}

/// The header of the first segment behind `number`: the file that should be it is asked first, since
/// a shared look may be older.
fn next_header(catalog: &Catalog, number: u64) -> Result<Option<SegmentHeader>, JournalError> {
    let path = catalog.dir().join(segment_name(number + 1));
    match directory::open_segment(&path, file_name(&path)) {
        Ok(Ok(entry)) if entry.header.number == number + 1 => return Ok(Some(entry.header)),
        Ok(_) => {}
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error),
    }
    let map = catalog.look()?;
    let behind = map
        .places
        .partition_point(|place| place.header.number <= number);
    Ok(map.places.get(behind).map(|place| place.header.clone()))
}

/// The next good block of the same writer behind the current place, by the rule of the walk: what a
/// record holds can look like blocks.
fn next_good(
    segment: &mut OpenSegment,
    last_seq: Option<u64>,
) -> Result<Option<Block>, JournalError> {
    // A good seal ends the blocks before it; without one they end at the last sequence.
    let ends_at = last_seq.filter(|_| segment.entry.seal.is_none());
    let found = behind::next_block(&mut segment.source, &segment.chain, ends_at)
        .map_err(|error| JournalError::io("cannot read", &segment.entry.path, error))?;
    Ok(found.filter(|block| last_seq.is_none_or(|last_seq| block.next_seq - 1 <= last_seq)))
}

fn stored<'a>(block: &Block, source: &'a Source) -> StoredBlock<'a> {
    let header = &block.header;
    let len = BlockHeader::LEN + header.stored_len as usize;
    let hole = last_record(block, source)
        .filter(|(kind, _)| *kind == kind::JOURNAL_HOLE)
        .and_then(|(_, payload)| JournalHole::decode(payload));
    StoredBlock {
        base_seq: header.base_seq,
        last_seq: block.next_seq - 1,
        count: header.count,
        epoch_low: header.epoch_low,
        bytes: &block.bytes(source)[..len],
        hole,
    }
}

/// Type and payload of the last record of a block.
fn last_record<'a>(block: &Block, source: &'a Source) -> Option<(u8, &'a [u8])> {
    let (mut rest, mut last) = (block.payload(source), None);
    while let Some((record, behind)) = RecordHeader::split(rest) {
        last = Some((record.kind, record.payload));
        rest = behind;
    }
    last
}

/// A writer came back with less than was read here: what it writes now may be otherwise.
fn shortened(segment: &OpenSegment, last_seq: u64) -> JournalError {
    let read_to = segment.chain.seq - 1;
    let detail = format!(
        "was read up to {read_to}, and what was read goes to {last_seq} now: read the log anew"
    );
    damaged(&segment.entry.name, Class::SegmentChain, detail)
}

fn is_absent(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

fn problem(file: &str, offset: u64, class: Class, detail: String) -> Problem {
    Problem {
        file: file.to_owned(),
        offset,
        class,
        from: None,
        to: None,
        detail,
    }
}

fn damaged(file: &str, class: Class, detail: String) -> JournalError {
    JournalError::Damaged(problem(file, 0, class, detail))
}
