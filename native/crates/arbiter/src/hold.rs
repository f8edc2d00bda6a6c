//! The messages that wait behind a hole.
//!
//! Slots of one packet each are allocated at construction; a deque of slot numbers keeps them in
//! sequence. Held pieces never overlap, so what is missing is what lies between them, and a
//! number is looked up by binary search. New data mostly comes at the end and is taken from the
//! front, where the deque is cheap; an insertion in the middle moves four bytes per slot.

use std::collections::VecDeque;

use crate::io::Source;
use crate::pieces::Piece;
use crate::ranges::Span;

/// What is held at a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// It is held, with everything before `end`.
    Held { end: u64 },
    /// It is not, nor is anything before `until`.
    Free { until: u64 },
}

#[derive(Debug)]
pub(crate) struct Hold {
    bytes: Vec<u8>,
    slot_bytes: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    order: VecDeque<u32>,
    messages: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    span: Span,
    length: usize,
    compare_from: usize,
    source: Source,
    rx_ns: u64,
    stamp: u8,
}

impl Hold {
    pub(crate) fn new(capacity: usize, slot_bytes: usize) -> Self {
        let empty = Slot {
            span: Span { first: 0, end: 0 },
            length: 0,
            compare_from: 0,
            source: Source::Retransmit,
            rx_ns: 0,
            stamp: 0,
        };
        Self {
            // Not zeros: zero pages would be mapped at the first use, on the packet path.
            bytes: vec![0xA5; capacity * slot_bytes],
            slot_bytes,
            slots: vec![empty; capacity],
            free: (0..capacity as u32).rev().collect(),
            order: VecDeque::with_capacity(capacity),
            messages: 0,
        }
    }

    /// Copies a piece into a slot; `false` when none is free or the piece is too long for one.
    /// No message of it may be held already.
    pub(crate) fn insert(&mut self, piece: &Piece<'_>) -> bool {
        if !self.fits(piece.payload.len()) {
            return false;
        }
        let Some(slot) = self.free.pop() else {
            return false;
        };
        let start = slot as usize * self.slot_bytes;
        self.bytes[start..start + piece.payload.len()].copy_from_slice(piece.payload);
        self.slots[slot as usize] = Slot {
            span: piece.span,
            length: piece.payload.len(),
            compare_from: piece.compare_from,
            source: piece.source,
            rx_ns: piece.rx_ns,
            stamp: piece.stamp,
        };
        let index = self.index_of(piece.span.first);
        self.order.insert(index, slot);
        self.messages += piece.span.len();
        true
    }

    /// Frees the slot of the first piece.
    pub(crate) fn pop_front(&mut self) {
        if let Some(slot) = self.order.pop_front() {
            self.messages -= self.slots[slot as usize].span.len();
            self.free.push(slot);
        }
    }

    /// The first piece, if it begins at `sequence`.
    pub(crate) fn front_at(&self, sequence: u64) -> Option<Piece<'_>> {
        let slot = *self.order.front()?;
        let Slot {
            span,
            length,
            compare_from,
            source,
            rx_ns,
            stamp,
        } = self.slots[slot as usize];
        if span.first != sequence {
            return None;
        }
        let start = slot as usize * self.slot_bytes;
        let payload = &self.bytes[start..start + length];
        Some(Piece {
            span,
            payload,
            compare_from,
            source,
            rx_ns,
            stamp,
        })
    }

    /// Where the first piece begins; `u64::MAX` when nothing is held.
    pub(crate) fn first(&self) -> u64 {
        self.order
            .front()
            .map_or(u64::MAX, |slot| self.span(*slot).first)
    }

    pub(crate) fn cover(&self, sequence: u64) -> Cover {
        match self.order.get(self.index_of(sequence)) {
            None => Cover::Free { until: u64::MAX },
            Some(slot) => {
                let span = self.span(*slot);
                if span.first <= sequence {
                    Cover::Held { end: span.end }
                } else {
                    Cover::Free { until: span.first }
                }
            }
        }
    }

    /// What is not held of `span`, in order.
    pub(crate) fn holes(&self, span: Span) -> impl Iterator<Item = Span> + '_ {
        let mut at = span.first;
        std::iter::from_fn(move || {
            while at < span.end {
                match self.cover(at) {
                    Cover::Held { end } => at = end,
                    Cover::Free { until } => {
                        let hole = Span {
                            first: at,
                            end: until.min(span.end),
                        };
                        at = hole.end;
                        return Some(hole);
                    }
                }
            }
            None
        })
    }

    /// Whether a piece of `length` bytes would find a slot.
    pub(crate) fn fits(&self, length: usize) -> bool {
        length <= self.slot_bytes && !self.free.is_empty()
    }

    pub(crate) fn packets(&self) -> u64 {
        self.order.len() as u64
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Index of the first piece that ends behind `sequence`.
    fn index_of(&self, sequence: u64) -> usize {
        match self.order.back() {
            Some(slot) if self.span(*slot).end <= sequence => self.order.len(),
            _ => self
                .order
                .partition_point(|slot| self.span(*slot).end <= sequence),
        }
    }

    fn span(&self, slot: u32) -> Span {
        self.slots[slot as usize].span
    }
}
