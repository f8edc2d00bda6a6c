//! Limits and timing of the recovery.

/// Longest time from an answer to the merge's word on it; both run in one process.
const INJECTION_WAIT_NS: u64 = 20_000_000;

/// Limits and timing of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Least time between two requests while the server does not answer. What an answer leaves
    /// missing is asked for at once.
    pub min_request_interval_ns: u64,
    /// How long an answer may take before the request counts as failed.
    pub request_timeout_ns: u64,
    /// Rounds in a row without an answer before a gap is given up; 0 counts as 1. A round is a
    /// request of the gap's own, or one for another gap while the server is silent altogether.
    pub retry_attempts: u32,
    /// The wait before the n-th repetition is n times this.
    pub retry_backoff_ns: u64,
    /// A gap that is open for longer has missed its objective.
    pub slo_ns: u64,
    /// Most messages asked for at once; 0 counts as 1.
    pub max_messages_per_request: u16,
    /// Gaps known at a time.
    pub gap_capacity: usize,
}

impl Default for Config {
    /// A request each 5 ms at most, 50 ms for an answer, ten attempts, 20 ms of backoff.
    fn default() -> Self {
        Self {
            min_request_interval_ns: 5_000_000,
            request_timeout_ns: 50_000_000,
            retry_attempts: 10,
            retry_backoff_ns: 20_000_000,
            slo_ns: 500_000_000,
            max_messages_per_request: 2000,
            gap_capacity: 1024,
        }
    }
}

impl Config {
    /// How long the merge may take to say that it has what an answer brought; then that is asked
    /// for again.
    pub(crate) fn injection_wait_ns(&self) -> u64 {
        self.request_timeout_ns
            .min(INJECTION_WAIT_NS)
            .max(self.min_request_interval_ns)
    }
}
