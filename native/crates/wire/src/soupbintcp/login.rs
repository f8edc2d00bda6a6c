//! The login packet and its credentials.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::builder::{LOGIN_LEN, left_padded};
use super::{LENGTH_LEN, SoupError, kind, session_of};
use crate::moldudp64::Session;
use crate::stream::{digits, put_digits};
use crate::text;

/// Name of a user, six characters, padded on the right; upper and lower case are the same.
#[derive(Clone, Copy)]
pub struct Username([u8; 6]);

/// Password, ten characters, padded on the right; upper and lower case are the same. It shows
/// itself nowhere.
#[derive(Clone, Copy)]
pub struct Password([u8; 10]);

/// Who logs in, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// User.
    pub username: Username,
    /// Password.
    pub password: Password,
    /// The wanted session; `None` for the current one.
    pub session: Option<Session>,
    /// The wanted number: 1 from the start, 0 from the newest message.
    pub sequence: u64,
}

/// Why text is not a user name or a password. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a SoupBinTCP {what} has at most {width} printable ASCII characters")]
pub struct CredentialError {
    what: &'static str,
    width: usize,
}

impl Login {
    /// The packet.
    pub fn encode(&self) -> [u8; LOGIN_LEN] {
        let mut out = [b' '; LOGIN_LEN];
        out[..LENGTH_LEN].copy_from_slice(&((LOGIN_LEN - LENGTH_LEN) as u16).to_be_bytes());
        out[2] = kind::LOGIN;
        out[3..9].copy_from_slice(&self.username.0);
        out[9..19].copy_from_slice(&self.password.0);
        if let Some(session) = self.session {
            out[19..29].copy_from_slice(&left_padded(session));
        }
        let mut number = [0; 20];
        put_digits(self.sequence, &mut number);
        out[29..].copy_from_slice(&number);
        out
    }

    pub(super) fn parse(fields: &[u8; LOGIN_LEN - 3]) -> Result<Self, SoupError> {
        let mut username = [0; 6];
        let mut password = [0; 10];
        username.copy_from_slice(&fields[..6]);
        password.copy_from_slice(&fields[6..16]);
        let session = session_of(&fields[16..26]);
        let sequence = digits(&fields[26..]).ok_or(SoupError::BadNumber { kind: kind::LOGIN })?;
        Ok(Self {
            username: Username(username),
            password: Password(password),
            session: (session.0 != [b' '; 10]).then_some(session),
            sequence,
        })
    }
}

impl PartialEq for Username {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Username {}

impl PartialEq for Password {
    /// Takes as long for a near miss as for a far one.
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let differs = pairs.fold(0, |differs, (left, right)| {
            differs | (left.to_ascii_lowercase() ^ right.to_ascii_lowercase())
        });
        differs == 0
    }
}

impl Eq for Password {}

impl FromStr for Username {
    type Err = CredentialError;

    fn from_str(name: &str) -> Result<Self, CredentialError> {
        let (what, width) = ("user name", 6);
        text::padded(name)
            .map(Self)
            .ok_or(CredentialError { what, width })
    }
}

impl FromStr for Password {
    type Err = CredentialError;

    fn from_str(secret: &str) -> Result<Self, CredentialError> {
        let (what, width) = ("password", 10);
        text::padded(secret)
            .map(Self)
            .ok_or(CredentialError { what, width })
    }
}

impl Default for Username {
    fn default() -> Self {
        Self([b' '; 6])
    }
}

impl Default for Password {
    fn default() -> Self {
        Self([b' '; 10])
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_trimmed(f, &self.0)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({self})")
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(not shown)")
    }
}
