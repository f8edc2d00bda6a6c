//! A disk that remembers every operation, fails the n-th one on request, and rebuilds what a power
//! cut could have left.
//!
//! Model: data of a file is durable up to its last sync, names in a directory up to its last sync.
//! Of what came later, a cut keeps a part. [`Cut::Ordered`] keeps a prefix and tears the write on
//! its edge at a 512-byte sector; [`Cut::Chaotic`] keeps or drops every sector and every name by
//! itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile, RealDisk};

/// Which unsynced changes a power cut keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Ordered,
    Chaotic,
}

/// A disk that records; clones share the record.
#[derive(Debug, Clone)]
pub(crate) struct RecordingDisk {
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    ops: Vec<Op>,
    /// Which file a name means now.
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    fail_at: Option<(usize, io::ErrorKind)>,
    failed: bool,
}

#[derive(Debug, Clone)]
enum Op {
    Name(NameOp),
    Data(usize, DataOp),
    Sync(usize),
    SyncDir(PathBuf),
    Ack(u64),
}

#[derive(Debug, Clone)]
enum NameOp {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug, Clone)]
enum DataOp {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl RecordingDisk {
    pub(crate) fn new() -> Self {
        Self {
            log: Arc::default(),
        }
    }

    /// A disk on which a directory already exists durably.
    pub(crate) fn with_existing(dir: &Path) -> Self {
        let disk = Self::new();
        let mut dirs = vec![dir.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).expect("lists") {
                let path = entry.expect("lists").path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let bytes = fs::read(&path).expect("reads");
                let mut log = disk.log();
                let file = log.create(&path);
                log.ops.push(Op::Data(file, DataOp::Write(0, bytes)));
                log.ops.push(Op::Sync(file));
            }
            disk.log().ops.push(Op::SyncDir(dir));
        }
        disk
    }

    /// Lets the operation with this number fail, once; numbers count from the start of the record.
    pub(crate) fn fail_at(&self, op: usize, kind: io::ErrorKind) {
        self.log().fail_at = Some((op, kind));
    }

    /// Notes what the writer calls durable now.
    pub(crate) fn acknowledge(&self, durable_seq: u64) {
        self.log().ops.push(Op::Ack(durable_seq));
    }

    /// Operations so far.
    pub(crate) fn len(&self) -> usize {
        self.log().ops.len()
    }

    /// True once the operation of [`fail_at`](Self::fail_at) has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.log().failed
    }

    /// What was acknowledged within the first `ops` operations.
    pub(crate) fn acknowledged(&self, ops: usize) -> u64 {
        let acks = |op: &Op| {
            if let Op::Ack(seq) = op {
                Some(*seq)
            } else {
                None
            }
        };
        self.log().ops[..ops]
            .iter()
            .filter_map(acks)
            .max()
            .unwrap_or(0)
    }

    /// Writes into `to` what a power cut after `ops` operations in `from` could leave.
    pub(crate) fn cut(&self, ops: usize, cut: Cut, seed: u64, from: &Path, to: &Path) {
        let log = self.log();
        let ops = &log.ops[..ops];
        let mut random = Random(seed);
        let mut names = BTreeMap::new();
        for op in kept_names(ops, cut, &mut random) {
            match op {
                NameOp::Create(path, file) => {
                    names.insert(path, file);
                }
                NameOp::Rename(old, new) => {
                    if let Some(file) = names.remove(&old) {
                        names.insert(new, file);
                    }
                }
                NameOp::Remove(path) => {
                    names.remove(&path);
                }
            }
        }
        for (path, file) in names {
            let target = to.join(path.strip_prefix(from).expect("below the journal"));
            fs::create_dir_all(target.parent().expect("has a parent")).expect("creates");
            fs::write(target, content(ops, file, cut, &mut random)).expect("writes");
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log
            .lock()
            .expect("no test panics while it holds the record")
    }
}

/// Changes of names that survive.
fn kept_names(ops: &[Op], cut: Cut, random: &mut Random) -> Vec<NameOp> {
    let parent = |op: &NameOp| match op {
        NameOp::Create(path, _) | NameOp::Remove(path) | NameOp::Rename(_, path) => {
            path.parent().expect("has a parent").to_owned()
        }
    };
    let mut kept = Vec::new();
    let mut lost_dirs = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let Op::Name(op) = op else { continue };
        let dir = parent(op);
        let synced = ops[at..]
            .iter()
            .any(|later| matches!(later, Op::SyncDir(path) if *path == dir));
        let lost_before = cut == Cut::Ordered && lost_dirs.contains(&dir);
        if synced || (!lost_before && random.coin()) {
            kept.push(op.clone());
        } else {
            lost_dirs.push(dir);
        }
    }
    kept
}

/// Content of a file after the cut.
fn content(ops: &[Op], file: usize, cut: Cut, random: &mut Random) -> Vec<u8> {
    let synced = ops
        .iter()
        .rposition(|op| matches!(op, Op::Sync(id) if *id == file));
    let mut bytes = Vec::new();
    let mut lost = false;
    for (at, op) in ops.iter().enumerate() {
        let Op::Data(id, op) = op else { continue };
        if *id != file {
            continue;
        }
        if synced.is_some_and(|synced| at < synced) {
            apply(&mut bytes, op, &mut |_| true);
            continue;
        }
        match (cut, op) {
            (Cut::Chaotic, DataOp::Write(..)) => apply(&mut bytes, op, &mut |_| random.coin()),
            (Cut::Chaotic, DataOp::SetLen(_)) => {
                if random.coin() {
                    apply(&mut bytes, op, &mut |_| true);
                }
            }
            (Cut::Ordered, _) if lost => {}
            (Cut::Ordered, DataOp::Write(..)) => {
                // Half of the writes on the way are whole, the first other one is torn.
                let mut sectors = if random.coin() {
                    u64::MAX
                } else {
                    random.below(8)
                };
                lost = sectors != u64::MAX;
                apply(&mut bytes, op, &mut |_| {
                    let keep = sectors > 0;
                    sectors = sectors.saturating_sub(1);
                    keep
                });
            }
            (Cut::Ordered, DataOp::SetLen(_)) => {
                lost = random.coin();
                if !lost {
                    apply(&mut bytes, op, &mut |_| true);
                }
            }
        }
    }
    bytes
}

/// Applies an operation; of a write, the sectors that `keep` wants.
fn apply(bytes: &mut Vec<u8>, op: &DataOp, keep: &mut dyn FnMut(u64) -> bool) {
    match op {
        DataOp::SetLen(len) => bytes.resize(usize::try_from(*len).expect("small"), 0),
        DataOp::Write(offset, new) => {
            let offset = usize::try_from(*offset).expect("small");
            let mut at = 0;
            while at < new.len() {
                let sector = (offset + at) / SECTOR;
                let end = ((sector + 1) * SECTOR - offset).min(new.len());
                if keep(sector as u64) {
                    let length = bytes.len().max(offset + end);
                    bytes.resize(length, 0);
                    bytes[offset + at..offset + end].copy_from_slice(&new[at..end]);
                }
                at = end;
            }
        }
    }
}

impl Log {
    fn create(&mut self, path: &Path) -> usize {
        let file = self.files;
        self.files += 1;
        self.names.insert(path.to_owned(), file);
        self.ops
            .push(Op::Name(NameOp::Create(path.to_owned(), file)));
        file
    }

    /// The error that the next operation must give, if it is its turn.
    fn failure(&mut self) -> io::Result<()> {
        match self.fail_at {
            Some((at, kind)) if self.ops.len() >= at && !self.failed => {
                self.failed = true;
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }
}

impl Disk for RecordingDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut log = self.log();
        log.failure()?;
        let file = RealDisk.create_new(path)?;
        let id = log.create(path);
        Ok(Box::new(RecordingFile {
            disk: self.clone(),
            id,
            file,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.open(path)?;
        let id = self.log().names[path];
        Ok(Box::new(RecordingFile {
            disk: self.clone(),
            id,
            file,
        }))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut log = self.log();
        log.failure()?;
        RealDisk.rename_new(from, to)?;
        let file = log.names.remove(from).expect("a known file");
        log.names.insert(to.to_owned(), file);
        log.ops
            .push(Op::Name(NameOp::Rename(from.to_owned(), to.to_owned())));
        Ok(())
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut log = self.log();
        log.failure()?;
        RealDisk.replace(from, to)?;
        let file = log.names.remove(from).expect("a known file");
        log.names.insert(to.to_owned(), file);
        log.ops
            .push(Op::Name(NameOp::Rename(from.to_owned(), to.to_owned())));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut log = self.log();
        log.failure()?;
        RealDisk.remove(path)?;
        log.names.remove(path);
        log.ops.push(Op::Name(NameOp::Remove(path.to_owned())));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut log = self.log();
        log.failure()?;
        log.ops.push(Op::SyncDir(path.to_owned()));
        Ok(())
    }
}

#[derive(Debug)]
struct RecordingFile {
    disk: RecordingDisk,
    id: usize,
    file: Box<dyn DiskFile>,
}

impl DiskFile for RecordingFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut log = self.disk.log();
        if let Err(error) = log.failure() {
            // A failing write may have written a part.
            let part = &bytes[..bytes.len() / 2];
            self.file.write_all_at(part, offset)?;
            log.ops
                .push(Op::Data(self.id, DataOp::Write(offset, part.to_vec())));
            return Err(error);
        }
        self.file.write_all_at(bytes, offset)?;
        log.ops
            .push(Op::Data(self.id, DataOp::Write(offset, bytes.to_vec())));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut log = self.disk.log();
        log.failure()?;
        log.ops.push(Op::Sync(self.id));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut log = self.disk.log();
        log.failure()?;
        self.file.set_len(len)?;
        log.ops.push(Op::Data(self.id, DataOp::SetLen(len)));
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        let mut log = self.disk.log();
        log.failure()?;
        self.file.set_len(len)?;
        log.ops.push(Op::Data(self.id, DataOp::SetLen(len)));
        Ok(true)
    }

    fn evict(&self) -> io::Result<()> {
        Ok(())
    }
}

/// SplitMix64: small, seeded, good enough to choose what a cut keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

const SECTOR: usize = 512;
