//! What to ask the re-request server for, and when; what to think of its answers.
//!
//! [`Engine`] knows the gaps that the merge could not close in time. It says which
//! [`Request`](tickdeck_wire::moldudp64::Request) to send next, judges what comes back, and gives
//! up after the allowed number of requests without an answer. It does no I/O and reads no clock.
//!
//! An answer may be partial: a server sends what fits a datagram, or several datagrams, or
//! nothing. So a gap is asked for from its first missing message, again and again, until the
//! merge says that nothing is missing. What an answer brought is not taken off here, but when
//! the merge has really taken it ([`Engine::narrowed`]): an answer that was lost on the way is
//! asked for again.
//!
//! The other sources have clients of their own, state machines as well, without I/O: [`soup`] for
//! a stream that is resumed at a number, [`replay`] for the journal of another tickdeck,
//! [`glimpse`] for a snapshot; [`client`] shows how to drive them. What a source did wrong is a
//! [`Fault`].
//!
//! ```
//! use tickdeck_recovery::{Action, Config, Engine};
//! use tickdeck_wire::moldudp64::Session;
//!
//! let mut engine = Engine::new(Config::default());
//! engine.open(1, Session(*b"DEMO000001"), 100, 149, 0)?;
//! let Some(Action::Request { request, .. }) = engine.poll(0) else { panic!("nothing to ask") };
//! assert_eq!((request.first_sequence, request.count), (100, 50));
//! # Ok::<(), tickdeck_recovery::OpenError>(())
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod glimpse;
pub mod replay;
pub mod soup;

mod config;
mod engine;
mod fault;
mod missing;
mod window;

pub use config::Config;
pub use engine::{Action, Closed, Counters, Engine, OpenError, Verdict};
pub use fault::Fault;
pub use tickdeck_wire::record::LossReason;
