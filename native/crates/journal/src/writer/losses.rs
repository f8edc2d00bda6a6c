//! What the log lacks: for whoever has to take note of it, with its bounds.

use std::collections::VecDeque;

use super::types::Counters;

/// Losses that are remembered; of more, the oldest are forgotten, the counters count them all.
const REMEMBERED: usize = 256;

/// Sequences that the log does not hold, or that it had called durable and that were damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// What became of them.
    pub kind: LossKind,
    /// First sequence.
    pub from: u64,
    /// Last sequence.
    pub to: u64,
}

/// How sequences were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// A JOURNAL_HOLE spends them.
    Hole,
    /// The device has lost them after it had called them durable.
    AckedLoss,
}

impl LossKind {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::AckedLoss => "acked_loss",
        }
    }
}

/// Those since the writer was opened, oldest first.
#[derive(Debug, Default)]
pub(super) struct Losses(VecDeque<Loss>);

impl Losses {
    /// Counts and remembers.
    pub(super) fn add(&mut self, counters: &mut Counters, kind: LossKind, from: u64, to: u64) {
        let records = to - from + 1;
        match kind {
            LossKind::Hole => {
                counters.holes += 1;
                counters.hole_records += records;
            }
            LossKind::AckedLoss => counters.acked_loss += records,
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Loss { kind, from, to });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Loss> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is counted, the newest are remembered with their bounds.
    #[test]
    fn the_newest_are_remembered() {
        let (mut losses, mut counters) = (Losses::default(), Counters::default());
        losses.add(&mut counters, LossKind::AckedLoss, 5, 9);
        for seq in 0..REMEMBERED as u64 {
            losses.add(&mut counters, LossKind::Hole, 10 * seq, 10 * seq + 1);
        }
        assert_eq!((counters.holes, counters.hole_records), (256, 512));
        assert_eq!(counters.acked_loss, 5);
        assert_eq!(losses.iter().count(), REMEMBERED);
        let first = losses.iter().next().expect("one");
        assert_eq!((first.kind, first.from, first.to), (LossKind::Hole, 0, 1));
    }
}
