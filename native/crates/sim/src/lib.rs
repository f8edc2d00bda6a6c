//! Seeded feed and faults.
#![forbid(unsafe_code)]
