//! A reader's books: what a replayer puts out, applied. A message that contradicts them panics.

use std::collections::BTreeMap;

use tickdeck_recovery::eobi::{Cycle, Output, Trust};
use tickdeck_sim::eobi::Key;
use tickdeck_wire::eobi::{Content, Execution, Message, Order, Release};

/// Orders of a product.
pub(crate) type Orders = BTreeMap<Key, Order>;

#[derive(Debug)]
pub(crate) struct Books {
    release: Release,
    pub(crate) products: BTreeMap<i32, Orders>,
    /// Every change of trust, in order.
    pub(crate) trusts: Vec<(i32, Trust)>,
    /// Messages applied, by product.
    pub(crate) applied: BTreeMap<i32, u64>,
    pub(crate) resets: u64,
}

impl Books {
    pub(crate) fn new(release: Release) -> Self {
        Self {
            release,
            products: BTreeMap::new(),
            trusts: Vec::new(),
            applied: BTreeMap::new(),
            resets: 0,
        }
    }

    /// Whether the product was ever suspect.
    pub(crate) fn was_suspect(&self, product: i32) -> bool {
        let is_of =
            |(id, trust): &(i32, Trust)| *id == product && matches!(trust, Trust::Suspect { .. });
        self.trusts.iter().any(is_of)
    }

    /// Applies a message of the incremental channel.
    pub(crate) fn take(&mut self, product: i32, message: &Message<'_>) {
        let orders = self.products.entry(product).or_default();
        match message.content(self.release).expect("a whole message") {
            Content::OrderAdd { security_id, order } => {
                orders.insert(key(security_id, &order), order);
            }
            Content::OrderModify {
                security_id,
                previous_priority_ns,
                order,
                ..
            } => {
                let before = previous_priority_ns.expect("a priority");
                let before = orders.remove(&(security_id, order.side, before));
                assert!(before.is_some(), "the order was there");
                orders.insert(key(security_id, &order), order);
            }
            Content::OrderModifySamePriority {
                security_id,
                previous_quantity,
                order,
            } => {
                let before = orders.insert(key(security_id, &order), order);
                assert_eq!(before.map(|order| order.quantity), Some(previous_quantity));
            }
            Content::OrderDelete { security_id, order } => {
                let before = orders.remove(&key(security_id, &order));
                assert_eq!(before, Some(order));
            }
            Content::OrderMassDelete { security_id } => {
                orders.retain(|key, _| key.0 != security_id);
            }
            Content::FullOrderExecution(execution) => {
                let before = orders.remove(&key_of(&execution)).expect("it was there");
                assert_eq!(before.quantity, execution.last_quantity);
            }
            Content::PartialOrderExecution(execution) => {
                let order = orders.get_mut(&key_of(&execution)).expect("it is there");
                order.quantity -= execution.last_quantity;
                assert!(order.quantity > 0);
            }
            Content::AuctionBbo(_) => {}
            other => panic!("{other:?} is not incremental"),
        }
    }
}

impl Output for Books {
    fn reset(&mut self) {
        self.products.clear();
        self.resets += 1;
    }

    fn load(&mut self, cycle: &Cycle) {
        let orders = self.products.entry(cycle.market_segment_id).or_default();
        orders.clear();
        let mut current = None;
        cycle.messages(|message| match message.content(self.release) {
            Ok(Content::InstrumentSummary(summary)) => current = Some(summary.security_id),
            Ok(Content::SnapshotOrder(order)) => {
                let security_id = current.expect("an instrument began");
                assert!(orders.insert(key(security_id, &order), order).is_none());
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        });
        assert_eq!(orders.len() as u64, cycle.orders);
    }

    fn apply(&mut self, market_segment_id: i32, message: &Message<'_>) {
        *self.applied.entry(market_segment_id).or_default() += 1;
        self.take(market_segment_id, message);
    }

    fn trust(&mut self, market_segment_id: i32, trust: Trust) {
        self.trusts.push((market_segment_id, trust));
    }
}

fn key(security_id: i64, order: &Order) -> Key {
    let priority_ns = order.priority_ns.expect("a priority");
    (security_id, order.side, priority_ns)
}

fn key_of(execution: &Execution) -> Key {
    let priority_ns = execution.priority_ns.expect("a priority");
    (execution.security_id, execution.side, priority_ns)
}
