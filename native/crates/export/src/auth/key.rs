//! Keys: 32 secret bytes, written as 64 hexadecimal digits.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A client's secret. It prints as nothing, cannot be compared, and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; Self::LEN]);

/// What is wrong with the text of a key; never the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not 64 digits.
    #[error("{0} characters, a key is 64 hexadecimal digits (32 random bytes)")]
    Length(usize),
    /// Something else than hexadecimal digits.
    #[error("character {0} is no hexadecimal digit")]
    Digit(usize),
    /// All bytes are the same: a placeholder, not a key.
    #[error("all bytes are the same; make one with: openssl rand -hex 32")]
    Placeholder,
}

impl Key {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// The key of random bytes.
    #[must_use]
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`BadKey`], which names a place and never shows the text.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        let digits = text.as_bytes();
        if digits.len() != 2 * Self::LEN {
            return Err(BadKey::Length(text.chars().count()));
        }
        let mut key = Self([0; Self::LEN]);
        for (index, &digit) in digits.iter().enumerate() {
            let value = char::from(digit)
                .to_digit(16)
                .ok_or(BadKey::Digit(index + 1))?;
            // At most 15 by `to_digit`.
            key.0[index / 2] = key.0[index / 2] << 4 | value as u8;
        }
        let spread = key
            .0
            .iter()
            .fold(0, |spread, byte| spread | (byte ^ key.0[0]));
        if spread == 0 {
            return Err(BadKey::Placeholder);
        }
        Ok(key)
    }

    /// For the MAC only.
    pub(super) fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// The keys of one client: while keys change, the new and the old one are both good.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The key in force.
    pub current: Key,
    /// The one before, as long as it is still accepted.
    pub previous: Option<Key>,
}
