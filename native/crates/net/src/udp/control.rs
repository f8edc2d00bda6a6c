//! The control messages of one datagram, as bytes.
//!
//! The kernel writes a row of messages: a `cmsghdr` (length of header and data as a machine word,
//! level and type as ints), the data, then padding to a whole word. Two of them matter:
//!
//! ```text
//! SCM_TIMESTAMPING   three timespecs: [0] kernel, [1] unused, [2] the card's raw clock;
//!                    a time that the packet does not have is all zero
//! SO_RXQ_OVFL        u32: the socket's drop counter when the datagram was queued
//! ```

use std::mem;

use libc::{c_int, cmsghdr, timespec};

/// What the kernel told about one datagram. A thing it did not tell is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// When the packet entered the stack, UTC nanoseconds.
    pub(crate) kernel_ns: Option<u64>,
    /// When the card received it, nanoseconds of the card's clock, whatever that is set to.
    pub(crate) hardware_ns: Option<u64>,
    /// The socket's drop counter when the datagram was queued.
    pub(crate) drops: Option<u32>,
}

impl Control {
    /// Reads the messages up to the first that does not fit; unknown ones are passed over.
    #[inline]
    pub(crate) fn parse(mut bytes: &[u8]) -> Self {
        let mut control = Self::default();
        while let Some((level, kind, data, rest)) = next(bytes) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SO_TIMESTAMPING) => {
                    control.kernel_ns = time_at(data, KERNEL_SLOT);
                    control.hardware_ns = time_at(data, HARDWARE_SLOT);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    control.drops = data.first_chunk().copied().map(u32::from_ne_bytes);
                }
                _ => {}
            }
            bytes = rest;
        }
        control
    }
}

/// Level, type and data of the first message, and what follows it.
#[inline]
fn next(bytes: &[u8]) -> Option<(c_int, c_int, &[u8], &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let (length, kinds) = header.split_first_chunk()?;
    let length = usize::from_ne_bytes(*length);
    let level = c_int::from_ne_bytes(*kinds.first_chunk()?);
    let kind = c_int::from_ne_bytes(*kinds.last_chunk()?);
    let data = bytes.get(HEADER_BYTES..length)?;
    let rest = bytes.get(length.next_multiple_of(WORD_BYTES)..);
    Some((level, kind, data, rest.unwrap_or_default()))
}

/// The time in a slot. All zero means none; so does what no clock shows: a time before 1970, or one
/// that 64 bits of nanoseconds cannot hold (after 2554).
#[inline]
fn time_at(data: &[u8], slot: usize) -> Option<u64> {
    let time = data.get(slot * TIMESPEC_BYTES..)?;
    let (seconds, rest) = time.split_first_chunk()?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    let nanoseconds = u64::from_ne_bytes(*rest.first_chunk()?);
    let ns = seconds
        .checked_mul(1_000_000_000)?
        .checked_add(nanoseconds)?;
    (ns != 0 && nanoseconds < 1_000_000_000).then_some(ns)
}

const KERNEL_SLOT: usize = 0;
const HARDWARE_SLOT: usize = 2;

const WORD_BYTES: usize = mem::size_of::<usize>();
const HEADER_BYTES: usize = mem::size_of::<cmsghdr>();
const TIMESPEC_BYTES: usize = mem::size_of::<timespec>();

// The layout above, as 64-bit Linux has it.
const _: () = assert!(HEADER_BYTES == 16 && WORD_BYTES == 8 && TIMESPEC_BYTES == 16);

#[cfg(test)]
mod tests;
