//! One run of the journal, the same writes without it, and the two by turns.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use rustix::fs::FallocateFlags;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tickdeck_journal::{Codec, Counters, Record, SyncPolicy, Writer, WriterConfig, kind};
use tickdeck_net::clock::monotonic_ns;

use super::Error;
use crate::rounds::{percentile, spread_to};

/// Bytes of a record's payload.
pub(super) const PAYLOAD: usize = 64;

/// Payloads to append, over and over.
pub(super) struct Payloads {
    bytes: Vec<u8>,
    at: usize,
}

impl Payloads {
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(bytes.len() / PAYLOAD * PAYLOAD);
        assert!(!bytes.is_empty(), "a generated day has messages");
        Self { bytes, at: 0 }
    }

    /// From the first one on.
    pub(super) fn begin(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            at: 0,
        }
    }

    pub(super) fn next(&mut self) -> &[u8] {
        if self.at == self.bytes.len() {
            self.at = 0;
        }
        self.at += PAYLOAD;
        &self.bytes[self.at - PAYLOAD..self.at]
    }
}

/// What is measured.
pub(super) struct Case {
    pub(super) sync: SyncPolicy,
    pub(super) codec: Codec,
    pub(super) batch: u64,
    pub(super) records: u64,
    pub(super) segment_bytes: u64,
}

/// What went to the file between two looks at the counters.
#[derive(Debug, Clone, Copy)]
struct Step {
    bytes: u64,
    /// Calls that the bytes went out in.
    calls: u64,
    syncs: u64,
}

/// Everything that a run of the journal asked of its file, in order.
#[derive(Debug)]
struct Trace {
    steps: Vec<Step>,
    seen: Counters,
}

impl Trace {
    fn new() -> Self {
        Self {
            steps: Vec::with_capacity(TRACE),
            seen: Counters::default(),
        }
    }

    /// Adds what the writer has done since the last time.
    #[inline]
    fn note(&mut self, now: &Counters) {
        if (now.bytes, now.syncs) == (self.seen.bytes, self.seen.syncs) {
            return;
        }
        let bytes = now.bytes - self.seen.bytes;
        let calls = (now.blocks - self.seen.blocks).max(u64::from(bytes > 0));
        let syncs = now.syncs - self.seen.syncs;
        self.steps.push(Step {
            bytes,
            calls,
            syncs,
        });
        self.seen = *now;
    }
}

/// Figures of one run.
#[derive(Debug)]
struct Run {
    wall_ns: f64,
    cpu_ns: f64,
    bytes: u64,
    syncs: Vec<f64>,
}

/// Takes turns, one discarded round first, and gives the figures of a case.
pub(super) fn compare(
    case: &Case,
    dir: &Path,
    payloads: &Payloads,
    rounds: usize,
) -> Result<Value, Error> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut trace = Trace::new();
    journal(case, dir, payloads, &mut trace)?;
    bare_loop(dir, &trace)?;
    for round in 0..rounds {
        let mut next = Trace::new();
        if round % 2 == 0 {
            ours.push(journal(case, dir, payloads, &mut next)?);
            bare.push(bare_loop(dir, &next)?);
        } else {
            bare.push(bare_loop(dir, &trace)?);
            ours.push(journal(case, dir, payloads, &mut next)?);
        }
        trace = next;
    }
    Ok(row(case, &ours, &bare))
}

/// Records a second of one run of the journal.
pub(super) fn records_per_second(
    case: &Case,
    dir: &Path,
    payloads: &Payloads,
) -> Result<f64, Error> {
    let run = journal(case, dir, payloads, &mut Trace::new())?;
    Ok(case.records as f64 / run.wall_ns * 1e9)
}

fn row(case: &Case, ours: &[Run], bare: &[Run]) -> Value {
    let records = case.records as f64;
    let rate = |run: &Run| records / run.wall_ns * 1e9;
    // Bytes a second, so that a sync more or less in one of the two does not count as speed.
    let pairs = ours.iter().zip(bare);
    let ratios: Vec<f64> = pairs
        .map(|(a, b)| (a.bytes as f64 / a.wall_ns) / (b.bytes as f64 / b.wall_ns))
        .collect();
    let side = |runs: &[Run]| {
        let of = |figure: &dyn Fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
        let syncs: Vec<f64> = runs.iter().flat_map(|run| run.syncs.clone()).collect();
        json!({
            "records_per_second": spread_to(&of(&rate), 0),
            "cpu_ns_per_record": spread_to(&of(&|run| run.cpu_ns / records), 1),
            "bytes_on_disk": spread_to(&of(&|run| run.bytes as f64), 0),
            "syncs_per_run": syncs.len() as f64 / runs.len() as f64,
            "sync_us_p50": percentile(&syncs, 50.0),
            "sync_us_p99": percentile(&syncs, 99.0),
        })
    };
    json!({
        "policy": case.sync.name(),
        "codec": case.codec.name(),
        "batch": case.batch,
        "records": case.records,
        "journal": side(ours),
        "bare": side(bare),
        "ratio": spread_to(&ratios, 2),
    })
}

/// Appends the records of a case to a new log; notes what was written and synced.
fn journal(case: &Case, dir: &Path, payloads: &Payloads, trace: &mut Trace) -> Result<Run, Error> {
    let dir = dir.join("journal");
    let mut config = WriterConfig::new(&dir, case.segment_bytes, case.sync, 1);
    config.codec = case.codec;
    let mut writer = Writer::open(config)?.0;
    let (mut payloads, mut syncs) = (payloads.begin(), Vec::with_capacity(TRACE));
    let clocks = Clocks::start();
    let mut done = 0;
    while done < case.records {
        let end = case.records.min(done + case.batch);
        while done < end {
            writer.append(&record(done, payloads.next()))?;
            trace.note(writer.counters());
            done += 1;
        }
        writer.poll(monotonic_ns())?;
        trace.note(writer.counters());
        writer.drain_sync_durations(|ns| syncs.push(ns as f64 / 1e3));
    }
    match case.sync {
        SyncPolicy::Os => writer.flush()?,
        _ => writer.sync()?,
    }
    let (wall_ns, cpu_ns) = clocks.stop();
    writer.drain_sync_durations(|ns| syncs.push(ns as f64 / 1e3));
    trace.note(writer.counters());
    let bytes = writer.counters().bytes;
    check(case, &writer)?;
    drop(writer);
    fs::remove_dir_all(&dir).map_err(failed("remove the log"))?;
    Ok(Run {
        wall_ns,
        cpu_ns,
        bytes,
        syncs,
    })
}

/// Writes and syncs as the trace says.
fn bare_loop(dir: &Path, trace: &Trace) -> Result<Run, Error> {
    let path = dir.join("bare");
    let total: u64 = trace.steps.iter().map(|step| step.bytes).sum();
    let longest = trace.steps.iter().map(|step| step.bytes).max();
    let content = content(longest.unwrap_or(0) as usize);
    let file = allocated(&path, HEADER + total)?;
    let mut syncs = Vec::with_capacity(TRACE);
    let mut at = HEADER;
    let clocks = Clocks::start();
    for step in &trace.steps {
        let mut left = step.bytes;
        for call in (1..=step.calls).rev() {
            let len = left / call;
            file.write_all_at(&content[..len as usize], at)
                .map_err(failed("write"))?;
            (at, left) = (at + len, left - len);
        }
        for _ in 0..step.syncs {
            let begin = Instant::now();
            file.sync_data().map_err(failed("sync"))?;
            syncs.push(begin.elapsed().as_nanos() as f64 / 1e3);
        }
    }
    let (wall_ns, cpu_ns) = clocks.stop();
    drop(file);
    fs::remove_file(&path).map_err(failed("remove the file of the bare loop"))?;
    Ok(Run {
        wall_ns,
        cpu_ns,
        bytes: total,
        syncs,
    })
}

/// A file whose blocks are allocated and whose head is on the device, as a segment's are.
fn allocated(path: &Path, len: u64) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    let file = file.map_err(failed("create the file of the bare loop"))?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len)
        .map_err(|errno| failed("allocate")(errno.into()))?;
    file.write_all_at(&[1; HEADER as usize], 0)
        .map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    Ok(file)
}

/// Bytes without a pattern.
fn content(len: usize) -> Vec<u8> {
    let mut random = tickdeck_sim::Random::new(1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Bare { what, source }
}

fn check(case: &Case, writer: &Writer) -> Result<(), Error> {
    let marks = writer.watermarks();
    let synced = case.sync == SyncPolicy::Os || marks.durable == case.records;
    if marks.written == case.records && synced {
        return Ok(());
    }
    Err(Error::WrongResult(format!(
        "{} records of {} are written, {} durable",
        marks.written, case.records, marks.durable
    )))
}

pub(super) fn record(number: u64, payload: &[u8]) -> Record<'_> {
    Record {
        kind: kind::DATA,
        stamp: 1,
        line: 0,
        channel: 1,
        venue_seq: number,
        rx_ns: number,
        payload,
    }
}

/// Wall clock and processor time of all threads.
pub(super) struct Clocks {
    wall: Instant,
    cpu_ns: u64,
}

impl Clocks {
    pub(super) fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu_ns: process_cpu_ns(),
        }
    }

    /// Nanoseconds since the start: wall, processor.
    pub(super) fn stop(&self) -> (f64, f64) {
        let wall_ns = self.wall.elapsed().as_nanos() as f64;
        (wall_ns, (process_cpu_ns() - self.cpu_ns) as f64)
    }
}

fn process_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Length of a segment's header.
const HEADER: u64 = 128;
/// Steps and syncs that a run may have without a longer vector.
const TRACE: usize = 1 << 19;

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads() -> Payloads {
        Payloads::new((0..PAYLOAD * 50).map(|at| (at / 7) as u8).collect())
    }

    /// A small run of every policy and codec keeps what was appended, syncs as the policy says, and
    /// the bare loop writes as many bytes.
    #[test]
    fn every_policy_and_codec_has_a_row() {
        let dir = tempfile::tempdir().unwrap();
        for (sync, least_syncs) in [
            (SyncPolicy::Os, 0.0),
            (SyncPolicy::Interval { ms: 50 }, 1.0),
            (SyncPolicy::default(), 1.0),
            (SyncPolicy::Always, 10.0),
        ] {
            for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
                let case = Case {
                    sync,
                    codec,
                    batch: 20,
                    records: 200,
                    segment_bytes: 1 << 20,
                };
                let row = compare(&case, dir.path(), &payloads(), 5).unwrap();
                let (ours, bare) = (&row["journal"], &row["bare"]);
                assert!(ours["syncs_per_run"].as_f64() >= Some(least_syncs), "{row}");
                assert!(ours["records_per_second"]["min"].as_f64() > Some(0.0));
                let bytes = ours["bytes_on_disk"]["median"].as_f64().unwrap();
                assert!((bytes >= 17_600.0) == (codec == Codec::None), "{row}");
                if sync == SyncPolicy::Always {
                    assert_eq!(ours["bytes_on_disk"], bare["bytes_on_disk"], "{row}");
                    assert_eq!(ours["syncs_per_run"], bare["syncs_per_run"], "{row}");
                }
            }
        }
    }

    /// The trace has every write and sync once, and nothing where nothing happened.
    #[test]
    fn the_trace_is_what_the_counters_say() {
        let mut trace = Trace::new();
        let mut counters = Counters::default();
        trace.note(&counters);
        (counters.bytes, counters.blocks) = (100, 2);
        trace.note(&counters);
        trace.note(&counters);
        counters.syncs = 1;
        trace.note(&counters);
        let steps: Vec<_> = trace
            .steps
            .iter()
            .map(|it| (it.bytes, it.calls, it.syncs))
            .collect();
        assert_eq!(steps, [(100, 2, 0), (0, 0, 1)]);
        let dir = tempfile::tempdir().unwrap();
        let run = bare_loop(dir.path(), &trace).unwrap();
        assert_eq!((run.bytes, run.syncs.len()), (100, 1));
    }
}
