//! The crate's errors.

use thiserror::Error;
use tickdeck_wire::binaryfile::{TooLong, Truncated};

/// What was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SimError {
    /// A day that cannot be generated.
    #[error("a day needs 1 to 65535 instruments, not {instruments}")]
    BadInstruments {
        /// Instruments asked for.
        instruments: u32,
    },
    /// A fault whose argument is out of range.
    #[error("fault {fault}: {what}")]
    BadFault {
        /// Name of the fault.
        fault: &'static str,
        /// The argument, its value and what it may be.
        what: String,
    },
    /// A lease of zero, or longer than allowed.
    #[error("a fault's lease is 1 ms to {max_ms} ms, not {lease_ms} ms")]
    BadLease {
        /// Lease asked for.
        lease_ms: u64,
        /// Longest lease.
        max_ms: u64,
    },
    /// As many faults as fit are armed.
    #[error("{limit} faults are armed, no more fit; clear one first")]
    TooManyFaults {
        /// How many fit.
        limit: usize,
    },
    /// No armed fault has this id.
    #[error("no fault {id} is armed; it was cleared or its lease ended")]
    NoSuchFault {
        /// The id given.
        id: u64,
    },
    /// A message does not fit a packet of the wanted size.
    #[error(
        "a packet of {max_payload} bytes cannot hold the longest message ({longest} bytes and 22 \
         of framing); raise the packet size"
    )]
    PayloadTooSmall {
        /// Bytes of a packet, header included.
        max_payload: usize,
        /// Bytes of the longest message.
        longest: usize,
    },
    /// A packet must hold at least one message.
    #[error("a packet holds 1 to 65534 messages, not {messages_per_packet}")]
    BadMessagesPerPacket {
        /// Messages asked for.
        messages_per_packet: u16,
    },
    /// The input file ends inside a message.
    #[error("not a BinaryFILE: {0}")]
    Truncated(Truncated),
    /// A message that no length field can describe.
    #[error("{0}")]
    TooLong(TooLong),
}
