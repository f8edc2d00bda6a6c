//! The REPAIR file: a repair that has begun, and behind which sequence the log goes on when it ends.
//!
//! It is written durably before the first file is set aside, because what is set aside may be the
//! only thing that knows how far sequences were given out. Every step of a repair is found out anew
//! from what is there, so that an interrupted one is simply done again; only this figure is kept.
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `TDREPAIR` |
//! | 8 | 8 | sequence at which the log goes on |
//! | 16 | 44 | zero |
//! | 60 | 4 | masked CRC32C of 0..60 |

use std::fs;
use std::io;
use std::path::Path;

use crate::directory::{REPAIR_FILES, REPAIR_TEMPORARY};
use crate::disk::Disk;
use crate::error::{Class, JournalError, Problem};
use crate::failpoints::fp;
use crate::format::{Fields, MAX_NUMBER, get_u32, get_u64, is_zero, masked_crc};

/// The sequence at which an interrupted repair goes on; `None` when there is none.
pub(crate) fn read(dir: &Path) -> Result<Option<u64>, JournalError> {
    let mut noted = None;
    for name in REPAIR_FILES {
        noted = noted.max(read_note(dir, name)?);
    }
    Ok(noted)
}

/// Notes durably that a repair begins.
pub(crate) fn store(disk: &dyn Disk, dir: &Path, resume_seq: u64) -> Result<(), JournalError> {
    if read(dir)? >= Some(resume_seq) {
        return Ok(());
    }
    // A note is never replaced: a repair that was interrupted several times has several.
    let mut free = REPAIR_FILES.iter().map(|name| dir.join(name));
    let Some(path) = free.find(|path| !path.exists()) else {
        let text = "interrupted too often; salvage into a new log";
        let error = io::Error::other(text);
        return Err(JournalError::io("cannot repair", dir, error));
    };
    let temporary = dir.join(REPAIR_TEMPORARY);
    let failed = |error| JournalError::io("cannot write", &temporary, error);
    let file = disk.create_new(&temporary).map_err(failed)?;
    file.write_all_at(&encode(resume_seq), 0).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    fp!("recovery.intent.after_write");
    disk.rename_new(&temporary, &path).map_err(failed)?;
    fp!("recovery.intent.after_rename");
    disk.sync_dir(dir).map_err(failed)
}

/// The repair is done.
pub(crate) fn remove(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    let paths = REPAIR_FILES.map(|name| dir.join(name));
    let mut removed = false;
    for path in paths.iter().filter(|path| path.exists()) {
        let failed = |error| JournalError::io("cannot remove", path, error);
        disk.remove(path).map_err(failed)?;
        fp!("recovery.intent.after_remove");
        removed = true;
    }
    if removed {
        let failed = |error| JournalError::io("cannot sync", dir, error);
        disk.sync_dir(dir).map_err(failed)?;
    }
    Ok(())
}

fn read_note(dir: &Path, name: &str) -> Result<Option<u64>, JournalError> {
    let path = dir.join(name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("cannot read", &path, error)),
    };
    parse(&bytes).map(Some).ok_or_else(|| {
        JournalError::Damaged(Problem {
            file: name.into(),
            offset: 0,
            class: Class::UnfinishedRepair,
            from: None,
            to: None,
            detail: "a repair was interrupted and its note is damaged; salvage into a new log"
                .into(),
        })
    })
}

fn encode(resume_seq: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut fields = Fields(&mut bytes);
    fields.bytes(0, MAGIC);
    fields.u64(8, resume_seq);
    let crc = masked_crc(&bytes[..CRC_AT]);
    Fields(&mut bytes).u32(CRC_AT, crc);
    bytes
}

/// The sequence in a note; `None` when it is not one.
pub(crate) fn parse(bytes: &[u8]) -> Option<u64> {
    let valid = bytes.len() == LEN
        && bytes[..8] == *MAGIC
        && get_u32(bytes, CRC_AT) == masked_crc(&bytes[..CRC_AT])
        && is_zero(&bytes[16..CRC_AT]);
    valid
        .then(|| get_u64(bytes, 8))
        .filter(|seq| (1..=MAX_NUMBER).contains(seq))
}

const MAGIC: &[u8; 8] = b"TDREPAIR";
const LEN: usize = 64;
const CRC_AT: usize = 60;
