//! The journal beside RocksDB's log: `db_bench` of the system, by turns with ours in one run.
//!
//! Same number of records, batch, sync per batch and directory. What the sides do differs, and the
//! report says so: RocksDB's fillseq has keys of 16 bytes beside values of 64 and inserts into a
//! memtable as well; ours keeps 24 bytes of a record's own and hashes the segment.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tickdeck_journal::{Codec, SyncPolicy};

use super::run::{self, Case, PAYLOAD, Payloads};
use super::{Error, Options};
use crate::rounds::spread_to;

/// Batches and syncs that the goals name, and single records.
const CASES: [(SyncPolicy, u64); 4] = [
    (SyncPolicy::Os, 1_000),
    (SyncPolicy::Always, 1_000),
    (SyncPolicy::Os, 1),
    (SyncPolicy::Always, 1),
];
const WANTED: f64 = 3.0;
const NOTE: &str = "RocksDB's fillseq: keys of 16 and values of 64 bytes, one thread, no \
                    compression, log on, memtable insert included; `sync` beside `always`";

/// Takes turns with `program`, one discarded round first, and gives a row for each case.
pub(super) fn compare(
    program: &Path,
    options: &Options,
    dir: &Path,
    payloads: &Payloads,
    rounds: usize,
) -> Result<Value, Error> {
    let mut rows = Vec::new();
    let mut version = String::new();
    for (sync, batch) in CASES {
        let records = match sync {
            SyncPolicy::Always => options.records.min(batch * options.syncs),
            _ => options.records,
        };
        let case = Case {
            sync,
            codec: Codec::None,
            batch,
            records: records.next_multiple_of(batch),
            segment_bytes: options.segment_mib << 20,
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let is_first = round % 2 == 0;
            let mut pair = (0.0, 0.0);
            if is_first {
                pair.0 = run::records_per_second(&case, dir, payloads)?;
            }
            let said = fillseq(program, &case, dir)?;
            pair.1 = records_per_second(&said).ok_or_else(|| unreadable(program, &said))?;
            if !is_first {
                pair.0 = run::records_per_second(&case, dir, payloads)?;
            }
            if round > 0 {
                ours.push(pair.0);
                theirs.push(pair.1);
            }
            version = about(&said);
        }
        let pairs = ours.iter().zip(&theirs);
        let ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        rows.push(json!({
            "policy": case.sync.name(),
            "batch": batch,
            "records": case.records,
            "journal_records_per_second": spread_to(&ours, 0),
            "rocksdb_records_per_second": spread_to(&theirs, 0),
            "ratio": spread_to(&ratios, 2),
            "wanted": (batch > 1).then_some(WANTED),
        }));
    }
    Ok(json!({"note": NOTE, "rocksdb": version, "rows": rows}))
}

/// One run of `db_bench` into a database that is removed afterwards; what it printed.
fn fillseq(program: &Path, case: &Case, dir: &Path) -> Result<String, Error> {
    let db = dir.join("rocksdb");
    let sync = case.sync == SyncPolicy::Always;
    let output = Command::new(program)
        .args(["--benchmarks=fillseq", "--compression_type=none"])
        .args(["--threads=1", "--key_size=16", "--disable_wal=false"])
        .arg(format!("--value_size={PAYLOAD}"))
        .arg(format!("--num={}", case.records))
        .arg(format!("--batch_size={}", case.batch))
        .arg(format!("--sync={sync}"))
        .arg(format!("--db={}", db.display()))
        .output()
        .map_err(|source| Error::Bare {
            what: "run db_bench (package rocksdb-tools; --rocksdb names it)",
            source,
        })?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(unreadable(program, &said));
    }
    fs::remove_dir_all(&db).map_err(|source| Error::Bare {
        what: "remove RocksDB's directory",
        source,
    })?;
    Ok(said.into_owned())
}

/// The rate in the line `fillseq : … micros/op … ops/sec …`.
fn records_per_second(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with("fillseq "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let unit = words.iter().position(|word| *word == "ops/sec")?;
    let rate: f64 = words[unit.checked_sub(1)?].parse().ok()?;
    (rate > 0.0).then_some(rate)
}

/// Its version, and whether it warns of its own build.
fn about(said: &str) -> String {
    let kept = said.lines().filter_map(|line| {
        let version = line.strip_prefix("RocksDB:").map(str::trim);
        version.or_else(|| line.strip_prefix("WARNING:").map(str::trim))
    });
    kept.collect::<Vec<_>>().join("; ")
}

fn unreadable(program: &Path, said: &str) -> Error {
    let end = said.trim_end().lines().last().unwrap_or("nothing");
    Error::RocksDb {
        program: program.to_owned(),
        said: end.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "RocksDB:    version 7.8.3\n... finished 100000 ops\n\
                        WARNING: Assertions are enabled; benchmarks unnecessarily slow\n\
                        fillseq      :       0.693 micros/op 1441358 ops/sec 0.069 seconds 100000 operations;  110.0 MB/s\n";

    #[test]
    fn the_rate_and_the_warning_are_read() {
        assert_eq!(records_per_second(SAID), Some(1_441_358.0));
        let about = about(SAID);
        assert!(
            about.starts_with("version 7.8.3; Assertions are enabled"),
            "{about}"
        );
    }

    #[test]
    fn what_has_no_rate_is_no_figure() {
        assert_eq!(records_per_second("fillseq : 1 micros/op ops/sec"), None);
        assert_eq!(records_per_second("fillseq : ops/sec"), None);
        assert_eq!(records_per_second("fillseq : 1 micros/op 0 ops/sec"), None);
        assert_eq!(
            records_per_second("put error: No space left on device"),
            None
        );
    }

    /// A program that fails, or says something else, ends the run with its last words.
    #[test]
    fn a_program_that_is_not_db_bench_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let case = Case {
            sync: SyncPolicy::Os,
            codec: Codec::None,
            batch: 1,
            records: 1,
            segment_bytes: 1 << 20,
        };
        let error = fillseq(Path::new("/bin/false"), &case, dir.path()).unwrap_err();
        assert!(error.to_string().contains("/bin/false"), "{error}");
        let error = fillseq(Path::new("/nonexistent"), &case, dir.path()).unwrap_err();
        assert!(error.to_string().contains("rocksdb-tools"), "{error}");
    }
}
