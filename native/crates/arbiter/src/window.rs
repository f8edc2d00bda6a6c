//! How long a hole waits for the other line before it is asked for.
//!
//! Waiting shorter than the slower line lags asks for what is on its way; waiting longer only
//! makes a real loss later. So the window follows the lag: a peak that every larger lag raises
//! at once, and that falls by an eighth per second (to half in about five), so that a burst is
//! remembered and a line that became faster is believed. It waits twice the peak, because the
//! next lag may be worse than any seen, within the configured bounds. Before the first
//! lag is seen it waits the upper bound. While no copies come nothing is learnt and nothing
//! forgotten: a dead line says nothing about its lag.

/// How often the peak falls.
const FALL_EVERY_NS: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Window {
    least_ns: u64,
    most_ns: u64,
    peak_ns: u64,
    fall_due_ns: u64,
    current_ns: u64,
}

impl Window {
    pub(crate) fn new(least_ns: u64, most_ns: u64) -> Self {
        Self {
            least_ns,
            most_ns,
            peak_ns: 0,
            fall_due_ns: 0,
            current_ns: most_ns,
        }
    }

    /// A message came on another line `lag_ns` after it was first seen, or seen missing. Returns
    /// whether the window may be another one now.
    #[inline]
    pub(crate) fn observe(&mut self, lag_ns: u64, now_ns: u64) -> bool {
        let changes = lag_ns > self.peak_ns || now_ns >= self.fall_due_ns;
        if changes {
            self.change(lag_ns, now_ns);
        }
        changes
    }

    pub(crate) fn current_ns(&self) -> u64 {
        self.current_ns
    }

    #[cold]
    fn change(&mut self, lag_ns: u64, now_ns: u64) {
        if now_ns >= self.fall_due_ns {
            self.peak_ns -= self.peak_ns / 8;
            self.fall_due_ns = now_ns.saturating_add(FALL_EVERY_NS);
        }
        // More than the bound is no lag that waiting would cover.
        self.peak_ns = self.peak_ns.max(lag_ns.min(self.most_ns));
        self.current_ns = self
            .peak_ns
            .saturating_mul(2)
            .clamp(self.least_ns, self.most_ns);
    }
}
