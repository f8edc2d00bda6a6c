//! `tickdeck-journal` as a process: its answers, its exit codes, the packets it replays, the ranges
//! it serves, the torture it survives.

mod captures;
mod damage;
#[path = "../common/driver.rs"]
mod driver;
mod gaps;
mod looking;
mod refusals;
mod repairing;
mod replaying;
mod serving;
mod support;
mod torturing;
