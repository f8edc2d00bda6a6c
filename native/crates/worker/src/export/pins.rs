//! Pins: what retention keeps for subscribers that are retained for.
//!
//! The thread that serves notes subscriptions and acknowledgements on a board; the main thread
//! writes them, since a pin is synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tickdeck_export::auth::ClientId;
use tickdeck_journal::{JournalError, Pin, read_pins, write_pin};
use tickdeck_net::clock::realtime_ns;

use super::admission::Admissions;

/// What each retained subscriber needs no longer, as far as it is not written yet.
#[derive(Clone, Debug, Default)]
pub(super) struct PinBoard(Arc<Mutex<BTreeMap<ClientId, Note>>>);

/// The sequence that a subscriber needs nothing up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    /// It goes on behind it. That lowers a pin and never raises one: it has acknowledged nothing.
    Begun(u64),
    Acked(u64),
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
        let mut notes = self.notes();
        // What was acknowledged on the connection before still counts.
        if notes.get(name).is_none_or(|note| note.seq() > seq) {
            notes.insert(name.clone(), Note::Begun(seq));
        }
    }

    pub(super) fn acked(&self, name: &ClientId, seq: u64) {
        self.notes().insert(name.clone(), Note::Acked(seq));
    }

    /// Whether the pin of a new subscription waits to be written.
    pub(super) fn has_begun(&self) -> bool {
        let is_begun = |note: &Note| matches!(note, Note::Begun(_));
        self.notes().values().any(is_begun)
    }

    fn take(&self) -> BTreeMap<ClientId, Note> {
        std::mem::take(&mut *self.notes())
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<ClientId, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes pins.
pub(super) struct PinKeeper {
    pub(super) dir: PathBuf,
    pub(super) board: PinBoard,
    pub(super) admissions: Admissions,
}

impl PinKeeper {
    /// Writes what was noted since the last call. What could not be written is tried again with the
    /// next call; until then the pin before holds.
    pub(super) fn write(&self) -> Result<(), JournalError> {
        let mut result = Ok(());
        for (name, note) in self.board.take() {
            if let Err(error) = self.write_one(&name, note) {
                self.board.notes().entry(name).or_insert(note);
                result = Err(error);
            }
        }
        result
    }

    fn write_one(&self, name: &ClientId, note: Note) -> Result<(), JournalError> {
        if let Note::Begun(seq) = note {
            let pins = read_pins(&self.dir)?;
            let holds =
                |pin: &Pin| pin.client == name.as_str() && !pin.lost && pin.acked_seq <= seq;
            if pins.iter().any(holds) {
                return Ok(());
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
        write_pin(&self.dir, &pin)
    }
}

/// Pins that were given up because their cap was reached, the book worker's aside.
pub(super) fn lost(dir: &Path) -> Result<u64, JournalError> {
    let pins = read_pins(dir)?;
    let lost = |pin: &&Pin| pin.lost && !pin.client.starts_with('@');
    Ok(pins.iter().filter(lost).count() as u64)
}
