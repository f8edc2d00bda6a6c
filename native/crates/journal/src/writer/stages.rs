//! The stages of a healthy writer: block, sync, seal, next segment, checkpoint, and when each is
//! due. Every error is returned as it is; what follows from it is decided in `failure`.

use rustix::time::ClockId;

use super::{KEPT_DURATIONS, Writer};
use crate::error::JournalError;
use crate::failpoints::fp;
use crate::format::State;
use crate::policy::SyncPolicy;
use crate::segment::{ActiveSegment, BlockBuffer, Prepared, clock_ns};

/// When things happened, by the caller's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timing {
    /// The latest time that `poll` was given.
    pub(super) now_ns: u64,
    /// When the oldest record of the buffer was first seen by `poll`.
    pub(super) buffered_since_ns: Option<u64>,
    /// When the oldest unsynced record was first seen by `poll`.
    pub(super) dirty_since_ns: Option<u64>,
    pub(super) state_stored_ns: Option<u64>,
    /// When the active segment's first record was first seen by `poll`.
    segment_since_ns: Option<u64>,
    /// When the files of the log were last looked for.
    pub(super) looked_ns: Option<u64>,
}

/// An amount of records.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Volume {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

impl Volume {
    pub(super) fn plus(&self, buffer: &BlockBuffer) -> Self {
        Self {
            bytes: self.bytes + buffer.payload_len() as u64,
            records: self.records + buffer.records(),
        }
    }
}

/// Which buffer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// New records.
    New,
    /// The spare one: records that are written again.
    Again,
}

impl Writer {
    /// Does what is due at this time.
    pub(super) fn do_due(&mut self, now_ns: u64) -> Result<(), JournalError> {
        self.look_for_files(now_ns)?;
        if !self.buffer.is_empty() {
            self.timing.buffered_since_ns.get_or_insert(now_ns);
        }
        if self.is_dirty() {
            self.timing.dirty_since_ns.get_or_insert(now_ns);
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
        self.sync_when_due()?;
        if self.has_records() || !self.buffer.is_empty() {
            self.timing.segment_since_ns.get_or_insert(now_ns);
        }
        if due(self.age_deadline_ns()) {
            self.write_buffer()?;
            self.rotate()?;
        }
        self.timing.state_stored_ns.get_or_insert(now_ns);
        if due(self.state_deadline_ns()) {
            self.timing.state_stored_ns = Some(now_ns);
            self.checkpoint();
        }
        self.prepare_next();
        Ok(())
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        if let Some(trouble) = &self.trouble {
            return trouble.retry_ns;
        }
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
        Some(self.timing.buffered_since_ns? + WRITE_DELAY_NS)
    }

    fn sync_deadline_ns(&self) -> Option<u64> {
        Some(self.timing.dirty_since_ns? + self.config.sync.sync_after_ns()?)
    }

    fn age_deadline_ns(&self) -> Option<u64> {
        let max_age_ns = self.config.segment_max_age_ms.saturating_mul(1_000_000);
        let since_ns = self.timing.segment_since_ns.filter(|_| max_age_ns > 0)?;
        Some(since_ns.saturating_add(max_age_ns))
    }

    pub(super) fn has_records(&self) -> bool {
        self.segment
            .as_ref()
            .is_some_and(ActiveSegment::has_records)
    }

    fn state_deadline_ns(&self) -> Option<u64> {
        let is_old = self.state.current().durable_seq != self.synced_seq;
        let news = is_old || self.state_failure.is_some();
        self.timing
            .state_stored_ns
            .filter(|_| news)
            .map(|stored| stored + STATE_INTERVAL_NS)
    }

    fn is_dirty(&self) -> bool {
        self.unsynced.records > 0 || !self.buffer.is_empty()
    }

    /// Writes the buffer as one block, in the next segment when this one has no room.
    pub(super) fn write_buffer(&mut self) -> Result<(), JournalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let next_seq = self.next_seq();
        self.write_block(Which::New, next_seq)?;
        self.keep_buffer()?;
        self.buffer.clear(next_seq);
        self.hole_in_buffer = false;
        self.timing.buffered_since_ns = None;
        Ok(())
    }

    /// Keeps what was just written; a sync makes room where that is needed.
    fn keep_buffer(&mut self) -> Result<(), JournalError> {
        let (first_seq, next_seq) = (self.buffer.first_seq(), self.next_seq());
        let needed_from = match self.config.sync {
            // What is in the file must do.
            SyncPolicy::Os => next_seq,
            _ => self.synced_seq + 1,
        };
        let payload = self.buffer.payload();
        if self.kept.push(payload, first_seq, next_seq, needed_from) {
            return Ok(());
        }
        self.sync_segment()?;
        let payload = self.buffer.payload();
        let is_kept = self.kept.push(payload, first_seq, next_seq, next_seq);
        debug_assert!(is_kept, "one block fits");
        Ok(())
    }

    /// Writes one of the buffers as a block; `next_seq` is the sequence behind it.
    pub(super) fn write_block(&mut self, which: Which, next_seq: u64) -> Result<(), JournalError> {
        let payload_len = match which {
            Which::New => self.buffer.payload_len(),
            Which::Again => self.spare.payload_len(),
        };
        let is_full = |segment: &ActiveSegment| {
            segment.has_records() && !segment.has_room(payload_len, self.config.segment_size_bytes)
        };
        if self.segment.as_ref().is_some_and(is_full) {
            self.rotate()?;
        }
        let begin_ns = clock_ns(ClockId::Monotonic);
        let segment = self
            .segment
            .as_mut()
            .expect("a writer without trouble has a segment");
        let buffer = match which {
            Which::New => &mut self.buffer,
            Which::Again => &mut self.spare,
        };
        let written = segment.write_records(buffer, next_seq, self.synced_seq)?;
        self.counters.bytes += written.bytes;
        self.counters.blocks += written.blocks;
        self.counters.compressed_blocks += u64::from(written.compressed);
        self.unsynced = self.unsynced.plus(buffer);
        self.counters.codec_calls = self.buffer.codec_calls();
        self.stored_seq = next_seq - 1;
        self.watermarks.written = self.watermarks.written.max(self.stored_seq);
        note_duration(&mut self.write_durations, begin_ns);
        Ok(())
    }

    pub(super) fn sync_when_due(&mut self) -> Result<(), JournalError> {
        let Volume { bytes, records } = self.unsynced;
        let kept = self.kept.capacity() as u64;
        let is_much = self.config.sync != SyncPolicy::Os && bytes >= kept / 2;
        if is_much || self.config.sync.sync_due(bytes, records) {
            self.sync_segment()?;
        }
        Ok(())
    }

    /// Syncs what was written; the buffer is the caller's business.
    pub(super) fn sync_segment(&mut self) -> Result<(), JournalError> {
        if self.synced_seq == self.stored_seq {
            return Ok(());
        }
        let begin_ns = clock_ns(ClockId::Monotonic);
        self.segment
            .as_ref()
            .expect("a writer without trouble has a segment")
            .sync()?;
        self.note_synced(begin_ns);
        Ok(())
    }

    fn note_synced(&mut self, begin_ns: u64) {
        self.synced_seq = self.stored_seq;
        self.watermarks.durable = self.watermarks.durable.max(self.synced_seq);
        self.unsynced = Volume::default();
        self.timing.dirty_since_ns = self.timing.buffered_since_ns;
        self.counters.syncs += 1;
        note_duration(&mut self.sync_durations, begin_ns);
    }

    /// Seals the active segment and begins the next; what is in the buffer goes there.
    pub(super) fn rotate(&mut self) -> Result<(), JournalError> {
        self.seal_segment()?;
        fp!("journal.rotate.after_seal");
        self.counters.rotations += 1;
        self.begin_next()?;
        fp!("journal.rotate.after_begin");
        Ok(())
    }

    pub(super) fn seal_segment(&mut self) -> Result<(), JournalError> {
        let begin_ns = clock_ns(ClockId::Monotonic);
        let (disk, dir) = (self.disk.as_ref(), self.config.dir.as_path());
        let segment = self
            .segment
            .as_mut()
            .expect("a writer without trouble has a segment");
        let sealed = segment.seal(disk, dir, self.identity.writer_epoch, self.synced_seq)?;
        self.counters.bytes += sealed.bytes;
        self.segment = None;
        self.before = sealed.predecessor;
        self.note_synced(begin_ns);
        Ok(())
    }

    /// Begins the segment behind `before`.
    pub(super) fn begin_next(&mut self) -> Result<(), JournalError> {
        let number = self.before.number + 1;
        if self.litter {
            self.clear_litter(number)?;
        }
        // STATE may be one segment behind, or it would look like an old copy.
        if self.state.current().active_segment + 1 < number {
            self.store(self.state_before_next())?;
        }
        let (disk, dir) = (self.disk.as_ref(), self.config.dir.as_path());
        self.litter = true;
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => Prepared::create(disk, dir, self.config.segment_size_bytes)?,
        };
        let segment = ActiveSegment::begin(disk, dir, prepared, &self.identity, &self.before)?;
        self.litter = false;
        self.segment = Some(segment);
        self.timing.segment_since_ns = None;
        self.may_prepare = true;
        self.counters.segments += 1;
        if self.trouble.is_none() {
            self.checkpoint();
        }
        Ok(())
    }

    /// Writes the checkpoint; a failure is noted and shown, and another attempt follows.
    pub(super) fn checkpoint(&mut self) {
        if let Err(error) = self.store_state() {
            self.note_state_failure(&error);
        }
    }

    fn store_state(&mut self) -> Result<(), JournalError> {
        self.store(self.state_now(false))
    }

    fn store(&mut self, state: State) -> Result<(), JournalError> {
        let dir = self.config.dir.as_path();
        let overcome = self.state.store_on(self.disk.as_ref(), dir, state)?;
        if let Some(error) = overcome {
            self.note_state_failure(&error);
        }
        self.state_failure = None;
        Ok(())
    }

    /// The checkpoint that has to be there before the next segment. An abandoned end is no part of
    /// it: only that segment will declare it, and may never come to be.
    fn state_before_next(&self) -> State {
        if !self.before.abandoned {
            return self.state_now(false);
        }
        State {
            writer_epoch: self.identity.writer_epoch,
            active_segment: self.before.number,
            clean: false,
            ..*self.state.current()
        }
    }

    pub(super) fn state_now(&self, clean: bool) -> State {
        let active = self.segment.as_ref().map(ActiveSegment::number);
        State {
            writer_epoch: self.identity.writer_epoch,
            active_segment: active.unwrap_or(self.before.number),
            last_sealed_seq: self.before.last_seq,
            last_seal_hash: self.before.seal_hash,
            durable_seq: self.synced_seq,
            clean,
            ..*self.state.current()
        }
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
                self.litter = true;
                self.counters.prepare_errors += 1;
            }
        }
    }

    /// Seals, gives back what was prepared, and marks the log clean.
    pub(super) fn last_words(&mut self) -> Result<(), JournalError> {
        self.seal_segment()?;
        if let Some(prepared) = self.prepared.take() {
            prepared.discard(self.disk.as_ref())?;
        }
        let state = self.state_now(true);
        let dir = self.config.dir.as_path();
        if let Some(error) = self.state.store_on(self.disk.as_ref(), dir, state)? {
            self.note_state_failure(&error);
        }
        Ok(())
    }
}

fn note_duration(durations: &mut Vec<u64>, begin_ns: u64) {
    if durations.len() < KEPT_DURATIONS {
        durations.push(clock_ns(ClockId::Monotonic).saturating_sub(begin_ns));
    }
}

/// Longest stay of a record in the buffer, so that readers see a slow feed soon.
const WRITE_DELAY_NS: u64 = 1_000_000;
const STATE_INTERVAL_NS: u64 = 1_000_000_000;
