//! What a writer does when the device refuses an operation (RELIABILITY.md section 7).
//!
//! The file it failed on is *left*: never written, synced, cut or removed again. Then, at once and
//! after that each second until it works:
//!
//! 1. The left file is read again from the device, its cached pages dropped first, from at least
//!    16 MiB before its end. V is the last sequence that it is worth: whatever is there, up to what
//!    memory cannot replace. Where less is there than was called durable, that is an acknowledged
//!    loss.
//! 2. A new segment says that the one before is abandoned at V.
//! 3. What is above V is written there again from memory, with the same sequences; what memory lacks
//!    is spent by one JOURNAL_HOLE.
//! 4. It is synced, and STATE says so.
//!
//! An attempt that fails in 2 to 4 has put nothing anywhere that is not in memory too, so its file is
//! removed and the next attempt uses the same number.
//!
//! STATE is one file with a life of its own: it is replaced as a whole, and the log goes on meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;

use rustix::time::ClockId;

use super::stages::{Volume, Which};
use super::{Condition, Event, LossKind, OnFailure, Writer, hole_record};
use crate::directory::{
    self, DirectoryLock, PREPARED_FILE, QUARANTINE, StateFile, segment_name, segment_number,
};
use crate::error::JournalError;
use crate::failpoints::fp;
use crate::format::abandoned_hash;
use crate::kind::{HOLE_LOST, JournalHole};
use crate::segment::{Predecessor, clock_ns};

/// A failure that is not mended yet.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) condition: Condition,
    /// The failure that began it.
    cause: String,
    /// The newest one.
    newest: String,
    /// When the next attempt is due, once `poll` has seen the failure.
    pub(super) retry_ns: Option<u64>,
    /// Attempts that could not read the left file.
    unreadable: u32,
}

impl Writer {
    /// Runs an operation that may be run again; after a failure, once more on a new segment.
    pub(super) fn attempt(
        &mut self,
        mut operation: impl FnMut(&mut Self) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.check_alive()?;
        if self.trouble.is_some() {
            self.try_restore()?;
        }
        let Err(error) = self.timed(&mut operation) else {
            return Ok(());
        };
        self.fail(&error);
        self.try_restore()?;
        self.timed(&mut operation).map_err(|error| {
            self.fail(&error);
            self.stalled()
        })
    }

    /// The end has failed: one attempt to leave a log that needs no repair.
    pub(super) fn save(&mut self, error: &JournalError) {
        self.fail(error);
        if let Err(error) = self.try_restore() {
            self.note_failure(&error);
        }
    }

    /// Whether `poll` should do something now: always without trouble, else each second.
    pub(super) fn may_try(&mut self) -> bool {
        let now_ns = self.timing.now_ns;
        let Some(trouble) = &mut self.trouble else {
            return true;
        };
        now_ns >= *trouble.retry_ns.get_or_insert(now_ns + RETRY_NS)
    }

    pub(super) fn check_alive(&self) -> Result<(), JournalError> {
        match &self.halted {
            None => Ok(()),
            Some(cause) => Err(JournalError::Poisoned {
                dir: self.config.dir.clone(),
                cause: cause.clone(),
                durable_seq: self.watermarks.durable,
            }),
        }
    }

    /// The answer of a writer that cannot write now; of a halted one, that.
    pub(super) fn stalled(&self) -> JournalError {
        if let Err(error) = self.check_alive() {
            return error;
        }
        self.stalled_by(self.last_failure().unwrap_or_default())
    }

    pub(super) fn stalled_by(&self, cause: String) -> JournalError {
        JournalError::Stalled {
            dir: self.config.dir.clone(),
            cause,
            durable_seq: self.watermarks.durable,
        }
    }

    /// Text of the newest failure.
    pub(super) fn last_failure(&self) -> Option<String> {
        let trouble = self.trouble.as_ref().map(|trouble| trouble.newest.clone());
        trouble.or_else(|| self.newest_failure.clone())
    }

    /// Takes the records of the buffer into memory; false when they do not fit.
    pub(super) fn stash(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let (first_seq, next_seq) = (self.buffer.first_seq(), self.next_seq());
        let needed_from = if self.left.is_some() && self.is_lax() {
            self.stored_seq + 1
        } else {
            self.synced_seq + 1
        };
        let payload = self.buffer.payload();
        if !self.kept.push(payload, first_seq, next_seq, needed_from) {
            return false;
        }
        self.unsynced = self.unsynced.plus(&self.buffer);
        self.buffer.clear(next_seq);
        self.hole_in_buffer = false;
        self.timing.buffered_since_ns = None;
        true
    }

    /// STATE could not be written.
    pub(super) fn note_state_failure(&mut self, error: &JournalError) {
        let (text, condition) = self.note_failure(error);
        self.state_failure = Some(condition);
        self.push_event(Event::Failed {
            cause: text,
            condition,
        });
    }

    /// Notices files of the log that are gone, every two seconds.
    ///
    /// That nobody could look is no failure of any file: it is counted, and the next look follows.
    ///
    /// # Errors
    ///
    /// Only [`JournalError::Vanished`].
    pub(super) fn look_for_files(&mut self, now_ns: u64) -> Result<(), JournalError> {
        let last_ns = *self.timing.looked_ns.get_or_insert(now_ns);
        if now_ns < last_ns + LOOK_INTERVAL_NS {
            return Ok(());
        }
        self.timing.looked_ns = Some(now_ns);
        match self.look() {
            Err(error) if !matches!(error, JournalError::Vanished { .. }) => {
                self.counters.look_errors += 1;
                Ok(())
            }
            seen => seen,
        }
    }

    fn look(&mut self) -> Result<(), JournalError> {
        let dir = &self.config.dir;
        let Some(segment) = &self.segment else {
            return Ok(());
        };
        let vanished = |name: &str| {
            let path = dir.join(name);
            Err(JournalError::Vanished { path })
        };
        if !segment.is_in_place()? {
            return vanished(&segment_name(segment.number()));
        }
        if !self.lock.is_in_place(dir)? {
            return vanished(directory::LOCK_FILE);
        }
        if !self.state.is_in_place()? {
            return vanished(directory::STATE_FILE);
        }
        let lost = missing_segment(dir, segment.number())?;
        if let Some(file) = lost.as_ref().filter(|_| lost != self.lost_file) {
            let file = file.clone();
            self.push_event(Event::FilesLost { file });
        }
        self.lost_file = lost;
        Ok(())
    }

    /// Notes a failed operation and leaves the file it may have failed on.
    fn fail(&mut self, error: &JournalError) {
        if let Some(segment) = self.segment.take() {
            fp!("journal.abandon");
            let oldest_kept = self.kept.first_seq().unwrap_or(u64::MAX);
            self.left = Some(segment.leave(oldest_kept.min(self.synced_seq + 1)));
        }
        let (text, condition) = self.note_failure(error);
        if let JournalError::Vanished { path } = error {
            let file = path.file_name().unwrap_or(path.as_os_str());
            let file = file.to_string_lossy().into_owned();
            self.push_event(Event::FilesLost { file });
        }
        self.push_event(Event::Failed {
            cause: text.clone(),
            condition,
        });
        let before = self.trouble.take();
        self.trouble = Some(Trouble {
            condition,
            unreadable: before.as_ref().map_or(0, |trouble| trouble.unreadable),
            cause: before.map_or_else(|| text.clone(), |trouble| trouble.cause),
            newest: text,
            retry_ns: None,
        });
    }

    /// Counts a failure and judges it.
    fn note_failure(&mut self, error: &JournalError) -> (String, Condition) {
        self.counters.write_errors += 1;
        let now_ns = self.timing.now_ns;
        let is_recent = |at_ns: u64| now_ns.saturating_sub(at_ns) < REPEATED_NS;
        let repeated = self.failed_ns.replace(now_ns).is_some_and(is_recent);
        let text = match error {
            JournalError::Io { source, .. } => format!("{error}: {source}"),
            other => other.to_string(),
        };
        let condition = match error {
            error if error.is_disk_full() => Condition::Full,
            error if error.is_read_only() => Condition::ReadOnly,
            JournalError::Vanished { .. } | JournalError::Replaced { .. } => Condition::LostFiles,
            JournalError::Locked { .. } => Condition::Locked,
            _ if repeated => Condition::Degraded,
            _ => Condition::Reopening,
        };
        if repeated && condition != Condition::Full && self.config.on_failure == OnFailure::Halt {
            self.halted = Some(text.clone());
        }
        self.newest_failure = Some(text.clone());
        (text, condition)
    }

    /// One attempt to write the log again.
    fn try_restore(&mut self) -> Result<(), JournalError> {
        self.check_alive()?;
        let before = self.timed(&mut Self::settle_left);
        let restored = before.and_then(|()| {
            let hole = self.timed_with(Self::rebuild);
            hole.inspect_err(|_| self.discard_attempt())
        });
        match restored {
            Ok(hole) => {
                self.tell_restored(hole);
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                Err(self.stalled())
            }
        }
    }

    fn tell_restored(&mut self, hole: Option<(u64, u64)>) {
        if let Some((from, to)) = hole {
            self.losses
                .add(&mut self.counters, LossKind::Hole, from, to);
            let reason = HOLE_LOST;
            self.push_event(Event::Hole { from, to, reason });
        }
        self.counters.reopens += 1;
        let (from, to) = (self.restored_from, self.stored_seq);
        let cause = self.trouble.take().map_or_else(String::new, |it| it.cause);
        self.push_event(Event::Reopened { from, to, cause });
        self.timed_with(Self::checkpoint);
    }

    /// Finds out what the left file is worth.
    fn settle_left(&mut self) -> Result<(), JournalError> {
        self.stand_on_ground()?;
        let Some(left) = &self.left else {
            return Ok(());
        };
        let (verified_seq, error) = left.verified_seq()?;
        if let (Some(error), Some(trouble)) = (error, &mut self.trouble) {
            trouble.unreadable += 1;
            if trouble.unreadable < UNREADABLE_ATTEMPTS {
                return Err(error);
            }
        }
        // Memory holds everything from here on; what it holds of older blocks is not needed unless
        // the device has lost them.
        let oldest_kept = self.kept.first_seq().unwrap_or(self.buffer.first_seq());
        let last_seq = verified_seq.min(self.synced_seq.max(oldest_kept - 1));
        let number = left.header.number;
        self.before = Predecessor {
            number,
            last_seq,
            seal_hash: abandoned_hash(&left.header, last_seq),
            abandoned: true,
        };
        if verified_seq < self.synced_seq {
            let (from, to) = (verified_seq + 1, self.synced_seq);
            self.losses
                .add(&mut self.counters, LossKind::AckedLoss, from, to);
            self.push_event(Event::AckedLoss { from, to });
        }
        self.left = None;
        (self.stored_seq, self.synced_seq) = (last_seq, last_seq);
        Ok(())
    }

    /// Begins a new segment and writes into it all that comes behind the one before; gives the hole
    /// that was needed.
    fn rebuild(&mut self) -> Result<Option<(u64, u64)>, JournalError> {
        let next_seq = self.before.last_seq + 1;
        self.restored_from = next_seq;
        self.stored_seq = next_seq - 1;
        self.begin_next()?;
        fp!("journal.rewrite.after_begin");
        self.unsynced = Volume::default();
        let blocks = (0..self.kept.len()).map(|index| self.kept.get(index));
        let first_seq = blocks
            .map(|block| block.first_seq)
            .find(|seq| *seq >= next_seq);
        let first_seq = first_seq.unwrap_or(self.buffer.first_seq());
        let hole = (first_seq > next_seq).then(|| (next_seq, first_seq - 1));
        if let Some((from, to)) = hole {
            let reason = HOLE_LOST;
            let payload = JournalHole { from, to, reason }.encode();
            self.spare.clear(from);
            self.spare.push(&hole_record(&payload));
            self.write_block(Which::Again, to + 1)?;
            fp!("journal.rewrite.after_hole");
        }
        for index in 0..self.kept.len() {
            let block = self.kept.get(index);
            if block.first_seq >= next_seq {
                self.spare.load(self.kept.records(&block), block.first_seq);
                self.write_block(Which::Again, block.next_seq)?;
                fp!("journal.rewrite.after_block");
            }
        }
        self.sync_segment()?;
        fp!("journal.rewrite.after_sync");
        Ok(hole)
    }

    /// An attempt has failed: nothing that it wrote is needed, all of it is in memory.
    fn discard_attempt(&mut self) {
        if let Some(segment) = self.segment.take() {
            debug_assert!(
                segment.base_seq() > self.synced_seq,
                "nothing of it is synced"
            );
            self.counters.segments -= 1;
            self.litter = true;
        }
        self.unsynced = self.kept.volume_from(self.synced_seq + 1);
    }

    /// Removes what is left of a segment that was not begun to the end.
    pub(super) fn clear_litter(&mut self, number: u64) -> Result<(), JournalError> {
        self.prepared = None;
        for name in [PREPARED_FILE.to_owned(), segment_name(number)] {
            let path = self.config.dir.join(name);
            if path.symlink_metadata().is_ok() {
                let failed = |error| JournalError::io("cannot remove", &path, error);
                self.disk.remove(&path).map_err(failed)?;
                fp!("journal.litter.after_remove");
            }
        }
        self.litter = false;
        Ok(())
    }

    /// Sees to it that directory, lock and STATE are there; that no other log has taken their place.
    fn stand_on_ground(&mut self) -> Result<(), JournalError> {
        let dir = self.config.dir.clone();
        let has_dir = dir.is_dir();
        if has_dir && self.lock.is_in_place(&dir)? && self.state.is_in_place()? {
            return Ok(());
        }
        if !has_dir {
            let failed = |error| JournalError::io("cannot create", &dir, error);
            self.disk.create_dir(&dir).map_err(failed)?;
        }
        if !self.lock.is_in_place(&dir)? {
            self.lock = DirectoryLock::take(&dir)?;
        }
        let listing = directory::list(&dir)?;
        let view = directory::read_state(&dir)?;
        let is_other = |header: &crate::format::SegmentHeader| {
            header.log_id != self.identity.log_id
                || header.writer_epoch > self.identity.writer_epoch
        };
        let other_state = view
            .current
            .is_some_and(|state| state.writer_epoch > self.identity.writer_epoch);
        if other_state || listing.segments.iter().any(|entry| is_other(&entry.header)) {
            return Err(JournalError::Replaced { dir });
        }
        if !self.state.is_in_place()? {
            self.state = StateFile::open(self.disk.as_ref(), &dir, &view)?;
        }
        self.litter |= self.prepared.take().is_some();
        Ok(())
    }

    /// `os` does not sync, so what is in the file must do.
    fn is_lax(&self) -> bool {
        self.config.sync == crate::policy::SyncPolicy::Os
    }

    /// Runs an operation while other threads can see since when.
    fn timed(
        &mut self,
        operation: &mut dyn FnMut(&mut Self) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.timed_with(operation)
    }

    pub(super) fn timed_with<T>(&mut self, operation: impl FnOnce(&mut Self) -> T) -> T {
        let now_ns = clock_ns(ClockId::Monotonic);
        self.busy_since_ns.store(now_ns, Ordering::Release);
        let result = operation(self);
        self.busy_since_ns.store(0, Ordering::Release);
        result
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() < KEPT_EVENTS {
            self.events.push_back(event);
        }
    }
}

/// Name of a segment that is neither in the directory nor in quarantine though an older one is, also
/// afterwards: retention deletes the older ones first, while the names are read too.
fn missing_segment(dir: &std::path::Path, active: u64) -> Result<Option<String>, JournalError> {
    let failed = |error| JournalError::io("cannot list", dir, error);
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(segment_number(&name.to_string_lossy()));
    }
    Ok(first_lost(dir, &numbers, active).map(segment_name))
}

/// The first number below `active` that is lost, where these names were read.
pub(super) fn first_lost(
    dir: &std::path::Path,
    numbers: &BTreeSet<u64>,
    active: u64,
) -> Option<u64> {
    let oldest = numbers.first().copied().unwrap_or(active);
    let quarantine = dir.join(QUARANTINE);
    let is_pruned = |number: u64| {
        let older = numbers.range(..number).next_back().copied();
        !older.is_some_and(|older| dir.join(segment_name(older)).exists())
    };
    (oldest..active)
        .filter(|number| !numbers.contains(number))
        .filter(|number| !quarantine.join(segment_name(*number)).exists())
        .find(|number| !is_pruned(*number))
}

const RETRY_NS: u64 = 1_000_000_000;
/// A second failure within this time means that a new segment does not help.
const REPEATED_NS: u64 = 10_000_000_000;
const LOOK_INTERVAL_NS: u64 = 2_000_000_000;
/// A file that cannot be read so often is worth what could be read.
const UNREADABLE_ATTEMPTS: u32 = 3;
const KEPT_EVENTS: usize = 64;
