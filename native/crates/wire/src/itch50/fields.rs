//! Field types of ITCH messages and how they lie in the bytes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text;

/// Side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// `B`: a bid.
    Buy = b'B',
    /// `S`: an offer.
    Sell = b'S',
}

/// Stock symbol, eight characters, padded with spaces on the right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stock(pub [u8; 8]);

/// Market participant identifier, four characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mpid(pub [u8; 4]);

/// Text that does not fit a fixed-width field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not at most {width} printable ASCII characters")]
pub struct TextError {
    text: String,
    width: usize,
}

/// A value at a fixed place of a message.
pub(super) trait Field: Copy {
    /// Bytes of the field.
    const WIDTH: usize;

    /// Reads the field from exactly `WIDTH` bytes.
    fn get(bytes: &[u8]) -> Self;

    /// Writes the field to exactly `WIDTH` bytes.
    fn put(self, bytes: &mut [u8]);

    /// The offending byte when the bytes are not a value of this type.
    #[inline]
    fn bad_byte(_bytes: &[u8]) -> Option<u8> {
        None
    }
}

/// Reads the timestamp of any message: six bytes at offset 5.
#[inline]
pub(super) fn timestamp_ns(message: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[2..].copy_from_slice(&message[5..11]);
    u64::from_be_bytes(word)
}

/// Writes the six low bytes of a timestamp.
#[inline]
pub(super) fn put_timestamp_ns(timestamp_ns: u64, bytes: &mut [u8]) {
    debug_assert!(timestamp_ns < 1 << 48, "a timestamp has 48 bits");
    bytes.copy_from_slice(&timestamp_ns.to_be_bytes()[2..]);
}

macro_rules! integer_field {
    ($($int:ty),*) => {$(
        impl Field for $int {
            const WIDTH: usize = size_of::<$int>();

            #[inline]
            fn get(bytes: &[u8]) -> Self {
                let mut word = [0; Self::WIDTH];
                word.copy_from_slice(bytes);
                Self::from_be_bytes(word)
            }

            #[inline]
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

integer_field!(u8, u16, u32, u64);

impl<const N: usize> Field for [u8; N] {
    const WIDTH: usize = N;

    #[inline]
    fn get(bytes: &[u8]) -> Self {
        let mut field = [0; N];
        field.copy_from_slice(bytes);
        field
    }

    #[inline]
    fn put(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self);
    }
}

macro_rules! text_field {
    ($type:ident, $width:literal) => {
        impl Field for $type {
            const WIDTH: usize = $width;

            #[inline]
            fn get(bytes: &[u8]) -> Self {
                Self(Field::get(bytes))
            }

            #[inline]
            fn put(self, bytes: &mut [u8]) {
                self.0.put(bytes);
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                text::write_trimmed(f, &self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }

        impl FromStr for $type {
            type Err = TextError;

            /// Right-pads with spaces.
            fn from_str(text: &str) -> Result<Self, TextError> {
                text::padded(text).map(Self).ok_or_else(|| TextError {
                    text: text.to_owned(),
                    width: $width,
                })
            }
        }
    };
}

text_field!(Stock, 8);
text_field!(Mpid, 4);

impl Side {
    /// The character on the wire.
    #[inline]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The other side.
    #[inline]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

impl Field for Side {
    const WIDTH: usize = 1;

    #[inline]
    fn get(bytes: &[u8]) -> Self {
        // `bad_byte` refused all but two values when the view was made.
        if bytes[0] == Self::Sell as u8 {
            Self::Sell
        } else {
            Self::Buy
        }
    }

    #[inline]
    fn put(self, bytes: &mut [u8]) {
        bytes[0] = self.code();
    }

    #[inline]
    fn bad_byte(bytes: &[u8]) -> Option<u8> {
        // As bits of a word, not one comparison after the other: which of the two it is cannot be
        // predicted, that it is one of them can.
        const SIDES: u32 = 1 << (b'B' % 32) | 1 << (b'S' % 32);
        let is_letter = u32::from(bytes[0] / 32 == b'B' / 32);
        let is_side = (SIDES >> (bytes[0] % 32)) & is_letter;
        (is_side == 0).then_some(bytes[0])
    }
}
