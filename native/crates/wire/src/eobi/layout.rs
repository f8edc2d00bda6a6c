//! Where the fields of each message are: two releases' layouts, and the types that read them.
//!
//! [`v14_1`] and [`v6_0`] are generated from the exchange's models. A field is a constant of one of
//! the types below at its offset, and is read from and written to the bytes of its message, or of
//! its component. A field without a value is all ones when unsigned, the least number when signed:
//! `None` here.

pub mod v14_1;
pub mod v6_0;

use super::fields::{i32_at, i64_at, taken, u16_at, u32_at, u64_at};

/// Units of a price: 10⁻⁸.
pub const PRICE_SCALE: i64 = 100_000_000;

/// Units of a quantity: 10⁻⁴, also where a release has whole numbers on the wire.
pub const QUANTITY_SCALE: i64 = 10_000;

/// What a release says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The exchange's name of it.
    pub name: &'static str,
    /// TemplateID.
    pub template_id: u16,
    /// Bytes in front of the group; all of them where there is no group.
    pub fixed_len: usize,
    /// BodyLen, with all entries a group may have: it travels at full size.
    pub body_len: usize,
}

/// A component that is repeated; its first entry is at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Offset of the first entry.
    pub at: usize,
    /// The field with the number of entries; what is behind them means nothing.
    pub counter: U8,
    /// Bytes of an entry.
    pub entry_len: usize,
    /// Fewest entries.
    pub least: u8,
    /// Most entries.
    pub most: u8,
}

/// Text of `LEN` bytes, ended by a zero or by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<const LEN: usize>(pub usize);

impl Layout {
    /// A row of the table of messages.
    const fn new(name: &'static str, template_id: u16, fixed_len: usize, body_len: usize) -> Self {
        Self {
            name,
            template_id,
            fixed_len,
            body_len,
        }
    }

    /// Whether a message of this length can be read: fixed ones have exactly their length.
    pub fn fits(&self, body_len: usize) -> bool {
        (self.fixed_len..=self.body_len).contains(&body_len)
    }
}

impl<const LEN: usize> Text<LEN> {
    /// The text without its padding; empty when there is none.
    pub fn get(self, bytes: &[u8]) -> &[u8] {
        let text = &bytes[self.0..self.0 + LEN];
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(LEN);
        &text[..end]
    }
}

/// Declares the type of a field: its value, how it is read, the value that means "none", and how
/// a value becomes its bytes.
macro_rules! field {
    ($(#[doc = $doc:literal])* $name:ident: $value:ty, $read:expr, none $none:expr, $raw:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub usize);

        impl $name {
            /// The value in `bytes`.
            ///
            /// # Panics
            /// When `bytes` are too short for the field.
            #[inline]
            pub fn get(self, bytes: &[u8]) -> Option<$value> {
                let raw = $read(bytes, self.0);
                (raw != $none).then(|| <$value>::from(raw) * Self::UNIT)
            }

            /// Writes the value, or that there is none.
            ///
            /// # Panics
            /// When `bytes` are too short for the field, or the value is beyond it.
            pub fn put(self, bytes: &mut [u8], value: Option<$value>) {
                let raw = value.map_or($none, $raw).to_le_bytes();
                bytes[self.0..self.0 + raw.len()].copy_from_slice(&raw);
            }
        }
    };
}

field! {
    /// One byte.
    U8: u8, |bytes: &[u8], at: usize| bytes[at], none u8::MAX, |value| value
}
field! {
    /// Two bytes.
    U16: u16, u16_at, none u16::MAX, |value| value
}
field! {
    /// Four bytes.
    U32: u32, u32_at, none u32::MAX, |value| value
}
field! {
    /// One byte, signed.
    I8: i8, |bytes: &[u8], at: usize| i8::from_le_bytes(taken(bytes, at)), none i8::MIN, |value| value
}
field! {
    /// Four bytes, signed.
    I32: i32, i32_at, none i32::MIN, |value| value
}
field! {
    /// Eight bytes, signed.
    I64: i64, i64_at, none i64::MIN, |value| value
}
field! {
    /// Nanoseconds since the epoch, UTC.
    Time: u64, u64_at, none u64::MAX, |value| value
}
field! {
    /// A price in units of 10⁻⁸; it may be negative.
    Price: i64, i64_at, none i64::MIN, |value| value
}
field! {
    /// A quantity in units of 10⁻⁴.
    Quantity: i64, i64_at, none i64::MIN, |value| value
}
field! {
    /// A whole quantity of four bytes, here in units of 10⁻⁴ like every other.
    WholeQuantity: i64, i32_at, none i32::MIN, whole
}

/// A type's unit: what one on the wire is here.
macro_rules! units {
    ($($name:ident: $value:ty = $unit:expr),* $(,)?) => {
        $(impl $name { const UNIT: $value = $unit; })*
    };
}

units! {
    U8: u8 = 1, U16: u16 = 1, U32: u32 = 1, I8: i8 = 1, I32: i32 = 1, I64: i64 = 1,
    Time: u64 = 1, Price: i64 = 1, Quantity: i64 = 1, WholeQuantity: i64 = QUANTITY_SCALE,
}

/// A quantity of a release that has whole ones only.
fn whole(quantity: i64) -> i32 {
    assert!(quantity % QUANTITY_SCALE == 0, "{quantity} is not whole");
    i32::try_from(quantity / QUANTITY_SCALE).expect("a quantity of 32 bits")
}
