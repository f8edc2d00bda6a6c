//! Tests of the book crate through its public interface.

mod against_slow_book;
mod blocks;
mod channel;
mod cme_orders;
mod cme_prices;
mod common;
mod eobi_against_slow_book;
mod eobi_doubts;
mod eobi_rules;
mod histories;
mod real_data;
mod rules;
mod snapshot;
mod ticks;
mod venue_snapshot;
