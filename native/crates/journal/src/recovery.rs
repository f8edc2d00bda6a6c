//! Opening a log for writing: what is there, may it be continued, and what must be closed first.
//!
//! Nothing is changed before every check has passed. An unsealed last segment is read from the
//! device, not from the cache: after a failed sync the kernel keeps pages that look written and are
//! not.
//!
//! A bad block at the end is a *torn tail* if and only if it is in the last segment, that segment
//! is not sealed, no valid block of its epoch lies behind, and the sequence expected there is above
//! all that any valid block or STATE calls synced. Only then it is cut, after a copy into
//! `quarantine/`. Everything else is corruption, and a log with corruption is not written to.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::directory::{
    self, DirectoryLock, Listing, PREPARED_FILE, QUARANTINE, STATE_FILE, STATE_TEMPORARY,
    SegmentEntry, StateFile, StateView,
};
use crate::disk::Disk;
use crate::error::{Class, JournalError, Problem};
use crate::format::State;
use crate::links;
use crate::scan;
use crate::segment::{ActiveSegment, Identity, Predecessor, Prepared};
use crate::walk::{Damage, End, Walk, walk};
use crate::writer::WriterConfig;

/// How much damage a writer may repair when it opens a log (RELIABILITY.md section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// Refuse any anomaly, even a torn tail.
    Strict,
    /// Cut a torn tail; refuse anything else.
    #[default]
    Tail,
}

/// One thing that opening a log changed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// File name inside the journal directory.
    pub file: String,
    /// Where the change begins.
    pub offset: u64,
    /// Bytes concerned.
    pub bytes: u64,
    /// `cut_torn_tail`, `sealed` or `removed_unused`.
    pub action: &'static str,
}

/// What opening a log for writing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The journal directory.
    pub dir: PathBuf,
    /// True when the log did not exist before.
    pub created: bool,
    /// True when the writer before had closed the log.
    pub clean: bool,
    /// Epoch of the new writer, +1 at each start.
    pub writer_epoch: u64,
    /// Segments found.
    pub segments: u64,
    /// Oldest sequence kept; equals `next_seq` when the log is empty.
    pub first_seq: u64,
    /// Sequence of the next record.
    pub next_seq: u64,
    /// Highest sequence known to have been synced before this start.
    pub durable_seq: u64,
    /// What was changed.
    pub actions: Vec<Action>,
    /// Damage found: the one torn tail that was cut, or all that made opening refuse.
    pub problems: Vec<Problem>,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return write!(
                f,
                "whole, {} segments, next sequence {}",
                self.segments, self.next_seq
            );
        }
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
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
) -> Result<Opened, JournalError> {
    let dir = config.dir.as_path();
    create_dir(disk, dir)?;
    let lock = DirectoryLock::take(dir)?;
    let survey = Survey::take(disk, dir, mode)?;
    let Survey {
        listing,
        view,
        tail,
        mut report,
    } = survey;

    let mut actions = remove_unused(disk, dir)?;
    let mut state = StateFile::open(disk, dir, &view)?;
    let last = listing.segments.last();
    let identity = Identity {
        log_id: match last {
            Some(last) => last.header.log_id,
            None => random_id()?,
        },
        writer_epoch: report.writer_epoch,
        boot_id: boot_id()?,
        schema_id: config.schema_id,
    };
    // The new epoch is on disk before anything is written under it.
    let fenced = State {
        writer_epoch: report.writer_epoch,
        clean: false,
        ..*state.current()
    };
    state.store(fenced)?;
    let before = match (last, tail) {
        (Some(last), Some(tail)) => {
            actions.extend(cut_torn_tail(disk, dir, last, &tail)?);
            let (sealed, action) = seal_left_open(disk, dir, last, tail, &report)?;
            actions.push(action);
            sealed
        }
        (last, _) => predecessor(last),
    };
    let prepared = Prepared::create(disk, dir, config.segment_size_bytes)?;
    let segment = ActiveSegment::begin(disk, dir, prepared, &identity, &before)?;
    state.store(State {
        active_segment: segment.number(),
        last_sealed_seq: before.last_seq,
        last_seal_hash: before.seal_hash,
        durable_seq: before.last_seq,
        ..fenced
    })?;
    report.actions = actions;
    Ok(Opened {
        lock,
        state,
        identity,
        segment,
        before,
        report,
    })
}

/// What was found, before anything is changed.
struct Survey {
    listing: Listing,
    view: StateView,
    /// Walk of the last segment when it was left unsealed.
    tail: Option<Walk>,
    report: RecoveryReport,
}

impl Survey {
    fn take(disk: &dyn Disk, dir: &Path, mode: RecoveryMode) -> Result<Self, JournalError> {
        let view = directory::read_state(dir)?;
        let listing = directory::list(dir)?;
        let mut problems = links::check(&listing, &view);
        // A crash while a slot was written: the other one rules, or nothing was ever acknowledged.
        let first_checkpoint = view.has_empty_slot && listing.segments.is_empty();
        if mode == RecoveryMode::Tail && (view.current.is_some() || first_checkpoint) {
            problems.retain(|problem| {
                problem.class != Class::StateDamaged || problem.file != STATE_FILE
            });
        }
        let last = listing.segments.last();
        let open = last.filter(|last| last.seal.is_none());
        let tail = open.map(|last| walk_device(disk, last)).transpose()?;
        let state = view.current.unwrap_or_default();
        let mut torn = None;
        if let (Some(last), Some(walk)) = (open, &tail) {
            let durable_seq = walk.durable_seq.max(state.durable_seq);
            let mut found = tail_problems(&last.name, walk, durable_seq);
            torn = found
                .pop_if(|problem| mode == RecoveryMode::Tail && problem.class == Class::TornTail);
            problems.append(&mut found);
        }
        let next_seq = match (last, &tail) {
            (_, Some(walk)) => walk.next_seq,
            (Some(last), None) => predecessor(Some(last)).last_seq + 1,
            (None, None) => 1,
        };
        let newest_epoch = last
            .map_or(0, |last| last.header.writer_epoch)
            .max(state.writer_epoch);
        let mut report = RecoveryReport {
            dir: dir.to_owned(),
            created: last.is_none() && listing.bad.is_empty(),
            clean: state.clean && tail.is_none(),
            writer_epoch: newest_epoch + 1,
            segments: (listing.segments.len() + listing.bad.len()) as u64,
            first_seq: listing
                .segments
                .first()
                .map_or(1, |first| first.header.base_seq),
            next_seq,
            durable_seq: state
                .durable_seq
                .max(tail.as_ref().map_or(0, |walk| walk.durable_seq)),
            actions: Vec::new(),
            problems,
        };
        if !report.problems.is_empty() {
            return Err(JournalError::Refused {
                report: Box::new(report),
            });
        }
        report.problems.extend(torn);
        Ok(Self {
            listing,
            view,
            tail,
            report,
        })
    }
}

/// Damage of an unsealed last segment; a torn tail, if it is one, comes last.
pub(crate) fn tail_problems(file: &str, walk: &Walk, durable_seq: u64) -> Vec<Problem> {
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
        End::Lost
            if walk.damage.len() == 1 && !walk.has_stray_block && walk.next_seq > durable_seq =>
        {
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

fn walk_device(disk: &dyn Disk, last: &SegmentEntry) -> Result<Walk, JournalError> {
    let failed = |context| move |error| JournalError::io(context, &last.path, error);
    let file = disk.open(&last.path).map_err(failed("cannot open"))?;
    file.sync_data().map_err(failed("cannot sync"))?;
    file.evict()
        .map_err(failed("cannot drop cached pages of"))?;
    walk(last, &mut |_, _| {}).map_err(failed("cannot read"))
}

/// Copies what lies behind the data into quarantine, then cuts the file there.
fn cut_torn_tail(
    disk: &dyn Disk,
    dir: &Path,
    last: &SegmentEntry,
    tail: &Walk,
) -> Result<Option<Action>, JournalError> {
    if !matches!(tail.end, End::Lost) {
        return Ok(None);
    }
    let length = tail
        .last_nonzero
        .min(last.len)
        .saturating_sub(tail.data_end);
    let quarantine = dir.join(QUARANTINE);
    let copy = free_name(
        &quarantine,
        &format!("{}.{}.torn", last.name, tail.data_end),
    );
    let failed = |context| {
        let copy = copy.clone();
        move |error| JournalError::io(context, &copy, error)
    };
    disk.create_dir(&quarantine)
        .map_err(failed("cannot create the directory of"))?;
    disk.sync_dir(dir)
        .map_err(failed("cannot sync the directory of"))?;
    let target = disk.create_new(&copy).map_err(failed("cannot create"))?;
    let source = File::open(&last.path).map_err(failed("cannot read the source of"))?;
    let mut bytes = vec![0; COPY_CHUNK];
    let mut done = 0;
    while done < length {
        let wanted = COPY_CHUNK.min(usize::try_from(length - done).unwrap_or(COPY_CHUNK));
        let read = scan::read_up_to(&source, &mut bytes[..wanted], tail.data_end + done)
            .map_err(failed("cannot read the source of"))?;
        if read == 0 {
            break;
        }
        target
            .write_all_at(&bytes[..read], done)
            .map_err(failed("cannot write"))?;
        done += read as u64;
    }
    target.sync_data().map_err(failed("cannot sync"))?;
    disk.sync_dir(&quarantine)
        .map_err(failed("cannot sync the directory of"))?;

    let failed = |context| move |error| JournalError::io(context, &last.path, error);
    let file = disk.open(&last.path).map_err(failed("cannot open"))?;
    file.set_len(tail.data_end).map_err(failed("cannot cut"))?;
    file.sync_data().map_err(failed("cannot sync"))?;
    let (file, offset) = (last.name.clone(), tail.data_end);
    Ok(Some(Action {
        file,
        offset,
        bytes: length,
        action: "cut_torn_tail",
    }))
}

/// Seals the segment that the writer before left open.
fn seal_left_open(
    disk: &dyn Disk,
    dir: &Path,
    last: &SegmentEntry,
    tail: Walk,
    report: &RecoveryReport,
) -> Result<(Predecessor, Action), JournalError> {
    let failed = |context| move |error| JournalError::io(context, &last.path, error);
    let file = disk.open(&last.path).map_err(failed("cannot open"))?;
    let mut segment = ActiveSegment::reopen(file, last);
    let again = walk(last, &mut |source, block| segment.note_block(source, block))
        .map_err(failed("cannot read"))?;
    let offset = tail.data_end;
    if again.data_end != offset {
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
    let sealed = segment.seal(disk, dir, report.writer_epoch, tail.next_seq - 1)?;
    let action = Action {
        file: last.name.clone(),
        offset,
        bytes: sealed.bytes,
        action: "sealed",
    };
    Ok((sealed.predecessor, action))
}

fn predecessor(last: Option<&SegmentEntry>) -> Predecessor {
    let sealed = last.and_then(|last| Some((last.header.number, last.seal.as_ref()?)));
    let Some((number, info)) = sealed else {
        return Predecessor {
            number: 0,
            last_seq: 0,
            seal_hash: [0; 32],
            abandoned: false,
        };
    };
    Predecessor {
        number,
        last_seq: info.seal.totals.last_seq,
        seal_hash: info.hash,
        abandoned: false,
    }
}

/// Removes files that were being prepared and never became part of the log.
fn remove_unused(disk: &dyn Disk, dir: &Path) -> Result<Vec<Action>, JournalError> {
    let mut actions = Vec::new();
    for name in [PREPARED_FILE, STATE_TEMPORARY] {
        let path = dir.join(name);
        let failed = |error| JournalError::io("cannot remove", &path, error);
        let bytes = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        disk.remove(&path).map_err(failed)?;
        let file = name.to_owned();
        actions.push(Action {
            file,
            offset: 0,
            bytes,
            action: "removed_unused",
        });
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

fn free_name(dir: &Path, name: &str) -> PathBuf {
    let numbered = (1..).map(|number| dir.join(format!("{name}.{number}")));
    let mut names = std::iter::once(dir.join(name)).chain(numbered);
    names
        .find(|path| !path.exists())
        .expect("the names do not end")
}

fn random_id() -> Result<[u8; 16], JournalError> {
    let path = Path::new("/dev/urandom");
    let mut id = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut id));
    read.map_err(|error| JournalError::io("cannot read", path, error))?;
    Ok(id)
}

/// The kernel's identity of this boot; zero where it is not a UUID.
fn boot_id() -> Result<[u8; 16], JournalError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text =
        fs::read_to_string(path).map_err(|error| JournalError::io("cannot read", path, error))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    Ok(u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes())
}

const COPY_CHUNK: usize = 256 * 1024;
