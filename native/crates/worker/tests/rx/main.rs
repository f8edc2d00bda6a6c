//! `tickdeck-rx` as a process: real sockets, ring, journal, stats file and control socket.
//!
//! The venue is in the test: it sends the two lines itself and answers re-requests itself, so
//! each case decides exactly what is lost.

mod bad_input;
mod capture;
mod channels;
mod checkpoints;
mod devices;
mod failing_disk;
mod ladder;
mod ledger;
mod losses;
mod paths;
mod plant;
mod restart;
mod retention;
mod slow_disk;
mod snapshots;
mod sources;
#[path = "../common/spec.rs"]
mod spec;
mod steady;
mod stopping;
mod stream;
#[path = "../common/tracer.rs"]
mod tracer;
mod venue;
mod venue_books;
