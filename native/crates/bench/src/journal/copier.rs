//! A ring on its way into a log: the loop of the worker's journal thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tickdeck_journal::{Record, SyncPolicy, Writer, WriterConfig};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_net::pin_current_thread;
use tickdeck_ring::{Read, Reader};

use super::Error;

/// What went into a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) journalled: u64,
    /// Records that were overwritten before the journal came.
    pub(crate) overrun: u64,
}

/// The journal's thread, on a core of its own.
pub(crate) struct Follower {
    /// The ring's first sequence that is not to be waited for.
    end: Arc<AtomicU64>,
    thread: JoinHandle<Result<Followed, Error>>,
}

impl Follower {
    /// Starts it at the ring's sequence `first`. The log is removed at the end.
    pub(crate) fn start(ring: PathBuf, log: PathBuf, first: u64, cpu: usize) -> Self {
        let end = Arc::new(AtomicU64::new(u64::MAX));
        let seen = Arc::clone(&end);
        let thread = thread::spawn(move || follow(&ring, &log, first, &seen, cpu));
        Self { end, thread }
    }

    /// Waits until everything below `end` is in the log, or counted as overrun.
    pub(crate) fn finish(self, end: u64) -> Result<Followed, Error> {
        self.end.store(end, Ordering::Release);
        let joined = self.thread.join();
        joined.map_err(|_| Error::WrongResult("the journal's thread died".into()))?
    }
}

fn follow(
    ring: &Path,
    log: &Path,
    first: u64,
    end: &AtomicU64,
    cpu: usize,
) -> Result<Followed, Error> {
    pin_current_thread(cpu).map_err(|error| Error::WrongResult(error.to_string()))?;
    let mut copier = Copier::open(ring, log, first)?;
    let mut idle = 0;
    loop {
        let end = end.load(Ordering::Acquire);
        let copied = copier.pass()?;
        if copier.next() >= end {
            break;
        }
        idle = if copied > 0 { 0 } else { idle + 1 };
        match idle {
            0 => {}
            1..=8 => thread::yield_now(),
            _ => thread::sleep(IDLE_SLEEP),
        }
    }
    copier.close(log)
}

/// A ring and the log that it goes into.
pub(super) struct Copier {
    ring: Reader,
    writer: Writer,
    buffer: Vec<u8>,
    /// Records of the ring before the log's first.
    before: u64,
    overrun: u64,
}

impl Copier {
    pub(super) fn open(ring: &Path, log: &Path, first: u64) -> Result<Self, Error> {
        let ring = Reader::open(ring)?;
        let config = WriterConfig::new(log, 64 << 20, SyncPolicy::default(), 1);
        Ok(Self {
            writer: Writer::open(config)?.0,
            buffer: vec![0; ring.slot_bytes()],
            ring,
            before: first - 1,
            overrun: 0,
        })
    }

    /// The ring's sequence that is to be read next.
    fn next(&self) -> u64 {
        self.before + self.writer.next_seq()
    }

    /// Up to 512 records and a poll.
    pub(super) fn pass(&mut self) -> Result<u64, Error> {
        let mut copied = 0;
        while copied < RECORDS_PER_PASS {
            let seq = self.next();
            match self.ring.read(seq, &mut self.buffer) {
                Read::NotYet => break,
                Read::Record { header, len } => {
                    self.writer.append(&Record {
                        kind: header.kind,
                        stamp: header.stamp,
                        line: header.line,
                        channel: header.channel,
                        venue_seq: header.venue_seq,
                        rx_ns: header.rx_ns,
                        payload: &self.buffer[..len],
                    })?;
                }
                Read::Lapped { oldest_seq } => {
                    let to = oldest_seq.max(seq + 1) - 1;
                    let (from, to) = (seq - self.before, to - self.before);
                    self.writer.append_hole(from, to, 1)?;
                    self.overrun += to - from + 1;
                }
            }
            copied += 1;
        }
        self.writer.poll(monotonic_ns())?;
        Ok(copied)
    }

    pub(super) fn close(mut self, log: &Path) -> Result<Followed, Error> {
        self.writer.sync()?;
        let kept = self.writer.next_seq() - 1 - self.overrun;
        drop(self.writer);
        std::fs::remove_dir_all(log).map_err(|source| Error::Bare {
            what: "remove the log",
            source,
        })?;
        Ok(Followed {
            journalled: kept,
            overrun: self.overrun,
        })
    }
}

const RECORDS_PER_PASS: u64 = 512;
const IDLE_SLEEP: Duration = Duration::from_micros(500);
