//! What frames carry, byte by byte; little endian. `seq` is the sequence of the frame header.
//!
//! A *string* is one byte of length and that many bytes, and always ends its message or stands
//! before a MAC. Bytes that are said to be zero are checked.
//!
//! | Type | From | seq | Payload | Python `struct` |
//! | --- | --- | --- | --- | --- |
//! | 1 HELLO | P | 0 | oldest version u16, newest u16, method u8 (1 transport, 2 HMAC), 3 zero, epoch u64, log_id 16 B, nonce 32 B, server name (string) | `<HHB3xQ16s32s` |
//! | 2 AUTH | C | 0 | version u16, 2 zero, nonce 32 B, client name (string, may be empty), MAC 32 B | `<H2x32s`, string, `32s` |
//! | 3 AUTH_OK | P | 0 | session u64, name the provider knows the client by (string, may be empty), MAC 32 B | `<Q`, string, `32s` |
//! | 4 SUBSCRIBE | C | first wanted; 0 unless start is 1 | start u8 (1 from seq, 2 EARLIEST, 3 LIVE), guarantee u8 (1 durable, 2 written), 2 zero, window bytes u32, epoch u64, log_id 16 B | `<BB2xIQ16s` |
//! | 5 SUB_OK | P | first that will come | epoch u64, first_available u64, next_seq u64, durable_seq u64, window bytes u32, schema u32, heartbeat ms u32, timeout ms u32 | `<QQQQIIII` |
//! | 6 ERR | P | PRUNED: first available; FORKED: cut from here; else 0 | code u16, 2 zero, text (string) | `<H2x`, string |
//! | 7 DATA | P | base_seq of the block | a journal block as stored: header 72 B, payload; no padding | |
//! | 8 HEARTBEAT | P | next that will come | written u64, durable u64, UTC ns u64, epoch u64 | `<QQQQ` |
//! | 9 GAP | P | first that does not come | last u64, reason u8, 7 zero | `<QB7x` |
//! | 10 ACK | C | all up to it is kept | none | |
//! | 11 GOODBYE | both | P: next it would send; C: next it would want | reason u16, 2 zero, text (string) | `<H2x`, string |
//!
//! - HELLO and AUTH up to its MAC are the transcript of the proof, see [`auth`](crate::auth). The
//!   epoch is the newest of the log.
//! - A subscriber that has nothing yet sends log_id and epoch zero in SUBSCRIBE. One that has a copy
//!   sends the log_id and epoch of its last SUB_OK or HEARTBEAT, and asks for what follows its copy.
//! - A GAP's first sequence is the next one expected, and what follows it continues behind its last;
//!   so completeness is provable from sequences alone. With the reason JOURNAL_HOLE it repeats, right
//!   behind the DATA whose last record is that hole, which sequences the record spent, and moves
//!   nothing.
//! - ACK is sent at least each second or MiB. One that is lower than the last, or names what was not
//!   sent, is a violation. A GAP is acknowledged by acknowledging its last sequence.
//! - A DATA frame is sent only while fewer bytes of such frames than the window are sent and not
//!   acknowledged.

pub mod codes;
mod decode;
mod encode;
mod text;

pub use codes::{ErrorCode, GapReason, GoodbyeReason, Guarantee};
pub use text::Sentence;

use crate::auth::{ClientId, Mac};
use crate::authenticator::Method;

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;
/// Bytes of a nonce.
pub const NONCE_LEN: usize = 32;
/// Bytes of a MAC.
pub const MAC_LEN: usize = Mac::LEN;
/// Longest payload of every message but DATA, all of which a provider refuses to take longer.
pub const MAX_CONTROL_PAYLOAD: usize = 256;
/// Shortest payload of DATA: a block header.
pub const MIN_DATA_PAYLOAD: usize = 72;

/// Types of frames.
pub mod kind {
    /// Provider's first words.
    pub const HELLO: u8 = 1;
    /// Subscriber's proof.
    pub const AUTH: u8 = 2;
    /// Provider's proof.
    pub const AUTH_OK: u8 = 3;
    /// What is wanted.
    pub const SUBSCRIBE: u8 = 4;
    /// It will come.
    pub const SUB_OK: u8 = 5;
    /// It will not.
    pub const ERR: u8 = 6;
    /// A block.
    pub const DATA: u8 = 7;
    /// Watermarks, and a sign of life.
    pub const HEARTBEAT: u8 = 8;
    /// What does not come.
    pub const GAP: u8 = 9;
    /// What is kept.
    pub const ACK: u8 = 10;
    /// The end.
    pub const GOODBYE: u8 = 11;
}

/// Any message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Type 1.
    Hello(Hello),
    /// Type 2.
    Auth(Auth),
    /// Type 3.
    AuthOk(AuthOk),
    /// Type 4.
    Subscribe(Subscribe),
    /// Type 5.
    SubOk(SubOk),
    /// Type 6.
    Err(Refused),
    /// Type 7.
    Data(Data<'a>),
    /// Type 8.
    Heartbeat(Heartbeat),
    /// Type 9.
    Gap(Gap),
    /// Type 10.
    Ack(Ack),
    /// Type 11.
    Goodbye(Goodbye),
}

/// Why a frame is not a message. The connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No message has this type.
    #[error("frame type {0}, known are 1 to 11")]
    UnknownType(u8),
    /// Shorter or longer than the type's layout.
    #[error("payload of {len} bytes does not fit frame type {kind}")]
    WrongLength {
        /// Type.
        kind: u8,
        /// Length of the payload.
        len: usize,
    },
    /// A field holds what it must not.
    #[error("frame type {kind}: bad {field}")]
    BadField {
        /// Type.
        kind: u8,
        /// Which field.
        field: &'static str,
    },
}

/// The provider's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest version that it speaks.
    pub oldest_version: u16,
    /// Newest version that it speaks.
    pub newest_version: u16,
    /// How the subscriber is to prove itself.
    pub method: Method,
    /// Newest epoch of the log.
    pub epoch: u64,
    /// Identity of the log.
    pub log_id: [u8; 16],
    /// Random.
    pub nonce: [u8; NONCE_LEN],
    /// Name of the provider.
    pub server: ClientId,
}

/// The subscriber's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The version that it chose.
    pub version: u16,
    /// Random.
    pub nonce: [u8; NONCE_LEN],
    /// What it calls itself.
    pub client: Option<ClientId>,
    /// Proof over the transcript; zero with [`Method::Transport`].
    pub mac: [u8; MAC_LEN],
}

/// The provider's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthOk {
    /// Names this connection in logs of both sides.
    pub session: u64,
    /// Whom the provider takes the subscriber for.
    pub identity: Option<ClientId>,
    /// Proof over the transcript; zero with [`Method::Transport`].
    pub mac: [u8; MAC_LEN],
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this sequence.
    Seq(u64),
    /// At the oldest one kept.
    Earliest,
    /// Behind the newest one that the guarantee allows.
    Live,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// From where.
    pub start: Start,
    /// How safe a record must be before it is sent.
    pub guarantee: Guarantee,
    /// Most bytes of DATA frames that may be on the way.
    pub window_bytes: u32,
    /// Epoch of the copy, 0 without one.
    pub epoch: u64,
    /// Log of the copy, zero without one.
    pub log_id: [u8; 16],
}

/// It will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubOk {
    /// First sequence that will come.
    pub start_seq: u64,
    /// Newest epoch of the log, to be kept beside the acknowledged sequence.
    pub epoch: u64,
    /// Oldest sequence kept.
    pub first_available: u64,
    /// Sequence behind the newest one written.
    pub next_seq: u64,
    /// Newest sequence that was synced.
    pub durable_seq: u64,
    /// The window in force: what was asked for, or less.
    pub window_bytes: u32,
    /// What the payloads are, as the journal's writer numbers it.
    pub schema_id: u32,
    /// A heartbeat comes at least so often.
    pub heartbeat_ms: u32,
    /// A side that is silent for so long is gone.
    pub timeout_ms: u32,
}

/// It will not come, or comes no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub code: ErrorCode,
    /// The code's argument, else 0.
    pub seq: u64,
    /// The same for people.
    pub text: Sentence,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Sequence of its first record.
    pub base_seq: u64,
    /// Header and payload as stored.
    pub block: &'a [u8],
}

/// Watermarks, and a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The next sequence that will come.
    pub next_seq: u64,
    /// Newest sequence written.
    pub written: u64,
    /// Newest sequence synced.
    pub durable: u64,
    /// The provider's clock, UTC nanoseconds; of no meaning for the protocol.
    pub utc_ns: u64,
    /// Newest epoch of the log.
    pub epoch: u64,
}

/// Sequences that do not come, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First.
    pub from: u64,
    /// Last.
    pub to: u64,
    /// Why.
    pub reason: GapReason,
}

/// Everything up to a sequence is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The sequence.
    pub seq: u64,
}

/// The end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// What the sender would have sent, or wanted, next.
    pub next_seq: u64,
    /// Why.
    pub reason: GoodbyeReason,
    /// The same for people.
    pub text: Sentence,
}

/// The part of an AUTH or AUTH_OK payload that its MAC covers; `None` when it is shorter than a MAC.
#[must_use]
pub fn without_mac(payload: &[u8]) -> Option<&[u8]> {
    payload.len().checked_sub(MAC_LEN).map(|at| &payload[..at])
}
