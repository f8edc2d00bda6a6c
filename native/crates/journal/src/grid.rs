//! Where blocks may begin, so that a search finds the next good one behind damage.
//!
//! At least every 64 KiB some block begins on a 4 KiB edge; the first block, at offset 128, counts
//! as one. Before each block we ask: if this one goes here, can the block behind it still reach an
//! edge in time? The block behind could be an empty CHECKPOINT whose padding ends on the next edge,
//! which needs room for its own header. If the answer is no, the CHECKPOINT goes first and the
//! block begins on the edge behind it. A block longer than 60 KiB begins on an edge and is padded
//! to one.
//!
//! A block of at most 60 KiB that begins on an edge always passes, because 60 KiB and two headers
//! fit into 64 KiB: so one CHECKPOINT is always enough.

use crate::format::{BLOCK_ALIGN, BlockHeader, NORMAL_BLOCK_PAYLOAD, SegmentHeader};

/// Multiples of this are edges.
pub(crate) const EDGE: u64 = 4096;
/// Longest distance from one block that begins on an edge to the next such.
pub(crate) const GRID: u64 = 64 * 1024;

/// Position of the next block and of the last one that began on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    position: u64,
    last_edge: u64,
}

/// How the next block is laid down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Padding of a CHECKPOINT block that goes first.
    pub(crate) checkpoint_pad: Option<u16>,
    /// Padding of the block itself.
    pub(crate) pad: u16,
    /// Where the block begins.
    pub(crate) offset: u64,
    /// Where the one behind it begins.
    pub(crate) end: u64,
}

impl Grid {
    /// The grid of a segment without blocks.
    pub(crate) fn new() -> Self {
        let first = SegmentHeader::LEN as u64;
        Self {
            position: first,
            last_edge: first,
        }
    }

    /// Where the next block, checkpoints included, begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Plans a block with this many payload bytes; nothing moves until [`advance`](Self::advance).
    pub(crate) fn place(&self, payload_len: usize) -> Placement {
        let bare_len = HEADER + payload_len as u64;
        let large = payload_len > NORMAL_BLOCK_PAYLOAD;
        let align = if large { EDGE } else { BLOCK_ALIGN };
        let end_from = |offset: u64| (offset + bare_len).next_multiple_of(align);
        let here = self.position;
        let checkpoint_end = (here + HEADER).next_multiple_of(EDGE);
        let fits_here = here == self.last_edge
            || (!large && next_edge(end_from(here)) <= self.last_edge + GRID);
        let offset = if fits_here { here } else { checkpoint_end };
        let end = end_from(offset);
        Placement {
            // Both below 8 KiB by construction.
            checkpoint_pad: (!fits_here).then_some((checkpoint_end - here - HEADER) as u16),
            pad: (end - offset - bare_len) as u16,
            offset,
            end,
        }
    }

    /// Notes a block, checkpoint or not, that fills `self.position()..end`.
    pub(crate) fn advance(&mut self, end: u64) {
        self.position = end;
        if end.is_multiple_of(EDGE) {
            self.last_edge = end;
        }
    }
}

/// The first edge that a block can begin on when the next block begins at `position`.
fn next_edge(position: u64) -> u64 {
    if position.is_multiple_of(EDGE) {
        position
    } else {
        (position + HEADER).next_multiple_of(EDGE)
    }
}

const HEADER: u64 = BlockHeader::LEN as u64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lays blocks of these payload lengths and returns where each block began, checkpoints
    /// included.
    fn lay(lengths: &[usize]) -> Vec<(u64, usize)> {
        let mut grid = Grid::new();
        let mut begins = Vec::new();
        for length in lengths {
            let placement = grid.place(*length);
            if placement.checkpoint_pad.is_some() {
                begins.push((grid.position(), 0));
                grid.advance(placement.offset);
            }
            assert_eq!(grid.position(), placement.offset);
            begins.push((placement.offset, *length));
            grid.advance(placement.end);
        }
        begins.push((grid.position(), 0));
        begins
    }

    proptest! {
        /// Whatever the block sizes, an edge carries a block at least every 64 KiB, except across a
        /// block that is longer itself.
        #[test]
        fn some_block_begins_on_an_edge_in_every_window(
            lengths in prop::collection::vec(
                prop_oneof![0..300usize, 0..=NORMAL_BLOCK_PAYLOAD, 60_000..200_000usize],
                1..60,
            )
        ) {
            let begins = lay(&lengths);
            let mut last_edge = begins[0].0;
            let mut allowed = GRID;
            for (offset, length) in begins {
                prop_assert!(offset.is_multiple_of(BLOCK_ALIGN));
                if offset.is_multiple_of(EDGE) {
                    prop_assert!(offset - last_edge <= allowed, "{last_edge} to {offset}");
                    (last_edge, allowed) = (offset, GRID);
                }
                if length > NORMAL_BLOCK_PAYLOAD {
                    prop_assert!(offset == 128 || offset.is_multiple_of(EDGE));
                    last_edge = offset;
                    allowed = GRID.max(length as u64 + HEADER + EDGE);
                }
                prop_assert!(offset - last_edge <= allowed);
            }
        }
    }

    /// The longest normal block fits behind the segment header and behind every edge without a
    /// checkpoint wasting a window.
    #[test]
    fn full_blocks_need_one_checkpoint_each() {
        let begins = lay(&[NORMAL_BLOCK_PAYLOAD; 3]);
        let offsets: Vec<u64> = begins.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, [128, 61_640, 65_536, 127_048, 131_072, 192_584]);
    }

    /// A checkpoint that would have less than a header before the edge reaches the one behind it.
    #[test]
    fn checkpoint_skips_an_edge_that_is_too_near() {
        let mut grid = Grid::new();
        grid.advance(61_440 - 64);
        let placement = grid.place(NORMAL_BLOCK_PAYLOAD);
        assert_eq!(
            placement.checkpoint_pad,
            Some((65_536 - 61_376 - 72) as u16)
        );
        assert_eq!(placement.offset, 65_536);
    }
}
