//! A segment that was given up after an I/O error, and what it is still worth.

use std::path::PathBuf;

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
    /// The last sequence up to which the device has whole blocks in order, and why no more could be
    /// read if that was not the end of the data.
    ///
    /// What a file holds that has lost its name is lost.
    pub(crate) fn verified_seq(&self) -> (u64, Option<JournalError>) {
        let failed =
            |context: &'static str| move |error| JournalError::io(context, &self.path, error);
        let mut chain = self.chain;
        let mut read = || -> Result<(), JournalError> {
            if !self
                .file
                .is_at(&self.path)
                .map_err(failed("cannot look at"))?
            {
                chain = Chain::begin(&self.header, 0);
                return Ok(());
            }
            let evict = self.file.evict();
            evict.map_err(failed("cannot drop cached pages of"))?;
            let mut source = Source::open(&self.path).map_err(failed("cannot open"))?;
            loop {
                match chain.step(&mut source).map_err(failed("cannot read"))? {
                    Found::Block(block) if block.header.kind != BlockKind::Seal => {}
                    _ => return Ok(()),
                }
            }
        };
        let error = read().err();
        (chain.seq - 1, error)
    }
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
