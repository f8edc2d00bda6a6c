//! Files whose stock fields are wider than the specification's eight bytes.
//!
//! Converters that name their instrument with more than eight characters write the name in full,
//! so that every message with a stock field is longer by the same number of bytes. To a decoder
//! such messages have a wrong length. A file can be mended before it is played; a live line never
//! is: there a wrong length is a wrong length.

use std::borrow::Cow;

use super::{Messages, Truncated, push};
use crate::itch50;

/// Width of a stock field, TotalView-ITCH 5.0 section 3.
const STOCK_LEN: usize = 8;
/// Widest excess that is taken for a long name.
const MOST_EXCESS: usize = 24;

/// A file of which every stock field is eight bytes wide.
#[derive(Clone, Debug)]
pub struct Conformed<'a> {
    /// The file, borrowed when nothing was changed.
    pub bytes: Cow<'a, [u8]>,
    /// Messages whose stock field was cut to its first eight bytes.
    pub narrowed: u64,
}

/// Cuts stock fields to eight bytes where the stock directory shows that the file has wider ones.
///
/// The excess is that of the first stock directory message (`R`). Messages with another length
/// stay as they are, for the decoder to count.
///
/// # Errors
/// [`Truncated`] when the file ends inside a message.
pub fn conform(file: &[u8]) -> Result<Conformed<'_>, Truncated> {
    let excess = excess(file)?;
    if excess == 0 {
        return Ok(Conformed {
            bytes: Cow::Borrowed(file),
            narrowed: 0,
        });
    }
    let mut bytes = Vec::with_capacity(file.len());
    let mut narrowed = 0;
    let mut narrow = Vec::with_capacity(64);
    for message in Messages::new(file) {
        let message = message?;
        let stock = stock_offset(message).filter(|_| itch_excess(message) == Some(excess));
        let message = match stock {
            Some(offset) => {
                narrowed += 1;
                narrow.clear();
                narrow.extend_from_slice(&message[..offset + STOCK_LEN]);
                narrow.extend_from_slice(&message[offset + STOCK_LEN + excess..]);
                &narrow
            }
            None => message,
        };
        push(&mut bytes, message).expect("a message of a file fits its length field");
    }
    Ok(Conformed {
        bytes: Cow::Owned(bytes),
        narrowed,
    })
}

/// By how much the first stock directory message is too long; 0 when it is right or not there.
fn excess(file: &[u8]) -> Result<usize, Truncated> {
    let mut first = None;
    for message in Messages::new(file) {
        let message = message?;
        if first.is_none() && message.first() == Some(&b'R') {
            first = itch_excess(message);
        }
    }
    Ok(first.filter(|excess| *excess <= MOST_EXCESS).unwrap_or(0))
}

/// By how much a message is longer than its type; `None` for a shorter one or an unknown type.
fn itch_excess(message: &[u8]) -> Option<usize> {
    message
        .len()
        .checked_sub(itch50::length_of(*message.first()?)?)
}

/// Where the stock field of a message starts, for the types that have one.
fn stock_offset(message: &[u8]) -> Option<usize> {
    match message.first()? {
        b'R' | b'H' | b'Y' | b'K' | b'J' | b'h' | b'N' | b'O' => Some(11),
        b'L' => Some(15),
        b'Q' => Some(19),
        b'A' | b'F' | b'P' => Some(24),
        b'I' => Some(28),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of its type's length, each byte telling its place.
    fn message(kind: u8) -> Vec<u8> {
        let length = itch50::length_of(kind).expect("a known type");
        (0..length as u8)
            .map(|at| if at == 0 { kind } else { at })
            .collect()
    }

    fn widened(kind: u8) -> Vec<u8> {
        let mut wide = message(kind);
        if let Some(offset) = stock_offset(&wide) {
            wide.splice(offset + STOCK_LEN..offset + STOCK_LEN, *b"XY");
        }
        wide
    }

    fn file(messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut file = Vec::new();
        for message in messages {
            push(&mut file, &message).expect("short");
        }
        file
    }

    const KINDS: &[u8] = b"SRHYLVWKJhAFECXDUPQBIN";

    /// Every type with a stock field gets back its own bytes; the others are not touched.
    #[test]
    fn wide_files_are_narrowed() {
        let wide = file(KINDS.iter().map(|kind| widened(*kind)));
        let conformed = conform(&wide).expect("whole");
        assert_eq!(
            conformed.bytes,
            file(KINDS.iter().map(|kind| message(*kind)))
        );
        assert_eq!(conformed.narrowed, 13);
    }

    /// A file that is right is not copied, and one without a stock directory is not guessed at.
    #[test]
    fn other_files_stay() {
        let right = file(KINDS.iter().map(|kind| message(*kind)));
        let conformed = conform(&right).expect("whole");
        assert!(matches!(conformed.bytes, Cow::Borrowed(_)));
        let undeclared = file([widened(b'A')]);
        assert_eq!(conform(&undeclared).expect("whole").bytes, undeclared);
    }

    /// A message with yet another length is left for the decoder to count.
    #[test]
    fn odd_lengths_stay() {
        let mut odd = widened(b'A');
        odd.push(0);
        let wide = file([widened(b'R'), odd.clone()]);
        let conformed = conform(&wide).expect("whole");
        assert_eq!(conformed.bytes, file([message(b'R'), odd]));
    }

    /// A cut file is an error, as everywhere.
    #[test]
    fn cut_file_is_refused() {
        let right = file([message(b'S')]);
        assert!(conform(&right[..right.len() - 1]).is_err());
    }
}
