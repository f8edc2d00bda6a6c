//! Loops of the snapshot channel: chunks lost, mixed, repeated, out of order.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_recovery::cme::{Book, Collector, CollectorConfig, Cycle};
use tickdeck_wire::cme::{Packet, PacketBuilder};

use crate::model::{chunk, price_snapshot, push_chunk};

fn collected(collector: &mut Collector, packets: &[Vec<u8>]) -> Vec<Cycle> {
    let mut cycles = Vec::new();
    for packet in packets {
        let packet = Packet::parse(packet).unwrap();
        collector.on_packet(&packet, &mut |cycle| cycles.push(cycle));
    }
    cycles
}

fn collector() -> Collector {
    Collector::new(CollectorConfig::default())
}

/// Proves that a book by price is whole in one message, and one by order when its last chunk is
/// there, with every number; and that the loop is complete when each instrument was put out.
#[test]
fn whole_books_are_put_out() {
    let mut collector = collector();
    let packets = [chunk(7, 50, 1, 2), chunk(8, 51, 1, 1), chunk(7, 50, 2, 2)];
    let cycles = collected(&mut collector, &packets[..2]);
    assert_eq!(cycles.len(), 1);
    assert_eq!((cycles[0].security_id, cycles[0].entries), (8, 1));
    assert!(!collector.is_complete() && collector.bytes() > 0);
    let cycles = collected(&mut collector, &packets[2..]);
    let [cycle] = &cycles[..] else {
        panic!("{cycles:?}")
    };
    assert_eq!((cycle.security_id, cycle.book), (7, Book::Orders));
    assert_eq!(cycle.last_msg_seq_num_processed, 50);
    assert_eq!((cycle.entries, cycle.sent_ns), (2, 50));
    assert_eq!(cycle.packets, [packets[0].clone(), packets[2].clone()]);
    assert_eq!((collector.open_books(), collector.bytes()), (0, 0));
    assert!(collector.is_complete());
    let cycles = collected(&mut collector, &[price_snapshot(7, 60, 9)]);
    assert_eq!((cycles[0].book, cycles[0].rpt_seq), (Book::Prices, 9));
    assert!(
        !collector.is_complete(),
        "of the books by price one is missing"
    );
}

/// Proves that a book of which a chunk is lost waits for the next loop, which voids what was
/// there, and that chunks of two loops are never put together.
#[test]
fn a_lost_chunk_waits_for_the_next_loop() {
    let mut collector = collector();
    let first = [chunk(7, 50, 1, 3), chunk(7, 50, 3, 3)];
    assert!(collected(&mut collector, &first).is_empty());
    // The next loop's chunk 2 would fill the hole.
    let next = [chunk(7, 60, 2, 3), chunk(7, 50, 2, 3), chunk(7, 60, 1, 3)];
    assert!(collected(&mut collector, &next).is_empty());
    let counters = *collector.counters();
    assert_eq!((counters.voided, counters.mixed), (1, 1));
    let cycles = collected(&mut collector, &[chunk(7, 60, 3, 3)]);
    assert_eq!(cycles[0].last_msg_seq_num_processed, 60);
    assert_eq!(cycles[0].packets.len(), 3);
}

/// Proves that chunks that contradict one another void their book, and that more chunks than
/// allowed are refused.
#[test]
fn contradictions_are_refused() {
    let mut collector = collector();
    let packets = [chunk(7, 50, 1, 2), chunk(7, 50, 2, 3), chunk(7, 50, 2, 2)];
    assert!(collected(&mut collector, &packets).is_empty());
    assert_eq!(collector.counters().refused, 1);
    assert!(collected(&mut collector, &[chunk(8, 50, 1, 8_193)]).is_empty());
    assert_eq!(collector.counters().refused, 2);
    assert_eq!(collector.open_books(), 1);
}

/// Proves that books that are too old to be of use are not put out, also when part of one was
/// there before that was known.
#[test]
fn stale_books_are_counted() {
    let mut collector = collector();
    assert!(collected(&mut collector, &[chunk(7, 50, 1, 2)]).is_empty());
    collector.not_before(51);
    let packets = [chunk(7, 50, 2, 2), price_snapshot(7, 50, 9)];
    assert!(collected(&mut collector, &packets).is_empty());
    assert_eq!((collector.counters().stale, collector.open_books()), (3, 0));
    assert_eq!(
        collected(&mut collector, &[price_snapshot(7, 51, 9)]).len(),
        1
    );
}

/// Proves that memory is bounded: in instruments and in bytes.
#[test]
fn memory_is_bounded() {
    let config = CollectorConfig {
        max_open: 2,
        max_bytes: 400,
        ..CollectorConfig::default()
    };
    let mut collector = Collector::new(config);
    let packets: Vec<_> = (1..=3).map(|id| chunk(id, 50, 1, 4)).collect();
    assert!(collected(&mut collector, &packets).is_empty());
    assert_eq!(
        (collector.open_books(), collector.counters().dropped),
        (2, 1)
    );
    let packets: Vec<_> = (2..=3).map(|index| chunk(1, 50, index, 4)).collect();
    assert!(collected(&mut collector, &packets).is_empty());
    assert_eq!(
        (collector.open_books(), collector.counters().dropped),
        (1, 2)
    );
    assert!(collector.bytes() <= 400);
}

/// Proves that a packet with several chunks of an instrument, others between, is kept once, and
/// that its messages are read once and in order.
#[test]
fn a_packet_of_several_chunks_is_kept_once() {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 1);
    push_chunk(&mut builder, 7, 50, (2, 3));
    push_chunk(&mut builder, 8, 50, (1, 2));
    push_chunk(&mut builder, 7, 50, (1, 3));
    let packets = [builder.finish().to_vec(), chunk(7, 50, 3, 3)];
    let cycles = collected(&mut collector(), &packets);
    let [cycle] = &cycles[..] else {
        panic!("{cycles:?}")
    };
    assert_eq!(cycle.packets, packets);
    let mut orders = Vec::new();
    cycle.messages(|message| {
        orders.push(message.groups().unwrap().first().entries().next().unwrap()[0])
    });
    assert_eq!(orders, [1, 2, 3]);
    let again = Cycle::read(7, Book::Orders, packets.iter().map(Vec::as_slice));
    assert_eq!(
        again.as_ref(),
        Some(cycle),
        "a reader finds the same in the records"
    );
    let part = Cycle::read(7, Book::Orders, packets[..1].iter().map(Vec::as_slice));
    assert_eq!(part, None, "a part is none");
}

proptest! {
    /// Proves that whatever order chunks of two loops come in, a book is put out only of chunks of
    /// one loop, each exactly once, and never of an older loop after a newer one.
    #[test]
    fn only_whole_loops_are_put_out(order in vec((0u32..3, 1u32..=4), 0..60)) {
        let packets: Vec<_> = order.iter().map(|(step, index)| chunk(7, 50 + step, *index, 4)).collect();
        let mut collector = collector();
        for cycle in collected(&mut collector, &packets) {
            prop_assert_eq!(cycle.packets.len(), 4);
            let mut expected = (1..=4).map(|index| chunk(7, cycle.last_msg_seq_num_processed, index, 4));
            prop_assert!(cycle.packets.iter().all(|packet| Some(packet) == expected.next().as_ref()));
        }
        let counters = collector.counters();
        prop_assert_eq!(counters.packets, order.len() as u64);
    }
}
