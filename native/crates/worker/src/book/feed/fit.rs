//! Whether a journal continues where a channel stands.

use tickdeck_book::{Record, RecordMark};
use tickdeck_journal::{JournalError, Reader as Journal};
use tickdeck_wire::record::{JournalHole, kind};

/// Whether a journal continues where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The record before the cursor is the one that was applied, or is not kept any more.
    Fits,
    /// The journal does not reach the cursor.
    Beyond,
    /// Another record has its number.
    Other,
}

/// Whether the record before `cursor` is in the journal and is the one with this mark.
pub(crate) fn fit(
    reader: &mut Journal,
    cursor: u64,
    mark: Option<RecordMark>,
) -> Result<Fit, JournalError> {
    let before = cursor.saturating_sub(1);
    if before < reader.first_seq() {
        return Ok(Fit::Fits);
    }
    reader.seek(before)?;
    while let Some(entry) = reader.next()? {
        let (kind, payload) = (entry.record.kind, entry.record.payload);
        if kind == kind::JOURNAL_HOLE
            && JournalHole::decode(payload).is_ok_and(|hole| hole.to >= before)
        {
            // The ring had what the journal could not keep: nothing to compare with.
            return Ok(Fit::Fits);
        }
        if entry.seq >= before {
            let (venue_seq, rx_ns) = (entry.record.venue_seq, entry.record.rx_ns);
            let found = Record {
                seq: before,
                kind,
                venue_seq,
                rx_ns,
                payload,
            }
            .mark();
            let is_other = entry.seq == before && mark.is_some_and(|mark| mark != found);
            return Ok(if is_other { Fit::Other } else { Fit::Fits });
        }
    }
    Ok(Fit::Beyond)
}
