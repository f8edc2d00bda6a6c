//! MDP 3.0 packets: a generated channel with its snapshot loops, and every template once.

use tickdeck_sim::cme::{Channel, ChannelConfig, Snapshots};
use tickdeck_wire::cme::layout::{Dimension, LAYOUTS, Layout};
use tickdeck_wire::cme::{HEADER_LEN, MESSAGE_HEADER_LEN, PacketBuilder, SCHEMA_ID};

/// Incremental packets, both loops, a reset, a heartbeat; templates of versions 6, 9 and a newer
/// one that appends to blocks.
pub(crate) fn cme_packets() -> Vec<Vec<u8>> {
    let mut packets = channel();
    for (version, appended) in [(6, 0), (9, 0), (12, 3)] {
        packets.extend(
            LAYOUTS
                .iter()
                .map(|layout| of_template(layout, version, appended)),
        );
    }
    packets
}

/// A short stretch of a channel: incremental packets, then the loops of that moment.
pub(crate) fn channel() -> Vec<Vec<u8>> {
    let mut channel = Channel::new(ChannelConfig {
        instruments: 4,
        ..ChannelConfig::default()
    });
    let mut packets: Vec<Vec<u8>> = (0..40).map(|_| channel.next_packet().to_vec()).collect();
    packets.extend(channel.snapshot_loop(Snapshots::Prices));
    packets.extend(channel.snapshot_loop(Snapshots::Orders));
    packets.push(channel.channel_reset().to_vec());
    let mut heartbeat = PacketBuilder::new(64);
    heartbeat.begin(1, 1_700_000_000_000_000_000);
    heartbeat.heartbeat();
    packets.push(heartbeat.finish().to_vec());
    packets
}

/// A packet with one message whose blocks are longer than the layout by `appended` bytes, with two
/// entries in each group.
fn of_template(layout: &Layout, version: u16, appended: usize) -> Vec<u8> {
    let mut packet = vec![1; HEADER_LEN];
    let root_len = layout.root_len + appended;
    let mut message = vec![1; MESSAGE_HEADER_LEN + root_len];
    for group in layout.groups {
        let entry_len = group.entry_len + appended;
        // All lengths here are far below 65,536.
        message.extend_from_slice(&(entry_len as u16).to_le_bytes());
        if group.dimension == Dimension::Aligned {
            message.extend_from_slice(&[0; 5]);
        }
        message.push(2);
        message.resize(message.len() + 2 * entry_len, 1);
    }
    let numbers = [
        message.len() as u16,
        root_len as u16,
        layout.template_id,
        SCHEMA_ID,
        version,
    ];
    for (field, number) in message.chunks_exact_mut(2).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    packet.extend_from_slice(&message);
    packet
}
