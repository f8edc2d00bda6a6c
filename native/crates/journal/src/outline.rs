//! What the headers of the segments say, for those who need no more: 128 bytes of each file.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::JournalError;
use crate::format::SegmentHeader;
use crate::names::{SegmentFile, segment_files};
use crate::scan;

/// A log from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// Identity.
    pub log_id: [u8; 16],
    /// What the payloads are, as the log's writer numbers it.
    pub schema_id: u32,
    /// Oldest sequence kept.
    pub first_seq: u64,
    /// Each epoch that has a segment, with the first sequence of its first one; rising.
    pub epochs: Vec<(u64, u64)>,
    /// Segment files that could be read.
    pub segments: usize,
}

/// Reads the headers of a log. Files that cannot be read, or are of another log than the oldest one,
/// are left out: whoever reads records finds them.
///
/// # Errors
///
/// [`JournalError::NotAJournal`] without a readable segment, [`JournalError::Io`] when the system
/// refuses.
pub fn outline(dir: impl AsRef<Path>) -> Result<Outline, JournalError> {
    let dir = dir.as_ref();
    let mut headers = read_headers(dir)?;
    headers.sort_by_key(|header| header.number);
    if headers.is_empty() {
        let dir = dir.to_owned();
        return Err(JournalError::NotAJournal { dir });
    }
    Ok(Outline::of(headers.iter()))
}

impl Outline {
    /// Of headers in order of their numbers.
    pub(crate) fn of<'a>(headers: impl Iterator<Item = &'a SegmentHeader>) -> Self {
        let mut outline = Self::default();
        for header in headers {
            if outline.segments == 0 {
                (outline.log_id, outline.schema_id) = (header.log_id, header.schema_id);
                outline.first_seq = header.base_seq;
            }
            if header.log_id != outline.log_id {
                continue;
            }
            outline.segments += 1;
            let newest = outline.epochs.last().map(|(epoch, _)| *epoch);
            if newest.is_none_or(|newest| header.writer_epoch > newest) {
                outline.epochs.push((header.writer_epoch, header.base_seq));
            }
        }
        outline
    }
}

fn read_headers(dir: &Path) -> Result<Vec<SegmentHeader>, JournalError> {
    let files = match segment_files(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("cannot list", dir, error)),
    };
    let mut headers = Vec::new();
    for SegmentFile { path, .. } in files {
        let file = match File::open(&path) {
            Ok(file) => file,
            // Pruned since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(JournalError::io("cannot open", &path, error)),
        };
        let mut bytes = [0; SegmentHeader::LEN];
        let read = scan::read_up_to(&file, &mut bytes, 0)
            .map_err(|error| JournalError::io("cannot read", &path, error))?;
        headers.extend(SegmentHeader::parse(&bytes[..read]).ok());
    }
    Ok(headers)
}
