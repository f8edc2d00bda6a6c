//! EOBI books the slow and obvious way: one list of orders in the order of their queues.

use std::collections::{BTreeMap, BTreeSet};

use tickdeck_wire::eobi::{Content, Execution, Order, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowOrder {
    pub(crate) security: i64,
    pub(crate) side: Side,
    pub(crate) priority: u64,
    /// `None` for a market order.
    pub(crate) price: Option<i64>,
    pub(crate) quantity: i64,
}

#[derive(Debug, Default)]
pub(crate) struct SlowEobi {
    /// Orders of one price stand in queue order.
    pub(crate) orders: Vec<SlowOrder>,
    pub(crate) states: BTreeMap<i64, u8>,
    /// Instruments of which a message said what cannot be.
    pub(crate) contradicted: BTreeSet<i64>,
    pub(crate) known: BTreeSet<i64>,
}

impl SlowEobi {
    pub(crate) fn apply(&mut self, content: &Content<'_>) {
        match *content {
            Content::OrderAdd { security_id, order } => self.add(security_id, order, false),
            Content::OrderModify {
                security_id,
                previous_priority_ns,
                order,
                ..
            } => {
                self.known.insert(security_id);
                let at = self.find(security_id, order.side, previous_priority_ns);
                let keeps = at.is_some() && previous_priority_ns == order.priority_ns;
                self.remove(at, security_id);
                self.add(security_id, order, keeps);
            }
            Content::OrderModifySamePriority {
                security_id, order, ..
            } => {
                self.known.insert(security_id);
                match self.find(security_id, order.side, order.priority_ns) {
                    Some(at) if order.quantity > 0 && self.orders[at].price == order.price => {
                        self.orders[at].quantity = order.quantity;
                    }
                    at => {
                        self.remove(at, security_id);
                        self.add(security_id, order, true);
                    }
                }
            }
            Content::OrderDelete { security_id, order } => {
                let at = self.find(security_id, order.side, order.priority_ns);
                self.remove(at, security_id);
            }
            Content::OrderMassDelete { security_id } => {
                self.known.insert(security_id);
                self.orders.retain(|order| order.security != security_id);
            }
            Content::FullOrderExecution(execution) => self.execute(execution, true),
            Content::PartialOrderExecution(execution) => self.execute(execution, false),
            Content::InstrumentStateChange(change) => {
                self.known.insert(change.security_id);
                let now = change.trading_status.expect("a state");
                let before = self.states.insert(change.security_id, now).unwrap_or(0);
                if is_auction(now) && !is_auction(before) {
                    self.orders
                        .retain(|order| order.security != change.security_id);
                }
            }
            Content::ExecutionSummary(_) => {}
            ref other => panic!("{other:?} is not part of the test"),
        }
    }

    fn add(&mut self, security: i64, order: Order, by_priority: bool) {
        self.known.insert(security);
        let (Some(priority), true) = (order.priority_ns, order.quantity > 0) else {
            self.contradicted.insert(security);
            return;
        };
        if let Some(twin) = self.find(security, order.side, order.priority_ns) {
            let twin = self.orders.remove(twin);
            if (twin.price, twin.quantity) != (order.price, order.quantity) {
                self.contradicted.insert(security);
            }
        }
        let new = SlowOrder {
            security,
            side: order.side,
            priority,
            price: order.price,
            quantity: order.quantity,
        };
        let is_before = |other: &SlowOrder| {
            (other.security, other.side, other.price) == (security, order.side, order.price)
                && other.priority > priority
        };
        // Behind the last one that is not younger.
        let younger = self.orders.iter().rev().take_while(|other| {
            is_before(other)
                || (other.security, other.side, other.price) != (security, order.side, order.price)
        });
        let at = self.orders.len() - if by_priority { younger.count() } else { 0 };
        self.orders.insert(at, new);
    }

    fn execute(&mut self, execution: Execution, is_full: bool) {
        let security = execution.security_id;
        self.known.insert(security);
        let at = self.find(security, execution.side, execution.priority_ns);
        let Some(found) = at else {
            self.contradicted.insert(security);
            return;
        };
        if execution.last_quantity <= 0 {
            self.contradicted.insert(security);
            if is_full {
                self.orders.remove(found);
            }
            return;
        }
        let left = self.orders[found].quantity - execution.last_quantity;
        if left < 0 || (left == 0 && !is_full) {
            self.contradicted.insert(security);
        }
        if is_full || left <= 0 {
            self.orders.remove(found);
        } else {
            self.orders[found].quantity = left;
        }
    }

    fn find(&self, security: i64, side: Side, priority: Option<u64>) -> Option<usize> {
        let is_it = |order: &SlowOrder| {
            (order.security, order.side, Some(order.priority)) == (security, side, priority)
        };
        self.orders.iter().position(is_it)
    }

    fn remove(&mut self, at: Option<usize>, security: i64) {
        self.known.insert(security);
        match at {
            Some(at) => drop(self.orders.remove(at)),
            None => drop(self.contradicted.insert(security)),
        }
    }

    /// The orders of a side at prices: best price first, each level in queue order.
    pub(crate) fn queue(&self, security: i64, side: Side) -> Vec<SlowOrder> {
        let is_of = |order: &&SlowOrder| {
            (order.security, order.side) == (security, side) && order.price.is_some()
        };
        let mut queue: Vec<_> = self.orders.iter().filter(is_of).copied().collect();
        queue.sort_by_key(|order| match (side, order.price.unwrap_or(0)) {
            (Side::Buy, price) => -price,
            (Side::Sell, price) => price,
        });
        queue
    }

    /// How many market orders an instrument has, and their quantity.
    pub(crate) fn market(&self, security: i64) -> (u32, u64) {
        let is_of = |order: &&SlowOrder| order.security == security && order.price.is_none();
        let orders = self.orders.iter().filter(is_of);
        orders.fold((0, 0), |(count, sum), order| {
            (count + 1, sum + order.quantity as u64)
        })
    }
}

/// Written from the list of states, not from the code.
fn is_auction(state: u8) -> bool {
    [
        204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 215, 216, 219, 220, 221,
    ]
    .contains(&state)
}
