//! When written data is synced to the device, and what a crash may cost under each choice.

use std::fmt;

use crate::error::JournalError;

/// Sync policy (RELIABILITY.md section 7). All but `Os` also sync at every seal and header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// write(2) only; `durable` moves only at a seal. A power cut may lose everything since.
    Os,
    /// Sync at most every `ms` milliseconds while something is unsynced.
    Interval {
        /// Deadline from the first unsynced record.
        ms: u64,
    },
    /// Group commit: sync when any of the three limits is reached.
    Batch {
        /// Unsynced bytes of records.
        bytes: u64,
        /// Unsynced records.
        records: u64,
        /// Age of the oldest unsynced record in milliseconds.
        ms: u64,
    },
    /// Each block is synced as soon as it is written.
    Always,
}

impl SyncPolicy {
    /// Default limits of [`Batch`](Self::Batch), with another age if wanted.
    #[must_use]
    pub const fn batch(ms: u64) -> Self {
        Self::Batch {
            bytes: 256 * 1024,
            records: 4096,
            ms,
        }
    }

    /// Builds a policy from its configured name.
    ///
    /// `fsync_interval_ms` is the deadline of `interval` and `batch`; the others ignore it.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadSetting`] for an unknown name, and for limits out of range.
    pub fn from_name(name: &str, fsync_interval_ms: u64) -> Result<Self, JournalError> {
        let policy = match name {
            "os" => Self::Os,
            "interval" => Self::Interval {
                ms: fsync_interval_ms,
            },
            "batch" => Self::batch(fsync_interval_ms),
            "always" => Self::Always,
            other => {
                return Err(JournalError::BadSetting {
                    name: "sync_policy",
                    reason: format!("`{other}` is unknown; choose os, interval, batch or always"),
                });
            }
        };
        policy.check()?;
        Ok(policy)
    }

    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Interval { .. } => "interval",
            Self::Batch { .. } => "batch",
            Self::Always => "always",
        }
    }

    /// The worst loss in a power cut, in words.
    #[must_use]
    pub fn worst_loss(&self) -> String {
        match self {
            Self::Os => "everything since the last seal".into(),
            Self::Interval { ms } => format!("{ms} ms plus one sync"),
            Self::Batch { ms, .. } => format!("nothing acknowledged; up to {ms} ms not yet so"),
            Self::Always => "nothing acknowledged; the block being written".into(),
        }
    }

    /// Refuses zero limits and deadlines above 10 s.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let bad = |name, reason: &str| {
            Err(JournalError::BadSetting {
                name,
                reason: reason.into(),
            })
        };
        match *self {
            Self::Interval { ms } | Self::Batch { ms, .. } if ms == 0 || ms > MAX_DEADLINE_MS => {
                bad("fsync_interval_ms", "must be 1 to 10000")
            }
            Self::Batch { bytes: 0, .. } | Self::Batch { records: 0, .. } => bad(
                "sync_policy",
                "the byte and record limits of batch must be above zero",
            ),
            _ => Ok(()),
        }
    }

    /// Age of the oldest unsynced record at which a sync is due; `None`: age never matters.
    pub(crate) fn sync_after_ns(&self) -> Option<u64> {
        match *self {
            Self::Os => None,
            Self::Interval { ms } | Self::Batch { ms, .. } => Some(ms * 1_000_000),
            Self::Always => Some(0),
        }
    }

    /// Bytes of the newest records that the writer keeps in memory, in case a sync fails: at least
    /// twice what may be unsynced. Where time alone decides, what is unsynced is bounded by it; under
    /// `Os` nothing is, and what falls out is in the old file or lost.
    pub(crate) fn kept_bytes(&self) -> usize {
        match *self {
            Self::Os | Self::Interval { .. } => LARGE_KEEP,
            Self::Always => SMALL_KEEP,
            Self::Batch { bytes, .. } => {
                let twice = usize::try_from(bytes.saturating_mul(2)).unwrap_or(LARGE_KEEP);
                twice.clamp(SMALL_KEEP, LARGE_KEEP)
            }
        }
    }

    /// True when this much unsynced data must be synced whatever its age.
    pub(crate) fn sync_due(&self, unsynced_bytes: u64, unsynced_records: u64) -> bool {
        match *self {
            Self::Os | Self::Interval { .. } => false,
            Self::Batch { bytes, records, .. } => {
                unsynced_bytes >= bytes || unsynced_records >= records
            }
            Self::Always => unsynced_records > 0,
        }
    }
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self::batch(5)
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval { ms } => write!(f, "interval {ms} ms"),
            Self::Batch { bytes, records, ms } => {
                write!(f, "batch {bytes} bytes, {records} records, {ms} ms")
            }
            other => f.write_str(other.name()),
        }
    }
}

const MAX_DEADLINE_MS: u64 = 10_000;
/// Room for the largest blocks, synced and unsynced.
const SMALL_KEEP: usize = 4 << 20;
const LARGE_KEEP: usize = 16 << 20;
