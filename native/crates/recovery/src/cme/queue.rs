//! Packets that a suspect book will need, oldest first, within a limit.

use std::collections::VecDeque;

use tickdeck_wire::cme::Packet;

/// Contiguous packets of the incremental channel up to the newest.
#[derive(Debug)]
pub(super) struct Queue {
    packets: VecDeque<(u32, Vec<u8>)>,
    bytes: usize,
    max_bytes: usize,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Number of the oldest packet; `None` when there is none.
    pub(super) fn first(&self) -> Option<u32> {
        self.packets.front().map(|(sequence, _)| *sequence)
    }

    /// Appends a packet; returns how many of the oldest had to go for it.
    pub(super) fn push(&mut self, sequence: u32, packet: &[u8]) -> u64 {
        debug_assert!(
            self.packets
                .back()
                .is_none_or(|(last, _)| last + 1 == sequence),
            "the queue has no hole"
        );
        self.packets.push_back((sequence, packet.to_vec()));
        self.bytes += packet.len();
        let mut dropped = 0;
        while self.bytes > self.max_bytes
            && let Some((_, oldest)) = self.packets.pop_front()
        {
            self.bytes -= oldest.len();
            dropped += 1;
        }
        dropped
    }

    /// The packets with a greater number, in order.
    pub(super) fn behind(&self, sequence: u32) -> impl Iterator<Item = &[u8]> {
        let first = self
            .packets
            .partition_point(|(number, _)| *number <= sequence);
        self.packets.range(first..).map(|(_, packet)| &packet[..])
    }

    /// Appends the packets: u32 count, u32 number of the first, then u32 length and bytes of each.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        // Limited by `max_bytes` to far less than 2^32.
        out.extend_from_slice(&(self.packets.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.first().unwrap_or(0).to_le_bytes());
        for (_, packet) in &self.packets {
            out.extend_from_slice(&(packet.len() as u32).to_le_bytes());
            out.extend_from_slice(packet);
        }
    }

    /// Reads what [`Self::save`] wrote from the front of the bytes; `None` when they are cut, no
    /// packets of these numbers, or do not end with packet `last`.
    pub(super) fn restore(max_bytes: usize, saved: &mut &[u8], last: u32) -> Option<Self> {
        let count = number(saved)?;
        let first = number(saved)?;
        let mut queue = Self::new(max_bytes);
        for place in 0..count {
            let length = usize::try_from(number(saved)?).ok()?;
            let (packet, rest) = saved.split_at_checked(length)?;
            *saved = rest;
            let sequence = first.checked_add(place)?;
            let is_it = Packet::parse(packet).is_ok_and(|packet| packet.sequence() == sequence);
            if !is_it {
                return None;
            }
            queue.push(sequence, packet);
        }
        let ends = queue.packets.back().map(|(sequence, _)| *sequence);
        ends.is_none_or(|end| end == last).then_some(queue)
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn number(saved: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = saved.split_first_chunk()?;
    *saved = rest;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use tickdeck_wire::cme::PacketBuilder;

    use super::*;

    fn packet(sequence: u32) -> Vec<u8> {
        let mut builder = PacketBuilder::new(1_400);
        builder.begin(sequence, 1);
        assert!(builder.channel_reset(1));
        builder.finish().to_vec()
    }

    fn restored(packets: &[(u32, Vec<u8>)], last: u32) -> Option<usize> {
        let mut queue = Queue::new(1 << 16);
        for (sequence, packet) in packets {
            queue.push(*sequence, packet);
        }
        let mut saved = Vec::new();
        queue.save(&mut saved);
        Queue::restore(1 << 16, &mut &saved[..], last).map(|queue| queue.len())
    }

    /// Saved packets come back only when each can be read and has the number of its place.
    #[test]
    fn only_packets_of_their_numbers_are_restored() {
        assert_eq!(restored(&[(3, packet(3)), (4, packet(4))], 4), Some(2));
        assert_eq!(restored(&[(3, packet(3)), (4, packet(5))], 4), None);
        assert_eq!(restored(&[(3, vec![0; 5]), (4, packet(4))], 4), None);
    }
}
