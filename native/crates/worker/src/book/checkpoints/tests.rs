use tickdeck_book::BooksConfig;
use tickdeck_wire::binaryfile;
use tickdeck_wire::itch50::{AddOrderFields, Side, Stock};

use super::*;

fn checkpoint(cursor: u64, state_hash: u64) -> Checkpoint {
    Checkpoint {
        cursor,
        messages: cursor,
        next_sequence: cursor,
        state_hash,
        books: 1,
        trust: 0,
    }
}

fn own(cursor: u64, state_hash: u64) -> Own {
    Own {
        checkpoint: checkpoint(cursor, state_hash),
        is_excused: false,
    }
}

/// The place that a checkpoint names is wanted once, whenever it was announced; one that was passed
/// in a hole is not.
#[test]
fn places_are_wanted_once() {
    let mut checkpoints = Checkpoints::default();
    for cursor in [9, 4, 7, 4] {
        checkpoints.expect(cursor);
    }
    let wanted: Vec<u64> = (1..7).filter(|at| checkpoints.is_wanted(*at)).collect();
    assert_eq!(wanted, [4]);
    assert!(!checkpoints.is_wanted(8), "7 was passed");
    assert!(checkpoints.is_wanted(9));
    assert!(!checkpoints.is_wanted(9));
}

/// Whoever follows a journal keeps so many places ahead, whoever has read all of it keeps all.
#[test]
fn a_whole_journal_has_no_place_too_many() {
    let places = PLACES_KEPT as u64 + 1;
    let kept = |mut checkpoints: Checkpoints| {
        (1..=places).for_each(|cursor| checkpoints.expect(cursor));
        (1..=places).filter(|at| checkpoints.is_wanted(*at)).count() as u64
    };
    assert_eq!(kept(Checkpoints::default()), places - 1);
    assert_eq!(kept(Checkpoints::with_places(usize::MAX)), places);
}

/// Equal, different and unknown places are told apart, whatever of the three facts differs; the
/// messages that the writer had applied are not compared.
#[test]
fn each_fact_is_compared() {
    let mut checkpoints = Checkpoints::default();
    checkpoints.remember(own(5, 1));
    let other_count = Checkpoint {
        messages: 99,
        ..checkpoint(5, 1)
    };
    assert_eq!(checkpoints.compare(other_count), Verdict::Equal);
    assert_eq!(checkpoints.compare(checkpoint(6, 1)), Verdict::Incomparable);
    let changes = [
        checkpoint(5, 2),
        Checkpoint {
            books: 2,
            ..checkpoint(5, 1)
        },
        Checkpoint {
            next_sequence: 9,
            ..checkpoint(5, 1)
        },
    ];
    for changed in changes {
        let difference = Difference {
            expected: changed,
            found: checkpoint(5, 1),
        };
        assert_eq!(checkpoints.compare(changed), Verdict::Different(difference));
        assert_eq!(checkpoints.compare(checkpoint(5, 1)), Verdict::Equal);
    }
    let (equal, different, incomparable) = (4, 3, 1);
    let tally = Tally {
        equal,
        different,
        incomparable,
    };
    assert_eq!(checkpoints.tally(), tally);
}

/// A difference is told once until the books are equal again, and not at all where either side had
/// an excuse; an equality counts even then.
#[test]
fn excuses_and_followers_are_no_differences() {
    let mut checkpoints = Checkpoints::default();
    for cursor in 1..=6 {
        checkpoints.remember(Own {
            is_excused: cursor == 1,
            ..own(cursor, cursor)
        });
    }
    let mut different = |cursor, hash, trust| {
        let found = Checkpoint {
            trust,
            ..checkpoint(cursor, hash)
        };
        matches!(checkpoints.compare(found), Verdict::Different(_))
    };
    assert!(!different(1, 0, 0), "records were missing here");
    assert!(!different(2, 0, SUSPECT), "it was suspect itself");
    assert!(different(3, 0, 0));
    assert!(!different(4, 0, 0), "behind the first");
    assert!(!different(5, 5, SUSPECT));
    assert!(different(6, 0, 0));
    assert_eq!(checkpoints.tally().equal, 1);
}

/// More own states than are remembered push out the oldest.
#[test]
fn the_memory_is_bounded() {
    let mut checkpoints = Checkpoints::default();
    for cursor in 1..=OWN_KEPT as u64 + 1 {
        checkpoints.remember(own(cursor, 0));
        checkpoints.expect(1_000_000 + cursor);
    }
    assert_eq!(checkpoints.compare(checkpoint(1, 0)), Verdict::Incomparable);
    assert_eq!(checkpoints.compare(checkpoint(2, 0)), Verdict::Equal);
    for place in 0..2 * PLACES_KEPT as u64 {
        checkpoints.expect(place);
    }
    assert_eq!(checkpoints.places.len(), PLACES_KEPT);
}

/// What contradicts the stream is no excuse, since whoever took the checkpoint read the same one;
/// what is missing is.
#[test]
fn contradictions_are_no_excuse() {
    let excuses = |cause: &Cause| is_excuse(*cause);
    let kept: Vec<Cause> = Cause::ALL.into_iter().filter(excuses).collect();
    assert!(kept.contains(&Cause::JournalHole) && kept.contains(&Cause::CheckpointMismatch));
    for cause in [
        Cause::UnknownReference,
        Cause::Inconsistent,
        Cause::SequenceBreak,
    ] {
        assert!(!kept.contains(&cause), "{cause:?}");
    }
}

/// A checkpoint that stands records behind its place is compared with the books of that place;
/// one that nobody announced, or that cannot be read, with nothing.
#[test]
fn a_checkpoint_stands_later_than_its_place() {
    let records: Vec<Vec<u8>> = (1..=6).map(add).collect();
    let apply = |checkpoints: &mut Checkpoints, channel: &mut Channel, seq: u64| {
        let at = seq as usize - 1;
        checkpoints.follow(channel, data(seq, &records[at]))
    };
    let (mut first, mut writer) = (Channel::new(BooksConfig::default()), Checkpoints::default());
    for seq in 1..=3 {
        assert_eq!(apply(&mut writer, &mut first, seq), None);
    }
    let taken = Own::of(&first).checkpoint;
    assert_eq!((taken.cursor, taken.next_sequence, taken.books), (4, 4, 1));

    let (mut channel, mut reader) = (Channel::new(BooksConfig::default()), Checkpoints::default());
    reader.expect(taken.cursor);
    for seq in 1..=6 {
        assert_eq!(apply(&mut reader, &mut channel, seq), None);
    }
    let anchor = |seq, payload| Record {
        kind: kind::SNAPSHOT_ANCHOR,
        ..data(seq, payload)
    };
    let payload = taken.encode();
    let met = reader.follow(&mut channel, anchor(7, &payload));
    assert_eq!(met, Some(Verdict::Equal));
    assert_eq!(reader.equal_until(), 4);
    let unknown = Checkpoint { cursor: 5, ..taken };
    let payload = unknown.encode();
    let met = reader.follow(&mut channel, anchor(8, &payload));
    assert_eq!(met, Some(Verdict::Incomparable));
    let met = reader.follow(&mut channel, anchor(9, b"nonsense"));
    assert_eq!(met, Some(Verdict::Incomparable));
    assert_eq!(reader.tally().incomparable, 2);
}

fn data(seq: u64, payload: &[u8]) -> Record<'_> {
    Record {
        seq,
        kind: kind::DATA,
        venue_seq: seq,
        rx_ns: 1,
        payload,
    }
}

/// A run of one message, which adds an order.
fn add(order_reference: u64) -> Vec<u8> {
    let order = AddOrderFields {
        stock_locate: 1,
        tracking_number: 0,
        timestamp_ns: 1,
        order_reference,
        side: Side::Buy,
        shares: 10,
        stock: Stock(*b"TEST    "),
        price: 100,
    };
    let mut blocks = Vec::new();
    binaryfile::push(&mut blocks, &order.encode()).expect("messages are short");
    blocks
}
