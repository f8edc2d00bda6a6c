//! Books by order of CME against one that is slow and obviously right: a list, sorted when it is
//! looked at.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_book::{
    Books, BooksConfig, Cause, CmeOrderChange, Doubt, Fault, OrderView, Side, Trust,
};
use tickdeck_wire::cme::{OrderChange, Packet, PacketBuilder, PriceChange, View, template};

/// Two instruments that have the same order ids.
const IDS: [i32; 2] = [70_000, -3];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Order {
    instrument: usize,
    id: u64,
    kind: u8,
    price: i64,
    quantity: i32,
    priority: u64,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    order: Order,
    /// 0: as it comes. Else what rests is changed in quantity (1), moved (2) or deleted (3).
    what: u8,
    /// Behind a price entry of the same message, not on its own.
    is_linked: bool,
}

/// What rests, in no order.
#[derive(Default)]
struct Slow(Vec<Order>);

impl Slow {
    fn queue(&self, instrument: usize, kind: u8) -> Vec<OrderView> {
        let is_of = |order: &&Order| (order.instrument, order.kind) == (instrument, kind);
        let mut orders: Vec<_> = self.0.iter().filter(is_of).collect();
        orders.sort_by_key(|order| {
            let price = if kind == b'0' {
                -order.price
            } else {
                order.price
            };
            (price, order.priority)
        });
        let side = if kind == b'0' { Side::Bid } else { Side::Ask };
        let view = |order: &&Order| OrderView {
            side,
            price: order.price,
            reference: order.id,
            quantity: order.quantity as u64,
        };
        orders.iter().map(view).collect()
    }

    /// The message of an operation, and the fault that it is; the list changes.
    fn apply(&mut self, operation: Operation) -> (Order, u8, Option<Fault>) {
        let new = operation.order;
        let same = |order: &Order| (order.instrument, order.id) == (new.instrument, new.id);
        let at = self.0.iter().position(same);
        match (operation.what, at) {
            (0, Some(at)) => {
                self.0[at] = new;
                (new, 0, Some(Fault::DuplicateReference))
            }
            (0, None) => {
                self.0.push(new);
                (new, 0, None)
            }
            (1, Some(at)) => {
                self.0[at].quantity = new.quantity;
                (self.0[at], 1, None)
            }
            (2, Some(at)) => {
                self.0[at] = new;
                (new, 1, None)
            }
            (3, Some(at)) => (self.0.remove(at), 2, None),
            (3, None) => (new, 2, Some(Fault::UnknownReference)),
            // A change says everything of the order.
            (_, None) => {
                self.0.push(new);
                (new, 1, Some(Fault::UnknownReference))
            }
            _ => unreachable!("four operations"),
        }
    }
}

/// Gives a change to the books through a message.
fn give(books: &mut Books, order: Order, action: u8, is_linked: bool) -> Option<Fault> {
    let security_id = IDS[order.instrument];
    let change = OrderChange {
        order_id: order.id,
        priority: order.priority,
        price: order.price,
        quantity: order.quantity,
        security_id,
        action,
        kind: order.kind,
    };
    let level = PriceChange {
        price: order.price,
        size: 1,
        security_id,
        rpt_seq: 1,
        orders: 1,
        level: 1,
        action: 0,
        kind: order.kind,
    };
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 1);
    // The entry is the second, so that a reference that is off by one is noticed.
    let other = PriceChange {
        security_id: 1,
        ..level
    };
    let written = match is_linked {
        true => builder.book(template::BOOK_9, 1, &[other, level], &[(1, change)]),
        false => builder.order_book(1, &[change]),
    };
    assert!(written);
    let packet = Packet::parse(builder.finish()).unwrap();
    let message = packet.messages().next().unwrap();
    let change = match message.view().unwrap() {
        View::Book { prices, orders, .. } => {
            let order = orders.get(0).unwrap();
            let price = prices.get(usize::from(order.reference().unwrap()) - 1);
            CmeOrderChange::linked(order, price.unwrap())
        }
        View::OrderBook { orders, .. } => CmeOrderChange::of(orders.get(0).unwrap()),
        other => panic!("{other:?}"),
    };
    books.cme_order(9, change).fault
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let order = (
        0..2usize,
        1..25u64,
        prop::bool::ANY,
        -4..5i64,
        1..90i32,
        0..1_000u64,
    );
    let one = (
        order,
        prop_oneof![3 => Just(0), 2 => Just(1), 2 => Just(2), 2 => Just(3)],
    );
    vec((one, any::<bool>()), 1..150).prop_map(|all| {
        let operation = |(at, ((order, what), is_linked))| {
            let (instrument, id, is_bid, price, quantity, priority): (_, _, bool, _, _, u64) =
                order;
            let order = Order {
                instrument,
                id,
                kind: if is_bid { b'0' } else { b'1' },
                price,
                quantity,
                // No two are alike.
                priority: priority * 1_000 + at,
            };
            Operation {
                order,
                what,
                is_linked,
            }
        };
        (0..).zip(all).map(operation).collect()
    })
}

proptest! {
    /// Proves that after every change each queue is the list sorted by price and MDOrderPriority,
    /// that ids of two instruments do not meet, that each contradiction is the right fault and
    /// makes its book suspect, and that every invariant holds.
    #[test]
    fn queues_are_those_of_the_slow_book(operations in operations()) {
        let mut books = Books::new(BooksConfig::CME_MDP3);
        let mut slow = Slow::default();
        for operation in operations {
            let (order, action, fault) = slow.apply(operation);
            let id = IDS[order.instrument];
            books.cme_trust_orders(id, None);
            let found = give(&mut books, order, action, operation.is_linked);
            prop_assert_eq!(found, fault, "{:?}", operation);
            let book = books.by_instrument(i64::from(id)).expect("it was named");
            prop_assert_eq!(books.doubt_of(book).is_some(), fault.is_some());
            prop_assert_eq!(books.check_invariants(), Ok(()));
            for (instrument, id) in IDS.iter().enumerate() {
                let Some(book) = books.by_instrument(i64::from(*id)) else { continue };
                for (kind, side) in [(b'0', Side::Bid), (b'1', Side::Ask)] {
                    let queue: Vec<_> = books.view(book).queue(side).collect();
                    prop_assert_eq!(queue, slow.queue(instrument, kind));
                }
            }
        }
    }
}

const ORDER: Order = Order {
    instrument: 0,
    id: 5,
    kind: b'0',
    price: 100,
    quantity: 7,
    priority: 10,
};

/// Proves that a suspect book takes changes of unknown orders and twins as they come, and counts
/// them apart from faults.
#[test]
fn a_suspect_book_excuses_what_it_does_not_know() {
    let mut books = Books::new(BooksConfig::CME_MDP3);
    let doubt = Doubt {
        since: 3,
        cause: Cause::MessagesLost,
    };
    books.cme_trust_orders(IDS[0], Some(doubt));
    assert_eq!(give(&mut books, ORDER, 1, false), None);
    assert_eq!(give(&mut books, Order { id: 6, ..ORDER }, 2, false), None);
    assert_eq!(give(&mut books, ORDER, 0, false), None);
    let book = books.view(books.by_instrument(i64::from(IDS[0])).unwrap());
    assert_eq!((book.orders(), book.trust()), (1, Trust::Suspect(doubt)));
    assert_eq!(books.counters().excused_references, 3);
    assert_eq!(books.counters().faults_total(), 0);
}

/// Proves that a change in place keeps the queue, that a new priority moves within the level, and
/// that quantities that are none take the order out.
#[test]
fn priority_decides_the_place() {
    let mut books = Books::new(BooksConfig::CME_MDP3);
    books.cme_trust_orders(IDS[0], None);
    let second = Order {
        id: 6,
        priority: 20,
        ..ORDER
    };
    let queue = |books: &Books| {
        let book = books.by_instrument(i64::from(IDS[0])).unwrap();
        let orders = books.view(book).queue(Side::Bid);
        orders
            .map(|order| (order.reference, order.quantity))
            .collect::<Vec<_>>()
    };
    assert_eq!(give(&mut books, second, 0, false), None);
    assert_eq!(give(&mut books, ORDER, 0, true), None);
    assert_eq!(
        queue(&books),
        [(5, 7), (6, 7)],
        "the lower priority is first"
    );
    assert_eq!(
        give(
            &mut books,
            Order {
                quantity: 3,
                ..ORDER
            },
            1,
            false
        ),
        None
    );
    assert_eq!(queue(&books), [(5, 3), (6, 7)]);
    assert_eq!(
        give(
            &mut books,
            Order {
                priority: 30,
                ..ORDER
            },
            1,
            true
        ),
        None
    );
    assert_eq!(queue(&books), [(6, 7), (5, 7)]);
    let none = Order {
        quantity: 0,
        ..second
    };
    assert_eq!(give(&mut books, none, 1, false), Some(Fault::ZeroShares));
    assert_eq!(queue(&books), [(5, 7)]);
    let odd = give(
        &mut books,
        Order {
            kind: b'E',
            ..ORDER
        },
        0,
        false,
    );
    assert_eq!(odd, Some(Fault::BadSide), "implied orders are no orders");
    assert_eq!(
        give(&mut books, ORDER, 9, false),
        Some(Fault::UnsupportedAction)
    );
    assert_eq!(
        give(
            &mut books,
            Order {
                kind: b'J',
                ..ORDER
            },
            0,
            false
        ),
        None
    );
    assert_eq!(queue(&books), []);
    assert_eq!(books.check_invariants(), Ok(()));
}
