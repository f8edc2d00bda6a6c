//! The snapshot channel of a generated channel: one instrument's book at a time, round and round,
//! and what goes wrong with it.

use std::collections::BTreeMap;

use super::{Channel, Snapshots};
use crate::Random;

/// What goes wrong on the snapshot channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum SnapshotFault {
    /// Nothing.
    #[default]
    None,
    /// Nothing is sent.
    Silent,
    /// This share of packets is lost on both lines.
    Drop {
        /// 0 to 1.
        probability: f64,
    },
    /// Each book is sent as it was in its first turn.
    Stale,
    /// The last packet of each book is never sent.
    Partial,
    /// The last chunk of each book by order is of the turn before.
    Mixed,
}

/// Sends books in turn.
#[derive(Debug)]
pub struct SnapshotTurns {
    random: Random,
    fault: SnapshotFault,
    turn: usize,
    sequence: u32,
    first: BTreeMap<usize, Vec<Vec<u8>>>,
    before: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl SnapshotTurns {
    /// Begins with the first instrument's book by price; `seed` fixes what is dropped.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            fault: SnapshotFault::None,
            turn: 0,
            sequence: 0,
            first: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// From here on this goes wrong.
    pub fn set_fault(&mut self, fault: SnapshotFault) {
        self.fault = fault;
    }

    /// The next book of the channel as it is now, in packets; none of one without activity.
    pub fn next(&mut self, channel: &Channel) -> Vec<Vec<u8>> {
        let place = self.turn % (2 * channel.instruments().len());
        self.turn += 1;
        let kind = if place.is_multiple_of(2) {
            Snapshots::Prices
        } else {
            Snapshots::Orders
        };
        let packets = channel.snapshot(kind, place / 2, self.sequence + 1);
        self.sequence += packets.len() as u32;
        if packets.is_empty() {
            return packets;
        }
        let before = self.before.insert(place, packets.clone());
        let first = self.first.entry(place).or_insert_with(|| packets.clone());
        match self.fault {
            SnapshotFault::None => packets,
            SnapshotFault::Silent => Vec::new(),
            SnapshotFault::Stale => first.clone(),
            SnapshotFault::Drop { probability } => {
                let random = &mut self.random;
                let kept = packets.into_iter();
                kept.filter(|_| !random.chance(probability)).collect()
            }
            SnapshotFault::Partial => without_last(packets),
            SnapshotFault::Mixed => mixed(packets, before),
        }
    }
}

fn without_last(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.pop();
    packets
}

fn mixed(packets: Vec<Vec<u8>>, before: Option<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    let is_chunked = packets.len() > 1;
    match before.and_then(|mut before| before.pop()) {
        Some(old) if is_chunked => {
            let mut packets = without_last(packets);
            packets.push(old);
            packets
        }
        _ => packets,
    }
}
