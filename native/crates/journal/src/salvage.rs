//! Salvage: what can still be read of a damaged log, copied into a new one.
//!
//! A block with right checksums counts where it follows another one, and a segment whose header is
//! damaged is read when its log_id still names this log. Behind damage blocks are searched for over
//! the file; what a record holds can look like a block, so one that was found counts only when a
//! neighbour proves it. Records keep their sequences; what is in no such block is a JOURNAL_HOLE, and
//! a line of the report. The old directory is only read.
//!
//! The new log is another log, with a log_id of its own. Its epochs begin anew and it may hold holes
//! where the old one was read, so that a copy of the old log is not one of it: a subscriber with such
//! a copy is refused (WRONG_LOG) and keeps all that it has, which may be more than was salvaged, until
//! an operator decides. Snapshots of books and pins are of the old log and are not taken over.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::Path;

use crate::directory::{self, Listing, SegmentEntry};
use crate::disk::{Disk, RealDisk};
use crate::error::JournalError;
use crate::format::{BlockHeader, BlockKind, RecordHeader, SegmentHeader, block_header};
use crate::kind::{self, JournalHole};
use crate::links;
use crate::policy::SyncPolicy;
use crate::recovery::{RecoveryMode, random_id};
use crate::retention::Mark;
use crate::scan::{self, Block, Chain, Found, Source};
use crate::walk::behind;
use crate::writer::{Event, Writer, WriterConfig};

/// Sequences that no valid block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    /// First one.
    pub from: u64,
    /// Last one.
    pub to: u64,
    /// File behind whose last valid block they are missing.
    pub file: String,
    /// Offset behind that block.
    pub offset: u64,
}

/// What a salvage found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Records that could be read.
    pub records: u64,
    /// Oldest sequence.
    pub first_seq: u64,
    /// Newest sequence, lost ones included.
    pub last_seq: u64,
    /// Files that were read.
    pub files: u64,
    /// Files that do not belong to the log.
    pub left_out: Vec<String>,
    /// What is lost, in order.
    pub lost: Vec<LostRange>,
}

/// First and last sequence of the valid blocks in a file whose header is damaged; `None` when there
/// are none, or the file does not name this log.
pub(crate) fn span_of(path: &Path, log_id: Option<[u8; 16]>) -> io::Result<Option<(u64, u64)>> {
    let mut source = Source::open(path)?;
    if !names_log(&mut source, log_id)? {
        return Ok(None);
    }
    let mut span: Option<(u64, u64)> = None;
    each_block(&mut source, (None, None), &mut |_, block| {
        let (from, next) = (block.header.base_seq, block.next_seq);
        if next > from {
            let (first, last) = span.unwrap_or((from, next - 1));
            span = Some((first.min(from), last.max(next - 1)));
        }
        Ok::<(), io::Error>(())
    })?;
    Ok(span)
}

/// Reads all that is readable and, with `into`, writes it to a new log there. `progress` is told the
/// bytes read and their total.
///
/// # Errors
///
/// [`JournalError::NotAJournal`] without segments, [`JournalError::BadSetting`] when `into` is not
/// empty, [`JournalError::Io`] when the system refuses, also when the new log was written with any
/// failure: it may miss records then, and is not to be used.
pub fn salvage(
    dir: impl AsRef<Path>,
    into: Option<&Path>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Salvaged, JournalError> {
    salvage_on(Box::new(RealDisk), dir.as_ref(), into, progress)
}

/// As [`salvage`], with the new log on a given disk.
fn salvage_on(
    disk: Box<dyn Disk>,
    dir: &Path,
    into: Option<&Path>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Salvaged, JournalError> {
    let view = directory::read_state(dir)?;
    let listing = directory::list(dir)?;
    let log_id = links::log_id(&listing, &view);
    let promised = view.current.map_or(0, |state| state.durable_seq);
    let beginning = listing.pruned.mark().copied();
    let (files, left_out) = files_of(dir, listing, log_id)?;
    if files.is_empty() {
        return Err(JournalError::NotAJournal {
            dir: dir.to_owned(),
        });
    }
    let mut target = match into {
        Some(into) => Some(open_target(disk, into, &files, beginning)?),
        None => None,
    };
    let first_seq = beginning.map_or(1, |mark| mark.last_seq + 1);
    let total: u64 = files.iter().map(|file| file.len).sum();
    let mut copy = Copy {
        next_seq: first_seq,
        end: (String::new(), 0),
        target: target.as_mut(),
        found: Salvaged {
            first_seq,
            left_out,
            ..Salvaged::default()
        },
    };
    let mut done = 0;
    for file in &files {
        copy.file(dir, file, &mut |position| progress(done + position, total))?;
        done += file.len;
        progress(done, total);
    }
    copy.lose_up_to(promised)?;
    let Copy {
        next_seq,
        mut found,
        ..
    } = copy;
    (found.last_seq, found.files) = (next_seq - 1, files.len() as u64);
    if let (Some(target), Some(into)) = (target, into) {
        close_target(target, into)?;
    }
    Ok(found)
}

/// Closes the new log, unless its device failed: the writer goes on behind a failure, and spends
/// what it lost with a hole that the report of the salvage does not know.
fn close_target(mut target: Writer, into: &Path) -> Result<(), JournalError> {
    target.sync()?;
    let failures = target.counters().write_errors;
    let events = std::iter::from_fn(|| target.take_event());
    let causes: Vec<String> = events.filter_map(cause_of).collect();
    if failures > 0 || !causes.is_empty() {
        let text = format!(
            "{failures} operations failed ({}); the new log may miss records: remove it, and salvage \
             again onto a sound device",
            causes.join("; ")
        );
        let error = io::Error::other(text);
        return Err(JournalError::io("cannot salvage into", into, error));
    }
    target.close()
}

fn cause_of(event: Event) -> Option<String> {
    match event {
        Event::Failed { cause, .. } => Some(cause),
        Event::Hole { from, to, reason } if reason == kind::HOLE_LOST => {
            Some(format!("sequences {from} to {to} were lost"))
        }
        _ => None,
    }
}

/// A file to read, and where it stands among the others.
struct Readable {
    name: String,
    len: u64,
    /// First sequence that it may hold: the order of reading.
    base_seq: u64,
    /// `None` when its header is damaged; any epoch counts then.
    chain: Option<Chain>,
    /// Nothing behind this sequence is data: the segment was abandoned there.
    last_seq: Option<u64>,
    schema_id: Option<u32>,
}

/// The files that belong to the log, in order of sequences, and the names of the others.
fn files_of(
    dir: &Path,
    listing: Listing,
    log_id: Option<[u8; 16]>,
) -> Result<(Vec<Readable>, Vec<String>), JournalError> {
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for entry in listing.segments {
        match Some(entry.header.log_id) == log_id {
            true => files.push(readable(entry)),
            false => left_out.push(entry.name),
        }
    }
    for bad in listing.bad {
        let path = dir.join(&bad.name);
        let failed = |error| JournalError::io("cannot read", &path, error);
        match span_of(&path, log_id).map_err(failed)? {
            Some((base_seq, _)) => files.push(Readable {
                len: path.metadata().map_err(failed)?.len(),
                name: bad.name,
                base_seq,
                chain: None,
                last_seq: None,
                schema_id: None,
            }),
            None => left_out.push(bad.name),
        }
    }
    files.sort_by(|a, b| (a.base_seq, &a.name).cmp(&(b.base_seq, &b.name)));
    Ok((files, left_out))
}

fn readable(entry: SegmentEntry) -> Readable {
    Readable {
        len: entry.len,
        base_seq: entry.header.base_seq,
        chain: Some(Chain::begin(&entry.header, entry.header_crc)),
        last_seq: entry.abandoned_at,
        schema_id: Some(entry.header.schema_id),
        name: entry.name,
    }
}

/// The new log, empty, with a log_id of its own; it begins where the old one does.
fn open_target(
    disk: Box<dyn Disk>,
    into: &Path,
    files: &[Readable],
    beginning: Option<Mark>,
) -> Result<Writer, JournalError> {
    let is_used = match fs::read_dir(into) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(JournalError::io("cannot list", into, error)),
    };
    if is_used {
        return Err(JournalError::BadSetting {
            name: "into",
            reason: format!("{} is not empty; name a new directory", into.display()),
        });
    }
    let schema_id = files.iter().rev().find_map(|file| file.schema_id);
    let config = WriterConfig::new(
        into,
        SEGMENT_BYTES,
        SyncPolicy::Os,
        schema_id.unwrap_or_default(),
    );
    fs::create_dir_all(into).map_err(|error| JournalError::io("cannot create", into, error))?;
    // A log takes identity and beginning from what it is told was pruned before it.
    if let Some(beginning) = beginning {
        let log_id = random_id()?;
        let mark = Mark {
            log_id,
            ..beginning
        };
        mark.store(disk.as_ref(), into)?;
    }
    Ok(Writer::open_on(disk, config, RecoveryMode::Tail)?.0)
}

/// Takes up records in rising sequence and spends what is missing between them.
struct Copy<'a> {
    next_seq: u64,
    /// File and offset behind the last block that was taken.
    end: (String, u64),
    target: Option<&'a mut Writer>,
    found: Salvaged,
}

impl Copy<'_> {
    fn file(
        &mut self,
        dir: &Path,
        file: &Readable,
        show: &mut dyn FnMut(u64),
    ) -> Result<(), JournalError> {
        let path = dir.join(&file.name);
        let failed = |error| JournalError::io("cannot read", &path, error);
        let mut source = Source::open(&path).map_err(failed)?;
        if self.end.0.is_empty() {
            self.end = (file.name.clone(), SegmentHeader::LEN as u64);
        }
        let log = (file.chain.as_ref(), file.last_seq);
        each_block(&mut source, log, &mut |source, block| {
            show(block.end());
            let is_data = file
                .last_seq
                .is_none_or(|last| block.header.base_seq <= last);
            if block.header.kind == BlockKind::Data && is_data {
                self.block(source, block)?;
                self.end = (file.name.clone(), block.end());
            }
            Ok(())
        })
        .map_err(|error| match error {
            BlockError::Read(error) => failed(error),
            BlockError::Copy(error) => error,
        })
    }

    fn block(&mut self, source: &Source, block: &Block) -> Result<(), JournalError> {
        let (mut rest, mut seq) = (block.payload(source), block.header.base_seq);
        while let Some((record, behind)) = RecordHeader::split(rest) {
            let next_seq = if behind.is_empty() {
                block.next_seq
            } else {
                seq + 1
            };
            if seq >= self.next_seq {
                self.lose_up_to(seq - 1)?;
                let hole = JournalHole::decode(record.payload);
                let hole = hole.filter(|_| record.kind == kind::JOURNAL_HOLE);
                match (&mut self.target, hole) {
                    (Some(target), Some(hole)) => {
                        target.append_hole(hole.from, hole.to, hole.reason)?;
                    }
                    (Some(target), None) => {
                        target.append(&record)?;
                    }
                    (None, _) => {}
                }
                self.found.records += 1;
                self.next_seq = next_seq;
            }
            (rest, seq) = (behind, next_seq);
        }
        Ok(())
    }

    /// Spends what is missing up to a sequence.
    fn lose_up_to(&mut self, to: u64) -> Result<(), JournalError> {
        let from = self.next_seq;
        if to < from {
            return Ok(());
        }
        if let Some(target) = &mut self.target {
            target.append_hole(from, to, kind::HOLE_NOT_SALVAGED)?;
        }
        let (file, offset) = self.end.clone();
        self.found.lost.push(LostRange {
            from,
            to,
            file,
            offset,
        });
        self.next_seq = to + 1;
        Ok(())
    }
}

/// Why a walk over blocks ended early.
enum BlockError {
    Read(io::Error),
    Copy(JournalError),
}

impl From<io::Error> for BlockError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<JournalError> for BlockError {
    fn from(error: JournalError) -> Self {
        Self::Copy(error)
    }
}

/// Shows every block of an epoch, or of any, that can be believed, in order of the file; of an
/// abandoned segment the last sequence is known.
fn each_block<E: From<io::Error>>(
    source: &mut Source,
    (chain, last_seq): (Option<&Chain>, Option<u64>),
    visit: &mut dyn FnMut(&Source, &Block) -> Result<(), E>,
) -> Result<(), E> {
    let mut offset = SegmentHeader::LEN as u64;
    let mut chain = chain.copied();
    loop {
        let is_wanted = |block: &Block| chain.is_none_or(|it| it.may_hold(&block.header));
        let block = match scan::read_block(source, offset)? {
            Found::Block(block) if is_wanted(&block) => Some(block),
            _ => match &chain {
                Some(chain) => find_behind(source, chain, last_seq)?,
                None => find_proved(source, offset, last_seq)?,
            },
        };
        let Some(block) = block else {
            return Ok(());
        };
        visit(source, &block)?;
        offset = block.end();
        chain = Some(Chain {
            offset,
            seq: block.next_seq,
            prev_crc: Some(block.crc),
            epoch_low: block.header.epoch_low,
            codecs: chain.map_or(u8::MAX, |it| it.codecs),
        });
    }
}

/// The next block behind damage, by the rule of the walk.
fn find_behind(
    source: &mut Source,
    chain: &Chain,
    last_seq: Option<u64>,
) -> io::Result<Option<Block>> {
    let Some(block) = behind::next_block(source, chain, last_seq)? else {
        return Ok(None);
    };
    // Its payload, in place of what was read to prove it.
    Ok(match scan::read_block(source, block.offset)? {
        Found::Block(block) => Some(block),
        _ => None,
    })
}

/// The next block behind damage at `bad_at` that a neighbour proves, while no epoch is known. What a record holds can look
/// like a block, but it does not name the damaged block, and no block names it as its forerunner.
fn find_proved(
    source: &mut Source,
    bad_at: u64,
    last_seq: Option<u64>,
) -> io::Result<Option<Block>> {
    let bad_header = source.bytes(bad_at, BlockHeader::LEN)?;
    let bad_crc = (bad_header.len() == BlockHeader::LEN && block_header::has_sync(bad_header))
        .then(|| block_header::stored_crc(bad_header));
    let (mut from, mut ignored) = (bad_at, 0);
    while let Some(block) = scan::find_block(source, from, None, &mut ignored)? {
        let names_bad = Some(block.header.prev_block_crc) == bad_crc;
        let is_named = match scan::read_block(source, block.end())? {
            Found::Block(next) => {
                next.header.prev_block_crc == block.crc && next.header.base_seq == block.next_seq
            }
            _ => last_seq == Some(block.next_seq - 1) || block.header.kind == BlockKind::Seal,
        };
        if names_bad || is_named {
            // Its payload, in place of the next one's.
            return Ok(match scan::read_block(source, block.offset)? {
                Found::Block(block) => Some(block),
                _ => None,
            });
        }
        from = block.offset + 8;
    }
    Ok(None)
}

/// Whether the damaged header of a file still names the log.
fn names_log(source: &mut Source, log_id: Option<[u8; 16]>) -> io::Result<bool> {
    let header = source.bytes(0, SegmentHeader::LEN)?;
    let is_whole = header.len() == SegmentHeader::LEN;
    Ok(is_whole && log_id.is_some_and(|id| header[16..32] == id))
}

const SEGMENT_BYTES: u64 = 64 << 20;
