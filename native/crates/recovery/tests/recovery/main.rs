//! What the recovery promises, tested from outside.

mod faults;
mod requests;
mod snapshots;
mod sources;
mod support;
