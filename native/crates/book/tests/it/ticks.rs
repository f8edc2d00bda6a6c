//! Ticks in books: who has them, what is counted, what an answer says.

use crate::common::messages::{Event, add, directory};
use tickdeck_book::{
    Books, BooksConfig, Channel, Itch, Side, TickRule, TickRules, TickTable, Trust, snapshot,
};

fn rules(rules: &[(&str, &str)]) -> TickRules {
    let mut all = TickRules::default();
    for (name, tick) in rules {
        let base = tick.parse().expect("a decimal");
        let bands = Vec::new();
        all.insert(name, TickRule { base, bands });
    }
    all
}

fn books() -> Books {
    let mut books = Books::new(BooksConfig::default());
    books.configure_ticks(rules(&[("T1", "0.01"), ("T3", "0.05")]));
    books
}

fn ask(locate: u16, reference: u64, price: u32) -> Vec<u8> {
    Event::Add {
        locate,
        reference,
        side: Side::Ask,
        shares: 10,
        price,
        named: false,
    }
    .encode()
}

/// A level off the tick is counted when it is made, not when more orders join it, and it makes
/// nothing suspect; made again, it is counted again. Books without ticks are not looked at.
#[test]
fn new_levels_off_the_tick_are_counted() {
    let mut books = books();
    let add = |books: &mut Books, reference, price| {
        books.apply(reference, &add(reference, price));
        books.off_tick()
    };
    assert_eq!(add(&mut books, 1, 10_100), 0);
    assert_eq!(add(&mut books, 2, 10_150), 1);
    assert_eq!(add(&mut books, 3, 10_150), 1, "the level is there");
    for reference in [2, 3] {
        books.apply(reference, &Event::Delete { reference }.encode());
    }
    assert_eq!(add(&mut books, 4, 10_150), 2, "the level is made again");
    books.apply(5, &ask(2, 5, 10_151));
    assert_eq!((books.off_tick(), books.tick_count()), (2, 1));
    assert_eq!(books.counters().faults_total(), 0);
    assert!(books.iter().all(|book| book.trust() == Trust::Good));
}

/// Tick and spread are those of the touch; without a touch, or off the tick, there is no spread.
#[test]
fn a_view_tells_tick_and_spread() {
    let mut books = books();
    books.apply(1, &add(1, 10_000));
    let view = |books: &Books| {
        let book = books.iter().next().expect("a book");
        (book.tick(), book.spread_ticks())
    };
    assert_eq!(view(&books), (Some(100), None));
    books.apply(2, &ask(1, 2, 10_300));
    assert_eq!(view(&books), (Some(100), Some(3)));
    books.apply(3, &ask(1, 3, 10_250));
    assert_eq!(view(&books), (Some(100), None));
    let mut bare = Books::new(BooksConfig::default());
    bare.apply(1, &add(1, 10_000));
    assert_eq!(view(&bare), (None, None));
}

/// Ticks follow the name: those of an instrument that the directory names later, or anew, and of
/// every instrument of the next session.
#[test]
fn ticks_follow_the_name() {
    let mut books = books();
    books.apply(1, &directory(3));
    assert_eq!(books.tick_count(), 1);
    books.clear();
    assert_eq!(books.tick_count(), 0);
    books.apply(1, &directory(1));
    books.apply(2, &directory(2));
    assert_eq!(books.tick_count(), 1, "T2 has none");
    books.apply(3, &ask(1, 1, 10_001));
    assert_eq!(books.off_tick(), 1);
}

/// What the venue says holds where nothing is configured, and only there.
#[test]
fn configured_ticks_go_before_the_venues() {
    let mut books = books();
    for locate in [1, 2] {
        books.apply(u64::from(locate), &directory(locate));
        let table = TickTable::new(7, &[]).expect("a table");
        books.set_ticks(i64::from(locate), table);
    }
    let tick = |locate| {
        books
            .view(books.by_instrument(locate).expect("a book"))
            .tick()
    };
    assert_eq!((tick(1), tick(2)), (Some(100), Some(7)));
}

/// A tick finer than the venue's prices is no tick of theirs.
#[test]
fn a_tick_beyond_the_scale_is_left_out() {
    let mut books = Books::new(BooksConfig::default());
    books.apply(1, &add(1, 10_000));
    books.configure_ticks(rules(&[("T1", "0.00001")]));
    assert_eq!(books.tick_count(), 0);
}

/// Books that come back from a snapshot get their ticks; their levels are not counted once more.
#[test]
fn restored_books_have_ticks() {
    let mut books = Channel::new(BooksConfig::default());
    books.books_mut().apply(1, &ask(1, 1, 10_001));
    let mut bytes = Vec::new();
    books.encode_snapshot(&[1; 16], 1, &mut bytes);
    snapshot::seal(&mut bytes);
    let restored = snapshot::decode(&bytes, Itch::new(BooksConfig::default()));
    let mut channel = restored.expect("a snapshot just written").channel;
    channel
        .books_mut()
        .configure_ticks(rules(&[("T1", "0.01")]));
    assert_eq!(channel.books().tick_count(), 1);
    assert_eq!(channel.books().off_tick(), 0);
    channel.books_mut().apply(2, &ask(1, 2, 10_002));
    assert_eq!(channel.books().off_tick(), 1);
}

/// Proves that ticks which the venue named hold when configured ones are taken anew.
#[test]
fn named_ticks_survive_a_configuration() {
    let mut books = tickdeck_book::Books::new(tickdeck_book::BooksConfig::CME_MDP3);
    books.cme_trust_orders(7, None);
    books.set_named_tick(7, 25);
    assert_eq!(books.tick_count(), 1);
    books.configure_ticks(Default::default());
    assert_eq!(books.tick_count(), 1);
    books.clear();
    assert_eq!(books.named_ticks().len(), 0);
}
