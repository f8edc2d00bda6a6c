//! EOBI books against a slow and obvious model, over any messages of our own encoder, in both
//! releases. No capture of release 14.1 is public: its messages are our own.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_book::eobi::{EobiBooks, EobiConfig};
use tickdeck_book::{BooksConfig, Side};
use tickdeck_wire::eobi::{
    Content, Execution, ExecutionSummary, Header, InstrumentStateChange, Order, Packet,
    PacketBuilder, Release, Side as WireSide,
};

use crate::common::slow_eobi::SlowEobi;

pub(crate) const PRODUCT: i32 = 7;
const LOT: i64 = 10_000;

/// One message, and what the reader gives of it.
pub(crate) fn apply(books: &mut EobiBooks, release: Release, number: u32, content: &Content<'_>) {
    let mut builder = PacketBuilder::new(release);
    builder.begin(Header {
        sequence: 1,
        market_segment_id: PRODUCT,
        partition_id: 0,
        completes: true,
        resets: false,
        transact_time_ns: 0,
    });
    assert!(builder.push(content, Some(number)));
    let packet = Packet::parse(builder.finish(), release).expect("a packet");
    for message in packet.messages() {
        books.apply(PRODUCT, release, &message);
    }
}

proptest! {
    /// Proves, after every one of any messages, that each queue, the sums of each price, the market
    /// orders and the set of doubted books are those of the model, and that every invariant holds.
    /// Names are few, so that orders are missed, named twice and matched beyond their quantity.
    #[test]
    fn books_are_those_of_the_model(
        release in prop_oneof![Just(Release::V6_0), Just(Release::V14_1)],
        contents in vec(any_content(), 1..120),
    ) {
        let mut books = EobiBooks::new(EobiConfig::default(), BooksConfig {
            initial_orders: 4,
            ..BooksConfig::EOBI
        });
        let mut model = SlowEobi::default();
        for (number, content) in (1..).zip(&contents) {
            apply(&mut books, release, number, content);
            model.apply(content);
            same(&books, &model)?;
        }
    }
}

fn same(books: &EobiBooks, model: &SlowEobi) -> Result<(), TestCaseError> {
    prop_assert_eq!(books.check_invariants(), Ok(()));
    prop_assert_eq!(books.books().len(), model.known.len());
    for security in &model.known {
        let id = books.books().by_instrument(*security).expect("a book");
        let view = books.books().view(id);
        for (side, wire) in [(Side::Bid, WireSide::Buy), (Side::Ask, WireSide::Sell)] {
            let found: Vec<_> = view
                .queue(side)
                .map(|order| (order.price, order.reference, order.quantity))
                .collect();
            let expected: Vec<_> = model
                .queue(*security, wire)
                .iter()
                .map(|order| (order.price.unwrap(), order.priority, order.quantity as u64))
                .collect();
            prop_assert_eq!(&found, &expected);
            let top = view.top_n(side, usize::MAX);
            let sums: Vec<_> = top.map(|level| (level.price, level.quantity)).collect();
            let mut expected_sums: Vec<(i64, u64)> = Vec::new();
            for (price, _, quantity) in expected {
                match expected_sums.last_mut() {
                    Some(last) if last.0 == price => last.1 += quantity,
                    _ => expected_sums.push((price, quantity)),
                }
            }
            prop_assert_eq!(sums, expected_sums);
        }
        prop_assert_eq!(books.market_orders(id), model.market(*security));
        let is_doubted = books.books().doubt_of(id).is_some();
        prop_assert_eq!(is_doubted, model.contradicted.contains(security));
        let state = model.states.get(security).copied().unwrap_or(0);
        prop_assert_eq!(view.trading_state(), state);
    }
    Ok(())
}

fn any_content() -> impl Strategy<Value = Content<'static>> {
    // Trading that a crossed book would contradict is another test's.
    let state = prop_oneof![Just(200_u8), Just(204), Just(208), Just(215), Just(2)];
    let terms = (1..3_i64, any::<bool>(), 1..9_u64, 1..9_u64);
    let amounts = (prop::option::weighted(0.9, -2..3_i64), 0..6_i64);
    (0..40_u32, terms, amounts, state).prop_map(|(kind, terms, (price, lots), state)| {
        let (security_id, is_buy, priority, other) = terms;
        let order = Order {
            priority_ns: (priority < 8 || kind > 20).then_some(priority),
            quantity: lots * LOT,
            side: if is_buy {
                WireSide::Buy
            } else {
                WireSide::Sell
            },
            is_market: price.is_none(),
            price,
        };
        let execution = Execution {
            security_id,
            side: order.side,
            priority_ns: Some(priority),
            price,
            last_quantity: order.quantity,
            last_price: Some(5),
            match_id: Some(1),
        };
        match kind {
            0..14 => Content::OrderAdd { security_id, order },
            14..22 => Content::OrderModify {
                security_id,
                previous_priority_ns: Some(if lots == 3 { priority } else { other }),
                previous_price: price,
                previous_quantity: LOT,
                order,
            },
            22..27 => Content::OrderModifySamePriority {
                security_id,
                previous_quantity: LOT,
                order,
            },
            27..30 => Content::OrderDelete { security_id, order },
            30..33 => Content::FullOrderExecution(execution),
            33..37 => Content::PartialOrderExecution(execution),
            37 => Content::ExecutionSummary(ExecutionSummary {
                security_id,
                last_quantity: Some(order.quantity),
                ..ExecutionSummary::default()
            }),
            38 => Content::InstrumentStateChange(InstrumentStateChange {
                security_id,
                trading_status: Some(state),
                ..InstrumentStateChange::default()
            }),
            _ => Content::OrderMassDelete { security_id },
        }
    })
}
