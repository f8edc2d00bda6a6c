//! What the logs of one run are like.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tickdeck_journal::{SyncPolicy, WriterConfig};

use super::child::Claim;
use super::random::{Random, mix};
use super::{Codec, Policy};

/// Given by the command line, the same for all logs.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) policy: Option<Policy>,
    pub(super) codec: Option<Codec>,
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
    pub(super) codec: Codec,
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
        let codecs = [Codec::None, Codec::Zstd, Codec::Lz4];
        LogSetting {
            dir: home.join(format!("log-{number}")),
            seed,
            policy: self.policy.unwrap_or(policies[(number % 4) as usize]),
            codec: self.codec.unwrap_or(codecs[(number % 3) as usize]),
            segment_bytes: (16 * 1024) << ((seed >> 20) % 4),
            claim: self.claim,
        }
    }
}

impl LogSetting {
    /// For the journal.
    pub(super) fn writer(&self) -> WriterConfig {
        let (size, sync) = (self.segment_bytes, self.policy.sync());
        let mut config = WriterConfig::new(&self.dir, size, sync, SCHEMA);
        config.codec = self.codec.writer();
        config
    }
}

impl Codec {
    fn writer(self) -> tickdeck_journal::Codec {
        match self {
            Self::None => tickdeck_journal::Codec::None,
            Self::Lz4 => tickdeck_journal::Codec::Lz4,
            Self::Zstd => tickdeck_journal::Codec::Zstd,
        }
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
