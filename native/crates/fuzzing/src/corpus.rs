//! Inputs to begin with, made by our own encoders in the shapes of real traffic: the same message
//! mixes, lengths and group counts; no recorded byte.

mod books;
mod cme;
mod eobi;
mod export;
mod itch;
mod journal;
mod tcp;
mod venues;

pub(crate) use books::{eobi_books, itch_blocks, itch_operations, records, snapshots};
pub(crate) use cme::cme_packets;
pub(crate) use eobi::eobi_packets;
pub(crate) use export::{export_messages, export_streams};
pub(crate) use itch::{binary_files, itch_messages, mold_packets};
pub(crate) use journal::{
    journal_blocks, journal_logs, journal_pins, journal_retentions, journal_seals, journal_states,
    journal_stored,
};
pub(crate) use tcp::{glimpse_ends, payloads, replay_streams, soup_streams};
pub(crate) use venues::{cme_records, eobi_records};
