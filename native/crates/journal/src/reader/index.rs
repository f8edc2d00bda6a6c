//! The segments of a log, kept in mind: many readers share one look at the directory.
//!
//! Whoever looks reads the names in the directory and opens the files that it does not know yet. Under
//! an old name may lie another file, and that may have the old one's inode number, which file systems
//! give again at once; so a file is known by its number and the time of its last change together. A
//! look at a log of any length costs one list of names, a stat of each, and the opening of those that
//! were written since; those who read the log need none of it.
//!
//! What is shared may be older than the directory: a segment that was pruned since is still in it, one
//! that has just begun is not yet. Readers find out when they open the file, and ask again later.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bad_segment;
use super::blocks::step;
use super::segment::OpenSegment;
use crate::directory::{self, BadSegment, Listing, SegmentEntry};
use crate::error::{Class, JournalError, Problem};
use crate::format::SegmentHeader;
use crate::names::{SegmentFile, segment_files};
use crate::outline::Outline;
use crate::retention;
use crate::scan::Found;

/// Looks at the directory of a log and shares what it saw.
#[derive(Debug)]
pub struct SegmentIndex {
    shared: SharedSegments,
    files: BTreeMap<String, File>,
    tail: Option<OpenSegment>,
    counts: IndexCounts,
}

/// What the looks of a [`SegmentIndex`] have cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexCounts {
    /// Lists of names that were read.
    pub listings: u64,
    /// Segment files that were opened.
    pub opens: u64,
}

/// How far whole blocks go in the newest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The last sequence of a whole block; one less than the segment's first where there is none.
    pub last_seq: u64,
    /// Why they end there.
    pub end: TailEnd,
}

/// Why the whole blocks of the newest segment end where they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailEnd {
    /// Nothing is written behind them.
    Clean,
    /// Something is: a block that is being written, what a crash left of one, or damage.
    Unclear,
    /// There may be more, it has not been read yet: ask again.
    More,
}

/// The newest look of a [`SegmentIndex`], for as many readers as like.
#[derive(Debug, Clone)]
pub struct SharedSegments {
    dir: Arc<Path>,
    map: Arc<Mutex<Arc<SegmentMap>>>,
    /// Names under which a reader met another file than the look had seen.
    doubted: Arc<Mutex<BTreeSet<String>>>,
}

/// The readable segments of a log in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentMap {
    pub(crate) outline: Arc<Outline>,
    /// In order of number; never empty once a log was seen.
    pub(crate) places: Vec<Place>,
    /// The log is not one: a foreign segment, or two with one number.
    defect: Option<Problem>,
}

/// A segment, as its header tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
}

/// A file that was looked into; one that could not be read as a segment is looked into again.
#[derive(Debug)]
struct File {
    identity: FileIdentity,
    header: Option<SegmentHeader>,
}

/// What differs between two files, and between one and itself before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    /// Time of the last change, seconds and nanoseconds.
    changed: (i64, i64),
}

impl SegmentIndex {
    /// Looks at a log for the first time.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        let mut index = Self {
            shared: SharedSegments {
                dir: dir.as_ref().into(),
                map: Arc::default(),
                doubted: Arc::default(),
            },
            files: BTreeMap::new(),
            tail: None,
            counts: IndexCounts::default(),
        };
        index.look()?;
        Ok(index)
    }

    /// Looks again, and shares what is there now.
    ///
    /// # Errors
    ///
    /// [`JournalError::NotAJournal`] without segments, [`JournalError::Damaged`] when none can be
    /// read, [`JournalError::Io`] when the system refuses; what was seen before stays shared.
    pub fn look(&mut self) -> Result<(), JournalError> {
        let dir = Arc::clone(&self.shared.dir);
        let bad = self.read_names(&dir)?;
        // Read behind the names: what is pruned meanwhile is missing from neither.
        let pruned = retention::read_mark(&dir)?;
        let readable = self.files.iter().filter_map(|(name, file)| {
            Some(Place {
                name: name.clone(),
                header: file.header.clone()?,
            })
        });
        let is_pruned = |header: &SegmentHeader| {
            pruned
                .mark()
                .is_some_and(|mark| header.log_id == mark.log_id && header.number <= mark.segment)
        };
        let places = readable.filter(|place| !is_pruned(&place.header)).collect();
        let map = SegmentMap::new(&dir, places, bad)?;
        let mut shared = self.shared.lock();
        if **shared != map {
            *shared = Arc::new(map);
        }
        Ok(())
    }

    /// Follows the newest segment as far as whole blocks go, by at most so many bytes more than the
    /// last time.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`] when the system refuses, [`JournalError::Damaged`] when the segment can
    /// no longer be read.
    pub fn follow_tail(&mut self, most_bytes: u64) -> Result<Tail, JournalError> {
        let map = self.shared.map();
        let newest = map.places.last().expect("a log was seen");
        let is_known = |tail: &OpenSegment| tail.entry.header == newest.header;
        if !self.tail.as_ref().is_some_and(is_known) {
            self.counts.opens += 1;
            let path = self.shared.dir.join(&newest.name);
            let entry = directory::open_segment(&path, newest.name.clone())?;
            let entry = entry.map_err(bad_segment)?;
            if entry.header != newest.header {
                self.shared.doubt(&newest.name);
            }
            self.tail = Some(OpenSegment::open(entry, None)?);
        }
        let tail = self.tail.as_mut().expect("was opened");
        let begun_at = tail.chain.offset;
        let end = loop {
            if tail.has_ended() {
                break TailEnd::Clean;
            }
            if tail.chain.offset - begun_at >= most_bytes {
                break TailEnd::More;
            }
            let mut found = step(tail)?;
            if !matches!(found, Found::Block(_)) {
                // What the window holds may be older than the file.
                tail.source.forget();
                found = step(tail)?;
            }
            match found {
                Found::Block(_) => {}
                Found::Zero | Found::Eof => break TailEnd::Clean,
                Found::Bad(..) => break TailEnd::Unclear,
            }
        };
        let last_seq = tail.chain.seq - 1;
        Ok(Tail { last_seq, end })
    }

    /// What others read it by.
    #[must_use]
    pub fn shared(&self) -> SharedSegments {
        self.shared.clone()
    }

    /// What all looks have cost so far.
    #[must_use]
    pub fn counts(&self) -> IndexCounts {
        self.counts
    }

    /// Learns new files and forgets those that are gone; gives the first one that cannot be read.
    fn read_names(&mut self, dir: &Path) -> Result<Option<BadSegment>, JournalError> {
        self.counts.listings += 1;
        for name in self.shared.take_doubted() {
            self.files.remove(&name);
        }
        let files = match segment_files(dir) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = dir.to_owned();
                return Err(JournalError::NotAJournal { dir });
            }
            Err(error) => return Err(JournalError::io("cannot list", dir, error)),
        };
        let (mut seen, mut bad) = (BTreeSet::new(), None);
        for SegmentFile { name, path } in files {
            // Taken before the header is read: what is put there in between differs the next time.
            let identity = match FileIdentity::of(&path) {
                Ok(identity) => identity,
                // Pruned since the names were read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(JournalError::io("cannot look at", &path, error)),
            };
            let known = self.files.get(&name);
            let is_known =
                known.is_some_and(|file| file.identity == identity && file.header.is_some());
            if !is_known {
                self.counts.opens += 1;
                match directory::open_segment(&path, name.clone()) {
                    Ok(found) => {
                        let header = match found {
                            Ok(segment) => Some(segment.header),
                            Err(found) => {
                                bad.get_or_insert(found);
                                None
                            }
                        };
                        self.files.insert(name.clone(), File { identity, header });
                    }
                    // Pruned just now.
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(error),
                }
            }
            seen.insert(name);
        }
        self.files.retain(|name, _| seen.contains(name));
        Ok(bad)
    }
}

impl SharedSegments {
    /// What the headers of the segments say.
    #[must_use]
    pub fn outline(&self) -> Arc<Outline> {
        Arc::clone(&self.lock().outline)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn map(&self) -> Arc<SegmentMap> {
        Arc::clone(&self.lock())
    }

    /// The next look opens the file of this name, whatever it seems to know of it.
    fn doubt(&self, name: &str) {
        self.lock_doubted().insert(name.to_owned());
    }

    fn take_doubted(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock_doubted())
    }

    fn lock_doubted(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<SegmentMap>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileIdentity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl SegmentMap {
    /// The readable segments of a directory, in any order.
    fn new(
        dir: &Path,
        mut places: Vec<Place>,
        bad: Option<BadSegment>,
    ) -> Result<Self, JournalError> {
        places.sort_by(|a, b| (a.header.number, &a.name).cmp(&(b.header.number, &b.name)));
        if places.is_empty() {
            let none = || JournalError::NotAJournal {
                dir: dir.to_owned(),
            };
            return Err(bad.map_or_else(none, bad_segment));
        }
        let outline = Outline::of(places.iter().map(|place| &place.header));
        Ok(Self {
            outline: Arc::new(outline),
            defect: defect(&places),
            places,
        })
    }

    /// As [`SegmentMap::new`], by a look at each file.
    fn read(dir: &Path) -> Result<Self, JournalError> {
        let Listing { segments, bad, .. } = directory::list(dir)?;
        let place = |entry: SegmentEntry| Place {
            name: entry.name,
            header: entry.header,
        };
        let places = segments.into_iter().map(place).collect();
        Self::new(dir, places, bad.into_iter().next())
    }

    /// Opens the segment at a position of [`places`](Self::places). It knows whether it was abandoned.
    pub(super) fn open(&self, catalog: &Catalog, at: usize) -> Result<Opened, JournalError> {
        let place = &self.places[at];
        let path = catalog.dir().join(&place.name);
        let mut entry = match directory::open_segment(&path, place.name.clone()) {
            Ok(Ok(entry)) if entry.header == place.header => entry,
            Ok(Ok(_)) => {
                if let Catalog::Shared(shared) = catalog {
                    shared.doubt(&place.name);
                }
                return Ok(Opened::Gone);
            }
            Ok(Err(_)) => return Ok(Opened::Unreadable),
            Err(error) if error.is_not_found() => return Ok(Opened::Gone),
            Err(error) => return Err(error),
        };
        if let Some(next) = self.places.get(at + 1) {
            entry.abandoned_at = entry.abandoned_by(&next.header);
            if entry.abandoned_at.is_some() {
                entry.seal = None;
            }
        }
        Ok(Opened::Segment(Box::new(entry)))
    }
}

/// What became of a segment since it was seen.
pub(super) enum Opened {
    Segment(Box<SegmentEntry>),
    /// It was pruned or replaced.
    Gone,
    /// Its header is damaged.
    Unreadable,
}

/// Where a cursor knows segments from.
#[derive(Debug)]
pub(super) enum Catalog {
    /// A look of its own each time.
    Own(PathBuf),
    Shared(SharedSegments),
}

impl Catalog {
    pub(super) fn dir(&self) -> &Path {
        match self {
            Self::Own(dir) => dir,
            Self::Shared(shared) => shared.dir(),
        }
    }

    /// The segments of the log, none of them foreign or double; never empty.
    pub(super) fn look(&self) -> Result<Arc<SegmentMap>, JournalError> {
        let map = match self {
            Self::Own(dir) => Arc::new(SegmentMap::read(dir)?),
            Self::Shared(shared) => shared.map(),
        };
        match &map.defect {
            Some(defect) => Err(JournalError::Damaged(defect.clone())),
            None => Ok(map),
        }
    }
}

fn defect(places: &[Place]) -> Option<Problem> {
    places.windows(2).find_map(|pair| {
        let class = if pair[0].header.log_id != pair[1].header.log_id {
            Class::ForeignSegment
        } else if pair[0].header.number == pair[1].header.number {
            Class::DuplicateSegment
        } else {
            return None;
        };
        Some(Problem {
            file: pair[1].name.clone(),
            offset: 0,
            class,
            from: None,
            to: None,
            detail: format!("stands beside {}", pair[0].name),
        })
    })
}
