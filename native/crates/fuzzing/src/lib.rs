//! What must hold for any bytes: fuzz targets, seeds for them, and a small mutator.
//!
//! A target takes bytes and panics when a property does not hold: not only that nothing panics, but
//! that lengths are consumed exactly, that a second, slow reading agrees, that what was decoded can
//! be encoded to the same bytes, that books keep their invariants.
//!
//! Two run them: `tests/bounded.rs` in `cargo test`, which mutates the seeds by a fixed number of
//! steps, and libFuzzer in `native/fuzz`, which looks for new paths as long as it is let.
//!
//! Seeds are made by our own encoders in the shapes of real packets; nothing recorded is in them.
#![forbid(unsafe_code)]

mod corpus;
mod mutate;
mod slow;
mod targets;

pub use mutate::Mutator;

/// What the tests of the seeds look at.
#[doc(hidden)]
pub mod inside {
    pub use crate::targets::book_itch::SMALL;
    pub use crate::targets::snapshot::{RANKED, WIDE};
    pub use crate::targets::venue::{follow_cme, follow_eobi};
}

/// A property of any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of the fuzz binary and of its corpus.
    pub name: &'static str,
    /// Panics when the property does not hold for these bytes.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutated inputs are tried in `cargo test`.
    pub executions: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "itch50",
        run: targets::itch50::run,
        seeds: corpus::itch_messages,
        executions: 20_000,
    },
    Target {
        name: "binaryfile",
        run: targets::binaryfile::run,
        seeds: corpus::binary_files,
        executions: 2_000,
    },
    Target {
        name: "moldudp64",
        run: targets::moldudp64::run,
        seeds: corpus::mold_packets,
        executions: 10_000,
    },
    Target {
        name: "eobi",
        run: targets::eobi::run,
        seeds: corpus::eobi_packets,
        executions: 5_000,
    },
    Target {
        name: "cme",
        run: targets::cme::run,
        seeds: corpus::cme_packets,
        executions: 5_000,
    },
    Target {
        name: "soupbintcp",
        run: targets::soupbintcp::run,
        seeds: corpus::soup_streams,
        executions: 5_000,
    },
    Target {
        name: "glimpse",
        run: targets::glimpse::run,
        seeds: corpus::glimpse_ends,
        executions: 5_000,
    },
    Target {
        name: "replay",
        run: targets::replay::run,
        seeds: corpus::replay_streams,
        executions: 1_000,
    },
    Target {
        name: "record",
        run: targets::record::run,
        seeds: corpus::payloads,
        executions: 10_000,
    },
    Target {
        name: "book_itch",
        run: targets::book_itch::run,
        seeds: corpus::itch_blocks,
        executions: 300,
    },
    Target {
        name: "book_itch_operations",
        run: targets::book_itch::run_operations,
        seeds: corpus::itch_operations,
        executions: 300,
    },
    Target {
        name: "book_eobi",
        run: targets::book_eobi::run,
        seeds: corpus::eobi_books,
        executions: 300,
    },
    Target {
        name: "channel",
        run: targets::channel::run,
        seeds: corpus::records,
        executions: 300,
    },
    Target {
        name: "channel_cme",
        run: targets::venue::run_cme,
        seeds: corpus::cme_records,
        executions: 200,
    },
    Target {
        name: "channel_eobi",
        run: targets::venue::run_eobi,
        seeds: corpus::eobi_records,
        executions: 200,
    },
    Target {
        name: "snapshot",
        run: targets::snapshot::run,
        seeds: corpus::snapshots,
        executions: 300,
    },
    Target {
        name: "export_stream",
        run: targets::export::run_stream,
        seeds: corpus::export_streams,
        executions: 5_000,
    },
    Target {
        name: "export_message",
        run: targets::export::run_message,
        seeds: corpus::export_messages,
        executions: 20_000,
    },
    Target {
        name: "journal_log",
        run: targets::journal::run_log,
        seeds: corpus::journal_logs,
        executions: 200,
    },
    Target {
        name: "journal_block",
        run: targets::journal::run_block,
        seeds: corpus::journal_blocks,
        executions: 20_000,
    },
    Target {
        name: "journal_seal",
        run: targets::journal::run_seal,
        seeds: corpus::journal_seals,
        executions: 10_000,
    },
    Target {
        name: "journal_state",
        run: targets::journal::run_state,
        seeds: corpus::journal_states,
        executions: 10_000,
    },
    Target {
        name: "journal_retention",
        run: targets::journal::run_retention,
        seeds: corpus::journal_retentions,
        executions: 10_000,
    },
    Target {
        name: "journal_pin",
        run: targets::journal::run_pin,
        seeds: corpus::journal_pins,
        executions: 10_000,
    },
    Target {
        name: "journal_decompress",
        run: targets::journal::run_decompress,
        seeds: corpus::journal_stored,
        executions: 5_000,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs the target of this name over one input.
///
/// # Panics
/// When there is no such target, or its property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = target(name).expect("a name of TARGETS");
    (target.run)(bytes);
}
