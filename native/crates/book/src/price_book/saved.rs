//! The books by price as bytes, little-endian, for the venue's part of a snapshot.
//!
//! u32 books; each: i64 instrument, 24 B symbol, 24 B group, u8 defined, u8 trading status, doubt
//! (u8 cause, 0 none; u64 since), then for bids, asks, implied bids and implied asks u8 places, and
//! of each u8 0 unknown, 1 empty, 2 a level: i64 price, u64 quantity, u32 orders.

use super::{Place, Places, PriceBook, PriceBooks};
use crate::trust::{Cause, Doubt};
use crate::types::{LevelView, Symbol};

const UNKNOWN: u8 = 0;
const EMPTY: u8 = 1;
const KNOWN: u8 = 2;

impl PriceBooks {
    /// Appends the books.
    pub fn save(&self, out: &mut Vec<u8>) {
        // Instruments of a channel are far below 2^32.
        out.extend_from_slice(&(self.books.len() as u32).to_le_bytes());
        for book in &self.books {
            book.save(out);
        }
    }

    /// Takes the books back from the front of the bytes, which then begin behind them.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn restore(&mut self, saved: &mut &[u8]) -> Result<(), &'static str> {
        self.clear();
        for _ in 0..u32::from_le_bytes(taken(saved)?) {
            let book = PriceBook::restore(saved)?;
            let at = self.books.len();
            if self.places.insert(book.instrument, at).is_some() {
                return Err("a book by price stands twice");
            }
            self.books.push(book);
        }
        Ok(())
    }
}

impl PriceBook {
    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.instrument.to_le_bytes());
        out.extend_from_slice(self.symbol.padded());
        out.extend_from_slice(self.group.padded());
        out.extend_from_slice(&[u8::from(self.is_defined), self.trading_status]);
        out.push(self.doubt.map_or(0, |doubt| doubt.cause as u8));
        let since = self.doubt.map_or(0, |doubt| doubt.since);
        out.extend_from_slice(&since.to_le_bytes());
        for places in &self.sides {
            // A depth is one byte on the wire.
            out.push(places.0.len() as u8);
            for place in &places.0 {
                match place {
                    Place::Unknown => out.push(UNKNOWN),
                    Place::Empty => out.push(EMPTY),
                    Place::Known(level) => {
                        out.push(KNOWN);
                        out.extend_from_slice(&level.price.to_le_bytes());
                        out.extend_from_slice(&level.quantity.to_le_bytes());
                        out.extend_from_slice(&level.orders.to_le_bytes());
                    }
                }
            }
        }
    }

    fn restore(saved: &mut &[u8]) -> Result<Self, &'static str> {
        let mut book = Self::new(i64::from_le_bytes(taken(saved)?), false);
        book.symbol = Symbol::from_padded(&taken::<{ Symbol::MAX_LEN }>(saved)?);
        book.group = Symbol::from_padded(&taken::<{ Symbol::MAX_LEN }>(saved)?);
        let [is_defined, trading_status, cause] = taken(saved)?;
        let since = u64::from_le_bytes(taken(saved)?);
        book.is_defined = is_defined != 0;
        book.trading_status = trading_status;
        book.doubt = match cause {
            0 => None,
            code => {
                let cause = Cause::from_code(code).ok_or("an unknown cause of a doubt")?;
                Some(Doubt { since, cause })
            }
        };
        for places in &mut book.sides {
            let [depth] = taken(saved)?;
            let read = (0..depth).map(|_| Place::restore(saved));
            *places = Places(read.collect::<Result<_, _>>()?);
        }
        book.check()?;
        Ok(book)
    }
}

impl Place {
    fn restore(saved: &mut &[u8]) -> Result<Self, &'static str> {
        Ok(match taken(saved)? {
            [UNKNOWN] => Self::Unknown,
            [EMPTY] => Self::Empty,
            [KNOWN] => Self::Known(LevelView {
                price: i64::from_le_bytes(taken(saved)?),
                quantity: u64::from_le_bytes(taken(saved)?),
                orders: u32::from_le_bytes(taken(saved)?),
            }),
            _ => return Err("a place of a book by price that is no place"),
        })
    }
}

/// Takes the first bytes away.
fn taken<const N: usize>(saved: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (taken, rest) = saved
        .split_first_chunk()
        .ok_or("the books by price are cut")?;
    *saved = rest;
    Ok(*taken)
}
