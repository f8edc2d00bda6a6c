//! Where the verdict on a subscriber comes from, and how a subscriber is to prove itself.

use crate::auth::{ClientId, Mac};
use crate::message::Auth;

/// How a subscriber proves itself. The numbers are those of HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The transport has done it: a client certificate, or the credentials of a Unix socket. Both
    /// MACs are zero.
    Transport = 1,
    /// HMAC-SHA-256 with a key that both know, see [`auth`](crate::auth).
    Hmac = 2,
}

impl Method {
    /// The method of this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Transport),
            2 => Some(Self::Hmac),
            _ => None,
        }
    }
}

/// A subscriber that has proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name; an anonymous one has none, and pins nothing.
    pub name: Option<ClientId>,
}

/// Why a subscriber is refused. The peer is told only that it is denied; the audit gets the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// One clause without a secret in it, for the audit line.
    pub reason: String,
}

/// Judges the AUTH of one connection, and proves the provider in turn.
pub trait Authenticator {
    /// What HELLO announces.
    fn method(&self) -> Method;

    /// Judges an AUTH. `hello` and `signed` are the transcript: HELLO's payload as it went over the
    /// wire, and AUTH's without its MAC. Gives who it is, and the MAC of the AUTH_OK that opens
    /// `session`.
    ///
    /// # Errors
    ///
    /// [`Refusal`], and the connection is closed with DENIED.
    fn judge(
        &mut self,
        hello: &[u8],
        signed: &[u8],
        auth: &Auth,
        session: u64,
    ) -> Result<(Identity, Mac), Refusal>;
}
