//! Cuts a history into packets.
//!
//! Where packets begin depends on the history and two limits only, never on time, so that a
//! seeded fault hits the same messages in every run.

use tickdeck_wire::moldudp64::{
    HEADER_LEN, MAX_REQUEST_COUNT, PacketKind, Session, end_of_session, header, heartbeat,
};

use crate::{History, SimError};

/// A packet that is to be sent; its bytes come from the history by [`write_packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Sequence number of the first message; the next one for heartbeat and end of session.
    pub first_sequence: u64,
    /// Data, heartbeat or end of session.
    pub kind: PacketKind,
}

/// Walks a history packet by packet.
#[derive(Clone, Debug)]
pub struct Packetizer {
    max_payload: usize,
    messages_per_packet: u16,
    next_sequence: u64,
}

impl Planned {
    /// A packet with messages `first .. first + count`.
    pub fn data(first_sequence: u64, count: u16) -> Self {
        debug_assert!(
            (1..=MAX_REQUEST_COUNT).contains(&count),
            "a data packet has messages"
        );
        Self {
            first_sequence,
            kind: PacketKind::Data { count },
        }
    }

    /// Number of messages; 0 for heartbeat and end of session.
    pub fn count(&self) -> u16 {
        match self.kind {
            PacketKind::Data { count } => count,
            PacketKind::Heartbeat | PacketKind::EndOfSession => 0,
        }
    }

    /// The sequence number after the packet.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.count())
    }
}

impl Packetizer {
    /// Packets of at most `max_payload` bytes, header included, and `messages_per_packet` messages.
    ///
    /// # Errors
    /// [`SimError::PayloadTooSmall`] when the history's longest message does not fit alone;
    /// [`SimError::BadMessagesPerPacket`] for 0 or 65,535.
    pub fn new(
        history: &History,
        max_payload: usize,
        messages_per_packet: u16,
    ) -> Result<Self, SimError> {
        if messages_per_packet == 0 || messages_per_packet > MAX_REQUEST_COUNT {
            return Err(SimError::BadMessagesPerPacket {
                messages_per_packet,
            });
        }
        let longest = history.longest();
        if HEADER_LEN + 2 + longest > max_payload {
            return Err(SimError::PayloadTooSmall {
                max_payload,
                longest,
            });
        }
        Ok(Self {
            max_payload,
            messages_per_packet,
            next_sequence: 1,
        })
    }

    /// The sequence number of the next packet's first message.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The next packet; `None` after the last message.
    pub fn next(&mut self, history: &History) -> Option<Planned> {
        let first = self.next_sequence;
        let room = self.max_payload - HEADER_LEN;
        let count = history.fitting(first, self.messages_per_packet, room);
        if count == 0 {
            return None;
        }
        self.next_sequence = first + u64::from(count);
        Some(Planned::data(first, count))
    }
}

/// Replaces `out` by the bytes of the packet. Does not allocate once `out` is large enough.
///
/// # Panics
/// When the packet's messages are not in the history, which no planned packet does.
pub fn write_packet(history: &History, session: Session, packet: Planned, out: &mut Vec<u8>) {
    out.clear();
    match packet.kind {
        PacketKind::Heartbeat => out.extend_from_slice(&heartbeat(session, packet.first_sequence)),
        PacketKind::EndOfSession => {
            out.extend_from_slice(&end_of_session(session, packet.first_sequence));
        }
        PacketKind::Data { count } => {
            let blocks = history
                .blocks(packet.first_sequence, count)
                .expect("a planned packet's messages are in the history");
            out.extend_from_slice(&header(session, packet.first_sequence, count));
            out.extend_from_slice(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tickdeck_wire::moldudp64::Packet;

    use super::*;
    use crate::HistoryBuilder;

    const SESSION: Session = Session(*b"DEMO000001");

    fn history(lengths: &[usize]) -> History {
        let mut builder = HistoryBuilder::default();
        lengths
            .iter()
            .for_each(|length| builder.push(&vec![b'm'; *length]).unwrap());
        builder.finish()
    }

    proptest! {
        /// Proves that packets follow each other without hole or overlap, hold whole messages,
        /// keep both limits, and are as full as the limits allow.
        #[test]
        fn packets_cover_the_history(
            lengths in vec(0usize..60, 0..200),
            max_payload in 82usize..400,
            limit in 1u16..20,
        ) {
            let history = history(&lengths);
            let mut packetizer = Packetizer::new(&history, max_payload, limit).unwrap();
            let mut bytes = Vec::new();
            let mut next = 1;
            while let Some(planned) = packetizer.next(&history) {
                write_packet(&history, SESSION, planned, &mut bytes);
                let packet = Packet::parse(&bytes).unwrap();
                prop_assert_eq!((packet.session(), packet.first_sequence()), (SESSION, next));
                prop_assert_eq!(packet.next_sequence(), planned.next_sequence());
                prop_assert!(bytes.len() <= max_payload && packet.count() <= limit);
                next = packet.next_sequence();
                if let Some(following) = history.message(next) {
                    let full = bytes.len() + 2 + following.len() > max_payload;
                    prop_assert!(full || packet.count() == limit);
                }
            }
            prop_assert_eq!(next, history.next_sequence());
            prop_assert_eq!(packetizer.next_sequence(), next);
        }
    }

    /// Proves that limits that no packet could keep are refused before anything is sent.
    #[test]
    fn impossible_limits_are_refused() {
        let history = history(&[30]);
        let refused =
            |max_payload, limit| Packetizer::new(&history, max_payload, limit).unwrap_err();
        assert_eq!(
            refused(51, 1),
            SimError::PayloadTooSmall {
                max_payload: 51,
                longest: 30
            }
        );
        assert!(Packetizer::new(&history, 52, 1).is_ok());
        for messages_per_packet in [0, 0xFFFF] {
            let expected = SimError::BadMessagesPerPacket {
                messages_per_packet,
            };
            assert_eq!(refused(1_400, messages_per_packet), expected);
        }
    }

    /// Proves that control packets are written with the sequence given.
    #[test]
    fn control_packets_are_written() {
        let mut bytes = Vec::new();
        for kind in [PacketKind::Heartbeat, PacketKind::EndOfSession] {
            let planned = Planned {
                first_sequence: 9,
                kind,
            };
            write_packet(&History::default(), SESSION, planned, &mut bytes);
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!((packet.kind(), packet.next_sequence()), (kind, 9));
        }
    }
}
