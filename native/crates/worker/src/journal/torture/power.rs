//! Power cuts: the file system under the writer is shut down, then mounted again.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::check::Trial;
use super::child::{WriterProcess, reason};
use super::life::{self, Fate};
use super::random::Random;
use super::setting::Setting;
use super::tally::Tally;
use super::volume::{FileSystem, Switch, Volume};
use crate::exit::Failure;

/// Cuts the power `cuts` times on a volume of its own in `home`.
pub(super) fn run(
    setting: &Setting,
    file_system: FileSystem,
    home: &Path,
    lane: u64,
    cuts: u64,
    done: &AtomicU64,
) -> Result<Tally, Failure> {
    let home = life::home(home, lane).join(file_system.name());
    let volume = Volume::new(file_system, &home)?;
    let places = (volume.path(), home.as_path());
    life::run(setting, places, lane, cuts, done, |trial, random, tally| {
        live(setting, &volume, trial, random, tally)
    })
}

/// One life. Only what was heard *before* the switch is thrown counts: a sync that races with the
/// shutdown may succeed in vain.
fn live(
    setting: &Setting,
    volume: &Volume,
    trial: &mut Trial,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<Fate, Failure> {
    let switch = Switch::of(volume)?;
    let writer = WriterProcess::start(&trial.log, None, &[])?;
    let mut heard = Vec::new();
    let is_alive = random.below(4) == 0 || writer.listen(None, &mut heard);
    let deadline = Instant::now() + setting.delay(random);
    let is_alive = is_alive && writer.listen(Some(deadline), &mut heard);
    switch.cut()?;
    let mut late = Vec::new();
    let status = writer.kill(&mut late)?;
    trial.heard(&heard, &late, tally)?;
    if !is_alive {
        trial.refused(&reason(&heard, status), tally);
        return Ok(Fate::Ended);
    }
    volume.remount()?;
    trial.check(tally)?;
    Ok(Fate::Cut)
}
