//! Generated channels with losses.

use tickdeck_book::price_book::Kind;
use tickdeck_book::{Channel, LevelView, OrderView, Record, Side, Trust as BookTrust, snapshot};
use tickdeck_sim::Random;
use tickdeck_sim::cme::{Channel as SimChannel, ChannelConfig, Instrument, Snapshots};
use tickdeck_wire::cme::PacketBuilder;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    GapEvent, LossReason, LostEvent, SessionEvent, SessionEventKind, kind,
};

use super::*;

/// A generated channel, its stream of records, and a reader.
struct World {
    sim: SimChannel,
    reader: Channel<CmeVenue>,
    seq: u64,
    /// A stretch of packets that are being lost.
    lost_from: Option<u32>,
    turn: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = ChannelConfig {
            seed,
            ..ChannelConfig::default()
        };
        let mut world = Self {
            sim: SimChannel::new(config),
            reader: reader(),
            seq: 0,
            lost_from: None,
            turn: 0,
        };
        let started = SessionEvent {
            kind: SessionEventKind::Started,
            session: Session(*b"EPOCH00001"),
            next_sequence: 1,
        };
        world.record(kind::SESSION, 1, &started.encode());
        world
    }

    fn record(&mut self, kind: u8, venue_seq: u64, payload: &[u8]) {
        self.seq += 1;
        self.reader.apply(Record {
            seq: self.seq,
            kind,
            venue_seq,
            rx_ns: self.seq,
            payload,
        });
    }

    /// The next packet of the channel, lost or not.
    fn packet(&mut self, is_lost: bool) {
        let packet = self.sim.next_packet().to_vec();
        let sequence = self.sim.sequence();
        if is_lost {
            self.lost_from.get_or_insert(sequence);
            return;
        }
        self.give_up(sequence - 1);
        self.record(kind::DATA, u64::from(sequence), &packet);
    }

    /// Says that what was lost up to this packet will not come.
    fn give_up(&mut self, last: u32) {
        let Some(first) = self.lost_from.take() else {
            return;
        };
        let lost = LostEvent {
            gap: GapEvent {
                gap_id: 1,
                first: u64::from(first),
                last: u64::from(last),
                detected_ns: 0,
            },
            reason: LossReason::Snapshot,
        };
        self.record(kind::GAP_LOST, u64::from(first), &lost.encode());
    }

    /// The next instrument's part of both snapshot loops, as the receiver puts it into the stream.
    fn cycle(&mut self) {
        self.turn = (self.turn + 1) % self.sim.instruments().len();
        let id = self.sim.instruments()[self.turn].security_id();
        for (of, is_by_order) in [(Snapshots::Prices, false), (Snapshots::Orders, true)] {
            let packets = self.sim.snapshot(of, self.turn, 1);
            if packets.is_empty() {
                continue;
            }
            let event = SnapshotEvent {
                gap_id: 1,
                scope: SnapshotEvent::instrument(id, is_by_order),
                resume_sequence: u64::from(self.sim.sequence()) + 1,
                records: packets.len() as u64,
                orders: 0,
            };
            self.record(kind::SNAPSHOT_BEGIN, 1, &event.encode());
            for packet in &packets {
                self.record(kind::SNAPSHOT_DATA, 1, packet);
            }
            self.record(kind::SNAPSHOT_END, 1, &event.encode());
        }
    }

    /// Sends packets, of which some stretches are lost, with cycles between.
    fn run(&mut self, random: &mut Random, packets: u32) {
        let mut losing = 0;
        for _ in 0..packets {
            if losing == 0 && random.below(25) == 0 {
                losing = 1 + random.below(6);
            }
            let is_lost = losing > 0 && self.sim.sequence() > 0;
            losing = losing.saturating_sub(1);
            self.packet(is_lost);
            if self.lost_from.is_none() && random.below(4) == 0 {
                self.cycle();
            }
            self.check();
        }
        self.packet(false);
        (0..self.sim.instruments().len()).for_each(|_| self.cycle());
        self.check();
    }

    fn check(&self) {
        let books = self.reader.books();
        assert_eq!(books.check_invariants(), Ok(()));
        assert_eq!(books.price_books().check_invariants(), Ok(()));
        let found = |fault: &tickdeck_book::Fault| books.counters().fault(*fault) > 0;
        let faults: Vec<_> = tickdeck_book::Fault::ALL
            .into_iter()
            .filter(found)
            .collect();
        assert_eq!(faults, [], "{}", self.sim.sequence());
    }

    /// Whether every book is good and the venue's.
    fn assert_right(&self) {
        for instrument in self.sim.instruments() {
            assert_prices(self.reader.books(), instrument);
            assert_orders(self.reader.books(), instrument);
        }
    }
}

fn reader() -> Channel<CmeVenue> {
    Channel::with(CmeVenue::new(BooksConfig::default()))
}

fn assert_prices(books: &Books, instrument: &Instrument) {
    if instrument.rpt_seq() == 0 {
        return;
    }
    let id = i64::from(instrument.security_id());
    let book = books.price_books().get(id).expect("it had an update");
    assert_eq!(books.price_trust(book), BookTrust::Good, "{id}");
    for (wire, side) in [(b'0', Side::Bid), (b'1', Side::Ask)] {
        let levels = instrument.levels().into_iter().filter(|l| l.kind == wire);
        let levels = levels.map(|level| LevelView {
            price: level.price,
            quantity: level.size as u64,
            orders: level.orders as u32,
        });
        let ours: Vec<_> = book.levels(Kind::Real, side).collect();
        assert_eq!(ours, levels.collect::<Vec<_>>(), "{id} {side:?}");
        for kind in [Kind::Real, Kind::Implied] {
            assert_eq!(book.unknown(kind, side), 0, "{id} {side:?}");
        }
    }
}

fn assert_orders(books: &Books, instrument: &Instrument) {
    if !instrument.has_orders() || !instrument.is_active() {
        return;
    }
    let id = i64::from(instrument.security_id());
    let book = books.by_instrument(id).expect("it had an order");
    assert_eq!(books.view(book).trust(), BookTrust::Good, "{id}");
    for (wire, side) in [(b'0', Side::Bid), (b'1', Side::Ask)] {
        let mut orders: Vec<_> = instrument.orders().filter(|o| o.kind == wire).collect();
        orders.sort_by_key(|order| {
            let price = if wire == b'0' {
                -order.price()
            } else {
                order.price()
            };
            (price, order.priority)
        });
        let view = |order: &&_| {
            let order: &tickdeck_sim::cme::Order = order;
            OrderView {
                side,
                price: order.price(),
                reference: order.id,
                quantity: order.quantity as u64,
            }
        };
        let expected: Vec<_> = orders.iter().map(view).collect();
        let ours: Vec<_> = books.view(book).queue(side).collect();
        assert_eq!(ours, expected, "{id} {side:?}");
    }
}

/// Proves on generated channels that, whatever stretches are lost, books by price and by order
/// keep every rule on the way, and are good and the venue's after one whole loop.
#[test]
fn books_come_back_to_the_venues() {
    for seed in 1..40 {
        let mut world = World::new(seed);
        world.run(&mut Random::new(seed), 150);
        world.assert_right();
    }
}

/// Proves that a channel without loss needs no cycle, and that a reset and a new week empty it.
#[test]
fn without_loss_every_book_is_good_at_once() {
    let mut world = World::new(5);
    for _ in 0..200 {
        world.packet(false);
        world.check();
        world.assert_right();
    }
    let reset = world.sim.channel_reset().to_vec();
    let sequence = u64::from(world.sim.sequence());
    world.record(kind::DATA, sequence, &reset);
    assert_eq!(world.reader.books().order_count(), 0);
    for _ in 0..100 {
        world.packet(false);
        world.assert_right();
    }
    world.sim.next_week();
    let changed = SessionEvent {
        kind: SessionEventKind::Changed,
        session: Session(*b"EPOCH00002"),
        next_sequence: 1,
    };
    world.record(kind::SESSION, 1, &changed.encode());
    assert!(world.reader.books().price_books().is_empty());
    for _ in 0..100 {
        world.packet(false);
        world.assert_right();
    }
    assert_eq!(world.reader.venue().replayer.counters().gaps, 0);
}

/// Proves that a lost packet makes suspect what it may concern, as soon as the loss is known, and
/// nothing else.
#[test]
fn a_loss_makes_suspect_what_it_concerns() {
    let mut world = World::new(9);
    (0..120).for_each(|_| world.packet(false));
    let touched = loop {
        let packet = world.sim.next_packet().to_vec();
        let touched = world.sim.touched().to_vec();
        let sequence = u64::from(world.sim.sequence());
        if !touched.is_empty() {
            break touched;
        }
        world.record(kind::DATA, sequence, &packet);
    };
    world.lost_from = Some(world.sim.sequence());
    world.give_up(world.sim.sequence());
    let is_suspect = world
        .reader
        .books()
        .iter()
        .all(|book| book.trust().doubt().is_some());
    assert!(is_suspect, "all books by order, before the next packet");
    (0..300).for_each(|_| world.packet(false));
    for (index, instrument) in world.sim.instruments().iter().enumerate() {
        let id = i64::from(instrument.security_id());
        let book = world.reader.books().price_books().get(id);
        let is_suspect = book.is_some_and(|book| book.doubt().is_some());
        assert_eq!(is_suspect, touched.contains(&index), "{id}");
    }
    world.check();
}

/// Proves that a reader that is saved and restored at any moment, suspects included, goes on with
/// the same books, and heals with the next loop.
#[test]
fn a_restored_channel_goes_on() {
    for seed in 1..25 {
        let mut random = Random::new(seed);
        let mut world = World::new(seed);
        for _ in 0..120 {
            let is_lost = random.below(12) == 0 && world.sim.sequence() > 0;
            world.packet(is_lost);
            if world.lost_from.is_none() && random.below(6) == 0 {
                world.cycle();
            }
        }
        let mut bytes = Vec::new();
        world.reader.encode_snapshot(&[7; 16], 0, &mut bytes);
        snapshot::seal(&mut bytes);
        let venue = CmeVenue::new(BooksConfig::default());
        let restored = snapshot::decode(&bytes, venue).map_err(|e| e.to_string());
        let restored = restored.expect("it is whole").channel;
        let hash = |channel: &Channel<CmeVenue>| channel.venue().channel_hash();
        assert_eq!(hash(&restored), hash(&world.reader), "seed {seed}");
        let trusts = |channel: &Channel<CmeVenue>| {
            let books = channel.books();
            let prices = books.price_books().iter().map(|book| book.doubt());
            (prices.collect::<Vec<_>>(), books.suspect_count())
        };
        assert_eq!(trusts(&restored), trusts(&world.reader), "seed {seed}");
        world.reader = restored;
        world.run(&mut random, 60);
        world.assert_right();
    }
}

/// Proves that a venue's part of a snapshot that was cut anywhere is refused.
#[test]
fn a_part_that_was_cut_is_refused() {
    let mut world = World::new(2);
    (0..60).for_each(|_| world.packet(false));
    let mut part = Vec::new();
    world.reader.venue().save(&mut part);
    let mut venue = CmeVenue::new(BooksConfig::default());
    for end in (0..part.len()).step_by(37) {
        assert!(venue.restore(&part[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(venue.restore(&part), Ok(()));
    part.push(0);
    assert!(venue.restore(&part).is_err(), "a byte more");
}

/// Proves that behind a hole of records nothing is believed until a packet's number proves that
/// none is missing.
#[test]
fn a_hole_of_records_is_doubted_until_a_number_proves_it_harmless() {
    let mut world = World::new(3);
    (0..100).for_each(|_| world.packet(false));
    world.reader.skip_to(world.seq + 4);
    world.seq += 3;
    assert!(world.reader.books().channel_trust().doubt().is_some());
    world.packet(false);
    world.assert_right();
    world.reader.skip_to(world.seq + 2);
    world.seq += 1;
    // This packet was in the hole.
    let _ = world.sim.next_packet();
    world.packet(false);
    let books = world.reader.books();
    assert!(books.iter().all(|book| book.trust().doubt().is_some()));
    world.check();
}

/// Proves that a packet that is none, and a snapshot of another venue, cost no more than a counter
/// and the books' trust.
#[test]
fn what_cannot_be_read_is_counted() {
    let mut world = World::new(4);
    (0..50).for_each(|_| world.packet(false));
    let sequence = u64::from(world.sim.sequence()) + 1;
    let _ = world.sim.next_packet();
    world.record(kind::DATA, sequence, b"none");
    assert_eq!(world.reader.counters().malformed_records, 1);
    world.packet(false);
    assert_eq!(world.reader.venue().replayer.counters().lost_packets, 1);
    let event = SnapshotEvent {
        gap_id: 1,
        scope: SnapshotEvent::WHOLE_CHANNEL,
        resume_sequence: 1,
        records: 0,
        orders: 0,
    };
    world.record(kind::SNAPSHOT_BEGIN, 1, &event.encode());
    assert_eq!(world.reader.counters().malformed_records, 2);
    world.check();
}

/// Proves that templates that are not known and versions that are newer are counted, and their
/// neighbours read.
#[test]
fn unknown_templates_are_skipped_by_their_length() {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 1);
    assert!(builder.volume(1, 4, 1, 5) && builder.heartbeat() && builder.volume(1, 4, 2, 6));
    let mut bytes = builder.finish().to_vec();
    // The heartbeat becomes a template 99 of version 12.
    let at = 12 + usize::from(u16::from_le_bytes([bytes[12], bytes[13]]));
    (bytes[at + 4], bytes[at + 8]) = (99, 12);
    let mut reader = reader();
    reader.apply(Record {
        seq: 1,
        kind: kind::DATA,
        venue_seq: 1,
        rx_ns: 1,
        payload: &bytes,
    });
    let counters = *reader.books().price_books().counters();
    assert_eq!(
        (counters.unknown_templates, counters.newer_versions),
        (1, 1)
    );
    assert_eq!((counters.volumes, counters.malformed), (2, 0));
    assert_eq!(reader.books().counters().messages, 3);
}

/// Proves that the scale of prices is that of the templates which books are made of, not of any
/// message's version, and that a snapshot keeps it.
#[test]
fn the_scale_of_prices_is_that_of_the_books_templates() {
    let decimals = |venue: &CmeVenue| venue.books().config().scale.price_decimals;
    let mut world = World::new(4);
    (0..60).for_each(|_| world.packet(false));
    assert_eq!(decimals(world.reader.venue()), 9);
    let mut venue = CmeVenue::new(BooksConfig::default());
    // Of a message only the head counts here: size, block length, template, schema, version.
    let message = |template_id: u16, version: u16| {
        let mut packet = vec![0; 12];
        packet[0] = 1;
        for field in [10, 0, template_id, 1, version] {
            packet.extend_from_slice(&u16::to_le_bytes(field));
        }
        packet
    };
    let mut note = |packet: &[u8]| {
        let packet = Packet::parse(packet).expect("it has one message");
        packet
            .messages()
            .for_each(|message| note(venue.books_mut(), &message));
        decimals(&venue)
    };
    assert_eq!(
        note(&message(template::HEARTBEAT, 8)),
        9,
        "it has no prices"
    );
    assert_eq!(note(&message(template::BOOK, 9)), 7);
    assert_eq!(note(&message(template::HEARTBEAT, 9)), 7);
    venue.books_mut().set_named_tick(7, 25);
    venue.books_mut().configure_ticks(Default::default());
    let mut part = Vec::new();
    venue.save(&mut part);
    let mut restored = CmeVenue::new(BooksConfig::default());
    assert_eq!(restored.restore(&part), Ok(()));
    assert_eq!(decimals(&restored), 7);
    let named: Vec<_> = restored.books().named_ticks().collect();
    assert_eq!(named, [(7, 25)]);
}

/// Proves that a packet that came again does not end the doubt behind a hole.
#[test]
fn a_packet_that_came_again_proves_nothing() {
    let mut world = World::new(5);
    let mut venue = CmeVenue::new(BooksConfig::default());
    let is_after_hole = |venue: &CmeVenue| {
        let doubt = venue.books().channel_trust().doubt();
        doubt.is_some_and(|doubt| doubt.cause == Cause::JournalHole)
    };
    let give = |venue: &mut CmeVenue, sequence: u32, packet: &[u8]| {
        let run = Run {
            first_sequence: u64::from(sequence),
            expected: 0,
            payload: packet,
        };
        venue.apply(run, |_, _, _| {});
    };
    let first = world.sim.next_packet().to_vec();
    give(&mut venue, 1, &first);
    venue.doubt_all(2, Cause::JournalHole);
    give(&mut venue, 1, &first);
    assert_eq!(venue.judged().stale_packets, 1);
    assert!(is_after_hole(&venue), "it came again");
    let second = world.sim.next_packet().to_vec();
    give(&mut venue, 2, &second);
    assert!(!is_after_hole(&venue));
}
