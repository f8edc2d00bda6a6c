//! A segment that was given up after an I/O error, and what it is still worth.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::ActiveSegment;
use crate::disk::DiskFile;
use crate::error::JournalError;
use crate::format::{BlockKind, IndexEntry, SegmentHeader};
use crate::scan::{Chain, Found, Source};

/// A segment that is given up after an error: it is read, and never touched otherwise.
#[derive(Debug)]
pub(crate) struct Left {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    pub(crate) header: SegmentHeader,
    /// Where reading again begins; what lies before is trusted.
    chain: Chain,
}

impl Left {
    /// The last sequence up to which the device has whole blocks in order, and what the device
    /// answered if it would not give more.
    ///
    /// What a file holds that has lost its name is lost. It is read through the descriptor that the
    /// writer holds, so that no limit on open files can hide it.
    ///
    /// # Errors
    ///
    /// Nothing is known about the file yet: it could not be looked at, or the system lacked
    /// something that it may have later.
    pub(crate) fn verified_seq(&self) -> Result<(u64, Option<JournalError>), JournalError> {
        let failed =
            |context: &'static str| move |error| JournalError::io(context, &self.path, error);
        let is_there = self.file.is_at(&self.path);
        if !is_there.map_err(failed("cannot look at"))? {
            return Ok((self.header.base_seq - 1, None));
        }
        let evicted = self.file.evict();
        evicted.map_err(failed("cannot drop cached pages of"))?;
        let mut source = Source::shared(self.file.descriptor());
        let mut chain = self.chain;
        loop {
            match chain.step(&mut source) {
                Ok(Found::Block(block)) if block.header.kind != BlockKind::Seal => {}
                Ok(_) => return Ok((chain.seq - 1, None)),
                Err(error) if is_shortage(&error) => return Err(failed("cannot read")(error)),
                Err(error) => return Ok((chain.seq - 1, Some(failed("cannot read")(error)))),
            }
        }
    }
}

/// True for an error that says nothing about the file: this system or process lacks something now.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::AGAIN];
    shortages
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl ActiveSegment {
    /// Gives the file up for ever. Reading it again begins at or before `from_seq`, far enough from
    /// the end.
    pub(crate) fn leave(self, from_seq: u64) -> Left {
        let far = self.grid.position().saturating_sub(REREAD_BYTES);
        let is_before = |entry: &&IndexEntry| entry.offset <= far && entry.seq <= from_seq;
        let begin = Chain::begin(&self.header, self.header_crc);
        let chain = match self.tally.index.iter().rev().find(is_before) {
            Some(entry) => Chain {
                offset: entry.offset,
                seq: entry.seq,
                prev_crc: None,
                ..begin
            },
            None => begin,
        };
        Left {
            path: self.path,
            file: self.file,
            header: self.header,
            chain,
        }
    }
}

/// Of a file that failed at least so much is read again.
const REREAD_BYTES: u64 = 16 << 20;
