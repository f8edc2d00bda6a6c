//! The clients of TCP sources against the sim's servers, over a model of a connection: chunks of
//! any size, breaks at any byte, and every lie.

mod glimpse;
mod ranges;
mod words;
mod world;
