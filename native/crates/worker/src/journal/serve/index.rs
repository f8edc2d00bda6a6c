//! Where in a journal a session's numbers are.
//!
//! A *run* is a stretch of numbers of a session without a hole, in the order of the journal. Every
//! 256th record of a run is marked, so that a range is found by reading 256 records at most. That
//! is 16 bytes per 256 records, and 64 per run: a journal of a billion records takes 64 MB.

use std::path::Path;

use tickdeck_journal::{JournalError, Reader, Record};
use tickdeck_wire::moldudp64::{Session, count_blocks};
use tickdeck_wire::record::{SessionEvent, SessionEventKind, kind};

use super::Numbered;

/// Records of a run from one mark to the next.
const MARK_EVERY: u64 = 256;

/// Follows a journal.
#[derive(Debug)]
pub(super) struct Index {
    reader: Reader,
    numbered: Numbered,
    session: Option<Session>,
    runs: Vec<Run>,
    /// DATA records that hold no whole blocks, or come before any session.
    skipped: u64,
}

/// Where to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this journal sequence or soon behind it; the run goes on up to `end`.
    Found { seq: u64, end: u64 },
    /// Nothing of that session is here.
    NoSession,
    /// Of that session, but not this number.
    NotHere,
}

#[derive(Debug)]
struct Run {
    session: Session,
    first: u64,
    /// The number behind the last one.
    end: u64,
    records: u64,
    /// Number and journal sequence of every 256th record.
    marks: Vec<(u64, u64)>,
}

impl Index {
    /// An index of a journal that was not read yet.
    pub(super) fn open(dir: &Path, numbered: Numbered) -> Result<Self, JournalError> {
        Ok(Self {
            reader: Reader::open(dir)?,
            numbered,
            session: None,
            runs: Vec::new(),
            skipped: 0,
        })
    }

    /// Reads what was appended since the last time.
    ///
    /// # Errors
    /// Where the journal is damaged; what is before stays known.
    pub(super) fn follow(&mut self) -> Result<(), JournalError> {
        while let Some(entry) = self.reader.next()? {
            let (seq, record) = (entry.seq, entry.record);
            match record.kind {
                kind::DATA => match (self.session, numbers(&record, self.numbered)) {
                    (Some(session), Some(count)) => {
                        note(&mut self.runs, session, &record, count, seq);
                    }
                    _ => self.skipped += 1,
                },
                kind::SESSION => match SessionEvent::decode(record.payload) {
                    Ok(event) if event.kind != SessionEventKind::Ended => {
                        self.session = Some(event.session);
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(seq, %error, "session record not understood"),
                },
                _ => {}
            }
        }
        if self.skipped > 0 {
            let records = std::mem::take(&mut self.skipped);
            tracing::warn!(
                records,
                "data records without session or whole blocks are not served"
            );
        }
        Ok(())
    }

    /// Where to read number `first` of a session. Should it be there twice, the newest counts.
    pub(super) fn find(&self, session: Session, first: u64) -> Place {
        let mut of_session = self
            .runs
            .iter()
            .rev()
            .filter(|run| run.session == session)
            .peekable();
        if of_session.peek().is_none() {
            return Place::NoSession;
        }
        let holds = |run: &&Run| (run.first..run.end).contains(&first);
        let Some(run) = of_session.find(holds) else {
            return Place::NotHere;
        };
        let behind = run.marks.partition_point(|(number, _)| *number <= first);
        // The first record of a run is marked, so there is one before.
        let (_, seq) = run.marks[behind.saturating_sub(1)];
        let end = run.end;
        Place::Found { seq, end }
    }
}

/// How many numbers a DATA record takes; `None` when it is not what it should be.
pub(super) fn numbers(record: &Record<'_>, numbered: Numbered) -> Option<u64> {
    let count = match numbered {
        Numbered::Packets => 1,
        Numbered::Messages => count_blocks(record.payload)? as u64,
    };
    let is_range = record.venue_seq > 0 && record.venue_seq.checked_add(count).is_some();
    (is_range && count > 0).then_some(count)
}

fn note(runs: &mut Vec<Run>, session: Session, record: &Record<'_>, count: u64, seq: u64) {
    let first = record.venue_seq;
    let end = first + count;
    match runs.last_mut() {
        Some(run) if run.session == session && run.end == first => {
            if run.records.is_multiple_of(MARK_EVERY) {
                run.marks.push((first, seq));
            }
            run.records += 1;
            run.end = end;
        }
        _ => runs.push(Run {
            session,
            first,
            end,
            records: 1,
            marks: vec![(first, seq)],
        }),
    }
}
