//! SIGKILL at random moments.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::check::Trial;
use super::child::{WriterProcess, reason, was_killed};
use super::life::{self, Fate};
use super::random::Random;
use super::setting::Setting;
use super::tally::Tally;
use crate::exit::Failure;

/// Kills `cuts` writers, one after the other, in `home`.
pub(super) fn run(
    setting: &Setting,
    home: &Path,
    lane: u64,
    cuts: u64,
    done: &AtomicU64,
) -> Result<Tally, Failure> {
    let home = life::home(home, lane);
    life::run(
        setting,
        (&home, &home),
        lane,
        cuts,
        done,
        |trial, random, tally| live(setting, trial, random, tally),
    )
}

/// One life. In one of four the time runs from its start, so that some die while they recover.
fn live(
    setting: &Setting,
    trial: &mut Trial,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<Fate, Failure> {
    let writer = WriterProcess::start(&trial.log, None, &[])?;
    let mut heard = Vec::new();
    let is_alive = random.below(4) == 0 || writer.listen(None, &mut heard);
    let deadline = Instant::now() + setting.delay(random);
    let is_alive = is_alive && writer.listen(Some(deadline), &mut heard);
    let status = writer.kill(&mut heard)?;
    trial.heard(&heard, &[], tally)?;
    if !is_alive || !was_killed(status) {
        trial.refused(&reason(&heard, status), tally);
        return Ok(Fate::Ended);
    }
    trial.check(tally)?;
    Ok(Fate::Cut)
}
