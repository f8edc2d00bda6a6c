//! Each fault by itself, leases, and properties over random faults and packets.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_wire::moldudp64::PacketKind;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Offers packets of 4 messages and gives back what went out on the line, to the end.
fn run(engine: &mut FaultEngine, line: u8, packets: u64) -> Vec<Planned> {
    let mut out = Vec::new();
    for packet in 0..packets {
        engine.offer(
            line,
            Planned::data(1 + 4 * packet, 4),
            packet,
            &mut |sent| out.push(sent),
        );
    }
    // Twice: what was waiting to be overtaken may be late as well.
    engine.poll(line, 60 * SECOND, &mut |sent| out.push(sent));
    engine.poll(line, 120 * SECOND, &mut |sent| out.push(sent));
    out
}

fn armed(fault: Fault, seed: u64) -> FaultEngine {
    let mut engine = FaultEngine::new();
    engine.arm(fault, seed, MAX_LEASE_NS, 0).unwrap();
    engine
}

fn sequences(packets: &[Planned]) -> Vec<u64> {
    packets
        .iter()
        .flat_map(|packet| packet.first_sequence..packet.next_sequence())
        .collect()
}

fn heartbeat(next: u64) -> Planned {
    Planned {
        first_sequence: next,
        kind: PacketKind::Heartbeat,
    }
}

/// Proves that without faults every packet goes out at once and unchanged.
#[test]
fn without_faults_everything_passes() {
    let mut engine = FaultEngine::new();
    let out = run(&mut engine, 0, 10);
    assert_eq!(sequences(&out), (1..=40).collect::<Vec<_>>());
    assert_eq!(*engine.counters(0), LineCounters::default());
    assert_eq!(engine.next_deadline_ns(), None);
}

/// Proves that exactly the named messages are missing, packets being split around them.
#[test]
fn ranges_drop_exactly_their_messages() {
    let ranges = vec![(18, 18), (2, 3), (7, 13), (39, 90)];
    let mut engine = armed(
        Fault::DropRanges {
            lines: Lines::A,
            ranges,
        },
        0,
    );
    let out = run(&mut engine, 0, 10);
    let dropped = |sequence: &u64| !matches!(sequence, 2..=3 | 7..=13 | 18 | 39..=90);
    assert_eq!(
        sequences(&out),
        (1..=40).filter(dropped).collect::<Vec<_>>()
    );
    assert_eq!(
        out[..3],
        [
            Planned::data(1, 1),
            Planned::data(4, 1),
            Planned::data(5, 2)
        ]
    );
    let counters = engine.counters(0);
    assert_eq!(
        (counters.messages_dropped, counters.packets_dropped),
        (12, 1)
    );
    assert_eq!(
        sequences(&run(&mut engine, 1, 10)).len(),
        40,
        "line B is whole"
    );
}

/// Proves that overlapping ranges, in any order, drop the union.
#[test]
fn overlapping_ranges_drop_their_union() {
    let ranges = vec![(4, 4), (2, 2)];
    let mut engine = armed(
        Fault::DropRanges {
            lines: Lines::A,
            ranges,
        },
        0,
    );
    assert_eq!(sequences(&run(&mut engine, 0, 1)), [1, 3]);
    let ranges = vec![(5, 9), (2, 30), (6, 6), (u64::MAX, u64::MAX)];
    let mut engine = armed(
        Fault::DropRanges {
            lines: Lines::Both,
            ranges,
        },
        0,
    );
    assert_eq!(
        sequences(&run(&mut engine, 1, 10)),
        [&[1][..], &Vec::from_iter(31..=40)].concat()
    );
}

/// Proves that a drop on both lines hits the same packets, its share of them, and that two faults
/// on one line each do not.
#[test]
fn a_drop_on_both_lines_makes_a_gap() {
    let drop = |lines| Fault::Drop {
        lines,
        probability: 0.25,
    };
    let mut engine = armed(drop(Lines::Both), 1);
    let (a, b) = (run(&mut engine, 0, 4_000), run(&mut engine, 1, 4_000));
    assert_eq!(a, b);
    assert!(
        (2_850..3_150).contains(&a.len()),
        "{} of 4000 left",
        a.len()
    );
    let mut engine = armed(drop(Lines::A), 1);
    engine.arm(drop(Lines::B), 1, MAX_LEASE_NS, 0).unwrap();
    assert_ne!(run(&mut engine, 0, 4_000), run(&mut engine, 1, 4_000));
    assert_ne!(
        a,
        run(&mut armed(drop(Lines::Both), 2), 0, 4_000),
        "another seed"
    );
}

/// Proves that a cut line is silent, heartbeats included, and the other line is not.
#[test]
fn a_cut_line_is_silent() {
    let mut engine = armed(Fault::Cut { lines: Lines::B }, 0);
    assert_eq!(run(&mut engine, 0, 3).len(), 3);
    assert_eq!(run(&mut engine, 1, 3), []);
    engine.offer(1, heartbeat(13), 3, &mut |_| panic!("a heartbeat passed"));
    assert_eq!(
        (
            engine.counters(1).packets_dropped,
            engine.counters(1).messages_dropped
        ),
        (4, 12)
    );
}

/// Proves that a drop lets heartbeats pass, so that a gap at the tail is seen.
#[test]
fn a_drop_lets_heartbeats_pass() {
    let mut engine = armed(
        Fault::Drop {
            lines: Lines::Both,
            probability: 1.0,
        },
        0,
    );
    let mut out = Vec::new();
    engine.offer(0, Planned::data(1, 4), 0, &mut |sent| out.push(sent));
    engine.offer(0, heartbeat(5), 0, &mut |sent| out.push(sent));
    assert_eq!(out, [heartbeat(5)]);
}

/// Proves that duplicates follow their original.
#[test]
fn duplicates_come_twice() {
    let mut engine = armed(
        Fault::Duplicate {
            lines: Lines::A,
            probability: 1.0,
        },
        0,
    );
    let out = run(&mut engine, 0, 2);
    assert_eq!(out, [1, 1, 5, 5].map(|first| Planned::data(first, 4)));
    assert_eq!(engine.counters(0).packets_duplicated, 2);
}

/// Proves that a reordered packet is overtaken by exactly `depth` packets, or goes out in time.
#[test]
fn reordered_packets_are_overtaken_by_depth() {
    let mut engine = FaultEngine::new();
    let reorder = Fault::Reorder {
        lines: Lines::A,
        probability: 1.0,
        depth: 2,
    };
    let id = engine.arm(reorder, 0, SECOND, 0).unwrap();
    let mut out = Vec::new();
    engine.offer(0, Planned::data(1, 4), 10, &mut |_| panic!("not held back"));
    engine.clear(id).unwrap();
    for first in [5, 9, 13] {
        engine.offer(0, Planned::data(first, 4), 20, &mut |sent| {
            out.push(sent.first_sequence)
        });
    }
    assert_eq!(out, [5, 9, 1, 13]);
    let reorder = Fault::Reorder {
        lines: Lines::A,
        probability: 1.0,
        depth: 9,
    };
    engine.arm(reorder, 0, SECOND, 0).unwrap();
    engine.offer(0, Planned::data(17, 4), 100, &mut |_| {
        panic!("not held back")
    });
    let deadline_ns = engine.next_deadline_ns().unwrap();
    engine.poll(0, deadline_ns - 1, &mut |_| panic!("too early"));
    engine.poll(0, deadline_ns, &mut |sent| out.push(sent.first_sequence));
    assert_eq!(out.last(), Some(&17), "a quiet line does not lose it");
}

/// Proves that a delay keeps order and distance, and that its end does not reorder.
#[test]
fn a_delay_keeps_the_order() {
    let mut engine = FaultEngine::new();
    let delay = Fault::Delay {
        lines: Lines::A,
        delay_ns: 1_000,
    };
    let id = engine.arm(delay, 0, SECOND, 0).unwrap();
    let mut out = Vec::new();
    engine.offer(0, Planned::data(1, 1), 0, &mut |_| panic!("not delayed"));
    engine.offer(0, Planned::data(2, 1), 500, &mut |_| panic!("not delayed"));
    engine.clear(id).unwrap();
    engine.offer(0, heartbeat(3), 600, &mut |_| panic!("overtook"));
    assert_eq!(engine.next_deadline_ns(), Some(1_000));
    engine.poll(0, 999, &mut |_| panic!("too early"));
    for now_ns in [1_000, 1_500] {
        engine.poll(0, now_ns, &mut |sent| {
            out.push((now_ns, sent.first_sequence))
        });
    }
    assert_eq!(out, [(1_000, 1), (1_500, 2), (1_500, 3)]);
    assert_eq!(engine.counters(0).packets_delayed, 3);
}

/// Proves that more late packets than fit are lost and counted, never silently.
#[test]
fn a_full_queue_counts_what_it_loses() {
    let mut engine = armed(
        Fault::Delay {
            lines: Lines::A,
            delay_ns: SECOND,
        },
        0,
    );
    let out = run(&mut engine, 0, 65_540);
    assert_eq!(
        (out.len(), engine.counters(0).packets_overflowed),
        (65_536, 4)
    );
}

/// Proves that a fault ends when its lease does, that a renewal counts from now, and that both
/// are refused afterwards.
#[test]
fn a_lease_ends_by_itself() {
    let mut engine = FaultEngine::new();
    engine
        .arm(Fault::Cut { lines: Lines::A }, 0, SECOND, 0)
        .unwrap();
    let passes = |engine: &mut FaultEngine, now_ns| {
        let mut sent = false;
        engine.offer(0, heartbeat(1), now_ns, &mut |_| sent = true);
        sent
    };
    assert!(!passes(&mut engine, SECOND - 1));
    engine.renew(1, SECOND, SECOND - 1).unwrap();
    assert!(!passes(&mut engine, 2 * SECOND - 2));
    assert_eq!(engine.armed(2 * SECOND - 2).next().unwrap().remaining_ns, 1);
    assert!(passes(&mut engine, 2 * SECOND - 1));
    assert_eq!(engine.armed(2 * SECOND).len(), 0);
    assert_eq!(
        engine.renew(1, SECOND, 2 * SECOND),
        Err(SimError::NoSuchFault { id: 1 })
    );
    assert_eq!(engine.clear(1), Err(SimError::NoSuchFault { id: 1 }));
}

/// Proves that the end of one lease leaves the other faults armed.
#[test]
fn the_end_of_a_lease_leaves_other_faults() {
    let mut engine = FaultEngine::new();
    engine
        .arm(Fault::Cut { lines: Lines::A }, 0, SECOND, 0)
        .unwrap();
    engine
        .arm(Fault::Cut { lines: Lines::B }, 0, 2 * SECOND, 0)
        .unwrap();
    let ids = |engine: &mut FaultEngine, now_ns| -> Vec<u64> {
        engine.armed(now_ns).map(|armed| armed.id).collect()
    };
    assert_eq!(ids(&mut engine, SECOND - 1), [1, 2]);
    assert_eq!(ids(&mut engine, SECOND), [2]);
    assert_eq!(ids(&mut engine, 2 * SECOND), []);
}

/// Proves that the request server is stopped only while the fault is armed.
#[test]
fn requests_are_stopped_under_a_lease() {
    let mut engine = FaultEngine::new();
    engine.arm(Fault::RequestStop, 0, SECOND, 0).unwrap();
    assert!(engine.requests_stopped(0) && engine.requests_stopped(SECOND - 1));
    assert!(!engine.requests_stopped(SECOND));
    assert_eq!(
        run(&mut armed(Fault::RequestStop, 0), 0, 3).len(),
        3,
        "the lines are whole"
    );
}

/// Proves that each argument out of range is refused by name and nothing is armed.
#[test]
fn bad_faults_are_refused_by_name() {
    let mut engine = FaultEngine::new();
    let lines = Lines::A;
    let cases = [
        (
            Fault::Drop {
                lines,
                probability: 1.01,
            },
            "probability 1.01",
        ),
        (
            Fault::Drop {
                lines,
                probability: f64::NAN,
            },
            "probability NaN",
        ),
        (
            Fault::Duplicate {
                lines,
                probability: -0.1,
            },
            "probability -0.1",
        ),
        (
            Fault::Reorder {
                lines,
                probability: 2.0,
                depth: 1,
            },
            "probability 2",
        ),
        (
            Fault::Reorder {
                lines,
                probability: 0.5,
                depth: 0,
            },
            "depth 0",
        ),
        (
            Fault::Reorder {
                lines,
                probability: 0.5,
                depth: 1_025,
            },
            "depth 1025",
        ),
        (
            Fault::Delay {
                lines,
                delay_ns: 10 * SECOND + 1_000,
            },
            "delay_us 10000001",
        ),
        (
            Fault::DropRanges {
                lines,
                ranges: vec![],
            },
            "0 ranges",
        ),
        (
            Fault::DropRanges {
                lines,
                ranges: vec![(1, 2), (0, 4)],
            },
            "range [0, 4]",
        ),
        (
            Fault::DropRanges {
                lines,
                ranges: vec![(5, 4)],
            },
            "range [5, 4]",
        ),
    ];
    for (fault, what) in cases {
        let error = engine.arm(fault, 0, SECOND, 0).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    for lease_ns in [0, MAX_LEASE_NS + 1] {
        let error = engine.arm(Fault::RequestStop, 0, lease_ns, 0).unwrap_err();
        assert!(matches!(error, SimError::BadLease { .. }));
    }
    assert_eq!(engine.armed(0).len(), 0);
    for _ in 0..MAX_FAULTS {
        engine.arm(Fault::RequestStop, 0, SECOND, 0).unwrap();
    }
    let error = engine.arm(Fault::RequestStop, 0, SECOND, 0).unwrap_err();
    assert_eq!(error, SimError::TooManyFaults { limit: MAX_FAULTS });
    assert_eq!(engine.clear_all(), MAX_FAULTS);
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let lines = prop_oneof![Just(Lines::A), Just(Lines::B), Just(Lines::Both)];
    (
        lines,
        0.0..=1.0,
        1u32..8,
        0u64..2_000,
        vec((1u64..300, 0u64..30), 1..5),
        0..5,
    )
        .prop_map(
            |(lines, probability, depth, delay_ns, ranges, kind)| match kind {
                0 => Fault::Drop { lines, probability },
                1 => Fault::Duplicate { lines, probability },
                2 => Fault::Reorder {
                    lines,
                    probability,
                    depth,
                },
                3 => Fault::Delay { lines, delay_ns },
                _ => {
                    let ranges = ranges
                        .into_iter()
                        .map(|(from, more)| (from, from + more))
                        .collect();
                    Fault::DropRanges { lines, ranges }
                }
            },
        )
}

proptest! {
    /// Proves over any faults, in any order of arming and clearing, that every message of a line
    /// is sent, or counted as dropped, and sent twice only when counted as duplicated.
    #[test]
    fn every_message_is_sent_or_counted(
        faults in vec((any_fault(), any::<u64>(), 1u64..2_000), 0..5),
        counts in vec((1u16..9, 0u64..200), 1..80),
    ) {
        let mut engine = FaultEngine::new();
        for (fault, seed, lease_ns) in faults {
            engine.arm(fault, seed, lease_ns, 0).unwrap();
        }
        for line in [0, 1] {
            let (mut sent, mut duplicated) = (BTreeMap::<u64, u64>::new(), 0);
            let mut note = |packet: Planned| {
                for sequence in packet.first_sequence..packet.next_sequence() {
                    *sent.entry(sequence).or_default() += 1;
                }
            };
            let (mut next, mut now_ns) = (1, 0);
            for (count, pause_ns) in &counts {
                engine.offer(line, Planned::data(next, *count), now_ns, &mut note);
                engine.poll(line, now_ns, &mut note);
                next += u64::from(*count);
                now_ns += pause_ns;
            }
            // Twice: what was waiting to be overtaken may be late as well.
            engine.poll(line, now_ns + SECOND, &mut note);
            engine.poll(line, now_ns + 2 * SECOND, &mut note);
            prop_assert!(sent.values().all(|times| (1..=2).contains(times)));
            duplicated += sent.values().filter(|times| **times == 2).count();
            let counters = engine.counters(line);
            prop_assert_eq!(sent.len() as u64 + counters.messages_dropped, next - 1);
            prop_assert_eq!(duplicated > 0, counters.packets_duplicated > 0);
        }
    }

    /// Proves that a run replays from its seeds: the same faults give the same packets.
    #[test]
    fn a_run_replays_from_its_seeds(faults in vec((any_fault(), any::<u64>()), 1..4)) {
        let go = || {
            let mut engine = FaultEngine::new();
            for (fault, seed) in &faults {
                engine.arm(fault.clone(), *seed, MAX_LEASE_NS, 0).unwrap();
            }
            [run(&mut engine, 0, 60), run(&mut engine, 1, 60)]
        };
        prop_assert_eq!(go(), go());
    }
}
