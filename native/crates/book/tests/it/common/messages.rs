//! Events as ITCH bytes.

use std::ops::Range;

use proptest::prelude::*;
use tickdeck_book::Side;
use tickdeck_wire::itch50::{
    AddOrderFields, AddOrderMpidFields, Mpid, OrderCancelFields, OrderDeleteFields,
    OrderExecutedFields, OrderExecutedWithPriceFields, OrderReplaceFields, Side as WireSide, Stock,
    StockDirectoryFields, SystemEventFields, TradeFields,
};

/// Something that happens to the books, in the words of the specification.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A, or F when `named`.
    Add {
        locate: u16,
        reference: u64,
        side: Side,
        shares: u32,
        price: u32,
        named: bool,
    },
    /// E, or C when `priced`.
    Execute {
        reference: u64,
        shares: u32,
        priced: bool,
    },
    /// X.
    Cancel { reference: u64, shares: u32 },
    /// D.
    Delete { reference: u64 },
    /// U.
    Replace {
        original: u64,
        new: u64,
        shares: u32,
        price: u32,
    },
    /// P, which no book notices.
    Trade { shares: u32 },
}

impl Event {
    /// The event with other references.
    pub(crate) fn with_references(mut self, change: impl Fn(u64) -> u64) -> Self {
        match &mut self {
            Event::Add { reference, .. }
            | Event::Execute { reference, .. }
            | Event::Cancel { reference, .. }
            | Event::Delete { reference } => *reference = change(*reference),
            Event::Replace { original, new, .. } => {
                (*original, *new) = (change(*original), change(*new));
            }
            Event::Trade { .. } => {}
        }
        self
    }

    /// The message; those that name an order carry the locate code 1, which may not be the order's.
    pub(crate) fn encode(self) -> Vec<u8> {
        let (stock_locate, tracking_number, timestamp_ns) = (1, 0, 34_200_000_000_000);
        let match_number = 1;
        match self {
            Event::Add {
                locate,
                reference,
                side,
                shares,
                price,
                named,
            } => encode_add(locate, reference, side, shares, price, named),
            Event::Execute {
                reference: order_reference,
                shares,
                priced: false,
            } => OrderExecutedFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference,
                executed_shares: shares,
                match_number,
            }
            .encode()
            .to_vec(),
            Event::Execute {
                reference: order_reference,
                shares,
                priced: true,
            } => OrderExecutedWithPriceFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference,
                executed_shares: shares,
                match_number,
                printable: b'N',
                execution_price: 7,
            }
            .encode()
            .to_vec(),
            Event::Cancel {
                reference: order_reference,
                shares: cancelled_shares,
            } => OrderCancelFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference,
                cancelled_shares,
            }
            .encode()
            .to_vec(),
            Event::Delete {
                reference: order_reference,
            } => OrderDeleteFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference,
            }
            .encode()
            .to_vec(),
            Event::Replace {
                original,
                new,
                shares,
                price,
            } => OrderReplaceFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                original_order_reference: original,
                new_order_reference: new,
                shares,
                price,
            }
            .encode()
            .to_vec(),
            Event::Trade { shares } => TradeFields {
                stock_locate,
                tracking_number,
                timestamp_ns,
                order_reference: 0,
                side: WireSide::Buy,
                shares,
                stock: stock(1),
                price: 100,
                match_number,
            }
            .encode()
            .to_vec(),
        }
    }
}

fn encode_add(
    locate: u16,
    reference: u64,
    side: Side,
    shares: u32,
    price: u32,
    named: bool,
) -> Vec<u8> {
    let side = if side == Side::Bid {
        WireSide::Buy
    } else {
        WireSide::Sell
    };
    let (stock_locate, tracking_number, timestamp_ns) = (locate, 0, 34_200_000_000_000);
    let (order_reference, stock) = (reference, stock(locate));
    if named {
        let attribution = Mpid(*b"GSCO");
        AddOrderMpidFields {
            stock_locate,
            tracking_number,
            timestamp_ns,
            order_reference,
            side,
            shares,
            stock,
            price,
            attribution,
        }
        .encode()
        .to_vec()
    } else {
        AddOrderFields {
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
        .to_vec()
    }
}

/// An add of 10 shares at a bid price: what most short tests need.
pub(crate) fn add(reference: u64, price: u32) -> Vec<u8> {
    encode_add(1, reference, Side::Bid, 10, price, false)
}

/// The symbol of a locate code in these tests: `T1`, `T2` ...
pub(crate) fn stock(locate: u16) -> Stock {
    let mut bytes = [b' '; 8];
    let name = format!("T{locate}");
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Stock(bytes)
}

/// The directory message of a locate code.
pub(crate) fn directory(locate: u16) -> Vec<u8> {
    StockDirectoryFields {
        stock_locate: locate,
        tracking_number: 0,
        timestamp_ns: 0,
        stock: stock(locate),
        market_category: b'Q',
        financial_status: b'N',
        round_lot_size: 100,
        round_lots_only: b'N',
        issue_classification: b'C',
        issue_subtype: *b"Z ",
        authenticity: b'P',
        short_sale_threshold: b'N',
        ipo_flag: b'N',
        luld_tier: b'1',
        etp_flag: b'N',
        etp_leverage_factor: 0,
        inverse_indicator: b'N',
    }
    .encode()
    .to_vec()
}

/// A system event message.
pub(crate) fn system_event(event_code: u8) -> Vec<u8> {
    SystemEventFields {
        stock_locate: 0,
        tracking_number: 0,
        timestamp_ns: 0,
        event_code,
    }
    .encode()
    .to_vec()
}

/// Events over few references, prices and instruments, so that they meet: queues grow, references
/// are added twice, executions exceed what is left, unknown orders are named, an order is replaced
/// by one of its own reference.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    event_over(
        1..25,
        prop_oneof![95..105_u32, Just(0), Just(u32::MAX)],
        1..4,
    )
}

/// Events over these references, prices and instruments.
pub(crate) fn event_over(
    references: Range<u64>,
    prices: impl Strategy<Value = u32> + Clone,
    locates: Range<u16>,
) -> impl Strategy<Value = Event> {
    let reference = move || references.clone();
    let shares = || prop_oneof![9 => 1..20_u32, 1 => Just(0), 1 => Just(u32::MAX)];
    let side = prop_oneof![Just(Side::Bid), Just(Side::Ask)];
    let add = (
        locates,
        reference(),
        side,
        shares(),
        prices.clone(),
        any::<bool>(),
    )
        .prop_map(
            |(locate, reference, side, shares, price, named)| Event::Add {
                locate,
                reference,
                side,
                shares,
                price,
                named,
            },
        );
    let execute = (reference(), shares(), any::<bool>()).prop_map(|(reference, shares, priced)| {
        Event::Execute {
            reference,
            shares,
            priced,
        }
    });
    let cancel =
        (reference(), shares()).prop_map(|(reference, shares)| Event::Cancel { reference, shares });
    // Mostly another reference, often its own.
    let new = prop_oneof![3 => reference().prop_map(Some), 1 => Just(None)];
    let replace =
        (reference(), new, shares(), prices).prop_map(|(original, new, shares, price)| {
            Event::Replace {
                original,
                new: new.unwrap_or(original),
                shares,
                price,
            }
        });
    prop_oneof![
        8 => add,
        3 => execute,
        2 => cancel,
        2 => reference().prop_map(|reference| Event::Delete { reference }),
        2 => replace,
        1 => (1..9_u32).prop_map(|shares| Event::Trade { shares }),
    ]
}
