//! How the journal is: the metric `journal_state`, from the writer's condition and from what this
//! thread knows besides.

use tickdeck_journal::Condition;

/// A sync that takes longer is slow.
const SLOW_SYNC_NS: u64 = 50_000_000;
/// How long a slow sync is shown.
const SLOW_SHOWN_NS: u64 = 10_000_000_000;
/// How long a trouble is shown at least, so that whoever looks each second sees it.
const TROUBLE_SHOWN_NS: u64 = 2_000_000_000;

/// Codes of the metric `journal_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All is well.
    Ok = 0,
    /// Syncs take long.
    Slow = 1,
    /// An operation on the device does not come back.
    Hung = 2,
    /// An operation failed; a new segment takes the place of the one it failed on.
    Reopening = 3,
    /// No space is left.
    Full = 4,
    /// The file system forbids writing.
    ReadOnly = 5,
    /// Records are missing from the log, or it failed repeatedly.
    Degraded = 6,
    /// Files of the log have vanished, or another log is in its place.
    LostFiles = 7,
    /// Another writer has the directory.
    Locked = 8,
    /// The journal thread has ended.
    Failed = 9,
}

/// Keeps what was lost in mind until the log has come past it.
#[derive(Debug)]
pub(super) struct JournalHealth {
    /// With the policy `os` nothing is synced; written is all there is.
    written_suffices: bool,
    /// Records are missing up to this sequence; over when the log is safe up to it.
    hole_to_seq: Option<u64>,
    /// The newest trouble, and until when it is shown though it is over.
    trouble: State,
    shown_until_ns: u64,
    slow_until_ns: u64,
}

impl JournalHealth {
    pub(super) fn new(written_suffices: bool) -> Self {
        Self {
            written_suffices,
            hole_to_seq: None,
            trouble: State::Ok,
            shown_until_ns: 0,
            slow_until_ns: 0,
        }
    }

    /// An operation failed; the writer calls its condition this.
    pub(super) fn failed(&mut self, condition: Condition, now_ns: u64) {
        self.trouble = state_of(condition);
        self.shown_until_ns = now_ns + TROUBLE_SHOWN_NS;
    }

    /// Records up to `to` are missing from the log.
    pub(super) fn overrun(&mut self, to: u64) {
        self.hole_to_seq = Some(self.hole_to_seq.unwrap_or(0).max(to));
    }

    /// How far the log has come.
    pub(super) fn wrote(&mut self, written_seq: u64, durable_seq: u64) {
        let safe_seq = if self.written_suffices {
            written_seq
        } else {
            durable_seq
        };
        self.hole_to_seq = self.hole_to_seq.filter(|to| safe_seq < *to);
    }

    /// A sync took `sync_ns`.
    pub(super) fn synced(&mut self, sync_ns: u64, now_ns: u64) {
        if sync_ns > SLOW_SYNC_NS {
            self.slow_until_ns = now_ns + SLOW_SHOWN_NS;
        }
    }

    /// What to show while the writer is in this condition.
    pub(super) fn state(&self, condition: Condition, now_ns: u64) -> State {
        match condition {
            Condition::Healthy if self.hole_to_seq.is_some() => State::Degraded,
            Condition::Healthy if now_ns < self.shown_until_ns => self.trouble,
            Condition::Healthy if now_ns < self.slow_until_ns => State::Slow,
            other => state_of(other),
        }
    }
}

fn state_of(condition: Condition) -> State {
    match condition {
        Condition::Healthy => State::Ok,
        Condition::Reopening => State::Reopening,
        Condition::Full => State::Full,
        Condition::ReadOnly => State::ReadOnly,
        Condition::Degraded => State::Degraded,
        Condition::LostFiles => State::LostFiles,
        Condition::Locked => State::Locked,
        Condition::Halted => State::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const FINE: Condition = Condition::Healthy;

    /// Each condition of the writer has its state, and a trouble that was over at once is still
    /// seen by whoever looks each second.
    #[test]
    fn conditions_have_states() {
        let mut health = JournalHealth::new(false);
        assert_eq!(health.state(FINE, 0), State::Ok);
        for (condition, state) in [
            (Condition::Reopening, State::Reopening),
            (Condition::Full, State::Full),
            (Condition::ReadOnly, State::ReadOnly),
            (Condition::Degraded, State::Degraded),
            (Condition::LostFiles, State::LostFiles),
            (Condition::Locked, State::Locked),
            (Condition::Halted, State::Failed),
        ] {
            assert_eq!(health.state(condition, 0), state);
            health.failed(condition, 5 * SECOND);
            assert_eq!(health.state(FINE, 7 * SECOND - 1), state);
            assert_eq!(health.state(FINE, 7 * SECOND), State::Ok);
        }
    }

    /// Missing records are over only when what comes behind them is safe.
    #[test]
    fn a_hole_heals_when_the_log_is_past_it() {
        let mut health = JournalHealth::new(false);
        health.overrun(80);
        health.overrun(70);
        health.wrote(100, 79);
        assert_eq!(health.state(FINE, 0), State::Degraded);
        assert_eq!(health.state(Condition::Full, 0), State::Full);
        health.wrote(100, 80);
        assert_eq!(health.state(FINE, 0), State::Ok);
        let mut lax = JournalHealth::new(true);
        lax.overrun(80);
        lax.wrote(80, 0);
        assert_eq!(lax.state(FINE, 0), State::Ok);
    }

    /// A slow sync is shown for a while.
    #[test]
    fn slow_sync_is_shown() {
        let mut health = JournalHealth::new(false);
        health.synced(49_000_000, 0);
        assert_eq!(health.state(FINE, 1), State::Ok);
        health.synced(51_000_000, 0);
        assert_eq!(health.state(FINE, 1), State::Slow);
        assert_eq!(health.state(FINE, 11 * SECOND), State::Ok);
    }
}
