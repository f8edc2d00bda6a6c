//! `tickdeck-journal export` as a process, beside a writer of the journal in the test.

mod exporter_spec;
mod flood;
mod isolation;
mod looks;
mod peer;
mod pins;
mod plant;
mod resume;
mod security;
#[path = "../common/spec.rs"]
mod spec;
mod starts;
mod streams;
