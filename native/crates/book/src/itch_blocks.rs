//! Runs of ITCH 5.0 messages: applied one by one, looked at some messages ahead.

use tickdeck_wire::moldudp64::Blocks;

use crate::books::Books;
use crate::lookahead::{BATCH, LookAhead, Prefetch};

/// Shorter runs are done before a look ahead would help: some 16 messages.
const WORTH_LOOKING_BYTES: usize = 512;

/// How far a run of message blocks was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenBlocks {
    /// Sequence number behind the last message.
    pub next_sequence: u64,
    /// Bytes of the whole messages, length fields included; less than the run when it is cut.
    pub taken_bytes: usize,
}

impl Books {
    /// Applies message blocks (MoldUDP64, BinaryFILE), the first of them with this sequence number.
    ///
    /// As [`Self::apply`] for each; knowing what comes next, it asks for memory in time.
    #[inline]
    pub fn apply_blocks(
        &mut self,
        first_sequence: u64,
        blocks: &[u8],
        prefetch: &impl Prefetch,
    ) -> TakenBlocks {
        self.apply_blocks_with(first_sequence, 0, blocks, prefetch, |_, _, _| {})
    }

    /// As [`Self::apply_blocks`]; passes over messages below `expected`, and calls
    /// `after(books, sequence, message)` after each other one.
    #[inline]
    pub fn apply_blocks_with<P: Prefetch>(
        &mut self,
        first_sequence: u64,
        expected: u64,
        blocks: &[u8],
        prefetch: &P,
        mut after: impl FnMut(&Books, u64, &[u8]),
    ) -> TakenBlocks {
        let mut sequence = first_sequence;
        let mut messages = Blocks::new(blocks);
        if !P::IS_ACTIVE || blocks.len() < WORTH_LOOKING_BYTES {
            for message in messages.by_ref() {
                if sequence >= expected {
                    self.apply(sequence, message);
                    after(self, sequence, message);
                }
                sequence = sequence.saturating_add(1);
            }
        } else {
            let mut ahead = LookAhead::new(blocks, self, prefetch);
            let mut is_over = false;
            while !is_over {
                ahead.step(self);
                for at in 0..BATCH {
                    let Some(message) = messages.next() else {
                        is_over = true;
                        break;
                    };
                    if sequence >= expected {
                        self.apply_here(sequence, message, ahead.level(at));
                        after(self, sequence, message);
                    }
                    sequence = sequence.saturating_add(1);
                }
            }
        }
        TakenBlocks {
            next_sequence: sequence,
            taken_bytes: blocks.len() - messages.rest().len(),
        }
    }
}
