//! What the logs of one run are like.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tickdeck_journal::{SyncPolicy, WriterConfig};

use super::Policy;
use super::child::Claim;
use super::random::{Random, mix};

/// Given by the command line, the same for all logs.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) policy: Option<Policy>,
    pub(super) claim: Claim,
    /// Longest life of a writer.
    pub(super) within: Duration,
}

/// One log.
#[derive(Debug, Clone)]
pub(super) struct LogSetting {
    pub(super) dir: PathBuf,
    pub(super) seed: u64,
    pub(super) policy: Policy,
    pub(super) segment_bytes: u64,
    pub(super) claim: Claim,
}

impl Setting {
    /// How long a writer may live this time.
    pub(super) fn delay(&self, random: &mut Random) -> Duration {
        let micros = u64::try_from(self.within.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random.below(micros.max(1)))
    }

    /// The log with this number, in `home`: small segments, so that they end often.
    pub(super) fn log(&self, home: &Path, number: u64) -> LogSetting {
        let seed = mix(self.seed, number);
        let policies = [Policy::Batch, Policy::Interval, Policy::Always, Policy::Os];
        LogSetting {
            dir: home.join(format!("log-{number}")),
            seed,
            policy: self.policy.unwrap_or(policies[(number % 4) as usize]),
            segment_bytes: (16 * 1024) << ((seed >> 20) % 4),
            claim: self.claim,
        }
    }
}

impl LogSetting {
    /// For the journal.
    pub(super) fn writer(&self) -> WriterConfig {
        WriterConfig::new(&self.dir, self.segment_bytes, self.policy.sync(), SCHEMA)
    }
}

impl Policy {
    /// Limits that are reached every few operations.
    pub(super) fn sync(self) -> SyncPolicy {
        match self {
            Self::Os => SyncPolicy::Os,
            Self::Interval => SyncPolicy::Interval { ms: 3 },
            Self::Batch => SyncPolicy::Batch {
                bytes: 16 * 1024,
                records: 60,
                ms: 3,
            },
            Self::Always => SyncPolicy::Always,
        }
    }
}

/// Of no venue.
const SCHEMA: u32 = 0x746f_7274;
