//! What can go wrong with a journal, and how damage is named.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::recovery::RecoveryReport;

/// Why an operation on a journal failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refused an operation.
    #[error("{context} {}", path.display())]
    Io {
        /// What was being done, as a verb phrase that the path completes.
        context: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another writer holds the directory.
    #[error(
        "journal {} is locked by another writer ({holder}); stop it or choose another directory",
        dir.display()
    )]
    Locked {
        /// The journal directory.
        dir: PathBuf,
        /// What the holder wrote into the lock file, usually `pid 1234`.
        holder: String,
    },
    /// The log is being pruned, and its repair has to wait for the end of that; nothing was changed.
    #[error(
        "journal {} needs a repair and is being pruned ({holder}); try again behind that",
        dir.display()
    )]
    Pruning {
        /// The journal directory.
        dir: PathBuf,
        /// What the one who prunes wrote into its lock file, usually `pid 1234`.
        holder: String,
    },
    /// The log is damaged in a way that a writer must not paper over; nothing was changed.
    #[error("journal {} is damaged, refusing to write: {report}", report.dir.display())]
    Refused {
        /// What was found.
        report: Box<RecoveryReport>,
    },
    /// Writing failed twice within ten seconds and the writer was told to halt then. Nothing is
    /// touched any more.
    #[error(
        "journal {} halted after failed operations ({cause}); durable up to {durable_seq}; mend the \
         disk, then open a new writer",
        dir.display()
    )]
    Poisoned {
        /// The journal directory.
        dir: PathBuf,
        /// Text of the first failure.
        cause: String,
        /// Everything up to this sequence had been synced before the failure.
        durable_seq: u64,
    },
    /// The log cannot be written now and memory for what waits is used up. The writer is alive: it
    /// tries again in `poll`, each second.
    #[error("journal {} takes no records now ({cause}); it is tried again", dir.display())]
    Stalled {
        /// The journal directory.
        dir: PathBuf,
        /// Text of the newest failure.
        cause: String,
        /// Everything up to this sequence is synced.
        durable_seq: u64,
    },
    /// A file of the log that the writer needs is gone.
    #[error("{} has vanished", path.display())]
    Vanished {
        /// The file.
        path: PathBuf,
    },
    /// Another log is in the place of this one; it is left alone.
    #[error("journal {} is another log than the one that was written there", dir.display())]
    Replaced {
        /// The journal directory.
        dir: PathBuf,
    },
    /// The directory holds no journal.
    #[error("{} holds no journal (no segment files)", dir.display())]
    NotAJournal {
        /// The directory that was asked for.
        dir: PathBuf,
    },
    /// A block, segment or file of the log is damaged or unsupported.
    #[error("{0}")]
    Damaged(Problem),
    /// The asked sequence is older than the oldest record kept.
    #[error("sequence {asked} is gone: the oldest record kept is {first_seq}")]
    Pruned {
        /// What was asked for.
        asked: u64,
        /// The oldest sequence that the log still holds.
        first_seq: u64,
    },
    /// A record does not fit the format.
    #[error("record refused: {0}")]
    BadRecord(String),
    /// A setting is out of range.
    #[error("journal setting {name}: {reason}")]
    BadSetting {
        /// Name of the setting.
        name: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
}

impl JournalError {
    /// Wraps a system error: `context` is a verb phrase such as "cannot open".
    pub(crate) fn io(context: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            context,
            path: path.to_owned(),
            source,
        }
    }

    /// True when the device or a quota is full (ENOSPC, EDQUOT).
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }

    /// True when a file is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// True when the file system is read-only (EROFS).
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if source.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }
}

/// One piece of damage, with the bounds of what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File name inside the journal directory.
    pub file: String,
    /// Byte offset in that file.
    pub offset: u64,
    /// What kind of damage.
    pub class: Class,
    /// First sequence that cannot be read because of it; `None` when no record is concerned.
    pub from: Option<u64>,
    /// Last such sequence, inclusive; `None` when it cannot be told.
    pub to: Option<u64>,
    /// One sentence with the figures that differ.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}+{}", self.class.name(), self.file, self.offset)?;
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, ", sequences {from}-{to}")?,
            (Some(from), None) => write!(f, ", from sequence {from}")?,
            _ => {}
        }
        write!(f, ": {}", self.detail)
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Kinds of damage. `TornTail` alone is what a crash may leave; all others are corruption.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Class { $($(#[$doc])* $variant,)* }

        impl Class {
            /// Stable name in snake case, as printed in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

classes! {
    /// An unfinished write at the end of the last segment, beyond everything synced.
    TornTail => "torn_tail",
    /// Segment header with a wrong magic, length or CRC.
    BadSegmentHeader => "bad_segment_header",
    /// Format version that this build does not know.
    UnsupportedVersion => "unsupported_version",
    /// Compression codec that this build does not have.
    UnsupportedCodec => "unsupported_codec",
    /// Block header with a wrong sync word, CRC or impossible length.
    BadBlockHeader => "bad_block_header",
    /// Stored bytes do not match the payload CRC.
    BadPayload => "bad_payload",
    /// Padding of a block is not zero.
    BadPadding => "bad_padding",
    /// Valid CRCs, but the records inside do not add up.
    BadRecords => "bad_records",
    /// A block does not follow the block before it (lost, misdirected or reordered write).
    BrokenChain => "broken_chain",
    /// A block of another writer's epoch.
    StaleEpoch => "stale_epoch",
    /// The file ends, or zeros begin, where synced records must be.
    MissingBlocks => "missing_blocks",
    /// A segment number is absent.
    MissingSegment => "missing_segment",
    /// Two files carry the same segment number.
    DuplicateSegment => "duplicate_segment",
    /// A segment of another log.
    ForeignSegment => "foreign_segment",
    /// A segment does not continue the one before it.
    SegmentChain => "segment_chain",
    /// A segment that must be sealed has no valid seal.
    MissingSeal => "missing_seal",
    /// The seal block's figures differ from the segment's content.
    BadSeal => "bad_seal",
    /// SHA-256 of the segment differs from the one sealed.
    HashMismatch => "hash_mismatch",
    /// The file changed under a lock that forbids it.
    ChangedWhileRead => "changed_while_read",
    /// A pin file that cannot be read as one; what it holds is unknown.
    BadPin => "bad_pin",
    /// The RETENTION file, which names what was pruned, is damaged or of another log.
    BadRetention => "bad_retention",
    /// A repair of the log was interrupted; it goes on when a writer opens the log.
    UnfinishedRepair => "unfinished_repair",
    /// The STATE file is absent beside segments.
    StateMissing => "state_missing",
    /// A slot of the STATE file is damaged.
    StateDamaged => "state_damaged",
    /// The STATE file knows nothing of the newest segments: an old copy.
    StateStale => "state_stale",
    /// The STATE file knows of more than the segments hold.
    StateAhead => "state_ahead",
}
