//! The journal thread: copies the ring into the log, record for record.
//!
//! It reads the ring as any other reader does, so a slow or failing disk never reaches the receive
//! thread. When the ring overtakes it, the records that are gone are spent with one JOURNAL_HOLE
//! and counted. A failed operation ends the journal's writer; a new one is opened, reads back what
//! the device really kept and says where to go on, and what the ring still holds is written again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rtrb::Consumer;
use tickdeck_journal::{Counters, JournalError, Record, SyncPolicy, Writer, WriterConfig};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_ring::{Read, Reader};

use super::journal_state::{JournalHealth, Trouble};
use super::metrics::JournalMetrics;
use crate::exit::{Failure, chain};
use crate::idle::Idle;

/// Reason of a hole: the ring overtook the journal.
pub(super) const HOLE_OVERRUN: u8 = 1;
/// Value of [`JournalThread::end`] while the ring still grows.
pub(super) const STILL_GROWING: u64 = u64::MAX;
/// Records copied in one pass, before time is looked at.
const RECORDS_PER_PASS: usize = 512;
/// Wait before another attempt to open the log.
const REOPEN_INTERVAL_NS: u64 = 1_000_000_000;
/// Sleep when nothing is to be copied.
const IDLE_SLEEP: Duration = Duration::from_micros(500);

/// An order to seal the active segment.
pub(super) struct Seal {
    /// Gets the number of segments and the durable sequence, or why it failed.
    pub(super) reply: SyncSender<Result<(u64, u64), String>>,
}

pub(super) struct JournalThread {
    pub(super) ring: Reader,
    pub(super) writer: Option<Writer>,
    pub(super) config: WriterConfig,
    pub(super) log_id: [u8; 16],
    pub(super) orders: Consumer<Seal>,
    pub(super) metrics: JournalMetrics,
    /// The sequence behind the last record, once the receive thread has ended.
    pub(super) end: Arc<AtomicU64>,
}

impl JournalThread {
    /// Runs until the ring has ended and everything in it is sealed.
    pub(super) fn run(self) -> Result<(), Failure> {
        let copier = Copier {
            buffer: vec![0; self.ring.slot_bytes()],
            before: Counters::default(),
            overrun: 0,
            errors: 0,
            reopen_ns: 0,
            health: JournalHealth::new(self.config.sync == SyncPolicy::Os),
            thread: self,
        };
        copier.run()
    }
}

struct Copier {
    thread: JournalThread,
    buffer: Vec<u8>,
    /// Totals of the writers before this one.
    before: Counters,
    overrun: u64,
    errors: u64,
    reopen_ns: u64,
    health: JournalHealth,
}

impl Copier {
    fn run(mut self) -> Result<(), Failure> {
        let mut idle = Idle::new(0, 8, IDLE_SLEEP);
        loop {
            // Read before the copying: what was published before the end is then copied too.
            let end = self.thread.end.load(Ordering::Acquire);
            let now_ns = monotonic_ns();
            let copied = self.work(now_ns);
            self.take_orders();
            self.show(now_ns);
            if end != STILL_GROWING && self.is_done(end)? {
                return self.close();
            }
            idle.idle(copied);
        }
    }

    /// One pass; returns how many records were copied.
    fn work(&mut self, now_ns: u64) -> usize {
        let Some(mut writer) = self.thread.writer.take() else {
            self.reopen(now_ns);
            return 0;
        };
        match self.copy_and_poll(&mut writer, now_ns) {
            Ok(copied) => {
                self.thread.writer = Some(writer);
                copied
            }
            Err(error) => {
                self.before = sum(&self.before, writer.counters());
                // Dropped here: a new writer needs the directory.
                drop(writer);
                self.failed(&error, now_ns);
                self.reopen_ns = now_ns;
                0
            }
        }
    }

    fn copy_and_poll(&mut self, writer: &mut Writer, now_ns: u64) -> Result<usize, JournalError> {
        let mut copied = 0;
        while copied < RECORDS_PER_PASS && self.copy_one(writer)? {
            copied += 1;
        }
        writer.poll(now_ns)?;
        let (metrics, health) = (&self.thread.metrics, &mut self.health);
        writer.drain_sync_durations(|sync_ns| {
            metrics.sync_ns.record(sync_ns);
            health.synced(sync_ns, now_ns);
        });
        Ok(copied)
    }

    /// Copies the next record, or spends what is gone; `false` when there is none yet.
    fn copy_one(&mut self, writer: &mut Writer) -> Result<bool, JournalError> {
        let seq = writer.next_seq();
        match self.thread.ring.read(seq, &mut self.buffer) {
            Read::NotYet => Ok(false),
            Read::Record { header, len } => {
                writer.append(&record(&header, &self.buffer[..len]))?;
                Ok(true)
            }
            Read::Lapped { oldest_seq } => {
                let to = oldest_seq.max(seq + 1) - 1;
                writer.append_hole(seq, to, HOLE_OVERRUN)?;
                self.overrun += to - seq + 1;
                self.health.overrun(to);
                tracing::error!(
                    from = seq,
                    to,
                    "the ring overtook the journal; a hole is recorded"
                );
                Ok(true)
            }
        }
    }

    fn failed(&mut self, error: &JournalError, now_ns: u64) {
        self.errors += 1;
        let trouble = self.health.failed(error, now_ns);
        let text = chain(error);
        tracing::error!(error = text, state = ?trouble, "journal failed; receiving goes on");
    }

    /// Opens the log again, at once after a failure, then each second.
    fn reopen(&mut self, now_ns: u64) {
        if now_ns < self.reopen_ns {
            return;
        }
        self.reopen_ns = now_ns + REOPEN_INTERVAL_NS;
        match Writer::open(self.thread.config.clone()) {
            Ok((writer, _)) if writer.log_id() != self.thread.log_id => {
                self.errors += 1;
                self.health.log_vanished();
                tracing::error!(
                    dir = %self.thread.config.dir.display(),
                    "the log of this ring is gone and another one is in its place; it is left alone"
                );
            }
            Ok((writer, report)) => {
                self.health
                    .reopened(self.thread.ring.next_seq().saturating_sub(1));
                tracing::warn!(next_seq = report.next_seq, "journal opened again");
                self.thread.writer = Some(writer);
            }
            Err(error) => self.failed(&error, now_ns),
        }
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.thread.orders.pop() {
            let sealed = match &mut self.thread.writer {
                None => Err("the journal is not open".to_owned()),
                Some(writer) => match writer.seal() {
                    Ok(()) => Ok((writer.counters().segments, writer.watermarks().durable)),
                    // The next pass finds the writer ended and opens a new one.
                    Err(error) => Err(chain(&error)),
                },
            };
            if order.reply.send(sealed).is_err() {
                tracing::warn!("the operator who asked for a seal did not wait for the answer");
            }
        }
    }

    fn show(&mut self, now_ns: u64) {
        let metrics = &self.thread.metrics;
        if let Some(writer) = &self.thread.writer {
            let (marks, total) = (writer.watermarks(), sum(&self.before, writer.counters()));
            metrics.appended_seq.set(marks.appended);
            metrics.written_seq.set(marks.written);
            metrics.durable_seq.set(marks.durable);
            metrics.records.set(total.records);
            metrics.bytes.set(total.bytes);
            metrics.segments.set(writer.counters().segments);
            metrics.rotations.set(total.rotations);
            metrics.syncs.set(total.syncs);
            self.health.wrote(marks.written, marks.durable);
        }
        metrics.overrun.set(self.overrun);
        metrics.write_errors.set(self.errors);
        metrics.state.set(self.health.state(now_ns) as u64);
    }

    /// Whether everything before `end` is in the log; an error when it cannot get there.
    fn is_done(&self, end: u64) -> Result<bool, Failure> {
        match &self.thread.writer {
            Some(writer) => Ok(writer.next_seq() >= end),
            None if self.health.trouble() == Some(Trouble::Reopening) => Ok(false),
            None => Err(Failure::failed(format!(
                "journal {}: it could not be opened again before the stop; records behind the \
                 durable sequence are only in the ring, which the next start reads",
                self.thread.config.dir.display()
            ))),
        }
    }

    fn close(mut self) -> Result<(), Failure> {
        let Some(writer) = self.thread.writer.take() else {
            return Ok(());
        };
        let last_seq = writer.next_seq() - 1;
        writer
            .close()
            .map_err(|error| Failure::failed(chain(&error)))?;
        let metrics = &self.thread.metrics;
        metrics.written_seq.set(last_seq);
        metrics.durable_seq.set(last_seq);
        Ok(())
    }
}

/// A ring record as the journal takes it.
pub(super) fn record<'a>(header: &tickdeck_ring::RecordHeader, payload: &'a [u8]) -> Record<'a> {
    Record {
        kind: header.kind,
        stamp: header.stamp,
        line: header.line,
        channel: header.channel,
        venue_seq: header.venue_seq,
        rx_ns: header.rx_ns,
        payload,
    }
}

fn sum(a: &Counters, b: &Counters) -> Counters {
    Counters {
        records: a.records + b.records,
        bytes: a.bytes + b.bytes,
        rotations: a.rotations + b.rotations,
        syncs: a.syncs + b.syncs,
        ..*b
    }
}

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;
    use tickdeck_ring::{RecordHeader, RingConfig};
    use tickdeck_stats::{Builder, Identity};

    use super::*;

    fn metrics(dir: &std::path::Path) -> (JournalMetrics, tickdeck_stats::reader::Reader) {
        let mut builder = Builder::new(Identity {
            worker_id: "TEST-rx".to_owned(),
            resource: "TEST".to_owned(),
            build_id: "0".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        let metrics = JournalMetrics::new(&mut builder);
        let file = builder.create(dir).expect("stats file");
        let reader = tickdeck_stats::reader::Reader::open(file.path()).expect("readable");
        (metrics, reader)
    }

    /// The ring has overtaken the journal: what is gone becomes a hole with exact bounds and a
    /// counter, what is there is copied, and both keep the same numbers.
    #[test]
    fn overrun_is_a_hole() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let dir = directory.path();
        let config = WriterConfig::new(dir.join("journal"), 1 << 20, SyncPolicy::batch(1), 1);
        let (writer, _) = Writer::open(config.clone()).expect("journal");
        let log_id = writer.log_id();
        let ring = RingConfig {
            slot_count: 16,
            slot_bytes: 64,
            start_seq: 1,
            log_id,
            incarnation: [1; 16],
        };
        let path = dir.join("ring");
        let mut ring = tickdeck_ring::Writer::create(&path, &ring).expect("ring");
        for _ in 0..100 {
            ring.publish(
                &RecordHeader {
                    kind: 1,
                    ..RecordHeader::default()
                },
                b"x",
            )
            .expect("room");
        }
        let (metrics, stats) = metrics(dir);
        let thread = JournalThread {
            ring: Reader::open(&path).expect("ring"),
            writer: Some(writer),
            config: config.clone(),
            log_id,
            orders: RingBuffer::new(1).1,
            metrics,
            end: Arc::new(AtomicU64::new(ring.next_seq())),
        };
        thread.run().expect("everything is journalled");
        let value = |name| stats.value(name, "").expect("a metric");
        let overrun = value("journal_overrun_total");
        assert!((84..100).contains(&overrun), "{overrun}");
        assert_eq!(value("journal_durable_seq"), 100);
        assert_eq!(value("journal_write_errors_total"), 0);
        let mut log = tickdeck_journal::Reader::open(&config.dir).expect("a journal");
        let hole = log.next().expect("whole").expect("a first record").record;
        let hole = tickdeck_journal::kind::JournalHole::decode(hole.payload).expect("a hole");
        assert_eq!(
            (hole.from, hole.to, hole.reason),
            (1, overrun, HOLE_OVERRUN)
        );
        for seq in overrun + 1..=100 {
            let entry = log.next().expect("whole").expect("a record");
            assert_eq!((entry.seq, entry.record.payload), (seq, &b"x"[..]));
        }
    }
}
