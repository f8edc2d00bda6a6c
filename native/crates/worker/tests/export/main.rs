//! `tickdeck-journal export` as a process, beside a writer of the journal in the test.

mod audits;
mod collectors;
mod descriptors;
mod ends;
mod exporter_spec;
mod flood;
mod forks;
mod full;
mod independence;
mod isolation;
mod looks;
mod papers;
mod peer;
mod pins;
mod plant;
mod resume;
mod script;
mod security;
mod segments;
#[path = "../common/spec.rs"]
mod spec;
mod starts;
mod streams;
#[path = "../common/tracer.rs"]
mod tracer;
mod vanish;
mod ways;
