//! The generated channel keeps the rules of a real one.

use std::collections::BTreeMap;

use tickdeck_wire::cme::{OrderSnapshot, Packet, PriceSnapshot};

use super::*;

/// Proves that a seed fixes every byte, and that another seed gives others.
#[test]
fn a_seed_fixes_the_channel() {
    let day = |seed| {
        let mut channel = Channel::new(ChannelConfig {
            seed,
            ..ChannelConfig::default()
        });
        let packets: Vec<_> = (0..200).map(|_| channel.next_packet().to_vec()).collect();
        (packets, channel.snapshot_loop(Snapshots::Orders))
    };
    assert_eq!(day(3), day(3));
    assert_ne!(day(3), day(4));
}

/// Proves that packet numbers and each instrument's RptSeq are continuous over all templates, and
/// that both begin again where they should.
#[test]
fn numbers_are_continuous() {
    let mut channel = Channel::new(ChannelConfig::default());
    let mut last = BTreeMap::new();
    for step in 1..=900_u32 {
        let packet = match step {
            300 => channel.channel_reset().to_vec(),
            _ => channel.next_packet().to_vec(),
        };
        let packet = Packet::parse(&packet).unwrap();
        assert_eq!(
            packet.sequence(),
            if step > 600 { step - 600 } else { step }
        );
        for message in packet.messages() {
            for update in message.rpt_seqs().unwrap() {
                let before = last.insert(update.security_id, update.rpt_seq);
                assert_eq!(update.rpt_seq, before.unwrap_or(0) + 1);
            }
            message.order_updates().unwrap();
        }
        if step == 300 {
            assert!(packet.resets_channel());
            last.clear();
        }
        if step == 600 {
            channel.next_week();
            last.clear();
        }
    }
    assert_eq!(last.len(), channel.instruments().len());
}

/// Proves that a loop has every active instrument once, by order in as many chunks as it says,
/// and the state behind the last packet.
#[test]
fn loops_are_whole() {
    let mut channel = Channel::new(ChannelConfig::default());
    assert!(channel.snapshot_loop(Snapshots::Prices).is_empty());
    (0..400).for_each(|_| drop(channel.next_packet().to_vec()));
    let prices = channel.snapshot_loop(Snapshots::Prices);
    assert_eq!(prices.len(), channel.instruments().len());
    for (packet, instrument) in prices.iter().zip(channel.instruments()) {
        let message = Packet::parse(packet).unwrap().messages().next().unwrap();
        let whole = PriceSnapshot::read(&message).unwrap().unwrap();
        assert_eq!(whole.last_msg_seq_num_processed, 400);
        assert_eq!(whole.total_reports as usize, prices.len());
        assert_eq!(whole.rpt_seq, instrument.rpt_seq());
        assert_eq!(whole.entries.len(), instrument.levels().len());
    }
    let mut orders = BTreeMap::new();
    for packet in channel.snapshot_loop(Snapshots::Orders) {
        let message = Packet::parse(&packet).unwrap().messages().next().unwrap();
        let part = OrderSnapshot::read(&message).unwrap().unwrap();
        let chunks: &mut Vec<_> = orders.entry(part.security_id).or_default();
        chunks.push((part.chunk, part.chunks, part.entries.len()));
    }
    let with_orders = channel.instruments().iter().filter(|i| i.has_orders());
    assert_eq!(orders.len(), with_orders.clone().count());
    for instrument in with_orders {
        let chunks = &orders[&instrument.security_id()];
        assert!(chunks.len() > 1, "books are larger than a chunk");
        let numbers: Vec<_> = chunks.iter().map(|(chunk, ..)| *chunk as usize).collect();
        assert_eq!(numbers, (1..=chunks.len()).collect::<Vec<_>>());
        assert!(
            chunks
                .iter()
                .all(|(_, count, _)| *count as usize == chunks.len())
        );
        let entries: usize = chunks.iter().map(|(.., entries)| entries).sum();
        assert_eq!(entries, instrument.orders().count());
    }
}
