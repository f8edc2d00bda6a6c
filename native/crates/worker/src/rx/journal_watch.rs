//! Watches the journal thread from outside: a thread that is stuck in a system call cannot say so.
//!
//! The journal thread leaves its state and, by the writer, the time since when it is at the device.
//! The main thread looks at both with each heartbeat and alone writes the metric `journal_state`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tickdeck_journal::Writer;
use tickdeck_stats::Gauge;

use super::drain::DrainDeadline;
use super::journal_state::State;

/// An operation on the device that takes longer hangs. With the heartbeat this is seen in two
/// seconds.
const HUNG_NS: u64 = 1_000_000_000;

/// An operation that a stop does not wait for any longer.
const STUCK_NS: u64 = 5_000_000_000;

/// What the journal thread leaves.
#[derive(Debug)]
pub(super) struct JournalStatus {
    state: AtomicU64,
    durable_seq: AtomicU64,
    /// Since when the writer is at the device, monotonic; 0 while it is not.
    busy_since_ns: Arc<AtomicU64>,
}

impl JournalStatus {
    /// Of a thread that has not begun to use its writer.
    pub(super) fn of(writer: &Writer) -> Arc<Self> {
        Self::new(writer.busy_since_ns(), writer.watermarks().durable)
    }

    fn new(busy_since_ns: Arc<AtomicU64>, durable_seq: u64) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU64::new(State::Ok as u64),
            durable_seq: AtomicU64::new(durable_seq),
            busy_since_ns,
        })
    }

    pub(super) fn set(&self, state: State, durable_seq: u64) {
        self.durable_seq.store(durable_seq, Ordering::Release);
        self.state.store(state as u64, Ordering::Release);
    }

    pub(super) fn code(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    /// The code to show now.
    fn shown(&self, now_ns: u64) -> u64 {
        let since_ns = self.busy_since_ns.load(Ordering::Acquire);
        if since_ns > 0 && now_ns.saturating_sub(since_ns) > HUNG_NS {
            return State::Hung as u64;
        }
        self.code()
    }
}

/// The main thread's end.
pub(super) struct JournalWatch {
    pub(super) status: Arc<JournalStatus>,
    pub(super) gauge: Gauge,
}

impl JournalWatch {
    /// Shows the state; says once when the device hangs and when it does no more.
    pub(super) fn tick(&self, now_ns: u64) {
        let (before, now) = (self.gauge.get(), self.status.shown(now_ns));
        let hung = State::Hung as u64;
        if now == hung && before != hung {
            tracing::error!("the journal's device hangs; receiving goes on");
        } else if now != hung && before == hung {
            tracing::warn!("the journal's device answers again");
        }
        self.gauge.set(now);
    }

    /// When a stop has to go on without the journal thread, for which it waits since `since_ns`: the
    /// last sequence that is safe, and why.
    pub(super) fn given_up(
        &self,
        since_ns: u64,
        now_ns: u64,
        drain: &DrainDeadline,
    ) -> Option<(u64, &'static str)> {
        let busy_ns = self.status.busy_since_ns.load(Ordering::Acquire);
        if busy_ns == 0 {
            // It looks at the time by itself.
            return None;
        }
        let cause = if now_ns.saturating_sub(busy_ns.max(since_ns)) > STUCK_NS {
            "its device does not answer"
        } else if drain.has_passed(now_ns) {
            "its device has not answered within the drain's deadline"
        } else {
            return None;
        };
        Some((self.status.durable_seq.load(Ordering::Acquire), cause))
    }

    /// The journal thread has ended before its time.
    pub(super) fn failed(&self) {
        self.gauge.set(State::Failed as u64);
    }
}

#[cfg(test)]
mod tests {
    use tickdeck_stats::{Builder, Identity};

    use super::*;

    /// An operation that does not come back is seen, whatever the thread said last, and is over when
    /// it comes back.
    #[test]
    fn a_hanging_device_is_seen() {
        let busy = Arc::new(AtomicU64::new(0));
        let status = JournalStatus::new(Arc::clone(&busy), 0);
        status.set(State::Slow, 7);
        assert_eq!(status.shown(u64::MAX), State::Slow as u64);
        busy.store(5_000_000_000, Ordering::Release);
        assert_eq!(status.shown(6_000_000_000), State::Slow as u64);
        assert_eq!(status.shown(6_000_000_001), State::Hung as u64);
        assert_eq!(status.shown(4_000_000_000), State::Slow as u64);
        busy.store(0, Ordering::Release);
        status.set(State::Ok, 7);
        assert_eq!(status.shown(u64::MAX), State::Ok as u64);
    }

    /// A stop waits for an operation as long as it may take, or as the drain's order allows.
    #[test]
    fn a_stop_goes_on_without_a_hanging_device() {
        let busy = Arc::new(AtomicU64::new(0));
        let mut builder = Builder::new(Identity {
            worker_id: "TEST-rx".to_owned(),
            resource: "TEST".to_owned(),
            build_id: "0".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        let watch = JournalWatch {
            status: JournalStatus::new(Arc::clone(&busy), 7),
            gauge: builder.state("journal_state", "state", ""),
        };
        let (drain, second) = (DrainDeadline::new(), 1_000_000_000);
        let given_up = |now_ns| watch.given_up(second, now_ns, &drain);
        assert_eq!(given_up(100 * second), None, "it is not at the device");
        busy.store(2 * second, Ordering::Release);
        assert_eq!(given_up(7 * second), None);
        let stuck = Some((7, "its device does not answer"));
        assert_eq!(given_up(7 * second + 1), stuck);
        drain.order(Some(3_000), second);
        let late = Some((7, "its device has not answered within the drain's deadline"));
        assert_eq!(given_up(4 * second - 1), None);
        assert_eq!(given_up(4 * second), late);
        assert_eq!(given_up(7 * second + 1), stuck, "what is known is told");
        busy.store(0, Ordering::Release);
        assert_eq!(
            given_up(100 * second),
            None,
            "the thread itself sees the deadline"
        );
        drain.order(Some(15_000), second);
        busy.store(15 * second, Ordering::Release);
        assert_eq!(
            given_up(16 * second + 1),
            None,
            "nor is a device given up that has only just been asked"
        );
        busy.store(second, Ordering::Release);
        assert_eq!(
            given_up(6 * second + 1),
            stuck,
            "a longer deadline changes nothing"
        );
    }

    /// A thread that hangs in its first pass has what was safe before it.
    #[test]
    fn what_was_safe_before_the_first_pass_counts() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let sync = tickdeck_journal::SyncPolicy::Os;
        let config = tickdeck_journal::WriterConfig::new(directory.path(), 16 * 1024, sync, 1);
        let mut writer = Writer::open(config.clone()).expect("opens").0;
        writer.append_hole(1, 41, 1).expect("appends");
        writer.close().expect("closes");
        let writer = Writer::open(config).expect("opens").0;
        let status = JournalStatus::of(&writer);
        assert_eq!(status.durable_seq.load(Ordering::Acquire), 41);
    }
}
