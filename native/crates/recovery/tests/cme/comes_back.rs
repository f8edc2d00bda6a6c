//! Generated channels: whatever is lost, the books come back to those of a run without loss.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_recovery::cme::{Book, Collector, CollectorConfig, Replayer, ReplayerConfig};
use tickdeck_sim::cme::{Channel, ChannelConfig, Snapshots};
use tickdeck_wire::cme::Packet;

use crate::model::Books;

/// Packets of the incremental channel in a run.
const PACKETS: u32 = 400;

/// Packets between two instruments of a snapshot loop.
const PACE: u32 = 4;

/// What is lost.
#[derive(Clone, Debug, Default)]
struct Losses {
    /// Ranges of packets, lost on both lines.
    ranges: Vec<(u32, u32)>,
    /// Packets of an instrument within a range.
    of_instrument: Option<(usize, u32, u32)>,
    /// Every so many packets of the snapshot channel one; 0: none.
    every_snapshot: usize,
}

/// A channel, its snapshot loop and a reader, in one run.
struct World {
    channel: Channel,
    losses: Losses,
    collector: Collector,
    replayer: Replayer,
    books: Books,
    /// Which instrument's part of the loop is sent next.
    turn: usize,
    snapshot_packets: usize,
}

impl World {
    fn new(seed: u64, losses: Losses) -> Self {
        let config = ChannelConfig {
            seed,
            ..ChannelConfig::default()
        };
        Self {
            channel: Channel::new(config),
            losses,
            collector: Collector::new(CollectorConfig::default()),
            replayer: Replayer::new(ReplayerConfig::default()),
            books: Books::default(),
            turn: 0,
            snapshot_packets: 0,
        }
    }

    /// Sends packets, with the snapshot loop beside, and compares at the end of it.
    fn run(&mut self, packets: u32) {
        for _ in 0..packets {
            let packet = self.channel.next_packet().to_vec();
            if !self.loses(self.channel.sequence()) {
                let packet = Packet::parse(&packet).unwrap();
                self.replayer.on_packet(&packet, &mut self.books);
            }
            if self.channel.sequence().is_multiple_of(PACE) {
                self.send_snapshots();
            }
        }
    }

    fn loses(&self, sequence: u32) -> bool {
        let is_in = |(first, last): &(u32, u32)| (*first..=*last).contains(&sequence);
        let of_instrument = self.losses.of_instrument;
        self.losses.ranges.iter().any(is_in)
            || of_instrument.is_some_and(|(index, first, last)| {
                (first..=last).contains(&sequence) && self.channel.touched().contains(&index)
            })
    }

    /// The next instrument's part of both loops.
    fn send_snapshots(&mut self) {
        for kind in [Snapshots::Prices, Snapshots::Orders] {
            for packet in self.channel.snapshot(kind, self.turn, 1) {
                self.snapshot_packets += 1;
                let every = self.losses.every_snapshot;
                if every > 0 && self.snapshot_packets.is_multiple_of(every) {
                    continue;
                }
                let packet = Packet::parse(&packet).unwrap();
                let (replayer, books) = (&mut self.replayer, &mut self.books);
                self.collector.on_packet(&packet, &mut |cycle| {
                    replayer.on_cycle(&cycle, books);
                });
            }
        }
        self.turn = (self.turn + 1) % self.channel.instruments().len();
    }

    /// Whole loops without a loss, as many as it takes to hear of every instrument.
    fn settle(&mut self) {
        self.losses = Losses::default();
        self.run(2 * PACE * self.channel.instruments().len() as u32);
    }

    fn assert_equal(&self, context: &str) {
        self.books.assert_equal(self.channel.instruments(), context);
        assert_eq!(self.replayer.suspects().count(), 0, "{context}");
        assert_eq!(
            self.replayer.buffered(),
            (0, 0),
            "{context}: nothing is kept"
        );
    }
}

/// Proves that without a loss the books are the channel's at every packet, that no cycle is ever
/// needed, and that nothing is kept.
#[test]
fn a_whole_channel_needs_no_cycle() {
    let mut world = World::new(5, Losses::default());
    for _ in 0..PACKETS {
        world.run(1);
        world.assert_equal("whole");
    }
    let counters = world.replayer.counters();
    assert_eq!(
        (counters.gaps, counters.cycles, counters.malformed),
        (0, 0, 0)
    );
}

/// Proves for each instrument that losing all its packets for a while costs by price only the
/// instruments in those packets, and that all come back.
#[test]
fn any_one_instruments_packets_may_be_lost() {
    for index in 0..ChannelConfig::default().instruments {
        let losses = Losses {
            of_instrument: Some((index, 100, 160)),
            ..Losses::default()
        };
        let mut world = World::new(11, losses);
        world.run(PACKETS);
        let context = format!("instrument {index}");
        assert!(world.replayer.counters().gaps > 0, "{context}");
        world.settle();
        world.assert_equal(&context);
        let id = world.channel.instruments()[index].security_id();
        assert!(
            world.books.loaded.contains(&(id, Book::Prices)),
            "{context}"
        );
        assert_eq!(world.replayer.counters().unexplained_jumps, 0);
    }
}

/// Proves that a lost chunk makes its instrument wait for the next loop, and no longer.
#[test]
fn a_lost_chunk_costs_one_loop() {
    let losses = Losses {
        ranges: vec![(200, 203)],
        ..Losses::default()
    };
    let mut world = World::new(7, losses);
    world.run(204);
    let waiting: Vec<_> = world.replayer.suspects().collect();
    assert!(waiting.iter().any(|(_, book)| *book == Book::Orders));
    // One loop in which each book by order loses its second chunk.
    for index in 0..world.channel.instruments().len() {
        let mut parts = world.channel.snapshot(Snapshots::Orders, index, 1);
        if parts.len() > 1 {
            parts.remove(1);
        }
        for part in parts {
            let part = Packet::parse(&part).unwrap();
            let (replayer, books) = (&mut world.replayer, &mut world.books);
            world.collector.on_packet(&part, &mut |cycle| {
                replayer.on_cycle(&cycle, books);
            });
        }
    }
    let still: Vec<_> = world.replayer.suspects().collect();
    assert_eq!(still, waiting, "no book by order was whole");
    let open = world.collector.open_books();
    world.settle();
    world.assert_equal("after the next loop");
    assert_eq!(world.collector.counters().voided, open as u64);
}

/// Proves that a reader saved and restored while books are suspect takes a cycle that was sent
/// before, as its receiver does, who was never restored and sends no other.
#[test]
fn a_restored_reader_takes_the_cycle_that_was_on_its_way() {
    let losses = Losses {
        ranges: vec![(200, 203)],
        ..Losses::default()
    };
    let mut world = World::new(7, losses);
    world.run(203);
    let feed = |world: &mut World, packets: u32| {
        for _ in 0..packets {
            let packet = world.channel.next_packet().to_vec();
            let packet = Packet::parse(&packet).unwrap();
            world.replayer.on_packet(&packet, &mut world.books);
        }
    };
    feed(&mut world, 2);
    let sent = [Snapshots::Prices, Snapshots::Orders].map(|kind| world.channel.snapshot_loop(kind));
    feed(&mut world, 20);
    assert!(world.replayer.suspects().count() > 0);
    let mut saved = Vec::new();
    world.replayer.save(&mut saved);
    let config = ReplayerConfig::default();
    for end in 0..saved.len() {
        assert!(
            Replayer::restore(config, &mut &saved[..end]).is_err(),
            "cut at {end}"
        );
    }
    let rest = &mut &saved[..];
    world.replayer = Replayer::restore(config, rest).expect("what was saved");
    assert!(rest.is_empty());
    feed(&mut world, 20);
    for part in sent.iter().flatten() {
        let part = Packet::parse(part).unwrap();
        let (replayer, books) = (&mut world.replayer, &mut world.books);
        world.collector.on_packet(&part, &mut |cycle| {
            replayer.on_cycle(&cycle, books);
        });
    }
    world.assert_equal("behind the cycle that was on its way");
}

/// Proves that a channel reset while books are suspect ends the recovery: everything is built
/// again from the incrementals, without a cycle.
#[test]
fn a_channel_reset_ends_a_recovery() {
    let losses = Losses {
        ranges: vec![(200, 210)],
        ..Losses::default()
    };
    let mut world = World::new(13, losses);
    world.run(212);
    assert!(world.replayer.suspects().count() > 0);
    let before = world.replayer.counters().cycles;
    let packet = world.channel.channel_reset().to_vec();
    let packet = Packet::parse(&packet).unwrap();
    world.replayer.on_packet(&packet, &mut world.books);
    world.assert_equal("reset");
    world.run(100);
    world.assert_equal("behind the reset");
    assert_eq!(world.replayer.counters().cycles, before);
    assert_eq!(world.replayer.counters().gaps, 1);
}

/// Proves that the weekly reset begins anew: no loss, and books from the incrementals only.
#[test]
fn a_new_week_begins_anew() {
    let mut world = World::new(17, Losses::default());
    world.run(PACKETS);
    world.channel.next_week();
    world.replayer.restart(&mut world.books);
    world.collector.restart();
    world.run(PACKETS);
    world.assert_equal("second week");
    let counters = world.replayer.counters();
    assert_eq!((counters.gaps, counters.cycles), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Proves that ranges lost on both lines and lost packets of the snapshot channel never make a
    /// book wrong: none that is trusted ever gets an update that does not follow, and when the
    /// losses end all come back to the channel's books.
    #[test]
    fn ranges_may_be_lost(
        seed: u64,
        ranges in vec((1u32..PACKETS, 0u32..30), 0..6),
        every_snapshot in prop_oneof![Just(0usize), 2usize..7],
        index in 0usize..9,
    ) {
        let losses = Losses {
            ranges: ranges.iter().map(|(first, more)| (*first, first + more)).collect(),
            of_instrument: Some((index, 300, 340)),
            every_snapshot,
        };
        let mut world = World::new(seed, losses);
        world.run(PACKETS);
        world.settle();
        world.assert_equal("settled");
        prop_assert_eq!(world.replayer.counters().unexplained_jumps, 0);
    }

    /// Proves that with little room for packets a book may wait longer, but is never wrong.
    #[test]
    fn a_small_buffer_is_never_wrong(seed: u64, first in 1u32..PACKETS, max_bytes in 0usize..3_000) {
        let losses = Losses { ranges: vec![(first, first + 5)], ..Losses::default() };
        let mut world = World::new(seed, losses);
        world.replayer = Replayer::new(ReplayerConfig { max_bytes, ..ReplayerConfig::default() });
        world.run(PACKETS);
        world.settle();
        // Its own cycle is as new as the last packet, so even without room it is loaded.
        world.assert_equal("settled");
    }
}
