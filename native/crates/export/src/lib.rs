//! TICKDECK/1, the protocol that carries a journal to its subscribers: no I/O, no clock.
//!
//! A *provider* reads blocks of a log as they are stored and sends them to a *subscriber*, which
//! keeps them and acknowledges by sequence. The same frames go the same ways whoever dialled.
//!
//! ```text
//! P: HELLO        C: AUTH        P: AUTH_OK       both have proved who they are
//! C: SUBSCRIBE    P: SUB_OK or ERR
//! P: DATA, HEARTBEAT, GAP        C: ACK           either side: GOODBYE
//! ```
//!
//! - [`frame`] is the envelope: 20 bytes, a length with a cap, a checksum.
//! - [`message`] is what is inside, byte by byte.
//! - [`subscriber`] is the subscriber's side; [`backoff`] says when to dial again.
//! - [`auth`] is the proof of identity, [`authenticator`] where the verdict on a subscriber comes from.
//! - [`provider`] is the sending side as state machines.
//!
//! A stream is never searched for the next frame: what cannot be read closes the connection, and a
//! subscriber goes on by sequence (RELIABILITY.md section 9).

#![forbid(unsafe_code)]

pub mod auth;
pub mod authenticator;
pub mod backoff;
pub mod frame;
pub mod message;
pub mod provider;
pub mod subscriber;
