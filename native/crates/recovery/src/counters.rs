//! What an engine counts.

use crate::fault::Fault;

/// What was counted; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests to be sent.
    pub requests: u64,
    /// Gaps that could not be taken, and requests that could not be sent.
    pub requests_dropped: u64,
    /// Requests that repeat an unanswered one.
    pub retries: u64,
    /// Requests that nothing wanted came back for in time, or that were refused.
    pub failures: u64,
    /// Gaps that a request was made for besides the one it began with.
    pub joined: u64,
    /// Times that a gap went on to its next source.
    pub escalations: u64,
    /// Gaps closed with the help of an answer.
    pub fetched_ranges: u64,
    /// Gaps given up.
    pub unrecoverable_gaps: u64,
    /// Answers handed to the merge.
    pub injected_packets: u64,
    /// Answers whose messages were no longer missing.
    pub stale_packets: u64,
    /// Answers of another session.
    pub wrong_session_packets: u64,
    /// Answers that nobody asked for.
    pub not_asked_packets: u64,
    /// Gaps that missed their objective.
    pub slo_violations: u64,
    /// Storms that began.
    pub storms: u64,
    /// Snapshots wanted.
    pub snapshots: u64,
    /// Snapshots that failed.
    pub snapshot_failures: u64,
    /// Faults of all sources, by [`Fault`] number; the first is always 0.
    pub lies: [u64; Fault::ALL.len()],
}

impl Counters {
    /// How often a source had this fault.
    pub fn lies_of(&self, fault: Fault) -> u64 {
        self.lies[fault as usize]
    }
}
