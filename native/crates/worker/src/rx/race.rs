//! Which line is first and by how much, what each loses, and whether their bytes agree.

use std::cell::Cell;

use tickdeck_arbiter::{Arbiter, Conflict};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_stats::{Builder, Counter, Gauge, Histogram};

use super::gap_rows::utc_of;
use crate::spec::LineName;

/// Least time between two conflicts in the log.
const LOG_INTERVAL_NS: u64 = 1_000_000_000;
const LINES: [LineName; 2] = [LineName::A, LineName::B];

/// What the merge tells of each packet.
pub(super) struct Race {
    /// By the line that was first.
    lead_ns: [Histogram; 2],
    logged_ns: Option<u64>,
}

/// What the merge has counted of the lines, shown now and then.
pub(super) struct RaceMetrics {
    conflicts: Counter,
    uncompared: Counter,
    lost_on_all: Counter,
    reorder_window_ns: Gauge,
    loss_run_most: [Gauge; 2],
    /// UTC; 0: the other line is there.
    alone_since_ns: [Gauge; 2],
    /// The last monotonic time shown and its UTC: read anew, it would differ a little each time.
    since: Cell<(u64, u64)>,
}

impl Race {
    pub(super) fn new(builder: &mut Builder) -> Self {
        Self {
            lead_ns: LINES.map(|line| {
                builder.histogram("line_lead_ns", "ns", &format!("line={}", line.label()))
            }),
            logged_ns: None,
        }
    }

    /// The copy of another line came `lead_ns` behind this line's.
    #[inline]
    pub(super) fn lead(&mut self, first_line: u8, lead_ns: u64) {
        if let Some(histogram) = self.lead_ns.get(usize::from(first_line)) {
            histogram.record(lead_ns);
        }
    }

    /// Two lines do not agree; the bytes that came first stand.
    #[cold]
    pub(super) fn conflict(&mut self, conflict: Conflict) {
        let now_ns = monotonic_ns();
        let is_due = |at_ns| now_ns.saturating_sub(at_ns) >= LOG_INTERVAL_NS;
        if self.logged_ns.is_none_or(is_due) {
            self.logged_ns = Some(now_ns);
            let Conflict {
                source,
                first_sequence,
                count,
            } = conflict;
            tracing::error!(
                ?source,
                first_sequence,
                count,
                "a copy has other bytes than what was accepted; further ones of this second are \
                 only counted"
            );
        }
    }
}

impl RaceMetrics {
    pub(super) fn new(builder: &mut Builder) -> Self {
        let of_lines = |builder: &mut Builder, name: &str, unit: &str| {
            LINES.map(|line| builder.gauge(name, unit, &format!("line={}", line.label())))
        };
        Self {
            conflicts: builder.counter("arbiter_conflicts_total", "messages", ""),
            uncompared: builder.counter("arbiter_uncompared_total", "messages", ""),
            lost_on_all: builder.counter("line_lost_on_all_total", "messages", ""),
            reorder_window_ns: builder.gauge("arbiter_reorder_window_ns", "ns", ""),
            loss_run_most: of_lines(builder, "line_loss_run_most", "messages"),
            alone_since_ns: of_lines(builder, "line_alone_since_ns", "ns"),
            since: Cell::new((0, 0)),
        }
    }

    /// Copies what the merge counted; `now_ns` is monotonic.
    pub(super) fn show(&self, arbiter: &Arbiter, now_ns: u64) {
        let counters = arbiter.counters();
        self.conflicts.set(counters.conflicts);
        self.uncompared.set(counters.duplicates_uncompared);
        self.lost_on_all.set(counters.lost_on_all());
        self.reorder_window_ns.set(counters.reorder_window_ns);
        let alone = arbiter.alone(now_ns);
        for line in 0..LINES.len() {
            self.loss_run_most[line].set(arbiter.loss_run_most(line));
            let since_ns = alone
                .as_ref()
                .filter(|alone| usize::from(alone.line) == line)
                .map_or(0, |alone| self.utc_of(alone.since_ns));
            self.alone_since_ns[line].set(since_ns);
        }
    }

    fn utc_of(&self, since_ns: u64) -> u64 {
        if self.since.get().0 != since_ns {
            self.since.set((since_ns, utc_of(since_ns)));
        }
        self.since.get().1
    }
}
