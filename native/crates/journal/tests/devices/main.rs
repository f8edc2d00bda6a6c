//! A writer on devices that fail as real ones do: full, lying, hanging, read-only (R09 by
//! sample, R10, R11, R13, R14, R15).
//!
//! Needs root for its own mounts, which it removes; without root it says so and skips, unless
//! `TICKDECK_TEST_PRIVILEGED=require`.

mod fsyncgate;
mod full;
mod injected;
mod lock;
mod mounts;
mod read_only;
mod writing;
