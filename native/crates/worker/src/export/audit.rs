//! One JSON log line for each verdict on a peer, and not more than a log can take.

use std::sync::{Mutex, PoisonError};

/// Lines in a second; what is above is counted in the next line that is written.
const LINES_PER_SECOND: u32 = 10;

/// Writes audit lines.
#[derive(Debug, Default)]
pub(super) struct Audit(Mutex<Pace>);

#[derive(Debug, Default)]
struct Pace {
    second: u64,
    lines: u32,
    suppressed: u64,
}

impl Audit {
    /// A verdict: `accept`, `deny`, `violation` or `end`. Never give it a secret.
    pub(super) fn write(&self, now_ns: u64, verdict: &str, id: &str, peer: &str, reason: &str) {
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(suppressed) = pace.admit(now_ns) else {
            return;
        };
        drop(pace);
        tracing::info!(audit = verdict, id, peer, reason, suppressed, "audit");
    }
}

impl Pace {
    /// How many lines were left out since the last one; `None` when this one is too.
    fn admit(&mut self, now_ns: u64) -> Option<u64> {
        let second = now_ns / 1_000_000_000;
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines == LINES_PER_SECOND {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X24: ten thousand verdicts in a second are ten lines, and the next line says what is missing.
    #[test]
    fn floods_are_counted_not_written() {
        let mut pace = Pace::default();
        let written = (0..10_000).filter(|n| pace.admit(5_000_000_000 + n).is_some());
        assert_eq!(written.count(), 10);
        assert_eq!(pace.admit(6_000_000_000), Some(9_990));
        assert_eq!(pace.admit(6_000_000_001), Some(0));
    }
}
