//! Tests of the book crate through its public interface.

mod against_slow_book;
mod blocks;
mod channel;
mod common;
mod eobi_against_slow_book;
mod histories;
mod real_data;
mod rules;
mod snapshot;
mod ticks;
mod venue_snapshot;
