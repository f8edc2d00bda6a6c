//! Real captures, when the folder with them lies beside the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tickdeck_book::price_book::Kind;
use tickdeck_book::{Books, BooksConfig, Channel, Record, Side};
use tickdeck_recovery::cme::{Book, Cycle, Entry, Output, Replayer, ReplayerConfig, Trust};
use tickdeck_venue::CmeVenue;
use tickdeck_wire::cme::{Message, Packet, PacketBuilder, SnapshotHead};
use tickdeck_wire::record::kind;

use crate::rx::Wire;
use crate::rx::offline::Merged;

/// MatchEventIndicator of the last message of an event.
const END_OF_EVENT: u8 = 0x80;

/// The merged records of a capture's lines, applied; `each` is called after every message.
fn read(
    name: &str,
    lines: &str,
    mut each: impl FnMut(&Books, &Message<'_>),
) -> Option<Channel<CmeVenue>> {
    let mut merged = merged(name, lines)?;
    let mut reader = Channel::with(CmeVenue::new(BooksConfig::default()));
    while let Some(record) = merged.next() {
        let record = Record {
            seq: record.seq,
            kind: record.kind,
            venue_seq: record.venue_seq,
            rx_ns: record.rx_ns,
            payload: record.payload,
        };
        reader.apply_with(record, |books, _, message| {
            each(books, &Message::read(message).expect("a whole message"));
        });
    }
    Some(reader)
}

fn merged(name: &str, lines: &str) -> Option<Merged> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/cme");
    if !folder.is_dir() {
        println!("skipped: no real market data at {}", folder.display());
        return None;
    }
    let merged = Merged::read(&folder.join(name), &[lines.to_owned()], Wire::CmeMdp3);
    Some(
        merged
            .map_err(|error| error.to_string())
            .expect("it is there"),
    )
}

const V6: (&str, &str) = (
    "Cme.Mdp3.Sbe.v6.1.pcap",
    "A=224.0.31.64:14340,B=224.0.32.64:15340",
);

/// Proves on a real channel of 127 instruments, met in the middle of its session, that no entry
/// contradicts what earlier ones said, that books keep their rules after every message, and that
/// none is called good.
#[test]
fn a_real_channel_of_version_6_never_contradicts_itself() {
    let mut crossed = 0;
    let reader = read(V6.0, V6.1, |books, message| {
        assert_eq!(books.price_books().check_invariants(), Ok(()));
        let root = message.incremental();
        if root.is_some_and(|root| root.match_event_indicator() & END_OF_EVENT != 0) {
            let prices = books.price_books().iter();
            crossed += prices.filter(|book| book.is_crossed(Kind::Real)).count();
        }
    });
    let Some(reader) = reader else { return };
    let books = reader.books();
    let prices = books.price_books();
    let counters = *prices.counters();
    assert_eq!(books.counters().faults_total(), 0);
    assert_eq!(prices.len(), 127);
    assert_eq!(prices.suspect_count(), 127, "none began with RptSeq 1");
    assert_eq!((counters.levels, counters.implied_levels), (5_467, 9_107));
    assert_eq!(counters.tentative, 14_574);
    assert_eq!(
        (counters.trades, counters.volumes, counters.statistics),
        (355, 406, 396)
    );
    assert_eq!((counters.unknown_templates, counters.malformed), (0, 0));
    assert_eq!(crossed, 0, "at the end of an event no book is crossed");
    let whole = |book: &&_| {
        let book: &tickdeck_book::price_book::PriceBook = book;
        [Kind::Real, Kind::Implied].iter().all(|kind| {
            Side::BOTH
                .iter()
                .all(|side| book.unknown(*kind, *side) == 0)
        })
    };
    println!(
        "{} of 127 books are wholly established",
        prices.iter().filter(whole).count()
    );
}

/// Counts what a replayer applies, and asks no questions.
#[derive(Default)]
struct Count {
    applied: usize,
    shown: usize,
    doubts: usize,
}

impl Output for Count {
    fn reset(&mut self, _: u32) {}

    fn load(&mut self, _: &Cycle) {}

    fn apply(&mut self, _: Entry<'_>) {
        self.applied += 1;
    }

    fn show(&mut self, _: Entry<'_>) {
        self.shown += 1;
    }

    fn trust(&mut self, _: i32, _: Book, trust: Trust) {
        self.doubts += usize::from(matches!(trust, Trust::Suspect { .. }));
    }
}

/// Proves that once each of the 127 instruments is known as of just before its first update, the
/// replayer accepts every one of the 15,731 RptSeqs in order.
#[test]
fn every_rpt_seq_of_a_real_channel_is_accepted_in_order() {
    let Some(mut merged) = merged(V6.0, V6.1) else {
        return;
    };
    let mut packets = Vec::new();
    while let Some(record) = merged.next() {
        assert_eq!(record.kind, kind::DATA, "nothing is lost");
        packets.push(record.payload.to_vec());
    }
    let packets: Vec<_> = packets
        .iter()
        .map(|bytes| Packet::parse(bytes).unwrap())
        .collect();
    let mut first = BTreeMap::new();
    for message in packets.iter().flat_map(|packet| packet.messages()) {
        for update in message.rpt_seqs().unwrap() {
            first.entry(update.security_id).or_insert(update.rpt_seq);
        }
    }
    let before = packets[0].sequence() - 1;
    let mut replayer = Replayer::new(ReplayerConfig::default());
    let mut count = Count::default();
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(before, 1);
    assert!(builder.heartbeat());
    replayer.on_packet(&Packet::parse(builder.finish()).unwrap(), &mut count);
    for (security_id, rpt_seq) in &first {
        let head = SnapshotHead {
            last_msg_seq_num_processed: before,
            total_reports: 127,
            security_id: *security_id,
        };
        builder.begin(1, 1);
        assert!(builder.snapshot(head, rpt_seq - 1, 1, &[]));
        let cycle = Cycle::read(*security_id, Book::Prices, [builder.finish()]).unwrap();
        assert!(replayer.on_cycle(&cycle, &mut count));
    }
    for packet in &packets {
        replayer.on_packet(packet, &mut count);
    }
    assert_eq!((first.len(), count.applied, count.shown), (127, 15_731, 0));
    let counters = replayer.counters();
    assert_eq!((counters.jumps, counters.unexplained_jumps), (0, 0));
    assert_eq!(
        (counters.skipped_entries, counters.gaps, count.doubts),
        (0, 0, 0)
    );
}

/// The nine channels of the capture of version 9.
const V9: [(u8, u16); 9] = [
    (3, 14312),
    (4, 14313),
    (5, 14314),
    (6, 14315),
    (7, 14316),
    (8, 14317),
    (19, 14360),
    (20, 14361),
    (29, 14348),
];

/// Proves on nine real channels with order-level entries that each refers to its price entry, that
/// books keep their rules, and that a level whose orders are all known has their sum by price and
/// by order alike.
#[test]
fn real_books_by_price_and_by_order_agree() {
    let (mut compared, mut orders, mut levels, mut instruments) = (0, 0, 0, 0);
    for (host, port) in V9 {
        let lines = format!(
            "A=224.0.28.{host}:{port},B=224.0.28.{}:{}",
            host + 127,
            port + 1_000
        );
        let reader = read("Cme.Mdp3.Sbe.v9.1.Example.pcap", &lines, |books, _| {
            assert_eq!(books.check_invariants(), Ok(()));
            assert_eq!(books.price_books().check_invariants(), Ok(()));
            compared += agreeing(books);
        });
        let Some(reader) = reader else { return };
        let counters = *reader.books().price_books().counters();
        assert_eq!(reader.books().counters().faults_total(), 0, "{lines}");
        assert_eq!((counters.unknown_templates, counters.malformed), (0, 0));
        assert_eq!(reader.venue().judged().gaps, 0, "{lines}");
        orders += counters.orders;
        levels += counters.levels;
        instruments += reader.books().price_books().len();
    }
    println!("{instruments} instruments, {levels} levels, {orders} orders, {compared} compared");
    assert!(compared > 0);
}

/// Levels that are known by price and of which as many orders are known: how many there are.
/// Their sums must be the same.
fn agreeing(books: &Books) -> usize {
    let mut compared = 0;
    for price_book in books.price_books().iter() {
        let Some(id) = books.by_instrument(price_book.instrument()) else {
            continue;
        };
        for side in Side::BOTH {
            let by_order: BTreeMap<_, _> = books
                .view(id)
                .top_n(side, usize::MAX)
                .map(|level| (level.price, level))
                .collect();
            for (_, level) in price_book.known(Kind::Real, side) {
                let Some(ours) = by_order.get(&level.price) else {
                    continue;
                };
                if ours.orders == level.orders {
                    assert_eq!(*ours, level, "{}", price_book.symbol());
                    compared += 1;
                }
            }
        }
    }
    compared
}
