//! EOBI books fed with packets of any bytes: their invariants hold after every message, whatever
//! came, in each release and under each rule of names and auctions.

use tickdeck_book::eobi::{AuctionRule, EobiBooks, EobiConfig, KeyRule};
use tickdeck_book::{Cause, InvariantError};
use tickdeck_wire::eobi::{Content, Packet, Release};

use super::book_itch::SMALL;
use super::split_blocks;

/// A byte of rules, then blocks: a byte of what is to be done, and a packet.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&rules, blocks)) = bytes.split_first() else {
        return;
    };
    let release = Release::ALL[usize::from(rules & 1)];
    let config = EobiConfig {
        keys: match rules & 2 {
            0 => KeyRule::Priority,
            _ => KeyRule::Terms,
        },
        auction: match rules & 4 {
            0 => AuctionRule::Closed,
            _ => AuctionRule::Open,
        },
        other_auction: vec![1],
    };
    let mut books = EobiBooks::new(config, SMALL);
    for block in split_blocks(blocks).0 {
        let Some((action, packet)) = block.split_first() else {
            books.clear();
            continue;
        };
        if let Ok(packet) = Packet::parse(packet, release) {
            take(&mut books, &packet, *action);
        }
    }
}

fn take(books: &mut EobiBooks, packet: &Packet<'_>, action: u8) {
    let product = packet.market_segment_id();
    let release = packet.release();
    match action % 8 {
        0 => books.doubt_product(product, packet.sequence().into(), Cause::MessagesLost),
        1 => books.trust_product(product),
        _ => {}
    }
    for message in packet.messages() {
        if action % 8 == 2 {
            // A product's snapshot begins with its summary.
            if let Ok(Content::ProductSummary(_)) = message.content(release) {
                books.begin_load(product);
            }
            books.load(product, release, &message);
        } else {
            let applied = books.apply(product, release, &message);
            if let Some(fault) = applied.fault {
                assert!(books.books().counters().fault(fault) > 0);
            }
        }
        check(books);
    }
    books.on_packet(product, packet.completes());
    check(books);
}

fn check(books: &EobiBooks) {
    assert_eq!(books.books().check_invariants(), Ok(()));
    match books.check_invariants() {
        // What a hostile venue crosses is crossed.
        Ok(())
        | Err(InvariantError::Broken {
            what: "a crossed book in trading",
            ..
        }) => {}
        Err(error) => panic!("{error}"),
    }
    for book in books.books().iter() {
        let (orders, quantity) = books.market_orders(book.id());
        assert_eq!(orders == 0, quantity == 0);
        let product = books.instrument(book.id()).product;
        let of_product = books.product(product).expect("the product of a book");
        assert!(of_product.books.contains(&book.id()));
    }
    assert!(books.books().order_count() <= SMALL.max_orders);
}
