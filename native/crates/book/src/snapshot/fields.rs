//! Reading and writing the fields of a snapshot.

use super::{Cause, Doubt, RecordMark, SnapshotError};

/// Reads little-endian fields one after the other; running out of bytes is an error, not a panic.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let field = rest
            .first_chunk::<N>()
            .ok_or_else(|| self.invalid("the content ends early"))?;
        self.offset += N;
        Ok(*field)
    }

    /// The next `count` bytes.
    pub(super) fn slice(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let slice = rest
            .get(..count)
            .ok_or_else(|| self.invalid("the content ends early"))?;
        self.offset += count;
        Ok(slice)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), SnapshotError> {
        for _ in 0..count {
            self.u8()?;
        }
        Ok(())
    }

    pub(super) fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.take().map(u64::from_le_bytes)
    }

    /// A list of exactly `N` words with its count in front.
    pub(super) fn words<const N: usize>(&mut self) -> Result<[u64; N], SnapshotError> {
        if self.u32()? as usize != N {
            return Err(self.invalid("another number of counters"));
        }
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u64()?;
        }
        Ok(words)
    }

    pub(super) fn doubt(&mut self) -> Result<Option<Doubt>, SnapshotError> {
        let (code, since) = (self.u8()?, self.u64()?);
        if code == 0 {
            return Ok(None);
        }
        let cause = Cause::from_code(code).ok_or_else(|| self.invalid("an unknown cause"))?;
        Ok(Some(Doubt { since, cause }))
    }

    pub(super) fn mark(&mut self) -> Result<Option<RecordMark>, SnapshotError> {
        let kind = self.u8()?;
        let (payload_len, venue_seq, rx_ns) = (self.u32()?, self.u64()?, self.u64()?);
        Ok((kind != 0).then_some(RecordMark {
            kind,
            venue_seq,
            rx_ns,
            payload_len,
        }))
    }

    pub(super) fn end(&self) -> Result<(), SnapshotError> {
        if self.offset == self.bytes.len() {
            Ok(())
        } else {
            Err(self.invalid("trailing bytes"))
        }
    }

    /// The error "`what` at the place just read".
    pub(super) fn invalid(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Invalid {
            what,
            offset: self.offset,
        }
    }
}

/// Writes a doubt: its cause or 0, and since when.
pub(super) fn put_doubt(doubt: Option<Doubt>, out: &mut Vec<u8>) {
    let (code, since) = doubt.map_or((0, 0), |doubt| (doubt.cause as u8, doubt.since));
    out.push(code);
    out.extend_from_slice(&since.to_le_bytes());
}

/// Writes the mark of a record, or zeros.
pub(super) fn put_mark(mark: Option<RecordMark>, out: &mut Vec<u8>) {
    let none = RecordMark {
        kind: 0,
        venue_seq: 0,
        rx_ns: 0,
        payload_len: 0,
    };
    let mark = mark.unwrap_or(none);
    out.push(mark.kind);
    out.extend_from_slice(&mark.payload_len.to_le_bytes());
    out.extend_from_slice(&mark.venue_seq.to_le_bytes());
    out.extend_from_slice(&mark.rx_ns.to_le_bytes());
}

/// Writes a count. Everything counted here is far below 2^32 by the limits of the books.
pub(super) fn put_u32(count: usize, out: &mut Vec<u8>) {
    let count = u32::try_from(count).expect("counts of books, gaps and counters fit in 32 bits");
    out.extend_from_slice(&count.to_le_bytes());
}
