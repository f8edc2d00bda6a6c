//! A product: its instruments' orders and what happens to them.

use std::collections::BTreeMap;

use tickdeck_wire::eobi::layout::{PRICE_SCALE, QUANTITY_SCALE};
use tickdeck_wire::eobi::{
    AuctionBbo, Content, Execution, InstrumentSummary, Order, ProductSummary, Side,
};

use crate::Random;

/// Orders of an instrument above which more go than come.
const MANY_ORDERS: usize = 30;

/// SecurityStatus of an active instrument.
const ACTIVE: u8 = 1;

/// What names an order: instrument, side, priority.
pub type Key = (i64, Side, u64);

/// A product of the channel.
#[derive(Clone, Debug)]
pub struct Product {
    market_segment_id: i32,
    last_number: u32,
    is_in_auction: bool,
    securities: Vec<i64>,
    orders: BTreeMap<Key, Order>,
    last_priority_ns: u64,
    /// Time of its last packet, ns since the session's start.
    pub(super) sent_ns: u64,
}

impl Product {
    pub(super) fn new(index: usize, instruments: usize) -> Self {
        let market_segment_id = 600 + index as i32;
        let first = i64::from(market_segment_id) * 1_000;
        Self {
            market_segment_id,
            last_number: 0,
            is_in_auction: false,
            securities: (first..).take(instruments).collect(),
            orders: BTreeMap::new(),
            last_priority_ns: 0,
            sent_ns: 0,
        }
    }

    /// MarketSegmentID.
    pub fn market_segment_id(&self) -> i32 {
        self.market_segment_id
    }

    /// Its visible orders.
    pub fn orders(&self) -> &BTreeMap<Key, Order> {
        &self.orders
    }

    /// MsgSeqNum of its last message; 0 before the first.
    pub fn last_number(&self) -> u32 {
        self.last_number
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// Orders are no longer shown.
    pub(super) fn begin_auction(&mut self) {
        self.is_in_auction = true;
        self.orders.clear();
    }

    pub(super) fn end_auction(&mut self) {
        self.is_in_auction = false;
    }

    /// Begins its numbers again: what is sent of its orders then.
    pub(super) fn send_again(&mut self) -> Vec<Content<'static>> {
        self.last_number = 0;
        let add = |(key, order): (&Key, &Order)| Content::OrderAdd {
            security_id: key.0,
            order: *order,
        };
        self.orders.iter().map(add).collect()
    }

    /// A unit of work: one to five messages.
    pub(super) fn work(&mut self, time_ns: u64, random: &mut Random) -> Vec<Content<'static>> {
        let count = 1 + random.below(5);
        (0..count).map(|_| self.change(time_ns, random)).collect()
    }

    /// The snapshot of the product, as of its last message.
    pub(super) fn snapshot(&self) -> Vec<Content<'static>> {
        let mut contents = vec![Content::ProductSummary(ProductSummary {
            last_processed: self.last_number,
            ..ProductSummary::default()
        })];
        for security_id in &self.securities {
            let orders = self.in_snapshot_order(*security_id);
            contents.push(Content::InstrumentSummary(InstrumentSummary {
                security_id: *security_id,
                orders: u16::try_from(orders.len()).expect("few orders"),
                security_status: Some(ACTIVE),
                ..InstrumentSummary::default()
            }));
            contents.extend(orders.into_iter().map(Content::SnapshotOrder));
            if self.is_in_auction {
                contents.push(touch(*security_id, None));
            }
        }
        contents
    }

    fn change(&mut self, time_ns: u64, random: &mut Random) -> Content<'static> {
        let security_id = self.securities[random.below(self.securities.len() as u64) as usize];
        if self.is_in_auction {
            return touch(security_id, Some(random));
        }
        let resting = self.orders.range(of(security_id));
        let keys: Vec<Key> = resting.map(|(key, _)| *key).collect();
        let most_added = if keys.len() > MANY_ORDERS { 20 } else { 50 };
        let what = random.below(100);
        if keys.is_empty() || what < most_added {
            let order = self.new_order(time_ns, random);
            self.put(security_id, order);
            return Content::OrderAdd { security_id, order };
        }
        if what >= 98 && keys.len() > MANY_ORDERS / 2 {
            self.orders.retain(|key, _| key.0 != security_id);
            return Content::OrderMassDelete { security_id };
        }
        let key = keys[random.below(keys.len() as u64) as usize];
        let order = self.orders[&key];
        match what % 5 {
            0 => self.modify(key, order, time_ns, random),
            1 => {
                let now = Order {
                    quantity: order.quantity + QUANTITY_SCALE,
                    ..order
                };
                self.orders.insert(key, now);
                Content::OrderModifySamePriority {
                    security_id,
                    previous_quantity: order.quantity,
                    order: now,
                }
            }
            2 => {
                self.orders.remove(&key);
                Content::OrderDelete { security_id, order }
            }
            _ => self.execute(key, order, random),
        }
    }

    /// The order leaves its place for the tail of another price, or of its own.
    fn modify(
        &mut self,
        key: Key,
        order: Order,
        time_ns: u64,
        random: &mut Random,
    ) -> Content<'static> {
        self.orders.remove(&key);
        let now = Order {
            side: order.side,
            ..self.new_order(time_ns, random)
        };
        self.put(key.0, now);
        Content::OrderModify {
            security_id: key.0,
            previous_priority_ns: order.priority_ns,
            previous_price: order.price,
            previous_quantity: order.quantity,
            order: now,
        }
    }

    fn execute(&mut self, key: Key, order: Order, random: &mut Random) -> Content<'static> {
        let lots = (order.quantity / QUANTITY_SCALE) as u64;
        let matched = (1 + random.below(lots)) as i64 * QUANTITY_SCALE;
        let execution = Execution {
            security_id: key.0,
            side: order.side,
            priority_ns: order.priority_ns,
            price: order.price,
            last_quantity: matched,
            last_price: Some(order.price.unwrap_or(PRICE_SCALE)),
            match_id: None,
        };
        if matched == order.quantity {
            self.orders.remove(&key);
            return Content::FullOrderExecution(execution);
        }
        let rest = Order {
            quantity: order.quantity - matched,
            ..order
        };
        self.orders.insert(key, rest);
        Content::PartialOrderExecution(execution)
    }

    fn new_order(&mut self, time_ns: u64, random: &mut Random) -> Order {
        self.last_priority_ns = time_ns.max(self.last_priority_ns + 1);
        let side = if random.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let is_market = random.below(50) == 0;
        // Spreads have negative prices; so has every first product here, now and then.
        let base = i64::from(self.market_segment_id - 600) * 100;
        let away = random.below(12) as i64 * if side == Side::Buy { -1 } else { 1 };
        Order {
            priority_ns: Some(self.last_priority_ns),
            quantity: (1 + random.below(20)) as i64 * QUANTITY_SCALE,
            side,
            is_market,
            price: (!is_market).then_some((base + away) * PRICE_SCALE / 2),
        }
    }

    fn put(&mut self, security_id: i64, order: Order) {
        let priority_ns = order.priority_ns.expect("an order here has a priority");
        self.orders
            .insert((security_id, order.side, priority_ns), order);
    }

    /// Bids and offers in turn, level by level from the touch, the oldest first.
    fn in_snapshot_order(&self, security_id: i64) -> Vec<Order> {
        let orders = self.orders.range(of(security_id)).map(|(_, order)| *order);
        let mut orders: Vec<_> = orders.collect();
        let mut prices = [Vec::new(), Vec::new()];
        for order in &orders {
            prices[order.side as usize - 1].push(order.price);
        }
        prices.iter_mut().for_each(|prices| prices.sort_unstable());
        prices[0].reverse();
        prices.iter_mut().for_each(Vec::dedup);
        let level = |order: &Order| {
            let prices = &prices[order.side as usize - 1];
            prices.iter().position(|price| *price == order.price)
        };
        orders.sort_by_key(|order| (level(order), order.side, order.priority_ns));
        orders
    }
}

/// The keys of an instrument's orders.
fn of(security_id: i64) -> std::ops::RangeInclusive<Key> {
    (security_id, Side::Buy, 0)..=(security_id, Side::Sell, u64::MAX)
}

/// The touch of an auction; without a draw a side without interest.
fn touch(security_id: i64, random: Option<&mut Random>) -> Content<'static> {
    let bid = random.map(|random| {
        let price = random.below(100) as i64 * PRICE_SCALE;
        (price, (1 + random.below(9)) as i64 * QUANTITY_SCALE)
    });
    Content::AuctionBbo(AuctionBbo {
        security_id,
        bid_price: bid.map(|(price, _)| price),
        bid_quantity: bid.map(|(_, quantity)| quantity),
        ..AuctionBbo::default()
    })
}
