//! What the arbiter promises, tested from outside.

mod gaps;
mod hostile;
mod limits;
mod lines;
mod merge;
mod property;
mod sessions;
mod support;
mod units;
