//! L3 price-time order books of a channel: every order, its place in the queue, and how far to
//! trust what stands there.
//!
//! | Part | Does |
//! |---|---|
//! | [`Books`] | all books of a channel; one front per venue applies its messages |
//! | [`BookView`] | reads one book: touch, depth, queues, hashes, trust |
//! | [`Channel`] | follows a channel's records (data, gaps, sessions, holes) |
//! | [`Venue`] | makes books of a protocol's records; [`Itch`] is one |
//! | [`eobi`] | the books of T7 EOBI and what belongs to them |
//! | [`snapshot`] | the whole state as bytes, with the place in the stream where it belongs |
//!
//! The crate is pure: bytes in, state out. It reads no clock and does no I/O, so the live worker,
//! the offline replay and the tests run the same code. Nothing here panics on input; what is wrong
//! with a message is counted and, where it concerns a book, makes that book suspect.
#![forbid(unsafe_code)]

mod book_ticks;
mod books;
mod channel;
mod cme;
mod decimal;
pub mod eobi;
mod fault;
pub mod hash;
mod index;
mod invariants;
mod itch;
mod itch_blocks;
mod itch_venue;
mod ladder;
mod lookahead;
pub mod price_book;
mod slab;
pub mod snapshot;
mod spot_check;
mod store;
mod ticks;
mod trust;
mod types;
mod venue;
mod view;

pub use books::{Applied, Books, BooksConfig, KeyScope, Scale};
pub use channel::{Channel, Record, RecordMark, StreamCounters};
pub use cme::OrderChange as CmeOrderChange;
pub use decimal::{Decimal, DecimalError};
pub use fault::{Counters, Fault};
pub use invariants::InvariantError;
pub use itch_blocks::TakenBlocks;
pub use itch_venue::Itch;
pub use lookahead::{NoPrefetch, Prefetch};
pub use spot_check::{Crossing, SpotCheck};
pub use ticks::{TickBand, TickError, TickRule, TickRules, TickTable};
pub use trust::{Cause, Doubt, Phase, Trust};
pub use types::{BookId, LevelView, OrderView, Side, Symbol};
pub use venue::{Run, Taken, Venue};
pub use view::BookView;
