//! A book that is slow and obviously right: one list of orders in the order of their arrival.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use tickdeck_book::{Fault, OrderView, Side};

use super::messages::Event;

#[derive(Clone, Copy, Debug)]
struct Resting {
    locate: u16,
    order: OrderView,
}

/// Orders of all instruments, oldest first.
#[derive(Default)]
pub(crate) struct SlowBooks {
    resting: Vec<Resting>,
    /// Every fault found so far; unknown references are not told apart from excused ones.
    pub(crate) faults: Vec<Fault>,
}

impl SlowBooks {
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Add {
                locate,
                reference,
                side,
                shares,
                price,
                ..
            } => {
                self.enter(
                    locate,
                    OrderView {
                        side,
                        price: i64::from(price),
                        reference,
                        quantity: u64::from(shares),
                    },
                );
            }
            Event::Execute {
                reference, shares, ..
            } => {
                self.take(reference, shares, Fault::ExecutedTooMuch);
            }
            Event::Cancel { reference, shares } => {
                self.take(reference, shares, Fault::CancelledTooMuch);
            }
            Event::Delete { reference } => {
                self.remove(reference);
            }
            Event::Replace {
                original,
                new,
                shares,
                price,
            } => {
                if let Some(old) = self.remove(original) {
                    let side = old.order.side;
                    let order = OrderView {
                        side,
                        price: i64::from(price),
                        reference: new,
                        quantity: u64::from(shares),
                    };
                    self.enter(old.locate, order);
                }
            }
            Event::Trade { .. } => {}
        }
    }

    /// Orders of one side in price-time order: a stable sort of the arrivals by price.
    pub(crate) fn queue(&self, locate: u16, side: Side) -> Vec<OrderView> {
        let mut orders: Vec<OrderView> = self
            .resting
            .iter()
            .filter(|resting| resting.locate == locate && resting.order.side == side)
            .map(|resting| resting.order)
            .collect();
        match side {
            Side::Bid => orders.sort_by_key(|order| std::cmp::Reverse(order.price)),
            Side::Ask => orders.sort_by_key(|order| order.price),
        }
        orders
    }

    /// Instruments that have orders.
    pub(crate) fn locates(&self) -> BTreeSet<u16> {
        self.resting.iter().map(|resting| resting.locate).collect()
    }

    /// Orders of all instruments.
    pub(crate) fn len(&self) -> usize {
        self.resting.len()
    }

    /// The channel's hash by its formula, oldest order first.
    pub(crate) fn channel_hash(&self) -> u64 {
        let of =
            |resting: &Resting| mix(order_hash(&resting.order) ^ mix(u64::from(resting.locate)));
        let sum = self.resting.iter().map(of).fold(0, u64::wrapping_add);
        mix(sum ^ self.resting.len() as u64)
    }

    fn enter(&mut self, locate: u16, order: OrderView) {
        if order.quantity == 0 {
            self.faults.push(Fault::ZeroShares);
            return;
        }
        if let Some(at) = self.position(order.reference) {
            self.resting.remove(at);
            self.faults.push(Fault::DuplicateReference);
        }
        self.resting.push(Resting { locate, order });
    }

    fn take(&mut self, reference: u64, shares: u32, too_much: Fault) {
        let Some(at) = self.position(reference) else {
            self.faults.push(Fault::UnknownReference);
            return;
        };
        let shares = u64::from(shares);
        let left = &mut self.resting[at].order.quantity;
        if shares == 0 {
            self.faults.push(Fault::ZeroShares);
        } else if shares < *left {
            *left -= shares;
        } else {
            if shares > *left {
                self.faults.push(too_much);
            }
            self.resting.remove(at);
        }
    }

    fn remove(&mut self, reference: u64) -> Option<Resting> {
        let at = self.position(reference);
        if at.is_none() {
            self.faults.push(Fault::UnknownReference);
        }
        at.map(|at| self.resting.remove(at))
    }

    fn position(&self, reference: u64) -> Option<usize> {
        self.resting
            .iter()
            .position(|resting| resting.order.reference == reference)
    }
}

/// The state hash of 32-bit orders by its formula in words, apart from the code it checks.
pub(crate) fn state_hash(orders: &[OrderView]) -> u64 {
    let sum = orders.iter().map(order_hash).fold(0, u64::wrapping_add);
    mix(sum ^ orders.len() as u64)
}

/// The queue hash by the layout of the data's README: 17 bytes for each order.
pub(crate) fn queue_sha256(orders: &[OrderView]) -> [u8; 32] {
    let mut bytes = Vec::new();
    for order in orders {
        bytes.push(if order.side == Side::Bid { b'B' } else { b'S' });
        bytes.extend_from_slice(&order.price.to_be_bytes()[4..]);
        bytes.extend_from_slice(&order.reference.to_be_bytes());
        bytes.extend_from_slice(&order.quantity.to_be_bytes()[4..]);
    }
    Sha256::digest(bytes).into()
}

fn order_hash(order: &OrderView) -> u64 {
    let side = if order.side == Side::Bid { b'B' } else { b'S' };
    let terms = (order.price.cast_unsigned() << 32) | order.quantity;
    mix(mix(mix(order.reference) ^ terms) ^ u64::from(side))
}

/// The output function of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
