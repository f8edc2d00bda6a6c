//! How far the log goes: the watermarks of its writer, read from outside.
//!
//! The receiver's stats file has them as of now; STATE is at most a second old and there without a
//! receiver. Both only ever name what was really written or synced, so the higher one is right, and
//! what was once known stays true when the receiver has gone.

use std::fs;
use std::path::{Path, PathBuf};

use tickdeck_journal::{JournalError, checkpoint, has_writer};
use tickdeck_stats::State as StatsState;
use tickdeck_stats::layout::AT_START_MONO_NS;
use tickdeck_stats::reader::Reader as StatsReader;

/// Watermarks, and the bytes of the log from any origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) written: u64,
    pub(super) durable: u64,
    pub(super) bytes: u64,
    /// A receiver at work has told `written`: the log goes no further. Else it may, by as much as a
    /// receiver writes between two checkpoints, and only its blocks tell.
    pub(super) is_told: bool,
}

/// Follows the watermarks.
pub(super) struct Marks {
    log_dir: PathBuf,
    rx_dir: PathBuf,
    live: Option<Live>,
    mark: Mark,
    look_ns: u64,
}

/// A receiver's stats file.
struct Live {
    path: PathBuf,
    stats: StatsReader,
    written_at: usize,
    durable_at: usize,
    bytes_at: usize,
    /// The counter begins anew with each receiver.
    last_bytes: u64,
}

impl Marks {
    /// Of the log in `log_dir`, whose receiver has its stats file in `rx_dir`.
    pub(super) fn new(log_dir: &Path, rx_dir: &Path) -> Self {
        Self {
            log_dir: log_dir.to_owned(),
            rx_dir: rx_dir.to_owned(),
            live: None,
            mark: Mark::default(),
            look_ns: 0,
        }
    }

    /// The watermarks now: a few loads, and every so often a look at the files.
    pub(super) fn read(&mut self, now_ns: u64) -> Result<Mark, JournalError> {
        if now_ns >= self.look_ns {
            self.look_ns = now_ns + LOOK_NS;
            self.look()?;
        }
        if let Some(live) = &mut self.live {
            let durable = live.stats.at(live.durable_at);
            let bytes = live.stats.at(live.bytes_at);
            self.mark.bytes += bytes.saturating_sub(live.last_bytes);
            live.last_bytes = bytes;
            self.mark.durable = self.mark.durable.max(durable);
            self.mark.written = self.mark.written.max(live.stats.at(live.written_at));
        }
        self.mark.written = self.mark.written.max(self.mark.durable);
        Ok(self.mark)
    }

    fn look(&mut self) -> Result<(), JournalError> {
        if let Some(state) = checkpoint(&self.log_dir)? {
            let grown = state.durable_seq.saturating_sub(self.mark.durable);
            self.mark.durable = self.mark.durable.max(state.durable_seq);
            if self.live.is_none() {
                // Nobody counts bytes: a guess keeps distances in order.
                self.mark.bytes += grown * GUESSED_RECORD_BYTES;
            }
        }
        // In this order: a receiver has its stats file before it opens its log, so that the newest
        // file is of the writer that is there, or of a newer one.
        let has_writer = !self.mark.is_told && has_writer(&self.log_dir)?;
        let newest = newest_stats(&self.rx_dir);
        let known = self.live.as_ref().map(|live| &live.path);
        if newest.is_some() && newest.as_ref() != known {
            let opened = newest.as_deref().and_then(open);
            self.live = opened.or(self.live.take());
        }
        // One that recovers its log says nothing yet; what one that is gone has said may be old.
        if let Some(live) = &self.live {
            let is_newest = newest.as_ref() == Some(&live.path);
            let is_live = live.stats.state() != Some(StatsState::Stopped);
            let has_told = live.stats.at(live.written_at) > 0;
            self.mark.is_told |= has_writer && is_newest && is_live && has_told;
        }
        Ok(())
    }
}

/// The stats file of the newest incarnation in a worker's directory.
fn newest_stats(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with("stats.") && name.ends_with(".dat"))
    });
    let started = |path: &PathBuf| {
        let stats = StatsReader::open(path).ok()?;
        Some(stats.header_word(AT_START_MONO_NS))
    };
    let dated = files.filter_map(|path| Some((started(&path)?, path)));
    dated.max().map(|(_, path)| path)
}

/// `None` when the file has no journal's watermarks, or cannot be read (yet).
fn open(path: &Path) -> Option<Live> {
    let stats = match StatsReader::open(path) {
        Ok(stats) => stats,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "receiver's stats not read");
            return None;
        }
    };
    let position = |name| stats.position(name, "");
    let (written_at, durable_at, bytes_at) = (
        position("journal_written_seq")?,
        position("journal_durable_seq")?,
        position("journal_bytes_total")?,
    );
    let last_bytes = stats.at(bytes_at);
    Some(Live {
        path: path.to_owned(),
        stats,
        written_at,
        durable_at,
        bytes_at,
        last_bytes,
    })
}

/// Time between two looks at the files.
const LOOK_NS: u64 = 100_000_000;
/// Bytes of a record in the log, where nobody counts.
const GUESSED_RECORD_BYTES: u64 = 128;

#[cfg(test)]
mod tests {
    use tickdeck_journal::{SyncPolicy, Writer, WriterConfig};
    use tickdeck_stats::{Builder, Identity, StatsFile};

    use super::*;

    /// The stats of a receiver that has told this, or is no receiver.
    fn stats(dir: &Path, incarnation: u8, written: Option<u64>) -> StatsFile {
        let mut builder = Builder::new(Identity {
            worker_id: "T-rx".to_owned(),
            resource: "T".to_owned(),
            build_id: "test".to_owned(),
            incarnation: [incarnation; 16],
            generation: 1,
        });
        builder.begin_thread();
        let told = written.map(|written| {
            builder.gauge("journal_durable_seq", "sequence", "");
            builder.counter("journal_bytes_total", "bytes", "");
            let gauge = builder.gauge("journal_written_seq", "sequence", "");
            (gauge, written)
        });
        let file = builder.create(dir).expect("creates");
        if let Some((gauge, written)) = told {
            gauge.set(written);
        }
        file
    }

    /// The log has a writer, and what a receiver told that is gone is not its word.
    #[test]
    fn only_the_newest_receiver_tells_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, rx) = (dir.path().join("log"), dir.path().join("rx"));
        fs::create_dir(&rx).expect("creates");
        let config = WriterConfig::new(&log, 1 << 20, SyncPolicy::default(), 1);
        let _writer = Writer::open(config).expect("opens");
        let is_told = || Marks::new(&log, &rx).read(0).expect("reads").is_told;

        let old = stats(&rx, 1, Some(7));
        assert!(is_told());
        old.header().set_state(StatsState::Stopped);
        assert!(!is_told(), "it has stopped");
        // Follows the old one, whose successor has nothing to tell yet.
        old.header().set_state(StatsState::Ready);
        let mut marks = Marks::new(&log, &rx);
        marks.live = newest_stats(&rx).as_deref().and_then(open);
        let _next = stats(&rx, 2, None);
        assert!(!marks.read(0).expect("reads").is_told, "it has a successor");
    }
}
