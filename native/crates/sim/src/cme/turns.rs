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

    /// The numbers of the channel begin again, as each week: what was sent is forgotten.
    pub fn restart(&mut self) {
        (self.turn, self.sequence) = (0, 0);
        self.first.clear();
        self.before.clear();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cme::ChannelConfig;

    /// The packets of each book, in turn.
    type Round = Vec<Vec<Vec<u8>>>;

    /// A channel with every book in use, and a turn of all of them with a fault.
    fn turn_with(fault: SnapshotFault) -> (Round, Round, Round) {
        let mut channel = Channel::new(ChannelConfig::default());
        let mut turns = SnapshotTurns::new(1);
        let books = 2 * channel.instruments().len();
        let play =
            |channel: &mut Channel| (0..300).for_each(|_| drop(channel.next_packet().to_vec()));
        let round = |channel: &Channel, turns: &mut SnapshotTurns| -> Round {
            (0..books).map(|_| turns.next(channel)).collect()
        };
        play(&mut channel);
        let first = round(&channel, &mut turns);
        play(&mut channel);
        let mut honest = SnapshotTurns::new(1);
        honest.sequence = turns.sequence;
        let true_books = round(&channel, &mut honest);
        turns.set_fault(fault);
        (first, true_books, round(&channel, &mut turns))
    }

    /// Proves what each fault sends in place of the books as they are.
    #[test]
    fn faults_do_what_they_say() {
        let (first, honest, sent) = turn_with(SnapshotFault::None);
        assert!(honest == sent && first != sent);
        assert!(sent.iter().any(|book| book.len() > 1), "books in chunks");
        let (first, _, sent) = turn_with(SnapshotFault::Stale);
        assert_eq!(first, sent);
        let (_, _, sent) = turn_with(SnapshotFault::Silent);
        assert!(sent.iter().all(Vec::is_empty));
        let (_, honest, sent) = turn_with(SnapshotFault::Partial);
        for (honest, sent) in honest.iter().zip(&sent) {
            assert_eq!(&honest[..honest.len().saturating_sub(1)], &sent[..]);
        }
        let (first, honest, sent) = turn_with(SnapshotFault::Mixed);
        for ((first, honest), sent) in first.iter().zip(&honest).zip(&sent) {
            let is_mixed = honest.len() > 1;
            assert_eq!(is_mixed, honest != sent);
            assert!(!is_mixed || sent.last() == first.last());
        }
    }

    /// Proves that a new week's numbers begin with 1.
    #[test]
    fn a_week_begins_with_number_one() {
        let mut channel = Channel::new(ChannelConfig::default());
        (0..300).for_each(|_| drop(channel.next_packet().to_vec()));
        let mut turns = SnapshotTurns::new(1);
        let number = |book: &[Vec<u8>]| {
            let packet = tickdeck_wire::cme::Packet::parse(&book[0]).expect("a packet");
            packet.sequence()
        };
        assert_eq!(number(&turns.next(&channel)), 1);
        assert!(number(&turns.next(&channel)) > 1);
        turns.restart();
        assert_eq!(number(&turns.next(&channel)), 1);
    }
}
