//! Pins: what retention keeps for subscribers that are retained for.
//!
//! The thread that serves notes acknowledgements on a board; the main thread writes them, since a
//! pin is synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tickdeck_export::auth::ClientId;
use tickdeck_journal::{JournalError, Pin, read_pins, write_pin};
use tickdeck_net::clock::realtime_ns;

use super::admission::Admissions;

/// Newest acknowledgement of each retained subscriber that is not written yet.
#[derive(Clone, Debug, Default)]
pub(super) struct PinBoard(Arc<Mutex<BTreeMap<ClientId, u64>>>);

impl PinBoard {
    pub(super) fn acked(&self, name: &ClientId, seq: u64) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.insert(name.clone(), seq);
    }

    fn take(&self) -> BTreeMap<ClientId, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes pins.
pub(super) struct PinKeeper {
    pub(super) dir: PathBuf,
    pub(super) board: PinBoard,
    pub(super) admissions: Admissions,
}

impl PinKeeper {
    /// Writes what was acknowledged since the last call. What could not be written is tried again
    /// with the next acknowledgement; until then more is retained, not less.
    pub(super) fn write(&self) -> Result<(), JournalError> {
        let mut result = Ok(());
        for (name, acked_seq) in self.board.take() {
            let table = self.admissions.table(&name);
            let pin = Pin {
                client: name.to_string(),
                acked_seq,
                retain_max_bytes: table.map_or(0, |table| table.retain_max_bytes),
                retain_max_age_s: table.map_or(0, |table| table.retain_max_age_s),
                acked_ns: realtime_ns(),
                lost: false,
            };
            if let Err(error) = write_pin(&self.dir, &pin) {
                self.board
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(name)
                    .or_insert(acked_seq);
                result = Err(error);
            }
        }
        result
    }
}

/// Pins that were given up because their cap was reached, the book worker's aside.
pub(super) fn lost(dir: &Path) -> Result<u64, JournalError> {
    let pins = read_pins(dir)?;
    let lost = |pin: &&Pin| pin.lost && !pin.client.starts_with('@');
    Ok(pins.iter().filter(lost).count() as u64)
}
