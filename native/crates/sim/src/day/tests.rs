//! The day against an independent book, its shares, and its frame.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use tickdeck_wire::itch50::{self, Message};

use super::*;

fn day(messages: u64, instruments: u32, seed: u64) -> (Vec<Vec<u8>>, DayReport) {
    let mut day = Vec::new();
    let config = DayConfig {
        messages,
        instruments,
        seed,
    };
    let report = generate::<SimError>(config, |message| {
        day.push(message.to_vec());
        Ok(())
    });
    (day, report.unwrap())
}

struct Resting {
    side: Side,
    shares: u32,
    price: u32,
}

/// A book kept the slow way, which refuses whatever a book cannot do.
#[derive(Default)]
struct Oracle {
    orders: HashMap<(u16, u64), Resting>,
    levels: HashMap<(u16, Side), BTreeMap<u32, Vec<u64>>>,
    last_reference: u64,
}

impl Oracle {
    fn apply(&mut self, message: &Message<'_>) {
        let stock = message.stock_locate();
        match message {
            Message::AddOrder(add) => {
                self.add(
                    stock,
                    add.order_reference(),
                    add.side(),
                    add.shares(),
                    add.price(),
                );
            }
            Message::AddOrderMpid(add) => {
                self.add(
                    stock,
                    add.order_reference(),
                    add.side(),
                    add.shares(),
                    add.price(),
                );
            }
            Message::OrderDelete(delete) => {
                self.remove(stock, delete.order_reference());
            }
            Message::OrderReplace(replace) => {
                let side = self.remove(stock, replace.original_order_reference()).side;
                let reference = replace.new_order_reference();
                self.add(stock, reference, side, replace.shares(), replace.price());
            }
            Message::OrderExecuted(executed) => {
                self.execute(
                    stock,
                    executed.order_reference(),
                    executed.executed_shares(),
                );
            }
            Message::OrderExecutedWithPrice(executed) => {
                let order = &self.orders[&(stock, executed.order_reference())];
                assert_eq!(
                    executed.execution_price(),
                    order.price,
                    "at the level's price"
                );
                self.execute(
                    stock,
                    executed.order_reference(),
                    executed.executed_shares(),
                );
            }
            Message::OrderCancel(cancel) => {
                let left = self.reduce(stock, cancel.order_reference(), cancel.cancelled_shares());
                assert!(left > 0, "a cancel never takes the whole order");
            }
            _ => {}
        }
        if let (Some(bid), Some(ask)) = (self.best(stock, Side::Buy), self.best(stock, Side::Sell))
        {
            assert!(bid < ask, "locked or crossed after {message:?}");
        }
    }

    fn best(&self, stock: u16, side: Side) -> Option<u32> {
        let prices = self.levels.get(&(stock, side))?;
        let best = if side == Side::Buy {
            prices.last_key_value()
        } else {
            prices.first_key_value()
        };
        best.map(|(price, _)| *price)
    }

    fn add(&mut self, stock: u16, reference: u64, side: Side, shares: u32, price: u32) {
        assert!(shares > 0 && price > 0 && price.is_multiple_of(100));
        assert!(reference > self.last_reference && reference - self.last_reference <= 1_000);
        self.last_reference = reference;
        self.orders.insert(
            (stock, reference),
            Resting {
                side,
                shares,
                price,
            },
        );
        self.levels
            .entry((stock, side))
            .or_default()
            .entry(price)
            .or_default()
            .push(reference);
    }

    fn remove(&mut self, stock: u16, reference: u64) -> Resting {
        let order = self
            .orders
            .remove(&(stock, reference))
            .expect("a live order");
        let prices = self.levels.get_mut(&(stock, order.side)).unwrap();
        let queue = prices.get_mut(&order.price).unwrap();
        queue.retain(|queued| *queued != reference);
        if queue.is_empty() {
            prices.remove(&order.price);
        }
        order
    }

    fn execute(&mut self, stock: u16, reference: u64, shares: u32) {
        let Resting { side, price, .. } = self.orders[&(stock, reference)];
        assert_eq!(
            Some(price),
            self.best(stock, side),
            "executions take the best level"
        );
        assert_eq!(
            self.levels[&(stock, side)][&price][0],
            reference,
            "and its front order"
        );
        self.reduce(stock, reference, shares);
    }

    fn reduce(&mut self, stock: u16, reference: u64, shares: u32) -> u32 {
        let order = self
            .orders
            .get_mut(&(stock, reference))
            .expect("a live order");
        assert!((1..=order.shares).contains(&shares));
        order.shares -= shares;
        let left = order.shares;
        if left == 0 {
            self.remove(stock, reference);
        }
        left
    }

    fn level_count(&self) -> u64 {
        self.levels.values().map(|prices| prices.len() as u64).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Proves for any seed that a book can follow every message, that it is never locked or
    /// crossed, and that the table's orders, levels and counts are what the messages say.
    #[test]
    fn a_book_can_follow_any_day(seed: u64, instruments in 1u32..20, messages in 0u64..30_000) {
        let (day, report) = day(messages, instruments, seed);
        let mut oracle = Oracle::default();
        let (mut live_most, mut bytes, mut last_ns) = (0, 0, 0);
        for message in &day {
            let message = itch50::parse(message).unwrap();
            oracle.apply(&message);
            live_most = live_most.max(oracle.orders.len() as u64);
            bytes += 2 + message.bytes().len() as u64;
            prop_assert!(message.timestamp_ns() >= last_ns, "time goes forward");
            last_ns = message.timestamp_ns();
        }
        prop_assert_eq!(report.messages, day.len() as u64);
        prop_assert_eq!((report.live_orders, report.live_orders_most), (oracle.orders.len() as u64, live_most));
        prop_assert_eq!((report.price_levels, report.bytes), (oracle.level_count(), bytes));
        prop_assert_eq!(report.highest_reference, oracle.last_reference);
        prop_assert_eq!(report.adds, report.count_of(b'A') + report.count_of(b'F') + report.count_of(b'U'));
        let opening = 5 + u64::from(instruments) * 206;
        prop_assert!((messages.max(opening)..=messages.max(opening) + 5).contains(&report.messages));
    }
}

/// Proves that a seed fixes the day, to the byte, and that another seed gives another one.
#[test]
fn a_seed_fixes_the_day() {
    let (first, report) = day(5_000, 3, 1);
    assert_eq!((first.clone(), report), day(5_000, 3, 1));
    assert_ne!(first, day(5_000, 3, 2).0);
}

/// Proves the frame: system events in order, reference data before the opening book.
#[test]
fn the_day_has_its_frame() {
    let (day, report) = day(1_000, 2, 1);
    let kinds: Vec<u8> = day.iter().map(|message| message[0]).collect();
    assert_eq!(&kinds[..2], b"SS");
    assert_eq!(&kinds[2..15], b"RHYLLLRHYLLLS");
    assert_eq!(&kinds[15..415], &[b'A'; 400]);
    let events: Vec<u8> = day.iter().filter(|m| m[0] == b'S').map(|m| m[11]).collect();
    assert_eq!(events, b"OSQMC");
    assert_eq!(&kinds[kinds.len() - 2..], b"SS");
    let times: Vec<u64> = day
        .iter()
        .map(|message| itch50::parse(message).unwrap().timestamp_ns())
        .collect();
    assert_eq!(times[0], 34_200_000_000_000, "09:30");
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let between = &steps.collect::<Vec<_>>()[..times.len() - 3];
    assert!(between.iter().all(|step| (50..=4_049).contains(step)));
    let Message::StockDirectory(stock) = itch50::parse(&day[8]).unwrap() else {
        panic!("no R")
    };
    assert_eq!(
        (stock.stock().to_string().as_str(), stock.stock_locate()),
        ("S0001", 2)
    );
    let Message::AddOrder(first) = itch50::parse(&day[15]).unwrap() else {
        panic!("no A")
    };
    assert_eq!((first.order_reference(), first.stock_locate()), (1_000, 1));
    assert_eq!(
        (
            report.count_of(b'R'),
            report.count_of(b'L'),
            report.count_of(b'S')
        ),
        (2, 6, 5)
    );
}

/// Proves the shares of the event table on a day long enough to show them.
#[test]
fn the_shares_are_those_of_the_table() {
    let (_, report) = day(400_000, 20, 1);
    let opening = 20.0 * 206.0 / report.messages as f64;
    let table = [
        (b'A', 43.4),
        (b'D', 39.7),
        (b'U', 7.95),
        (b'E', 3.87),
        (b'X', 1.97),
        (b'P', 1.39),
    ];
    for (kind, percent) in table {
        let share = report.count_of(kind) as f64 / report.messages as f64 / (1.0 - opening) * 100.0;
        assert!(
            (share - percent).abs() < 1.0,
            "{}: {share:.2} %",
            char::from(kind)
        );
    }
    assert!((1.55..1.65).contains(&report.mean_reference_step()));
    let (busiest, share) = report.busiest[0];
    assert!(
        busiest == 1 && share > 0.05,
        "instrument 0 is the busiest: {share}"
    );
}

/// Proves that no instruments, or more than locate codes, are refused.
#[test]
fn the_number_of_instruments_is_checked() {
    for instruments in [0, 65_536] {
        let config = DayConfig {
            messages: 1,
            instruments,
            seed: 1,
        };
        let error = generate::<SimError>(config, |_| Ok(())).unwrap_err();
        assert_eq!(error, SimError::BadInstruments { instruments });
    }
}

/// Proves that a sink that fails ends the day with its error.
#[test]
fn an_error_of_the_sink_ends_the_day() {
    let config = DayConfig {
        messages: 1_000,
        instruments: 1,
        seed: 1,
    };
    let mut written = 0;
    let error = generate(config, |_| {
        written += 1;
        if written == 10 {
            Err(SimError::NoSuchFault { id: 10 })
        } else {
            Ok(())
        }
    });
    assert_eq!(
        (error, written),
        (Err(SimError::NoSuchFault { id: 10 }), 10)
    );
}
