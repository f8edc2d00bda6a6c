//! One JSON log line for each verdict on a peer, and not more than a log can take.
//!
//! Each source has a budget of its own: whoever floods the door hides nothing of what those do who
//! have proved who they are.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines of a source in a second; what is above is counted, and told by the next line.
const LINES_PER_SECOND: u32 = 10;

/// Writes the audit lines of one source.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    source: &'static str,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    second: u64,
    lines: u32,
    suppressed: u64,
}

impl Audit {
    pub(crate) fn of(source: &'static str) -> Self {
        let pace = Mutex::default();
        Self { source, pace }
    }

    /// A verdict: `accept`, `deny`, `violation` or `end`. Never give it a secret. False when it is
    /// only counted.
    pub(crate) fn write(
        &self,
        now_ns: u64,
        verdict: &str,
        id: &str,
        peer: &str,
        reason: &str,
    ) -> bool {
        let Some(suppressed) = self.pace().admit(now_ns) else {
            return false;
        };
        let source = self.source;
        tracing::info!(
            audit = verdict,
            source,
            id,
            peer,
            reason,
            suppressed,
            "audit"
        );
        true
    }

    /// Tells what was left out, when no line came in the next second that told it.
    pub(crate) fn settle(&self, now_ns: u64) {
        let suppressed = self.pace().settle(now_ns);
        if suppressed > 0 {
            let source = self.source;
            tracing::info!(audit = "suppressed", source, suppressed, "audit");
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// How many lines were left out of a second, when the next one is over, too, and none has told it.
    fn settle(&mut self, now_ns: u64) -> u64 {
        match now_ns / 1_000_000_000 <= self.second + 1 {
            true => 0,
            false => std::mem::take(&mut self.suppressed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// X24: ten thousand verdicts in a second are ten lines, and the next line says what is missing.
    #[test]
    fn floods_are_counted_not_written() {
        let mut pace = Pace::default();
        let written = (0..10_000).filter(|n| pace.admit(5 * SECOND + n).is_some());
        assert_eq!(written.count(), 10);
        assert_eq!(pace.admit(6 * SECOND), Some(9_990));
        assert_eq!(pace.admit(6 * SECOND + 1), Some(0));
    }

    /// A flood that ends is told all the same, once, when its second is over.
    #[test]
    fn the_end_of_a_flood_is_told() {
        let mut pace = Pace::default();
        let written = (0..50).filter(|n| pace.admit(5 * SECOND + n).is_some());
        assert_eq!(written.count(), 10);
        assert_eq!(
            (pace.settle(5 * SECOND + 100), pace.settle(6 * SECOND)),
            (0, 0)
        );
        assert_eq!(pace.settle(7 * SECOND), 40);
        assert_eq!(
            (pace.settle(8 * SECOND), pace.admit(8 * SECOND)),
            (0, Some(0))
        );
    }
}
