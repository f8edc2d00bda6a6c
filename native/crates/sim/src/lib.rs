//! An exchange in pieces: a generated day, its history, packets, pace, faults and re-requests.
//!
//! Nothing here knows a socket, a file or a clock: bytes and time go in, packets come out, and the
//! same seed gives the same bytes. `tickdeck-sim` wires the pieces to the world.
//!
//! | Piece | Does |
//! |---|---|
//! | [`day`] | generates a trading day in ITCH 5.0 |
//! | [`eobi`] | generates an EOBI channel: two lines, snapshot cycles, restarts |
//! | [`History`] | holds all messages of the session: sequence number to bytes |
//! | [`Packetizer`] | cuts the history into packets |
//! | [`Pacer`] | says how many messages are due |
//! | [`faults`] | drops, cuts, duplicates, reorders and delays packets of a line, under a lease |
//! | [`RequestServer`] | answers re-requests from the history |
//! | [`servers`] | the TCP servers: SoupBinTCP stream, GLIMPSE snapshots, `len_seq_payload` |
//! | [`lies`] | what each of those servers may do wrong |
//! | [`cme`] | generates a CME MDP 3.0 channel with its snapshot loops |
#![forbid(unsafe_code)]

pub mod cme;
pub mod day;
pub mod eobi;
pub mod faults;
pub mod lies;
pub mod servers;

mod damage;
mod error;
mod history;
mod pacer;
mod packetizer;
mod random;
mod requests;

pub use damage::Damage;
pub use error::SimError;
pub use history::{History, HistoryBuilder};
pub use pacer::{Pacer, Rate};
pub use packetizer::{Packetizer, Planned, write_packet};
pub use random::{Random, mix};
pub use requests::{Answer, Refusal, RequestCounters, RequestServer};
