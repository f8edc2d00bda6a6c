//! The journal beside a bare write loop: records a second, processor time per record, time of a
//! sync, bytes on disk.
//!
//! A run appends records of 64 bytes, polling behind each batch as the journal thread does behind
//! each pass, and ends with everything written, and synced but under `os`. What it wrote, call by
//! call, and where it synced is kept; the bare loop then writes so many bytes, from memory that
//! lies ready, with as many calls and syncs at the same places, into a file that is allocated as
//! ours is. It makes no records, checksums, hashes or index. Within a round journal and loop take
//! turns, the other one first in every second round, and the ratio is taken within the round.

pub(crate) mod copier;
mod follow;
mod report;
mod rocks;
mod run;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tickdeck_journal::{Codec, SyncPolicy};
use tickdeck_sim::day::{self, DayConfig};

use crate::machine::Machine;
pub(crate) use report::print;
use run::{Case, Payloads};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Records between two polls, comma separated.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256, 1024, 4096])]
    batches: Vec<u64>,
    /// Sync policies, comma separated.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Policy::ALL)]
    policies: Vec<Policy>,
    /// Codecs, comma separated.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Compression::ALL)]
    codecs: Vec<Compression>,
    /// Directory on the device to be measured; a temporary one if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Records of a run.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Batches of a run under `always`, which syncs each.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    syncs: u64,
    /// Size of a segment.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=2_048))]
    segment_mib: u64,
    /// Instead of all this: the journal beside RocksDB's log, by turns with its `db_bench` (of this
    /// path; the one in PATH if none is given).
    #[arg(long, value_name = "DB_BENCH", num_args = 0..=1, default_missing_value = "db_bench")]
    rocksdb: Option<PathBuf>,
    /// Instead of all this: what a journal that follows the ring costs the thread that writes it.
    #[arg(long, conflicts_with = "rocksdb")]
    receive: bool,
    /// Records a second of that thread; 0 is as fast as it can.
    #[arg(long, default_value_t = 500_000, requires = "receive")]
    rate: u64,
    /// Core of that thread; the journal is on the next one.
    #[arg(long, default_value_t = 0, requires = "receive")]
    cpu: usize,
}

/// A sync policy by its configured name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Policy {
    /// Write only.
    Os,
    /// Every 50 ms.
    Interval,
    /// Group commit: 256 KiB, 4,096 records or 5 ms.
    Batch,
    /// Each batch.
    Always,
}

impl Policy {
    const ALL: [Self; 4] = [Self::Os, Self::Interval, Self::Batch, Self::Always];

    fn sync(self) -> SyncPolicy {
        match self {
            Self::Os => SyncPolicy::Os,
            Self::Interval => SyncPolicy::Interval { ms: 50 },
            Self::Batch => SyncPolicy::default(),
            Self::Always => SyncPolicy::Always,
        }
    }
}

/// A codec by its configured name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compression {
    /// Stored as it is.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard, level 1.
    Zstd,
}

impl Compression {
    const ALL: [Self; 3] = [Self::None, Self::Lz4, Self::Zstd];

    fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd => Codec::Zstd,
        }
    }
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] tickdeck_journal::JournalError),
    /// The bare loop or a directory failed.
    #[error("{what}: {source}")]
    Bare {
        /// Doing what.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ring failed.
    #[error("ring: {0}")]
    Ring(#[from] tickdeck_ring::RingError),
    /// RocksDB failed, or said no rate.
    #[error("{} gave no rate: {said}", program.display())]
    RocksDb {
        /// As given.
        program: PathBuf,
        /// Its last line.
        said: String,
    },
    /// What was written is not what was appended: a time would mean nothing.
    #[error("{0}: the figures would be void")]
    WrongResult(String),
}

/// Measures and gives the report.
pub(crate) fn run(options: &Options, rounds: usize) -> Result<Value, Error> {
    let scratch = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.map_err(|source| Error::Bare {
        what: "make a scratch directory",
        source,
    })?;
    let machine = Machine::before();
    let payloads = payloads();
    let mut report = if options.receive {
        follow::measure(options, scratch.path(), &payloads, rounds)?
    } else if let Some(program) = &options.rocksdb {
        let beside = rocks::compare(program, options, scratch.path(), &payloads, rounds)?;
        json!({"payload_bytes": run::PAYLOAD, "beside_rocksdb": beside})
    } else {
        all_cases(options, scratch.path(), &payloads, rounds)?
    };
    report["dir"] = json!(scratch.path());
    report["rounds"] = json!(rounds);
    report["machine"] = machine.after();
    Ok(report)
}

fn all_cases(
    options: &Options,
    dir: &Path,
    payloads: &Payloads,
    rounds: usize,
) -> Result<Value, Error> {
    let mut rows = Vec::new();
    for policy in &options.policies {
        for codec in &options.codecs {
            for batch in &options.batches {
                let records = match policy {
                    Policy::Always => options.records.min(batch * options.syncs),
                    _ => options.records,
                };
                let case = Case {
                    sync: policy.sync(),
                    codec: codec.codec(),
                    batch: *batch,
                    records,
                    segment_bytes: options.segment_mib << 20,
                };
                rows.push(run::compare(&case, dir, payloads, rounds)?);
            }
        }
    }
    Ok(json!({"payload_bytes": run::PAYLOAD, "results": rows}))
}

/// Bytes as an exchange sends them, in pieces of 64, so that compression means something.
fn payloads() -> Payloads {
    let mut bytes = Vec::with_capacity(DAY_BYTES + 64);
    let config = DayConfig {
        messages: (DAY_BYTES / 30) as u64,
        instruments: 100,
        seed: 1,
    };
    let taken = day::generate::<tickdeck_sim::SimError>(config, |message| {
        bytes.extend_from_slice(message);
        Ok(())
    });
    taken.expect("a number of instruments within its limits");
    Payloads::new(bytes)
}

const DAY_BYTES: usize = 4 << 20;
