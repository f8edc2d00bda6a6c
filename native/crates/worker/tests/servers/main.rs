//! The servers of `tickdeck-sim` as a process, and the clients of the recovery, over real sockets.

#[path = "../common/driver.rs"]
mod driver;
mod ranges;
mod requests;
mod snapshots;
mod support;
