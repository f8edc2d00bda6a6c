//! The mapped stats file: what a worker counts, readable by anybody at any time.
//!
//! One file per worker incarnation on tmpfs. The worker stores into it without a system call, a
//! lock or a read-modify-write; the daemon and the tools map it read-only. It outlives its writer,
//! so the last numbers and the exit record of a crashed worker can still be read.
//!
//! # The file, version 1
//!
//! Little-endian, naturally aligned 64-bit words. A header of 4,096 bytes with a directory of
//! sections, then the sections. Offsets of the header are in [`layout`]; everything else is found
//! through the directory and the descriptors, so a reader needs no generated code:
//!
//! - **DESC**: one 256-byte descriptor per metric, immutable after publication.
//! - **VALUES**: slots of 128 bytes, each written by one thread.
//! - **HIST**: cumulative base-2 log-linear histograms ([`histogram`]).
//! - **GAPS**: 256 slots of 256 bytes (minor version 0: 128), each a small seqlock ([`gaps`]).
//!
//! # Order of creation
//!
//! The file is created under a temporary name, allocated in full (a sparse file on a full tmpfs
//! kills the writer with SIGBUS), filled, renamed, and only then `magic` is stored with Release.
//! A reader that loads `magic` with Acquire therefore sees a complete file. It is never resized.
//!
//! # Use
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! use tickdeck_stats::{Builder, Identity, State};
//!
//! let mut builder = Builder::new(Identity {
//!     worker_id: "XNAS-rx".into(),
//!     resource: "XNAS".into(),
//!     build_id: "0.1.0".into(),
//!     incarnation: [7; 16],
//!     generation: 1,
//! });
//! let packets = builder.counter("rx_packets_total", "packets", "line=A");
//! let latency = builder.histogram("latency_rx_to_ring_ns", "ns", "source=kernel");
//! let file = builder.create(dir.path())?;
//! packets.add(1);
//! latency.record(1_250);
//! file.header().set_state(State::Ready);
//! # Ok::<(), tickdeck_stats::StatsError>(())
//! ```

#[cfg(not(target_endian = "little"))]
compile_error!("the stats file is little-endian: this target needs byte swaps in every accessor");

pub mod gaps;
pub mod histogram;
pub mod layout;
pub mod reader;

mod builder;
mod error;
mod file;
mod handles;
mod header;
mod image;
mod mapping;

pub use builder::{Builder, Identity};
pub use error::StatsError;
pub use file::StatsFile;
pub use gaps::{GapRow, GapState, GapTable};
pub use handles::{Counter, Gauge, HighWater, Histogram};
pub use header::Header;
pub use layout::{ExitReason, Kind, State, format_incarnation, parse_incarnation};
