//! The products of an EOBI channel against a generated session, its losses and its snapshot
//! channel. Everything random comes from a seed; a failing one is printed and replays:
//!
//! ```text
//! TICKDECK_SIM_SEED=1234 cargo test -p tickdeck-recovery --test eobi
//! TICKDECK_SIM_SEEDS=10000 cargo test --release -p tickdeck-recovery --test eobi
//! ```

mod books;
mod collector;
mod merged;
mod products;
mod restarts;
mod seeds;
mod world;
