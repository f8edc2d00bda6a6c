//! Tests of the protocol.

mod frames;
mod golden;
mod messages;
mod support;
