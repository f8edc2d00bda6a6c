//! Books by price: the best levels of each side as the venue numbers them, without orders.
//!
//! A side is a row of places, as many as the instrument's depth. The venue changes a place by its
//! number: *new* shifts what is there and below down and cuts at the depth, *delete* shifts up,
//! *change* replaces. Each place is in one of three states:
//!
//! | State | Meaning |
//! |---|---|
//! | known | a level with price, quantity and orders |
//! | empty | there is no such level, and none below |
//! | unknown | nothing was said of it since the book was last doubted |
//!
//! So a book that is met in the middle of a session is neither invented nor thrown away: what an
//! entry says is kept at its place, the rest stays unknown until entries have said that too, and
//! what is unknown is never shown as empty. Readers get the levels above the first unknown place.
//! An entry that contradicts what is known (a price out of order, a change of an empty place) is
//! a fault; everything else of that side is then unknown.

use serde::Serialize;
use thiserror::Error;

use crate::hash::mix;
use crate::trust::Doubt;
use crate::types::{LevelView, Side, Symbol};

mod directory;
mod saved;

pub use directory::{PriceBooks, PriceCounters};

/// Levels of a side where no definition says how many.
pub const DEFAULT_DEPTH: usize = 10;

/// Levels of a side of an implied book where no definition says how many.
pub const DEFAULT_IMPLIED_DEPTH: usize = 2;

/// One of the two books that an instrument has beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of orders in the instrument.
    Real,
    /// Of orders in other instruments.
    Implied,
}

/// A change of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelChange {
    /// A level is inserted.
    New(LevelView),
    /// A level is replaced.
    Change(LevelView),
    /// A level goes; the price that it had, when the venue says it.
    Delete(Option<i64>),
}

/// An entry contradicts what is known; the side is unknown now, but for what the entry said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("place {place} of a side of {depth} does not fit the entry")]
pub struct Contradiction {
    /// The place, from 1.
    pub place: usize,
    /// Places of the side.
    pub depth: usize,
}

/// The books by price of one instrument.
#[derive(Clone, Debug)]
pub struct PriceBook {
    pub(crate) instrument: i64,
    pub(crate) symbol: Symbol,
    /// The group that trades together.
    pub(crate) group: Symbol,
    pub(crate) is_defined: bool,
    /// Trading status of the venue; 255 before the first.
    pub(crate) trading_status: u8,
    pub(crate) doubt: Option<Doubt>,
    /// Bids, asks, implied bids, implied asks.
    sides: [Places; 4],
}

/// The places of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places(Vec<Place>);

/// What is known of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Unknown,
    Empty,
    Known(LevelView),
}

impl PriceBook {
    /// A book of which nothing is known, or of which it is known that it is empty.
    pub(crate) fn new(instrument: i64, is_empty: bool) -> Self {
        let place = if is_empty {
            Place::Empty
        } else {
            Place::Unknown
        };
        let real = Places(vec![place; DEFAULT_DEPTH]);
        let implied = Places(vec![place; DEFAULT_IMPLIED_DEPTH]);
        Self {
            instrument,
            symbol: Symbol::from_number(instrument),
            group: Symbol::from_padded(b""),
            is_defined: false,
            trading_status: NO_STATUS,
            doubt: None,
            sides: [real.clone(), real, implied.clone(), implied],
        }
    }

    /// The venue's number of the instrument.
    pub fn instrument(&self) -> i64 {
        self.instrument
    }

    /// The instrument's name; its number where no definition came.
    pub fn symbol(&self) -> Symbol {
        self.symbol
    }

    /// Whether a definition came.
    pub fn is_defined(&self) -> bool {
        self.is_defined
    }

    /// Trading status of the venue (CME: SecurityTradingStatus), once known.
    pub fn trading_status(&self) -> Option<u8> {
        (self.trading_status != NO_STATUS).then_some(self.trading_status)
    }

    /// The doubt about this book alone, whatever holds for its channel.
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// Levels that a side can have.
    pub fn depth(&self, kind: Kind) -> usize {
        self.places(kind, Side::Bid).0.len()
    }

    /// The best levels of a side, best first, up to the first place that is unknown.
    pub fn levels(&self, kind: Kind, side: Side) -> impl Iterator<Item = LevelView> {
        self.places(kind, side)
            .0
            .iter()
            .map_while(|place| place.known())
    }

    /// Every level that is known, with its place from 1.
    pub fn known(&self, kind: Kind, side: Side) -> impl Iterator<Item = (usize, LevelView)> {
        let places = (1..).zip(&self.places(kind, side).0);
        places.filter_map(|(place, level)| Some((place, level.known()?)))
    }

    /// Places of a side of which nothing is known.
    pub fn unknown(&self, kind: Kind, side: Side) -> usize {
        let places = self.places(kind, side).0.iter();
        places.filter(|place| **place == Place::Unknown).count()
    }

    /// The best level of a side.
    pub fn best(&self, kind: Kind, side: Side) -> Option<LevelView> {
        self.levels(kind, side).next()
    }

    /// Whether the best bid is at or above the best ask: locked or crossed.
    pub fn is_crossed(&self, kind: Kind) -> bool {
        match (self.best(kind, Side::Bid), self.best(kind, Side::Ask)) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// Whether nothing was said of it but a definition.
    pub(crate) fn is_untouched(&self) -> bool {
        let mut places = self.sides.iter().flat_map(|places| &places.0);
        self.doubt.is_none() && places.all(|place| *place == Place::Unknown)
    }

    /// A hash of the levels of both books, by their places.
    pub fn state_hash(&self) -> u64 {
        let mut hash = 0;
        for places in &self.sides {
            for place in &places.0 {
                let (price, quantity, orders) = match place {
                    Place::Unknown => (-1, 0, 1),
                    Place::Empty => (0, 0, 0),
                    Place::Known(level) => (level.price, level.quantity, level.orders),
                };
                hash = mix(hash ^ mix(price.cast_unsigned()));
                hash = mix(mix(hash ^ quantity) ^ u64::from(orders));
            }
        }
        hash
    }

    /// Applies a change of the place with this number, from 1.
    #[inline]
    pub(crate) fn apply(
        &mut self,
        kind: Kind,
        side: Side,
        place: usize,
        change: LevelChange,
    ) -> Result<(), Contradiction> {
        self.places_mut(kind, side).apply(side, place, change)
    }

    /// Forgets a side.
    pub(crate) fn forget_side(&mut self, kind: Kind, side: Side) {
        self.places_mut(kind, side).0.fill(Place::Unknown);
    }

    /// Nothing is known of it any more.
    pub(crate) fn forget(&mut self) {
        self.fill(Place::Unknown);
    }

    /// It has no level.
    pub(crate) fn clear(&mut self) {
        self.fill(Place::Empty);
    }

    /// Takes the depths of a definition. Places that are new are unknown, unless there was none
    /// below the last.
    pub(crate) fn set_depths(&mut self, real: usize, implied: usize) {
        for (places, depth) in self.sides.iter_mut().zip([real, real, implied, implied]) {
            let below = match places.0.last() {
                Some(Place::Empty) => Place::Empty,
                _ => Place::Unknown,
            };
            places.0.resize(depth, below);
        }
    }

    /// What must hold: known prices get worse from place to place, quantities are positive, nothing
    /// is below an empty place.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        for (index, places) in self.sides.iter().enumerate() {
            let side = if index % 2 == 0 { Side::Bid } else { Side::Ask };
            places.check(side)?;
        }
        Ok(())
    }

    fn fill(&mut self, place: Place) {
        self.sides
            .iter_mut()
            .for_each(|places| places.0.fill(place));
    }

    fn places(&self, kind: Kind, side: Side) -> &Places {
        &self.sides[index_of(kind, side)]
    }

    fn places_mut(&mut self, kind: Kind, side: Side) -> &mut Places {
        &mut self.sides[index_of(kind, side)]
    }
}

impl Places {
    fn apply(
        &mut self,
        side: Side,
        place: usize,
        change: LevelChange,
    ) -> Result<(), Contradiction> {
        let depth = self.0.len();
        let contradiction = Contradiction { place, depth };
        let Some(index) = place.checked_sub(1).filter(|index| *index < depth) else {
            self.0.fill(Place::Unknown);
            return Err(contradiction);
        };
        let fits = match change {
            LevelChange::New(level) => {
                let fits = index == 0 || self.0[index - 1] != Place::Empty;
                self.0[index..].rotate_right(1);
                self.0[index] = Place::Known(level);
                fits && self.is_in_order(side, index, level.price)
            }
            LevelChange::Change(level) => {
                let fits = self.0[index].may_have(level.price);
                self.0[index] = Place::Known(level);
                fits && self.is_in_order(side, index, level.price)
            }
            LevelChange::Delete(price) => {
                let fits = price.map_or(self.0[index] != Place::Empty, |price| {
                    self.0[index].may_have(price)
                });
                self.0[index..].rotate_left(1);
                self.0[depth - 1] = Place::Empty;
                fits
            }
        };
        if fits {
            return Ok(());
        }
        let said = self.0[index];
        self.0.fill(Place::Unknown);
        if !matches!(change, LevelChange::Delete(_)) {
            self.0[index] = said;
        }
        Err(contradiction)
    }

    /// Whether a price at this place is worse than the nearest known above and better than the
    /// nearest known below.
    fn is_in_order(&self, side: Side, index: usize, price: i64) -> bool {
        let key = |place: &Place| place.known().map(|level| side.key(level.price));
        let above = self.0[..index].iter().rev().find_map(key);
        let below = self.0[index + 1..].iter().find_map(key);
        let own = side.key(price);
        above.is_none_or(|above| above > own) && below.is_none_or(|below| below < own)
    }

    fn check(&self, side: Side) -> Result<(), &'static str> {
        let mut last = None;
        let mut is_ended = false;
        for place in &self.0 {
            if is_ended && *place != Place::Empty {
                return Err("a level below an empty place");
            }
            is_ended = *place == Place::Empty;
            let Some(level) = place.known() else {
                continue;
            };
            if level.quantity == 0 {
                return Err("a level of no quantity");
            }
            let key = side.key(level.price);
            if last.is_some_and(|last| last <= key) {
                return Err("levels are not sorted");
            }
            last = Some(key);
        }
        Ok(())
    }
}

impl Place {
    fn known(&self) -> Option<LevelView> {
        match self {
            Place::Known(level) => Some(*level),
            Place::Unknown | Place::Empty => None,
        }
    }

    /// Whether a level of this price may stand here.
    fn may_have(&self, price: i64) -> bool {
        match self {
            Place::Unknown => true,
            Place::Empty => false,
            Place::Known(level) => level.price == price,
        }
    }
}

/// Trading status before the first.
const NO_STATUS: u8 = 255;

fn index_of(kind: Kind, side: Side) -> usize {
    let first = match kind {
        Kind::Real => 0,
        Kind::Implied => 2,
    };
    first + side.index()
}

#[cfg(test)]
mod tests;
