//! The export of a journal to other hosts: what both of its sides share of sockets, TLS and keys.

pub(crate) mod channel;
pub(crate) mod dial;
pub(crate) mod keys;
pub(crate) mod tls;

#[cfg(test)]
mod secure_tests;
