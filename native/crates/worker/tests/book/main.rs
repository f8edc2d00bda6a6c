//! `tickdeck-book` as a process, beside a receiver made of the real ring, journal and stats file.

mod checkpoints;
mod cme;
mod compare;
mod eobi;
mod flow;
mod following;
mod integrity;
mod live;
mod offline;
mod receiver;
mod restarts;
mod snapshots;
#[path = "../common/spec.rs"]
mod spec;
mod travel;
mod worker;
