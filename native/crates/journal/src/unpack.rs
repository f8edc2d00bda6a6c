//! The records of one block, for those who got it from elsewhere.

use crate::format::RecordHeader;
use crate::format::record::next_seq_after;
use crate::reader::Entry;

/// Splits the unpacked payload of a DATA block into its records. Gives them with the sequence behind
/// them, which a JOURNAL_HOLE at the end moves on.
///
/// # Errors
///
/// What is wrong, in words: the payload is not exactly `count` records.
pub fn unpack(base_seq: u64, count: u32, payload: &[u8]) -> Result<(Vec<Entry<'_>>, u64), String> {
    let next_seq = next_seq_after(base_seq, count, payload)?;
    let mut rest = payload;
    let mut entries = Vec::new();
    for seq in (base_seq..).take(count as usize) {
        let (record, behind) = RecordHeader::split(rest)
            .ok_or_else(|| format!("record {seq} is cut or has an invalid type"))?;
        rest = behind;
        entries.push(Entry { seq, record });
    }
    Ok((entries, next_seq))
}
