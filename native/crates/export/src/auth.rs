//! Proof of identity of RELIABILITY section 9, both ways, before any data.
//!
//! Both sides share a [`Key`] per client. The client proves it first, over everything that was said
//! so far and over the TLS exporter value; the provider then proves it over the same and over what it
//! answers with:
//!
//! ```text
//! transcript = len u32 | HELLO payload | len u32 | AUTH payload up to its mac
//! client mac = HMAC-SHA256(K, "tickdeck1 c" | transcript | len u32 | exporter value)
//! server mac = HMAC-SHA256(K, "tickdeck1 s" | transcript | len u32 | exporter value | session u64)
//! ```
//!
//! Every field of both messages is in the transcript: versions, server id, log, epoch, both nonces and
//! the client's id. A MAC of another connection, of another client or of the other direction is
//! therefore a wrong MAC. All lengths are little endian. Without TLS the exporter value is empty.
//!
//! Secrets are types of their own: they print as nothing and compare in constant time only.

mod client_id;
mod gate;
mod key;
mod keyring;
mod mac;

#[cfg(test)]
mod tests;

pub use client_id::{BadClientId, ClientId};
pub use gate::{EXPORTER_LEN, Gate, Transport};
pub use key::{BadKey, Key, KeyPair};
pub use keyring::{Keyring, KeyringError, Verdict};
pub use mac::{Mac, Transcript};
