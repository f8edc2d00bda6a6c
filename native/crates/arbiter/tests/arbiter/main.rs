//! What the arbiter promises, tested from outside.

mod conflicts;
mod epochs;
mod gaps;
mod hostile;
mod limits;
mod lines;
mod merge;
mod property;
mod race;
mod sessions;
mod stop;
mod support;
mod units;
mod window;
