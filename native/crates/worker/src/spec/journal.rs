//! The journal's part of the spec: where it lies, when it is durable, how long it is kept.

use std::path::PathBuf;

use serde::Deserialize;

/// Settings of the journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Directory of the log.
    pub data_dir: PathBuf,
    /// A segment is sealed at this size; at most 2 GiB.
    pub segment_size_bytes: u64,
    /// A segment is sealed so long after its first record, by the monotonic clock; 0: never by age.
    pub segment_max_age_ms: u64,
    /// When written blocks are synced.
    pub sync_policy: SyncPolicy,
    /// Longest time between two syncs, where the policy has one; 1 to 10,000.
    pub fsync_interval_ms: u64,
    /// Compress blocks with [`Self::codec`].
    pub compress_wal: bool,
    /// How blocks are compressed; of meaning with [`Self::compress_wal`] only.
    pub codec: WalCodec,
    /// What a start does about what does not verify.
    pub recovery_mode: RecoveryMode,
    /// What a second failure of the disk within 10 s does.
    pub on_failure: OnFailure,
    /// Sealed segments beyond so many bytes are pruned, unless a pin holds them; 0: no limit.
    pub retain_max_bytes: u64,
    /// Sealed segments older than this are pruned, unless a pin holds them; 0: no limit.
    pub retain_max_age_s: u64,
}

/// When written blocks are synced.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SyncPolicy {
    /// Never but at a seal.
    Os,
    /// At most `fsync_interval_ms` after a write.
    Interval,
    /// In groups.
    Batch,
    /// After each block.
    Always,
}

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum WalCodec {
    /// LZ4.
    Lz4,
    /// Zstandard, level 1.
    Zstd,
}

/// What a start does about what does not verify; RELIABILITY section 8.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryMode {
    /// Refuse any anomaly, even a torn tail.
    Strict,
    /// Cut a torn tail; refuse anything else.
    Tail,
    /// Stop at the first bad block; what lies behind it goes to quarantine.
    PointInTime,
}

/// What a second failure of the disk within 10 s does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Go on without a journal; what was not kept is a hole record when it comes back.
    Degrade,
    /// End the worker.
    Halt,
}
