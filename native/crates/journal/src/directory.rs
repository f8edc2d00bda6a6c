//! Names inside a journal directory, its lock, its STATE file and the list of its segments.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::disk::{Disk, DiskFile};
use crate::error::{Class, JournalError};
use crate::failpoints::fp;
use crate::format::state::Slot;
use crate::format::{SegmentHeader, State, abandoned_hash, segment_header};
use crate::names::{SegmentFile, segment_files};
use crate::retention::{self, MarkView};
use crate::scan::{self, SealInfo};

/// File that holds the two checkpoints.
pub(crate) const STATE_FILE: &str = "STATE";
/// Directory of what was cut or set aside.
pub(crate) const QUARANTINE: &str = "quarantine";
/// A segment that is allocated but not yet part of the log.
pub(crate) const PREPARED_FILE: &str = "next.tmp";
/// Directory of the pins.
pub(crate) const PINS: &str = "pins";
/// Where the log begins since its oldest segments were pruned.
pub(crate) const RETENTION_FILE: &str = "RETENTION";
/// That file before its rename.
pub(crate) const RETENTION_TEMPORARY: &str = "RETENTION.tmp";
/// Held by whoever prunes or repairs.
pub(crate) const RETENTION_LOCK: &str = "retention.lock";
/// Notes of a repair that has begun; more than one after it was interrupted.
pub(crate) const REPAIR_FILES: [&str; 4] = ["REPAIR", "REPAIR.1", "REPAIR.2", "REPAIR.3"];
/// Such a note before its rename.
pub(crate) const REPAIR_TEMPORARY: &str = "REPAIR.tmp";
/// File that the writer holds locked.
pub(crate) const LOCK_FILE: &str = "lock";
/// STATE before its first rename.
pub(crate) const STATE_TEMPORARY: &str = "STATE.tmp";

/// Conventional name of a segment. The number in its header is the authority.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:020}{SEGMENT_SUFFIX}")
}

/// Number that a conventional name tells.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// A segment file as found.
#[derive(Debug)]
pub(crate) struct SegmentEntry {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    pub(crate) header: SegmentHeader,
    /// CRC of the header: forerunner of the first block.
    pub(crate) header_crc: u32,
    /// Present when a valid trailer and seal close the file.
    pub(crate) seal: Option<SealInfo>,
    /// Set when the next segment of the listing says that this one was given up: the last sequence
    /// that is valid. What lies behind it, a seal too, is not data.
    pub(crate) abandoned_at: Option<u64>,
}

impl SegmentEntry {
    /// Last sequence of a closed segment, sealed or abandoned; `None` while it is open.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        let sealed = || Some(self.seal.as_ref()?.seal.totals.last_seq);
        self.abandoned_at.or_else(sealed)
    }

    /// What the next segment names as the end of this one; `None` while it is open.
    pub(crate) fn closing_hash(&self) -> Option<[u8; 32]> {
        match self.abandoned_at {
            Some(last_seq) => Some(abandoned_hash(&self.header, last_seq)),
            None => Some(self.seal.as_ref()?.hash),
        }
    }

    /// The last valid sequence of this segment if `next` says that it was abandoned.
    pub(crate) fn abandoned_by(&self, next: &SegmentHeader) -> Option<u64> {
        let last_seq = next.prev_last_seq;
        let agrees = next.continues_abandoned
            && next.log_id == self.header.log_id
            && self.header.number.checked_add(1) == Some(next.number)
            && next.writer_epoch >= self.header.writer_epoch
            && last_seq.checked_add(1) == Some(next.base_seq)
            && next.base_seq >= self.header.base_seq
            && next.prev_seal_hash == abandoned_hash(&self.header, last_seq);
        agrees.then_some(last_seq)
    }
}

/// A segment file whose header cannot be read.
#[derive(Debug)]
pub(crate) struct BadSegment {
    pub(crate) name: String,
    pub(crate) class: Class,
    pub(crate) detail: String,
}

/// The segment files of a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// In order of segment number; of equal numbers, in order of name.
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) bad: Vec<BadSegment>,
    /// Where the log begins.
    pub(crate) pruned: MarkView,
    /// Segments that were pruned and that a crash left behind: no part of the log.
    pub(crate) condemned: Vec<SegmentEntry>,
}

/// Reads header and seal of every segment file. An absent directory is empty.
pub(crate) fn list(dir: &Path) -> Result<Listing, JournalError> {
    let mut listing = Listing::default();
    let files = match segment_files(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(JournalError::io("cannot list", dir, error)),
    };
    for SegmentFile { name, path } in files {
        match open_segment(&path, name) {
            Ok(Ok(segment)) => listing.segments.push(segment),
            Ok(Err(bad)) => listing.bad.push(bad),
            // Pruned since the names were read.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    // Read behind the names: what is pruned meanwhile is missing from neither.
    listing.pruned = retention::read_mark(dir)?;
    // By name they are in order already, which stays among equal numbers.
    listing.segments.sort_by_key(|it| it.header.number);
    mark_abandoned(&mut listing.segments);
    if let Some(mark) = listing.pruned.mark() {
        let is_pruned = |entry: &mut SegmentEntry| {
            entry.header.log_id == mark.log_id && entry.header.number <= mark.segment
        };
        listing.condemned = listing.segments.extract_if(.., is_pruned).collect();
    }
    Ok(listing)
}

/// Notes which segments the next one says were abandoned.
pub(crate) fn mark_abandoned(segments: &mut [SegmentEntry]) {
    for index in 1..segments.len() {
        let (before, after) = segments.split_at_mut(index);
        let (entry, next) = (&mut before[index - 1], &after[0].header);
        entry.abandoned_at = entry.abandoned_by(next);
        if entry.abandoned_at.is_some() {
            // The seal was not synced, or the file would not have been given up.
            entry.seal = None;
        }
    }
}

/// Reads header and seal of one segment file.
pub(crate) fn open_segment(
    path: &Path,
    name: String,
) -> Result<Result<SegmentEntry, BadSegment>, JournalError> {
    let failed = |error| JournalError::io("cannot read", path, error);
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut bytes = [0; SegmentHeader::LEN];
    let read = scan::read_up_to(&file, &mut bytes, 0).map_err(failed)?;
    let header = match SegmentHeader::parse(&bytes[..read]) {
        Ok(header) => header,
        Err((class, detail)) => {
            return Ok(Err(BadSegment {
                name,
                class,
                detail,
            }));
        }
    };
    Ok(Ok(SegmentEntry {
        name,
        path: path.to_owned(),
        len,
        header_crc: segment_header::stored_crc(&bytes),
        seal: scan::read_seal(&file, len, &header).map_err(failed)?,
        abandoned_at: None,
        header,
    }))
}

/// What the STATE file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StateView {
    /// The newest valid checkpoint.
    pub(crate) current: Option<State>,
    /// False when the file does not exist.
    pub(crate) exists: bool,
    /// Offset of a slot that is neither valid nor empty.
    pub(crate) damaged_at: Option<u64>,
    /// A slot was never written: at most one checkpoint was ever begun.
    pub(crate) has_empty_slot: bool,
}

/// Reads the STATE file.
pub(crate) fn read_state(dir: &Path) -> Result<StateView, JournalError> {
    let path = dir.join(STATE_FILE);
    let failed = |error| JournalError::io("cannot read", &path, error);
    let mut bytes = Vec::with_capacity(State::FILE_LEN);
    match File::open(&path) {
        Ok(file) => {
            file.take(State::FILE_LEN as u64 + 1)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(StateView {
                exists: false,
                ..StateView::default()
            });
        }
        Err(error) => return Err(failed(error)),
    }
    let mut view = StateView {
        exists: true,
        ..StateView::default()
    };
    if bytes.len() != State::FILE_LEN {
        view.damaged_at = Some(bytes.len().min(State::FILE_LEN) as u64);
        bytes.truncate(State::FILE_LEN);
    }
    for (index, slot) in bytes.chunks(State::SLOT_LEN).enumerate() {
        let offset = (index * State::SLOT_LEN) as u64;
        match State::parse_slot(slot) {
            Slot::Valid(state) if state.offset() == offset => {
                if view
                    .current
                    .is_none_or(|current| current.generation < state.generation)
                {
                    view.current = Some(state);
                }
            }
            Slot::Empty => view.has_empty_slot = true,
            Slot::Valid(_) | Slot::Damaged => view.damaged_at = view.damaged_at.or(Some(offset)),
        }
    }
    Ok(view)
}

/// The STATE file, open for writing.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    current: State,
    /// An operation on the file failed, so it is not trusted any more.
    failed: bool,
}

impl StateFile {
    /// Opens the file at its newest checkpoint, or creates it with both slots empty.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        view: &StateView,
    ) -> Result<Self, JournalError> {
        let path = dir.join(STATE_FILE);
        let failed = |error| JournalError::io("cannot open", &path, error);
        let file = if view.exists {
            disk.open(&path).map_err(failed)?
        } else {
            let temporary = dir.join(STATE_TEMPORARY);
            let file = disk.create_new(&temporary).map_err(failed)?;
            file.write_all_at(&[0; State::FILE_LEN], 0)
                .map_err(failed)?;
            file.sync_data().map_err(failed)?;
            fp!("state.create.after_write");
            disk.rename_new(&temporary, &path).map_err(failed)?;
            fp!("state.create.after_rename");
            disk.sync_dir(dir).map_err(failed)?;
            file
        };
        Ok(Self {
            path,
            file,
            current: view.current.unwrap_or_default(),
            failed: false,
        })
    }

    /// The newest checkpoint.
    pub(crate) fn current(&self) -> &State {
        &self.current
    }

    /// Writes and syncs a checkpoint over the older slot; nothing when it says nothing new.
    pub(crate) fn store(&mut self, state: State) -> Result<(), JournalError> {
        let state = State {
            generation: self.current.generation,
            ..state
        };
        if state == self.current {
            return Ok(());
        }
        let state = State {
            generation: self.current.generation + 1,
            ..state
        };
        let failed = |error| JournalError::io("cannot write", &self.path, error);
        fp!("state.slot.before_write");
        self.file
            .write_all_at(&state.encode(), state.offset())
            .map_err(failed)?;
        fp!("state.slot.after_write");
        self.file.sync_data().map_err(failed)?;
        fp!("state.slot.after_sync");
        self.current = state;
        Ok(())
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), JournalError> {
    let synced = File::open(dir).and_then(|file| file.sync_all());
    synced.map_err(|error| JournalError::io("cannot sync", dir, error))
}

impl StateFile {
    /// As [`store`](Self::store); after a failure the checkpoint goes into a new file that takes the
    /// place of this one, because what was synced may not be what is there. Gives the failure that
    /// was overcome so.
    pub(crate) fn store_on(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        state: State,
    ) -> Result<Option<JournalError>, JournalError> {
        let mut overcome = None;
        if !self.failed {
            match self.store(state) {
                Ok(()) => return Ok(None),
                Err(error) => overcome = Some(error),
            }
            self.failed = true;
        }
        self.replace(disk, dir, state)?;
        Ok(overcome)
    }

    /// True while the name still means this file.
    pub(crate) fn is_in_place(&self) -> Result<bool, JournalError> {
        let failed = |error| JournalError::io("cannot look at", &self.path, error);
        self.file.is_at(&self.path).map_err(failed)
    }

    /// Puts a new file with this checkpoint and the one before in the place of what is there.
    pub(crate) fn replace(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        state: State,
    ) -> Result<(), JournalError> {
        let temporary = dir.join(STATE_TEMPORARY);
        let failed = |error| JournalError::io("cannot replace", &self.path, error);
        if temporary.symlink_metadata().is_ok() {
            disk.remove(&temporary).map_err(failed)?;
        }
        let old = self.current;
        let state = State {
            generation: old.generation + 1,
            ..state
        };
        let file = disk.create_new(&temporary).map_err(failed)?;
        let mut bytes = [0; State::FILE_LEN];
        for slot in [old, state] {
            if slot.generation > 0 {
                let at = slot.offset() as usize;
                bytes[at..at + State::SLOT_LEN].copy_from_slice(&slot.encode());
            }
        }
        file.write_all_at(&bytes, 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        fp!("state.replace.after_write");
        disk.replace(&temporary, &self.path).map_err(failed)?;
        fp!("state.replace.after_rename");
        // The name means the new file now, though perhaps not after a power cut.
        (self.file, self.current) = (file, state);
        let path = &self.path;
        let synced = disk.sync_dir(dir);
        self.failed = synced.is_err();
        synced.map_err(|error| JournalError::io("cannot sync the directory of", path, error))?;
        fp!("state.replace.after_dir_sync");
        Ok(())
    }
}

/// The exclusive right to write a directory; released when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Takes the lock or names its holder.
    ///
    /// A reader that asks whether a writer lives holds the lock for an instant, so a refusal is
    /// believed only after some time.
    pub(crate) fn take(dir: &Path) -> Result<Self, JournalError> {
        Self::take_named(dir, LOCK_FILE)
    }

    /// As [`take`](Self::take), for another lock file.
    pub(crate) fn take_named(dir: &Path, name: &str) -> Result<Self, JournalError> {
        let path = dir.join(name);
        let failed = |context| move |error| JournalError::io(context, &dir.join(name), error);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640);
        let mut file = options.open(&path).map_err(failed("cannot open"))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    thread::sleep(LOCK_RETRY);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder)
                        .map_err(failed("cannot read"))?;
                    let holder = holder.trim().to_owned();
                    return Err(JournalError::Locked {
                        dir: dir.to_owned(),
                        holder,
                    });
                }
                Err(errno) => return Err(failed("cannot lock")(errno.into())),
            }
        }
        file.set_len(0).map_err(failed("cannot write"))?;
        let holder = format!("pid {}\n", std::process::id());
        file.write_all(holder.as_bytes())
            .map_err(failed("cannot write"))?;
        Ok(Self { file })
    }
}

impl DirectoryLock {
    /// True while the lock file of the directory is the one that is locked.
    pub(crate) fn is_in_place(&self, dir: &Path) -> Result<bool, JournalError> {
        let path = dir.join(LOCK_FILE);
        let failed = |error| JournalError::io("cannot look at", &path, error);
        let mine = self.file.metadata().map_err(failed)?;
        match fs::symlink_metadata(&path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (mine.dev(), mine.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}

/// True while a writer holds the directory.
pub(crate) fn has_writer(dir: &Path) -> Result<bool, JournalError> {
    let path = dir.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(JournalError::io("cannot open", &path, error)),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(JournalError::io("cannot query", &path, errno.into())),
    }
}

/// End of the name of every segment.
pub(crate) const SEGMENT_SUFFIX: &str = ".seg";
const LOCK_PATIENCE: Duration = Duration::from_millis(200);
const LOCK_RETRY: Duration = Duration::from_millis(10);
