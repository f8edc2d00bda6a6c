//! Reads a filled block of a TPACKET_V3 ring (linux/if_packet.h). Pure: bytes in, frames out.
//!
//! ```text
//! block     0 version · 4 offset to private area · 8 status · 12 frame count
//!          16 offset of the first frame · 20 bytes in use · 24 sequence · 32 stamps     48 bytes
//! frame     0 offset of the next frame, from this one · 4 seconds · 8 nanoseconds
//!          12 bytes captured · 16 bytes on the wire · 20 status
//!          24 offset of the Ethernet header, from this frame · 26 of the network header 48 bytes
//! ```
//!
//! Every offset, count and length is checked before it is followed: a block that contradicts
//! itself gives [`Broken`], never a read outside of it. Words are in the host's byte order.

use crate::prefetch::{CACHE_LINE_BYTES, prefetch};

/// The block contradicts itself; what was left of it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// What was captured, from the Ethernet header on. One VLAN tag was taken out by the kernel.
    pub(super) bytes: &'a [u8],
    /// Its length on the wire.
    pub(super) wire_bytes: usize,
    /// UTC nanoseconds.
    pub(super) rx_ns: u64,
    /// The stamp is the card's; otherwise the kernel's, which always gives one.
    pub(super) is_hardware_stamp: bool,
}

/// The place in a block: it is read in several calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Offset of the next frame's header.
    at: usize,
    /// Frames not read yet.
    left: u32,
}

impl Cursor {
    /// At the first frame of a filled block. A block without frames is allowed.
    pub(super) fn open(block: &[u8]) -> Result<Self, Broken> {
        let header: &[u8; BLOCK_HEADER_BYTES] = block.first_chunk().ok_or(Broken)?;
        let at = word(header, BLOCK_FIRST_AT) as usize;
        let left = word(header, BLOCK_COUNT_AT);
        if at < BLOCK_HEADER_BYTES && left > 0 {
            return Err(Broken);
        }
        Ok(Self { at, left })
    }

    /// Whether all frames were read.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// The next frame; of the block that the cursor was opened on, before its end.
    ///
    /// Each frame lies behind the one before, so that hostile offsets end at the block's end.
    #[inline]
    pub(super) fn next<'a>(&mut self, block: &'a [u8]) -> Result<Frame<'a>, Broken> {
        debug_assert!(self.left > 0, "the block is not read to its end");
        let frame = self.read(block);
        if frame.is_err() {
            self.left = 0;
        }
        frame
    }

    #[inline]
    fn read<'a>(&mut self, block: &'a [u8]) -> Result<Frame<'a>, Broken> {
        let rest = block.get(self.at..).ok_or(Broken)?;
        let header: &[u8; FRAME_HEADER_BYTES] = rest.first_chunk().ok_or(Broken)?;
        let captured = word(header, FRAME_CAPTURED_AT) as usize;
        let ethernet = usize::from(u16::from_ne_bytes([
            header[FRAME_ETHERNET_AT],
            header[FRAME_ETHERNET_AT + 1],
        ]));
        let bytes = rest.get(ethernet..).and_then(|bytes| bytes.get(..captured));
        let bytes = bytes.ok_or(Broken)?;
        let wire_bytes = word(header, FRAME_WIRE_AT) as usize;
        if ethernet < FRAME_HEADER_BYTES || wire_bytes < captured {
            return Err(Broken);
        }
        self.left -= 1;
        if self.left > 0 {
            let next = word(header, FRAME_NEXT_AT) as usize;
            // Inside `rest`, so the sum cannot overflow; forward, so the walk ends.
            if next < FRAME_HEADER_BYTES || next > rest.len() {
                return Err(Broken);
            }
            self.at += next;
            fetch_ahead(rest, AHEAD * next);
        }
        let seconds = u64::from(word(header, FRAME_SECONDS_AT));
        let nanoseconds = u64::from(word(header, FRAME_NANOSECONDS_AT));
        Ok(Frame {
            bytes,
            wire_bytes,
            rx_ns: seconds * 1_000_000_000 + nanoseconds,
            is_hardware_stamp: word(header, FRAME_STATUS_AT) & libc::TP_STATUS_TS_RAW_HARDWARE != 0,
        })
    }
}

/// Where the status word of a block is.
pub(super) const BLOCK_STATUS_AT: usize = 8;
/// Bytes of a block that hold no frame.
pub(super) const BLOCK_HEADER_BYTES: usize = 48;
/// Most bytes of a block that one frame takes beside what is captured of it: header, socket
/// address, and the padding that aligns the network header.
pub(super) const FRAME_OVERHEAD_BYTES: usize = 96;

const BLOCK_COUNT_AT: usize = 12;
const BLOCK_FIRST_AT: usize = 16;
const FRAME_HEADER_BYTES: usize = 48;
const FRAME_NEXT_AT: usize = 0;
const FRAME_SECONDS_AT: usize = 4;
const FRAME_NANOSECONDS_AT: usize = 8;
const FRAME_CAPTURED_AT: usize = 12;
const FRAME_WIRE_AT: usize = 16;
const FRAME_STATUS_AT: usize = 20;
const FRAME_ETHERNET_AT: usize = 24;

/// Frames of the present one's length between it and what is fetched into the cache.
const AHEAD: usize = 4;

/// Asks for the bytes from `offset` on that a frame has: its header and the start of its payload.
/// The block is read from front to back, but the processor's own foresight ends with each page.
#[inline]
fn fetch_ahead(bytes: &[u8], offset: usize) {
    for line in 0..3 {
        prefetch(
            bytes
                .as_ptr()
                .wrapping_add(offset + CACHE_LINE_BYTES * line),
        );
    }
}

#[inline]
fn word(header: &[u8; 48], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests;
