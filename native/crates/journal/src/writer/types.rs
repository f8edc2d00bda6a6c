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
    /// Failed writes, syncs, allocations and renames; the first one ends the writer.
    pub write_errors: u64,
    /// Attempts to allocate the next segment ahead of time that failed; tried again when needed.
    pub prepare_errors: u64,
    /// Hole records appended.
    pub holes: u64,
    /// Sequences spent by holes.
    pub hole_records: u64,
    /// Segment files of the log.
    pub segments: u64,
}
