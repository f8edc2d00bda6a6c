//! The one writer of a log.
//!
//! Records collect in a buffer that becomes one block: one write, one checksum, whatever its number
//! of records. A block is written when it is full, when its oldest record is 1 ms old, or when a
//! sync is due; the policy decides when to sync. Nothing happens behind the caller's back: `append`
//! writes when the buffer is full, `poll` does what time asks for.
//!
//! A file on which an operation failed is never written, synced or cut again, because after a failed
//! sync the kernel may report success for data that is gone. The writer reads it back from the
//! device, begins a new segment, and writes there again what the old one lacks, from memory, with
//! the same sequences (module `failure`). What cannot be done at once is tried again in `poll`, each
//! second; meanwhile records are taken as long as memory lasts. [`Writer::condition`] and
//! [`Writer::take_event`] tell of it, and `durable` moves only by a successful sync.

mod failure;
mod kept;
mod losses;
#[cfg(test)]
mod shortage_tests;
mod stages;
mod types;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustix::time::ClockId;

use self::failure::Trouble;
use self::kept::Kept;
use self::losses::Losses;
pub use self::losses::{Loss, LossKind};
use self::stages::{Timing, Volume};
pub use self::types::{
    Condition, Counters, Event, OnFailure, Progress, Record, Watermarks, WriterConfig,
};
use crate::codec::Compressor;
use crate::directory::{DirectoryLock, StateFile};
use crate::disk::{Disk, RealDisk};
use crate::error::JournalError;
use crate::format::record::RecordHeader;
use crate::format::{MAX_NUMBER, NORMAL_BLOCK_PAYLOAD};
use crate::kind::{self, JournalHole};
use crate::recovery::{self, Look, Opened, RecoveryMode, RecoveryReport};
use crate::segment::{ActiveSegment, BlockBuffer, Identity, Left, Predecessor, Prepared, clock_ns};

/// Appends records to a log. Dropping it without [`close`](Self::close) leaves the log as a crash
/// would.
pub struct Writer {
    config: WriterConfig,
    disk: Box<dyn Disk>,
    lock: DirectoryLock,
    state: StateFile,
    identity: Identity,
    /// `None` while one segment is closed and the next one does not exist.
    segment: Option<ActiveSegment>,
    /// The closed segment before the active one.
    before: Predecessor,
    prepared: Option<Prepared>,
    may_prepare: bool,
    buffer: BlockBuffer,
    /// The buffer ends with a hole: nothing may follow in its block.
    hole_in_buffer: bool,
    /// For blocks that are written again.
    spare: BlockBuffer,
    block_limit: usize,
    kept: Kept,
    watermarks: Watermarks,
    /// Last sequence that the segments hold; goes back when one is abandoned.
    stored_seq: u64,
    /// Last sequence of them that is synced.
    synced_seq: u64,
    /// Written and not yet synced.
    unsynced: Volume,
    timing: Timing,
    /// The file that failed, until it has been read again.
    left: Option<Left>,
    /// Files of a segment that was not begun to the end may lie about.
    litter: bool,
    trouble: Option<Trouble>,
    newest_failure: Option<String>,
    /// First sequence that the newest segment behind a failure holds.
    restored_from: u64,
    /// When an operation failed last.
    failed_ns: Option<u64>,
    /// STATE could not be written.
    state_failure: Option<Condition>,
    /// A file that is not needed for writing is gone.
    lost_file: Option<String>,
    halted: Option<String>,
    events: VecDeque<Event>,
    counters: Counters,
    losses: Losses,
    sync_durations: Vec<u64>,
    write_durations: Vec<u64>,
    busy_since_ns: Arc<AtomicU64>,
}

impl Writer {
    /// Opens or creates the log in mode [`Tail`](RecoveryMode::Tail).
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open(config: WriterConfig) -> Result<(Self, RecoveryReport), JournalError> {
        Self::open_with(config, RecoveryMode::Tail)
    }

    /// Opens or creates the log. Takes the directory, checks what is there, repairs what `mode`
    /// allows, seals what a dead writer left open, and begins a new segment under a new epoch. The
    /// first sequence of a new log is 1.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadSetting`] for a size or policy out of range, [`JournalError::Locked`]
    /// when another writer lives, [`JournalError::Refused`] with a report when the log is damaged
    /// (nothing was changed then), [`JournalError::Io`] when the system refuses.
    pub fn open_with(
        config: WriterConfig,
        mode: RecoveryMode,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        Self::open_on(Box::new(RealDisk), config, mode)
    }

    /// As [`open_with`](Self::open_with), on a given disk.
    pub(crate) fn open_on(
        disk: Box<dyn Disk>,
        config: WriterConfig,
        mode: RecoveryMode,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        config.sync.check()?;
        let size = config.segment_size_bytes;
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&size) {
            return Err(JournalError::BadSetting {
                name: "segment_size_bytes",
                reason: format!("{size}; must be {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES}"),
            });
        }
        let compressor = Compressor::new(config.codec)
            .map_err(|error| JournalError::io("cannot compress for", &config.dir, error))?;
        let opened = recovery::open(disk.as_ref(), &config, mode, &mut Look::at_edges())?;
        let Opened {
            lock,
            state,
            identity,
            segment,
            before,
            report,
        } = opened;
        // Behind the hole over what a repair has set aside.
        let last_seq = report.next_seq - 1;
        let writer = Self {
            // Small segments get small blocks, so that their size means something.
            block_limit: NORMAL_BLOCK_PAYLOAD.min(usize::try_from(size / 4).unwrap_or(usize::MAX)),
            kept: Kept::new(config.sync.kept_bytes()),
            config,
            disk,
            lock,
            state,
            identity,
            segment: Some(segment),
            before,
            prepared: None,
            may_prepare: true,
            buffer: BlockBuffer::compressing(last_seq + 1, compressor),
            hole_in_buffer: false,
            spare: BlockBuffer::new(last_seq + 1),
            watermarks: Watermarks {
                appended: last_seq,
                written: last_seq,
                durable: last_seq,
            },
            stored_seq: last_seq,
            synced_seq: last_seq,
            unsynced: Volume::default(),
            timing: Timing::default(),
            left: None,
            litter: false,
            trouble: None,
            newest_failure: None,
            restored_from: 0,
            failed_ns: None,
            state_failure: None,
            lost_file: None,
            halted: None,
            events: VecDeque::new(),
            counters: Counters {
                segments: report.segments + 1,
                ..Counters::default()
            },
            losses: Losses::default(),
            sync_durations: Vec::with_capacity(KEPT_DURATIONS),
            write_durations: Vec::with_capacity(KEPT_DURATIONS),
            busy_since_ns: Arc::default(),
        };
        Ok((writer, report))
    }

    /// Appends a record and returns its sequence. Writes a block, and syncs or begins a new
    /// segment, when that is due by size. A failure of the device is no error here: the record is
    /// kept in memory until it is written, and [`condition`](Self::condition) tells.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadRecord`] when the record does not fit the format, or no sequence is left
    /// for it; [`JournalError::Stalled`] when the log cannot be written and memory is used up: append it
    /// again later; [`JournalError::Poisoned`] when the writer has halted. This record has no
    /// sequence and is not kept then.
    pub fn append(&mut self, record: &Record<'_>) -> Result<u64, JournalError> {
        self.check_alive()?;
        RecordHeader::check(record)?;
        if self.next_seq() >= MAX_NUMBER {
            let dir = self.config.dir.display();
            return Err(JournalError::BadRecord(format!(
                "journal {dir} has given out its last sequence; begin another one"
            )));
        }
        if record.kind == kind::JOURNAL_HOLE {
            return Err(JournalError::BadRecord(
                "holes are appended by append_hole".into(),
            ));
        }
        self.push(record)
    }

    /// Spends the sequences `from..=to`, which the journal will never hold, with one record that
    /// says so. Returns the sequence of that record, `from`; the next record gets `to + 1`.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadRecord`] unless `from` is [`next_seq`](Self::next_seq) and not above
    /// `to`; else as [`append`](Self::append).
    pub fn append_hole(&mut self, from: u64, to: u64, reason: u8) -> Result<u64, JournalError> {
        self.check_alive()?;
        let next_seq = self.next_seq();
        if from != next_seq || to < from || to >= MAX_NUMBER {
            let text = format!("hole {from}-{to} where the next sequence is {next_seq}");
            return Err(JournalError::BadRecord(text));
        }
        let payload = JournalHole { from, to, reason }.encode();
        // The block behind it begins at `to + 1`, so the hole ends its block.
        self.make_room(RecordHeader::LEN + payload.len())?;
        self.buffer.push(&hole_record(&payload));
        self.hole_in_buffer = true;
        self.watermarks.appended = to;
        self.counters.records += 1;
        self.losses
            .add(&mut self.counters, LossKind::Hole, from, to);
        match self.end_block() {
            // It is in the buffer, and nothing comes behind it there.
            Ok(()) | Err(JournalError::Stalled { .. }) => Ok(from),
            Err(error) => Err(error),
        }
    }

    /// Writes, syncs and checkpoints what is due at this monotonic time, and tries again what has
    /// failed. Call it after each batch of records and by the returned deadline.
    ///
    /// # Errors
    ///
    /// [`JournalError::Poisoned`] when the writer has halted.
    pub fn poll(&mut self, now_mono_ns: u64) -> Result<Progress, JournalError> {
        self.check_alive()?;
        let before = self.counters;
        self.timing.now_ns = self.timing.now_ns.max(now_mono_ns);
        if self.may_try() {
            match self.attempt(|writer| writer.do_due(now_mono_ns)) {
                Ok(()) | Err(JournalError::Stalled { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress {
            wrote: self.counters.blocks > before.blocks,
            synced: self.counters.syncs > before.syncs,
            watermarks: self.watermarks,
            next_deadline_ns: self.next_deadline_ns(),
        })
    }

    /// Hands everything appended to the kernel: it survives the death of this process.
    ///
    /// # Errors
    ///
    /// [`JournalError::Stalled`] when that cannot be done now, also not in a new segment: it will be
    /// tried again; [`JournalError::Poisoned`] when the writer has halted.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.attempt(Self::write_buffer)
    }

    /// Hands everything appended to the device: it survives a power cut.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.attempt(|writer| {
            writer.write_buffer()?;
            writer.sync_segment()
        })
    }

    /// Closes the active segment with its seal and begins the next one; only a sync when it is
    /// empty.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn seal(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        self.attempt(|writer| {
            if writer.has_records() {
                writer.rotate()?;
            }
            Ok(())
        })
    }

    /// Seals the log and marks it cleanly stopped.
    ///
    /// # Errors
    ///
    /// The log is not marked clean then, though what could be saved by a new segment is saved.
    pub fn close(mut self) -> Result<(), JournalError> {
        let failures = self.counters.write_errors;
        self.sync()?;
        if let (true, Some(cause)) = (self.counters.write_errors > failures, self.last_failure()) {
            return Err(self.stalled_by(cause));
        }
        self.timed_with(Self::last_words)
            .inspect_err(|error| self.save(error))
    }

    /// Marks the newest recovery report as seen, as [`acknowledge_report`](crate::acknowledge_report);
    /// other threads see meanwhile that this one is at the device.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`] when the system refuses; that is no failure of the log.
    pub fn acknowledge_report(&mut self) -> Result<bool, JournalError> {
        self.timed_with(|writer| recovery::acknowledge_on(writer.disk.as_ref(), &writer.config.dir))
    }

    /// How the writer is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        if self.halted.is_some() {
            return Condition::Halted;
        }
        match (&self.trouble, &self.state_failure, &self.lost_file) {
            (Some(trouble), _, _) => trouble.condition,
            (None, None, Some(_)) => Condition::LostFiles,
            (None, Some(condition), _) => *condition,
            (None, None, None) => Condition::Healthy,
        }
    }

    /// The oldest event not taken yet. At most 64 wait; of more, the newest are dropped, the
    /// counters count them all.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Gives the duration in nanoseconds of each sync since the last call, to `each`; of more than
    /// 64 between two calls, the first 64.
    pub fn drain_sync_durations(&mut self, each: impl FnMut(u64)) {
        self.sync_durations.drain(..).for_each(each);
    }

    /// As [`drain_sync_durations`](Self::drain_sync_durations), of the writing of each block.
    pub fn drain_write_durations(&mut self, each: impl FnMut(u64)) {
        self.write_durations.drain(..).for_each(each);
    }

    /// Monotonic time at which the operation on the device began that is under way, 0 between two.
    /// Another thread sees by it that this one is stuck.
    #[must_use]
    pub fn busy_since_ns(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.busy_since_ns)
    }

    /// Sequence that the next record will get.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.watermarks.appended + 1
    }

    /// Identity of the log, drawn at random when it was created.
    #[must_use]
    pub fn log_id(&self) -> [u8; 16] {
        self.identity.log_id
    }

    /// Epoch of this writer: one more than that of the writer before.
    #[must_use]
    pub fn writer_epoch(&self) -> u64 {
        self.identity.writer_epoch
    }

    /// How far each stage has come; none of them ever goes back.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    /// Bytes of records appended and not yet synced.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced.plus(&self.buffer).bytes
    }

    /// Totals since this writer was opened.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Holes and damaged durable sequences since this writer was opened, oldest first. Of more than
    /// 256 the newest; [`counters`](Self::counters) count them all.
    pub fn losses(&self) -> impl Iterator<Item = Loss> {
        self.losses.iter()
    }

    fn push(&mut self, record: &Record<'_>) -> Result<u64, JournalError> {
        self.make_room(RecordHeader::LEN + record.payload.len())?;
        self.buffer.push(record);
        self.watermarks.appended += 1;
        self.counters.records += 1;
        Ok(self.watermarks.appended)
    }

    /// Ends the block in the buffer when a record of this length would make it too long.
    fn make_room(&mut self, len: usize) -> Result<(), JournalError> {
        let is_full = self.buffer.payload_len() + len > self.block_limit;
        if !self.buffer.is_empty() && (is_full || self.hole_in_buffer) {
            self.end_block()?;
        }
        Ok(())
    }

    /// Empties the buffer: by a write, or into memory when writing is not possible now.
    fn end_block(&mut self) -> Result<(), JournalError> {
        let written = if self.trouble.is_none() {
            self.attempt(|writer| {
                writer.write_buffer()?;
                writer.sync_when_due()
            })
        } else {
            Err(self.stalled())
        };
        match written {
            Err(JournalError::Stalled { .. }) if self.stash() => Ok(()),
            answer => answer,
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("config", &self.config)
            .field("watermarks", &self.watermarks)
            .field("condition", &self.condition())
            .finish_non_exhaustive()
    }
}

fn hole_record(payload: &[u8]) -> Record<'_> {
    Record {
        kind: kind::JOURNAL_HOLE,
        stamp: STAMP_USER,
        line: LINE_NONE,
        channel: 0,
        venue_seq: 0,
        rx_ns: clock_ns(ClockId::Realtime),
        payload,
    }
}

const MIN_SEGMENT_BYTES: u64 = 16 * 1024;
const MAX_SEGMENT_BYTES: u64 = 2 << 30;
const KEPT_DURATIONS: usize = 64;
const STAMP_USER: u8 = 2;
const LINE_NONE: u8 = 255;
