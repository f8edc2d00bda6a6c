//! Do the segments of a directory form one log? Looks at headers, seals and STATE only.
//!
//! Cost is per segment, not per byte, so that opening a long log stays fast; what lies between
//! header and seal is the business of `verify`.

use crate::directory::{Listing, STATE_FILE, SegmentEntry, StateView, segment_name};
use crate::error::{Class, Problem};
use crate::format::{SegmentHeader, State};
use crate::retention::{self, Mark, MarkView};

/// Damage that shows without reading the segments' blocks, in order of segments.
///
/// The tail of the last segment is left to the caller.
pub(crate) fn check(listing: &Listing, view: &StateView) -> Vec<Problem> {
    check_beside_writer(listing, view, view)
}

/// The same beside a writer that goes on: STATE was read once `before` the segments were listed,
/// for what it promises was there then, and once `behind`, for it knows all of them but the newest
/// unless it is an old copy.
pub(crate) fn check_beside_writer(
    listing: &Listing,
    before: &StateView,
    behind: &StateView,
) -> Vec<Problem> {
    let mut problems = check_order(listing);
    check_state(listing, before, &mut problems);
    check_age(listing, behind, &mut problems);
    problems
}

/// Whether the files are segments that follow one another from where the log begins.
pub(crate) fn check_order(listing: &Listing) -> Vec<Problem> {
    let mut problems: Vec<Problem> = listing
        .bad
        .iter()
        .map(|bad| problem(&bad.name, bad.class, None, None, bad.detail.clone()))
        .collect();
    check_first(listing.segments.first(), &listing.pruned, &mut problems);
    for pair in listing.segments.windows(2) {
        check_pair(&pair[0], &pair[1], &mut problems);
    }
    problems
}

/// A log begins with segment 1, or behind what RETENTION says was pruned.
fn check_first(first: Option<&SegmentEntry>, pruned: &MarkView, problems: &mut Vec<Problem>) {
    if let MarkView::Damaged(detail) = pruned {
        problems.push(retention::mark_problem(detail));
        return;
    }
    let Some(first) = first else { return };
    if let MarkView::Valid(mark) = pruned {
        check_behind_mark(first, mark, problems);
        return;
    }
    let SegmentHeader {
        number,
        base_seq,
        prev_last_seq,
        prev_seal_hash,
        continues_abandoned,
        ..
    } = first.header;
    if number > 1 {
        let detail = format!("the oldest segment is number {number}");
        let to = base_seq.saturating_sub(1);
        problems.push(problem(
            &segment_name(1),
            Class::MissingSegment,
            Some(1),
            Some(to),
            detail,
        ));
    } else if (number, base_seq, prev_last_seq, prev_seal_hash) != (1, 1, 0, [0; 32])
        || continues_abandoned
    {
        let detail = format!("segment {number} begins at sequence {base_seq} and is the first");
        problems.push(problem(
            &first.name,
            Class::SegmentChain,
            None,
            None,
            detail,
        ));
    }
}

/// The first segment of a log whose oldest ones were pruned.
fn check_behind_mark(first: &SegmentEntry, mark: &Mark, problems: &mut Vec<Problem>) {
    if mark.is_followed_by(&first.header) {
        return;
    }
    let header = &first.header;
    if header.log_id != mark.log_id {
        let detail = format!("RETENTION is of log {}", hex(&mark.log_id));
        problems.push(problem(
            &first.name,
            Class::ForeignSegment,
            None,
            None,
            detail,
        ));
    } else if header.number > mark.segment + 1 {
        let detail = format!(
            "segments up to {} are pruned, the oldest is number {}",
            mark.segment, header.number
        );
        let (from, to) = (mark.last_seq + 1, header.base_seq.saturating_sub(1));
        let span = (from <= to).then_some((from, to));
        let name = segment_name(mark.segment + 1);
        let (from, to) = (span.map(|it| it.0), span.map(|it| it.1));
        problems.push(problem(&name, Class::MissingSegment, from, to, detail));
    } else {
        let detail = format!(
            "does not continue what was pruned, up to sequence {} of segment {}",
            mark.last_seq, mark.segment
        );
        problems.push(problem(
            &first.name,
            Class::SegmentChain,
            None,
            None,
            detail,
        ));
    }
}

fn check_pair(before: &SegmentEntry, after: &SegmentEntry, problems: &mut Vec<Problem>) {
    let (one, two) = (&before.header, &after.header);
    if one.log_id != two.log_id {
        let detail = format!(
            "log {}, the segment before is of {}",
            hex(&two.log_id),
            hex(&one.log_id)
        );
        problems.push(problem(
            &after.name,
            Class::ForeignSegment,
            None,
            None,
            detail,
        ));
        return;
    }
    if one.number == two.number {
        let detail = format!("segment {} is also in {}", two.number, before.name);
        problems.push(problem(
            &after.name,
            Class::DuplicateSegment,
            None,
            None,
            detail,
        ));
        return;
    }
    if two.number > one.number + 1 {
        let from = before.last_seq().map(|last_seq| last_seq + 1);
        let to = two
            .base_seq
            .checked_sub(1)
            .filter(|to| from.is_none_or(|from| from <= *to));
        let (first, last) = (one.number + 1, two.number - 1);
        let detail = format!("segments {first} to {last} are absent");
        problems.push(problem(
            &segment_name(first),
            Class::MissingSegment,
            from,
            to,
            detail,
        ));
        return;
    }
    check_seal(before, after, problems);
}

/// Neighbours by number: the first one is sealed and the second one names its seal, or the second
/// one says that the first was abandoned.
fn check_seal(before: &SegmentEntry, after: &SegmentEntry, problems: &mut Vec<Problem>) {
    let (one, two) = (&before.header, &after.header);
    if before.abandoned_at.is_some() {
        return;
    }
    let Some(info) = &before.seal else {
        let detail = format!(
            "segment {} follows, but this one has no valid seal{}",
            two.number,
            if two.continues_abandoned {
                ", and it is not the one that was abandoned"
            } else {
                ""
            }
        );
        problems.push(problem(
            &before.name,
            Class::MissingSeal,
            None,
            None,
            detail,
        ));
        return;
    };
    let last_seq = info.seal.totals.last_seq;
    let follows = two.base_seq == last_seq + 1
        && two.prev_last_seq == last_seq
        && !two.continues_abandoned
        && two.prev_seal_hash == info.hash
        && two.writer_epoch >= one.writer_epoch;
    if !follows {
        let detail = format!(
            "names last sequence {}, seal {}, epoch {}; the segment before has {last_seq}, {}, {}",
            two.prev_last_seq,
            hex(&two.prev_seal_hash[..8]),
            two.writer_epoch,
            hex(&info.hash[..8]),
            one.writer_epoch,
        );
        problems.push(problem(
            &after.name,
            Class::SegmentChain,
            None,
            None,
            detail,
        ));
    }
}

/// Identity of the log: that of RETENTION, of the segment whose seal STATE names, or the most
/// frequent one.
pub(crate) fn log_id(listing: &Listing, view: &StateView) -> Option<[u8; 16]> {
    if let Some(mark) = listing.pruned.mark() {
        return Some(mark.log_id);
    }
    let segments = || listing.segments.iter();
    let hash = view.current.map(|state| state.last_seal_hash);
    let named = segments().find(|entry| {
        let seal = entry.seal.as_ref();
        seal.is_some_and(|info| Some(info.hash) == hash)
    });
    let count = |id| segments().filter(|it| it.header.log_id == id).count();
    // Of equals the first one.
    let frequent = || segments().rev().max_by_key(|it| count(it.header.log_id));
    named.or_else(frequent).map(|entry| entry.header.log_id)
}

/// How many leading segments follow one another without fault; the last one of them may be unsealed.
///
/// A RETENTION file that cannot be read tells nothing of where they begin.
pub(crate) fn sound_prefix(segments: &[SegmentEntry], pruned: &MarkView) -> usize {
    let mut problems = Vec::new();
    if !matches!(pruned, MarkView::Damaged(_)) {
        check_first(segments.first(), pruned, &mut problems);
    }
    if !problems.is_empty() {
        return 0;
    }
    let broken = segments
        .windows(2)
        .position(|pair| !follows(&pair[0], &pair[1]));
    broken.map_or(segments.len(), |at| at + 1)
}

/// True when one segment continues the other.
pub(crate) fn follows(before: &SegmentEntry, after: &SegmentEntry) -> bool {
    let mut problems = Vec::new();
    check_pair(before, after, &mut problems);
    problems.is_empty()
}

fn check_state(listing: &Listing, view: &StateView, problems: &mut Vec<Problem>) {
    let state_problem = |offset, class, detail: &str| Problem {
        file: STATE_FILE.into(),
        offset,
        class,
        from: None,
        to: None,
        detail: detail.into(),
    };
    let empty = listing.segments.is_empty() && listing.bad.is_empty();
    if let Some(offset) = view.damaged_at {
        problems.push(state_problem(
            offset,
            Class::StateDamaged,
            "a slot is not what was written",
        ));
    }
    match view.current {
        Some(state) => check_checkpoint(listing, &state, problems),
        None if !view.exists && !empty => {
            problems.push(state_problem(
                0,
                Class::StateMissing,
                "absent beside segments",
            ));
        }
        None if !empty && view.damaged_at.is_none() => {
            problems.push(state_problem(
                0,
                Class::StateDamaged,
                "empty beside segments",
            ));
        }
        None => {}
    }
}

fn check_checkpoint(listing: &Listing, state: &State, problems: &mut Vec<Problem>) {
    let last = listing.segments.last();
    let last_number = last.map_or(0, |last| last.header.number);
    if state.active_segment > last_number {
        let from = last.and_then(|last| Some(last.last_seq()? + 1));
        let to = from.and_then(|from| (state.durable_seq >= from).then_some(state.durable_seq));
        let detail = format!(
            "STATE names segment {} as active; the newest is {last_number}",
            state.active_segment
        );
        let name = segment_name(last_number + 1);
        problems.push(problem(&name, Class::MissingSegment, from, to, detail));
    }
    let sealed_seq = last.and_then(SegmentEntry::last_seq);
    if let Some(last_seq) = sealed_seq.filter(|last_seq| *last_seq < state.durable_seq) {
        let detail = format!("the newest segment is sealed at sequence {last_seq}");
        let (from, to) = (Some(last_seq + 1), Some(state.durable_seq));
        problems.push(problem(STATE_FILE, Class::StateAhead, from, to, detail));
    }
    let known = |segment: &SegmentEntry| segment.closing_hash() == Some(state.last_seal_hash);
    // STATE may be older than what is pruned: it was read before, or is the one segment behind.
    let is_pruned = listing.pruned.mark().is_some_and(|mark| {
        mark.closing_hash == state.last_seal_hash || mark.last_seq > state.last_sealed_seq
    });
    if state.last_seal_hash != [0; 32] && !is_pruned && !listing.segments.iter().any(known) {
        let detail = format!(
            "the seal {} up to sequence {} that STATE names is in no segment",
            hex(&state.last_seal_hash[..8]),
            state.last_sealed_seq
        );
        problems.push(problem(STATE_FILE, Class::StateAhead, None, None, detail));
    }
}

/// STATE that knows nothing of the newest segments is a copy of an earlier day.
fn check_age(listing: &Listing, view: &StateView, problems: &mut Vec<Problem>) {
    let last_number = listing.segments.last().map_or(0, |it| it.header.number);
    let Some(state) = view.current else { return };
    // A writer may have begun one segment that STATE does not name yet, never two.
    if last_number > state.active_segment.saturating_add(1) {
        let detail = format!(
            "names segment {} as active, the newest is {last_number}: an old copy",
            state.active_segment
        );
        problems.push(problem(STATE_FILE, Class::StateStale, None, None, detail));
    }
}

fn problem(
    file: &str,
    class: Class,
    from: Option<u64>,
    to: Option<u64>,
    detail: String,
) -> Problem {
    Problem {
        file: file.into(),
        offset: 0,
        class,
        from,
        to,
        detail,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
