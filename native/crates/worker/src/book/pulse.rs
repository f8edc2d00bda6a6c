//! Whether the receiver lives: the heartbeat in its stats file.
//!
//! A ring outlives its writer, so a ring at rest may mean a quiet venue or a dead receiver. The
//! receiver's control thread beats at least once a second in the stats file beside the ring;
//! reading that is a load from mapped memory. No file and no beat is no evidence of life.

use std::path::{Path, PathBuf};

use tickdeck_stats::{layout, reader};

/// The receiver is not believed to live when its last beat is older than this.
const BEAT_AGE_MAX_NS: u64 = 3_000_000_000;

/// A file that could not be opened is tried again after this.
const RETRY_NS: u64 = 500_000_000;

/// Watches the receiver that writes one ring.
pub(crate) struct Pulse {
    path: PathBuf,
    file: Option<reader::Reader>,
    retry_at_ns: u64,
}

impl Pulse {
    /// The receiver with this incarnation, whose stats file lies beside its ring.
    pub(crate) fn of(ring_path: &Path, incarnation: &[u8; 16]) -> Self {
        let path = ring_path.with_file_name(layout::file_name(incarnation));
        Self {
            path,
            file: None,
            retry_at_ns: 0,
        }
    }

    /// Whether the receiver has shown life lately; CLOCK_MONOTONIC ns.
    pub(crate) fn is_beating(&mut self, now_mono_ns: u64) -> bool {
        if self.file.is_none() && now_mono_ns >= self.retry_at_ns {
            self.retry_at_ns = now_mono_ns + RETRY_NS;
            match reader::Reader::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) => tracing::debug!(path = %self.path.display(), %error, "no pulse"),
            }
        }
        self.file.as_ref().is_some_and(|file| {
            let beat_ns = file.header_word(layout::AT_HEARTBEAT_MONO_NS);
            now_mono_ns.saturating_sub(beat_ns) <= BEAT_AGE_MAX_NS
        })
    }
}
