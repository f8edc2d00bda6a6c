//! Header of a record, 24 bytes, followed by its payload; records are packed without padding.
//!
//! | Off | Size | Field |
//! | --- | --- | --- |
//! | 0 | 4 | payload length |
//! | 4 | 1 | type in bits 0-5, timestamp source in bits 6-7 (0 hardware, 1 kernel, 2 user) |
//! | 5 | 1 | line |
//! | 6 | 2 | channel |
//! | 8 | 8 | venue_seq |
//! | 16 | 8 | rx_ns, UTC |

use super::{MAX_BLOCK_PAYLOAD, MAX_NUMBER, get_u16, get_u32, get_u64};
use crate::error::JournalError;
use crate::kind::{self, JournalHole};
use crate::writer::Record;

/// Codec of the record header.
pub(crate) struct RecordHeader;

impl RecordHeader {
    pub(crate) const LEN: usize = 24;
    /// Longest payload: a block of one record.
    pub(crate) const MAX_PAYLOAD: usize = MAX_BLOCK_PAYLOAD - Self::LEN;

    /// Refuses what the header cannot hold.
    pub(crate) fn check(record: &Record<'_>) -> Result<(), JournalError> {
        let (kind, stamp, length) = (record.kind, record.stamp, record.payload.len());
        if kind == 0 || kind > kind::MAX {
            return Err(JournalError::BadRecord(format!(
                "type {kind}, allowed are 1 to 63"
            )));
        }
        if stamp > MAX_STAMP {
            return Err(JournalError::BadRecord(format!(
                "timestamp source {stamp}, allowed 0 to 2"
            )));
        }
        if length > Self::MAX_PAYLOAD {
            let max = Self::MAX_PAYLOAD;
            return Err(JournalError::BadRecord(format!(
                "payload of {length} bytes, at most {max}"
            )));
        }
        Ok(())
    }

    /// Appends header and payload of a checked record.
    pub(crate) fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
        let mut header = [0; Self::LEN];
        // At most 1 MiB by `check`.
        header[..4].copy_from_slice(&(record.payload.len() as u32).to_le_bytes());
        header[4] = record.kind | record.stamp << STAMP_SHIFT;
        header[5] = record.line;
        header[6..8].copy_from_slice(&record.channel.to_le_bytes());
        header[8..16].copy_from_slice(&record.venue_seq.to_le_bytes());
        header[16..24].copy_from_slice(&record.rx_ns.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(record.payload);
    }

    /// Splits the first record off `bytes`; `None` when they do not begin with a whole valid one.
    pub(crate) fn split(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
        if bytes.len() < Self::LEN {
            return None;
        }
        let (header, rest) = bytes.split_at(Self::LEN);
        let (payload, rest) = rest.split_at_checked(get_u32(header, 0) as usize)?;
        let record = Record {
            kind: header[4] & kind::MAX,
            stamp: header[4] >> STAMP_SHIFT,
            line: header[5],
            channel: get_u16(header, 6),
            venue_seq: get_u64(header, 8),
            rx_ns: get_u64(header, 16),
            payload,
        };
        (record.kind != 0 && record.stamp <= MAX_STAMP).then_some((record, rest))
    }
}

/// Checks the records of a DATA block and returns the sequence that follows them.
///
/// A JOURNAL_HOLE spends the sequences it names, so it must be last in its block and the next block
/// begins behind it.
pub(crate) fn next_seq_after(base_seq: u64, count: u32, payload: &[u8]) -> Result<u64, String> {
    if base_seq == 0 || base_seq.saturating_add(count.into()) > MAX_NUMBER {
        return Err(format!("{count} records at sequence {base_seq}"));
    }
    let mut rest = payload;
    for index in 0..count {
        let Some((record, behind)) = RecordHeader::split(rest) else {
            return Err(format!(
                "record {index} of {count} is cut or has an invalid type"
            ));
        };
        rest = behind;
        if record.kind != kind::JOURNAL_HOLE {
            continue;
        }
        let seq = base_seq + u64::from(index);
        return match JournalHole::decode(record.payload) {
            Some(hole) if hole.from == seq && hole.to < MAX_NUMBER && rest.is_empty() => {
                if index + 1 == count {
                    Ok(hole.to + 1)
                } else {
                    Err(leftover(rest, count))
                }
            }
            _ => Err(format!(
                "journal hole at sequence {seq} is malformed or not last"
            )),
        };
    }
    if rest.is_empty() {
        Ok(base_seq + u64::from(count))
    } else {
        Err(leftover(rest, count))
    }
}

fn leftover(rest: &[u8], count: u32) -> String {
    format!("{} bytes behind the last of {count} records", rest.len())
}

const STAMP_SHIFT: u8 = 6;
const MAX_STAMP: u8 = 2;
