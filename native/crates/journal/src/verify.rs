//! Checks every byte of a log, in bounded memory, beside a living writer if there is one.

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::directory::{self, Listing, SegmentEntry, StateView};
use crate::error::{Class, JournalError, Problem};
use crate::format::{IndexEntry, State};
use crate::links;
use crate::recovery::{damage_problem, tail_problems, was_sealed};
use crate::retention;
use crate::tally::Tally;
use crate::walk::{End, Walk, walk};

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Segments checked.
    pub segments_done: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Bytes checked.
    pub bytes_done: u64,
    /// Bytes of the log; a segment being written counts with its allocation.
    pub bytes: u64,
}

/// Result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Segment files.
    pub segments: u64,
    /// Readable records.
    pub records: u64,
    /// Oldest sequence.
    pub first_seq: u64,
    /// Newest sequence; `first_seq - 1` when the log is empty.
    pub last_seq: u64,
    /// Highest sequence known to be synced.
    pub durable_seq: u64,
    /// Damage: first what headers, seals and STATE show, then by file and offset.
    pub problems: Vec<Problem>,
}

impl Report {
    /// True when nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks the links between segments, each block, each seal and the STATE file. `progress` is
/// called at least once per MiB.
///
/// Beside a living writer its newest block may be half written; that is no problem then. Without
/// one it is reported as a torn tail.
///
/// # Errors
///
/// [`JournalError::NotAJournal`] when the directory holds neither segments nor STATE,
/// [`JournalError::Io`] when the system refuses. Damage is no error but part of the report.
pub fn verify(
    dir: impl AsRef<Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, JournalError> {
    let dir = dir.as_ref();
    let Look {
        listing,
        state: view,
        problems,
    } = look(dir, || ())?;
    if listing.segments.is_empty() && listing.bad.is_empty() && !view.exists {
        return Err(JournalError::NotAJournal {
            dir: dir.to_owned(),
        });
    }
    let first_seq = listing
        .segments
        .first()
        .map_or(1, |first| first.header.base_seq);
    let mut report = Report {
        segments: (listing.segments.len() + listing.bad.len()) as u64,
        records: 0,
        first_seq,
        last_seq: first_seq - 1,
        durable_seq: view.current.map_or(0, |state| state.durable_seq),
        problems,
    };
    let mut done = Progress {
        segments: listing.segments.len() as u64,
        bytes: listing.segments.iter().map(|entry| entry.len).sum(),
        ..Progress::default()
    };
    for (index, entry) in listing.segments.iter().enumerate() {
        let bytes_before = done.bytes_done;
        let mut show = |position| {
            if bytes_before + position >= done.bytes_done + PROGRESS_STEP {
                done.bytes_done = bytes_before + position;
                progress(done);
            }
        };
        match listing.segments.get(index + 1) {
            None if entry.seal.is_none() => {
                check_open(dir, entry, view.current, &mut report, &mut show)?;
            }
            next => match walk_segment(entry, &mut show) {
                Ok((walk, tally)) => check_closed(entry, &walk, &tally, next, &mut report),
                Err(error) if error.is_not_found() && was_pruned(dir, entry)? => {
                    report.segments -= 1;
                    report.first_seq = next.map_or(first_seq, |next| next.header.base_seq);
                }
                Err(error) => return Err(error),
            },
        }
        done.segments_done += 1;
        done.bytes_done = bytes_before + entry.len;
        progress(done);
    }
    Ok(report)
}

/// What headers, seals and STATE show.
struct Look {
    listing: Listing,
    state: StateView,
    problems: Vec<Problem>,
}

/// Looks at a log beside a writer that goes on meanwhile; `between` runs in the middle, for tests.
fn look(dir: &Path, between: impl FnOnce()) -> Result<Look, JournalError> {
    let state = settled_state(dir)?;
    between();
    let listing = directory::list(dir)?;
    let behind = settled_state(dir)?;
    let problems = links::check_beside_writer(&listing, &state, &behind);
    Ok(Look {
        listing,
        state,
        problems,
    })
}

/// Whether retention has taken a segment since the log was listed.
fn was_pruned(dir: &Path, entry: &SegmentEntry) -> Result<bool, JournalError> {
    let view = retention::read_mark(dir)?;
    Ok(view
        .mark()
        .is_some_and(|mark| mark.segment >= entry.header.number))
}

fn walk_segment(
    entry: &SegmentEntry,
    show: &mut dyn FnMut(u64),
) -> Result<(Walk, Tally), JournalError> {
    let mut tally = Tally::new(entry.header.base_seq);
    let result = walk(entry, &mut |source, block| {
        tally.add_block(source, block);
        show(block.end());
    });
    let walk = result.map_err(|error| JournalError::io("cannot read", &entry.path, error))?;
    Ok((walk, tally))
}

/// Compares a closed segment with its seal.
fn check_closed(
    entry: &SegmentEntry,
    walk: &Walk,
    tally: &Tally,
    next: Option<&SegmentEntry>,
    report: &mut Report,
) {
    report.records += tally.totals.records;
    report.last_seq = walk.next_seq - 1;
    report.durable_seq = report.durable_seq.max(walk.durable_seq);
    let end_seq = entry
        .last_seq()
        .or_else(|| next.map(|next| next.header.prev_last_seq));
    for damage in &walk.damage {
        let mut problem = damage_problem(&entry.name, damage);
        let from = problem.from.unwrap_or(u64::MAX);
        problem.to = problem.to.or(end_seq.filter(|end_seq| *end_seq >= from));
        if problem.to.is_none() && end_seq.is_some() {
            problem.from = None;
        }
        report.problems.push(problem);
    }
    if let Some(last_seq) = entry.abandoned_at {
        check_abandoned(entry, walk, last_seq, report);
    }
    let Some(info) = &entry.seal else { return };
    report.last_seq = info.seal.totals.last_seq;
    report.durable_seq = report.durable_seq.max(report.last_seq);
    if !walk.damage.is_empty() {
        return;
    }
    if let Some((class, detail)) = seal_fault(entry, walk, tally) {
        report.problems.push(Problem {
            file: entry.name.clone(),
            offset: info.offset,
            class,
            from: None,
            to: None,
            detail,
        });
    }
}

/// What of a seal does not fit the blocks before it, which are whole.
pub(crate) fn seal_fault(
    entry: &SegmentEntry,
    walk: &Walk,
    tally: &Tally,
) -> Option<(Class, String)> {
    let info = entry.seal.as_ref()?;
    let reached = matches!(&walk.end, End::Seal { offset } if *offset == info.offset);
    if !reached {
        let detail = format!("the blocks end at {}, not at the seal", walk.data_end);
        return Some((Class::BadSeal, detail));
    }
    if walk.sha256 != info.seal.sha256 {
        let detail = "SHA-256 of the segment is not the one sealed".to_owned();
        return Some((Class::HashMismatch, detail));
    }
    let differs = tally.totals != info.seal.totals
        || IndexEntry::digest(&tally.index) != info.seal.index_digest;
    let detail = || "figures or index differ from the blocks".to_owned();
    differs.then(|| (Class::BadSeal, detail()))
}

/// An abandoned segment ends with a block, exactly where its successor says.
fn check_abandoned(entry: &SegmentEntry, walk: &Walk, last_seq: u64, report: &mut Report) {
    if walk.damage.is_empty() && walk.next_seq != last_seq + 1 {
        let seq = walk.next_seq - 1;
        report.problems.push(Problem {
            file: entry.name.clone(),
            offset: walk.data_end,
            class: Class::BrokenChain,
            from: None,
            to: None,
            detail: format!("a block ends at {seq}, the segment was abandoned at {last_seq}"),
        });
    }
    report.last_seq = last_seq;
}

/// Judges the last segment, which was not sealed when the log was listed.
///
/// What looks torn may be a writer at work, or one that has finished in the meantime. It is
/// believed when no writer lives and a second look finds the same.
fn check_open(
    dir: &Path,
    entry: &SegmentEntry,
    state: Option<State>,
    report: &mut Report,
    show: &mut dyn FnMut(u64),
) -> Result<(), JournalError> {
    let mut believed: Option<Vec<Problem>> = None;
    loop {
        let found = directory::open_segment(&entry.path, entry.name.clone())?;
        let entry = found.as_ref().map_or(entry, |now| now);
        let (walk, tally) = walk_segment(entry, show)?;
        if entry.seal.is_some() {
            check_closed(entry, &walk, &tally, None, report);
            return Ok(());
        }
        let durable_seq = report.durable_seq.max(walk.durable_seq);
        let was_sealed = state.is_some_and(|it| was_sealed(entry.header.base_seq, &walk, &it));
        let mut problems = tail_problems(&entry.name, &walk, durable_seq, was_sealed);
        let is_torn = |problem: &Problem| problem.class == Class::TornTail;
        if problems.iter().any(is_torn) {
            if directory::has_writer(dir)? {
                problems.retain(|problem| !is_torn(problem));
            } else if believed.as_ref() != Some(&problems) {
                believed = Some(problems);
                continue;
            }
        }
        report.records += tally.totals.records;
        report.last_seq = walk.next_seq - 1;
        report.durable_seq = durable_seq;
        report.problems.append(&mut problems);
        return Ok(());
    }
}

/// The STATE file; a slot that a living writer was just writing gets another look.
fn settled_state(dir: &Path) -> Result<StateView, JournalError> {
    let mut view = directory::read_state(dir)?;
    for _ in 0..STATE_LOOKS {
        if view.damaged_at.is_none() {
            break;
        }
        view = directory::read_state(dir)?;
    }
    Ok(view)
}

/// Bytes between two words of progress.
pub(crate) const PROGRESS_STEP: u64 = 1 << 20;
const STATE_LOOKS: u32 = 20;
