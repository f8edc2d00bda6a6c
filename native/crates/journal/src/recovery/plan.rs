//! Which part of a log is kept, where it is cut, what is set aside, and where sequences go on.
//!
//! A plan changes nothing. For a whole log it keeps everything; for a torn tail it cuts that; for
//! damage it keeps what lies before the first bad place, which only the modes that may repair carry
//! out.
//!
//! Sequences go on behind everything that is known to have been given out: what STATE calls synced,
//! what any segment of this log, kept or not, says of itself, and what readers have acknowledged. So
//! no reader ever meets two records of one number.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Action, Look};
use crate::directory::{self, BadSegment, Listing, SegmentEntry, StateView};
use crate::disk::Disk;
use crate::error::{Class, JournalError, Problem};
use crate::format::{BlockHeader, MAX_BLOCK_PAYLOAD, RecordHeader};
use crate::links;
use crate::pins;
use crate::retention::MarkView;
use crate::salvage;
use crate::segment::Predecessor;
use crate::tally::Tally;
use crate::verify;
use crate::walk::{End, Walk, walk};

/// The last kept segment ends here and must be sealed.
#[derive(Debug)]
pub(crate) struct OpenEnd {
    /// Where its last kept block ends.
    pub(crate) data_end: u64,
    /// Bytes behind, to be copied into quarantine; `None` when nothing is cut.
    pub(crate) cut: Option<Cut>,
}

/// Bytes that leave the last kept segment.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) bytes: u64,
    pub(crate) class: Class,
    /// Last sequence known to have been in them.
    pub(crate) to: Option<u64>,
}

/// A file that leaves the log.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) class: Class,
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
}

impl Cut {
    /// The change, of this segment that is kept up to `end`.
    pub(crate) fn action(&self, last: &SegmentEntry, end: &OpenEnd, next_seq: u64) -> Action {
        let action = match self.class {
            Class::TornTail => "cut_torn_tail",
            _ => "cut",
        };
        Action {
            class: Some(self.class),
            from: Some(next_seq),
            to: self.to,
            ..Action::new(&last.name, end.data_end, self.bytes, action)
        }
    }
}

impl Aside {
    pub(crate) fn action(&self) -> Action {
        Action {
            class: Some(self.class),
            from: self.from,
            to: self.to,
            ..Action::new(&self.name, 0, self.bytes, "quarantined")
        }
    }
}

/// What is kept of a log.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) log_id: Option<[u8; 16]>,
    pub(crate) keep: Vec<SegmentEntry>,
    /// Present when the last kept segment is not sealed, or its seal goes.
    pub(crate) end: Option<OpenEnd>,
    pub(crate) aside: Vec<Aside>,
    /// Sequence behind the last kept record.
    pub(crate) next_seq: u64,
    /// Sequence behind everything that is known to have been given out.
    pub(crate) resume_seq: u64,
    /// Walk of the last segment of the whole listing when it was left unsealed.
    pub(crate) tail: Option<Walk>,
    /// What the first segment of the log continues.
    pub(crate) beginning: Predecessor,
    /// The RETENTION file cannot be read.
    pub(crate) mark_is_bad: bool,
    /// Where sequences would go on is not to be believed, so nothing of this is done.
    pub(crate) doubt: Option<Problem>,
}

impl Plan {
    /// Number of the newest segment that is kept, or else was pruned.
    pub(crate) fn newest(&self) -> u64 {
        let last = self.keep.last();
        last.map_or(self.beginning.number, |last| last.header.number)
    }

    /// True when more than a torn tail leaves the log.
    pub(crate) fn is_repair(&self) -> bool {
        let cuts = |end: &OpenEnd| {
            end.cut
                .as_ref()
                .is_some_and(|cut| cut.class != Class::TornTail)
        };
        !self.aside.is_empty()
            || self.mark_is_bad
            || self.resume_seq > self.next_seq
            || self.end.as_ref().is_some_and(cuts)
    }
}

/// Makes the plan for a listing. `noted_seq` comes from a repair that was interrupted.
pub(crate) fn make(
    disk: &dyn Disk,
    dir: &Path,
    listing: Listing,
    view: &StateView,
    noted_seq: Option<u64>,
    look: &mut Look<'_>,
) -> Result<Plan, JournalError> {
    let log_id = links::log_id(&listing, view);
    let mut tail = match listing.segments.last() {
        Some(last) if last.seal.is_none() => Some(walk_device(disk, last, look)?),
        _ => None,
    };
    // Without a segment there is no tail that would have a name.
    let last = listing.segments.last();
    let tail_name = last.map_or_else(String::new, |last| last.name.clone());
    let mut given = Given::of_state(dir, view)?;
    for entry in &listing.segments {
        given.note_entry(entry, log_id);
    }
    let Listing {
        segments,
        bad,
        pruned,
        ..
    } = listing;
    let beginning = beginning(&pruned);
    given.note(beginning.last_seq);
    let mut aside = Vec::new();
    set_bad_aside(dir, bad, log_id, &mut aside, &mut given)?;
    let mut keep = members(segments, log_id, &mut aside);
    let sound = links::sound_prefix(&keep, &pruned);
    set_rest_aside(
        &mut keep,
        sound,
        Class::SegmentChain,
        &mut aside,
        &mut given,
    )?;
    let mut end = None;
    let trusted = if look.is_deep() {
        0
    } else {
        keep.len() - usize::from(has_unproven_seal(disk, &mut keep, view, look)?)
    };
    if let Some((at, found)) = first_unsound(&keep[trusted..], look)? {
        let at = trusted + at;
        set_rest_aside(
            &mut keep,
            at + 1,
            Class::SegmentChain,
            &mut aside,
            &mut given,
        )?;
        given.note_walk(&keep[at], &found.walk);
        end = Some(found.end(&keep[at]));
    }
    if end.is_none()
        && let Some(last) = keep.last().filter(|last| last.seal.is_none())
    {
        let walk = match &tail {
            Some(walk) if last.name == tail_name => walk.clone(),
            _ => walk_device(disk, last, look)?,
        };
        let durable_seq = given.durable_seq.max(walk.durable_seq);
        given.note_walk(last, &walk);
        end = Some(open_end(last, &walk, durable_seq, aside.is_empty()));
        if last.name == tail_name {
            // Also when it seemed to be sealed, and was not on the device.
            tail = Some(walk);
        }
    }
    let next_seq = match (&end, keep.last()) {
        (Some((_, next_seq)), _) => *next_seq,
        (None, Some(last)) => last.header.base_seq.max(seal_end(last) + 1),
        (None, None) => beginning.last_seq + 1,
    };
    let end = end.map(|(end, _)| end);
    let mut plan = Plan {
        log_id,
        keep,
        end,
        aside,
        next_seq,
        resume_seq: next_seq,
        tail,
        beginning,
        mark_is_bad: matches!(pruned, MarkView::Damaged(_)),
        doubt: given.doubt,
    };
    if plan.is_repair() || given.durable_seq >= next_seq || noted_seq.is_some() {
        let known = given.highest.max(given.durable_seq).saturating_add(1);
        plan.resume_seq = next_seq.max(known).max(noted_seq.unwrap_or(0));
    }
    Ok(plan)
}

/// Reads an unsealed segment from the device: after a failed sync the kernel keeps pages that look
/// written and are not.
pub(crate) fn walk_device(
    disk: &dyn Disk,
    last: &SegmentEntry,
    look: &mut Look<'_>,
) -> Result<Walk, JournalError> {
    let failed = |context| move |error| JournalError::io(context, &last.path, error);
    let file = disk.open(&last.path).map_err(failed("cannot open"))?;
    file.sync_data().map_err(failed("cannot sync"))?;
    file.evict()
        .map_err(failed("cannot drop cached pages of"))?;
    look.walk(last, &mut |_, _| {})
        .map_err(failed("cannot read"))
}

/// What was pruned, as the forerunner of the first segment.
fn beginning(pruned: &MarkView) -> Predecessor {
    let mark = pruned.mark();
    Predecessor {
        number: mark.map_or(0, |mark| mark.segment),
        last_seq: mark.map_or(0, |mark| mark.last_seq),
        seal_hash: mark.map_or([0; 32], |mark| mark.closing_hash),
        abandoned: false,
    }
}

/// What is known of the sequences given out.
struct Given {
    highest: u64,
    /// Synced according to STATE.
    durable_seq: u64,
    /// A claim that was not counted.
    doubt: Option<Problem>,
}

impl Given {
    fn of_state(dir: &Path, view: &StateView) -> Result<Self, JournalError> {
        // Without a STATE nothing is known of it: all zero.
        let state = view.current.unwrap_or_default();
        // A pin that cannot be read tells nothing; retention complains about it.
        let acked = match pins::read_pins(dir) {
            Ok(pins) => pins.iter().map(|pin| pin.acked_seq).max().unwrap_or(0),
            Err(JournalError::Damaged(_)) => 0,
            Err(error) => return Err(error),
        };
        Ok(Self {
            highest: acked.max(state.last_sealed_seq),
            durable_seq: state.durable_seq,
            doubt: None,
        })
    }

    fn note(&mut self, seq: u64) {
        self.highest = self.highest.max(seq);
    }

    fn note_entry(&mut self, entry: &SegmentEntry, log_id: Option<[u8; 16]>) {
        if Some(entry.header.log_id) == log_id {
            self.note(entry.header.base_seq.saturating_sub(1).max(seal_end(entry)));
        }
    }

    /// What was not believed counts as well, as far as a file of this length can hold it: a sequence
    /// near the last one of all would leave none.
    fn note_walk(&mut self, entry: &SegmentEntry, walk: &Walk) {
        self.note(walk.durable_seq.max(walk.next_seq - 1));
        let (from, claimed) = (walk.next_seq, walk.claimed_seq);
        if claimed <= (from - 1).saturating_add(most_records(entry.len)) {
            self.note(claimed);
            return;
        }
        self.doubt = Some(Problem {
            file: entry.name.clone(),
            offset: walk.data_end,
            class: Class::BrokenChain,
            from: Some(from),
            to: None,
            detail: format!(
                "behind the damage something looks like a block and ends at sequence {claimed}, more \
                 than the file can hold; nothing is given out behind that: salvage the log into \
                 another one"
            ),
        });
    }
}

/// No file of this length holds more records, however well they are compressed.
fn most_records(file_len: u64) -> u64 {
    let per_block = MAX_BLOCK_PAYLOAD / RecordHeader::LEN;
    (file_len / BlockHeader::LEN as u64).saturating_mul(per_block as u64)
}

/// Last sequence of a closed segment; 0 of an open one.
fn seal_end(entry: &SegmentEntry) -> u64 {
    entry.last_seq().unwrap_or(0)
}

/// Files without a readable header leave the log; what their blocks say of sequences is heeded.
fn set_bad_aside(
    dir: &Path,
    bad: Vec<BadSegment>,
    log_id: Option<[u8; 16]>,
    aside: &mut Vec<Aside>,
    given: &mut Given,
) -> Result<(), JournalError> {
    for bad in bad {
        let path = dir.join(&bad.name);
        let failed = |error| JournalError::io("cannot read", &path, error);
        let bytes = path.metadata().map_err(failed)?.len();
        let span = salvage::span_of(&path, log_id).map_err(failed)?;
        given.note(span.map_or(0, |(_, to)| to));
        aside.push(Aside {
            name: bad.name,
            bytes,
            class: bad.class,
            from: span.map(|(from, _)| from),
            to: span.map(|(_, to)| to),
        });
    }
    Ok(())
}

/// The segments of this log, one per number; foreign files and copies leave.
fn members(
    segments: Vec<SegmentEntry>,
    log_id: Option<[u8; 16]>,
    aside: &mut Vec<Aside>,
) -> Vec<SegmentEntry> {
    let mut by_number: BTreeMap<u64, SegmentEntry> = BTreeMap::new();
    for entry in segments {
        if Some(entry.header.log_id) != log_id {
            aside.push(whole(&entry, Class::ForeignSegment, None));
            continue;
        }
        let number = entry.header.number;
        let before = number.checked_sub(1).and_then(|it| by_number.get(&it));
        let goes_on = |entry: &SegmentEntry| {
            before.is_none_or(|before| links::follows(before, entry)) && entry.last_seq().is_some()
        };
        let replaces = by_number
            .get(&number)
            .is_some_and(|held| !goes_on(held) && goes_on(&entry));
        let leaves = if replaces || !by_number.contains_key(&number) {
            by_number.insert(number, entry)
        } else {
            Some(entry)
        };
        aside.extend(leaves.map(|entry| whole(&entry, Class::DuplicateSegment, None)));
    }
    let mut members: Vec<SegmentEntry> = by_number.into_values().collect();
    // The neighbours may be others now.
    directory::mark_abandoned(&mut members);
    members
}

/// Everything from `at` on leaves the log.
fn set_rest_aside(
    keep: &mut Vec<SegmentEntry>,
    at: usize,
    class: Class,
    aside: &mut Vec<Aside>,
    given: &mut Given,
) -> Result<(), JournalError> {
    for entry in keep.drain(at.min(keep.len())..) {
        let mut to = Some(seal_end(&entry));
        if entry.last_seq().is_none() {
            let walk = walk(&entry, &mut |_, _| {})
                .map_err(|error| JournalError::io("cannot read", &entry.path, error))?;
            given.note_walk(&entry, &walk);
            to = (walk.next_seq > entry.header.base_seq).then(|| walk.next_seq - 1);
        }
        aside.push(whole(&entry, class, to));
    }
    Ok(())
}

fn whole(entry: &SegmentEntry, class: Class, to: Option<u64>) -> Aside {
    let to = to.filter(|to| *to >= entry.header.base_seq);
    Aside {
        name: entry.name.clone(),
        bytes: entry.len,
        class,
        from: to.map(|_| entry.header.base_seq),
        to,
    }
}

/// A closed segment that is not what was closed.
struct Unsound {
    walk: Walk,
    class: Class,
}

impl Unsound {
    fn end(&self, entry: &SegmentEntry) -> (OpenEnd, u64) {
        let (data_end, next_seq) = match self.walk.damage.first() {
            Some(damage) => (damage.offset, damage.from),
            None => (self.walk.data_end, self.walk.next_seq),
        };
        let to = seal_end(entry).max(self.walk.next_seq - 1);
        let cut = Cut {
            bytes: entry.len.saturating_sub(data_end),
            class: self.class,
            to: (to >= next_seq).then_some(to),
        };
        let end = OpenEnd {
            data_end,
            cut: Some(cut),
        };
        (end, next_seq)
    }
}

/// The first closed segment whose bytes are not those that were closed.
fn first_unsound(
    keep: &[SegmentEntry],
    look: &mut Look<'_>,
) -> Result<Option<(usize, Unsound)>, JournalError> {
    for (at, entry) in keep.iter().enumerate() {
        let Some(last_seq) = entry.last_seq() else {
            continue;
        };
        let mut tally = Tally::new(entry.header.base_seq);
        let walk = look
            .walk(entry, &mut |source, block| tally.add_block(source, block))
            .map_err(|error| JournalError::io("cannot read", &entry.path, error))?;
        let class = match walk.damage.first() {
            Some(damage) => Some(damage.class),
            None if walk.next_seq != last_seq + 1 => Some(Class::BrokenChain),
            None => verify::seal_fault(entry, &walk, &tally).map(|(class, _)| class),
        };
        if let Some(class) = class {
            return Ok(Some((at, Unsound { walk, class })));
        }
    }
    Ok(None)
}

/// Whether the last seal may never have been synced: STATE is written behind the sync, and does not
/// know it. The segment is synced then, and what the cache holds of it dropped, so that what is read
/// next is what will be there; a seal that is gone then has never been.
fn has_unproven_seal(
    disk: &dyn Disk,
    keep: &mut [SegmentEntry],
    view: &StateView,
    look: &mut Look<'_>,
) -> Result<bool, JournalError> {
    let known = view.current.map(|state| state.last_seal_hash);
    match keep.last_mut() {
        Some(last) if last.seal.is_some() && last.closing_hash() != known => {
            walk_device(disk, last, look)?;
            let now = directory::open_segment(&last.path, last.name.clone())?;
            last.seal = now.ok().and_then(|now| now.seal);
            Ok(last.seal.is_some())
        }
        _ => Ok(false),
    }
}

/// Where an unsealed segment ends, and the sequence behind it.
fn open_end(
    last: &SegmentEntry,
    walk: &Walk,
    durable_seq: u64,
    is_last_of_log: bool,
) -> (OpenEnd, u64) {
    let Some(damage) = walk.damage.first() else {
        let end = OpenEnd {
            data_end: walk.data_end,
            cut: None,
        };
        return (end, walk.next_seq);
    };
    let is_torn = is_last_of_log && is_torn_tail(walk, durable_seq);
    let used = walk.last_nonzero.max(walk.data_end).min(last.len);
    let cut = Cut {
        bytes: used.saturating_sub(damage.offset),
        class: if is_torn {
            Class::TornTail
        } else {
            damage.class
        },
        to: (walk.next_seq > damage.from).then(|| walk.next_seq - 1),
    };
    let end = OpenEnd {
        data_end: damage.offset,
        cut: Some(cut),
    };
    (end, damage.from)
}

/// The one damage of the last segment is the unfinished end of a crash, if and only if no valid block
/// lies behind it and the sequence expected there is above everything synced.
pub(crate) fn is_torn_tail(walk: &Walk, durable_seq: u64) -> bool {
    matches!(walk.end, End::Lost)
        && walk.damage.len() == 1
        && !walk.has_stray_block
        && walk.next_seq > durable_seq
}
