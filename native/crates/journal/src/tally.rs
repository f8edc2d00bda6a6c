//! Figures and sparse index of a segment, from its blocks: written into the seal, compared by
//! `verify`.

use crate::format::seal::Totals;
use crate::format::{BlockKind, IndexEntry, RecordHeader};
use crate::grid::GRID;
use crate::scan::{Block, Source};

/// What a seal says of the blocks before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    pub(crate) index: Vec<IndexEntry>,
}

impl Tally {
    /// A segment without blocks.
    pub(crate) fn new(base_seq: u64) -> Self {
        Self {
            totals: Totals::new(base_seq),
            index: Vec::new(),
        }
    }

    /// Adds a block that was read, of any kind.
    pub(crate) fn add_block(&mut self, source: &Source, block: &Block) {
        self.totals.blocks += 1;
        if block.header.kind != BlockKind::Data {
            return;
        }
        let mut totals = Totals::new(block.header.base_seq);
        let mut rest = block.payload(source);
        while let Some((record, behind)) = RecordHeader::split(rest) {
            totals.add_record(record.kind, record.rx_ns, record.payload.len());
            rest = behind;
        }
        let (seq, rx_ns) = (block.header.base_seq, block.header.first_rx_ns);
        self.add_records(
            &totals,
            block.next_seq,
            IndexEntry {
                seq,
                rx_ns,
                offset: block.offset,
            },
        );
    }

    /// Adds the records of a block that lies at `entry`; the one behind it begins at `next_seq`.
    pub(crate) fn add_records(&mut self, totals: &Totals, next_seq: u64, entry: IndexEntry) {
        self.totals.add(totals, next_seq - 1);
        if self
            .index
            .last()
            .is_none_or(|last| entry.offset - last.offset >= GRID)
        {
            self.index.push(entry);
        }
    }
}
