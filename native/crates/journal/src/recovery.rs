//! Opening a log for writing: what is there, may it be continued, and what must be closed first.
//!
//! Nothing is changed before every check has passed, and what is going to be changed is durably in
//! the report file before it is. An unsealed last segment is read from the
//! device, not from the cache: after a failed sync the kernel keeps pages that look written and are
//! not.
//!
//! A bad block at the end is a *torn tail* if and only if it is in the last segment, that segment
//! is not sealed, no valid block of its epoch lies behind, and the sequence expected there is above
//! all that any valid block or STATE calls synced. Only then it is cut, after a copy into
//! `quarantine/`. Everything else is corruption, and a log with corruption is not written to.

mod aside;
mod intent;
mod look;
mod plan;
mod planned;
mod renew;
mod report;
mod report_file;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

pub(crate) use self::aside::move_file;
pub use self::look::RepairProgress;
pub(crate) use self::look::{Depth, Look};
pub(crate) use self::plan::Plan;
#[cfg(test)]
pub(crate) use self::plan::is_torn_tail;
pub use self::report::{Action, RecoveryReport};
pub(crate) use self::report_file::acknowledge_on;
pub use self::report_file::{REPORT_FILE, acknowledge_report, unacknowledged_problems};
use self::report_file::{ReportFile, Stage};
use crate::directory::{
    self, DirectoryLock, REPAIR_FILES, RETENTION_LOCK, STATE_FILE, SegmentEntry, StateFile,
    StateView,
};
use crate::disk::Disk;
use crate::error::{Class, JournalError, Problem};
use crate::failpoints::fp;
use crate::format::State;
use crate::kind::{self, JournalHole};
use crate::links;
use crate::segment::{ActiveSegment, BlockBuffer, Identity, Predecessor, Prepared, utc_ns};
use crate::walk::{Damage, End, Walk};
use crate::writer::{Record, WriterConfig};

/// How much damage a writer may repair when it opens a log (RELIABILITY.md section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// Refuse any anomaly, even a torn tail.
    Strict,
    /// Cut a torn tail; refuse anything else.
    #[default]
    Tail,
    /// Keep what lies before the first bad place, set the rest aside in `quarantine/`, and go on
    /// behind every sequence that is known to have been given out, with a JOURNAL_HOLE over what is
    /// gone. When it opens a log, headers, seals and what was left unsealed are looked at; what lies
    /// inside sealed segments is checked by [`verify`](crate::verify) and [`repair`](crate::repair).
    PointInTime,
}

impl RecoveryMode {
    /// The name in configurations and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Tail => "tail",
            Self::PointInTime => "point_in_time",
        }
    }
}

/// A log that a writer may append to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lock: DirectoryLock,
    pub(crate) state: StateFile,
    pub(crate) identity: Identity,
    pub(crate) segment: ActiveSegment,
    pub(crate) before: Predecessor,
    pub(crate) report: RecoveryReport,
}

/// Checks, repairs what `mode` allows, seals what a dead writer left open, begins a new segment.
pub(crate) fn open(
    disk: &dyn Disk,
    config: &WriterConfig,
    mode: RecoveryMode,
    look: &mut Look<'_>,
) -> Result<Opened, JournalError> {
    let dir = config.dir.as_path();
    create_dir(disk, dir)?;
    let lock = DirectoryLock::take(dir)?;
    let mut report_file = ReportFile::open(disk, dir);
    let (survey, _no_retention) = survey_alone(disk, dir, mode, look)?;
    let survey = survey.accepted(&mut report_file)?;
    let is_event = tell_planned(dir, &survey, &mut report_file)?;
    let Survey {
        plan,
        view,
        mut report,
        is_repair,
    } = survey;

    fp!("recovery.planned");
    report.actions = remove_unused(disk, dir)?;
    if is_repair {
        intent::store(disk, dir, plan.resume_seq)?;
    }
    for aside in &plan.aside {
        aside::move_file(disk, dir, &aside.name)?;
        report.actions.push(aside.action());
    }
    if plan.mark_is_bad {
        renew::renew_mark(disk, dir, &plan, &mut report.actions)?;
    }
    let is_new_state = renew::must_renew_state(dir, &view, is_repair)?;
    if is_new_state {
        renew::keep_state(disk, dir, &mut report.actions)?;
    }
    let mut state = StateFile::open(disk, dir, &view)?;
    let identity = Identity {
        log_id: match plan.log_id {
            Some(log_id) => log_id,
            None => random_id()?,
        },
        writer_epoch: report.writer_epoch,
        boot_id: boot_id()?,
        schema_id: config.schema_id,
        codecs: config.codec.set(),
    };
    // The new epoch is on disk before anything is written under it. The newest segment is known by
    // then, or the one that begins now would make STATE look like an old copy.
    let fenced = State {
        writer_epoch: report.writer_epoch,
        active_segment: plan.newest(),
        clean: false,
        ..*state.current()
    };
    match is_new_state {
        true => state.replace(disk, dir, fenced)?,
        false => state.store(fenced)?,
    }
    fp!("recovery.fence.after_state");
    let before = close_last(disk, dir, &plan, look, &mut report)?;
    fp!("recovery.seal.after");
    let prepared = Prepared::create(disk, dir, config.segment_size_bytes)?;
    let mut segment = ActiveSegment::begin(disk, dir, prepared, &identity, &before)?;
    state.store(State {
        active_segment: segment.number(),
        last_sealed_seq: before.last_seq,
        last_seal_hash: before.seal_hash,
        durable_seq: before.last_seq,
        ..fenced
    })?;
    if plan.resume_seq > plan.next_seq {
        append_hole(&mut segment, &plan, &mut report)?;
        state.store(State {
            durable_seq: plan.resume_seq - 1,
            ..*state.current()
        })?;
    }
    intent::remove(disk, dir)?;
    if is_event {
        report_file.store(&report, Stage::Finished)?;
    }
    fp!("recovery.end");
    Ok(Opened {
        lock,
        state,
        identity,
        segment,
        before,
        report,
    })
}

/// Looks at a log that is going to be opened. Beside a repair nothing is pruned: the lock is held from
/// before anything is told of it.
fn survey_alone(
    disk: &dyn Disk,
    dir: &Path,
    mode: RecoveryMode,
    look: &mut Look<'_>,
) -> Result<(Survey, Option<DirectoryLock>), JournalError> {
    let survey = Survey::take(disk, dir, mode, look)?;
    if !survey.is_repair || !survey.is_accepted() {
        return Ok((survey, None));
    }
    let lock = match DirectoryLock::take_named(dir, RETENTION_LOCK) {
        Err(JournalError::Locked { dir, holder }) => {
            return Err(JournalError::Pruning { dir, holder });
        }
        taken => taken?,
    };
    // Some of what was seen may have been pruned by now.
    Ok((Survey::take(disk, dir, mode, look)?, Some(lock)))
}

/// What was found, before anything is changed.
pub(crate) struct Survey {
    pub(crate) plan: Plan,
    view: StateView,
    /// What was found; `actions` is empty.
    pub(crate) report: RecoveryReport,
    /// More than a torn tail leaves the log, or an interrupted repair is to be finished.
    pub(crate) is_repair: bool,
}

impl Survey {
    /// Looks at a log whose directory the caller has locked, or at one that nobody writes.
    pub(crate) fn take(
        disk: &dyn Disk,
        dir: &Path,
        mode: RecoveryMode,
        look: &mut Look<'_>,
    ) -> Result<Self, JournalError> {
        let view = directory::read_state(dir)?;
        let listing = directory::list(dir)?;
        look.begin(&listing);
        let noted_seq = intent::read(dir)?;
        let mut problems = links::check(&listing, &view);
        let found = listing.segments.len() + listing.bad.len();
        // A crash while a slot was written: the other one rules, or nothing was ever acknowledged.
        let first_checkpoint = view.has_empty_slot && listing.segments.is_empty();
        if mode != RecoveryMode::Strict && (view.current.is_some() || first_checkpoint) {
            let is_slot = |problem: &Problem| problem.class == Class::StateDamaged;
            problems.retain(|problem| !is_slot(problem) || problem.file != STATE_FILE);
        }
        let state = view.current.unwrap_or_default();
        let epochs = listing.segments.iter().map(|it| it.header.writer_epoch);
        let newest_epoch = epochs.max().unwrap_or(0).max(state.writer_epoch);
        let last = listing.segments.last();
        let last = last.map(|last| (last.name.clone(), last.header.base_seq));
        let plan = plan::make(disk, dir, listing, &view, noted_seq, look)?;
        let tail_durable_seq = plan.tail.as_ref().map_or(0, |walk| walk.durable_seq);
        let durable_seq = state.durable_seq.max(tail_durable_seq);
        if let (Some((name, base_seq)), Some(walk)) = (&last, &plan.tail) {
            let was_sealed = was_sealed(*base_seq, walk, &state);
            problems.append(&mut tail_problems(name, walk, durable_seq, was_sealed));
        }
        add_unsound(&plan, &mut problems);
        problems.extend(plan.doubt.clone());
        if noted_seq.is_some() {
            problems.push(unfinished_repair(&plan));
        }
        let report = RecoveryReport {
            dir: dir.to_owned(),
            mode,
            created: found == 0,
            clean: state.clean && plan.tail.is_none(),
            writer_epoch: newest_epoch + 1,
            segments: found as u64,
            first_seq: match plan.keep.first() {
                Some(first) => first.header.base_seq,
                None => plan.beginning.last_seq + 1,
            },
            next_seq: plan.next_seq,
            durable_seq,
            hole: None,
            actions: Vec::new(),
            problems,
        };
        Ok(Self {
            is_repair: plan.is_repair() || noted_seq.is_some(),
            plan,
            view,
            report,
        })
    }

    /// Whether the mode allows what must be done to write this log. A repair that was interrupted is
    /// finished in every mode but `Strict`.
    pub(crate) fn is_accepted(&self) -> bool {
        if self.plan.doubt.is_some() {
            return false;
        }
        let is_torn = |problem: &Problem| problem.class == Class::TornTail;
        let is_unfinished = |problem: &Problem| problem.class == Class::UnfinishedRepair;
        let problems = &self.report.problems;
        match self.report.mode {
            RecoveryMode::Strict => problems.is_empty(),
            RecoveryMode::Tail => {
                problems.iter().all(is_torn) || problems.iter().any(is_unfinished)
            }
            RecoveryMode::PointInTime => true,
        }
    }

    fn accepted(self, report_file: &mut ReportFile<'_>) -> Result<Self, JournalError> {
        if self.is_accepted() {
            return Ok(self);
        }
        let report = Box::new(self.report);
        // The refusal counts more than a report file that could not be written.
        match report_file.store(&report, Stage::Refused) {
            Ok(()) | Err(_) => Err(JournalError::Refused { report }),
        }
    }
}

/// Stores durably what is going to be done, before any of it: a crash on the way must not lose what
/// was cut or moved. Gives whether there is anything to tell, and so whether a report of what was done
/// is to follow.
fn tell_planned(
    dir: &Path,
    survey: &Survey,
    report_file: &mut ReportFile<'_>,
) -> Result<bool, JournalError> {
    let actions = survey.actions(dir)?;
    let is_event = !survey.report.problems.is_empty()
        || actions.iter().any(|action| action.class.is_some())
        || report_file.is_interrupted();
    if is_event {
        let hole = survey.plan.hole_action();
        let planned = RecoveryReport {
            hole: hole.and_then(|hole| hole.from.zip(hole.to)),
            next_seq: survey.plan.resume_seq,
            actions,
            ..survey.report.clone()
        };
        report_file.store(&planned, Stage::Planned)?;
    }
    Ok(is_event)
}

/// Seals what is left open, after cutting it where the plan says.
fn close_last(
    disk: &dyn Disk,
    dir: &Path,
    plan: &Plan,
    look: &mut Look<'_>,
    report: &mut RecoveryReport,
) -> Result<Predecessor, JournalError> {
    let Some(last) = plan.keep.last() else {
        return Ok(plan.beginning);
    };
    let Some(end) = &plan.end else {
        return Ok(predecessor(last, plan.beginning));
    };
    if let Some(cut) = &end.cut {
        aside::cut_file(disk, dir, &last.name, end.data_end, cut.bytes)?;
        report.actions.push(cut.action(last, end, plan.next_seq));
    }
    let (sealed, action) = seal_left_open(disk, dir, last, plan, look, report.writer_epoch)?;
    report.actions.push(action);
    Ok(sealed)
}

/// Spends what was set aside, so that no sequence is given out twice; synced on return.
fn append_hole(
    segment: &mut ActiveSegment,
    plan: &Plan,
    report: &mut RecoveryReport,
) -> Result<(), JournalError> {
    let (from, to) = (plan.next_seq, plan.resume_seq - 1);
    let reason = kind::HOLE_SET_ASIDE;
    let payload = JournalHole { from, to, reason }.encode();
    let mut buffer = BlockBuffer::new(from);
    buffer.push(&Record {
        kind: kind::JOURNAL_HOLE,
        stamp: STAMP_USER,
        line: LINE_NONE,
        channel: 0,
        venue_seq: 0,
        rx_ns: utc_ns(),
        payload: &payload,
    });
    segment.write_records(&mut buffer, plan.resume_seq, from - 1)?;
    fp!("recovery.hole.after_write");
    segment.sync()?;
    fp!("recovery.hole.after_sync");
    report.hole = Some((from, to));
    report.next_seq = plan.resume_seq;
    report.actions.extend(plan.hole_action());
    Ok(())
}

/// Damage inside sealed segments, which only a deep look finds.
fn add_unsound(plan: &Plan, problems: &mut Vec<Problem>) {
    let last = plan.keep.last().filter(|last| last.seal.is_some());
    let end = plan.end.as_ref();
    if let (Some(last), Some((end, cut))) =
        (last, end.and_then(|end| Some((end, end.cut.as_ref()?))))
    {
        problems.push(Problem {
            file: last.name.clone(),
            offset: end.data_end,
            class: cut.class,
            from: Some(plan.next_seq),
            to: cut.to,
            detail: "the segment is not what was sealed".into(),
        });
    }
}

fn unfinished_repair(plan: &Plan) -> Problem {
    let has_hole = plan.resume_seq > plan.next_seq;
    Problem {
        file: REPAIR_FILES[0].into(),
        offset: 0,
        class: Class::UnfinishedRepair,
        from: has_hole.then_some(plan.next_seq),
        to: has_hole.then(|| plan.resume_seq - 1),
        detail: "a repair was interrupted; it goes on now".into(),
    }
}

/// Whether STATE names the seal of the last segment, which begins at `base_seq` and in which no seal
/// was found: it was synced, so what is wrong with it now is no unfinished write.
pub(crate) fn was_sealed(base_seq: u64, walk: &Walk, state: &State) -> bool {
    state.last_sealed_seq >= base_seq && walk.next_seq == state.last_sealed_seq + 1
}

/// Damage of an unsealed last segment; a torn tail, if it is one, comes last.
pub(crate) fn tail_problems(
    file: &str,
    walk: &Walk,
    durable_seq: u64,
    was_sealed: bool,
) -> Vec<Problem> {
    let mut problems: Vec<Problem> = walk
        .damage
        .iter()
        .map(|damage| damage_problem(file, damage))
        .collect();
    let torn = |detail| Problem {
        file: file.into(),
        offset: walk.data_end,
        class: Class::TornTail,
        from: None,
        to: None,
        detail,
    };
    match &walk.end {
        _ if was_sealed => problems.insert(
            0,
            Problem {
                class: Class::BadSeal,
                ..torn("the seal, which STATE names, is damaged".into())
            },
        ),
        End::Lost if plan::is_torn_tail(walk, durable_seq) => {
            let detail = std::mem::take(&mut problems[0].detail);
            problems[0] = Problem {
                from: Some(walk.next_seq),
                ..torn(detail)
            };
        }
        End::Seal { .. } => problems.push(torn("the seal was not finished".into())),
        _ => {}
    }
    if walk.damage.is_empty() && walk.next_seq <= durable_seq {
        problems.insert(
            0,
            Problem {
                file: file.into(),
                offset: walk.data_end,
                class: Class::MissingBlocks,
                from: Some(walk.next_seq),
                to: Some(durable_seq),
                detail: format!("the data ends here, but {durable_seq} was synced"),
            },
        );
    }
    problems
}

/// A damage in the words of a report.
pub(crate) fn damage_problem(file: &str, damage: &Damage) -> Problem {
    let lost = damage.resumed_at.is_none_or(|seq| seq > damage.from);
    Problem {
        file: file.into(),
        offset: damage.offset,
        class: damage.class,
        from: lost.then_some(damage.from),
        to: damage.resumed_at.filter(|_| lost).map(|seq| seq - 1),
        detail: damage.detail.clone(),
    }
}

/// Seals the segment that the writer before left open.
fn seal_left_open(
    disk: &dyn Disk,
    dir: &Path,
    last: &SegmentEntry,
    plan: &Plan,
    look: &mut Look<'_>,
    writer_epoch: u64,
) -> Result<(Predecessor, Action), JournalError> {
    let failed = |context| move |error| JournalError::io(context, &last.path, error);
    let file = disk.open(&last.path).map_err(failed("cannot open"))?;
    let mut segment = ActiveSegment::reopen(file, last);
    look.begin_with(std::slice::from_ref(last));
    let again = look
        .walk(last, &mut |source, block| segment.note_block(source, block))
        .map_err(failed("cannot read"))?;
    let offset = plan.end.as_ref().map_or(0, |end| end.data_end);
    if again.data_end != offset || again.next_seq != plan.next_seq {
        return Err(JournalError::Damaged(Problem {
            file: last.name.clone(),
            offset,
            class: Class::ChangedWhileRead,
            from: None,
            to: None,
            detail: "the file changed while it was read under the writer's lock".into(),
        }));
    }
    // Everything read came from the device, so all of it is synced.
    let sealed = segment.seal(disk, dir, writer_epoch, plan.next_seq - 1)?;
    let action = Action::new(&last.name, offset, sealed.bytes, "sealed");
    Ok((sealed.predecessor, action))
}

fn predecessor(last: &SegmentEntry, beginning: Predecessor) -> Predecessor {
    let Some(info) = &last.seal else {
        return beginning;
    };
    Predecessor {
        number: last.header.number,
        last_seq: info.seal.totals.last_seq,
        seal_hash: info.hash,
        abandoned: false,
    }
}

/// Removes files that were being prepared and never became part of the log.
fn remove_unused(disk: &dyn Disk, dir: &Path) -> Result<Vec<Action>, JournalError> {
    let actions = planned::unused(dir)?;
    for action in &actions {
        let path = dir.join(&action.file);
        disk.remove(&path)
            .map_err(|error| JournalError::io("cannot remove", &path, error))?;
        fp!("recovery.unused.after_remove");
    }
    Ok(actions)
}

/// Creates the directory and makes each new name on the way durable.
fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    let absent: Vec<&Path> = dir
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    disk.create_dir(dir)
        .map_err(|error| JournalError::io("cannot create", dir, error))?;
    for path in absent {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        disk.sync_dir(parent)
            .map_err(|error| JournalError::io("cannot sync", parent, error))?;
    }
    Ok(())
}

pub(crate) fn random_id() -> Result<[u8; 16], JournalError> {
    let path = Path::new("/dev/urandom");
    let mut id = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut id));
    read.map_err(|error| JournalError::io("cannot read", path, error))?;
    Ok(id)
}

/// The kernel's identity of this boot; zero where it is not a UUID.
pub(crate) fn boot_id() -> Result<[u8; 16], JournalError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text =
        fs::read_to_string(path).map_err(|error| JournalError::io("cannot read", path, error))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    Ok(u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes())
}

const STAMP_USER: u8 = 2;
const LINE_NONE: u8 = 255;
