//! What makes EOBI books suspect: messages that say what cannot be, or that cannot be read.

use tickdeck_book::eobi::{EobiBooks, EobiConfig};
use tickdeck_book::{Cause, Fault, Trust};
use tickdeck_wire::eobi::{
    Content, HEADER_LEN, Header, InstrumentSummary, Packet, PacketBuilder, ProductSummary, Release,
    Side as WireSide,
};

use crate::eobi_against_slow_book::PRODUCT;
use crate::eobi_rules::{Given, SECURITY, execution, order};

const R: Release = Release::V14_1;
/// Where an OrderAdd has its side.
const SIDE: usize = 40;

/// Proves that an execution of no quantity, or of less, makes its book suspect, and that a full one
/// takes its order out all the same, at a price and without one.
#[test]
fn executions_of_nothing_are_doubted() {
    for (is_full, lots) in [(true, 0), (true, -1), (false, 0), (false, -1)] {
        for price in [Some(100), None] {
            let mut given = Given::new(EobiConfig::default());
            given.give(&Content::OrderAdd {
                security_id: SECURITY,
                order: order(WireSide::Buy, 1, price, 5),
            });
            let execution = execution(Some(1), price, lots);
            given.give(&match is_full {
                true => Content::FullOrderExecution(execution),
                false => Content::PartialOrderExecution(execution),
            });
            assert_eq!(given.cause(), Some(Cause::ZeroShares));
            let at_price = given.books.books().order_count();
            let (without, _) = given.books.market_orders(given.id());
            assert_eq!(at_price + without as usize, usize::from(!is_full));
            assert_eq!(given.books.books().counters().fault(Fault::ZeroShares), 1);
            given.books.check_invariants().expect("sound");
        }
    }
}

/// A packet of one OrderAdd whose side is none.
fn add_of_no_side(number: u32, security_id: i64) -> Vec<u8> {
    let add = Content::OrderAdd {
        security_id,
        order: order(WireSide::Buy, 1, Some(100), 1),
    };
    let mut bytes = packet(&[add], number);
    bytes[HEADER_LEN + SIDE] = 3;
    bytes
}

/// A packet of messages that are numbered from a number on.
fn packet(contents: &[Content<'_>], first: u32) -> Vec<u8> {
    let mut builder = PacketBuilder::new(R);
    builder.begin(Header {
        sequence: 1,
        market_segment_id: PRODUCT,
        partition_id: 0,
        completes: true,
        resets: false,
        transact_time_ns: 0,
    });
    for (number, content) in (first..).zip(contents) {
        assert!(builder.push(content, Some(number)));
    }
    builder.finish().to_vec()
}

fn give(books: &mut EobiBooks, packet: &[u8]) {
    for message in Packet::parse(packet, R).expect("a packet").messages() {
        books.apply(PRODUCT, R, &message);
    }
}

fn load(books: &mut EobiBooks, contents: &[Content<'_>]) {
    books.begin_load(PRODUCT);
    let packet = packet(contents, 1);
    for message in Packet::parse(&packet, R).expect("a packet").messages() {
        books.load(PRODUCT, R, &message);
    }
}

/// Proves that a message that cannot be read makes the product's later books suspect too, that a
/// proof of its numbers and a restart of the worker leave that so, and that loading it ends it.
#[test]
fn what_cannot_be_read_is_a_doubt_about_later_books() {
    let mut given = Given::new(EobiConfig::default());
    given.books.doubt_product(PRODUCT, 1, Cause::MidSession);
    give(&mut given.books, &add_of_no_side(1, SECURITY));
    assert_eq!(given.books.books().counters().faults_total(), 1);
    given.books.trust_product(PRODUCT);
    // No book has a name yet: anything may be wrong.
    let of_channel = given.books.books().channel_trust();
    assert_eq!(of_channel.doubt().map(|it| it.since), Some(1));
    given.add(WireSide::Buy, 2, 100, 1);
    assert_eq!(given.cause(), Some(Cause::MalformedRecord));
    // Another doubt comes and goes.
    given.books.doubt_products(3, Cause::MessagesLost);
    given.books.trust_product(PRODUCT);
    assert_eq!(given.cause(), Some(Cause::MalformedRecord));
    let summary = Content::ProductSummary(ProductSummary::default());
    load(&mut given.books, &[summary]);
    assert_eq!(given.trust(), Trust::Good);
    let of_product = given.books.product(PRODUCT).expect("a product");
    assert_eq!((of_product.doubt, of_product.broken), (None, None));
    given.give(&Content::OrderMassDelete { security_id: 9 });
    assert_eq!(given.books.books().suspect_count(), 0);
}

/// Proves that what cannot be read while messages are missing is told when they are not any more.
#[test]
fn what_cannot_be_read_outlives_a_loss() {
    let mut given = Given::new(EobiConfig::default());
    given.add(WireSide::Buy, 2, 100, 1);
    given.books.doubt_products(2, Cause::MessagesLost);
    give(&mut given.books, &add_of_no_side(2, 9));
    assert_eq!(given.cause(), Some(Cause::MessagesLost));
    given.books.trust_product(PRODUCT);
    assert_eq!(given.cause(), Some(Cause::MalformedRecord));
}

/// Proves that a worker which restarts keeps the doubt about books that are not known yet.
#[test]
fn a_restart_keeps_the_doubt_about_later_books() {
    let mut given = Given::new(EobiConfig::default());
    give(&mut given.books, &add_of_no_side(1, SECURITY));
    let mut saved = Vec::new();
    given.books.save(&mut saved);
    let mut restored = Given::new(EobiConfig::default());
    let mut rest = &saved[..];
    restored.books.restore(&mut rest).expect("what was saved");
    assert!(rest.is_empty());
    assert_eq!(
        restored.books.books().channel_trust(),
        given.books.books().channel_trust()
    );
    restored.add(WireSide::Buy, 2, 100, 1);
    assert_eq!(restored.cause(), Some(Cause::MalformedRecord));
}

/// Proves that a product whose snapshot has instruments for which there is no room is suspect.
#[test]
fn a_snapshot_without_room_is_doubted() {
    let mut given = Given::new(EobiConfig::default());
    let mut security_id = 0;
    let mut fault = None;
    while fault.is_none() {
        security_id += 1;
        let packet = packet(&[Content::OrderMassDelete { security_id }], 1);
        let packet = Packet::parse(&packet, R).expect("a packet");
        let message = packet.messages().next().expect("a message");
        fault = given.books.apply(9, R, &message).fault;
    }
    assert_eq!(fault, Some(Fault::OrderLimit));
    let summary = Content::InstrumentSummary(InstrumentSummary {
        security_id,
        orders: 1,
        ..InstrumentSummary::default()
    });
    let found = order(WireSide::Sell, 3, Some(110), 2);
    load(&mut given.books, &[summary, Content::SnapshotOrder(found)]);
    assert_eq!(given.books.books().counters().fault(Fault::OrderLimit), 2);
    assert_eq!(given.books.books().order_count(), 0);
    let of_product = given.books.product(PRODUCT).expect("a product");
    assert_eq!(
        of_product.broken.map(|it| it.cause),
        Some(Cause::OrderLimit)
    );
}
