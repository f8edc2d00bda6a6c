//! The retention thread: the journal's oldest segments go when it may be shorter, at low priority.
//!
//! It looks once a second, and a little less often when a look takes long. A look reads and removes
//! a few segments at most; while more is to go the next one follows at once. What the next incarnation needs to
//! resume is never pruned: when the newest SESSION record is in the way, the receive thread is asked
//! to put another one at the head of the stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_journal::unacknowledged_problems;
use tickdeck_journal::{Held, JournalError, Limits, Pruned, prune_some, read_pins};

use super::metrics::RetentionMetrics;
use crate::exit::chain;
use crate::spec::{Exchange, Journal};

/// Niceness: everything else of this process goes first.
const NICE: i32 = 10;
/// Shortest time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look takes at most this part of the time, as long as [`LONGEST_REST`] allows it.
const REST_PER_LOOK: u32 = 50;
/// Longest time between two looks.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Most segments that one look reads and removes.
const SEGMENTS_PER_LOOK: usize = 4;
/// How soon a stop is seen.
const NAP: Duration = Duration::from_millis(20);

pub(super) struct RetentionThread {
    pub(super) dir: PathBuf,
    pub(super) limits: Limits,
    /// Set when a SESSION record is wanted at the head of the stream.
    pub(super) session_wanted: Arc<AtomicBool>,
    pub(super) metrics: RetentionMetrics,
    /// Why the recovery report could not be read, as it was told.
    pub(super) unreadable: Option<String>,
}

/// What the exchange file asks to be kept.
pub(super) fn limits(exchange: &Exchange) -> Limits {
    let Journal {
        retain_max_bytes,
        retain_max_age_s,
        ..
    } = exchange.journal;
    Limits {
        max_bytes: retain_max_bytes,
        max_age_s: retain_max_age_s,
        needs_book_pin: exchange.book.enabled,
    }
}

impl RetentionThread {
    /// Runs until the stop.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%error, "the retention thread runs at the priority of the others");
        }
        let mut failed = None;
        loop {
            let begun = Instant::now();
            let looked = self.look();
            let rest = rest(begun.elapsed(), matches!(looked, Ok(true)));
            let failure = looked.err().map(|error| chain(&error));
            // A cause that stays is told once.
            if let Some(error) = failure.as_ref().filter(|_| failure != failed) {
                tracing::error!(error, "nothing is pruned from the journal");
            }
            self.metrics.failed.set(u64::from(failure.is_some()));
            failed = failure;
            let resting = Instant::now();
            loop {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                if resting.elapsed() >= rest {
                    break;
                }
                thread::sleep(NAP);
            }
        }
    }

    /// One look; prunes when something may go, and says whether more may.
    fn look(&mut self) -> Result<bool, JournalError> {
        let problems = self.recovery_problems();
        let metrics = &self.metrics;
        metrics.recovery_problems.set(problems);
        let lost = read_pins(&self.dir)?.iter().filter(|pin| pin.lost).count();
        metrics.pins_lost.set(lost as u64);
        let pruned = prune_some(&self.dir, &self.limits, SEGMENTS_PER_LOOK)?;
        metrics.oldest_seq.set(pruned.first_seq);
        metrics.pruned.set(pruned.total_pruned);
        metrics.quarantined.set(pruned.total_quarantined);
        self.session_wanted
            .store(pruned.held == Some(Held::Resume), Ordering::Relaxed);
        tell(&pruned);
        Ok(pruned.more)
    }

    /// One when the report cannot be read, which keeps nothing from being pruned and is told once.
    fn recovery_problems(&mut self) -> u64 {
        let (problems, unreadable) = match unacknowledged_problems(&self.dir) {
            Ok(problems) => (problems, None),
            Err(error) => (1, Some(chain(&error))),
        };
        if let Some(error) = unreadable
            .as_ref()
            .filter(|_| unreadable != self.unreadable)
        {
            tracing::error!(error, "the journal's next start will set the report aside");
        }
        self.unreadable = unreadable;
        problems
    }
}

/// How long to wait behind a look. A log beyond its limits is not let grow.
fn rest(look: Duration, more: bool) -> Duration {
    match more {
        true => Duration::ZERO,
        false => (look * REST_PER_LOOK).clamp(INTERVAL, LONGEST_REST),
    }
}

fn tell(pruned: &Pruned) {
    for client in &pruned.lost {
        tracing::error!(
            client,
            first_seq = pruned.first_seq,
            "a reader is beyond what it may hold: its journal records are pruned, its pin is lost"
        );
    }
    for file in &pruned.quarantined {
        tracing::error!(
            file,
            "a segment did not verify; it is in quarantine, not deleted"
        );
    }
    if !pruned.deleted.is_empty() {
        tracing::info!(
            segments = pruned.deleted.len(),
            bytes = pruned.bytes,
            first_seq = pruned.first_seq,
            "journal pruned"
        );
    }
}

#[cfg(test)]
mod tests {
    use tickdeck_journal::{
        BOOK_PIN, Pin, Record, SyncPolicy, Writer, WriterConfig, kind, write_pin,
    };
    use tickdeck_stats::{Builder, Identity};

    use super::*;

    fn append(writer: &mut Writer, kind: u8) {
        let record = Record {
            kind,
            stamp: 1,
            line: 0,
            channel: 1,
            venue_seq: 1,
            rx_ns: 1,
            payload: b"x",
        };
        writer.append(&record).expect("appended");
    }

    /// A retention thread that prunes all it may, and the reader of its metrics.
    fn retention(
        runtime: &std::path::Path,
        dir: PathBuf,
        needs_book_pin: bool,
    ) -> (tickdeck_stats::reader::Reader, RetentionThread) {
        let mut builder = Builder::new(Identity {
            worker_id: "TEST-rx".to_owned(),
            resource: "TEST".to_owned(),
            build_id: "0".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        let metrics = RetentionMetrics::new(&mut builder);
        let file = builder.create(runtime).expect("stats file");
        let stats = tickdeck_stats::reader::Reader::open(file.path()).expect("readable");
        let thread = RetentionThread {
            dir,
            limits: Limits {
                max_bytes: 1,
                max_age_s: 0,
                needs_book_pin,
            },
            session_wanted: Arc::new(AtomicBool::new(false)),
            metrics,
            unreadable: None,
        };
        (stats, thread)
    }

    /// Nothing goes before the books' pin; then all but what a resume needs; the session record is
    /// asked for, and when it has come the rest goes. Metrics tell each step.
    #[test]
    fn prunes_up_to_what_is_needed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let dir = directory.path().join("journal");
        let config = WriterConfig::new(&dir, 16 * 1024, SyncPolicy::Os, 1);
        let mut writer = Writer::open(config).expect("journal").0;
        for segment in 0..4 {
            let first = if segment == 1 {
                kind::SESSION
            } else {
                kind::DATA
            };
            append(&mut writer, first);
            (0..9).for_each(|_| append(&mut writer, kind::DATA));
            writer.seal().expect("sealed");
        }
        let (stats, mut thread) = retention(directory.path(), dir.clone(), true);
        let session_wanted = Arc::clone(&thread.session_wanted);
        let value = |name| stats.value(name, "").expect("a metric");
        thread.look().expect("looks");
        assert_eq!(
            (
                value("journal_oldest_seq"),
                value("journal_pruned_segments_total")
            ),
            (1, 0)
        );
        let mut pin = Pin {
            client: BOOK_PIN.into(),
            acked_seq: 1000,
            retain_max_bytes: 0,
            retain_max_age_s: 0,
            acked_ns: 0,
            lost: false,
        };
        write_pin(&dir, &pin).expect("written");
        thread.look().expect("looks");
        assert_eq!(
            (
                value("journal_oldest_seq"),
                value("journal_pruned_segments_total")
            ),
            (11, 1)
        );
        assert!(session_wanted.load(Ordering::Relaxed));
        append(&mut writer, kind::SESSION);
        append(&mut writer, kind::DATA);
        writer.flush().expect("written");
        thread.look().expect("looks");
        assert_eq!(
            (
                value("journal_oldest_seq"),
                value("journal_pruned_segments_total")
            ),
            (41, 4)
        );
        assert!(!session_wanted.load(Ordering::Relaxed));
        (pin.client, pin.lost) = ("west".into(), true);
        write_pin(&dir, &pin).expect("written");
        thread.look().expect("looks");
        assert_eq!(
            (
                value("journal_pins_lost"),
                value("journal_recovery_problems")
            ),
            (1, 0)
        );
        // A report that nobody has seen is counted.
        std::fs::write(dir.join("recovery-report.json"), br#"{"problems":[{},{}]}"#)
            .expect("written");
        thread.look().expect("looks");
        assert_eq!(value("journal_recovery_problems"), 2);
    }

    /// A look takes four segments and then tells; the next one follows at once until nothing more may
    /// go, and the longest rest has a bound.
    #[test]
    fn a_backlog_is_worked_off_without_rest() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let dir = directory.path().join("journal");
        let config = WriterConfig::new(&dir, 16 * 1024, SyncPolicy::Os, 1);
        let mut writer = Writer::open(config).expect("journal").0;
        for _ in 0..9 {
            append(&mut writer, kind::DATA);
            writer.seal().expect("sealed");
        }
        // A report that cannot be read is a problem, and keeps nothing.
        std::fs::create_dir(dir.join("recovery-report.json")).expect("created");
        append(&mut writer, kind::SESSION);
        append(&mut writer, kind::DATA);
        writer.flush().expect("written");
        let (stats, mut thread) = retention(directory.path(), dir, false);
        let mut looks = Vec::new();
        for _ in 0..3 {
            let more = thread.look().expect("looks");
            let pruned = stats.value("journal_pruned_segments_total", "");
            looks.push((pruned.expect("a metric"), more));
        }
        assert_eq!(looks, [(4, true), (8, true), (9, false)]);
        let problems = stats.value("journal_recovery_problems", "");
        assert_eq!(problems.expect("a metric"), 1);
        assert_eq!(rest(Duration::from_secs(60), true), Duration::ZERO);
        assert_eq!(rest(Duration::ZERO, false), INTERVAL);
        assert_eq!(rest(Duration::from_millis(40), false), 2 * INTERVAL);
        assert_eq!(rest(Duration::from_secs(60), false), LONGEST_REST);
    }
}
