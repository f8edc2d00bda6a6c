//! Where a new incarnation goes on: the old ring into the journal, then the journal's tail.

use std::io;
use std::path::Path;

use tickdeck_arbiter::Start;
use tickdeck_journal::{JournalError, OwnedRecord, Reader, Writer};
use tickdeck_ring::{Read, RingError};
use tickdeck_wire::moldudp64::{Session, count_blocks};
use tickdeck_wire::record::{LostEvent, SessionEvent, kind};

use super::failure::chain;
use super::journal::{HOLE_OVERRUN, record};
use crate::spec::StartAt;

/// Records that the incarnation before had published and not journalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drained {
    /// Copied into the journal.
    pub(super) records: u64,
    /// Overwritten in the ring before; spent with a hole.
    pub(super) lost: u64,
}

/// Copies what the old ring holds behind the journal's end into the journal. A ring that is
/// absent, of another log or unreadable holds nothing for this journal.
pub(super) fn drain_old_ring(path: &Path, writer: &mut Writer) -> Result<Drained, JournalError> {
    let ring = match tickdeck_ring::Reader::open(path) {
        Ok(ring) => ring,
        Err(RingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Drained::default());
        }
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "the old ring is left unread and replaced"
            );
            return Ok(Drained::default());
        }
    };
    if ring.log_id() != writer.log_id() {
        tracing::warn!(path = %path.display(), "the old ring belongs to another log; replaced");
        return Ok(Drained::default());
    }
    let mut buffer = vec![0; ring.slot_bytes()];
    let mut drained = Drained::default();
    loop {
        let seq = writer.next_seq();
        match ring.read(seq, &mut buffer) {
            Read::NotYet => return Ok(drained),
            Read::Record { header, len } => {
                writer.append(&record(&header, &buffer[..len]))?;
                drained.records += 1;
            }
            Read::Lapped { oldest_seq } => {
                let to = oldest_seq.max(seq + 1) - 1;
                writer.append_hole(seq, to, HOLE_OVERRUN)?;
                drained.lost += to - seq + 1;
            }
        }
    }
}

/// Where the merge begins: behind the journal's last record of its last session, or where the
/// configuration says when there is none.
pub(super) fn start_of(dir: &Path, start_at: StartAt) -> Result<Start, JournalError> {
    let reader = Reader::open(dir)?;
    let Some(record) = reader.last_record_of_kind(kind::SESSION)? else {
        return Ok(match start_at {
            StartAt::SessionStart => Start::SessionStart,
            StartAt::FirstSeen => Start::FirstSeen,
        });
    };
    let (session, mut next_sequence) = session_of(&record)?;
    // Both kinds advance the stream, and both only ever forward within a session.
    for (kind, next_of) in [
        (kind::DATA, next_of_data as NextOf),
        (kind::GAP_LOST, next_of_loss),
    ] {
        if let Some(newest) = reader.last_record_of_kind(kind)?
            && newest.seq > record.seq
        {
            next_sequence = next_sequence.max(next_of(&newest)?);
        }
    }
    Ok(Start::Resume {
        session,
        next_sequence,
    })
}

type NextOf = fn(&OwnedRecord) -> Result<u64, JournalError>;

fn session_of(record: &OwnedRecord) -> Result<(Session, u64), JournalError> {
    let event = SessionEvent::decode(&record.payload).map_err(|error| unreadable(record, error))?;
    Ok((event.session, event.next_sequence))
}

fn next_of_data(record: &OwnedRecord) -> Result<u64, JournalError> {
    let count = count_blocks(&record.payload)
        .ok_or_else(|| unreadable(record, "its message blocks are not whole"))?;
    Ok(record.venue_seq.saturating_add(count as u64))
}

fn next_of_loss(record: &OwnedRecord) -> Result<u64, JournalError> {
    let event = LostEvent::decode(&record.payload).map_err(|error| unreadable(record, error))?;
    Ok(event.gap.last.saturating_add(1))
}

/// The checksums of the record hold, so it was written by something else than this worker.
fn unreadable(record: &OwnedRecord, problem: impl std::fmt::Display) -> JournalError {
    let OwnedRecord { seq, kind, .. } = record;
    JournalError::BadRecord(format!(
        "journal record {seq} of kind {kind} cannot be continued from: {problem}; move the \
         journal away to begin a new one"
    ))
}
