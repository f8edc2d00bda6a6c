//! `tickdeck-book` as a process, beside a receiver made of the real ring, journal and stats file.

mod checkpoints;
mod cme;
mod compare;
#[path = "../rx/devices.rs"]
#[expect(dead_code, reason = "the tests of rx use the rest of it")]
mod devices;
mod eobi;
mod flow;
mod following;
mod integrity;
mod live;
mod offline;
mod receiver;
mod restarts;
mod slow_journal;
mod snapshots;
#[path = "../common/spec.rs"]
mod spec;
#[path = "../common/tracer.rs"]
mod tracer;
mod travel;
mod worker;
