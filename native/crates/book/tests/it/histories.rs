//! Histories against the slow book: long ones, stopped ones, and different ones with one end.

use proptest::prelude::*;
use tickdeck_book::{Books, BooksConfig, Channel, Itch, Record, Side, snapshot};
use tickdeck_wire::binaryfile;
use tickdeck_wire::record::kind;

use crate::against_slow_book::{compare, compare_faults};
use crate::common::messages::{Event, event, event_over};
use crate::common::slow::SlowBooks;

/// Small reserves, so that every pool has to grow on the way.
const TINY: BooksConfig = BooksConfig {
    initial_orders: 1,
    max_orders: 1 << 20,
    levels_per_side: 1,
    ..BooksConfig::ITCH50
};

/// An order that rests at the end of a history.
#[derive(Clone, Copy, Debug)]
struct Resting {
    locate: u16,
    side: Side,
    price: u32,
    shares: u32,
    detour: u8,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Thousands of events over a dozen books, with hundreds of levels a side and references far
    /// apart: equal all along, nothing left over.
    #[test]
    fn agrees_at_mass_sizes(
        events in prop::collection::vec(
            event_over(1..2_000, prop_oneof![8 => 10_000..10_400_u32, 1 => 1..u32::MAX], 0..12),
            3_000..4_000,
        ),
        stride in prop::sample::select(vec![1_u64, 7, 1 << 20, 1 << 40]),
    ) {
        let mut books = Books::new(TINY);
        let mut slow = SlowBooks::default();
        for (sequence, event) in (1..).zip(events) {
            let event = event.with_references(|reference| reference * stride);
            books.apply(sequence, &event.encode());
            slow.apply(event);
            if sequence % 100 == 0 {
                prop_assert_eq!(books.check_invariants(), Ok(()));
                compare(&books, &slow)?;
            }
        }
        compare(&books, &slow)?;
        compare_faults(&books, &slow)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// A channel that is stopped and started from its snapshot, again and again, stays equal to
    /// the slow book and ends as one that never stopped, to the byte.
    #[test]
    fn a_restart_anywhere_changes_nothing(
        events in prop::collection::vec(event(), 1..150),
        restarts in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let restarts: Vec<usize> = restarts.iter().map(|at| at.index(events.len())).collect();
        let mut steady = Channel::new(TINY);
        let mut restarted = Channel::new(TINY);
        let mut slow = SlowBooks::default();
        for (at, event) in events.into_iter().enumerate() {
            if restarts.contains(&at) {
                let saved = saved(&restarted);
                let read = snapshot::decode(&saved, Itch::new(TINY)).expect("our own snapshot");
                restarted = read.channel;
            }
            for channel in [&mut steady, &mut restarted] {
                apply(channel, event);
                prop_assert_eq!(channel.books().check_invariants(), Ok(()));
            }
            slow.apply(event);
            compare(restarted.books(), &slow)?;
        }
        compare_faults(restarted.books(), &slow)?;
        prop_assert_eq!(saved(&steady), saved(&restarted));
    }

    /// The same orders, come to by another way in another order (entered larger and cancelled down,
    /// under another reference, with others in between), have the same hash of state, book by book
    /// and for the channel.
    #[test]
    fn a_state_hash_ignores_the_way(
        orders in prop::collection::vec(resting(), 1..40),
        swaps in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let numbered: Vec<(u64, Resting)> = (1..).zip(orders).collect();
        let mut shuffled = numbered.clone();
        for (at, swap) in swaps.iter().take(shuffled.len()).enumerate() {
            let other = swap.index(shuffled.len());
            shuffled.swap(at, other);
        }
        let straight = numbered.iter().flat_map(|(reference, order)| order.straight(*reference));
        let around = shuffled.iter().flat_map(|(reference, order)| order.around(*reference));
        let (straight, around) = (filled(straight), filled(around));
        prop_assert_eq!(straight.order_count(), numbered.len());
        prop_assert_eq!(straight.channel_hash(), around.channel_hash());
        for book in straight.iter() {
            let same = around.by_instrument(book.instrument()).expect("the same books");
            prop_assert_eq!(book.state_hash(), around.view(same).state_hash());
        }
        // One share less is another state.
        let mut less = numbered.clone();
        less[0].1.shares += 1;
        let less = filled(less.iter().flat_map(|(reference, order)| order.straight(*reference)));
        prop_assert_ne!(less.channel_hash(), straight.channel_hash());
    }
}

impl Resting {
    fn add(self, reference: u64, shares: u32) -> Event {
        let Self {
            locate,
            side,
            price,
            ..
        } = self;
        Event::Add {
            locate,
            reference,
            side,
            shares,
            price,
            named: false,
        }
    }

    fn straight(self, reference: u64) -> Vec<Event> {
        vec![self.add(reference, self.shares)]
    }

    /// A longer way to the same order.
    fn around(self, reference: u64) -> Vec<Event> {
        let (shares, price) = (self.shares, self.price);
        let other = reference + 1_000;
        match self.detour % 4 {
            0 => self.straight(reference),
            1 => {
                let larger = self.add(reference, shares + 5);
                vec![
                    larger,
                    Event::Cancel {
                        reference,
                        shares: 5,
                    },
                ]
            }
            2 => {
                let elsewhere = Self { price: 7, ..self };
                let replace = Event::Replace {
                    original: other,
                    new: reference,
                    shares,
                    price,
                };
                vec![elsewhere.add(other, 1), replace]
            }
            _ => {
                let passing = self.add(other, 3);
                let gone = Event::Execute {
                    reference: other,
                    shares: 3,
                    priced: false,
                };
                vec![passing, self.add(reference, shares), gone]
            }
        }
    }
}

fn resting() -> impl Strategy<Value = Resting> {
    let side = prop_oneof![Just(Side::Bid), Just(Side::Ask)];
    (1..5_u16, side, 95..105_u32, 1..50_u32, any::<u8>()).prop_map(
        |(locate, side, price, shares, detour)| Resting {
            locate,
            side,
            price,
            shares,
            detour,
        },
    )
}

fn filled(events: impl Iterator<Item = Event>) -> Books {
    let mut books = Books::new(TINY);
    for (sequence, event) in (1..).zip(events) {
        assert_eq!(books.apply(sequence, &event.encode()).fault, None);
    }
    books
}

/// Applies the event as the next record of the channel.
fn apply(channel: &mut Channel<Itch>, event: Event) {
    let mut payload = Vec::new();
    binaryfile::push(&mut payload, &event.encode()).expect("messages are short");
    channel.apply(Record {
        seq: channel.cursor(),
        kind: kind::DATA,
        venue_seq: channel.next_sequence().unwrap_or(1),
        rx_ns: 0,
        payload: &payload,
    });
}

fn saved(channel: &Channel<Itch>) -> Vec<u8> {
    let mut bytes = Vec::new();
    channel.encode_snapshot(b"0123456789abcdef", 0, &mut bytes);
    snapshot::seal(&mut bytes);
    bytes
}
