//! The operations that only some venues use: priorities, other quantities, clearing one book.

use proptest::prelude::*;

use super::*;

const CONFIG: BooksConfig = BooksConfig {
    initial_orders: 1,
    levels_per_side: 1,
    scope: KeyScope::Book,
    has_priorities: true,
    ..BooksConfig::ITCH50
};

proptest! {
    /// Orders of a level stand by priority, equal ones by arrival, whatever enters, leaves or
    /// changes; clearing one book leaves the other as it was.
    #[test]
    fn queues_stand_by_priority(
        steps in prop::collection::vec((0..2u32, 0..3i64, 0..6u64, 0..12u64, 1..9u64), 1..120)
    ) {
        let mut store = Store::new(CONFIG);
        let books = [store.add_book(), store.add_book()];
        let mut slow: Vec<(BookId, i64, u64, u64, u64)> = Vec::new();
        for (book, price, priority, reference, quantity) in steps {
            let book = books[book as usize];
            let at = slow.iter().position(|order| (order.0, order.3) == (book, reference));
            match (at, store.find_in(book, Side::Ask, reference)) {
                (None, None) => {
                    let new = NewOrder { book, side: Side::Ask, price, quantity, reference };
                    prop_assert!(store.add_by_priority(new, priority).is_ok());
                    slow.push((book, price, priority, reference, quantity));
                }
                (Some(at), Some(address)) if quantity % 2 == 0 => {
                    prop_assert_eq!(store.priority(address), slow[at].2);
                    store.remove(address);
                    slow.remove(at);
                }
                (Some(at), Some(address)) => {
                    store.set_quantity(address, quantity);
                    slow[at].4 = quantity;
                }
                (slow, fast) => prop_assert!(false, "{slow:?} {fast:?}"),
            }
            for book in books {
                let orders = expected(&slow, book);
                prop_assert_eq!(queue(&store, book), orders.clone());
                for rung in store.books[book.0 as usize].side(Side::Ask).best_first() {
                    let level = store.level_view(rung.level);
                    let at_price = orders.iter().filter(|order| order.0 == level.price);
                    let sum = at_price.map(|order| order.2).sum::<u64>();
                    prop_assert_eq!(level.quantity, sum);
                }
            }
        }
        let of_first = slow.iter().filter(|order| order.0 == books[0]).count() as u32;
        prop_assert_eq!(store.clear_book(books[0]), of_first);
        prop_assert_eq!(queue(&store, books[0]), []);
        prop_assert_eq!(queue(&store, books[1]), expected(&slow, books[1]));
        prop_assert_eq!(store.orders.len(), slow.len() - of_first as usize);
        prop_assert_eq!(store.index.len(), store.orders.len());
    }
}

fn queue(store: &Store, book: BookId) -> Vec<(i64, u64, u64)> {
    let orders = store.queue(book, Side::Ask);
    orders
        .map(|(_, order)| (order.price, order.reference, order.quantity))
        .collect()
}

/// A stable sort by price and priority.
fn expected(slow: &[(BookId, i64, u64, u64, u64)], book: BookId) -> Vec<(i64, u64, u64)> {
    let mut orders: Vec<_> = slow.iter().filter(|order| order.0 == book).collect();
    orders.sort_by_key(|order| (order.1, order.2));
    orders
        .iter()
        .map(|order| (order.1, order.3, order.4))
        .collect()
}
