//! A product that loses packets is suspect alone, and comes back whole.

use tickdeck_recovery::eobi::{ReplayerConfig, Trust};
use tickdeck_sim::eobi::{Channel, SessionConfig, SnapshotFault, Timed};
use tickdeck_wire::eobi::{Packet, Release};

use crate::world::{BOTH, World};

/// Loses the incremental packets of one product on both lines.
fn of(product: i32) -> impl FnMut(&Timed, &Packet<'_>) -> u8 {
    move |timed, packet| {
        let is_of = packet.market_segment_id() == product;
        if timed.channel == Channel::Incremental && is_of {
            BOTH
        } else {
            0
        }
    }
}

fn has_number(packet: &Packet<'_>) -> bool {
    packet
        .messages()
        .any(|message| message.msg_seq_num().is_some())
}

fn world(seed: u64) -> World {
    World::new(SessionConfig {
        seed,
        steps: 900,
        release: if seed.is_multiple_of(3) {
            Release::V6_0
        } else {
            Release::V14_1
        },
        partition_id: seed as u8,
        auction_steps: if seed.is_multiple_of(2) { 100 } else { 400 },
        ..SessionConfig::default()
    })
}

/// A world whose first product lost messages and is suspect.
fn suspect(seed: u64) -> (World, i32) {
    let mut world = world(seed);
    let product = world.session.products()[0].market_segment_id();
    world.go_on(100, |_, _| 0);
    world.session.set_snapshot_fault(SnapshotFault::Silent);
    world.go_on(700, |_, _| 0);
    world.go_on(200, of(product));
    world.go_on(60, |_, _| 0);
    assert!(matches!(
        world.replayer.trust(product),
        Some(Trust::Suspect { .. })
    ));
    (world, product)
}

/// Proves for each product of several sessions: while its packets are lost on both lines it alone
/// becomes suspect, its packets are kept, it is restored from the next complete cycle, and in the
/// end its orders are those of the run without losses. The others never stop.
#[test]
fn each_product_comes_back_alone() {
    let (mut suspects, mut stale) = (0, 0);
    for seed in 0..6 {
        for index in 0..SessionConfig::default().products {
            let mut world = world(seed);
            let products: Vec<_> = world.session.products().iter().collect();
            let product = products[index].market_segment_id();
            world.go_on(900 + seed * 13, |_, _| 0);
            let (mut lost, mut of) = (0, of(product));
            while lost < 3 {
                world.go_on(400, |timed, packet| {
                    let lines = of(timed, packet);
                    lost += u32::from(lines == BOTH && has_number(packet));
                    lines
                });
            }
            let skipped = world.books.applied.clone();
            world.finish();
            world.assert_all_good();
            for other in world.session.products() {
                let id = other.market_segment_id();
                if id != product {
                    assert!(!world.books.was_suspect(id));
                    assert!(world.books.applied[&id] > skipped[&id]);
                }
            }
            let counters = world.replayer.counters();
            assert_eq!((counters.feed_inconsistent, counters.malformed), (0, 0));
            assert!(world.loaded >= 1 && world.compared > 100);
            suspects += u64::from(world.books.was_suspect(product));
            // A quiet product may be restored before it says that it lost something.
            let trust = |trust| world.books.trusts.contains(&(product, trust));
            assert!(trust(Trust::Rebuilding) && trust(Trust::Good));
            stale += u64::from(counters.cycles_stale > 0);
        }
    }
    assert!(
        suspects > 15 && stale > 0,
        "{suspects} suspect, {stale} with an older cycle first"
    );
}

/// Proves that a heartbeat reveals the loss of a quiet product's last messages.
#[test]
fn a_heartbeat_reveals_a_loss() {
    let mut revealed = 0;
    for seed in 0..20 {
        let mut world = world(seed);
        let last = world.session.products().last().expect("a product");
        let product = last.market_segment_id();
        world.session.set_snapshot_fault(SnapshotFault::Silent);
        world.go_on(800, |_, _| 0);
        // What has a number is lost, the heartbeats are not.
        let mut is_lost = false;
        world.go_on(400, |timed, packet| {
            let has_number = packet
                .messages()
                .any(|message| message.msg_seq_num().is_some());
            let hit = timed.channel == Channel::Incremental
                && packet.market_segment_id() == product
                && has_number;
            is_lost |= hit;
            if hit { BOTH } else { 0 }
        });
        world.session.set_snapshot_fault(SnapshotFault::None);
        revealed += world.replayer.counters().revealed_losses;
        world.finish();
        world.assert_all_good();
        assert!(is_lost);
    }
    assert!(revealed > 0);
}

/// Proves that a lost packet of the snapshot channel costs its product that cycle and nobody
/// else: the product waits for the next one.
#[test]
fn a_lost_snapshot_packet_waits_for_the_next_cycle() {
    for seed in 0..10 {
        let (mut world, product) = suspect(seed);
        world.session.set_snapshot_fault(SnapshotFault::None);
        let before = *world.collector.counters();
        // The next packet of the product that is not its last one, on both lines.
        let mut lost = None;
        while lost.is_none() {
            world.go_on(1, |timed, packet| {
                let is_of = packet.market_segment_id() == product && !packet.completes();
                // The second copy is lost below.
                let is_of = is_of && timed.line == seed as u8 % 2;
                if timed.channel == Channel::Snapshot && is_of {
                    lost = Some((timed.line, packet.sequence()));
                }
                if lost.is_some() { BOTH } else { 0 }
            });
        }
        let number = lost.expect("one is lost").1;
        let whole_before = world.collector.counters().cycles;
        let mut cycles = 0;
        while cycles < 4 {
            world.go_on(1, |timed, packet| {
                let is_that = timed.channel == Channel::Snapshot && packet.sequence() == number;
                if is_that { BOTH } else { 0 }
            });
            cycles = world.collector.counters().cycles - whole_before;
            if cycles < 3 {
                assert_ne!(world.replayer.trust(product), Some(Trust::Good));
            }
        }
        assert_eq!(world.replayer.trust(product), Some(Trust::Good));
        let counters = world.collector.counters();
        assert_eq!(counters.lost_packets, before.lost_packets + 1);
        world.finish();
        world.assert_all_good();
    }
}

/// Proves that with two lines a packet that one of them lost costs nothing.
#[test]
fn the_other_line_of_the_snapshot_channel_helps() {
    let (mut world, product) = suspect(4);
    world.session.set_snapshot_fault(SnapshotFault::None);
    let lost = |timed: &Timed, packet: &Packet<'_>| {
        let is_snapshot = timed.channel == Channel::Snapshot;
        u8::from(is_snapshot) << (packet.sequence() % 2)
    };
    world.go_on(600, lost);
    assert_eq!(world.replayer.trust(product), Some(Trust::Good));
    let counters = world.collector.counters();
    assert_eq!((counters.lost_packets, counters.spoiled_lost), (0, 0));
    world.finish();
    world.assert_all_good();
}

/// Proves for a snapshot that lies about its orders, is older than the loss, or is silent, that the
/// product stays suspect as long as it does, and comes back afterwards.
#[test]
fn a_useless_snapshot_leaves_the_product_suspect() {
    for (seed, fault) in [
        (1, SnapshotFault::WrongOrders),
        (2, SnapshotFault::Stale),
        (3, SnapshotFault::Silent),
    ] {
        let mut world = world(seed);
        let product = world.session.products()[0].market_segment_id();
        // A cycle of every product goes out first, so that a stale one has something to repeat.
        world.go_on(800, |_, _| 0);
        world.session.set_snapshot_fault(fault);
        // Cycles that began before the fault pass.
        world.go_on(200, |_, _| 0);
        world.go_on(200, of(product));
        world.go_on(600, |_, _| 0);
        let trust = world.replayer.trust(product);
        assert!(matches!(trust, Some(Trust::Suspect { .. })), "{fault:?}");
        assert!(world.replayer.buffered().0 > 0);
        let counters = (world.collector.counters(), world.replayer.counters());
        match fault {
            SnapshotFault::WrongOrders => assert!(counters.0.orders_mismatched > 0),
            SnapshotFault::Stale => assert!(counters.1.cycles_stale > 0),
            _ => {}
        }
        world.session.set_snapshot_fault(SnapshotFault::None);
        world.finish();
        world.assert_all_good();
    }
}

/// Proves that a full buffer drops the oldest packets, counts them, and only makes the product
/// wait for a newer cycle.
#[test]
fn a_full_buffer_needs_a_newer_cycle() {
    let small = ReplayerConfig {
        max_bytes: 5_000,
        ..ReplayerConfig::default()
    };
    let mut world = World::with_buffer(SessionConfig::default(), small);
    let product = world.session.products()[0].market_segment_id();
    world.go_on(800, |_, _| 0);
    world.session.set_snapshot_fault(SnapshotFault::Silent);
    world.go_on(200, of(product));
    world.go_on(600, |_, _| 0);
    let (packets, bytes) = world.replayer.buffered();
    assert!(packets > 10 && bytes <= 5_000);
    assert!(world.replayer.counters().dropped_packets > 0);
    world.session.set_snapshot_fault(SnapshotFault::None);
    world.finish();
    world.assert_all_good();
}

/// Proves that numbers that jump or fall while no packet is lost are the feed's fault, and that the
/// product comes back.
#[test]
fn an_inconsistent_feed_is_counted_apart() {
    use tickdeck_recovery::eobi::Replayer;
    use tickdeck_wire::eobi::{Content, Header, PacketBuilder};

    let mut books = crate::books::Books::new(Release::V14_1);
    let mut replayer = Replayer::new(ReplayerConfig::default());
    let mut builder = PacketBuilder::new(Release::V14_1);
    let mut sequence = 0;
    let mut send = |replayer: &mut Replayer, number| {
        sequence += 1;
        builder.begin(Header {
            sequence,
            market_segment_id: 7,
            partition_id: 0,
            completes: true,
            resets: false,
            transact_time_ns: u64::from(sequence),
        });
        builder.push(&Content::OrderMassDelete { security_id: 1 }, Some(number));
        let packet = Packet::parse(builder.finish(), Release::V14_1).expect("a packet");
        replayer.on_packet(&packet, &mut books);
    };
    send(&mut replayer, 1);
    assert_eq!(replayer.trust(7), Some(Trust::Good));
    send(&mut replayer, 3);
    assert_eq!(replayer.trust(7), Some(Trust::Suspect { since: 2 }));
    send(&mut replayer, 2);
    send(&mut replayer, 3);
    let counters = replayer.counters();
    assert_eq!((counters.feed_inconsistent, counters.jumps), (2, 0));
}
