//! What may be wrong with the bytes of a datagram.

/// What is done to a datagram before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    #[default]
    None,
    /// Its bytes are no packet; the length stays.
    Garbage,
    /// It ends in its middle.
    Truncated,
}

impl Damage {
    /// Damages a datagram.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Garbage => bytes.fill(0xA5),
            Self::Truncated => bytes.truncate(bytes.len() / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cme::{Channel, ChannelConfig};

    /// Proves that damaged packets are none any more, and others stay as they are.
    #[test]
    fn damaged_packets_are_refused() {
        let mut channel = Channel::new(ChannelConfig::default());
        let is_packet = |bytes: &[u8]| tickdeck_wire::cme::Packet::parse(bytes).is_ok();
        for _ in 0..100 {
            let packet = channel.next_packet().to_vec();
            for damage in [Damage::None, Damage::Garbage, Damage::Truncated] {
                let mut bytes = packet.clone();
                damage.apply(&mut bytes);
                assert_eq!(is_packet(&bytes), damage == Damage::None);
            }
        }
    }
}
