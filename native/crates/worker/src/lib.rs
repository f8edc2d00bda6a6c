//! What the worker binaries share, and the wiring of each: sockets, ring, journal, stats file.
//!
//! The engines (`arbiter`, `recovery`, `book`, `sim`) are pure; here they meet the world.

#![forbid(unsafe_code)]

pub mod book;
pub mod capture;
pub mod control;
pub mod exit;
pub mod export;
pub mod idle;
pub mod journal;
pub mod lifecycle;
pub mod logging;
pub mod rx;
pub mod sim;
pub mod spec;

mod subscribe;
mod tcp;
