//! Parts of a packet, and the account of what became of each.

use tickdeck_wire::moldudp64::skip_blocks;

use crate::io::{Disposition, Run, Source};
use crate::ranges::Span;

/// A contiguous part of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) span: Span,
    /// Message blocks, or a whole packet, which has one number and is never cut.
    pub(crate) payload: &'a [u8],
    /// Where the bytes begin that are the same on every line.
    pub(crate) compare_from: usize,
    /// Whether the payload is a whole packet.
    pub(crate) is_whole: bool,
    pub(crate) source: Source,
    pub(crate) rx_ns: u64,
    pub(crate) stamp: u8,
}

/// What became of the messages of one packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) delivered: u64,
    pub(crate) held: u64,
    pub(crate) dropped: u64,
    pub(crate) old: u64,
    pub(crate) conflicts: u64,
    pub(crate) uncompared: u64,
    pub(crate) stale: u64,
}

impl Taken {
    pub(crate) fn disposition(&self) -> Disposition {
        if self.delivered > 0 {
            Disposition::Delivered
        } else if self.held > 0 {
            Disposition::Held
        } else if self.dropped > 0 {
            Disposition::HoldFull
        } else if self.conflicts > 0 {
            Disposition::Conflict
        } else if self.old > 0 {
            Disposition::Duplicate
        } else {
            Disposition::Stale
        }
    }
}

impl<'a> Piece<'a> {
    /// Takes the messages before `end` off the front; all of them when `end` is beyond.
    pub(crate) fn split_to(&mut self, end: u64) -> Piece<'a> {
        if end >= self.span.end {
            let whole = *self;
            self.span.first = self.span.end;
            self.payload = &[];
            return whole;
        }
        let rest = after(self.payload, end - self.span.first);
        let head = Piece {
            span: Span {
                first: self.span.first,
                end,
            },
            payload: &self.payload[..self.payload.len() - rest.len()],
            ..*self
        };
        self.span.first = end;
        self.payload = rest;
        head
    }

    /// The bytes that are the same on every line.
    #[inline]
    pub(crate) fn comparable(&self) -> &'a [u8] {
        self.payload.get(self.compare_from..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn run(&self) -> Run<'a> {
        Run {
            source: self.source,
            first_sequence: self.span.first,
            count: self.span.len() as u32,
            payload: self.payload,
            rx_ns: self.rx_ns,
            stamp: self.stamp,
        }
    }
}

/// The blocks behind the first `count`.
fn after(blocks: &[u8], count: u64) -> &[u8] {
    skip_blocks(blocks, count as usize).expect("a checked packet holds as many blocks as it says")
}
