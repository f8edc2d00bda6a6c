//! The subscriber's side of the protocol against a provider written by hand.

mod cuts;
mod lies;
mod proofs;
mod provider;
mod sessions;
