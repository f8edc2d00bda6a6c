//! A generated trading day in ITCH 5.0: the day the benchmarks, the demo and the tests play.
//!
//! It measures speed, not coverage: no auctions, crosses, halts, broken trades, LULD, MWCB, RPII.
//! Everything follows from the seed.
//!
//! **Order.** S `O`, S `S`; per instrument R, H, Y, three L; S `Q`; an opening book of 200 orders
//! per instrument; events until the wanted number of messages is reached (looked at after each
//! burst); S `M`, S `C`. The time stamp starts at 09:30 and grows by 50 to 4,049 ns per message.
//!
//! **Who trades.** Instrument `i` has weight `(i + 3)^-0.8`. A draw gives it a burst of 1 to 4
//! events; once in 200 bursts its middle moves by at most a tick.
//!
//! **Which order.** Four in five picks are among the 64 newest entries of the instrument's live
//! list, as real orders mostly die young; executions take the front of the best level.
//!
//! | Event | Share | |
//! |---|---|---|
//! | A · F | 42.4 · 1.0 % | A also while the instrument has fewer than 60 orders |
//! | D | 40.0 % | while fewer than 120 orders are live, 30 % of these are A instead |
//! | U | 8.0 % | new reference, same side, new price; two in three keep the quantity |
//! | E · C | 3.9 · 0.3 % | a random side; 60 % the whole order |
//! | X | 2.0 % | never the whole order |
//! | P · I · nothing | 1.4 · 0.4 · 0.6 % | at the middle |
//!
//! An event that finds no order or no price writes nothing. The book is never locked or crossed.

use tickdeck_wire::itch50::Side;

use crate::{Random, SimError};

mod book;
mod prices;
mod report;
mod writer;

pub use report::{DayReport, TypeCount};

use book::Books;
use prices::{Prices, draw_quantity};
use writer::Writer;

/// Orders of the opening book, per instrument.
const OPENING_ORDERS: u32 = 200;
/// Below this an instrument only gets new orders.
const FEW_ORDERS: usize = 60;
/// Below this some deletes become new orders.
const THIN_ORDERS: usize = 120;
/// Entries at the end of the live list that most picks are made from.
const NEWEST: u64 = 64;

/// What day to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayConfig {
    /// Messages wanted; the day has at least its opening and at most five more than this.
    pub messages: u64,
    /// Instruments, 1 to 65,535.
    pub instruments: u32,
    /// Seed of everything random.
    pub seed: u64,
}

/// Generates the day message by message into `sink` and returns its table.
///
/// # Errors
/// [`SimError::BadInstruments`], or the first error of `sink`.
pub fn generate<E: From<SimError>>(
    config: DayConfig,
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<DayReport, E> {
    if config.instruments == 0 || config.instruments > u32::from(u16::MAX) {
        return Err(SimError::BadInstruments {
            instruments: config.instruments,
        }
        .into());
    }
    let mut day = Day::new(config, sink);
    day.open()?;
    while day.writer.messages() < config.messages {
        day.burst()?;
    }
    day.writer.system_event(b'M')?;
    day.writer.system_event(b'C')?;
    Ok(day.writer.into_report(&day.books))
}

struct Day<F> {
    random: Random,
    books: Books,
    prices: Vec<Prices>,
    /// Running sums of the weights, to draw an instrument by bisection.
    weights: Vec<f64>,
    writer: Writer<F>,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Day<F> {
    fn new(config: DayConfig, sink: F) -> Self {
        let mut random = Random::new(config.seed);
        let prices = (0..config.instruments)
            .map(|_| Prices::new(&mut random))
            .collect();
        let weights = (0..config.instruments)
            .scan(0.0, |sum, instrument| {
                *sum += (f64::from(instrument) + 3.0).powf(-0.8);
                Some(*sum)
            })
            .collect();
        let books = Books::new(config.instruments as usize);
        Self {
            random,
            books,
            prices,
            weights,
            writer: Writer::new(config.instruments, sink),
        }
    }

    /// Everything up to the first event.
    fn open(&mut self) -> Result<(), E> {
        self.writer.system_event(b'O')?;
        self.tick();
        self.writer.system_event(b'S')?;
        for instrument in 0..self.prices.len() {
            self.writer.reference_data(instrument, &mut self.random)?;
        }
        self.tick();
        self.writer.system_event(b'Q')?;
        for instrument in 0..self.prices.len() {
            for _ in 0..OPENING_ORDERS {
                self.add(instrument, false)?;
            }
        }
        Ok(())
    }

    /// One to four events of one instrument.
    fn burst(&mut self) -> Result<(), E> {
        let total = self.weights[self.weights.len() - 1];
        let drawn = self.random.unit() * total;
        let instrument = self.weights.partition_point(|sum| *sum <= drawn);
        let instrument = instrument.min(self.weights.len() - 1);
        let events = 1 + self.random.below(4);
        if self.random.below(200) == 0 {
            self.prices[instrument].move_middle(&mut self.random);
        }
        (0..events).try_for_each(|_| self.event(instrument))
    }

    fn event(&mut self, instrument: usize) -> Result<(), E> {
        let live = self.books.live(instrument).len();
        let draw = self.random.unit() * 100.0;
        match draw {
            _ if live < FEW_ORDERS => self.add(instrument, false),
            0.0..42.4 => self.add(instrument, false),
            42.4..43.4 => self.add(instrument, true),
            43.4..83.4 if live < THIN_ORDERS && self.random.chance(0.3) => {
                self.add(instrument, false)
            }
            43.4..83.4 => self.delete(instrument),
            83.4..91.4 => self.replace(instrument),
            91.4..95.3 => self.execute(instrument, false),
            95.3..95.6 => self.execute(instrument, true),
            95.6..97.6 => self.cancel(instrument),
            97.6..99.0 => self.trade(instrument),
            99.0..99.4 => self.imbalance(instrument),
            _ => Ok(()),
        }
    }

    fn add(&mut self, instrument: usize, attributed: bool) -> Result<(), E> {
        let side = if self.random.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let prices = &self.prices[instrument];
        let touch = self.books.touch(instrument);
        let Some(level) = prices.draw(side, touch, &mut self.random) else {
            return Ok(());
        };
        let quantity = draw_quantity(&mut self.random);
        let price = prices.price(level);
        self.tick();
        let reference = self.writer.next_reference(&mut self.random);
        self.books.add(instrument, reference, side, level, quantity);
        self.writer
            .add(instrument, reference, side, quantity, price, attributed)
    }

    fn delete(&mut self, instrument: usize) -> Result<(), E> {
        let Some(order) = self.pick(instrument) else {
            return Ok(());
        };
        let removed = self.books.remove(instrument, order);
        self.tick();
        self.writer.delete(instrument, removed.reference)
    }

    fn replace(&mut self, instrument: usize) -> Result<(), E> {
        let Some(order) = self.pick(instrument) else {
            return Ok(());
        };
        let old = self.books.remove(instrument, order);
        let prices = &self.prices[instrument];
        let touch = self.books.touch(instrument);
        let drawn = prices.draw(old.side, touch, &mut self.random);
        let level = drawn.unwrap_or_else(|| prices.inside(old.side, touch));
        let keeps = self.random.below(3) < 2;
        let quantity = if keeps {
            old.quantity
        } else {
            draw_quantity(&mut self.random)
        };
        let price = prices.price(level);
        self.tick();
        let reference = self.writer.next_reference(&mut self.random);
        self.books
            .add(instrument, reference, old.side, level, quantity);
        self.writer
            .replace(instrument, old.reference, reference, quantity, price)
    }

    fn execute(&mut self, instrument: usize, with_price: bool) -> Result<(), E> {
        let side = if self.random.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let Some(order) = self.books.front_of_best(instrument, side) else {
            return Ok(());
        };
        let resting = *self.books.order(order);
        let whole = self.random.chance(0.6);
        let quantity = if whole {
            resting.quantity
        } else {
            self.up_to(resting.quantity)
        };
        self.books.reduce(instrument, order, quantity);
        let price = with_price.then(|| self.prices[instrument].price(resting.level));
        self.tick();
        self.writer
            .execute(instrument, resting.reference, quantity, price)
    }

    fn cancel(&mut self, instrument: usize) -> Result<(), E> {
        let Some(order) = self.pick(instrument) else {
            return Ok(());
        };
        let resting = *self.books.order(order);
        if resting.quantity < 2 {
            return Ok(());
        }
        let quantity = self.up_to(resting.quantity - 1);
        self.books.reduce(instrument, order, quantity);
        self.tick();
        self.writer.cancel(instrument, resting.reference, quantity)
    }

    fn trade(&mut self, instrument: usize) -> Result<(), E> {
        let quantity = draw_quantity(&mut self.random);
        self.tick();
        self.writer
            .trade(instrument, quantity, self.prices[instrument].middle())
    }

    fn imbalance(&mut self, instrument: usize) -> Result<(), E> {
        self.tick();
        self.writer
            .imbalance(instrument, self.prices[instrument].middle())
    }

    /// A live order: mostly one of the newest.
    fn pick(&mut self, instrument: usize) -> Option<u32> {
        let newest = self.random.chance(0.8);
        let live = self.books.live(instrument);
        let count = live.len() as u64;
        let among = if newest { count.min(NEWEST) } else { count };
        let back = if among == 0 {
            return None;
        } else {
            self.random.below(among)
        };
        Some(live[(count - 1 - back) as usize])
    }

    /// Uniform in `1..=most`.
    fn up_to(&mut self, most: u32) -> u32 {
        // Smaller than `most`, so it fits 32 bits.
        1 + self.random.below(u64::from(most)) as u32
    }

    fn tick(&mut self) {
        self.writer.tick(&mut self.random);
    }
}

#[cfg(test)]
mod tests;
