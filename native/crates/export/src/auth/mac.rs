//! The two proofs and what they are over.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::key::Key;

/// An HMAC-SHA256. It has no `==`: [`matches`](Self::matches) takes the same time for all.
#[derive(Clone, Copy)]
pub struct Mac([u8; Self::LEN]);

impl Mac {
    /// Bytes of a MAC.
    pub const LEN: usize = 32;

    /// A MAC that a peer sent.
    #[must_use]
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// For the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// Whether both are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        bool::from(self.ct_matches(other))
    }

    pub(super) fn ct_matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(redacted)")
    }
}

/// All that was said before a proof, and the session of TLS it was said in.
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a> {
    /// The payload of HELLO as it was on the wire.
    pub hello: &'a [u8],
    /// The payload of AUTH up to its MAC.
    pub auth: &'a [u8],
    /// The exporter value of RFC 8446 section 7.5; empty without TLS.
    pub exporter: &'a [u8],
}

impl Transcript<'_> {
    /// The proof of the client.
    #[must_use]
    pub fn client_mac(&self, key: &Key) -> Mac {
        self.mac(key, b"tickdeck1 c", &[])
    }

    /// The proof of the provider, over its session number too.
    #[must_use]
    pub fn server_mac(&self, key: &Key, session: u64) -> Mac {
        self.mac(key, b"tickdeck1 s", &session.to_le_bytes())
    }

    fn mac(&self, key: &Key, label: &[u8], tail: &[u8]) -> Mac {
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes a key of any length");
        hmac.update(label);
        for part in [self.hello, self.auth, self.exporter] {
            // Frames and exporter values are far below 4 GiB.
            hmac.update(&(part.len() as u32).to_le_bytes());
            hmac.update(part);
        }
        hmac.update(tail);
        Mac(hmac.finalize().into_bytes().into())
    }
}
