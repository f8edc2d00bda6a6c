//! What a line holds back: packets to be overtaken, and packets that are late.

use std::collections::VecDeque;

use crate::Planned;

/// Packets held back at most on a line; more are lost and counted.
const MAX_QUEUED: usize = 65_536;
/// Packets waiting to be overtaken at most; more are not reordered.
const MAX_HELD: usize = 1_024;
/// A packet that is not overtaken within this time goes out all the same, so that a reordered
/// packet is never lost on a quiet line.
const MAX_HOLD_NS: u64 = 50_000_000;

/// What the faults did on a line; counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounters {
    /// Whole packets that were dropped, heartbeats included.
    pub packets_dropped: u64,
    /// Messages that were dropped.
    pub messages_dropped: u64,
    /// Packets that went out twice.
    pub packets_duplicated: u64,
    /// Packets that were held back to be overtaken.
    pub packets_reordered: u64,
    /// Packets that went out late.
    pub packets_delayed: u64,
    /// Packets lost because too many were late.
    pub packets_overflowed: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    late: VecDeque<Late>,
    held: Vec<Held>,
    /// Packets that went past the place where packets are held.
    passed: u64,
    counters: LineCounters,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    packet: Planned,
    due_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    packet: Planned,
    twice: bool,
    delay_ns: u64,
    /// Goes out when so many packets have passed,
    after: u64,
    /// or at this time.
    by_ns: u64,
}

impl Line {
    pub(super) fn counters(&self) -> &LineCounters {
        &self.counters
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.late.is_empty() && self.held.is_empty()
    }

    /// Counts what is missing from `kept` of the packet.
    pub(super) fn note_dropped(&mut self, packet: Planned, kept: &VecDeque<Planned>) {
        let left: u64 = kept.iter().map(|part| u64::from(part.count())).sum();
        self.counters.messages_dropped += u64::from(packet.count()) - left;
        self.counters.packets_dropped += u64::from(kept.is_empty());
    }

    /// Holds a packet back until `depth` later ones have passed.
    pub(super) fn hold_back(
        &mut self,
        packet: Planned,
        twice: bool,
        depth: u32,
        delay_ns: u64,
        now_ns: u64,
        emit: &mut impl FnMut(Planned),
    ) {
        if self.held.len() == MAX_HELD {
            return self.pass(packet, twice, delay_ns, now_ns, emit);
        }
        self.counters.packets_reordered += 1;
        let after = self.passed + u64::from(depth);
        let by_ns = now_ns.saturating_add(MAX_HOLD_NS);
        self.held.push(Held {
            packet,
            twice,
            delay_ns,
            after,
            by_ns,
        });
    }

    /// Lets a packet pass, and then the held ones that were overtaken often enough.
    pub(super) fn pass(
        &mut self,
        packet: Planned,
        twice: bool,
        delay_ns: u64,
        now_ns: u64,
        emit: &mut impl FnMut(Planned),
    ) {
        self.passed += 1;
        self.transmit(packet, twice, delay_ns, now_ns, emit);
        self.release(now_ns, emit);
    }

    /// Sends what is due. A packet waits for the one in front of it even when it is due earlier,
    /// so the line stays first in, first out when a delay ends.
    pub(super) fn poll(&mut self, now_ns: u64, emit: &mut impl FnMut(Planned)) {
        self.release(now_ns, emit);
        while let Some(late) = self.late.front().filter(|late| late.due_ns <= now_ns) {
            emit(late.packet);
            self.late.pop_front();
        }
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let held = self.held.iter().map(|held| held.by_ns).min();
        self.late
            .front()
            .map(|late| late.due_ns)
            .into_iter()
            .chain(held)
            .min()
    }

    /// Transmits the held packets whose wait is over, the oldest first.
    fn release(&mut self, now_ns: u64, emit: &mut impl FnMut(Planned)) {
        let passed = self.passed;
        let over = move |held: &Held| held.after <= passed || held.by_ns <= now_ns;
        while let Some(index) = self.held.iter().position(over) {
            let Held {
                packet,
                twice,
                delay_ns,
                ..
            } = self.held.remove(index);
            self.transmit(packet, twice, delay_ns, now_ns, emit);
        }
    }

    fn transmit(
        &mut self,
        packet: Planned,
        twice: bool,
        delay_ns: u64,
        now_ns: u64,
        emit: &mut impl FnMut(Planned),
    ) {
        self.counters.packets_duplicated += u64::from(twice);
        for _ in 0..1 + u8::from(twice) {
            self.enqueue(packet, delay_ns, now_ns, emit);
        }
    }

    fn enqueue(
        &mut self,
        packet: Planned,
        delay_ns: u64,
        now_ns: u64,
        emit: &mut impl FnMut(Planned),
    ) {
        if delay_ns == 0 && self.late.is_empty() {
            return emit(packet);
        }
        if self.late.len() == MAX_QUEUED {
            self.counters.packets_overflowed += 1;
            return;
        }
        self.counters.packets_delayed += 1;
        let due_ns = now_ns.saturating_add(delay_ns);
        self.late.push_back(Late { packet, due_ns });
    }
}
