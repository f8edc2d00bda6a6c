//! Salvage: what can still be read of a damaged log.

use std::io;
use std::path::Path;

use crate::format::SegmentHeader;
use crate::scan::{self, Found, Source};

/// First and last sequence of the valid blocks in a file whose header is damaged; `None` when there
/// are none, or the file does not name this log.
pub(crate) fn span_of(path: &Path, log_id: Option<[u8; 16]>) -> io::Result<Option<(u64, u64)>> {
    let mut source = Source::open(path)?;
    let header = source.bytes(0, SegmentHeader::LEN)?;
    if header.len() < SegmentHeader::LEN || log_id.is_none_or(|id| header[16..32] != id) {
        return Ok(None);
    }
    let mut span: Option<(u64, u64)> = None;
    let (mut offset, mut last_nonzero) = (SegmentHeader::LEN as u64, 0);
    loop {
        let block = match scan::read_block(&mut source, offset)? {
            Found::Block(block) => block,
            _ => match scan::find_block(&mut source, offset, None, &mut last_nonzero)? {
                Some(block) => block,
                None => return Ok(span),
            },
        };
        offset = block.end();
        let (from, next) = (block.header.base_seq, block.next_seq);
        if next > from {
            let (first, last) = span.unwrap_or((from, next - 1));
            span = Some((first.min(from), last.max(next - 1)));
        }
    }
}
