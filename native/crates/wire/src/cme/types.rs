//! The types of fields: where one stands in its block, and how it is read and written there.
//!
//! A field that may have no value says so with the greatest number of its type: `None` here. A
//! price or another decimal is its mantissa; the exponent is the type's, [`Decimal::EXPONENT`].

use super::fields::bytes_at;

/// Text of `LEN` bytes, ended by a zero or by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<const LEN: usize>(pub usize);

/// Year, month, day and week of a contract's end; each may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maturity(pub usize);

/// A value of [`Maturity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaturityDate {
    /// Year.
    pub year: Option<u16>,
    /// Month, from 1.
    pub month: Option<u8>,
    /// Day of the month, from 1.
    pub day: Option<u8>,
    /// Week of the month, from 1.
    pub week: Option<u8>,
}

impl<const LEN: usize> Text<LEN> {
    /// The text without its padding; empty when there is none.
    ///
    /// # Panics
    /// When the block is too short for the field.
    pub fn get(self, block: &[u8]) -> &[u8] {
        let text = &block[self.0..self.0 + LEN];
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(LEN);
        text[..end].trim_ascii_end()
    }

    /// Writes the text, padded with zeros.
    ///
    /// # Panics
    /// When the block is too short for the field, or the field for the text.
    pub fn put(self, block: &mut [u8], text: &[u8]) {
        block[self.0..self.0 + LEN].fill(0);
        block[self.0..self.0 + LEN][..text.len()].copy_from_slice(text);
    }

    /// Offset behind the field.
    pub const fn end(self) -> usize {
        self.0 + LEN
    }
}

impl Maturity {
    /// The date.
    ///
    /// # Panics
    /// When the block is too short for the field.
    pub fn get(self, block: &[u8]) -> MaturityDate {
        MaturityDate {
            year: OptU16(self.0).get(block),
            month: OptU8(self.0 + 2).get(block),
            day: OptU8(self.0 + 3).get(block),
            week: OptU8(self.0 + 4).get(block),
        }
    }

    /// Offset behind the field.
    pub const fn end(self) -> usize {
        self.0 + 5
    }
}

/// Declares a field that has always a value.
macro_rules! required {
    ($(#[doc = $doc:literal])* $name:ident $(<$exponent:ident>)?: $value:ty) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name $(<const $exponent: i8>)? (pub usize);

        impl $(<const $exponent: i8>)? $name $(<$exponent>)? {
            $(
                /// Power of ten that the mantissa is of.
                pub const EXPONENT: i8 = $exponent;
            )?

            /// The value.
            ///
            /// # Panics
            /// When the block is too short for the field.
            #[inline]
            pub fn get(self, block: &[u8]) -> $value {
                <$value>::from_le_bytes(bytes_at(block, self.0))
            }

            /// Writes the value.
            ///
            /// # Panics
            /// When the block is too short for the field.
            pub fn put(self, block: &mut [u8], value: $value) {
                block[self.0..self.end()].copy_from_slice(&value.to_le_bytes());
            }

            /// Offset behind the field.
            pub const fn end(self) -> usize {
                self.0 + size_of::<$value>()
            }
        }
    };
}

/// Declares a field that may have no value.
macro_rules! optional {
    ($(#[doc = $doc:literal])* $name:ident $(<$exponent:ident>)?: $value:ty) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name $(<const $exponent: i8>)? (pub usize);

        impl $(<const $exponent: i8>)? $name $(<$exponent>)? {
            $(
                /// Power of ten that the mantissa is of.
                pub const EXPONENT: i8 = $exponent;
            )?

            /// The value.
            ///
            /// # Panics
            /// When the block is too short for the field.
            #[inline]
            pub fn get(self, block: &[u8]) -> Option<$value> {
                let value = <$value>::from_le_bytes(bytes_at(block, self.0));
                (value != <$value>::MAX).then_some(value)
            }

            /// Writes the value, or that there is none.
            ///
            /// # Panics
            /// When the block is too short for the field.
            pub fn put(self, block: &mut [u8], value: Option<$value>) {
                let value = value.unwrap_or(<$value>::MAX);
                block[self.0..self.end()].copy_from_slice(&value.to_le_bytes());
            }

            /// Offset behind the field.
            pub const fn end(self) -> usize {
                self.0 + size_of::<$value>()
            }
        }
    };
}

required! {
    /// One byte: a number, a character or a set of bits.
    U8: u8
}
required! {
    /// Two bytes.
    U16: u16
}
required! {
    /// Four bytes.
    U32: u32
}
required! {
    /// Eight bytes.
    U64: u64
}
required! {
    /// One byte, signed.
    I8: i8
}
required! {
    /// Two bytes, signed.
    I16: i16
}
required! {
    /// Four bytes, signed.
    I32: i32
}
required! {
    /// A decimal number with a constant exponent.
    Decimal<EXPONENT>: i64
}
optional! {
    /// One byte, or none.
    OptU8: u8
}
optional! {
    /// Two bytes, or none.
    OptU16: u16
}
optional! {
    /// Four bytes, or none.
    OptU32: u32
}
optional! {
    /// Eight bytes, or none.
    OptU64: u64
}
optional! {
    /// One byte, signed, or none.
    OptI8: i8
}
optional! {
    /// Four bytes, signed, or none.
    OptI32: i32
}
optional! {
    /// A decimal number with a constant exponent, or none.
    OptDecimal<EXPONENT>: i64
}
optional! {
    /// A decimal number of four bytes with a constant exponent, or none.
    OptDecimal32<EXPONENT>: i32
}
