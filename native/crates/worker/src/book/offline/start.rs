//! Where a walk through a journal may begin: at its first record, or with a snapshot of the book
//! worker that lies before every wanted point.
//!
//! A snapshot is taken only when the answer cannot differ from the one without it: it belongs to
//! this log, the journal still holds the record that it ends with, and the first message behind it
//! is still at or before each point. For a receive time it must also have been made by then, since
//! recovered messages stand in a journal with later times than what follows them.

use std::fs;
use std::path::Path;

use tickdeck_book::{BooksConfig, Record, snapshot};
use tickdeck_journal::{JournalError, Reader as Journal};
use tickdeck_wire::record::{SessionEvent, SessionEventKind, kind};

use super::point::{Point, Wanted, may_begin_with};
use super::protocol::Protocol;
use crate::book::feed::{Fit, fit};
use crate::book::snapshots;
use crate::book::venue::BookChannel;

/// The record from which sequences and times of day are those of the newest session; 0 when the
/// journal names no beginning of one.
pub(super) fn newest_session(journal: &Journal) -> Result<u64, JournalError> {
    let mut from = 0;
    let mut session = None;
    let mut below = u64::MAX;
    while let Some(record) = journal.last_record_of_kind_below(kind::SESSION, below)? {
        below = record.seq;
        let Ok(event) = SessionEvent::decode(&record.payload) else {
            continue;
        };
        if *session.get_or_insert(event.session) != event.session {
            break;
        }
        if matches!(
            event.kind,
            SessionEventKind::Started | SessionEventKind::Changed
        ) {
            from = record.seq;
        }
    }
    Ok(from)
}

/// The newest snapshot that all points allow, if there is one; the journal then stands behind it.
pub(super) fn restore(
    journal: &mut Journal,
    dir: &Path,
    protocol: Protocol,
    wanted: &[Wanted],
    session_from: u64,
) -> Result<Option<BookChannel>, String> {
    let snapshots = snapshots::list(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (path, cursor) in snapshots {
        let allowed = allows(journal, cursor, protocol, wanted, session_from);
        if !allowed.map_err(|error| error.to_string())? {
            continue;
        }
        match open(&path, journal, protocol, wanted) {
            Ok(channel) => {
                tracing::info!(path = %path.display(), cursor, "begins with this snapshot");
                journal.seek(cursor).map_err(|error| error.to_string())?;
                return Ok(Some(channel));
            }
            Err(reason) => {
                tracing::info!(path = %path.display(), reason, "snapshot passed over");
            }
        }
    }
    let first = journal.first_seq();
    journal.seek(first).map_err(|error| error.to_string())?;
    Ok(None)
}

/// Whether the first message behind the snapshot is at or before each point.
fn allows(
    journal: &mut Journal,
    cursor: u64,
    protocol: Protocol,
    wanted: &[Wanted],
    session_from: u64,
) -> Result<bool, JournalError> {
    if cursor < journal.first_seq() {
        return Ok(false);
    }
    journal.seek(cursor)?;
    while let Some(entry) = journal.next()? {
        let record = Record {
            seq: entry.seq,
            kind: entry.record.kind,
            venue_seq: entry.record.venue_seq,
            rx_ns: entry.record.rx_ns,
            payload: entry.record.payload,
        };
        let allowed =
            |wanted: &Wanted| may_begin_with(protocol, wanted.point, &record, session_from);
        if !wanted.iter().all(allowed) {
            return Ok(false);
        }
        if record.kind == kind::DATA {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads a snapshot and checks that it belongs to this journal, or says why it cannot be used.
fn open(
    path: &Path,
    journal: &mut Journal,
    protocol: Protocol,
    wanted: &[Wanted],
) -> Result<BookChannel, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let restored = snapshot::decode(&bytes, protocol.venue().venue(BooksConfig::default()))
        .map_err(|error| error.to_string())?;
    if restored.log_id != journal.log_id() {
        return Err("it belongs to another journal".to_owned());
    }
    let is_late = |wanted: &Wanted| matches!(wanted.point, Point::Received(time_ns) if restored.created_ns > time_ns);
    if wanted.iter().any(is_late) {
        return Err("it was made later than the wanted time".to_owned());
    }
    let (cursor, mark) = (restored.channel.cursor(), restored.channel.last_record());
    match fit(journal, cursor, mark).map_err(|error| error.to_string())? {
        Fit::Fits => Ok(restored.channel),
        Fit::Beyond => Err("the journal does not reach it".to_owned()),
        Fit::Other => Err("the journal holds another record than it ends with".to_owned()),
    }
}
