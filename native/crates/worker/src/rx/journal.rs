//! The journal thread: copies the ring into the log, record for record.
//!
//! It reads the ring as any other reader does, so a slow or failing disk never reaches the receive
//! thread. When the ring overtakes it, the records that are gone are spent with one JOURNAL_HOLE
//! and counted. What follows from a failed operation is the writer's business; while it takes no
//! records, they wait in the ring, and it goes on where it stood.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtrb::Consumer;
use tickdeck_journal::{Event, JournalError, Record, SyncPolicy, Writer, WriterConfig, free_bytes};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_ring::{Read, Reader};

use super::drain::{DrainDeadline, STOP_LIMIT_NS};
use super::journal_orders::JournalOrder;
use super::journal_state::JournalHealth;
use super::journal_watch::JournalStatus;
use super::metrics::JournalMetrics;
use crate::exit::{Failure, chain};
use crate::idle::Idle;

/// Reason of a hole: the ring overtook the journal.
pub(super) const HOLE_OVERRUN: u8 = 1;
/// Value of [`JournalThread::end`] while the ring still grows.
pub(super) const STILL_GROWING: u64 = u64::MAX;
/// Records copied in one pass, before time is looked at.
const RECORDS_PER_PASS: usize = 512;
/// Sleep when nothing is to be copied.
const IDLE_SLEEP: Duration = Duration::from_micros(500);
/// Time between two looks at the free space.
const SPACE_INTERVAL_NS: u64 = 1_000_000_000;
/// With less free space than so many segments, an operator has to do something.
const LOW_SPACE_SEGMENTS: u64 = 2;
/// How long a stop waits for a log that cannot be written.
const STOP_PATIENCE_NS: u64 = 3_000_000_000;

pub(super) struct JournalThread {
    pub(super) ring: Reader,
    pub(super) writer: Writer,
    pub(super) config: WriterConfig,
    pub(super) orders: Consumer<JournalOrder>,
    pub(super) metrics: JournalMetrics,
    /// What the main thread shows of this one.
    pub(super) status: Arc<JournalStatus>,
    /// The sequence behind the last record, once the receive thread has ended.
    pub(super) end: Arc<AtomicU64>,
    pub(super) drain: DrainDeadline,
}

impl JournalThread {
    /// Runs until the ring has ended and everything in it is sealed.
    pub(super) fn run(self) -> Result<(), Failure> {
        Copier::new(self).run()
    }
}

struct Copier {
    thread: JournalThread,
    buffer: Vec<u8>,
    overrun: u64,
    health: JournalHealth,
    space_due_ns: u64,
    /// Free space is low, and that was said.
    is_low: bool,
    /// When the ring's end was first seen.
    ended_ns: Option<u64>,
}

impl Copier {
    fn new(thread: JournalThread) -> Self {
        Self {
            buffer: vec![0; thread.ring.slot_bytes()],
            overrun: 0,
            health: JournalHealth::new(thread.config.sync == SyncPolicy::Os),
            space_due_ns: 0,
            is_low: false,
            ended_ns: None,
            thread,
        }
    }

    fn run(mut self) -> Result<(), Failure> {
        let mut idle = Idle::new(0, 8, IDLE_SLEEP);
        loop {
            // Read before the copying: what was published before the end is then copied too.
            let end = self.thread.end.load(Ordering::Acquire);
            let copied = self.copy_and_poll(monotonic_ns());
            // A pass may have waited for the device: what it saw is as old as its end, not its begin.
            let now_ns = monotonic_ns();
            self.take_events(now_ns);
            self.take_orders();
            self.look_at_space(now_ns);
            self.show(now_ns);
            let copied = copied.map_err(|error| Failure::failed(chain(&error)))?;
            if end != STILL_GROWING && self.is_done(end, now_ns)? {
                return self.close(end);
            }
            idle.idle(copied);
        }
    }

    /// One pass; returns how many records were copied. An error is the writer's end.
    fn copy_and_poll(&mut self, now_ns: u64) -> Result<usize, JournalError> {
        let mut copied = 0;
        while copied < RECORDS_PER_PASS {
            match self.copy_one() {
                Ok(true) => copied += 1,
                // It takes no records now: they wait in the ring.
                Ok(false) | Err(JournalError::Stalled { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        self.thread.writer.poll(now_ns)?;
        Ok(copied)
    }

    /// Copies the next record, or spends what is gone; `false` when there is none yet.
    fn copy_one(&mut self) -> Result<bool, JournalError> {
        let writer = &mut self.thread.writer;
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

    /// Tells what happened to the writer.
    fn take_events(&mut self, now_ns: u64) {
        let (metrics, health) = (&self.thread.metrics, &mut self.health);
        let writer = &mut self.thread.writer;
        writer.drain_sync_durations(|sync_ns| {
            metrics.sync_ns.record(sync_ns);
            health.synced(sync_ns, now_ns);
        });
        writer.drain_write_durations(|write_ns| metrics.flush_ns.record(write_ns));
        while let Some(event) = writer.take_event() {
            match event {
                Event::Failed { cause, condition } => {
                    health.failed(condition, now_ns);
                    tracing::error!(cause, ?condition, "journal failed; receiving goes on");
                }
                Event::Reopened { from, to, cause } => {
                    tracing::warn!(from, to, cause, "journal goes on in a new segment");
                }
                Event::AckedLoss { from, to } => tracing::error!(
                    from,
                    to,
                    "JOURNAL_ACKED_LOSS: the device has lost records that it had called durable"
                ),
                Event::Hole { from, to, reason } => {
                    health.overrun(to);
                    tracing::error!(from, to, reason, "journal records are lost; a hole says so");
                }
                Event::FilesLost { file } => {
                    tracing::error!(
                        file,
                        dir = %self.thread.config.dir.display(),
                        "a file of the journal has vanished"
                    );
                }
            }
        }
    }

    /// Shows the free space, and says when it becomes low.
    fn look_at_space(&mut self, now_ns: u64) {
        if now_ns < self.space_due_ns {
            return;
        }
        self.space_due_ns = now_ns + SPACE_INTERVAL_NS;
        let config = &self.thread.config;
        // A directory that cannot be asked shows as 0: nothing can be written there.
        let free = free_bytes(&config.dir).unwrap_or(0);
        self.thread.metrics.disk_free_bytes.set(free);
        let is_low = free < LOW_SPACE_SEGMENTS * config.segment_size_bytes;
        if is_low && !self.is_low {
            tracing::warn!(
                free_bytes = free,
                dir = %config.dir.display(),
                "less than two segments fit on the journal's device; make room"
            );
        }
        self.is_low = is_low;
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.thread.orders.pop() {
            order.carry_out(&mut self.thread.writer);
        }
    }

    fn show(&mut self, now_ns: u64) {
        let (metrics, writer) = (&self.thread.metrics, &self.thread.writer);
        let (marks, total) = (writer.watermarks(), writer.counters());
        metrics.appended_seq.set(marks.appended);
        metrics.written_seq.set(marks.written);
        metrics.durable_seq.set(marks.durable);
        metrics.records.set(total.records);
        metrics.bytes.set(total.bytes);
        metrics.segments.set(total.segments);
        metrics.rotations.set(total.rotations);
        metrics.syncs.set(total.syncs);
        metrics.overrun.set(self.overrun);
        metrics.write_errors.set(total.write_errors);
        metrics.look_errors.set(total.look_errors);
        metrics.acked_loss.set(total.acked_loss);
        metrics.holes.set(total.holes);
        metrics.hole_records.set(total.hole_records);
        metrics.reopens.set(total.reopens);
        metrics.unsynced_bytes.set(writer.unsynced_bytes());
        self.health.wrote(marks.written, marks.durable);
        let state = self.health.state(writer.condition(), now_ns);
        self.thread.status.set(state, marks.durable);
    }

    /// Whether it is time to close: the log can be written and has everything before `end`, or may
    /// get no further. An error when not all of it was taken.
    fn is_done(&mut self, end: u64, now_ns: u64) -> Result<bool, Failure> {
        let has_all = self.thread.writer.next_seq() >= end;
        let is_fine = self.thread.writer.condition() == tickdeck_journal::Condition::Healthy;
        if has_all && is_fine {
            return Ok(true);
        }
        let ended_ns = *self.ended_ns.get_or_insert(now_ns);
        let patience_ns = if is_fine {
            STOP_LIMIT_NS
        } else {
            STOP_PATIENCE_NS
        };
        let is_late = self.thread.drain.has_passed(now_ns);
        if now_ns < ended_ns + patience_ns && !is_late {
            return Ok(false);
        }
        if has_all {
            // The close tries once more, and tells what is not safe.
            return Ok(true);
        }
        let durable_seq = self.thread.writer.watermarks().durable;
        let cause = match is_late {
            true => "it could not be written within the drain's deadline",
            false => "it could not be written in time",
        };
        Err(undrained(&self.thread.config.dir, end, durable_seq, cause))
    }

    fn close(self, end: u64) -> Result<(), Failure> {
        let JournalThread {
            writer,
            metrics,
            config,
            ..
        } = self.thread;
        let last_seq = writer.next_seq() - 1;
        writer.close().map_err(|error| {
            // Other errors come behind the sync of everything.
            let durable_seq = match &error {
                JournalError::Stalled { durable_seq, .. }
                | JournalError::Poisoned { durable_seq, .. } => *durable_seq,
                _ => last_seq,
            };
            undrained(&config.dir, end, durable_seq, &chain(&error))
        })?;
        metrics.written_seq.set(last_seq);
        metrics.durable_seq.set(last_seq);
        Ok(())
    }
}

/// A stop that has left records behind, or no good end; `end` is the sequence behind the last one.
pub(super) fn undrained(dir: &Path, end: u64, durable_seq: u64, cause: &str) -> Failure {
    let count = end.saturating_sub(durable_seq + 1);
    Failure::failed(format!(
        "journal {}: undrained={count}: {cause}; the records behind sequence {durable_seq} are in \
         the ring, which the next start reads",
        dir.display()
    ))
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

#[cfg(test)]
mod tests {
    mod channels;

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

    /// A journal thread on a ring of so many slots, into which so many records were published.
    fn thread(
        dir: &Path,
        slot_count: u32,
        records: u64,
    ) -> (JournalThread, tickdeck_stats::reader::Reader) {
        let config = WriterConfig::new(dir.join("journal"), 1 << 20, SyncPolicy::batch(1), 1);
        thread_with(config, dir, slot_count, records)
    }

    fn thread_with(
        config: WriterConfig,
        dir: &Path,
        slot_count: u32,
        records: u64,
    ) -> (JournalThread, tickdeck_stats::reader::Reader) {
        let channels = (0..records).map(|_| 0);
        thread_of(config, dir, slot_count, channels)
    }

    /// With a record of each of these channels.
    fn thread_of(
        config: WriterConfig,
        dir: &Path,
        slot_count: u32,
        channels: impl Iterator<Item = u16>,
    ) -> (JournalThread, tickdeck_stats::reader::Reader) {
        let (writer, _) = Writer::open(config.clone()).expect("journal");
        let ring = RingConfig {
            slot_count,
            slot_bytes: 64,
            start_seq: 1,
            log_id: writer.log_id(),
            incarnation: [1; 16],
        };
        let path = dir.join("ring");
        let mut ring = tickdeck_ring::Writer::create(&path, &ring).expect("ring");
        for channel in channels {
            let header = RecordHeader {
                kind: 1,
                channel,
                ..RecordHeader::default()
            };
            ring.publish(&header, b"x").expect("room");
        }
        let (metrics, stats) = metrics(dir);
        let thread = JournalThread {
            ring: Reader::open(&path).expect("ring"),
            status: JournalStatus::of(&writer),
            writer,
            config,
            orders: RingBuffer::new(1).1,
            metrics,
            end: Arc::new(AtomicU64::new(ring.next_seq())),
            drain: DrainDeadline::new(),
        };
        (thread, stats)
    }

    /// The ring has overtaken the journal: what is gone becomes a hole with exact bounds and a
    /// counter, what is there is copied, and both keep the same numbers.
    #[test]
    fn overrun_is_a_hole() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (thread, stats) = thread(directory.path(), 16, 100);
        let dir = thread.config.dir.clone();
        thread.run().expect("everything is journalled");
        let value = |name| stats.value(name, "").expect("a metric");
        let overrun = value("journal_overrun_total");
        assert!((84..100).contains(&overrun), "{overrun}");
        assert_eq!(value("journal_durable_seq"), 100);
        assert_eq!(value("journal_write_errors_total"), 0);
        let mut log = tickdeck_journal::Reader::open(&dir).expect("a journal");
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

    /// A stop while the disk fails, everything being in memory: the log gets its time to come back.
    #[test]
    fn a_stop_waits_for_a_disk_that_fails() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (dir, away) = (
            directory.path().join("journal"),
            directory.path().join("away"),
        );
        let config = WriterConfig::new(&dir, 16 * 1024, SyncPolicy::batch(1), 1);
        let (thread, stats) = thread_with(config, directory.path(), 4096, 3000);
        // A segment holds a part of the records, and the next one cannot be begun.
        std::fs::rename(&dir, &away).expect("goes");
        std::fs::write(&dir, "").expect("is in the way");
        let running = std::thread::spawn(move || thread.run());
        let value = |name| stats.value(name, "").expect("a metric");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while value("journal_appended_seq") < 3000 || value("journal_write_errors_total") == 0 {
            assert!(!running.is_finished(), "{:?}", running.join());
            assert!(std::time::Instant::now() < deadline, "it takes everything");
            std::thread::yield_now();
        }
        std::fs::remove_file(&dir).expect("goes");
        std::fs::rename(&away, &dir).expect("comes back");
        running.join().expect("ends").expect("everything is safe");
        let state = tickdeck_journal::checkpoint(&dir).expect("reads");
        let state = state.expect("a checkpoint");
        assert_eq!((state.clean, state.durable_seq), (true, 3000));
    }

    /// W26: a log that is slow has ten seconds for the rest of the ring, or as long as the order of the
    /// drain allows; a longer deadline changes nothing. What is left is counted.
    #[test]
    fn a_drain_is_over_at_its_deadline() {
        const MS: u64 = 1_000_000;
        for (deadline_ms, ends_ms, cause) in [
            (None, 10_000, "it could not be written in time"),
            (
                Some(250),
                250,
                "it could not be written within the drain's deadline",
            ),
            (
                Some(0),
                0,
                "it could not be written within the drain's deadline",
            ),
            // Counted from the order, which comes a moment before the end of the ring.
            (
                Some(9_999),
                9_999,
                "it could not be written within the drain's deadline",
            ),
            (Some(60_000), 10_000, "it could not be written in time"),
        ] {
            let directory = tempfile::tempdir().expect("temporary directory");
            let (thread, _stats) = thread(directory.path(), 16, 12);
            let (drain, ordered_ns) = (thread.drain.clone(), 5_000 * MS);
            drain.order(deadline_ms, ordered_ns);
            let mut copier = Copier::new(thread);
            // Three of twelve.
            for _ in 0..3 {
                assert!(copier.copy_one().expect("appends"));
            }
            copier.thread.writer.sync().expect("syncs");
            let mut at = |after_ns: u64| copier.is_done(13, ordered_ns + after_ns);
            if ends_ms > 0 {
                assert!(!at(0).expect("goes on"));
                assert!(!at(ends_ms * MS - 1).expect("goes on"));
            }
            let failure = at(ends_ms * MS).expect_err("nine are left");
            let told = format!("undrained=9: {cause}");
            assert!(
                failure.message.contains(&told),
                "{told}: {}",
                failure.message
            );
        }
    }

    /// W25: a receive thread that died has told no end. The journal thread takes what there is, seals
    /// it and ends; it does not wait for somebody who is gone.
    #[test]
    fn an_end_that_nobody_tells_is_an_end() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (thread, stats) = thread(directory.path(), 4096, 3000);
        // What a stop makes of a panic.
        thread.end.store(0, Ordering::Release);
        let dir = thread.config.dir.clone();
        let (told, outcome) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || told.send(thread.run()));
        let outcome = outcome.recv_timeout(Duration::from_secs(1));
        outcome.expect("within a second").expect("a good end");
        running.join().expect("ends").expect("was heard");
        let state = tickdeck_journal::checkpoint(&dir).expect("reads");
        let state = state.expect("a checkpoint");
        assert!(state.clean, "sealed");
        let journalled = stats.value("journal_records_total", "").expect("a metric");
        assert!(journalled > 0, "one pass at least");
        assert_eq!(state.durable_seq, journalled);
    }
}
