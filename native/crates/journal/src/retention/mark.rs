//! The `RETENTION` file: where the log begins since its oldest segments were pruned.
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `TDRETAIN` |
//! | 8 | 2 | version, 1 |
//! | 10 | 2 | length, 128 |
//! | 12 | 4 | zero |
//! | 16 | 16 | log_id |
//! | 32 | 8 | number of the newest segment that was pruned |
//! | 40 | 8 | its last sequence |
//! | 48 | 32 | what the segment behind it names as its end: `prev_seal_hash` |
//! | 80 | 8 | segments pruned so far |
//! | 88 | 8 | of these, set aside because they did not verify |
//! | 96 | 28 | zero |
//! | 124 | 4 | masked CRC32C of 0..124 |
//!
//! It is written durably before the first of these segments is removed: one that is missing is known
//! as pruned, and one that a crash left behind is no longer part of the log.

use std::fs;
use std::io;
use std::path::Path;

use crate::directory::{RETENTION_FILE, RETENTION_TEMPORARY};
use crate::disk::Disk;
use crate::error::JournalError;
use crate::failpoints::fp;
use crate::format::{
    Fields, MAX_NUMBER, SegmentHeader, array, get_u16, get_u32, get_u64, is_zero, masked_crc,
};

/// What was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) log_id: [u8; 16],
    pub(crate) segment: u64,
    pub(crate) last_seq: u64,
    pub(crate) closing_hash: [u8; 32],
    pub(crate) pruned: u64,
    pub(crate) quarantined: u64,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum MarkView {
    /// Nothing was ever pruned.
    #[default]
    Absent,
    Valid(Mark),
    /// Not what was written, and why.
    Damaged(&'static str),
}

impl MarkView {
    pub(crate) fn mark(&self) -> Option<&Mark> {
        match self {
            Self::Valid(mark) => Some(mark),
            Self::Absent | Self::Damaged(_) => None,
        }
    }
}

impl Mark {
    pub(crate) const LEN: usize = 128;
    const CRC_AT: usize = 124;

    /// The log begins with this segment.
    pub(crate) fn before(first: &SegmentHeader) -> Self {
        Self {
            log_id: first.log_id,
            segment: first.number.saturating_sub(1),
            last_seq: first.base_seq.saturating_sub(1),
            closing_hash: first.prev_seal_hash,
            pruned: 0,
            quarantined: 0,
        }
    }

    /// True for the segment that follows what was pruned.
    pub(crate) fn is_followed_by(&self, first: &SegmentHeader) -> bool {
        let expected = Self::before(first);
        let place = |mark: &Self| (mark.log_id, mark.segment, mark.last_seq, mark.closing_hash);
        place(self) == place(&expected) && first.prev_last_seq == self.last_seq
    }

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut fields = Fields(&mut bytes);
        fields.bytes(0, MAGIC);
        fields.u16(8, VERSION);
        fields.u16(10, Self::LEN as u16);
        fields.bytes(16, &self.log_id);
        fields.u64(32, self.segment);
        fields.u64(40, self.last_seq);
        fields.bytes(48, &self.closing_hash);
        fields.u64(80, self.pruned);
        fields.u64(88, self.quarantined);
        let crc = masked_crc(&bytes[..Self::CRC_AT]);
        Fields(&mut bytes).u32(Self::CRC_AT, crc);
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() != Self::LEN || bytes[..8] != *MAGIC {
            return Err("not a RETENTION file of 128 bytes");
        }
        if get_u32(bytes, Self::CRC_AT) != masked_crc(&bytes[..Self::CRC_AT]) {
            return Err("the CRC does not match");
        }
        if (get_u16(bytes, 8), usize::from(get_u16(bytes, 10))) != (VERSION, Self::LEN)
            || !is_zero(&bytes[12..16])
            || !is_zero(&bytes[96..Self::CRC_AT])
        {
            return Err("written by a newer build");
        }
        let mark = Self {
            log_id: array(bytes, 16),
            segment: get_u64(bytes, 32),
            last_seq: get_u64(bytes, 40),
            closing_hash: array(bytes, 48),
            pruned: get_u64(bytes, 80),
            quarantined: get_u64(bytes, 88),
        };
        if mark.segment >= MAX_NUMBER || mark.last_seq >= MAX_NUMBER {
            return Err("no segment can follow");
        }
        Ok(mark)
    }

    /// Writes the file durably in the place of the one before.
    pub(crate) fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
        let (path, temporary) = (dir.join(RETENTION_FILE), dir.join(RETENTION_TEMPORARY));
        let failed = |context| {
            let temporary = temporary.clone();
            move |error| JournalError::io(context, &temporary, error)
        };
        if temporary.exists() {
            disk.remove(&temporary).map_err(failed("cannot remove"))?;
        }
        let file = disk
            .create_new(&temporary)
            .map_err(failed("cannot create"))?;
        file.write_all_at(&self.encode(), 0)
            .map_err(failed("cannot write"))?;
        file.sync_data().map_err(failed("cannot sync"))?;
        fp!("retention.mark.after_write");
        disk.replace(&temporary, &path)
            .map_err(failed("cannot rename"))?;
        fp!("retention.mark.after_rename");
        disk.sync_dir(dir)
            .map_err(failed("cannot sync the directory of"))?;
        fp!("retention.mark.after_dir_sync");
        Ok(())
    }
}

/// Reads the file.
pub(crate) fn read(dir: &Path) -> Result<MarkView, JournalError> {
    let path = dir.join(RETENTION_FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(match Mark::parse(&bytes) {
            Ok(mark) => MarkView::Valid(mark),
            Err(detail) => MarkView::Damaged(detail),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(MarkView::Absent),
        Err(error) => Err(JournalError::io("cannot read", &path, error)),
    }
}

const MAGIC: &[u8; 8] = b"TDRETAIN";
const VERSION: u16 = 1;
