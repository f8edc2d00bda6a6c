//! Walks a whole segment, past damage too, and reports what it found.
//!
//! Damage ends a replay; verification and recovery look further. Behind a bad block the walk takes
//! up the chain again at the next valid block that carries later sequences, so that every loss gets
//! exact bounds, and so that damage in the middle is never taken for the end of the data.

use std::io;

use sha2::{Digest, Sha256};

use crate::directory::SegmentEntry;
use crate::error::Class;
use crate::format::{BlockKind, Seal};
use crate::scan::{Block, Chain, Found, Source, find_block};

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
    pub(crate) damage: Vec<Damage>,
    /// A valid block of this epoch with earlier sequences lies behind a damage.
    pub(crate) has_stray_block: bool,
    pub(crate) end: End,
    /// SHA-256 of everything before `data_end`; meaningful without damage.
    pub(crate) sha256: [u8; 32],
}

/// Walks a segment and shows each valid block, in order, to `visit`.
pub(crate) fn walk(
    entry: &SegmentEntry,
    visit: &mut dyn FnMut(&Source, &Block),
) -> io::Result<Walk> {
    let mut source = Source::open(&entry.path)?;
    let mut chain = Chain::begin(&entry.header, entry.header_crc);
    let mut sha = Sha256::new_with_prefix(entry.header.encode());
    let mut walk = Walk {
        next_seq: chain.seq,
        data_end: chain.offset,
        durable_seq: 0,
        last_nonzero: chain.offset,
        damage: Vec::new(),
        has_stray_block: false,
        end: End::Data,
        sha256: [0; 32],
    };
    loop {
        let (class, detail) = match chain.step(&mut source)? {
            Found::Block(block) => {
                walk.durable_seq = walk.durable_seq.max(block.header.durable_seq_before);
                if block.header.kind == BlockKind::Seal {
                    walk.end_at_seal(&block, &source);
                    break;
                }
                sha.update(block.bytes(&source));
                (walk.next_seq, walk.data_end) = (chain.seq, chain.offset);
                walk.last_nonzero = chain.offset;
                visit(&source, &block);
                continue;
            }
            Found::Bad(class, detail) => (class, detail),
            Found::Zero => (
                Class::MissingBlocks,
                "zeros where a block should begin".to_owned(),
            ),
            Found::Eof => (
                Class::MissingBlocks,
                "the file ends where a block should begin".into(),
            ),
        };
        let mut damage = Damage {
            offset: chain.offset,
            class,
            detail,
            from: chain.seq,
            resumed_at: None,
        };
        match walk.resume(&mut source, &chain)? {
            Some(block) => {
                damage.resumed_at = Some(block.header.base_seq);
                walk.damage.push(damage);
                chain = Chain {
                    offset: block.offset,
                    seq: block.header.base_seq,
                    prev_crc: None,
                    ..chain
                };
            }
            None if class == Class::MissingBlocks && walk.last_nonzero <= chain.offset => break,
            None => {
                walk.damage.push(damage);
                walk.end = End::Lost;
                break;
            }
        }
    }
    walk.sha256 = sha.finalize().into();
    Ok(walk)
}

impl Walk {
    /// The next valid block, at the place of the damage or behind it, that goes on in sequence.
    fn resume(&mut self, source: &mut Source, chain: &Chain) -> io::Result<Option<Block>> {
        let mut from = chain.offset;
        while let Some(block) = find_block(source, from, chain.epoch_low, &mut self.last_nonzero)? {
            if block.header.base_seq >= chain.seq {
                return Ok(Some(block));
            }
            self.has_stray_block = true;
            from = block.end();
        }
        Ok(None)
    }

    fn end_at_seal(&mut self, block: &Block, source: &Source) {
        self.end = End::Seal {
            offset: block.offset,
        };
        if Seal::parse(block.payload(source)).is_none() {
            self.damage.push(Damage {
                offset: block.offset,
                class: Class::BadSeal,
                detail: "the seal block has a wrong length or index".into(),
                from: self.next_seq,
                resumed_at: None,
            });
            self.end = End::Lost;
        }
    }
}
