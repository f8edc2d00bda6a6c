use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Release;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::StatsError;
use crate::handles::{Live, Region};
use crate::header::{Header, monotonic_ns, realtime_ns};
use crate::image::{Origin, Plan};
use crate::layout;
use crate::mapping::Mapping;

/// A published stats file. It stays on disk and mapped when this value is dropped.
pub struct StatsFile {
    path: PathBuf,
    header: Header,
}

impl StatsFile {
    /// The signs of life in the header; clones may go to every thread.
    pub fn header(&self) -> Header {
        self.header.clone()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn create(dir: &Path, plan: &Plan, region: &Region) -> Result<Self, StatsError> {
        let path = dir.join(layout::file_name(&plan.identity.incarnation));
        let temporary = path.with_extension("dat.tmp");
        let image = plan.image(&Origin::of_this_process()?);
        let mapping = write_and_map(&temporary, &image)
            .and_then(|mapping| match fs::rename(&temporary, &path) {
                Ok(()) => Ok(mapping),
                Err(source) => Err(StatsError::io(
                    "rename to the final name",
                    &temporary,
                    source,
                )),
            })
            .inspect_err(|_| remove_leftover(&temporary))?;
        let words = Box::leak(Box::new(mapping)).words();
        words[layout::AT_MAGIC / 8].store(layout::MAGIC, Release);
        let sections = plan.sections();
        let live = Live {
            words,
            values_at: sections.values_at / 8,
            histograms_at: sections.histograms_at / 8,
            gaps_at: sections.gaps_at / 8,
        };
        let is_first = region.set(live).is_ok();
        assert!(
            is_first,
            "a builder is consumed by the one file that it creates"
        );
        Ok(Self {
            path,
            header: Header::new(words),
        })
    }
}

fn write_and_map(path: &Path, image: &[u8]) -> Result<Mapping, StatsError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(path)
        .map_err(|source| StatsError::io("create", path, source))?;
    allocate(&file, image.len()).map_err(|source| StatsError::io("allocate", path, source))?;
    file.write_all(image)
        .map_err(|source| StatsError::io("fill", path, source))?;
    Mapping::writable(&file, image.len()).map_err(|source| StatsError::io("map", path, source))
}

/// Reserves the pages now: a store into a hole of a full tmpfs would be a SIGBUS. A file system
/// without the call is served as well, because the whole image is written afterwards.
fn allocate(file: &File, length: usize) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length as u64) {
        Err(error) if error != Errno::OPNOTSUPP => Err(error.into()),
        _ => Ok(()),
    }
}

/// The caller already returns the error that counts; a file that was never made cannot be removed.
fn remove_leftover(path: &Path) {
    drop(fs::remove_file(path));
}

impl Origin {
    fn of_this_process() -> Result<Self, StatsError> {
        Ok(Self {
            boot_id: boot_id()?,
            start_ticks: start_ticks()?,
            pid: rustix::process::getpid()
                .as_raw_nonzero()
                .get()
                .cast_unsigned(),
            uid: rustix::process::getuid().as_raw(),
            mono_ns: monotonic_ns(),
            real_ns: realtime_ns(),
        })
    }
}

fn boot_id() -> Result<[u8; 16], StatsError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(|source| StatsError::io("read", path, source))?;
    layout::parse_incarnation(text.trim())
        .ok_or_else(|| StatsError::damaged(path, format!("{text:?} is no uuid")))
}

/// Field 22 of the process's stat line. The name in field 2 may hold anything, so fields are
/// counted behind the last parenthesis.
fn start_ticks() -> Result<u64, StatsError> {
    let path = Path::new("/proc/self/stat");
    let text = fs::read_to_string(path).map_err(|source| StatsError::io("read", path, source))?;
    text.rsplit_once(')')
        .and_then(|(_, fields)| fields.split_whitespace().nth(19))
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| StatsError::damaged(path, "it has no start time"))
}
