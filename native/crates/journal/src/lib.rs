//! Segmented write-ahead journal: what was reported durable survives, what is damaged is named.
//!
//! A *record* (one packet or event) lies in a *block* (one write), a block in a *segment* (one
//! file), a segment in a *log* (one directory). Every record has a sequence; a new log begins with
//! 1, and a sequence is never used twice.
//!
//! - [`Writer`] appends. [`SyncPolicy`] decides when data goes to the device, [`Watermarks`] say
//!   how far it has come, [`RecoveryReport`] what opening found and repaired.
//! - [`Reader`] reads in order, seeks, and follows a log while it is written.
//! - [`verify`] checks every byte and reports each [`Problem`] with its bounds.
//!
//! ```
//! use tickdeck_journal::{Reader, Record, SyncPolicy, Writer, WriterConfig, kind};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let dir = temporary.path().join("journal");
//! let config = WriterConfig::new(&dir, 64 << 20, SyncPolicy::default(), 1);
//! let (mut writer, report) = Writer::open(config)?;
//! assert!(report.created);
//! let record = Record {
//!     kind: kind::DATA,
//!     stamp: 1,
//!     line: 0,
//!     channel: 1,
//!     venue_seq: 1,
//!     rx_ns: 1_700_000_000_000_000_000,
//!     payload: b"hello",
//! };
//! assert_eq!(writer.append(&record)?, 1);
//! writer.sync()?;
//! assert_eq!(writer.watermarks().durable, 1);
//!
//! let mut reader = Reader::open(&dir)?;
//! assert_eq!(reader.next()?.map(|entry| entry.record), Some(record));
//! assert_eq!(reader.next()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The format is version 1 of RELIABILITY.md section 6; each structure is explained where it is
//! encoded. Blocks may be compressed, see [`Codec`]; one of a codec that this build does not know is
//! refused.

#![forbid(unsafe_code)]

#[cfg(test)]
mod abandoned_tests;
mod checkpoint;
mod codec;
#[cfg(test)]
mod crash_seeds;
#[cfg(test)]
mod crash_tests;
mod directory;
mod disk;
mod error;
#[cfg(feature = "failpoints")]
pub mod failpoints;
#[cfg(not(feature = "failpoints"))]
mod failpoints;
#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod fault_tests;
mod format;
#[doc(hidden)]
pub mod fuzz;
mod grid;
pub mod kind;
#[cfg(test)]
mod large_log_tests;
mod links;
mod names;
mod outline;
mod pins;
mod policy;
mod reader;
mod recovery;
mod repair;
#[cfg(test)]
mod repair_crash_tests;
mod retention;
mod salvage;
mod scan;
mod segment;
mod tally;
mod unpack;
mod verify;
mod walk;
mod writer;

pub use checkpoint::{Checkpoint, checkpoint, has_writer, quarantine};
pub use codec::{Codec, Decompressor};
pub use disk::free_bytes;
pub use error::{Class, JournalError, Problem};
pub use outline::{Outline, outline};
pub use pins::{BOOK_PIN, Pin, is_client, read_pins, remove_pin, write_pin};
pub use policy::SyncPolicy;
pub use reader::blocks::{BlockCursor, BlockStep, Missing, MissingCause, StoredBlock};
pub use reader::index::{IndexCounts, SegmentIndex, SharedSegments, Tail, TailEnd};
pub use reader::{Entry, OwnedRecord, Reader, SegmentInfo};
pub use recovery::{
    Action, REPORT_FILE, RecoveryMode, RecoveryReport, RepairProgress, acknowledge_report,
    unacknowledged_problems,
};
pub use repair::{Repair, repair};
pub use retention::{Held, Limits, Pruned, prune, prune_some, prune_watched};
pub use salvage::{LostRange, Salvaged, salvage};
pub use unpack::unpack;
pub use verify::{Progress as VerifyProgress, Report, verify};
pub use writer::{
    Condition, Counters, Event, Loss, LossKind, OnFailure, Progress, Record, Watermarks, Writer,
    WriterConfig,
};
