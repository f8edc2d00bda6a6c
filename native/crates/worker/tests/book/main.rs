//! `tickdeck-book` as a process, beside a receiver made of the real ring, journal and stats file.

mod flow;
mod following;
mod offline;
mod receiver;
mod restarts;
mod snapshots;
mod worker;
