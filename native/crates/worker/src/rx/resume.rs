//! Where a new incarnation goes on: the old ring into the journal, then the journal's tail.

use std::io;
use std::path::Path;

use tickdeck_arbiter::{Framing, Start};
use tickdeck_journal::{JournalError, OwnedRecord, Reader, Writer};
use tickdeck_ring::{Read, RingError};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    LossReason, LostEvent, SessionEvent, SessionEventKind, SnapshotEvent, kind,
};

use super::journal::{HOLE_OVERRUN, record};
use super::protocol::Wire;
use crate::exit::chain;
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
/// absent, of another log or no ring holds nothing for this journal; one that cannot be read is an
/// error.
pub(super) fn drain_old_ring(path: &Path, writer: &mut Writer) -> Result<Drained, JournalError> {
    let ring = match tickdeck_ring::Reader::open(path) {
        Ok(ring) => ring,
        Err(RingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Drained::default());
        }
        // What it holds may have been handed out: to go on would give its numbers out again.
        Err(RingError::Io { source, .. }) => {
            return Err(JournalError::Io {
                context: "cannot read the old ring",
                path: path.to_owned(),
                source,
            });
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

/// Where the merge begins, and how its lines are read.
pub(super) struct Beginning {
    pub(super) start: Start,
    pub(super) framing: Framing,
    /// The journal ends inside a snapshot of the whole channel, or before one that its losses wait
    /// for: another one is needed.
    pub(super) is_snapshot_cut: bool,
}

/// The merge begins behind the journal's last record of its last session, or where the
/// configuration says when there is none.
pub(super) fn begin(dir: &Path, start_at: StartAt, wire: Wire) -> Result<Beginning, JournalError> {
    let reader = Reader::open(dir)?;
    let Some(record) = reader.last_record_of_kind(kind::SESSION)? else {
        let start = match start_at {
            StartAt::SessionStart => Start::SessionStart,
            StartAt::FirstSeen => Start::FirstSeen,
        };
        let framing = wire.framing();
        return Ok(Beginning {
            start,
            framing,
            is_snapshot_cut: false,
        });
    };
    let (session, mut next_sequence) = session_of(&record)?;
    let begun_seq = beginning_of(&reader, &record)?;
    // Both kinds advance the stream, and both only ever forward within a session.
    let newest = |kind| -> Result<Option<OwnedRecord>, JournalError> {
        let newest = reader.last_record_of_kind(kind)?;
        Ok(newest.filter(|newest| newest.seq > begun_seq))
    };
    let data = newest(kind::DATA)?;
    if let Some(data) = &data {
        next_sequence = next_sequence.max(next_of_data(data, wire)?);
    }
    let loss = newest(kind::GAP_LOST)?;
    if let Some(loss) = &loss {
        next_sequence = next_sequence.max(next_of_loss(loss)?);
    }
    let last_packet = data.as_ref().map(|data| &data.payload[..]);
    let framing = wire.continued(session, last_packet);
    let framing = framing.map_err(|error| unreadable(data.as_ref().unwrap_or(&record), error))?;
    let start = Start::Resume {
        session,
        next_sequence,
    };
    Ok(Beginning {
        start,
        framing,
        is_snapshot_cut: is_cut(newest(kind::SNAPSHOT_BEGIN)?, newest(kind::SNAPSHOT_END)?)
            || (wire == Wire::MoldUdp64 && is_owed(loss, newest(kind::SNAPSHOT_END)?)),
    })
}

/// The journal sequence at which the session of a SESSION record began: those that say that it
/// ended or goes on change nothing about what of it is there.
fn beginning_of(reader: &Reader, newest: &OwnedRecord) -> Result<u64, JournalError> {
    let mut seq = newest.seq;
    let (mut event, session) = (newest.clone(), session_of(newest)?.0);
    while matches!(
        kind_of(&event)?,
        SessionEventKind::Ended | SessionEventKind::Resumed
    ) {
        match reader.last_record_of_kind_below(kind::SESSION, seq)? {
            Some(before) if session_of(&before)?.0 == session => {
                seq = before.seq;
                event = before;
            }
            _ => break,
        }
    }
    Ok(seq)
}

/// Whether the newest snapshot of the whole channel has no end.
fn is_cut(begin: Option<OwnedRecord>, end: Option<OwnedRecord>) -> bool {
    let of_channel = |record: &OwnedRecord| {
        let event = SnapshotEvent::decode(&record.payload);
        event.is_ok_and(|event| event.scope == SnapshotEvent::WHOLE_CHANNEL)
    };
    begin
        .filter(of_channel)
        .is_some_and(|begin| end.is_none_or(|end| end.seq < begin.seq))
}

/// Whether the newest loss was given up for a snapshot that did not follow.
fn is_owed(loss: Option<OwnedRecord>, end: Option<OwnedRecord>) -> bool {
    let is_for_snapshot = |record: &OwnedRecord| {
        let event = LostEvent::decode(&record.payload);
        event.is_ok_and(|event| event.reason == LossReason::Snapshot)
    };
    loss.filter(is_for_snapshot)
        .is_some_and(|loss| end.is_none_or(|end| end.seq < loss.seq))
}

fn session_of(record: &OwnedRecord) -> Result<(Session, u64), JournalError> {
    let event = SessionEvent::decode(&record.payload).map_err(|error| unreadable(record, error))?;
    Ok((event.session, event.next_sequence))
}

fn kind_of(record: &OwnedRecord) -> Result<SessionEventKind, JournalError> {
    let event = SessionEvent::decode(&record.payload).map_err(|error| unreadable(record, error))?;
    Ok(event.kind)
}

fn next_of_data(record: &OwnedRecord, wire: Wire) -> Result<u64, JournalError> {
    let count = wire
        .count(&record.payload)
        .ok_or_else(|| unreadable(record, "its message blocks are not whole"))?;
    Ok(record.venue_seq.saturating_add(count))
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

#[cfg(test)]
mod tests {
    use tickdeck_journal::{SyncPolicy, WriterConfig};
    use tickdeck_ring::{RecordHeader, RingConfig};
    use tickdeck_wire::ledger::{LedgerNote, LedgerRow};
    use tickdeck_wire::record::GapEvent;

    use super::*;

    const SESSION: Session = Session(*b"DEMO000001");

    fn open(dir: &Path) -> Writer {
        let config = WriterConfig::new(dir.join("journal"), 1 << 20, SyncPolicy::Os, 1);
        Writer::open(config).expect("journal").0
    }

    fn ring(dir: &Path, start_seq: u64, log_id: [u8; 16]) -> tickdeck_ring::Writer {
        let config = RingConfig {
            slot_count: 8,
            slot_bytes: 64,
            start_seq,
            log_id,
            incarnation: [1; 16],
        };
        tickdeck_ring::Writer::create(&dir.join("ring"), &config).expect("ring")
    }

    fn header(kind: u8, venue_seq: u64) -> RecordHeader {
        RecordHeader {
            kind,
            venue_seq,
            ..RecordHeader::default()
        }
    }

    /// Publishes a run of `count` empty messages.
    fn publish(ring: &mut tickdeck_ring::Writer, venue_seq: u64, count: usize) {
        let blocks = vec![0; 2 * count];
        ring.publish(&header(kind::DATA, venue_seq), &blocks)
            .expect("published");
    }

    fn append(writer: &mut Writer, kind: u8, venue_seq: u64, payload: &[u8]) {
        writer
            .append(&record(&header(kind, venue_seq), payload))
            .expect("appended");
    }

    fn append_session(writer: &mut Writer, kind: SessionEventKind, next_sequence: u64) {
        let session = SESSION;
        let event = SessionEvent {
            kind,
            session,
            next_sequence,
        };
        append(writer, kind::SESSION, next_sequence, &event.encode());
    }

    fn start_in(dir: &Path, writer: &mut Writer) -> Start {
        writer.flush().expect("flushed");
        let begun = begin(&dir.join("journal"), StartAt::FirstSeen, Wire::MoldUdp64);
        begun.expect("a start").start
    }

    fn resume(next_sequence: u64) -> Start {
        Start::Resume {
            session: SESSION,
            next_sequence,
        }
    }

    /// What only the ring holds comes into the journal under the ring's own numbers; what the
    /// ring no longer holds is a hole; a second drain finds nothing.
    #[test]
    fn old_ring_is_drained() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut writer = open(directory.path());
        append(&mut writer, kind::DATA, 1, &[]);
        let mut ring = ring(directory.path(), 1, writer.log_id());
        for venue_seq in 1..=5 {
            publish(&mut ring, venue_seq, 1);
        }
        let path = directory.path().join("ring");
        let drained = drain_old_ring(&path, &mut writer).expect("drained");
        assert_eq!(
            drained,
            Drained {
                records: 4,
                lost: 0
            }
        );
        assert_eq!(writer.next_seq(), ring.next_seq());
        for venue_seq in 6..=25 {
            publish(&mut ring, venue_seq, 1);
        }
        let drained = drain_old_ring(&path, &mut writer).expect("drained");
        assert_eq!(drained.records + drained.lost, 20);
        assert!(
            drained.lost >= 12,
            "the ring of eight slots cannot hold them: {drained:?}"
        );
        assert_eq!(writer.next_seq(), ring.next_seq());
        let again = drain_old_ring(&path, &mut writer).expect("drained");
        assert_eq!(again, Drained::default());
    }

    /// A ring of another log, a file that is no ring and no file at all give nothing.
    #[test]
    fn foreign_ring_is_left_alone() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut writer = open(directory.path());
        let path = directory.path().join("ring");
        let nothing = Drained::default();
        assert_eq!(
            drain_old_ring(&path, &mut writer).expect("no file"),
            nothing
        );
        publish(&mut ring(directory.path(), 1, [9; 16]), 1, 1);
        assert_eq!(
            drain_old_ring(&path, &mut writer).expect("foreign"),
            nothing
        );
        std::fs::write(&path, b"no ring").expect("written");
        assert_eq!(
            drain_old_ring(&path, &mut writer).expect("no ring"),
            nothing
        );
        assert_eq!(writer.next_seq(), 1);
    }

    /// A ring that the system does not let us read may hold records: nothing goes on without it.
    #[test]
    fn unreadable_ring_is_an_error() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut writer = open(directory.path());
        let path = directory.path().join("ring");
        std::os::unix::fs::symlink(&path, &path).expect("a link to itself");
        let error = drain_old_ring(&path, &mut writer).expect_err("refused");
        assert!(error.to_string().contains("old ring"), "{error}");
    }

    /// The stream goes on behind the last message or loss of the last session, and before the
    /// first session where the configuration says.
    #[test]
    fn start_is_behind_the_tail() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut writer = open(directory.path());
        let path = directory.path();
        assert_eq!(start_in(path, &mut writer), Start::FirstSeen);
        append_session(&mut writer, SessionEventKind::Started, 1);
        assert_eq!(start_in(path, &mut writer), resume(1));
        append(&mut writer, kind::DATA, 1, &[0, 0, 0, 0, 0, 0]);
        assert_eq!(start_in(path, &mut writer), resume(4));
        let gap = GapEvent {
            gap_id: 1,
            first: 4,
            last: 9,
            detected_ns: 0,
        };
        append(&mut writer, kind::GAP_OPEN, 4, &gap.encode());
        assert_eq!(
            start_in(path, &mut writer),
            resume(4),
            "an open gap is not passed"
        );
        let reason = LossReason::Operator;
        append(
            &mut writer,
            kind::GAP_LOST,
            4,
            &LostEvent { gap, reason }.encode(),
        );
        append(&mut writer, kind::GAP_ROW, 4, &[0; LedgerRow::LEN]);
        append(&mut writer, kind::GAP_NOTE, 0, &[0; LedgerNote::HEAD_LEN]);
        assert_eq!(start_in(path, &mut writer), resume(10));
        append_session(&mut writer, SessionEventKind::Changed, 1);
        assert_eq!(
            start_in(path, &mut writer),
            resume(1),
            "numbers of the session before do not count"
        );
    }

    /// A journal that ends inside a snapshot says so; one whose snapshot is whole, and one that
    /// another session follows, do not.
    #[test]
    fn a_cut_snapshot_is_seen() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut writer = open(directory.path());
        let path = directory.path().join("journal");
        let snapshot = SnapshotEvent {
            gap_id: 1,
            scope: SnapshotEvent::WHOLE_CHANNEL,
            resume_sequence: 9,
            records: 1,
            orders: 0,
        };
        let is_cut = |writer: &mut Writer| {
            writer.flush().expect("flushed");
            let begun = begin(&path, StartAt::FirstSeen, Wire::MoldUdp64);
            begun.expect("a beginning").is_snapshot_cut
        };
        append_session(&mut writer, SessionEventKind::Started, 1);
        assert!(!is_cut(&mut writer));
        append(&mut writer, kind::SNAPSHOT_BEGIN, 9, &snapshot.encode());
        append(&mut writer, kind::SNAPSHOT_DATA, 9, &[0, 0]);
        assert!(is_cut(&mut writer));
        append(&mut writer, kind::SNAPSHOT_END, 9, &snapshot.encode());
        assert!(!is_cut(&mut writer));
        append(&mut writer, kind::SNAPSHOT_BEGIN, 9, &snapshot.encode());
        append_session(&mut writer, SessionEventKind::Resumed, 9);
        assert!(is_cut(&mut writer), "a session that goes on owes it still");
        append_session(&mut writer, SessionEventKind::Changed, 1);
        assert!(!is_cut(&mut writer));
        let lost = |reason| {
            let (gap_id, first, last, detected_ns) = (1, 4, 9, 0);
            let gap = GapEvent {
                gap_id,
                first,
                last,
                detected_ns,
            };
            LostEvent { gap, reason }.encode()
        };
        append(&mut writer, kind::GAP_LOST, 4, &lost(LossReason::Operator));
        assert!(!is_cut(&mut writer));
        append(&mut writer, kind::GAP_LOST, 4, &lost(LossReason::Snapshot));
        assert!(
            is_cut(&mut writer),
            "the snapshot of this loss has not begun"
        );
        append(&mut writer, kind::SNAPSHOT_END, 9, &snapshot.encode());
        assert!(!is_cut(&mut writer));
    }

    /// A restart of the numbers during a stop is seen although the journal has no packet since the
    /// stop before: the last packet of the epoch counts, not that of the last run.
    #[test]
    fn an_epoch_is_continued_over_two_stops() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut writer = open(directory.path());
        let session = Session(*b"EPOCH00001");
        let packet = |sequence: u32, sent_ns: u64| {
            let mut bytes = [
                sequence.to_le_bytes().to_vec(),
                sent_ns.to_le_bytes().to_vec(),
            ];
            // Size, block length, template, schema and version of a heartbeat.
            bytes[1].extend([10, 0, 0, 0, 12, 0, 1, 0, 9, 0]);
            bytes.concat()
        };
        let mut session_is = |kind, next_sequence| {
            let event = SessionEvent {
                kind,
                session,
                next_sequence,
            };
            append(&mut writer, kind::SESSION, next_sequence, &event.encode());
            if kind == SessionEventKind::Started {
                append(&mut writer, kind::DATA, 900, &packet(900, 5_000));
            }
            writer.flush().expect("flushed");
            let path = directory.path().join("journal");
            let begun = begin(&path, StartAt::FirstSeen, Wire::CmeMdp3).expect("a beginning");
            let start = Start::Resume {
                session,
                next_sequence: 901,
            };
            assert_eq!(begun.start, start);
            let mut framing = begun.framing;
            let again = packet(2, 6_000);
            let refused = framing.frame(0, &again, 0);
            let refused = refused.expect_err("a reset that nothing has confirmed");
            assert_eq!(refused.reason, "unconfirmed_reset");
        };
        session_is(SessionEventKind::Started, 900);
        session_is(SessionEventKind::Resumed, 901);
        session_is(SessionEventKind::Resumed, 901);
    }
}
