//! What a run found.

use std::fmt;

use serde_json::{Value, json};

/// Totals of a lane, and of all lanes.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Writers ended.
    pub(super) cuts: u64,
    /// Of these, while they opened their journal.
    pub(super) cuts_while_opening: u64,
    /// Logs begun.
    pub(super) logs: u64,
    /// Sequences reported safe.
    pub(super) acked: u64,
    /// Records at the end of the logs.
    pub(super) records: u64,
    /// Segments at the end of the logs.
    pub(super) segments: u64,
    /// Sequences reported safe and not there.
    pub(super) lost: u64,
    /// Records whose sequence was there before.
    pub(super) duplicates: u64,
    /// Records that are not what was appended.
    pub(super) wrong: u64,
    /// Journals that could not be opened again.
    pub(super) refused: u64,
    /// Torn tails cut by recovery.
    pub(super) torn_tails: u64,
    /// Errors that were injected.
    pub(super) injected: u64,
    /// Duration of each recovery.
    pub(super) recovery_us: Vec<u64>,
    /// The first of what went wrong, in words.
    pub(super) failures: Vec<String>,
}

impl Tally {
    /// Notes what went wrong.
    pub(super) fn fail(&mut self, text: String) {
        if self.failures.len() < KEPT_FAILURES {
            self.failures.push(text);
        }
    }

    /// Adds what another lane found.
    pub(super) fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.cuts_while_opening += other.cuts_while_opening;
        self.logs += other.logs;
        self.acked += other.acked;
        self.records += other.records;
        self.segments += other.segments;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.torn_tails += other.torn_tails;
        self.injected += other.injected;
        self.recovery_us.extend(other.recovery_us);
        other
            .failures
            .into_iter()
            .for_each(|failure| self.fail(failure));
    }

    /// True when nothing went wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicates == 0
            && self.wrong == 0
            && self.refused == 0
            && self.failures.is_empty()
    }

    pub(super) fn to_json(&self) -> Value {
        let [p50, p99, max] = self.recovery_ms();
        json!({
            "cuts": self.cuts,
            "cuts_while_opening": self.cuts_while_opening,
            "logs": self.logs,
            "acked": self.acked,
            "records": self.records,
            "segments": self.segments,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "wrong": self.wrong,
            "refused": self.refused,
            "torn_tails": self.torn_tails,
            "injected": self.injected,
            "recovery_ms": { "p50": p50, "p99": p99, "max": max },
            "failures": self.failures,
        })
    }

    /// Median, 99th percentile and maximum.
    fn recovery_ms(&self) -> [f64; 3] {
        let mut sorted = self.recovery_us.clone();
        sorted.sort_unstable();
        let Some(last) = sorted.len().checked_sub(1) else {
            return [0.0; 3];
        };
        [last / 2, last * 99 / 100, last].map(|at| sorted[at] as f64 / 1000.0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = self.recovery_ms();
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        write!(
            f,
            "{} cuts, {} of them while opening; {} acked, {} lost, {} duplicates, {} wrong, \
             {} refused; {} torn tails, {} segments, recovery p50 {p50} ms, p99 {p99} ms, \
             max {max} ms",
            self.cuts,
            self.cuts_while_opening,
            self.acked,
            self.lost,
            self.duplicates,
            self.wrong,
            self.refused,
            self.torn_tails,
            self.segments,
        )
    }
}

const KEPT_FAILURES: usize = 20;
