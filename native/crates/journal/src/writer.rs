//! The one writer of a log.
//!
//! Records collect in a buffer that becomes one block: one write, one checksum, whatever its number
//! of records. A block is written when it is full, when its oldest record is 1 ms old, or when a
//! sync is due; the policy decides when to sync. Nothing happens behind the caller's back: `append`
//! writes when the buffer is full, `poll` does what time asks for.
//!
//! The first failed write, sync or allocation ends this writer. Its file is never written or synced
//! again, because after a failed sync the kernel may report success for data that is gone. The
//! caller keeps what is above `durable` (the ring does) and opens a new writer, which reads the
//! file back from the device, continues in a new segment, and says with `next_seq` where to go on.

mod types;

use std::fmt;

use rustix::time::ClockId;

pub use self::types::{Counters, Progress, Record, Watermarks, WriterConfig};
use crate::codec::Compressor;
use crate::directory::{DirectoryLock, StateFile};
use crate::disk::{Disk, RealDisk};
use crate::error::JournalError;
use crate::format::record::RecordHeader;
use crate::format::{NORMAL_BLOCK_PAYLOAD, State};
use crate::kind::{self, JournalHole};
use crate::recovery::{self, Opened, RecoveryMode, RecoveryReport};
use crate::segment::{ActiveSegment, BlockBuffer, Identity, Predecessor, Prepared, clock_ns};

/// Appends records to a log. Dropping it without [`close`](Self::close) leaves the log as a crash
/// would.
pub struct Writer {
    config: WriterConfig,
    disk: Box<dyn Disk>,
    _lock: DirectoryLock,
    state: StateFile,
    identity: Identity,
    /// `None` only after a failure while one segment was closed and the next one begun.
    segment: Option<ActiveSegment>,
    before: Predecessor,
    prepared: Option<Prepared>,
    may_prepare: bool,
    buffer: BlockBuffer,
    block_limit: usize,
    watermarks: Watermarks,
    /// Written and not yet synced.
    unsynced: Volume,
    /// When the oldest record of the buffer was first seen by `poll`.
    buffered_since_ns: Option<u64>,
    /// When the oldest unsynced record was first seen by `poll`.
    dirty_since_ns: Option<u64>,
    state_stored_ns: Option<u64>,
    /// When the active segment's first record was first seen by `poll`.
    segment_since_ns: Option<u64>,
    counters: Counters,
    sync_durations: Vec<u64>,
    failure: Option<String>,
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
        let opened = recovery::open(disk.as_ref(), &config, mode, recovery::Depth::Edges)?;
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
            config,
            disk,
            _lock: lock,
            state,
            identity,
            segment: Some(segment),
            before,
            prepared: None,
            may_prepare: true,
            buffer: BlockBuffer::compressing(last_seq + 1, compressor),
            watermarks: Watermarks {
                appended: last_seq,
                written: last_seq,
                durable: last_seq,
            },
            unsynced: Volume::default(),
            buffered_since_ns: None,
            dirty_since_ns: None,
            state_stored_ns: None,
            segment_since_ns: None,
            counters: Counters {
                segments: report.segments + 1,
                ..Counters::default()
            },
            sync_durations: Vec::with_capacity(KEPT_DURATIONS),
            failure: None,
        };
        Ok((writer, report))
    }

    /// Appends a record and returns its sequence. Writes a block, and syncs or begins a new
    /// segment, when that is due by size.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadRecord`] when the record does not fit the format; the writer goes on. Any
    /// other error ends the writer. In both cases this record has no sequence and is not kept.
    pub fn append(&mut self, record: &Record<'_>) -> Result<u64, JournalError> {
        self.check_alive()?;
        RecordHeader::check(record)?;
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
    /// `to`; any other error ends the writer.
    pub fn append_hole(&mut self, from: u64, to: u64, reason: u8) -> Result<u64, JournalError> {
        self.check_alive()?;
        let next_seq = self.next_seq();
        if from != next_seq || to < from || to == u64::MAX {
            let text = format!("hole {from}-{to} where the next sequence is {next_seq}");
            return Err(JournalError::BadRecord(text));
        }
        let payload = JournalHole { from, to, reason }.encode();
        let record = Record {
            kind: kind::JOURNAL_HOLE,
            stamp: STAMP_USER,
            line: LINE_NONE,
            channel: 0,
            venue_seq: 0,
            rx_ns: clock_ns(ClockId::Realtime),
            payload: &payload,
        };
        let seq = self.push(&record)?;
        self.watermarks.appended = to;
        self.counters.holes += 1;
        self.counters.hole_records += to - from + 1;
        // The block behind it begins at `to + 1`, so the hole ends its block.
        self.guarded(Self::write_buffer)?;
        Ok(seq)
    }

    /// Writes, syncs and checkpoints what is due at this monotonic time. Call it after each batch
    /// of records and by the returned deadline.
    ///
    /// # Errors
    ///
    /// Any error ends the writer.
    pub fn poll(&mut self, now_mono_ns: u64) -> Result<Progress, JournalError> {
        self.check_alive()?;
        let before = self.counters;
        self.guarded(|writer| writer.do_due(now_mono_ns))?;
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
    /// Any error ends the writer.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.check_alive()?;
        self.guarded(Self::write_buffer)
    }

    /// Hands everything appended to the device: it survives a power cut.
    ///
    /// # Errors
    ///
    /// Any error ends the writer.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check_alive()?;
        self.guarded(|writer| {
            writer.write_buffer()?;
            writer.sync_segment()
        })
    }

    /// Closes the active segment with its seal and begins the next one; only a sync when it is
    /// empty.
    ///
    /// # Errors
    ///
    /// Any error ends the writer.
    pub fn seal(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        if !self.has_records() {
            return Ok(());
        }
        self.guarded(Self::rotate)
    }

    /// Seals the log and marks it cleanly stopped.
    ///
    /// # Errors
    ///
    /// The log is not marked clean then.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.sync()?;
        self.guarded(Self::seal_segment)?;
        self.guarded(|writer| {
            if let Some(prepared) = writer.prepared.take() {
                prepared.discard(writer.disk.as_ref())?;
            }
            writer.state.store(State {
                clean: true,
                ..*writer.state.current()
            })
        })
    }

    /// Gives the duration in nanoseconds of each sync since the last call, to `each`; of more than
    /// 64 between two calls, the first 64.
    pub fn drain_sync_durations(&mut self, each: impl FnMut(u64)) {
        self.sync_durations.drain(..).for_each(each);
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

    /// How far each stage has come.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    /// Totals since this writer was opened.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn push(&mut self, record: &Record<'_>) -> Result<u64, JournalError> {
        let len = RecordHeader::LEN + record.payload.len();
        if !self.buffer.is_empty() && self.buffer.payload_len() + len > self.block_limit {
            self.guarded(|writer| {
                writer.write_buffer()?;
                writer.sync_when_due()
            })?;
        }
        self.buffer.push(record);
        self.watermarks.appended += 1;
        self.counters.records += 1;
        Ok(self.watermarks.appended)
    }

    fn do_due(&mut self, now_ns: u64) -> Result<(), JournalError> {
        if !self.buffer.is_empty() {
            self.buffered_since_ns.get_or_insert(now_ns);
        }
        if self.is_dirty() {
            self.dirty_since_ns.get_or_insert(now_ns);
        }
        let due = |deadline: Option<u64>| deadline.is_some_and(|deadline| now_ns >= deadline);
        let volume = self.unsynced.plus(&self.buffer);
        let sync =
            due(self.sync_deadline_ns()) || self.config.sync.sync_due(volume.bytes, volume.records);
        if sync || due(self.write_deadline_ns()) {
            self.write_buffer()?;
        }
        if sync {
            self.sync_segment()?;
        }
        if self.has_records() || !self.buffer.is_empty() {
            self.segment_since_ns.get_or_insert(now_ns);
        }
        if due(self.age_deadline_ns()) {
            self.write_buffer()?;
            self.rotate()?;
        }
        self.state_stored_ns.get_or_insert(now_ns);
        if due(self.state_deadline_ns()) {
            self.store_state()?;
            self.state_stored_ns = Some(now_ns);
        }
        self.prepare_next();
        Ok(())
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        [
            self.write_deadline_ns(),
            self.sync_deadline_ns(),
            self.state_deadline_ns(),
            self.age_deadline_ns(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn write_deadline_ns(&self) -> Option<u64> {
        self.buffered_since_ns.map(|since| since + WRITE_DELAY_NS)
    }

    fn sync_deadline_ns(&self) -> Option<u64> {
        Some(self.dirty_since_ns? + self.config.sync.sync_after_ns()?)
    }

    fn age_deadline_ns(&self) -> Option<u64> {
        let max_age_ns = self.config.segment_max_age_ms.saturating_mul(1_000_000);
        let since_ns = self.segment_since_ns.filter(|_| max_age_ns > 0)?;
        Some(since_ns.saturating_add(max_age_ns))
    }

    fn has_records(&self) -> bool {
        self.segment
            .as_ref()
            .is_some_and(ActiveSegment::has_records)
    }

    fn state_deadline_ns(&self) -> Option<u64> {
        let news = self.state.current().durable_seq != self.watermarks.durable;
        self.state_stored_ns
            .filter(|_| news)
            .map(|stored| stored + STATE_INTERVAL_NS)
    }

    fn is_dirty(&self) -> bool {
        self.unsynced.records > 0 || !self.buffer.is_empty()
    }

    /// Writes the buffer as one block, in the next segment when this one has no room.
    fn write_buffer(&mut self) -> Result<(), JournalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let payload_len = self.buffer.payload_len();
        let is_full = |segment: &ActiveSegment| {
            segment.has_records() && !segment.has_room(payload_len, self.config.segment_size_bytes)
        };
        if self.segment.as_ref().is_some_and(is_full) {
            self.rotate()?;
        }
        let (next_seq, durable) = (self.next_seq(), self.watermarks.durable);
        let segment = self
            .segment
            .as_mut()
            .expect("a living writer has a segment");
        let written = segment.write_records(&mut self.buffer, next_seq, durable)?;
        self.counters.bytes += written.bytes;
        self.counters.blocks += written.blocks;
        self.counters.compressed_blocks += u64::from(written.compressed);
        self.counters.codec_calls = self.buffer.codec_calls();
        self.unsynced = self.unsynced.plus(&self.buffer);
        self.watermarks.written = self.watermarks.appended;
        self.buffer.clear(next_seq);
        self.buffered_since_ns = None;
        Ok(())
    }

    fn sync_when_due(&mut self) -> Result<(), JournalError> {
        if self
            .config
            .sync
            .sync_due(self.unsynced.bytes, self.unsynced.records)
        {
            self.sync_segment()?;
        }
        Ok(())
    }

    /// Syncs what was written; the buffer is the caller's business.
    fn sync_segment(&mut self) -> Result<(), JournalError> {
        if self.watermarks.durable == self.watermarks.written {
            return Ok(());
        }
        let begin_ns = clock_ns(ClockId::Monotonic);
        self.segment
            .as_ref()
            .expect("a living writer has a segment")
            .sync()?;
        self.note_synced(begin_ns);
        Ok(())
    }

    fn note_synced(&mut self, begin_ns: u64) {
        self.watermarks.durable = self.watermarks.written;
        self.unsynced = Volume::default();
        self.dirty_since_ns = self.buffered_since_ns;
        self.counters.syncs += 1;
        if self.sync_durations.len() < KEPT_DURATIONS {
            self.sync_durations
                .push(clock_ns(ClockId::Monotonic).saturating_sub(begin_ns));
        }
    }

    /// Seals the active segment and begins the next; what is in the buffer goes there.
    fn rotate(&mut self) -> Result<(), JournalError> {
        self.seal_segment()?;
        let (disk, dir) = (self.disk.as_ref(), self.config.dir.as_path());
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => Prepared::create(disk, dir, self.config.segment_size_bytes)?,
        };
        let segment = ActiveSegment::begin(disk, dir, prepared, &self.identity, &self.before)?;
        self.state.store(State {
            active_segment: segment.number(),
            ..*self.state.current()
        })?;
        self.segment = Some(segment);
        self.segment_since_ns = None;
        self.may_prepare = true;
        self.counters.rotations += 1;
        self.counters.segments += 1;
        Ok(())
    }

    fn seal_segment(&mut self) -> Result<(), JournalError> {
        let segment = self.segment.take().expect("a living writer has a segment");
        let begin_ns = clock_ns(ClockId::Monotonic);
        let (disk, dir) = (self.disk.as_ref(), self.config.dir.as_path());
        let sealed = segment.seal(
            disk,
            dir,
            self.identity.writer_epoch,
            self.watermarks.durable,
        )?;
        self.counters.bytes += sealed.bytes;
        self.note_synced(begin_ns);
        self.before = sealed.predecessor;
        self.store_state()
    }

    fn store_state(&mut self) -> Result<(), JournalError> {
        self.state.store(State {
            last_sealed_seq: self.before.last_seq,
            last_seal_hash: self.before.seal_hash,
            durable_seq: self.watermarks.durable,
            ..*self.state.current()
        })
    }

    /// Allocates the next segment once half of this one is used, so that no append waits for it.
    fn prepare_next(&mut self) {
        let used = self.segment.as_ref().map_or(0, ActiveSegment::position);
        let wanted = self.prepared.is_none() && self.may_prepare;
        if !wanted || used < self.config.segment_size_bytes / 2 {
            return;
        }
        let size = self.config.segment_size_bytes;
        match Prepared::create(self.disk.as_ref(), &self.config.dir, size) {
            Ok(prepared) => self.prepared = Some(prepared),
            Err(_) => {
                // Not needed yet: the rotation tries again and reports what it gets.
                self.may_prepare = false;
                self.counters.prepare_errors += 1;
            }
        }
    }

    /// Runs an operation after whose failure nothing may be written any more.
    fn guarded(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        operation(self).inspect_err(|error| {
            self.counters.write_errors += 1;
            self.failure = Some(match error {
                JournalError::Io { source, .. } => format!("{error}: {source}"),
                other => other.to_string(),
            });
        })
    }

    fn check_alive(&self) -> Result<(), JournalError> {
        match &self.failure {
            None => Ok(()),
            Some(cause) => Err(JournalError::Poisoned {
                dir: self.config.dir.clone(),
                cause: cause.clone(),
                durable_seq: self.watermarks.durable,
            }),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("config", &self.config)
            .field("watermarks", &self.watermarks)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// An amount of records.
#[derive(Debug, Clone, Copy, Default)]
struct Volume {
    bytes: u64,
    records: u64,
}

impl Volume {
    fn plus(&self, buffer: &BlockBuffer) -> Self {
        Self {
            bytes: self.bytes + buffer.payload_len() as u64,
            records: self.records + buffer.records(),
        }
    }
}

const MIN_SEGMENT_BYTES: u64 = 16 * 1024;
const MAX_SEGMENT_BYTES: u64 = 2 << 30;
/// Longest stay of a record in the buffer, so that readers see a slow feed soon.
const WRITE_DELAY_NS: u64 = 1_000_000;
const STATE_INTERVAL_NS: u64 = 1_000_000_000;
const KEPT_DURATIONS: usize = 64;
const STAMP_USER: u8 = 2;
const LINE_NONE: u8 = 255;
