//! The packets of a suspect product, kept until a cycle comes.

use std::collections::VecDeque;

use tickdeck_wire::eobi::{Message, Packet, Release};

use super::replayer::taken;

/// One whole stretch of a product's messages.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// MsgSeqNum from which on none is missing here.
    from: u32,
    packets: VecDeque<(Release, Vec<u8>)>,
    bytes: usize,
}

impl Kept {
    /// Begins anew: messages before `from` are not here.
    pub(super) fn begin(&mut self, from: u32) {
        *self = Self {
            from,
            ..Self::default()
        };
    }

    /// MsgSeqNum from which on none is missing.
    pub(super) fn from(&self) -> u32 {
        self.from
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps the product's next packet, at the expense of the oldest ones; returns how many went.
    /// `next` is the number behind the packet.
    pub(super) fn push(&mut self, packet: &Packet<'_>, next: u32, max_bytes: usize) -> u64 {
        if number_of_first(packet).is_none() {
            // Heartbeats: their word is taken already.
            return 0;
        }
        self.bytes += packet.bytes().len();
        let kept = (packet.release(), packet.bytes().to_vec());
        self.packets.push_back(kept);
        let mut dropped = 0;
        while self.bytes > max_bytes {
            let Some((_, oldest)) = self.packets.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
            dropped += 1;
            self.from = self.first_number().unwrap_or(next);
        }
        dropped
    }

    /// Calls `each` with every message that is numbered above `last`.
    pub(super) fn behind(&self, last: u32, mut each: impl FnMut(&Message<'_>)) {
        for (release, packet) in &self.packets {
            let packet = Packet::parse(packet, *release).expect("only parsed packets are kept");
            let is_behind =
                |message: &Message<'_>| message.msg_seq_num().is_some_and(|number| number > last);
            packet.messages().filter(is_behind).for_each(|m| each(&m));
        }
    }

    /// Appends what is kept: u32 first number that is whole, u32 packets, each u8 release, u32
    /// length and its bytes.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.from.to_le_bytes());
        // Limited by the configuration to far less than 2^32.
        out.extend_from_slice(&(self.packets.len() as u32).to_le_bytes());
        for (release, packet) in &self.packets {
            out.push(*release as u8);
            out.extend_from_slice(&(packet.len() as u32).to_le_bytes());
            out.extend_from_slice(packet);
        }
    }

    /// Reads what [`Self::save`] wrote from the front of the bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn restore(saved: &mut &[u8]) -> Result<Self, &'static str> {
        let mut kept = Self {
            from: u32::from_le_bytes(taken(saved)?),
            ..Self::default()
        };
        for _ in 0..u32::from_le_bytes(taken(saved)?) {
            let [release] = taken(saved)?;
            let is_it = |it: &Release| *it as u8 == release;
            let release = Release::ALL.into_iter().find(is_it);
            let release = release.ok_or("EOBI: a packet of an unknown release")?;
            let len = u32::from_le_bytes(taken(saved)?) as usize;
            let (packet, rest) = saved
                .split_at_checked(len)
                .ok_or("EOBI: a kept packet is cut")?;
            *saved = rest;
            Packet::parse(packet, release).map_err(|_| "EOBI: a kept packet that is none")?;
            kept.bytes += len;
            kept.packets.push_back((release, packet.to_vec()));
        }
        Ok(kept)
    }

    fn first_number(&self) -> Option<u32> {
        let (release, packet) = self.packets.front()?;
        let packet = Packet::parse(packet, *release).expect("only parsed packets are kept");
        number_of_first(&packet)
    }
}

/// MsgSeqNum of the first message that has one.
fn number_of_first(packet: &Packet<'_>) -> Option<u32> {
    packet.messages().find_map(|message| message.msg_seq_num())
}
