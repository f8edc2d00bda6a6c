//! Order, copies and the race of the lines.

use tickdeck_arbiter::{Config, Disposition, Output, Run, Start};

use crate::support::{A, B, MS, Out, R, Rig, data, session};

/// Two equal lines give each message once, from whoever was first.
#[test]
fn each_message_leaves_once() {
    let mut rig = Rig::starting(Start::FirstSeen);
    assert_eq!(rig.data(A, 1, 3), Disposition::Delivered);
    assert_eq!(rig.data(B, 1, 3), Disposition::Duplicate);
    assert_eq!(rig.data(B, 4, 4), Disposition::Delivered);
    assert_eq!(rig.data(A, 4, 4), Disposition::Duplicate);
    assert_eq!(rig.runs(), [(1, 3), (4, 4)]);
    let counters = rig.arbiter.counters();
    assert_eq!((counters.delivered, counters.duplicates), (4, 4));
    assert_eq!((counters.lines[0].first, counters.lines[1].first), (3, 1));
}

/// Of a packet that overlaps what was delivered only the new tail leaves, whole and unchanged.
#[test]
fn only_the_new_tail_leaves() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 5);
    assert_eq!(rig.data(B, 3, 9), Disposition::Delivered);
    assert_eq!(rig.runs(), [(1, 5), (6, 9)]);
    assert_eq!(rig.arbiter.counters().duplicates, 3);
}

/// A packet that surrounds held and delivered parts fills every part between them.
#[test]
fn one_packet_fills_several_holes() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 2);
    rig.data(A, 5, 6);
    rig.data(A, 9, 9);
    assert_eq!(rig.data(B, 1, 12), Disposition::Delivered);
    assert_eq!(
        rig.runs(),
        [(1, 2), (3, 4), (5, 6), (7, 8), (9, 9), (10, 12)]
    );
    let counters = rig.arbiter.counters();
    assert_eq!((counters.duplicates, counters.held_packets), (5, 0));
    assert_eq!((counters.gaps_opened, counters.gaps_filled), (2, 2));
}

/// Line A is silent for 200 ms: line B carries on alone, then A's return changes nothing.
#[test]
fn cut_line_loses_nothing() {
    let mut rig = Rig::starting(Start::SessionStart);
    for sequence in 1..=400 {
        rig.advance(MS);
        if !(100..300).contains(&sequence) {
            rig.data(A, sequence, sequence);
        }
        rig.data(B, sequence, sequence);
    }
    let counters = rig.arbiter.counters();
    assert_eq!((counters.delivered, counters.duplicates), (400, 200));
    assert_eq!(
        (
            counters.gaps_opened,
            counters.lines[0].lost,
            counters.lines[1].lost
        ),
        (0, 200, 0)
    );
}

/// A packet that is next in line is handed on from the receive buffer itself, also its tail.
#[test]
fn in_order_path_does_not_copy() {
    struct Place(Option<*const u8>);
    impl Output for Place {
        fn deliver(&mut self, run: Run<'_>) {
            self.0 = Some(run.payload.as_ptr());
        }
        fn event(&mut self, _: tickdeck_arbiter::Event) {}
    }
    let mut arbiter = tickdeck_arbiter::Arbiter::new(Config::default()).expect("valid");
    let mut deliver = |first, count| {
        let bytes = data(session(b'1'), first, count);
        let packet = tickdeck_wire::moldudp64::Packet::parse(&bytes).expect("well formed");
        let mut place = Place(None);
        let arrival = tickdeck_arbiter::Arrival {
            source: A,
            unit: packet.into(),
            rx_ns: 0,
            stamp: 1,
            now_ns: 0,
        };
        arbiter.on_packet(arrival, &mut place);
        bytes.as_ptr_range().contains(&place.0.expect("delivered"))
    };
    assert!(deliver(1, 3));
    assert!(deliver(3, 4), "the tail of an overlapping packet too");
}

/// The stamp of the copy that leaves travels with it, also through the hold.
#[test]
fn stamps_belong_to_their_copy() {
    #[derive(Default)]
    struct Stamps(Vec<(u64, u64, u8)>);
    impl Output for Stamps {
        fn deliver(&mut self, run: Run<'_>) {
            self.0.push((run.first_sequence, run.rx_ns, run.stamp));
        }
        fn event(&mut self, _: tickdeck_arbiter::Event) {}
    }
    let mut arbiter = tickdeck_arbiter::Arbiter::new(Config::default()).expect("valid");
    let mut stamps = Stamps::default();
    for (source, first, count, rx_ns, stamp) in
        [(A, 1, 1, 10, 1), (A, 3, 2, 20, 0), (R, 2, 1, 30, 2)]
    {
        let bytes = data(session(b'1'), first, count);
        let packet = tickdeck_wire::moldudp64::Packet::parse(&bytes).expect("well formed");
        let arrival = tickdeck_arbiter::Arrival {
            source,
            unit: packet.into(),
            rx_ns,
            stamp,
            now_ns: 0,
        };
        arbiter.on_packet(arrival, &mut stamps);
    }
    assert_eq!(stamps.0, [(1, 10, 1), (2, 30, 2), (3, 20, 0)]);
}

/// The numbers up to the largest that is not refused work like any other.
#[test]
fn largest_sequence_numbers() {
    let last = (1 << 62) - 1;
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, last - 5, last - 4);
    rig.data(A, last, last);
    assert_eq!(rig.holes(1), [(last - 3, last - 1)]);
    rig.heartbeat(B, 1 << 62);
    rig.data(B, last - 3, last - 1);
    rig.end(A, 1 << 62);
    assert_eq!(rig.runs().last(), Some(&(last, last)));
    assert_eq!(rig.arbiter.next_sequence(), 1 << 62);
    assert_eq!(rig.data(B, last, last), Disposition::Duplicate);
    let sources: Vec<_> = rig
        .take()
        .into_iter()
        .filter(|out| matches!(out, Out::Run(..)))
        .collect();
    assert_eq!(sources[1], Out::Run(last - 3, last - 1, B));
}
