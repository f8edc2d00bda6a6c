//! Bare loops: for each kind of socket the shortest honest program that takes UDP payloads from it.
//! They are what the receivers of this crate are measured against, and nothing else uses them
//! (feature `bare`).
//!
//! Each waits on its descriptor and has one `receive` that takes what is there, at most a batch,
//! and hands each payload and its kernel time (0: none) to a handler that is compiled into the
//! loop. They check no more than memory safety needs, keep no statistics and know no lines: ports
//! are all they look at. What the kernel dropped is asked for after a run.

mod packet_ring;
mod program;
mod recvmmsg;
mod system;
mod xsk;

use std::ops::RangeInclusive;

pub use packet_ring::BarePacketRing;
pub use recvmmsg::BareRecvmmsg;
pub use xsk::{BareXsk, XskMode};

/// Packets of one call, of all bare loops whose call does not take a whole block.
pub const BARE_BATCH: usize = 64;
/// Bytes before the payload in an untagged IPv4 frame without options.
const HEADER_BYTES: usize = 14 + 20 + 8;

/// The payload of a frame, when it is one of the ports.
#[inline]
fn payload_of<'a>(frame: &'a [u8], ports: &RangeInclusive<u16>) -> Option<&'a [u8]> {
    let (header, payload) = frame.split_at_checked(HEADER_BYTES)?;
    let port = u16::from_be_bytes([header[36], header[37]]);
    ports.contains(&port).then_some(payload)
}
