//! Which gaps get a cut of their own, and when.
//!
//! A cut waits until what follows the gap is in the ring. Gaps within a second of one that gets a
//! cut get none: they are in its file or in the log, and a storm of gaps must not fill the disk.

use std::collections::VecDeque;

use crate::spec;

const NS_PER_MS: u64 = 1_000_000;
/// Least time between two gaps that get a cut.
const INTERVAL_NS: u64 = 1_000_000_000;
/// How long a packet may take from its receive time into the ring.
const SETTLE_NS: u64 = 20 * NS_PER_MS;

/// A gap that both lines missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GapNotice {
    pub(super) id: u64,
    /// First and last message missing.
    pub(super) first: u64,
    pub(super) last: u64,
    /// When the gap was seen, monotonic ns.
    pub(super) opened_ns: u64,
    /// The same, UTC ns.
    pub(super) seen_ns: u64,
}

/// A span of receive times, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
}

impl Span {
    pub(super) fn contains(self, rx_ns: u64) -> bool {
        (self.from_ns..=self.to_ns).contains(&rx_ns)
    }
}

pub(super) struct Plan {
    cut_on_gap: bool,
    before_ns: u64,
    after_ns: u64,
    /// Gaps whose cut is to come, the oldest first; at most one for each second of `after_ns`.
    waiting: VecDeque<GapNotice>,
    /// When the last gap with a cut was seen, monotonic ns.
    last_ns: Option<u64>,
}

impl Plan {
    pub(super) fn new(settings: &spec::Capture) -> Self {
        Self {
            cut_on_gap: settings.cut_on_gap,
            before_ns: settings.before_ms.saturating_mul(NS_PER_MS),
            after_ns: settings.after_ms.saturating_mul(NS_PER_MS),
            waiting: VecDeque::new(),
            last_ns: None,
        }
    }

    /// Takes notice of a gap; false when it gets no cut although gaps get cuts.
    pub(super) fn note(&mut self, gap: GapNotice) -> bool {
        if !self.cut_on_gap {
            return true;
        }
        let is_near = |last_ns: u64| gap.opened_ns.abs_diff(last_ns) < INTERVAL_NS;
        if self.last_ns.is_some_and(is_near) {
            return false;
        }
        self.last_ns = Some(gap.opened_ns);
        self.waiting.push_back(gap);
        true
    }

    /// The next gap to cut at `now_ns` (monotonic), or any that waits at the worker's end.
    pub(super) fn next_due(&mut self, now_ns: u64, is_end: bool) -> Option<(GapNotice, Span)> {
        let gap = *self.waiting.front()?;
        let wait_ns = self.after_ns.saturating_add(SETTLE_NS);
        let due_ns = gap.opened_ns.saturating_add(wait_ns);
        if !is_end && now_ns < due_ns {
            return None;
        }
        self.waiting.pop_front();
        let span = Span {
            from_ns: gap.seen_ns.saturating_sub(self.before_ns),
            to_ns: gap.seen_ns.saturating_add(self.after_ns),
        };
        Some((gap, span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cut_on_gap: bool) -> Plan {
        Plan {
            cut_on_gap,
            before_ns: 500 * NS_PER_MS,
            after_ns: 3_000 * NS_PER_MS,
            waiting: VecDeque::new(),
            last_ns: None,
        }
    }

    fn gap(id: u64, opened_ms: u64) -> GapNotice {
        let opened_ns = opened_ms * NS_PER_MS;
        GapNotice {
            id,
            first: 1,
            last: 2,
            opened_ns,
            seen_ns: opened_ns + 1_000_000 * NS_PER_MS,
        }
    }

    /// At most one gap of a second gets a cut; each is due when what follows it is there, in order.
    #[test]
    fn one_cut_in_a_second() {
        let mut plan = plan(true);
        let taken: Vec<bool> = [0, 999, 1_000, 1_500, 2_000]
            .iter()
            .map(|at_ms| plan.note(gap(*at_ms, *at_ms)))
            .collect();
        assert_eq!(taken, [true, false, true, false, true]);
        assert_eq!(plan.next_due(3_019 * NS_PER_MS, false), None);
        let (first, span) = plan.next_due(3_020 * NS_PER_MS, false).expect("is due");
        assert_eq!(first.id, 0);
        assert_eq!(span.from_ns, 999_500 * NS_PER_MS);
        assert_eq!(span.to_ns, 1_003_000 * NS_PER_MS);
        assert!(!span.contains(span.from_ns - 1) && span.contains(span.from_ns));
        assert!(span.contains(span.to_ns) && !span.contains(span.to_ns + 1));
        assert_eq!(plan.next_due(3_020 * NS_PER_MS, false), None);
        let rest: Vec<u64> = std::iter::from_fn(|| plan.next_due(0, true))
            .map(|(gap, _)| gap.id)
            .collect();
        assert_eq!(rest, [1_000, 2_000], "at the end all that wait are cut");
    }

    /// When gaps get no cuts, none is due and none counts as left out.
    #[test]
    fn cuts_on_demand_only() {
        let mut plan = plan(false);
        assert!(plan.note(gap(1, 0)) && plan.note(gap(2, 1)));
        assert_eq!(plan.next_due(u64::MAX, true), None);
    }
}
