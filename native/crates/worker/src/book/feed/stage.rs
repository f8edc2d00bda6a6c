//! What a feed is doing, and when it looks again for what was not there.

/// What the feed is doing, for states and logs. The number is the sub-state in the stats file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stage {
    /// There is no journal, or it cannot be opened.
    WaitingForJournal = 1,
    /// Applying records of the journal.
    Journal = 2,
    /// At the end of the journal, and there is no ring that goes on from there.
    WaitingForRing = 3,
    /// The ring is ahead of what the journal has written so far.
    JournalBehindRing = 4,
    /// The journal has not yet reached the record that the books end with.
    JournalBehindBooks = 5,
    /// The journal is damaged at the cursor.
    JournalDamaged = 6,
    /// Applying records of the ring.
    Ring = 7,
}

impl Stage {
    /// The stage in snake_case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::WaitingForJournal => "waiting_for_journal",
            Stage::Journal => "journal",
            Stage::WaitingForRing => "waiting_for_ring",
            Stage::JournalBehindRing => "journal_behind_ring",
            Stage::JournalBehindBooks => "journal_behind_books",
            Stage::JournalDamaged => "journal_damaged",
            Stage::Ring => "ring",
        }
    }
}

/// Wait before something absent is looked for again, and the longest such wait.
const RETRY_NS: u64 = 10_000_000;
const RETRY_NS_MAX: u64 = 100_000_000;

/// When to look again for what was not there: sooner at first, then less and less often.
#[derive(Default)]
pub(super) struct Retry {
    at_ns: u64,
    wait_ns: u64,
}

impl Retry {
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.at_ns
    }

    pub(super) fn later(&mut self, now_ns: u64) {
        self.wait_ns = (self.wait_ns * 2).clamp(RETRY_NS, RETRY_NS_MAX);
        self.at_ns = now_ns + self.wait_ns;
    }
}
