//! Message blocks: `u16` big-endian length, then that many bytes, back to back.

use super::BLOCK_LEN;

/// Messages of a run of blocks. Stops at the end or at the first block that is not whole.
///
/// [`Blocks::rest`] tells the two apart: it is empty only when every block was whole.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    /// Iterates over the blocks in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that were not yet returned, with their length fields.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, after) = self.rest.split_first_chunk::<BLOCK_LEN>()?;
        let (message, rest) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(message)
    }
}

/// The bytes after the first `n` blocks; `None` when fewer than `n` are whole.
pub fn skip_blocks(bytes: &[u8], n: usize) -> Option<&[u8]> {
    let mut blocks = Blocks::new(bytes);
    for _ in 0..n {
        blocks.next()?;
    }
    Some(blocks.rest())
}

/// How many blocks `bytes` holds; `None` when the last one is not whole.
pub fn count_blocks(bytes: &[u8]) -> Option<usize> {
    let mut blocks = Blocks::new(bytes);
    let count = blocks.by_ref().count();
    blocks.rest().is_empty().then_some(count)
}
