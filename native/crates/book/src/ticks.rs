//! Tick tables: the steps in which an instrument is priced.
//!
//! A tick holds from the first price of its band up to where the next band begins; below the first
//! band the base tick holds. A price is on the tick when it is a multiple of the tick of its band.
//!
//! The venue decides what rests in its books, so a price off the tick is applied and counted. It is
//! looked at only where an order makes a new level, and only in books with a table: a message to a
//! level that stands costs nothing.
//!
//! Configured tables ([`TickRules`]) are exact decimals by name of the instrument. They become
//! integers of the venue's scale when the venue names it, and go before what the venue itself says.

use std::collections::HashMap;

use thiserror::Error;

use crate::decimal::Decimal;
use crate::types::BookId;

/// A band of a [`TickTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickBand {
    /// Lowest price of the band, in the venue's scale.
    pub from_price: i64,
    /// Step between two prices of the band, in the venue's scale.
    pub tick: i64,
}

/// The ticks of one instrument, in the venue's scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickTable {
    base: i64,
    /// In the order of their prices.
    bands: Box<[TickBand]>,
}

/// Why ticks make no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TickError {
    /// A tick of nothing or less.
    #[error("a tick size must be more than 0")]
    NotPositive,
    /// A band that does not begin above the one before it.
    #[error("bands must be in the order of their prices, each from a higher one")]
    NotAscending,
    /// A band that begins between two of its own prices.
    #[error("a band must begin at a multiple of its tick size")]
    OffItsTick,
    /// The venue's prices cannot say it.
    #[error("a tick size or price is finer than the venue's prices of {decimals} decimals")]
    TooFine {
        /// Decimals of the venue's prices.
        decimals: u8,
    },
}

impl TickTable {
    /// A table with a base tick and the bands above it.
    ///
    /// # Errors
    /// [`TickError`] names the rule that is broken.
    pub fn new(base: i64, bands: &[TickBand]) -> Result<Self, TickError> {
        if base <= 0 || bands.iter().any(|band| band.tick <= 0) {
            return Err(TickError::NotPositive);
        }
        if !bands.is_sorted_by(|one, next| one.from_price < next.from_price) {
            return Err(TickError::NotAscending);
        }
        if bands.iter().any(|band| band.from_price % band.tick != 0) {
            return Err(TickError::OffItsTick);
        }
        Ok(Self {
            base,
            bands: bands.into(),
        })
    }

    /// The tick at a price.
    #[inline]
    pub fn at(&self, price: i64) -> i64 {
        let below = self.bands.partition_point(|band| band.from_price <= price);
        below
            .checked_sub(1)
            .map_or(self.base, |at| self.bands[at].tick)
    }

    /// Whether the instrument can be priced so.
    #[inline]
    pub fn is_on(&self, price: i64) -> bool {
        price % self.at(price) == 0
    }

    /// Steps from one price up to a higher one; `None` when one is off the tick, or not higher.
    pub fn steps(&self, low: i64, high: i64) -> Option<u64> {
        if low > high || !self.is_on(low) || !self.is_on(high) {
            return None;
        }
        let mut steps = 0_u64;
        let mut from = i128::from(low);
        let mut tick = self.at(low);
        let above = self.bands.partition_point(|band| band.from_price <= low);
        for band in self.bands[above..]
            .iter()
            .take_while(|band| band.from_price <= high)
        {
            steps += whole_steps(from, band.from_price, tick);
            (from, tick) = (i128::from(band.from_price), band.tick);
        }
        Some(steps + whole_steps(from, high, tick))
    }
}

/// Steps of `tick` until `to` is reached; the last one may be shorter, where a band ends.
fn whole_steps(from: i128, to: i64, tick: i64) -> u64 {
    // A difference of two i64 and at least 1 to divide by: it fits.
    ((i128::from(to) - from + i128::from(tick) - 1) / i128::from(tick)) as u64
}

/// The configured ticks of one instrument, as its file writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickRule {
    /// Tick below the first band.
    pub base: Decimal,
    /// First price and tick of each band above.
    pub bands: Vec<(Decimal, Decimal)>,
}

impl TickRule {
    /// The table in a scale of so many decimals.
    ///
    /// # Errors
    /// [`TickError`] when the scale does not hold it, or see [`TickTable::new`].
    pub fn table(&self, decimals: u8) -> Result<TickTable, TickError> {
        let scaled = |value: Decimal| {
            let found = value.scaled(decimals);
            found.ok_or(TickError::TooFine { decimals })
        };
        let band = |&(from_price, tick): &(Decimal, Decimal)| {
            Ok(TickBand {
                from_price: scaled(from_price)?,
                tick: scaled(tick)?,
            })
        };
        let bands = self.bands.iter().map(band).collect::<Result<Vec<_>, _>>()?;
        TickTable::new(scaled(self.base)?, &bands)
    }
}

/// The configured ticks by the name of the instrument: its symbol, or its number in digits.
#[derive(Clone, Debug, Default)]
pub struct TickRules {
    by_name: HashMap<Box<[u8]>, TickRule>,
}

impl TickRules {
    /// Sets the rule of an instrument, in place of the one before.
    pub fn insert(&mut self, name: &str, rule: TickRule) {
        self.by_name.insert(name.as_bytes().into(), rule);
    }

    /// The rule of an instrument.
    pub fn get(&self, name: &[u8]) -> Option<&TickRule> {
        self.by_name.get(name)
    }

    /// How many instruments have a rule.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// The tables of all books of a channel, and what was found off them.
#[derive(Default)]
pub(crate) struct Ticks {
    /// Of each book that has one; shorter than the list of books where the last have none.
    tables: Vec<Option<TickTable>>,
    known: usize,
    off: u64,
}

impl Ticks {
    /// A level was made at this price.
    #[inline]
    pub(crate) fn on_new_level(&mut self, book: BookId, price: i64) {
        if let Some(Some(table)) = self.tables.get(book.0 as usize) {
            self.off += u64::from(!table.is_on(price));
        }
    }

    pub(crate) fn count_off(&mut self) {
        self.off += 1;
    }

    pub(crate) fn set(&mut self, book: BookId, table: Option<TickTable>) {
        let at = book.0 as usize;
        if at >= self.tables.len() {
            if table.is_none() {
                return;
            }
            self.tables.resize(at + 1, None);
        }
        self.known += usize::from(table.is_some());
        self.known -= usize::from(self.tables[at].is_some());
        self.tables[at] = table;
    }

    pub(crate) fn of(&self, book: BookId) -> Option<&TickTable> {
        self.tables.get(book.0 as usize)?.as_ref()
    }

    /// How many books have a table.
    pub(crate) fn count(&self) -> usize {
        self.known
    }

    /// Levels that were made off the tick.
    pub(crate) fn off(&self) -> u64 {
        self.off
    }

    /// Forgets the tables with the books; what was counted stays.
    pub(crate) fn clear(&mut self) {
        self.tables.clear();
        self.known = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(from_price: i64, tick: i64) -> TickBand {
        TickBand { from_price, tick }
    }

    /// 5 below 300, 10 from there, 25 from 1,000.
    fn banded() -> TickTable {
        TickTable::new(5, &[band(300, 10), band(1_000, 25)]).expect("a valid table")
    }

    /// Each band has its tick, its first price included; below the first the base holds, also for
    /// negative prices.
    #[test]
    fn each_band_has_its_tick() {
        let table = banded();
        for (price, tick) in [(-5, 5), (0, 5), (299, 5), (300, 10), (999, 10), (1_000, 25)] {
            assert_eq!(table.at(price), tick, "{price}");
        }
        for (price, is_on) in [
            (295, true),
            (305, false),
            (310, true),
            (1_010, false),
            (-15, true),
        ] {
            assert_eq!(table.is_on(price), is_on, "{price}");
        }
        assert!(!table.is_on(-3));
        assert!(table.is_on(i64::MIN / 5 * 5));
    }

    /// Steps are those that prices really take, over the bands between.
    #[test]
    fn steps_are_counted_over_bands() {
        let table = banded();
        assert_eq!(table.steps(295, 295), Some(0));
        assert_eq!(table.steps(290, 300), Some(2));
        assert_eq!(table.steps(290, 1_025), Some(2 + 70 + 1));
        assert_eq!(table.steps(310, 300), None, "not higher");
        assert_eq!(table.steps(291, 300), None, "off the tick");
        let whole = TickTable::new(1, &[]).expect("a valid table");
        assert_eq!(whole.steps(i64::MIN, i64::MAX), Some(u64::MAX));
    }

    /// Walking up tick by tick meets as many prices as [`TickTable::steps`] says.
    #[test]
    fn steps_agree_with_a_walk() {
        let table = TickTable::new(4, &[band(30, 10), band(105, 7)]).expect("a valid table");
        let prices: Vec<i64> = (0..200).filter(|price| table.is_on(*price)).collect();
        for (low_at, low) in prices.iter().enumerate() {
            for (high_at, high) in prices.iter().enumerate().skip(low_at) {
                let steps = (high_at - low_at) as u64;
                assert_eq!(table.steps(*low, *high), Some(steps), "{low} to {high}");
            }
        }
    }

    /// A table that could not be meant is refused by the rule that it breaks.
    #[test]
    fn bad_tables_are_refused() {
        for (base, bands, error) in [
            (0, vec![], TickError::NotPositive),
            (5, vec![band(10, -5)], TickError::NotPositive),
            (5, vec![band(10, 5), band(10, 10)], TickError::NotAscending),
            (5, vec![band(20, 5), band(10, 10)], TickError::NotAscending),
            (5, vec![band(15, 10)], TickError::OffItsTick),
        ] {
            assert_eq!(TickTable::new(base, &bands), Err(error), "{bands:?}");
        }
    }

    /// Decimals become integers of the venue's scale, or are refused when it is too coarse.
    #[test]
    fn rules_take_the_venues_scale() {
        let decimal = |text: &str| text.parse::<Decimal>().expect(text);
        let rule = TickRule {
            base: decimal("0.05"),
            bands: vec![(decimal("3"), decimal("0.1"))],
        };
        let table = rule.table(4).expect("a valid table");
        assert_eq!((table.at(29_999), table.at(30_000)), (500, 1_000));
        assert_eq!(rule.table(8).expect("a valid table").at(0), 5_000_000);
        assert_eq!(rule.table(1), Err(TickError::TooFine { decimals: 1 }));
    }

    /// Only books with a table are looked at, each by its own.
    #[test]
    fn levels_off_the_tick_are_counted() {
        let mut ticks = Ticks::default();
        ticks.set(BookId(7), None);
        ticks.set(BookId(2), Some(banded()));
        ticks.set(BookId(3), Some(banded()));
        ticks.set(BookId(3), None);
        ticks.set(BookId(2), Some(banded()));
        for (book, price) in [(0, 3), (2, 300), (2, 301), (2, 303), (9, 3)] {
            ticks.on_new_level(BookId(book), price);
        }
        assert_eq!((ticks.off(), ticks.count()), (2, 1));
        ticks.clear();
        ticks.on_new_level(BookId(2), 301);
        assert_eq!((ticks.off(), ticks.count()), (2, 0));
    }
}
