//! Who gets in, and over what: the gate, the handshake and TLS together, over real sockets.

mod authority;
mod bypasses;
mod certificates;
mod dialling;
mod door;
mod files;
mod secrets;
mod words;
