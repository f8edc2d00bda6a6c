//! Lives of packet-numbered channels as records: data, losses, and the snapshots that heal them.

use tickdeck_recovery::eobi::{Collector, CollectorConfig, Cycle};
use tickdeck_sim::cme::{Channel, ChannelConfig, Snapshots};
use tickdeck_sim::eobi;
use tickdeck_wire::eobi::{Packet, Release};
use tickdeck_wire::record::{
    GapEvent, LossReason, LostEvent, SessionEvent, SessionEventKind, SnapshotEvent, kind,
};

use super::books::record;
use super::itch::SESSION;

/// A CME channel that loses packets and gets its books back, by price and by order.
pub(crate) fn cme_records() -> Vec<Vec<u8>> {
    (1..4).map(cme_life).collect()
}

fn cme_life(seed: u64) -> Vec<u8> {
    let mut channel = Channel::new(ChannelConfig {
        seed,
        instruments: 3,
        orders_per_chunk: 4,
        ..ChannelConfig::default()
    });
    let mut records = Vec::new();
    for step in 0..16_u64 {
        let packet = channel.next_packet().to_vec();
        let sequence = u64::from(channel.sequence());
        records.push(match step {
            6 => lost(sequence),
            _ => record(kind::DATA, &packet),
        });
        if step == 10 {
            records.extend(cme_snapshots(&channel));
        }
    }
    if seed == 3 {
        records.push(record(kind::DATA, channel.channel_reset()));
        records.push(record(kind::DATA, channel.next_packet()));
    }
    records.concat()
}

/// Both books of every instrument, as the recovery puts them into the stream.
fn cme_snapshots(channel: &Channel) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for (index, instrument) in channel.instruments().iter().enumerate() {
        for (snapshots, is_by_order) in [(Snapshots::Prices, false), (Snapshots::Orders, true)] {
            let packets = channel.snapshot(snapshots, index, 1);
            if packets.is_empty() {
                continue;
            }
            let event = SnapshotEvent {
                gap_id: 1,
                scope: SnapshotEvent::instrument(instrument.security_id(), is_by_order),
                resume_sequence: u64::from(channel.sequence()) + 1,
                records: packets.len() as u64,
                orders: 0,
            };
            records.push(record(kind::SNAPSHOT_BEGIN, &event.encode()));
            let parts = packets.iter();
            records.extend(parts.map(|packet| record(kind::SNAPSHOT_DATA, packet)));
            records.push(record(kind::SNAPSHOT_END, &event.encode()));
        }
    }
    records
}

/// An EOBI channel of each release that loses packets and gets its products back.
pub(crate) fn eobi_records() -> Vec<Vec<u8>> {
    let of = |(byte, release)| [&[byte], eobi_life(release).as_slice()].concat();
    (0..).zip(Release::ALL).map(of).collect()
}

fn eobi_life(release: Release) -> Vec<u8> {
    let mut collector = Collector::new(CollectorConfig::default());
    let mut records = vec![session(1)];
    for packet in super::eobi::session(release) {
        // Technical heartbeats come between.
        let Ok(parsed) = Packet::parse(&packet.bytes, release) else {
            continue;
        };
        match packet.channel {
            eobi::Channel::Incremental if (12..15).contains(&parsed.sequence()) => {
                records.push(lost(parsed.sequence().into()));
            }
            eobi::Channel::Incremental => records.push(record(kind::DATA, &packet.bytes)),
            eobi::Channel::Snapshot => {
                let mut publish = |cycle: Cycle| records.extend(eobi_snapshot(&cycle));
                collector.on_packet(0, &parsed, &mut publish);
            }
        }
    }
    records.concat()
}

/// A product's cycle, as the recovery puts it into the stream.
fn eobi_snapshot(cycle: &Cycle) -> Vec<Vec<u8>> {
    let event = SnapshotEvent {
        gap_id: 1,
        scope: i64::from(cycle.market_segment_id),
        resume_sequence: u64::from(cycle.resume_sequence()),
        records: cycle.packets.len() as u64,
        orders: cycle.orders,
    };
    let parts = cycle.packets.iter();
    let mut records = vec![record(kind::SNAPSHOT_BEGIN, &event.encode())];
    records.extend(parts.map(|packet| record(kind::SNAPSHOT_DATA, packet)));
    records.push(record(kind::SNAPSHOT_END, &event.encode()));
    records
}

fn session(next_sequence: u64) -> Vec<u8> {
    let event = SessionEvent {
        kind: SessionEventKind::Started,
        session: SESSION,
        next_sequence,
    };
    record(kind::SESSION, &event.encode())
}

fn lost(sequence: u64) -> Vec<u8> {
    let gap = GapEvent {
        gap_id: 1,
        first: sequence,
        last: sequence,
        detected_ns: 3,
    };
    let reason = LossReason::NoRecoverySource;
    record(kind::GAP_LOST, &LostEvent { gap, reason }.encode())
}
