//! Tests of the sending side.

mod handshake;
mod limits;
mod simulation;
mod streams;
mod subscriptions;
mod support;
