//! What lies behind a bad place: the next block that can be believed.
//!
//! A record can hold anything, a block of this very log too. What looks like a block behind damage is
//! one if
//!
//! - it stands at the bad place itself, where a block must begin, or
//! - it names the header of the damaged block as its forerunner, or
//! - the blocks behind it follow one another to an end that no payload has: the end of the data, the
//!   end of an abandoned segment, a damaged block that a later one names, or more than any payload.
//!
//! Inside a damaged block whose header is right everything else is its payload. Whatever else looks
//! like a block is not believed, and not overlooked: it may be one, and damage before it is never
//! called a torn tail.

use std::io;

use crate::format::{
    BlockHeader, BlockKind, MAX_BLOCK_PAYLOAD, Trailer, block_header, is_zero, masked_crc,
};
use crate::scan::{self, Block, Chain, Found, Source};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The first block that can be believed and goes on in sequence.
    pub(crate) block: Option<Block>,
    /// There is something before it that is a block, or may be one.
    pub(super) has_stray: bool,
    /// Highest sequence in what was not believed; 0 without such.
    pub(super) claimed_seq: u64,
}

/// Looks behind the place where `chain` stands; of an abandoned segment the last sequence is known.
pub(super) fn find(
    source: &mut Source,
    chain: &Chain,
    last_seq: Option<u64>,
    last_nonzero: &mut u64,
) -> io::Result<Behind> {
    find_from(source, chain, chain.offset, last_seq, last_nonzero)
}

/// As [`find`], for those who believe nothing at the place itself.
pub(crate) fn next_block(
    source: &mut Source,
    chain: &Chain,
    last_seq: Option<u64>,
) -> io::Result<Option<Block>> {
    let found = find_from(source, chain, chain.offset + 8, last_seq, &mut 0)?;
    Ok(found.block)
}

fn find_from(
    source: &mut Source,
    chain: &Chain,
    from: u64,
    last_seq: Option<u64>,
    last_nonzero: &mut u64,
) -> io::Result<Behind> {
    let mut proof = Proof {
        bad: BadBlock::read(source, chain)?,
        source,
        chain,
        last_seq,
        searches: SEARCHES_MAX,
    };
    let (mut behind, mut from) = (Behind::default(), from);
    while let Some(block) = scan::find_block(proof.source, from, Some(chain), last_nonzero)? {
        from = block.offset + 8;
        if last_seq.is_some_and(|last| block.header.base_seq > last) {
            continue;
        }
        match proof.of(&block)? {
            Verdict::Payload => {}
            Verdict::Unproved => {
                behind.has_stray = true;
                behind.claimed_seq = behind.claimed_seq.max(block.next_seq - 1);
            }
            Verdict::Block if block.header.base_seq >= chain.seq => {
                behind.block = Some(block);
                break;
            }
            Verdict::Block => {
                behind.has_stray = true;
                from = block.end();
            }
        }
    }
    Ok(behind)
}

/// The damaged block at the end of a chain, as far as anything is known of it.
struct BadBlock {
    /// What the block behind it may name: the CRC as it stands there, and as it should.
    crcs: Option<[u32; 2]>,
    /// Where it ends; known when its header is right.
    end: Option<u64>,
    /// What it names as the block before it, as it stands there.
    prev_crc: Option<u32>,
    /// Its header is right and says that it belongs elsewhere.
    is_astray: bool,
}

impl BadBlock {
    fn read(source: &mut Source, chain: &Chain) -> io::Result<Self> {
        let bytes = source.bytes(chain.offset, BlockHeader::LEN)?;
        if bytes.len() < BlockHeader::LEN || is_zero(bytes) {
            return Ok(Self {
                crcs: None,
                end: None,
                prev_crc: None,
                is_astray: false,
            });
        }
        let stored = block_header::stored_crc(bytes);
        let header = BlockHeader::parse(bytes).ok();
        let follows = header.filter(|header| chain.is_followed_by(header));
        Ok(Self {
            crcs: Some([stored, masked_crc(&bytes[..BlockHeader::LEN - 4])]),
            end: follows.map(|header| chain.offset + header.block_len()),
            prev_crc: Some(block_header::stored_prev_crc(bytes)),
            is_astray: header.is_some() && follows.is_none(),
        })
    }

    /// Whether it can be the next one of the chain, by what is left of its header.
    fn may_continue(&self, chain: &Chain) -> bool {
        !self.is_astray && self.prev_crc == chain.prev_crc
    }

    fn is_named_by(&self, block: &Block) -> bool {
        self.crcs
            .is_some_and(|crcs| crcs.contains(&block.header.prev_block_crc))
    }
}

enum Verdict {
    Block,
    /// It lies in a block that is known to reach further.
    Payload,
    Unproved,
}

struct Proof<'a> {
    source: &'a mut Source,
    chain: &'a Chain,
    bad: BadBlock,
    last_seq: Option<u64>,
    /// Searches that may still be made, so that a file made for it does not take for ever.
    searches: u32,
}

impl Proof<'_> {
    fn of(&mut self, block: &Block) -> io::Result<Verdict> {
        if block.offset == self.chain.offset || self.bad.is_named_by(block) {
            return Ok(Verdict::Block);
        }
        if self.bad.end.is_some_and(|end| block.offset < end) {
            return Ok(Verdict::Payload);
        }
        Ok(match self.has_real_end(block)? {
            true => Verdict::Block,
            false => Verdict::Unproved,
        })
    }

    /// Follows the blocks behind this one to where they end.
    fn has_real_end(&mut self, first: &Block) -> io::Result<bool> {
        let mut run = Chain {
            offset: first.end(),
            seq: first.next_seq,
            prev_crc: Some(first.crc),
            ..*self.chain
        };
        let mut is_seal = first.header.kind == BlockKind::Seal;
        loop {
            if is_seal {
                return self.is_zero_from(run.offset + Trailer::LEN as u64);
            }
            if self.last_seq == Some(run.seq - 1) || run.offset - first.offset > LONGEST_BLOCK {
                return Ok(true);
            }
            match run.step(self.source)? {
                Found::Block(block) => is_seal = block.header.kind == BlockKind::Seal,
                Found::Bad(..) => return self.ends_at_damage(&run),
                Found::Zero | Found::Eof => {
                    if self.is_zero_from(run.offset)? {
                        return Ok(true);
                    }
                    // A living writer may have gone on; or else the header of a block is gone.
                    self.source.forget();
                    let mut probe = run;
                    if !matches!(probe.step(self.source)?, Found::Block(_)) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Whether what stands at the end of a run is the damaged block that goes on with it: it names the
    /// run's last block as its forerunner, and either a later block that can be believed names it, or
    /// its header is right and the data ends behind it. The real block behind a payload names another.
    fn ends_at_damage(&mut self, run: &Chain) -> io::Result<bool> {
        if self.searches == 0 {
            return Ok(false);
        }
        self.searches -= 1;
        let bad = BadBlock::read(self.source, run)?;
        if !bad.may_continue(run) {
            return Ok(false);
        }
        if let Some(end) = bad.end
            && self.is_zero_from(end)?
        {
            return Ok(true);
        }
        let (mut from, mut ignored) = (run.offset + 8, 0);
        while from <= run.offset + LONGEST_BLOCK
            && let Some(block) = scan::find_block(self.source, from, Some(run), &mut ignored)?
        {
            if bad.is_named_by(&block) {
                return self.has_real_end(&block);
            }
            from = block.offset + 8;
        }
        Ok(false)
    }

    /// Nothing was written from here on.
    fn is_zero_from(&mut self, offset: u64) -> io::Result<bool> {
        let mut offset = offset;
        loop {
            let bytes = self.source.bytes(offset, ZERO_GRAIN)?;
            if bytes.is_empty() || !is_zero(bytes) {
                return Ok(bytes.is_empty());
            }
            offset += bytes.len() as u64;
        }
    }
}

/// No block is longer, header and padding included.
const LONGEST_BLOCK: u64 = (BlockHeader::LEN + MAX_BLOCK_PAYLOAD + u16::MAX as usize) as u64;
const SEARCHES_MAX: u32 = 256;
const ZERO_GRAIN: usize = 4096;
