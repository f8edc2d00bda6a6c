//! In steady state no message makes the books allocate.

use tickdeck_book::{Books, BooksConfig, NoPrefetch};
use tickdeck_wire::binaryfile;
use tickdeck_wire::itch50::{
    AddOrderFields, OrderCancelFields, OrderDeleteFields, OrderExecutedFields, OrderReplaceFields,
    Side, Stock,
};

/// Rounds of messages: in each, orders on both sides of four books at a few prices are added,
/// reduced, replaced and deleted, most of them in the round, some never.
fn rounds(first_reference: u64, count: u64, stride: u64) -> Vec<u8> {
    let mut blocks = Vec::new();
    let mut push = |message: &[u8]| binaryfile::push(&mut blocks, message).unwrap();
    for round in 0..count {
        let reference = |n: u64| (first_reference + (round * 8 + n)).wrapping_mul(stride);
        let stock_locate = 1 + (round % 4) as u16;
        let (tracking_number, timestamp_ns) = (0, round);
        for n in 0..6 {
            let add = AddOrderFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference: reference(n),
                side: if n % 2 == 0 { Side::Buy } else { Side::Sell },
                shares: 100,
                stock: Stock(*b"TEST    "),
                price: 10_000 + (round % 16) as u32 * 100,
            };
            push(&add.encode());
        }
        push(
            &OrderCancelFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference: reference(0),
                cancelled_shares: 30,
            }
            .encode(),
        );
        push(
            &OrderExecutedFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference: reference(1),
                executed_shares: 100,
                match_number: round,
            }
            .encode(),
        );
        push(
            &OrderReplaceFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                original_order_reference: reference(2),
                new_order_reference: reference(6),
                shares: 50,
                price: 9_000,
            }
            .encode(),
        );
        for n in [0, 3, 4, 6] {
            push(
                &OrderDeleteFields {
                    stock_locate,
                    tracking_number,
                    timestamp_ns,
                    order_reference: reference(n),
                }
                .encode(),
            );
        }
    }
    blocks
}

fn allocations_of(stride: u64) -> u64 {
    let mut books = Books::new(BooksConfig::default());
    // The books themselves are made by the first messages that name them.
    books.apply_blocks(1, &rounds(1, 100, stride), &NoPrefetch);
    // 24,000 orders stay: below the reserve of 65,536. 192,000 references: many pages of the index.
    let day = rounds(1_000, 24_000, stride);
    let counted = allocation_counter::measure(|| {
        books.apply_blocks(1_301, &day, &NoPrefetch);
    });
    assert_eq!(books.counters().faults_total(), 0);
    assert_eq!(books.order_count(), 24_100);
    assert_eq!(books.slab_grows(), 0);
    counted.count_total
}

/// Rising references, which the index keeps in pages, cost no allocation.
#[test]
fn rising_references_do_not_allocate() {
    assert_eq!(allocations_of(1), 0);
}

/// Neither do references that lie anywhere and are hashed.
#[test]
fn scattered_references_do_not_allocate() {
    assert_eq!(allocations_of(0x9E37_79B9_7F4A_7C15), 0);
}
