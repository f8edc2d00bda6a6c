//! Generated channels with losses, cycles and restarts of the service: what is GOOD is what a reader
//! without losses has, and in the end everything is, and is the venue's.

use tickdeck_book::{BooksConfig, Channel as BookChannel, Record, Side, Trust, snapshot};
use tickdeck_recovery::eobi::{Collector, CollectorConfig};
use tickdeck_sim::eobi::{Channel, Session, SessionConfig, Timed};
use tickdeck_sim::{Random, mix};
use tickdeck_wire::eobi::{Content, Header, Order, PacketBuilder, Side as WireSide, layout};
use tickdeck_wire::moldudp64::Session as SessionName;
use tickdeck_wire::record::{
    GapEvent, LossReason, LostEvent, SessionEvent, SessionEventKind, kind,
};

use super::*;

const SEEDS: u64 = 24;
const STEPS: u64 = 350;
/// Steps at the end in which nothing is lost: several cycles.
const QUIET_STEPS: u64 = 250;

/// A reader of a stream that lost packets, and one of the stream without losses.
struct Readers {
    config: SessionConfig,
    lossy: BookChannel<EobiVenue>,
    whole: BookChannel<EobiVenue>,
    /// What the receiver has: which cycles it puts into the stream.
    judge: Replayer,
    collector: Collector,
    records: [u64; 2],
    /// The next packet of the lossy stream.
    expected: u32,
    compared: u64,
    suspects: u64,
    loads: u64,
    restores: u64,
    incomplete: u64,
}

struct Nothing;

impl Output for Nothing {
    fn reset(&mut self) {}
    fn load(&mut self, _: &Cycle) {}
    fn apply(&mut self, _: i32, _: &Message<'_>) {}
    fn trust(&mut self, _: i32, _: tickdeck_recovery::eobi::Trust) {}
}

fn venue(release: Release) -> EobiVenue {
    let small = BooksConfig {
        initial_orders: 16,
        ..BooksConfig::EOBI
    };
    EobiVenue::new(release, small)
}

impl Readers {
    fn new(config: SessionConfig) -> Self {
        let mut readers = Self {
            config,
            lossy: BookChannel::with(venue(config.release)),
            whole: BookChannel::with(venue(config.release)),
            judge: Replayer::new(ReplayerConfig::default()),
            collector: Collector::new(CollectorConfig::default()),
            records: [0; 2],
            expected: 1,
            compared: 0,
            suspects: 0,
            loads: 0,
            restores: 0,
            incomplete: 0,
        };
        readers.begin(1);
        readers
    }

    fn record(&mut self, of_lossy: bool, kind: u8, venue_seq: u64, payload: &[u8]) {
        let (channel, at) = match of_lossy {
            true => (&mut self.lossy, 0),
            false => (&mut self.whole, 1),
        };
        self.records[at] += 1;
        let seq = self.records[at];
        channel.apply(Record {
            seq,
            kind,
            venue_seq,
            rx_ns: 0,
            payload,
        });
    }

    /// A session begins, in both streams.
    fn begin(&mut self, epoch: u8) {
        let event = SessionEvent {
            kind: SessionEventKind::Changed,
            session: SessionName([epoch; 10]),
            next_sequence: 1,
        };
        for of_lossy in [true, false] {
            self.record(of_lossy, kind::SESSION, 0, &event.encode());
        }
        self.expected = 1;
    }

    /// The next packet of the incremental channel, which the lossy stream may not have.
    fn on_packet(&mut self, bytes: &[u8], is_lost: bool) {
        let packet = Packet::parse(bytes, self.config.release).expect("a packet");
        let sequence = packet.sequence();
        if sequence == 1 && self.whole.next_sequence() != Some(1) {
            self.judge.restart(&mut Nothing);
            self.begin(2);
        }
        self.record(false, kind::DATA, u64::from(sequence), bytes);
        if is_lost {
            return;
        }
        if sequence > self.expected {
            let gap = GapEvent {
                gap_id: u64::from(sequence),
                first: u64::from(self.expected),
                last: u64::from(sequence - 1),
                detected_ns: 0,
            };
            let reason = LossReason::AttemptsExhausted;
            let lost = LostEvent { gap, reason };
            self.record(true, kind::GAP_LOST, 0, &lost.encode());
        }
        self.expected = sequence + 1;
        self.record(true, kind::DATA, u64::from(sequence), bytes);
        self.judge.on_packet(&packet, &mut Nothing);
        self.incomplete += u64::from(!self.lossy.venue().eobi().is_all_complete());
        self.compare();
    }

    /// A packet of the snapshot channel; what it makes whole and is needed goes into the stream.
    fn on_snapshot(&mut self, bytes: &[u8]) {
        let packet = Packet::parse(bytes, self.config.release).expect("a packet");
        let mut cycles = Vec::new();
        self.collector
            .on_packet(0, &packet, &mut |cycle| cycles.push(cycle));
        for cycle in cycles {
            if !self.judge.on_cycle(&cycle, &mut Nothing) {
                continue;
            }
            self.loads += 1;
            let event = SnapshotEvent {
                gap_id: 0,
                scope: i64::from(cycle.market_segment_id),
                resume_sequence: u64::from(cycle.resume_sequence()),
                records: cycle.packets.len() as u64,
                orders: cycle.orders,
            };
            self.record(true, kind::SNAPSHOT_BEGIN, 0, &event.encode());
            for packet in &cycle.packets {
                self.record(true, kind::SNAPSHOT_DATA, 0, packet);
            }
            self.record(true, kind::SNAPSHOT_END, 0, &event.encode());
        }
    }

    /// Each book that is GOOD has what the reader without losses has.
    fn compare(&mut self) {
        let (lossy, whole) = (self.lossy.books(), self.whole.books());
        for book in lossy.iter() {
            if book.trust() != Trust::Good {
                self.suspects += 1;
                continue;
            }
            self.compared += 1;
            let twin = whole.by_instrument(book.instrument());
            let expected = twin.map_or(0, |id| whole.view(id).state_hash());
            let market = twin.map(|id| self.whole.venue().eobi().market_orders(id));
            let is_same = book.state_hash() == expected
                && Some(self.lossy.venue().eobi().market_orders(book.id())) == market;
            // A book that nothing was said of has no twin, and no orders.
            let is_empty = twin.is_none() && book.orders() == 0;
            let state = (self.expected, self.restores, self.loads);
            let of_lossy = &self.lossy.venue().replayer;
            let product = self.lossy.venue().eobi().instrument(book.id()).product;
            let trust = (of_lossy.trust(product), of_lossy.is_proven(product));
            let numbers = (
                of_lossy.last_msg_seq_num(product),
                self.whole.venue().replayer.last_msg_seq_num(product),
            );
            assert!(
                is_same || is_empty,
                "{} differs: {state:?} {trust:?} {numbers:?}",
                book.symbol()
            );
        }
        assert_eq!(self.whole.books().suspect_count(), 0);
    }

    /// The worker ends and another one goes on from its snapshot.
    fn restart_worker(&mut self) {
        let mut bytes = Vec::new();
        self.lossy.encode_snapshot(&[7; 16], 9, &mut bytes);
        snapshot::seal(&mut bytes);
        let hash = self.lossy.channel_hash();
        let restored = snapshot::decode(&bytes, venue(self.config.release)).expect("a snapshot");
        assert_eq!(restored.channel.channel_hash(), hash);
        let (before, now) = (self.lossy.books(), restored.channel.books());
        for (one, other) in before.iter().zip(now.iter()) {
            assert_eq!(one.trust(), other.trust(), "{}", one.symbol());
            let (of_one, of_other) = (self.lossy.venue().eobi(), restored.channel.venue().eobi());
            assert_eq!(of_one.instrument(one.id()), of_other.instrument(other.id()));
        }
        assert_eq!(before.channel_trust(), now.channel_trust());
        self.lossy = restored.channel;
        self.restores += 1;
    }

    /// At the end every book is GOOD and has the venue's orders.
    fn assert_all_good(&self, session: &Session) {
        let books = self.lossy.books();
        assert_eq!(books.suspect_count(), 0);
        assert_eq!(books.channel_trust(), Trust::Good);
        self.lossy.venue().eobi().check_invariants().expect("sound");
        assert_eq!(books.counters().faults_total(), 0);
        let (mut at_prices, mut market) = (0, 0);
        for product in session.products() {
            for (security, wire) in product.orders().keys().map(|key| (key.0, key.1)) {
                let id = books.by_instrument(security).expect("a book");
                let side = match wire {
                    WireSide::Buy => Side::Bid,
                    WireSide::Sell => Side::Ask,
                };
                // Priorities of this venue grow, so a queue stands in their order.
                let of_side = product.orders().iter().filter(|(key, order)| {
                    (key.0, key.1) == (security, wire) && order.price.is_some()
                });
                let mut expected: Vec<_> = of_side
                    .map(|(key, order)| (order.price.unwrap(), key.2, order.quantity as u64))
                    .collect();
                expected.sort_by_key(|(price, priority, _)| match side {
                    Side::Bid => (-price, *priority),
                    Side::Ask => (*price, *priority),
                });
                let queue = books.view(id).queue(side);
                let found: Vec<_> = queue
                    .map(|order| (order.price, order.reference, order.quantity))
                    .collect();
                assert_eq!(found, expected, "{security} {side:?}");
            }
            at_prices += product
                .orders()
                .values()
                .filter(|it| it.price.is_some())
                .count();
            market += product
                .orders()
                .values()
                .filter(|it| it.price.is_none())
                .count();
        }
        assert_eq!(books.order_count(), at_prices);
        let of_books = books
            .iter()
            .map(|book| self.lossy.venue().eobi().market_orders(book.id()).0 as usize);
        assert_eq!(of_books.sum::<usize>(), market);
    }
}

/// Runs a seed and returns the readers at its end.
fn run(seed: u64) -> Readers {
    let mut random = Random::new(mix(seed, 1));
    let config = SessionConfig {
        seed,
        release: Release::ALL[seed as usize % 2],
        products: 1 + random.below(5) as usize,
        instruments: 1 + random.below(4) as usize,
        partition_id: 0,
        steps: STEPS + QUIET_STEPS,
        auction_steps: random.below(300),
        restart_at: (random.below(3) == 0).then(|| random.below(STEPS)),
        snapshot_messages: 4 + random.below(30) as usize,
        ..SessionConfig::default()
    };
    let mut session = Session::new(config);
    let mut readers = Readers::new(config);
    let (loss, snapshot_loss) = (random.unit() * 0.1, random.unit() * 0.05);
    let mut burst = 0_u64;
    for Timed {
        at_ns,
        channel,
        line,
        bytes,
    } in session.by_ref()
    {
        if line != 0 || Packet::parse(&bytes, config.release).is_err() {
            continue;
        }
        let is_quiet = at_ns > config.step_ns * STEPS;
        match channel {
            Channel::Incremental => {
                if random.below(80) == 0 {
                    burst = random.below(30);
                }
                burst = burst.saturating_sub(1);
                let is_lost = !is_quiet && (burst > 0 || random.chance(loss));
                readers.on_packet(&bytes, is_lost);
                if random.below(150) == 0 {
                    readers.restart_worker();
                }
            }
            Channel::Snapshot if !is_quiet && random.chance(snapshot_loss) => {}
            Channel::Snapshot => readers.on_snapshot(&bytes),
        }
    }
    readers.assert_all_good(&session);
    readers
}

/// Proves, over seeds of both releases, that a GOOD book never differs from the reader without
/// losses, through losses, bursts, auctions, restarts of the service and of the worker, and that in
/// the end every book is GOOD and has the venue's orders in their queues.
#[test]
fn what_is_good_is_right_for_every_seed() {
    let mut total = [0; 5];
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let readers = run(seed);
        let of_seed = [
            readers.compared,
            readers.suspects,
            readers.loads,
            readers.restores,
            readers.incomplete,
        ];
        total
            .iter_mut()
            .zip(of_seed)
            .for_each(|(sum, it)| *sum += it);
    }
    println!("compared, suspect, loads, restores, incomplete: {total:?}");
    assert!(total.iter().all(|count| *count > 0), "{total:?}");
    assert_eq!(layout::QUANTITY_SCALE, 10_000);
}

/// A packet of one product with an OrderAdd, whose MsgSeqNum is the packet's number.
fn packet(sequence: u32, completes: bool) -> Vec<u8> {
    let mut builder = PacketBuilder::new(Release::V14_1);
    builder.begin(Header {
        sequence,
        market_segment_id: 7,
        partition_id: 0,
        completes,
        resets: false,
        transact_time_ns: 1,
    });
    let order = Order {
        priority_ns: Some(u64::from(sequence)),
        quantity: layout::QUANTITY_SCALE,
        side: WireSide::Buy,
        is_market: false,
        price: Some(100),
    };
    let add = Content::OrderAdd {
        security_id: 5,
        order,
    };
    assert!(builder.push(&add, Some(sequence)));
    builder.finish().to_vec()
}

fn give(venue: &mut EobiVenue, sequence: u32, completes: bool) {
    let run = Run {
        first_sequence: u64::from(sequence),
        expected: u64::from(sequence),
        payload: &packet(sequence, completes),
    };
    venue.apply(run, |_, _, _| {});
}

/// Proves that a packet that comes late neither ends a unit of work nor a doubt; the next one does.
#[test]
fn a_late_packet_proves_nothing() {
    let mut venue = venue(Release::V14_1);
    give(&mut venue, 1, true);
    give(&mut venue, 2, false);
    venue.doubt_all(3, Cause::MessagesLost);
    give(&mut venue, 1, true);
    assert!(!venue.eobi().is_all_complete());
    assert_eq!(venue.books().suspect_count(), 1);
    give(&mut venue, 3, true);
    assert!(venue.eobi().is_all_complete());
    assert_eq!(venue.books().suspect_count(), 0);
    assert_eq!(venue.books().order_count(), 3);
}

/// Proves that a cycle takes no more parts than it announced, and that parts without a byte count
/// as the smallest packets do.
#[test]
fn a_cycle_has_bounds() {
    let event = |records| SnapshotEvent {
        gap_id: 0,
        scope: 7,
        resume_sequence: 1,
        records,
        orders: 0,
    };
    let mut venue = venue(Release::V14_1);
    venue.begin_snapshot(event(1)).expect("a beginning");
    assert_eq!(venue.take_snapshot(&packet(1, true)), Some(()));
    assert_eq!(venue.take_snapshot(&[]), None);
    assert!(!venue.is_loading());
    venue.begin_snapshot(event(u64::MAX)).expect("a beginning");
    let loading = venue.loading.as_mut().expect("it has begun");
    loading.bytes = MAX_CYCLE_BYTES - HEADER_LEN;
    assert_eq!(venue.take_snapshot(&[]), Some(()));
    assert_eq!(venue.take_snapshot(&[]), None);
    assert!(!venue.is_loading());
}
