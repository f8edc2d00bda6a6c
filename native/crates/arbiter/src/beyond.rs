//! How far beyond a gap each line has gone, in packets.
//!
//! A line that has brought many packets from beyond a gap will hardly bring the gap itself. Of
//! each line the first numbers of its last packets are kept, while a gap waits; the lowest of
//! them is what the line has gone through for good.

use crate::config::MAX_LINES;

#[derive(Debug)]
pub(crate) struct Beyond {
    /// How many packets are enough; 0: never.
    enough: usize,
    /// `enough` numbers of each line.
    firsts: Vec<u64>,
    at: [usize; MAX_LINES],
}

impl Beyond {
    pub(crate) fn new(lines: usize, enough: usize) -> Self {
        Self {
            enough,
            firsts: vec![0; lines * enough],
            at: [0; MAX_LINES],
        }
    }

    pub(crate) fn clear(&mut self) {
        self.firsts.fill(0);
    }

    /// A packet of a line that begins at `first`.
    pub(crate) fn note(&mut self, line: usize, first: u64) {
        if self.enough > 0 {
            self.firsts[line * self.enough + self.at[line]] = first;
            self.at[line] = (self.at[line] + 1) % self.enough;
        }
    }

    /// Every number below it was left behind by enough packets of every line that `counts`.
    pub(crate) fn passed(&self, counts: impl Fn(usize) -> bool) -> u64 {
        if self.enough == 0 {
            return 0;
        }
        let lines = (0..).zip(self.firsts.chunks(self.enough));
        let through = lines.filter(|(line, _)| counts(*line));
        let lowest = through.flat_map(|(_, firsts)| firsts).min();
        lowest.copied().unwrap_or(0)
    }
}
