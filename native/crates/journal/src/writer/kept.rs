//! The records of the newest blocks, kept in memory until their file is known to be safe.
//!
//! A failed sync may have thrown away what was written, so whatever is above the last sync must
//! exist somewhere else: here. Blocks that are synced already stay as long as there is room, because
//! a device that lies about one sync has lied about earlier ones too.
//!
//! The memory is one piece, allocated at start and filled in a circle; a block lies in one run of
//! it, as encoded records.

use std::collections::VecDeque;

use super::stages::Volume;

/// The newest blocks, in order, without a hole between two of them but a JOURNAL_HOLE.
#[derive(Debug)]
pub(super) struct Kept {
    memory: Vec<u8>,
    blocks: VecDeque<KeptBlock>,
    /// Where the next block goes if there is room.
    tail: usize,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeptBlock {
    begin: usize,
    len: usize,
    pub(super) first_seq: u64,
    /// Sequence of the block behind.
    pub(super) next_seq: u64,
}

impl Kept {
    /// Allocates for so many bytes of records.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            memory: vec![0; capacity],
            blocks: VecDeque::with_capacity(capacity / SMALL_BLOCK),
            tail: 0,
        }
    }

    /// Bytes that fit.
    pub(super) fn capacity(&self) -> usize {
        self.memory.len()
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn get(&self, index: usize) -> KeptBlock {
        self.blocks[index]
    }

    /// Encoded records of a block.
    pub(super) fn records(&self, block: &KeptBlock) -> &[u8] {
        &self.memory[block.begin..block.begin + block.len]
    }

    /// First sequence of the oldest block.
    pub(super) fn first_seq(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.first_seq)
    }

    /// What is kept from a sequence on.
    pub(super) fn volume_from(&self, seq: u64) -> Volume {
        let mut volume = Volume::default();
        for block in self.blocks.iter().rev() {
            if block.first_seq < seq {
                break;
            }
            volume.bytes += block.len as u64;
            volume.records += block.next_seq - block.first_seq;
        }
        volume
    }

    /// Keeps a block; older ones make room as long as they end below `needed_from`. False when that
    /// is not enough: then nothing has changed but those.
    pub(super) fn push(
        &mut self,
        records: &[u8],
        first_seq: u64,
        next_seq: u64,
        needed_from: u64,
    ) -> bool {
        debug_assert!(
            self.blocks
                .back()
                .is_none_or(|last| last.next_seq == first_seq),
            "blocks are kept in order"
        );
        let begin = loop {
            if let Some(begin) = self.room(records.len()) {
                break begin;
            }
            match self.blocks.front() {
                Some(oldest) if oldest.next_seq <= needed_from => self.blocks.pop_front(),
                _ => return false,
            };
        };
        let len = records.len();
        self.memory[begin..begin + len].copy_from_slice(records);
        self.tail = begin + len;
        self.blocks.push_back(KeptBlock {
            begin,
            len,
            first_seq,
            next_seq,
        });
        true
    }

    /// Where a run of `len` bytes is free, now.
    fn room(&self, len: usize) -> Option<usize> {
        if self.blocks.len() == self.blocks.capacity() {
            return None;
        }
        let Some(oldest) = self.blocks.front() else {
            return (len <= self.memory.len()).then_some(0);
        };
        if self.tail > oldest.begin {
            if self.memory.len() - self.tail >= len {
                return Some(self.tail);
            }
            // The rest behind the tail stays unused this time round.
            (oldest.begin >= len).then_some(0)
        } else {
            (oldest.begin - self.tail >= len).then_some(self.tail)
        }
    }
}

/// Blocks of this size fill memory and list at the same time.
const SMALL_BLOCK: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain list: the same blocks, the same bytes, never more memory, and nothing
        /// needed makes room.
        #[test]
        fn keeps_what_a_list_would(
            blocks in prop::collection::vec((1..700usize, 0..4u64), 1..200),
        ) {
            let mut kept = Kept::new(2048);
            let capacity = kept.blocks.capacity();
            let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
            let mut seq = 1u64;
            for (len, back) in blocks {
                let bytes: Vec<u8> = (0..len).map(|at| (seq as usize * 31 + at) as u8).collect();
                let needed_from = seq.saturating_sub(back);
                if kept.push(&bytes, seq, seq + 1, needed_from) {
                    model.push_back((seq, bytes));
                    seq += 1;
                }
                while model.len() > kept.len() {
                    let (gone, _) = model.pop_front().expect("longer");
                    prop_assert!(gone < needed_from, "{gone} was needed from {needed_from}");
                }
                prop_assert_eq!(model.len(), kept.len());
                let mut bytes_kept = 0;
                for (index, (seq, bytes)) in model.iter().enumerate() {
                    let block = kept.get(index);
                    prop_assert_eq!(block.first_seq, *seq);
                    prop_assert_eq!(kept.records(&block), &bytes[..]);
                    bytes_kept += bytes.len();
                }
                prop_assert!(bytes_kept <= kept.capacity());
                prop_assert_eq!(kept.blocks.capacity(), capacity, "no allocation");
            }
        }
    }

    /// A block that does not fit because the older ones are needed is refused, and fits once they
    /// are not.
    #[test]
    fn what_is_needed_stays() {
        let mut kept = Kept::new(1024);
        assert!(kept.push(&[1; 600], 1, 2, 1));
        assert!(!kept.push(&[2; 600], 2, 3, 1));
        assert_eq!((kept.len(), kept.first_seq()), (1, Some(1)));
        assert!(kept.push(&[2; 600], 2, 3, 2));
        assert_eq!((kept.len(), kept.first_seq()), (1, Some(2)));
        assert!(!kept.push(&[3; 1025], 3, 4, 3));
        assert_eq!(kept.len(), 0, "larger than all of it");
    }
}
