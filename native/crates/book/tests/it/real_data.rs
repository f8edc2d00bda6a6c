//! Real order flow against books published by others; skipped when the files are not there.

use serde_json::{Value, json};
use tickdeck_book::{BookView, Books, BooksConfig, Fault, Side, Trust, hash};
use tickdeck_wire::binaryfile::{self, Messages};

use crate::common::data;

/// Applies a file and calls `after` with the books after each message, counted from 1.
fn apply_file(bytes: &[u8], mut after: impl FnMut(u64, &Books)) -> Books {
    let mut books = Books::new(BooksConfig::default());
    for (sequence, message) in (1..).zip(Messages::new(bytes)) {
        books.apply(
            sequence,
            message.expect("the file ends after its last message"),
        );
        after(sequence, &books);
    }
    books
}

fn only_book(books: &Books) -> BookView<'_> {
    assert_eq!(books.len(), 1);
    books.iter().next().expect("there is one book")
}

fn best(book: BookView<'_>, side: Side) -> Value {
    book.best(side)
        .map_or(Value::Null, |level| json!([level.price, level.quantity]))
}

/// Compares everything that `final` of an expected file says, and that nothing was wrong on the
/// way.
fn assert_final(books: &Books, expected: &Value) {
    let book = only_book(books);
    let depth = |side| json!(book.top_n(side, 20).collect::<Vec<_>>());
    let found = json!({
        "messages": books.counters().messages,
        "orders": book.orders(),
        "bid_levels": book.levels(Side::Bid),
        "ask_levels": book.levels(Side::Ask),
        "bids": depth(Side::Bid),
        "asks": depth(Side::Ask),
        "queue_sha256": hash::hex(&book.queue_sha256()),
    });
    for (key, value) in found.as_object().expect("an object was made") {
        assert_eq!(value, &expected[key], "{key}");
    }
    assert_eq!(books.counters().faults_total(), 0);
    assert_eq!(book.trust(), Trust::Good);
    assert_eq!(books.check_invariants(), Ok(()));
}

/// CME order flow written as ITCH: touch and order count after every 1,000th message, the whole
/// final book, its queue hash; invariants every 500 messages.
#[test]
fn es_mbo_at_every_checkpoint() {
    let (Some(file), Some(expected)) = (
        data::read("es_mbo.itch.gz"),
        data::read_json("es_mbo.expected.json"),
    ) else {
        return;
    };
    let mut checkpoints = expected["checkpoints"]
        .as_array()
        .expect("a list")
        .iter()
        .peekable();
    let books = apply_file(&file, |message, books| {
        if message % 500 == 0 {
            assert_eq!(books.check_invariants(), Ok(()), "message {message}");
        }
        let Some(checkpoint) = checkpoints.next_if(|next| next["message"] == message) else {
            return;
        };
        let book = only_book(books);
        assert_eq!(
            best(book, Side::Bid),
            checkpoint["bid"],
            "message {message}"
        );
        assert_eq!(
            best(book, Side::Ask),
            checkpoint["ask"],
            "message {message}"
        );
        assert_eq!(book.orders(), checkpoint["orders"], "message {message}");
    });
    assert_eq!(checkpoints.next(), None, "every checkpoint was reached");
    let book = only_book(&books);
    assert_eq!(
        (
            book.orders(),
            book.levels(Side::Bid),
            book.levels(Side::Ask)
        ),
        (11_217, 922, 565)
    );
    assert_eq!(best(book, Side::Bid)[0], 48_100_000);
    assert_eq!(best(book, Side::Ask)[0], 48_102_500);
    assert_final(&books, &expected["final"]);
}

/// NASDAQ order flow against the book that LOBSTER published for every 100th row, ten levels a
/// side.
#[test]
fn goog_lobster_at_every_checkpoint() {
    let (Some(file), Some(expected)) = (
        data::read("goog_lobster.itch.gz"),
        data::read_json("goog_lobster.expected.json.gz"),
    ) else {
        return;
    };
    // The file names its instrument with ten characters, which makes four types two bytes too long.
    let file = binaryfile::conform(&file)
        .expect("the file ends after its last message")
        .bytes;
    let mut checkpoints = expected["checkpoints"]
        .as_array()
        .expect("a list")
        .iter()
        .peekable();
    let books = apply_file(&file, |message, books| {
        let Some(checkpoint) = checkpoints.next_if(|next| next["message"] == message) else {
            return;
        };
        let book = only_book(books);
        for (side, key) in [(Side::Bid, "bids"), (Side::Ask, "asks")] {
            let levels = checkpoint[key].as_array().expect("a list").len();
            let depth: Vec<_> = book
                .top_n(side, levels)
                .map(|l| (l.price, l.quantity))
                .collect();
            assert_eq!(
                json!(depth),
                checkpoint[key],
                "{key} after message {message}"
            );
        }
    });
    assert_eq!(checkpoints.next(), None, "every checkpoint was reached");
    assert_final(&books, &expected["final"]);
}

/// The first messages of two NASDAQ days: a directory and no orders; the cut one is an error there.
#[test]
fn opening_messages_name_instruments() {
    for (name, messages, directory) in [
        ("day_open_1000.itch", 1_000, 993),
        ("day_open_101.itch", 101, 98),
    ] {
        let Some(file) = data::read(name) else { return };
        let mut books = Books::new(BooksConfig::default());
        for (sequence, message) in (1..).zip(Messages::new(&file).map_while(Result::ok)) {
            books.apply(sequence, message);
        }
        assert_eq!(books.counters().messages, messages, "{name}");
        assert_eq!(books.counters().directory, directory, "{name}");
        assert_eq!(books.len() as u64, directory, "{name}");
        assert_eq!(books.counters().faults_total(), 0, "{name}");
        assert_eq!(
            (
                books.order_count(),
                books.counters().fault(Fault::UnknownType)
            ),
            (0, 0)
        );
    }
}
