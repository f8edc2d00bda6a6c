//! How the journal is: the metric `journal_state`, from what went wrong and what healed it.

use tickdeck_journal::JournalError;

/// A sync that takes longer is slow.
const SLOW_SYNC_NS: u64 = 50_000_000;
/// How long a slow sync is shown.
const SLOW_SHOWN_NS: u64 = 10_000_000_000;
/// A second failure within this time means that opening anew does not help.
const REPEATED_NS: u64 = 10_000_000_000;

/// Codes of the metric `journal_state` that this worker sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ok = 0,
    Slow = 1,
    Reopening = 3,
    Full = 4,
    ReadOnly = 5,
    Degraded = 6,
    LostFiles = 7,
    Locked = 8,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// An operation failed; a new writer is about to be opened.
    Reopening,
    /// No space is left.
    Full,
    /// The file system or the state of the log forbids writing.
    ReadOnly,
    /// Records are missing from the log, or it failed repeatedly.
    Degraded,
    /// The log has vanished.
    LostFiles,
    /// Another writer has the directory.
    Locked,
}

/// Keeps the trouble until the log has caught up with what it had missed.
#[derive(Debug)]
pub(super) struct JournalHealth {
    /// With the policy `os` nothing is synced; written is all there is.
    written_suffices: bool,
    trouble: Option<Trouble>,
    /// The trouble is over when the log has come so far.
    healed_at_seq: u64,
    failed_ns: Option<u64>,
    slow_until_ns: u64,
}

impl JournalHealth {
    pub(super) fn new(written_suffices: bool) -> Self {
        Self {
            written_suffices,
            trouble: None,
            healed_at_seq: u64::MAX,
            failed_ns: None,
            slow_until_ns: 0,
        }
    }

    /// An operation failed.
    pub(super) fn failed(&mut self, error: &JournalError, now_ns: u64) -> Trouble {
        let repeated = self
            .failed_ns
            .is_some_and(|at_ns| now_ns.saturating_sub(at_ns) < REPEATED_NS);
        self.failed_ns = Some(now_ns);
        self.healed_at_seq = u64::MAX;
        let trouble = match error {
            error if error.is_disk_full() => Trouble::Full,
            error if error.is_read_only() => Trouble::ReadOnly,
            JournalError::Refused { .. } | JournalError::Damaged(_) => Trouble::ReadOnly,
            JournalError::Locked { .. } => Trouble::Locked,
            _ if repeated => Trouble::Degraded,
            _ => Trouble::Reopening,
        };
        self.trouble = Some(trouble);
        trouble
    }

    /// Another log is in the place of the one that was written.
    pub(super) fn log_vanished(&mut self) {
        self.trouble = Some(Trouble::LostFiles);
    }

    /// The log is open again; it is whole when it has reached `head_seq`.
    pub(super) fn reopened(&mut self, head_seq: u64) {
        self.healed_at_seq = head_seq;
    }

    /// Records up to `to` are missing from the log.
    pub(super) fn overrun(&mut self, to: u64) {
        self.trouble = Some(Trouble::Degraded);
        let open = self.healed_at_seq != u64::MAX;
        self.healed_at_seq = if open { self.healed_at_seq.max(to) } else { to };
    }

    /// How far the log has come.
    pub(super) fn wrote(&mut self, written_seq: u64, durable_seq: u64) {
        let safe_seq = if self.written_suffices {
            written_seq
        } else {
            durable_seq
        };
        if self.trouble.is_some() && safe_seq >= self.healed_at_seq {
            self.trouble = None;
            self.healed_at_seq = u64::MAX;
        }
    }

    /// A sync took `sync_ns`.
    pub(super) fn synced(&mut self, sync_ns: u64, now_ns: u64) {
        if sync_ns > SLOW_SYNC_NS {
            self.slow_until_ns = now_ns + SLOW_SHOWN_NS;
        }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    pub(super) fn state(&self, now_ns: u64) -> State {
        match self.trouble {
            Some(Trouble::Reopening) => State::Reopening,
            Some(Trouble::Full) => State::Full,
            Some(Trouble::ReadOnly) => State::ReadOnly,
            Some(Trouble::Degraded) => State::Degraded,
            Some(Trouble::LostFiles) => State::LostFiles,
            Some(Trouble::Locked) => State::Locked,
            None if now_ns < self.slow_until_ns => State::Slow,
            None => State::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    fn error(code: i32) -> JournalError {
        JournalError::Io {
            context: "cannot write",
            path: PathBuf::from("/journal/1"),
            source: io::Error::from_raw_os_error(code),
        }
    }

    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    const EROFS: i32 = 30;
    const SECOND: u64 = 1_000_000_000;

    /// Each cause has its state; a second failure within ten seconds is worse than the first.
    #[test]
    fn causes_have_states() {
        let mut health = JournalHealth::new(false);
        assert_eq!(health.state(0), State::Ok);
        health.failed(&error(EIO), 0);
        assert_eq!(health.state(0), State::Reopening);
        health.failed(&error(EIO), 9 * SECOND);
        assert_eq!(health.state(0), State::Degraded);
        health.failed(&error(EIO), 30 * SECOND);
        assert_eq!(health.state(0), State::Reopening);
        health.failed(&error(ENOSPC), 31 * SECOND);
        assert_eq!(health.state(0), State::Full);
        health.failed(&error(EROFS), 32 * SECOND);
        assert_eq!(health.state(0), State::ReadOnly);
        health.log_vanished();
        assert_eq!(health.state(0), State::LostFiles);
    }

    /// A trouble is over only when what was missed is durable, not when the log opens again.
    #[test]
    fn heals_when_the_log_has_caught_up() {
        let mut health = JournalHealth::new(false);
        health.failed(&error(EIO), 0);
        health.wrote(50, 50);
        assert_eq!(health.state(0), State::Reopening, "no writer, no healing");
        health.reopened(100);
        health.overrun(80);
        health.wrote(100, 99);
        assert_eq!(health.state(0), State::Degraded);
        health.wrote(100, 100);
        assert_eq!(health.state(0), State::Ok);
        health.overrun(120);
        assert_eq!(health.state(0), State::Degraded);
        health.wrote(120, 120);
        assert_eq!(health.state(0), State::Ok);
    }

    /// A slow sync is shown for a while.
    #[test]
    fn slow_sync_is_shown() {
        let mut health = JournalHealth::new(false);
        health.synced(49_000_000, 0);
        assert_eq!(health.state(1), State::Ok);
        health.synced(51_000_000, 0);
        assert_eq!(health.state(1), State::Slow);
        assert_eq!(health.state(11 * SECOND), State::Ok);
    }
}
