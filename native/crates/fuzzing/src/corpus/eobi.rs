//! EOBI packets of both releases: a generated channel, and every template once.

use tickdeck_sim::eobi::{Session, SessionConfig, Timed};
use tickdeck_wire::eobi::layout::{Layout, v6_0, v14_1};
use tickdeck_wire::eobi::{HEADER_LEN, Header, PacketBuilder, Release, TECHNICAL_HEARTBEAT};

/// Packets of line A: incremental, auction, restart, snapshot cycle.
pub(crate) fn eobi_packets() -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Release::ALL.into_iter().flat_map(channel).collect();
    packets.extend(Release::ALL.into_iter().flat_map(every_template));
    packets.push([&TECHNICAL_HEARTBEAT[..], &[0; 30]].concat());
    packets
}

/// The packets of a short session, incremental and snapshot in the order of their sending.
pub(crate) fn channel(release: Release) -> Vec<Vec<u8>> {
    packets(release, 2, 60, Some(40))
        .map(|packet| packet.bytes)
        .collect()
}

/// The same of fewer instruments, shorter and without a restart, on their channels.
pub(crate) fn session(release: Release) -> impl Iterator<Item = Timed> {
    packets(release, 1, 32, None)
}

fn packets(
    release: Release,
    instruments: usize,
    steps: u64,
    restart_at: Option<u64>,
) -> impl Iterator<Item = Timed> {
    let session = Session::new(SessionConfig {
        seed: 3,
        release,
        products: 2,
        instruments,
        partition_id: 0,
        step_ns: 1_000,
        steps,
        auction_steps: 10,
        restart_at,
        heartbeat_ns: 20_000,
        snapshot_messages: 8,
        start_ns: 1_700_000_000_000_000_000,
    });
    session.filter(|packet| packet.line == 0)
}

/// A packet for each template of the release, its bytes small numbers.
fn every_template(release: Release) -> Vec<Vec<u8>> {
    let messages: &[Layout] = match release {
        Release::V6_0 => &v6_0::MESSAGES,
        Release::V14_1 => &v14_1::MESSAGES,
    };
    let mut builder = PacketBuilder::new(release);
    let of_template = |layout: &Layout| {
        builder.begin(Header {
            sequence: 7,
            market_segment_id: 688,
            partition_id: 1,
            completes: true,
            resets: false,
            transact_time_ns: 1_700_000_000_000_000_000,
        });
        let mut packet = builder.finish().to_vec();
        packet.resize(HEADER_LEN + layout.body_len, 1);
        let body = &mut packet[HEADER_LEN..];
        // No message is longer than a datagram.
        body[..2].copy_from_slice(&(layout.body_len as u16).to_le_bytes());
        body[2..4].copy_from_slice(&layout.template_id.to_le_bytes());
        body[4..8].copy_from_slice(&9_u32.to_le_bytes());
        packet
    };
    messages.iter().map(of_template).collect()
}
