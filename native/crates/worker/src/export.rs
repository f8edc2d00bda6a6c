//! The export of a journal to other hosts: the exporter, and what it shares of sockets, TLS and keys
//! with `tickdeck-journal subscribe`.

mod admission;
mod audit;
mod caller;
pub(crate) mod channel;
mod crew;
pub(crate) mod dial;
mod door;
mod feed;
mod guest;
pub(crate) mod keys;
mod listener;
mod marks;
mod metrics;
mod pins;
mod run;
mod sight;
mod sockets;
mod subscriber;
pub(crate) mod tls;

pub(crate) use self::run::run;

#[cfg(test)]
mod secure_tests;
