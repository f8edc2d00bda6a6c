//! Who is connected: so many in all, and so many of each name.

use std::collections::BTreeMap;

use crate::auth::ClientId;

/// Seats for subscribers. One identity cannot take those of others.
#[derive(Clone, Debug)]
pub struct Roster {
    max_total: usize,
    /// Seats taken, the anonymous under `None`.
    taken: BTreeMap<Option<ClientId>, usize>,
}

/// The answer to a request for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Taken; give it back with [`Roster::leave`].
    Taken,
    /// All seats are taken.
    Full,
    /// This identity has as many as it may.
    OverQuota,
}

impl Roster {
    /// So many seats.
    #[must_use]
    pub fn new(max_total: usize) -> Self {
        Self {
            max_total,
            taken: BTreeMap::new(),
        }
    }

    /// Asks for a seat of an identity that may have `quota` of them.
    pub fn enter(&mut self, name: Option<&ClientId>, quota: usize) -> Seat {
        let total = self.len();
        let own = self.taken.entry(name.cloned()).or_default();
        let seat = match (*own >= quota, total >= self.max_total) {
            (true, _) => Seat::OverQuota,
            (_, true) => Seat::Full,
            _ => {
                *own += 1;
                return Seat::Taken;
            }
        };
        self.taken.retain(|_, count| *count > 0);
        seat
    }

    /// Gives a seat back.
    ///
    /// # Panics
    ///
    /// When the identity has none.
    pub fn leave(&mut self, name: Option<&ClientId>) {
        let key = name.cloned();
        let own = self.taken.get_mut(&key).expect("a seat was taken");
        *own -= 1;
        if *own == 0 {
            self.taken.remove(&key);
        }
    }

    /// Seats taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.values().sum()
    }

    /// True when nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}
