//! Packet and message views over bytes: MoldUDP64, CME MDP 3.0, ITCH 5.0, BinaryFILE, and
//! tickdeck's own records.
//!
//! A view exists only if its bytes were checked, so its accessors cannot fail. Nothing here does
//! I/O, reads a clock or allocates, except the builders that own their buffer.
//!
//! | Module | Source |
//! |---|---|
//! | [`moldudp64`] | MoldUDP64 1.00, downstream packet and request packet |
//! | [`cme`] | CME MDP 3.0: packets, RptSeq, snapshots; SBE schemas of versions 6 and 9 |
//! | [`itch50`] | NASDAQ TotalView-ITCH 5.0, all message types |
//! | [`binaryfile`] | NASDAQ BinaryFILE: `u16` big-endian length + message |
//! | [`record`] | record kinds and event payloads shared by ring and journal |
#![forbid(unsafe_code)]

pub mod binaryfile;
pub mod cme;
pub mod itch50;
pub mod moldudp64;
pub mod record;

mod text;
