//! Reads the records of a log in order, and follows it while it grows.
//!
//! The end of a log that is being written is not the end of the data: a block may be half written,
//! a segment about to be sealed. `next` answers `None` there, "end for now". Damage must not look
//! the same, so a bad block is an error as soon as one of these proves that it once was whole: a
//! later segment exists, STATE calls its sequence synced, or a valid block lies behind it.
//!
//! A segment that was abandoned after an I/O error ends where its successor says. Records behind
//! that place are written again there, with the same sequences; a reader that has seen them already
//! does not see them twice.

pub(crate) mod blocks;
pub(crate) mod index;
#[cfg(test)]
mod replaced_tests;
mod segment;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::segment::{OpenSegment, Records};
use crate::directory::{self, BadSegment, SegmentEntry, segment_name};
use crate::error::{Class, JournalError, Problem};
use crate::format::BlockKind;
use crate::retention;
use crate::scan::Found;
use crate::writer::Record;

/// A record with its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Journal sequence. A JOURNAL_HOLE carries the first one it spends.
    pub seq: u64,
    /// The record.
    pub record: Record<'a>,
}

/// A record that owns its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Journal sequence.
    pub seq: u64,
    /// Record type.
    pub kind: u8,
    /// Timestamp source.
    pub stamp: u8,
    /// Line code.
    pub line: u8,
    /// Channel.
    pub channel: u16,
    /// Venue sequence.
    pub venue_seq: u64,
    /// Receive time, UTC nanoseconds.
    pub rx_ns: u64,
    /// Content.
    pub payload: Vec<u8>,
}

/// One segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Segment number.
    pub number: u64,
    /// File name.
    pub file: String,
    /// Sequence of the first record.
    pub base_seq: u64,
    /// Last sequence, known once the segment is sealed or abandoned.
    pub last_seq: Option<u64>,
    /// Records, known once the segment is sealed.
    pub records: Option<u64>,
    /// True when a valid seal closes the file.
    pub sealed: bool,
    /// True when it was given up after an I/O error; what lies behind `last_seq` is not data.
    pub abandoned: bool,
    /// File length (preallocated while open).
    pub bytes: u64,
    /// Epoch of its writer.
    pub writer_epoch: u64,
    /// Creation time, UTC nanoseconds.
    pub created_ns: u64,
}

/// Reads records in order and follows a growing log.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    log_id: [u8; 16],
    schema_id: u32,
    first_seq: u64,
    /// Segments that do not have their conventional name, or had not when the log was opened.
    paths: BTreeMap<u64, PathBuf>,
    segment: OpenSegment,
    /// Records that end below are not shown.
    skip_below: u64,
    unfinished: Option<Problem>,
}

impl Reader {
    /// Opens a log at its oldest record.
    ///
    /// # Errors
    ///
    /// [`JournalError::NotAJournal`] without segments, [`JournalError::Damaged`] when the oldest
    /// one cannot be read or two carry one number, [`JournalError::Io`] when the system refuses.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        let dir = dir.as_ref();
        let mut segments = list_clean(dir)?;
        let paths = segments
            .iter()
            .map(|entry| (entry.header.number, entry.path.clone()))
            .collect();
        let first = segments.swap_remove(0);
        let (log_id, first_seq) = (first.header.log_id, first.header.base_seq);
        let schema_id = first.header.schema_id;
        let segment = OpenSegment::open(first, None)?;
        let dir = dir.to_owned();
        Ok(Self {
            dir,
            log_id,
            schema_id,
            first_seq,
            paths,
            segment,
            skip_below: first_seq,
            unfinished: None,
        })
    }

    /// Goes to a sequence: `next` gives it, or the hole that spent it, or, where the log does not
    /// reach so far yet, waits for it.
    ///
    /// # Errors
    ///
    /// [`JournalError::Pruned`] below the oldest record, else as [`open`](Self::open).
    pub fn seek(&mut self, seq: u64) -> Result<(), JournalError> {
        let mut segments = list_clean(&self.dir)?;
        let first_seq = segments[0].header.base_seq;
        if seq < first_seq {
            return Err(JournalError::Pruned {
                asked: seq,
                first_seq,
            });
        }
        self.first_seq = first_seq;
        self.paths = segments
            .iter()
            .map(|entry| (entry.header.number, entry.path.clone()))
            .collect();
        let behind = segments.partition_point(|entry| entry.header.base_seq <= seq);
        self.segment = OpenSegment::open(segments.swap_remove(behind - 1), Some(seq))?;
        self.skip_below = seq;
        self.unfinished = None;
        Ok(())
    }

    /// The next record; `None` is the end for now, and a later call may give more.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] where the log is; the same again on each further call.
    #[expect(
        clippy::should_implement_trait,
        reason = "the entry borrows from the reader"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, JournalError> {
        loop {
            match self.segment.records.advance(&self.segment.source) {
                Some(last_spent) if last_spent >= self.skip_below => break,
                Some(_) => {}
                None if self.load_block()? => {}
                None => return Ok(None),
            }
        }
        Ok(Some(self.segment.records.entry(&self.segment.source)))
    }

    /// The newest record of a kind, sought backwards segment by segment.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn last_record_of_kind(&self, kind: u8) -> Result<Option<OwnedRecord>, JournalError> {
        self.last_record_of_kind_below(kind, u64::MAX)
    }

    /// The newest record of a kind with a sequence below `seq`.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn last_record_of_kind_below(
        &self,
        kind: u8,
        seq: u64,
    ) -> Result<Option<OwnedRecord>, JournalError> {
        for entry in list_clean(&self.dir)?.into_iter().rev() {
            let may_hold = entry.header.base_seq < seq
                && entry
                    .seal
                    .as_ref()
                    .is_none_or(|info| info.seal.totals.of_kind(kind) > 0);
            if !may_hold {
                continue;
            }
            if let Some(record) = OpenSegment::open(entry, None)?.last_of_kind(kind, seq)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The newest sequence that can be read now; one less than [`first_seq`](Self::first_seq) in an
    /// empty log.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn last_seq(&self) -> Result<u64, JournalError> {
        let last = list_clean(&self.dir)?
            .pop()
            .expect("a clean list is not empty");
        match &last.seal {
            Some(info) => Ok(info.seal.totals.last_seq),
            None => OpenSegment::open(last, None)?.last_seq(),
        }
    }

    /// The segments of the log as of now.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn segments(&self) -> Result<Vec<SegmentInfo>, JournalError> {
        Ok(list_clean(&self.dir)?
            .into_iter()
            .map(SegmentInfo::from)
            .collect())
    }

    /// Oldest sequence kept.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Sequence that the next call of [`next`](Self::next) gives or waits for.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.segment.records.next_seq.max(self.skip_below)
    }

    /// Identity of the log.
    #[must_use]
    pub fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// What the payloads of DATA records are, as the log's writer numbers it.
    #[must_use]
    pub fn schema_id(&self) -> u32 {
        self.schema_id
    }

    /// What stood at the end when `next` last answered `None`, if it was neither zeros nor the end
    /// of the file: a block being written, or what a crash left of one.
    #[must_use]
    pub fn unfinished_tail(&self) -> Option<&Problem> {
        self.unfinished.as_ref()
    }

    /// Makes the next records available; false at the end for now.
    fn load_block(&mut self) -> Result<bool, JournalError> {
        self.unfinished = None;
        // The window is about to move: no record may point into it any more.
        self.segment.records = Records::none(self.segment.records.next_seq);
        loop {
            if self.learn_abandoned()? {
                let Some(segment) = self.next_segment()? else {
                    return Ok(false);
                };
                self.skip_below = self.position();
                self.segment = segment;
            }
            let mut found = self.segment.step()?;
            if !matches!(found, Found::Block(_)) {
                // What the window holds may be older than the file.
                self.segment.source.forget();
                found = self.segment.step()?;
            }
            match found {
                Found::Block(block) if block.header.kind == BlockKind::Data => return Ok(true),
                Found::Block(_) => {}
                end => match self.end_or_damage(end)? {
                    true => return Ok(false),
                    false => continue,
                },
            }
        }
    }

    /// Decides what stands where a block should: true is the end for now, false is a block after
    /// all.
    fn end_or_damage(&mut self, found: Found) -> Result<bool, JournalError> {
        if self.learn_abandoned()? || self.reopen_replaced()? {
            return Ok(false);
        }
        let seq = self.segment.chain.seq;
        let must_be_whole = self.writer_is_past(seq)?
            || (matches!(found, Found::Bad(..)) && self.segment.block_follows()?);
        self.segment.source.forget();
        // The proof is newer than the look, so look again before believing it.
        let again = if must_be_whole {
            self.segment.peek()?
        } else {
            found
        };
        let (class, detail) = match again {
            Found::Block(_) => return Ok(false),
            Found::Bad(class, detail) => (class, detail),
            Found::Zero | Found::Eof if !must_be_whole => return Ok(true),
            Found::Zero => (
                Class::MissingBlocks,
                "zeros where a block must be".to_owned(),
            ),
            Found::Eof => (
                Class::MissingBlocks,
                "the file ends where a block must be".into(),
            ),
        };
        let problem = self.segment.problem(class, Some(seq), detail);
        if must_be_whole {
            return Err(JournalError::Damaged(problem));
        }
        self.unfinished = Some(Problem {
            class: Class::TornTail,
            ..problem
        });
        Ok(true)
    }

    /// Asks the segment behind, as soon as there is one, whether this one was abandoned; true when
    /// nothing more of it is data.
    ///
    /// Asked before each block: what lies behind that place looks like data and was perhaps written
    /// otherwise since.
    fn learn_abandoned(&mut self) -> Result<bool, JournalError> {
        if self.segment.is_end_known {
            return Ok(self.segment.has_ended());
        }
        if let Some(path) = self.path_of(self.segment.entry.header.number + 1)
            && let Ok(next) = directory::open_segment(&path, file_name(&path))?
        {
            let entry = &mut self.segment.entry;
            entry.abandoned_at = entry.abandoned_by(&next.header);
            self.segment.is_end_known = true;
        }
        Ok(self.segment.has_ended())
    }

    /// Goes over to the file that has the name of the open one, if it is another: what is open was an
    /// attempt of the writer then, and was removed.
    fn reopen_replaced(&mut self) -> Result<bool, JournalError> {
        let path = &self.segment.entry.path;
        let entry = match directory::open_segment(path, file_name(path)) {
            Ok(Ok(entry)) if self.segment.was_attempt_at(&entry.header) => entry,
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        let position = self.position();
        if entry.header.base_seq > position {
            return Ok(false);
        }
        self.segment = OpenSegment::open(entry, Some(position))?;
        self.skip_below = position;
        Ok(true)
    }

    /// The segment behind one that has ended; `None` when it does not exist yet.
    fn next_segment(&self) -> Result<Option<OpenSegment>, JournalError> {
        let number = self.segment.entry.header.number + 1;
        self.check_not_pruned(number)?;
        let Some(path) = self.path_of(number) else {
            if self.writer_is_past(u64::MAX)? && self.path_of(number).is_none() {
                let detail = "a later segment exists".to_owned();
                let class = Class::MissingSegment;
                let from = Some(self.segment.chain.seq);
                let file = segment_name(number);
                let problem = Problem {
                    file,
                    offset: 0,
                    class,
                    from,
                    to: None,
                    detail,
                };
                return Err(JournalError::Damaged(problem));
            }
            return Ok(None);
        };
        let name = file_name(&path);
        let entry = directory::open_segment(&path, name)?.map_err(bad_segment)?;
        if !self.segment.is_followed_by(&entry.header) {
            let seq = self.segment.chain.seq;
            let detail = format!("does not continue segment {} at {seq}", number - 1);
            let (class, from) = (Class::SegmentChain, Some(seq));
            let problem = Problem {
                file: entry.name,
                offset: 0,
                class,
                from,
                to: None,
                detail,
            };
            return Err(JournalError::Damaged(problem));
        }
        OpenSegment::open(entry, None).map(Some)
    }

    /// A reader that is slower than retention is told, not shown a damaged log.
    fn check_not_pruned(&self, number: u64) -> Result<(), JournalError> {
        match retention::read_mark(&self.dir)?.mark() {
            Some(mark) if mark.log_id == self.log_id && mark.segment >= number => {
                Err(JournalError::Pruned {
                    asked: self.segment.chain.seq,
                    first_seq: mark.last_seq + 1,
                })
            }
            _ => Ok(()),
        }
    }

    /// True when the writer is past `seq`: a segment behind the current one exists, or STATE names
    /// one or calls the sequence synced.
    fn writer_is_past(&self, seq: u64) -> Result<bool, JournalError> {
        let number = self.segment.entry.header.number;
        let state = directory::read_state(&self.dir)?
            .current
            .unwrap_or_default();
        Ok(state.active_segment > number
            || state.durable_seq >= seq
            || self.paths.range(number + 1..).next().is_some()
            || self.path_of(number + 1).is_some())
    }

    fn path_of(&self, number: u64) -> Option<PathBuf> {
        let conventional = self.dir.join(segment_name(number));
        self.paths
            .get(&number)
            .cloned()
            .or_else(|| conventional.exists().then_some(conventional))
    }
}

impl From<SegmentEntry> for SegmentInfo {
    fn from(entry: SegmentEntry) -> Self {
        let totals = entry.seal.as_ref().map(|info| &info.seal.totals);
        Self {
            abandoned: entry.abandoned_at.is_some(),
            number: entry.header.number,
            base_seq: entry.header.base_seq,
            last_seq: entry.last_seq(),
            records: totals.map(|totals| totals.records),
            sealed: entry.seal.is_some(),
            bytes: entry.len,
            writer_epoch: entry.header.writer_epoch,
            created_ns: entry.header.created_ns,
            file: entry.name,
        }
    }
}

/// The readable segments in order, none of them foreign or double; never empty.
fn list_clean(dir: &Path) -> Result<Vec<SegmentEntry>, JournalError> {
    let directory::Listing { segments, bad, .. } = directory::list(dir)?;
    for pair in segments.windows(2) {
        let class = if pair[0].header.log_id != pair[1].header.log_id {
            Class::ForeignSegment
        } else if pair[0].header.number == pair[1].header.number {
            Class::DuplicateSegment
        } else {
            continue;
        };
        let detail = format!("stands beside {}", pair[0].name);
        let file = pair[1].name.clone();
        let problem = Problem {
            file,
            offset: 0,
            class,
            from: None,
            to: None,
            detail,
        };
        return Err(JournalError::Damaged(problem));
    }
    if segments.is_empty() {
        let none = || JournalError::NotAJournal {
            dir: dir.to_owned(),
        };
        return Err(bad.into_iter().next().map_or_else(none, bad_segment));
    }
    Ok(segments)
}

fn bad_segment(bad: BadSegment) -> JournalError {
    let BadSegment {
        name: file,
        class,
        detail,
    } = bad;
    JournalError::Damaged(Problem {
        file,
        offset: 0,
        class,
        from: None,
        to: None,
        detail,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
