//! Runs of message blocks leave what their messages leave one by one, looked ahead or not.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tickdeck_book::{Books, BooksConfig, NoPrefetch, Prefetch, TakenBlocks};
use tickdeck_wire::binaryfile;

use crate::common::messages::event;

/// Counts what it is asked for.
#[derive(Default)]
struct Counting(Cell<u64>);

impl Prefetch for Counting {
    const IS_ACTIVE: bool = true;

    fn read<T>(&self, _target: &T) {
        self.0.set(self.0.get() + 1);
    }
}

/// What of the books must not depend on the way they were applied.
fn state(books: &Books) -> impl PartialEq + std::fmt::Debug + use<> {
    let counters = books.counters();
    let (messages, faults) = (counters.messages, counters.faults_total());
    let each = books.iter().map(|book| (book.queue_sha256(), book.trust()));
    let each = each.collect::<Vec<_>>();
    let channel = (books.channel_hash(), books.channel_trust());
    (channel, books.order_count(), messages, faults, each)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Events of all kinds and bytes that are none, whole or cut at any place: looking ahead
    /// changes nothing, the same bytes are taken, and every message is told once.
    #[test]
    fn looking_ahead_changes_nothing(
        messages in prop::collection::vec(
            prop_oneof![
                9 => event().prop_map(|event| event.encode()),
                1 => prop::collection::vec(any::<u8>(), 0..60),
            ],
            1..300,
        ),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut blocks = Vec::new();
        for message in &messages {
            binaryfile::push(&mut blocks, message).unwrap();
        }
        if is_cut {
            blocks.truncate(cut.index(blocks.len()));
        }
        let mut plain = Books::new(BooksConfig::ITCH50);
        let mut one_by_one = 0;
        let taken = plain.apply_blocks_with(1, 0, &blocks, &NoPrefetch, |_, sequence, message| {
            one_by_one += 1;
            assert_eq!((sequence, message), (one_by_one, &messages[one_by_one as usize - 1][..]));
        });
        let mut ahead = Books::new(BooksConfig::ITCH50);
        let mut told = 0;
        let prefetch = Counting::default();
        let also = ahead.apply_blocks_with(1, 0, &blocks, &prefetch, |_, sequence, message| {
            told += 1;
            assert_eq!((sequence, message), (told, &messages[told as usize - 1][..]));
        });
        prop_assert_eq!(taken, also);
        prop_assert_eq!(told, one_by_one);
        prop_assert_eq!(state(&plain), state(&ahead));
        prop_assert_eq!(ahead.check_invariants(), Ok(()));
    }
}

/// A long run is looked at ahead, and messages that were applied before are passed over.
#[test]
fn long_runs_are_looked_at_and_old_messages_passed_over() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let events = prop::collection::vec(event(), 200)
        .new_tree(&mut runner)
        .unwrap();
    let mut blocks = Vec::new();
    for event in events.current() {
        binaryfile::push(&mut blocks, &event.encode()).unwrap();
    }
    let mut books = Books::new(BooksConfig::ITCH50);
    let prefetch = Counting::default();
    let mut first = None;
    let taken = books.apply_blocks_with(1_001, 1_051, &blocks, &prefetch, |_, sequence, _| {
        first.get_or_insert(sequence);
    });
    let expected = TakenBlocks {
        next_sequence: 1_201,
        taken_bytes: blocks.len(),
    };
    assert_eq!(taken, expected);
    assert_eq!(first, Some(1_051));
    assert_eq!(books.counters().messages, 150);
    assert!(
        prefetch.0.get() > 200,
        "{} lines asked for",
        prefetch.0.get()
    );
}
