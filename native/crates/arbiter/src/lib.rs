//! A/B merge.
#![forbid(unsafe_code)]
