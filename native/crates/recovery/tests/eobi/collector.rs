//! Cycles that are not whole are never put out.

use tickdeck_recovery::eobi::{Collector, CollectorConfig, CollectorCounters, Cycle};
use tickdeck_sim::eobi::{Channel, Session, SessionConfig};
use tickdeck_wire::eobi::{
    Content, Header, InstrumentSummary, Packet, PacketBuilder, ProductSummary, Release, Side,
};

/// Its packets are smaller, so that a few messages fit one.
const RELEASE: Release = Release::V6_0;

/// The packets of line A's snapshot channel.
fn packets(seed: u64) -> Vec<Vec<u8>> {
    let session = Session::new(SessionConfig {
        seed,
        release: RELEASE,
        steps: 600,
        ..SessionConfig::default()
    });
    let is_wanted = |channel, line| channel == Channel::Snapshot && line == 0;
    let wanted = session.filter(|timed| is_wanted(timed.channel, timed.line));
    wanted.map(|timed| timed.bytes).collect()
}

fn collect(
    config: CollectorConfig,
    packets: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> (Vec<Cycle>, CollectorCounters) {
    let mut collector = Collector::new(config);
    let mut cycles = Vec::new();
    for packet in packets {
        let packet = Packet::parse(packet.as_ref(), RELEASE).expect("a packet");
        collector.on_packet(0, &packet, &mut |cycle| cycles.push(cycle));
    }
    (cycles, *collector.counters())
}

/// Proves that every product of every cycle is put out, that a kept cycle is read back as it was,
/// and that it says where to go on.
#[test]
fn every_product_of_every_cycle_is_put_out() {
    let packets = packets(1);
    let completed = packets.iter().filter(|bytes| bytes[17] == 1).count();
    let (cycles, counters) = collect(CollectorConfig::default(), &packets);
    assert_eq!(
        (cycles.len(), counters.packets),
        (completed, packets.len() as u64)
    );
    assert!(cycles.iter().any(|cycle| cycle.orders > 50));
    for cycle in cycles {
        let kept = cycle.packets.iter().map(Vec::as_slice);
        assert_eq!(Cycle::read(RELEASE, kept).as_ref(), Some(&cycle));
        assert_eq!(
            cycle.resume_sequence(),
            cycle.last_msg_seq_num_processed + 1
        );
        let cut = cycle.packets[..cycle.packets.len() - 1].iter();
        assert_eq!(Cycle::read(RELEASE, cut.map(Vec::as_slice)), None);
    }
}

/// Proves for each packet of a few cycles that losing it costs exactly its product's cycle.
#[test]
fn each_lost_packet_costs_one_cycle() {
    let packets = &packets(2)[..60];
    let (whole, _) = collect(CollectorConfig::default(), packets);
    // The last ones wait for packets behind the missing one.
    for lost in 1..packets.len() - 18 {
        let rest = packets
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != lost);
        let (cycles, counters) = collect(CollectorConfig::default(), rest.map(|(_, p)| p));
        assert_eq!(counters.lost_packets, 1);
        assert_eq!(cycles.len(), whole.len() - 1, "packet {lost}");
        assert!(cycles.iter().all(|cycle| whole.contains(cycle)));
    }
}

/// Proves that copies and packets that overtook one another are put in order.
#[test]
fn copies_and_overtaken_packets_are_put_in_order() {
    let packets = packets(3);
    let (whole, _) = collect(CollectorConfig::default(), &packets);
    let pairs = packets.chunks(2).flat_map(|pair| {
        let swapped = pair.iter().rev();
        swapped.chain(pair).cloned().collect::<Vec<_>>()
    });
    // The very first packet says where the numbers begin, so it is not overtaken.
    let pairs = std::iter::once(packets[0].clone()).chain(pairs);
    let (cycles, counters) = collect(CollectorConfig::default(), pairs);
    assert_eq!(cycles, whole);
    assert_eq!((counters.lost_packets, counters.restarts), (0, 0));
    assert!(counters.duplicates >= packets.len() as u64);
}

/// Proves that the front of one cycle and the back of the next never make one: the packets' numbers
/// show what is missing between them, and where those were made to follow, the messages' do.
#[test]
fn two_cycles_are_never_mixed() {
    let packets = packets(4);
    let (whole, _) = collect(CollectorConfig::default(), &packets);
    let contents = |cycle: &Cycle| {
        let mut contents = Vec::new();
        cycle.messages(|message| contents.extend_from_slice(message.body()));
        contents
    };
    let whole: Vec<_> = whole.iter().map(contents).collect();
    let starts: Vec<_> = (0..packets.len())
        .filter(|at| packets[*at][36..40] == [0; 4])
        .collect();
    let (mut lost, mut mixed) = (0, 0);
    for pair in starts.windows(2).skip(3) {
        for cut in 1..(pair[1] - pair[0]).min(12) {
            let front = &packets[pair[0]..pair[0] + cut];
            let joined = front.iter().chain(&packets[pair[1] + cut..]);
            let (cycles, counters) = collect(CollectorConfig::default(), joined);
            assert!(cycles.iter().all(|cycle| whole.contains(&contents(cycle))));
            lost += counters.spoiled_lost;
            let joined = front.iter().chain(&packets[pair[1] + cut + 1..]);
            let mut joined: Vec<_> = joined.cloned().collect();
            for (number, packet) in (1_u32..).zip(&mut joined) {
                packet[8..12].copy_from_slice(&number.to_le_bytes());
            }
            let (cycles, counters) = collect(CollectorConfig::default(), &joined);
            assert!(cycles.iter().all(|cycle| whole.contains(&contents(cycle))));
            assert_eq!(counters.lost_packets, 0);
            mixed += counters.spoiled_mixed;
        }
    }
    assert!(lost > 10 && mixed > 10, "{lost} lost, {mixed} mixed");
}

/// One of a collector's counters.
type Counter = fn(&CollectorCounters) -> u64;

/// Proves each reason for which a cycle is refused, on built packets, and its counter.
#[test]
fn each_reason_has_its_counter() {
    let order = Content::SnapshotOrder(tickdeck_wire::eobi::Order {
        priority_ns: Some(1),
        quantity: 10_000,
        side: Side::Buy,
        is_market: false,
        price: Some(5),
    });
    let product = product_summary(9);
    let instrument = |orders| {
        Content::InstrumentSummary(InstrumentSummary {
            security_id: 1,
            orders,
            ..InstrumentSummary::default()
        })
    };
    let good = vec![product, instrument(2), order, order, instrument(0)];
    let cases: [(&str, Vec<Content<'_>>, Counter); 6] = [
        ("whole", good, |c| c.cycles),
        (
            "too few",
            vec![product, instrument(2), order, instrument(0)],
            |c| c.orders_mismatched,
        ),
        ("too few at the end", vec![product, instrument(1)], |c| {
            c.orders_mismatched
        }),
        (
            "too many",
            vec![product, instrument(1), order, order],
            |c| c.orders_mismatched,
        ),
        ("no instrument", vec![product, order], |c| c.malformed),
        ("no product", vec![instrument(0)], |c| c.without_beginning),
    ];
    for (name, contents, counter) in cases {
        let packet = built(&contents, 1, 0);
        let (cycles, counters) = collect(CollectorConfig::default(), [packet]);
        assert_eq!(counter(&counters), 1, "{name}");
        assert_eq!(cycles.len(), usize::from(name == "whole"), "{name}");
    }
    let small = CollectorConfig {
        max_bytes: 100,
        ..CollectorConfig::default()
    };
    let (cycles, counters) = collect(small, [built(&[product, instrument(0)], 1, 0)]);
    assert_eq!((cycles.len(), counters.oversize), (0, 1));
}

/// Proves that after a restart the numbers begin again, that the older line follows without
/// another restart, and that what was sent before is refused.
#[test]
fn a_restart_is_seen_once_and_stragglers_are_refused() {
    let mut collector = Collector::new(CollectorConfig::default());
    let mut cycles = Vec::new();
    // Line, ApplSeqNum, time, LastMsgSeqNumProcessed.
    for (line, sequence, sent_ns, last) in [
        (0, 500, 100, 40),
        (1, 500, 101, 40),
        (0, 1, 200, 0),
        (0, 501, 102, 41), // sent before the restart, late on line A
        (1, 501, 103, 41),
        (1, 1, 203, 0),
        (0, 2, 210, 1),
        (1, 2, 212, 1),
    ] {
        let bytes = built(&[product_summary(last)], sequence, sent_ns);
        let packet = Packet::parse(&bytes, RELEASE).expect("a packet");
        collector.on_packet(line, &packet, &mut |cycle| {
            cycles.push(cycle.last_msg_seq_num_processed);
        });
    }
    // What was sent before the restart is one until the restart is confirmed.
    assert_eq!(cycles, [40, 41, 0, 1]);
    let counters = collector.counters();
    assert_eq!((counters.restarts, counters.unconfirmed), (1, 1));
    assert_eq!((counters.stragglers, counters.duplicates), (0, 3));
}

/// Proves that one forged packet ends nothing: neither one that claims a restart, at whatever time,
/// nor one with a number far ahead. A real restart that follows costs no cycle.
#[test]
fn one_forged_packet_ends_nothing() {
    for forged in [(1, 106), (1, u64::MAX - 1), (u32::MAX - 1, u64::MAX - 1)] {
        let mut collector = Collector::new(CollectorConfig::default());
        let mut cycles = Vec::new();
        for (sequence, sent_ns, last) in [
            (500, 100, 40),
            (501, 105, 41),
            (forged.0, forged.1, 99),
            (502, 110, 42),
            (503, 115, 43),
            (1, 200, 0),
            (2, 210, 1),
            (501, 105, 41), // late
            (3, 220, 2),
        ] {
            let bytes = built(&[product_summary(last)], sequence, sent_ns);
            let packet = Packet::parse(&bytes, RELEASE).expect("a packet");
            collector.on_packet(0, &packet, &mut |cycle| {
                cycles.push(cycle.last_msg_seq_num_processed);
            });
        }
        if forged.0 == 1 {
            assert_eq!(cycles, [40, 41, 42, 43, 0, 1, 2], "{forged:?}");
            assert_eq!(collector.counters().restarts, 1);
            assert_eq!(collector.counters().stragglers, 1);
        } else {
            assert_eq!(cycles[..4], [40, 41, 42, 43], "{forged:?}");
        }
    }
}

/// The beginning of a product.
fn product_summary(last_processed: u32) -> Content<'static> {
    Content::ProductSummary(ProductSummary {
        last_processed,
        ..ProductSummary::default()
    })
}

/// A packet that completes its product, with numbers from 0.
fn built(contents: &[Content<'_>], sequence: u32, sent_ns: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(RELEASE);
    builder.begin(Header {
        sequence,
        market_segment_id: 7,
        partition_id: 0,
        completes: true,
        resets: false,
        transact_time_ns: sent_ns,
    });
    for (number, content) in (0..).zip(contents) {
        assert!(builder.push(content, Some(number)));
    }
    builder.finish().to_vec()
}
