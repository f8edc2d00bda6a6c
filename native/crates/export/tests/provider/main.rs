//! Tests of the sending side.

mod handshake;
mod history;
mod limits;
mod simulation;
mod streams;
mod subscriptions;
mod support;
