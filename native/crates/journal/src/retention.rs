//! Retention: the oldest segments go when the log is longer or older than it may be, and nobody
//! needs them.
//!
//! - What is needed: everything above the smallest acknowledged sequence of the [pins](crate::Pin),
//!   and the records from which the log's next writer continues the venue's stream. A reader whose
//!   backlog is beyond its own cap is passed, after its pin says so.
//! - Age is monotonic time since a segment was closed; no wall clock is looked at.
//! - A segment is read again before it goes. One that does not verify is never deleted: it is moved
//!   to `quarantine/` and counted.
//! - `RETENTION` says durably where the log begins before the first file goes.

mod mark;
mod planner;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::time::ClockId;

pub(crate) use self::mark::{Mark, MarkView, read as read_mark};
use self::planner::{Closed, Decision, Moment, ages, decide};
pub use self::planner::{Held, Limits};
use crate::directory::{self, DirectoryLock, Listing, RETENTION_LOCK, SegmentEntry};
use crate::disk::{Disk, RealDisk};
use crate::error::{JournalError, Problem};
use crate::failpoints::fp;
use crate::format::BlockHeader;
use crate::kind;
use crate::links;
use crate::pins::{self, Pin};
use crate::reader::Reader;
use crate::recovery::{boot_id, move_file};
use crate::scan;
use crate::segment::clock_ns;
use crate::tally::Tally;
use crate::verify;
use crate::walk::walk;

/// What a round of retention did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Files that were deleted.
    pub deleted: Vec<String>,
    /// Files that did not verify and are in `quarantine/` now.
    pub quarantined: Vec<String>,
    /// Bytes that left the log.
    pub bytes: u64,
    /// Oldest sequence that the log holds now.
    pub first_seq: u64,
    /// Clients whose pins were passed and are marked lost.
    pub lost: Vec<String>,
    /// Why the next segment stays although it is beyond the limits.
    pub held: Option<Held>,
    /// More may go at once: the round was to take no more.
    pub more: bool,
    /// Segments pruned since the log began, those of this round included.
    pub total_pruned: u64,
    /// Of these, set aside because they did not verify.
    pub total_quarantined: u64,
}

/// One round of retention. With `apply` false nothing is changed, and nothing is verified.
///
/// A living writer may go on beside it; another round, or a repair, may not. Nothing goes while the
/// log is damaged at its links: what is left may be needed.
///
/// # Errors
///
/// [`JournalError::Damaged`] when segments do not follow one another or a pin cannot be read,
/// [`JournalError::Locked`] beside another round, [`JournalError::Io`] when the system refuses.
pub fn prune(
    dir: impl AsRef<Path>,
    limits: &Limits,
    below_seq: Option<u64>,
    apply: bool,
) -> Result<Pruned, JournalError> {
    prune_watched(dir, limits, below_seq, apply, &mut |_, _| {})
}

/// As [`prune`]; `progress` gets the bytes that were verified, and all that are to be.
///
/// # Errors
///
/// As [`prune`].
pub fn prune_watched(
    dir: impl AsRef<Path>,
    limits: &Limits,
    below_seq: Option<u64>,
    apply: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Pruned, JournalError> {
    let round = Round::begin(dir.as_ref(), limits, below_seq, usize::MAX, now()?)?;
    match apply {
        true => round.verify(progress)?.finish(&RealDisk),
        false => Ok(round.planned()),
    }
}

/// As [`prune`], with at most `most` segments read and removed: a round that ends soon, however much
/// is to go. [`Pruned::more`] says that another one has something to do.
///
/// # Errors
///
/// As [`prune`].
pub fn prune_some(
    dir: impl AsRef<Path>,
    limits: &Limits,
    most: usize,
) -> Result<Pruned, JournalError> {
    Round::begin(dir.as_ref(), limits, None, most, now()?)?
        .verify(&mut |_, _| {})?
        .finish(&RealDisk)
}

/// As [`prune`], on a given disk at a given time.
#[cfg(test)]
pub(crate) fn prune_on(
    disk: &dyn Disk,
    dir: &Path,
    limits: &Limits,
    below_seq: Option<u64>,
    apply: bool,
    now: Moment,
) -> Result<Pruned, JournalError> {
    let round = Round::begin(dir, limits, below_seq, usize::MAX, now)?;
    match apply {
        true => round.verify(&mut |_, _| {})?.finish(disk),
        false => Ok(round.planned()),
    }
}

fn now() -> Result<Moment, JournalError> {
    Ok(Moment {
        boot_id: boot_id()?,
        mono_ns: clock_ns(ClockId::Monotonic),
    })
}

/// A round under way: begun, verified, finished.
struct Round {
    _lock: DirectoryLock,
    dir: PathBuf,
    outlook: Outlook,
    pins: Vec<Pin>,
    decision: Decision,
    mark: Option<Mark>,
    segments: Vec<SegmentEntry>,
    /// What an interrupted round left behind; it goes first.
    condemned: Vec<SegmentEntry>,
    /// There is more of it than this round was to take.
    more_condemned: bool,
    /// Of the condemned segments, then of those that the decision names.
    sound: Vec<bool>,
}

impl Round {
    /// Looks and decides.
    fn begin(
        dir: &Path,
        limits: &Limits,
        below_seq: Option<u64>,
        most: usize,
        now: Moment,
    ) -> Result<Self, JournalError> {
        let lock = DirectoryLock::take_named(dir, RETENTION_LOCK)?;
        let listing = directory::list(dir)?;
        if let Some(problem) = links::check_order(&listing).into_iter().next() {
            return Err(JournalError::Damaged(problem));
        }
        let pins = pins::read_pins(dir)?;
        let mark = listing.pruned.mark().copied();
        let Listing {
            segments,
            mut condemned,
            ..
        } = listing;
        let more_condemned = condemned.len() > most;
        condemned.truncate(most);
        let most = most - condemned.len();
        let mut outlook = Outlook::take(&segments, limits, below_seq, now)?;
        let mut decision = outlook.decide(&pins, most);
        if decision.prune > 0 {
            // Only now: it reads the newest segments.
            outlook.needed_seq = needed_by_writer(dir)?;
            decision = outlook.decide(&pins, most);
        }
        Ok(Self {
            _lock: lock,
            dir: dir.to_owned(),
            outlook,
            pins,
            decision,
            mark,
            segments,
            condemned,
            more_condemned,
            sound: Vec::new(),
        })
    }

    /// Reads what goes, which may take long.
    fn verify(mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Self, JournalError> {
        let leaving = &self.segments[..self.decision.prune];
        let leaving = || self.condemned.iter().chain(leaving);
        let (mut done, total) = (0, leaving().map(|entry| entry.len).sum());
        let mut sound = Vec::with_capacity(leaving().count());
        for entry in leaving() {
            progress(done, total);
            sound.push(is_sound(entry)?);
            done += entry.len;
        }
        progress(done, total);
        self.sound = sound;
        Ok(self)
    }

    /// What the round would do.
    fn planned(self) -> Pruned {
        let leaving = &self.segments[..self.decision.prune];
        Pruned {
            bytes: leaving.iter().map(|it| it.len).sum(),
            deleted: leaving.iter().map(|it| it.name.clone()).collect(),
            ..self.outcome()
        }
    }

    fn outcome(&self) -> Pruned {
        // The open segment always stays.
        let first = self.segments.get(self.decision.prune);
        let (pruned, quarantined) = self.mark.map_or((0, 0), |it| (it.pruned, it.quarantined));
        Pruned {
            first_seq: first.map_or(1, |it| it.header.base_seq),
            held: self.decision.held.clone(),
            lost: self.decision.lost.clone(),
            more: self.decision.more || self.more_condemned,
            total_pruned: pruned,
            total_quarantined: quarantined,
            ..Pruned::default()
        }
    }

    /// Removes what was verified and, by the pins as they are now, may still go.
    fn finish(mut self, disk: &dyn Disk) -> Result<Pruned, JournalError> {
        self.decide_again()?;
        let mut pruned = self.outcome();
        let count = self.decision.prune;
        if count > 0
            && let Some(first) = self.segments.get(count)
        {
            mark_lost(&self.dir, &self.pins, &self.decision.lost)?;
            let new = self.sound.iter().skip(self.condemned.len()).take(count);
            let bad = new.filter(|sound| !**sound).count();
            pruned.total_pruned += count as u64;
            pruned.total_quarantined += bad as u64;
            let mark = Mark {
                pruned: pruned.total_pruned,
                quarantined: pruned.total_quarantined,
                ..Mark::before(&first.header)
            };
            debug_assert!(self.mark.is_none_or(|it| it.segment <= mark.segment));
            mark.store(disk, &self.dir)?;
        }
        let leaving: Vec<&SegmentEntry> = self
            .condemned
            .iter()
            .chain(&self.segments[..count])
            .collect();
        remove(disk, &self.dir, &leaving, &self.sound, &mut pruned)?;
        Ok(pruned)
    }

    /// Pins may have been written or made while segments were read; none is overwritten with what it
    /// was before, and nothing goes that was not read.
    fn decide_again(&mut self) -> Result<(), JournalError> {
        let pins = pins::read_pins(&self.dir)?;
        if self.decision.prune > 0 && pins != self.pins {
            self.decision = self.outlook.decide(&pins, self.decision.prune);
            self.pins = pins;
        }
        Ok(())
    }
}

/// What a decision looks at beside the pins.
struct Outlook {
    closed: Vec<Closed>,
    open_bytes: u64,
    limits: Limits,
    needed_seq: Option<u64>,
}

impl Outlook {
    fn take(
        segments: &[SegmentEntry],
        limits: &Limits,
        below_seq: Option<u64>,
        now: Moment,
    ) -> Result<Self, JournalError> {
        let rest = segments.split_last().map_or(segments, |(_, rest)| rest);
        let mut moments = Vec::with_capacity(rest.len());
        for (at, entry) in rest.iter().enumerate() {
            moments.push(closing_moment(entry, &segments[at + 1..])?);
        }
        let ages = ages(&moments, now);
        let mut closed: Vec<Closed> = rest
            .iter()
            .zip(ages)
            .map(|(entry, age_ns)| Closed {
                last_seq: entry.last_seq().unwrap_or(u64::MAX),
                bytes: entry.len,
                age_ns,
            })
            .collect();
        let mut limits = *limits;
        // By hand: everything below a sequence is beyond the limits, whatever its size and age.
        if let Some(seq) = below_seq {
            closed.truncate(closed.partition_point(|it| it.last_seq < seq));
            limits.max_bytes = 1;
        }
        Ok(Self {
            closed,
            open_bytes: segments.last().map_or(0, |open| open.len),
            limits,
            needed_seq: None,
        })
    }

    fn decide(&self, pins: &[Pin], most: usize) -> Decision {
        let (open_bytes, needed_seq) = (self.open_bytes, self.needed_seq);
        decide(
            &self.closed,
            open_bytes,
            pins,
            &self.limits,
            needed_seq,
            most,
        )
    }
}

/// First sequence that rx needs to continue the venue's stream: its newest SESSION record, and the
/// newest packet.
fn needed_by_writer(dir: &Path) -> Result<Option<u64>, JournalError> {
    let reader = Reader::open(dir)?;
    let newest = |kind| -> Result<Option<u64>, JournalError> {
        Ok(reader.last_record_of_kind(kind)?.map(|record| record.seq))
    };
    let Some(session) = newest(kind::SESSION)? else {
        return Ok(None);
    };
    let data = newest(kind::DATA)?;
    Ok(Some(data.map_or(session, |data| data.min(session))))
}

/// When a segment was closed: the stamp of its SEAL block, of the clock of whoever sealed it. An
/// abandoned segment has none.
fn closing_moment(
    entry: &SegmentEntry,
    later: &[SegmentEntry],
) -> Result<Option<Moment>, JournalError> {
    let Some(info) = &entry.seal else {
        return Ok(None);
    };
    let sealed_by = info.seal.sealed_by_epoch;
    // A seal that recovery wrote is of the epoch that goes on behind it.
    let mut headers = std::iter::once(entry).chain(later).map(|it| &it.header);
    let Some(sealer) = headers.find(|header| header.writer_epoch == sealed_by) else {
        return Ok(None);
    };
    let failed = |error| JournalError::io("cannot read", &entry.path, error);
    let file = File::open(&entry.path).map_err(failed)?;
    let mut bytes = [0; BlockHeader::LEN];
    let read = scan::read_up_to(&file, &mut bytes, info.offset).map_err(failed)?;
    // The listing has parsed this block. If it cannot be parsed any more, the segment counts as no older
    // than the one behind it.
    let header = BlockHeader::parse(&bytes[..read]).ok();
    Ok(header.map(|header| Moment {
        boot_id: sealer.boot_id,
        mono_ns: header.last_mono_ns,
    }))
}

/// Whether a closed segment is what was closed, byte for byte.
fn is_sound(entry: &SegmentEntry) -> Result<bool, JournalError> {
    let mut tally = Tally::new(entry.header.base_seq);
    let walk = walk(entry, &mut |source, block| tally.add_block(source, block))
        .map_err(|error| JournalError::io("cannot read", &entry.path, error))?;
    Ok(walk.damage.is_empty()
        && entry.last_seq() == Some(walk.next_seq - 1)
        && verify::seal_fault(entry, &walk, &tally).is_none())
}

fn mark_lost(dir: &Path, pins: &[Pin], lost: &[String]) -> Result<(), JournalError> {
    for pin in pins.iter().filter(|pin| lost.contains(&pin.client)) {
        let pin = Pin {
            lost: true,
            ..pin.clone()
        };
        pins::write_pin(dir, &pin)?;
    }
    Ok(())
}

/// Oldest first, so that an interruption leaves the newer ones.
fn remove(
    disk: &dyn Disk,
    dir: &Path,
    leaving: &[&SegmentEntry],
    sound: &[bool],
    pruned: &mut Pruned,
) -> Result<(), JournalError> {
    for (entry, is_sound) in leaving.iter().zip(sound) {
        if *is_sound {
            fp!("retention.unlink.before");
            disk.remove(&entry.path)
                .map_err(|error| JournalError::io("cannot remove", &entry.path, error))?;
            fp!("retention.unlink.after");
            pruned.deleted.push(entry.name.clone());
        } else {
            move_file(disk, dir, &entry.name)?;
            pruned.quarantined.push(entry.name.clone());
        }
        pruned.bytes += entry.len;
    }
    if leaving.is_empty() {
        return Ok(());
    }
    disk.sync_dir(dir)
        .map_err(|error| JournalError::io("cannot sync", dir, error))?;
    fp!("retention.unlink.after_dir_sync");
    Ok(())
}

/// The problem of a RETENTION file that cannot be believed.
pub(crate) fn mark_problem(detail: &str) -> Problem {
    Problem {
        file: directory::RETENTION_FILE.into(),
        offset: 0,
        class: crate::error::Class::BadRetention,
        from: None,
        to: None,
        detail: detail.into(),
    }
}
