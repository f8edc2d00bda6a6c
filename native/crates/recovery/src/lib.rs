//! What to ask for again, of whom, and when; what to think of the answers.
//!
//! [`Engine`] knows the gaps that the merge could not close in time. It says which range to ask
//! which source for next, judges what comes back, and names what is wrong with it. A source that
//! does not answer in the allowed number of rounds gives way to the next one; after the last one
//! a snapshot is wanted, where there is one, else the gap is given up. Too many gaps at once are
//! a storm: with a snapshot ranges are not asked for any more, without one neighbours are asked
//! for together. The engine does no I/O and reads no clock.
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
//! let Some(Action::Request { first, count, .. }) = engine.poll(0) else {
//!     panic!("nothing to ask")
//! };
//! assert_eq!((first, count), (100, 50));
//! # Ok::<(), tickdeck_recovery::OpenError>(())
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod cme;
pub mod eobi;
pub mod glimpse;
pub mod replay;
pub mod soup;

mod action;
mod ask;
mod asked;
mod config;
mod counters;
mod engine;
mod fault;
mod gap;
mod judge;
mod missing;
mod rounds;
mod snapshot;
mod source;
mod window;

pub use action::{Action, Answer, Closed, SnapshotReason, Verdict, cut_blocks};
pub use config::Config;
pub use counters::Counters;
pub use engine::{Engine, OpenError};
pub use fault::Fault;
pub use source::{RangeSource, SourceConfig, SourceCounters};
pub use tickdeck_wire::record::LossReason;
