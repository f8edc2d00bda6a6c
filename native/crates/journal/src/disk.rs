//! Every operation that changes the disk, behind a seam.
//!
//! The writer and recovery change files only through [`Disk`], so that tests can record each
//! operation, fail the n-th one, and rebuild what a power cut would have left.

#[cfg(test)]
pub(crate) mod recording;

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, CWD, FallocateFlags, RenameFlags};

use crate::failpoints::fp;

/// A file system.
pub(crate) trait Disk: Debug + Send {
    /// Creates a file that must not exist, mode 0640.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for changes.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file a second name; fails when that exists.
    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames; fails when the new name exists.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames over whatever has the new name.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory, mode 0750; an existing one is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send {
    /// Writes at an offset, perhaps only some of the bytes; gives how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes data and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Allocates and extends to `len`; false when the file system cannot.
    fn allocate(&self, len: u64) -> io::Result<bool>;
    /// Drops clean cached pages, so that the next read comes from the device.
    fn evict(&self) -> io::Result<()>;
    /// True when `path` still names this file.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
    /// The open descriptor, to be read through: no other one is needed for that.
    fn descriptor(&self) -> Arc<File>;

    /// Writes all bytes at an offset, in as many pieces as the system wants.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write_at(bytes, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
            offset += written as u64;
        }
        Ok(())
    }
}

/// Runs a system call again when a signal came in between. One that is interrupted for ever is an
/// error like any other.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..INTERRUPTIONS {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
    call()
}

/// Free bytes of the file system that holds `path`, for this user.
///
/// # Errors
///
/// What the system answers.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let info = rustix::fs::statvfs(path)?;
    Ok(info.f_bavail.saturating_mul(info.f_frsize))
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o640);
        Ok(Box::new(RealFile(Arc::new(retry(|| options.open(path))?))))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        Ok(Box::new(RealFile(Arc::new(retry(|| options.open(path))?))))
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(
            CWD,
            from,
            CWD,
            to,
            RenameFlags::NOREPLACE,
        )?)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o750).create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fp!("disk.sync_dir", return);
        let dir = retry(|| File::open(path))?;
        retry(|| dir.sync_all())
    }
}

#[derive(Debug)]
struct RealFile(Arc<File>);

impl DiskFile for RealFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        fp!("disk.write", return);
        retry(|| self.0.write_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        fp!("disk.sync", return);
        retry(|| self.0.sync_data())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        retry(|| self.0.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        let answer = retry(|| {
            Ok(rustix::fs::fallocate(
                &*self.0,
                FallocateFlags::empty(),
                0,
                len,
            )?)
        });
        match answer {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(NOT_SUPPORTED) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn evict(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&*self.0, 0, None, Advice::DontNeed)?)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let mine = self.0.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (mine.dev(), mine.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn descriptor(&self) -> Arc<File> {
        Arc::clone(&self.0)
    }
}

const INTERRUPTIONS: u32 = 100;
const NOT_SUPPORTED: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();
