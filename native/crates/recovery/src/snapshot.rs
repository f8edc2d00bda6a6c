//! When a snapshot is wanted, and what becomes of the gaps that waited for it.

use tickdeck_wire::moldudp64::Session;

use crate::LossReason;
use crate::action::{Action, SnapshotReason};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::gap::Stage;

/// Where the recovery by snapshots stands.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// For the next [`Action::Snapshot`].
    pub(crate) reason: SnapshotReason,
    /// In this storm snapshots have failed: its gaps are asked for after all.
    pub(crate) broken: bool,
    /// The session of the one under way.
    running: Option<Option<Session>>,
    /// An operator wants one even if no gap waits for it.
    ordered: bool,
    /// How many have failed in a row.
    failures: u32,
    /// When the next may be wanted.
    due_ns: u64,
}

impl Engine {
    /// Leaves a gap, or all of them, to a snapshot; returns how many. Without a gap's number a
    /// snapshot is made also when none is open. 0 and no snapshot when none is configured.
    pub fn snapshot_now(&mut self, id: Option<u64>, now_ns: u64) -> usize {
        if !self.config.snapshot {
            return 0;
        }
        let mut count = 0;
        for gap in &mut self.gaps {
            if id.is_none_or(|id| gap.id == id) {
                gap.stage = Stage::Snapshot;
                count += 1;
            }
        }
        if count > 0 || id.is_none() {
            self.snapshots.ordered |= id.is_none();
            self.snapshots.reason = SnapshotReason::Operator;
            self.snapshots.failures = 0;
            self.snapshots.due_ns = now_ns;
        }
        count
    }

    /// The gaps that are left to a snapshot.
    pub fn awaiting_snapshot(&self) -> impl Iterator<Item = u64> {
        let waiting = self.gaps.iter().filter(|gap| gap.stage == Stage::Snapshot);
        waiting.map(|gap| gap.id)
    }

    /// Whether a snapshot is under way.
    pub fn snapshot_runs(&self) -> bool {
        self.snapshots.running.is_some()
    }

    /// A snapshot is there that stands in for everything below `resume_sequence` of the session
    /// in which it was wanted. [`Action::GiveUp`] with [`LossReason::Snapshot`] follows for the
    /// gaps below; what is missing above waits for another.
    pub fn snapshot_done(&mut self, resume_sequence: u64, now_ns: u64) {
        let Some(of) = self.snapshots.running.take() else {
            return;
        };
        let mut healed = 0;
        let mut index = 0;
        while let Some(gap) = self.gaps.get_mut(index) {
            index += 1;
            if gap.stage != Stage::Snapshot || of.is_some_and(|session| session != gap.session) {
                continue;
            }
            if resume_sequence > 0 && gap.missing.remove(0, resume_sequence - 1) {
                healed += 1;
            }
            if gap.missing.is_empty() {
                index -= 1;
                self.give_up(index, LossReason::Snapshot);
            }
        }
        if healed > 0 || self.awaiting_snapshot().next().is_none() {
            self.snapshots.ordered = false;
            self.snapshots.failures = 0;
            self.snapshots.due_ns = now_ns;
        } else {
            self.fail_snapshot(Fault::Stale, now_ns);
        }
    }

    /// The snapshot that was wanted did not come. It is wanted again after a backoff; after the
    /// allowed number of failures its gaps go back to the sources that are not exhausted for
    /// them, or are given up.
    pub fn snapshot_failed(&mut self, fault: Fault, now_ns: u64) {
        if self.snapshots.running.take().is_some() {
            self.fail_snapshot(fault, now_ns);
        }
    }

    pub(crate) fn next_snapshot(&mut self, now_ns: u64) -> Option<Action> {
        if self.snapshot_deadline_ns()? > now_ns {
            return None;
        }
        let mut waiting = self.gaps.iter().filter(|gap| gap.stage == Stage::Snapshot);
        let (lowest, others) = (waiting.next(), waiting.count());
        self.snapshots.running = Some(lowest.map(|gap| gap.session));
        self.counters.snapshots += 1;
        Some(Action::Snapshot {
            reason: self.snapshots.reason,
            id: lowest.map_or(0, |gap| gap.id),
            gaps: lowest.map_or(0, |_| others + 1),
        })
    }

    /// When the next snapshot may be wanted; `None` when none is.
    pub(crate) fn snapshot_deadline_ns(&self) -> Option<u64> {
        let is_wanted = || self.snapshots.ordered || self.awaiting_snapshot().next().is_some();
        let may_run = self.config.snapshot && self.snapshots.running.is_none();
        (may_run && is_wanted()).then_some(self.snapshots.due_ns)
    }

    fn fail_snapshot(&mut self, fault: Fault, now_ns: u64) {
        self.counters.snapshot_failures += 1;
        self.counters.lies[fault as usize] += 1;
        for gap in &mut self.gaps {
            if gap.stage == Stage::Snapshot {
                gap.fault = fault;
            }
        }
        self.snapshots.failures = self.snapshots.failures.saturating_add(1);
        let wait_ns = self.config.backoff_ns(self.snapshots.failures);
        self.snapshots.due_ns = now_ns.saturating_add(wait_ns);
        if self.snapshots.failures >= self.config.snapshot_attempts.max(1) {
            self.snapshots.failures = 0;
            self.snapshots.ordered = false;
            self.snapshots.broken = self.storm;
            self.give_snapshots_up(now_ns);
        }
    }

    fn give_snapshots_up(&mut self, now_ns: u64) {
        let mut index = 0;
        while let Some(gap) = self.gaps.get(index) {
            if gap.stage != Stage::Snapshot {
                index += 1;
            } else if let Some(source) = self.next_source(gap.tried, now_ns) {
                self.gaps[index].turn_to(source, now_ns);
                index += 1;
            } else {
                self.give_up(index, LossReason::AttemptsExhausted);
            }
        }
    }
}
