//! Walks a whole segment, past damage too, and reports what it found.
//!
//! Damage ends a replay; verification and recovery look further. Behind a bad block the walk takes
//! up the chain again at the next block that can be believed (module `behind`) and carries later
//! sequences, so that every loss gets exact bounds, and so that damage in the middle is never taken
//! for the end of the data.

pub(crate) mod behind;
#[cfg(test)]
mod tests;

use std::io;

use sha2::{Digest, Sha256};

use crate::directory::SegmentEntry;
use crate::error::Class;
use crate::format::{BlockKind, Seal};
use crate::scan::{Block, Chain, Found, Source};

/// A place where the blocks stop following one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) class: Class,
    pub(crate) detail: String,
    /// Sequence that was expected here.
    pub(crate) from: u64,
    /// Sequence at which valid blocks go on; `None` when none follows in this file.
    pub(crate) resumed_at: Option<u64>,
}

/// How a segment ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Zeros, or the end of the file, on a block edge.
    Data,
    /// A SEAL block.
    Seal { offset: u64 },
    /// Damage with no valid block behind it: the last entry of `damage`.
    Lost,
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Sequence behind the last valid block.
    pub(crate) next_seq: u64,
    /// Where the last valid block of the chain ends; a SEAL block does not count.
    pub(crate) data_end: u64,
    /// Highest sequence that a valid block calls synced.
    pub(crate) durable_seq: u64,
    /// End of the last bytes that are not zero, as far as the walk looked.
    pub(crate) last_nonzero: u64,
    /// In order; what goes beyond [`MOST_DAMAGE`] places is in the last entry, with its count.
    pub(crate) damage: Vec<Damage>,
    /// Behind a damage lies a valid block of this epoch with earlier sequences, or something that may
    /// be a block.
    pub(crate) has_stray_block: bool,
    /// Highest sequence of what may be a block and was not believed. It was perhaps given out.
    pub(crate) claimed_seq: u64,
    pub(crate) end: End,
    /// SHA-256 of everything before `data_end`; meaningful without damage.
    pub(crate) sha256: [u8; 32],
}

/// Walks a segment and shows each valid block, in order, to `visit`.
pub(crate) fn walk(
    entry: &SegmentEntry,
    visit: &mut dyn FnMut(&Source, &Block),
) -> io::Result<Walk> {
    let mut walker = Walker::begin(entry)?;
    loop {
        if walker.is_past_abandoned() {
            walker.walk.sha256 = walker.sha.finalize().into();
            return Ok(walker.walk);
        }
        let found = walker.look()?;
        let goes_on = match found {
            Found::Block(block) => walker.pass(&block, visit),
            Found::Bad(class, detail) => walker.judge(class, detail)?,
            Found::Zero => walker.judge(Class::MissingBlocks, "zeros, no block".into())?,
            Found::Eof => walker.judge(Class::MissingBlocks, "the file ends".into())?,
        };
        if !goes_on {
            walker.walk.sha256 = walker.sha.finalize().into();
            return Ok(walker.walk);
        }
    }
}

/// A walk under way.
struct Walker {
    source: Source,
    chain: Chain,
    sha: Sha256,
    walk: Walk,
    /// Places of damage that have no entry of their own.
    unlisted: u64,
    /// Last valid sequence of an abandoned segment.
    abandoned_at: Option<u64>,
}

impl Walker {
    fn begin(entry: &SegmentEntry) -> io::Result<Self> {
        let chain = Chain::begin(&entry.header, entry.header_crc);
        let walk = Walk {
            next_seq: chain.seq,
            data_end: chain.offset,
            durable_seq: 0,
            last_nonzero: chain.offset,
            damage: Vec::new(),
            has_stray_block: false,
            claimed_seq: 0,
            end: End::Data,
            sha256: [0; 32],
        };
        let sha = Sha256::new_with_prefix(entry.header.encode());
        Ok(Self {
            source: Source::open(&entry.path)?,
            chain,
            sha,
            walk,
            unlisted: 0,
            abandoned_at: entry.abandoned_at,
        })
    }

    /// All that is valid in an abandoned segment has been seen; nothing behind is looked at.
    fn is_past_abandoned(&self) -> bool {
        self.abandoned_at.is_some_and(|last| self.chain.seq > last)
    }

    /// Steps to the next block. What is none gets a second look: the window may be older than the
    /// file.
    fn look(&mut self) -> io::Result<Found> {
        let found = self.chain.step(&mut self.source)?;
        if matches!(found, Found::Block(_)) {
            return Ok(found);
        }
        self.source.forget();
        self.chain.step(&mut self.source)
    }

    /// Takes a good block; false behind the seal.
    fn pass(&mut self, block: &Block, visit: &mut dyn FnMut(&Source, &Block)) -> bool {
        let (walk, source) = (&mut self.walk, &self.source);
        walk.durable_seq = walk.durable_seq.max(block.header.durable_seq_before);
        if block.header.kind == BlockKind::Seal {
            walk.end = End::Seal {
                offset: block.offset,
            };
            if Seal::parse(block.payload(source)).is_none() {
                let detail = "the seal block has a wrong length or index".to_owned();
                self.damaged(Class::BadSeal, detail, None);
                self.walk.end = End::Lost;
            }
            return false;
        }
        self.sha.update(block.bytes(source));
        (walk.next_seq, walk.data_end) = (self.chain.seq, self.chain.offset);
        walk.last_nonzero = self.chain.offset;
        visit(source, block);
        true
    }

    /// Decides what it means that no block stands here; false at the end.
    fn judge(&mut self, class: Class, detail: String) -> io::Result<bool> {
        let Some(block) = self.find_behind()? else {
            // An abandoned segment says how far it must reach.
            let must_go_on = self.abandoned_at.is_some();
            let is_empty = self.walk.last_nonzero <= self.chain.offset;
            if class != Class::MissingBlocks || !is_empty || must_go_on {
                self.damaged(class, detail, None);
                self.walk.end = End::Lost;
            }
            return Ok(false);
        };
        // A living writer may have got this far between the two looks.
        self.source.forget();
        let mut probe = self.chain;
        if !matches!(probe.step(&mut self.source)?, Found::Block(_)) {
            self.damaged(class, detail, Some(block.header.base_seq));
            (self.chain.offset, self.chain.seq) = (block.offset, block.header.base_seq);
            self.chain.prev_crc = None;
        }
        Ok(true)
    }

    /// The next block, here or further on, that can be believed and goes on in sequence.
    fn find_behind(&mut self) -> io::Result<Option<Block>> {
        let walk = &mut self.walk;
        let found = behind::find(
            &mut self.source,
            &self.chain,
            self.abandoned_at,
            &mut walk.last_nonzero,
        )?;
        walk.has_stray_block |= found.has_stray;
        walk.claimed_seq = walk.claimed_seq.max(found.claimed_seq);
        Ok(found.block)
    }

    fn damaged(&mut self, class: Class, detail: String, resumed_at: Option<u64>) {
        let Chain {
            offset, seq: from, ..
        } = self.chain;
        if self.walk.damage.len() == MOST_DAMAGE
            && let Some(last) = self.walk.damage.last_mut()
        {
            self.unlisted += 1;
            last.resumed_at = resumed_at;
            last.detail = format!(
                "here and at {} further places up to offset {offset}",
                self.unlisted
            );
            return;
        }
        self.walk.damage.push(Damage {
            offset,
            class,
            detail,
            from,
            resumed_at,
        });
    }
}

/// A file made to be damaged everywhere must not fill the memory of who looks at it.
pub(crate) const MOST_DAMAGE: usize = 10_000;
