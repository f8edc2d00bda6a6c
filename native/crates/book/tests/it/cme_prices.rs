//! Books by price against one that is slow and obviously right, through messages of our encoder.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_book::price_book::{Kind, PriceBook};
use tickdeck_book::{Books, BooksConfig, Cause, Doubt, Fault, LevelView, Side};
use tickdeck_wire::cme::{DefinitionOf, Packet, PacketBuilder, PriceChange, View, template};

const ID: i32 = 7;

/// What an operation does to the venue's whole book.
#[derive(Clone, Copy, Debug)]
struct Operation {
    kind: u8,
    /// A price between 0 and 29: enters it, or changes it, or deletes it.
    price: i64,
    deletes: bool,
    size: i32,
}

/// The venue: every price of each side, of which it sends the best.
#[derive(Default)]
struct Venue {
    levels: BTreeMap<(u8, i64), i32>,
    rpt_seq: u32,
}

impl Venue {
    /// Prices of a side, best first.
    fn best(&self, kind: u8) -> Vec<i64> {
        let of_side = self.levels.keys().filter(|(of, _)| *of == kind);
        let mut prices: Vec<_> = of_side.map(|(_, price)| *price).collect();
        if matches!(kind, b'0' | b'E') {
            prices.reverse();
        }
        prices
    }

    fn entry(&mut self, kind: u8, price: i64, level: usize, action: u8) -> PriceChange {
        self.rpt_seq += 1;
        let size = self.levels.get(&(kind, price)).copied().unwrap_or(1);
        PriceChange {
            price,
            size,
            security_id: ID,
            rpt_seq: self.rpt_seq,
            orders: if kind < b'E' { 2 } else { i32::MAX },
            level: level as u8,
            action,
            kind,
        }
    }

    /// What it sends of an operation to a reader of so many levels.
    fn apply(&mut self, operation: Operation, depth: usize) -> Vec<PriceChange> {
        let Operation {
            kind,
            price,
            deletes,
            size,
        } = operation;
        let before = self.best(kind).iter().position(|of| *of == price);
        let mut sent = Vec::new();
        match (before, deletes) {
            (None, true) => {}
            (None, false) => {
                self.levels.insert((kind, price), size);
                let place = self.best(kind).iter().position(|of| *of == price);
                let place = place.expect("it was entered") + 1;
                if place <= depth {
                    sent.push(self.entry(kind, price, place, 0));
                }
            }
            (Some(place), false) => {
                self.levels.insert((kind, price), size);
                if place < depth {
                    sent.push(self.entry(kind, price, place + 1, 1));
                }
            }
            (Some(place), true) => {
                self.levels.remove(&(kind, price));
                if place < depth {
                    sent.push(self.entry(kind, price, place + 1, 2));
                    // What was below the depth comes into sight.
                    if let Some(next) = self.best(kind).get(depth - 1).copied() {
                        sent.push(self.entry(kind, next, depth, 0));
                    }
                }
            }
        }
        sent
    }

    fn shown(&self, kind: u8, depth: usize) -> Vec<LevelView> {
        let best = self.best(kind);
        let level = |price: &i64| LevelView {
            price: *price,
            quantity: self.levels[&(kind, *price)] as u64,
            orders: if kind < b'E' { 2 } else { 0 },
        };
        best.iter().take(depth).map(level).collect()
    }
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let kinds = prop_oneof![Just(b'0'), Just(b'1'), Just(b'E'), Just(b'F')];
    let one = (kinds, 0..30i64, prop::bool::weighted(0.45), 1..100i32);
    let operation = |(kind, price, deletes, size)| Operation {
        kind,
        price: price - 15,
        deletes,
        size,
    };
    vec(one.prop_map(operation), 1..200)
}

fn with(write: impl FnOnce(&mut PacketBuilder)) -> Vec<u8> {
    let mut builder = PacketBuilder::new(60_000);
    builder.begin(1, 1);
    write(&mut builder);
    builder.finish().to_vec()
}

/// Gives the entries, through a message, to the books.
fn give(books: &mut Books, entries: &[PriceChange]) -> Vec<Fault> {
    let bytes = with(|builder| assert!(builder.book(template::BOOK_9, 1, entries, &[])));
    let mut faults = Vec::new();
    each(&bytes, |view| {
        if let View::Book { prices, .. } = view {
            faults.extend(prices.iter().filter_map(|entry| books.cme_price(5, entry)));
        }
    });
    faults
}

fn each(bytes: &[u8], mut take: impl FnMut(View<'_>)) {
    let packet = Packet::parse(bytes).unwrap();
    packet
        .messages()
        .for_each(|message| take(message.view().unwrap()));
}

fn define(books: &mut Books, depth: i8, implied: i8) {
    define_one(books, ID, depth, implied);
}

fn define_one(books: &mut Books, security_id: i32, depth: i8, implied: i8) {
    let of = DefinitionOf {
        security_id,
        symbol: b"ESZ8",
        group: b"ES",
        tick: 1,
        display_factor: 1,
        trading_status: Some(17),
        depth,
        implied_depth: Some(implied),
    };
    let bytes = with(|builder| assert!(builder.definition(of)));
    each(&bytes, |view| {
        if let View::Definition(definition) = view {
            books.cme_define(&definition);
        }
    });
}

fn book(books: &Books) -> &PriceBook {
    books.price_books().get(i64::from(ID)).expect("it is there")
}

const SIDES: [(u8, Kind, Side); 4] = [
    (b'0', Kind::Real, Side::Bid),
    (b'1', Kind::Real, Side::Ask),
    (b'E', Kind::Implied, Side::Bid),
    (b'F', Kind::Implied, Side::Ask),
];

proptest! {
    /// Proves that a book followed from its beginning has, after every message, exactly the
    /// venue's best levels, real and implied, whatever the depth.
    #[test]
    fn a_book_from_its_beginning_is_the_venues(
        operations in operations(),
        depth in prop_oneof![Just(1), Just(3), Just(10)],
    ) {
        let mut books = Books::new(BooksConfig::CME_MDP3);
        let mut venue = Venue::default();
        define(&mut books, depth as i8, 2);
        books.cme_trust_prices(ID, None);
        for operation in operations {
            let depth = if operation.kind < b'E' { depth } else { 2 };
            let sent = venue.apply(operation, depth);
            prop_assert_eq!(give(&mut books, &sent), []);
            prop_assert_eq!(books.price_books().check_invariants(), Ok(()));
            for (wire, kind, side) in SIDES {
                let depth = book(&books).depth(kind);
                let levels: Vec<_> = book(&books).levels(kind, side).collect();
                prop_assert_eq!(levels, venue.shown(wire, depth));
            }
        }
    }

    /// Proves that a book met in the middle of the session never says a wrong thing: every level
    /// that it knows is the venue's at that place, nothing is a fault, and an empty place is one
    /// where the venue has nothing.
    #[test]
    fn a_book_from_the_middle_knows_only_what_is_true(
        before in operations(),
        operations in operations(),
        depth in prop_oneof![Just(1), Just(3), Just(10)],
    ) {
        let mut books = Books::new(BooksConfig::CME_MDP3);
        let mut venue = Venue::default();
        let of = |operation: &Operation| if operation.kind < b'E' { depth } else { 2 };
        before.iter().for_each(|operation| drop(venue.apply(*operation, of(operation))));
        define(&mut books, depth as i8, 2);
        let doubt = Doubt { since: 1, cause: Cause::MidSession };
        books.cme_trust_prices(ID, Some(doubt));
        for operation in operations {
            let sent = venue.apply(operation, of(&operation));
            prop_assert_eq!(give(&mut books, &sent), []);
            prop_assert_eq!(books.price_books().check_invariants(), Ok(()));
            for (wire, kind, side) in SIDES {
                let shown = venue.shown(wire, book(&books).depth(kind));
                for (place, level) in book(&books).known(kind, side) {
                    prop_assert_eq!(Some(&level), shown.get(place - 1));
                }
                if book(&books).unknown(kind, side) == 0 {
                    let levels: Vec<_> = book(&books).levels(kind, side).collect();
                    prop_assert_eq!(levels, shown);
                }
            }
        }
        prop_assert_eq!(book(&books).doubt(), Some(doubt));
    }

    /// Proves that any entries leave books that keep their rules, and that what was saved comes
    /// back the same.
    #[test]
    fn any_entries_leave_a_book_in_order(
        entries in vec((any::<i8>(), -2..3i32, 0..12u8, 0..7u8, any::<u8>()), 0..60),
        null in any::<bool>(),
    ) {
        let mut books = Books::new(BooksConfig::CME_MDP3);
        books.cme_trust_prices(ID, None);
        for (price, size, level, action, kind) in entries {
            let change = PriceChange {
                price: if null && price == 0 { i64::MAX } else { i64::from(price) },
                size,
                security_id: ID,
                rpt_seq: 1,
                orders: 1,
                level,
                action,
                kind: if kind < 230 { b"01EF"[usize::from(kind) % 4] } else { kind },
            };
            let faults = give(&mut books, &[change]);
            prop_assert!(faults.is_empty() || book(&books).doubt().is_some());
            prop_assert_eq!(books.price_books().check_invariants(), Ok(()));
        }
        let mut saved = Vec::new();
        books.price_books().save(&mut saved);
        let mut restored = Books::new(BooksConfig::CME_MDP3);
        let mut rest = &saved[..];
        prop_assert_eq!(restored.price_books_mut().restore(&mut rest), Ok(()));
        prop_assert!(rest.is_empty());
        let hashes = [&books, &restored].map(|books| books.price_books().state_hash());
        prop_assert_eq!(hashes[0], hashes[1]);
        let mut again = Vec::new();
        restored.price_books().save(&mut again);
        prop_assert_eq!(&saved, &again);
        for end in (0..saved.len()).step_by(7) {
            let cut = restored.price_books_mut().restore(&mut &saved[..end]);
            prop_assert!(cut.is_err(), "cut at {end}");
        }
    }
}

const LEVEL: PriceChange = PriceChange {
    price: 100,
    size: 5,
    security_id: ID,
    rpt_seq: 1,
    orders: 1,
    level: 1,
    action: 0,
    kind: b'0',
};

/// Proves that each entry that cannot be applied has its fault and makes its book suspect, and
/// that J empties the book.
#[test]
fn entries_that_cannot_be_applied_are_faults() {
    let odd = [
        (PriceChange { action: 3, ..LEVEL }, Fault::UnsupportedAction),
        (PriceChange { action: 4, ..LEVEL }, Fault::UnsupportedAction),
        (PriceChange { action: 5, ..LEVEL }, Fault::UnsupportedAction),
        (
            PriceChange {
                price: i64::MAX,
                ..LEVEL
            },
            Fault::MissingField,
        ),
        (PriceChange { size: 0, ..LEVEL }, Fault::ZeroShares),
        (
            PriceChange {
                size: i32::MAX,
                ..LEVEL
            },
            Fault::ZeroShares,
        ),
        (PriceChange { level: 11, ..LEVEL }, Fault::BadLevel),
        (PriceChange { level: 0, ..LEVEL }, Fault::BadLevel),
        (
            PriceChange {
                action: 1,
                level: 2,
                ..LEVEL
            },
            Fault::BadLevel,
        ),
        (
            PriceChange {
                kind: b'x',
                ..LEVEL
            },
            Fault::BadSide,
        ),
    ];
    for (entry, fault) in odd {
        let mut books = Books::new(BooksConfig::CME_MDP3);
        books.cme_trust_prices(ID, None);
        assert_eq!(give(&mut books, &[LEVEL]), []);
        assert_eq!(book(&books).doubt(), None);
        assert_eq!(give(&mut books, &[entry]), [fault], "{entry:?}");
        assert_eq!(book(&books).doubt().map(|doubt| doubt.since), Some(5));
        assert_eq!(books.counters().fault(fault), 1);
    }
    let mut books = Books::new(BooksConfig::CME_MDP3);
    books.cme_trust_prices(ID, None);
    let reset = PriceChange {
        kind: b'J',
        ..LEVEL
    };
    assert_eq!(give(&mut books, &[LEVEL, reset]), []);
    assert_eq!(book(&books).best(Kind::Real, Side::Bid), None);
    assert_eq!(book(&books).unknown(Kind::Real, Side::Bid), 0);
    assert_eq!(books.price_books().counters().resets, 1);
}

/// Proves that a definition names the instrument, that statuses of a group reach it, and that only
/// a defined, good book that is ready to trade counts as crossed.
#[test]
fn definitions_and_statuses_decide_what_is_crossed() {
    let mut books = Books::new(BooksConfig::CME_MDP3);
    books.cme_trust_prices(ID, None);
    let ask = PriceChange {
        kind: b'1',
        price: 99,
        ..LEVEL
    };
    assert_eq!(give(&mut books, &[LEVEL, ask]), []);
    assert!(book(&books).is_crossed(Kind::Real));
    assert_eq!(
        books.price_books().crossed().count(),
        0,
        "it is not defined"
    );
    assert_eq!(book(&books).symbol().to_string(), "7");
    define(&mut books, 10, 2);
    assert_eq!(book(&books).symbol().to_string(), "ESZ8");
    assert_eq!(books.price_books().crossed().count(), 1);
    let mut status = |status: u8, id, group: &[u8]| {
        let bytes = with(|builder| assert!(builder.security_status(1, group, id, status)));
        each(&bytes, |view| {
            if let View::SecurityStatus(status) = view {
                books.cme_status(&status);
            }
        });
        books.price_books().crossed().count()
    };
    assert_eq!(status(21, None, b"ES"), 0, "pre-open: crossed is allowed");
    assert_eq!(status(17, None, b"NQ"), 0, "another group");
    assert_eq!(status(17, None, b"ES"), 1);
    assert_eq!(status(4, Some(ID + 1), b""), 1, "another instrument");
    assert_eq!(status(103, Some(ID), b""), 1, "no change");
    assert_eq!(status(4, Some(ID), b""), 0, "closed");
}

/// Proves that definitions make no more books, and no deeper ones, than there is room for.
#[test]
fn definitions_are_bounded() {
    const MOST: usize = 1 << 17;
    let mut books = Books::new(BooksConfig::CME_MDP3);
    define(&mut books, 127, 100);
    let depths = [Kind::Real, Kind::Implied].map(|kind| book(&books).depth(kind));
    assert_eq!(depths, [32, 32]);
    let others = 1_000..1_000 + MOST as i32;
    others.for_each(|id| define_one(&mut books, id, 1, 1));
    let counters = books.price_books().counters();
    assert_eq!(
        (books.price_books().len(), counters.refused_definitions),
        (MOST, 1)
    );
    // One that is there already is taken.
    define(&mut books, 5, 2);
    assert_eq!(book(&books).depth(Kind::Real), 5);
}
