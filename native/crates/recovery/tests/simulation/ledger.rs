//! The ledger of gaps: each row's parts and losses add up to its size, and its fault has a name.

use std::collections::BTreeMap;

use tickdeck_arbiter::{Event, Source};
use tickdeck_recovery::Fault;

#[derive(Debug)]
struct Row {
    size: u64,
    /// Messages by who brought them.
    parts: BTreeMap<u16, u64>,
    missing: u64,
    lost: u64,
}

/// The rows of open gaps, and what the closed ones were like.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: BTreeMap<u64, Row>,
    pub(crate) filled: u64,
    pub(crate) unrecovered: u64,
    /// Messages that each kind of source brought into gaps: lines, request, stream, peer.
    pub(crate) brought: [u64; 4],
    /// Closed gaps by the fault that the engine named.
    pub(crate) faults: [u64; Fault::ALL.len()],
}

impl Ledger {
    pub(crate) fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The engine has closed or given up a gap.
    pub(crate) fn name_fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// Books an event of the merge.
    pub(crate) fn book(&mut self, event: &Event) {
        match *event {
            Event::GapOpened { gap } => {
                assert!(gap.first <= gap.last, "a gap is not empty");
                let size = gap.last - gap.first + 1;
                let row = Row {
                    size,
                    parts: BTreeMap::new(),
                    missing: size,
                    lost: 0,
                };
                assert!(self.open.insert(gap.id, row).is_none(), "a gap opens once");
            }
            Event::GapProgress {
                id,
                first,
                last,
                missing,
                source,
                ..
            } => {
                let row = self.open.get_mut(&id).expect("progress of an open gap");
                let part = last - first + 1;
                assert!(missing < row.missing, "progress is progress");
                *row.parts.entry(source.bit()).or_default() += part;
                row.missing = missing;
                self.brought[kind(source)] += part;
            }
            Event::GapLost { gap, .. } => {
                let row = self.open.get_mut(&gap.id).expect("a loss of an open gap");
                row.lost += gap.last - gap.first + 1;
                row.missing -= gap.last - gap.first + 1;
            }
            Event::GapFilled { gap, sources, .. } => {
                self.close(gap.id, 0, sources);
                self.filled += 1;
            }
            Event::GapUnrecovered {
                gap, lost, sources, ..
            } => {
                assert!(lost > 0, "an unrecovered gap has lost something");
                self.close(gap.id, lost, sources);
                self.unrecovered += 1;
            }
            _ => {}
        }
    }

    fn close(&mut self, id: u64, lost: u64, sources: u16) {
        let row = self.open.remove(&id).expect("an open gap closes, once");
        let brought: u64 = row.parts.values().sum();
        assert_eq!(
            brought + lost,
            row.size,
            "what was brought and what was lost add up"
        );
        assert_eq!(row.lost, lost, "each loss was told before");
        assert_eq!(row.missing, 0, "nothing is left over");
        let bits = row.parts.keys().fold(0, |bits, bit| bits | bit);
        assert_eq!(bits, sources, "the sources of a gap are those of its parts");
    }
}

fn kind(source: Source) -> usize {
    match source {
        Source::Line(_) => 0,
        Source::Retransmit => 1,
        Source::Stream => 2,
        Source::Peer => 3,
    }
}
