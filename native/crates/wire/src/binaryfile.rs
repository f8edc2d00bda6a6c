//! NASDAQ BinaryFILE: messages back to back, each a `u16` big-endian length and its bytes.
//!
//! There is no header, no packet framing and no end mark: the file ends after the last message.
//! A length of zero is what some files use as an end mark; here it is an empty message.

mod conform;

use thiserror::Error;

use crate::moldudp64::BLOCK_LEN;

pub use conform::{Conformed, conform};

/// Messages of a BinaryFILE held in memory.
///
/// After the first error the iterator ends: what follows a cut message cannot be framed.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    /// What was not yet returned; empty after an error.
    rest: &'a [u8],
    /// Where `rest` ends.
    end: usize,
}

/// The file ends inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the file ends inside the message at byte {offset}: {needed} bytes needed, {available} left"
)]
pub struct Truncated {
    /// Where the cut message starts: its length field.
    pub offset: usize,
    /// Bytes the message needs, with its length field.
    pub needed: usize,
    /// Bytes left in the file.
    pub available: usize,
}

/// A message longer than its length field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message of {actual} bytes is longer than a BinaryFILE length field can say (65535)")]
pub struct TooLong {
    /// Bytes of the message.
    pub actual: usize,
}

impl<'a> Messages<'a> {
    /// Iterates over the messages in `bytes`, a whole file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            end: bytes.len(),
        }
    }

    /// Where the next message starts, in bytes from the beginning.
    pub fn offset(&self) -> usize {
        self.end - self.rest.len()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Truncated>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some((length, behind)) = self.rest.split_first_chunk::<BLOCK_LEN>()
            && let Some((message, rest)) =
                behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        {
            self.rest = rest;
            return Some(Ok(message));
        }
        self.cut().map(Err)
    }
}

impl Messages<'_> {
    /// The end, or a message that is cut; nothing is returned after it.
    #[cold]
    fn cut(&mut self) -> Option<Truncated> {
        let (rest, offset) = (self.rest, self.offset());
        if rest.is_empty() {
            return None;
        }
        let length = rest.first_chunk::<BLOCK_LEN>();
        let length = length.map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        self.rest = &[];
        self.end = offset;
        Some(Truncated {
            offset,
            needed: BLOCK_LEN + length,
            available: rest.len(),
        })
    }
}

/// Appends a message with its length.
///
/// # Errors
/// [`TooLong`] for a message over 65,535 bytes; `out` is then unchanged.
pub fn push(out: &mut Vec<u8>, message: &[u8]) -> Result<(), TooLong> {
    let Ok(length) = u16::try_from(message.len()) else {
        return Err(TooLong {
            actual: message.len(),
        });
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that pushed messages come back unchanged, an empty one included.
    #[test]
    fn pushed_messages_are_read_back() {
        let mut file = Vec::new();
        for message in [&b"S"[..], b"", b"order"] {
            push(&mut file, message).unwrap();
        }
        assert_eq!(file, b"\x00\x01S\x00\x00\x00\x05order");
        let read: Result<Vec<_>, _> = Messages::new(&file).collect();
        assert_eq!(read.unwrap(), [&b"S"[..], b"", b"order"]);
    }

    /// Proves that a cut message is an error at its offset, at every cut, and then the end.
    #[test]
    fn a_cut_message_is_an_error_and_the_last_item() {
        let file = b"\x00\x01S\x00\x03abc";
        for end in 4..file.len() {
            let mut messages = Messages::new(&file[..end]);
            assert_eq!(messages.next(), Some(Ok(&b"S"[..])));
            let error = messages.next().unwrap().unwrap_err();
            let needed = if end < 5 { 2 } else { 5 };
            assert_eq!(
                error,
                Truncated {
                    offset: 3,
                    needed,
                    available: end - 3
                }
            );
            assert_eq!(messages.next(), None);
        }
    }

    /// Proves that a message the length field cannot describe is refused and nothing is written.
    #[test]
    fn a_message_over_64_kib_is_refused() {
        let mut file = Vec::new();
        assert_eq!(
            push(&mut file, &vec![0; 65_536]),
            Err(TooLong { actual: 65_536 })
        );
        assert!(file.is_empty());
    }
}
