//! Any sequence of events leaves the same orders, queues and counts as the slow book.

use crate::common::messages::{Event, event};
use crate::common::slow::{self, SlowBooks};
use proptest::prelude::*;
use tickdeck_book::{Books, BooksConfig, Fault, LevelView, OrderView, Side};

/// Small reserves, so that every pool has to grow on the way.
const TINY: BooksConfig = BooksConfig {
    initial_orders: 1,
    max_orders: 1 << 20,
    levels_per_side: 1,
    ..BooksConfig::ITCH50
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// After every event: queues, depth, touch, counts and hashes equal, and all invariants hold.
    #[test]
    fn agrees_after_every_event(events in prop::collection::vec(event(), 1..250)) {
        let mut books = Books::new(TINY);
        let mut slow = SlowBooks::default();
        for (sequence, event) in (1..).zip(events) {
            books.apply(sequence, &event.encode());
            slow.apply(event);
            prop_assert_eq!(books.check_invariants(), Ok(()));
            compare(&books, &slow)?;
        }
        compare_faults(&books, &slow)?;
    }

    /// Orders that were added in another order, some taken out again, give the same state hash; the
    /// queue hash tells the difference as soon as two of them share a level.
    #[test]
    fn state_hash_ignores_the_way(
        prices in prop::collection::vec(90..110_u32, 2..40),
        swaps in prop::collection::vec(any::<prop::sample::Index>(), 40)
    ) {
        let orders: Vec<(u64, u32)> = (1..).zip(prices).collect();
        let mut shuffled = orders.clone();
        for (at, swap) in swaps.iter().take(shuffled.len()).enumerate() {
            let other = swap.index(shuffled.len());
            shuffled.swap(at, other);
        }
        let (one, other) = (filled(&orders, None), filled(&shuffled, Some(777)));
        let (one, other) = (view(&one), view(&other));
        prop_assert_eq!(one.state_hash(), other.state_hash());
        let same_queues = one.queue(Side::Bid).eq(other.queue(Side::Bid));
        prop_assert_eq!(one.queue_sha256() == other.queue_sha256(), same_queues);
    }

    /// The channel's hash ignores the way to the orders, notices an order that moved to another
    /// book, and is that of the orders however the pool has them.
    #[test]
    fn channel_hash_ignores_the_way(
        places in prop::collection::vec((1..4_u16, 90..110_u32), 1..40),
        moved in any::<prop::sample::Index>(),
    ) {
        let orders: Vec<(u64, (u16, u32))> = (1..).zip(places).collect();
        let books = spread(orders.iter().copied());
        let backwards = spread([(777, (1, 95))].into_iter().chain(orders.iter().rev().copied()));
        prop_assert_ne!(books.channel_hash(), backwards.channel_hash());
        let mut backwards = backwards;
        backwards.apply(99, &Event::Delete { reference: 777 }.encode());
        prop_assert_eq!(books.channel_hash(), backwards.channel_hash());
        let mut elsewhere = orders.clone();
        let place = &mut elsewhere[moved.index(orders.len())].1.0;
        *place = *place % 3 + 1;
        prop_assert_ne!(books.channel_hash(), spread(elsewhere.into_iter()).channel_hash());
    }

    /// No bytes make the books panic or break an invariant, whatever message they claim to be.
    #[test]
    fn any_bytes_are_survived(
        messages in prop::collection::vec(hostile_message(), 1..120)
    ) {
        let mut books = Books::new(TINY);
        for (sequence, message) in (1..).zip(&messages) {
            books.apply(sequence, message);
            prop_assert_eq!(books.check_invariants(), Ok(()));
        }
        prop_assert_eq!(books.counters().messages, messages.len() as u64);
    }
}

/// Every queue, level, count, sum and hash of the books is what the slow orders give.
pub(crate) fn compare(books: &Books, slow: &SlowBooks) -> Result<(), TestCaseError> {
    for locate in slow.locates() {
        prop_assert!(books.by_instrument(i64::from(locate)).is_some());
    }
    for view in books.iter() {
        let locate = u16::try_from(view.instrument()).expect("a locate code");
        prop_assert_eq!(books.by_instrument(view.instrument()), Some(view.id()));
        let sides = Side::BOTH.map(|side| slow.queue(locate, side));
        let all = sides.concat();
        prop_assert_eq!(view.orders() as usize, all.len());
        for (side, orders) in Side::BOTH.into_iter().zip(&sides) {
            let levels = levels_of(orders);
            prop_assert_eq!(&view.queue(side).collect::<Vec<_>>(), orders);
            prop_assert_eq!(&view.top_n(side, usize::MAX).collect::<Vec<_>>(), &levels);
            let three: Vec<_> = levels.iter().copied().take(3).collect();
            prop_assert_eq!(view.top_n(side, 3).collect::<Vec<_>>(), three);
            prop_assert_eq!(view.best(side), levels.first().copied());
            prop_assert_eq!(view.levels(side), levels.len());
        }
        prop_assert_eq!(view.queue_sha256(), slow::queue_sha256(&all));
        prop_assert_eq!(view.state_hash(), slow::state_hash(&all));
    }
    prop_assert_eq!(books.order_count(), slow.len());
    prop_assert_eq!(books.channel_hash(), slow.channel_hash());
    Ok(())
}

pub(crate) fn compare_faults(books: &Books, slow: &SlowBooks) -> Result<(), TestCaseError> {
    for fault in Fault::ALL {
        let mut counted = books.counters().fault(fault);
        if fault == Fault::UnknownReference {
            counted += books.counters().excused_references;
        }
        let expected = slow.faults.iter().filter(|found| **found == fault).count() as u64;
        prop_assert_eq!(counted, expected, "{:?}", fault);
    }
    Ok(())
}

/// Sums of adjacent orders with the same price.
fn levels_of(orders: &[OrderView]) -> Vec<LevelView> {
    orders
        .chunk_by(|one, next| one.price == next.price)
        .map(|level| LevelView {
            price: level[0].price,
            quantity: level.iter().map(|order| order.quantity).sum(),
            orders: level.len() as u32,
        })
        .collect()
}

/// Bids of one book, with a passing order in front if wanted.
fn filled(orders: &[(u64, u32)], passing: Option<u64>) -> Books {
    let mut books = Books::new(TINY);
    let adds = orders
        .iter()
        .map(|(reference, price)| crate::common::messages::add(*reference, *price));
    let first = passing.map(|reference| crate::common::messages::add(reference, 100));
    let last = passing.map(|reference| Event::Delete { reference }.encode());
    for (sequence, message) in (1..).zip(first.into_iter().chain(adds).chain(last)) {
        assert_eq!(books.apply(sequence, &message).fault, None);
    }
    books
}

/// Bids of ten shares by reference, book and price.
fn spread(orders: impl Iterator<Item = (u64, (u16, u32))>) -> Books {
    let mut books = Books::new(TINY);
    for (sequence, (reference, (locate, price))) in (1..).zip(orders) {
        let add = Event::Add {
            locate,
            reference,
            side: Side::Bid,
            shares: 10,
            price,
            named: false,
        };
        assert_eq!(books.apply(sequence, &add.encode()).fault, None);
    }
    books
}

fn view(books: &Books) -> tickdeck_book::BookView<'_> {
    books.iter().next().expect("one book was filled")
}

/// Random bytes, or a valid message cut, lengthened or with one byte changed.
fn hostile_message() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (event(), any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(
        |(event, at, byte, damage)| {
            let mut message = event.encode();
            let at = at.index(message.len());
            match damage {
                0 => message[at] = byte,
                1 => message.truncate(at),
                2 => message.push(byte),
                _ => {}
            }
            message
        },
    );
    let typed = (
        prop::sample::select(b"SRHAFECXDUPQB".to_vec()),
        0..60_usize,
        any::<u8>(),
    )
        .prop_map(|(kind, len, fill)| [&[kind][..], &vec![fill; len][..]].concat());
    prop_oneof![4 => damaged, 1 => typed, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}
