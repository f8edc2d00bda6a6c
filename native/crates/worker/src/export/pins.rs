//! Pins: what retention keeps for subscribers that are retained for.
//!
//! The thread that serves notes subscriptions and acknowledgements on a board, of each subscriber the
//! newest only; a thread of its own writes them, since a pin is synced and a disk may hang. An
//! acknowledgement is called kept once its pin is durable, and the board knows for how long the
//! oldest note has waited for that.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tickdeck_export::auth::ClientId;
use tickdeck_journal::{JournalError, Pin, read_pins, write_pin};
use tickdeck_net::clock::realtime_ns;

use super::admission::Admissions;
use super::metrics::PinMetrics;
use crate::exit::Failure;

/// Time between two rounds of writing; a subscription that begins is not made to wait.
const ROUND: Duration = Duration::from_secs(1);

/// What each retained subscriber needs no longer, and how much of that is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct PinBoard(Arc<Board>);

#[derive(Debug, Default)]
struct Board {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Not taken by the writer yet.
    notes: BTreeMap<ClientId, Noted>,
    /// In the writer's hands: the oldest of these times.
    writing_since: Option<Instant>,
    /// Durable.
    kept: BTreeMap<ClientId, u64>,
    is_over: bool,
}

/// The sequence that a subscriber needs nothing up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    /// It goes on behind it. That lowers a pin and never raises one: it has acknowledged nothing.
    Begun(u64),
    Acked(u64),
}

/// A note, and since when this subscriber has waited.
#[derive(Clone, Copy, Debug)]
struct Noted {
    note: Note,
    since: Instant,
}

impl Note {
    fn seq(self) -> u64 {
        match self {
            Self::Begun(seq) | Self::Acked(seq) => seq,
        }
    }
}

impl PinBoard {
    /// A subscription begins behind `seq`: from here on the log is retained for it.
    pub(super) fn begun(&self, name: &ClientId, seq: u64) {
        let mut state = self.state();
        // What was acknowledged on the connection before still counts.
        let is_lower = |noted: &Noted| noted.note.seq() > seq;
        if state.notes.get(name).is_none_or(is_lower) {
            state.put(name, Note::Begun(seq));
            self.0.bell.notify_one();
        }
    }

    pub(super) fn acked(&self, name: &ClientId, seq: u64) {
        self.state().put(name, Note::Acked(seq));
    }

    /// What retention is known to keep for a subscriber lies behind this sequence.
    pub(super) fn kept(&self, name: &ClientId) -> Option<u64> {
        self.state().kept.get(name).copied()
    }

    /// For how long the oldest note has waited to become durable.
    pub(super) fn lag(&self) -> Duration {
        let state = self.state();
        let waiting = state.notes.values().map(|noted| noted.since);
        let oldest = waiting.chain(state.writing_since).min();
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Nothing more will be noted: the writer ends after one last round.
    pub(super) fn close(&self) {
        self.state().is_over = true;
        self.0.bell.notify_one();
    }

    /// Takes what was noted: at `due`, or as soon as a subscription has begun, but not before
    /// `least`. True: it is the last time.
    fn take(&self, least: Instant, due: Instant) -> (BTreeMap<ClientId, Noted>, bool) {
        let is_begun = |noted: &Noted| matches!(noted.note, Note::Begun(_));
        let mut state = self.state();
        loop {
            let at = match state.notes.values().any(is_begun) {
                true => least,
                false => due,
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_over {
                state.writing_since = state.notes.values().map(|noted| noted.since).min();
                return (std::mem::take(&mut state.notes), state.is_over);
            }
            let woken = self.0.bell.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, name: &ClientId, note: Note) {
        let since = self.notes.get(name).map(|noted| noted.since);
        let since = since.unwrap_or_else(Instant::now);
        self.notes.insert(name.clone(), Noted { note, since });
    }
}

/// Where pins are kept.
pub(super) trait PinStore: Send {
    fn read(&self) -> Result<Vec<Pin>, JournalError>;
    /// Durable when it returns.
    fn write(&self, pin: &Pin) -> Result<(), JournalError>;
}

/// The journal's directory.
#[derive(Debug)]
pub(super) struct DiskPins(pub(super) PathBuf);

impl PinStore for DiskPins {
    fn read(&self) -> Result<Vec<Pin>, JournalError> {
        read_pins(&self.0)
    }

    fn write(&self, pin: &Pin) -> Result<(), JournalError> {
        write_pin(&self.0, pin)
    }
}

/// The thread that writes pins.
pub(super) struct PinWriter<S> {
    pub(super) store: S,
    pub(super) board: PinBoard,
    pub(super) admissions: Admissions,
    pub(super) metrics: PinMetrics,
}

impl<S: PinStore> PinWriter<S> {
    /// Writes what was noted each second, and once more when the board is closed. What could not be
    /// written is tried again in the next round; until then the pin before holds.
    pub(super) fn run(self) -> Result<(), Failure> {
        let (mut least, mut due) = (Instant::now(), Instant::now());
        loop {
            let (notes, is_last) = self.board.take(least, due);
            let result = self.write(notes);
            let is_good = result.is_ok();
            if let Err(error) = result {
                if is_last {
                    return Err(Failure::failed(format!("last pins: {error}")));
                }
                self.metrics.failures.add(1);
                tracing::error!(%error, "a pin is not written; the one before stays until it is");
            }
            if is_last {
                return Ok(());
            }
            self.count_lost();
            due = Instant::now() + ROUND;
            least = if is_good { Instant::now() } else { due };
        }
    }

    fn write(&self, notes: BTreeMap<ClientId, Noted>) -> Result<(), JournalError> {
        let mut result = Ok(());
        for (name, noted) in notes {
            let written = self.write_one(&name, noted.note);
            let mut state = self.board.state();
            match written {
                Ok(kept) => {
                    state.kept.insert(name, kept);
                }
                Err(error) => {
                    // A newer note stays; it has waited as long as this one.
                    state
                        .notes
                        .entry(name)
                        .and_modify(|newer| newer.since = noted.since)
                        .or_insert(noted);
                    result = Err(error);
                }
            }
        }
        self.board.state().writing_since = None;
        result
    }

    /// Gives the sequence that is durable then.
    fn write_one(&self, name: &ClientId, note: Note) -> Result<u64, JournalError> {
        if let Note::Begun(seq) = note {
            let pins = self.store.read()?;
            let holds =
                |pin: &&Pin| pin.client == name.as_str() && !pin.lost && pin.acked_seq <= seq;
            if let Some(pin) = pins.iter().find(holds) {
                return Ok(pin.acked_seq);
            }
        }
        let table = self.admissions.table(name);
        let pin = Pin {
            client: name.to_string(),
            acked_seq: note.seq(),
            retain_max_bytes: table.map_or(0, |table| table.retain_max_bytes),
            retain_max_age_s: table.map_or(0, |table| table.retain_max_age_s),
            acked_ns: realtime_ns(),
            lost: false,
        };
        self.store.write(&pin)?;
        Ok(pin.acked_seq)
    }

    /// Pins that were given up because their cap was reached, the book worker's aside: nothing is kept
    /// for them.
    fn count_lost(&self) {
        match self.store.read() {
            Ok(pins) => {
                let is_lost = |pin: &&Pin| pin.lost && !pin.client.starts_with('@');
                let lost: BTreeSet<_> = pins
                    .iter()
                    .filter(is_lost)
                    .map(|pin| &*pin.client)
                    .collect();
                self.metrics.lost.set(lost.len() as u64);
                let mut state = self.board.state();
                state.kept.retain(|name, _| !lost.contains(name.as_str()));
            }
            Err(error) => tracing::warn!(%error, "pins cannot be read"),
        }
    }
}
