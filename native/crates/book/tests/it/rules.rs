//! The rules of MARKET_DATA's book section, one by one.

use crate::common::messages::{Event, add, directory, system_event};
use tickdeck_book::{Applied, Books, BooksConfig, Cause, Doubt, Fault, Side, Trust};

fn books() -> Books {
    Books::new(BooksConfig {
        initial_orders: 16,
        ..BooksConfig::default()
    })
}

fn apply(books: &mut Books, sequence: u64, event: Event) -> Applied {
    books.apply(sequence, &event.encode())
}

/// Reference and shares of the bids of the first book, in queue order.
fn bids(books: &Books) -> Vec<(u64, u64)> {
    let book = books.iter().next().expect("a book exists");
    book.queue(Side::Bid)
        .map(|order| (order.reference, order.quantity))
        .collect()
}

fn trust(books: &Books) -> Trust {
    books.iter().next().expect("a book exists").trust()
}

/// Partial executions and cancels are cumulative and keep the order's place in the queue.
#[test]
fn partial_executions_keep_the_place() {
    let mut books = books();
    books.apply(1, &add(1, 100));
    books.apply(2, &add(2, 100));
    apply(
        &mut books,
        3,
        Event::Execute {
            reference: 1,
            shares: 4,
            priced: false,
        },
    );
    apply(
        &mut books,
        4,
        Event::Execute {
            reference: 1,
            shares: 3,
            priced: true,
        },
    );
    apply(
        &mut books,
        5,
        Event::Cancel {
            reference: 1,
            shares: 2,
        },
    );
    assert_eq!(bids(&books), [(1, 1), (2, 10)]);
    apply(
        &mut books,
        6,
        Event::Execute {
            reference: 1,
            shares: 1,
            priced: false,
        },
    );
    assert_eq!(bids(&books), [(2, 10)]);
    assert_eq!(books.counters().faults_total(), 0);
    assert_eq!(trust(&books), Trust::Good);
}

/// A replaced order keeps side and instrument and goes to the back, at its old price too.
#[test]
fn a_replaced_order_joins_the_back() {
    let mut books = books();
    books.apply(1, &add(1, 100));
    books.apply(2, &add(2, 100));
    let applied = apply(
        &mut books,
        3,
        Event::Replace {
            original: 1,
            new: 3,
            shares: 10,
            price: 100,
        },
    );
    assert_eq!(
        applied,
        Applied {
            book: books.by_instrument(1),
            fault: None
        }
    );
    assert_eq!(bids(&books), [(2, 10), (3, 10)]);
    // A reference may even replace itself.
    apply(
        &mut books,
        4,
        Event::Replace {
            original: 2,
            new: 2,
            shares: 5,
            price: 100,
        },
    );
    assert_eq!(bids(&books), [(3, 10), (2, 5)]);
    assert_eq!(books.counters().faults_total(), 0);
}

/// A second add with the same reference takes the first one's place in one step, is counted, and
/// makes the book suspect.
#[test]
fn a_duplicate_add_replaces_atomically() {
    let mut books = books();
    books.apply(1, &add(1, 100));
    books.apply(2, &add(2, 100));
    let applied = books.apply(3, &add(1, 99));
    assert_eq!(applied.fault, Some(Fault::DuplicateReference));
    assert_eq!(bids(&books), [(2, 10), (1, 10)]);
    assert_eq!(books.order_count(), 2);
    let doubt = Doubt {
        since: 3,
        cause: Cause::DuplicateReference,
    };
    assert_eq!(trust(&books), Trust::Suspect(doubt));
    assert_eq!(books.check_invariants(), Ok(()));
}

/// Shares beyond what is left are an error; the order is gone, its neighbours are not touched.
#[test]
fn too_many_shares_are_counted() {
    for (event, fault) in [
        (
            Event::Execute {
                reference: 1,
                shares: 11,
                priced: false,
            },
            Fault::ExecutedTooMuch,
        ),
        (
            Event::Cancel {
                reference: 1,
                shares: 11,
            },
            Fault::CancelledTooMuch,
        ),
    ] {
        let mut books = books();
        books.apply(1, &add(1, 100));
        books.apply(2, &add(2, 100));
        assert_eq!(apply(&mut books, 3, event).fault, Some(fault));
        assert_eq!(books.counters().fault(fault), 1);
        assert_eq!(bids(&books), [(2, 10)]);
        let doubt = Doubt {
            since: 3,
            cause: Cause::TooManyShares,
        };
        assert_eq!(trust(&books), Trust::Suspect(doubt));
    }
}

/// An unknown reference is an error where nothing is missing, and excused while a gap is open.
#[test]
fn an_unknown_reference_is_an_error_only_where_nothing_is_missing() {
    let mut books = books();
    books.apply(1, &add(1, 100));
    books.open_gap(7, 2, 5);
    let applied = apply(&mut books, 6, Event::Delete { reference: 99 });
    assert_eq!(applied, Applied::default());
    assert_eq!(
        (
            books.counters().excused_references,
            books.counters().faults_total()
        ),
        (1, 0)
    );
    assert_eq!(
        trust(&books),
        Trust::Suspect(Doubt {
            since: 2,
            cause: Cause::GapOpen
        })
    );
    books.close_gap(7);
    assert_eq!(trust(&books), Trust::Good);

    for event in [
        Event::Delete { reference: 99 },
        Event::Execute {
            reference: 99,
            shares: 1,
            priced: false,
        },
        Event::Cancel {
            reference: 99,
            shares: 1,
        },
        Event::Replace {
            original: 99,
            new: 98,
            shares: 1,
            price: 1,
        },
    ] {
        let mut books = Books::new(BooksConfig::default());
        books.apply(1, &add(1, 100));
        assert_eq!(
            apply(&mut books, 7, event).fault,
            Some(Fault::UnknownReference)
        );
        assert_eq!(bids(&books), [(1, 10)]);
        let doubt = Doubt {
            since: 7,
            cause: Cause::UnknownReference,
        };
        assert_eq!(trust(&books), Trust::Suspect(doubt), "{event:?}");
    }
}

/// A doubt about one book leaves its neighbours good, and is counted once.
#[test]
fn a_doubt_stays_with_its_book() {
    let mut books = books();
    books.apply(1, &directory(1));
    books.apply(2, &directory(2));
    apply(&mut books, 3, Event::Delete { reference: 99 });
    apply(&mut books, 4, Event::Delete { reference: 98 });
    let names: Vec<_> = books.iter().map(|book| book.trust().name()).collect();
    assert_eq!(names, ["SUSPECT", "GOOD"]);
    assert_eq!(books.suspect_count(), 1);
    assert_eq!(books.counters().fault(Fault::UnknownReference), 1);
    assert_eq!(books.counters().excused_references, 1);
    books.open_gap(1, 5, 6);
    assert_eq!(books.suspect_count(), 2);
}

/// Unknown types and wrong lengths are counted by kind and change no order. A message about an
/// order that cannot be read makes its book suspect, and every book when it names none.
#[test]
fn what_cannot_be_read_is_counted_and_skipped() {
    let short = &add(2, 100)[..35];
    let mut sided = add(3, 100);
    sided[19] = b'X';
    let mut elsewhere = short.to_vec();
    elsewhere[1..3].copy_from_slice(&9_u16.to_be_bytes());
    let doubt = Doubt {
        since: 2,
        cause: Cause::BadEntry,
    };
    for (message, fault, doubted) in [
        (&b"z123"[..], Fault::UnknownType, None),
        (&[], Fault::BadLength, None),
        (&b"S"[..], Fault::BadLength, None),
        (short, Fault::BadLength, Some(1)),
        (&sided, Fault::BadSide, Some(1)),
        (&elsewhere, Fault::BadLength, Some(2)),
        (&b"D"[..], Fault::BadLength, Some(2)),
    ] {
        let mut books = books();
        books.apply(1, &add(1, 100));
        books.apply(1, &directory(2));
        let applied = books.apply(2, message);
        let expected = Applied {
            book: None,
            fault: Some(fault),
        };
        assert_eq!(applied, expected);
        assert_eq!(books.counters().fault(fault), 1);
        assert_eq!(bids(&books), [(1, 10)]);
        assert_eq!(books.suspect_count(), doubted.unwrap_or(0), "{message:?}");
        let trust = doubted.map_or(Trust::Good, |_| Trust::Suspect(doubt));
        assert_eq!(books.channel_trust(), trust);
    }
}

/// The directory names books, trading actions and system events are tracked, and none touches
/// orders.
#[test]
fn directory_and_states_are_tracked() {
    let mut books = books();
    books.apply(1, &system_event(b'O'));
    books.apply(2, &directory(5));
    let mut halt = vec![b'H', 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    halt.extend_from_slice(b"T5      H     ");
    assert_eq!(books.apply(3, &halt), Applied::default());
    let book = books.by_symbol(b"T5").expect("the directory named it");
    assert_eq!(
        (book.trading_state(), book.orders(), book.instrument()),
        (b'H', 0, 5)
    );
    assert_eq!(books.system_event(), b'O');
    assert_eq!(books.counters().faults_total(), 0);
}

/// An add of an instrument that the directory did not name makes its book from the add.
#[test]
fn an_add_before_the_directory_makes_the_book() {
    let mut books = books();
    books.apply(1, &add(1, 100));
    assert_eq!(
        books.iter().next().map(|book| book.symbol().to_string()),
        Some("T1".to_owned())
    );
    books.apply(2, &directory(1));
    assert_eq!(books.len(), 1);
    assert_eq!(bids(&books), [(1, 10)]);
}

/// At the limit an order is refused, counted and doubted; the books stay whole and room comes back.
#[test]
fn the_order_limit_holds() {
    let config = BooksConfig {
        initial_orders: 1,
        max_orders: 2,
        levels_per_side: 1,
        ..BooksConfig::ITCH50
    };
    let mut books = Books::new(config);
    books.apply(1, &add(1, 100));
    books.apply(2, &add(2, 101));
    assert_eq!(books.apply(3, &add(3, 102)).fault, Some(Fault::OrderLimit));
    assert_eq!(books.order_count(), 2);
    assert_eq!(books.check_invariants(), Ok(()));
    // A duplicate and a replace need no more room than they free.
    assert_eq!(
        books.apply(4, &add(2, 103)).fault,
        Some(Fault::DuplicateReference)
    );
    apply(
        &mut books,
        5,
        Event::Replace {
            original: 1,
            new: 9,
            shares: 1,
            price: 90,
        },
    );
    apply(&mut books, 6, Event::Delete { reference: 2 });
    assert_eq!(books.apply(7, &add(3, 102)).fault, None);
    assert_eq!(bids(&books), [(3, 10), (9, 1)]);
    assert_eq!(books.check_invariants(), Ok(()));
}

/// Within the reserves nothing grows; beyond them each growth is counted by its name.
#[test]
fn growth_is_counted() {
    let config = BooksConfig {
        initial_orders: 64,
        levels_per_side: 16,
        ..BooksConfig::default()
    };
    let mut books = Books::new(config);
    for n in 0..16 {
        books.apply(n, &add(n, n as u32));
    }
    for n in 16..64 {
        books.apply(n, &add(n, 3));
    }
    assert_eq!((books.slab_grows(), books.depth_vec_grows()), (0, 0));
    books.apply(64, &add(64, 4));
    assert!(books.slab_grows() > 0);
    books.apply(65, &add(65, 65));
    assert_eq!(books.depth_vec_grows(), 1);
}
