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
    /// Where the payload begins in the slot.
    start: usize,
    length: usize,
    compare_from: usize,
    is_whole: bool,
    source: Source,
    rx_ns: u64,
    stamp: u8,
}

impl Hold {
    pub(crate) fn new(capacity: usize, slot_bytes: usize) -> Self {
        let empty = Slot {
            span: Span { first: 0, end: 0 },
            start: 0,
            length: 0,
            compare_from: 0,
            is_whole: false,
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
            start: 0,
            length: piece.payload.len(),
            compare_from: piece.compare_from,
            is_whole: piece.is_whole,
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

    /// Takes the messages before `end` off the first piece, which has been delivered so far.
    pub(crate) fn trim_front(&mut self, end: u64) {
        let Some(slot) = self.order.front().map(|slot| *slot as usize) else {
            return;
        };
        let mut rest = self.piece(slot);
        let gone = rest.split_to(end);
        let (gone_bytes, gone_messages) = (gone.payload.len(), gone.span.len());
        let slot = &mut self.slots[slot];
        slot.span.first = end;
        slot.start += gone_bytes;
        slot.length -= gone_bytes;
        self.messages -= gone_messages;
    }

    /// The first piece, if it begins at `sequence`.
    pub(crate) fn front_at(&self, sequence: u64) -> Option<Piece<'_>> {
        let slot = *self.order.front()? as usize;
        let begins = self.slots[slot].span.first == sequence;
        begins.then(|| self.piece(slot))
    }

    /// The held messages with the numbers of `span`, which lie in one piece.
    pub(crate) fn held(&self, span: Span) -> Option<Piece<'_>> {
        let slot = *self.order.get(self.index_of(span.first))? as usize;
        let mut piece = self.piece(slot);
        piece.split_to(span.first);
        Some(piece.split_to(span.end))
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

    fn piece(&self, slot: usize) -> Piece<'_> {
        let held = &self.slots[slot];
        let start = slot * self.slot_bytes + held.start;
        Piece {
            span: held.span,
            payload: &self.bytes[start..start + held.length],
            compare_from: held.compare_from,
            is_whole: held.is_whole,
            source: held.source,
            rx_ns: held.rx_ns,
            stamp: held.stamp,
        }
    }

    fn span(&self, slot: u32) -> Span {
        self.slots[slot as usize].span
    }
}
