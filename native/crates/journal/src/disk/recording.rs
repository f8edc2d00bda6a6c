//! A disk that remembers every operation, fails the n-th call on request, and rebuilds what a power
//! cut could have left.
//!
//! Model: data of a file is durable up to its last sync, names in a directory up to its last sync.
//! Of what came later, a cut keeps a part. [`Cut::Ordered`] keeps a prefix and tears the write on
//! its edge at a 512-byte sector; [`Cut::Chaotic`] keeps or drops every sector and every name by
//! itself.
//!
//! A sync that fails has thrown away what it should have written: no later sync makes that durable,
//! though the cache shows it until it is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile, RealDisk, retry};

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

/// Kinds of calls that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Write,
    Sync,
    SetLen,
    Allocate,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// With this error number.
    Errno(i32),
    /// A write writes a part, other calls are interrupted by a signal.
    Short,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Number of the call, from 0.
    pub(crate) at: usize,
    pub(crate) how: How,
    /// All later calls of the same kind fail as well.
    pub(crate) persistent: bool,
}

#[derive(Debug, Default)]
struct Log {
    ops: Vec<Op>,
    /// Which file a name means now.
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    calls: usize,
    fault: Option<Fault>,
    /// Calls of other kinds do not fail.
    kind: Option<Call>,
    /// The kind of call that has failed.
    failed: Option<Call>,
    /// Files on which a call failed: nobody may change or sync them any more.
    spoiled: BTreeSet<usize>,
    /// 0 while nobody outside would see that a call hangs, and the calls at such times.
    busy_since_ns: Option<Arc<AtomicU64>>,
    unseen: Vec<Call>,
}

#[derive(Debug, Clone)]
enum Op {
    Name(NameOp),
    Data(usize, DataOp),
    Sync(usize),
    /// What was written since the sync before is lost, except for what the cache shows.
    FailedSync(usize),
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

    /// Lets a call fail.
    pub(crate) fn fail(&self, fault: Fault) {
        self.log().fault = Some(fault);
    }

    /// Lets the next call of a kind fail; `at` has no meaning.
    pub(crate) fn fail_kind(&self, call: Call, fault: Fault) {
        let mut log = self.log();
        (log.fault, log.kind, log.failed) = (Some(fault), Some(call), None);
    }

    /// The device is mended, and the writer may be another one.
    pub(crate) fn mend(&self) {
        let mut log = self.log();
        log.fault = None;
        log.spoiled.clear();
    }

    /// Calls so far that can fail.
    pub(crate) fn calls(&self) -> usize {
        self.log().calls
    }

    /// Notes what the writer calls durable now.
    pub(crate) fn acknowledge(&self, durable_seq: u64) {
        self.log().ops.push(Op::Ack(durable_seq));
    }

    /// From now on, notes each call made while this is 0; gives those so far.
    pub(crate) fn watch(&self, busy_since_ns: Option<Arc<AtomicU64>>) -> Vec<Call> {
        let mut log = self.log();
        log.busy_since_ns = busy_since_ns;
        std::mem::take(&mut log.unseen)
    }

    /// Operations so far.
    pub(crate) fn len(&self) -> usize {
        self.log().ops.len()
    }

    /// What kind of call has failed first.
    pub(crate) fn failed_call(&self) -> Option<Call> {
        self.log().failed
    }

    /// What was acknowledged within the first `ops` operations.
    pub(crate) fn acknowledged(&self, ops: usize) -> u64 {
        let acks = |op: &Op| match op {
            Op::Ack(seq) => Some(*seq),
            _ => None,
        };
        let log = self.log();
        log.ops[..ops].iter().filter_map(acks).max().unwrap_or(0)
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
    let is_synced = |at: usize| {
        let next = ops[at..].iter().find_map(|op| match op {
            Op::Sync(id) if *id == file => Some(true),
            Op::FailedSync(id) if *id == file => Some(false),
            _ => None,
        });
        next == Some(true)
    };
    let mut bytes = Vec::new();
    let mut lost = false;
    for (at, op) in ops.iter().enumerate() {
        let Op::Data(id, op) = op else { continue };
        if *id != file {
            continue;
        }
        if is_synced(at) {
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

    /// How this call fails, if it does.
    fn failure(&mut self, call: Call) -> Option<How> {
        let number = self.calls;
        self.calls += 1;
        let busy = self.busy_since_ns.as_ref();
        if busy.is_some_and(|since_ns| since_ns.load(Ordering::Acquire) == 0) {
            self.unseen.push(call);
        }
        let fault = self.fault?;
        let again = fault.persistent && self.failed == Some(call);
        let is_other = self.kind.is_some_and(|kind| kind != call);
        if is_other || (!again && (number < fault.at || self.failed.is_some())) {
            return None;
        }
        self.failed = Some(call);
        Some(fault.how)
    }

    /// As [`check`](Self::check), for a call that changes or syncs a file.
    fn check_file(&mut self, call: Call, file: usize) -> io::Result<()> {
        assert!(
            !self.spoiled.contains(&file),
            "{call:?} on a file that has failed"
        );
        let result = self.check(call);
        if matches!(&result, Err(error) if error.kind() != io::ErrorKind::Interrupted) {
            self.spoiled.insert(file);
        }
        result
    }

    /// The error of a call that writes no data.
    fn check(&mut self, call: Call) -> io::Result<()> {
        match self.failure(call) {
            None => Ok(()),
            Some(How::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(How::Short) => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// What the device has of a file once its cache is dropped.
    fn device_content(&self, file: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, op) in self.ops.iter().enumerate() {
            let Op::Data(id, op) = op else { continue };
            let is_lost = self.ops[at..].iter().find_map(|op| match op {
                Op::Sync(id) if *id == file => Some(false),
                Op::FailedSync(id) if *id == file => Some(true),
                _ => None,
            });
            if *id != file {
                continue;
            }
            match op {
                DataOp::SetLen(_) => apply(&mut bytes, op, &mut |_| true),
                DataOp::Write(..) => apply(&mut bytes, op, &mut |_| is_lost != Some(true)),
            }
        }
        bytes
    }
}

impl Disk for RecordingDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        retry(|| self.log().check(Call::Create))?;
        let file = RealDisk.create_new(path)?;
        let id = self.log().create(path);
        Ok(Box::new(RecordingFile {
            disk: self.clone(),
            id,
            file,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        retry(|| self.log().check(Call::Open))?;
        let file = RealDisk.open(path)?;
        let id = self.log().names[path];
        Ok(Box::new(RecordingFile {
            disk: self.clone(),
            id,
            file,
        }))
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        retry(|| self.log().check(Call::Rename))?;
        RealDisk.link_new(from, to)?;
        let mut log = self.log();
        let file = log.names[from];
        log.names.insert(to.to_owned(), file);
        log.ops.push(Op::Name(NameOp::Create(to.to_owned(), file)));
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.renamed(from, to, RealDisk::rename_new)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.renamed(from, to, RealDisk::replace)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        retry(|| self.log().check(Call::Remove))?;
        RealDisk.remove(path)?;
        let mut log = self.log();
        log.names.remove(path);
        log.ops.push(Op::Name(NameOp::Remove(path.to_owned())));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        retry(|| self.log().check(Call::SyncDir))?;
        self.log().ops.push(Op::SyncDir(path.to_owned()));
        Ok(())
    }
}

impl RecordingDisk {
    fn renamed(
        &self,
        from: &Path,
        to: &Path,
        rename: fn(&RealDisk, &Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        retry(|| self.log().check(Call::Rename))?;
        rename(&RealDisk, from, to)?;
        let mut log = self.log();
        let file = log.names.remove(from).expect("a known file");
        log.names.insert(to.to_owned(), file);
        log.ops
            .push(Op::Name(NameOp::Rename(from.to_owned(), to.to_owned())));
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
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        retry(|| self.write_once(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = retry(|| self.disk.log().check_file(Call::Sync, self.id));
        self.disk.log().ops.push(match result {
            Ok(()) => Op::Sync(self.id),
            Err(_) => Op::FailedSync(self.id),
        });
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        retry(|| self.disk.log().check_file(Call::SetLen, self.id))?;
        self.file.set_len(len)?;
        let op = Op::Data(self.id, DataOp::SetLen(len));
        self.disk.log().ops.push(op);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        retry(|| self.disk.log().check_file(Call::Allocate, self.id))?;
        self.file.set_len(len)?;
        let op = Op::Data(self.id, DataOp::SetLen(len));
        self.disk.log().ops.push(op);
        Ok(true)
    }

    /// Shows what a failed sync has lost.
    fn evict(&self) -> io::Result<()> {
        let log = self.disk.log();
        let has_lost = |op: &Op| matches!(op, Op::FailedSync(id) if *id == self.id);
        if log.ops.iter().any(has_lost) {
            let bytes = log.device_content(self.id);
            self.file.set_len(bytes.len() as u64)?;
            self.file.write_all_at(&bytes, 0)?;
        }
        Ok(())
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.file.is_at(path)
    }

    fn descriptor(&self) -> Arc<fs::File> {
        self.file.descriptor()
    }
}

impl RecordingFile {
    fn write_once(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut log = self.disk.log();
        assert!(
            !log.spoiled.contains(&self.id),
            "a write to a file that has failed"
        );
        let failure = log.failure(Call::Write);
        if failure == Some(How::Errno(EINTR)) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // A failing write may have written a part.
        let len = match failure {
            Some(_) => bytes.len().div_ceil(2),
            None => bytes.len(),
        };
        self.file.write_all_at(&bytes[..len], offset)?;
        log.ops.push(Op::Data(
            self.id,
            DataOp::Write(offset, bytes[..len].to_vec()),
        ));
        match failure {
            Some(How::Errno(errno)) => {
                log.spoiled.insert(self.id);
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => Ok(len),
        }
    }
}

const EINTR: i32 = 4;

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
