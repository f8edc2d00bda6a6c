//! Logs one after the other, each for some lives.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::check::Trial;
use super::random::{Random, mix};
use super::setting::Setting;
use super::tally::Tally;
use crate::exit::Failure;

/// What a life of a writer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was ended from outside.
    Cut,
    /// It ended by itself, which it must not.
    Ended,
}

/// Lives through `cuts` lives, in logs below `logs`, with the oracles in `oracles`.
pub(super) fn run(
    setting: &Setting,
    (logs, oracles): (&Path, &Path),
    lane: u64,
    cuts: u64,
    done: &AtomicU64,
    mut live: impl FnMut(&mut Trial, &mut Random, &mut Tally) -> Result<Fate, Failure>,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut random = Random::new(mix(setting.seed, lane << 32));
    let mut number = lane << 32;
    while tally.cuts < cuts && tally.failures.is_empty() {
        number += 1;
        let mut trial = Trial::new(setting.log(logs, number), oracles)?;
        tally.logs += 1;
        let lives = (cuts - tally.cuts).min(LIVES);
        for _ in 0..lives {
            let fate = live(&mut trial, &mut random, &mut tally)?;
            done.fetch_add(1, Ordering::Relaxed);
            tally.cuts += 1;
            if fate == Fate::Ended || !tally.failures.is_empty() || trial.bytes()? > LOG_BYTES {
                break;
            }
        }
        if tally.refused == 0 {
            trial.finish(&mut tally)?;
        }
        if tally.failures.is_empty() {
            trial.remove()?;
        }
    }
    Ok(tally)
}

/// The folder of a lane.
pub(super) fn home(home: &Path, lane: u64) -> PathBuf {
    home.join(format!("lane-{lane}"))
}

/// Lives of a log: the more, the longer it takes to read it.
const LIVES: u64 = 40;
/// Size at which a log is given up for the next one.
const LOG_BYTES: u64 = 12 << 20;
