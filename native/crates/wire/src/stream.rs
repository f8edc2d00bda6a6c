//! Bytes of a TCP stream, kept until a whole packet is there.

/// A buffer of fixed size. Filled by [`Buffer::push`], emptied by [`Buffer::take`].
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    /// What was not taken yet is `bytes[start..end]`.
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that holds one packet of `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Appends what fits and returns how much that is; 0 only when a packet's worth is unread.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        if bytes.len() > self.bytes.len() - self.end {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let count = bytes.len().min(self.bytes.len() - self.end);
        self.bytes[self.end..self.end + count].copy_from_slice(&bytes[..count]);
        self.end += count;
        count
    }

    /// What was not taken yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes the first `count` unread bytes.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        let from = self.start;
        self.start += count;
        debug_assert!(self.start <= self.end, "only what is there can be taken");
        &self.bytes[from..self.start]
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

/// A number as digits, padded with spaces on the left.
pub(crate) fn put_digits(number: u64, field: &mut [u8; 20]) {
    field.fill(b' ');
    let mut rest = number;
    for place in field.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
}

/// The inverse of [`put_digits`]; zeros may stand for the spaces, and spaces may follow. `None`
/// for anything else, and for a number beyond 64 bits.
pub(crate) fn digits(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    text.parse().ok()
}
