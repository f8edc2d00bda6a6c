//! Limits and timing of the recovery.

use crate::source::SourceConfig;

/// Longest time from an answer to the merge's word on it; both run in one process.
const INJECTION_WAIT_NS: u64 = 20_000_000;

/// Limits and timing of an engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where ranges are asked for, the best first. Each kind once; a repetition is ignored.
    pub sources: Vec<SourceConfig>,
    /// Whether a snapshot can stand in for what no source brings.
    pub snapshot: bool,
    /// Snapshots in a row that may fail before what waits for one is given up; 0 counts as 1.
    pub snapshot_attempts: u32,
    /// Least time between two requests to a source while it does not answer. What an answer
    /// leaves missing is asked for at once.
    pub min_request_interval_ns: u64,
    /// Rounds in a row without an answer before a source is exhausted for a gap; 0 counts as 1. A
    /// round is a request for the gap, or one for another gap while the source is silent
    /// altogether. Eight times as many answers that the merge does not take, though it waits for
    /// them, exhaust a source too. As many rounds that were not in a row only let the next source
    /// take a turn.
    pub retry_attempts: u32,
    /// The wait before the n-th repetition is n times this.
    pub retry_backoff_ns: u64,
    /// No wait before a repetition is longer.
    pub retry_backoff_max_ns: u64,
    /// A gap that is open for longer has missed its objective.
    pub slo_ns: u64,
    /// Missing ranges are asked for together when no more numbers than this lie between them. A
    /// stream or a peer reaches further by itself.
    pub coalesce_messages: u64,
    /// Open gaps above this are a storm; 0: there are no storms.
    pub storm_gaps: usize,
    /// How long a source that was given up as a whole is passed over while there is another.
    pub source_rest_ns: u64,
    /// Gaps known at a time.
    pub gap_capacity: usize,
}

impl Default for Config {
    /// One re-request server and no snapshot; a request each 5 ms at most, ten attempts, 20 to
    /// 500 ms of backoff, a storm above 64 gaps.
    fn default() -> Self {
        Self {
            sources: vec![SourceConfig::request()],
            snapshot: false,
            snapshot_attempts: 3,
            min_request_interval_ns: 5_000_000,
            retry_attempts: 10,
            retry_backoff_ns: 20_000_000,
            retry_backoff_max_ns: 500_000_000,
            slo_ns: 500_000_000,
            coalesce_messages: 32,
            storm_gaps: 64,
            source_rest_ns: 5_000_000_000,
            gap_capacity: 1024,
        }
    }
}

impl Config {
    /// How long the merge may take to say that it has what an answer brought; then that is asked
    /// for again.
    pub(crate) fn injection_wait_ns(&self, request_timeout_ns: u64) -> u64 {
        request_timeout_ns
            .min(INJECTION_WAIT_NS)
            .max(self.min_request_interval_ns)
    }

    /// The wait after `rounds` rounds without an answer.
    pub(crate) fn backoff_ns(&self, rounds: u32) -> u64 {
        self.retry_backoff_ns
            .saturating_mul(u64::from(rounds))
            .min(self.retry_backoff_max_ns)
    }
}
