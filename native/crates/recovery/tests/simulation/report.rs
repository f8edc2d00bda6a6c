//! What happened in a run, and whether everything that can happen did.

use std::collections::BTreeMap;

use tickdeck_arbiter::LossReason;
use tickdeck_recovery::{Fault, RangeSource};

use crate::world::World;

/// Counts of a run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    pub(crate) bad_answers: u64,
    pub(crate) injections_dropped: u64,
    pub(crate) slo_violations: u64,
    pub(crate) forged_jumps: u64,
    pub(crate) forged_ends: u64,
    /// Copies with other bytes.
    pub(crate) forged_messages: u64,
    /// Times that the output was stopped for a snapshot.
    pub(crate) stops: u64,
    pub(crate) clock_steps: u64,
    pub(crate) orders: u64,
    pub(crate) snapshots_taken: u64,
    /// The longest that a filled gap was open.
    pub(crate) slowest_ns: u64,
    /// The counters of the merge and the recovery, by name.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Report {
    /// The report of a world that has come to its end.
    pub(crate) fn of(world: World) -> Self {
        let merge = world.arbiter.counters();
        let recovery = world.engine.counters();
        let ledger = &world.checked.ledger;
        let mut counts = BTreeMap::new();
        for (name, count) in [
            ("delivered", merge.delivered),
            ("lost", merge.messages_lost),
            ("duplicates", merge.duplicates),
            ("conflicts", merge.conflicts),
            ("duplicates_uncompared", merge.duplicates_uncompared),
            ("stale", merge.stale),
            ("hold_dropped", merge.hold_dropped),
            ("retransmitted", merge.retransmitted),
            ("wrong_session", merge.wrong_session),
            ("session_changes", merge.session_changes),
            ("gaps_filled", ledger.filled),
            ("gaps_unrecovered", ledger.unrecovered),
            ("in gaps by lines", ledger.brought[0]),
            ("in gaps by request", ledger.brought[1]),
            ("in gaps by stream", ledger.brought[2]),
            ("in gaps by peer", ledger.brought[3]),
            ("requests", recovery.requests),
            ("retries", recovery.retries),
            ("failures", recovery.failures),
            ("joined", recovery.joined),
            ("escalations", recovery.escalations),
            ("storms", recovery.storms),
            ("snapshots", recovery.snapshots),
            ("snapshot_failures", recovery.snapshot_failures),
            ("answers_wrong_session", recovery.wrong_session_packets),
            ("answers_not_asked", recovery.not_asked_packets),
            ("answers_stale", recovery.stale_packets),
        ] {
            counts.insert(name.to_owned(), count);
        }
        for source in RangeSource::ALL {
            let abandoned = world.engine.source_counters(source);
            let abandoned = abandoned.map_or(0, |counters| counters.abandoned);
            counts.insert(format!("abandoned {}", source.name()), abandoned);
        }
        for fault in &Fault::ALL[1..] {
            counts.insert(format!("seen {}", fault.name()), recovery.lies_of(*fault));
        }
        for (fault, rows) in Fault::ALL.iter().zip(ledger.faults) {
            counts.insert(format!("rows with {}", fault.name()), rows);
        }
        for reason in LossReason::ALL {
            if reason != LossReason::HoldOverflow {
                let lost = world.checked.lost_by[reason as usize];
                counts.insert(format!("lost for {}", reason.name()), lost);
            }
        }
        Self {
            counts,
            ..world.report
        }
    }

    /// A counter of the merge or the recovery.
    pub(crate) fn count(&self, name: &str) -> u64 {
        *self
            .counts
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not counted"))
    }

    fn fields(&mut self) -> [(&'static str, &mut u64); 11] {
        [
            ("steps", &mut self.steps),
            ("bad_answers", &mut self.bad_answers),
            ("injections_dropped", &mut self.injections_dropped),
            ("slo_violations", &mut self.slo_violations),
            ("forged_jumps", &mut self.forged_jumps),
            ("forged_ends", &mut self.forged_ends),
            ("forged_messages", &mut self.forged_messages),
            ("stops", &mut self.stops),
            ("clock_steps", &mut self.clock_steps),
            ("orders", &mut self.orders),
            ("snapshots_taken", &mut self.snapshots_taken),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for ((_, sum), (_, value)) in self.fields().into_iter().zip(other.fields()) {
            *sum += *value;
        }
        self.slowest_ns = self.slowest_ns.max(other.slowest_ns);
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }

    pub(crate) fn assert_everything_occurred(mut self) {
        let counts = std::mem::take(&mut self.counts);
        let counts = counts.iter().map(|(name, count)| (name.as_str(), *count));
        let fields = self.fields().map(|(name, count)| (name, *count));
        for (name, count) in counts.chain(fields) {
            assert!(
                count > 0,
                "{name} never occurred: the simulation has become too tame"
            );
        }
    }
}
