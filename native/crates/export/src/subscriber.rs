//! The subscriber's side: what it asks for, what it may believe, when it acknowledges.
//!
//! A [`Session`] is one connection. It takes bytes and time and gives [`Event`]s; the caller owns the
//! copy and its [`Position`].
//!
//! - **Exactly once.** The position (log, epoch, acknowledged sequence) is stored with the copy. A
//!   session asks for what follows it and drops what it has: a block that it had whole never becomes an
//!   event, one that it had in part says from which sequence on it is new.
//! - **Complete.** Whatever comes is either the next sequence or declared: a block or gap that leaves
//!   a hole ends the session.
//! - **Acknowledged after stored.** [`Event::Store`] asks the caller to make everything so far durable
//!   and then the position; only [`Session::stored`] sends the ACK. It is due each second and each
//!   MiB.
//! - **Both sides proved.** Nothing is asked for before the provider has proved that it has the key
//!   too, or the transport has proved who it is.

mod block;
mod event;
mod session;

pub use block::{BadBlock, BlockHead};
pub use event::{End, Event};
pub use session::{Session, Settings};

/// What a subscriber keeps with its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Identity of the log.
    pub log_id: [u8; 16],
    /// Newest epoch of the log that was heard of when the position was stored.
    pub epoch: u64,
    /// Everything up to here is in the copy, or declared as not to come.
    pub acked_seq: u64,
}
