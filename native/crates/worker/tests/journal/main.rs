//! `tickdeck-journal` as a process: its answers, its exit codes, the packets it replays, the ranges
//! it serves.

mod captures;
mod gaps;
#[path = "../common/driver.rs"]
mod driver;
mod looking;
mod replaying;
mod serving;
mod support;
