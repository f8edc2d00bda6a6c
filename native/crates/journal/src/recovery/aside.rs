//! Setting aside: what does not belong to the log any more is kept in `quarantine/`, never deleted.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::directory::QUARANTINE;
use crate::disk::Disk;
use crate::error::JournalError;
use crate::failpoints::fp;
use crate::scan;

/// Copies `length` bytes from `offset` on into quarantine, then cuts the file there.
pub(crate) fn cut_file(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    offset: u64,
    length: u64,
) -> Result<(), JournalError> {
    let path = dir.join(name);
    copy_range(
        disk,
        dir,
        name,
        &format!("{name}.{offset}.torn"),
        offset..offset + length,
    )?;
    fp!("recovery.cut.after_copy");
    let failed = |context| {
        let path = path.clone();
        move |error| JournalError::io(context, &path, error)
    };
    let file = disk.open(&path).map_err(failed("cannot open"))?;
    file.set_len(offset).map_err(failed("cannot cut"))?;
    fp!("recovery.cut.after_truncate");
    file.sync_data().map_err(failed("cannot sync"))?;
    fp!("recovery.cut.after_sync");
    Ok(())
}

/// Copies a whole file into quarantine; the copy is durable on return, and the file where it was.
pub(crate) fn copy_file(disk: &dyn Disk, dir: &Path, name: &str) -> Result<(), JournalError> {
    copy_range(disk, dir, name, name, 0..u64::MAX)
}

/// Copies these bytes of a file, as many as there are, to a free name in quarantine.
fn copy_range(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    copy_name: &str,
    range: Range<u64>,
) -> Result<(), JournalError> {
    let path = dir.join(name);
    let quarantine = make_quarantine(disk, dir)?;
    let copy = free_name(&quarantine, copy_name);
    let failed = |context| {
        let copy = copy.clone();
        move |error| JournalError::io(context, &copy, error)
    };
    let target = disk.create_new(&copy).map_err(failed("cannot create"))?;
    let source = File::open(&path).map_err(failed("cannot read the source of"))?;
    let mut bytes = vec![0; COPY_CHUNK];
    let Range { start, end } = range;
    let length = end - start;
    let mut done = 0;
    while done < length {
        let wanted = COPY_CHUNK.min(usize::try_from(length - done).unwrap_or(COPY_CHUNK));
        let read = scan::read_up_to(&source, &mut bytes[..wanted], start + done)
            .map_err(failed("cannot read the source of"))?;
        if read == 0 {
            break;
        }
        target
            .write_all_at(&bytes[..read], done)
            .map_err(failed("cannot write"))?;
        done += read as u64;
    }
    target.sync_data().map_err(failed("cannot sync"))?;
    disk.sync_dir(&quarantine)
        .map_err(failed("cannot sync the directory of"))
}

/// Moves a whole file into quarantine; the name is gone from the log durably on return.
pub(crate) fn move_file(disk: &dyn Disk, dir: &Path, name: &str) -> Result<PathBuf, JournalError> {
    let quarantine = make_quarantine(disk, dir)?;
    let (from, to) = (dir.join(name), free_name(&quarantine, name));
    let failed = |context| {
        let from = from.clone();
        move |error| JournalError::io(context, &from, error)
    };
    disk.rename_new(&from, &to)
        .map_err(failed("cannot set aside"))?;
    fp!("recovery.aside.after_rename");
    // The new name first: a cut between the two leaves both names, never none.
    disk.sync_dir(&quarantine)
        .map_err(failed("cannot sync the quarantine of"))?;
    disk.sync_dir(dir)
        .map_err(failed("cannot sync the directory of"))?;
    fp!("recovery.aside.after_dir_sync");
    Ok(to)
}

/// A name that does not exist yet: the given one, or with a number behind.
pub(crate) fn free_name(dir: &Path, name: &str) -> PathBuf {
    let numbered = (1..).map(|number| dir.join(format!("{name}.{number}")));
    let mut names = std::iter::once(dir.join(name)).chain(numbered);
    names
        .find(|path| !path.exists())
        .expect("the names do not end")
}

/// The directory of what leaves the log, durable under its name.
pub(super) fn make_quarantine(disk: &dyn Disk, dir: &Path) -> Result<PathBuf, JournalError> {
    let quarantine = dir.join(QUARANTINE);
    let failed = |error| JournalError::io("cannot create", &quarantine, error);
    disk.create_dir(&quarantine).map_err(failed)?;
    disk.sync_dir(dir).map_err(failed)?;
    Ok(quarantine)
}

const COPY_CHUNK: usize = 256 * 1024;
