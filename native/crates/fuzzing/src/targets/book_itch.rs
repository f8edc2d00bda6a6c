//! ITCH books fed with messages of any bytes: equal to the slow books after each, whatever came.
//!
//! Two ways in: message blocks as they are on the wire, for damage; and small operations over few
//! references, prices and instruments that always become whole messages, for meetings.

use tickdeck_book::{Books, BooksConfig};
use tickdeck_wire::itch50::{
    AddOrderFields, AddOrderMpidFields, Mpid, OrderCancelFields, OrderDeleteFields,
    OrderExecutedFields, OrderExecutedWithPriceFields, OrderReplaceFields, Side, Stock,
};

use super::split_blocks;
use crate::slow::SlowBooks;

/// Books so small that every pool grows and the limit is met.
pub const SMALL: BooksConfig = BooksConfig {
    initial_orders: 1,
    max_orders: 24,
    levels_per_side: 1,
    ..BooksConfig::ITCH50
};

/// Bytes of an operation.
const OPERATION: usize = 6;

/// Message blocks.
pub(crate) fn run(bytes: &[u8]) {
    let (messages, _) = split_blocks(bytes);
    check(messages.into_iter().map(<[u8]>::to_vec));
}

/// Operations of six bytes.
pub(crate) fn run_operations(bytes: &[u8]) {
    let operations = bytes.chunks_exact(OPERATION);
    check(operations.map(|bytes| message(bytes.try_into().expect("a chunk of that size"))));
}

fn check(messages: impl Iterator<Item = Vec<u8>>) {
    let mut books = Books::new(SMALL);
    let mut slow = SlowBooks::new(SMALL.max_orders);
    for (sequence, message) in (1..).zip(messages) {
        let applied = books.apply(sequence, &message);
        slow.apply(&message);
        assert_eq!(books.check_invariants(), Ok(()));
        slow.compare(&books);
        if sequence % 16 == 0 {
            slow.compare_hashes(&books);
        }
        assert_eq!(books.counters().messages, sequence);
        if let Some(fault) = applied.fault {
            assert!(books.counters().fault(fault) > 0);
        }
    }
    slow.compare_hashes(&books);
}

/// Kind, two references, price, shares, and where it is.
fn message([kind, reference, other, price, shares, place]: [u8; OPERATION]) -> Vec<u8> {
    let (stock_locate, tracking_number, timestamp_ns) = (u16::from(place & 3), 0, 0);
    let side = if place & 4 == 0 {
        Side::Buy
    } else {
        Side::Sell
    };
    let stock = Stock(*b"FUZZ    ");
    let order_reference = spread(reference);
    let price = match price {
        0 => 0,
        255 => u32::MAX,
        near => 1_000_000 + u32::from(near % 32) * 100,
    };
    let shares = match shares {
        255 => u32::MAX,
        few => u32::from(few % 64),
    };
    let match_number = 1;
    match kind % 8 {
        0 | 1 => AddOrderFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
            side,
            shares,
            stock,
            price,
        }
        .encode()
        .to_vec(),
        2 => AddOrderMpidFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
            side,
            shares,
            stock,
            price,
            attribution: Mpid(*b"FUZZ"),
        }
        .encode()
        .to_vec(),
        3 => OrderExecutedFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
            executed_shares: shares,
            match_number,
        }
        .encode()
        .to_vec(),
        4 => OrderExecutedWithPriceFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
            executed_shares: shares,
            match_number,
            printable: b'N',
            execution_price: price,
        }
        .encode()
        .to_vec(),
        5 => OrderCancelFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
            cancelled_shares: shares,
        }
        .encode()
        .to_vec(),
        6 => OrderDeleteFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
        }
        .encode()
        .to_vec(),
        _ => OrderReplaceFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            original_order_reference: order_reference,
            new_order_reference: spread(other),
            shares,
            price,
        }
        .encode()
        .to_vec(),
    }
}

/// A reference from a byte: small ones, jumps beyond what a dense index holds, and the greatest.
fn spread(byte: u8) -> u64 {
    let low = u64::from(byte & 31);
    match byte >> 5 {
        0..=3 => low,
        4 => low << 16,
        5 => low << 33,
        6 => 5_000_000 + low,
        _ => u64::MAX - low,
    }
}
