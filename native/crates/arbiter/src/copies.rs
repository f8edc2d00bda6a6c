//! The bytes that were accepted lately, to tell a copy from a packet that only has its number.
//!
//! A copy is compared with the accepted bytes themselves: keeping and comparing 152 bytes costs
//! two thirds of hashing them twice, and it cannot err. The bytes go round in a ring; a table
//! finds them by the number of their first message. Both are bounded: what was overwritten, or
//! was cut into other packets, cannot be compared, and the caller counts it so.

use tickdeck_wire::moldudp64::Blocks;

use crate::io::{Conflict, Source};
use crate::pieces::Piece;

/// Sequence numbers that the table spans, a power of two. In its order, not spread by a hash: the
/// next packet is then beside the last one, in the same page.
const SLOTS: usize = 8192;
/// In place of a line: an answer.
const NO_LINE: u8 = u8::MAX;

#[derive(Debug)]
pub(crate) struct Copies {
    /// A power of two, or none.
    bytes: Box<[u8]>,
    /// Most bytes of a packet that are kept; 0: nothing is.
    longest: usize,
    /// Bytes ever written, those left out at the end of a round included.
    written: u64,
    slots: Box<[Slot; SLOTS]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// 0: free.
    first: u64,
    /// What `written` was before its bytes.
    at: u64,
    rx_ns: u64,
    now_ns: u64,
    count: u16,
    length: u16,
    line: u8,
    /// The lines that brought it, as bits.
    brought: u8,
}

/// An accepted packet of which a copy came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original<'a> {
    /// The bytes that are the same on every line.
    pub(crate) bytes: &'a [u8],
    /// Of a line's first copy: the line that was first, and when it came.
    pub(crate) race: Option<First>,
}

/// Who brought a packet first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) line: u8,
    /// UTC ns.
    pub(crate) rx_ns: u64,
    /// Monotonic ns.
    pub(crate) now_ns: u64,
}

impl Copies {
    /// `capacity_bytes` is rounded up to a power of two; 0 stays 0.
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        let capacity_bytes = match capacity_bytes {
            0 => 0,
            some => some.next_power_of_two(),
        };
        let free = Slot {
            first: 0,
            at: 0,
            rx_ns: 0,
            now_ns: 0,
            count: 0,
            length: 0,
            line: NO_LINE,
            brought: 0,
        };
        let slots = vec![free; SLOTS].into_boxed_slice();
        Self {
            // Not zeros: zero pages would be mapped at the first use, on the packet path.
            bytes: vec![0xA5; capacity_bytes].into_boxed_slice(),
            longest: capacity_bytes.min(usize::from(u16::MAX)),
            written: 0,
            slots: slots.try_into().expect("as many as there are"),
        }
    }

    /// Forgets everything: the numbers of another session mean something else.
    pub(crate) fn clear(&mut self) {
        for slot in &mut *self.slots {
            slot.first = 0;
        }
    }

    /// Keeps a piece that was accepted.
    #[inline]
    pub(crate) fn keep(&mut self, piece: &Piece<'_>, now_ns: u64) {
        let bytes = piece.comparable();
        let (line, brought) = match piece.source {
            Source::Line(line) => (line, 1 << line),
            _ => (NO_LINE, 0),
        };
        // Nothing at all is too long as well: there would be nothing to compare.
        if bytes.len().wrapping_sub(1) >= self.longest {
            return;
        }
        let at = self.room(bytes.len());
        let start = self.place(at);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.slots[index(piece.span.first)] = Slot {
            first: piece.span.first,
            at,
            rx_ns: piece.rx_ns,
            now_ns,
            // A packet has fewer messages than this holds, and `longest` bounds the bytes.
            count: piece.span.len() as u16,
            length: bytes.len() as u16,
            line,
            brought,
        };
    }

    /// The accepted packet with the numbers of `piece`; `None` when it is not known any more.
    #[inline]
    pub(crate) fn find(&mut self, piece: &Piece<'_>) -> Option<Original<'_>> {
        let slot = &mut self.slots[index(piece.span.first)];
        let same = slot.first == piece.span.first && u64::from(slot.count) == piece.span.len();
        if !same || self.written - slot.at > self.bytes.len() as u64 {
            return None;
        }
        let mut race = None;
        if let Source::Line(line) = piece.source {
            if slot.brought & (1 << line) == 0 && slot.line != NO_LINE {
                race = Some(First {
                    line: slot.line,
                    rx_ns: slot.rx_ns,
                    now_ns: slot.now_ns,
                });
            }
            slot.brought |= 1 << line;
        }
        let (at, length) = (slot.at, usize::from(slot.length));
        let start = self.place(at);
        let bytes = &self.bytes[start..start + length];
        Some(Original { bytes, race })
    }

    /// Where in the ring `at` is.
    #[inline]
    fn place(&self, at: u64) -> usize {
        at as usize & (self.bytes.len() - 1)
    }

    /// Where `length` bytes in one piece go; no more than the ring has.
    #[inline]
    fn room(&mut self, length: usize) -> u64 {
        let left = self.bytes.len() - self.place(self.written);
        let skipped = if length > left { left } else { 0 };
        let at = self.written + skipped as u64;
        self.written = at + length as u64;
        at
    }
}

/// What differs between the accepted bytes of some messages and those of a copy; `None` when
/// nothing does.
#[cold]
pub(crate) fn difference(copy: &Piece<'_>, accepted: &[u8]) -> Option<Conflict> {
    let bytes = copy.comparable();
    if bytes == accepted {
        return None;
    }
    let mut conflict = Conflict {
        source: copy.source,
        first_sequence: copy.span.first,
        count: 1,
    };
    if copy.is_whole {
        return Some(conflict);
    }
    let pairs = Blocks::new(bytes).zip(Blocks::new(accepted));
    let mut differing = (copy.span.first..)
        .zip(pairs)
        .filter(|(_, (new, old))| new != old)
        .map(|(sequence, _)| sequence);
    conflict.first_sequence = differing.next()?;
    conflict.count = 1 + differing.count() as u64;
    Some(conflict)
}

#[inline]
fn index(first: u64) -> usize {
    first as usize & (SLOTS - 1)
}
