//! What goes into a writer and what it tells of itself.

use std::path::PathBuf;

use crate::codec::Codec;
use crate::policy::SyncPolicy;

/// How a log is written. Made by [`new`](Self::new), which has a default for whatever is added
/// later; the fields may be changed before the writer is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterConfig {
    /// The journal directory; created when absent.
    pub dir: PathBuf,
    /// Size at which a segment is sealed and the next one begun; 64 MiB is usual.
    pub segment_size_bytes: u64,
    /// When to sync.
    pub sync: SyncPolicy,
    /// Names the meaning of the payloads; kept in each segment header.
    pub schema_id: u32,
    /// Compression of each block that it makes at least a tenth smaller.
    pub codec: Codec,
    /// Age at which a segment with records is sealed, by the monotonic clock since `poll` saw the
    /// first of them; 0: never.
    pub segment_max_age_ms: u64,
    /// What a second failure within ten seconds does.
    pub on_failure: OnFailure,
}

/// What a second failed operation within ten seconds does. A full device never halts a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The writer goes on trying, each second; what its memory cannot hold meanwhile is the caller's
    /// business.
    #[default]
    Degrade,
    /// The writer ends.
    Halt,
}

/// Whether a writer can write (RELIABILITY.md section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// It can.
    #[default]
    Healthy,
    /// An operation failed; a new segment is about to take the place of the one it failed on.
    Reopening,
    /// No space is left on the device, or in a quota.
    Full,
    /// The file system forbids writing.
    ReadOnly,
    /// The second failure within ten seconds.
    Degraded,
    /// Files of the log have vanished, or another log is in their place.
    LostFiles,
    /// The lock file has vanished, and another writer has locked the directory since.
    Locked,
    /// It has ended, because it was told to halt.
    Halted,
}

/// What happened to a writer, for its caller to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An operation failed.
    Failed {
        /// What failed and why.
        cause: String,
        /// What follows from it.
        condition: Condition,
    },
    /// The log is written again: the old file is left at `from - 1`, what follows up to `to` is in a
    /// new segment and synced.
    Reopened {
        /// First sequence in the new segment.
        from: u64,
        /// Last sequence in it now; `from - 1` when nothing was to be written again.
        to: u64,
        /// The first failure.
        cause: String,
    },
    /// Sequences that had been called durable were damaged on the device. What a
    /// [`Hole`](Self::Hole) does not name as well has been written again from memory.
    AckedLoss {
        /// First such sequence.
        from: u64,
        /// Last such sequence.
        to: u64,
    },
    /// Sequences that are nowhere any more; a JOURNAL_HOLE spends them.
    Hole {
        /// First sequence.
        from: u64,
        /// Last sequence.
        to: u64,
        /// Reason code in the record.
        reason: u8,
    },
    /// A file of the log is gone.
    FilesLost {
        /// Its name.
        file: String,
    },
}

impl WriterConfig {
    /// A log in `dir`, not compressed, its segments of any age.
    #[must_use]
    pub fn new(
        dir: impl Into<PathBuf>,
        segment_size_bytes: u64,
        sync: SyncPolicy,
        schema_id: u32,
    ) -> Self {
        Self {
            dir: dir.into(),
            segment_size_bytes,
            sync,
            schema_id,
            codec: Codec::None,
            segment_max_age_ms: 0,
            on_failure: OnFailure::default(),
        }
    }
}

/// One packet or event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Record type, see [`kind`](crate::kind).
    pub kind: u8,
    /// Timestamp source: 0 hardware, 1 kernel, 2 user.
    pub stamp: u8,
    /// Line code: 0 A, 1 B, 2 re-request, 3 snapshot, 255 none.
    pub line: u8,
    /// Channel number of the exchange.
    pub channel: u16,
    /// Venue sequence of the first message; 0 where there is none.
    pub venue_seq: u64,
    /// Receive time, UTC nanoseconds.
    pub rx_ns: u64,
    /// Content; its meaning follows from `kind`.
    pub payload: &'a [u8],
}

/// How far each stage has come; `appended >= written >= durable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermarks {
    /// Last sequence given out.
    pub appended: u64,
    /// Last sequence handed to the kernel: survives the death of the process.
    pub written: u64,
    /// Last sequence synced to the device: survives a power cut.
    pub durable: u64,
}

/// What one [`Writer::poll`](crate::Writer::poll) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// A block was written.
    pub wrote: bool,
    /// The segment was synced.
    pub synced: bool,
    /// Where the log stands now.
    pub watermarks: Watermarks,
    /// Monotonic time of the next write, sync or checkpoint that is due; `None` when idle.
    pub next_deadline_ns: Option<u64>,
}

/// Totals since this writer was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Records appended, holes included.
    pub records: u64,
    /// Bytes written to segment files.
    pub bytes: u64,
    /// Blocks of records and checkpoints written.
    pub blocks: u64,
    /// Blocks stored compressed.
    pub compressed_blocks: u64,
    /// Calls of the codec, one for each block of records.
    pub codec_calls: u64,
    /// Segments sealed because they were full or on request.
    pub rotations: u64,
    /// Successful syncs of a segment.
    pub syncs: u64,
    /// Failed writes, syncs, allocations and renames.
    pub write_errors: u64,
    /// Attempts to allocate the next segment ahead of time that failed; tried again when needed.
    pub prepare_errors: u64,
    /// Looks for files of the log that are gone which could not be had; the next follows soon.
    pub look_errors: u64,
    /// Hole records appended.
    pub holes: u64,
    /// Sequences spent by holes.
    pub hole_records: u64,
    /// Times that a new segment took the place of one that failed.
    pub reopens: u64,
    /// Sequences that had been called durable and were damaged on the device.
    pub acked_loss: u64,
    /// Segment files of the log.
    pub segments: u64,
}
