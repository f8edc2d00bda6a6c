//! What the replayer makes of single losses, cycles and resets.

use tickdeck_recovery::cme::{
    Book, Collector, CollectorConfig, Cycle, Replayer, ReplayerConfig, Trust,
};
use tickdeck_wire::cme::{OrderChange, Packet, PacketBuilder};

use crate::model::{Books, chunk, price_snapshot, prices};

/// A replayer and the books that it feeds.
struct Reader {
    replayer: Replayer,
    books: Books,
}

impl Reader {
    fn new(config: ReplayerConfig) -> Self {
        Self {
            replayer: Replayer::new(config),
            books: Books::default(),
        }
    }

    fn take(&mut self, packet: &[u8]) {
        let packet = Packet::parse(packet).unwrap();
        self.replayer.on_packet(&packet, &mut self.books);
    }

    fn load(&mut self, packets: &[Vec<u8>]) -> bool {
        let mut cycles = Vec::new();
        let mut collector = Collector::new(CollectorConfig::default());
        for packet in packets {
            let packet = Packet::parse(packet).unwrap();
            collector.on_packet(&packet, &mut |cycle: Cycle| cycles.push(cycle));
        }
        let [cycle] = &cycles[..] else {
            panic!("{cycles:?}")
        };
        self.replayer.on_cycle(cycle, &mut self.books)
    }

    fn trust(&self, security_id: i32, book: Book) -> Option<Trust> {
        let told = self.books.trust.get(&(security_id, book)).copied();
        let known = self.replayer.trust(security_id, book);
        assert_eq!(told, known, "what was told is what holds");
        known
    }

    fn rpt_seq(&self, security_id: i32) -> u32 {
        self.books.prices[&security_id].0
    }
}

fn reader() -> Reader {
    Reader::new(ReplayerConfig::default())
}

fn orders(sequence: u32, security_id: i32, order_id: u64) -> Vec<u8> {
    let order = OrderChange {
        order_id,
        priority: 1,
        price: 1,
        quantity: 1,
        security_id,
        action: 0,
        kind: b'0',
    };
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(sequence, 1);
    assert!(builder.order_book(1, &[order]));
    builder.finish().to_vec()
}

fn reset(sequence: u32) -> Vec<u8> {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(sequence, 1);
    assert!(builder.channel_reset(1));
    builder.finish().to_vec()
}

/// Proves that by price only the instrument whose RptSeq jumped is suspect after a lost packet,
/// and by order every one.
#[test]
fn a_loss_makes_suspect_what_it_must() {
    let mut reader = reader();
    reader.take(&prices(1, &[(7, 1), (8, 1)]));
    reader.take(&orders(2, 7, 1));
    reader.take(&orders(3, 9, 2));
    // Packet 4 is lost: it changed 8.
    reader.take(&prices(5, &[(7, 2), (8, 3)]));
    assert_eq!(reader.trust(7, Book::Prices), Some(Trust::Good));
    let suspect = Some(Trust::Suspect { since: 5 });
    assert_eq!(reader.trust(8, Book::Prices), suspect);
    assert_eq!(reader.trust(7, Book::Orders), suspect);
    assert_eq!(reader.trust(9, Book::Orders), suspect);
    assert_eq!(reader.trust(8, Book::Orders), None, "never seen");
    let suspects: Vec<_> = reader.replayer.suspects().collect();
    assert_eq!(
        suspects,
        [(8, Book::Prices), (7, Book::Orders), (9, Book::Orders)]
    );
    assert_eq!((reader.rpt_seq(7), reader.rpt_seq(8)), (2, 1));
    let counters = reader.replayer.counters();
    assert_eq!(
        (counters.gaps, counters.lost_packets, counters.jumps),
        (1, 1, 1)
    );
}

/// Proves that a message of changes by order that cannot be read costs what a lost packet does:
/// every book by order waits for a cycle that includes it, and one by price goes on.
#[test]
fn an_unreadable_message_is_a_lost_packet_by_order() {
    let mut reader = reader();
    reader.take(&prices(1, &[(8, 1)]));
    reader.take(&orders(2, 7, 1));
    let mut unreadable = orders(3, 9, 2);
    let size = u16::from_le_bytes([unreadable[12], unreadable[13]]) + 1;
    unreadable[12..14].copy_from_slice(&size.to_le_bytes());
    unreadable.push(0);
    reader.take(&unreadable);
    assert_eq!(reader.replayer.counters().malformed, 1);
    let suspect = Some(Trust::Suspect { since: 4 });
    assert_eq!(reader.trust(7, Book::Orders), suspect);
    assert_eq!(reader.trust(8, Book::Prices), Some(Trust::Good));
    // What was in the message may concern any instrument, also one that is met later.
    reader.take(&orders(4, 9, 3));
    assert_eq!(reader.trust(9, Book::Orders), suspect);
    reader.take(&prices(5, &[(8, 2)]));
    assert_eq!(reader.trust(8, Book::Prices), Some(Trust::Good));
    assert!(!reader.load(&[chunk(7, 2, 1, 1)]), "it lacks the message");
    assert!(reader.load(&[chunk(7, 3, 1, 1)]));
    assert_eq!(reader.trust(7, Book::Orders), Some(Trust::Good));
}

/// Proves that a book which an entry contradicted takes no cycle from before the entry, unless
/// all behind the cycle is kept.
#[test]
fn a_distrusted_book_takes_no_cycle_from_before_the_fault() {
    let mut reader = reader();
    reader.take(&orders(1, 7, 1));
    reader.take(&orders(2, 7, 2));
    reader.take(&orders(3, 7, 3));
    reader.replayer.distrust(7, Book::Orders, &mut reader.books);
    assert!(!reader.load(&[chunk(7, 2, 1, 1)]), "packet 3 is not kept");
    reader.take(&orders(4, 7, 4));
    assert!(!reader.load(&[chunk(7, 2, 1, 1)]), "packet 3 is not kept");
    assert!(reader.load(&[chunk(7, 3, 1, 1)]));
    assert_eq!(reader.trust(7, Book::Orders), Some(Trust::Good));
    assert_eq!(reader.replayer.counters().cycles_stale, 2);
}

/// Proves that a cycle is followed by exactly what is behind it: entries of its packets and of
/// its RptSeqs are skipped.
#[test]
fn a_cycle_is_followed_by_what_is_behind_it() {
    let mut reader = reader();
    reader.take(&prices(1, &[(7, 1)]));
    reader.take(&prices(3, &[(7, 3)]));
    reader.take(&prices(4, &[(7, 4)]));
    reader.take(&prices(5, &[(7, 5)]));
    assert_eq!(reader.replayer.buffered().0, 3);
    // Its LastMsgSeqNumProcessed is one packet behind its RptSeq: the entry must not come twice.
    assert!(reader.load(&[price_snapshot(7, 3, 4)]));
    assert_eq!(reader.trust(7, Book::Prices), Some(Trust::Good));
    assert_eq!((reader.rpt_seq(7), reader.replayer.buffered()), (5, (0, 0)));
    assert_eq!(reader.replayer.counters().skipped_entries, 1);
    reader.take(&prices(6, &[(7, 6)]));
    assert_eq!(reader.rpt_seq(7), 6);
    assert!(
        !reader.load(&[price_snapshot(7, 6, 6)]),
        "it needs none any more"
    );
}

/// Proves that a cycle from before the loss, or from before what the buffer holds, is refused and
/// the next loop waited for.
#[test]
fn a_cycle_older_than_the_buffer_is_refused() {
    let mut reader = Reader::new(ReplayerConfig {
        max_bytes: 2 * prices(1, &[(7, 1)]).len(),
        ..ReplayerConfig::default()
    });
    reader.take(&prices(1, &[(7, 1)]));
    reader.take(&prices(3, &[(7, 3)]));
    assert!(
        !reader.load(&[price_snapshot(7, 1, 1)]),
        "packet 2 is missing"
    );
    (4..=6).for_each(|number| reader.take(&prices(number, &[(7, number)])));
    assert_eq!(reader.replayer.counters().dropped_packets, 2);
    assert!(
        !reader.load(&[price_snapshot(7, 3, 3)]),
        "packet 4 was dropped"
    );
    assert_eq!(reader.replayer.counters().cycles_stale, 2);
    assert!(reader.load(&[price_snapshot(7, 4, 4)]));
    assert_eq!(reader.rpt_seq(7), 6);
}

/// Proves that a lost update after which its instrument stays silent is found by its next cycle,
/// and that a cycle that is only ahead of the stream is no loss.
#[test]
fn a_cycle_reveals_a_silent_loss() {
    let mut reader = reader();
    reader.take(&prices(1, &[(7, 1), (8, 1)]));
    // Packet 2 is lost: it changed 7.
    reader.take(&prices(3, &[(8, 2)]));
    assert_eq!(
        reader.trust(7, Book::Prices),
        Some(Trust::Good),
        "nobody can know"
    );
    assert!(
        !reader.load(&[price_snapshot(8, 9, 5)]),
        "8 is ahead, not behind"
    );
    assert_eq!(reader.trust(8, Book::Prices), Some(Trust::Good));
    assert!(!reader.load(&[price_snapshot(7, 1, 1)]), "no news");
    assert!(reader.load(&[price_snapshot(7, 3, 2)]));
    assert_eq!(reader.rpt_seq(7), 2);
    assert_eq!(reader.replayer.counters().revealed_losses, 1);
    assert_eq!(reader.trust(7, Book::Prices), Some(Trust::Good));
}

/// Proves that by order, what a cycle includes is neither applied again nor, when lost, a loss.
#[test]
fn orders_of_a_cycle_ahead_are_not_applied_again() {
    let mut reader = reader();
    reader.take(&orders(1, 7, 1));
    reader.take(&orders(3, 7, 3));
    assert!(reader.load(&[chunk(7, 6, 1, 2), chunk(7, 6, 2, 2)]));
    // 4 came, 5 is lost, 6 came: the cycle has all of them.
    reader.take(&orders(4, 7, 4));
    reader.take(&orders(6, 7, 6));
    assert_eq!(reader.trust(7, Book::Orders), Some(Trust::Good));
    reader.take(&orders(7, 7, 7));
    let orders: Vec<_> = reader.books.orders[&7].keys().copied().collect();
    assert_eq!(orders, [1, 2, 7]);
    assert_eq!(reader.replayer.counters().skipped_entries, 2);
    reader.take(&self::orders(9, 7, 9));
    assert_eq!(
        reader.trust(7, Book::Orders),
        Some(Trust::Suspect { since: 9 })
    );
}

/// Proves that a start in the middle trusts nothing that has a past: by price what begins with
/// number 1, by order nothing, until a cycle comes. A book that was never seen is loaded too.
#[test]
fn a_start_in_the_middle_waits_for_cycles() {
    let mut reader = reader();
    assert!(
        !reader.load(&[price_snapshot(6, 99, 1)]),
        "nothing is buffered yet"
    );
    reader.take(&prices(100, &[(7, 5), (8, 1)]));
    reader.take(&orders(101, 7, 9));
    assert_eq!(
        reader.trust(7, Book::Prices),
        Some(Trust::Suspect { since: 100 })
    );
    assert_eq!(reader.trust(8, Book::Prices), Some(Trust::Good));
    assert_eq!(
        reader.trust(7, Book::Orders),
        Some(Trust::Suspect { since: 101 })
    );
    assert!(reader.load(&[price_snapshot(7, 99, 4)]));
    assert!(reader.load(&[chunk(7, 100, 1, 2), chunk(7, 100, 2, 2)]));
    assert!(reader.load(&[price_snapshot(6, 100, 3)]), "never seen");
    assert_eq!((reader.rpt_seq(7), reader.rpt_seq(6)), (5, 3));
    let orders: Vec<_> = reader.books.orders[&7].keys().copied().collect();
    assert_eq!(orders, [1, 2, 9]);
}

/// Proves that a channel reset empties everything, makes nothing suspect, refuses cycles from
/// before it, and that RptSeq counts from 1 again.
#[test]
fn a_channel_reset_is_no_storm() {
    let mut reader = reader();
    reader.take(&prices(1, &[(7, 1), (8, 1)]));
    reader.take(&orders(2, 7, 1));
    reader.take(&prices(4, &[(8, 3)]));
    reader.take(&reset(5));
    assert_eq!(
        (reader.books.resets, reader.replayer.counters().resets),
        (1, 1)
    );
    assert_eq!(reader.replayer.suspects().count(), 0);
    assert_eq!(reader.trust(7, Book::Prices), None);
    reader.take(&prices(6, &[(7, 1)]));
    reader.take(&orders(7, 7, 1));
    assert_eq!(reader.trust(7, Book::Prices), Some(Trust::Good));
    assert_eq!(reader.trust(7, Book::Orders), Some(Trust::Good));
    assert!(
        !reader.load(&[price_snapshot(8, 4, 3)]),
        "from before the reset"
    );
    assert_eq!(reader.trust(8, Book::Prices), None);
}

/// Proves that a channel reset that is lost leaves no instrument with its old book: one shows it by
/// an update whose RptSeq falls, a silent one by its next cycle. A cycle from before changes nothing.
#[test]
fn a_lost_channel_reset_is_found() {
    let mut reader = reader();
    reader.take(&prices(1, &[(7, 1), (7, 2), (8, 1), (8, 2)]));
    // Packet 2, the reset, and packet 3, with number 1 of both, are lost.
    reader.take(&prices(4, &[(7, 2)]));
    assert_eq!(
        reader.trust(7, Book::Prices),
        Some(Trust::Suspect { since: 4 })
    );
    assert!(!reader.load(&[price_snapshot(8, 0, 1)]), "from before");
    assert_eq!(reader.trust(8, Book::Prices), Some(Trust::Good));
    assert!(reader.load(&[price_snapshot(8, 4, 1)]));
    assert!(reader.load(&[price_snapshot(7, 3, 1)]));
    assert_eq!((reader.rpt_seq(7), reader.rpt_seq(8)), (2, 1));
    let counters = reader.replayer.counters();
    assert_eq!((counters.jumps, counters.revealed_losses), (1, 1));
}

/// Proves that after a restart of the numbers a cycle of the week before is refused, however far
/// ahead its numbers are.
#[test]
fn a_new_week_refuses_the_old_ones_cycles() {
    let mut reader = reader();
    reader.take(&prices(1_000, &[(7, 9)]));
    reader.replayer.restart(&mut reader.books);
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 2_000);
    assert!(builder.heartbeat());
    reader.take(builder.finish());
    // Sent at 1000, before the new week.
    assert!(!reader.load(&[price_snapshot(7, 1_000, 9)]));
    reader.take(&prices(2, &[(7, 1)]));
    assert_eq!(reader.trust(7, Book::Prices), Some(Trust::Good));
    assert_eq!(reader.rpt_seq(7), 1);
}

/// Proves that RptSeq that jumps while no packet is missing is told apart, and that packets that
/// come again change nothing.
#[test]
fn a_jump_without_a_loss_is_its_own_alarm() {
    let mut reader = reader();
    reader.take(&prices(1, &[(7, 1)]));
    reader.take(&prices(2, &[(7, 3)]));
    reader.take(&prices(2, &[(7, 2)]));
    let counters = reader.replayer.counters();
    assert_eq!((counters.jumps, counters.unexplained_jumps), (0, 1));
    assert_eq!(counters.stale_packets, 1);
    assert_eq!(
        reader.trust(7, Book::Prices),
        Some(Trust::Suspect { since: 2 })
    );
}

/// Proves that instruments beyond the limit are counted and cost nothing else, and that the
/// highest packet number is survived.
#[test]
fn limits_hold() {
    let mut reader = Reader::new(ReplayerConfig {
        max_instruments: 1,
        ..ReplayerConfig::default()
    });
    reader.take(&prices(1, &[(7, 1), (8, 1)]));
    reader.take(&prices(2, &[(7, 2), (8, 2)]));
    assert_eq!(reader.rpt_seq(7), 2);
    assert_eq!(reader.replayer.counters().refused_entries, 2);
    assert!(!reader.load(&[price_snapshot(8, 2, 2)]));
    reader.take(&reset(u32::MAX));
    reader.take(&prices(u32::MAX, &[(7, 1)]));
    assert_eq!(reader.replayer.counters().stale_packets, 1);
}

/// Proves that channel resets do not make room for more and more instruments; new numbers do.
#[test]
fn a_channel_reset_makes_no_room() {
    let mut reader = Reader::new(ReplayerConfig {
        max_instruments: 1,
        ..ReplayerConfig::default()
    });
    reader.take(&prices(1, &[(7, 1)]));
    reader.take(&orders(2, 7, 1));
    reader.take(&reset(3));
    reader.take(&prices(4, &[(8, 1)]));
    reader.take(&orders(5, 8, 1));
    assert_eq!(reader.replayer.counters().refused_entries, 2);
    reader.take(&prices(6, &[(7, 1)]));
    assert_eq!(reader.trust(7, Book::Prices), Some(Trust::Good));
    reader.replayer.restart(&mut reader.books);
    reader.take(&prices(1, &[(8, 1)]));
    assert_eq!(reader.trust(8, Book::Prices), Some(Trust::Good));
    assert_eq!(reader.replayer.counters().refused_entries, 2);
}
