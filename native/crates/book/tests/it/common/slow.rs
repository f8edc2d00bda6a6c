//! A book that is slow and obviously right: one list of orders in the order of their arrival.

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
