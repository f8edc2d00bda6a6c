//! Export protocol.

#![forbid(unsafe_code)]

pub mod auth;
