//! One module per target.

pub(crate) mod binaryfile;
pub(crate) mod book_eobi;
pub(crate) mod book_itch;
pub(crate) mod channel;
pub(crate) mod cme;
pub(crate) mod eobi;
pub(crate) mod export;
pub(crate) mod glimpse;
pub(crate) mod itch50;
pub(crate) mod journal;
pub(crate) mod moldudp64;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod snapshot;
pub(crate) mod soupbintcp;
pub(crate) mod venue;

/// Splits blocks of a `u16` big-endian length and that many bytes, the slow way; what is left when
/// the last one is not whole.
pub(crate) fn split_blocks(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut blocks, mut at) = (Vec::new(), 0);
    while at + 2 <= bytes.len() {
        let length = usize::from(bytes[at]) * 256 + usize::from(bytes[at + 1]);
        if at + 2 + length > bytes.len() {
            break;
        }
        blocks.push(&bytes[at + 2..at + 2 + length]);
        at += 2 + length;
    }
    (blocks, &bytes[at..])
}
