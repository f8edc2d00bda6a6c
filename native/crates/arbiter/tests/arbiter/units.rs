//! The merge of protocols that number packets, and the sources of answers.

use tickdeck_arbiter::{
    Arbiter, Arrival, Config, Content, Disposition, Event, Output, Run, Source, Start, Unit,
};
use tickdeck_wire::moldudp64::Packet;

use crate::support::{A, B, MS, R, Rig, data, session};

/// A packet of 4 bytes that the lines mark differently, and its number.
fn whole(line: u8, number: u64) -> Vec<u8> {
    let mut bytes = vec![line; 4];
    bytes.extend(number.to_le_bytes());
    bytes
}

fn unit(bytes: &[u8], number: u64) -> Unit<'_> {
    let content = Content::Whole {
        packet: bytes,
        compare_from: 4,
    };
    Unit::new(session(b'1'), number, content)
}

#[derive(Default)]
struct Packets(Vec<(u64, u32, Vec<u8>)>);

impl Output for Packets {
    fn deliver(&mut self, run: Run<'_>) {
        let payload = run.payload.to_vec();
        self.0.push((run.first_sequence, run.count, payload));
    }
    fn event(&mut self, _: Event) {}
}

/// A whole packet has one number, leaves as it came, also from the hold, and its copy of the other
/// line is a duplicate although the lines mark their packets.
#[test]
fn whole_packets_merge_by_their_number() {
    let mut arbiter = Arbiter::new(Config {
        start: Start::SessionStart,
        ..Config::default()
    })
    .expect("a valid configuration");
    let mut out = Packets::default();
    let mut bring = |line: u8, number| {
        let bytes = whole(line, number);
        let arrival = Arrival {
            source: Source::Line(line),
            unit: unit(&bytes, number),
            rx_ns: 0,
            stamp: 1,
            now_ns: 0,
        };
        arbiter.on_packet(arrival, &mut out)
    };
    let steps = [(0, 1), (0, 3), (1, 1), (1, 2), (1, 3), (0, 2)];
    let dispositions = steps.map(|(line, number)| bring(line, number));
    use Disposition::{Delivered, Duplicate, Held};
    let expected = [Delivered, Held, Duplicate, Delivered, Duplicate, Duplicate];
    assert_eq!(dispositions, expected);
    let packets = [
        (1, 1, whole(0, 1)),
        (2, 1, whole(1, 2)),
        (3, 1, whole(0, 3)),
    ];
    assert_eq!(out.0, packets);
}

/// The stream and the peer fill holes like the re-request server, and decide nothing.
#[test]
fn every_source_of_answers_only_fills_holes() {
    for source in [R, Source::Stream, Source::Peer] {
        let mut rig = Rig::starting(Start::SessionStart);
        rig.data(A, 1, 1);
        rig.data(A, 4, 4);
        assert_eq!(rig.data(source, 7, 9), Disposition::Stale, "{source:?}");
        assert_eq!(rig.heartbeat(source, 99), Disposition::Control);
        rig.advance(3 * MS);
        assert_eq!(rig.data(source, 2, 3), Disposition::Delivered);
        assert_eq!(rig.runs(), [(1, 1), (2, 3), (4, 4)]);
        let filled = |event: &Event| matches!(*event, Event::GapFilled { sources, .. } if sources == source.bit());
        assert!(rig.events().iter().any(filled), "{source:?}");
        assert_eq!(rig.arbiter.counters().retransmitted, 2);
    }
}

/// Every source has a bit of its own.
#[test]
fn bits_do_not_collide() {
    let lines = (0..7).map(Source::Line);
    let all = lines.chain([R, Source::Stream, Source::Peer]);
    let bits: Vec<u16> = all.map(Source::bit).collect();
    assert_eq!(bits, [1, 2, 8, 16, 32, 64, 128, 4, 256, 512]);
}

/// A sequence number of 0, which no protocol has, and one whose end is beyond 64 bits are refused.
#[test]
fn impossible_numbers_are_refused() {
    let mut rig = Rig::starting(Start::SessionStart);
    rig.data(B, 1, 1);
    let bytes = data(rig.session, 1, 2);
    let packet = Packet::parse(&bytes).expect("well formed");
    for first_sequence in [0, u64::MAX - 1, u64::MAX] {
        let unit = Unit {
            first_sequence,
            ..Unit::from(packet)
        };
        assert_eq!(rig.unit(A, unit), Disposition::SequenceOverflow);
    }
    assert_eq!(rig.arbiter.next_sequence(), 2);
}
