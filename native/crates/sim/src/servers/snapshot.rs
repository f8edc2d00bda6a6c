//! The ITCH state of a venue at a sequence number, as a GLIMPSE server sends it.

use std::collections::{BTreeMap, HashMap};

use tickdeck_wire::glimpse::SnapshotEnd;
use tickdeck_wire::itch50::{self, AddOrderFields, AddOrderMpidFields, Message, Mpid, Side, Stock};
use tickdeck_wire::moldudp64::Blocks;

use crate::{History, HistoryBuilder};

/// Messages taken from the history at a time.
const STRIDE: u16 = 4_096;

/// The snapshot before message `next_sequence`: the last system event, then for each stock its
/// directory, trading action, Reg SHO and operational halts, then one add per resting order, the
/// oldest first, and the end. Orders are A, or F with attribution, with what is left of them.
pub fn snapshot(history: &History, next_sequence: u64) -> History {
    let mut state = State::default();
    let end = next_sequence.clamp(1, history.next_sequence());
    let mut next = 1;
    while next < end {
        let count = u16::try_from(end - next).unwrap_or(STRIDE).min(STRIDE);
        let Some(blocks) = history.blocks(next, count) else {
            break;
        };
        // What is no ITCH has no state.
        for message in Blocks::new(blocks).flat_map(itch50::parse) {
            state.apply(message);
        }
        next += u64::from(count);
    }
    state.snapshot(end)
}

#[derive(Default)]
struct State {
    system_event: Vec<u8>,
    /// Last message by kind in the order of sending, stock locate and market.
    stocks: BTreeMap<(usize, u16, u8), Vec<u8>>,
    orders: HashMap<u64, Order>,
    arrivals: u64,
}

#[derive(Clone, Copy)]
struct Order {
    /// Place in time.
    arrival: u64,
    timestamp_ns: u64,
    tracking_number: u16,
    stock_locate: u16,
    side: Side,
    shares: u32,
    stock: Stock,
    price: u32,
    attribution: Option<Mpid>,
}

impl State {
    fn apply(&mut self, message: Message<'_>) {
        let locate = message.stock_locate();
        let mut keep = |kind, market| {
            let bytes = message.bytes().to_vec();
            self.stocks.insert((kind, locate, market), bytes);
        };
        match message {
            Message::SystemEvent(view) => self.system_event = view.bytes().to_vec(),
            Message::StockDirectory(_) => keep(0, 0),
            Message::TradingAction(_) => keep(1, 0),
            Message::RegSho(_) => keep(2, 0),
            Message::OperationalHalt(view) => keep(3, view.market_code()),
            Message::AddOrder(view) => self.add(
                view.order_reference(),
                Order {
                    arrival: 0,
                    timestamp_ns: view.timestamp_ns(),
                    tracking_number: view.tracking_number(),
                    stock_locate: locate,
                    side: view.side(),
                    shares: view.shares(),
                    stock: view.stock(),
                    price: view.price(),
                    attribution: None,
                },
            ),
            Message::AddOrderMpid(view) => self.add(
                view.order_reference(),
                Order {
                    arrival: 0,
                    timestamp_ns: view.timestamp_ns(),
                    tracking_number: view.tracking_number(),
                    stock_locate: locate,
                    side: view.side(),
                    shares: view.shares(),
                    stock: view.stock(),
                    price: view.price(),
                    attribution: Some(view.attribution()),
                },
            ),
            Message::OrderExecuted(view) => {
                self.reduce(view.order_reference(), view.executed_shares());
            }
            Message::OrderExecutedWithPrice(view) => {
                self.reduce(view.order_reference(), view.executed_shares());
            }
            Message::OrderCancel(view) => {
                self.reduce(view.order_reference(), view.cancelled_shares());
            }
            Message::OrderDelete(view) => {
                self.orders.remove(&view.order_reference());
            }
            Message::OrderReplace(view) => {
                if let Some(order) = self.orders.remove(&view.original_order_reference()) {
                    let new = Order {
                        timestamp_ns: view.timestamp_ns(),
                        tracking_number: view.tracking_number(),
                        shares: view.shares(),
                        price: view.price(),
                        ..order
                    };
                    self.add(view.new_order_reference(), new);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, reference: u64, order: Order) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.orders.insert(reference, Order { arrival, ..order });
    }

    fn reduce(&mut self, reference: u64, shares: u32) {
        if let Some(order) = self.orders.get_mut(&reference) {
            order.shares = order.shares.saturating_sub(shares);
            if order.shares == 0 {
                self.orders.remove(&reference);
            }
        }
    }

    fn snapshot(self, next_sequence: u64) -> History {
        let mut out = HistoryBuilder::with_capacity(40 * self.orders.len());
        let mut push = |message: &[u8]| {
            out.push(message)
                .expect("a message of a known type fits a block");
        };
        if !self.system_event.is_empty() {
            push(&self.system_event);
        }
        self.stocks.values().for_each(|message| push(message));
        let mut orders: Vec<(u64, Order)> = self.orders.into_iter().collect();
        orders.sort_unstable_by_key(|(_, order)| order.arrival);
        for (reference, order) in orders {
            match order.attribution {
                None => push(&order.add(reference).encode()),
                Some(attribution) => push(&order.add_mpid(reference, attribution).encode()),
            }
        }
        let end = SnapshotEnd {
            sequence: next_sequence,
        };
        push(&end.encode());
        out.finish()
    }
}

impl Order {
    fn add(&self, order_reference: u64) -> AddOrderFields {
        AddOrderFields {
            stock_locate: self.stock_locate,
            tracking_number: self.tracking_number,
            timestamp_ns: self.timestamp_ns,
            order_reference,
            side: self.side,
            shares: self.shares,
            stock: self.stock,
            price: self.price,
        }
    }

    fn add_mpid(&self, order_reference: u64, attribution: Mpid) -> AddOrderMpidFields {
        AddOrderMpidFields {
            stock_locate: self.stock_locate,
            tracking_number: self.tracking_number,
            timestamp_ns: self.timestamp_ns,
            order_reference,
            side: self.side,
            shares: self.shares,
            stock: self.stock,
            price: self.price,
            attribution,
        }
    }
}
