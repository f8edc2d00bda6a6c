//! What each line brought of a session, number by number.

use std::collections::BTreeMap;

use tickdeck_wire::moldudp64::Session;

use super::arguments::LINES;
use super::continuity::Continuity;

/// A session of a channel after the merge.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Its name; that of an epoch when the protocol has no names.
    pub(super) session: Session,
    /// The lowest and the highest number of the capture, before any was dropped.
    pub(super) range: Option<(u64, u64)>,
    /// What each line did.
    pub(super) lines: [LineAccount; LINES],
    /// Numbers that were there when a copy came.
    pub(super) duplicates: u64,
    /// Copies with other bytes than what was taken.
    pub(super) conflicts: u64,
    /// Duplicates that could not be compared.
    pub(super) uncompared: u64,
    /// Numbers that did not fit behind a hole.
    pub(super) hold_dropped: u64,
    /// Ranges that no line brought, in order.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Arrival on B less arrival on A.
    pub(super) skew: Option<Skew>,
    /// Whether the instruments' numbers go on in the merged stream.
    pub(super) continuity: Option<Continuity>,
    /// Datagrams that were no packets of the session, by reason.
    pub(super) rejected: BTreeMap<&'static str, u64>,
}

/// What a line brought of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LineAccount {
    pub(super) packets: u64,
    /// Numbers of which its copy was the first.
    pub(super) first: u64,
    /// Numbers of the range that it did not bring.
    pub(super) lost: u64,
}

/// The distribution of a difference of times, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    pub(super) min: i64,
    pub(super) p1: i64,
    pub(super) p50: i64,
    pub(super) p99: i64,
    pub(super) max: i64,
}

/// Numbers and when each came first on a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    lines: [Vec<(u64, u64)>; LINES],
    /// The numbers of either line, each once and in order; after [`Ledger::sort`].
    all: Vec<u64>,
}

impl Ledger {
    /// Notes that the numbers `first..end` came on a line.
    pub(super) fn note(&mut self, line: u8, first: u64, end: u64, at_ns: u64) {
        let numbers = (first..end).map(|number| (number, at_ns));
        self.lines[usize::from(line)].extend(numbers);
    }

    /// Puts the numbers in order, each once, with its first arrival.
    pub(super) fn sort(&mut self) {
        for numbers in &mut self.lines {
            numbers.sort_unstable();
            numbers.dedup_by_key(|(number, _)| *number);
        }
        self.all = self.lines.iter().flatten().map(|(n, _)| *n).collect();
        self.all.sort_unstable();
        self.all.dedup();
    }

    /// Whether a line brings any number of `first..=last`.
    pub(super) fn has_any(&self, first: u64, last: u64) -> bool {
        let index = self.all.partition_point(|number| *number < first);
        self.all.get(index).is_some_and(|number| *number <= last)
    }

    /// How many numbers of the range a line did not bring.
    pub(super) fn lost(&self, line: usize, (first, last): (u64, u64)) -> u64 {
        let is_in = |(number, _): &&(u64, u64)| (first..=last).contains(number);
        let brought = self.lines[line].iter().filter(is_in).count() as u64;
        (last - first).saturating_add(1).saturating_sub(brought)
    }

    /// The parts of `first..=last` below and above everything that the lines brought.
    pub(super) fn edges(&self, (first, last): (u64, u64)) -> Vec<(u64, u64)> {
        let (Some(lowest), Some(highest)) = (self.all.first(), self.all.last()) else {
            return vec![(first, last)];
        };
        let below = (first, lowest.saturating_sub(1));
        let above = (highest.saturating_add(1), last);
        let edges = [below, above].into_iter();
        edges.filter(|(from, to)| from <= to).collect()
    }

    /// Arrival on B less arrival on A, over the numbers that came on both.
    pub(super) fn skew(&self) -> Option<Skew> {
        let [a, b] = &self.lines;
        let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
        let mut skews = Vec::new();
        while let (Some((number_a, at_a)), Some((number_b, at_b))) = (a.peek(), b.peek()) {
            if number_a == number_b {
                skews.push(at_b.wrapping_sub(*at_a) as i64);
            }
            let (next_a, next_b) = (number_a <= number_b, number_b <= number_a);
            a.next_if(|_| next_a);
            b.next_if(|_| next_b);
        }
        Skew::of(skews)
    }
}

impl Skew {
    /// The nearest-rank percentiles; `None` of nothing.
    fn of(mut skews: Vec<i64>) -> Option<Self> {
        skews.sort_unstable();
        let rank = |percent: usize| {
            let rank = (skews.len() * percent).div_ceil(100).max(1);
            skews.get(rank - 1).copied()
        };
        Some(Self {
            min: *skews.first()?,
            p1: rank(1)?,
            p50: rank(50)?,
            p99: rank(99)?,
            max: *skews.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percentiles are values that were measured: the smallest that is not below so many of them.
    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(Skew::of(Vec::new()), None);
        let skew = |values: &[i64]| {
            let skew = Skew::of(values.to_vec()).expect("values");
            [skew.min, skew.p1, skew.p50, skew.p99, skew.max]
        };
        assert_eq!(skew(&[-7]), [-7; 5]);
        assert_eq!(skew(&[4, 3, 2, 1]), [1, 1, 2, 4, 4]);
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(skew(&hundred), [1, 1, 50, 99, 100]);
        let two_hundred: Vec<i64> = (1..=200).collect();
        assert_eq!(skew(&two_hundred), [1, 2, 100, 198, 200]);
    }

    /// A number counts once per line, with its first arrival; edges are around all of them.
    #[test]
    fn numbers_are_counted_once() {
        let mut ledger = Ledger::default();
        ledger.note(0, 5, 8, 100);
        ledger.note(0, 6, 7, 90);
        ledger.note(1, 7, 8, 130);
        ledger.note(1, 10, 12, 140);
        ledger.sort();
        assert_eq!((ledger.lost(0, (5, 12)), ledger.lost(1, (5, 12))), (5, 5));
        assert_eq!(ledger.edges((4, 13)), [(4, 4), (12, 13)]);
        assert_eq!(ledger.edges((5, 11)), []);
        assert_eq!(Ledger::default().edges((5, 11)), [(5, 11)]);
        assert!(ledger.has_any(8, 10) && !ledger.has_any(8, 9));
        let skew = ledger.skew().expect("7 came on both");
        assert_eq!((skew.min, skew.max), (30, 30));
    }
}
