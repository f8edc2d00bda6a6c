//! Packet and message views over bytes: MoldUDP64, CME MDP 3.0, EOBI, ITCH 5.0, BinaryFILE,
//! SoupBinTCP, and tickdeck's own records.
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
//! | [`soupbintcp`] | SoupBinTCP 3.00, both directions |
//! | [`glimpse`] | GLIMPSE 5.0: the end of a snapshot |
//! | [`replay`] | `len_seq_payload`, our own: a range of a session over TCP |
//! | [`eobi`] | Eurex and Xetra T7 EOBI 6.0 and 14.1: packets, layouts, what recovery reads |
//! | [`record`] | record kinds and event payloads shared by ring and journal |
//! | [`ledger`] | payloads of the gap ledger: rows and notes |
#![forbid(unsafe_code)]

pub mod binaryfile;
pub mod cme;
pub mod eobi;
pub mod glimpse;
pub mod itch50;
pub mod ledger;
pub mod moldudp64;
pub mod record;
pub mod replay;
pub mod soupbintcp;

mod stream;
mod text;
