//! `tickdeck-book` as a process, beside a receiver made of the real ring, journal and stats file.

mod compare;
mod flow;
mod following;
mod offline;
mod receiver;
mod restarts;
mod snapshots;
mod travel;
mod worker;
