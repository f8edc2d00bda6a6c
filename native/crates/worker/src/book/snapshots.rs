//! The snapshot directory: choosing a snapshot at the start, writing them, keeping the last two.
//!
//! A snapshot is `books.<cursor>.snap`, the cursor in twenty digits so that names sort. It is
//! written as `.tmp`, synced, renamed, and the directory synced: under its name a snapshot is
//! whole, whenever the power fails. One that is refused is renamed to `.refused` and left for a
//! human; an older one is tried.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tickdeck_book::BooksConfig;
use tickdeck_book::snapshot::{self, Restored};
use tickdeck_journal::{BOOK_PIN, Pin, write_pin};
use tickdeck_net::clock;

use super::feed::{Feed, Fit};
use super::venue::{AnyVenue, BookChannel, VenueKind};
use crate::exit::{Failure, chain};

/// Snapshots kept; the older one for the case that the newer is refused.
const KEPT: usize = 2;

/// What became of a snapshot.
#[derive(Debug)]
pub(crate) struct Written {
    /// Cursor of the snapshot.
    pub(crate) cursor: u64,
    /// Bytes of the file.
    pub(crate) bytes: usize,
    /// Where it lies, or why it was not written.
    pub(crate) result: Result<PathBuf, String>,
}

/// Writes snapshots on a thread of its own, one at a time.
pub(crate) struct Snapshots {
    dir: PathBuf,
    jobs: SyncSender<Job>,
    done: Receiver<(Written, Vec<u8>)>,
    /// The buffer, while it is not with the thread.
    buffer: Option<Vec<u8>>,
    buffer_grows: u64,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    cursor: u64,
    encoded: Vec<u8>,
}

impl Snapshots {
    /// Makes the directory and starts the thread.
    pub(crate) fn start(dir: &Path, journal: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(|error| {
            Failure::failed(format!("snapshot directory {}: {error}", dir.display()))
        })?;
        let (jobs, todo) = sync_channel::<Job>(1);
        let (finished, done) = sync_channel(1);
        let (target, journal) = (dir.to_owned(), journal.to_owned());
        let work = move || {
            for Job {
                cursor,
                mut encoded,
            } in todo
            {
                snapshot::seal(&mut encoded);
                let result = write(&target, cursor, &encoded);
                if result.is_ok() {
                    pin(&target, &journal);
                }
                let bytes = encoded.len();
                let result = result.map_err(|error| format!("{}: {error}", target.display()));
                if finished
                    .send((
                        Written {
                            cursor,
                            bytes,
                            result,
                        },
                        encoded,
                    ))
                    .is_err()
                {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(work)
            .map_err(|error| Failure::failed(format!("snapshot thread: {error}")))?;
        let (dir, buffer) = (dir.to_owned(), Some(Vec::new()));
        Ok(Self {
            dir,
            jobs,
            done,
            buffer,
            buffer_grows: 0,
            thread: Some(thread),
        })
    }

    /// Restores the newest snapshot that belongs to the log of the feed, and tells how many were
    /// refused on the way.
    pub(crate) fn restore(
        &self,
        feed: &mut Feed,
        venue: VenueKind,
        config: BooksConfig,
    ) -> (Option<BookChannel>, u64) {
        let mut refused = 0;
        for (path, _) in self.list() {
            match open(&path, feed, venue.venue(config)) {
                Ok(restored) => {
                    let cursor = restored.channel.cursor();
                    let created_ns = restored.created_ns;
                    tracing::info!(path = %path.display(), cursor, created_ns, "snapshot restored");
                    return (Some(restored.channel), refused);
                }
                Err(reason) => {
                    refused += 1;
                    tracing::error!(path = %path.display(), reason, "snapshot refused");
                    set_aside(&path);
                }
            }
        }
        (None, refused)
    }

    /// Whether a snapshot can be begun: the one before is finished.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_some()
    }

    /// Copies the state and hands it to the thread; false when that is still busy.
    pub(crate) fn begin(&mut self, channel: &BookChannel, log_id: &[u8; 16], now_ns: u64) -> bool {
        let Some(mut encoded) = self.buffer.take() else {
            return false;
        };
        let room = encoded.capacity();
        channel.encode_snapshot(log_id, now_ns, &mut encoded);
        self.buffer_grows += u64::from(encoded.capacity() > room);
        let job = Job {
            cursor: channel.cursor(),
            encoded,
        };
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the snapshot thread takes no work");
                false
            }
        }
    }

    /// A snapshot that was finished since the last call.
    pub(crate) fn finished(&mut self) -> Option<Written> {
        match self.done.try_recv() {
            Ok((written, buffer)) => {
                self.buffer = Some(buffer);
                Some(written)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Waits for the snapshot that is being written, if there is one.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<Written> {
        if self.is_idle() {
            return None;
        }
        let (written, buffer) = self.done.recv_timeout(timeout).ok()?;
        self.buffer = Some(buffer);
        Some(written)
    }

    /// How often the buffer had to grow (`snapshot_payload_vec_grows_total`).
    pub(crate) fn buffer_grows(&self) -> u64 {
        self.buffer_grows
    }

    /// Snapshots by falling cursor.
    fn list(&self) -> Vec<(PathBuf, u64)> {
        list(&self.dir).unwrap_or_else(|error| {
            tracing::error!(dir = %self.dir.display(), %error, "snapshots cannot be listed");
            Vec::new()
        })
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        // Without a sender the thread ends after its present job.
        let (unused, _) = sync_channel(1);
        self.jobs = unused;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the snapshot thread panicked");
        }
    }
}

/// Reads one snapshot and checks that it belongs to the feed's log, or says why it does not.
fn open(path: &Path, feed: &mut Feed, venue: AnyVenue) -> Result<Restored<AnyVenue>, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let restored = snapshot::decode(&bytes, venue).map_err(|error| error.to_string())?;
    if Some(restored.log_id) != feed.log_id() {
        return Err("it belongs to another journal".to_owned());
    }
    let (cursor, mark) = (restored.channel.cursor(), restored.channel.last_record());
    match feed.fit(cursor, mark) {
        Ok(Fit::Fits) => Ok(restored),
        Ok(Fit::Beyond) => Err(format!("its cursor {cursor} is beyond the journal")),
        Ok(Fit::Other) => Err(format!(
            "the journal's record {} is another one",
            cursor - 1
        )),
        Err(error) => Err(format!("the journal cannot be compared: {error}")),
    }
}

/// Writes a sealed snapshot so that it is whole under its name, then removes the oldest ones.
fn write(dir: &Path, cursor: u64, sealed: &[u8]) -> io::Result<PathBuf> {
    let path = dir.join(format!("books.{cursor:020}.snap"));
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(sealed)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(dir)?.sync_all()?;
    for (old, _) in list(dir)?.into_iter().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(path)
}

/// Tells the journal's retention what the snapshots still need: the oldest one that is kept is a way
/// back when the newer one is refused, and is compared with the record before its cursor.
fn pin(dir: &Path, journal: &Path) {
    let oldest = match list(dir) {
        Ok(snapshots) => snapshots.last().map(|(_, cursor)| *cursor),
        Err(error) => {
            tracing::error!(dir = %dir.display(), %error, "snapshots cannot be listed");
            None
        }
    };
    let Some(cursor) = oldest else { return };
    let pin = Pin {
        client: BOOK_PIN.to_owned(),
        acked_seq: cursor.saturating_sub(2),
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: clock::realtime_ns(),
        lost: false,
    };
    // Without it nothing is pruned: the error is a log line, not a lost snapshot.
    if let Err(error) = write_pin(journal, &pin) {
        let error = chain(&error);
        tracing::error!(error, "the journal was not told what the snapshots need");
    }
}

/// Snapshots of a directory by falling cursor.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let cursor = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| {
                name.strip_prefix("books.")?
                    .strip_suffix(".snap")?
                    .parse()
                    .ok()
            });
        found.extend(cursor.map(|cursor: u64| (path, cursor)));
    }
    found.sort_unstable_by_key(|(_, cursor)| std::cmp::Reverse(*cursor));
    Ok(found)
}

fn set_aside(path: &Path) {
    let aside = path.with_extension("refused");
    if let Err(error) = fs::rename(path, &aside) {
        tracing::error!(path = %path.display(), %error, "refused snapshot cannot be set aside");
    }
}
